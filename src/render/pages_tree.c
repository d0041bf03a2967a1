/* The files of a site, read from the folders the manifest names: those that `dais serve` would
 * send, and never more.
 *
 * Links are followed as long as they stay beneath their folder; what comes of them are files, for
 * GitHub takes no links. */
#include "base/mem.h"
#include "base/utf8.h"
#include "render/pages_impl.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDERS_MAX 20000
#define DEPTH_MAX   64
#define SITE_MAX    (1000LL << 20) /* what GitHub publishes */
#define FILE_WARN   (100LL << 20)  /* what a Git push at GitHub takes */

struct root {
    struct slice prefix; /* "/", "/docs/" */
    const char *folder;
    char real[PATH_MAX]; /* ending in a slash */
};

/* A folder that is still to be read. */
struct todo {
    const char *rel; /* below the root; "" is the root */
    unsigned depth;
};

struct scan {
    struct pages_tree *tree;
    struct root *roots; /* mounts, longest prefix first; web.root is the last */
    size_t n_roots, root;
    struct todo *todo;
    size_t n_todo, n_folders;
};

/* ---- the tree -----------------------------------------------------------------------------------
 */

struct page_file *pages_tree_find(const struct pages_tree *tree, struct slice path)
{
    return map_find(&tree->paths, path);
}

bool pages_tree_put(struct pages_tree *tree, const struct page_file *file)
{
    struct page_file *there = pages_tree_find(tree, file->path);
    if (!there && tree->n == PAGES_FILES_MAX)
        return err_set(tree->e, ERR_MANIFEST, "the site has more than %d files", PAGES_FILES_MAX);
    struct page_file *kept = there ? there : arena_new(tree->a, struct page_file);
    tree->bytes += file->size - kept->size;
    *kept = *file;
    if (!there) {
        tree->files[tree->n++] = kept;
        map_put(&tree->paths, kept->path, kept);
    }
    return true;
}

/* ---- names --------------------------------------------------------------------------------------
 */

/* As in src/web/tree.c, and no packages of the build: a site made of the app's folder itself would
 * have them. */
static bool is_servable(const char *name, bool in_root)
{
    struct slice s = slice_from(name);
    if (name[0] == '.')
        return in_root && slice_is(s, ".well-known");
    if (slice_is(s, "node_modules") ||
        (in_root && (slice_is(s, "dais.yaml") || slice_is(s, "host.yaml"))))
        return false;
    return !slice_has_control(s) && slice_index(s, '\\') < 0 && utf8_is_valid(s);
}

static size_t root_of(const struct scan *s, struct slice path)
{
    size_t i = 0;
    while (i + 1 < s->n_roots && !slice_starts(path, s->roots[i].prefix))
        i++;
    return i;
}

/* A link must stay beneath the root, and a folder must not be above the place it is linked from. */
static bool may_follow(const struct scan *s, const char *path, bool is_folder)
{
    const char *base = s->roots[s->root].real;
    char real[PATH_MAX], parent[PATH_MAX], above[PATH_MAX];
    if (!realpath(path, real) || !slice_starts(slice_from(real), slice_from(base)))
        return false;
    if (!is_folder)
        return true;
    snprintf(above, sizeof above, "%.*s", (int)(strrchr(path, '/') - path), path);
    if (!realpath(above, parent))
        return false;
    size_t n = strlen(real);
    return strncmp(parent, real, n) != 0 || (parent[n] != '/' && parent[n] != '\0');
}

/* ---- reading ------------------------------------------------------------------------------------
 */

static bool add_file(struct scan *s, const char *rel, const char *source, const struct stat *st)
{
    struct pages_tree *t = s->tree;
    struct slice path = arena_printf(t->a, "%.*s%s", SLICE_ARGS(s->roots[s->root].prefix), rel);
    if (root_of(s, path) != s->root)
        return true; /* a mount covers it */
    if (st->st_size > FILE_WARN)
        problems_add(t->p, PROBLEM_WARNING, t->m->file, t->m->web.root.pos,
                     "%s is %lld MB; GitHub takes no file over 100 MB into a repository", source,
                     (long long)(st->st_size >> 20));
    const struct page_file file = {
        .path = path, .source = arena_cstr(t->a, slice_from(source)), .size = st->st_size};
    return pages_tree_put(t, &file);
}

static bool add_folder(struct scan *s, const char *rel, unsigned depth)
{
    if (depth > DEPTH_MAX)
        return true;
    if (s->n_folders++ == FOLDERS_MAX)
        return err_set(s->tree->e, ERR_MANIFEST, "the site has more than %d folders", FOLDERS_MAX);
    s->todo[s->n_todo++] = (struct todo){arena_cstr(s->tree->a, slice_from(rel)), depth};
    return true;
}

static bool add_entry(struct scan *s, const struct todo *at, const char *name)
{
    const struct root *root = &s->roots[s->root];
    char rel[PATH_MAX], path[PATH_MAX];
    struct stat st;
    int n = snprintf(rel, sizeof rel, "%s%s%s", at->rel, *at->rel ? "/" : "", name);
    if (n < 0 || (size_t)n >= sizeof rel || !is_servable(name, !*at->rel))
        return true;
    n = snprintf(path, sizeof path, "%s/%s", root->folder, rel);
    if (n < 0 || (size_t)n >= sizeof path || lstat(path, &st) != 0)
        return true;
    if (S_ISLNK(st.st_mode) && (stat(path, &st) != 0 || !may_follow(s, path, S_ISDIR(st.st_mode))))
        return true;
    if (S_ISREG(st.st_mode))
        return add_file(s, rel, path, &st);
    return !S_ISDIR(st.st_mode) || add_folder(s, rel, at->depth + 1);
}

/* A folder that dais rendered, which may lie in the app's own: a site does not hold itself. */
static bool is_rendered(const char *folder)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/" PAGES_TREE, folder);
    return n > 0 && (size_t)n < sizeof path && access(path, F_OK) == 0;
}

static bool read_folder(struct scan *s, const struct todo *at)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s%s%s", s->roots[s->root].folder, *at->rel ? "/" : "",
                     at->rel);
    if (n < 0 || (size_t)n >= sizeof path || is_rendered(path))
        return true;
    DIR *d = opendir(path);
    if (!d)
        return err_set_sys(s->tree->e, ERR_MANIFEST, "the folder %s cannot be read", path);
    bool fine = true;
    for (struct dirent *entry; fine && (entry = readdir(d));) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            fine = add_entry(s, at, entry->d_name);
    }
    closedir(d);
    return fine;
}

static bool read_root(struct scan *s)
{
    struct root *root = &s->roots[s->root];
    const struct web_conf *web = &s->tree->m->web;
    bool is_own = s->root + 1 == s->n_roots;
    if (!realpath(root->folder, root->real) || strlen(root->real) + 2 > sizeof root->real)
        return err_set(s->tree->e, ERR_MANIFEST, "the folder %s does not exist%s%s", root->folder,
                       is_own && web->build.s.len ? "; `dais build` makes it: " : "",
                       is_own ? web->build.s.ptr : "");
    if (strcmp(root->real, "/") != 0)
        root->real[strlen(root->real) + 1] = '\0', root->real[strlen(root->real)] = '/';
    if (!add_folder(s, "", 0))
        return false;
    while (s->n_todo) {
        struct todo at = s->todo[--s->n_todo];
        if (!read_folder(s, &at))
            return false;
    }
    return true;
}

static const char *folder_of(const struct pages_tree *t, struct slice folder)
{
    struct slice dir = t->m->dir;
    if (!dir.len || slice_starts(folder, SLICE("/")))
        return arena_cstr(t->a, folder);
    return arena_printf(t->a, "%.*s/%.*s", SLICE_ARGS(dir), SLICE_ARGS(folder)).ptr;
}

bool pages_tree_read(struct pages_tree *tree)
{
    const struct web_conf *web = &tree->m->web;
    struct scan s = {.tree = tree, .n_roots = web->mounts.n + 1};
    bool fine = true;
    s.roots = arena_zalloc(tree->a, s.n_roots * sizeof *s.roots);
    s.todo = arena_zalloc(tree->a, (FOLDERS_MAX + 1) * sizeof *s.todo);
    for (size_t i = 0; i < web->mounts.n; i++) {
        s.roots[i].prefix = web->mounts.items[i].prefix.s;
        s.roots[i].folder = folder_of(tree, web->mounts.items[i].folder.s);
    }
    s.roots[web->mounts.n].prefix = SLICE("/");
    s.roots[web->mounts.n].folder = folder_of(tree, web->root.s);
    for (s.root = s.n_roots;
         fine && s.root-- > 0;) /* web.root first: what it lacks is told first */
        fine = read_root(&s);
    if (fine && tree->bytes > SITE_MAX)
        fine = err_set(tree->e, ERR_MANIFEST,
                       "the site has %lld MB, and GitHub Pages takes 1 GB; leave large files out "
                       "of `web.root` or serve them from elsewhere",
                       (long long)(tree->bytes >> 20));
    return fine;
}
