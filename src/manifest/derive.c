/* Values that follow from others: sorted patterns, the built-in header profile, api's default. */
#include "manifest/check_impl.h"

#include <stdlib.h>
#include <string.h>

/* Items of these lists start with their path_pattern: exact first, then the longest prefix. */
static int by_pattern(const void *x, const void *y)
{
    const struct path_pattern *a = x, *b = y;
    if (a->wildcard != b->wildcard)
        return a->wildcard ? 1 : -1;
    if (a->prefix.len != b->prefix.len)
        return a->prefix.len > b->prefix.len ? -1 : 1;
    return slice_cmp(a->prefix, b->prefix);
}

static int by_length(const void *x, const void *y)
{
    const struct mount *a = x, *b = y;
    if (a->prefix.s.len != b->prefix.s.len)
        return a->prefix.s.len > b->prefix.s.len ? -1 : 1;
    return slice_cmp(a->prefix.s, b->prefix.s);
}

#define SORT(list, by)                                                 \
    do {                                                               \
        if ((list).n > 1)                                              \
            qsort((list).items, (list).n, sizeof *(list).items, (by)); \
    } while (0)

static void add_builtin_profile(struct arena *a, struct web_conf *web)
{
    size_t n = web->headers.n;
    struct header_profile *items = arena_zalloc(a, (n + 1) * sizeof *items);
    if (n)
        memcpy(items, web->headers.items, n * sizeof *items);
    struct shape builtin = header_profile_shape;
    builtin.inherits = false;
    shape_defaults(a, &builtin, &items[n]);
    items[n].pattern =
        (struct path_pattern){.text.s = SLICE("/*"), .prefix = SLICE("/"), .wildcard = true};
    web->headers.items = items;
    web->headers.n = n + 1;
}

static void derive_web(struct arena *a, struct web_conf *web)
{
    SORT(web->redirects, by_pattern);
    SORT(web->headers, by_pattern);
    SORT(web->pages, by_pattern);
    SORT(web->mounts, by_length);
    add_builtin_profile(a, web);
    for (size_t i = 0; i < web->errors.n; i++) {
        uint64_t status = 0;
        if (slice_to_u64(web->errors.items[i].key.s, &status))
            web->errors.items[i].status = (int64_t)status;
    }
}

static bool covers_api(const struct texts *routes)
{
    struct slice api = SLICE("/api/");
    for (size_t i = 0; i < routes->n; i++) {
        struct slice route = routes->items[i].s;
        if (slice_starts(api, route) || slice_starts(route, api) || slice_is(route, "/api"))
            return true;
    }
    return false;
}

void names_lower(struct arena *a, struct texts *names)
{
    for (size_t i = 0; i < names->n; i++) {
        struct slice s = names->items[i].s;
        char *copy = arena_alloc(a, s.len + 1);
        for (size_t j = 0; j < s.len; j++)
            copy[j] = (char)(s.ptr[j] >= 'A' && s.ptr[j] <= 'Z' ? s.ptr[j] | 0x20 : s.ptr[j]);
        copy[s.len] = '\0';
        names->items[i].s.ptr = copy;
    }
}

static bool makes_backups(const struct manifest *m)
{
    return m->backups.pos.line && !slice_is(m->backups.schedule.s, "off") &&
           manifest_keeps_something(m);
}

/* The manifest's own job for them goes before ours; another one of that name is told of later. */
static bool has_job_of_backups(const struct manifest *m)
{
    bool has = false;
    for (size_t i = 0; i < m->jobs.n; i++)
        has |= slice_is(m->jobs.items[i].use.s, "backup.run") ||
               slice_is(m->jobs.items[i].name.s, BACKUPS_JOB);
    return has;
}

#define BACKUPS_MS (6LL * 3600 * 1000) /* all that an app keeps may be read for it */

/* As if `jobs: { backups: { use: backup.run, schedule: …, timeout: 6h } }` were written where
 * `backups` is. */
static void derive_backups(struct arena *a, struct manifest *m)
{
    if (!makes_backups(m) || has_job_of_backups(m))
        return;
    struct job *items = arena_zalloc(a, (m->jobs.n + 1) * sizeof *items);
    if (m->jobs.n)
        memcpy(items, m->jobs.items, m->jobs.n * sizeof *items);
    struct job *job = &items[m->jobs.n];
    shape_defaults(a, &job_shape, job);
    job->pos = m->backups.pos;
    job->name = (struct text){.s = SLICE(BACKUPS_JOB), .pos = job->pos};
    job->use = (struct text){.s = SLICE("backup.run"), .pos = job->pos};
    job->schedule = m->backups.schedule;
    job->timeout_ms = BACKUPS_MS;
    m->jobs.items = items;
    m->jobs.n++;
}

void manifest_derive(struct arena *a, struct manifest *m)
{
    derive_backups(a, m);
    derive_web(a, &m->web);
    names_lower(a, &m->hosts);
    if (m->title.s.len == 0)
        m->title.s = m->slug.s;
    bool covered = covers_api(&m->backend.routes) || covers_api(&m->backend.static_first);
    if (m->api.pos.line == 0 && covered)
        m->api.s = SLICE("/dais/");
}
