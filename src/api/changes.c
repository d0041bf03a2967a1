/* Changing documents: what a request says, and what it is answered when the change is done. */
#include "api/api_impl.h"

#include "base/utf8.h"

/* ---- what the request says ------------------------------------------------------------------- */

static bool read_label(struct req *rq, struct slice *ret, struct err *e)
{
    struct slice rest;
    size_t n = 0;
    if (!api_param(rq, "label", ret, e))
        return false;
    for (rest = *ret; rest.len; n++) {
        size_t length = utf8_length(rest);
        if (!length || utf8_is_control(rest))
            return err_set(e, ERR_MALFORMED, "A label is text without control characters.");
        rest = slice_skip(rest, length);
    }
    return n <= DOC_LABEL_MAX ||
           err_set(e, ERR_MALFORMED, "A label has at most %d characters.", DOC_LABEL_MAX);
}

static bool read_purge(struct req *rq, struct doc_change *ch, struct err *e)
{
    struct slice purge = {0};
    if (!api_param(rq, "purge", &purge, e))
        return false;
    if (slice_is(purge, "true"))
        ch->op = DOC_PURGE;
    return !purge.ptr || slice_is(purge, "true") || slice_is(purge, "false") ||
           err_set(e, ERR_MALFORMED, "purge is true or false.");
}

bool api_change_params(struct req *rq, struct doc_change *ch, struct err *e)
{
    static const char *const label[] = {"label", NULL}, *const purge[] = {"purge", NULL},
                             *const none[] = {NULL};
    if (ch->op == DOC_DELETE)
        return api_params_known(rq, purge, e) && read_purge(rq, ch, e);
    if (ch->op == DOC_RESTORE || ch->op == DOC_READ)
        return api_params_known(rq, none, e);
    return api_params_known(rq, label, e) && read_label(rq, &ch->label, e);
}

/* "v3" gives 3; any other tag is of no version of ours. */
static int64_t version_of(struct slice tag)
{
    uint64_t n = 0;
    bool is_ours = slice_starts(tag, SLICE("\"v")) && slice_ends(tag, SLICE("\"")) &&
                   slice_to_u64(slice_first(slice_skip(tag, 2), tag.len - 3), &n);
    return is_ours && n <= INT64_MAX ? (int64_t)n : 0;
}

static bool tell_match(struct err *e)
{
    return err_set(e, ERR_MALFORMED,
                   "If-Match is an ETag such as \"v3\", several with commas, or *.");
}

/* Weak tags compare with nothing here. */
bool api_match_tags(struct arena *a, struct slice list, struct doc_match *m, struct err *e)
{
    int64_t *versions = arena_alloc(a, (list.len / 2 + 1) * sizeof *versions);
    struct slice tag;
    list = slice_trim(list);
    m->is_given = true;
    m->is_any = slice_is(list, "*");
    m->versions = versions;
    while (list.len && !m->is_any) {
        if (!etag_next(&list, &tag))
            return tell_match(e);
        versions[m->n++] = version_of(tag);
    }
    return m->is_any || m->n > 0 || tell_match(e);
}

static bool read_match(struct req *rq, struct doc_match *ret, struct err *e)
{
    struct slice wanted = api_lines(rq, HEADER_IF_MATCH, rq->arena),
                 not = api_lines(rq, HEADER_IF_NONE_MATCH, rq->arena);
    *ret = (struct doc_match){.is_absent = slice_is(slice_trim(not ), "*")};
    return !wanted.ptr || api_match_tags(rq->arena, wanted, ret, e);
}

static bool is_type(struct slice type, const char *name)
{
    struct slice head = {0};
    return slice_cut(&type, ';', &head) && slice_eq_nocase(slice_trim(head), slice_from(name));
}

const struct json *api_body(struct req *rq, struct err *e)
{
    struct json_doc doc;
    doc_arena_grow(rq->arena, rq->body.len);
    return doc_parse(rq->arena, rq->body, NULL, &doc, e) ? json_root(&doc) : NULL;
}

static bool read_body(struct req *rq, struct doc_change *ch, struct err *e)
{
    ch->body = api_body(rq, e);
    return ch->body != NULL;
}

bool api_is_json(struct req *rq, struct err *e)
{
    struct slice type = h1_get(rq->h1, HEADER_CONTENT_TYPE);
    return !type.len || is_type(type, "application/json") ||
           err_set(e, ERR_MEDIA_TYPE, "Send JSON, with Content-Type: application/json.");
}

static bool read_json(struct req *rq, struct doc_change *ch, struct err *e)
{
    return api_is_json(rq, e) && read_body(rq, ch, e);
}

#define MERGE_TYPE "application/merge-patch+json"
#define PATCH_TYPE "application/json-patch+json"

static bool read_patch(struct req *rq, struct doc_change *ch, struct err *e)
{
    struct slice type = h1_get(rq->h1, HEADER_CONTENT_TYPE);
    bool is_list = is_type(type, PATCH_TYPE);
    if (type.len && !is_list && !is_type(type, MERGE_TYPE) && !is_type(type, "application/json")) {
        reply_always(rq,
                     SLICE("Accept-Patch: " MERGE_TYPE ", " PATCH_TYPE ", application/json\r\n"));
        return err_set(e, ERR_MEDIA_TYPE,
                       "Send a JSON Merge Patch (" MERGE_TYPE ") or a JSON Patch (" PATCH_TYPE
                       ").");
    }
    ch->op = is_list ? DOC_PATCH : DOC_MERGE;
    return read_body(rq, ch, e);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void add_location(struct req *rq, const struct doc_change *ch)
{
    const struct api *a = rq->site;
    reply_header(rq, "Location",
                 arena_printf(rq->arena, "%.*s%.*s%.*s/%.*s", SLICE_ARGS(rq->mount),
                              SLICE_ARGS(a->manifest->api.s),
                              SLICE_ARGS(doc_coll_conf(ch->coll)->name.s), SLICE_ARGS(ch->doc.id)));
}

/* Who may not read what they wrote is told that it is written. */
static bool reply_unseen(struct req *rq, const struct doc_change *ch)
{
    reply_header(rq, "ETag", arena_printf(rq->arena, "\"v%lld\"", (long long)ch->doc.version));
    if (ch->is_created)
        return api_reply_json(rq, 201, SLICE(""));
    return reply_empty(rq, 204);
}

static bool reply_changed(struct api_write *aw)
{
    struct req *rq = aw->rq;
    const struct doc_change *ch = &aw->writing.changes[0];
    if (ch->op == DOC_DELETE || ch->op == DOC_PURGE)
        return reply_empty(rq, 204);
    if (ch->is_created)
        add_location(rq, ch);
    if (!ch->doc.text.len)
        return reply_unseen(rq, ch);
    reply_header(rq, "ETag", arena_printf(rq->arena, "\"v%lld\"", (long long)ch->doc.version));
    return api_reply_json(rq, ch->is_created ? 201 : 200, ch->doc.text);
}

/* ---- handlers -------------------------------------------------------------------------------- */

typedef bool (*change_reader)(struct req *rq, struct doc_change *ch, struct err *e);

/* A large body is read where nobody else waits. */
static bool go(struct req *rq, const struct doc_coll *c, struct doc_change ch, change_reader read,
               struct err *e)
{
    if (rq->body.len > API_INLINE_MAX && !rq->is_on_lane)
        return api_move_write(rq, e);
    struct api_write *aw = api_write_new(rq, 1, e);
    if (!aw)
        return false;
    ch.coll = c;
    if (ch.op != DOC_CREATE)
        ch.id = req_param(rq, "id");
    if (!api_change_params(rq, &ch, e) || !read_match(rq, &ch.match, e) ||
        (read && !read(rq, &ch, e)))
        return false;
    aw->reply = reply_changed;
    aw->writing.changes[0] = ch;
    if (api_write_go(aw, e))
        return true;
    if (e->code == ERR_METHOD)
        reply_header(rq, "Allow", SLICE("GET, HEAD, DELETE"));
    return false;
}

bool api_create(struct req *rq, const struct doc_coll *c, struct err *e)
{
    return go(rq, c, (struct doc_change){.op = DOC_CREATE}, read_json, e);
}

bool api_change(struct req *rq, const struct doc_coll *c, struct err *e)
{
    if (rq->method == METHOD_DELETE)
        return go(rq, c, (struct doc_change){.op = DOC_DELETE}, NULL, e);
    if (rq->method == METHOD_PUT)
        return go(rq, c, (struct doc_change){.op = DOC_PUT}, read_json, e);
    return go(rq, c, (struct doc_change){.op = DOC_MERGE}, read_patch, e);
}

static bool on_restore(struct req *rq, struct err *e)
{
    const struct doc_coll *c = api_coll(rq, e);
    return c && go(rq, c, (struct doc_change){.op = DOC_RESTORE}, NULL, e);
}

static bool on_revert(struct req *rq, struct err *e)
{
    const struct doc_coll *c = api_coll(rq, e);
    int64_t version = 0;
    return c && api_version(req_param(rq, "n"), &version, e) &&
           go(rq, c, (struct doc_change){.op = DOC_REVERT, .version = version}, NULL, e);
}

const struct route change_routes[] = {
    {.path = "/{c}/{id}/restore",
     .name = "restore",
     .methods = ON_POST,
     .handle = on_restore,
     .max_body = API_INLINE_MAX},
    {.path = "/{c}/{id}/versions/{n}/restore",
     .name = "restore version",
     .methods = ON_POST,
     .handle = on_revert,
     .max_body = API_INLINE_MAX},
};
const size_t n_change_routes = sizeof change_routes / sizeof *change_routes;
