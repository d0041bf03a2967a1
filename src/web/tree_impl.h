/* A snapshot of an app's files: every path that leads to one, found by one look-up.
 *
 * Built once, then never changed (but for the copies inside its files), so every thread may read
 * it. It holds its folders open: what it serves lies beneath the very folders it was read from. */
#pragma once
#include "base/map.h"
#include "web/file_impl.h"

#define FILES_MAX   100000
#define FOLDERS_MAX 20000
#define DEPTH_MAX   64
#define WATCHES_MAX 4096

struct web_tree {
    _Atomic int refs;
    int *root_fds; /* by rules->roots; -1: the folder is missing */
    size_t n_roots;
    struct web_file **files; /* one reference each */
    size_t n_files, cap_files;
    struct map paths;        /* URL path -> struct web_node */
    struct web_file *script; /* web.env.path; NULL: none */
    struct web_file *fallback;
    struct web_file **pages;  /* by conf->pages; NULL: the file is missing */
    struct web_file **errors; /* by conf->errors */
    bool is_partial;          /* a folder is missing or cannot be watched: look again and again */
};

struct tree_options {
    const struct web_rules *rules;
    struct web_tree *old; /* unchanged files are taken from it; may be NULL */
    size_t files_max;
    int inotify; /* folders are watched before they are read; -1: not */
};
/* Reads the folders. May block. One reference, the caller's; never NULL. */
struct web_tree *tree_build(const struct tree_options *o);
struct web_tree *tree_ref(struct web_tree *t);
void tree_unref(struct web_tree *t);

/* How two trees differ. */
enum tree_change { TREE_SAME, TREE_STYLES, TREE_OTHER }; /* STYLES: only in .css files */
enum tree_change tree_compare(const struct web_tree *a, const struct web_tree *b);

static inline const struct web_node *tree_find(const struct web_tree *t, struct slice path)
{
    return map_find(&t->paths, path);
}
