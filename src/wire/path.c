/* Paths: decoding once, resolving dots, refusing what two readers would read differently. */
#include "wire/percent_impl.h"
#include "wire/wire.h"

#include <string.h>

/* Nothing to decode, to resolve or to refuse: most paths. */
static bool is_clean(struct slice raw)
{
    if (raw.len == 0 || raw.ptr[0] != '/')
        return false;
    for (size_t i = 1; i < raw.len; i++) {
        if (scan_is(raw.ptr[i], CH_PATH))
            continue;
        if ((raw.ptr[i] != '/' && raw.ptr[i] != '.') || raw.ptr[i - 1] == '/')
            return false;
    }
    return true;
}

static bool decode(struct slice raw, char *to, size_t *ret_len, struct err *e)
{
    size_t n = 0;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i];
        bool escaped = c == '%';
        if (escaped && !percent_decode(raw, i, &c))
            return err_set(e, ERR_MALFORMED, "The path holds a '%%' without two hex digits.");
        i += escaped ? 2 : 0;
        if (char_is_control(c))
            return err_set(e, ERR_MALFORMED, "The path holds a control character.");
        if (c == '\\' || (escaped && c == '/'))
            return err_set(e, ERR_MALFORMED, "The path holds a backslash or an escaped slash.");
        to[n++] = c;
    }
    *ret_len = n;
    if (!utf8_is_valid((struct slice){to, n}))
        return err_set(e, ERR_MALFORMED, "The path is not valid UTF-8.");
    return true;
}

/* Resolves segments in place; what is written never overtakes what is read. */
static bool resolve(char *p, size_t len, size_t *ret_len, struct err *e)
{
    size_t out = 0; /* bytes kept: "" or "/a/b", never ending in '/' */
    bool directory = false;
    for (size_t i = 0; i < len;) {
        const char *slash = memchr(p + i + 1, '/', len - i - 1);
        size_t next = slash ? (size_t)(slash - p) : len;
        size_t n = next - i - 1; /* of the segment behind the '/' at i */
        bool dot = n == 1 && p[i + 1] == '.';
        bool up = n == 2 && p[i + 1] == '.' && p[i + 2] == '.';
        directory = n == 0 || dot || up;
        if (up && out == 0)
            return err_set(e, ERR_MALFORMED, "The path leads above the root.");
        if (up) {
            while (p[--out] != '/')
                ;
        } else if (!directory) {
            memmove(p + out, p + i, n + 1);
            out += n + 1;
        }
        i = next;
    }
    if (directory || out == 0)
        p[out++] = '/';
    *ret_len = out;
    return true;
}

bool path_normalise(struct slice raw, char *to, struct slice *ret, struct err *e)
{
    size_t decoded = 0, len = 0;
    if (is_clean(raw)) {
        *ret = raw;
        return true;
    }
    if (raw.len == 0 || raw.ptr[0] != '/')
        return err_set(e, ERR_MALFORMED, "The path does not start with '/'.");
    if (!decode(raw, to, &decoded, e) || !resolve(to, decoded, &len, e))
        return false;
    *ret = (struct slice){to, len};
    return true;
}

static void encode(struct buf *to, struct slice text, unsigned classes, const char *also)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (scan_is(c, classes) || (c && strchr(also, c))) {
            buf_add_char(to, c);
        } else {
            char escape[3] = {'%', digits[(uint8_t)c >> 4], digits[(uint8_t)c & 15]};
            buf_add(to, (struct slice){escape, sizeof escape});
        }
    }
}

void path_encode(struct buf *to, struct slice path)
{
    encode(to, path, CH_UNRESERVED, "/!$&'()*+,;=:@");
}

static bool is_escape(struct slice s)
{
    static const char hex[] = "0123456789ABCDEFabcdef";
    return s.len > 2 && s.ptr[1] && s.ptr[2] && strchr(hex, s.ptr[1]) && strchr(hex, s.ptr[2]);
}

void address_encode(struct buf *to, struct slice address)
{
    for (size_t i = 0; i < address.len; i++) {
        struct slice rest = slice_skip(address, i);
        if (*rest.ptr == '%' && is_escape(rest))
            buf_add_char(to, '%');
        else
            encode(to, slice_first(rest, 1), CH_UNRESERVED, "/?#[]@!$&'()*+,;=:");
    }
}

void percent_encode(struct buf *to, struct slice text)
{
    encode(to, text, CH_UNRESERVED, "");
}
