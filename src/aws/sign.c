/* Signatures of version 4: what is asked for is written in one canonical form, and that is hashed.
 */
#include "aws/aws_impl.h"
#include "base/hkdf.h"

#include <string.h>
#include <time.h>

#define ALGORITHM "AWS4-HMAC-SHA256"
#define TEXT_MAX  ((size_t)1 << 20) /* of a canonical request */
#define DATE_LEN  16                /* 20130524T000000Z */
#define DAY_LEN   8
#define EXTRA_MAX 6 /* fields that signing adds itself */

/* A request on its way to a signature; all in the arena or borrowed. */
struct signing {
    struct arena arena;
    const struct aws_keys *keys;
    char date[DATE_LEN + 1];
    struct slice scope;              /* 20130524/us-east-1/s3/aws4_request */
    struct slice path;               /* escaped once, as it is sent */
    struct aws_field *query, *heads; /* sorted, as the canonical request has them */
    size_t n_query, n_heads;
};

/* ---- texts ----------------------------------------------------------------------------------- */

static bool is_plain(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

void aws_escape(struct buf *to, struct slice s, bool keeps_slash)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (is_plain(s.ptr[i]) || (keeps_slash && c == '/')) {
            buf_add_char(to, s.ptr[i]);
        } else {
            buf_add_char(to, '%');
            buf_add_char(to, digits[c >> 4]);
            buf_add_char(to, digits[c & 15]);
        }
    }
}

/* Moves the text into the arena. */
static struct slice taken(struct arena *a, struct buf *text)
{
    struct slice copy = arena_dup(a, buf_slice(text));
    buf_done(text);
    return copy;
}

static struct slice escaped(struct arena *a, struct slice s, bool keeps_slash)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    aws_escape(&text, s, keeps_slash);
    return taken(a, &text);
}

/* Without "." and "..", and without empty parts; a folder keeps the slash at its end. */
static void add_resolved(struct buf *to, struct slice path)
{
    struct slice rest = path, part = {0};
    while (slice_cut(&rest, '/', &part)) {
        if (slice_is(part, "..")) {
            ptrdiff_t up = slice_rindex(buf_slice(to), '/');
            buf_truncate(to, up < 0 ? 0 : (size_t)up);
        } else if (part.len && !slice_is(part, ".")) {
            buf_add_char(to, '/');
            buf_add(to, part);
        }
    }
    bool is_dots = slice_is(part, ".") || slice_is(part, "..");
    if (!to->len || slice_ends(path, SLICE("/")) || is_dots)
        buf_add_char(to, '/');
}

static struct slice path_of(struct arena *a, const struct aws_request *rq)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    if (rq->is_normal)
        add_resolved(&text, rq->path);
    else if (!slice_starts(rq->path, SLICE("/")))
        buf_add_char(&text, '/');
    if (!rq->is_normal)
        buf_add(&text, rq->path);
    return escaped(a, taken(a, &text), true);
}

static struct slice lowered(struct arena *a, struct slice name)
{
    char *to = arena_alloc(a, name.len + 1);
    for (size_t i = 0; i < name.len; i++)
        to[i] = (char)(name.ptr[i] | (name.ptr[i] >= 'A' && name.ptr[i] <= 'Z' ? 0x20 : 0));
    return (struct slice){to, name.len};
}

/* Without spaces at its ends, and with one where there were several. */
static struct slice squeezed(struct arena *a, struct slice value)
{
    struct slice s = slice_trim(value);
    char *to = arena_alloc(a, s.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] != ' ' || s.ptr[i - 1] != ' ')
            to[n++] = s.ptr[i];
    return (struct slice){to, n};
}

/* ---- the request in canonical form ----------------------------------------------------------- */

/* Puts it where it belongs among those before it, after its equals. */
static void insert(struct aws_field *fields, size_t *n, struct aws_field one, bool by_value)
{
    size_t at = (*n)++;
    for (; at > 0; at--) {
        int order = slice_cmp(one.name, fields[at - 1].name);
        if (!order && by_value)
            order = slice_cmp(one.value, fields[at - 1].value);
        if (order >= 0)
            break;
        fields[at] = fields[at - 1];
    }
    fields[at] = one;
}

static void add_query(struct signing *s, const struct aws_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct aws_field one = {escaped(&s->arena, fields[i].name, false),
                                escaped(&s->arena, fields[i].value, false)};
        insert(s->query, &s->n_query, one, true);
    }
}

static void add_heads(struct signing *s, const struct aws_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct aws_field one = {lowered(&s->arena, fields[i].name),
                                squeezed(&s->arena, fields[i].value)};
        insert(s->heads, &s->n_heads, one, false);
    }
}

static void put_query(const struct signing *s, struct buf *to)
{
    for (size_t i = 0; i < s->n_query; i++) {
        if (i)
            buf_add_char(to, '&');
        buf_add(to, s->query[i].name);
        buf_add_char(to, '=');
        buf_add(to, s->query[i].value);
    }
}

/* Each name once; the values of equal names are one list. */
static void put_heads(const struct signing *s, struct buf *to)
{
    for (size_t i = 0; i < s->n_heads; i++) {
        bool is_more = i && slice_eq(s->heads[i].name, s->heads[i - 1].name);
        if (i)
            buf_add_char(to, is_more ? ',' : '\n');
        if (!is_more) {
            buf_add(to, s->heads[i].name);
            buf_add_char(to, ':');
        }
        buf_add(to, s->heads[i].value);
    }
    buf_add_str(to, "\n\n");
}

static struct slice names_of(struct signing *s)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    for (size_t i = 0; i < s->n_heads; i++) {
        if (i && slice_eq(s->heads[i].name, s->heads[i - 1].name))
            continue;
        if (i)
            buf_add_char(&text, ';');
        buf_add(&text, s->heads[i].name);
    }
    return taken(&s->arena, &text);
}

static void put_target(const struct signing *s, struct buf *to)
{
    buf_add(to, s->path);
    if (s->n_query)
        buf_add_char(to, '?');
    put_query(s, to);
}

/* ---- signing --------------------------------------------------------------------------------- */

static void start(struct signing *s, const struct aws_request *rq)
{
    *s = (struct signing){0};
    arena_init(&s->arena, 64 * TEXT_MAX);
    s->query = arena_alloc(&s->arena, (rq->n_query + EXTRA_MAX) * sizeof *s->query);
    s->heads = arena_alloc(&s->arena, (rq->n_headers + EXTRA_MAX) * sizeof *s->heads);
    s->path = path_of(&s->arena, rq);
    add_query(s, rq->query, rq->n_query);
}

static void say_who(struct signing *s, const struct aws_request *rq, const struct aws_keys *keys,
                    const struct aws_scope *scope, int64_t now_s)
{
    time_t now = (time_t)now_s;
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(s->date, sizeof s->date, "%Y%m%dT%H%M%SZ", &tm);
    s->keys = keys;
    s->scope = arena_printf(&s->arena, "%.*s/%.*s/%.*s/aws4_request", DAY_LEN, s->date,
                            SLICE_ARGS(scope->region), SLICE_ARGS(scope->service));
    add_heads(s, &(struct aws_field){SLICE("host"), rq->host}, 1);
    add_heads(s, rq->headers, rq->n_headers);
}

/* A key for one day, region and service, made from the secret in steps; it signs the text. */
static void mac(struct signing *s, const struct aws_scope *scope, struct slice text,
                unsigned char to[SHA256_LEN])
{
    const struct slice steps[] = {
        {s->date, DAY_LEN}, scope->region, scope->service, SLICE("aws4_request"), text};
    struct buf secret;
    buf_init(&secret, TEXT_MAX);
    buf_add_str(&secret, "AWS4");
    buf_add(&secret, s->keys->secret);
    hmac_sha256(buf_slice(&secret), steps[0], to);
    for (size_t i = 1; i < sizeof steps / sizeof *steps; i++) {
        unsigned char key[SHA256_LEN];
        memcpy(key, to, sizeof key);
        hmac_sha256((struct slice){(const char *)key, sizeof key}, steps[i], to);
        explicit_bzero(key, sizeof key);
    }
    if (secret.data)
        explicit_bzero(secret.data, secret.len);
    buf_done(&secret);
}

/* False: it is longer than anybody's request, and `to` is full. */
static bool add_signature(struct signing *s, const struct aws_request *rq,
                          const struct aws_scope *scope, struct slice payload, struct buf *to)
{
    char digest[SHA256_HEX_LEN + 1];
    unsigned char signature[SHA256_LEN];
    struct sha256 h;
    struct buf text;
    buf_init(&text, TEXT_MAX);
    buf_add(&text, rq->method);
    buf_add_char(&text, '\n');
    buf_add(&text, rq->is_normal ? escaped(&s->arena, s->path, true) : s->path);
    buf_add_char(&text, '\n');
    put_query(s, &text);
    buf_add_char(&text, '\n');
    put_heads(s, &text);
    buf_add(&text, names_of(s));
    buf_add_char(&text, '\n');
    buf_add(&text, payload);
    to->full |= text.full;
    sha256_init(&h);
    sha256_add(&h, buf_slice(&text));
    sha256_end_hex(&h, digest);
    buf_clear(&text);
    buf_printf(&text, ALGORITHM "\n%s\n%.*s\n%s", s->date, SLICE_ARGS(s->scope), digest);
    mac(s, scope, buf_slice(&text), signature);
    buf_done(&text);
    for (size_t i = 0; i < sizeof signature; i++)
        buf_printf(to, "%02x", signature[i]);
    return !to->full;
}

void aws_sign(const struct aws_request *rq, const struct aws_keys *keys,
              const struct aws_scope *scope, int64_t now_s, struct buf *to)
{
    struct signing s;
    struct aws_field added[3];
    size_t n = 0;
    start(&s, rq);
    say_who(&s, rq, keys, scope, now_s);
    added[n++] = (struct aws_field){SLICE("x-amz-date"), {s.date, DATE_LEN}};
    if (!rq->hides_payload)
        added[n++] = (struct aws_field){SLICE("x-amz-content-sha256"), rq->payload};
    if (keys->token.len)
        added[n++] = (struct aws_field){SLICE("x-amz-security-token"), keys->token};
    add_heads(&s, added, n);
    for (size_t i = 0; i < n; i++)
        buf_printf(to, "%.*s: %.*s\r\n", SLICE_ARGS(added[i].name), SLICE_ARGS(added[i].value));
    buf_printf(to, "Authorization: " ALGORITHM " Credential=%.*s/%.*s, SignedHeaders=",
               SLICE_ARGS(keys->id), SLICE_ARGS(s.scope));
    buf_add(to, names_of(&s));
    buf_add_str(to, ", Signature=");
    if (add_signature(&s, rq, scope, rq->payload, to))
        buf_add_str(to, "\r\n");
    arena_done(&s.arena);
}

void aws_presign(const struct aws_request *rq, const struct aws_keys *keys,
                 const struct aws_scope *scope, int64_t now_s, uint32_t seconds, struct buf *to)
{
    struct signing s;
    struct aws_field added[EXTRA_MAX];
    size_t n = 0;
    start(&s, rq);
    say_who(&s, rq, keys, scope, now_s);
    added[n++] = (struct aws_field){SLICE("X-Amz-Algorithm"), SLICE(ALGORITHM)};
    added[n++] = (struct aws_field){
        SLICE("X-Amz-Credential"),
        arena_printf(&s.arena, "%.*s/%.*s", SLICE_ARGS(keys->id), SLICE_ARGS(s.scope))};
    added[n++] = (struct aws_field){SLICE("X-Amz-Date"), {s.date, DATE_LEN}};
    added[n++] =
        (struct aws_field){SLICE("X-Amz-Expires"), arena_printf(&s.arena, "%u", (unsigned)seconds)};
    if (keys->token.len)
        added[n++] = (struct aws_field){SLICE("X-Amz-Security-Token"), keys->token};
    added[n++] = (struct aws_field){SLICE("X-Amz-SignedHeaders"), names_of(&s)};
    add_query(&s, added, n);
    put_target(&s, to);
    buf_add_str(to, "&X-Amz-Signature=");
    add_signature(&s, rq, scope, rq->hides_payload ? rq->payload : SLICE(AWS_PAYLOAD_UNSIGNED), to);
    arena_done(&s.arena);
}

void aws_target(const struct aws_request *rq, struct buf *to)
{
    struct signing s;
    start(&s, rq);
    put_target(&s, to);
    arena_done(&s.arena);
}
