/* Redis' addresses and its protocol (RESP3), as far as publishing and subscribing needs them. */
#include "db/ring_impl.h"

#include <string.h>

#define COUNT_MAX 1000 /* values in one */
#define BULK_MAX  65536

/* ---- addresses ----------------------------------------------------------------------------- */

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* With %40 as @; false: too long, empty text is fine. */
static bool put(struct slice s, char *to, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '%') {
            int high = i + 2 < s.len ? digit(s.ptr[i + 1]) : -1;
            int low = i + 2 < s.len ? digit(s.ptr[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (char_is_control(c) || n + 1 >= size)
            return false;
        to[n++] = c;
    }
    to[n] = '\0';
    return true;
}

static bool put_index(struct slice s, struct redis_address *ret)
{
    uint64_t n = 0;
    if (s.len && (!slice_to_u64(s, &n) || n > 65535))
        return false;
    ret->index = (unsigned)n;
    return true;
}

/* "user:password@", or ":password@", or nothing. */
static bool put_account(struct slice *rest, struct redis_address *ret)
{
    ptrdiff_t at = slice_rindex(*rest, '@');
    if (at < 0)
        return true;
    struct slice account = slice_first(*rest, (size_t)at);
    *rest = slice_skip(*rest, (size_t)at + 1);
    ptrdiff_t colon = slice_index(account, ':');
    struct slice user = colon < 0 ? account : slice_first(account, (size_t)colon);
    struct slice password = colon < 0 ? SLICE("") : slice_skip(account, (size_t)colon + 1);
    return put(user, ret->user, sizeof ret->user) &&
           put(password, ret->password, sizeof ret->password);
}

static bool put_host(struct slice rest, struct redis_address *ret)
{
    ptrdiff_t slash = slice_index(rest, '/');
    struct slice index = slash < 0 ? SLICE("") : slice_skip(rest, (size_t)slash + 1);
    struct slice host = slash < 0 ? rest : slice_first(rest, (size_t)slash);
    ptrdiff_t colon = slice_rindex(host, ':'), end = slice_rindex(host, ']');
    struct slice port = SLICE("6379");
    uint64_t n;
    if (colon > end) {
        port = slice_skip(host, (size_t)colon + 1);
        host = slice_first(host, (size_t)colon);
    }
    if (slice_starts(host, SLICE("[")) && slice_ends(host, SLICE("]")))
        host = slice_first(slice_skip(host, 1), host.len - 2);
    return put(host.len ? host : SLICE("localhost"), ret->host, sizeof ret->host) &&
           slice_to_u64(port, &n) && n > 0 && n < 65536 && put(port, ret->port, sizeof ret->port) &&
           put_index(index, ret);
}

static bool put_socket(struct slice rest, struct slice query, struct redis_address *ret)
{
    struct slice one;
    if (!slice_starts(rest, SLICE("/")) || !put(rest, ret->path, sizeof ret->path))
        return false;
    while (slice_cut(&query, '&', &one)) {
        if (slice_starts(one, SLICE("db=")) && !put_index(slice_skip(one, 3), ret))
            return false;
    }
    return true;
}

bool redis_address_read(struct slice url, struct redis_address *ret, struct err *e)
{
    bool is_socket = slice_starts(url, SLICE("unix://"));
    struct slice rest = slice_skip(url, is_socket ? 7 : 8), query = SLICE("");
    *ret = (struct redis_address){0};
    if (slice_starts(url, SLICE("rediss://")))
        return err_set(e, ERR_USAGE,
                       "Redis is not spoken to through TLS (rediss://): write redis:// for one in"
                       " your own network, or none");
    bool fine = is_socket || slice_starts(url, SLICE("redis://"));
    ptrdiff_t mark = slice_index(rest, '?');
    if (mark >= 0) {
        query = slice_skip(rest, (size_t)mark + 1);
        rest = slice_first(rest, (size_t)mark);
    }
    if (fine && put_account(&rest, ret) &&
        (is_socket ? put_socket(rest, query, ret) : put_host(rest, ret)))
        return true;
    return err_set(
        e, ERR_USAGE,
        "Redis' address cannot be read: it has the form redis://user:password@host:6379/0"
        " or unix://user:password@/path");
}

/* ---- the protocol -------------------------------------------------------------------------- */

void redis_command_add(struct buf *to, const struct slice *words, unsigned n)
{
    buf_printf(to, "*%u\r\n", n);
    for (unsigned i = 0; i < n; i++) {
        buf_printf(to, "$%zu\r\n", words[i].len);
        buf_add(to, words[i]);
        buf_add_str(to, "\r\n");
    }
}

/* A value's first line, without its type; its length with the end of the line, 0: not all there. */
static size_t line_at(struct slice bytes, struct slice *ret)
{
    ptrdiff_t end = slice_search(bytes, SLICE("\r\n"));
    if (end < 1)
        return 0;
    *ret = slice_first(slice_skip(bytes, 1), (size_t)end - 1);
    return (size_t)end + 2;
}

static void keep(struct redis_value *v, struct slice word)
{
    if (v->n < 3)
        v->words[v->n++] = word;
}

/* A length; -1 (null) counts as none. */
static bool length_of(struct slice line, uint64_t most, uint64_t *ret)
{
    *ret = 0;
    return slice_is(line, "-1") || (slice_to_u64(line, ret) && *ret <= most);
}

/* One value without what is in it. As redis_value_read; *more: values that are in it. */
static ptrdiff_t read_one(struct slice bytes, struct redis_value *v, uint64_t *more)
{
    struct slice line;
    size_t n = line_at(bytes, &line);
    uint64_t len;
    *more = 0;
    if (!n)
        return bytes.len > BULK_MAX ? -1 : 0;
    switch (bytes.ptr[0]) {
    case '$':
    case '=':
    case '!':
        if (!length_of(line, BULK_MAX, &len))
            return -1;
        if (slice_is(line, "-1"))
            return (ptrdiff_t)n;
        if (bytes.len < n + len + 2)
            return 0;
        keep(v, slice_first(slice_skip(bytes, n), len));
        return (ptrdiff_t)(n + len + 2);
    case '*':
    case '>':
    case '~':
    case '%':
    case '|':
        if (!length_of(line, COUNT_MAX, &len))
            return -1;
        *more = bytes.ptr[0] == '%' || bytes.ptr[0] == '|' ? 2 * len : len;
        return (ptrdiff_t)n;
    default:
        if (!memchr("+-:_,#(", bytes.ptr[0], 7))
            return -1;
        keep(v, line);
        return (ptrdiff_t)n;
    }
}

ptrdiff_t redis_value_read(struct slice bytes, struct redis_value *ret)
{
    size_t at = 0;
    uint64_t left = 1, more;
    *ret = (struct redis_value){.type = bytes.len ? bytes.ptr[0] : 0};
    while (left) {
        ptrdiff_t n = read_one(slice_skip(bytes, at), ret, &more);
        if (n <= 0)
            return n;
        at += (size_t)n;
        left += more - 1;
        if (left > COUNT_MAX * 2)
            return -1;
    }
    return (ptrdiff_t)at;
}
