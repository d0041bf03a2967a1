/* Signing up. One hash and one write, whether the address is known or not, and the same answer: who
 * gives the password of the account there is is signed in to that; else there is a new one, which
 * has not proved the address. */
#include "accounts/accounts_impl.h"

#include <stdio.h>
#include <string.h>

struct signing_up {
    struct accounts *acc;
    struct arena *arena;
    const struct sign_up *in;
    const struct asker *from;
    struct slice key, name;
    char hash[HASH_MAX];
    struct signed_in *ret;
};

static bool tell(struct arena *a, struct slice *ret_details, struct err *e, const char *pointer,
                 const char *says)
{
    *ret_details = arena_printf(a, "[{\"pointer\":\"%s\",\"code\":\"invalid\",\"message\":\"%s\"}]",
                                pointer, says);
    return err_set(e, ERR_INVALID, "%s", says);
}

static bool run(void *arg, struct db_conn *c, struct err *e)
{
    struct signing_up *s = arg;
    struct user_row u = {.account = {.email = s->key, .name = s->name}};
    char *id = arena_alloc(s->arena, ID_LEN + 1);
    random_id(id);
    u.account.id = slice_from(id);
    u.account.created_ms = u.account.updated_ms = clock_wall_ms();
    u.account.has_password = true;
    memcpy(u.hash, s->hash, sizeof u.hash);
    s->ret->account = u.account;
    return user_insert(c, &u, e) && session_insert(c, s->acc, u.account.id, s->from, s->ret, e) &&
           event_add(c,
                     &(struct event){.kind = EVENT_SIGN_UP,
                                     .who = u.account.id,
                                     .object = u.account.id,
                                     .ip = s->from->ip,
                                     .request = s->from->request},
                     u.account.created_ms, e);
}

bool accounts_sign_up(struct accounts *acc, struct arena *a, const struct sign_up *in,
                      const struct asker *from, struct signed_in *ret, struct slice *ret_details,
                      struct err *e)
{
    struct signing_up s = {.acc = acc, .arena = a, .in = in, .from = from, .ret = ret};
    if (!slice_is(acc->manifest->auth.signup.s, "open"))
        return err_set(e, ERR_FORBIDDEN, "Accounts are made by those who run this app.");
    s.key = email_key(in->email, a);
    s.name = slice_trim(in->name);
    if (!mail_is_address(s.key))
        return tell(a, ret_details, e, "/email", "This is no e-mail address.");
    if (s.name.len > ACCOUNT_NAME_MAX)
        return tell(a, ret_details, e, "/name", "The name may have at most 200 bytes.");
    return password_is_good(in->password, s.key, a, ret_details, e) &&
           accounts_may(acc, BUCKET_SIGNUP, s.key, from, e) &&
           password_hash(in->password, s.hash, e) && store_write(acc->store, run, &s, e);
}
