/* Where somebody is signed in, and being signed out there. */
#include "accounts/people_impl.h"

#define SESSIONS_MAX 200

static const struct sql list = {
    "SELECT id, ip, agent, created, expires FROM dais_sessions WHERE user_id = ? AND expires > ?"
    " ORDER BY created DESC, id LIMIT ?",
    NULL,
};
static const struct sql delete_own = {
    "DELETE FROM dais_sessions WHERE user_id = ? AND id = ?",
    NULL,
};

struct listing {
    struct arena *arena;
    struct slice user;
    struct session_row *rows;
    size_t n;
};

static bool look(void *arg, struct db_conn *c, struct err *e)
{
    struct listing *l = arg;
    enum db_step step = DB_END;
    struct db_stmt *s = db_prepare(c, &list, e);
    if (!s)
        return false;
    db_bind_text(s, 1, l->user);
    db_bind_i64(s, 2, clock_wall_ms());
    db_bind_i64(s, 3, SESSIONS_MAX);
    for (l->n = 0; l->n < SESSIONS_MAX && (step = db_step(s, e)) == DB_ROW; l->n++) {
        l->rows[l->n] = (struct session_row){
            .id = arena_dup(l->arena, db_text(s, 0)),
            .ip = arena_dup(l->arena, db_text(s, 1)),
            .agent = arena_dup(l->arena, db_text(s, 2)),
            .created_ms = db_i64(s, 3),
            .expires_ms = db_i64(s, 4),
        };
    }
    db_reset(s);
    return step != DB_FAILED;
}

bool accounts_sessions(struct accounts *acc, struct arena *a, struct slice user,
                       struct session_row **ret, size_t *ret_n, struct err *e)
{
    struct listing l = {.arena = a, .user = user};
    struct whose w;
    l.rows = arena_alloc(a, SESSIONS_MAX * sizeof *l.rows);
    if (!whose_id(acc, a, user, &w, e) || !store_read(w.store, look, &l, e))
        return false;
    *ret = l.rows;
    *ret_n = l.n;
    return true;
}

struct ending {
    struct slice user, session;
};

static bool run(void *arg, struct db_conn *c, struct err *e)
{
    const struct ending *n = arg;
    int64_t changed = 1;
    if (!n->session.len)
        return sessions_delete(c, n->user, SLICE(""), e) &&
               trail(c, EVENT_SIGN_OUT, n->user, n->user, NULL, "everywhere", e);
    struct db_stmt *s = db_prepare(c, &delete_own, e);
    if (!s)
        return false;
    db_bind_text(s, 1, n->user);
    db_bind_text(s, 2, n->session);
    if (!db_run(s, &changed, e))
        return false;
    return changed ? trail(c, EVENT_SIGN_OUT, n->user, n->session, NULL, NULL, e)
                   : err_set(e, ERR_NOT_FOUND, "There is no such session.");
}

bool accounts_end_session(struct accounts *acc, struct slice user, struct slice session,
                          struct err *e)
{
    struct ending n = {user, session};
    struct whose w;
    struct arena a;
    arena_init(&a, 1u << 20);
    bool fine = whose_id(acc, &a, user, &w, e) && store_write(w.store, run, &n, e);
    if (fine)
        cache_end(w.store->cache, user, session, SLICE(""));
    arena_done(&a);
    return fine;
}
