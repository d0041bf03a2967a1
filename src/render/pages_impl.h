/* A site for GitHub Pages: what is known of the place, and links that lead below its base path.
 *
 * rows_pages.c decides and complains, pages_site.c reads the folders and makes the tree,
 * pages_links.c changes links in one text. */
#pragma once
#include "base/map.h"
#include "render/rows_impl.h"

#define PAGES_TREE ".dais-site" /* the file of the tree that lists its files */
#define PAGES_DIR  "ops/pages/"

/* What the target says of the place, put together. In the arena. */
struct pages_place {
    struct slice base;       /* "/" or "/charts/", as an address has it */
    struct slice origin;     /* "https://me.github.io"; empty: not known */
    struct slice repository; /* "https://github.com/me/charts"; empty: not known */
    struct slice api;        /* "https://charts.example.com", without a slash; empty: none */
};
struct pages_place pages_place_of(struct arena *a, const struct manifest *m,
                                  const struct target *t);

/* What $NAME stands for: the target's `env`, and PUBLIC_URL, the server with the API. */
struct settings pages_variables(struct arena *a, const struct target *t,
                                const struct pages_place *place);

/* ---- pages_links.c: a pure function of text ---------------------------------------------------
 */

enum links_kind { LINKS_NONE, LINKS_HTML, LINKS_CSS, LINKS_JS, LINKS_DATA };
enum links_kind links_kind_of(struct slice path); /* by the end of the name */

struct links {
    struct slice base;       /* starts and ends with a slash, encoded */
    const struct map *paths; /* "/a/b.js" -> anything: what the tree holds */
    struct slice folder;     /* "/" or "/app/": relative links of a page become absolute, as for one
                              * that is shown at any depth; empty: they stay */
};
/* Puts the base before each absolute link to something in the tree. Returns how many there were. */
size_t links_move(enum links_kind kind, struct slice text, const struct links *l, struct buf *to);

/* Adds an address, percent-encoding what has no place in one, nor in quotes. */
void links_encode(struct buf *to, struct slice path);

/* The address of the developer's machine in a text, "http://localhost:8000"; "" when none is. */
struct slice pages_local_address(struct slice text);

/* ---- pages_tree.c: what the folders hold ------------------------------------------------------
 */

struct page_file {
    struct slice path;  /* "/a/b.js", as a browser asks for it */
    const char *source; /* the file it is a copy of; NULL: text is all there is */
    struct slice text;  /* what it becomes when it is no copy */
    bool is_text;
    int64_t size;
};
struct pages_tree {
    struct arena *a;
    const struct manifest *m;
    struct page_file **files; /* in the arena, PAGES_FILES_MAX of them fit */
    size_t n;
    struct map paths; /* path -> struct page_file */
    int64_t bytes;
    struct problems *p;
    struct err *e;
};
#define PAGES_FILES_MAX 19000

/* Every file that `dais serve` would send, from the mounts and web.root. */
bool pages_tree_read(struct pages_tree *tree);
/* In the place of what was there. */
bool pages_tree_put(struct pages_tree *tree, const struct page_file *file);
struct page_file *pages_tree_find(const struct pages_tree *tree, struct slice path);
