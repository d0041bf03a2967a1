/* Accounts over HTTP: what people do with their own, as JSON; the pages at /_/sign-in do the same
 * with forms. Every call that hashes or writes runs on the lane for that. */
#include "api/api_impl.h"

static bool sign_up(struct req *rq, struct err *e);
static bool log_in(struct req *rq, struct err *e);
static bool log_out(struct req *rq, struct err *e);
static bool me(struct req *rq, struct err *e);

#define AUTH_BODY_MAX (16u << 10)

const struct route auth_routes[] = {
    {"/auth/signup", "auth_signup", ON_POST, sign_up, .run = RUN_SIGN, .max_body = AUTH_BODY_MAX},
    {"/auth/login", "auth_login", ON_POST, log_in, .run = RUN_SIGN, .max_body = AUTH_BODY_MAX},
    {"/auth/logout", "auth_logout", ON_POST, log_out, .run = RUN_SLOW, .max_body = AUTH_BODY_MAX},
    {"/auth/me", "auth_me", ON_GET, me, .run = RUN_READ},
};
const size_t n_auth_routes = sizeof auth_routes / sizeof *auth_routes;

static struct accounts *accounts_of(struct req *rq, struct err *e)
{
    const struct api *a = rq->site;
    if (!a->accounts)
        err_set(e, ERR_NOT_FOUND, "This app has no accounts.");
    return a->accounts;
}

/* A string member of the body; empty when it is not there. False: it is no string. */
static bool member(const struct json *body, const char *name, struct slice *ret, struct err *e)
{
    const struct json *v = json_find(body, slice_from(name));
    *ret = SLICE("");
    if (!v || json_type(v) == JSON_NULL)
        return true;
    if (json_type(v) != JSON_STRING)
        return err_set(e, ERR_INVALID, "`%s` has to be a string.", name);
    *ret = json_str(v);
    return true;
}

static bool reply_signed_in(struct req *rq, int status, const struct accounts *acc,
                            const struct signed_in *in)
{
    struct buf b;
    struct json_writer w;
    char time[RFC3339_LEN + 1];
    buf_init(&b, 64u << 10);
    clock_rfc3339(in->expires_ms, time);
    json_writer_init(&w, &b, 0);
    json_write_object(&w);
    json_write_key(&w, SLICE("token"));
    json_write_cstr(&w, in->token);
    json_write_key(&w, SLICE("expires"));
    json_write_cstr(&w, time);
    json_write_key(&w, SLICE("user"));
    account_write(&w, &in->account);
    json_write_object_end(&w);
    struct slice text = arena_dup(rq->arena, buf_slice(&b));
    buf_done(&b);
    reply_header(rq, "Set-Cookie", accounts_cookie(acc, rq, in->token, in->expires_ms));
    return api_reply_json(rq, status, text);
}

static bool sign_up(struct req *rq, struct err *e)
{
    struct accounts *acc = accounts_of(rq, e);
    const struct json *body = acc ? api_body(rq, e) : NULL;
    struct asker from = asker_of(rq);
    struct signed_in ret = {0};
    struct sign_up in;
    return body && member(body, "email", &in.email, e) &&
           member(body, "password", &in.password, e) && member(body, "name", &in.name, e) &&
           accounts_sign_up(acc, rq->arena, &in, &from, &ret, &rq->details, e) &&
           reply_signed_in(rq, 201, acc, &ret);
}

static bool log_in(struct req *rq, struct err *e)
{
    struct accounts *acc = accounts_of(rq, e);
    const struct json *body = acc ? api_body(rq, e) : NULL;
    struct asker from = asker_of(rq);
    struct signed_in ret = {0};
    struct slice email, password;
    return body && member(body, "email", &email, e) && member(body, "password", &password, e) &&
           accounts_log_in(acc, rq->arena, email, password, &from, &ret, e) &&
           reply_signed_in(rq, 200, acc, &ret);
}

static bool log_out(struct req *rq, struct err *e)
{
    struct accounts *acc = accounts_of(rq, e);
    const struct identity *who = acc ? req_identity(rq, e) : NULL;
    struct asker from = asker_of(rq);
    if (!who || (who->is_signed_in && !accounts_log_out(acc, who->session, &from, e)))
        return false;
    reply_header(rq, "Set-Cookie", accounts_cookie(acc, rq, NULL, 0));
    return reply_empty(rq, 204);
}

static bool me(struct req *rq, struct err *e)
{
    struct accounts *acc = accounts_of(rq, e);
    const struct identity *who = acc ? req_identity(rq, e) : NULL;
    struct account account;
    struct buf b;
    struct json_writer w;
    if (!who)
        return false;
    if (!who->is_signed_in)
        return err_set(e, ERR_UNAUTHENTICATED, "Nobody is signed in.");
    if (!accounts_get(acc, rq->arena, who->id, &account, e))
        return false;
    buf_init(&b, 64u << 10);
    json_writer_init(&w, &b, 0);
    account_write(&w, &account);
    struct slice text = arena_dup(rq->arena, buf_slice(&b));
    buf_done(&b);
    return api_reply_json(rq, 200, text);
}
