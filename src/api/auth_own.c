/* One's own account: what it is, its password, its sessions, its end. */
#include "api/auth_impl.h"

/* ---- the account ----------------------------------------------------------------------------- */

/* Who asks without a row: `local`, an app's own key, an operator of the host. */
static struct account account_of(const struct identity *who)
{
    return (struct account){
        .id = who->id,
        .email = who->email,
        .name = who->name,
        .roles = who->roles,
        .n_roles = who->n_roles,
        .verified_ms = who->email.len > 0,
        .is_operator = who->is_operator,
    };
}

static bool find_account(struct req *rq, const struct identity *who, struct account *ret,
                         struct err *e)
{
    const struct api *a = rq->site;
    *ret = account_of(who);
    if (!a->accounts || who->is_local || accounts_get(a->accounts, rq->arena, who->id, ret, e))
        return true;
    if (e->code != ERR_NOT_FOUND)
        return false;
    *ret = account_of(who);
    return true;
}

/* Keys may, whatever they were made for: they find out whose they are. So may `local`. */
static bool tell_me(struct req *rq, struct err *e)
{
    const struct api *a = rq->site;
    const struct identity *who = req_identity(rq, e);
    struct account account;
    if (!who || auth_is_of_job(who, e))
        return false;
    if (!a->accounts && !who->is_signed_in)
        return err_set(e, ERR_NOT_FOUND, "This app has no accounts.");
    if (!who->is_signed_in)
        return err_set(e, ERR_UNAUTHENTICATED, "Nobody is signed in.");
    if (auth_moves(rq, RUN_READ))
        return true;
    return find_account(rq, who, &account, e) && auth_reply_user(rq, &account);
}

static bool rename_me(struct req *rq, struct accounts *acc, const struct identity *who,
                      struct err *e)
{
    const struct json *body = auth_body(rq, e);
    struct account account;
    struct slice name;
    if (!body || !auth_text(rq, body, "name", false, &name, e))
        return false;
    if (!auth_is_name(name))
        return auth_tell(rq, "/name", "invalid",
                         "A name is text of at most 200 bytes, without control characters.", e);
    bool is_given = json_type(json_find(body, SLICE("name"))) != JSON_NONE;
    return (!is_given || accounts_rename(acc, who->id, slice_trim(name), e)) &&
           accounts_get(acc, rq->arena, who->id, &account, e) && auth_reply_user(rq, &account);
}

/* Where there is no password to ask for, only a session is its owner's: a key that set the first
 * one would sign in with it, beyond its scopes. */
static bool is_up_to(struct req *rq, struct accounts *acc, const struct identity *who,
                     struct err *e)
{
    struct account account;
    if (!who->is_key)
        return true;
    return accounts_get(acc, rq->arena, who->id, &account, e) &&
           (account.has_password ||
            err_set(e, ERR_FORBIDDEN, "A key cannot do this to an account without a password."));
}

static bool leave(struct req *rq, struct accounts *acc, const struct identity *who, struct err *e)
{
    const struct json *body = auth_body(rq, e);
    struct asker from = asker_of(rq);
    struct slice password;
    if (!body || !auth_text(rq, body, "password", false, &password, e) ||
        !is_up_to(rq, acc, who, e) || !accounts_leave(acc, who->id, password, &from, e))
        return false;
    auth_end_cookie(rq, acc);
    return auth_reply_accepted(rq, "The account is gone; what it owns follows.");
}

bool auth_me(struct req *rq, struct err *e)
{
    if (rq->method == METHOD_GET || rq->method == METHOD_HEAD)
        return tell_me(rq, e);
    struct accounts *acc = auth_begin(rq, NULL, e);
    const struct identity *who = acc ? auth_who(rq, e) : NULL;
    bool is_end = rq->method == METHOD_DELETE;
    if (!who)
        return false;
    if (auth_moves(rq, is_end ? RUN_SIGN : RUN_SLOW))
        return true;
    return is_end ? leave(rq, acc, who, e) : rename_me(rq, acc, who, e);
}

bool auth_password(struct req *rq, struct err *e)
{
    struct accounts *acc = auth_begin(rq, "password", e);
    const struct identity *who = acc ? auth_who(rq, e) : NULL;
    const struct json *body = who ? auth_body(rq, e) : NULL;
    struct asker from = asker_of(rq);
    struct slice now, password;
    return body && auth_text(rq, body, "current", false, &now, e) &&
           auth_text(rq, body, "password", true, &password, e) && is_up_to(rq, acc, who, e) &&
           accounts_set_password(acc, who->id, who->is_key ? SLICE("") : who->session, now,
                                 password, &from, &rq->details, e) &&
           reply_empty(rq, 204);
}

/* ---- sessions -------------------------------------------------------------------------------- */

void session_write(struct json_writer *w, const struct session_row *row, struct slice present)
{
    json_write_object(w);
    json_write_key(w, SLICE("id"));
    json_write_str(w, row->id);
    auth_write_time(w, "created", row->created_ms);
    auth_write_time(w, "expires", row->expires_ms);
    json_write_key(w, SLICE("ip"));
    json_write_str(w, row->ip);
    json_write_key(w, SLICE("agent"));
    json_write_str(w, row->agent);
    json_write_key(w, SLICE("current"));
    json_write_bool(w, slice_eq(row->id, present));
    json_write_object_end(w);
}

static bool list_sessions(struct req *rq, struct accounts *acc, const struct identity *who,
                          struct err *e)
{
    struct session_row *rows;
    struct json_writer w;
    struct buf b;
    size_t n;
    if (!accounts_sessions(acc, rq->arena, who->id, &rows, &n, e))
        return false;
    buf_init(&b, 16u << 20);
    json_writer_init(&w, &b, 0);
    json_write_object(&w);
    json_write_key(&w, SLICE("items"));
    json_write_array(&w);
    for (size_t i = 0; i < n; i++)
        session_write(&w, &rows[i], who->session);
    json_write_array_end(&w);
    json_write_object_end(&w);
    return auth_reply(rq, 200, &b);
}

/* All of them, the one that asks too: signed out everywhere. */
static bool end_all(struct req *rq, struct accounts *acc, const struct identity *who, struct err *e)
{
    if (!accounts_end_session(acc, who->id, SLICE(""), e))
        return false;
    auth_end_cookie(rq, acc);
    return reply_empty(rq, 204);
}

bool auth_sessions(struct req *rq, struct err *e)
{
    struct accounts *acc = auth_begin(rq, NULL, e);
    const struct identity *who = acc ? auth_who(rq, e) : NULL;
    bool is_end = rq->method == METHOD_DELETE;
    if (!who)
        return false;
    if (auth_moves(rq, is_end ? RUN_SLOW : RUN_READ))
        return true;
    return is_end ? end_all(rq, acc, who, e) : list_sessions(rq, acc, who, e);
}

bool auth_session(struct req *rq, struct err *e)
{
    struct accounts *acc = auth_begin(rq, NULL, e);
    const struct identity *who = acc ? auth_who(rq, e) : NULL;
    struct slice id = req_param(rq, "id");
    if (!who)
        return false;
    if (!auth_is_id(id))
        return err_set(e, ERR_NOT_FOUND, "There is no such session of yours.");
    if (!accounts_end_session(acc, who->id, id, e))
        return false;
    if (slice_eq(id, who->session))
        auth_end_cookie(rq, acc);
    return reply_empty(rq, 204);
}
