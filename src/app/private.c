/* The data folder is nobody's to read, nor are backups: none of the folders that are served may
 * hold them. */
#include "app/app_impl.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- where a path leads ---------------------------------------------------------------------- */

/* The nearest folder above it that is there; *ret_rest: what comes below that, in `path`. */
static bool real_part(const char *path, char ret[PATH_MAX], const char **ret_rest)
{
    char part[PATH_MAX];
    size_t n = strlen(path);
    if (n >= sizeof part)
        return false;
    for (;;) {
        memcpy(part, path, n);
        part[n] = '\0';
        *ret_rest = path + n;
        if (realpath(n ? part : *path == '/' ? "/" : ".", ret))
            return true;
        if (!n)
            return false;
        while (n && path[n - 1] == '/')
            n--;
        while (n && path[n - 1] != '/')
            n--;
    }
}

/* ".." leaves the folder before it, which is one that would be made. */
static bool add_part(char to[PATH_MAX], struct slice part)
{
    size_t n = strlen(to);
    if (!part.len || slice_is(part, "."))
        return true;
    if (slice_is(part, "..")) {
        char *slash = strrchr(to, '/');
        slash[slash == to] = '\0';
        return true;
    }
    int len = snprintf(to + n, PATH_MAX - n, "%s%.*s", n == 1 ? "" : "/", SLICE_ARGS(part));
    return len >= 0 && (size_t)len < PATH_MAX - n;
}

/* Its real path, whether it is there already or would be made. Twice, because leaving a folder that
 * is not there may lead to a link. */
static bool real_path(const char *path, char ret[PATH_MAX])
{
    char asked[PATH_MAX];
    int len = snprintf(asked, sizeof asked, "%s", path);
    bool fine = len >= 0 && (size_t)len < sizeof asked;
    for (int i = 0; fine && i < 2; i++) {
        const char *rest;
        struct slice left, part;
        fine = real_part(asked, ret, &rest);
        left = slice_from(fine ? rest : "");
        while (fine && slice_cut(&left, '/', &part))
            fine = add_part(ret, part);
        memcpy(asked, ret, fine ? strlen(ret) + 1 : 0);
    }
    return fine;
}

static bool is_inside(const char *real, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(real, folder, n) == 0 && (!real[n] || real[n] == '/' || n == 1);
}

/* ---- what is served -------------------------------------------------------------------------- */

static bool is_served(const struct manifest *m, const struct text *folder, const char *real,
                      struct arena *a)
{
    char served[PATH_MAX];
    bool is_whole = slice_starts(folder->s, SLICE("/"));
    const char *path =
        is_whole ? arena_cstr(a, folder->s)
                 : arena_printf(a, "%.*s/%.*s", SLICE_ARGS(m->dir), SLICE_ARGS(folder->s)).ptr;
    return folder->s.len && real_path(path, served) && is_inside(real, served);
}

/* The folder that is served with it; NULL: none. */
static const struct text *served_with(const struct site *site, const char *real,
                                      const struct manifest **ret_of, struct arena *a)
{
    for (size_t i = 0; i < site->n_apps; i++) {
        const struct manifest *m = *ret_of = site->apps[i];
        if (is_served(m, &m->web.root, real, a))
            return &m->web.root;
        for (size_t j = 0; j < m->web.mounts.n; j++) {
            if (is_served(m, &m->web.mounts.items[j].folder, real, a))
                return &m->web.mounts.items[j].folder;
        }
    }
    return NULL;
}

/* ---- the data folder, backups ---------------------------------------------------------------- */

#define LIES "%s %s lies in `%.*s`, which everybody can read; "

static void check_data(const struct site *site, const char *data_dir, struct arena *a,
                       struct problems *p)
{
    char real[PATH_MAX];
    const struct manifest *m;
    const struct text *folder = real_path(data_dir, real) ? served_with(site, real, &m, a) : NULL;
    if (folder)
        problems_add(p, PROBLEM_ERROR, m->file, folder->pos,
                     LIES "serve a folder of its own, or move the data with --data",
                     "the data folder", data_dir, SLICE_ARGS(folder->s));
}

/* In the data folder they are as private as that is. */
static const struct text *place_served(const struct site *site, const char *data_dir,
                                       const char *place, struct arena *a)
{
    char real[PATH_MAX], data[PATH_MAX];
    const struct manifest *ignored;
    if (!real_path(place, real) || (real_path(data_dir, data) && is_inside(real, data)))
        return NULL;
    return served_with(site, real, &ignored, a);
}

static void check_place(const struct site *site, const struct manifest *m, const char *data_dir,
                        struct arena *a, struct problems *p)
{
    const char *place = backup_place(data_dir, m, a);
    const struct text *folder =
        manifest_keeps_something(m) ? place_served(site, data_dir, place, a) : NULL;
    if (folder)
        problems_add(p, PROBLEM_ERROR, m->file,
                     m->backups.to.pos.line ? m->backups.to.pos : folder->pos,
                     LIES "name another one in `backups.to`", "the folder of backups", place,
                     SLICE_ARGS(folder->s));
}

void private_check(const struct site *site, const char *data_dir, struct arena *a,
                   struct problems *p)
{
    check_data(site, data_dir, a, p);
    for (size_t i = 0; i < site->n_apps; i++)
        check_place(site, site->apps[i], data_dir, a, p);
}

bool private_check_place(const struct site *site, const char *data_dir, const char *place,
                         struct arena *a, struct err *e)
{
    const struct text *folder = place_served(site, data_dir, place, a);
    return !folder || err_set(e, ERR_USAGE, LIES "name another one", "the folder of backups", place,
                              SLICE_ARGS(folder->s));
}
