/* Accounts over HTTP: signing up, in and out. The pages at /_/sign-in do the same with forms. What
 * hashes runs on the lane for that, what writes on another.
 *
 *   auth_own.c     one's own account, its password and sessions
 *   auth_mail.c    what is done with links in mails
 *   auth_export.c  all there is of an account
 *   auth_call.c    what every call begins and ends with
 *   keys.c         keys of programs */
#include "api/auth_impl.h"

static bool sign_up(struct req *rq, struct err *e);
static bool log_in(struct req *rq, struct err *e);
static bool log_out(struct req *rq, struct err *e);
static bool refresh(struct req *rq, struct err *e);

/* clang-format off */
const struct route auth_routes[] = {
    {"/auth/signup", "auth_signup", ON_POST, sign_up, .run = RUN_SIGN, .max_body = AUTH_BODY_MAX},
    {"/auth/login", "auth_login", ON_POST, log_in, .run = RUN_SIGN, .max_body = AUTH_BODY_MAX},
    {"/auth/logout", "auth_logout", ON_POST, log_out, .run = RUN_SLOW, .max_body = AUTH_BODY_MAX},
    {"/auth/refresh", "auth_refresh", ON_POST, refresh, .run = RUN_SLOW,
     .max_body = AUTH_BODY_MAX},
    {"/auth/magic-link", "auth_magic_link", ON_POST, auth_magic_link, .max_body = AUTH_BODY_MAX},
    {"/auth/verify", "auth_verify", ON_POST, auth_verify, .max_body = AUTH_BODY_MAX},
    {"/auth/reset", "auth_reset", ON_POST, auth_reset, .max_body = AUTH_BODY_MAX},
    {"/auth/password", "auth_password", ON_POST, auth_password, .run = RUN_SIGN,
     .max_body = AUTH_BODY_MAX},
    {"/auth/me", "auth_me", ON_GET | ON_PATCH | ON_DELETE, auth_me, .max_body = AUTH_BODY_MAX},
    {"/auth/me/export", "auth_export", ON_GET, auth_export, .run = RUN_READ},
    {"/auth/sessions", "auth_sessions", ON_GET | ON_DELETE, auth_sessions,
     .max_body = AUTH_BODY_MAX},
    {"/auth/sessions/{id}", "auth_session", ON_DELETE, auth_session, .run = RUN_SLOW,
     .max_body = AUTH_BODY_MAX},
};
/* clang-format on */
const size_t n_auth_routes = sizeof auth_routes / sizeof *auth_routes;

static bool sign_up(struct req *rq, struct err *e)
{
    struct accounts *acc = auth_begin(rq, "password", e);
    const struct json *body = acc ? auth_body(rq, e) : NULL;
    struct asker from = asker_of(rq);
    struct signed_in ret = {0};
    struct sign_up in;
    if (!body || !auth_text(rq, body, "email", true, &in.email, e) ||
        !auth_text(rq, body, "password", true, &in.password, e) ||
        !auth_text(rq, body, "name", false, &in.name, e))
        return false;
    return accounts_sign_up(acc, rq->arena, &in, &from, &ret, &rq->details, e) &&
           auth_reply_signed_in(rq, 201, acc, &ret);
}

static bool log_in(struct req *rq, struct err *e)
{
    struct accounts *acc = auth_begin(rq, "password", e);
    const struct json *body = acc ? auth_body(rq, e) : NULL;
    struct asker from = asker_of(rq);
    struct signed_in ret = {0};
    struct slice email, password;
    return body && auth_text(rq, body, "email", true, &email, e) &&
           auth_text(rq, body, "password", true, &password, e) &&
           accounts_log_in(acc, rq->arena, email, password, &from, &ret, e) &&
           auth_reply_signed_in(rq, 200, acc, &ret);
}

/* A cookie that does not count, as nothing says which page sent it: nobody is signed out by that.
 */
static bool is_unheard(struct req *rq)
{
    return !req_is_own_doing(rq) && !h1_get(rq->h1, HEADER_AUTHORIZATION).ptr &&
           h1_get(rq->h1, HEADER_COOKIE).ptr;
}

/* A session that has ended already is ended once more. */
static bool log_out(struct req *rq, struct err *e)
{
    struct accounts *acc = auth_begin(rq, NULL, e);
    struct asker from = asker_of(rq);
    if (!acc)
        return false;
    if (is_unheard(rq))
        return err_set(e, ERR_FORBIDDEN,
                       "A cookie counts with Sec-Fetch-Site or Origin only; programs send the "
                       "token as a bearer.");
    const struct identity *who = req_identity(rq, e);
    if (!who && e->code != ERR_UNAUTHENTICATED)
        return false;
    if (who && who->is_signed_in && !who->is_key && !accounts_log_out(acc, who->session, &from, e))
        return false;
    auth_end_cookie(rq, acc);
    return reply_empty(rq, 204);
}

/* Whoever asks is not looked at here: what it means that a token is an old one, accounts/ knows. */
static bool refresh(struct req *rq, struct err *e)
{
    struct accounts *acc = auth_begin(rq, NULL, e);
    struct slice token = acc ? accounts_token(acc, rq) : SLICE("");
    struct asker from = asker_of(rq);
    struct signed_in ret = {0};
    if (!acc)
        return false;
    if (!token.len)
        return err_set(e, ERR_UNAUTHENTICATED, "Nobody is signed in.");
    if (slice_starts(token, SLICE("dak_")))
        return err_set(e, ERR_FORBIDDEN, "A key stays as it is; make another one at keys.");
    return accounts_refresh(acc, rq->arena, token, &from, &ret, e) &&
           auth_reply_signed_in(rq, 200, acc, &ret);
}
