/* Web identity: a token that the platform writes into a file, exchanged at STS for a role's keys.
 */
#include "aws/aws_impl.h"

#include <stdio.h>

#define TOKEN_FILE_MAX (64u << 10)
#define FORM_MAX       (256u << 10)
#define STS_MS         10000
#define REGION_MAX     64

#define NAME_MARKS "+=,.@-_"

static struct slice sts_url(const struct asking *q, struct slice region)
{
    if (q->place->sts_url)
        return slice_from(q->place->sts_url);
    if (!region.len)
        region = slice_trim(place_env(q->place, "AWS_REGION"));
    if (!region.len)
        region = slice_trim(place_env(q->place, "AWS_DEFAULT_REGION"));
    if (!is_name(region, "-") || region.len > REGION_MAX)
        return SLICE("https://sts.amazonaws.com");
    return arena_printf(q->arena, "https://sts.%.*s.amazonaws.com%s", SLICE_ARGS(region),
                        slice_starts(region, SLICE("cn-")) ? ".cn" : "");
}

static void add_pair(struct buf *form, const char *name, struct slice value)
{
    buf_printf(form, "&%s=", name);
    aws_escape(form, value, false);
}

static struct slice form_of(const struct asking *q, const struct identity *who, struct slice token)
{
    struct buf form;
    struct slice session = who->session;
    if (!session.len)
        session = arena_printf(q->arena, "dais-%lld", (long long)q->now_ms);
    buf_init(&form, FORM_MAX);
    buf_add_str(&form, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15");
    add_pair(&form, "RoleArn", who->role);
    add_pair(&form, "RoleSessionName", session);
    add_pair(&form, "WebIdentityToken", token);
    struct slice text = arena_dup(q->arena, buf_slice(&form));
    buf_done(&form);
    return text;
}

static enum place_said refused(int status, struct slice body, struct err *e)
{
    struct slice code = xml_find(body, "Code");
    err_set(e, ERR_UNAVAILABLE, "STS gave no keys for the role: it answered %d%s%.*s", status,
            is_name(code, "") ? " " : "", SLICE_ARGS(is_name(code, "") ? code : SLICE("")));
    return PLACE_FAILED;
}

static bool read_token(const struct asking *q, const struct identity *who, struct slice *ret,
                       struct err *e)
{
    if (!is_visible(who->role))
        return err_set(e, ERR_UNAVAILABLE,
                       "there is a file with a token of web identity, but no role "
                       "(AWS_ROLE_ARN or role_arn)");
    if (who->session.len && !is_name(who->session, NAME_MARKS))
        return err_set(e, ERR_UNAVAILABLE,
                       "the name of the role's session has characters that none has");
    if (!place_file(q, who->token_file, TOKEN_FILE_MAX, ret, e))
        return err_prefix(e, "reading the token of web identity");
    return is_visible(*ret) || err_set(e, ERR_UNAVAILABLE, "%.*s holds no token of web identity",
                                       SLICE_ARGS(who->token_file));
}

enum place_said identity_exchange(const struct asking *q, const struct identity *who,
                                  struct lent *ret, struct err *e)
{
    static const struct fetch_header type = {
        SLICE_INIT("Content-Type"), SLICE_INIT("application/x-www-form-urlencoded"), false};
    struct slice token, body;
    int status;
    if (!read_token(q, who, &token, e))
        return PLACE_FAILED;
    const struct fetch_options o = {.url = sts_url(q, who->region),
                                    .method = METHOD_POST,
                                    .headers = &type,
                                    .n_headers = 1,
                                    .body = form_of(q, who, token),
                                    .max_ms = STS_MS};
    if (!place_fetch(q, o, &status, &body, e)) {
        err_prefix(e, "asking STS for the keys of a role");
        return PLACE_FAILED;
    }
    if (status != 200)
        return refused(status, body, e);
    if (lent_from_xml(body, q->arena, ret, e))
        return PLACE_LENDS;
    err_prefix(e, "asking STS for the keys of a role");
    return PLACE_FAILED;
}

enum place_said web_identity_ask(const struct asking *q, struct lent *ret, struct err *e)
{
    struct identity who = {.role = slice_trim(place_env(q->place, "AWS_ROLE_ARN")),
                           .token_file = place_env(q->place, "AWS_WEB_IDENTITY_TOKEN_FILE"),
                           .session = slice_trim(place_env(q->place, "AWS_ROLE_SESSION_NAME"))};
    if (who.token_file.len)
        return identity_exchange(q, &who, ret, e);
    err_set(e, ERR_UNAVAILABLE, "no AWS_WEB_IDENTITY_TOKEN_FILE");
    return PLACE_IS_EMPTY;
}
