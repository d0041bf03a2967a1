/* What places answer, read strictly: files, JSON, and the one XML document of STS. */
#include "aws/aws_impl.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"

#include <string.h>

#define ANSWER_MAX (64u << 10)
#define ID_MAX     256
#define SECRET_MAX 1024
#define TOKEN_MAX  (16u << 10)
#define TAG_MAX    64

bool is_visible(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~')
            return false;
    return s.len > 0;
}

bool is_name(struct slice s, const char *also)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i], low = (char)(c | 0x20);
        bool is_plain = (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9');
        if (!is_plain && (!c || !strchr(also, c)))
            return false;
    }
    return s.len > 0;
}

bool keys_check(const struct aws_keys *keys, const char *what, struct err *e)
{
    if (!keys->id.len)
        return err_set(e, ERR_UNAVAILABLE, "%s has a secret but no key id", what);
    if (!keys->secret.len)
        return err_set(e, ERR_UNAVAILABLE, "%s has a key id but no secret", what);
    if (!is_visible(keys->id) || !is_visible(keys->secret) || keys->id.len > ID_MAX ||
        keys->secret.len > SECRET_MAX || slice_index(keys->id, '/') >= 0)
        return err_set(e, ERR_UNAVAILABLE, "%s has a key with characters that no key has", what);
    if (keys->token.len > TOKEN_MAX || (keys->token.len && !is_visible(keys->token)))
        return err_set(e, ERR_UNAVAILABLE, "%s has a token with characters that no token has",
                       what);
    return true;
}

/* ---- asking ---------------------------------------------------------------------------------- */

bool place_fetch(const struct asking *q, struct fetch_options o, int *ret_status,
                 struct slice *ret_body, struct err *e)
{
    struct fetch_answer answer;
    o.is_unguarded = true;
    o.max_redirects = -1;
    o.max_bytes = ANSWER_MAX;
    bool ok = fetch_run(&o, &answer, e);
    if (ok) {
        *ret_status = answer.status;
        *ret_body = arena_dup(q->arena, buf_slice(&answer.body));
    }
    fetch_answer_done(&answer);
    return ok;
}

bool place_file(const struct asking *q, struct slice path, size_t max, struct slice *ret,
                struct err *e)
{
    struct buf text;
    buf_init(&text, max);
    bool ok = file_read(arena_cstr(q->arena, path), &text);
    if (ok)
        *ret = arena_dup(q->arena, slice_trim(buf_slice(&text)));
    else
        err_set_sys(e, ERR_IO, "%.*s", SLICE_ARGS(path));
    buf_done(&text);
    return ok;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static bool read_end(struct slice text, int64_t *ret, struct err *e)
{
    if (text.len && !clock_parse_rfc3339(text.ptr, text.len, ret))
        return err_set(e, ERR_UNAVAILABLE, "the answer's Expiration is no time");
    return true;
}

bool lent_from_json(struct slice text, struct arena *a, struct lent *ret, struct err *e)
{
    static const struct json_limits limits = {.max_depth = 8, .max_nodes = 1000};
    struct json_doc doc;
    struct lent l = {0};
    struct err why = {0};
    if (!json_parse(&doc, a, text, &limits, &why))
        return err_set(e, ERR_UNAVAILABLE, "the answer is not JSON");
    const struct json *root = json_root(&doc);
    struct slice code = json_str(json_find(root, SLICE("Code")));
    if (code.len && !slice_is(code, "Success"))
        return err_set(e, ERR_UNAVAILABLE, "the answer is the error %.*s",
                       SLICE_ARGS(is_name(code, "_-.") ? slice_first(code, 60) : SLICE("unknown")));
    l.keys = (struct aws_keys){.id = json_str(json_find(root, SLICE("AccessKeyId"))),
                               .secret = json_str(json_find(root, SLICE("SecretAccessKey"))),
                               .token = json_str(json_find(root, SLICE("Token")))};
    if (!l.keys.id.len && !l.keys.secret.len)
        return err_set(e, ERR_UNAVAILABLE, "the answer has no AccessKeyId");
    if (!read_end(json_str(json_find(root, SLICE("Expiration"))), &l.ends_ms, e) ||
        !keys_check(&l.keys, "the answer", e))
        return false;
    *ret = l;
    return true;
}

/* ---- XML --------------------------------------------------------------------------------------
 */

/* What stands between <tag> and </tag>, each of them there once. */
static bool element(struct slice xml, const char *tag, struct slice *ret)
{
    char open[TAG_MAX], close[TAG_MAX];
    struct slice head = {open, (size_t)snprintf(open, sizeof open, "<%s>", tag)};
    struct slice tail = {close, (size_t)snprintf(close, sizeof close, "</%s>", tag)};
    must(tail.len < sizeof close);
    ptrdiff_t from = slice_search(xml, head), to = slice_search(xml, tail);
    if (from < 0 || to < from + (ptrdiff_t)head.len ||
        slice_search(slice_skip(xml, (size_t)from + 1), head) >= 0 ||
        slice_search(slice_skip(xml, (size_t)to + 1), tail) >= 0)
        return false;
    *ret = slice_skip(slice_first(xml, (size_t)to), (size_t)from + head.len);
    return true;
}

struct slice xml_find(struct slice xml, const char *tag)
{
    struct slice text = {0};
    if (!element(xml, tag, &text) || slice_index(text, '<') >= 0 || slice_index(text, '&') >= 0)
        return SLICE("");
    return slice_trim(text);
}

bool lent_from_xml(struct slice text, struct arena *a, struct lent *ret, struct err *e)
{
    struct lent l = {0};
    struct slice part;
    if (!element(text, "Credentials", &part))
        return err_set(e, ERR_UNAVAILABLE, "the answer has no Credentials");
    l.keys = (struct aws_keys){.id = arena_dup(a, xml_find(part, "AccessKeyId")),
                               .secret = arena_dup(a, xml_find(part, "SecretAccessKey")),
                               .token = arena_dup(a, xml_find(part, "SessionToken"))};
    struct slice end = xml_find(part, "Expiration");
    if (!l.keys.token.len || !end.len)
        return err_set(e, ERR_UNAVAILABLE, "the answer has no SessionToken or no Expiration");
    if (!read_end(end, &l.ends_ms, e) || !keys_check(&l.keys, "the answer", e))
        return false;
    *ret = l;
    return true;
}
