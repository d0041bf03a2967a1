/* POST /batch: up to 100 calls of documents in one transaction, all of them or none.
 *
 * Each request becomes the doc_change that its own call would be; ids of documents that are created
 * are made here, so that "$0.id" in a later path or body is known before anything is written. */
#include "api/api_impl.h"

#include <stdio.h>

struct call {                 /* a request on its way to a change */
    struct slice segments[5]; /* of its path below `api:` */
    size_t n_segments;
    struct slice query;
    const struct json *body;
};

static bool on_batch(struct req *rq, struct err *e);

const struct route batch_routes[] = {
    {.path = "/batch",
     .name = "batch",
     .methods = ON_POST,
     .handle = on_batch,
     .max_body = API_BODY_MAX},
};
const size_t n_batch_routes = sizeof batch_routes / sizeof *batch_routes;

/* ---- "$0.id" --------------------------------------------------------------------------------- */

/* The id of an earlier request's document. False: it is not written like that at all. */
static bool is_reference(struct slice s, uint64_t *ret_number)
{
    return slice_starts(s, SLICE("$")) && slice_ends(s, SLICE(".id")) && s.len > 4 &&
           slice_to_u64(slice_first(slice_skip(s, 1), s.len - 4), ret_number);
}

static bool resolve(const struct api_write *aw, size_t at, struct slice *s, struct err *e)
{
    uint64_t number;
    if (!is_reference(*s, &number))
        return true;
    if (number >= at)
        return err_set(e, ERR_MALFORMED, "%.*s refers to no earlier request.",
                       SLICE_ARGS(slice_first(*s, 30)));
    *s = aw->writing.changes[number].id;
    return true;
}

/* The tree is the request's own, and as deep as json_parse lets in. */
static bool resolve_body(const struct api_write *aw, size_t at, const struct json *value,
                         struct err *e)
{
    json_each (it, value) {
        if (json_type(it.value) == JSON_STRING) {
            struct slice s = json_str(it.value);
            struct json *own = (struct json *)(uintptr_t)it.value;
            if (!resolve(aw, at, &s, e))
                return false;
            own->ptr = s.ptr;
            own->len = (uint32_t)s.len;
        } else if (!resolve_body(aw, at, it.value, e)) {
            return false;
        }
    }
    return true;
}

/* ---- a request ------------------------------------------------------------------------------- */

static bool cut_path(const struct api_write *aw, size_t at, struct slice path, struct call *call,
                     struct err *e)
{
    const struct api *a = aw->rq->site;
    struct slice prefix = a->manifest->api.s, segment;
    if (!slice_starts(path, prefix))
        return err_set(e, ERR_MALFORMED, "`path` must begin with %.*s.", SLICE_ARGS(prefix));
    call->query = slice_skip(path, prefix.len);
    slice_cut(&call->query, '?', &path);
    while (slice_cut(&path, '/', &segment)) {
        if (call->n_segments == sizeof call->segments / sizeof *call->segments)
            return err_set(e, ERR_MALFORMED, "A batch has calls of documents only.");
        if (!resolve(aw, at, &segment, e))
            return false;
        call->segments[call->n_segments++] = segment;
    }
    return true;
}

static bool read_etag(struct api_write *aw, const struct json *value, struct doc_match *ret,
                      struct err *e)
{
    struct slice s = json_str(value);
    uint64_t version;
    if (!value)
        return true;
    if (s.len < 4 || !slice_starts(s, SLICE("\"v")) || !slice_ends(s, SLICE("\"")) ||
        !slice_to_u64(slice_first(slice_skip(s, 2), s.len - 3), &version) || version > INT64_MAX)
        return err_set(e, ERR_MALFORMED, "`if_match` is an etag, such as \"v3\" with its quotes.");
    int64_t *own = arena_new(aw->writing.arena, int64_t);
    *own = (int64_t)version;
    *ret = (struct doc_match){.is_given = true, .versions = own, .n = 1};
    return true;
}

static bool read_params(struct api_write *aw, const struct call *call, struct doc_change *ch,
                        struct err *e)
{
    struct slice rest = call->query, name, value;
    while (query_next(&rest, &name, &value)) {
        char *to = arena_alloc(aw->writing.arena, value.len + 1);
        if (!query_decode(value, to, &value, e))
            return false;
        if (slice_is(name, "label") && value.len <= DOC_LABEL_MAX) {
            ch->label = value;
        } else if (slice_is(name, "purge") && ch->op == DOC_DELETE) {
            if (slice_is(value, "true"))
                ch->op = DOC_PURGE;
        } else {
            return err_set(e, ERR_MALFORMED, "There is no parameter %.*s here.",
                           SLICE_ARGS(slice_first(name, 60)));
        }
    }
    return true;
}

static bool is_about(const struct call *call, size_t at, const char *word)
{
    return call->n_segments == at + 1 && slice_is(call->segments[at], word);
}

/* Which operation the method and the path are; false: none that a batch has. */
static bool find_op(const struct call *call, struct slice method, struct doc_change *ch)
{
    bool is_post = slice_is(method, "POST");
    uint64_t version;
    if (call->n_segments == 1 && is_post) {
        ch->op = DOC_CREATE;
    } else if (call->n_segments == 2) {
        ch->op = slice_is(method, "GET")      ? DOC_READ
                 : slice_is(method, "PUT")    ? DOC_PUT
                 : slice_is(method, "PATCH")  ? DOC_MERGE
                 : slice_is(method, "DELETE") ? DOC_DELETE
                                              : DOC_CREATE;
        return ch->op != DOC_CREATE;
    } else if (is_post && is_about(call, 2, "restore")) {
        ch->op = DOC_RESTORE;
    } else if (is_post && is_about(call, 4, "restore") && slice_is(call->segments[2], "versions") &&
               slice_to_u64(call->segments[3], &version) && version <= INT64_MAX) {
        ch->op = DOC_REVERT;
        ch->version = (int64_t)version;
    } else {
        return false;
    }
    return true;
}

static bool needs_body(const struct doc_change *ch)
{
    return ch->op == DOC_CREATE || ch->op == DOC_PUT || ch->op == DOC_MERGE;
}

static bool take_body(struct api_write *aw, size_t at, const struct json *body,
                      struct doc_change *ch, struct err *e)
{
    if (!needs_body(ch))
        return !body || err_set(e, ERR_MALFORMED, "This request takes no `body`.");
    if (!body)
        return err_set(e, ERR_MALFORMED, "This request needs a `body`.");
    if (ch->op == DOC_MERGE && json_type(body) == JSON_ARRAY)
        ch->op = DOC_PATCH;
    ch->body = body;
    return resolve_body(aw, at, body, e);
}

static struct slice new_id(struct arena *a)
{
    char id[ID_LEN + 1];
    random_id(id);
    return arena_dup(a, (struct slice){id, ID_LEN});
}

static bool take_id(struct api_write *aw, const struct call *call, struct doc_change *ch,
                    struct err *e)
{
    const struct json *own = json_find(ch->body, SLICE("id"));
    if (ch->op != DOC_CREATE) {
        ch->id = call->segments[1];
        return true;
    }
    if (own && json_type(own) != JSON_STRING)
        return err_set(e, ERR_INVALID, "The id of a document must be text.");
    ch->id = own ? json_str(own) : new_id(aw->writing.arena);
    return true;
}

static bool known_members(const struct json *request, struct err *e)
{
    json_each (it, request) {
        if (!slice_is(it.key, "method") && !slice_is(it.key, "path") && !slice_is(it.key, "body") &&
            !slice_is(it.key, "if_match"))
            return err_set(e, ERR_MALFORMED, "A request of a batch has no member %.*s.",
                           SLICE_ARGS(slice_first(it.key, 60)));
    }
    return json_type(request) == JSON_OBJECT ||
           err_set(e, ERR_MALFORMED, "A request of a batch is an object.");
}

static bool read_request(struct api_write *aw, size_t at, const struct json *request, struct err *e)
{
    const struct api *a = aw->rq->site;
    struct doc_change *ch = &aw->writing.changes[at];
    struct call call = {0};
    if (!known_members(request, e) ||
        !cut_path(aw, at, json_str(json_find(request, SLICE("path"))), &call, e))
        return false;
    if (!find_op(&call, json_str(json_find(request, SLICE("method"))), ch))
        return err_set(
            e, ERR_MALFORMED,
            "A batch has calls of documents only: POST /NAME, GET, PUT, PATCH and DELETE "
            "/NAME/ID, POST …/restore.");
    ch->coll = docs_find(a->docs, call.segments[0]);
    if (!ch->coll)
        return err_set(e, ERR_NOT_FOUND, "There is no collection %.*s.",
                       SLICE_ARGS(slice_first(call.segments[0], 60)));
    return take_body(aw, at, json_find(request, SLICE("body")), ch, e) &&
           take_id(aw, &call, ch, e) && read_params(aw, &call, ch, e) &&
           read_etag(aw, json_find(request, SLICE("if_match")), &ch->match, e);
}

/* ---- the answer ------------------------------------------------------------------------------ */

static void write_response(struct json_writer *w, const struct doc_change *ch)
{
    char etag[32];
    bool is_gone = ch->op == DOC_DELETE || ch->op == DOC_PURGE;
    json_write_object(w);
    json_write_key(w, SLICE("status"));
    json_write_i64(w, is_gone ? 204 : ch->is_created ? 201 : 200);
    if (!is_gone) {
        snprintf(etag, sizeof etag, "\"v%lld\"", (long long)ch->doc.version);
        json_write_key(w, SLICE("body"));
        if (ch->doc.text.len)
            json_write_raw(w, ch->doc.text);
        else /* not for whoever wrote it to read */
            json_write_null(w);
        json_write_key(w, SLICE("etag"));
        json_write_cstr(w, etag);
    }
    json_write_object_end(w);
}

static bool reply_batch(struct api_write *aw)
{
    struct buf b;
    struct json_writer w;
    buf_init(&b, UINT32_MAX);
    json_writer_init(&w, &b, 0);
    json_write_object(&w);
    json_write_key(&w, SLICE("responses"));
    json_write_array(&w);
    for (size_t i = 0; i < aw->writing.n; i++)
        write_response(&w, &aw->writing.changes[i]);
    json_write_array_end(&w);
    json_write_object_end(&w);
    struct slice text = arena_dup(aw->rq->arena, buf_slice(&b));
    buf_done(&b);
    return api_reply_json(aw->rq, 200, text);
}

struct slice batch_details(const struct api_write *aw, const struct err *e)
{
    const struct docs_writing *dw = &aw->writing;
    struct json_doc own = {0};
    struct json_writer w;
    struct buf b, pointer;
    struct err never;
    buf_init(&b, 4u << 20);
    buf_init(&pointer, 1u << 16);
    buf_printf(&pointer, "/requests/%zu", dw->failed);
    size_t start = pointer.len;
    json_writer_init(&w, &b, 0);
    json_write_array(&w);
    json_write_object(&w);
    json_write_key(&w, SLICE("pointer"));
    json_write_str(&w, buf_slice(&pointer));
    json_write_key(&w, SLICE("code"));
    json_write_cstr(&w, err_slug(e->code));
    json_write_key(&w, SLICE("message"));
    json_write_cstr(&w, e->msg);
    json_write_object_end(&w);
    struct slice details = dw->changes[dw->failed].details;
    if (details.len && json_parse(&own, aw->rq->arena, details, NULL, &never)) {
        json_each (it, json_root(&own)) {
            json_write_object(&w);
            json_each (member, it.value) {
                bool is_pointer = slice_is(member.key, "pointer");
                buf_truncate(&pointer, start);
                buf_add_str(&pointer, "/body");
                buf_add(&pointer, json_str(member.value));
                json_write_key(&w, member.key);
                if (is_pointer)
                    json_write_str(&w, buf_slice(&pointer));
                else
                    json_write_value(&w, member.value);
            }
            json_write_object_end(&w);
        }
    }
    json_write_array_end(&w);
    struct slice text = arena_dup(aw->rq->arena, buf_slice(&b));
    buf_done(&b);
    buf_done(&pointer);
    return text;
}

/* ---- the request ----------------------------------------------------------------------------- */

static bool read_requests(struct api_write *aw, const struct json *requests, struct err *e)
{
    struct docs_writing *w = &aw->writing;
    json_each (it, requests) {
        w->failed = it.index;
        if (!read_request(aw, it.index, it.value, e)) {
            aw->rq->details = batch_details(aw, e);
            return false;
        }
    }
    return true;
}

static bool on_batch(struct req *rq, struct err *e)
{
    if (rq->body.len > API_INLINE_MAX && !rq->is_on_lane)
        return api_move_write(rq, e);
    const struct json *body = api_body(rq, e);
    if (!body)
        return false;
    const struct json *requests = json_find(body, SLICE("requests"));
    size_t n = json_len(requests);
    if (json_type(requests) != JSON_ARRAY || n == 0 || n > DOCS_BATCH_MAX || json_len(body) != 1)
        return err_set(
            e, ERR_MALFORMED,
            "A batch is {\"requests\":[…]} with 1 to %d requests, each {\"method\",\"path\","
            "\"body\",\"if_match\"}.",
            DOCS_BATCH_MAX);
    struct api_write *aw = api_write_new(rq, n, e);
    if (!aw)
        return false;
    aw->is_batch = true;
    aw->reply = reply_batch;
    return read_requests(aw, requests, e) && api_write_go(aw, e);
}
