/* Which pages of other origins may read an app's answers: `cors:` of the manifest.
 *
 * The lines are decided before anything else is, so that every answer has them, errors too. Nothing
 * is refused here: it is the browser that keeps an answer from a page it is not meant for. */
#include "edge/edge.h"

#include <string.h>

#define VARY          "Vary: Origin\r\n"
#define PREFLIGHT_AGE "600" /* s; a change of the manifest is seen after that */
#define METHOD_LEN    32
#define HEADERS_LEN   4096

/* ---- origins -------------------------------------------------------------------------------- */

/* Scheme, host and port; the port is empty where it goes without saying. */
struct origin {
    struct slice scheme, host, port;
};

static bool origin_read(struct slice text, struct origin *ret)
{
    ptrdiff_t at = slice_search(text, SLICE("://"));
    if (at <= 0)
        return false;
    ret->scheme = slice_first(text, (size_t)at);
    struct slice rest = slice_skip(text, (size_t)at + 3);
    ptrdiff_t colon = slice_rindex(rest, ':');
    bool has_port = colon >= 0 && colon > slice_rindex(rest, ']');
    ret->host = has_port ? slice_first(rest, (size_t)colon) : rest;
    ret->port = has_port ? slice_skip(rest, (size_t)colon + 1) : (struct slice){0};
    bool is_usual =
        slice_is(ret->port, slice_eq_nocase(ret->scheme, SLICE("https")) ? "443" : "80");
    if (is_usual)
        ret->port = (struct slice){0};
    return ret->host.len > 0;
}

/* What a star stands for: labels of a name, at least one, and nothing else. */
static bool are_labels(struct slice s)
{
    char before = '.';
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool is_fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                       (c == '.' && before != '.');
        if (!is_fine)
            return false;
        before = c;
    }
    return before != '.';
}

bool cors_matches(struct slice pattern, struct slice origin)
{
    struct origin p, o;
    if (slice_is(pattern, "*"))
        return !slice_is(origin, "null");
    if (!origin_read(pattern, &p) || !origin_read(origin, &o) ||
        !slice_eq_nocase(p.scheme, o.scheme) || !slice_eq(p.port, o.port))
        return false;
    if (!slice_starts(p.host, SLICE("*.")))
        return slice_eq_nocase(p.host, o.host);
    struct slice tail = slice_skip(p.host, 1); /* with its dot */
    if (o.host.len <= tail.len)
        return false;
    size_t n = o.host.len - tail.len;
    return slice_eq_nocase(slice_skip(o.host, n), tail) && are_labels(slice_first(o.host, n));
}

/* ---- lines ---------------------------------------------------------------------------------- */

static bool is_allowed(const struct cors_conf *conf, struct slice origin)
{
    for (size_t i = 0; origin.len && i < conf->origins.n; i++) {
        if (cors_matches(conf->origins.items[i].s, origin))
            return true;
    }
    return false;
}

static bool allows_all(const struct cors_conf *conf)
{
    return conf->origins.n == 1 && slice_is(conf->origins.items[0].s, "*");
}

static void add_origin(struct buf *to, const struct cors_conf *conf, struct slice origin)
{
    h1_add(to, "Access-Control-Allow-Origin", allows_all(conf) ? SLICE("*") : origin);
    if (conf->credentials)
        h1_add(to, "Access-Control-Allow-Credentials", SLICE("true"));
}

static bool are_names(struct slice list)
{
    struct slice name;
    while (list_next(&list, &name)) {
        if (!token_is_valid(name))
            return false;
    }
    return true;
}

/* What a page asks for it may do: what it may is decided when it does. */
static void add_permissions(struct buf *to, const struct h1_request *h1)
{
    struct slice method = h1_get(h1, HEADER_CORS_METHOD), headers = h1_get(h1, HEADER_CORS_HEADERS);
    if (method.len <= METHOD_LEN && token_is_valid(method))
        h1_add(to, "Access-Control-Allow-Methods", method);
    if (headers.len && headers.len <= HEADERS_LEN && are_names(headers))
        h1_add(to, "Access-Control-Allow-Headers", headers);
    h1_add(to, "Access-Control-Max-Age", SLICE(PREFLIGHT_AGE));
}

static bool is_preflight(const struct h1_request *h1)
{
    return h1->method == METHOD_OPTIONS && h1->at[HEADER_ORIGIN] && h1->at[HEADER_CORS_METHOD];
}

static bool on_preflight(struct req *rq, struct err *e)
{
    (void)e;
    return reply_empty(rq, 204);
}

static const struct route preflight_route = {
    .path = "/*", .name = "preflight", .methods = ON_ANY, .handle = on_preflight};

const struct route *cors_find(const struct cors_conf *conf, struct req *rq)
{
    const struct h1_request *h1 = rq->h1;
    struct slice origin = h1_get(h1, HEADER_ORIGIN);
    if (!conf->pos.line || h1->upgrade)
        return NULL;
    bool is_allowed_here = is_allowed(conf, origin), is_asking = is_preflight(h1);
    rq->is_origin_allowed = is_allowed_here;
    if (!is_allowed_here && !is_asking) {
        reply_always(rq, SLICE(VARY));
        return NULL;
    }
    struct buf b;
    buf_init(&b, 2 * H1_LINE_BYTES + HEADERS_LEN);
    buf_add(&b, SLICE(VARY));
    if (is_allowed_here)
        add_origin(&b, conf, origin);
    if (is_asking)
        buf_add(&b,
                SLICE("Vary: Access-Control-Request-Method, Access-Control-Request-Headers\r\n"));
    if (is_allowed_here && is_asking)
        add_permissions(&b, h1);
    else if (is_allowed_here)
        h1_add(&b, "Access-Control-Expose-Headers",
               SLICE("ETag, Location, Content-Range, Retry-After, RateLimit-Limit, "
                     "RateLimit-Remaining, RateLimit-Reset, X-Request-Id"));
    reply_always(rq, buf_slice(&b));
    buf_done(&b);
    return is_asking ? &preflight_route : NULL;
}
