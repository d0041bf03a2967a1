/* The header of a rendered file: what made it (not for which kind: kinds share files), and a digest
 * that tells whether it is still what was made. */
#include "base/build.h"
#include "render/render_impl.h"

#include <string.h>

#define MARK       "dais-sha256:"
#define JSON_PLACE "dais-header" /* the string in JSON that the header replaces */
#define MARKS_MAX  16            /* of which one is the header's; values may hold others */

/* How a kind of file takes a remark, by the end of its name; the first row that fits. */
static const struct {
    const char *ends;
    const char *before, *after; /* around each of the two lines; NULL: in a string of JSON */
} styles[] = {
    {".json", NULL, NULL},    {".md", "<!-- ", " -->"}, {".html", "<!-- ", " -->"},
    {".yml", "# ", ""},       {".yaml", "# ", ""},      {".py", "# ", ""},
    {".sh", "# ", ""},        {".conf", "# ", ""},      {"Dockerfile", "# ", ""},
    {".example", "# ", ""},   {"ignore", "# ", ""},     {"Caddyfile", "# ", ""},
    {".service", "# ", ""},   {".socket", "# ", ""},    {".timer", "# ", ""},
    {".txt", "# ", ""},       {".env", "# ", ""},       {".alloy", "// ", ""},
    {".dais-site", "# ", ""},
};

static void made_by(struct buf *to)
{
    buf_printf(
        to,
        "Made by `dais render` (dais %s) from dais.yaml. An edited file is kept; --force makes "
        "it anew.",
        build_version);
}

static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";

static bool is_digest(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    return s.len == SHA256_HEX_LEN;
}

/* Where the digits of the next digest are, from *at on, which goes behind the mark. */
static bool next_digits(struct slice text, size_t *at)
{
    for (;;) {
        ptrdiff_t mark = slice_search(slice_skip(text, *at), SLICE(MARK));
        if (mark < 0)
            return false;
        *at += (size_t)mark + sizeof MARK - 1;
        if (is_digest(slice_first(slice_skip(text, *at), SHA256_HEX_LEN)))
            return true;
    }
}

/* Without carriage returns: a checkout on Windows is no edit. */
static void add_lines(struct sha256 *h, struct slice s)
{
    while (s.len) {
        ptrdiff_t at = slice_index(s, '\r');
        sha256_add(h, at < 0 ? s : slice_first(s, (size_t)at));
        s = at < 0 ? SLICE("") : slice_skip(s, (size_t)at + 1);
    }
}

static void digest(struct slice text, size_t digits, char ret[SHA256_HEX_LEN + 1])
{
    struct sha256 h;
    sha256_init(&h);
    add_lines(&h, slice_first(text, digits));
    sha256_add(&h, slice_from(zeros));
    add_lines(&h, slice_skip(text, digits + SHA256_HEX_LEN));
    sha256_end_hex(&h, ret);
}

enum header_found header_look(struct slice text)
{
    char found[SHA256_HEX_LEN + 1];
    size_t at = 0, n = 0;
    for (; n < MARKS_MAX && next_digits(text, &at); n++) {
        digest(text, at, found);
        if (memcmp(found, text.ptr + at, SHA256_HEX_LEN) == 0)
            return HEADER_INTACT;
    }
    return n ? HEADER_EDITED : HEADER_NONE;
}

/* JSON has no comments: its template says which key may hold the header. Where the digits are;
 * 0: a value looks like that place. */
static size_t add_json(struct buf *to, struct slice text)
{
    ptrdiff_t at = slice_search(text, SLICE("\"" JSON_PLACE "\""));
    must(at >= 0);
    struct slice rest = slice_skip(text, (size_t)at + sizeof JSON_PLACE);
    if (slice_search(rest, SLICE("\"" JSON_PLACE "\"")) >= 0)
        return 0;
    buf_add(to, slice_first(text, (size_t)at + 1));
    made_by(to);
    buf_printf(to, " %s", MARK);
    size_t digits = to->len;
    buf_add_str(to, zeros);
    buf_add(to, rest);
    return digits;
}

/* What a tool reads only in the first line. */
static bool has_first_line(struct slice text)
{
    return slice_starts(text, SLICE("#!")) || slice_starts(text, SLICE("#cloud-config")) ||
           slice_starts(text, SLICE("# syntax="));
}

static size_t add_comment(struct buf *to, struct slice text, size_t style)
{
    struct slice rest = text, first;
    if (has_first_line(text) && slice_cut(&rest, '\n', &first)) {
        buf_add(to, first);
        buf_add_char(to, '\n');
    }
    buf_add_str(to, styles[style].before);
    made_by(to);
    buf_printf(to, "%s\n%s%s", styles[style].after, styles[style].before, MARK);
    size_t digits = to->len;
    buf_printf(to, "%s%s\n", zeros, styles[style].after);
    buf_add(to, rest);
    return digits;
}

bool header_add(struct slice path, struct slice text, struct buf *to)
{
    size_t style = 0, n = sizeof styles / sizeof *styles;
    char found[SHA256_HEX_LEN + 1];
    while (style < n && !slice_ends(path, slice_from(styles[style].ends)))
        style++;
    must(style < n && to->len == 0);
    size_t at = styles[style].before ? add_comment(to, text, style) : add_json(to, text);
    if (at == 0)
        return false;
    if (to->full)
        return true;
    digest(buf_slice(to), at, found);
    memcpy(to->data + at, found, SHA256_HEX_LEN);
    return true;
}
