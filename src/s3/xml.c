/* Reads the XML of answers, strictly and within bounds, and writes what little of it is asked. */
#include "base/utf8.h"
#include "s3/s3_impl.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_name_char(unsigned char c, bool is_first)
{
    bool is_letter = (c | 32) >= 'a' && (c | 32) <= 'z';
    return is_letter || c == '_' || c >= 0x80 ||
           (!is_first && ((c >= '0' && c <= '9') || c == '-' || c == '.' || c == ':'));
}

static void skip_blanks(struct slice *s)
{
    while (s->len && is_blank(*s->ptr))
        *s = slice_skip(*s, 1);
}

static bool take(struct slice *s, struct slice what)
{
    if (!slice_starts(*s, what))
        return false;
    *s = slice_skip(*s, what.len);
    return true;
}

static bool take_name(struct slice *s, struct slice *ret)
{
    size_t n = 0;
    while (n < s->len && is_name_char((unsigned char)s->ptr[n], n == 0))
        n++;
    *ret = slice_first(*s, n);
    *s = slice_skip(*s, n);
    return n > 0 && ret->ptr[n - 1] != ':' && utf8_is_valid(*ret);
}

/* ="…" or ='…' after its name; the value means nothing to us. */
static bool skip_value(struct slice *s)
{
    skip_blanks(s);
    if (!take(s, SLICE("=")))
        return false;
    skip_blanks(s);
    char quote = s->len ? *s->ptr : '\0';
    if (quote != '"' && quote != '\'')
        return false;
    *s = slice_skip(*s, 1);
    struct slice value;
    ptrdiff_t end = slice_index(*s, quote);
    if (end < 0)
        return false;
    value = slice_first(*s, (size_t)end);
    *s = slice_skip(*s, (size_t)end + 1);
    return slice_index(value, '<') < 0;
}

static bool skip_attributes(struct slice *s)
{
    for (;;) {
        size_t before = s->len;
        struct slice name;
        skip_blanks(s);
        if (!s->len || *s->ptr == '>' || *s->ptr == '/' || *s->ptr == '?')
            return true;
        if (s->len == before || !take_name(s, &name) || !skip_value(s))
            return false;
    }
}

void xml_init(struct xml *x, struct slice text)
{
    *x = (struct xml){.rest = text};
    (void)take(&x->rest, SLICE("\xef\xbb\xbf"));
    /* Stores send blanks before the document to keep a connection alive. */
    skip_blanks(&x->rest);
    struct slice after = x->rest;
    if (take(&after, SLICE("<?xml")) && skip_attributes(&after) && take(&after, SLICE("?>")))
        x->rest = after;
}

static enum xml_event bad(struct xml *x)
{
    x->rest = (struct slice){"<", 1}; /* which is bad again */
    x->is_closing = false;
    return XML_BAD;
}

static struct slice local_name(struct slice name)
{
    ptrdiff_t colon = slice_rindex(name, ':');
    return colon < 0 ? name : slice_skip(name, (size_t)colon + 1);
}

static enum xml_event closed(struct xml *x)
{
    x->name = local_name(x->names[x->depth]);
    x->is_closing = true; /* `depth` is that of `name` until the next event */
    return XML_CLOSE;
}

static enum xml_event open_element(struct xml *x)
{
    struct slice name;
    if (x->depth == XML_DEPTH_MAX || (x->depth == 0 && x->has_root))
        return bad(x);
    if (!take_name(&x->rest, &name) || !skip_attributes(&x->rest))
        return bad(x);
    bool is_empty = take(&x->rest, SLICE("/"));
    if (!take(&x->rest, SLICE(">")))
        return bad(x);
    x->has_root = x->is_leaf = true;
    x->names[++x->depth] = name;
    x->name = local_name(name);
    x->text = (struct slice){"", 0};
    x->is_empty = is_empty;
    return XML_OPEN;
}

static enum xml_event close_element(struct xml *x, struct slice text)
{
    struct slice name;
    if (!take_name(&x->rest, &name) || x->depth == 0 || !slice_eq(name, x->names[x->depth]))
        return bad(x);
    skip_blanks(&x->rest);
    if (!take(&x->rest, SLICE(">")) || (!x->is_leaf && slice_trim(text).len))
        return bad(x);
    x->text = x->is_leaf ? text : (struct slice){"", 0};
    x->is_leaf = false;
    return closed(x);
}

enum xml_event xml_next(struct xml *x)
{
    if (x->is_closing) {
        x->is_closing = false;
        x->depth--;
    }
    if (x->is_empty) { /* <this/> */
        x->is_empty = x->is_leaf = false;
        return closed(x);
    }
    ptrdiff_t tag = slice_index(x->rest, '<');
    struct slice text = tag < 0 ? x->rest : slice_first(x->rest, (size_t)tag);
    if (x->depth == 0 && slice_trim(text).len)
        return bad(x);
    if (tag < 0)
        return x->depth == 0 && x->has_root ? XML_END : bad(x);
    x->rest = slice_skip(x->rest, (size_t)tag + 1);
    if (take(&x->rest, SLICE("/")))
        return close_element(x, text);
    if (slice_trim(text).len)
        return bad(x);
    return open_element(x);
}

/* ---- text ------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    char is;
} entities[] = {{"lt", '<'}, {"gt", '>'}, {"amp", '&'}, {"quot", '"'}, {"apos", '\''}};

/* What XML 1.0 calls a character. */
static bool is_char(uint32_t c)
{
    return c == 9 || c == 10 || c == 13 || (c >= 0x20 && c < 0xd800) ||
           (c >= 0xe000 && c < 0xfffe) || (c >= 0x10000 && c <= 0x10ffff);
}

static bool read_number(struct slice digits, uint32_t *ret)
{
    bool is_hex = take(&digits, SLICE("x"));
    uint32_t value = 0;
    if (digits.len == 0 || digits.len > 8)
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        char c = digits.ptr[i], low = (char)(c | 32);
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if (is_hex && low >= 'a' && low <= 'f')
            digit = (uint32_t)(low - 'a' + 10);
        else
            return false;
        value = value * (is_hex ? 16 : 10) + digit;
    }
    *ret = value;
    return is_char(value);
}

static size_t put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6)
        to[i] = (char)(0x80 | (c & 0x3f));
    to[0] = (char)(lead[n] | c);
    return n;
}

/* The character that &name; means, as UTF-8; 0 bytes: none. Never longer than it was written. */
static size_t put_entity(char *to, struct slice name)
{
    uint32_t c;
    for (size_t i = 0; i < sizeof entities / sizeof *entities; i++) {
        if (slice_is(name, entities[i].name)) {
            *to = entities[i].is;
            return 1;
        }
    }
    return take(&name, SLICE("#")) && read_number(name, &c) ? put_utf8(to, c) : 0;
}

bool xml_decode(struct slice text, struct arena *a, struct slice *ret)
{
    if (!utf8_is_valid(text))
        return false;
    char *to = arena_try_alloc(a, text.len + 1);
    size_t n = 0;
    while (to && text.len) {
        ptrdiff_t at = slice_index(text, '&');
        size_t plain = at < 0 ? text.len : (size_t)at;
        memcpy(to + n, text.ptr, plain);
        n += plain;
        text = slice_skip(text, plain);
        if (!text.len)
            break;
        ptrdiff_t end = slice_index(slice_first(text, 12), ';');
        size_t put =
            end < 2 ? 0 : put_entity(to + n, (struct slice){text.ptr + 1, (size_t)end - 1});
        if (!put)
            return false;
        n += put;
        text = slice_skip(text, (size_t)end + 1);
    }
    if (to)
        to[n] = '\0';
    *ret = (struct slice){to, n};
    return to;
}

bool xml_can_hold(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        /* A carriage return would be read back as a line feed. */
        if ((unsigned char)text.ptr[i] < ' ' && text.ptr[i] != '\t' && text.ptr[i] != '\n')
            return false;
    }
    return utf8_is_valid(text) && slice_search(text, SLICE("\xef\xbf\xbe")) < 0 &&
           slice_search(text, SLICE("\xef\xbf\xbf")) < 0;
}

void xml_escape(struct buf *to, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        const char *name = NULL;
        for (size_t j = 0; j < sizeof entities / sizeof *entities; j++)
            name = text.ptr[i] == entities[j].is ? entities[j].name : name;
        if (name)
            buf_printf(to, "&%s;", name);
        else
            buf_add_char(to, text.ptr[i]);
    }
}
