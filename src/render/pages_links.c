/* Links of a site that was built for `/`, moved below another path.
 *
 * Only what names something of the tree is changed. In scripts and styles that is a quoted path of
 * a file; in HTML the value of an attribute that holds an address, where folders count, too. Text,
 * comments and other attributes are left alone. */
#include "render/pages_impl.h"

#include <string.h>

#define PATH_MAX_BYTES 2048

/* ---- what an attribute holds --------------------------------------------------------------------
 */

enum holds { HOLDS_OTHER, HOLDS_LINK, HOLDS_FILE, HOLDS_SET, HOLDS_STYLE };
static const struct {
    const char *name;
    enum holds holds;
} attributes[] = {
    {"href", HOLDS_LINK},       {"src", HOLDS_LINK},        {"action", HOLDS_LINK},
    {"formaction", HOLDS_LINK}, {"data", HOLDS_LINK},       {"poster", HOLDS_LINK},
    {"manifest", HOLDS_LINK},   {"xlink:href", HOLDS_LINK}, {"content", HOLDS_FILE},
    {"data-src", HOLDS_FILE},   {"srcset", HOLDS_SET},      {"imagesrcset", HOLDS_SET},
    {"style", HOLDS_STYLE},
};

static const struct {
    const char *ends;
    enum links_kind kind;
} kinds[] = {
    {".html", LINKS_HTML},  {".htm", LINKS_HTML},         {".svg", LINKS_HTML},
    {".xhtml", LINKS_HTML}, {".css", LINKS_CSS},          {".js", LINKS_JS},
    {".mjs", LINKS_JS},     {".webmanifest", LINKS_DATA}, {"/manifest.json", LINKS_DATA},
};

enum links_kind links_kind_of(struct slice path)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct slice end = slice_from(kinds[i].ends);
        if (path.len >= end.len && slice_eq_nocase(slice_skip(path, path.len - end.len), end))
            return kinds[i].kind;
    }
    return LINKS_NONE;
}

/* ---- addresses ----------------------------------------------------------------------------------
 */

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~/!$*+,;=:@%", c));
}

void links_encode(struct buf *to, struct slice path)
{
    for (size_t i = 0; i < path.len; i++) {
        if (is_plain(path.ptr[i]) && path.ptr[i] != '%')
            buf_add_char(to, path.ptr[i]);
        else
            buf_printf(to, "%%%02X", (unsigned char)path.ptr[i]);
    }
}

static int hex_of(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static void decode(struct buf *to, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        bool is_escape = s.ptr[i] == '%' && i + 2 < s.len && hex_of(s.ptr[i + 1]) >= 0 &&
                         hex_of(s.ptr[i + 2]) >= 0;
        buf_add_char(to, is_escape ? (char)(hex_of(s.ptr[i + 1]) * 16 + hex_of(s.ptr[i + 2]))
                                   : s.ptr[i]);
        i += is_escape ? 2 : 0;
    }
}

/* Without the query and the fragment. */
static struct slice path_of(struct slice link)
{
    size_t n = 0;
    while (n < link.len && link.ptr[n] != '?' && link.ptr[n] != '#')
        n++;
    return slice_first(link, n);
}

static bool has_index(const struct links *l, struct buf *path)
{
    size_t was = path->len;
    buf_add_str(path, slice_ends(buf_slice(path), SLICE("/")) ? "index.html" : "/index.html");
    bool found = map_find(l->paths, buf_slice(path)) != NULL;
    buf_truncate(path, was);
    return found;
}

/* Does the tree hold it? `path` is absolute, as written. */
static bool is_there(const struct links *l, struct slice path, bool with_folders)
{
    struct buf plain;
    if (path.len > PATH_MAX_BYTES)
        return false;
    buf_init(&plain, PATH_MAX_BYTES + 16);
    decode(&plain, path);
    struct slice s = buf_slice(&plain);
    bool found = map_find(l->paths, s) != NULL ||
                 (with_folders && (slice_is(s, "/") || has_index(l, &plain)));
    buf_done(&plain);
    return found;
}

/* Built for the base already: what is below it is in the tree. */
static bool is_below_base(const struct links *l, struct slice path, bool with_folders)
{
    return slice_starts(path, l->base) &&
           is_there(l, slice_skip(path, l->base.len - 1), with_folders);
}

/* "../a/./b" below "/x/" is "/a/b"; false when it leads out. */
static bool resolve(struct slice folder, struct slice path, struct buf *to)
{
    struct slice step;
    buf_add(to, folder);
    bool is_folder = slice_ends(path, SLICE("/")) || slice_ends(path, SLICE("/.")) ||
                     slice_ends(path, SLICE("/..")) || slice_is(path, ".") || slice_is(path, "..");
    while (slice_cut(&path, '/', &step)) {
        if (slice_is(step, ".") || slice_is(step, "..")) {
            if (step.len == 2) {
                if (to->len <= 1)
                    return false;
                ptrdiff_t slash = slice_rindex(slice_first(buf_slice(to), to->len - 1), '/');
                buf_truncate(to, (size_t)slash + 1);
            }
            continue;
        }
        buf_add(to, step);
        buf_add_char(to, '/');
    }
    if (!is_folder && to->len > 1)
        buf_truncate(to, to->len - 1);
    return true;
}

static bool is_relative(struct slice link)
{
    struct slice path = path_of(link);
    if (!path.len || path.ptr[0] == '/')
        return false;
    ptrdiff_t colon = slice_index(path, ':'), slash = slice_index(path, '/');
    return colon < 0 || (slash >= 0 && slash < colon);
}

static size_t add_relative(struct slice link, const struct links *l, struct buf *to)
{
    struct buf path;
    buf_init(&path, 2 * PATH_MAX_BYTES);
    struct slice written = path_of(link);
    bool moved =
        resolve(l->folder, written, &path) && !path.full && is_there(l, buf_slice(&path), true);
    if (moved) {
        buf_add(to, l->base);
        buf_add(to, slice_skip(buf_slice(&path), 1));
        buf_add(to, slice_skip(link, written.len));
    } else {
        buf_add(to, link);
    }
    buf_done(&path);
    return moved;
}

/* One address. `with_folders`: `/docs/` and `/` are links, too. */
static size_t add_link(struct slice link, bool with_folders, const struct links *l, struct buf *to)
{
    struct slice path = path_of(link);
    bool is_absolute = slice_starts(link, SLICE("/")) && !slice_starts(link, SLICE("//"));
    if (!is_absolute && with_folders && l->folder.len && is_relative(link))
        return add_relative(link, l, to);
    if (!is_absolute || l->base.len == 1 || is_below_base(l, path, with_folders) ||
        !is_there(l, path, with_folders)) {
        buf_add(to, link);
        return 0;
    }
    buf_add(to, slice_first(l->base, l->base.len - 1));
    buf_add(to, link);
    return 1;
}

/* ---- scripts, styles, data ----------------------------------------------------------------------
 */

/* The text in front of the first of some characters. */
static struct slice until(struct slice s, const char *ends)
{
    size_t n = 0;
    while (n < s.len && (!s.ptr[n] || !strchr(ends, s.ptr[n])))
        n++;
    return slice_first(s, n);
}

static bool is_quote(char c)
{
    return c == '"' || c == '\'' || c == '`';
}

/* Every quoted path of a file, and url(/path); of data, folders, too. */
static size_t move_quoted(enum links_kind kind, struct slice s, const struct links *l,
                          struct buf *to)
{
    size_t moved = 0;
    while (s.len) {
        size_t skip = is_quote(s.ptr[0])                                     ? 1
                      : kind == LINKS_CSS && slice_starts(s, SLICE("url(/")) ? 4
                                                                             : 0;
        bool is_link = skip && s.len > skip && s.ptr[skip] == '/';
        const char ends[] = {skip == 4 ? ')' : s.ptr[0], '\n', ' ', '\0'};
        size_t n = skip ? skip : 1 + until(slice_skip(s, 1), "\"'`u").len;
        buf_add(to, slice_first(s, n));
        s = slice_skip(s, n);
        if (!is_link)
            continue;
        struct slice link = until(s, ends);
        bool is_whole = link.len < s.len && s.ptr[link.len] == ends[0];
        if (is_whole)
            moved += add_link(link, kind == LINKS_DATA, l, to);
        else
            buf_add(to, link);
        s = slice_skip(s, link.len);
        if (is_whole) { /* its own closing quote opens nothing */
            buf_add(to, slice_first(s, 1));
            s = slice_skip(s, 1);
        }
    }
    return moved;
}

/* ---- HTML ---------------------------------------------------------------------------------------
 */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static enum holds holds_of(struct slice name)
{
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
        if (slice_eq_nocase(name, slice_from(attributes[i].name)))
            return attributes[i].holds;
    }
    return HOLDS_OTHER;
}

/* "/a.png 1x, /b.png 2x" */
static size_t move_set(struct slice s, const struct links *l, struct buf *to)
{
    size_t moved = 0;
    while (s.len) {
        size_t n = 0;
        while (n < s.len && (is_space(s.ptr[n]) || s.ptr[n] == ','))
            n++;
        buf_add(to, slice_first(s, n));
        s = slice_skip(s, n);
        struct slice link = until(s, ", \t\n\r\f");
        moved += add_link(link, true, l, to);
        s = slice_skip(s, link.len);
        struct slice rest = until(s, ",");
        buf_add(to, rest);
        s = slice_skip(s, rest.len);
    }
    return moved;
}

static size_t move_value(enum holds holds, struct slice value, const struct links *l,
                         struct buf *to)
{
    switch (holds) {
    case HOLDS_LINK:
    case HOLDS_FILE:
        return add_link(value, holds == HOLDS_LINK, l, to);
    case HOLDS_SET:
        return move_set(value, l, to);
    case HOLDS_STYLE:
        return move_quoted(LINKS_CSS, value, l, to);
    default:
        buf_add(to, value);
        return 0;
    }
}

static void pass(struct slice *s, size_t n, struct buf *to)
{
    buf_add(to, slice_first(*s, n));
    *s = slice_skip(*s, n);
}

/* From an attribute's name to the end of its value. */
static size_t move_attribute(struct slice *s, const struct links *l, struct buf *to)
{
    struct slice name = until(*s, " \t\n\r\f=>/\"'");
    pass(s, name.len ? name.len : 1, to);
    size_t n = 0;
    while (n < s->len && is_space(s->ptr[n]))
        n++;
    if (n == s->len || s->ptr[n] != '=')
        return 0;
    n++;
    while (n < s->len && is_space(s->ptr[n]))
        n++;
    pass(s, n, to);
    bool is_quoted = s->len && (s->ptr[0] == '"' || s->ptr[0] == '\'');
    const char quote[] = {is_quoted ? s->ptr[0] : ' ', '\0'};
    if (is_quoted)
        pass(s, 1, to);
    struct slice value = until(*s, is_quoted ? quote : " \t\n\r\f>");
    *s = slice_skip(*s, value.len);
    size_t moved = move_value(holds_of(name), value, l, to);
    if (is_quoted)
        pass(s, 1, to);
    return moved;
}

/* Up to the end of the element whose content is no HTML: the position of `</name`. */
static struct slice raw_text(struct slice s, struct slice name)
{
    for (size_t i = 0; i + 2 + name.len <= s.len; i++) {
        if (s.ptr[i] == '<' && s.ptr[i + 1] == '/' &&
            slice_eq_nocase(slice_first(slice_skip(s, i + 2), name.len), name))
            return slice_first(s, i);
    }
    return s;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* From `<` to the end of the tag, and of a script or style with it. */
static size_t move_tag(struct slice *s, const struct links *l, struct buf *to)
{
    size_t moved = 0;
    struct slice name = until(slice_skip(*s, 1), " \t\n\r\f/>");
    pass(s, 1 + name.len, to);
    while (s->len && s->ptr[0] != '>') {
        if (is_space(s->ptr[0]) || s->ptr[0] == '/')
            pass(s, 1, to);
        else
            moved += move_attribute(s, l, to);
    }
    pass(s, 1, to);
    bool is_script = slice_eq_nocase(name, SLICE("script"));
    if (is_script || slice_eq_nocase(name, SLICE("style"))) {
        struct slice raw = raw_text(*s, name);
        moved += move_quoted(is_script ? LINKS_JS : LINKS_CSS, raw, l, to);
        *s = slice_skip(*s, raw.len);
    }
    return moved;
}

static size_t move_html(struct slice s, const struct links *l, struct buf *to)
{
    size_t moved = 0;
    while (s.len) {
        if (slice_starts(s, SLICE("<!--"))) {
            ptrdiff_t end = slice_search(s, SLICE("-->"));
            pass(&s, end < 0 ? s.len : (size_t)end + 3, to);
        } else if (s.ptr[0] == '<' && s.len > 1 && is_letter(s.ptr[1])) {
            moved += move_tag(&s, l, to);
        } else {
            struct slice text = until(slice_skip(s, 1), "<");
            pass(&s, 1 + text.len, to);
        }
    }
    return moved;
}

size_t links_move(enum links_kind kind, struct slice text, const struct links *l, struct buf *to)
{
    if (kind == LINKS_HTML)
        return move_html(text, l, to);
    if (kind != LINKS_NONE)
        return move_quoted(kind, text, l, to);
    buf_add(to, text);
    return 0;
}
