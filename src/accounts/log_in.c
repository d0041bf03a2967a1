/* Signing in and out. An address that nobody has takes as long as one with another password. */
#include "accounts/accounts_impl.h"

struct logging_in {
    struct accounts *acc;
    struct arena *arena;
    struct slice key;
    const struct asker *from;
    struct user_row user;
    bool is_found;
    struct signed_in *ret;
};

static bool look(void *arg, struct db_conn *c, struct err *e)
{
    struct logging_in *l = arg;
    return user_by_email(c, l->key, l->arena, &l->user, &l->is_found, e);
}

/* The password was right a moment ago: is that so still? */
static bool run(void *arg, struct db_conn *c, struct err *e)
{
    struct logging_in *l = arg;
    struct user_row now;
    bool is_found = false;
    if (!user_by_id(c, l->user.account.id, l->arena, &now, &is_found, e))
        return false;
    if (!is_found || now.account.state != ACCOUNT_ACTIVE ||
        !slice_eq(slice_from(now.hash), slice_from(l->user.hash)))
        return err_set(e, ERR_UNAUTHENTICATED, "The address or the password is wrong.");
    l->ret->account = now.account;
    return session_insert(c, l->acc, now.account.id, l->from, l->ret, e) &&
           event_add(c,
                     &(struct event){.kind = EVENT_SIGN_IN,
                                     .who = now.account.id,
                                     .object = now.account.id,
                                     .ip = l->from->ip,
                                     .request = l->from->request},
                     clock_wall_ms(), e);
}

bool accounts_log_in(struct accounts *acc, struct arena *a, struct slice email,
                     struct slice password, const struct asker *from, struct signed_in *ret,
                     struct err *e)
{
    struct logging_in l = {
        .acc = acc, .arena = a, .key = email_key(email, a), .from = from, .ret = ret};
    if (!store_read(acc->store, look, &l, e))
        return false;
    bool is_right = password_is(l.is_found ? l.user.hash : NULL,
                                slice_first(password, ACCOUNT_PASSWORD_MAX + 1));
    if (!is_right) { /* whose address it was, never what was given as one: that may be a password */
        store_note(acc->store, EVENT_SIGN_IN_FAILED, l.is_found ? l.user.account.id : SLICE(""),
                   from, l.is_found ? "another password" : "nobody has this address");
        return err_set(e, ERR_UNAUTHENTICATED, "The address or the password is wrong.");
    }
    return store_write(acc->store, run, &l, e);
}

struct logging_out {
    struct slice session;
};

static bool run_out(void *arg, struct db_conn *c, struct err *e)
{
    const struct logging_out *l = arg;
    return session_delete(c, l->session, e);
}

bool accounts_log_out(struct accounts *acc, struct slice session, const struct asker *from,
                      struct err *e)
{
    struct logging_out l = {session};
    (void)from;
    return store_write(acc->store, run_out, &l, e);
}
