/* Answers to requests that may come twice, by the digest of who sent what where. */
#include "journal/journal.h"

#include "base/sha256.h"

/* Its row is there before the change is made: a second one, on another connection, waits for us. */
static const struct sql take_place = {
    "INSERT INTO dais_once (id, body, at, status) VALUES (?, ?, ?, 0) ON CONFLICT DO NOTHING",
    NULL,
};
static const struct sql forget_old = {"DELETE FROM dais_once WHERE id = ? AND at < ?", NULL};
static const struct sql find = {
    "SELECT body, status, error, head, answer FROM dais_once WHERE id = ?",
    NULL,
};
static const struct sql keep = {
    "UPDATE dais_once SET status = ?, error = ?, head = ?, answer = ? WHERE id = ?",
    NULL,
};
static const struct sql prune = {
    "DELETE FROM dais_once WHERE id IN (SELECT id FROM dais_once WHERE at < ? ORDER BY at LIMIT ?)",
    NULL,
};

static void add_part(struct sha256 *h, struct slice part)
{
    uint64_t n = part.len; /* so that "a", "bc" and "ab", "c" differ */
    sha256_add(h, (struct slice){(const char *)&n, sizeof n});
    sha256_add(h, part);
}

void once_init(struct once *o, struct slice subject, struct slice method, struct slice path,
               struct slice key, struct slice body)
{
    struct sha256 h;
    sha256_init(&h);
    add_part(&h, subject);
    add_part(&h, method);
    add_part(&h, path);
    add_part(&h, key);
    sha256_end(&h, o->id);
    sha256_of(body, o->body);
}

bool once_key_is_good(struct slice key)
{
    for (size_t i = 0; i < key.len; i++) {
        if (key.ptr[i] <= ' ' || key.ptr[i] > '~')
            return false;
    }
    return key.len > 0 && key.len <= ONCE_KEY_MAX;
}

static struct slice id_of(const struct once *o)
{
    return (struct slice){(const char *)o->id, sizeof o->id};
}

static struct slice body_of(const struct once *o)
{
    return (struct slice){(const char *)o->body, sizeof o->body};
}

static bool run_forget(const struct once *o, int64_t now_ms, struct db_conn *c, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &forget_old, e);
    if (!s)
        return false;
    db_bind_blob(s, 1, id_of(o));
    db_bind_i64(s, 2, now_ms - ONCE_KEPT_MS);
    return db_run(s, NULL, e);
}

static bool run_take(const struct once *o, int64_t now_ms, struct db_conn *c, int64_t *ret_n,
                     struct err *e)
{
    struct db_stmt *s = db_prepare(c, &take_place, e);
    if (!s)
        return false;
    db_bind_blob(s, 1, id_of(o));
    db_bind_blob(s, 2, body_of(o));
    db_bind_i64(s, 3, now_ms);
    return db_run(s, ret_n, e);
}

static enum once_state read_answer(const struct once *o, struct db_stmt *s, struct arena *a,
                                   struct once_answer *ret, struct err *e)
{
    enum db_step step = db_step(s, e);
    if (step == DB_FAILED)
        return ONCE_FAILED;
    if (step == DB_END || db_i64(s, 1) == 0) {
        err_set(e, ERR_EXISTS, "A request with this Idempotency-Key is under way; ask again soon.");
        return ONCE_FAILED;
    }
    if (!slice_eq(db_blob(s, 0), body_of(o))) {
        err_set(e, ERR_INVALID,
                "This Idempotency-Key came with another body before; use a new key.");
        return ONCE_FAILED;
    }
    *ret = (struct once_answer){.status = (int)db_i64(s, 1),
                                .error = arena_dup(a, db_text(s, 2)),
                                .head = arena_dup(a, db_text(s, 3)),
                                .body = arena_dup(a, db_text(s, 4))};
    return ONCE_KNOWN;
}

enum once_state once_begin(const struct once *o, struct db_conn *c, struct arena *a,
                           struct once_answer *ret, struct err *e)
{
    int64_t now_ms = clock_wall_ms(), n = 0;
    if (!run_forget(o, now_ms, c, e) || !run_take(o, now_ms, c, &n, e))
        return ONCE_FAILED;
    if (n)
        return ONCE_NEW;
    struct db_stmt *s = db_prepare(c, &find, e);
    if (!s)
        return ONCE_FAILED;
    db_bind_blob(s, 1, id_of(o));
    enum once_state state = read_answer(o, s, a, ret, e);
    db_reset(s);
    return state;
}

bool once_keep(const struct once *o, struct db_conn *c, const struct once_answer *answer,
               struct err *e)
{
    struct db_stmt *s = db_prepare(c, &keep, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, answer->status);
    db_bind_text(s, 2, answer->error);
    db_bind_text(s, 3, answer->head);
    db_bind_text(s, 4, answer->body);
    db_bind_blob(s, 5, id_of(o));
    return db_run(s, NULL, e);
}

bool once_prune(struct db_conn *c, int64_t now_ms, int limit, int64_t *ret_n, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &prune, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, now_ms - ONCE_KEPT_MS);
    db_bind_i64(s, 2, limit);
    return db_run(s, ret_n, e);
}
