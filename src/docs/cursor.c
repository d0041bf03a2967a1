/* Cursors: the place of a list's last item, as text that only the same list takes back.
 *
 *   base64url( 16 bytes that vouch for the rest, then for each term of the sort its length in two
 *   bytes and its key, then the id )
 *
 * Whoever has the cursor has seen the item, so nothing in it is secret; but it goes into a
 * statement as a place, so nobody may make one up: SipHash with a key of the database over the
 * list's name, sort, filter, search and place. */
#include "base/base64.h"
#include "base/random.h"
#include "base/sip.h"
#include "docs/list_impl.h"

#include <string.h>

#define VOUCHED    SIP_LEN
#define CURSOR_MAX 8192 /* of text */

/* ---- the key --------------------------------------------------------------------------------- */

static const struct sql keep_key = {
    "INSERT INTO dais_meta (name, value) VALUES ('cursor_key', ?) ON CONFLICT DO NOTHING", NULL};
static const struct sql read_key = {"SELECT value FROM dais_meta WHERE name = 'cursor_key'", NULL};

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool from_hex(struct slice text, unsigned char to[VOUCHED])
{
    if (text.len != 2 * VOUCHED)
        return false;
    for (size_t i = 0; i < VOUCHED; i++) {
        int high = hex_digit(text.ptr[2 * i]), low = hex_digit(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        to[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

/* Another process may have been first: what is in the row counts. */
bool cursor_key_make(struct docs *d, struct db_conn *c, struct err *e)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char fresh[VOUCHED];
    char text[2 * VOUCHED];
    random_bytes(fresh, sizeof fresh);
    for (size_t i = 0; i < sizeof fresh; i++) {
        text[2 * i] = digits[fresh[i] >> 4];
        text[2 * i + 1] = digits[fresh[i] & 15];
    }
    struct db_stmt *s = db_prepare(c, &keep_key, e);
    if (!s)
        return false;
    db_bind_text(s, 1, (struct slice){text, sizeof text});
    if (!db_run(s, NULL, e) || !(s = db_prepare(c, &read_key, e)))
        return false;
    enum db_step step = db_step(s, e);
    bool is_good = step == DB_ROW && from_hex(db_text(s, 0), d->cursor_key);
    db_reset(s);
    return is_good || step == DB_FAILED ? is_good
                                        : err_set(e, ERR_IO, "The key of cursors is damaged.");
}

/* ---- vouching -------------------------------------------------------------------------------- */

static void add_part(struct buf *to, struct slice part)
{
    uint64_t len = part.len;
    buf_add(to, (struct slice){(const char *)&len, sizeof len});
    buf_add(to, part);
}

static void vouch(const struct doc_coll *c, const struct docs_query *q, struct slice payload,
                  unsigned char to[VOUCHED])
{
    const struct slice parts[] = {
        c->name, q->sort, q->filter, q->search, q->is_trash ? SLICE("trash") : SLICE(""), payload};
    const size_t n = sizeof parts / sizeof *parts;
    size_t bytes = 0;
    struct buf told;
    for (size_t i = 0; i < n; i++)
        bytes += sizeof(uint64_t) + parts[i].len;
    buf_init(&told, bytes);
    (void)!buf_reserve(&told, bytes);
    for (size_t i = 0; i < n; i++)
        add_part(&told, parts[i]);
    sip_of(c->docs->cursor_key, buf_slice(&told), to);
    buf_done(&told);
}

/* In the same time wherever they differ. */
static bool is_same(const char *a, const unsigned char *b, size_t n)
{
    unsigned differ = 0;
    for (size_t i = 0; i < n; i++)
        differ |= (unsigned)((unsigned char)a[i] ^ b[i]);
    return differ == 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

void cursor_add(struct buf *to, const struct doc_coll *c, const struct docs_query *q,
                const struct order *o, const struct place *p)
{
    unsigned char digest[VOUCHED];
    struct buf b;
    buf_init(&b, CURSOR_MAX);
    for (size_t i = 0; i < VOUCHED; i++)
        buf_add_char(&b, 0);
    for (size_t i = 0; i < o->n; i++) {
        buf_add_char(&b, (char)(p->keys[i].len >> 8));
        buf_add_char(&b, (char)p->keys[i].len);
        buf_add(&b, p->keys[i]);
    }
    buf_add(&b, p->id);
    must(!b.full);
    vouch(c, q, slice_skip(buf_slice(&b), VOUCHED), digest);
    memcpy(b.data, digest, VOUCHED);
    base64_add(to, buf_slice(&b), BASE64_URL);
    buf_done(&b);
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool split(struct place *to, struct slice rest, const struct order *o)
{
    for (size_t i = 0; i < o->n; i++) {
        if (rest.len < 2)
            return false;
        size_t n = (size_t)((unsigned char)rest.ptr[0] << 8 | (unsigned char)rest.ptr[1]);
        rest = slice_skip(rest, 2);
        if (rest.len < n)
            return false;
        to->keys[i] = slice_first(rest, n);
        rest = slice_skip(rest, n);
    }
    to->id = rest;
    return doc_id_is_good(rest);
}

bool cursor_read(struct place *to, struct arena *a, const struct doc_coll *c,
                 const struct docs_query *q, const struct order *o, struct err *e)
{
    unsigned char digest[VOUCHED];
    struct slice bytes;
    if (q->after.len <= CURSOR_MAX && base64_url_read(q->after, a, &bytes) && bytes.len > VOUCHED) {
        vouch(c, q, slice_skip(bytes, VOUCHED), digest);
        if (is_same(bytes.ptr, digest, VOUCHED) && split(to, slice_skip(bytes, VOUCHED), o))
            return true;
    }
    return err_set(
        e, ERR_MALFORMED,
        "after: this is not where this list goes on. Take `next` of the page before as it"
        " is, with the same filter, sort and search; leave `after` out to begin anew.");
}
