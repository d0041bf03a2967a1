/* What `dais new` can write: templates of new apps, and models of applications that exist.
 *
 * The files of a template are in src/cli/templates/LAYER/, those of a model in models/NAME/; all
 * are compiled into the program (mk/pages.mk). A new one needs its folder and a row in templates.c.
 */
#pragma once
#include <stddef.h>

#define TEMPLATE_LAYERS_MAX 4
#define MODEL_SIGNS_MAX     6

struct template
{
    const char *name, *summary;
    const char *layers[TEMPLATE_LAYERS_MAX]; /* folders whose files it is made of; {{slug}} and
                                                {{title}} are replaced in them */
};

struct model {
    const char *name, *summary;
    const char *signs[MODEL_SIGNS_MAX]; /* files that every checkout of the application has */
};

extern const struct template templates[];
extern const size_t n_templates;
extern const struct model models[];
extern const size_t n_models;
