/* A reader of HTML that knows just enough to find what is written in a page: tags with their
 * attributes, comments, and elements whose content is text. */
#include "web/inline_impl.h"
#include "base/base64.h"
#include "base/sha256.h"

/* Their content is text up to their own end tag. */
static const char *const text_elements[] = {"style",  "textarea", "title",    "xmp",
                                            "iframe", "noembed",  "noframes", "noscript"};

struct tag {
    struct slice name;
    struct slice type;
    bool has_type, has_src, is_end;
    unsigned n_handlers;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Takes up to and with `end`; without one, all. */
static void skip_behind(struct slice *in, struct slice end)
{
    ptrdiff_t at = slice_search(*in, end);
    *in = slice_skip(*in, at < 0 ? in->len : (size_t)at + end.len);
}

/* "<!-->" and "<!--->" are whole comments. */
static void skip_comment(struct slice *in)
{
    *in = slice_skip(*in, 4);
    if (slice_starts(*in, SLICE(">")) || slice_starts(*in, SLICE("->"))) {
        skip_behind(in, SLICE(">"));
        return;
    }
    for (size_t i = 0; i + 2 < in->len; i++) {
        const char *p = in->ptr + i;
        bool is_end = p[0] == '-' && p[1] == '-' &&
                      (p[2] == '>' || (p[2] == '!' && i + 3 < in->len && p[3] == '>'));
        if (is_end) {
            *in = slice_skip(*in, i + (p[2] == '>' ? 3 : 4));
            return;
        }
    }
    in->len = 0;
}

/* ---- tags ----------------------------------------------------------------------------------- */

static void skip_spaces(struct slice *in)
{
    while (in->len && is_space(in->ptr[0]))
        *in = slice_skip(*in, 1);
}

static struct slice take_name(struct slice *in, bool stops_at_equal)
{
    size_t n = 0;
    while (n < in->len && !is_space(in->ptr[n]) && in->ptr[n] != '/' && in->ptr[n] != '>' &&
           !(stops_at_equal && n && in->ptr[n] == '='))
        n++;
    struct slice name = slice_first(*in, n);
    *in = slice_skip(*in, n);
    return name;
}

static struct slice take_value(struct slice *in)
{
    struct slice value;
    char quote = in->len ? in->ptr[0] : '\0';
    if (quote == '"' || quote == '\'') {
        *in = slice_skip(*in, 1);
        if (!slice_cut(in, quote, &value))
            value = (struct slice){0};
        return value;
    }
    size_t n = 0;
    while (n < in->len && !is_space(in->ptr[n]) && in->ptr[n] != '>')
        n++;
    value = slice_first(*in, n);
    *in = slice_skip(*in, n);
    return value;
}

/* The first attribute of a name counts. */
static void note(struct tag *t, struct slice name, struct slice value)
{
    if (slice_eq_nocase(name, SLICE("type")) && !t->has_type) {
        t->has_type = true;
        t->type = slice_trim(value);
    } else if (slice_eq_nocase(name, SLICE("src"))) {
        t->has_src = true;
    } else if (name.len > 2 && slice_starts_nocase(name, SLICE("on")) && is_letter(name.ptr[2])) {
        t->n_handlers++;
    } else if (slice_starts_nocase(slice_trim(value), SLICE("javascript:"))) {
        t->n_handlers++;
    }
}

/* *in starts at the name, behind "<" or "</". Takes all up to and with the '>'. False: there is
 * none, so this is no tag. */
static bool take_tag(struct slice *in, struct tag *t)
{
    t->name = take_name(in, false);
    while (in->len && in->ptr[0] != '>') {
        if (is_space(in->ptr[0]) || in->ptr[0] == '/') {
            *in = slice_skip(*in, 1);
            continue;
        }
        struct slice name = take_name(in, true), value = {0};
        skip_spaces(in);
        if (slice_starts(*in, SLICE("="))) {
            *in = slice_skip(*in, 1);
            skip_spaces(in);
            value = take_value(in);
        }
        note(t, name, value);
    }
    bool is_whole = in->len > 0;
    *in = slice_skip(*in, 1);
    return is_whole;
}

/* ---- content -------------------------------------------------------------------------------- */

/* Does "<name" or "</name" stand here, as a whole name? */
static bool is_tag_at(struct slice at, struct slice open, struct slice name)
{
    if (!slice_starts(at, open) || !slice_starts_nocase(slice_skip(at, open.len), name))
        return false;
    at = slice_skip(at, open.len + name.len);
    return !at.len || is_space(at.ptr[0]) || at.ptr[0] == '/' || at.ptr[0] == '>';
}

static struct slice take_text(struct slice *in, struct slice name)
{
    size_t n = 0;
    while (n < in->len && !is_tag_at(slice_skip(*in, n), SLICE("</"), name))
        n++;
    struct slice text = slice_first(*in, n);
    *in = slice_skip(*in, n);
    return text;
}

/* In a script, behind "<!--" and up to "-->", a "<script" makes the next "</script" part of it. */
static struct slice take_script(struct slice *in)
{
    static const struct slice name = SLICE_INIT("script");
    bool in_comment = false, is_nested = false;
    size_t n = 0, dashes_from = 0;
    for (; n < in->len; n++) {
        struct slice at = slice_skip(*in, n);
        if (at.ptr[0] == '-' && in_comment && n >= dashes_from && slice_starts(at, SLICE("-->"))) {
            in_comment = is_nested = false;
        } else if (at.ptr[0] != '<') {
            continue;
        } else if (!in_comment && slice_starts(at, SLICE("<!--"))) {
            in_comment = true;
            dashes_from = n + 2; /* "<!-->" closes at once */
        } else if (in_comment && !is_nested && is_tag_at(at, SLICE("<"), name)) {
            is_nested = true;
        } else if (is_tag_at(at, SLICE("</"), name)) {
            if (!is_nested)
                break;
            is_nested = false;
        }
    }
    struct slice text = slice_first(*in, n);
    *in = slice_skip(*in, n);
    return text;
}

/* What a browser does not run needs no permission. */
static bool is_run(const struct tag *t)
{
    static const char *const words[] = {"module", "importmap", "speculationrules"};
    static const char *const parts[] = {"javascript", "ecmascript", "jscript", "livescript"};
    if (!t->type.len)
        return true;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (slice_eq_nocase(t->type, slice_from(words[i])))
            return true;
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct slice part = slice_from(parts[i]);
        for (size_t at = 0; at + part.len <= t->type.len; at++) {
            if (slice_starts_nocase(slice_skip(t->type, at), part))
                return true;
        }
    }
    return false;
}

/* Browsers hash what they read: each line end is one LF by then. */
static void hash(struct slice text, unsigned char to[SHA256_LEN])
{
    struct sha256 h;
    struct slice piece;
    sha256_init(&h);
    while (text.len) {
        ptrdiff_t cr = slice_index(text, '\r');
        piece = slice_first(text, cr < 0 ? text.len : (size_t)cr);
        sha256_add(&h, piece);
        text = slice_skip(text, piece.len);
        if (cr < 0)
            continue;
        sha256_add(&h, SLICE("\n"));
        text = slice_skip(text, slice_starts(text, SLICE("\r\n")) ? 2 : 1);
    }
    sha256_end(&h, to);
}

static void add_source(struct inline_found *f, struct buf *to, unsigned *n, struct slice text)
{
    unsigned char sum[SHA256_LEN];
    struct buf source;
    buf_init(&source, 64);
    hash(text, sum);
    buf_add(&source, SLICE("'sha256-"));
    base64_add(&source, (struct slice){(const char *)sum, sizeof sum}, BASE64);
    buf_add_char(&source, '\'');
    if (slice_search(buf_slice(to), buf_slice(&source)) >= 0) {
        /* the same text twice */
    } else if (*n == INLINE_MAX) {
        f->is_too_many = true;
    } else {
        if ((*n)++)
            buf_add_char(to, ' ');
        buf_add(to, buf_slice(&source));
    }
    buf_done(&source);
}

static void take_content(struct slice *in, const struct tag *t, struct inline_found *f)
{
    if (slice_eq_nocase(t->name, SLICE("script"))) {
        struct slice text = take_script(in);
        if (!t->has_src && is_run(t))
            add_source(f, &f->scripts, &f->n_scripts, text);
        return;
    }
    for (size_t i = 0; i < sizeof text_elements / sizeof *text_elements; i++) {
        if (!slice_eq_nocase(t->name, slice_from(text_elements[i])))
            continue;
        struct slice text = take_text(in, t->name);
        if (i == 0)
            add_source(f, &f->styles, &f->n_styles, text);
        return;
    }
}

void inline_scan(struct slice html, struct inline_found *ret)
{
    *ret = (struct inline_found){0};
    buf_init(&ret->scripts, 64 * INLINE_MAX);
    buf_init(&ret->styles, 64 * INLINE_MAX);
    for (ptrdiff_t at; (at = slice_index(html, '<')) >= 0;) {
        html = slice_skip(html, (size_t)at);
        struct slice name = slice_skip(html, slice_starts(html, SLICE("</")) ? 2 : 1);
        struct tag t = {.is_end = slice_starts(html, SLICE("</"))};
        if (slice_starts(html, SLICE("<!--"))) {
            skip_comment(&html);
        } else if (name.len && is_letter(name.ptr[0])) {
            bool is_start = take_tag(&name, &t) && !t.is_end;
            html = name;
            ret->n_handlers += is_start ? t.n_handlers : 0;
            if (is_start)
                take_content(&html, &t, ret);
        } else if (t.is_end || slice_starts(html, SLICE("<!")) || slice_starts(html, SLICE("<?"))) {
            skip_behind(&html, SLICE(">"));
        } else {
            html = name; /* a mere '<' */
        }
    }
}

void inline_done(struct inline_found *f)
{
    buf_done(&f->scripts);
    buf_done(&f->styles);
}
