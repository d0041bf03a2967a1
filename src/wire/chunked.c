/* Chunked bodies: a strict decoder, one state per position in the grammar, and the chunk head.
 *
 * chunk-size *( ";" name [ "=" token or quoted ] ) CRLF data CRLF, until size 0, then trailer
 * lines and the empty line. White space around sizes and extensions is refused. Extensions and
 * trailers are paid from one budget per body, so that one-byte chunks cannot carry megabytes. */
#include "wire/header_impl.h"
#include "wire/scan_impl.h"

enum state {
    AT_SIZE,
    AT_EXT_NAME,
    AT_EXT_VALUE,
    AT_EXT_TOKEN,
    AT_EXT_QUOTED,
    AT_EXT_ESCAPED,
    AT_EXT_AFTER,
    AT_SIZE_LF,
    AT_DATA,
    AT_DATA_CR,
    AT_DATA_LF,
    AT_TRAILER, /* the first byte of a trailer line, or the CR of the end */
    AT_TRAILER_NAME,
    AT_TRAILER_VALUE,
    AT_TRAILER_LF,
    AT_END_LF,
    AT_END,
    AT_FAULT
};

void chunked_init(struct chunked *c)
{
    *c = (struct chunked){.state = AT_SIZE};
}

static unsigned hex_value(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

static bool go(struct chunked *c, enum state next)
{
    c->state = (uint8_t)next;
    return true;
}

static bool fault(struct chunked *c, struct err *e, const char *why)
{
    c->state = AT_FAULT;
    return err_set(e, ERR_MALFORMED, "%s", why);
}

/* Where a chunk's head line goes on after a size, name or value that ended at `ch`. */
static bool after_item(struct chunked *c, char ch, struct err *e)
{
    if (ch == ';') {
        c->name_len = 0;
        return go(c, AT_EXT_NAME);
    }
    if (ch == '\r')
        return go(c, AT_SIZE_LF);
    return fault(c, e, "A chunk's size line holds something but hexadecimal digits.");
}

static bool step_size(struct chunked *c, char ch, struct err *e)
{
    if (!scan_is(ch, CH_HEX)) {
        if (c->size_digits == 0)
            return fault(c, e, "A chunk does not start with its size.");
        return after_item(c, ch, e);
    }
    if (++c->size_digits > 16 || c->left >> 59)
        return fault(c, e, "A chunk's size is too large.");
    c->left = c->left << 4 | hex_value(ch);
    return true;
}

static bool step_extension(struct chunked *c, char ch, struct err *e)
{
    switch ((enum state)c->state) {
    case AT_EXT_NAME:
        if (scan_is(ch, CH_TOKEN)) {
            c->name_len = 1;
            return true;
        }
        if (c->name_len == 0)
            break;
        return ch == '=' ? go(c, AT_EXT_VALUE) : after_item(c, ch, e);
    case AT_EXT_VALUE:
        if (ch == '"')
            return go(c, AT_EXT_QUOTED);
        if (scan_is(ch, CH_TOKEN))
            return go(c, AT_EXT_TOKEN);
        break;
    case AT_EXT_TOKEN:
        return scan_is(ch, CH_TOKEN) ? true : after_item(c, ch, e);
    case AT_EXT_QUOTED:
        if (ch == '"')
            return go(c, AT_EXT_AFTER);
        if (ch == '\\')
            return go(c, AT_EXT_ESCAPED);
        if (scan_is(ch, CH_VALUE))
            return true;
        break;
    case AT_EXT_ESCAPED:
        if (scan_is(ch, CH_VALUE))
            return go(c, AT_EXT_QUOTED);
        break;
    default:
        return after_item(c, ch, e);
    }
    return fault(c, e, "A chunk extension is malformed.");
}

/* Trailers that would change what was decided from the head. */
static bool trailer_is_forbidden(struct slice name)
{
    switch (header_find(name)) {
    case HEADER_HOST:
    case HEADER_CONNECTION:
    case HEADER_CONTENT_LENGTH:
    case HEADER_TRANSFER_ENCODING:
    case HEADER_EXPECT:
    case HEADER_UPGRADE:
    case HEADER_TE:
    case HEADER_TRAILER:
    case HEADER_KEEP_ALIVE:
    case HEADER_PROXY_CONNECTION:
    case HEADER_AUTHORIZATION:
    case HEADER_COOKIE:
    case HEADER_CONTENT_TYPE:
    case HEADER_CONTENT_ENCODING:
    case HEADER_CONTENT_RANGE:
    case HEADER_RANGE:
    case HEADER_ORIGIN:
    case HEADER_FORWARDED:
    case HEADER_X_FORWARDED_FOR:
        return true;
    default:
        return slice_eq_nocase(name, SLICE("set-cookie")) ||
               slice_eq_nocase(name, SLICE("cache-control"));
    }
}

static bool step_trailer(struct chunked *c, char ch, struct err *e)
{
    switch ((enum state)c->state) {
    case AT_TRAILER:
        if (ch == '\r')
            return go(c, AT_END_LF);
        c->name_len = 0;
        c->state = AT_TRAILER_NAME; /* fall through: its first byte */
        __attribute__((fallthrough));
    case AT_TRAILER_NAME:
        if (scan_is(ch, CH_TOKEN)) {
            if (c->name_len < sizeof c->name)
                c->name[c->name_len++] = ch;
            else
                c->name_len = sizeof c->name + 1; /* longer than any name that matters */
            return true;
        }
        if (ch != ':' || c->name_len == 0)
            break;
        if (c->name_len <= sizeof c->name &&
            trailer_is_forbidden((struct slice){c->name, c->name_len}))
            return fault(c, e, "A trailer holds a header that may not come after the body.");
        return go(c, AT_TRAILER_VALUE);
    default:
        if (ch == '\r')
            return go(c, AT_TRAILER_LF);
        if (scan_is(ch, CH_VALUE))
            return true;
        break;
    }
    return fault(c, e, "A trailer line is malformed.");
}

static bool step_lf(struct chunked *c, char ch, enum state next, struct err *e)
{
    if (ch != '\n')
        return fault(c, e, "A CR in the chunked body is not followed by LF.");
    return go(c, next);
}

static bool step(struct chunked *c, char ch, struct err *e)
{
    switch ((enum state)c->state) {
    case AT_SIZE:
        return step_size(c, ch, e);
    case AT_SIZE_LF:
        return step_lf(c, ch, c->left ? AT_DATA : AT_TRAILER, e);
    case AT_DATA_CR:
        if (ch != '\r')
            return fault(c, e, "A chunk is longer than its size says.");
        return go(c, AT_DATA_LF);
    case AT_DATA_LF:
        c->size_digits = 0;
        return step_lf(c, ch, AT_SIZE, e);
    case AT_TRAILER:
    case AT_TRAILER_NAME:
    case AT_TRAILER_VALUE:
        return step_trailer(c, ch, e);
    case AT_TRAILER_LF:
        return step_lf(c, ch, AT_TRAILER, e);
    case AT_END_LF:
        return step_lf(c, ch, AT_END, e);
    default:
        return step_extension(c, ch, e);
    }
}

/* Bytes that carry neither sizes nor data. */
static bool is_extra(const struct chunked *c)
{
    return (c->state >= AT_EXT_NAME && c->state <= AT_EXT_AFTER) ||
           (c->state >= AT_TRAILER_NAME && c->state <= AT_TRAILER_VALUE);
}

enum io chunked_next(struct chunked *c, struct slice *in, struct slice *ret_data, struct err *e)
{
    while (in->len > 0 && c->state < AT_END) {
        if (c->state == AT_DATA) {
            *ret_data = slice_first(*in, c->left < in->len ? (size_t)c->left : in->len);
            *in = slice_skip(*in, ret_data->len);
            c->left -= ret_data->len;
            if (c->left == 0)
                c->state = AT_DATA_CR;
            return IO_OK;
        }
        if (!step(c, *in->ptr, e))
            return IO_FAIL;
        if (is_extra(c) && ++c->extra_bytes > CHUNKED_EXTRA_MAX) {
            c->state = AT_FAULT;
            err_set(e, ERR_HEADERS_TOO_LARGE, "The body's extensions and trailers are too large.");
            return IO_FAIL;
        }
        *in = slice_skip(*in, 1);
    }
    if (c->state == AT_FAULT) {
        err_set(e, ERR_MALFORMED, "The chunked body failed before.");
        return IO_FAIL;
    }
    return c->state == AT_END ? IO_EOF : IO_MORE;
}

size_t chunk_head(char to[CHUNK_HEAD_MAX], uint64_t n)
{
    must(n > 0);
    size_t digits = (size_t)(67 - __builtin_clzll(n)) / 4;
    for (size_t i = digits; i-- > 0; n >>= 4)
        to[i] = "0123456789abcdef"[n & 15];
    to[digits] = '\r';
    to[digits + 1] = '\n';
    return digits + 2;
}
