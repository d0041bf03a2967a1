/* Links are followed. Each is used in the write that does what it is for, so that of two who follow
 * one at once one wins.
 *
 * Whoever gets a mail to an address owns it. Where the account had not proved that, a stranger may
 * have made it: nothing that the stranger knows (password, sessions, keys, links) is good
 * afterwards, and nothing speaks for the stranger (the name). Documents are the account's. */
#include "accounts/people_impl.h"

#include <string.h>

struct following {
    struct accounts *acc;
    struct account_store *store;
    struct arena *arena;
    enum link_purpose purpose;
    struct slice link;
    const struct asker *from;
    struct link_row row;
    struct user_row user; /* as the first look found it */
    char hash[HASH_MAX];  /* of the new password */
    struct signed_in *ret;
};

/* ---- what it is ------------------------------------------------------------------------------ */

/* *ret_found false: the link, or whom it was for, is no more. */
static bool find(struct following *f, struct db_conn *c, struct user_row *ret, bool *ret_found,
                 struct err *e)
{
    bool is_taken = false;
    if (!link_find(c, f->link, f->purpose, f->arena, &f->row, ret_found, e))
        return false;
    if (!*ret_found)
        return true;
    if (!active_user(c, f->row.user, f->arena, ret, ret_found, e))
        return false;
    if (!*ret_found || !slice_eq(ret->account.email, f->row.email)) {
        *ret_found = false;
        return true;
    }
    if (ret->account.verified_ms || f->purpose == LINK_VERIFY)
        return true;
    if (!is_verified_by_another(c, f->row.email, f->row.user, &is_taken, e))
        return false;
    *ret_found = !is_taken;
    return true;
}

struct looking {
    struct following *f;
    bool is_found;
};

static bool look(void *arg, struct db_conn *c, struct err *e)
{
    struct looking *l = arg;
    return find(l->f, c, &l->f->user, &l->is_found, e);
}

/* Before anything is hashed. */
static bool look_everywhere(struct following *f, struct err *e)
{
    struct account_store *const stores[] = {f->acc->store, f->acc->operators};
    struct looking l = {.f = f};
    enum token_kind kind;
    if (!token_kind_of(f->link, &kind) || kind != TOKEN_LINK)
        return link_is_dead(e);
    for (size_t i = 0; i < 2 && stores[i] && !l.is_found; i++) {
        f->store = stores[i];
        if (!store_read(f->store, look, &l, e))
            return false;
    }
    return l.is_found || link_is_dead(e);
}

/* ---- signing in, and a new password ---------------------------------------------------------- */

static bool prove(struct following *f, struct db_conn *c, struct user_row *u, struct err *e)
{
    u->account.verified_ms = u->account.updated_ms = clock_wall_ms();
    if (u->hash[0]) /* without one nobody was ever in: it is of whoever invited */
        u->account.name = SLICE("");
    u->hash[0] = '\0';
    return doors_close(c, u->account.id, e) &&
           trail(c, EVENT_VERIFIED, u->account.id, u->account.id, f->from, NULL, e);
}

static bool exchange_password(struct following *f, struct db_conn *c, struct user_row *u,
                              struct err *e)
{
    struct slice id = u->account.id;
    memcpy(u->hash, f->hash, sizeof u->hash);
    u->account.updated_ms = clock_wall_ms();
    return sessions_delete(c, id, SLICE(""), e) && links_delete(c, id, e) &&
           trail(c, EVENT_PASSWORD, id, id, f->from, "by a link", e) &&
           letter_post(c, f->acc, LETTER_PASSWORD, &u->account, SLICE(""), SLICE(""), e);
}

static bool run(void *arg, struct db_conn *c, struct err *e)
{
    struct following *f = arg;
    struct user_row u;
    bool is_found = false;
    if (!find(f, c, &u, &is_found, e))
        return false;
    if (!is_found)
        return link_is_dead(e);
    bool is_new = !u.account.verified_ms, is_reset = f->purpose == LINK_RESET;
    if (!link_use(c, f->link, e) || (is_new && !prove(f, c, &u, e)) ||
        (is_reset && !exchange_password(f, c, &u, e)) ||
        ((is_new || is_reset) && !user_update(c, &u, e)))
        return false;
    u.account.has_password = u.hash[0] != '\0';
    f->ret->account = u.account;
    account_dress(f->acc, f->store, f->arena, &f->ret->account);
    const struct entry n = {.acc = f->acc, .from = f->from, .ret = f->ret};
    return entry_session(c, &n, e);
}

static bool follow(struct following *f, struct err *e)
{
    bool is_new = !f->user.account.verified_ms;
    if (!store_write(f->store, run, f, e))
        return false;
    if (is_new || f->purpose == LINK_RESET)
        cache_end(f->store->cache, f->ret->account.id, SLICE(""), SLICE(""));
    return true;
}

bool accounts_follow_sign_in(struct accounts *acc, struct arena *a, struct slice link,
                             const struct asker *from, struct signed_in *ret, struct err *e)
{
    struct following f = {
        .acc = acc, .arena = a, .purpose = LINK_SIGN_IN, .link = link, .from = from, .ret = ret};
    return look_everywhere(&f, e) && follow(&f, e);
}

bool accounts_follow_reset(struct accounts *acc, struct arena *a, struct slice link,
                           struct slice password, const struct asker *from, struct signed_in *ret,
                           struct slice *ret_details, struct err *e)
{
    struct following f = {
        .acc = acc, .arena = a, .purpose = LINK_RESET, .link = link, .from = from, .ret = ret};
    return look_everywhere(&f, e) && password_is_good(password, f.row.email, ret_details, e) &&
           password_hash(password, f.hash, e) && follow(&f, e);
}

/* ---- this address is mine -------------------------------------------------------------------- */

static bool tell_taken(struct err *e)
{
    return err_set(e, ERR_EXISTS, "Another account has proved this address: sign in to that one.");
}

static bool run_verify(void *arg, struct db_conn *c, struct err *e)
{
    struct following *f = arg;
    struct user_row u;
    bool is_found = false, is_taken = false;
    if (!find(f, c, &u, &is_found, e))
        return false;
    if (!is_found || !slice_eq(slice_from(u.hash), slice_from(f->user.hash)))
        return link_is_dead(e);
    if (!is_verified_by_another(c, f->row.email, f->row.user, &is_taken, e))
        return false;
    if (is_taken)
        return tell_taken(e);
    u.account.verified_ms = u.account.updated_ms = clock_wall_ms();
    f->user = u;
    return link_use(c, f->link, e) && user_update(c, &u, e) &&
           trail(c, EVENT_VERIFIED, u.account.id, u.account.id, f->from, NULL, e);
}

bool accounts_follow_verify(struct accounts *acc, struct arena *a, struct slice link,
                            struct slice user, struct slice password, const struct asker *from,
                            struct account *ret, struct err *e)
{
    struct following f = {
        .acc = acc, .arena = a, .purpose = LINK_VERIFY, .link = link, .from = from};
    if (!look_everywhere(&f, e))
        return false;
    bool is_own = user.len && slice_eq(user, f.row.user);
    if (!is_own && !password.len)
        return err_set(e, ERR_UNAUTHENTICATED,
                       "Sign in to the account that this link is for, or give its password.");
    if (!is_own && !password_is(f.user.hash, slice_first(password, ACCOUNT_PASSWORD_MAX + 1)))
        return err_set(e, ERR_UNAUTHENTICATED, "The password is wrong.");
    if (!store_write(f.store, run_verify, &f, e))
        return e && e->code == ERR_EXISTS ? tell_taken(e) : false;
    *ret = f.user.account;
    account_dress(acc, f.store, a, ret);
    cache_changed(f.store->cache, ret->id, SLICE(""));
    return true;
}
