/* Several apps of one host: names taken twice, host names, origins they share. */
#include "manifest/check_impl.h"
#include "base/map.h"
#include "base/nearest.h"

#include <string.h>

static struct manifest *find_app(const struct site *site, struct slice slug)
{
    for (size_t i = 0; i < site->n_apps; i++) {
        if (slice_eq(site->apps[i]->slug.s, slug))
            return site->apps[i];
    }
    return NULL;
}

static void add_names(struct arena *a, struct texts *to, const struct texts *names)
{
    struct text *items = arena_zalloc(a, (to->n + names->n) * sizeof *items);
    if (to->n)
        memcpy(items, to->items, to->n * sizeof *items);
    if (names->n)
        memcpy(items + to->n, names->items, names->n * sizeof *items);
    *to = (struct texts){items, to->n + names->n};
}

static void unknown_app(struct problems *p, const struct site *site, const struct text *app)
{
    struct nearest nearest = {.typed = app->s};
    for (size_t i = 0; i < site->n_apps; i++)
        nearest_offer(&nearest, site->apps[i]->slug.s);
    if (nearest.best.len)
        problems_add(p, PROBLEM_ERROR, site->host->file, app->pos,
                     "no app is called `%.*s`; did you mean `%.*s`?", SHOWN(app->s),
                     SHOWN(nearest.best));
    else
        problems_add(
            p, PROBLEM_ERROR, site->host->file, app->pos,
            "no app is called `%.*s`; the keys of `hosts` are the `app:` of each dais.yaml",
            SHOWN(app->s));
}

static void give_names(struct arena *a, struct problems *p, struct site *site)
{
    for (size_t i = 0; site->host && i < site->host->hosts.n; i++) {
        const struct host_names *row = &site->host->hosts.items[i];
        struct manifest *m = find_app(site, row->app.s);
        if (!m) {
            unknown_app(p, site, &row->app);
            continue;
        }
        add_names(a, &m->hosts, &row->names);
        names_lower(a, &m->hosts);
    }
}

static void check_slugs(struct problems *p, const struct site *site)
{
    for (size_t i = 1; i < site->n_apps; i++) {
        const struct manifest *m = site->apps[i];
        for (size_t j = 0; j < i && m->slug.s.len; j++) {
            const struct manifest *other = site->apps[j];
            if (slice_eq(m->slug.s, other->slug.s))
                problems_add(p, PROBLEM_ERROR, m->file, m->slug.pos,
                             "the app `%.*s` is in %.*s already; give this one another name",
                             SHOWN(m->slug.s), SLICE_ARGS(other->file));
        }
    }
}

static void check_hosts(struct problems *p, const struct site *site)
{
    struct map names;
    map_init(&names);
    for (size_t i = 0; i < site->n_apps; i++) {
        struct manifest *m = site->apps[i];
        for (size_t j = 0; j < m->hosts.n; j++) {
            const struct text *name = &m->hosts.items[j];
            struct manifest *other = name->s.len ? map_put(&names, name->s, m) : NULL;
            if (!other)
                continue;
            problems_add(p, PROBLEM_ERROR, j < m->n_own_hosts ? m->file : site->host->file,
                         name->pos,
                         "the host name `%.*s` belongs to `%.*s` already; remove it from one of "
                         "them",
                         SHOWN(name->s), SHOWN(other->slug.s));
        }
    }
    map_done(&names);
}

static void note_shared_origin(struct problems *p, const struct site *site)
{
    struct buf names;
    buf_init(&names, 400);
    const struct manifest *first = NULL;
    size_t n = 0;
    for (size_t i = 0; i < site->n_apps; i++) {
        if (site->apps[i]->hosts.n)
            continue;
        first = first ? first : site->apps[i];
        buf_printf(&names, "%s%.*s", n++ ? ", " : "", SLICE_ARGS(site->apps[i]->slug.s));
    }
    if (n > 1)
        problems_add(
            p, PROBLEM_NOTE, site->host ? site->host->file : first->file, (struct pos){0, 0},
            "the apps %s share an origin, so they trust each other: each can read what the "
            "others keep in the browser; `hosts:` gives an app an origin of its own",
            names.data ? names.data : "");
    buf_done(&names);
}

void site_check(struct arena *a, struct problems *p, struct site *site)
{
    for (size_t i = 0; i < site->n_apps; i++)
        site->apps[i]->n_own_hosts = site->apps[i]->hosts.n;
    give_names(a, p, site);
    check_slugs(p, site);
    check_hosts(p, site);
    note_shared_origin(p, site);
}
