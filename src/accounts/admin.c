/* What operators do with accounts: list, add, change, stop. */
#include "accounts/people_impl.h"

#include <string.h>

#define LIST_DEFAULT 100
#define LIST_MAX     1000
#define INVITED_S    (3 * 24 * 3600)

static const struct sql after_id = {
    "SELECT id FROM dais_users WHERE id > ? AND state <> 2 ORDER BY id LIMIT ?",
    NULL,
};
static const struct sql of_address = {
    "SELECT id FROM dais_users WHERE email = ? AND id > ? AND state <> 2 ORDER BY id LIMIT ?",
    NULL,
};

/* ---- listing --------------------------------------------------------------------------------- */

struct listing {
    struct accounts *acc;
    struct arena *arena;
    struct slice key, after;
    uint32_t limit;
    struct slice *ids;
    struct account *rows;
    size_t n;
};

static bool look_ids(struct listing *l, struct db_conn *c, struct err *e)
{
    enum db_step step = DB_END;
    int at = 1;
    struct db_stmt *s = db_prepare(c, l->key.len ? &of_address : &after_id, e);
    if (!s)
        return false;
    if (l->key.len)
        db_bind_text(s, at++, l->key);
    db_bind_text(s, at++, l->after.ptr ? l->after : SLICE(""));
    db_bind_i64(s, at, l->limit);
    for (l->n = 0; l->n < l->limit && (step = db_step(s, e)) == DB_ROW; l->n++)
        l->ids[l->n] = arena_dup(l->arena, db_text(s, 0));
    db_reset(s);
    return step != DB_FAILED;
}

static bool look(void *arg, struct db_conn *c, struct err *e)
{
    struct listing *l = arg;
    size_t n = 0;
    if (!look_ids(l, c, e))
        return false;
    for (size_t i = 0; i < l->n; i++) {
        struct user_row u;
        bool is_found = false;
        if (!user_by_id(c, l->ids[i], l->arena, &u, &is_found, e))
            return false;
        if (is_found)
            l->rows[n++] = u.account;
    }
    l->n = n;
    return true;
}

bool accounts_list(struct accounts *acc, struct arena *a, const struct account_query *q,
                   struct account **ret, size_t *ret_n, struct err *e)
{
    struct listing l = {.acc = acc, .arena = a, .after = q->after};
    l.limit = !q->limit ? LIST_DEFAULT : q->limit > LIST_MAX ? LIST_MAX : q->limit;
    if (q->email.len && !given_email(q->email, a, &l.key, NULL, e))
        return false;
    l.ids = arena_try_alloc(a, l.limit * sizeof *l.ids);
    l.rows = arena_try_alloc(a, l.limit * sizeof *l.rows);
    if (!l.ids || !l.rows)
        return err_set(e, ERR_UNAVAILABLE, "There is no memory for this just now.");
    if (!store_read(acc->store, look, &l, e))
        return false;
    for (size_t i = 0; i < l.n; i++)
        account_dress(acc, acc->store, a, &l.rows[i]);
    *ret = l.rows;
    *ret_n = l.n;
    return true;
}

/* ---- adding and changing --------------------------------------------------------------------- */

struct drafting {
    struct accounts *acc;
    struct arena *arena;
    const struct account_draft *in;
    const struct asker *from;
    struct slice id; /* empty: a new one */
    struct slice key, name;
    char hash[HASH_MAX];
    struct account *ret;
    bool ends; /* what it was known by */
};

static bool tell_exists(struct err *e)
{
    return err_set(e, ERR_EXISTS, "There is an account with this address.");
}

static bool check(struct drafting *d, struct err *e)
{
    const struct account_draft *in = d->in;
    struct slice details;
    if (in->email.len && !given_email(in->email, d->arena, &d->key, NULL, e))
        return false;
    return given_name(in->name, d->arena, &d->name, NULL, e) &&
           (!in->has_roles || given_roles(d->acc, in->roles, in->n_roles, e)) &&
           (!in->password.len || (password_is_good(in->password, d->key, &details, e) &&
                                  password_hash(in->password, d->hash, e)));
}

/* Onto the row; what is not given stays. */
static void apply(const struct drafting *d, struct user_row *u, int64_t now)
{
    struct account *it = &u->account;
    bool is_moved = d->key.len && !slice_eq(d->key, it->email);
    it->updated_ms = now;
    if (is_moved) {
        it->email = d->key;
        it->verified_ms = 0; /* that was the other one */
    }
    if (d->in->is_verified && !it->verified_ms)
        it->verified_ms = now;
    if (d->name.len)
        it->name = d->name;
    if (d->in->has_roles) {
        it->roles = d->in->roles;
        it->n_roles = d->in->n_roles;
    }
    if (d->hash[0])
        memcpy(u->hash, d->hash, sizeof u->hash);
    it->has_password = u->hash[0] != '\0';
}

static bool invite(struct drafting *d, struct db_conn *c, const struct account *it, struct err *e)
{
    char link[TOKEN_MAX];
    return link_insert(c, LINK_RESET, it->id, it->email, INVITED_S, link, e) &&
           letter_post(c, d->acc, LETTER_INVITED, it, slice_from(link), SLICE(""), e);
}

static bool run_add(void *arg, struct db_conn *c, struct err *e)
{
    struct drafting *d = arg;
    struct user_row u = {.account = {.email = d->key, .name = SLICE("")}};
    bool is_taken = false;
    char *id = arena_alloc(d->arena, ID_LEN + 1);
    if (!is_verified_by_another(c, d->key, SLICE(""), &is_taken, e))
        return false;
    if (is_taken)
        return tell_exists(e);
    random_id(id);
    u.account.id = slice_from(id);
    u.account.created_ms = clock_wall_ms();
    apply(d, &u, u.account.created_ms);
    *d->ret = u.account;
    return user_insert(c, &u, e) &&
           trail(c, EVENT_ADDED, SLICE("operator"), u.account.id, d->from, NULL, e) &&
           (u.hash[0] || invite(d, c, &u.account, e));
}

bool accounts_add(struct accounts *acc, struct arena *a, const struct account_draft *in,
                  const struct asker *from, struct account *ret, struct err *e)
{
    struct drafting d = {.acc = acc, .arena = a, .in = in, .from = from, .ret = ret};
    if (!in->email.len)
        return err_set(e, ERR_INVALID, "An account needs an e-mail address.");
    if (!check(&d, e) || !store_write(acc->store, run_add, &d, e))
        return e && e->code == ERR_EXISTS ? tell_exists(e) : false;
    account_dress(acc, acc->store, a, ret);
    return true;
}

static bool run_change(void *arg, struct db_conn *c, struct err *e)
{
    struct drafting *d = arg;
    struct user_row u;
    bool is_found = false, is_taken = false;
    if (!user_by_id(c, d->id, d->arena, &u, &is_found, e))
        return false;
    if (!is_found || u.account.state == ACCOUNT_LEAVING)
        return err_set(e, ERR_NOT_FOUND, "There is no such account.");
    d->ends = d->hash[0] || (d->key.len && !slice_eq(d->key, u.account.email));
    apply(d, &u, clock_wall_ms());
    if (u.account.verified_ms && !is_verified_by_another(c, u.account.email, d->id, &is_taken, e))
        return false;
    if (is_taken)
        return tell_exists(e);
    *d->ret = u.account;
    return user_update(c, &u, e) &&
           (!d->ends || (sessions_delete(c, d->id, SLICE(""), e) && links_delete(c, d->id, e))) &&
           trail(c, EVENT_CHANGED, SLICE("operator"), d->id, d->from, NULL, e);
}

bool accounts_change(struct accounts *acc, struct arena *a, struct slice id,
                     const struct account_draft *in, const struct asker *from, struct account *ret,
                     struct err *e)
{
    struct drafting d = {.acc = acc, .arena = a, .in = in, .from = from, .id = id, .ret = ret};
    if (!check(&d, e) || !store_write(acc->store, run_change, &d, e))
        return e && e->code == ERR_EXISTS ? tell_exists(e) : false;
    account_dress(acc, acc->store, a, ret);
    if (d.ends)
        cache_end(acc->store->cache, id, SLICE(""), SLICE(""));
    else
        cache_changed(acc->store->cache, id, SLICE(""));
    return true;
}

/* ---- stopping one ---------------------------------------------------------------------------- */

struct stating {
    struct accounts *acc;
    struct arena *arena;
    struct slice id;
    enum account_state state;
    const struct asker *from;
};

static bool is_another_there(struct db_conn *c, struct slice id, bool *ret, struct err *e)
{
    static const struct sql others = {
        "SELECT 1 FROM dais_users WHERE state = 0 AND id <> ? LIMIT 1",
        NULL,
    };
    struct db_stmt *s = db_prepare(c, &others, e);
    if (!s)
        return false;
    db_bind_text(s, 1, id);
    enum db_step step = db_step(s, e);
    db_reset(s);
    *ret = step == DB_ROW;
    return step != DB_FAILED;
}

/* Of two who stop each other at once one goes on: it is looked at in the write itself. */
static bool may_stop(const struct stating *s, struct db_conn *c, const struct account *it,
                     struct err *e)
{
    bool is_another = true;
    if (s->acc->store->is_operators && s->state != ACCOUNT_ACTIVE &&
        !is_another_there(c, it->id, &is_another, e))
        return false;
    return is_another || err_set(e, ERR_FORBIDDEN,
                                 "%.*s is the only operator; add another one first (dais user add "
                                 "--operator)",
                                 SLICE_ARGS(it->email));
}

static bool run_state(void *arg, struct db_conn *c, struct err *e)
{
    struct stating *s = arg;
    struct user_row u;
    bool is_found = false;
    if (!user_by_id(c, s->id, s->arena, &u, &is_found, e))
        return false;
    if (!is_found || u.account.state == ACCOUNT_LEAVING)
        return err_set(e, ERR_NOT_FOUND, "There is no such account.");
    if (!may_stop(s, c, &u.account, e))
        return false;
    if (s->state == ACCOUNT_LEAVING)
        return user_leaves(c, s->acc, &u, SLICE("operator"), s->from, e);
    u.account.state = s->state;
    u.account.updated_ms = clock_wall_ms();
    return user_update(c, &u, e) && sessions_delete(c, s->id, SLICE(""), e) &&
           links_delete(c, s->id, e) &&
           trail(c, EVENT_STATE, SLICE("operator"), s->id, s->from,
                 s->state == ACCOUNT_ACTIVE ? "active" : "disabled", e);
}

bool accounts_set_state(struct accounts *acc, struct slice id, enum account_state state,
                        const struct asker *from, struct err *e)
{
    struct arena a;
    struct stating s = {acc, &a, id, state, from};
    arena_init(&a, 1u << 20);
    bool fine = store_write(acc->store, run_state, &s, e);
    if (fine)
        cache_end(acc->store->cache, id, SLICE(""), SLICE(""));
    arena_done(&a);
    return fine;
}

/* ---- documents of `local` -------------------------------------------------------------------- */

/* An operator's row is not in the app's store; its documents are the app's all the same. */
static bool run_adoption(void *arg, struct db_conn *c, struct err *e)
{
    struct stating *s = arg;
    struct user_row u;
    bool is_found = false;
    if (!user_by_id(c, s->id, s->arena, &u, &is_found, e))
        return false;
    if (is_found && u.account.state == ACCOUNT_LEAVING)
        return err_set(e, ERR_NOT_FOUND, "There is no such account.");
    return trail(c, EVENT_ADOPTED, SLICE("operator"), s->id, s->from, "the documents of local", e);
}

bool accounts_note_adoption(struct accounts *acc, struct slice id, const struct asker *from,
                            struct err *e)
{
    struct arena a;
    struct stating s = {.acc = acc, .arena = &a, .id = id, .from = from};
    arena_init(&a, 1u << 20);
    bool fine = store_write(acc->store, run_adoption, &s, e);
    arena_done(&a);
    return fine;
}
