/* POST /batch: several changes, all of them or none. What a request of it says is turned into the
 * same doc_change that a call of its own would be. */
#include "api/api_impl.h"

#include "base/random.h"

#include <stdio.h>

#define SEGMENTS_MAX 5

/*        method         segments, the last in words  what                body */
static const struct call {
    const char *method;
    size_t n_segments;
    const char *third, *last;
    enum doc_op op;
    bool has_body;
} calls[] = {
    {"POST", 1, NULL, NULL, DOC_CREATE, true},
    {"GET", 2, NULL, NULL, DOC_READ, false},
    {"PUT", 2, NULL, NULL, DOC_PUT, true},
    {"PATCH", 2, NULL, NULL, DOC_MERGE, true},
    {"DELETE", 2, NULL, NULL, DOC_DELETE, false},
    {"POST", 3, "restore", "restore", DOC_RESTORE, false},
    {"POST", 5, "versions", "restore", DOC_REVERT, false},
};

struct item {
    struct req *rq;
    struct doc_change *changes; /* all of the batch */
    size_t at;
    const struct json *said;
    struct slice segments[SEGMENTS_MAX];
    size_t n_segments;
};

/* ---- "$0.id" --------------------------------------------------------------------------------- */

/* 1: it is the id of an earlier one, 0: it is a text like any other, -1: of none that is earlier */
static int resolve(const struct item *it, struct slice text, struct slice *ret)
{
    struct slice number;
    uint64_t at;
    if (!slice_starts(text, SLICE("$")) || !slice_ends(text, SLICE(".id")))
        return 0;
    number = slice_first(slice_skip(text, 1), text.len - 4);
    if (!slice_to_u64(number, &at))
        return 0;
    if (at >= it->at)
        return -1;
    *ret = it->changes[at].id;
    return 1;
}

static bool tell_unknown(const struct item *it, struct slice text, struct err *e)
{
    return err_set(e, ERR_INVALID, "%.*s is no request before the %zuth.",
                   SLICE_ARGS(slice_first(text, 24)), it->at);
}

/* In the copy of the body's tree; as deep as bodies are. */
static bool resolve_all(const struct item *it, struct json *copy, const struct json *from,
                        const struct json *v, struct err *e)
{
    struct slice id = {0};
    int found = json_type(v) == JSON_STRING ? resolve(it, json_str(v), &id) : 0;
    if (found < 0)
        return tell_unknown(it, json_str(v), e);
    if (found) {
        copy[v - from].ptr = id.ptr;
        copy[v - from].len = (uint32_t)id.len;
    }
    json_each (child, v) {
        if (!resolve_all(it, copy, from, child.value, e))
            return false;
    }
    return true;
}

static const struct json *resolved_body(const struct item *it, const struct json *body,
                                        struct err *e)
{
    size_t n = json_type(body) >= JSON_ARRAY ? body->span : 1;
    struct json *copy = arena_try_alloc(it->rq->arena, n * sizeof *copy);
    if (!copy) {
        err_set(e, ERR_BODY_TOO_LARGE, "The batch has too many values.");
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        copy[i] = body[i];
    return resolve_all(it, copy, body, body, e) ? copy : NULL;
}

/* ---- one request of it ----------------------------------------------------------------------- */

static bool is_not_too_often(const struct item *it, const struct call *call, struct err *e)
{
    const struct api *a = it->rq->site;
    struct slice path = json_str(json_find(it->said, SLICE("path"))), head = path;
    slice_cut(&path, '?', &head);
    return !a->count || a->count(a->user, it->rq, slice_from(call->method), head, e);
}

static bool split_path(struct item *it, struct slice *ret_query, struct err *e)
{
    const struct api *a = it->rq->site;
    struct slice whole = json_str(json_find(it->said, SLICE("path"))), path, rest = whole, segment;
    if (!slice_cut(&rest, '?', &path) || !slice_starts(path, a->manifest->api.s))
        return err_set(e, ERR_MALFORMED, "The path of a request in a batch starts with %.*s.",
                       SLICE_ARGS(a->manifest->api.s));
    *ret_query = rest;
    path = slice_skip(path, a->manifest->api.s.len);
    while (slice_cut(&path, '/', &segment)) {
        if (it->n_segments == SEGMENTS_MAX)
            return err_set(e, ERR_MALFORMED, "There is nothing at this path for a batch.");
        if (resolve(it, segment, &segment) < 0)
            return tell_unknown(it, segment, e);
        it->segments[it->n_segments++] = segment;
    }
    return true;
}

static const struct call *find_call(const struct item *it, struct err *e)
{
    struct slice method = json_str(json_find(it->said, SLICE("method")));
    bool is_batch = it->n_segments && slice_is(it->segments[0], "batch");
    size_t n = is_batch ? 0 : it->n_segments; /* none in another */
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        const struct call *c = &calls[i];
        if (slice_is(method, c->method) && n == c->n_segments &&
            (!c->third || slice_is(it->segments[2], c->third)) &&
            (!c->last || slice_is(it->segments[n - 1], c->last)))
            return c;
    }
    err_set(e, ERR_MALFORMED,
            "A batch creates, reads, puts, patches, deletes and restores documents; this is none"
            " of it.");
    return NULL;
}

static bool read_body(struct item *it, const struct call *call, struct doc_change *ch,
                      struct err *e)
{
    const struct json *body = json_find(it->said, SLICE("body"));
    if (!call->has_body)
        return true;
    if (!body)
        return err_set(e, ERR_INVALID, "A %s needs a body.", call->method);
    ch->body = resolved_body(it, body, e);
    if (ch->op == DOC_MERGE && json_type(ch->body) == JSON_ARRAY)
        ch->op = DOC_PATCH;
    return ch->body != NULL;
}

/* Later ones may refer to it, so that it is known before it is planned. */
static void choose_id(struct item *it, struct doc_change *ch)
{
    char text[ID_LEN + 1];
    const struct json *own = json_find(ch->body, SLICE("id"));
    if (it->n_segments > 1) {
        ch->id = it->segments[1];
    } else if (own && json_type(own) != JSON_NULL) {
        ch->id = json_str(own); /* the plan says if it is none */
    } else {
        random_id(text);
        ch->id = arena_dup(it->rq->arena, (struct slice){text, ID_LEN});
    }
}

static bool read_match(struct item *it, struct doc_change *ch, struct err *e)
{
    const struct json *wanted = json_find(it->said, SLICE("if_match"));
    if (!wanted || json_type(wanted) == JSON_NULL)
        return true;
    return api_match_tags(it->rq->arena, json_str(wanted), &ch->match, e);
}

static bool are_known(const struct json *said, struct err *e)
{
    static const char *const names[] = {"method", "path", "body", "if_match"};
    if (json_type(said) != JSON_OBJECT)
        return err_set(e, ERR_INVALID, "A request of a batch is an object.");
    json_each (it, said) {
        size_t i = 0;
        while (i < sizeof names / sizeof *names && !slice_is(it.key, names[i]))
            i++;
        if (i == sizeof names / sizeof *names)
            return err_set(e, ERR_INVALID,
                           "A request of a batch has method, path, body and if_match; not %.*s.",
                           SLICE_ARGS(slice_first(it.key, 40)));
    }
    return true;
}

static bool read_item(struct item *it, struct err *e)
{
    const struct api *a = it->rq->site;
    struct doc_change *ch = &it->changes[it->at];
    struct req asks = *it->rq; /* with a query of its own */
    const struct call *call;
    if (!are_known(it->said, e) || !split_path(it, &asks.query, e) || !(call = find_call(it, e)) ||
        !is_not_too_often(it, call, e))
        return false;
    ch->op = call->op;
    ch->coll = a->docs ? docs_find(a->docs, it->segments[0]) : NULL;
    if (!ch->coll)
        return err_set(e, ERR_NOT_FOUND, "There is no collection %.*s.",
                       SLICE_ARGS(slice_first(it->segments[0], 60)));
    if (call->op == DOC_REVERT && !api_version(it->segments[3], &ch->version, e))
        return false;
    if (!read_body(it, call, ch, e) || !read_match(it, ch, e) || !api_change_params(&asks, ch, e))
        return false;
    choose_id(it, ch);
    return true;
}

/* ---- what is wrong with one ------------------------------------------------------------------ */

static void write_detail(struct json_writer *w, size_t at, struct slice pointer, struct slice code,
                         struct slice message)
{
    struct buf b;
    buf_init(&b, 1u << 20);
    buf_printf(&b, "/requests/%zu", at);
    buf_add(&b, pointer);
    json_write_object(w);
    json_write_key(w, SLICE("pointer"));
    json_write_str(w, buf_slice(&b));
    json_write_key(w, SLICE("code"));
    json_write_str(w, code);
    json_write_key(w, SLICE("message"));
    json_write_str(w, message);
    json_write_object_end(w);
    buf_done(&b);
}

/* Pointers into a document are pointers into its body. */
struct slice api_batch_details(struct arena *a, size_t at, struct slice details,
                               const struct err *e)
{
    struct json_doc doc = {0};
    struct json_writer w;
    struct buf b;
    bool has_details = details.len && json_parse(&doc, a, details, NULL, NULL);
    buf_init(&b, 1u << 20);
    json_writer_init(&w, &b, 0);
    json_write_array(&w);
    json_each (it, has_details ? json_root(&doc) : NULL) {
        struct slice pointer = json_str(json_find(it.value, SLICE("pointer")));
        write_detail(&w, at, arena_printf(a, "/body%.*s", SLICE_ARGS(pointer)),
                     json_str(json_find(it.value, SLICE("code"))),
                     json_str(json_find(it.value, SLICE("message"))));
    }
    if (!has_details)
        write_detail(&w, at, SLICE(""), slice_from(err_slug(e->code)), slice_from(e->msg));
    json_write_array_end(&w);
    struct slice text = b.full ? SLICE("") : arena_dup(a, buf_slice(&b));
    buf_done(&b);
    return text;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int status_of(const struct doc_change *ch)
{
    if (ch->op == DOC_DELETE || ch->op == DOC_PURGE)
        return 204;
    return ch->is_created ? 201 : ch->doc.text.len ? 200 : 204;
}

static void write_response(struct json_writer *w, const struct doc_change *ch)
{
    char tag[32];
    bool is_gone = ch->op == DOC_DELETE || ch->op == DOC_PURGE;
    snprintf(tag, sizeof tag, "\"v%lld\"", (long long)ch->doc.version);
    json_write_object(w);
    json_write_key(w, SLICE("status"));
    json_write_i64(w, status_of(ch));
    json_write_key(w, SLICE("body"));
    if (ch->doc.text.len)
        json_write_raw(w, ch->doc.text);
    else
        json_write_null(w);
    json_write_key(w, SLICE("etag"));
    json_write_cstr(w, is_gone ? NULL : tag);
    json_write_object_end(w);
}

static bool reply_batch(struct api_write *aw)
{
    struct json_writer w;
    struct buf *b = arena_new(aw->rq->arena, struct buf);
    buf_init(b, DOCS_SHOWN_MAX + (1u << 20));
    arena_defer(aw->rq->arena, api_free_buf, b);
    json_writer_init(&w, b, 0);
    json_write_object(&w);
    json_write_key(&w, SLICE("responses"));
    json_write_array(&w);
    for (size_t i = 0; i < aw->writing.n; i++)
        write_response(&w, &aw->writing.changes[i]);
    json_write_array_end(&w);
    json_write_object_end(&w);
    return api_reply_json(aw->rq, 200, buf_slice(b));
}

static const struct json *read_requests(struct req *rq, struct err *e)
{
    static const char *const none[] = {NULL};
    const struct json *body =
        api_params_known(rq, none, e) && api_is_json(rq, e) ? api_body(rq, e) : NULL;
    const struct json *requests = json_find(body, SLICE("requests"));
    if (!body)
        return NULL;
    if (json_type(requests) == JSON_ARRAY && json_len(requests) > 0 &&
        json_len(requests) <= DOCS_BATCH_MAX)
        return requests;
    err_set(e, ERR_INVALID, "A batch is {\"requests\": [...]} with 1 to %d requests.",
            DOCS_BATCH_MAX);
    rq->details =
        SLICE("[{\"pointer\":\"/requests\",\"code\":\"requests\",\"message\":\"must be a list of"
              " 1 to 100 requests\"}]");
    return NULL;
}

/* Its requests are counted once, so what would move moves before. */
static bool is_for_lane(const struct req *rq)
{
    const struct api *a = rq->site;
    if (rq->is_on_lane || !a->docs)
        return false;
    if (rq->body.len > API_INLINE_MAX || !docs_enter(a->docs))
        return true;
    docs_leave_quietly(a->docs);
    return false;
}

static bool on_batch(struct req *rq, struct err *e)
{
    if (is_for_lane(rq))
        return api_move_write(rq, e);
    req_keep(rq);
    const struct json *requests = read_requests(rq, e);
    struct api_write *aw = requests ? api_write_new(rq, json_len(requests), e) : NULL;
    if (!aw)
        return false;
    aw->reply = reply_batch;
    aw->is_batch = true;
    json_each (it, requests) {
        struct item item = {
            .rq = rq, .changes = aw->writing.changes, .at = it.index, .said = it.value};
        if (!read_item(&item, e)) {
            rq->details = api_batch_details(rq->arena, it.index, SLICE(""), e);
            return false;
        }
    }
    return api_write_go(aw, e);
}

const struct route batch_routes[] = {
    {.path = "/batch",
     .name = "batch",
     .methods = ON_POST,
     .handle = on_batch,
     .max_body = API_BODY_MAX},
};
const size_t n_batch_routes = sizeof batch_routes / sizeof *batch_routes;
