/* All files of an account: they go with it, become another's, or are told to it. */
#include "files/files_impl.h"

#define ROWS   200 /* in one write */
#define EXPORT 500 /* at once */
#define ARENA  (16u << 20)

static const struct sql first_rows = {
    "SELECT " FILE_COLUMNS " FROM dais_files f WHERE f.owner = ?"
    " ORDER BY f.bucket, f.space, f.path LIMIT ?",
    NULL,
};
static const struct sql rows_after = {
    "SELECT " FILE_COLUMNS " FROM dais_files f WHERE f.owner = ?"
    " AND (f.bucket, f.space, f.path) > (?, ?, ?) ORDER BY f.bucket, f.space, f.path LIMIT ?",
    NULL,
};
static const struct sql forget_use = {"DELETE FROM dais_file_use WHERE owner = ?", NULL};

struct owned {
    struct files *files;
    struct slice from, to;
    struct arena arena;
    bool has_more;
};

/* Copied, since what is changed is what is read. */
static bool read_rows(struct owned *o, struct db_conn *c, struct file to[ROWS], size_t *ret_n,
                      struct err *e)
{
    enum db_step step = DB_END;
    struct db_stmt *s = db_prepare(c, &first_rows, e);
    if (!s)
        return false;
    db_bind_text(s, 1, o->from);
    db_bind_i64(s, 2, ROWS);
    for (*ret_n = 0; *ret_n < ROWS && (step = db_step(s, e)) == DB_ROW; ++*ret_n) {
        struct file *f = &to[*ret_n];
        file_borrow(s, f);
        struct slice *const texts[] = {&f->bucket, &f->space,   &f->path,    &f->owner,
                                       &f->hash,   &f->created, &f->updated, &f->type};
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
            *texts[i] = arena_dup(&o->arena, *texts[i]);
    }
    db_reset(s);
    return step != DB_FAILED;
}

/* Of a bucket that the manifest may not have any more. */
static bool each(struct owned *o, struct db_conn *c,
                 bool (*fn)(struct owned *o, struct db_conn *c, const struct file_place *at,
                            struct file *f, struct err *e),
                 struct err *e)
{
    struct file rows[ROWS];
    size_t n;
    arena_reset(&o->arena);
    if (!read_rows(o, c, rows, &n, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct file_bucket bucket = {.name = rows[i].bucket};
        const struct file_place at = {&bucket, rows[i].space, rows[i].path};
        if (!fn(o, c, &at, &rows[i], e))
            return false;
    }
    o->has_more = n == ROWS;
    return true;
}

static bool forget(struct owned *o, struct db_conn *c, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &forget_use, e);
    if (!s)
        return false;
    db_bind_text(s, 1, o->from);
    return db_run(s, NULL, e);
}

static bool write_all(struct files *f, struct slice from, struct slice to,
                      bool (*run)(void *arg, struct db_conn *c, struct err *e), bool *ret_more,
                      struct err *e)
{
    struct owned o = {.files = f, .from = from, .to = to};
    arena_init(&o.arena, ARENA);
    bool fine = db_write_now(files_db(f), run, &o, e);
    arena_done(&o.arena);
    *ret_more = fine && o.has_more;
    return fine;
}

/* A bucket that the manifest does not have any more has nobody who follows it. */
static bool tell_one(struct owned *o, struct db_conn *c, enum change_kind kind,
                     const struct file *f, struct err *e)
{
    const struct file_bucket *b = files_find(o->files, f->bucket);
    struct file told = *f;
    if (!o->files->on_change || !b)
        return true;
    file_own(&told, b, &o->arena);
    return tell_file(o->files, c, kind, b, &told, NULL, e);
}

/* ---- for good -------------------------------------------------------------------------------- */

static bool purge(struct owned *o, struct db_conn *c, const struct file_place *at, struct file *f,
                  struct err *e)
{
    return file_remove(c, at, e) && use_add(c, f->bucket, f->owner, -(int64_t)f->size, -1, e) &&
           blob_row_let_go(c, o->files, f->hash, e) && tell_one(o, c, CHANGE_DELETED, f, e);
}

static bool run_purge(void *arg, struct db_conn *c, struct err *e)
{
    struct owned *o = arg;
    return each(o, c, purge, e) && (o->has_more || forget(o, c, e));
}

bool files_purge_owner(struct files *f, struct slice user, bool *ret_more, struct err *e)
{
    must(user.len);
    return write_all(f, user, SLICE(""), run_purge, ret_more, e);
}

/* ---- another owner --------------------------------------------------------------------------- */

static bool adopt(struct owned *o, struct db_conn *c, const struct file_place *at, struct file *f,
                  struct err *e)
{
    struct file there;
    f->owner = o->to;
    f->version++;
    f->updated = file_now(&o->arena);
    if (slice_eq(f->space, o->from)) {
        const struct file_place next = {at->bucket, o->to, f->path};
        enum db_step step = file_find(c, &next, &o->arena, &there, e);
        if (step == DB_ROW)
            err_set(e, ERR_EXISTS,
                    "File %.*s of %.*s cannot change hands: the account has one of that name.",
                    SLICE_ARGS(slice_first(f->path, 80)), SLICE_ARGS(f->bucket));
        if (step != DB_END)
            return false;
        f->space = o->to;
    }
    return file_update(c, at, f, e) && use_add(c, f->bucket, o->from, -(int64_t)f->size, -1, e) &&
           use_add(c, f->bucket, o->to, (int64_t)f->size, 1, e) &&
           tell_one(o, c, CHANGE_UPDATED, f, e);
}

static bool run_adopt(void *arg, struct db_conn *c, struct err *e)
{
    struct owned *o = arg;
    return each(o, c, adopt, e) && (o->has_more || forget(o, c, e));
}

bool files_adopt_owner(struct files *f, struct slice from, struct slice to, bool *ret_more,
                       struct err *e)
{
    must(from.len && to.len && !slice_eq(from, to));
    return write_all(f, from, to, run_adopt, ret_more, e);
}

/* ---- telling --------------------------------------------------------------------------------- */

static void tell(struct buf *to, struct file *f, struct arena *a)
{
    struct json_writer w;
    json_writer_init(&w, to, 0);
    f->etag = arena_printf(a, "\"%.*s\"", SLICE_ARGS(f->hash));
    json_write_object(&w);
    json_write_key(&w, SLICE("file"));
    json_write_object(&w);
    json_write_key(&w, SLICE("bucket"));
    json_write_str(&w, f->bucket);
    file_write(&w, f);
    json_write_object_end(&w);
    json_write_object_end(&w);
    buf_add_char(to, '\n');
}

/* `after` is "bucket/space/path" of the last one: neither of the first two has a slash. */
static void bind_after(struct db_stmt *s, struct slice after)
{
    struct slice bucket = SLICE(""), space = SLICE("");
    slice_cut(&after, '/', &bucket);
    slice_cut(&after, '/', &space);
    db_bind_text(s, 2, bucket);
    db_bind_text(s, 3, space);
    db_bind_text(s, 4, after);
}

bool files_export_owner(const struct files_reading *r, struct slice owner, struct slice after,
                        struct buf *to, struct slice *ret_next, struct err *e)
{
    enum db_step step = DB_END;
    struct db_stmt *s = db_prepare(r->conn, after.len ? &rows_after : &first_rows, e);
    struct slice next = SLICE("");
    size_t n = 0;
    if (!s)
        return false;
    db_bind_text(s, 1, owner);
    if (after.len)
        bind_after(s, after);
    db_bind_i64(s, after.len ? 5 : 2, EXPORT);
    for (; (step = db_step(s, e)) == DB_ROW; n++) {
        struct file f;
        struct arena_mark mark = arena_mark(r->arena);
        file_borrow(s, &f);
        tell(to, &f, r->arena);
        arena_rewind(r->arena, mark);
        next = n + 1 == EXPORT ? arena_printf(r->arena, "%.*s/%.*s/%.*s", SLICE_ARGS(f.bucket),
                                              SLICE_ARGS(f.space), SLICE_ARGS(f.path))
                               : next;
    }
    db_reset(s);
    *ret_next = next;
    return step != DB_FAILED;
}
