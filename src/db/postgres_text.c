/* Postgres' texts: addresses, messages without the password, names, `?` as $1, numbers. */
#include "db/postgres_impl.h"

#include <string.h>

/* ---- the address --------------------------------------------------------------------------- */

#define FORM "postgres://user:password@host:5432/name"

static struct slice after_scheme(struct slice url)
{
    ptrdiff_t at = slice_search(url, SLICE("://"));
    return slice_skip(url, at < 0 ? url.len : (size_t)at + 3);
}

static struct slice until_any(struct slice s, const char *ends)
{
    size_t n = 0;
    while (n < s.len && !strchr(ends, s.ptr[n]))
        n++;
    return slice_first(s, n);
}

/* Also where it is written wrongly: all that may be meant as one, up to the last @. */
struct slice pg_url_password(struct slice url)
{
    struct slice rest = after_scheme(url), name;
    ptrdiff_t at = slice_rindex(rest, '@');
    if (at < 0)
        return SLICE("");
    rest = slice_first(rest, (size_t)at);
    if (slice_index(rest, ':') < 0)
        return SLICE("");
    slice_cut(&rest, ':', &name);
    return rest;
}

static bool has_number(struct slice host)
{
    ptrdiff_t bracket = slice_rindex(host, ']'), colon = slice_rindex(host, ':');
    if (colon < 0 || colon < bracket)
        return true;
    uint64_t port;
    struct slice text = slice_skip(host, (size_t)colon + 1);
    return !text.len || (slice_to_u64(text, &port) && port > 0 && port < 65536);
}

/* Several hosts are written with commas. */
static bool have_numbers(struct slice hosts)
{
    struct slice host;
    while (slice_cut(&hosts, ',', &host)) {
        if (!has_number(host))
            return false;
    }
    return true;
}

bool pg_url_check(struct slice url, struct err *e)
{
    struct slice rest = after_scheme(url), authority = until_any(rest, "/?"),
                 path = until_any(slice_skip(rest, authority.len), "?");
    ptrdiff_t at = slice_rindex(authority, '@');
    struct slice hosts = slice_skip(authority, (size_t)(at + 1));
    for (size_t i = 0; i < url.len; i++) {
        if ((unsigned char)url.ptr[i] <= ' ')
            return err_set(e, ERR_USAGE,
                           "the database's address holds a space or worse; it has"
                           " the form " FORM);
    }
    if (slice_index(path, '@') >= 0 || slice_index(authority, '@') != at || !have_numbers(hosts))
        return err_set(e, ERR_USAGE,
                       "the database's address cannot be read: it has the form " FORM
                       ", and in a password the characters : / ? # @ %% are written as %%3A %%2F"
                       " %%3F %%23 %%40 %%25");
    return true;
}

/* ---- messages ------------------------------------------------------------------------------ */

#define SECRET_MIN 4

static bool is_hex(struct slice s, unsigned *ret)
{
    *ret = 0;
    for (size_t i = 0; i < 2; i++) {
        const char *digits = "0123456789abcdef";
        const char *at = i < s.len && s.ptr[i] ? strchr(digits, s.ptr[i] | 0x20) : NULL;
        if (!at)
            return false;
        *ret = *ret * 16 + (unsigned)(at - digits);
    }
    return true;
}

static void add_decoded(struct buf *to, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned byte;
        bool is_code = s.ptr[i] == '%' && is_hex(slice_skip(s, i + 1), &byte);
        buf_add_char(to, is_code ? (char)byte : s.ptr[i]);
        i += is_code ? 2 : 0;
    }
}

static void add_without(struct buf *to, struct slice text, struct slice secret)
{
    if (secret.len < SECRET_MIN) /* it would tear up ordinary words */
        secret.len = 0;
    buf_add_replacing(to, text, secret, SLICE("***"));
}

void pg_clean(const char *message, struct slice url, struct buf *to)
{
    struct slice text = slice_trim(slice_from(message)), line, written = pg_url_password(url);
    struct buf one, two, secret;
    buf_init(&one, 4096);
    buf_init(&two, 4096);
    buf_init(&secret, 4096);
    while (slice_cut(&text, '\n', &line)) {
        if (one.len)
            buf_add_str(&one, "; ");
        buf_add(&one, slice_trim(line));
    }
    add_decoded(&secret, written);
    add_without(&two, buf_slice(&one), written);
    add_without(to, buf_slice(&two), buf_slice(&secret));
    buf_done(&one);
    buf_done(&two);
    buf_done(&secret);
}

/* ---- names --------------------------------------------------------------------------------- */

bool pg_schema_check(struct slice schema, struct err *e)
{
    bool fine = schema.len > 0 && schema.len < 64 && !slice_starts(schema, SLICE("pg_"));
    for (size_t i = 0; fine && i < schema.len; i++)
        fine = (unsigned char)schema.ptr[i] >= ' ' && schema.ptr[i] != '\\' && schema.ptr[i] != 127;
    return fine || err_set(e, ERR_USAGE,
                           "the database's schema has 1 to 63 bytes, no backslash and no control"
                           " characters, and does not begin with pg_");
}

static void add_quoted(struct buf *to, struct slice s, char quote)
{
    buf_add_char(to, quote);
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == quote)
            buf_add_char(to, quote);
        buf_add_char(to, s.ptr[i]);
    }
    buf_add_char(to, quote);
}

void pg_add_ident(struct buf *to, struct slice name)
{
    add_quoted(to, name, '"');
}

void pg_add_literal(struct buf *to, struct slice text)
{
    add_quoted(to, text, '\'');
}

/* ---- statements ---------------------------------------------------------------------------- */

/* How long the quoted text, name or comment is that begins here; 0: none does. */
static size_t quoted_len(struct slice s)
{
    char first = s.ptr[0];
    const char *end = NULL;
    size_t skip = 1;
    if (first == '\'' || first == '"') {
        end = memchr(s.ptr + 1, first, s.len - 1); /* '' is the end of one and the start of one */
    } else if (slice_starts(s, SLICE("--"))) {
        end = memchr(s.ptr, '\n', s.len);
    } else if (slice_starts(s, SLICE("/*"))) {
        ptrdiff_t at = slice_search(slice_skip(s, 2), SLICE("*/"));
        end = at < 0 ? NULL : s.ptr + 2 + at;
        skip = 2;
    } else {
        return 0;
    }
    return end ? (size_t)(end - s.ptr) + skip : s.len;
}

static unsigned number_at(struct slice s)
{
    size_t n = 0;
    uint64_t number;
    while (n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9')
        n++;
    return slice_to_u64(slice_first(s, n), &number) && number < 65536 ? (unsigned)number : 0;
}

unsigned pg_number(struct slice text, struct buf *to)
{
    unsigned n = 0, highest = 0;
    for (size_t i = 0; i < text.len;) {
        struct slice rest = slice_skip(text, i);
        size_t quoted = quoted_len(rest);
        if (quoted) {
            buf_add(to, slice_first(rest, quoted));
            i += quoted;
            continue;
        }
        unsigned own = rest.ptr[0] == '$' ? number_at(slice_skip(rest, 1)) : 0;
        if (own > highest)
            highest = own;
        if (rest.ptr[0] == '?')
            buf_printf(to, "$%u", ++n);
        else
            buf_add_char(to, rest.ptr[0]);
        i++;
    }
    must(!n || !highest); /* one or the other */
    return n + highest;
}

/* ---- numbers ------------------------------------------------------------------------------- */

static int word_at(struct slice s, size_t i)
{
    return (int16_t)((unsigned char)s.ptr[2 * i] << 8 | (unsigned char)s.ptr[2 * i + 1]);
}

/* Digits to the base of 10,000; what stands behind the point is dropped, as SQLite does. */
bool pg_numeric_i64(struct slice bytes, int64_t *ret)
{
    if (bytes.len < 8)
        return false;
    int n = word_at(bytes, 0), weight = word_at(bytes, 1), sign = word_at(bytes, 2);
    int64_t value = 0;
    if ((sign != 0 && sign != 0x4000) || n < 0 || bytes.len != 8 + 2 * (size_t)n)
        return false;
    for (int i = 0; i <= weight; i++) {
        int digit = i < n ? word_at(bytes, 4 + (size_t)i) : 0;
        if (__builtin_mul_overflow(value, 10000, &value) ||
            __builtin_sub_overflow(value, digit, &value)) /* below zero there is one more */
            return false;
    }
    if (!sign && __builtin_sub_overflow(0, value, &value))
        return false;
    *ret = value;
    return true;
}
