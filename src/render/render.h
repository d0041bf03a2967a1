/* dais render: from a manifest to the files other tools are run with, and their way onto the disk.
 *
 * render_files() is a pure function: the same manifest and program give the same bytes. It builds
 * facts, a JSON tree of everything a template may ask for (facts.c), and fills the templates of the
 * kind (kinds.c lists them) with them; every value is quoted for the place it stands in (quote.c).
 * Only the kind `pages` reads more than the manifest: the files its site is made of. place_files()
 * is the only part that writes.
 *
 * Files of a site are what they are, so a listing names them with their digests (listing.c). Every
 * other file begins with what made it and a digest of its content, so that one edited by hand is
 * known and kept. docs/decisions/0010-rendering.md says why it is so. */
#pragma once
#include "manifest/manifest.h"

struct json;

/* ---- what is rendered -------------------------------------------------------------------------
 */

struct render_file {
    struct slice path;   /* below the app folder, or what stands for it: "ops/Caddyfile" */
    struct slice text;   /* whole, with its header */
    const char *copy_of; /* instead of text: this file as it is */
    const char *digest;  /* SHA-256 of the content: it has no header, the listing names it */
    bool is_gone;        /* the listing of an earlier time names it, and it is to be removed */
    unsigned mode;       /* 0644 or 0755 */
};
struct render_files {
    struct render_file *items;
    size_t n;
    struct slice next;    /* what to do with them, for a person */
    struct slice listing; /* path of the one that names those with a digest; empty: there is none */
};

/* A file of a kind: templates/TEMPLATE, filled. */
struct render_row {
    const char *path;     /* where it goes; NULL ends the table */
    const char *template; /* below src/render/templates/; `*.json.yaml` becomes JSON */
    const char *when;     /* a fact that must be there or true; NULL: always */
    bool is_executable;
};
struct render_options;
struct render_kind {
    const char *name, *summary;
    const struct render_row *const *tables; /* ends in NULL */
    const char *next;                       /* a template, for the terminal */
    /* Keys that cannot be expressed, as errors with their positions. May be NULL. */
    void (*check)(const struct manifest *m, const struct target *t, struct problems *p);
    /* Files that are no filled templates; what it finds in the app's folder may be a problem. May
     * be NULL; false: e says why. */
    bool (*add)(struct arena *a, const struct render_options *o, struct render_files *to,
                struct problems *p, struct err *e);
};
extern const struct render_kind render_kinds[]; /* ends in a row without a name */

const struct render_kind *render_kind_find(struct slice name); /* `ssh` is the droplet */

struct render_options {
    const struct manifest *manifest; /* without errors */
    const struct render_kind *kind;
    const struct target *target; /* of that kind; NULL: the kind's own defaults */
    struct slice below;          /* the app's folder below its Git repository: "apps/a", or "" */
};
/* In the arena. False: p has what cannot be expressed, or e has what else went wrong. */
bool render_files(struct arena *a, const struct render_options *o, struct render_files *ret,
                  struct problems *p, struct err *e);

/* ---- onto the disk ------------------------------------------------------------------------------
 */

enum place_state {
    PLACE_SAME, /* it is there already */
    PLACE_NEW,
    PLACE_CHANGED, /* dais made what is there, and it is out of date */
    PLACE_GONE,    /* dais made what is there, and it is not wanted any more */
    PLACE_KEPT     /* somebody edited it, or dais did not make it: not touched */
};
struct placed {
    struct slice path;
    enum place_state state;
    bool is_foreign;   /* kept: it has no header of ours at all */
    bool is_listed;    /* one of the many that the listing names */
    struct slice diff; /* kept: from what is there to what would be; "" otherwise */
};
struct place_options {
    const char *folder; /* made when it is not there */
    bool force;         /* nothing is kept */
    bool only_look;     /* nothing is written */
};
/* Adds to `files` what an earlier listing in the folder names and the new one does not. Files with
 * a listing need it before place_files(). */
bool place_find_gone(struct arena *a, const struct place_options *o, struct render_files *files,
                     struct err *e);
/* All or nothing: what fails leaves every file as it was. `ret` has a row for each file. */
bool place_files(struct arena *a, const struct place_options *o, const struct render_files *files,
                 struct placed *ret, struct err *e);
