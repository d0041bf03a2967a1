/* Signing in and out. An address that nobody has costs what one with another password does: the
 * same reads, one argon2, one event. */
#include "accounts/people_impl.h"

bool accounts_log_in(struct accounts *acc, struct arena *a, struct slice email,
                     struct slice password, const struct asker *from, struct signed_in *ret,
                     struct err *e)
{
    struct entry n = {.acc = acc, .arena = a, .from = from, .ret = ret};
    struct slice key = email_key(email, a);
    if (!accounts_may(acc, BUCKET_LOGIN, key, from, e) || !whose_email(acc, a, key, &n.whose, e))
        return false;
    const struct account *it = &n.whose.row.account;
    bool is_right = password_is(n.whose.store ? n.whose.row.hash : NULL,
                                slice_first(password, ACCOUNT_PASSWORD_MAX + 1));
    bool may = it->is_operator || accounts_allow(acc, "password");
    if (!is_right || it->state != ACCOUNT_ACTIVE || !may)
        return entry_refuse(&n, e);
    if (password_is_old(n.whose.row.hash) && !password_hash(password, n.rehash, e))
        return false;
    if (!entry_write(&n, e))
        return false;
    accounts_welcome(acc, key, from);
    return true;
}

/* ---- out ------------------------------------------------------------------------------------- */

struct logging_out {
    struct slice session, user;
    const struct asker *from;
};

static bool run_out(void *arg, struct db_conn *c, struct err *e)
{
    const struct logging_out *l = arg;
    return session_delete(c, l->session, e) &&
           trail(c, EVENT_SIGN_OUT, l->user, l->user, l->from, NULL, e);
}

bool accounts_log_out(struct accounts *acc, struct slice session, const struct asker *from,
                      struct err *e)
{
    struct logging_out l = {.session = session, .from = from};
    struct whose w;
    struct arena a;
    arena_init(&a, 1u << 20);
    bool fine = whose_session(acc, &a, session, &w, e);
    l.user = w.store ? w.row.account.id : SLICE("");
    fine = fine && (!w.store || store_write(w.store, run_out, &l, e));
    if (fine && w.store)
        cache_end(w.store->cache, l.user, session, SLICE(""));
    arena_done(&a);
    return fine;
}
