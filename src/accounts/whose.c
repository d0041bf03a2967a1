/* Whose account it is: of the app's own store, or of the operators', who sign in everywhere. */
#include "accounts/people_impl.h"

static const struct sql session_user = {"SELECT user_id FROM dais_sessions WHERE id = ?", NULL};
static const struct sql session_or_key = {
    "SELECT 1 FROM dais_sessions WHERE id = ? UNION ALL SELECT 1 FROM dais_keys WHERE id = ?",
    NULL,
};
static const struct sql verified_by = {
    "SELECT 1 FROM dais_users WHERE email = ? AND verified > 0 AND id <> ?",
    NULL,
};

struct looking {
    struct arena *arena;
    struct slice text;
    struct user_row row;
    bool is_found;
};

static bool look_id(void *arg, struct db_conn *c, struct err *e)
{
    struct looking *l = arg;
    return user_by_id(c, l->text, l->arena, &l->row, &l->is_found, e);
}

static bool look_email(void *arg, struct db_conn *c, struct err *e)
{
    struct looking *l = arg;
    return user_by_email(c, l->text, l->arena, &l->row, &l->is_found, e);
}

static bool look_session(void *arg, struct db_conn *c, struct err *e)
{
    struct looking *l = arg;
    struct db_stmt *s = db_prepare(c, &session_user, e);
    if (!s)
        return false;
    db_bind_text(s, 1, l->text);
    enum db_step step = db_step(s, e);
    struct slice user = step == DB_ROW ? arena_dup(l->arena, db_text(s, 0)) : SLICE("");
    db_reset(s);
    l->is_found = false;
    return step == DB_END ||
           (step == DB_ROW && user_by_id(c, user, l->arena, &l->row, &l->is_found, e));
}

void account_dress(const struct accounts *acc, const struct account_store *s, struct arena *a,
                   struct account *it)
{
    const struct texts *all = acc->manifest ? &acc->manifest->auth.roles : NULL;
    it->is_operator = s->is_operators;
    if (!s->is_operators || !all)
        return;
    struct slice *roles = arena_alloc(a, (all->n + 1) * sizeof *roles);
    for (size_t i = 0; i < all->n; i++)
        roles[i] = all->items[i].s;
    it->roles = roles;
    it->n_roles = all->n;
}

typedef bool (*look_fn)(void *arg, struct db_conn *c, struct err *e);

/* An operator who is stopped does not stand before who has the address in the app. */
static bool is_nobody(const struct account_store *s, const struct account *it)
{
    return it->state == ACCOUNT_LEAVING || (s->is_operators && it->state != ACCOUNT_ACTIVE);
}

static bool look_in(struct accounts *acc, struct account_store *s, look_fn fn, struct arena *a,
                    struct slice text, struct whose *ret, struct err *e)
{
    struct looking l = {.arena = a, .text = text};
    if (!store_read(s, fn, &l, e))
        return false;
    if (!l.is_found || (fn == look_email && is_nobody(s, &l.row.account)))
        return true;
    ret->store = s;
    ret->row = l.row;
    account_dress(acc, s, a, &ret->row.account);
    return true;
}

static bool look_in_both(struct accounts *acc, look_fn fn, struct arena *a, struct slice text,
                         struct whose *ret, struct err *e)
{
    *ret = (struct whose){0};
    if (!look_in(acc, acc->store, fn, a, text, ret, e))
        return false;
    if (!acc->operators || (ret->store && fn != look_email))
        return true;
    return look_in(acc, acc->operators, fn, a, text, ret, e);
}

bool whose_id(struct accounts *acc, struct arena *a, struct slice id, struct whose *ret,
              struct err *e)
{
    if (!look_in_both(acc, look_id, a, id, ret, e))
        return false;
    return ret->store || err_set(e, ERR_NOT_FOUND, "There is no such account.");
}

bool whose_email(struct accounts *acc, struct arena *a, struct slice key, struct whose *ret,
                 struct err *e)
{
    struct err unseen;
    struct slice checked;
    if (!given_email(key, a, &checked, NULL, &unseen))
        checked = SLICE(""); /* nobody's; what databases cannot take is none */
    return look_in_both(acc, look_email, a, checked, ret, e);
}

bool whose_session(struct accounts *acc, struct arena *a, struct slice session, struct whose *ret,
                   struct err *e)
{
    return look_in_both(acc, look_session, a, session, ret, e);
}

/* ---- inside a write -------------------------------------------------------------------------- */

bool active_user(struct db_conn *c, struct slice id, struct arena *a, struct user_row *ret,
                 bool *ret_found, struct err *e)
{
    if (!user_by_id(c, id, a, ret, ret_found, e))
        return false;
    *ret_found = *ret_found && ret->account.state == ACCOUNT_ACTIVE;
    return true;
}

bool asker_is_in(struct db_conn *c, const struct asker *from, struct err *e)
{
    if (!from->session.len)
        return true;
    struct db_stmt *s = db_prepare(c, &session_or_key, e);
    if (!s)
        return false;
    db_bind_text(s, 1, from->session);
    db_bind_text(s, 2, from->session);
    enum db_step step = db_step(s, e);
    db_reset(s);
    return step == DB_ROW ||
           (step == DB_END &&
            err_set(e, ERR_UNAUTHENTICATED, "This session has ended meanwhile. Sign in again."));
}

static bool link_is_in(struct db_conn *c, struct slice id, struct err *e)
{
    struct arena a;
    struct user_row user;
    bool found = false;
    arena_init(&a, 64u << 10);
    bool fine = active_user(c, id, &a, &user, &found, e);
    arena_done(&a);
    return fine &&
           (found || err_set(e, ERR_FORBIDDEN, "Whoever made this link may not share any more."));
}

/* Operators are rows of another database. */
bool accounts_is_in(struct db_conn *c, const struct identity *who, struct err *e)
{
    if (who->is_of_link)
        return link_is_in(c, who->id, e);
    const struct asker from = {.session = who->is_operator ? SLICE("") : who->session};
    return asker_is_in(c, &from, e);
}

bool is_verified_by_another(struct db_conn *c, struct slice email, struct slice id, bool *ret,
                            struct err *e)
{
    struct db_stmt *s = db_prepare(c, &verified_by, e);
    if (!s)
        return false;
    db_bind_text(s, 1, email);
    db_bind_text(s, 2, id.ptr ? id : SLICE(""));
    enum db_step step = db_step(s, e);
    db_reset(s);
    *ret = step == DB_ROW;
    return step != DB_FAILED;
}

bool trail(struct db_conn *c, enum event_kind kind, struct slice who, struct slice object,
           const struct asker *from, const char *detail, struct err *e)
{
    return event_add(c,
                     &(struct event){.kind = kind,
                                     .who = who,
                                     .object = object,
                                     .ip = from ? from->ip : SLICE(""),
                                     .request = from ? from->request : SLICE(""),
                                     .detail = slice_from(detail)},
                     clock_wall_ms(), e);
}

bool doors_close(struct db_conn *c, struct slice user, struct err *e)
{
    return sessions_delete(c, user, SLICE(""), e) && keys_delete(c, user, e) &&
           links_delete(c, user, e);
}
