/* Filling HTML templates: cut at the tags, look names up, escape what is inserted. */
#include "base/template.h"
#include "base/must.h"

static const struct slice open_tag = SLICE_INIT("{{");
static const struct slice close_tag = SLICE_INIT("}}");

/* A tag as found: what stands before it, its kind ('#', '^', '/', '!' or 0) and its name. */
struct tag {
    struct slice before;
    char kind;
    struct slice name;
};

static const char *reference_of(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    case '\0':
        return "\xef\xbf\xbd"; /* a NUL is a parse error in HTML; browsers show this instead */
    default:
        return NULL;
    }
}

void template_escape(struct buf *out, struct slice text)
{
    size_t from = 0;
    for (size_t i = 0; i < text.len; i++) {
        const char *reference = reference_of(text.ptr[i]);
        if (!reference)
            continue;
        buf_add(out, slice_first(slice_skip(text, from), i - from));
        buf_add_str(out, reference);
        from = i + 1;
    }
    buf_add(out, slice_skip(text, from));
}

/* Takes text and the tag after it off the front of *rest; false when no tag is left. */
static bool tag_take(struct slice *rest, struct tag *ret)
{
    ptrdiff_t start = slice_search(*rest, open_tag);
    if (start < 0)
        return false;
    struct slice after = slice_skip(*rest, (size_t)start + open_tag.len);
    ptrdiff_t end = slice_search(after, close_tag);
    must(end > 0);
    struct slice name = slice_first(after, (size_t)end);
    char kind = name.ptr[0];
    bool is_plain = kind != '#' && kind != '^' && kind != '/' && kind != '!';
    *ret = (struct tag){
        .before = slice_first(*rest, (size_t)start),
        .kind = is_plain ? '\0' : kind,
        .name = is_plain ? name : slice_skip(name, 1),
    };
    *rest = slice_skip(after, (size_t)end + close_tag.len);
    if (kind == '!' && slice_starts(*rest, SLICE("\n")))
        *rest = slice_skip(*rest, 1);
    return true;
}

static const struct template_value *value_find(const struct template_value *values, size_t n,
                                               struct slice name)
{
    for (size_t i = 0; i < n; i++) {
        if (slice_is(name, values[i].name))
            return &values[i];
    }
    return NULL;
}

static const struct template_list *list_get(const struct template_data *data, struct slice name)
{
    for (size_t i = 0; i < data->n_lists; i++) {
        if (slice_is(name, data->lists[i].name))
            return &data->lists[i];
    }
    must(!"a list that the template names");
}

static void value_add(struct buf *out, struct slice name, const struct template_data *data,
                      const struct template_row *row)
{
    const struct template_value *value = row ? value_find(row->values, row->n_values, name) : NULL;
    if (!value)
        value = value_find(data->values, data->n_values, name);
    must(value);
    template_escape(out, value->text);
}

/* The inside of a section: text and values, no further section. */
static void part_render(struct buf *out, struct slice part, const struct template_data *data,
                        const struct template_row *row)
{
    struct tag tag;
    while (tag_take(&part, &tag)) {
        buf_add(out, tag.before);
        must(tag.kind == '\0' || tag.kind == '!');
        if (tag.kind == '\0')
            value_add(out, tag.name, data, row);
    }
    buf_add(out, part);
}

/* Takes everything up to the closing tag of the section `name` off the front of *rest. */
static struct slice section_take(struct slice *rest, struct slice name)
{
    struct slice whole = *rest;
    struct tag tag;
    while (tag_take(rest, &tag)) {
        if (tag.kind != '/')
            continue;
        must(slice_eq(tag.name, name));
        return slice_first(whole, (size_t)(tag.before.ptr + tag.before.len - whole.ptr));
    }
    must(!"a section that is closed");
}

static void section_render(struct buf *out, const struct tag *tag, struct slice *rest,
                           const struct template_data *data)
{
    const struct template_list *list = list_get(data, tag->name);
    struct slice inside = section_take(rest, tag->name);
    if (tag->kind == '^' && list->n_rows == 0)
        part_render(out, inside, data, NULL);
    for (size_t i = 0; tag->kind == '#' && i < list->n_rows; i++)
        part_render(out, inside, data, &list->rows[i]);
}

void template_render(struct buf *out, struct slice template, const struct template_data *data)
{
    struct tag tag;
    while (tag_take(&template, &tag)) {
        buf_add(out, tag.before);
        must(tag.kind != '/');
        if (tag.kind == '\0')
            value_add(out, tag.name, data, NULL);
        else if (tag.kind != '!')
            section_render(out, &tag, &template, data);
    }
    buf_add(out, template);
}
