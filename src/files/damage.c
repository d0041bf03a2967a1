/* Blobs that are not what they were: marked and set aside, so that nobody is sent them; and those
 * that are fine again. */
#include "files/files_impl.h"

#include "journal/journal.h"

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

static bool is_sure(const struct err *why)
{
    return why->code == ERR_DAMAGED || why->code == ERR_NOT_FOUND;
}

static bool set_aside(struct files *f, struct damage *d, struct err *e)
{
    bool fine = db_write_now(files_db(f), run_mark, d, e);
    if (fine && d->n_marked && d->why->code == ERR_DAMAGED)
        fine = blob_quarantine(f->store, d->key, e);
    if (fine && d->n_marked)
        log_line(LOG_ERROR, "a stored file is damaged; `dais verify` says which ones are",
                 F_STR("app", f->manifest->slug.s), F_STR("blob", d->key),
                 F_CSTR("reason", d->why->msg));
    return fine;
}

bool files_damaged(struct files *f, struct slice hash, struct slice key, const struct err *why)
{
    struct damage d = {hash, key, why, 0};
    struct err e;
    if (!is_sure(why))
        return true; /* nobody knows: it could not be read just now */
    bool is_in = files_open(f, &e), fine = is_in && set_aside(f, &d, &e);
    if (is_in)
        files_leave(f);
    if (!fine)
        log_line(LOG_ERROR, "a damaged file could not be marked", F_STR("app", f->manifest->slug.s),
                 F_STR("blob", key), F_CSTR("reason", e.msg));
    return fine;
}

/* ---- content that came again ----------------------------------------------------------------- */

static const struct sql replace = {
    "UPDATE dais_blobs SET blob_key = ?, size = ?, state = 0 WHERE hash = ? AND blob_key = ?",
    NULL,
};

struct replacing {
    const struct file_put *put;
    int64_t n;
};

static bool run_replace(void *arg, struct db_conn *c, struct err *e)
{
    struct replacing *r = arg;
    struct db_stmt *s = db_prepare(c, &replace, e);
    if (!s)
        return false;
    db_bind_text(s, 1, r->put->key);
    db_bind_i64(s, 2, r->put->size);
    db_bind_text(s, 3, r->put->hash);
    db_bind_text(s, 4, r->put->file.key);
    return db_run(s, &r->n, e);
}

/* When nobody can tell about the other just now, ours is there for sure. A row that names a third
 * one was made whole by whoever has just brought that. */
bool files_put_confirm(struct file_put *p, struct err *e)
{
    struct files *f = p->files;
    struct replacing r = {p, 0};
    struct err why;
    if (!p->uses_other || blob_look(f->store, p->file.key, (uint64_t)p->size, &why))
        return true;
    files_damaged(f, p->hash, p->file.key, &why);
    p->uses_other = false; /* should the write fail, nobody knows whether it happened */
    if (!db_write_now(files_db(f), run_replace, &r, e))
        return false;
    p->uses_other = !r.n;
    return true;
}

/* ---- one that a command asks about ----------------------------------------------------------- */

static const struct sql find_state = {"SELECT blob_key, size, state FROM dais_blobs WHERE hash = ?",
                                      NULL};
static const struct sql unmark = {
    "UPDATE dais_blobs SET state = 0 WHERE hash = ? AND blob_key = ? AND state = 1", NULL};

struct state {
    uint64_t size;
    bool is_there, is_marked;
};

static bool read_state(struct db_conn *c, struct slice key, struct state *ret, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &find_state, e);
    *ret = (struct state){0};
    if (!s)
        return false;
    db_bind_text(s, 1, slice_first(key, BLOB_HASH_LEN));
    enum db_step step = db_step(s, e);
    if (step == DB_ROW && slice_eq(db_text(s, 0), key))
        *ret = (struct state){(uint64_t)db_i64(s, 1), true, db_i64(s, 2) == BLOB_DAMAGED};
    db_reset(s);
    return step != DB_FAILED;
}

static bool run_unmark(void *arg, struct db_conn *c, struct err *e)
{
    const struct slice *key = arg;
    struct db_stmt *s = db_prepare(c, &unmark, e);
    if (!s)
        return false;
    db_bind_text(s, 1, slice_first(*key, BLOB_HASH_LEN));
    db_bind_text(s, 2, *key);
    return db_run(s, NULL, e);
}

bool files_recheck(struct files *f, struct slice key, enum files_recheck *ret, struct err *e)
{
    struct state state = {0};
    struct err why;
    struct db_conn *c = db_conn_take(files_db(f), e);
    bool fine = c && read_state(c, key, &state, e);
    if (c)
        db_conn_give(c);
    *ret = FILES_NOTHING;
    if (!fine || !state.is_there)
        return fine;
    if (blob_verify(f->store, key, state.size, &why)) {
        *ret = state.is_marked ? FILES_MENDED : FILES_NOTHING;
        return !state.is_marked || db_write_now(files_db(f), run_unmark, &key, e);
    }
    if (!is_sure(&why)) {
        *e = why;
        return false;
    }
    struct damage d = {slice_first(key, BLOB_HASH_LEN), key, &why, 0};
    if (!set_aside(f, &d, e))
        return false;
    *ret = d.n_marked ? FILES_SET_ASIDE : FILES_NOTHING;
    return true;
}
