/* What all languages ask of a schema when they make a type of it. */
#include "base/utf8.h"
#include "describe/describe_impl.h"

#include <string.h>

#define CHAIN_MAX 64

const struct json *part_root(struct bundle *b, const struct part *part)
{
    struct part *mine = map_find(&b->by_name, part->name);
    struct json_doc doc;
    struct err e;
    const struct json_limits limits = {.max_depth = JSON_DEPTH_MAX};
    if (!mine->root && json_parse(&doc, b->a, mine->json, &limits, &e))
        mine->root = json_root(&doc);
    must(mine->root); /* we wrote it */
    return mine->root;
}

/* ---- remarks ------------------------------------------------------------------------------------
 */

struct slice remark_of(struct arena *a, const struct json *schema)
{
    struct slice title = slice_trim(json_str(json_find(schema, SLICE("title"))));
    struct slice text = slice_trim(json_str(json_find(schema, SLICE("description"))));
    if (!title.len || !text.len || slice_eq(title, text))
        return title.len ? title : text;
    return arena_printf(a, "%.*s\n\n%.*s", SLICE_ARGS(title), SLICE_ARGS(text));
}

/* What editors and compilers may take for the end of a line, U+0085, U+2028, U+2029, and the marks
 * that turn the direction of writing, is no part of a remark. */
bool remark_line(struct arena *a, struct slice *rest, struct slice *ret_line)
{
    struct slice line;
    size_t n = 0;
    if (!slice_cut(rest, '\n', &line))
        return false;
    char *to = arena_alloc(a, line.len + 1);
    while (line.len) {
        size_t length = utf8_length(line);
        struct slice c = slice_first(line, length ? length : 1);
        bool fine = length && !utf8_is_unseen(c);
        memcpy(to + n, fine ? c.ptr : " ", fine ? c.len : 1);
        n += fine ? c.len : 1;
        line = slice_skip(line, c.len);
    }
    *ret_line = slice_trim((struct slice){to, n});
    return true;
}

/* ---- schemas ------------------------------------------------------------------------------------
 */

struct slice reference_name(const struct bundle *b, const struct json *schema)
{
    struct slice reference = json_str(json_find(schema, SLICE("$ref")));
    return slice_starts(reference, b->prefix) ? slice_skip(reference, b->prefix.len) : SLICE("");
}

bool is_required(const struct json *schema, struct slice name)
{
    json_each (it, json_find(schema, SLICE("required"))) {
        if (slice_eq(json_str(it.value), name))
            return true;
    }
    return false;
}

static unsigned type_bit(struct slice name)
{
    for (enum json_type t = JSON_NULL; t <= JSON_OBJECT; t++) {
        if (slice_is(name, json_type_name(t)))
            return TYPE_OF(t);
    }
    return slice_is(name, "integer") ? TYPE_INTEGER : TYPE_ANY;
}

static bool has_any(const struct json *schema, const char *const *keys, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (json_find(schema, slice_from(keys[i])))
            return true;
    }
    return false;
}

unsigned types_of(const struct json *schema)
{
    static const char *const of_objects[] = {"properties", "patternProperties"};
    static const char *const of_arrays[] = {"items", "prefixItems"};
    const struct json *type = json_find(schema, SLICE("type"));
    const struct json *more = json_find(schema, SLICE("additionalProperties"));
    unsigned set = type_bit(json_str(type));
    if (json_type(type) == JSON_ARRAY) {
        json_each (it, type)
            set |= type_bit(json_str(it.value));
    }
    if (set & TYPE_OF(JSON_NUMBER))
        set &= ~TYPE_INTEGER;
    if (set)
        return set;
    if (has_any(schema, of_objects, 2) || json_type(more) == JSON_OBJECT)
        return TYPE_OF(JSON_OBJECT);
    return has_any(schema, of_arrays, 2) ? TYPE_OF(JSON_ARRAY) : TYPE_ANY;
}

bool is_plain_object(const struct json *schema)
{
    static const char *const others[] = {"$ref", "allOf", "anyOf", "oneOf", "enum", "const"};
    return types_of(schema) == TYPE_OF(JSON_OBJECT) &&
           json_len(json_find(schema, SLICE("properties"))) && !has_any(schema, others, 6);
}

bool is_ignored(struct slice name, const struct json *schema)
{
    return is_own_field(name) && json_len(schema) == 1 &&
           json_bool(json_find(schema, SLICE("readOnly")));
}

/* ---- circles ------------------------------------------------------------------------------------
 * An interface or an array may hold itself; a union or another name for it may not. */

struct search {
    struct bundle *b;
    struct slice goal;
    size_t looks;
};

static bool reaches(struct search *s, const struct json *v, unsigned chain);

static bool name_reaches(struct search *s, struct slice name, unsigned chain)
{
    const struct part *part = map_find(&s->b->by_name, name);
    if (!part)
        return false;
    return slice_eq(name, s->goal) || chain > CHAIN_MAX || s->looks++ > 10000 ||
           reaches(s, part_root(s->b, part), chain + 1);
}

static bool reaches(struct search *s, const struct json *v, unsigned chain)
{
    static const char *const lists[] = {"allOf", "anyOf", "oneOf"};
    struct slice name = reference_name(s->b, v);
    if (is_plain_object(v))
        return false;
    if (name.len && name_reaches(s, name, chain))
        return true;
    for (size_t i = 0; i < 3; i++) {
        json_each (it, json_find(v, slice_from(lists[i]))) {
            if (chain > CHAIN_MAX || reaches(s, it.value, chain + 1))
                return true;
        }
    }
    return false;
}

bool leads_back(struct bundle *b, const struct part *part, struct slice name)
{
    struct search s = {.b = b, .goal = part->name};
    return name_reaches(&s, name, 0);
}
