/* From a path to a handler, and what every handler needs first. */
#include "api/api_impl.h"
#include "api/jobs_impl.h"

#include <stdlib.h>

/* ---- routes ---------------------------------------------------------------------------------- */

struct api *api_new(const struct api_options *o)
{
    struct api *a = mem_new(struct api);
    a->manifest = o->manifest;
    a->docs = o->docs;
    a->files = o->files;
    a->jobs = o->jobs;
    a->hub = o->jobs ? job_hub_new(o->jobs) : NULL;
    a->base = o->base;
    a->accounts = o->accounts;
    a->operators = o->operators;
    a->count = o->count;
    a->user = o->user;
    a->router = router_new();
    router_add(a->router, auth_routes, n_auth_routes);
    router_add(a->router, key_routes, n_key_routes);
    router_add(a->router, job_routes, n_job_routes); /* before those of any collection */
    router_add(a->router, batch_routes, n_batch_routes);
    router_add(a->router, description_routes, n_description_routes);
    router_add(a->router, transfer_routes, n_transfer_routes);
    router_add(a->router, list_routes, n_list_routes);
    router_add(a->router, file_routes, n_file_routes);
    router_add(a->router, usage_routes, n_usage_routes);
    router_add(a->router, document_routes, n_document_routes);
    router_add(a->router, change_routes, n_change_routes);
    router_add(a->router, version_routes, n_version_routes);
    return a;
}

void api_free(struct api *a)
{
    if (!a)
        return;
    router_free(a->router);
    job_hub_unref(a->hub);
    free(a);
}

static bool missing(struct req *rq, struct err *e)
{
    return err_set(e, ERR_NOT_FOUND, "The API has nothing at %.*s.",
                   SLICE_ARGS(slice_first(rq->path, 120)));
}

static const struct route missing_row = {
    .path = "/", .name = "api", .methods = ON_ANY, .handle = missing};

const struct route *api_find(struct api *a, struct req *rq)
{
    struct slice prefix = a->manifest->api.s, whole = rq->path;
    if (!slice_starts(whole, prefix))
        return NULL;
    rq->site = a;
    rq->arena->cap_bytes = API_ARENA_BYTES;
    rq->path = slice_skip(whole, prefix.len - 1);
    const struct route *row = router_find(a->router, rq);
    rq->path = whole;
    return row ? file_route_of(row, rq) : &missing_row;
}

/* ---- being in the database ------------------------------------------------------------------- */

bool api_tell_closed(const struct err *why, struct err *e)
{
    log_line(LOG_ERROR, "the database cannot be opened", F_CSTR("reason", why->msg));
    return err_set(e, ERR_UNAVAILABLE,
                   "The database cannot be opened just now; the server's log says why.");
}

bool api_open(struct docs *d, struct err *e)
{
    struct err why = {0};
    return docs_open(d, &why) || api_tell_closed(&why, e);
}

static enum enter enter_on_lane(struct docs_reading *r, struct err *e)
{
    if (!api_open(r->docs, e))
        return REFUSED;
    r->conn = db_conn_take(docs_db(r->docs), e);
    if (r->conn)
        return ENTERED;
    docs_leave(r->docs);
    return REFUSED;
}

enum enter api_enter(struct req *rq, struct docs_reading *r, struct err *e)
{
    const struct api *a = rq->site;
    struct subject *who = arena_new(rq->arena, struct subject);
    *r = (struct docs_reading){
        .docs = a->docs, .arena = rq->arena, .who = who, .is_on_loop = !rq->is_on_lane};
    if (!subject_of(rq, who, e))
        return REFUSED;
    if (rq->is_on_lane)
        return enter_on_lane(r, e);
    if (docs_enter(r->docs)) {
        r->conn = db_conn_of_loop(docs_db(r->docs), rq->loop);
        if (r->conn) {
            db_conn_budget(r->conn, API_LOOP_STEPS);
            return ENTERED;
        }
        docs_leave(r->docs);
    }
    req_move(rq, RUN_READ);
    return MOVED;
}

enum enter api_enter_on_lane(struct req *rq, struct docs_reading *r, struct err *e)
{
    if (rq->is_on_lane)
        return api_enter(rq, r, e);
    if (!req_identity(rq, e))
        return REFUSED;
    req_move(rq, RUN_READ);
    return MOVED;
}

void api_leave(struct req *rq, struct docs_reading *r)
{
    if (rq->is_on_lane)
        db_conn_give(r->conn);
    docs_leave(r->docs);
}

bool api_failed(struct req *rq, struct err *e)
{
    return e->code == ERR_OVER_BUDGET && !rq->is_on_lane ? req_move(rq, RUN_READ) : false;
}

/* ---- what the request says ------------------------------------------------------------------- */

const struct doc_coll *api_coll(const struct req *rq, struct err *e)
{
    const struct api *a = rq->site;
    struct slice name = req_param(rq, "c");
    const struct doc_coll *c = a->docs ? docs_find(a->docs, name) : NULL;
    if (!c)
        err_set(e, ERR_NOT_FOUND, "There is no collection %.*s.",
                SLICE_ARGS(slice_first(name, 60)));
    return c;
}

bool api_param(struct req *rq, const char *name, struct slice *ret, struct err *e)
{
    struct slice value;
    if (!query_find(rq->query, slice_from(name), rq->arena, &value, e))
        return false;
    if (value.ptr)
        *ret = value;
    return true;
}

struct slice api_lines(const struct req *rq, enum header_id id, struct arena *a)
{
    uint32_t at = 0;
    struct slice all = {0};
    for (struct slice line; h1_next(rq->h1, id, &at, &line);)
        all = all.ptr ? arena_printf(a, "%.*s, %.*s", SLICE_ARGS(all), SLICE_ARGS(line)) : line;
    return all;
}

bool api_params_known(struct req *rq, const char *const *names, struct err *e)
{
    struct slice rest = rq->query, name, value;
    uint64_t seen = 0;
    while (query_next(&rest, &name, &value)) {
        size_t i = 0;
        while (names[i] && !slice_is(name, names[i]))
            i++;
        if (!names[i])
            return err_set(e, ERR_MALFORMED, "There is no parameter %.*s here.",
                           SLICE_ARGS(slice_first(name, 60)));
        if (seen & 1ull << i)
            return err_set(e, ERR_MALFORMED, "The parameter %s is there twice.", names[i]);
        seen |= 1ull << i;
    }
    return true;
}

/* ---- answers --------------------------------------------------------------------------------- */

static const struct slice common_lines =
    SLICE_INIT("Cache-Control: private, no-cache\r\nX-Content-Type-Options: nosniff\r\n");

void api_free_buf(void *buf)
{
    buf_done(buf);
}

bool api_reply_json(struct req *rq, int status, struct slice json)
{
    reply_prebuilt(rq, common_lines);
    return reply_bytes(rq, status, "application/json", json);
}

/* "v3", in quotes */
static struct slice tag_of(struct arena *a, int64_t version)
{
    char *end = (char *)arena_alloc(a, 24) + 24, *at = end;
    *--at = '"';
    for (uint64_t rest = (uint64_t)version; rest || at == end - 1; rest /= 10)
        *--at = (char)('0' + rest % 10);
    *--at = 'v';
    *--at = '"';
    return (struct slice){at, (size_t)(end - at)};
}

bool api_reply_doc(struct req *rq, int status, const struct doc *doc)
{
    struct slice tag = tag_of(rq->arena, doc->version);
    struct slice known = h1_get(rq->h1, HEADER_IF_NONE_MATCH);
    reply_header(rq, "ETag", tag);
    if (status == 200 && known.len && etag_match_weak(known, tag)) {
        reply_prebuilt(rq, common_lines);
        return reply_empty(rq, 304);
    }
    return api_reply_json(rq, status, doc->text);
}
