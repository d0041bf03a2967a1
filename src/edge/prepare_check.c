/* What `dais check` can say beforehand of what comes before a backend's first start. */
#include "edge/seal_impl.h"

#include <stdio.h>
#include <string.h>

static void check_path(const struct manifest *m, const char *dir, const char *data,
                       const struct text *path, struct problems *p)
{
    char place[PATH_BYTES];
    struct buf release;
    struct err e;
    int n = snprintf(place, sizeof place, "%s/%.*s", dir, SLICE_ARGS(path->s));
    if (n > 0 && (size_t)n < sizeof place && strcmp(place, data) == 0) {
        problems_add(p, PROBLEM_WARNING, m->file, path->pos,
                     "`%.*s` is the folder dais itself keeps its data in: what the backend writes "
                     "there stays there, among dais's own; --data or DAIS_DATA names another",
                     SLICE_ARGS(path->s));
        return;
    }
    buf_init(&release, 100);
    release_identity(dir, &release);
    const struct persist_options o = {.app = m->slug.s.ptr,
                                      .dir = dir,
                                      .data_dir = data,
                                      .release = release.data,
                                      .path = path->s};
    if (!persist_look(&o, &e))
        problems_add(p, PROBLEM_ERROR, m->file, path->pos, "`%.*s` cannot be persisted: %s",
                     SLICE_ARGS(path->s), e.msg);
    buf_done(&release);
}

static void check_packages(const struct manifest *m, struct problems *p)
{
    struct err e;
    struct buf missing;
    const struct texts *names = &m->backend.packages;
    struct spawner *s = names->n ? spawner_open(&e) : NULL;
    if (!s)
        return;
    buf_init(&missing, 64u << 10);
    enum packages found = packages_look(s, names, &missing);
    if (found == PACKAGES_MISSING)
        problems_add(p, PROBLEM_WARNING, m->file, names->items[0].pos,
                     "packages the backend needs are not installed here; sudo apt-get install -y "
                     "%s",
                     missing.data);
    else if (found == PACKAGES_UNKNOWN)
        problems_add(p, PROBLEM_WARNING, m->file, names->items[0].pos,
                     "packages the backend needs cannot be looked up here, without dpkg: %s",
                     missing.data);
    buf_done(&missing);
    spawner_close(s);
}

/* Paths that are wrong in themselves were told by the manifest's own checks. */
static bool is_looked_at(struct slice path)
{
    struct slice part;
    bool fine = path.len && path.ptr[0] != '/' && path.ptr[path.len - 1] != '/';
    while (fine && slice_cut(&path, '/', &part))
        fine = part.len && !slice_is(part, ".") && !slice_is(part, "..");
    return fine;
}

void prepare_check(const struct manifest *m, const char *data_dir, struct problems *p)
{
    char dir[PATH_BYTES], data[PATH_BYTES];
    if (!m->backend.run.s.len || !m->slug.s.len)
        return;
    check_packages(m, p);
    if (!path_real(m->dir.len ? m->dir.ptr : ".", dir) || !path_real(data_dir, data))
        return;
    if (seal_is_there(dir)) {
        seal_check(m, data_dir, p);
        return;
    }
    for (size_t i = 0; i < m->backend.persist.n; i++) {
        if (is_looked_at(m->backend.persist.items[i].s))
            check_path(m, dir, data, &m->backend.persist.items[i], p);
    }
}
