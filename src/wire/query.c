/* Query strings and form bodies: pieces, decoding, one parameter by name. */
#include "wire/percent_impl.h"
#include "wire/wire.h"

#include <string.h>

bool query_next(struct slice *query, struct slice *ret_name, struct slice *ret_value)
{
    struct slice piece;
    while (slice_cut(query, '&', &piece)) {
        if (piece.len == 0)
            continue;
        ptrdiff_t eq = slice_index(piece, '=');
        *ret_name = eq < 0 ? piece : slice_first(piece, (size_t)eq);
        *ret_value = slice_skip(piece, eq < 0 ? piece.len : (size_t)eq + 1);
        return true;
    }
    return false;
}

static bool is_plain(struct slice raw)
{
    for (size_t i = 0; i < raw.len; i++) {
        if (raw.ptr[i] == '+' || raw.ptr[i] == '%' || raw.ptr[i] == 0 || raw.ptr[i] & 0x80)
            return false;
    }
    return true;
}

bool query_decode(struct slice raw, char *to, struct slice *ret, struct err *e)
{
    size_t n = 0;
    if (is_plain(raw)) {
        *ret = raw;
        return true;
    }
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i] == '+' ? ' ' : raw.ptr[i];
        if (c == '%') {
            if (!percent_decode(raw, i, &c))
                return err_set(e, ERR_MALFORMED, "The query holds a '%%' without two hex digits.");
            i += 2;
        }
        if (c == 0)
            return err_set(e, ERR_MALFORMED, "The query holds a NUL.");
        to[n++] = c;
    }
    *ret = (struct slice){to, n};
    if (!utf8_is_valid(*ret))
        return err_set(e, ERR_MALFORMED, "The query is not valid UTF-8.");
    return true;
}

static bool decode_into(struct arena *a, struct slice raw, struct slice *ret, struct err *e)
{
    if (is_plain(raw)) {
        *ret = raw;
        return true;
    }
    char *to = arena_try_alloc(a, raw.len);
    if (!to)
        return err_set(e, ERR_HEADERS_TOO_LARGE, "The query is larger than the limit.");
    return query_decode(raw, to, ret, e);
}

bool query_find(struct slice query, struct slice name, struct arena *a, struct slice *ret_value,
                struct err *e)
{
    struct slice raw_name, raw_value, decoded;
    *ret_value = (struct slice){0};
    while (query_next(&query, &raw_name, &raw_value)) {
        struct arena_mark mark = arena_mark(a);
        bool fine = decode_into(a, raw_name, &decoded, e);
        bool found = fine && slice_eq(decoded, name);
        arena_rewind(a, mark);
        if (!fine)
            return false;
        if (found)
            return decode_into(a, raw_value, ret_value, e);
    }
    return true;
}
