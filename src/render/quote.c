/* How a value is written so that each format gives back exactly what it was.
 *
 * A row per filter. A format that has no way to write some value refuses it: the user is told which
 * key it is, instead of a file that means something else. */
#include "render/render_impl.h"

#include <stdio.h>
#include <string.h>

static bool quote_raw(struct buf *to, struct slice s);
static bool quote_line(struct buf *to, struct slice s);
static bool quote_word(struct buf *to, struct slice s);
static bool quote_json(struct buf *to, struct slice s);
static bool quote_md(struct buf *to, struct slice s);
static bool quote_indent(struct buf *to, struct slice s);
static bool quote_arm(struct buf *to, struct slice s);
static bool quote_yaml(struct buf *to, struct slice s);
static bool quote_compose(struct buf *to, struct slice s);
static bool quote_sh(struct buf *to, struct slice s);
static bool quote_env(struct buf *to, struct slice s);
static bool quote_actions(struct buf *to, struct slice s);
static bool quote_python(struct buf *to, struct slice s);
static bool quote_html(struct buf *to, struct slice s);
static bool quote_nginx(struct buf *to, struct slice s);
static bool quote_caddy(struct buf *to, struct slice s);
static bool quote_docker(struct buf *to, struct slice s);
static bool quote_systemd(struct buf *to, struct slice s);
static bool quote_systemd_word(struct buf *to, struct slice s);

static const struct {
    const char *name;
    quote_fn *fn;
} filters[] = {
    {"raw", quote_raw},         /* as it is: for numbers, slugs and text that dais made */
    {"line", quote_line},       /* in a comment, or for a person: one line */
    {"word", quote_word},       /* as it is, where no format would have to quote it */
    {"json", quote_json},       /* a JSON string, with its quotes */
    {"md", quote_md},           /* between backquotes, in a table too: one line */
    {"indent", quote_indent},   /* lines of a Markdown code block, 8 blanks in */
    {"arm", quote_arm},         /* a YAML string on its way to an ARM template */
    {"yaml", quote_yaml},       /* a YAML string, with its quotes */
    {"compose", quote_compose}, /* the same where `$` would be replaced */
    {"sh", quote_sh},           /* one word of a shell */
    {"env", quote_env},         /* what follows NAME= in a .env file */
    {"actions", quote_actions}, /* a YAML string of a GitHub workflow, with its quotes */
    {"python", quote_python},   /* a Python string, with its quotes */
    {"html", quote_html},       /* text of HTML, or a quoted attribute */
    {"nginx", quote_nginx},     /* one word of nginx's configuration */
    {"caddy", quote_caddy},     /* a part of a word of a Caddyfile */
    {"docker", quote_docker}, /* inside the double quotes of a Dockerfile, for a person: one line */
    /* the rest of a line of a unit, such as Description= */
    {"systemd", quote_systemd},
    /* inside a unit's "...", as in Environment= */
    {"systemd-word", quote_systemd_word},
};

quote_fn *quote_find(struct slice name)
{
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        if (slice_is(name, filters[i].name))
            return filters[i].fn;
    }
    return NULL;
}

static bool quote_raw(struct buf *to, struct slice s)
{
    buf_add(to, s);
    return true;
}

static bool quote_json(struct buf *to, struct slice s)
{
    json_escape(to, s, 0);
    return true;
}

/* A backquote would end the code and a bar the cell: they become look-alikes. For people only. */
static bool quote_md(struct buf *to, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '`')
            buf_add_char(to, '\'');
        else if (s.ptr[i] == '|')
            buf_add_str(to, "\xc2\xa6");
        else
            buf_add_char(to, char_is_control(s.ptr[i]) ? ' ' : s.ptr[i]);
    }
    return true;
}

static bool quote_indent(struct buf *to, struct slice s)
{
    struct slice rest = slice_trim(s), line;
    for (bool is_first = true; slice_cut(&rest, '\n', &line); is_first = false) {
        buf_add_str(to, is_first ? "" : "\n        ");
        quote_line(to, line);
    }
    return true;
}

/* Azure evaluates a string from `[` to `]`; one more `[` makes it a plain one. */
static bool quote_arm(struct buf *to, struct slice s)
{
    struct buf literal;
    if (!slice_starts(s, SLICE("[")) || !slice_ends(s, SLICE("]")))
        return quote_yaml(to, s);
    buf_init(&literal, to->max);
    buf_add_char(&literal, '[');
    buf_add(&literal, s);
    quote_yaml(to, buf_slice(&literal));
    buf_done(&literal);
    return true;
}

/* Length of the character at s when YAML does not count it as printable, or reads it as the end of
 * a line: DEL, U+0080 to U+009F, U+2028, U+2029, U+FEFF, U+FFFE, U+FFFF. */
static size_t odd_for_yaml(struct slice s, unsigned *ret_code)
{
    const unsigned char *u = (const unsigned char *)s.ptr;
    if (u[0] == 0x7f) {
        *ret_code = 0x7f;
        return 1;
    }
    if (s.len >= 2 && u[0] == 0xc2 && u[1] < 0xa0) {
        *ret_code = u[1];
        return 2;
    }
    if (s.len < 3)
        return 0;
    unsigned code = (u[0] & 0x0fu) << 12 | (u[1] & 0x3fu) << 6 | (u[2] & 0x3fu);
    bool odd = (u[0] == 0xe2 && (code == 0x2028 || code == 0x2029)) ||
               (u[0] == 0xef && (code == 0xfeff || code >= 0xfffe));
    *ret_code = code;
    return odd ? 3 : 0;
}

/* YAML ends a remark at the lines of Unicode, too: what follows would no longer be one. */
static bool quote_line(struct buf *to, struct slice s)
{
    while (s.len) {
        unsigned code;
        size_t n = odd_for_yaml(s, &code);
        buf_add_char(to, n || char_is_control(*s.ptr) ? ' ' : *s.ptr);
        s = slice_skip(s, n ? n : 1);
    }
    return true;
}

/* JSON's strings are YAML's, but for characters that YAML wants escaped. */
static bool quote_yaml(struct buf *to, struct slice s)
{
    struct buf json;
    buf_init(&json, to->max);
    json_escape(&json, s, 0);
    struct slice rest = buf_slice(&json);
    while (rest.len) {
        unsigned code;
        size_t n = odd_for_yaml(rest, &code);
        if (n)
            buf_printf(to, "\\u%04x", code);
        else
            buf_add_char(to, *rest.ptr);
        rest = slice_skip(rest, n ? n : 1);
    }
    buf_done(&json);
    return true;
}

/* Compose replaces $NAME in every string; $$ is a dollar. */
static bool quote_compose(struct buf *to, struct slice s)
{
    struct buf yaml;
    buf_init(&yaml, to->max);
    quote_yaml(&yaml, s);
    for (size_t i = 0; i < yaml.len; i++) {
        if (yaml.data[i] == '$')
            buf_add_char(to, '$');
        buf_add_char(to, yaml.data[i]);
    }
    buf_done(&yaml);
    return true;
}

static bool is_plain_word(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '/' || c == '.' || c == '_' || c == '-' || c == ':' || c == '@' ||
                     c == '%' || c == '+' || c == ',';
        if (!plain)
            return false;
    }
    return s.len > 0;
}

static bool quote_word(struct buf *to, struct slice s)
{
    buf_add(to, s);
    return is_plain_word(s);
}

static bool has_nul(struct slice s)
{
    return slice_index(s, '\0') >= 0;
}

static bool quote_sh(struct buf *to, struct slice s)
{
    if (has_nul(s))
        return false;
    if (is_plain_word(s)) {
        buf_add(to, s);
        return true;
    }
    buf_add_char(to, '\'');
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\'')
            buf_add_str(to, "'\\''");
        else
            buf_add_char(to, s.ptr[i]);
    }
    buf_add_char(to, '\'');
    return true;
}

/* Python's readers (Compose 1, podman-compose) take these for something else even in single quotes:
 * an escaped backslash or quote, a variable, the line end of another system. */
static bool parts_dotenv(struct slice s)
{
    return slice_search(s, SLICE("\\\\")) >= 0 || slice_ends(s, SLICE("\\")) ||
           slice_search(s, SLICE("${")) >= 0 || slice_index(s, '\r') >= 0;
}

/* What dais, Docker Compose, python-dotenv and a shell all read as the same: in single quotes
 * nearly nothing is special. With a single quote inside they part ways over escapes; such a value
 * goes into double quotes if it has nothing that is special there. */
static bool quote_env(struct buf *to, struct slice s)
{
    if (has_nul(s) || parts_dotenv(s))
        return false;
    if (!s.len || is_plain_word(s)) {
        buf_add(to, s);
        return true;
    }
    bool has_single = slice_index(s, '\'') >= 0;
    bool has_special = slice_index(s, '"') >= 0 || slice_index(s, '\\') >= 0 ||
                       slice_index(s, '$') >= 0 || slice_index(s, '`') >= 0;
    if (has_single && has_special)
        return false;
    char quote = has_single ? '"' : '\'';
    buf_add_char(to, quote);
    buf_add(to, s);
    buf_add_char(to, quote);
    return true;
}

/* In workflows ${{ }} is computed, wherever it came from; '${{' as such is itself computed. */
static bool quote_actions(struct buf *to, struct slice s)
{
    static const struct slice start = SLICE_INIT("${{");
    struct buf text;
    ptrdiff_t at;
    buf_init(&text, to->max);
    while ((at = slice_search(s, start)) >= 0) {
        buf_add(&text, slice_first(s, (size_t)at));
        buf_add_str(&text, "${{ '${{' }}");
        s = slice_skip(s, (size_t)at + start.len);
    }
    buf_add(&text, s);
    bool fine = quote_yaml(to, buf_slice(&text));
    buf_done(&text);
    return fine;
}

static bool quote_python(struct buf *to, struct slice s)
{
    buf_add_char(to, '"');
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (char_is_control(c))
            buf_printf(to, "\\x%02x", (unsigned char)c);
        else if (c == '"' || c == '\\')
            buf_printf(to, "\\%c", c);
        else
            buf_add_char(to, c);
    }
    buf_add_char(to, '"');
    return true;
}

static bool quote_html(struct buf *to, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        const char *reference = s.ptr[i] == '&'    ? "&amp;"
                                : s.ptr[i] == '<'  ? "&lt;"
                                : s.ptr[i] == '>'  ? "&gt;"
                                : s.ptr[i] == '"'  ? "&quot;"
                                : s.ptr[i] == '\'' ? "&#39;"
                                                   : NULL;
        if (reference)
            buf_add_str(to, reference);
        else
            buf_add_char(to, s.ptr[i]);
    }
    return true;
}

/* Nothing keeps nginx from replacing `$name`, and what looks like a variable in a name of a host is
 * a mistake at best. */
static bool quote_nginx(struct buf *to, struct slice s)
{
    if (has_nul(s) || slice_index(s, '$') >= 0)
        return false;
    if (is_plain_word(s)) {
        buf_add(to, s);
        return true;
    }
    buf_add_quoted(to, s);
    return true;
}

/* It stands in `{$NAME:here}`, within quotes or not, where nothing can be escaped: what is special
 * in any of these places is refused. A comma would part two addresses. */
static bool quote_caddy(struct buf *to, struct slice s)
{
    static const char special[] = " \"`\\{},";
    for (size_t i = 0; i < s.len; i++) {
        if (char_is_control(s.ptr[i]) || strchr(special, s.ptr[i]))
            return false;
    }
    if (s.len && s.ptr[0] == '#')
        return false;
    buf_add(to, s);
    return true;
}

static bool quote_docker(struct buf *to, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = char_is_control(s.ptr[i]) ? ' ' : s.ptr[i];
        if (c == '"' || c == '\\' || c == '$')
            buf_add_char(to, '\\');
        buf_add_char(to, c);
    }
    return true;
}

/* systemd replaces %h and its like everywhere; %% is a percent sign. A backslash at the end would
 * go on with the next line; spaces there do not count. */
static bool quote_systemd(struct buf *to, struct slice s)
{
    size_t start = to->len;
    struct slice rest = s, part;
    while (slice_cut(&rest, '%', &part)) {
        quote_line(to, part);
        if (part.ptr + part.len < s.ptr + s.len)
            buf_add_str(to, "%%");
    }
    if (to->len > start && to->data[to->len - 1] == '\\')
        buf_add_char(to, ' ');
    return true;
}

/* Of control characters systemd takes only these two into a variable. What YAML would read as the
 * end of a line has an escape here, too: units stand in cloud-init. */
static bool quote_systemd_word(struct buf *to, struct slice s)
{
    while (s.len) {
        char c = *s.ptr;
        unsigned code;
        size_t n = odd_for_yaml(s, &code);
        if (char_is_control(c) && c != '\n' && c != '\t')
            return false;
        if (n)
            buf_printf(to, "\\u%04x", code);
        else if (c == '\n' || c == '\t')
            buf_add_str(to, c == '\n' ? "\\n" : "\\t");
        else if (c == '"' || c == '\\' || c == '%')
            buf_printf(to, "%c%c", c == '%' ? '%' : '\\', c);
        else
            buf_add_char(to, c);
        s = slice_skip(s, n ? n : 1);
    }
    return true;
}
