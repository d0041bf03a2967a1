/* Links in mails: asked for, and followed. Who asks for one to an address is answered before
 * anybody looks whether somebody has it, so that neither the words nor the time tell. */
#include "api/auth_impl.h"
#include "mail/mail.h"

/* ---- what is given --------------------------------------------------------------------------- */

static bool read_email(struct req *rq, const struct json *body, struct slice *ret, struct err *e)
{
    if (!auth_text(rq, body, "email", true, ret, e))
        return false;
    *ret = slice_trim(*ret);
    return mail_is_address(*ret) ||
           auth_tell(rq, "/email", "invalid", "This is no e-mail address.", e);
}

static bool read_next(struct req *rq, const struct json *body, struct slice *ret, struct err *e)
{
    return auth_text(rq, body, "next", false, ret, e) &&
           (!ret->len || accounts_next(*ret, rq->arena).len ||
            auth_tell(rq, "/next", "invalid", "`next` is a path of this app, such as /charts/?a=1.",
                      e));
}

/* The call to follow a link, else to ask for one. */
static bool reads_token(struct req *rq, const struct json *body, struct slice *ret, bool *ret_is,
                        struct err *e)
{
    *ret_is = json_type(json_find(body, SLICE("token"))) > JSON_NULL;
    return auth_text(rq, body, "token", *ret_is, ret, e);
}

#define ON_ITS_WAY "If somebody has this address here, a mail with a link is on its way."

/* ---- calls ----------------------------------------------------------------------------------- */

static bool ask_for(struct req *rq, struct accounts *acc, enum link_purpose purpose,
                    const struct json *body, struct err *e)
{
    struct slice email, next = SLICE("");
    return read_email(rq, body, &email, e) &&
           (purpose != LINK_SIGN_IN || read_next(rq, body, &next, e)) &&
           accounts_send_link_later(acc, rq, purpose, email, next, e) &&
           auth_reply_accepted(rq, ON_ITS_WAY);
}

bool auth_magic_link(struct req *rq, struct err *e)
{
    struct accounts *acc = auth_begin(rq, "magic_link", e);
    const struct json *body = acc ? auth_body(rq, e) : NULL;
    struct asker from = asker_of(rq);
    struct signed_in ret = {0};
    struct slice token;
    bool follows;
    if (!body || !reads_token(rq, body, &token, &follows, e))
        return false;
    if (!follows)
        return ask_for(rq, acc, LINK_SIGN_IN, body, e);
    return auth_moves(rq, RUN_SLOW) ||
           (accounts_follow_sign_in(acc, rq->arena, token, &from, &ret, e) &&
            auth_reply_signed_in(rq, 200, acc, &ret));
}

bool auth_reset(struct req *rq, struct err *e)
{
    struct accounts *acc = auth_begin(rq, "password", e);
    const struct json *body = acc ? auth_body(rq, e) : NULL;
    struct asker from = asker_of(rq);
    struct signed_in ret = {0};
    struct slice token, password;
    bool follows;
    if (!body || !reads_token(rq, body, &token, &follows, e))
        return false;
    if (!follows)
        return ask_for(rq, acc, LINK_RESET, body, e);
    return auth_text(rq, body, "password", true, &password, e) &&
           (auth_moves(rq, RUN_SIGN) ||
            (accounts_follow_reset(acc, rq->arena, token, password, &from, &ret, &rq->details, e) &&
             auth_reply_signed_in(rq, 200, acc, &ret)));
}

/* Without a link: another one, to the address of who is signed in. */
static bool send_again(struct req *rq, struct accounts *acc, const struct json *body, struct err *e)
{
    const struct identity *who = auth_who(rq, e);
    struct asker from = asker_of(rq);
    struct slice next;
    if (!who || !read_next(rq, body, &next, e))
        return false;
    if (auth_moves(rq, RUN_SLOW))
        return true;
    return accounts_send_verify(acc, who->id, next, &from, e) &&
           auth_reply_accepted(rq, "A mail with a link is on its way, unless the address is "
                                   "proved already.");
}

static bool verify(struct req *rq, struct accounts *acc, struct slice token, struct slice password,
                   struct err *e)
{
    const struct identity *who = req_identity(rq, e);
    struct asker from = asker_of(rq);
    struct account account;
    if (!who && e->code != ERR_UNAUTHENTICATED)
        return false;
    return accounts_follow_verify(acc, rq->arena, token,
                                  who && who->is_signed_in && !who->is_key ? who->id : SLICE(""),
                                  password, &from, &account, e) &&
           auth_reply_user(rq, &account);
}

bool auth_verify(struct req *rq, struct err *e)
{
    struct accounts *acc = auth_begin(rq, NULL, e);
    const struct json *body = acc ? auth_body(rq, e) : NULL;
    struct slice token, password;
    bool follows;
    if (!body || !reads_token(rq, body, &token, &follows, e) ||
        !auth_text(rq, body, "password", false, &password, e))
        return false;
    if (!follows)
        return send_again(rq, acc, body, e);
    return auth_moves(rq, password.len ? RUN_SIGN : RUN_SLOW) ||
           verify(rq, acc, token, password, e);
}
