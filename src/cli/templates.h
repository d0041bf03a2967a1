/* The apps `dais new` can make: a template is a list of files. */
#pragma once
#include <stddef.h>

struct template_file {
    const char *path; /* below the new folder */
    const char *text; /* {{slug}} and {{title}} are replaced */
};

struct template
{
    const char *name, *summary;
    const struct template_file *files;
    size_t n_files;
};

extern const struct template templates[];
extern const size_t n_templates;
