/* One request and the cache: what may be given from it, what is asked for again, what is kept.
 *
 * Only what the backend calls public, or good for shared caches, is kept; nothing of a request that
 * says who asks, and nothing that sets a cookie. */
#include "edge/edge_impl.h"

#define STEP_BYTES (64u << 10) /* reserved at a time */
#define YEAR_S     31536000

/* ---- what an answer says -------------------------------------------------------------------- */

struct control {
    bool is_public, is_private, no_store, no_cache, must_ask;
    int64_t max_age_s, shared_s; /* -1: not said */
};

/* "max-age=60", also in quotes; -1: another directive. One that cannot be read is 0. */
static int64_t seconds_of(struct slice directive, struct slice name)
{
    uint64_t n;
    if (!slice_starts_nocase(directive, name))
        return -1;
    struct slice value = slice_skip(directive, name.len);
    if (value.len > 1 && value.ptr[0] == '"')
        value = slice_first(slice_skip(value, 1), value.len - 2);
    if (!slice_to_u64(value, &n))
        return 0;
    return n > YEAR_S ? YEAR_S : (int64_t)n;
}

static void read_line(struct control *c, struct slice line)
{
    struct slice d;
    while (list_next(&line, &d)) {
        c->is_public |= slice_eq_nocase(d, SLICE("public"));
        c->no_store |= slice_eq_nocase(d, SLICE("no-store"));
        c->is_private |= slice_starts_nocase(d, SLICE("private"));
        c->no_cache |= slice_starts_nocase(d, SLICE("no-cache"));
        int64_t age = seconds_of(d, SLICE("max-age="));
        int64_t shared = seconds_of(d, SLICE("s-maxage="));
        c->max_age_s = age >= 0 ? age : c->max_age_s;
        c->shared_s = shared >= 0 ? shared : c->shared_s;
    }
}

static struct control read_control(const struct h1_request *head, struct slice instead)
{
    struct control c = {.max_age_s = -1, .shared_s = -1};
    if (instead.len) {
        read_line(&c, instead);
        return c;
    }
    for (uint32_t i = 0; i < head->n_headers; i++) {
        if (slice_eq_nocase(head->headers[i].name, SLICE("cache-control")))
            read_line(&c, head->headers[i].value);
    }
    return c;
}

/* Vary names nothing, or headers that pass as the client sends them and that are no secrets. */
static bool may_vary(const struct h1_request *head)
{
    static const struct slice never[] = {
        SLICE_INIT("*"),         SLICE_INIT("cookie"),    SLICE_INIT("authorization"),
        SLICE_INIT("forwarded"), SLICE_INIT("x-real-ip"), SLICE_INIT("x-request-id"),
    };
    for (uint32_t i = 0; i < head->n_headers; i++) {
        struct slice line = head->headers[i].value, name;
        if (!slice_eq_nocase(head->headers[i].name, SLICE("vary")))
            continue;
        while (list_next(&line, &name)) {
            for (size_t j = 0; j < sizeof never / sizeof *never; j++) {
                if (slice_eq_nocase(name, never[j]))
                    return false;
            }
            if (slice_starts_nocase(name, SLICE("x-forwarded-")))
                return false;
        }
    }
    return true;
}

static int64_t age_of(const struct h1_request *head)
{
    uint64_t n = 0;
    struct slice age = h1_find(head, SLICE("age"));
    return age.ptr && slice_to_u64(age, &n) && n < YEAR_S ? (int64_t)n : 0;
}

bool caching_judge(const struct h1_response *answer, struct slice control, struct cache_terms *ret)
{
    const struct h1_request *head = &answer->head;
    struct control c = read_control(head, control);
    int s = answer->status;
    int64_t fresh_s = c.no_cache ? 0 : c.shared_s >= 0 ? c.shared_s : c.max_age_s;
    bool has_validator =
        h1_find(head, SLICE("etag")).ptr || h1_find(head, SLICE("last-modified")).ptr;
    *ret = (struct cache_terms){fresh_s > 0 ? fresh_s * 1000 : 0, age_of(head) * 1000};
    return (s == 200 || s == 301 || s == 308 || s == 404 || s == 410) &&
           (c.is_public || c.shared_s >= 0) && !c.is_private && !c.no_store &&
           (ret->fresh_ms > ret->age_ms || has_validator) && may_vary(head) &&
           !h1_find(head, SLICE("set-cookie")).ptr;
}

/* ---- the request ---------------------------------------------------------------------------- */

/* A path may hold a '?', so its length is told. */
static struct slice key_of(struct req *rq)
{
    return arena_printf(rq->arena, "%s %.*s %.*s %zu %.*s?%.*s", rq->is_secure ? "https" : "http",
                        SLICE_ARGS(rq->h1->host), SLICE_ARGS(rq->mount), rq->path.len,
                        SLICE_ARGS(rq->path), SLICE_ARGS(rq->query));
}

/* Does the backend get less than what Vary would look at here? */
static bool takes_off(const struct h1_request *h1)
{
    struct slice line, name;
    for (uint32_t at = 0; h1_next(h1, HEADER_CONNECTION, &at, &line);) {
        while (list_next(&line, &name)) {
            if (!header_is_hop(header_find(name)) && h1_find(h1, name).ptr)
                return true;
        }
    }
    return false;
}

/* Another cookie than the one that stays here and says nothing about the visitor. */
static bool has_cookie(const struct req *rq)
{
    const struct edge *g = rq->site;
    struct slice line;
    for (uint32_t at = 0; h1_next(rq->h1, HEADER_COOKIE, &at, &line);) {
        if (identity_other_cookies(line, slice_from(g->stay_cookie), rq->arena).len)
            return true;
    }
    return false;
}

/* Nothing says who asks, and what is asked for is the whole. */
static bool is_plain(const struct req *rq, const struct outgoing *o)
{
    static const enum header_id never[] = {
        HEADER_AUTHORIZATION,       HEADER_RANGE, HEADER_IF_RANGE, HEADER_IF_MATCH,
        HEADER_IF_UNMODIFIED_SINCE,
    };
    const struct h1_request *h1 = rq->h1;
    struct slice identity = o->conf->identity.header.s;
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        if (h1->at[never[i]])
            return false;
    }
    return !h1->chunked && !h1->content_length && !h1->upgrade && !takes_off(h1) &&
           !has_cookie(rq) && !o->nonce.len && !identity.len &&
           (!h1->at[HEADER_IF_MODIFIED_SINCE] || h1->at[HEADER_IF_NONE_MATCH]);
}

static bool lists(const struct h1_request *h1, struct slice etag)
{
    struct slice line;
    for (uint32_t at = 0; etag.len && h1_next(h1, HEADER_IF_NONE_MATCH, &at, &line);) {
        if (etag_match_weak(line, etag))
            return true;
    }
    return false;
}

static bool reply_cached(struct req *rq, const struct cached *e, int64_t age_s)
{
    char age[24];
    int n = snprintf(age, sizeof age, "%lld", (long long)age_s);
    reply_header(rq, "Age", (struct slice){age, (size_t)n});
    reply_header(rq, "Cache-Status", SLICE("dais; hit"));
    reply_prebuilt(rq, arena_dup(rq->arena, e->lines));
    if (e->status == 200 && lists(rq->h1, e->etag))
        return reply_empty(rq, 304);
    return reply_shared(rq, e->status, e->body, 0, e->body->len);
}

static struct slice condition_of(struct req *rq, const struct cached *e)
{
    return e->etag.len
               ? arena_printf(rq->arena, "If-None-Match: %.*s\r\n", SLICE_ARGS(e->etag))
               : arena_printf(rq->arena, "If-Modified-Since: %.*s\r\n", SLICE_ARGS(e->changed));
}

bool caching_begin(struct caching *k, struct cache *c, struct req *rq, struct outgoing *o)
{
    struct cache_found found;
    if (!c || rq->h1->host.len + rq->path.len + rq->query.len > H1_LINE_BYTES)
        return false;
    k->key = key_of(rq);
    k->cache = c;
    if (!edge_is_reading(rq->method) || rq->method == METHOD_OPTIONS)
        return false; /* to forget by */
    struct control asked = read_control(rq->h1, (struct slice){0});
    if (!is_plain(rq, o) || asked.no_store) {
        k->cache = NULL;
        return false;
    }
    struct cached *e = cache_find(c, k->key, rq->h1, loop_now_ms(rq->loop), &found);
    bool is_good = e && found.is_fresh && !asked.no_cache && asked.max_age_s != 0;
    if (is_good) {
        reply_cached(rq, e, found.age_s);
        cached_unref(e);
        return true;
    }
    k->changes = cache_changes(c, k->key);
    if (rq->method == METHOD_HEAD) {
        k->cache = NULL;
    } else if (e && (e->etag.len || e->changed.len)) {
        k->stale = e;
        o->condition = condition_of(rq, e);
        return false;
    }
    cached_unref(e);
    return false;
}

/* ---- the answer ----------------------------------------------------------------------------- */

static struct slice all_of(struct arena *a, const struct h1_request *head, const char *name)
{
    struct buf b;
    buf_init(&b, H1_HEAD_BYTES);
    for (uint32_t i = 0; i < head->n_headers; i++) {
        if (!slice_eq_nocase(head->headers[i].name, slice_from(name)))
            continue;
        buf_add(&b, b.len ? SLICE(",") : SLICE(""));
        buf_add(&b, head->headers[i].value);
    }
    struct slice all = arena_dup(a, buf_slice(&b));
    buf_done(&b);
    return all;
}

/* How old it is will be said when it is given. */
static struct slice without_age(struct arena *a, struct slice lines)
{
    struct buf b;
    struct slice line;
    buf_init(&b, lines.len + 2);
    while (slice_cut(&lines, '\n', &line)) {
        if (slice_starts_nocase(line, SLICE("age:")))
            continue;
        buf_add(&b, line);
        buf_add_char(&b, '\n');
    }
    struct slice rest = arena_dup(a, buf_slice(&b));
    buf_done(&b);
    return rest;
}

static void begin_keeping(struct caching *k, struct req *rq, const struct outgoing *o,
                          const struct h1_response *answer, struct slice lines)
{
    const struct h1_request *head = &answer->head;
    struct buf values;
    k->length = head->has_length && !o->is_rewritten ? head->content_length : UINT64_MAX;
    if (h1_response_body(answer, rq->method) == H1_BODY_CLOSE || !k->length ||
        (k->length != UINT64_MAX && k->length > cache_most(k->cache)))
        return;
    k->keeping = (struct cached){
        .key = k->key,
        .names = all_of(rq->arena, head, "vary"),
        .lines = without_age(rq->arena, lines),
        .etag = arena_dup(rq->arena, h1_find(head, SLICE("etag"))),
        .changed = arena_dup(rq->arena, h1_find(head, SLICE("last-modified"))),
        .status = answer->status,
    };
    buf_init(&values, H1_HEAD_BYTES);
    cache_values(&values, k->keeping.names, rq->h1);
    k->keeping.values = arena_dup(rq->arena, buf_slice(&values));
    k->is_keeping = !values.full;
    buf_done(&values);
    buf_init(&k->body, cache_most(k->cache));
}

/* The backend has nothing newer. */
static bool reply_renewed(struct caching *k, struct req *rq, const struct h1_response *answer,
                          struct slice control)
{
    struct h1_response as_was = *answer;
    struct cache_terms terms;
    as_was.status = k->stale->status;
    if (caching_judge(&as_was, control, &terms))
        cache_renew(k->cache, k->stale, &terms, loop_now_ms(rq->loop));
    else if (control.len || h1_find(&answer->head, SLICE("cache-control")).ptr)
        cache_forget(k->cache, k->key);
    return reply_cached(rq, k->stale, 0);
}

bool caching_meet(struct caching *k, struct req *rq, const struct outgoing *o,
                  const struct h1_response *answer, struct slice lines)
{
    struct slice control = outgoing_cache_control(o, answer->status);
    if (!k->cache)
        return false;
    if (!edge_is_reading(rq->method)) {
        if (answer->status < 400)
            cache_forget(k->cache, k->key);
        return false;
    }
    if (k->stale && answer->status == 304)
        return reply_renewed(k, rq, answer, control);
    if (rq->method == METHOD_GET && caching_judge(answer, control, &k->terms))
        begin_keeping(k, rq, o, answer, lines);
    return false;
}

static void stop_keeping(struct caching *k)
{
    if (!k->is_keeping)
        return;
    k->is_keeping = false;
    cache_release(k->cache, k->reserved);
    buf_done(&k->body);
}

static bool has_room(struct caching *k, size_t n)
{
    if (k->body.len + n <= k->reserved)
        return true;
    size_t more = n > STEP_BYTES ? n : STEP_BYTES;
    if (k->body.len + n > cache_most(k->cache) || !cache_reserve(k->cache, more))
        return false;
    k->reserved += more;
    return true;
}

void caching_take(struct caching *k, struct req *rq, struct slice piece, bool is_last)
{
    if (!k->is_keeping)
        return;
    if (!has_room(k, piece.len)) {
        stop_keeping(k);
        return;
    }
    buf_add(&k->body, piece);
    if (!is_last && k->body.len != k->length)
        return;
    k->keeping.body = shared_new(buf_slice(&k->body));
    stop_keeping(k);
    if (cache_changes(k->cache, k->key) == k->changes) /* else it may be of before the change */
        cache_put(k->cache, &k->keeping, &k->terms, loop_now_ms(rq->loop));
    shared_unref(k->keeping.body);
}

void caching_end(struct caching *k)
{
    stop_keeping(k);
    cached_unref(k->stale);
}
