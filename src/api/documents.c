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
    bool fine =
        docs_get(&r, c, req_param(rq, "id"), &doc, e) && docs_shape(&r, c, fields, expand, &doc, e);
    api_leave(rq, &r);
    return fine ? api_reply_doc(rq, 200, &doc) : api_failed(rq, e);
}

/* ---- changing -------------------------------------------------------------------------------- */

static bool reply_created(struct api_write *aw)
{
    struct req *rq = aw->rq;
    const struct doc_change *ch = &aw->writing.changes[0];
    const struct api *a = rq->site;
    struct slice place = arena_printf(
        rq->arena, "%.*s%.*s%.*s/%.*s", SLICE_ARGS(rq->mount), SLICE_ARGS(a->manifest->api.s),
        SLICE_ARGS(doc_coll_conf(ch->coll)->name.s), SLICE_ARGS(ch->doc.id));
    reply_header(rq, "Location", place);
    return api_reply_doc(rq, 201, &ch->doc);
}

static bool create_document(struct req *rq, const struct doc_coll *c, struct err *e)
{
    struct api_write *aw = api_write_new(rq, 1, e);
    if (!aw)
        return false;
    const struct json *body = api_body(rq, e);
    if (!body)
        return false;
    aw->reply = reply_created;
    aw->writing.changes[0] = (struct doc_change){
        .op = DOC_CREATE, .coll = c, .body = body, .id = json_str(json_find(body, SLICE("id")))};
    return api_write_go(aw, e);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static bool on_collection(struct req *rq, struct err *e)
{
    const struct doc_coll *c = api_coll(rq, e);
    if (!c)
        return false;
    if (rq->method == METHOD_POST)
        return create_document(rq, c, e);
    return api_list(rq, c, e);
}

static bool on_document(struct req *rq, struct err *e)
{
    const struct doc_coll *c = api_coll(rq, e);
    return c && get_document(rq, c, e);
}

const struct route document_routes[] = {
    {.path = "/{c}",
     .name = "documents",
     .methods = ON_GET | ON_POST,
     .handle = on_collection,
     .max_body = API_BODY_MAX},
    {.path = "/{c}/{id}", .name = "document", .methods = ON_GET, .handle = on_document},
};
const size_t n_document_routes = sizeof document_routes / sizeof *document_routes;
