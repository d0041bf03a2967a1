/* export.run: all documents of a collection, as lines, as a file in a bucket; as the app itself.
 *
 * Each page is read in a transaction of its own and written before the next: memory is constant.
 * What is changed meanwhile may be in it or not; each document is there once, by its id. */
#include "base/clock.h"
#include "base/nearest.h"
#include "tasks/tasks_impl.h"

#include <string.h>

#define MEMBERS    "collection bucket path format"
#define PAGE_DOCS  500
#define PAGE_BYTES (256u << 20) /* at worst; of common documents a page has 1 MB */
#define PIECE      (1u << 20)
#define ALL        1000000 /* of progress */

struct export_run {
    const struct task_place *place;
    struct task_call *task;
    const struct doc_coll *coll;
    struct identity identity;
    struct subject who;
    struct file_out out;
    struct buf lines;
    char after[DOC_ID_MAX];
    size_t after_len;
    uint64_t n, total; /* total 0: nobody knows */
    bool is_last;
};

/* ---- what is wanted ----------------------------------------------------------------------------
 */

static bool find_collection(struct export_run *x, struct slice name, struct err *e)
{
    x->coll = x->place->docs ? docs_find(x->place->docs, name) : NULL;
    return x->coll || err_set(e, ERR_INVALID, "There is no collection `%.*s`.",
                              SLICE_ARGS(slice_first(name, 60)));
}

/* In a bucket where each account has a space of its own it is for whoever the job is for. */
static bool find_place(struct export_run *x, struct slice bucket, struct slice path,
                       struct file_place *ret, struct err *e)
{
    struct files *files = x->place->files;
    const struct file_bucket *b = files ? files_find(files, bucket) : NULL;
    if (!b)
        return err_set(e, ERR_INVALID, "There is no bucket `%.*s`.",
                       SLICE_ARGS(slice_first(bucket, 60)));
    *ret = (struct file_place){.bucket = b, .space = SLICE(""), .path = path};
    if (slice_is(file_bucket_conf(b)->scope.s, "user"))
        ret->space = x->task->owner;
    else
        return file_path_check(path, e);
    return x->task->owner.len ? file_path_check(path, e)
                              : err_set(e, ERR_INVALID,
                                        "In `%.*s` each account has files of its own, and this "
                                        "job is for nobody; name another bucket.",
                                        SLICE_ARGS(bucket));
}

static bool check_format(struct slice format, struct err *e)
{
    return !format.len || slice_is(format, "jsonl") ||
           err_set(e, ERR_INVALID, "`format` is jsonl, a line of JSON for each document.");
}

static bool read_wanted(struct export_run *x, struct err *e)
{
    const struct task_call *t = x->task;
    struct slice collection, bucket, path, format;
    struct file_put *p = &x->out.put;
    if (!told_needed(t, "collection", &collection, e) || !told_needed(t, "bucket", &bucket, e) ||
        !told_needed(t, "path", &path, e) || !told(t, "format", &format, e) ||
        !check_format(format, e) || !told_with_time(path, clock_wall_ms(), t->arena, &path, e) ||
        !find_collection(x, collection, e))
        return false;
    *p = (struct file_put){.files = x->place->files,
                           .who = &x->who,
                           .arena = t->arena,
                           .said = SLICE("application/jsonl"),
                           .is_public = -1};
    return find_place(x, bucket, path, &p->at, e);
}

/* ---- pages -------------------------------------------------------------------------------------
 */

static bool add_lines(struct export_run *x, const struct docs_page *page, struct err *e)
{
    for (size_t i = 0; i < page->n; i++) {
        buf_add(&x->lines, page->items[i].text);
        buf_add_char(&x->lines, '\n');
        if (x->lines.full)
            return err_set(e, ERR_BODY_TOO_LARGE, "A page of it is too large.");
        if (x->lines.len >= PIECE && !file_out_add(&x->out, buf_slice(&x->lines), e))
            return false;
        if (x->lines.len >= PIECE)
            buf_clear(&x->lines);
    }
    x->n += page->n;
    return true;
}

static bool read_page(struct export_run *x, struct docs_reading *r, struct err *e)
{
    struct docs_page page = {0};
    struct slice after = {x->after, x->after_len};
    if (!docs_page(r, x->coll, SLICE(""), after, PAGE_DOCS, &page, e))
        return false;
    x->is_last = page.is_last;
    must(page.next.len <= sizeof x->after);
    if (page.next.len)
        memcpy(x->after, page.next.ptr, page.next.len);
    x->after_len = page.next.len;
    return add_lines(x, &page, e);
}

static bool with_reading(struct export_run *x,
                         bool (*fn)(struct export_run *x, struct docs_reading *r, struct err *e),
                         struct err *e)
{
    struct docs *docs = x->place->docs;
    struct arena arena;
    struct docs_reading r = {.docs = docs, .arena = &arena, .who = &x->who};
    r.conn = db_conn_take(docs_db(docs), e);
    if (!r.conn)
        return false;
    arena_init(&arena, PAGE_BYTES);
    bool fine = fn(x, &r, e);
    arena_done(&arena);
    db_conn_give(r.conn);
    return fine;
}

/* ---- progress ----------------------------------------------------------------------------------
 */

static bool count(struct export_run *x, struct docs_reading *r, struct err *e)
{
    const struct docs_query q = {.limit = 1, .wants_total = true};
    struct json_doc doc;
    struct buf b;
    buf_init(&b, DOC_PAGE_BYTES);
    bool fine = docs_list(r, x->coll, &q, &b, e) &&
                json_parse(&doc, r->arena, buf_slice(&b), &doc_stored_limits, e) &&
                json_u64(json_find(json_root(&doc), SLICE("total")), &x->total);
    buf_done(&b);
    return fine;
}

static void tell(struct export_run *x)
{
    struct task_call *t = x->task;
    uint64_t part = x->total ? x->n * ALL / x->total : 0;
    if (t->say)
        t->say(t,
               !x->total    ? -1
               : part < ALL ? (int32_t)part
                            : ALL,
               arena_printf(t->arena, "%llu documents", (unsigned long long)x->n));
}

/* ---- the task ----------------------------------------------------------------------------------
 */

static bool read_all(struct export_run *x, struct err *e)
{
    struct err ignored;
    if (!with_reading(x, count, &ignored)) /* it is too long to be counted */
        x->total = 0;
    while (!x->is_last) {
        if (x->task->should_stop && x->task->should_stop(x->task))
            return err_set(e, ERR_UNAVAILABLE, "The export was ended.");
        if (!with_reading(x, read_page, e))
            return false;
        tell(x);
    }
    return !x->lines.len || file_out_add(&x->out, buf_slice(&x->lines), e);
}

static bool export(struct export_run *x, struct err *e)
{
    return file_out_begin(&x->out, e) && read_all(x, e) && file_out_end(&x->out, e);
}

static bool in_databases(struct export_run *x, struct err *e)
{
    if (!docs_open(x->place->docs, e))
        return false;
    bool fine = files_open(x->place->files, e);
    if (fine) {
        fine = export(x, e);
        file_out_done(&x->out);
        files_leave(x->place->files);
    }
    docs_leave(x->place->docs);
    return fine;
}

static void tell_result(const struct export_run *x)
{
    struct json_writer w;
    json_writer_init(&w, x->task->result, 0);
    json_write_object(&w);
    json_write_key(&w, SLICE("path"));
    json_write_str(&w, x->out.put.at.path);
    json_write_key(&w, SLICE("size"));
    json_write_i64(&w, x->out.put.size);
    json_write_key(&w, SLICE("documents"));
    json_write_u64(&w, x->n);
    json_write_object_end(&w);
    json_writer_done(&w);
}

static bool run(void *user, struct task_call *t, struct err *e)
{
    struct export_run x = {.place = user, .task = t};
    x.identity.depth = t->depth + 1; /* what follows the file was led to by this job */
    x.who = (struct subject){.who = &x.identity, .is_console = true};
    buf_init(&x.lines, PAGE_BYTES);
    bool fine = read_wanted(&x, e) && in_databases(&x, e);
    if (fine)
        tell_result(&x);
    buf_done(&x.lines);
    return fine;
}

/* ---- what is wrong with `with` -----------------------------------------------------------------
 */

static bool missing(const char *what, const char *list, const struct nearest *near, struct err *e)
{
    if (near->best.len)
        return err_set(e, ERR_INVALID, "There is no %s `%.*s`; did you mean `%.*s`?", what,
                       SLICE_ARGS(slice_first(near->typed, 60)), SLICE_ARGS(near->best));
    return err_set(e, ERR_INVALID, "There is no %s `%.*s`; add it to `%s`.", what,
                   SLICE_ARGS(slice_first(near->typed, 60)), list);
}

static bool check_collection(const struct text *name, const struct manifest *m, struct err *e)
{
    struct nearest near = {.typed = name ? name->s : SLICE("")};
    bool is_there = !near.typed.len;
    for (size_t i = 0; i < m->collections.n; i++) {
        is_there |= slice_eq(m->collections.items[i].name.s, near.typed);
        nearest_offer(&near, m->collections.items[i].name.s);
    }
    return is_there || missing("collection", "collections", &near, e);
}

static bool check_bucket(const struct text *name, const struct manifest *m, struct err *e)
{
    struct nearest near = {.typed = name ? name->s : SLICE("")};
    bool is_there = !near.typed.len;
    for (size_t i = 0; i < m->files.n; i++) {
        is_there |= slice_eq(m->files.items[i].name.s, near.typed);
        nearest_offer(&near, m->files.items[i].name.s);
    }
    return is_there || missing("bucket", "files", &near, e);
}

static bool check_path(const struct text *path, struct err *e)
{
    struct arena a;
    struct slice text;
    if (!path || !path->s.len)
        return true;
    arena_init(&a, 64u << 10);
    bool fine = told_with_time(path->s, clock_wall_ms(), &a, &text, e) && file_path_check(text, e);
    arena_done(&a);
    return fine;
}

static bool check(const struct pairs *with, const struct manifest *m, struct err *e)
{
    const struct text *format = with_find(with, "format");
    return with_check(with, MEMBERS, e) && check_collection(with_find(with, "collection"), m, e) &&
           check_bucket(with_find(with, "bucket"), m, e) &&
           check_path(with_find(with, "path"), e) && (!format || check_format(format->s, e));
}

const struct task task_export_run = {.name = "export.run", .run = run, .check = check};
