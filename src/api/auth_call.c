/* What every call for accounts and keys begins and ends with. */
#include "api/auth_impl.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <string.h>

/* ---- may this be asked? ---------------------------------------------------------------------- */

static bool has_method(const struct auth_conf *auth, const char *method)
{
    for (size_t i = 0; i < auth->methods.n; i++) {
        if (slice_is(auth->methods.items[i].s, method))
            return true;
    }
    return false;
}

/* A page of another site, that is none of those `cors` names: those may ask, and get no cookie. A
 * browser adds no Authorization by itself. */
static bool is_foreign(struct req *rq)
{
    return req_is_cross_site(rq) && !rq->is_origin_allowed &&
           !h1_get(rq->h1, HEADER_AUTHORIZATION).ptr;
}

struct accounts *auth_begin(struct req *rq, const char *method, struct err *e)
{
    const struct api *a = rq->site;
    if (!a->accounts) {
        err_set(e, ERR_NOT_FOUND, "This app has no accounts.");
        return NULL;
    }
    if (method && !has_method(&a->manifest->auth, method)) {
        err_set(e, ERR_NOT_FOUND,
                "This app does not sign people in that way: `auth.methods` has no %s.", method);
        return NULL;
    }
    if (is_foreign(rq)) {
        err_set(e, ERR_FORBIDDEN, "A page of another site may not ask for this.");
        return NULL;
    }
    if (rq->identity && auth_is_of_job(rq->identity, e))
        return NULL;
    return a->accounts;
}

bool auth_is_of_job(const struct identity *who, struct err *e)
{
    if (who->is_of_job)
        err_set(e, ERR_FORBIDDEN,
                "The token of a job is for what the app keeps, not for accounts and their keys.");
    return who->is_of_job;
}

const struct identity *auth_who(struct req *rq, struct err *e)
{
    const struct identity *who = req_identity(rq, e);
    if (!who)
        return NULL;
    if (!who->is_signed_in) {
        err_set(e, ERR_UNAUTHENTICATED, "Nobody is signed in.");
        return NULL;
    }
    if (!identity_has_scope(who, SLICE("admin"))) {
        err_set(e, ERR_FORBIDDEN, "A key needs the scope `admin` for this.");
        return NULL;
    }
    return who;
}

bool auth_moves(struct req *rq, enum run run)
{
    return !rq->is_on_lane && req_move(rq, run);
}

/* ---- bodies ---------------------------------------------------------------------------------- */

bool auth_tell(struct req *rq, const char *pointer, const char *code, const char *says,
               struct err *e)
{
    rq->details =
        arena_printf(rq->arena, "[{\"pointer\":\"%s\",\"code\":\"%s\",\"message\":\"%s\"}]",
                     pointer, code, says);
    return err_set(e, ERR_INVALID, "%s", says);
}

static bool is_json(struct slice type)
{
    struct slice head = {0};
    return slice_cut(&type, ';', &head) &&
           slice_eq_nocase(slice_trim(head), SLICE("application/json"));
}

const struct json *auth_body(struct req *rq, struct err *e)
{
    struct json_doc doc;
    struct slice text = rq->body.len ? rq->body : SLICE("{}");
    if (rq->body.len && !is_json(h1_get(rq->h1, HEADER_CONTENT_TYPE))) {
        err_set(e, ERR_MEDIA_TYPE, "Send JSON, with Content-Type: application/json.");
        return NULL;
    }
    if (!doc_parse(rq->arena, text, NULL, &doc, e))
        return NULL;
    if (json_type(json_root(&doc)) == JSON_OBJECT)
        return json_root(&doc);
    auth_tell(rq, "", "type", "The body has to be an object.", e);
    return NULL;
}

bool auth_text(struct req *rq, const struct json *body, const char *name, bool is_needed,
               struct slice *ret, struct err *e)
{
    const struct json *v = json_find(body, slice_from(name));
    const char *pointer = arena_printf(rq->arena, "/%s", name).ptr;
    *ret = SLICE("");
    if (v && json_type(v) != JSON_STRING && (is_needed || json_type(v) != JSON_NULL))
        return auth_tell(rq, pointer, "type",
                         arena_printf(rq->arena, "`%s` has to be a string.", name).ptr, e);
    if (is_needed && !json_str(v).len)
        return auth_tell(rq, pointer, "required",
                         arena_printf(rq->arena, "`%s` is missing.", name).ptr, e);
    if (v)
        *ret = json_str(v);
    return true;
}

bool auth_is_id(struct slice id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_'))
            return false;
    }
    return id.len > 0 && id.len <= DOC_ID_MAX;
}

bool auth_is_name(struct slice name)
{
    return name.len <= ACCOUNT_NAME_MAX && utf8_is_line(name);
}

/* ---- answers --------------------------------------------------------------------------------- */

static const struct slice lines =
    SLICE_INIT("Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n");

bool auth_reply(struct req *rq, int status, struct buf *json)
{
    struct slice text = arena_dup(rq->arena, buf_slice(json));
    explicit_bzero(json->data, json->len);
    buf_done(json);
    reply_prebuilt(rq, lines);
    return reply_bytes(rq, status, "application/json", text);
}

void auth_write_time(struct json_writer *w, const char *name, int64_t ms)
{
    char time[RFC3339_LEN + 1];
    json_write_key(w, slice_from(name));
    if (ms)
        clock_rfc3339(ms, time);
    json_write_cstr(w, ms ? time : NULL);
}

bool auth_reply_signed_in(struct req *rq, int status, const struct accounts *acc,
                          const struct signed_in *in)
{
    struct buf b;
    struct json_writer w;
    buf_init(&b, 64u << 10);
    json_writer_init(&w, &b, 0);
    json_write_object(&w);
    json_write_key(&w, SLICE("token"));
    json_write_cstr(&w, in->token);
    auth_write_time(&w, "expires", in->expires_ms);
    json_write_key(&w, SLICE("user"));
    account_write(&w, &in->account);
    json_write_object_end(&w);
    if (!req_is_cross_site(rq))
        reply_header(rq, "Set-Cookie", accounts_cookie(acc, rq, in->token, in->expires_ms));
    return auth_reply(rq, status, &b);
}

bool auth_reply_user(struct req *rq, const struct account *account)
{
    struct buf b;
    struct json_writer w;
    buf_init(&b, 64u << 10);
    json_writer_init(&w, &b, 0);
    account_write(&w, account);
    return auth_reply(rq, 200, &b);
}

bool auth_reply_accepted(struct req *rq, const char *says)
{
    struct buf b;
    buf_init(&b, 1024);
    buf_printf(&b, "{\"detail\":\"%s\"}", says);
    return auth_reply(rq, 202, &b);
}

void auth_end_cookie(struct req *rq, const struct accounts *acc)
{
    if (!req_is_cross_site(rq))
        reply_header(rq, "Set-Cookie", accounts_cookie(acc, rq, NULL, 0));
    reply_prebuilt(rq, lines);
}
