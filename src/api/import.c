/* POST …/import: documents as lines of JSON, however many, written in groups as they come.
 *
 *   opening    a lane opens the database, if nobody had; the body waits
 *   taking     bytes become lines, lines become changes that are planned at once
 *   writing    a group is with the writer: the body waits, and so does the client
 *              a document that is refused is taken out of its group, which is written without it
 *   over       the answer says how many there were, and which lines were refused and why
 *
 * A group is one transaction; the import as a whole is not, since it may be larger than any.
 * With mode=replace a line whose id is taken replaces that document: so an import that broke off
 * can be sent again. */
#include "api/api_impl.h"

#include <stdlib.h>
#include <string.h>

#define GROUP_DOCS  200
#define GROUP_BYTES (4u << 20)
#define ARENA_BYTES (512u << 20) /* of a group, at worst */
#define ERRORS_TOLD 100
#define OWN_BYTES   (1u << 20)

struct import {
    struct waiter waiter;
    struct db_write write;
    struct work work;
    struct req *rq;
    struct service *service; /* keeps docs and collection, also when the client has left */
    struct docs *docs;
    const struct doc_coll *coll;
    struct arena own; /* the subject, a copy: the writer may outlive the request */
    struct subject who;
    bool is_replacing;
    enum { OPENING, TAKING, WRITING, OVER } state;

    struct buf line; /* one that is not whole yet */
    uint64_t lines;
    bool is_line_too_long, is_last, is_closed;

    struct arena arena; /* of the group */
    struct doc_change changes[GROUP_DOCS];
    uint64_t line_of[GROUP_DOCS];
    size_t n, bytes;
    struct docs_writing writing;

    uint64_t created, replaced, failed;
    struct buf errors; /* objects with commas between */
    struct err err;    /* what ends it */
};

static void import_free(struct import *x)
{
    service_unref(x->service);
    buf_done(&x->line);
    buf_done(&x->errors);
    arena_done(&x->arena);
    arena_done(&x->own);
    free(x);
}

/* ---- the answer ------------------------------------------------------------------------------ */

static void answer(struct import *x)
{
    struct buf b;
    buf_init(&b, 8u << 20);
    buf_printf(&b, "{\"created\":%llu,\"replaced\":%llu,\"failed\":%llu,\"errors\":[",
               (unsigned long long)x->created, (unsigned long long)x->replaced,
               (unsigned long long)x->failed);
    buf_add(&b, buf_slice(&x->errors));
    buf_add(&b, SLICE("]}"));
    api_reply_json(x->rq, 200, arena_dup(x->rq->arena, buf_slice(&b)));
    buf_done(&b);
}

static void end(struct import *x)
{
    if (x->state != OPENING) /* it came in */
        docs_leave(x->docs);
    x->state = OVER;
    if (x->err.code)
        reply_error(x->rq, &x->err);
    else
        answer(x);
    waiter_answer(&x->waiter);
}

/* A line that is refused; what would refuse every line ends it all. */
static void refuse(struct import *x, uint64_t line, const struct err *e, struct slice details)
{
    int status = err_status(e->code);
    if (status >= 500 || status == 401 || status == 403) {
        x->err = *e;
        if (x->created + x->replaced)
            err_prefix(&x->err, "after %llu documents",
                       (unsigned long long)x->created + (unsigned long long)x->replaced);
        return;
    }
    if (x->failed++ >= ERRORS_TOLD)
        return;
    buf_printf(&x->errors, "%s{\"line\":%llu,\"status\":%d,\"code\":\"%s\",\"detail\":",
               x->errors.len ? "," : "", (unsigned long long)line, status, err_slug(e->code));
    json_escape(&x->errors, slice_from(e->msg), 0);
    if (details.len && details.len < 16384) {
        buf_add(&x->errors, SLICE(",\"errors\":"));
        buf_add(&x->errors, details);
    }
    buf_add_char(&x->errors, '}');
}

/* ---- lines ----------------------------------------------------------------------------------- */

static bool plan(struct import *x, struct doc_change *ch, struct slice text, struct err *e)
{
    struct json_doc doc;
    /* one that was refused in this place has left its details */
    *ch = (struct doc_change){.op = DOC_CREATE, .coll = x->coll};
    if (!json_parse(&doc, &x->arena, arena_dup(&x->arena, text), NULL, e))
        return false;
    ch->body = json_root(&doc);
    const struct json *id = json_find(ch->body, SLICE("id"));
    if (id && json_type(id) != JSON_STRING)
        return err_set(e, ERR_INVALID, "The id must be text.");
    ch->id = json_str(id);
    if (x->is_replacing && ch->id.len)
        ch->op = DOC_PUT;
    struct docs_writing one = {
        .docs = x->docs, .arena = &x->arena, .who = &x->who, .changes = ch, .n = 1};
    return docs_writing_plan(&one, e);
}

static void take_line(struct import *x, struct slice text)
{
    struct err e;
    struct doc_change *ch = &x->changes[x->n];
    const struct arena_mark before = arena_mark(&x->arena);
    x->lines++;
    text = slice_trim(text);
    if (x->is_line_too_long) {
        err_set(&e, ERR_BODY_TOO_LARGE, "A document may have at most %u MB.", DOC_BYTES_MAX >> 20);
        refuse(x, x->lines, &e, SLICE(""));
    } else if (text.len && !plan(x, ch, text, &e)) {
        refuse(x, x->lines, &e, ch->details);
        arena_rewind(&x->arena, before); /* a group of refused lines alone is never written */
    } else if (text.len) {
        x->line_of[x->n++] = x->lines;
        x->bytes += text.len;
    }
    x->is_line_too_long = false;
    buf_clear(&x->line);
}

static bool is_group_full(const struct import *x)
{
    return x->n == GROUP_DOCS || x->bytes >= GROUP_BYTES;
}

/* Up to the end of a line, or all that there is of it. */
static void take_some(struct import *x, struct slice *in)
{
    ptrdiff_t at = slice_index(*in, '\n');
    struct slice piece = at < 0 ? *in : slice_first(*in, (size_t)at);
    *in = slice_skip(*in, piece.len + (at >= 0));
    if (at >= 0 && !x->line.len && !x->is_line_too_long) {
        take_line(x, piece);
        return;
    }
    buf_add(&x->line, piece);
    if (x->line.full) {
        x->is_line_too_long = true;
        buf_clear(&x->line);
    }
    if (at >= 0)
        take_line(x, buf_slice(&x->line));
}

/* ---- groups ---------------------------------------------------------------------------------- */

static void write_group(struct import *x);

static bool run_group(struct db_write *write, struct db_conn *c, struct err *e)
{
    struct import *x = container_of(write, struct import, write);
    return docs_writing_apply(&x->writing, c, e);
}

static bool finish_group(struct db_write *write, struct db_conn *c, struct err *e)
{
    struct import *x = container_of(write, struct import, write);
    return docs_writing_finish(&x->writing, c, e);
}

static void count_group(struct import *x)
{
    for (size_t i = 0; i < x->n; i++) {
        x->created += x->changes[i].is_created;
        x->replaced += !x->changes[i].is_created;
    }
    x->n = x->bytes = 0;
    arena_reset(&x->arena);
}

/* One of the group was refused, and all of it undone: again, without that one. */
static void drop_refused(struct import *x, const struct err *e)
{
    size_t k = x->writing.failed;
    must(k < x->n);
    refuse(x, x->line_of[k], e, x->changes[k].details);
    x->n--;
    memmove(&x->changes[k], &x->changes[k + 1], (x->n - k) * sizeof *x->changes);
    memmove(&x->line_of[k], &x->line_of[k + 1], (x->n - k) * sizeof *x->line_of);
}

static void on_group(struct db_write *write, const struct err *e)
{
    struct import *x = container_of(write, struct import, write);
    struct err failure;
    if (e) {
        failure = *e;
        if (x->writing.failed >= x->n) /* it was none of them */
            x->err = failure;
        else
            drop_refused(x, &failure);
    } else {
        count_group(x);
    }
    if (x->is_closed) {
        docs_leave(x->docs);
        import_free(x);
        return;
    }
    if (x->err.code || (!x->n && x->is_last)) {
        end(x);
    } else if (x->n) {
        write_group(x);
    } else {
        x->state = TAKING;
        arena_reset(&x->arena);
        waiter_want(&x->waiter);
    }
}

static void write_group(struct import *x)
{
    x->state = WRITING;
    x->writing = (struct docs_writing){
        .docs = x->docs, .arena = &x->arena, .who = &x->who, .changes = x->changes, .n = x->n};
    x->write = (struct db_write){
        .run = run_group, .finish = finish_group, .done = on_group, .home = x->rq->loop};
    if (db_write(docs_db(x->docs), &x->write))
        return;
    err_set(&x->err, ERR_UNAVAILABLE, "Too many changes are waiting; try again in a moment.");
    end(x);
}

/* ---- the body -------------------------------------------------------------------------------- */

static void on_body(struct waiter *w, struct slice *in, bool is_last)
{
    struct import *x = container_of(w, struct import, waiter);
    if (x->state == OVER)
        *in = slice_skip(*in, in->len);
    if (x->state != TAKING)
        return;
    while (in->len && !is_group_full(x) && !x->err.code)
        take_some(x, in);
    x->is_last = is_last && !in->len;
    if (x->is_last && (x->line.len || x->is_line_too_long))
        take_line(x, buf_slice(&x->line));
    if (x->err.code)
        end(x);
    else if (x->n && (x->is_last || is_group_full(x)))
        write_group(x);
    else if (x->is_last)
        end(x);
}

static void on_close(struct waiter *w)
{
    struct import *x = container_of(w, struct import, waiter);
    x->is_closed = true;
    if (x->state == TAKING)
        docs_leave(x->docs);
    if (x->state == TAKING || x->state == OVER)
        import_free(x);
}

/* ---- the database ---------------------------------------------------------------------------- */

static void run_open(struct work *w)
{
    struct import *x = container_of(w, struct import, work);
    if (!api_open(x->docs, &x->err))
        must(x->err.code);
}

static void on_open(struct work *w, struct loop *home)
{
    struct import *x = container_of(w, struct import, work);
    (void)home;
    bool is_in = !x->err.code;
    if (x->is_closed) {
        if (is_in)
            docs_leave(x->docs);
        import_free(x);
        return;
    }
    if (!is_in) {
        end(x);
        return;
    }
    x->state = TAKING;
    if (waiter_has_body(&x->waiter))
        waiter_want(&x->waiter);
    else
        end(x);
}

/* ---- the request ----------------------------------------------------------------------------- */

static bool is_lines(struct req *rq)
{
    static const char *const types[] = {"application/jsonl", "application/x-ndjson",
                                        "application/ndjson", "application/jsonlines",
                                        "application/json"};
    struct slice type = h1_get(rq->h1, HEADER_CONTENT_TYPE), word;
    if (!type.len)
        return true;
    slice_cut(&type, ';', &word);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (slice_eq_nocase(slice_trim(word), slice_from(types[i])))
            return true;
    }
    return false;
}

static bool read_mode(struct req *rq, bool *ret_replacing, struct err *e)
{
    static const char *const params[] = {"mode", NULL};
    struct slice mode = SLICE("create");
    if (!api_params_known(rq, params, e) || !api_param(rq, "mode", &mode, e))
        return false;
    *ret_replacing = slice_is(mode, "replace");
    return *ret_replacing || slice_is(mode, "create") ||
           err_set(e, ERR_MALFORMED, "`mode` is create or replace.");
}

static struct import *import_new(struct req *rq, const struct doc_coll *c,
                                 const struct subject *who, bool is_replacing)
{
    const struct api *a = rq->site;
    struct import *x = mem_new(struct import);
    x->waiter = (struct waiter){.body = on_body, .close = on_close};
    x->rq = rq;
    x->service = rq->service;
    service_ref(x->service);
    x->docs = a->docs;
    x->coll = c;
    x->is_replacing = is_replacing;
    arena_init(&x->own, OWN_BYTES);
    subject_copy(who, &x->own, &x->who);
    buf_init(&x->line, DOC_BYTES_MAX);
    buf_init(&x->errors, 4u << 20);
    arena_init(&x->arena, ARENA_BYTES);
    return x;
}

bool import_collection(struct req *rq, struct err *e)
{
    const struct doc_coll *c = api_coll(rq, e);
    struct subject who;
    bool is_replacing;
    if (!c || !read_mode(rq, &is_replacing, e) || !subject_of(rq, &who, e))
        return false;
    if (!is_lines(rq))
        return err_set(e, ERR_MEDIA_TYPE,
                       "Send a document per line, with Content-Type: application/jsonl.");
    struct import *x = import_new(rq, c, &who, is_replacing);
    x->work = (struct work){.run = run_open, .done = on_open};
    if (!lane_submit(rq->loop, LANE_WRITE, &x->work)) {
        import_free(x);
        return err_set(e, ERR_UNAVAILABLE, "Too much work is waiting; try again in a moment.");
    }
    return reply_later(rq, &x->waiter);
}
