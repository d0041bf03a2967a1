/* Is every file's content what was stored, and does what rows say of each other hold? All of it is
 * read again. */
#include "files/files_impl.h"

#include <stdio.h>
#include <stdlib.h>

#define PAGE  200
#define ARENA (4u << 20)

/* ---- all of them ----------------------------------------------------------------------------- */

static const struct sql count_blobs = {"SELECT COUNT(*) FROM dais_blobs", NULL};
static const struct sql count_files = {"SELECT COUNT(*) FROM dais_files", NULL};
static const struct sql next_blobs = {
    "SELECT hash, blob_key, size, state FROM dais_blobs WHERE hash > ? ORDER BY hash LIMIT ?",
    NULL,
};
static const struct sql names_of = {
    "SELECT bucket, space, path FROM dais_files WHERE hash = ? ORDER BY bucket, space, path LIMIT "
    "1000",
    NULL,
};
/* What rows say of each other: the columns are bucket, space, path, hash. */
static const struct {
    struct sql sql;
    const char *message;
    enum err_code code;
} rows_rules[] = {
    {{"SELECT f.bucket, f.space, f.path, f.hash FROM dais_files f"
      " WHERE NOT EXISTS (SELECT 1 FROM dais_blobs b WHERE b.hash = f.hash)"
      " ORDER BY f.bucket, f.space, f.path LIMIT 1000",
      NULL},
     "It is not known where its bytes are.",
     ERR_NOT_FOUND},
    {{"SELECT f.bucket, f.space, f.path, f.hash FROM dais_files f"
      " JOIN dais_blobs b ON b.hash = f.hash WHERE b.size <> f.size"
      " ORDER BY f.bucket, f.space, f.path LIMIT 1000",
      NULL},
     "Its row says another size than that of its bytes.",
     ERR_DAMAGED},
    {{"SELECT f.bucket, f.space, f.path, f.hash FROM dais_files f"
      " JOIN dais_blobs b ON b.hash = f.hash WHERE b.loose_at IS NOT NULL"
      " ORDER BY f.bucket, f.space, f.path LIMIT 1000",
      NULL},
     "Its bytes are taken for unneeded, and would go.",
     ERR_DAMAGED},
    {{"SELECT f.bucket, f.space, f.path, f.hash FROM dais_files f WHERE f.size <> " FILES_SIZE
      " ORDER BY f.bucket, f.space, f.path LIMIT 1000",
      NULL},
     "Its row says a size that no file has.",
     ERR_DAMAGED},
    {{"SELECT u.bucket, u.owner, '', '' FROM dais_file_use u LEFT JOIN"
      " (SELECT bucket, owner, SUM(" FILES_SIZE ") AS bytes, COUNT(*) AS files FROM dais_files"
      " GROUP BY bucket, owner) f ON f.bucket = u.bucket AND f.owner = u.owner"
      " WHERE u.bytes <> COALESCE(f.bytes, 0) OR u.files <> COALESCE(f.files, 0)"
      " UNION ALL SELECT DISTINCT f.bucket, f.owner, '', '' FROM dais_files f"
      " WHERE NOT EXISTS (SELECT 1 FROM dais_file_use u WHERE u.bucket = f.bucket"
      " AND u.owner = f.owner) ORDER BY 1, 2 LIMIT 1000",
      NULL},
     "The sum that its quota is held against is wrong.",
     ERR_DAMAGED},
};

struct blob_row {
    struct slice hash, key;
    uint64_t size;
    bool is_marked; /* as damaged */
};
struct verifying {
    struct blob_store *store; /* NULL: there is none, so nothing is in it */
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

static bool read_totals(struct verifying *v, struct db_conn *c, void *arg, struct err *e)
{
    (void)arg;
    return count(c, &count_blobs, &v->blobs_all, e) &&
           count(c, &count_files, &v->verdict->files, e);
}

static bool read_rule(struct verifying *v, struct db_conn *c, void *arg, struct err *e)
{
    size_t i = *(size_t *)arg;
    enum db_step step;
    struct db_stmt *s = db_prepare(c, &rows_rules[i].sql, e);
    if (!s)
        return false;
    while ((step = db_step(s, e)) == DB_ROW) {
        v->verdict->missing += rows_rules[i].code == ERR_NOT_FOUND;
        v->verdict->damaged += rows_rules[i].code == ERR_DAMAGED;
        v->to->finding(v->to->user, &(struct files_finding){
                                        .bucket = db_text(s, 0),
                                        .space = db_text(s, 1),
                                        .path = db_text(s, 2),
                                        .hash = db_text(s, 3),
                                        .message = slice_from(rows_rules[i].message),
                                        .code = rows_rules[i].code,
                                    });
    }
    db_reset(s);
    return step != DB_FAILED;
}

static bool read_rows(struct verifying *v, struct err *e)
{
    bool fine = true;
    for (size_t i = 0; fine && i < sizeof rows_rules / sizeof *rows_rules; i++)
        fine = with_conn(v, read_rule, &i, e);
    return fine;
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
        v->rows[v->n] = (struct blob_row){
            .hash = arena_dup(&v->arena, db_text(s, 0)),
            .key = arena_dup(&v->arena, db_text(s, 1)),
            .size = (uint64_t)db_i64(s, 2),
            .is_marked = db_i64(s, 3) != BLOB_FINE,
        };
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

static void tell(struct verifying *v, const struct naming *x, struct slice bucket,
                 struct slice space, struct slice path)
{
    v->to->finding(v->to->user, &(struct files_finding){
                                    .hash = x->row->hash,
                                    .key = x->row->key,
                                    .bucket = bucket,
                                    .space = space,
                                    .path = path,
                                    .message = slice_from(x->why->msg),
                                    .code = x->why->code,
                                    .is_known = x->row->is_marked,
                                });
}

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
        tell(v, x, db_text(s, 0), db_text(s, 1), db_text(s, 2));
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

/* Also of a row that is damaged itself. */
static bool is_whole(const struct verifying *v, const struct blob_row *row, struct err *why)
{
    if (!v->store)
        return err_set(why, ERR_NOT_FOUND, "The folder of the stored files is not there.");
    if (row->key.len != BLOB_KEY_LEN || !slice_eq(slice_first(row->key, BLOB_HASH_LEN), row->hash))
        return err_set(why, ERR_DAMAGED, "Its row names bytes of another content.");
    if (!blob_verify(v->store, row->key, row->size, why))
        return false;
    return !row->is_marked || err_set(why, ERR_NONE, "It was damaged, and is fine again.");
}

/* What cannot be read now may be fine: the store is down, and nobody knows. A disk that cannot read
 * one file is told of as that, and the others are looked at. */
static bool count_verdict(struct verifying *v, const struct err *why, struct err *e)
{
    switch (why->code) {
    case ERR_NONE:
        v->verdict->mended++;
        return true;
    case ERR_DAMAGED:
        v->verdict->damaged++;
        return true;
    case ERR_NOT_FOUND:
        v->verdict->missing++;
        return true;
    case ERR_IO:
        v->verdict->unreadable++;
        return true;
    default:
        *e = *why;
        return false;
    }
}

static bool verify_one(struct verifying *v, const struct blob_row *row, struct err *e)
{
    struct err why = {0};
    bool is_fine = is_whole(v, row, &why);
    struct naming x = {row, is_fine ? NULL : &why, 0};
    v->verdict->blobs++;
    v->verdict->bytes += row->size;
    if (!is_fine && !with_conn(v, read_is_there, &x, e))
        return false;
    if (!is_fine && !x.n)
        return true;
    x.n = 0;
    if (!is_fine && !count_verdict(v, &why, e))
        return false;
    if (!with_conn(v, read_names, &x, e))
        return false;
    v->verdict->unneeded += !x.n;
    if (!is_fine && !x.n)
        tell(v, &x, SLICE(""), SLICE(""), SLICE(""));
    return true;
}

static bool should_stop(const struct verifying *v)
{
    return v->to->should_stop && v->to->should_stop(v->to->user);
}

static bool verify_all(struct verifying *v, struct err *e)
{
    if (!with_conn(v, read_totals, NULL, e) || !read_rows(v, e))
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

bool files_verify(struct blob_store *store, struct db *db, const struct files_hearer *to,
                  struct files_verdict *ret, struct err *e)
{
    struct verifying *v = mem_new(struct verifying);
    *ret = (struct files_verdict){0};
    v->store = store;
    v->db = db;
    v->to = to;
    v->verdict = ret;
    arena_init(&v->arena, ARENA);
    bool fine = verify_all(v, e);
    arena_done(&v->arena);
    free(v);
    return fine;
}
