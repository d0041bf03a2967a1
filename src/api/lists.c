/* Lists of documents and what is counted over them. */
#include "api/api_impl.h"

#define ANSWER_MAX   (64u << 20)
#define ANSWER_USUAL (40u << 10) /* room for it, so that it is not copied as it grows */

static void free_buf(void *arg)
{
    buf_done(arg);
}

static struct buf *answer_new(struct req *rq)
{
    struct buf *b = arena_new(rq->arena, struct buf);
    buf_init(b, ANSWER_MAX);
    (void)!buf_reserve(b, ANSWER_USUAL);
    arena_defer(rq->arena, free_buf, b);
    return b;
}

/* A parameter that has one value: "exact", "only". */
static bool param_flag(struct req *rq, const char *name, const char *value, bool *ret,
                       struct err *e)
{
    struct slice s = {0};
    if (!api_param(rq, name, &s, e))
        return false;
    *ret = s.ptr != NULL;
    return !s.ptr || slice_is(s, value) ||
           err_set(e, ERR_MALFORMED, "%s: it can only be `%s`.", name, value);
}

static bool param_limit(struct req *rq, uint32_t *ret, struct err *e)
{
    struct slice s = {0};
    uint64_t n = 0;
    if (!api_param(rq, "limit", &s, e) || !s.ptr)
        return !s.ptr;
    if (!slice_to_u64(s, &n) || n < 1 || n > DOC_LIMIT_MAX)
        return err_set(e, ERR_MALFORMED, "limit: it must be a number from 1 to %d.", DOC_LIMIT_MAX);
    *ret = (uint32_t)n;
    return true;
}

static bool read_query(struct req *rq, struct docs_query *q, struct err *e)
{
    static const char *const names[] = {"filter", "sort",   "limit", "after", "fields",
                                        "expand", "search", "count", "trash", NULL};
    *q = (struct docs_query){0};
    return api_params_known(rq, names, e) && api_param(rq, "filter", &q->filter, e) &&
           api_param(rq, "sort", &q->sort, e) && api_param(rq, "after", &q->after, e) &&
           api_param(rq, "fields", &q->fields, e) && api_param(rq, "expand", &q->expand, e) &&
           api_param(rq, "search", &q->search, e) && param_limit(rq, &q->limit, e) &&
           param_flag(rq, "count", "exact", &q->wants_total, e) &&
           param_flag(rq, "trash", "only", &q->is_trash, e);
}

bool api_list(struct req *rq, const struct doc_coll *c, struct err *e)
{
    struct docs_query q;
    struct docs_reading r;
    if (!read_query(rq, &q, e))
        return false;
    enum enter entered = api_enter(rq, &r, e);
    if (entered != ENTERED)
        return entered == MOVED;
    struct buf *to = answer_new(rq);
    bool fine = docs_list(&r, c, &q, to, e);
    api_leave(rq, &r);
    return fine ? api_reply_json(rq, 200, buf_slice(to)) : api_failed(rq, e);
}

static bool on_aggregate(struct req *rq, struct err *e)
{
    static const char *const names[] = {"fn", "group", "filter", NULL};
    const struct doc_coll *c = api_coll(rq, e);
    struct docs_aggregate q = {0};
    struct docs_reading r;
    if (!c || !api_params_known(rq, names, e) || !api_param(rq, "fn", &q.fn, e) ||
        !api_param(rq, "group", &q.group, e) || !api_param(rq, "filter", &q.filter, e))
        return false;
    enum enter entered = api_enter_on_lane(rq, &r, e);
    if (entered != ENTERED)
        return entered == MOVED;
    struct buf *to = answer_new(rq);
    bool fine = docs_aggregate(&r, c, &q, to, e);
    api_leave(rq, &r);
    return fine ? api_reply_json(rq, 200, buf_slice(to)) : api_failed(rq, e);
}

const struct route list_routes[] = {
    {.path = "/{c}/aggregate", .name = "aggregate", .methods = ON_GET, .handle = on_aggregate},
};
const size_t n_list_routes = sizeof list_routes / sizeof *list_routes;
