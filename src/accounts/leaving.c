/* Accounts that are to go: nobody can use them at once; the row stays until their things are gone.
 * The address is free from the first moment on. */
#include "accounts/people_impl.h"

static const struct sql next = {
    "SELECT id FROM dais_users WHERE state = 2 AND id > ? ORDER BY id LIMIT 1",
    NULL,
};
static const struct sql forget = {"DELETE FROM dais_users WHERE id = ? AND state = 2", NULL};

bool user_leaves(struct db_conn *c, const struct accounts *acc, struct user_row *u,
                 struct slice who, const struct asker *from, struct err *e)
{
    struct slice id = u->account.id;
    if (u->account.verified_ms &&
        !letter_post(c, acc, LETTER_LEFT, &u->account, SLICE(""), SLICE(""), e))
        return false;
    u->account = (struct account){
        .id = id,
        .state = ACCOUNT_LEAVING,
        .email = SLICE(""),
        .name = SLICE(""),
        .updated_ms = clock_wall_ms(),
    };
    u->hash[0] = '\0';
    return user_update(c, u, e) && doors_close(c, id, e) &&
           trail(c, EVENT_LEFT, who, id, from, NULL, e);
}

struct leaving {
    struct arena *arena;
    struct slice id, after;
};

static bool look(void *arg, struct db_conn *c, struct err *e)
{
    struct leaving *l = arg;
    struct db_stmt *s = db_prepare(c, &next, e);
    if (!s)
        return false;
    db_bind_text(s, 1, l->after);
    enum db_step step = db_step(s, e);
    l->id = step == DB_ROW ? arena_dup(l->arena, db_text(s, 0)) : SLICE("");
    db_reset(s);
    return step != DB_FAILED;
}

/* Asked every few seconds: no use that keeps a database open. */
bool accounts_next_leaving(struct accounts *acc, struct arena *a, struct slice after,
                           struct slice *ret_id, struct err *e)
{
    struct leaving l = {.arena = a, .id = SLICE(""), .after = after};
    struct db *db = db_slot_enter(acc->store->slot);
    *ret_id = l.id;
    if (!db)
        return true;
    struct db_conn *c = db_conn_take(db, e);
    bool fine = c && look(&l, c, e);
    if (c)
        db_conn_give(c);
    db_slot_leave_quietly(acc->store->slot);
    *ret_id = l.id;
    return fine;
}

static bool run(void *arg, struct db_conn *c, struct err *e)
{
    const struct leaving *l = arg;
    struct db_stmt *s = db_prepare(c, &forget, e);
    if (!s)
        return false;
    int64_t n = 0;
    db_bind_text(s, 1, l->id);
    return db_run(s, &n, e) && (n == 0 || doors_close(c, l->id, e));
}

bool accounts_forget(struct accounts *acc, struct slice id, struct err *e)
{
    struct leaving l = {.id = id};
    return store_write(acc->store, run, &l, e);
}
