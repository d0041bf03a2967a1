/* One object: put, get, head, delete, and a URL for others. */
#include "s3/s3_impl.h"

#include <string.h>

#define KEY_ROOM (8u << 10)

/* A call about one key: its arena, its name. */
static void begin(struct s3_call *c, struct arena *a, struct s3 *s, enum s3_verb verb,
                  const char *method, struct slice key)
{
    arena_init(a, KEY_ROOM);
    s3_call_init(c, s, verb, method);
    c->key = s3_full_key(s, a, key);
}

static void end(struct s3_call *c, struct arena *a)
{
    s3_call_done(c);
    arena_done(a);
}

static bool check_key(struct slice key, struct err *e)
{
    if (key.len > 0 && key.len <= 1024)
        return true;
    return err_set(e, ERR_INVALID, "a key has 1 to 1,024 bytes, not %zu", key.len);
}

bool s3_put(struct s3 *s, struct slice key, int fd, uint64_t size, struct slice sha256_hex,
            const char *type, struct err *e)
{
    struct s3_call c;
    struct arena a;
    if (!check_key(key, e))
        return false;
    if (size > 2 * (uint64_t)s->options.part_bytes)
        return s3_put_parts(s, key, fd, size, type, e);
    begin(&c, &a, s, S3_PUT, "PUT", key);
    c.fd = fd;
    c.len = size;
    c.payload = sha256_hex;
    if (type && *type)
        s3_call_tell(&c, "content-type", slice_from(type));
    bool fine = s3_call_run(&c, e);
    end(&c, &a);
    return fine;
}

/* Nothing of it is wanted, but it has to be there. */
static bool get_nothing(struct s3 *s, struct slice key, struct err *e)
{
    struct arena a;
    struct s3_object o;
    arena_init(&a, KEY_ROOM);
    bool fine = s3_head(s, key, &a, &o, e);
    arena_done(&a);
    return fine;
}

bool s3_get(struct s3 *s, struct slice key, uint64_t first, uint64_t len, int fd, struct err *e)
{
    struct s3_call c;
    struct arena a;
    if (!check_key(key, e))
        return false;
    if (len == 0)
        return get_nothing(s, key, e);
    begin(&c, &a, s, S3_GET, "GET", key);
    c.is_get = true;
    c.fd = fd;
    c.first = first;
    c.len = len;
    bool fine = s3_call_run(&c, e);
    end(&c, &a);
    return fine;
}

/* Answers to HEAD have no document: is it the object that is missing, or the bucket? */
static void ask_what_is_missing(struct s3 *s, struct slice full_key, struct err *e)
{
    struct s3_call c;
    struct err why = {0};
    s3_call_init(&c, s, S3_GET, "GET");
    c.key = full_key;
    s3_call_tell(&c, "range", SLICE("bytes=0-0"));
    /* If it is there by now, or there and empty, it was not before. */
    if (!s3_call_run(&c, &why) && c.status != 416)
        *e = why;
    s3_call_done(&c);
}

bool s3_head(struct s3 *s, struct slice key, struct arena *a, struct s3_object *ret, struct err *e)
{
    struct s3_call c;
    struct arena own;
    struct err why = {0};
    if (!check_key(key, e))
        return false;
    begin(&c, &own, s, S3_HEAD, "HEAD", key);
    bool fine = s3_call_run(&c, &why);
    if (!fine && c.status == 404)
        ask_what_is_missing(s, c.key, &why);
    if (!fine && e)
        *e = why;
    if (fine)
        *ret = (struct s3_object){
            .key = arena_dup(a, key),
            .etag = arena_dup(a, slice_from(c.etag)),
            .size = c.total,
            .modified_ms = c.modified_ms,
        };
    end(&c, &own);
    return fine;
}

bool s3_delete(struct s3 *s, struct slice key, struct err *e)
{
    struct s3_call c;
    struct arena a;
    struct err why = {0};
    if (!check_key(key, e))
        return false;
    begin(&c, &a, s, S3_DELETE, "DELETE", key);
    bool fine = s3_call_run(&c, &why) || why.code == ERR_NOT_FOUND;
    end(&c, &a);
    if (!fine && e)
        *e = why;
    return fine;
}

bool s3_presign(struct s3 *s, struct slice method, struct slice key, uint32_t seconds,
                struct buf *to, struct err *e)
{
    struct arena a;
    struct aws_keys keys;
    if (!check_key(key, e))
        return false;
    arena_init(&a, 64u << 10);
    bool fine = aws_chain_get(s->options.chain, &a, &keys, e);
    if (fine) {
        struct s3_place p = s3_place_now(s);
        struct aws_scope scope = {slice_from(p.region), SLICE("s3")};
        struct aws_request rq = {
            .method = method,
            .host = slice_from(p.host),
            .path = arena_printf(&a, "%s%.*s%.*s", p.base, SLICE_ARGS(s->options.prefix),
                                 SLICE_ARGS(key)),
            .payload = SLICE(AWS_PAYLOAD_UNSIGNED),
        };
        buf_printf(to, "http%s://%s", p.is_tls ? "s" : "", p.host);
        aws_presign(&rq, &keys, &scope, s3_now_s(s), seconds, to);
    }
    arena_done(&a);
    return fine;
}
