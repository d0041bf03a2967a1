/* The data folder is nobody's to read, nor are backups: none of the folders that are served may
 * hold them. */
#include "app/app_impl.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The real path of the folder, or of the nearest one above it that is there already. */
static bool real_path(const char *path, char ret[PATH_MAX])
{
    char part[PATH_MAX];
    snprintf(part, sizeof part, "%s", path);
    while (!realpath(part, ret)) {
        char *slash = strrchr(part, '/');
        if (!slash)
            return realpath(".", ret) != NULL;
        if (slash == part)
            return realpath("/", ret) != NULL;
        *slash = '\0';
    }
    return true;
}

/* What must not be served: its real path, how it is called, what else to do. */
struct guarded {
    const char *real, *what, *name, *other;
};

static void check_folder(struct host *h, const struct manifest *m, const struct text *folder,
                         const struct guarded *g, struct problems *p)
{
    char served[PATH_MAX];
    struct slice path =
        arena_printf(&h->arena, "%.*s/%.*s", SLICE_ARGS(m->dir), SLICE_ARGS(folder->s));
    if (folder->s.len && folder->s.ptr[0] == '/')
        path = arena_dup(&h->arena, folder->s);
    if (!folder->s.len || !realpath(path.ptr, served))
        return;
    size_t n = strlen(served);
    if (strncmp(g->real, served, n) == 0 && (!g->real[n] || g->real[n] == '/' || n == 1))
        problems_add(p, PROBLEM_ERROR, m->file, folder->pos,
                     "%s %s lies in `%.*s`, which everybody can read; serve a folder of its own, "
                     "or %s",
                     g->what, g->name, SLICE_ARGS(folder->s), g->other);
}

static void check_folders(struct host *h, const struct guarded *g, struct problems *p)
{
    for (size_t i = 0; i < h->n_apps; i++) {
        const struct manifest *m = h->apps[i].manifest;
        check_folder(h, m, &m->web.root, g, p);
        for (size_t j = 0; j < m->web.mounts.n; j++)
            check_folder(h, m, &m->web.mounts.items[j].folder, g, p);
    }
}

/* In the data folder they are as private as that is. */
static void check_place(struct host *h, const struct app *app, struct problems *p)
{
    char place[PATH_MAX];
    const char *name = backup_place(h, app, &h->arena);
    size_t n = strlen(h->data_dir);
    bool is_in_data = strncmp(name, h->data_dir, n) == 0 && (!name[n] || name[n] == '/');
    if (!app_keeps_something(app) || is_in_data || !real_path(name, place))
        return;
    check_folders(h,
                  &(struct guarded){.real = place,
                                    .what = "the folder of backups",
                                    .name = name,
                                    .other = "name another one in `backups.to`"},
                  p);
}

void check_data_is_private(struct host *h, struct problems *p)
{
    char data[PATH_MAX];
    if (!real_path(h->data_dir, data))
        return;
    check_folders(h,
                  &(struct guarded){.real = data,
                                    .what = "the data folder",
                                    .name = h->data_dir,
                                    .other = "move the data with --data"},
                  p);
    for (size_t i = 0; i < h->n_apps; i++)
        check_place(h, &h->apps[i], p);
}
