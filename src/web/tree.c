/* Reading the folders of an app into a snapshot. */
#include "web/tree_impl.h"
#include "web/beneath_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define WATCHED                                                                         \
    (IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_ATTRIB | \
     IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

struct folder {
    char *rel; /* below the root; "" is the root itself; owned */
    int parent, depth;
    dev_t dev;
    ino_t inode;
};

struct scan {
    const struct tree_options *o;
    struct web_tree *tree;
    size_t root, n_watches;
    struct folder *folders; /* all met so far, so that parents are there to be asked */
    int n_folders, cap_folders;
    bool is_full;
};

/* ---- files
 * -------------------------------------------------------------------------------------- */

/* A racy file whose facts are the same: only its bytes can tell. */
static bool has_same_bytes(const struct scan *s, struct web_file *f)
{
    struct web_file *now = file_new(s->o->rules, s->root, f->path, &f->facts);
    file_load(now, s->o->rules, s->tree->root_fds[s->root]);
    const struct web_copy *old = file_copy(f, CODING_IDENTITY);
    const struct web_copy *new = file_copy(now, CODING_IDENTITY);
    bool same = old && new &&slice_eq(old->valid.etag, new->valid.etag);
    if (same)
        atomic_store(&f->racy, atomic_load(&now->racy));
    file_unref(now);
    return same;
}

static struct web_file *reuse(const struct scan *s, struct slice path,
                              const struct web_facts *facts)
{
    const struct web_node *n = s->o->old ? tree_find(s->o->old, path) : NULL;
    if (!n || n->kind != NODE_FILE || n->file->root != s->root || !n->file->rel ||
        !facts_eq(&n->file->facts, facts) || !slice_eq(n->file->path, path))
        return NULL;
    if (atomic_load(&n->file->racy) && !has_same_bytes(s, n->file))
        return NULL;
    return file_ref(n->file);
}

static void add_file(struct scan *s, const char *rel, const struct stat *st)
{
    struct web_tree *t = s->tree;
    const struct web_rules *r = s->o->rules;
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%.*s%s", SLICE_ARGS(r->roots[s->root].prefix), rel);
    struct slice key = {path, (size_t)n};
    if (n < 0 || (size_t)n >= sizeof path || rules_root(r, key) != s->root)
        return; /* a mount covers it */
    if (t->n_files >= s->o->files_max) {
        s->is_full = true;
        return;
    }
    struct web_facts facts = facts_of(st);
    struct web_file *f = reuse(s, key, &facts);
    if (!f)
        f = file_new(r, s->root, key, &facts);
    if (f->rewritten)
        file_load(f, r, t->root_fds[s->root]);
    if (t->n_files == t->cap_files) {
        t->cap_files = t->cap_files ? t->cap_files * 2 : 64;
        t->files = mem_realloc(t->files, t->cap_files * sizeof *t->files);
    }
    t->files[t->n_files++] = f;
}

/* ---- folders
 * ------------------------------------------------------------------------------------ */

static bool is_own_ancestor(const struct scan *s, int parent, const struct stat *st)
{
    for (int i = parent; i >= 0; i = s->folders[i].parent) {
        if (s->folders[i].dev == st->st_dev && s->folders[i].inode == st->st_ino)
            return true;
    }
    return false;
}

/* Links may make circles: a folder that is its own ancestor is left out. */
static void add_folder(struct scan *s, const char *rel, int parent, const struct stat *st)
{
    int depth = parent < 0 ? 0 : s->folders[parent].depth + 1;
    if (depth > DEPTH_MAX || is_own_ancestor(s, parent, st))
        return;
    if (s->n_folders >= FOLDERS_MAX) {
        s->is_full = true;
        return;
    }
    if (s->n_folders == s->cap_folders) {
        s->cap_folders = s->cap_folders ? s->cap_folders * 2 : 32;
        s->folders = mem_realloc(s->folders, (size_t)s->cap_folders * sizeof *s->folders);
    }
    s->folders[s->n_folders++] =
        (struct folder){mem_strdup(rel), parent, depth, st->st_dev, st->st_ino};
}

/* Dot names are never served, but for .well-known in the root; nor are the manifests there. Names
 * no request can spell (paths are UTF-8 without control characters and backslashes) are left out.
 */
static bool is_servable(const char *name, bool in_root)
{
    struct slice s = slice_from(name);
    if (name[0] == '.')
        return in_root && slice_is(s, ".well-known");
    if (in_root && (slice_is(s, "dais.yaml") || slice_is(s, "host.yaml")))
        return false;
    return !slice_has_control(s) && slice_index(s, '\\') < 0 && utf8_is_valid(s);
}

/* What a name is: of links, what they lead to, as long as that lies beneath the root. */
static bool look_at(const struct scan *s, int fd, const char *name, const char *rel,
                    struct stat *ret)
{
    if (fstatat(fd, name, ret, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    if (!S_ISLNK(ret->st_mode))
        return true;
    int target = beneath_open(s->tree->root_fds[s->root], rel, O_PATH);
    if (target < 0)
        return false;
    bool ok = fstat(target, ret) == 0;
    close(target);
    return ok;
}

static void add_entry(struct scan *s, int fd, const char *name, int at)
{
    const char *rel = s->folders[at].rel;
    char path[PATH_MAX];
    struct stat st;
    int n = snprintf(path, sizeof path, "%s%s%s", rel, *rel ? "/" : "", name);
    if (n < 0 || (size_t)n >= sizeof path || !is_servable(name, !*rel) ||
        !look_at(s, fd, name, path, &st))
        return;
    if (S_ISREG(st.st_mode))
        add_file(s, path, &st);
    else if (S_ISDIR(st.st_mode))
        add_folder(s, path, at, &st);
}

static void watch(struct scan *s, const char *path, uint32_t events)
{
    bool ok = ++s->n_watches <= WATCHES_MAX && inotify_add_watch(s->o->inotify, path, events) >= 0;
    s->tree->is_partial |= !ok;
}

/* Before the folder is read, so that no change is missed in between. */
static void watch_folder(struct scan *s, const char *rel)
{
    char path[PATH_MAX];
    if (s->o->inotify < 0)
        return;
    int n = snprintf(path, sizeof path, "%s/%s", s->o->rules->roots[s->root].folder, rel);
    if (n > 0 && (size_t)n < sizeof path)
        watch(s, path, WATCHED);
}

/* A root that comes, goes, or is replaced by a rename shows in the folder it lies in. */
static void watch_parent(struct scan *s, const char *folder)
{
    char path[PATH_MAX];
    struct slice dir = slice_from(folder);
    if (s->o->inotify < 0)
        return;
    while (dir.len > 1 && slice_ends(dir, SLICE("/")))
        dir.len--;
    ptrdiff_t slash = slice_rindex(dir, '/');
    dir = slash < 0 ? SLICE(".") : slice_first(dir, slash ? (size_t)slash : 1);
    int n = snprintf(path, sizeof path, "%.*s", SLICE_ARGS(dir));
    if (n > 0 && (size_t)n < sizeof path)
        watch(s, path, IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_ONLYDIR);
}

static void read_folder(struct scan *s, int at)
{
    int root = s->tree->root_fds[s->root];
    watch_folder(s, s->folders[at].rel);
    int fd =
        beneath_open(root, *s->folders[at].rel ? s->folders[at].rel : ".", O_RDONLY | O_DIRECTORY);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(d));)
        add_entry(s, fd, entry->d_name, at);
    closedir(d);
}

static void read_root(struct scan *s)
{
    const char *path = s->o->rules->roots[s->root].folder;
    struct stat st;
    watch_parent(s, path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    s->tree->root_fds[s->root] = fd;
    if (fd < 0 || fstat(fd, &st) != 0) {
        s->tree->is_partial = true; /* until it is there */
        return;
    }
    add_folder(s, "", -1, &st);
    for (int i = 0; i < s->n_folders; i++)
        read_folder(s, i);
    for (int i = 0; i < s->n_folders; i++)
        free(s->folders[i].rel);
    s->n_folders = 0;
}

/* ---- the index
 * ---------------------------------------------------------------------------------- */

static void index_file(struct web_tree *t, struct web_file *f)
{
    static const struct slice index = SLICE_INIT("/index.html");
    map_put(&t->paths, f->path, &f->as_file);
    if (!slice_ends(f->path, index))
        return;
    struct slice folder = slice_first(f->path, f->path.len - index.len);
    map_put(&t->paths, slice_first(f->path, folder.len + 1), &f->as_file);
    if (folder.len)
        map_put(&t->paths, folder, &f->as_folder);
}

/* A file the manifest names, relative to web.root. */
static struct web_file *named_file(const struct web_tree *t, struct slice name)
{
    char path[PATH_MAX];
    while (slice_starts(name, SLICE("./")))
        name = slice_skip(name, 2);
    bool has_slash = slice_starts(name, SLICE("/"));
    int n = snprintf(path, sizeof path, "%s%.*s", has_slash ? "" : "/", SLICE_ARGS(name));
    if (!name.len || n < 0 || (size_t)n >= sizeof path)
        return NULL;
    const struct web_node *node = tree_find(t, (struct slice){path, (size_t)n});
    return node && node->kind == NODE_FILE ? node->file : NULL;
}

static void find_named_files(struct web_tree *t, const struct web_conf *conf)
{
    t->fallback = named_file(t, conf->fallback.s);
    t->pages = mem_alloc((conf->pages.n + 1) * sizeof(struct web_file *));
    for (size_t i = 0; i < conf->pages.n; i++)
        t->pages[i] = named_file(t, conf->pages.items[i].file.s);
    t->errors = mem_alloc((conf->errors.n + 1) * sizeof(struct web_file *));
    for (size_t i = 0; i < conf->errors.n; i++)
        t->errors[i] = named_file(t, conf->errors.items[i].file.s);
}

struct web_tree *tree_build(const struct tree_options *o)
{
    const struct web_rules *r = o->rules;
    struct web_tree *t = mem_new(struct web_tree);
    struct scan s = {.o = o, .tree = t};
    t->refs = 1;
    t->n_roots = r->n_roots;
    t->root_fds = mem_alloc(r->n_roots * sizeof *t->root_fds);
    map_init(&t->paths);
    for (s.root = 0; s.root < r->n_roots; s.root++)
        read_root(&s);
    free(s.folders);
    for (size_t i = 0; i < t->n_files; i++)
        index_file(t, t->files[i]);
    if (s.is_full)
        log_line(LOG_WARN, "too many files: some are not served", F_INT("files", t->n_files),
                 F_CSTR("folder", r->roots[r->n_roots - 1].folder));
    if (r->script.ptr)
        t->script = file_new_script(r);
    find_named_files(t, r->conf);
    return t;
}

struct web_tree *tree_ref(struct web_tree *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void tree_unref(struct web_tree *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < t->n_files; i++)
        file_unref(t->files[i]);
    for (size_t i = 0; i < t->n_roots; i++) {
        if (t->root_fds[i] >= 0)
            close(t->root_fds[i]);
    }
    file_unref(t->script);
    map_done(&t->paths);
    free(t->files);
    free(t->root_fds);
    free(t->pages);
    free(t->errors);
    free(t);
}

/* ---- comparing
 * ---------------------------------------------------------------------------------- */

/* Files of `a` that `b` does not have as they are: 1 when all are style sheets, 2 otherwise. */
static enum tree_change missing_from(const struct web_tree *a, const struct web_tree *b)
{
    enum tree_change change = TREE_SAME;
    for (size_t i = 0; i < a->n_files; i++) {
        const struct web_node *n = tree_find(b, a->files[i]->path);
        if (n && n->file == a->files[i])
            continue;
        if (!slice_ends(a->files[i]->path, SLICE(".css")))
            return TREE_OTHER;
        change = TREE_STYLES;
    }
    return change;
}

/* The same folders, not others with the same files: what is not in memory is opened below them. */
static bool has_same_roots(const struct web_tree *a, const struct web_tree *b)
{
    for (size_t i = 0; i < a->n_roots; i++) {
        struct stat sa = {0}, sb = {0};
        if ((a->root_fds[i] < 0) != (b->root_fds[i] < 0))
            return false;
        if (a->root_fds[i] >= 0 &&
            (fstat(a->root_fds[i], &sa) != 0 || fstat(b->root_fds[i], &sb) != 0 ||
             sa.st_ino != sb.st_ino || sa.st_dev != sb.st_dev))
            return false;
    }
    return true;
}

enum tree_change tree_compare(const struct web_tree *a, const struct web_tree *b)
{
    if (!has_same_roots(a, b))
        return TREE_OTHER;
    enum tree_change there = missing_from(a, b), back = missing_from(b, a);
    return there > back ? there : back;
}
