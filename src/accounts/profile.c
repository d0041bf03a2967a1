/* What people do with their own account. */
#include "accounts/people_impl.h"

#include <string.h>

bool accounts_get(struct accounts *acc, struct arena *a, struct slice id, struct account *ret,
                  struct err *e)
{
    struct whose w;
    if (!whose_id(acc, a, id, &w, e))
        return false;
    *ret = w.row.account;
    return true;
}

struct own {
    struct accounts *acc;
    struct arena arena;
    struct whose whose;
    struct slice session, name;
    char hash[HASH_MAX];
    const struct asker *from;
};

static bool tell_gone(struct err *e)
{
    return err_set(e, ERR_NOT_FOUND, "There is no such account.");
}

/* ---- the name -------------------------------------------------------------------------------- */

static bool run_rename(void *arg, struct db_conn *c, struct err *e)
{
    struct own *o = arg;
    struct user_row u;
    bool is_active = false;
    struct slice id = o->whose.row.account.id;
    if (!active_user(c, id, &o->arena, &u, &is_active, e))
        return false;
    if (!is_active)
        return tell_gone(e);
    u.account.name = o->name;
    u.account.updated_ms = clock_wall_ms();
    return user_update(c, &u, e) && trail(c, EVENT_CHANGED, id, id, NULL, "name", e);
}

bool accounts_rename(struct accounts *acc, struct slice id, struct slice name, struct err *e)
{
    struct own o = {.acc = acc};
    arena_init(&o.arena, 1u << 20);
    bool fine = given_name(name, &o.arena, &o.name, NULL, e) &&
                whose_id(acc, &o.arena, id, &o.whose, e) &&
                store_write(o.whose.store, run_rename, &o, e);
    if (fine)
        cache_changed(o.whose.store->cache, id, SLICE(""));
    arena_done(&o.arena);
    return fine;
}

/* ---- the password ---------------------------------------------------------------------------- */

/* Who took over a session must not make it theirs: it is asked for, guesses count as tries to sign
 * in do, and wrong ones are noted. */
static bool is_owner(const struct own *o, struct slice password, struct err *e)
{
    const struct account *it = &o->whose.row.account;
    if (!it->has_password)
        return true;
    if (!accounts_may(o->acc, BUCKET_LOGIN, it->email, o->from, e))
        return false;
    if (password_is(o->whose.row.hash, slice_first(password, ACCOUNT_PASSWORD_MAX + 1)))
        return true;
    store_note(o->acc->store, EVENT_SIGN_IN_FAILED, it->id, o->from, "the present password");
    return err_set(e, ERR_FORBIDDEN, "The present password is wrong.");
}

/* As it was when the password was looked at, and asked for by who still is signed in: where there
 * is no password, that is all there is to look at. */
static bool same(struct own *o, struct db_conn *c, struct user_row *ret, struct err *e)
{
    bool is_active = false;
    if (!asker_is_in(c, o->from, e) ||
        !active_user(c, o->whose.row.account.id, &o->arena, ret, &is_active, e))
        return false;
    if (!is_active)
        return tell_gone(e);
    return slice_eq(slice_from(ret->hash), slice_from(o->whose.row.hash)) ||
           err_set(e, ERR_STALE, "The password was changed meanwhile.");
}

static bool run_password(void *arg, struct db_conn *c, struct err *e)
{
    struct own *o = arg;
    struct user_row u;
    if (!same(o, c, &u, e))
        return false;
    struct slice id = u.account.id;
    memcpy(u.hash, o->hash, sizeof u.hash);
    u.account.updated_ms = clock_wall_ms();
    if (!user_update(c, &u, e) || !sessions_delete(c, id, o->session, e) ||
        !links_delete(c, id, e) || !trail(c, EVENT_PASSWORD, id, id, o->from, NULL, e))
        return false;
    return !u.account.verified_ms || /* a stranger's, as far as anybody knows */
           letter_post(c, o->acc, LETTER_PASSWORD, &u.account, SLICE(""), SLICE(""), e);
}

bool accounts_set_password(struct accounts *acc, struct slice id, struct slice session,
                           struct slice now, struct slice password, const struct asker *from,
                           struct slice *ret_details, struct err *e)
{
    struct own o = {.acc = acc, .session = session, .from = from};
    struct arena *a = &o.arena;
    arena_init(a, 1u << 20);
    bool fine = whose_id(acc, a, id, &o.whose, e) &&
                password_is_good(password, o.whose.row.account.email, ret_details, e) &&
                is_owner(&o, now, e) && password_hash(password, o.hash, e) &&
                store_write(o.whose.store, run_password, &o, e);
    if (fine)
        cache_end(o.whose.store->cache, id, SLICE(""), session);
    arena_done(a);
    return fine;
}

/* ---- leaving --------------------------------------------------------------------------------- */

static bool run_leave(void *arg, struct db_conn *c, struct err *e)
{
    struct own *o = arg;
    struct user_row u;
    return same(o, c, &u, e) && user_leaves(c, o->acc, &u, u.account.id, o->from, e);
}

bool accounts_leave(struct accounts *acc, struct slice id, struct slice password,
                    const struct asker *from, struct err *e)
{
    struct own o = {.acc = acc, .from = from};
    arena_init(&o.arena, 1u << 20);
    bool fine = whose_id(acc, &o.arena, id, &o.whose, e);
    if (fine && o.whose.row.account.is_operator)
        fine = err_set(e, ERR_FORBIDDEN, "Operators are removed by another operator.");
    fine = fine && is_owner(&o, password, e) && store_write(o.whose.store, run_leave, &o, e);
    if (fine)
        cache_end(o.whose.store->cache, id, SLICE(""), SLICE(""));
    arena_done(&o.arena);
    return fine;
}
