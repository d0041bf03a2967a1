/* The tables as a JSON Schema (2020-12) of dais.yaml, for editors and other tools. */
#include "manifest/read_impl.h"

#include <string.h>

struct out {
    struct buf *to;
    int depth;
    bool first; /* nothing stands in this object or list yet */
};

static void next(struct out *o)
{
    buf_add_str(o->to, o->first ? "\n" : ",\n");
    for (int i = 0; i < o->depth; i++)
        buf_add_str(o->to, "  ");
    o->first = false;
}

static void open(struct out *o, char bracket)
{
    buf_add_char(o->to, bracket);
    o->depth++;
    o->first = true;
}

static void shut(struct out *o, char bracket)
{
    bool empty = o->first;
    o->depth--;
    o->first = true;
    if (!empty)
        next(o);
    buf_add_char(o->to, bracket);
    o->first = false;
}

static void key(struct out *o, const char *name)
{
    next(o);
    buf_add_quoted(o->to, slice_from(name));
    buf_add_str(o->to, ": ");
}

static void pair(struct out *o, const char *name, const char *value)
{
    key(o, name);
    buf_add_quoted(o->to, slice_from(value));
}

static void words(struct out *o, const char *list, bool numbers)
{
    struct slice word;
    key(o, "enum");
    open(o, '[');
    while (words_next(&list, &word)) {
        next(o);
        if (numbers)
            buf_add(o->to, word);
        else
            buf_add_quoted(o->to, word);
    }
    shut(o, ']');
}

/* {"enum": [...]} or {"type": "string", "pattern": ...}, or anyOf both. */
static void text_keys(struct out *o, const struct field *f, const char *pattern)
{
    if (f->words && pattern) {
        key(o, "anyOf");
        open(o, '[');
        next(o);
        open(o, '{');
        words(o, f->words, false);
        shut(o, '}');
        next(o);
        open(o, '{');
    }
    if (f->words && !pattern && f->format == FMT_WORD)
        words(o, f->words, false);
    else
        pair(o, "type", "string");
    if (pattern)
        pair(o, "pattern", pattern);
    if (f->words && pattern) {
        shut(o, '}');
        shut(o, ']');
    }
}

static const char *pattern_of(const struct field *f, enum kind kind)
{
    switch (kind) {
    case K_BYTES:
        return "^[0-9]+ ?(B|KB|MB|GB|TB)?$";
    case K_DURATION:
        return "^(0|[0-9]+ ?(ms|s|m|min|h|d|w))$";
    case K_RANGE:
        return "^[0-9]+(ms|s|m|min|h|d|w)([.][.][0-9]+(ms|s|m|min|h|d|w))?$";
    case K_RATE:
        return "^[0-9]+/(s|sec|m|min|h|hour|d|day)$";
    default:
        return f->flags & EMPTY_OK ? NULL : format_pattern[f->format];
    }
}

static void value_keys(struct out *o, const struct field *f, enum kind kind);

static void object_keys(struct out *o, const struct shape *shape)
{
    must(shape);
    pair(o, "type", "object");
    key(o, "additionalProperties");
    buf_add_str(o->to, "false");
    key(o, "properties");
    open(o, '{');
    for (size_t i = 0; i < shape->n; i++) {
        key(o, shape->fields[i].name);
        open(o, '{');
        pair(o, "description", shape->fields[i].doc);
        value_keys(o, &shape->fields[i], shape->fields[i].kind);
        shut(o, '}');
    }
    shut(o, '}');
    bool any = false;
    for (size_t i = 0; i < shape->n; i++)
        any |= shape->fields[i].flags & REQUIRED;
    if (!any)
        return;
    key(o, "required");
    open(o, '[');
    for (size_t i = 0; i < shape->n; i++) {
        if (shape->fields[i].flags & REQUIRED) {
            next(o);
            buf_add_quoted(o->to, slice_from(shape->fields[i].name));
        }
    }
    shut(o, ']');
}

/* The value as its keys say, or another kind of value in its place. */
static void either(struct out *o, const struct field *f, enum kind kind, const struct field *g,
                   enum kind other)
{
    key(o, "anyOf");
    open(o, '[');
    next(o);
    open(o, '{');
    value_keys(o, g, other);
    shut(o, '}');
    next(o);
    open(o, '{');
    struct shape plain;
    struct field alone = *f;
    alone.flags &= ~(unsigned)ONE_OK;
    if (kind == K_OBJECT) {
        plain = *f->shape;
        plain.shorthand = NULL;
        alone.shape = &plain;
    }
    value_keys(o, &alone, kind);
    shut(o, '}');
    shut(o, ']');
}

static void list_keys(struct out *o, const struct field *f, enum kind item)
{
    pair(o, "type", "array");
    key(o, "items");
    open(o, '{');
    value_keys(o, f, item);
    shut(o, '}');
}

static void map_keys(struct out *o, const struct field *f)
{
    pair(o, "type", "object");
    if (format_pattern[f->key_format]) {
        key(o, "propertyNames");
        open(o, '{');
        pair(o, "pattern", format_pattern[f->key_format]);
        shut(o, '}');
    }
    key(o, "additionalProperties");
    open(o, '{');
    value_keys(o, f, f->item);
    shut(o, '}');
}

static void int_keys(struct out *o, const struct field *f)
{
    if (f->words) {
        words(o, f->words, true);
        return;
    }
    pair(o, "type", "integer");
    key(o, "minimum");
    buf_printf(o->to, "%lld", (long long)f->min);
    if (f->max) {
        key(o, "maximum");
        buf_printf(o->to, "%lld", (long long)f->max);
    }
}

static void default_key(struct out *o, const struct field *f)
{
    struct slice word;
    const char *list = f->def;
    key(o, "default");
    if (f->kind == K_BOOL || f->kind == K_INT || slice_is(slice_from(f->def), "0")) {
        buf_add_str(o->to, f->def);
    } else if (f->kind != K_LIST) {
        buf_add_quoted(o->to, slice_from(f->def));
    } else {
        open(o, '[');
        while (words_next(&list, &word)) {
            next(o);
            buf_add_quoted(o->to, word);
        }
        shut(o, ']');
    }
}

/* Sizes and durations may be written as plain numbers, which are not strings to a validator. */
static void quantity_keys(struct out *o, const struct field *f, enum kind kind)
{
    key(o, "anyOf");
    open(o, '[');
    next(o);
    open(o, '{');
    if (kind == K_BYTES) {
        pair(o, "type", "integer");
        key(o, "minimum");
        buf_add_str(o->to, "0");
    } else {
        key(o, "const");
        buf_add_str(o->to, "0");
    }
    shut(o, '}');
    next(o);
    open(o, '{');
    text_keys(o, f, pattern_of(f, kind));
    shut(o, '}');
    shut(o, ']');
}

static void value_keys(struct out *o, const struct field *f, enum kind kind)
{
    if (kind == f->kind && f->def)
        default_key(o, f);
    struct field bare = *f; /* the default is said once, not again inside */
    bare.def = NULL;
    const char *shorthand = f->shape ? f->shape->shorthand : NULL;
    if (kind == K_OBJECT && shorthand) {
        const struct field *one = shape_find(f->shape, slice_from(shorthand));
        must(one); /* the table names a key of its own */
        struct field scalar = *one;
        scalar.def = NULL;
        either(o, &bare, kind, &scalar, one->kind);
    } else if (kind == K_OBJECT) {
        object_keys(o, f->shape);
    } else if (kind == K_TEXTS) {
        bare.kind = K_LIST;
        bare.item = K_TEXT;
        either(o, &bare, K_LIST, &bare, K_TEXT);
    } else if (kind == K_LIST && (f->flags & ONE_OK)) {
        either(o, &bare, kind, &bare, f->item);
    } else if (kind == K_LIST) {
        list_keys(o, &bare, f->item);
    } else if (kind == K_MAP) {
        map_keys(o, &bare);
    } else if (kind == K_INT) {
        int_keys(o, f);
    } else if (kind == K_BOOL) {
        pair(o, "type", "boolean");
    } else if (kind == K_BYTES || kind == K_DURATION) {
        quantity_keys(o, f, kind);
    } else {
        text_keys(o, f, pattern_of(f, kind));
    }
}

static void write_whole(struct buf *to, const char *title, const struct shape *shape)
{
    struct out o = {.to = to, .first = true};
    open(&o, '{');
    pair(&o, "$schema", "https://json-schema.org/draft/2020-12/schema");
    pair(&o, "title", title);
    object_keys(&o, shape);
    shut(&o, '}');
    buf_add_char(to, '\n');
}

void manifest_json_schema(struct buf *to)
{
    write_whole(to, "dais.yaml", &manifest_shape);
}

void host_json_schema(struct buf *to)
{
    write_whole(to, "host.yaml", &host_shape);
}
