/* Earlier versions of a document: their list, one of them, the difference of two. */
#include "api/api_impl.h"

bool api_version(struct slice text, int64_t *ret, struct err *e)
{
    uint64_t n;
    if (!slice_to_u64(text, &n) || n == 0 || n > INT64_MAX)
        return err_set(e, ERR_MALFORMED, "A version is a number such as 3.");
    *ret = (int64_t)n;
    return true;
}

static bool read_limit(struct req *rq, uint32_t *ret, struct err *e)
{
    struct slice text = {0};
    uint64_t n = DOC_LIMIT;
    if (!api_param(rq, "limit", &text, e))
        return false;
    if (text.ptr && (!slice_to_u64(text, &n) || n == 0 || n > DOC_LIMIT_MAX))
        return err_set(e, ERR_MALFORMED, "limit is a number from 1 to %d.", DOC_LIMIT_MAX);
    *ret = (uint32_t)n;
    return true;
}

/* An answer that was put together in a buf. */
static bool reply_buf(struct req *rq, bool fine, struct buf *b, struct err *e)
{
    if (!fine) {
        buf_done(b);
        return api_failed(rq, e);
    }
    struct buf *kept = arena_new(rq->arena, struct buf);
    *kept = *b;
    arena_defer(rq->arena, api_free_buf, kept);
    return api_reply_json(rq, 200, buf_slice(kept));
}

static bool on_versions(struct req *rq, struct err *e)
{
    static const char *const params[] = {"limit", "after", NULL};
    const struct doc_coll *c = api_coll(rq, e);
    struct docs_reading r;
    struct slice after = {0};
    uint32_t limit = DOC_LIMIT;
    struct buf b;
    if (!c || !api_params_known(rq, params, e) || !api_param(rq, "after", &after, e) ||
        !read_limit(rq, &limit, e))
        return false;
    enum enter entered = api_enter(rq, &r, e);
    if (entered != ENTERED)
        return entered == MOVED;
    buf_init(&b, 4u << 20);
    bool fine = docs_versions(&r, c, req_param(rq, "id"), after, limit, &b, e);
    api_leave(rq, &r);
    return reply_buf(rq, fine, &b, e);
}

static bool on_version(struct req *rq, struct err *e)
{
    static const char *const none[] = {NULL};
    const struct doc_coll *c = api_coll(rq, e);
    struct docs_reading r;
    struct doc doc;
    int64_t version = 0;
    if (!c || !api_params_known(rq, none, e) || !api_version(req_param(rq, "n"), &version, e))
        return false;
    enum enter entered = api_enter_on_lane(rq, &r, e);
    if (entered != ENTERED)
        return entered == MOVED;
    bool fine = docs_version(&r, c, req_param(rq, "id"), version, &doc, e);
    api_leave(rq, &r);
    return fine ? api_reply_doc(rq, 200, &doc) : api_failed(rq, e);
}

static bool on_diff(struct req *rq, struct err *e)
{
    static const char *const params[] = {"to", NULL};
    const struct doc_coll *c = api_coll(rq, e);
    struct docs_reading r;
    struct slice to = {0};
    int64_t version = 0, to_version = 0;
    struct buf b;
    if (!c || !api_params_known(rq, params, e) || !api_version(req_param(rq, "n"), &version, e) ||
        !api_param(rq, "to", &to, e) || (to.ptr && !api_version(to, &to_version, e)))
        return false;
    enum enter entered = api_enter_on_lane(rq, &r, e);
    if (entered != ENTERED)
        return entered == MOVED;
    buf_init(&b, 2 * DOC_BYTES_MAX);
    bool fine = docs_diff(&r, c, req_param(rq, "id"), version, to_version, &b, e);
    api_leave(rq, &r);
    return reply_buf(rq, fine, &b, e);
}

const struct route version_routes[] = {
    {.path = "/{c}/{id}/versions", .name = "versions", .methods = ON_GET, .handle = on_versions},
    {.path = "/{c}/{id}/versions/{n}", .name = "version", .methods = ON_GET, .handle = on_version},
    {.path = "/{c}/{id}/versions/{n}/diff", .name = "diff", .methods = ON_GET, .handle = on_diff},
};
const size_t n_version_routes = sizeof version_routes / sizeof *version_routes;
