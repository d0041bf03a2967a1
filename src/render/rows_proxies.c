/* Proxies for people who have one of their own before dais: what is decided about them.
 *
 * A proxy repeats nothing that dais says itself: it fills in what an answer lacks, with the values
 * that the manifest gives to every path. */
#include "render/rows_impl.h"

#define ID_MAX     28 /* with nginx' longest variable: no longer than its hash tables take */
#define HOST_LONG  46 /* nginx wants larger tables for a host name above this */
#define QUIET_MS   60000
#define LATER_MS   10000 /* dais gives up first: its answer says why */
#define HASH_CHARS 8

const struct render_row rows_proxies[] = {
    {"ops/Caddyfile", "proxies/Caddyfile", NULL, false},
    {"ops/nginx.conf", "proxies/nginx.conf", NULL, false},
    {0},
};

/* ---- names --------------------------------------------------------------------------------------
 */

static bool is_among(const struct slice *names, size_t n, struct slice name)
{
    for (size_t i = 0; i < n; i++) {
        if (slice_eq(names[i], name))
            return true;
    }
    return false;
}

/* The target's domain, then the app's host names, each once. */
static size_t find_names(const struct facts *f, struct slice **ret)
{
    const struct texts *hosts = &f->m->hosts;
    struct slice *names = arena_zalloc(f->a, (hosts->n + 1) * sizeof *names);
    size_t n = 0;
    if (f->t->domain.s.len)
        names[n++] = text_lower(f->a, f->t->domain.s);
    for (size_t i = 0; i < hosts->n; i++) {
        struct slice name = text_lower(f->a, hosts->items[i].s);
        if (!is_among(names, n, name))
            names[n++] = name;
    }
    *ret = names;
    return n;
}

static void add_names(const struct facts *f)
{
    struct slice *names;
    size_t n = find_names(f, &names), longest = 0;
    facts_str(f, "first", n ? names[0] : SLICE(""));
    facts_str(f, "certificate", n ? names[0] : f->m->slug.s);
    facts_begin_list(f, "others");
    for (size_t i = 0; i < n; i++) {
        longest = names[i].len > longest ? names[i].len : longest;
        if (i)
            json_write_str(f->w, names[i]);
    }
    facts_end_list(f);
    facts_bool(f, "has_long_name", longest > HOST_LONG);
}

/* What names of nginx begin with: several apps share its tables. */
static struct slice identifier(const struct facts *f)
{
    struct slice slug = f->m->slug.s;
    if (slug.len > ID_MAX)
        slug = arena_printf(f->a, "%.*s-%.*s", ID_MAX - HASH_CHARS - 1, slug.ptr,
                            SLICE_ARGS(text_digest(f->a, slug, HASH_CHARS)));
    return text_underscored(f->a, arena_printf(f->a, "dais_%.*s", SLICE_ARGS(slug)));
}

/* ---- headers ------------------------------------------------------------------------------------
 */

/* Rows are sorted: those for every path stand last, and the defaults after them. */
static bool is_for_all(const struct header_profile *row)
{
    return row->pattern.wildcard && slice_is(row->pattern.prefix, "/");
}

static void add_headers(const struct facts *f)
{
    int64_t hsts_ms = -1;
    struct slice referrer = {0};
    for (size_t i = 0; i < f->m->web.headers.n; i++) {
        const struct header_profile *row = &f->m->web.headers.items[i];
        if (i + 1 < f->m->web.headers.n && !is_for_all(row))
            continue;
        hsts_ms = hsts_ms < 0 ? row->hsts_ms : hsts_ms;
        referrer = referrer.len ? referrer : row->referrer_policy.s;
    }
    facts_i64(f, "hsts_s", hsts_ms > 0 ? hsts_ms / 1000 : 0);
    facts_str(f, "referrer_policy", slice_is(referrer, "off") ? SLICE("") : referrer);
}

/* ---- paths and times ----------------------------------------------------------------------------
 */

/* What dais answers to this machine alone; a backend may have a path of that name instead. */
static void add_hidden(const struct facts *f)
{
    static const char *const paths[] = {"/metrics", "/readyz"};
    const struct texts *routes = &f->m->backend.routes;
    facts_begin_list(f, "hidden");
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        bool is_backends = false;
        for (size_t j = 0; j < routes->n; j++)
            is_backends |= slice_is(routes->items[j].s, paths[i]);
        if (!is_backends)
            json_write_cstr(f->w, paths[i]);
        json_write_str(f->w, arena_printf(f->a, "/_%s", paths[i]));
    }
    facts_end_list(f);
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* How long nothing may come from dais: its own longest wait, and a little more. */
static void add_times(const struct facts *f)
{
    const struct backend_conf *b = &f->m->backend;
    int64_t ms = larger(longest_answer_ms(b), QUIET_MS);
    ms = larger(ms, b->pos.line ? b->websocket.idle_ms : 0) + 999;
    facts_i64(f, "longest_s", ms / 1000);
    facts_i64(f, "silence_s", (ms + LATER_MS) / 1000);
}

void facts_proxies(const struct facts *f)
{
    facts_begin(f, "proxy");
    facts_str(f, "id", identifier(f));
    add_names(f);
    add_headers(f);
    add_hidden(f);
    add_times(f);
    facts_end(f);
}
