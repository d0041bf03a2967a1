/* Patterns of ECMA 262, as schemas have them, in the words of PCRE2: what it would read in another
 * way is written out, and what only PCRE2 has is refused, since a browser would refuse it. */
#include "schema/schema_impl.h"

#include <stdio.h>
#include <string.h>

#define SPACES                                                                         \
    "\\t\\n\\x0b\\f\\r \\u{a0}\\u{1680}\\u{2000}-\\u{200a}\\u{2028}\\u{2029}\\u{202f}" \
    "\\u{205f}\\u{3000}\\u{feff}"
/* The same from the other side, for [...\S...]. */
#define OTHERS                                                                           \
    "\\u{0}-\\u{8}\\u{e}-\\u{1f}!-\\u{9f}\\u{a1}-\\u{167f}\\u{1681}-\\u{1fff}\\u{200b}-" \
    "\\u{2027}\\u{202a}-\\u{202e}\\u{2030}-\\u{205e}\\u{2060}-\\u{2fff}\\u{3001}-"       \
    "\\u{d7ff}\\u{e000}-\\u{fefe}\\u{ff00}-\\u{10ffff}"
#define ANY "[^\\n\\r\\u{2028}\\u{2029}]"

/* General categories: PCRE2 knows only the short names. */
static const struct {
    const char *full, *brief;
} categories[] = {
    {"Letter", "L"},
    {"Cased_Letter", "LC"},
    {"Uppercase_Letter", "Lu"},
    {"Lowercase_Letter", "Ll"},
    {"Titlecase_Letter", "Lt"},
    {"Modifier_Letter", "Lm"},
    {"Other_Letter", "Lo"},
    {"Mark", "M"},
    {"Combining_Mark", "M"},
    {"Nonspacing_Mark", "Mn"},
    {"Spacing_Mark", "Mc"},
    {"Enclosing_Mark", "Me"},
    {"Number", "N"},
    {"Decimal_Number", "Nd"},
    {"digit", "Nd"},
    {"Letter_Number", "Nl"},
    {"Other_Number", "No"},
    {"Punctuation", "P"},
    {"punct", "P"},
    {"Connector_Punctuation", "Pc"},
    {"Dash_Punctuation", "Pd"},
    {"Open_Punctuation", "Ps"},
    {"Close_Punctuation", "Pe"},
    {"Initial_Punctuation", "Pi"},
    {"Final_Punctuation", "Pf"},
    {"Other_Punctuation", "Po"},
    {"Symbol", "S"},
    {"Math_Symbol", "Sm"},
    {"Currency_Symbol", "Sc"},
    {"Modifier_Symbol", "Sk"},
    {"Other_Symbol", "So"},
    {"Separator", "Z"},
    {"Space_Separator", "Zs"},
    {"Line_Separator", "Zl"},
    {"Paragraph_Separator", "Zp"},
    {"Other", "C"},
    {"Control", "Cc"},
    {"cntrl", "Cc"},
    {"Format", "Cf"},
    {"Surrogate", "Cs"},
    {"Private_Use", "Co"},
    {"Unassigned", "Cn"},
};

struct reader {
    struct slice in;
    size_t at;
    struct buf *to;
    bool in_class;
    const char *wrong; /* NULL: nothing yet */
};

static char peek(const struct reader *r, size_t ahead)
{
    return r->at + ahead < r->in.len ? r->in.ptr[r->at + ahead] : '\0';
}

static void copy(struct reader *r, size_t n)
{
    buf_add(r->to, slice_first(slice_skip(r->in, r->at), n));
    r->at += n;
}

static void put(struct reader *r, size_t instead_of, const char *text)
{
    buf_add_str(r->to, text);
    r->at += instead_of;
}

/* Four hexadecimal digits of \uXXXX; -1: there are none. */
static long unit_at(const struct reader *r, size_t ahead)
{
    long value = 0;
    if (peek(r, ahead) != '\\' || peek(r, ahead + 1) != 'u')
        return -1;
    for (size_t i = 2; i < 6; i++) {
        const char *digits = "0123456789abcdef", c = peek(r, ahead + i);
        const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c | 0x20 : c) : NULL;
        if (!at)
            return -1;
        value = value * 16 + (at - digits);
    }
    return value;
}

static void read_unit(struct reader *r)
{
    long high = unit_at(r, 0), low = high >= 0xd800 && high < 0xdc00 ? unit_at(r, 6) : -1;
    if (low < 0xdc00 || low > 0xdfff) {
        copy(r, 2);
        return;
    }
    buf_printf(r->to, "\\u{%lx}", 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
    r->at += 12;
}

/* \p{Letter}, \p{gc=Letter}; scripts and the rest are PCRE2's names, too. */
static void read_property(struct reader *r)
{
    struct slice rest = slice_skip(r->in, r->at), name;
    ptrdiff_t end = slice_index(rest, '}');
    if (peek(r, 2) != '{' || end < 0) {
        r->wrong = "a property stands in braces: \\p{Letter}";
        return;
    }
    name = slice_first(slice_skip(rest, 3), (size_t)end - 3);
    if (slice_starts(name, SLICE("gc=")) || slice_starts(name, SLICE("General_Category=")))
        name = slice_skip(name, (size_t)slice_index(name, '=') + 1);
    for (size_t i = 0; i < sizeof categories / sizeof *categories; i++) {
        if (slice_is(name, categories[i].full))
            name = slice_from(categories[i].brief);
    }
    buf_add(r->to, slice_first(rest, 3));
    buf_add(r->to, name);
    buf_add_char(r->to, '}');
    r->at += (size_t)end + 1;
}

static void read_escape(struct reader *r)
{
    char c = peek(r, 1);
    bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (c == 's')
        put(r, 2, r->in_class ? SPACES : "[" SPACES "]");
    else if (c == 'S')
        put(r, 2, r->in_class ? OTHERS : "[^" SPACES "]");
    else if (c == 'v')
        put(r, 2, "\\x0b");
    else if (c == 'u')
        read_unit(r);
    else if (c == 'p' || c == 'P')
        read_property(r);
    else if (is_letter && !strchr("bBcdDfknrtwWx", c))
        r->wrong = "there is no such letter after a backslash in patterns of JSON Schema";
    else
        copy(r, 2);
}

/* (?: (?= (?! (?<= (?<! (?<name> */
static void read_parenthesis(struct reader *r)
{
    char c = peek(r, 2);
    if (peek(r, 1) == '*')
        r->wrong = "nothing stands before this * that could be repeated";
    else if (peek(r, 1) == '?' && (!c || !strchr(":=!<", c)))
        r->wrong = "a group begins with ( or (?: or (?<name>, or looks by (?= (?! (?<= (?<!";
    else
        copy(r, peek(r, 1) == '?' ? 3 : 1);
}

static void read_one(struct reader *r)
{
    char c = peek(r, 0);
    if (c == '\\') {
        read_escape(r);
    } else if (r->in_class) {
        r->in_class = c != ']';
        if (c == '[')
            put(r, 1, "\\[");
        else
            copy(r, 1);
    } else if (c == '[') {
        r->in_class = true;
        copy(r, peek(r, 1) == '^' ? 2 : 1);
    } else if (c == '.') {
        put(r, 1, ANY);
    } else if (c == '(') {
        read_parenthesis(r);
    } else {
        copy(r, 1);
    }
}

const char *pattern_translate(struct slice pattern, size_t until, struct buf *to, size_t *ret_at)
{
    struct reader r = {.in = pattern, .to = to};
    *ret_at = 0;
    while (r.at < pattern.len && !r.wrong && to->len <= until) {
        *ret_at = r.at;
        read_one(&r);
    }
    return r.wrong;
}
