/* What the API looks like: OpenAPI of the whole, the schema of a collection. */
#include "api/api_impl.h"
#include "describe/describe.h"

#define TEXT_BYTES (64u << 20)

static struct slice base_of(struct req *rq)
{
    return arena_printf(rq->arena, "%.*s/", SLICE_ARGS(rq->mount));
}

/* Schemas are read anew from their files, as they were when the app was: on a lane. */
static bool tell(struct req *rq, const struct collection *c, struct err *e)
{
    const struct api *a = rq->site;
    const struct schema_loader schemas = describe_folder(rq->arena, a->manifest->dir.ptr);
    const struct describe_source src = {
        .manifest = a->manifest, .schemas = &schemas, .base = base_of(rq)};
    struct buf b;
    buf_init(&b, TEXT_BYTES);
    bool fine = c ? describe_collection_schema(rq->arena, &src, c, &b, e)
                  : describe_openapi(rq->arena, &src, &b, e);
    if (fine)
        api_reply_json(rq, 200, arena_dup(rq->arena, buf_slice(&b)));
    buf_done(&b);
    return fine;
}

static bool on_openapi(struct req *rq, struct err *e)
{
    return tell(rq, NULL, e);
}

static bool on_schema(struct req *rq, struct err *e)
{
    const struct doc_coll *c = api_coll(rq, e);
    return c && tell(rq, doc_coll_conf(c), e);
}

const struct route description_routes[] = {
    {.path = "/openapi.json",
     .name = "openapi",
     .methods = ON_GET,
     .handle = on_openapi,
     .run = RUN_READ},
    {.path = "/{c}/schema",
     .name = "schema",
     .methods = ON_GET,
     .handle = on_schema,
     .run = RUN_READ},
};
const size_t n_description_routes = sizeof description_routes / sizeof *description_routes;
