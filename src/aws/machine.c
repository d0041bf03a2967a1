/* The machine's own keys: EC2's metadata service, in its second version only. */
#include "aws/aws_impl.h"

#define METADATA   "http://169.254.169.254"
#define TOKEN_PATH "/latest/api/token"
#define ROLES_PATH "/latest/meta-data/iam/security-credentials/"
#define MACHINE_MS 1000 /* it is next door, or it is not there at all */
#define NAME_MARKS "+=,.@-_"

static struct slice base_of(const struct asking *q)
{
    struct slice said = slice_trim(place_env(q->place, "AWS_EC2_METADATA_SERVICE_ENDPOINT"));
    if (q->place->imds_url)
        return slice_from(q->place->imds_url);
    if (!said.len)
        return SLICE(METADATA);
    return slice_ends(said, SLICE("/")) ? slice_first(said, said.len - 1) : said;
}

static bool call(const struct asking *q, enum http_method method, struct slice path,
                 struct fetch_header header, struct slice *ret, int *ret_status, struct err *e)
{
    struct slice base = base_of(q);
    const struct fetch_options o = {
        .url = arena_printf(q->arena, "%.*s%.*s", SLICE_ARGS(base), SLICE_ARGS(path)),
        .method = method,
        .headers = &header,
        .n_headers = 1,
        .max_ms = MACHINE_MS};
    return place_fetch(q, o, ret_status, ret, e);
}

static enum place_said is_empty(struct err *e, const char *why)
{
    err_set(e, ERR_UNAVAILABLE, "%s", why);
    return PLACE_IS_EMPTY;
}

static enum place_said has_failed(struct err *e, const char *what, int status)
{
    err_set(e, ERR_UNAVAILABLE, "the machine's metadata service answered %d for %s", status, what);
    return PLACE_FAILED;
}

static bool is_off(const struct asking *q)
{
    return slice_eq_nocase(slice_trim(place_env(q->place, "AWS_EC2_METADATA_DISABLED")),
                           SLICE("true"));
}

enum place_said machine_ask(const struct asking *q, struct lent *ret, struct err *e)
{
    const struct fetch_header ttl = {SLICE("X-aws-ec2-metadata-token-ttl-seconds"), SLICE("21600"),
                                     false};
    struct fetch_header token = {SLICE("X-aws-ec2-metadata-token"), {0}, true};
    struct slice role, path, body;
    struct err why = {0};
    int status;
    if (is_off(q))
        return is_empty(e, "switched off");
    if (!call(q, METHOD_PUT, SLICE(TOKEN_PATH), ttl, &token.value, &status, &why))
        return is_empty(e, why.code == ERR_UNAVAILABLE ? "libcurl is not installed" : "no answer");
    token.value = slice_trim(token.value);
    if (status != 200 || !is_visible(token.value))
        return is_empty(e, "no metadata service");
    if (!call(q, METHOD_GET, SLICE(ROLES_PATH), token, &body, &status, e))
        return PLACE_FAILED;
    if (status == 404)
        return is_empty(e, "it has no role");
    if (status != 200)
        return has_failed(e, "its role", status);
    if (!slice_cut(&body, '\n', &role) || !is_name(slice_trim(role), NAME_MARKS))
        return is_empty(e, "it has no role");
    path = arena_printf(q->arena, ROLES_PATH "%.*s", SLICE_ARGS(slice_trim(role)));
    if (!call(q, METHOD_GET, path, token, &body, &status, e))
        return PLACE_FAILED;
    if (status != 200)
        return has_failed(e, "the keys of its role", status);
    if (lent_from_json(body, q->arena, ret, e))
        return PLACE_LENDS;
    err_prefix(e, "asking the machine's metadata service for keys");
    return PLACE_FAILED;
}
