/* Reading dais.yaml and host.yaml: open, parse, read by the tables, check. */
#include "base/file.h"
#include "manifest/check_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define fail(p, file, ...) problems_add((p), PROBLEM_ERROR, (file), (struct pos){0, 0}, __VA_ARGS__)

/* ---- files -------------------------------------------------------------------------------------
 */

static bool check_kind(const struct stat *st, struct slice name, struct problems *p)
{
    if (S_ISDIR(st->st_mode))
        fail(p, name, "this is a folder; a file is expected here");
    else if (!S_ISREG(st->st_mode))
        fail(p, name, "this is a pipe, socket or device; a file is expected here");
    else if (st->st_size > (off_t)YAML_MAX_BYTES)
        fail(p, name, "the file has %lld bytes; at most 1 MB is read", (long long)st->st_size);
    else
        return true;
    return false;
}

static bool read_all(int fd, struct arena *a, size_t size, struct slice *ret)
{
    char *data = arena_alloc(a, size + 1);
    ssize_t n = fd_read(fd, data, size);
    if (n < 0)
        return false;
    data[n] = '\0';
    *ret = (struct slice){data, (size_t)n};
    return true;
}

/* O_NONBLOCK, because opening a FIFO for reading waits for a writer. */
bool text_file_read(struct arena *a, const char *path, const char *hint, struct problems *p,
                    struct slice *ret)
{
    struct slice name = arena_dup(a, slice_from(path));
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    bool ok = false;
    if (fd < 0 && errno == ENOENT)
        fail(p, name, "there is no such file%s", hint);
    else if (fd < 0 || fstat(fd, &st) != 0)
        fail(p, name, "it cannot be opened: %s", strerror(errno));
    else if (check_kind(&st, name, p)) {
        ok = read_all(fd, a, (size_t)st.st_size, ret);
        if (!ok)
            fail(p, name, "it cannot be read: %s", strerror(errno));
    }
    if (fd >= 0)
        close(fd);
    return ok;
}

/* ---- from bytes to a struct
 * ----------------------------------------------------------------------- */

static void on_yaml_problem(void *arg, uint32_t line, uint32_t col, const char *sentence)
{
    struct reader *r = arg;
    problems_add(r->p, PROBLEM_ERROR, r->file, (struct pos){line, col}, "%s", sentence);
}

static bool read_shape(struct reader *r, const struct shape *shape, struct slice text, void *to)
{
    struct yaml_node *root = yaml_parse(text, r->a, (struct yaml_report){on_yaml_problem, r});
    if (!root)
        return false;
    if (root->type != YAML_MAP) {
        problems_add(r->p, PROBLEM_ERROR, r->file, (struct pos){root->line, root->col},
                     "the file must hold keys and values, such as `%s: my-app`",
                     shape->fields[0].name);
        return false;
    }
    shape_read(r, shape, root, to);
    return true;
}

static struct manifest *parse(struct reader *r, struct slice text)
{
    struct manifest *m = arena_new(r->a, struct manifest);
    m->file = r->file;
    m->dir = SLICE("");
    if (!read_shape(r, &manifest_shape, text, m))
        return NULL;
    manifest_derive(r->a, m);
    manifest_check(r, m);
    return m;
}

struct manifest *manifest_parse(struct arena *a, struct slice text, const char *file,
                                struct problems *p)
{
    struct reader r = {a, p, arena_dup(a, slice_from(file))};
    return parse(&r, text);
}

struct host_conf *host_parse(struct arena *a, struct slice text, const char *file,
                             struct problems *p)
{
    struct reader r = {a, p, arena_dup(a, slice_from(file))};
    struct host_conf *host = arena_new(a, struct host_conf);
    host->file = r.file;
    host->dir = SLICE("");
    return read_shape(&r, &host_shape, text, host) ? host : NULL;
}

#define NEW_HINT "; `dais new DIR` makes an app"

/* ---- from a path
 * ------------------------------------------------------------------------------------ */

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool path_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static bool is_there(struct arena *a, struct slice dir, const char *name)
{
    return path_exists(path_join(a, dir, slice_from(name)).ptr);
}

static struct slice folder_of(struct arena *a, const char *path)
{
    struct slice s = slice_from(path);
    ptrdiff_t slash = slice_rindex(s, '/');
    if (slash < 0)
        return SLICE(".");
    return slash == 0 ? SLICE("/") : arena_dup(a, slice_first(s, (size_t)slash));
}

/* The manifest's path and its folder, from either of them. */
static const char *locate(struct arena *a, const char *path, const char *name, struct slice *dir)
{
    if (!is_folder(path)) {
        *dir = folder_of(a, path);
        return path;
    }
    *dir = arena_dup(a, slice_from(path));
    return path_join(a, *dir, slice_from(name)).ptr;
}

struct manifest *manifest_load(struct arena *a, const char *path, struct problems *p)
{
    struct slice dir, text;
    const char *file = locate(a, path, "dais.yaml", &dir);
    if (!text_file_read(a, file, NEW_HINT, p, &text))
        return NULL;
    struct reader r = {a, p, arena_dup(a, slice_from(file))};
    struct manifest *m = parse(&r, text);
    if (!m)
        return NULL;
    m->dir = dir;
    manifest_check_files(&r, m);
    return m;
}

struct host_conf *host_load(struct arena *a, const char *path, struct problems *p)
{
    struct slice dir, text;
    const char *file = locate(a, path, "host.yaml", &dir);
    if (!text_file_read(a, file, NEW_HINT, p, &text))
        return NULL;
    struct host_conf *host = host_parse(a, text, file, p);
    if (host)
        host->dir = dir;
    return host;
}

/* ---- everything one server runs
 * ----------------------------------------------------------------------- */

#define APPS_MAX 256

static void add_app(struct arena *a, const char *path, struct problems *p, struct site *site)
{
    struct manifest *m = manifest_load(a, path, p);
    if (m)
        site->apps[site->n_apps++] = m;
}

static bool leads_to_host(struct arena *a, const char *path)
{
    struct slice s = slice_from(path);
    if (!is_folder(path))
        return slice_is(s, "host.yaml") || slice_ends(s, SLICE("/host.yaml"));
    return is_there(a, s, "host.yaml") && !is_there(a, s, "dais.yaml");
}

static void load_host(struct arena *a, const char *path, struct problems *p, struct site *site)
{
    site->host = host_load(a, path, p);
    if (!site->host)
        return;
    const struct texts *apps = &site->host->apps;
    if (apps->n > APPS_MAX)
        fail(p, site->host->file, "%zu apps are listed; at most %d run on one host", apps->n,
             APPS_MAX);
    for (size_t i = 0; i < apps->n && i < APPS_MAX; i++) {
        struct slice dir = path_join(a, site->dir, apps->items[i].s);
        if (is_folder(dir.ptr))
            add_app(a, dir.ptr, p, site);
        else if (apps->items[i].pos.line)
            problems_add(p, PROBLEM_ERROR, site->host->file, apps->items[i].pos,
                         "the folder `%.*s` does not exist; make it or correct the path",
                         SHOWN(apps->items[i].s));
    }
}

struct site *site_load(struct arena *a, const char *const *paths, size_t n_paths,
                       struct problems *p)
{
    static const char *const here[] = {"."};
    struct site *site = arena_new(a, struct site);
    site->apps = arena_zalloc(a, APPS_MAX * sizeof *site->apps);
    site->dir = SLICE(".");
    if (n_paths == 0)
        paths = here, n_paths = 1;
    bool is_host = n_paths == 1 && leads_to_host(a, paths[0]);
    if (n_paths == 1) /* known even when nothing in it can be read */
        locate(a, paths[0], is_host ? "host.yaml" : "dais.yaml", &site->dir);
    if (is_host) {
        load_host(a, paths[0], p, site);
    } else {
        for (size_t i = 0; i < n_paths && i < APPS_MAX; i++)
            add_app(a, paths[i], p, site);
    }
    site_check(a, p, site);
    return site;
}
