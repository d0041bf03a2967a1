/* Rows of dais_blobs: which bytes a hash means, and since when nobody needs them. */
#include "files/files_impl.h"

static const struct sql find = {"SELECT blob_key, state FROM dais_blobs WHERE hash = ?", NULL};
static const struct sql insert = {
    "INSERT INTO dais_blobs (hash, blob_key, size, loose_at, state) VALUES (?, ?, ?, NULL, 0)",
    NULL,
};
static const struct sql keep = {
    "UPDATE dais_blobs SET loose_at = NULL WHERE hash = ? AND loose_at IS NOT NULL",
    NULL,
};
static const struct sql mend = {
    "UPDATE dais_blobs SET blob_key = ?, size = ?, loose_at = NULL, state = 0 WHERE hash = ?",
    NULL,
};
static const struct sql let_go = {
    "UPDATE dais_blobs SET loose_at = ? WHERE hash = ?"
    " AND NOT EXISTS (SELECT 1 FROM dais_files WHERE hash = ?)",
    NULL,
};

static bool run(struct db_conn *c, const struct sql *sql, const struct file_put *p, struct err *e)
{
    struct db_stmt *s = db_prepare(c, sql, e);
    int at = 1;
    if (!s)
        return false;
    if (sql != &mend)
        db_bind_text(s, at++, p->hash);
    if (sql != &keep) {
        db_bind_text(s, at++, p->key);
        db_bind_i64(s, at++, p->size);
    }
    if (sql == &mend)
        db_bind_text(s, at++, p->hash);
    return db_run(s, NULL, e);
}

/* The first who brought it is kept. One that is known to be damaged gives way. */
bool blob_row_take(struct db_conn *c, struct file_put *p, struct slice *ret_key, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &find, e);
    if (!s)
        return false;
    db_bind_text(s, 1, p->hash);
    enum db_step step = db_step(s, e);
    bool is_fine = step == DB_ROW && db_i64(s, 1) == BLOB_FINE;
    *ret_key = is_fine ? arena_dup(p->arena, db_text(s, 0)) : p->key;
    db_reset(s);
    p->uses_other = is_fine && !slice_eq(*ret_key, p->key);
    return step != DB_FAILED && run(c, is_fine ? &keep : step == DB_ROW ? &mend : &insert, p, e);
}

bool blob_row_let_go(struct db_conn *c, struct files *f, struct slice hash, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &let_go, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, clock_wall_ms());
    db_bind_text(s, 2, hash);
    db_bind_text(s, 3, hash);
    atomic_store(&f->order->has_loose, true);
    return db_run(s, NULL, e);
}
