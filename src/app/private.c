/* The data folder is nobody's to read: none of the folders that are served may hold it. */
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

static void check_folder(struct host *h, const struct manifest *m, const struct text *folder,
                         const char *data, struct problems *p)
{
    char served[PATH_MAX];
    struct slice path =
        arena_printf(&h->arena, "%.*s/%.*s", SLICE_ARGS(m->dir), SLICE_ARGS(folder->s));
    if (folder->s.len && folder->s.ptr[0] == '/')
        path = arena_dup(&h->arena, folder->s);
    if (!folder->s.len || !realpath(path.ptr, served))
        return;
    size_t n = strlen(served);
    if (strncmp(data, served, n) == 0 && (!data[n] || data[n] == '/' || n == 1))
        problems_add(p, PROBLEM_ERROR, m->file, folder->pos,
                     "the data folder %s lies in `%.*s`, which everybody can read; serve a folder "
                     "of its own, or move the data with --data",
                     h->data_dir, SLICE_ARGS(folder->s));
}

void check_data_is_private(struct host *h, struct problems *p)
{
    char data[PATH_MAX];
    if (!real_path(h->data_dir, data))
        return;
    for (size_t i = 0; i < h->n_apps; i++) {
        const struct manifest *m = h->apps[i].manifest;
        check_folder(h, m, &m->web.root, data, p);
        for (size_t j = 0; j < m->web.mounts.n; j++)
            check_folder(h, m, &m->web.mounts.items[j].folder, data, p);
    }
}
