/* The end of all ways in: a session and its event, or the one refusal. */
#include "accounts/people_impl.h"

#include <string.h>

/* Whose address it was, never what was given as one: that may be a password. */
bool entry_refuse(struct entry *n, struct err *e)
{
    bool is_known = n->whose.store != NULL;
    store_note(n->acc->store, EVENT_SIGN_IN_FAILED, is_known ? n->whose.row.account.id : SLICE(""),
               n->from, is_known ? "another password" : "nobody has this address");
    return err_set(e, ERR_UNAUTHENTICATED, "The address or the password is wrong.");
}

bool entry_session(struct db_conn *c, const struct entry *n, struct err *e)
{
    struct slice id = n->ret->account.id;
    return session_insert(c, n->acc, id, n->from, n->ret, e) &&
           trail(c, EVENT_SIGN_IN, id, id, n->from, NULL, e);
}

static bool run(void *arg, struct db_conn *c, struct err *e)
{
    struct entry *n = arg;
    struct user_row now;
    bool is_found = false;
    if (!active_user(c, n->whose.row.account.id, n->arena, &now, &is_found, e))
        return false;
    if (!is_found || !slice_eq(slice_from(now.hash), slice_from(n->whose.row.hash)))
        return err_set(e, ERR_UNAUTHENTICATED, "The address or the password is wrong.");
    n->ret->account = now.account;
    account_dress(n->acc, n->whose.store, n->arena, &n->ret->account);
    if (n->rehash[0]) {
        memcpy(now.hash, n->rehash, sizeof now.hash);
        if (!user_update(c, &now, e))
            return false;
    }
    return entry_session(c, n, e);
}

bool entry_write(struct entry *n, struct err *e)
{
    return store_write(n->whose.store, run, n, e);
}
