/* GET …/export: all documents of a collection that the subject may read, as lines, however many;
 * for auth_export.c those of all collections that the subject owns, after lines of its own, the
 * list of its files, and its jobs.
 *
 *   on_export   on a lane: the first page, so that what is wrong is an answer and not half a file
 *   pull        the connection takes what it has room for; when all of a page is taken:
 *   fetch       a lane reads the next page into `page`, as lines
 *   next_page   after the last: the end; where reading failed the connection is cut, since nobody
 *               must take half of it for all
 *
 * Each page is read in a transaction of its own, so that a slow client holds up nobody. What is
 * changed meanwhile may be in it or not; each document is there once, in the order of the ids. */
#include "api/auth_impl.h"
#include "api/csv_impl.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_DOCS  500
#define PAGE_BYTES (256u << 20) /* at worst; of common documents a page has 1 MB */
#define OWN_BYTES  (1u << 20)

enum owned_part { PART_DOCS, PART_FILES, PART_JOBS, PART_NONE };

struct export
{
    struct source source;
    struct work work;
    struct loop *loop;
    struct service *service; /* keeps docs and collection */
    struct docs *docs;       /* we are in its database until the end */
    const struct doc_coll *coll;
    struct arena arena; /* the subject, the filter, the columns */
    struct subject who;
    struct slice filter;
    struct csv *csv; /* NULL: JSON lines */
    char after[DOC_ID_MAX];
    size_t after_len, taken; /* taken: of the page */
    struct buf page;
    struct err err;
    bool has_failed, is_last, is_out, is_closed;
    bool is_owned;       /* of one collection after the other, each line with its name */
    size_t at;           /* the next of them */
    struct files *files; /* whose list follows, then jobs; NULL: none; in their databases as well */
    struct jobs *jobs;
    enum owned_part part;
    struct buf part_after; /* of files and jobs */
};

static struct export *export_new(struct req *rq, const struct subject *who,
                                 const struct doc_coll *c, struct slice filter)
{
    const struct api *a = rq->site;
    struct export *x = mem_new(struct export);
    arena_init(&x->arena, OWN_BYTES);
    buf_init(&x->page, PAGE_BYTES);
    buf_init(&x->part_after, 4 * FILE_PATH_MAX);
    x->loop = rq->loop;
    x->service = rq->service;
    service_ref(x->service);
    x->docs = a->docs;
    x->coll = c;
    subject_copy(who, &x->arena, &x->who);
    x->filter = arena_dup(&x->arena, filter);
    return x;
}

static void export_free(struct export *x)
{
    if (x->docs)
        docs_leave(x->docs);
    if (x->files)
        files_leave(x->files);
    if (x->jobs)
        jobs_leave(x->jobs);
    buf_done(&x->part_after);
    service_unref(x->service);
    buf_done(&x->page);
    arena_done(&x->arena);
    free(x);
}

/* ---- on a lane ------------------------------------------------------------------------------- */

static void add_line(struct export *x, struct slice text)
{
    struct slice name = doc_coll_conf(x->coll)->name.s; /* letters, digits, _ and - */
    if (x->is_owned)
        buf_printf(&x->page, "{\"collection\":\"%.*s\",\"document\":", SLICE_ARGS(name));
    buf_add(&x->page, text);
    buf_add_str(&x->page, x->is_owned ? "}\n" : "\n");
}

static bool add_lines(struct export *x, const struct docs_page *page, struct arena *a)
{
    for (size_t i = 0; i < page->n; i++) {
        if (x->csv && !csv_add(x->csv, page->items[i].text, a, &x->page, &x->err))
            return false;
        if (!x->csv)
            add_line(x, page->items[i].text);
    }
    return !x->page.full || err_set(&x->err, ERR_BODY_TOO_LARGE, "A page of it is too large.");
}

static bool read_page(struct export *x, struct docs_reading *r)
{
    struct docs_page page = {0};
    struct slice after = {x->after, x->after_len};
    if (!docs_page(r, x->coll, x->filter, after, PAGE_DOCS, &page, &x->err))
        return false;
    x->is_last = page.is_last;
    must(page.next.len <= sizeof x->after);
    memcpy(x->after, page.next.ptr, page.next.len);
    x->after_len = page.next.len;
    return add_lines(x, &page, r->arena);
}

static bool next_owned(struct export *x)
{
    if (x->docs && x->at < docs_count(x->docs)) {
        x->coll = docs_at(x->docs, x->at++);
        x->after_len = 0;
        return true;
    }
    if (x->part < PART_FILES && x->files)
        x->part = PART_FILES;
    else if (x->part < PART_JOBS && x->jobs)
        x->part = PART_JOBS;
    else
        x->part = PART_NONE;
    buf_clear(&x->part_after);
    return x->part != PART_NONE;
}

static bool read_part(struct export *x, struct docs_reading *r)
{
    struct slice next = SLICE(""), after = buf_slice(&x->part_after), id = subject_id(&x->who);
    const struct files_reading files = {
        .files = x->files, .conn = r->conn, .arena = r->arena, .who = &x->who};
    const struct jobs_reading jobs = {
        .jobs = x->jobs, .conn = r->conn, .arena = r->arena, .who = &x->who};
    bool fine = x->part == PART_FILES
                    ? files_export_owner(&files, id, after, &x->page, &next, &x->err)
                    : jobs_export_owner(&jobs, id, after, &x->page, &next, &x->err);
    if (!fine)
        return false;
    buf_clear(&x->part_after);
    buf_add(&x->part_after, next);
    x->is_last = !next.len;
    return !x->page.full || err_set(&x->err, ERR_BODY_TOO_LARGE, "A page of it is too large.");
}

/* A collection of which nothing may be read has nothing to tell; after the last page of one comes
 * the next. */
static bool read_owned(struct export *x, struct docs_reading *r)
{
    if (x->part != PART_DOCS) {
        if (!read_part(x, r))
            return false;
    } else if (!read_page(x, r)) {
        if (x->err.code != ERR_FORBIDDEN && x->err.code != ERR_UNAUTHENTICATED)
            return false;
        x->is_last = true;
    }
    if (x->is_last)
        x->is_last = !next_owned(x);
    return true;
}

static bool fetch(struct export *x)
{
    struct arena arena;
    struct docs_reading r = {.docs = x->docs, .arena = &arena, .who = &x->who};
    struct db *db = x->docs ? docs_db(x->docs) : x->files ? files_db(x->files) : jobs_db(x->jobs);
    r.conn = db_conn_take(db, &x->err);
    if (!r.conn)
        return false;
    arena_init(&arena, PAGE_BYTES);
    bool fine = x->is_owned ? read_owned(x, &r) : read_page(x, &r);
    arena_done(&arena);
    db_conn_give(r.conn);
    return fine;
}

static void run_fetch(struct work *w)
{
    struct export *x = container_of(w, struct export, work);
    x->has_failed = !fetch(x);
}

/* ---- on the loop ----------------------------------------------------------------------------- */

static void on_fetched(struct work *w, struct loop *home)
{
    struct export *x = container_of(w, struct export, work);
    (void)home;
    x->is_out = false;
    if (x->is_closed)
        export_free(x);
    else
        source_wake(&x->source);
}

static enum io next_page(struct export *x)
{
    if (x->has_failed) {
        log_line(LOG_WARN, "an export broke off", F_CSTR("reason", x->err.msg));
        return IO_FAIL;
    }
    if (x->is_last)
        return IO_EOF;
    buf_clear(&x->page);
    x->taken = 0;
    x->work = (struct work){.run = run_fetch, .done = on_fetched};
    x->is_out = lane_submit(x->loop, LANE_READ, &x->work);
    return x->is_out ? IO_MORE : IO_FAIL;
}

static enum io pull(struct source *s, struct buf *to, size_t room)
{
    struct export *x = container_of(s, struct export, source);
    if (x->is_out)
        return IO_MORE;
    struct slice left = slice_first(slice_skip(buf_slice(&x->page), x->taken), room);
    if (!left.len)
        return next_page(x);
    buf_add(to, left);
    x->taken += left.len;
    return IO_OK;
}

static void on_closed(struct source *s)
{
    struct export *x = container_of(s, struct export, source);
    x->is_closed = true;
    if (!x->is_out)
        export_free(x);
}

/* ---- the request ----------------------------------------------------------------------------- */

static bool read_format(struct slice format, bool *ret_csv, struct err *e)
{
    *ret_csv = slice_is(format, "csv");
    return *ret_csv || !format.len || slice_is(format, "jsonl") ||
           err_set(e, ERR_MALFORMED, "`format` is jsonl or csv.");
}

static bool reply_export(struct req *rq, struct export *x)
{
    const char *ending = x->csv ? "csv" : "jsonl";
    struct slice name = x->is_owned ? SLICE("account") : doc_coll_conf(x->coll)->name.s;
    reply_header(
        rq, "Content-Disposition",
        arena_printf(rq->arena, "attachment; filename=\"%.*s.%s\"", SLICE_ARGS(name), ending));
    reply_header(rq, "Cache-Control", SLICE("private, no-store"));
    reply_header(rq, "X-Content-Type-Options", SLICE("nosniff"));
    x->source = (struct source){.pull = pull, .close = on_closed};
    return reply_source(rq, 200,
                        x->csv ? "text/csv; charset=utf-8" : "application/jsonl; charset=utf-8",
                        &x->source);
}

bool export_collection(struct req *rq, struct err *e)
{
    static const char *const params[] = {"format", "filter", "fields", NULL};
    const struct api *a = rq->site;
    const struct doc_coll *c = api_coll(rq, e);
    struct slice format = SLICE(""), filter = SLICE(""), fields = SLICE("");
    struct subject who;
    bool is_csv;
    if (!c || !subject_of(rq, &who, e) || !api_params_known(rq, params, e) ||
        !api_param(rq, "format", &format, e) || !api_param(rq, "filter", &filter, e) ||
        !api_param(rq, "fields", &fields, e) || !read_format(format, &is_csv, e))
        return false;
    if (fields.len && !is_csv)
        return err_set(e, ERR_MALFORMED, "`fields` names the columns of format=csv.");
    if (!rq->is_on_lane)
        return req_move(rq, RUN_READ);
    if (!api_open(a->docs, e))
        return false;
    struct export *x = export_new(rq, &who, c, filter);
    if ((!is_csv || csv_begin(&x->csv, c, fields, &x->arena, &x->page, &x->err)) && fetch(x))
        return reply_export(rq, x);
    *e = x->err;
    export_free(x);
    return false;
}

static bool owned_failed(struct export *x, struct err *e)
{
    *e = x->err;
    export_free(x);
    return false;
}

/* On a lane. The filter is of an id, which has nothing to escape. */
bool export_owned(struct req *rq, struct slice first_lines, struct err *e)
{
    const struct api *a = rq->site;
    struct subject who;
    struct slice id;
    if (!subject_of(rq, &who, e))
        return false;
    id = subject_id(&who);
    must(auth_is_id(id));
    if (a->docs && !api_open(a->docs, e))
        return false;
    struct export *x =
        export_new(rq, &who, NULL, arena_printf(rq->arena, "owner = '%.*s'", SLICE_ARGS(id)));
    x->is_owned = true;
    if (a->files && !files_open(a->files, &x->err))
        return owned_failed(x, e);
    x->files = a->files;
    if (a->jobs && !jobs_open(a->jobs, &x->err))
        return owned_failed(x, e);
    x->jobs = a->jobs;
    buf_add(&x->page, first_lines);
    x->is_last = !next_owned(x);
    return x->is_last || fetch(x) ? reply_export(rq, x) : owned_failed(x, e);
}
