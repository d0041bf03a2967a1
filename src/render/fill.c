/* Filling templates: cut at the tags, look facts up, quote what is inserted. render_impl.h has the
 * language.
 *
 * Templates are ours, but what goes wrong in one is told as an error all the same: it names the
 * template and the tag, and a test fills every template. */
#include "base/embedded.h"
#include "render/render_impl.h"

#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 16

/* A name that <%each%> brought, until its <%end%>. */
struct scope {
    struct slice name;
    const struct json *value;
    bool is_first, is_last;
    const struct scope *outer;
};

struct fill {
    const char *name; /* of the template, for errors */
    const struct json *facts;
    struct buf *to;
    unsigned depth;
    struct err *e;
};

enum tag_kind {
    TAG_VALUE,
    TAG_IF,
    TAG_UNLESS,
    TAG_EACH,
    TAG_ELSE,
    TAG_END,
    TAG_FILE,
    TAG_REMARK,
    TAG_OPEN /* a `<%` without its `%>` */
};

/* Where we are in a template. */
struct cursor {
    const char *start; /* of the whole template */
    struct slice rest;
};

struct tag {
    enum tag_kind kind;
    struct slice before; /* text up to it */
    struct slice words;  /* what follows the tag's own word */
    struct slice all;    /* for errors */
    size_t column;       /* of one that has its line for itself */
};

static bool fail(const struct fill *f, struct slice tag, const char *why)
{
    return err_set(f->e, ERR_INTERNAL, "the template %s: <%%%.*s%%> %s", f->name, SLICE_ARGS(tag),
                   why);
}

/* ---- tags ---------------------------------------------------------------------------------------
 */

static void read_kind(struct tag *tag)
{
    static const struct {
        struct slice start;
        enum tag_kind kind;
        bool is_whole; /* nothing follows the word */
    } kinds[] = {
        {SLICE_INIT("!"), TAG_REMARK, false},      {SLICE_INIT("if "), TAG_IF, false},
        {SLICE_INIT("else"), TAG_ELSE, true},      {SLICE_INIT("unless "), TAG_UNLESS, false},
        {SLICE_INIT("end"), TAG_END, true},        {SLICE_INIT("each "), TAG_EACH, false},
        {SLICE_INIT("include "), TAG_FILE, false}, {SLICE_INIT("indented "), TAG_FILE, false},
    };
    tag->kind = TAG_VALUE;
    tag->words = tag->all;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct slice start = kinds[i].start;
        if (slice_starts(tag->all, start) && (!kinds[i].is_whole || tag->all.len == start.len)) {
            tag->kind = kinds[i].kind;
            tag->words = slice_trim(slice_skip(tag->all, start.len));
            return;
        }
    }
}

/* A tag that is no value and alone on its line takes the line with it. */
static void take_line(struct tag *tag, struct cursor *at)
{
    size_t n = tag->before.len;
    while (n && tag->before.ptr[n - 1] == ' ')
        n--;
    const char *line = tag->before.ptr + n;
    bool at_start = line == at->start || line[-1] == '\n';
    bool at_end = at->rest.len == 0 || at->rest.ptr[0] == '\n';
    if (tag->kind == TAG_VALUE || !at_start || !at_end)
        return;
    tag->column = tag->before.len - n;
    tag->before = slice_first(tag->before, n);
    at->rest = slice_skip(at->rest, 1);
}

/* Takes text and the tag after it off the front; false when no tag is left. One that is never
 * closed takes all that is left. */
static bool tag_take(struct cursor *at, struct tag *ret)
{
    ptrdiff_t start = slice_search(at->rest, SLICE("<%"));
    if (start < 0)
        return false;
    struct slice after = slice_skip(at->rest, (size_t)start + 2);
    ptrdiff_t end = slice_search(after, SLICE("%>"));
    *ret = (struct tag){.before = slice_first(at->rest, (size_t)start),
                        .all = slice_trim(slice_first(after, end < 0 ? 20 : (size_t)end))};
    if (end < 0) {
        ret->kind = TAG_OPEN;
        at->rest = SLICE("");
        return true;
    }
    at->rest = slice_skip(after, (size_t)end + 2);
    read_kind(ret);
    take_line(ret, at);
    return true;
}

/* ---- facts --------------------------------------------------------------------------------------
 */

const struct json *facts_find(const struct json *facts, struct slice path)
{
    struct slice step;
    while (facts && slice_cut(&path, '.', &step))
        facts = json_find(facts, step);
    return facts;
}

bool facts_is_true(const struct json *v)
{
    int64_t n;
    switch (json_type(v)) {
    case JSON_BOOL:
        return json_bool(v);
    case JSON_NUMBER:
        return !json_i64(v, &n) || n != 0;
    case JSON_STRING:
        return json_str(v).len > 0;
    case JSON_ARRAY:
    case JSON_OBJECT:
        return json_len(v) > 0;
    default:
        return false;
    }
}

static bool look_up(const struct fill *f, const struct scope *s, struct slice path,
                    const struct json **ret)
{
    struct slice rest = path, first = SLICE("");
    slice_cut(&rest, '.', &first);
    const struct json *found = NULL;
    bool is_scope = false;
    for (; s && !is_scope; s = s->outer) {
        is_scope = slice_eq(s->name, first);
        if (is_scope)
            found = facts_find(s->value, rest);
    }
    if (!is_scope)
        found = facts_find(f->facts, path);
    *ret = found;
    return found || fail(f, path, "names no fact");
}

/* @first, @last, or a fact. */
static bool is_true(const struct fill *f, const struct scope *s, struct slice path, bool *ret)
{
    if (s && (slice_is(path, "@first") || slice_is(path, "@last"))) {
        *ret = slice_is(path, "@first") ? s->is_first : s->is_last;
        return true;
    }
    const struct json *value;
    if (!look_up(f, s, path, &value))
        return false;
    *ret = facts_is_true(value);
    return true;
}

/* ---- filling ------------------------------------------------------------------------------------
 */

static bool part(struct fill *f, const struct scope *s, struct cursor *at, bool is_on,
                 struct tag *ret_end);

static bool value(struct fill *f, const struct scope *s, const struct tag *tag)
{
    struct slice filter = tag->words, path = SLICE("");
    const struct json *v;
    slice_cut(&filter, '|', &path);
    path = slice_trim(path);
    quote_fn *quote = quote_find(slice_trim(filter));
    if (!quote)
        return fail(f, tag->all, "has no filter that is known");
    if (!look_up(f, s, path, &v))
        return false;
    struct slice text = json_type(v) == JSON_STRING   ? json_str(v)
                        : json_type(v) == JSON_NUMBER ? json_num_text(v)
                        : json_type(v) == JSON_BOOL   ? slice_from(json_bool(v) ? "true" : "false")
                                                      : SLICE("");
    if (json_type(v) >= JSON_ARRAY)
        return fail(f, tag->all, "is a list or an object");
    if (!quote(f->to, text))
        return err_set(f->e, ERR_MANIFEST,
                       "%.*s cannot be written into this file (%s): it holds a character that has "
                       "no form there, such as a line break; change the value",
                       SLICE_ARGS(path), f->name);
    return true;
}

static bool section_if(struct fill *f, const struct scope *s, const struct tag *tag,
                       struct cursor *at, bool is_on)
{
    bool is = false;
    struct tag end;
    if (is_on && !is_true(f, s, tag->words, &is))
        return false;
    is ^= tag->kind == TAG_UNLESS;
    if (!part(f, s, at, is_on && is, &end))
        return false;
    if (end.kind == TAG_ELSE && !part(f, s, at, is_on && !is, &end))
        return false;
    return end.kind == TAG_END || fail(f, tag->all, "is not closed");
}

/* "LIST as NAME", apart. */
static bool read_each(const struct fill *f, const struct tag *tag, struct slice *ret_path,
                      struct slice *ret_name)
{
    struct slice rest = tag->words, as = SLICE("");
    *ret_path = SLICE("");
    slice_cut(&rest, ' ', ret_path);
    slice_cut(&rest, ' ', &as);
    *ret_name = slice_trim(rest);
    return (slice_is(as, "as") && ret_name->len) || fail(f, tag->all, "is not LIST as NAME");
}

static bool section_each(struct fill *f, const struct scope *outer, const struct tag *tag,
                         struct cursor *at, bool is_on)
{
    struct slice name, path;
    const struct cursor inside = *at;
    const struct json *list = NULL;
    struct tag end;
    if (!read_each(f, tag, &path, &name) || (is_on && !look_up(f, outer, path, &list)))
        return false;
    if (json_type(list) > JSON_NULL && json_type(list) != JSON_ARRAY)
        return fail(f, tag->all, "is no list");
    size_t n = json_len(list);
    if (!part(f, outer, at, false, &end))
        return false;
    if (end.kind != TAG_END)
        return fail(f, tag->all, "is not closed");
    json_each (it, list) {
        struct scope s = {name, it.value, it.index == 0, it.index + 1 == n, outer};
        struct cursor again = inside;
        if (!part(f, &s, &again, true, &end))
            return false;
    }
    return true;
}

static bool file(struct fill *f, const struct scope *s, struct slice name)
{
    char path[128];
    struct tag end;
    snprintf(path, sizeof path, "render/%.*s", SLICE_ARGS(name));
    const struct embedded *found = embedded_next(NULL, path);
    if (!found || strcmp(found->name, path) != 0)
        return fail(f, name, "names no template");
    struct fill inner = *f;
    inner.name = found->name + strlen("render/");
    struct cursor at = {found->data, {found->data, found->len}};
    if (!part(&inner, s, &at, true, &end))
        return false;
    return end.kind == TAG_REMARK || fail(&inner, end.all, "closes nothing");
}

/* Every line of the file moved to where the tag stands, as a block of YAML wants it. */
static bool indented(struct fill *f, const struct scope *s, const struct tag *tag)
{
    struct buf text, *to = f->to;
    buf_init(&text, to->max);
    f->to = &text;
    bool fine = file(f, s, tag->words);
    f->to = to;
    to->full |= text.full;
    struct slice rest = buf_slice(&text), line;
    while (slice_cut(&rest, '\n', &line)) {
        for (size_t i = 0; line.len && i < tag->column; i++)
            buf_add_char(to, ' ');
        buf_add(to, line);
        buf_add_char(to, '\n');
    }
    buf_done(&text);
    return fine;
}

static bool one(struct fill *f, const struct scope *s, const struct tag *tag, struct cursor *at,
                bool is_on)
{
    switch (tag->kind) {
    case TAG_IF:
    case TAG_UNLESS:
        return section_if(f, s, tag, at, is_on);
    case TAG_EACH:
        return section_each(f, s, tag, at, is_on);
    case TAG_FILE:
        return !is_on || (tag->column ? indented(f, s, tag) : file(f, s, tag->words));
    case TAG_VALUE:
        return !is_on || value(f, s, tag);
    case TAG_OPEN:
        return fail(f, tag->all, "has no end");
    default:
        return true; /* a remark */
    }
}

/* Up to the <%else%> or <%end%> that ends this part, or the end of the text (a TAG_REMARK). */
static bool part(struct fill *f, const struct scope *s, struct cursor *at, bool is_on,
                 struct tag *ret_end)
{
    struct tag tag;
    if (f->depth == DEPTH_MAX)
        return fail(f, slice_first(at->rest, 20), "is nested too deeply");
    f->depth++;
    bool fine = true, is_over = false;
    *ret_end = (struct tag){.kind = TAG_REMARK};
    while (fine && !is_over && tag_take(at, &tag)) {
        if (is_on)
            buf_add(f->to, tag.before);
        is_over = tag.kind == TAG_ELSE || tag.kind == TAG_END;
        if (is_over)
            *ret_end = tag;
        else
            fine = one(f, s, &tag, at, is_on);
    }
    if (fine && !is_over && is_on)
        buf_add(f->to, at->rest);
    f->depth--;
    return fine;
}

bool fill_text(const char *name, struct slice text, const struct json *facts, struct buf *to,
               struct err *e)
{
    struct fill f = {.name = name, .facts = facts, .to = to, .e = e};
    struct tag end;
    struct cursor at = {text.ptr, text};
    if (!part(&f, NULL, &at, true, &end))
        return false;
    return end.kind == TAG_REMARK || fail(&f, end.all, "closes nothing");
}

bool fill_template(const char *name, const struct json *facts, struct buf *to, struct err *e)
{
    char path[128];
    snprintf(path, sizeof path, "render/%s", name);
    struct slice text = embedded_get(path);
    return fill_text(name, text, facts, to, e);
}
