/* Is every file's content what was stored? All of it is read again; and one that is not is marked.
 */
#include "files/files_impl.h"

#include "journal/journal.h"

#include <stdio.h>
#include <stdlib.h>

#define PAGE  200
#define ARENA (4u << 20)

/* ---- one that was found while it was to be sent ---------------------------------------------- */

static const struct sql mark = {
    "UPDATE dais_blobs SET state = 1 WHERE hash = ? AND blob_key = ? AND state = 0",
    NULL,
};

struct damage {
    struct slice hash, key;
    const struct err *why;
    int64_t n_marked;
};

static bool run_mark(void *arg, struct db_conn *c, struct err *e)
{
    struct damage *d = arg;
    struct db_stmt *s = db_prepare(c, &mark, e);
    if (!s)
        return false;
    db_bind_text(s, 1, d->hash);
    db_bind_text(s, 2, d->key);
    if (!db_run(s, &d->n_marked, e))
        return false;
    const struct event ev = {
        .kind = EVENT_DAMAGE, .object = d->key, .detail = slice_from(d->why->msg)};
    return !d->n_marked || event_add(c, &ev, clock_wall_ms(), e);
}

void files_damaged(struct files *f, struct slice hash, struct slice key, const struct err *why)
{
    struct damage d = {hash, key, why, 0};
    struct err e;
    if (why->code != ERR_DAMAGED && why->code != ERR_NOT_FOUND)
        return; /* nobody knows: it could not be read just now */
    if (!files_open(f, &e))
        return;
    bool fine = db_write_now(files_db(f), run_mark, &d, &e);
    if (fine && d.n_marked && why->code == ERR_DAMAGED)
        fine = blob_quarantine(f->store, key, &e);
    files_leave(f);
    if (fine && d.n_marked)
        log_line(LOG_ERROR, "a stored file is damaged; `dais verify` says which ones are",
                 F_STR("app", f->manifest->slug.s), F_STR("blob", key), F_CSTR("reason", why->msg));
    if (!fine)
        log_line(LOG_ERROR, "a damaged file could not be marked", F_STR("app", f->manifest->slug.s),
                 F_STR("blob", key), F_CSTR("reason", e.msg));
}

/* ---- all of them ----------------------------------------------------------------------------- */

static const struct sql count_blobs = {"SELECT COUNT(*) FROM dais_blobs", NULL};
static const struct sql count_files = {"SELECT COUNT(*) FROM dais_files", NULL};
static const struct sql next_blobs = {
    "SELECT hash, blob_key, size FROM dais_blobs WHERE hash > ? ORDER BY hash LIMIT ?",
    NULL,
};
static const struct sql names_of = {
    "SELECT bucket, path FROM dais_files WHERE hash = ? ORDER BY bucket, space, path LIMIT 1000",
    NULL,
};
static const struct sql without_blob = {
    "SELECT f.bucket, f.path, f.hash FROM dais_files f"
    " WHERE NOT EXISTS (SELECT 1 FROM dais_blobs b WHERE b.hash = f.hash)"
    " ORDER BY f.bucket, f.space, f.path LIMIT 1000",
    NULL,
};

struct blob_row {
    struct slice hash, key;
    uint64_t size;
};
struct verifying {
    struct files *files;
    struct db *db;
    const struct files_hearer *to;
    struct files_verdict *verdict;
    struct arena arena; /* of a page */
    struct blob_row rows[PAGE];
    size_t n;
    uint64_t blobs_all;
    char last[BLOB_HASH_LEN + 1];
};

typedef bool (*read_fn)(struct verifying *v, struct db_conn *c, void *arg, struct err *e);

/* A connection for a moment: reading the bytes takes longer than one may be held. */
static bool with_conn(struct verifying *v, read_fn fn, void *arg, struct err *e)
{
    struct db_conn *c = db_conn_take(v->db, e);
    bool fine = c && fn(v, c, arg, e);
    if (c)
        db_conn_give(c);
    return fine;
}

static bool count(struct db_conn *c, const struct sql *sql, uint64_t *ret, struct err *e)
{
    struct db_stmt *s = db_prepare(c, sql, e);
    if (!s)
        return false;
    enum db_step step = db_step(s, e);
    *ret = step == DB_ROW ? (uint64_t)db_i64(s, 0) : 0;
    db_reset(s);
    return step != DB_FAILED;
}

static void tell(struct verifying *v, struct slice hash, struct slice bucket, struct slice path,
                 const struct err *why)
{
    const struct files_finding finding = {hash, bucket, path, slice_from(why->msg), why->code};
    v->to->finding(v->to->user, &finding);
}

static bool read_totals(struct verifying *v, struct db_conn *c, void *arg, struct err *e)
{
    (void)arg;
    return count(c, &count_blobs, &v->blobs_all, e) &&
           count(c, &count_files, &v->verdict->files, e);
}

static bool read_without_blob(struct verifying *v, struct db_conn *c, void *arg, struct err *e)
{
    struct err why;
    enum db_step step;
    struct db_stmt *s = db_prepare(c, &without_blob, e);
    (void)arg;
    if (!s)
        return false;
    err_set(&why, ERR_NOT_FOUND, "It is not known where its bytes are.");
    while ((step = db_step(s, e)) == DB_ROW) {
        v->verdict->missing++;
        tell(v, db_text(s, 2), db_text(s, 0), db_text(s, 1), &why);
    }
    db_reset(s);
    return step != DB_FAILED;
}

static bool read_page(struct verifying *v, struct db_conn *c, void *arg, struct err *e)
{
    enum db_step step = DB_END;
    struct db_stmt *s = db_prepare(c, &next_blobs, e);
    (void)arg;
    if (!s)
        return false;
    arena_reset(&v->arena);
    db_bind_text(s, 1, slice_from(v->last));
    db_bind_i64(s, 2, PAGE);
    for (v->n = 0; v->n < PAGE && (step = db_step(s, e)) == DB_ROW; v->n++) {
        v->rows[v->n] =
            (struct blob_row){arena_dup(&v->arena, db_text(s, 0)),
                              arena_dup(&v->arena, db_text(s, 1)), (uint64_t)db_i64(s, 2)};
    }
    db_reset(s);
    if (v->n)
        snprintf(v->last, sizeof v->last, "%.*s", SLICE_ARGS(v->rows[v->n - 1].hash));
    return step != DB_FAILED;
}

/* What is found: NULL when it is only asked who names it. */
struct naming {
    const struct blob_row *row;
    const struct err *why;
    uint64_t n;
};

static bool read_names(struct verifying *v, struct db_conn *c, void *arg, struct err *e)
{
    struct naming *x = arg;
    enum db_step step;
    struct db_stmt *s = db_prepare(c, &names_of, e);
    if (!s)
        return false;
    db_bind_text(s, 1, x->row->hash);
    while ((step = db_step(s, e)) == DB_ROW) {
        x->n++;
        if (!x->why)
            break;
        tell(v, x->row->hash, db_text(s, 0), db_text(s, 1), x->why);
    }
    db_reset(s);
    return step != DB_FAILED;
}

/* One that went since its row was read is no loss. */
static bool read_is_there(struct verifying *v, struct db_conn *c, void *arg, struct err *e)
{
    static const struct sql again = {"SELECT 1 FROM dais_blobs WHERE hash = ? AND blob_key = ?",
                                     NULL};
    struct naming *x = arg;
    struct db_stmt *s = db_prepare(c, &again, e);
    (void)v;
    if (!s)
        return false;
    db_bind_text(s, 1, x->row->hash);
    db_bind_text(s, 2, x->row->key);
    enum db_step step = db_step(s, e);
    x->n = step == DB_ROW;
    db_reset(s);
    return step != DB_FAILED;
}

static bool verify_one(struct verifying *v, const struct blob_row *row, struct err *e)
{
    struct err why;
    bool is_fine = blob_verify(v->files->store, row->key, row->size, &why);
    struct naming x = {row, is_fine ? NULL : &why, 0};
    v->verdict->blobs++;
    v->verdict->bytes += row->size;
    if (!is_fine && why.code != ERR_DAMAGED && why.code != ERR_NOT_FOUND) {
        *e = why;
        return false;
    }
    if (!is_fine && !with_conn(v, read_is_there, &x, e))
        return false;
    if (!is_fine && !x.n)
        return true;
    x.n = 0;
    if (!with_conn(v, read_names, &x, e))
        return false;
    v->verdict->unneeded += !x.n;
    v->verdict->damaged += !is_fine && why.code == ERR_DAMAGED;
    v->verdict->missing += !is_fine && why.code == ERR_NOT_FOUND;
    if (!is_fine && !x.n)
        tell(v, row->hash, SLICE(""), SLICE(""), &why);
    return true;
}

static bool should_stop(const struct verifying *v)
{
    return v->to->should_stop && v->to->should_stop(v->to->user);
}

static bool verify_all(struct verifying *v, struct err *e)
{
    if (!with_conn(v, read_totals, NULL, e) || !with_conn(v, read_without_blob, NULL, e))
        return false;
    do {
        if (!with_conn(v, read_page, NULL, e))
            return false;
        for (size_t i = 0; i < v->n; i++) {
            if (should_stop(v))
                return true;
            if (!verify_one(v, &v->rows[i], e))
                return false;
            if (v->to->progress)
                v->to->progress(v->to->user, v->verdict, v->blobs_all);
        }
    } while (v->n == PAGE);
    return true;
}

bool files_verify(struct files *f, struct db *db, const struct files_hearer *to,
                  struct files_verdict *ret, struct err *e)
{
    struct verifying *v = mem_new(struct verifying);
    *ret = (struct files_verdict){0};
    v->files = f;
    v->db = db;
    v->to = to;
    v->verdict = ret;
    arena_init(&v->arena, ARENA);
    bool fine = verify_all(v, e);
    arena_done(&v->arena);
    free(v);
    return fine;
}
