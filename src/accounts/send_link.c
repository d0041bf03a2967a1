/* Links are sent: to the account that an address finds, or that asks for itself. */
#include "accounts/people_impl.h"

#define ALIVE_MAX 5 /* of a purpose and account: a mailbox is not to be flooded */

static const enum letter_kind letters[] = {
    [LINK_SIGN_IN] = LETTER_SIGN_IN,
    [LINK_RESET] = LETTER_RESET,
    [LINK_VERIFY] = LETTER_VERIFY,
};
static const char *const names[] = {
#define X(id, name, seconds) name,
    LINK_MAP(X)
#undef X
};

struct sending {
    struct accounts *acc;
    struct arena *arena;
    enum link_purpose purpose;
    struct slice user, next;
    const struct asker *from;
};

static bool run(void *arg, struct db_conn *c, struct err *e)
{
    struct sending *s = arg;
    struct user_row u;
    bool is_active = false;
    int64_t alive = 0;
    char link[TOKEN_MAX];
    if (!active_user(c, s->user, s->arena, &u, &is_active, e) ||
        !links_count(c, s->purpose, s->user, &alive, e))
        return false;
    if (!is_active || alive >= ALIVE_MAX ||
        (s->purpose == LINK_VERIFY && u.account.verified_ms > 0))
        return true;
    return link_insert(c, s->purpose, u.account.id, u.account.email, 0, link, e) &&
           letter_post(c, s->acc, letters[s->purpose], &u.account, slice_from(link), s->next, e) &&
           trail(c, EVENT_LINK_SENT, u.account.id, u.account.id, s->from, names[s->purpose], e);
}

static bool send_to(struct accounts *acc, struct arena *a, const struct whose *to,
                    enum link_purpose purpose, struct slice next, const struct asker *from,
                    struct err *e)
{
    struct sending s = {acc, a, purpose, to->row.account.id, next, from};
    return store_write(to->store, run, &s, e);
}

bool accounts_send_link(struct accounts *acc, enum link_purpose purpose, struct slice email,
                        struct slice next, const struct asker *from, struct err *e)
{
    struct whose w;
    struct arena a;
    must(purpose < LINK_OPERATOR);
    if (purpose == LINK_SIGN_IN && !accounts_allow(acc, "magic_link"))
        return err_set(e, ERR_FORBIDDEN, "This app sends no links to sign in with.");
    arena_init(&a, 1u << 20);
    bool fine = accounts_may(acc, purpose == LINK_RESET ? BUCKET_RESET : BUCKET_LOGIN,
                             email_key(email, &a), from, e) &&
                whose_email(acc, &a, email, &w, e) &&
                (!w.store || send_to(acc, &a, &w, purpose, next, from, e));
    arena_done(&a);
    return fine;
}

bool accounts_send_verify(struct accounts *acc, struct slice id, struct slice next,
                          const struct asker *from, struct err *e)
{
    struct whose w;
    struct arena a;
    arena_init(&a, 1u << 20);
    bool fine = whose_id(acc, &a, id, &w, e);
    if (fine && !w.row.account.verified_ms &&
        accounts_may_write(acc, w.row.account.email, true, from))
        fine = send_to(acc, &a, &w, LINK_VERIFY, next, from, e);
    arena_done(&a);
    return fine;
}
