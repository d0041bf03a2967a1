/* The header of a rendered file: what made it (not for which kind: kinds share files), and a digest
 * that tells whether it is still what was made. */
#include "base/build.h"
#include "render/render_impl.h"

#include <string.h>

#define MARK       "dais-sha256:"
#define JSON_PLACE "dais-header" /* the string in JSON that the header replaces */
#define LOOK_BYTES 4096          /* the header is near the start */

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

/* Where the digits of the digest are; -1: there are none. */
static ptrdiff_t digits_at(struct slice text)
{
    ptrdiff_t at = slice_search(slice_first(text, LOOK_BYTES), SLICE(MARK));
    size_t from = (size_t)at + sizeof MARK - 1;
    if (at < 0 || from + SHA256_HEX_LEN > text.len)
        return -1;
    for (size_t i = from; i < from + SHA256_HEX_LEN; i++) {
        char c = text.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return -1;
    }
    return (ptrdiff_t)from;
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
    ptrdiff_t at = digits_at(text);
    if (at < 0)
        return HEADER_NONE;
    digest(text, (size_t)at, found);
    return memcmp(found, text.ptr + at, SHA256_HEX_LEN) == 0 ? HEADER_INTACT : HEADER_EDITED;
}

/* JSON has no comments: its template says which key may hold the header. */
static void add_json(struct buf *to, struct slice text)
{
    ptrdiff_t at = slice_search(text, SLICE("\"" JSON_PLACE "\""));
    must(at >= 0);
    buf_add(to, slice_first(text, (size_t)at + 1));
    made_by(to);
    buf_printf(to, " %s%s", MARK, zeros);
    buf_add(to, slice_skip(text, (size_t)at + sizeof JSON_PLACE));
}

static void add_comment(struct buf *to, struct slice text, size_t style)
{
    bool has_first = slice_starts(text, SLICE("#!")) || slice_starts(text, SLICE("#cloud-config"));
    struct slice rest = text, first;
    if (has_first && slice_cut(&rest, '\n', &first)) {
        buf_add(to, first);
        buf_add_char(to, '\n');
    }
    buf_add_str(to, styles[style].before);
    made_by(to);
    buf_printf(to, "%s\n%s%s%s%s\n", styles[style].after, styles[style].before, MARK, zeros,
               styles[style].after);
    buf_add(to, rest);
}

bool header_add(struct slice path, struct slice text, struct buf *to)
{
    size_t style = 0, n = sizeof styles / sizeof *styles;
    char found[SHA256_HEX_LEN + 1];
    while (style < n && !slice_ends(path, slice_from(styles[style].ends)))
        style++;
    if (style == n)
        return false;
    must(to->len == 0);
    if (styles[style].before)
        add_comment(to, text, style);
    else
        add_json(to, text);
    if (to->full)
        return true;
    ptrdiff_t at = digits_at(buf_slice(to));
    must(at >= 0);
    digest(buf_slice(to), (size_t)at, found);
    memcpy(to->data + at, found, SHA256_HEX_LEN);
    return true;
}
