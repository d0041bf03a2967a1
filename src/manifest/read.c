/* The reader: walks a YAML tree and a shape together and fills the struct. */
#include "manifest/read_impl.h"
#include "base/nearest.h"

#include <stdio.h>
#include <string.h>

static struct pos pos_of(const struct yaml_node *node)
{
    return (struct pos){node->line, node->col};
}

#define report(r, node, ...) \
    problems_add((r)->p, PROBLEM_ERROR, (r)->file, pos_of(node), __VA_ARGS__)

const struct field *shape_find(const struct shape *shape, struct slice name)
{
    for (size_t i = 0; i < shape->n; i++) {
        if (slice_is(name, shape->fields[i].name))
            return &shape->fields[i];
    }
    return NULL;
}

/* ---- what would be right ------------------------------------------------------------------------
 */

static void list_words(const char *words, const char *last, struct buf *to)
{
    struct slice word;
    bool first = true;
    while (words_next(&words, &word)) {
        bool is_last = !words || !*words;
        buf_add_str(to, first ? "" : is_last ? last : ", ");
        buf_add(to, word);
        first = false;
    }
}

static void expects_text(const struct field *f, struct buf *to)
{
    if (f->format == FMT_WORD) {
        buf_add_str(to, "one of: ");
        list_words(f->words, ", ", to);
        return;
    }
    buf_add_str(to, format_what[f->format]);
    if (f->words) {
        buf_add_str(to, ", or ");
        list_words(f->words, " or ", to);
    }
}

static void expects_number(const struct field *f, struct buf *to)
{
    if (f->words) {
        buf_add_str(to, "one of: ");
        list_words(f->words, ", ", to);
        return;
    }
    buf_printf(to, "a whole number from %lld to %lld", (long long)f->min, (long long)f->max);
}

static void expects_items(const struct field *f, struct buf *to)
{
    if (f->item == K_OBJECT)
        buf_printf(to, "a list, each of its values %s", f->shape->name);
    else
        buf_printf(to, "a list, such as [ a, b ], each of its values ");
    if (f->item != K_OBJECT)
        field_expects(f, f->item, to);
}

void field_expects(const struct field *f, enum kind kind, struct buf *to)
{
    static const char *const simple[] = {
        [K_BOOL] = "true or false",
        [K_BYTES] = "a size, such as 500KB, 100MB or 1GB",
        [K_DURATION] = "a duration, such as 30s, 10m or 30d",
        [K_RANGE] = "a duration or a range of two, such as 10s..5m",
        [K_RATE] = "a rate, such as 10/min, 100/hour or 20/day",
        [K_MAP] = "a map, `key: value` on a line each",
        [K_TEXTS] = "a field or a list of fields",
    };
    bool names = kind == K_TEXTS && f->format == FMT_HOSTNAME;
    switch (names ? K_TEXT : kind) {
    case K_TEXT:
    case K_PATTERN:
        expects_text(f, to);
        buf_add_str(to, names ? ", or a list" : "");
        return;
    case K_INT:
        expects_number(f, to);
        return;
    case K_LIST:
        expects_items(f, to);
        return;
    case K_OBJECT:
        buf_add_str(to, "a map with the keys ");
        for (size_t i = 0; i < f->shape->n; i++)
            buf_printf(to, "%s%s", i ? ", " : "", f->shape->fields[i].name);
        return;
    default:
        buf_add_str(to, simple[kind]);
        if (f->words && (kind == K_DURATION || kind == K_RATE)) {
            buf_add_str(to, ", or ");
            list_words(f->words, " or ", to);
        }
    }
}

static bool in_range(const struct field *f, int64_t v)
{
    return v >= f->min && (f->max == 0 || v <= f->max);
}

/* A size or a duration as people would write it: the largest unit that is whole. */
static const char *quantity_text(enum kind kind, int64_t v, char *to, size_t size)
{
    static const struct {
        const char *name;
        int64_t factor;
    } units[2][5] = {
        {{"TB", 1LL << 40}, {"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}, {"B", 1}},
        {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}},
    };
    size_t i = 0;
    while (v % units[kind == K_DURATION][i].factor)
        i++;
    snprintf(to, size, "%lld%s", (long long)(v / units[kind == K_DURATION][i].factor),
             units[kind == K_DURATION][i].name);
    return to;
}

/* "`every` is `1ms`; it must be at least 1s": of the right form, but not in range. */
static bool wrong_amount(struct reader *r, const struct field *f, enum kind kind,
                         const struct yaml_node *node)
{
    char text[40];
    int64_t v;
    bool is_one =
        node->type == YAML_SCALAR && ((kind == K_BYTES && bytes_parse(node->text, &v)) ||
                                      (kind == K_DURATION && duration_parse(node->text, &v)));
    if (!is_one || in_range(f, v))
        return false;
    report(r, node, "`%s` is `%.*s`; it must be at %s %s", f->name, SHOWN(node->text),
           v < f->min ? "least" : "most",
           quantity_text(kind, v < f->min ? f->min : f->max, text, sizeof text));
    return true;
}

/* "`trash` is `soon`; it must be a duration, such as 30d". */
static void wrong(struct reader *r, const struct field *f, enum kind kind,
                  const struct yaml_node *node)
{
    struct buf expects;
    if (wrong_amount(r, f, kind, node))
        return;
    buf_init(&expects, 2000);
    field_expects(f, kind, &expects);
    if (node->type != YAML_SCALAR)
        report(r, node, "`%s` is a %s; it must be %s", f->name,
               node->type == YAML_LIST ? "list" : "map", expects.data);
    else if (yaml_is_null(node))
        report(r, node, "`%s` has no value; it must be %s, or remove the line", f->name,
               expects.data);
    else if (node->text.len == 0)
        report(r, node, "`%s` is empty; it must be %s", f->name, expects.data);
    else if (!node->plain && (kind == K_BOOL || kind == K_INT))
        report(r, node, "`%s` is `%.*s` in quotes; it must be %s, without quotes", f->name,
               SHOWN(node->text), expects.data);
    else
        report(r, node, "`%s` is `%.*s`; it must be %s", f->name, SHOWN(node->text), expects.data);
    buf_done(&expects);
}

/* ---- single values
 * --------------------------------------------------------------------------------- */

static bool read_text(const struct field *f, const struct yaml_node *node, struct text *to)
{
    if (yaml_is_null(node))
        return false;
    bool is_word = f->words && words_have(f->words, node->text);
    if (node->text.len == 0)
        is_word = f->flags & EMPTY_OK;
    else if (f->format == FMT_STRING)
        is_word = true;
    if (!is_word && !format_ok(f->format, node->text))
        return false;
    if (node->text.len == 0 && !is_word)
        return false;
    *to = (struct text){node->text, pos_of(node)};
    return true;
}

static bool read_bool(const struct yaml_node *node, bool *to)
{
    bool is_true = slice_is(node->text, "true");
    if (!node->plain || (!is_true && !slice_is(node->text, "false")))
        return false;
    *to = is_true;
    return true;
}

static bool read_number(const struct field *f, enum kind kind, const struct yaml_node *node,
                        int64_t *to)
{
    int64_t v = 0;
    uint64_t whole = 0;
    bool ok;
    if (kind == K_INT) {
        ok = node->plain && slice_to_u64(node->text, &whole) && whole <= INT64_MAX;
        v = (int64_t)whole;
        if (f->words)
            ok = ok && words_have(f->words, node->text);
    } else if (f->words && words_have(f->words, node->text)) {
        *to = 0;
        return true;
    } else {
        ok = kind == K_BYTES ? bytes_parse(node->text, &v) : duration_parse(node->text, &v);
    }
    if (!ok || (!(kind == K_INT && f->words) && !in_range(f, v)))
        return false;
    *to = v;
    return true;
}

static bool read_pattern(const struct field *f, const struct yaml_node *node,
                         struct path_pattern *to)
{
    struct path_pattern p = {0};
    if (!read_text(f, node, &p.text))
        return false;
    p.prefix = p.text.s;
    if (p.prefix.len && p.prefix.ptr[p.prefix.len - 1] == '*') {
        p.prefix.len--;
        p.wildcard = true;
    }
    *to = p;
    return true;
}

static bool read_single(const struct field *f, enum kind kind, const struct yaml_node *node,
                        void *to)
{
    switch (kind) {
    case K_TEXT:
        return read_text(f, node, to);
    case K_BOOL:
        return read_bool(node, to);
    case K_INT:
    case K_BYTES:
    case K_DURATION:
        return read_number(f, kind, node, to);
    case K_RANGE:
        return duration_range_parse(node->text, to);
    case K_RATE:
        return (!slice_is(node->text, "off") || f->words) && rate_parse(node->text, to);
    case K_PATTERN:
        return read_pattern(f, node, to);
    default:
        return false;
    }
}

/* ---- lists, maps, objects
 * ---------------------------------------------------------------------------- */

static void read_value(struct reader *r, const struct field *f, enum kind kind,
                       const struct yaml_node *node, void *to);

/* Every {items, n} of the structs has this layout. */
struct any_list {
    void *items;
    size_t n;
};

static void store_list(void *to, void *items, size_t n)
{
    struct any_list list = {items, n};
    memcpy(to, &list, sizeof list);
}

/* A value that turns out wrong is an empty text, not a null pointer. */
static void init_value(enum kind kind, void *to)
{
    static const struct path_pattern none = {.text = {{"", 0}, {0, 0}}, .prefix = {"", 0}};
    if (kind == K_TEXT)
        memcpy(to, &none.text, sizeof none.text);
    else if (kind == K_PATTERN)
        memcpy(to, &none, sizeof none);
}

static void read_texts(struct reader *r, const struct field *f, const struct yaml_node *node,
                       struct texts *to)
{
    bool one = node->type == YAML_SCALAR;
    size_t n = one ? 1 : node->n;
    struct text *items = arena_zalloc(r->a, n * sizeof *items);
    const struct yaml_node *it = one ? node : node->first;
    for (size_t i = 0; i < n; i++, it = it->next) {
        init_value(K_TEXT, &items[i]);
        read_value(r, f, K_TEXT, it, &items[i]);
    }
    *to = (struct texts){items, n};
}

static void read_list(struct reader *r, const struct field *f, const struct yaml_node *node,
                      void *to)
{
    bool one = node->type == YAML_SCALAR && (f->flags & ONE_OK) && !yaml_is_null(node);
    if (node->type != YAML_LIST && !one) {
        wrong(r, f, K_LIST, node);
        return;
    }
    size_t n = one ? 1 : node->n;
    if (n == 0 && (f->flags & REQUIRED) && !(f->flags & NONE_OK))
        report(r, node, "`%s` is empty; give it at least one value", f->name);
    char *items = arena_zalloc(r->a, n * f->item_size);
    const struct yaml_node *it = one ? node : node->first;
    for (size_t i = 0; i < n; i++, it = it->next) {
        init_value(f->item, items + i * f->item_size);
        read_value(r, f, f->item, it, items + i * f->item_size);
    }
    store_list(to, items, n);
}

static bool read_key(struct reader *r, const struct field *f, const struct yaml_node *key, void *to)
{
    struct field as = {.name = f->name, .format = f->key_format};
    bool ok = f->key_format == FMT_PATTERN ? read_pattern(&as, key, to) : read_text(&as, key, to);
    if (!ok)
        report(r, key, "`%.*s` cannot be a key of `%s`; it must be %s", SHOWN(key->text), f->name,
               format_what[f->key_format]);
    return ok;
}

static void read_map(struct reader *r, const struct field *f, const struct yaml_node *node,
                     void *to)
{
    if (node->type != YAML_MAP) {
        wrong(r, f, K_MAP, node);
        return;
    }
    char *items = arena_zalloc(r->a, node->n * f->item_size), *item = items;
    size_t n = 0;
    for (const struct yaml_node *it = node->first; it; it = it->next) {
        memset(item, 0, f->item_size);
        if (!read_key(r, f, it->key, item))
            continue;
        init_value(f->item, item + f->value_offset);
        read_value(r, f, f->item, it, item + f->value_offset);
        item += f->item_size;
        n++;
    }
    store_list(to, items, n);
}

static void set_pos(const struct shape *shape, const struct yaml_node *node, void *to)
{
    if (shape->pos_offset == NO_POS)
        return;
    struct pos pos = pos_of(node->key ? node->key : node);
    memcpy((char *)to + shape->pos_offset, &pos, sizeof pos);
}

/* A single value where a map could stand: `/old: /new` for `/old: { to: /new }`. */
static bool read_shorthand(struct reader *r, const struct field *f, const struct yaml_node *node,
                           void *to)
{
    const struct shape *shape = f->shape;
    if (node->type != YAML_SCALAR || !shape->shorthand || yaml_is_null(node))
        return false;
    const struct field *one = shape_find(shape, slice_from(shape->shorthand));
    must(one);
    struct field renamed = *one;
    renamed.name = node->key ? node->key->text.ptr : f->name;
    shape_defaults(r->a, shape, to);
    set_pos(shape, node, to);
    read_value(r, &renamed, renamed.kind, node, (char *)to + one->offset);
    return true;
}

static void read_object(struct reader *r, const struct field *f, const struct yaml_node *node,
                        void *to)
{
    if (read_shorthand(r, f, node, to))
        return;
    if (node->type == YAML_MAP) {
        shape_read(r, f->shape, node, to);
        return;
    }
    struct field named = *f;
    if (node->key && f->kind == K_MAP)
        named.name = node->key->text.ptr;
    shape_defaults(r->a, f->shape, to);
    wrong(r, &named, K_OBJECT, node);
}

static void read_value(struct reader *r, const struct field *f, enum kind kind,
                       const struct yaml_node *node, void *to)
{
    if (kind == K_OBJECT)
        read_object(r, f, node, to);
    else if (kind == K_LIST)
        read_list(r, f, node, to);
    else if (kind == K_MAP)
        read_map(r, f, node, to);
    else if (kind == K_TEXTS && node->type != YAML_MAP && !yaml_is_null(node))
        read_texts(r, f, node, to);
    else if (node->type != YAML_SCALAR || !read_single(f, kind, node, to)) {
        wrong(r, f, kind, node);
        if (kind == K_TEXT) /* it was given, so nobody needs to say that it is missing */
            ((struct text *)to)->pos = pos_of(node);
    }
}

static void unknown_key(struct reader *r, const struct shape *shape, const struct yaml_node *key)
{
    if (r->p->n == PROBLEMS_MAX) {
        report(r, key, "unknown key");
        return;
    }
    struct nearest nearest = {.typed = key->text};
    struct buf names;
    buf_init(&names, 2000);
    for (size_t i = 0; i < shape->n; i++) {
        nearest_offer(&nearest, slice_from(shape->fields[i].name));
        buf_printf(&names, "%s%s", i ? ", " : "", shape->fields[i].name);
    }
    if (nearest.best.len)
        report(r, key, "unknown key `%.*s` in %s; did you mean `%.*s`?", SHOWN(key->text),
               shape->name, SLICE_ARGS(nearest.best));
    else
        report(r, key, "unknown key `%.*s` in %s; its keys are %s", SHOWN(key->text), shape->name,
               names.data);
    buf_done(&names);
}

static const struct yaml_node *child(const struct yaml_node *map, const char *name)
{
    for (const struct yaml_node *it = map->first; it; it = it->next) {
        if (slice_is(it->key->text, name))
            return it;
    }
    return NULL;
}

static void warn_later(struct reader *r, const struct field *f, const struct yaml_node *key)
{
    problems_add(r->p, PROBLEM_WARNING, r->file, pos_of(key),
                 "`%s` is checked but not served yet by this version", f->name);
}

void shape_read(struct reader *r, const struct shape *shape, const struct yaml_node *node, void *to)
{
    shape_defaults(r->a, shape, to);
    set_pos(shape, node, to);
    for (const struct yaml_node *it = node->first; it; it = it->next) {
        const struct field *f = shape_find(shape, it->key->text);
        if (!f) {
            unknown_key(r, shape, it->key);
            continue;
        }
        if (f->flags & LATER)
            warn_later(r, f, it->key);
        read_value(r, f, f->kind, it, (char *)to + f->offset);
    }
    for (size_t i = 0; i < shape->n; i++) {
        if ((shape->fields[i].flags & REQUIRED) && !child(node, shape->fields[i].name))
            report(r, node->key ? node->key : node, "%s needs `%s`: %s", shape->name,
                   shape->fields[i].name, shape->fields[i].doc);
    }
}

/* ---- defaults
 * ------------------------------------------------------------------------------------------- */

static void default_list(struct arena *a, const struct field *f, void *to)
{
    struct text items[8];
    size_t n = 0;
    const char *words = f->def;
    while (n < 8 && words_next(&words, &items[n].s))
        items[n++].pos = (struct pos){0};
    struct text *copy = arena_zalloc(a, n * sizeof *copy);
    memcpy(copy, items, n * sizeof *copy);
    for (size_t i = 0; i < n; i++)
        copy[i].s = arena_dup(a, copy[i].s);
    store_list(to, copy, n);
}

void shape_defaults(struct arena *a, const struct shape *shape, void *to)
{
    for (size_t i = 0; i < shape->n; i++) {
        const struct field *f = &shape->fields[i];
        void *at = (char *)to + f->offset;
        init_value(f->kind, at);
        if (f->kind == K_OBJECT)
            shape_defaults(a, f->shape, at);
        if (f->flags & UNSET_IS_MINUS_ONE)
            memcpy(at, &(int64_t){-1}, sizeof(int64_t));
        if (!f->def || shape->inherits)
            continue;
        struct yaml_node node = {.type = YAML_SCALAR, .plain = true, .text = slice_from(f->def)};
        if (f->kind == K_LIST)
            default_list(a, f, at);
        else
            must(read_single(f, f->kind, &node, at));
    }
}
