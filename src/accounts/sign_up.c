/* Signing up. Two hashes and the same rows, whether the address is known or not, and the same
 * answer: who gives the password of the account there is is signed in to that; else there is a new
 * one, which has not proved the address. */
#include "accounts/people_impl.h"

#include <string.h>

struct signing_up {
    struct entry entry;
    struct slice key, name;
    char hash[HASH_MAX];
    bool may_write; /* a letter; not many leave for one address */
};

/* Who owns the address is told that there is an account already. The link is made all the same,
 * and nobody gets it: the rows tell nothing either. */
static bool write_to(struct signing_up *s, struct db_conn *c, const struct account *it,
                     struct err *e)
{
    char link[TOKEN_MAX];
    bool is_known;
    if (!is_verified_by_another(c, s->key, it->id, &is_known, e) ||
        !link_insert(c, LINK_VERIFY, it->id, s->key, 0, link, e))
        return false;
    if (!s->may_write)
        return true;
    is_known |= s->entry.whose.store && s->entry.whose.row.account.is_operator;
    return letter_post(c, s->entry.acc, is_known ? LETTER_KNOWN : LETTER_VERIFY, it,
                       is_known ? SLICE("") : slice_from(link), SLICE(""), e);
}

static bool run(void *arg, struct db_conn *c, struct err *e)
{
    struct signing_up *s = arg;
    struct entry *n = &s->entry;
    struct user_row u = {.account = {.email = s->key, .name = s->name, .has_password = true}};
    char *id = arena_alloc(n->arena, ID_LEN + 1);
    random_id(id);
    u.account.id = slice_from(id);
    u.account.created_ms = u.account.updated_ms = clock_wall_ms();
    memcpy(u.hash, s->hash, sizeof u.hash);
    n->ret->account = u.account;
    return user_insert(c, &u, e) && write_to(s, c, &u.account, e) &&
           session_insert(c, n->acc, u.account.id, n->from, n->ret, e) &&
           trail(c, EVENT_SIGN_UP, u.account.id, u.account.id, n->from, NULL, e);
}

bool accounts_sign_up(struct accounts *acc, struct arena *a, const struct sign_up *in,
                      const struct asker *from, struct signed_in *ret, struct slice *ret_details,
                      struct err *e)
{
    struct signing_up s = {.entry = {.acc = acc, .arena = a, .from = from, .ret = ret}};
    struct entry *n = &s.entry;
    if (!acc->manifest || !slice_is(acc->manifest->auth.signup.s, "open") ||
        !accounts_allow(acc, "password"))
        return err_set(e, ERR_FORBIDDEN, "Accounts are made by those who run this app.");
    if (!given_email(in->email, a, &s.key, ret_details, e) ||
        !given_name(in->name, a, &s.name, ret_details, e) ||
        !password_is_good(in->password, s.key, ret_details, e) ||
        !accounts_may(acc, BUCKET_SIGNUP, s.key, from, e) ||
        !whose_email(acc, a, s.key, &n->whose, e))
        return false;
    bool is_right = password_is(n->whose.store ? n->whose.row.hash : NULL, in->password);
    if (!password_hash(in->password, s.hash, e))
        return false;
    if (is_right && n->whose.row.account.state == ACCOUNT_ACTIVE)
        return entry_write(n, e);
    s.may_write = accounts_may_write(acc, s.key, false, from);
    return store_write(acc->store, run, &s, e);
}
