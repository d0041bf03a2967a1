/* Documents: a collection's list, and one of them. */
#include "api/api_impl.h"

/* ---- reading --------------------------------------------------------------------------------- */

static bool get_document(struct req *rq, const struct doc_coll *c, struct err *e)
{
    static const char *const params[] = {"fields", "expand", NULL};
    struct docs_reading r;
    struct doc doc;
    struct slice fields = {0}, expand = {0};
    if (!api_params_known(rq, params, e) || !api_param(rq, "fields", &fields, e) ||
        !api_param(rq, "expand", &expand, e))
        return false;
    enum enter entered = api_enter(rq, &r, e);
    if (entered != ENTERED)
        return entered == MOVED;
    if (!fields.len && !expand.len)
        db_conn_once(r.conn);
    bool fine =
        docs_get(&r, c, req_param(rq, "id"), &doc, e) && docs_shape(&r, c, fields, expand, &doc, e);
    api_leave(rq, &r);
    if (fine && expand.len) /* its version says nothing about the documents in it */
        return api_reply_json(rq, 200, doc.text);
    return fine ? api_reply_doc(rq, 200, &doc) : api_failed(rq, e);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static bool on_collection(struct req *rq, struct err *e)
{
    const struct doc_coll *c = api_coll(rq, e);
    if (!c)
        return false;
    if (rq->method == METHOD_POST)
        return api_create(rq, c, e);
    return api_list(rq, c, e);
}

static bool on_document(struct req *rq, struct err *e)
{
    const struct doc_coll *c = api_coll(rq, e);
    if (c && rq->method != METHOD_GET && rq->method != METHOD_HEAD)
        return api_change(rq, c, e);
    return c && get_document(rq, c, e);
}

const struct route document_routes[] = {
    {.path = "/{c}",
     .name = "documents",
     .methods = ON_GET | ON_POST,
     .handle = on_collection,
     .max_body = API_BODY_MAX},
    {.path = "/{c}/{id}",
     .name = "document",
     .methods = ON_GET | ON_PUT | ON_PATCH | ON_DELETE,
     .handle = on_document,
     .max_body = API_BODY_MAX},
};
const size_t n_document_routes = sizeof document_routes / sizeof *document_routes;
