/* Which paths are the backend's, and where it is. */
#include "edge/edge_impl.h"

#include <stdio.h>
#include <stdlib.h>

#define HEADERS_BYTES (16u << 20) /* of a manifest of 1 MB: far less */

/* ---- whose path is it? ---------------------------------------------------------------------- */

bool edge_is_below(struct slice path, struct slice prefix)
{
    if (!slice_starts(path, prefix))
        return false;
    return path.len == prefix.len || prefix.ptr[prefix.len - 1] == '/' ||
           path.ptr[prefix.len] == '/';
}

static size_t longest(const struct texts *prefixes, struct slice path)
{
    size_t n = 0;
    for (size_t i = 0; i < prefixes->n; i++) {
        struct slice prefix = prefixes->items[i].s;
        if (prefix.len > n && edge_is_below(path, prefix))
            n = prefix.len;
    }
    return n;
}

const struct route *edge_find(struct edge *g, struct req *rq)
{
    size_t always = longest(&g->conf->routes, rq->path);
    size_t unless_file = longest(&g->conf->static_first, rq->path);
    if (!always && !unless_file)
        return NULL;
    bool is_read = rq->method == METHOD_GET || rq->method == METHOD_HEAD;
    if (unless_file > always && is_read && g->web && web_has_file(g->web, rq->loop, rq->path))
        return NULL;
    rq->site = g;
    rq->max_body = (uint64_t)bounds_max_body(g->conf, rq->path);
    return &proxy_route;
}

/* ---- where is it? --------------------------------------------------------------------------- */

/* "http://127.0.0.1:9000", "http://localhost:9000/" */
static bool read_url(struct address *ret, struct slice url, struct slice *ret_authority,
                     struct err *e)
{
    if (!slice_starts(url, SLICE("http://")))
        return err_set(e, ERR_MANIFEST,
                       "dais speaks plain HTTP to backends: `backend.url` starts with http://");
    struct slice authority = slice_skip(url, 7);
    if (authority.len && authority.ptr[authority.len - 1] == '/')
        authority.len--;
    char with_port[300];
    bool has_port = slice_rindex(authority, ':') > slice_rindex(authority, ']');
    int n = snprintf(with_port, sizeof with_port, "%.*s%s", SLICE_ARGS(authority),
                     has_port ? "" : ":80");
    if (n < 0 || (size_t)n >= sizeof with_port)
        return err_set(e, ERR_MANIFEST, "`backend.url` is too long");
    *ret_authority = authority;
    return address_parse(ret, (struct slice){with_port, (size_t)n}, e);
}

bool edge_url_is_good(struct slice url, struct err *e)
{
    struct address ignored;
    struct slice authority;
    return read_url(&ignored, url, &authority, e);
}

void edge_url_read(struct slice url, struct address *ret, struct slice *ret_authority)
{
    struct err never;
    must(read_url(ret, url, ret_authority, &never));
}

struct edge *edge_new(const struct edge_options *o)
{
    struct edge *g = mem_new(struct edge);
    size_t ignored;
    *g = (struct edge){
        .conf = o->conf,
        .app = o->app,
        .public_url = o->public_url,
        .backend = o->backend,
        .web = o->web,
        .web_conf = o->web_conf,
        .has_cors = o->has_cors,
        .has_sign_in = o->has_sign_in,
        .tokens = o->signer ? tokens_new(o->signer) : NULL,
    };
    snprintf(g->cookie, sizeof g->cookie, "dais_%.*s", SLICE_ARGS(o->app));
    snprintf(g->stay_cookie, sizeof g->stay_cookie, STICKY_COOKIE "%.*s", SLICE_ARGS(o->app));
    arena_init(&g->arena, HEADERS_BYTES);
    if (o->conf->cache_bytes > 0)
        g->cache = cache_new((size_t)o->conf->cache_bytes);
    if (o->web_conf)
        g->headers = web_headers_make(&g->arena, o->web_conf, &ignored);
    return g;
}

void edge_start(struct edge *g)
{
    backend_start(g->backend);
}

struct backend *edge_backend(const struct edge *g)
{
    return g->backend;
}

void edge_free(struct edge *g)
{
    if (!g)
        return;
    backend_unref(g->backend);
    tokens_free(g->tokens);
    cache_free(g->cache);
    arena_done(&g->arena);
    free(g);
}
