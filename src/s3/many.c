/* Many objects at once: lists, deleting by the thousand, and ending uploads that nobody finishes.
 */
#include "base/base64.h"
#include "s3/s3_impl.h"

#include <string.h>

#define AT_ONCE      1000
#define PAGES_MAX    1000 /* of uploads; more in one go is left for the next time */
#define DOCUMENT_MAX (8u << 20)
#define KEYS_MAX     (16u << 20) /* of one answer, decoded */

static bool unreadable(struct s3 *s, const char *what, struct err *e)
{
    struct s3_place p = s3_place_now(s);
    return err_set(e, ERR_UNAVAILABLE, "%s answers %s with something that cannot be read", p.host,
                   what);
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* Keys are told without our prefix. */
static bool strip(const struct s3 *s, struct s3_page *page)
{
    size_t n = s->options.prefix.len;
    for (size_t i = 0; i < page->n; i++) {
        if (!slice_starts(page->items[i].key, s->options.prefix))
            return false;
        page->items[i].key = slice_skip(page->items[i].key, n);
    }
    page->next = slice_skip(page->next, n);
    return true;
}

bool s3_list(struct s3 *s, struct slice prefix, struct slice after, struct arena *a,
             struct s3_page *ret, struct err *e)
{
    struct s3_call c;
    s3_call_init(&c, s, S3_LIST, "GET");
    s3_call_ask(&c, "list-type", SLICE("2"));
    s3_call_ask(&c, "encoding-type", SLICE("url"));
    s3_call_ask(&c, "max-keys", SLICE("1000"));
    s3_call_ask(&c, "prefix", s3_full_key(s, a, prefix));
    /* Not a continuation token: a key works after a pause and in another process, too. */
    if (after.len)
        s3_call_ask(&c, "start-after", s3_full_key(s, a, after));
    struct s3_page page = {0};
    bool fine = s3_call_run(&c, e);
    if (fine && !(s3_list_read(buf_slice(&c.answer), a, &page) && strip(s, &page)))
        fine = unreadable(s, "a list", e);
    s3_call_done(&c);
    if (fine)
        *ret = page;
    return fine;
}

/* ---- deleting -------------------------------------------------------------------------------- */

static bool delete_each(struct s3 *s, const struct slice *keys, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        if (!s3_delete(s, keys[i], e))
            return false;
    }
    return true;
}

static void write_keys(const struct s3 *s, const struct slice *keys, size_t n, struct buf *to)
{
    buf_add_str(to,
                "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>");
    for (size_t i = 0; i < n; i++) {
        buf_add_str(to, "<Object><Key>");
        xml_escape(to, s->options.prefix);
        xml_escape(to, keys[i]);
        buf_add_str(to, "</Key></Object>");
    }
    buf_add_str(to, "</Delete>");
}

/* Those that were not deleted, one by one: with repetitions, and a sentence if need be. */
static bool delete_left(struct s3 *s, struct slice answer, struct err *e)
{
    struct arena a;
    struct slice *keys;
    size_t n;
    arena_init(&a, KEYS_MAX);
    bool fine = s3_undeleted_read(answer, &a, &keys, &n) || unreadable(s, "a deletion", e);
    for (size_t i = 0; fine && i < n; i++) {
        fine = slice_starts(keys[i], s->options.prefix) || unreadable(s, "a deletion", e);
        if (fine)
            keys[i] = slice_skip(keys[i], s->options.prefix.len);
    }
    fine = fine && delete_each(s, keys, n, e);
    arena_done(&a);
    return fine;
}

static bool is_unknown(const struct s3_call *c)
{
    /* Google: 400 MissingArgument or so; others 404, 405 or 501. Not what is wrong with us. */
    return c->status == 501 || c->status == 405 || c->status == 400 ||
           (c->status == 404 && strcmp(c->code, "NoSuchBucket") != 0) ||
           strcmp(c->code, "NotImplemented") == 0 || strcmp(c->code, "MethodNotAllowed") == 0;
}

static bool delete_at_once(struct s3 *s, const struct slice *keys, size_t n, struct err *e)
{
    struct s3_call c;
    struct buf body, digest;
    struct err why = {0};
    unsigned char md5[MD5_LEN];
    buf_init(&body, DOCUMENT_MAX);
    buf_init(&digest, 64);
    write_keys(s, keys, n, &body);
    must(!body.full);
    md5_of(buf_slice(&body), md5);
    base64_add(&digest, (struct slice){(const char *)md5, MD5_LEN}, BASE64);
    s3_call_init(&c, s, S3_DELETE, "POST");
    c.body = buf_slice(&body);
    s3_call_ask(&c, "delete", SLICE(""));
    s3_call_tell(&c, "content-md5", buf_slice(&digest));
    s3_call_tell(&c, "content-type", SLICE("application/xml"));
    bool fine = s3_call_run(&c, &why), is_done = fine;
    if (fine)
        fine = delete_left(s, buf_slice(&c.answer), e);
    else if (is_unknown(&c)) {
        atomic_store(&s->has_no_bulk, true);
        is_done = fine = delete_each(s, keys, n, e);
    } else if (e) {
        *e = why;
    }
    s3_call_done(&c);
    buf_done(&body);
    buf_done(&digest);
    return fine && is_done;
}

static bool can_be_named(const struct s3 *s, const struct slice *keys, size_t n)
{
    bool fine = xml_can_hold(s->options.prefix);
    for (size_t i = 0; fine && i < n; i++)
        fine = keys[i].len > 0 && keys[i].len <= 1024 && xml_can_hold(keys[i]);
    return fine;
}

bool s3_delete_many(struct s3 *s, const struct slice *keys, size_t n, struct err *e)
{
    for (size_t at = 0; at < n; at += AT_ONCE) {
        size_t count = n - at < AT_ONCE ? n - at : AT_ONCE;
        bool at_once =
            count > 1 && !atomic_load(&s->has_no_bulk) && can_be_named(s, keys + at, count);
        if (!(at_once ? delete_at_once : delete_each)(s, keys + at, count, e))
            return false;
    }
    return true;
}

/* ---- uploads that nobody finishes ------------------------------------------------------------ */

static bool list_uploads(struct s3 *s, struct slice prefix, struct arena *a, struct s3_uploads *io,
                         struct err *e)
{
    struct s3_call c;
    s3_call_init(&c, s, S3_MULTI, "GET");
    s3_call_ask(&c, "uploads", SLICE(""));
    s3_call_ask(&c, "encoding-type", SLICE("url"));
    s3_call_ask(&c, "prefix", s3_full_key(s, a, prefix));
    if (io->has_more) {
        s3_call_ask(&c, "key-marker", io->next_key);
        s3_call_ask(&c, "upload-id-marker", io->next_id);
    }
    bool fine = s3_call_run(&c, e);
    if (fine && !s3_uploads_read(buf_slice(&c.answer), a, io))
        fine = unreadable(s, "a list of uploads", e);
    s3_call_done(&c);
    return fine;
}

static bool abort_one(struct s3 *s, const struct s3_upload *u, struct err *e)
{
    struct s3_call c;
    struct err why = {0};
    s3_call_init(&c, s, S3_MULTI, "DELETE");
    c.key = u->key;
    s3_call_ask(&c, "uploadId", u->id);
    bool fine = s3_call_run(&c, &why) || why.code == ERR_NOT_FOUND;
    s3_call_done(&c);
    if (!fine && e)
        *e = why;
    return fine;
}

/* A page of them; the markers for the next are copied to where they outlive the page. */
static bool abort_page(struct s3 *s, struct slice prefix, int64_t before_ms, struct arena *a,
                       struct s3_uploads *io, size_t *io_n, struct err *e)
{
    struct slice full = s3_full_key(s, a, prefix);
    if (!list_uploads(s, prefix, a, io, e))
        return false;
    for (size_t i = 0; i < io->n; i++) {
        const struct s3_upload *u = &io->items[i];
        if (u->began_ms == 0 || u->began_ms >= before_ms || !slice_starts(u->key, full))
            continue;
        if (!abort_one(s, u, e))
            return false;
        ++*io_n;
    }
    return true;
}

bool s3_abort_stale(struct s3 *s, struct slice prefix, int64_t before_ms, size_t *ret_n,
                    struct err *e)
{
    struct arena page[2];
    struct s3_uploads u = {0};
    size_t n = 0, turn = 0;
    arena_init(&page[0], KEYS_MAX);
    arena_init(&page[1], KEYS_MAX);
    bool fine;
    do { /* the markers of a page live until the next has been asked for */
        arena_reset(&page[turn % 2]);
        fine = abort_page(s, prefix, before_ms, &page[turn % 2], &u, &n, e);
    } while (fine && u.has_more && ++turn < PAGES_MAX);
    arena_done(&page[0]);
    arena_done(&page[1]);
    *ret_n = n;
    return fine;
}
