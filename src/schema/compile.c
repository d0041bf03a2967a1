/* Compiling: a row per keyword reads it; references are put off until every schema of a file is
 * known, and lead to further files until none is left.
 *
 * What is wrong with a schema is found here: a keyword of the wrong type, a pattern that is none, a
 * reference to nothing. Unknown keywords are remarks, as the standard says. */
#include "schema/schema_impl.h"

#include <stdlib.h>
#include <string.h>

#define FILES_MAX   200
#define SCHEMAS_MAX 50000

struct anchor {
    const struct resource *resource;
    struct slice name;
    const struct schema *schema;
    bool is_dynamic;
    struct anchor *next;
};

/* A $ref or $dynamicRef whose goal is not looked for yet. */
struct pending {
    struct schema *schema;
    struct slice reference;
    bool is_dynamic;
    struct pending *next;
};

/* Compiled schemas by where they stand: open addressing. */
struct compiler {
    struct arena *a;
    const struct schema_loader *loader;
    struct resource *resources;
    struct anchor *anchors;
    struct pending *pending;
    struct schema **known;
    size_t n_known, n_slots, n_files;
    struct buf path; /* JSON Pointer into the present file */
    const struct resource *at;
    bool has_unevaluated;
    struct err *e;
};

static struct schema *compile(struct compiler *c, const struct json *v);

static bool fail(struct compiler *c, const char *sentence)
{
    return err_set(c->e, ERR_MANIFEST, "%.*s, at %.*s: %s", SLICE_ARGS(c->at->file),
                   c->path.len ? (int)c->path.len : 7, c->path.len ? c->path.data : "the top",
                   sentence);
}

/* ---- what is known ------------------------------------------------------------------------------
 */

static size_t slot_of(const struct compiler *c, const struct json *at)
{
    size_t i = ((uintptr_t)at >> 4) * 0x9e3779b97f4a7c15u >> 20;
    for (i &= c->n_slots - 1; c->known[i] && c->known[i]->at != at;)
        i = (i + 1) & (c->n_slots - 1);
    return i;
}

static void remember(struct compiler *c, struct schema *s)
{
    if (2 * (c->n_known + 1) > c->n_slots) {
        struct schema **old = c->known;
        size_t n = c->n_slots;
        c->n_slots = n ? 2 * n : 256;
        c->known = arena_zalloc(c->a, c->n_slots * sizeof(struct schema *));
        for (size_t i = 0; i < n; i++) {
            if (old[i])
                c->known[slot_of(c, old[i]->at)] = old[i];
        }
    }
    c->known[slot_of(c, s->at)] = s;
    c->n_known++;
}

static struct schema *find_known(const struct compiler *c, const struct json *at)
{
    return c->n_slots ? c->known[slot_of(c, at)] : NULL;
}

static struct resource *add_resource(struct compiler *c, struct slice uri, struct slice file,
                                     const struct json *root)
{
    struct resource *r = arena_new(c->a, struct resource);
    *r = (struct resource){.uri = uri, .file = file, .root = root, .next = c->resources};
    r->top = root;
    c->resources = r;
    return r;
}

static struct resource *find_resource(const struct compiler *c, struct slice uri)
{
    struct resource *r = c->resources;
    while (r && !slice_eq(r->uri, uri))
        r = r->next;
    return r;
}

/* ---- reading values -----------------------------------------------------------------------------
 */

static bool want(struct compiler *c, const struct json *v, enum json_type type,
                 const char *sentence)
{
    return json_type(v) == type || fail(c, sentence);
}

static bool read_count(struct compiler *c, const struct json *v, int64_t *ret)
{
    return (json_type(v) == JSON_NUMBER && json_i64(v, ret) && *ret >= 0) ||
           fail(c, "a whole number from 0 is expected");
}

static bool read_number(struct compiler *c, const struct json *v, const struct json **ret)
{
    *ret = v;
    return want(c, v, JSON_NUMBER, "a number is expected");
}

static bool read_names(struct compiler *c, const struct json *v, struct slice **ret, size_t *ret_n)
{
    if (!want(c, v, JSON_ARRAY, "a list of names is expected"))
        return false;
    *ret = arena_alloc(c->a, (json_len(v) + 1) * sizeof **ret);
    *ret_n = 0;
    json_each (it, v) {
        if (!want(c, it.value, JSON_STRING, "names must be text"))
            return false;
        (*ret)[(*ret_n)++] = json_str(it.value);
    }
    return true;
}

static bool read_schema(struct compiler *c, const struct json *v, const struct schema **ret)
{
    *ret = compile(c, v);
    return *ret != NULL;
}

static bool read_list(struct compiler *c, const struct json *v, const struct schema ***ret,
                      size_t *ret_n)
{
    size_t depth = c->path.len;
    if (json_type(v) != JSON_ARRAY || !json_len(v))
        return fail(c, "a list of schemas is expected");
    *ret = arena_alloc(c->a, json_len(v) * sizeof(const struct schema *));
    *ret_n = 0;
    json_each (it, v) {
        json_pointer_add_index(&c->path, it.index);
        if (!read_schema(c, it.value, &(*ret)[(*ret_n)++]))
            return false;
        buf_truncate(&c->path, depth);
    }
    return true;
}

static int by_name(const void *a, const void *b)
{
    return slice_cmp(((const struct named_schema *)a)->name,
                     ((const struct named_schema *)b)->name);
}

static bool read_map(struct compiler *c, const struct json *v, struct named_schema **ret,
                     size_t *ret_n)
{
    size_t depth = c->path.len;
    if (!want(c, v, JSON_OBJECT, "an object of schemas is expected"))
        return false;
    *ret = arena_alloc(c->a, (json_len(v) + 1) * sizeof **ret);
    *ret_n = 0;
    json_each (it, v) {
        struct named_schema *one = &(*ret)[(*ret_n)++];
        one->name = it.key;
        json_pointer_add(&c->path, it.key);
        if (!read_schema(c, it.value, &one->schema))
            return false;
        buf_truncate(&c->path, depth);
    }
    qsort(*ret, *ret_n, sizeof **ret, by_name);
    return true;
}

/* ---- keywords -----------------------------------------------------------------------------------
 */

typedef bool keyword_fn(struct compiler *c, struct schema *s, const struct json *v);

static bool one_type(struct compiler *c, const struct json *v, uint32_t *types)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } names[] = {{"null", TYPE_BIT(JSON_NULL)},     {"boolean", TYPE_BIT(JSON_BOOL)},
                 {"number", TYPE_BIT(JSON_NUMBER)}, {"string", TYPE_BIT(JSON_STRING)},
                 {"array", TYPE_BIT(JSON_ARRAY)},   {"object", TYPE_BIT(JSON_OBJECT)},
                 {"integer", TYPE_INTEGER}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (json_type(v) == JSON_STRING && slice_is(json_str(v), names[i].name)) {
            *types |= names[i].bit;
            return true;
        }
    }
    return fail(c, "a type is null, boolean, integer, number, string, array or object");
}

static bool k_type(struct compiler *c, struct schema *s, const struct json *v)
{
    if (json_type(v) != JSON_ARRAY)
        return one_type(c, v, &s->types);
    json_each (it, v) {
        if (!one_type(c, it.value, &s->types))
            return false;
    }
    return s->types || fail(c, "at least one type is expected");
}

static bool k_enum(struct compiler *c, struct schema *s, const struct json *v)
{
    s->choices = v;
    return want(c, v, JSON_ARRAY, "a list of values is expected");
}

static bool k_const(struct compiler *c, struct schema *s, const struct json *v)
{
    (void)c;
    s->constant = v;
    return true;
}

#define COUNT_KEYWORD(name, field)                                                   \
    static bool k_##name(struct compiler *c, struct schema *s, const struct json *v) \
    {                                                                                \
        return read_count(c, v, &s->field);                                          \
    }
#define NUMBER_KEYWORD(name, field)                                                  \
    static bool k_##name(struct compiler *c, struct schema *s, const struct json *v) \
    {                                                                                \
        return read_number(c, v, &s->field);                                         \
    }
#define SCHEMA_KEYWORD(name, field)                                                  \
    static bool k_##name(struct compiler *c, struct schema *s, const struct json *v) \
    {                                                                                \
        return read_schema(c, v, &s->field);                                         \
    }
#define LIST_KEYWORD(name, field, n)                                                 \
    static bool k_##name(struct compiler *c, struct schema *s, const struct json *v) \
    {                                                                                \
        return read_list(c, v, &s->field, &s->n);                                    \
    }
COUNT_KEYWORD(min_length, min_length)
COUNT_KEYWORD(max_length, max_length)
COUNT_KEYWORD(min_items, min_items)
COUNT_KEYWORD(max_items, max_items)
COUNT_KEYWORD(min_properties, min_properties)
COUNT_KEYWORD(max_properties, max_properties)
COUNT_KEYWORD(min_contains, min_contains)
COUNT_KEYWORD(max_contains, max_contains)
NUMBER_KEYWORD(minimum, minimum)
NUMBER_KEYWORD(maximum, maximum)
NUMBER_KEYWORD(exclusive_minimum, exclusive_minimum)
NUMBER_KEYWORD(exclusive_maximum, exclusive_maximum)
SCHEMA_KEYWORD(additional, additional)
SCHEMA_KEYWORD(names, names)
SCHEMA_KEYWORD(items, items)
SCHEMA_KEYWORD(contains, contains)
SCHEMA_KEYWORD(not, not_)
SCHEMA_KEYWORD(if, if_)
SCHEMA_KEYWORD(then, then)
SCHEMA_KEYWORD(else, else_)
LIST_KEYWORD(all, all, n_all)
LIST_KEYWORD(any, any, n_any)
LIST_KEYWORD(one, one, n_one)
LIST_KEYWORD(prefix, prefix, n_prefix)

static bool k_multiple(struct compiler *c, struct schema *s, const struct json *v)
{
    struct json_decimal d = {0};
    bool fine = read_number(c, v, &s->multiple_of);
    if (fine)
        d = json_decimal(v);
    return fine && ((d.n && !d.negative) || fail(c, "a number above 0 is expected")) &&
           (d.n <= 18 || fail(c, "a number of at most 18 digits is expected"));
}

static bool k_unevaluated_items(struct compiler *c, struct schema *s, const struct json *v)
{
    c->has_unevaluated = true;
    return read_schema(c, v, &s->unevaluated_items);
}

static bool k_unevaluated_properties(struct compiler *c, struct schema *s, const struct json *v)
{
    c->has_unevaluated = true;
    return read_schema(c, v, &s->unevaluated_properties);
}

static bool k_pattern(struct compiler *c, struct schema *s, const struct json *v)
{
    struct err why = {0};
    if (!want(c, v, JSON_STRING, "a regular expression is expected"))
        return false;
    s->pattern = regex_compile(c->a, json_str(v), &why);
    return s->pattern || fail(c, why.msg);
}

static bool k_format(struct compiler *c, struct schema *s, const struct json *v)
{
    s->format = json_str(v);
    return want(c, v, JSON_STRING, "the name of a format is expected");
}

static bool k_unique(struct compiler *c, struct schema *s, const struct json *v)
{
    s->unique_items = json_bool(v);
    return want(c, v, JSON_BOOL, "true or false is expected");
}

static bool k_required(struct compiler *c, struct schema *s, const struct json *v)
{
    return read_names(c, v, &s->required, &s->n_required);
}

static bool k_properties(struct compiler *c, struct schema *s, const struct json *v)
{
    return read_map(c, v, &s->properties, &s->n_properties);
}

static bool k_patterns(struct compiler *c, struct schema *s, const struct json *v)
{
    struct named_schema *named;
    size_t n;
    struct err why = {0};
    if (!read_map(c, v, &named, &n))
        return false;
    s->patterns = arena_alloc(c->a, (n + 1) * sizeof *s->patterns);
    for (size_t i = 0; i < n; i++) {
        struct pattern_schema *one = &s->patterns[s->n_patterns++];
        one->schema = named[i].schema;
        one->regex = regex_compile(c->a, named[i].name, &why);
        if (!one->regex)
            return fail(c, why.msg);
    }
    return true;
}

static bool k_dependents(struct compiler *c, struct schema *s, const struct json *v)
{
    return read_map(c, v, &s->dependents, &s->n_dependents);
}

static bool k_needs(struct compiler *c, struct schema *s, const struct json *v)
{
    if (!want(c, v, JSON_OBJECT, "an object of lists is expected"))
        return false;
    s->needs = arena_alloc(c->a, (json_len(v) + 1) * sizeof *s->needs);
    json_each (it, v) {
        struct named_list *one = &s->needs[s->n_needs++];
        one->name = it.key;
        if (!read_names(c, it.value, &one->names, &one->n))
            return false;
    }
    return true;
}

static bool k_defs(struct compiler *c, struct schema *s, const struct json *v)
{
    struct named_schema *named;
    size_t n;
    (void)s;
    return read_map(c, v, &named, &n);
}

static bool add_pending(struct compiler *c, struct schema *s, const struct json *v, bool is_dynamic)
{
    if (!want(c, v, JSON_STRING, "a reference is expected, such as \"#/$defs/name\""))
        return false;
    struct pending *p = arena_new(c->a, struct pending);
    *p = (struct pending){s, json_str(v), is_dynamic, c->pending};
    c->pending = p;
    return true;
}

static bool k_ref(struct compiler *c, struct schema *s, const struct json *v)
{
    return add_pending(c, s, v, false);
}

static bool k_dynamic_ref(struct compiler *c, struct schema *s, const struct json *v)
{
    return add_pending(c, s, v, true);
}

static bool add_anchor(struct compiler *c, struct schema *s, const struct json *v, bool is_dynamic)
{
    if (!want(c, v, JSON_STRING, "a name is expected"))
        return false;
    struct anchor *anchor = arena_new(c->a, struct anchor);
    *anchor = (struct anchor){s->resource, json_str(v), s, is_dynamic, c->anchors};
    c->anchors = anchor;
    return true;
}

static bool k_anchor(struct compiler *c, struct schema *s, const struct json *v)
{
    return add_anchor(c, s, v, false);
}

static bool k_dynamic_anchor(struct compiler *c, struct schema *s, const struct json *v)
{
    return add_anchor(c, s, v, true);
}

static const struct {
    const char *name;
    keyword_fn *read;
} keywords[] = {
    {"type", k_type},
    {"enum", k_enum},
    {"const", k_const},
    {"minLength", k_min_length},
    {"maxLength", k_max_length},
    {"minItems", k_min_items},
    {"maxItems", k_max_items},
    {"minProperties", k_min_properties},
    {"maxProperties", k_max_properties},
    {"minContains", k_min_contains},
    {"maxContains", k_max_contains},
    {"minimum", k_minimum},
    {"maximum", k_maximum},
    {"exclusiveMinimum", k_exclusive_minimum},
    {"exclusiveMaximum", k_exclusive_maximum},
    {"multipleOf", k_multiple},
    {"pattern", k_pattern},
    {"format", k_format},
    {"uniqueItems", k_unique},
    {"required", k_required},
    {"properties", k_properties},
    {"patternProperties", k_patterns},
    {"additionalProperties", k_additional},
    {"propertyNames", k_names},
    {"dependentSchemas", k_dependents},
    {"dependentRequired", k_needs},
    {"prefixItems", k_prefix},
    {"items", k_items},
    {"contains", k_contains},
    {"allOf", k_all},
    {"anyOf", k_any},
    {"oneOf", k_one},
    {"not", k_not},
    {"if", k_if},
    {"then", k_then},
    {"else", k_else},
    {"unevaluatedItems", k_unevaluated_items},
    {"unevaluatedProperties", k_unevaluated_properties},
    {"$defs", k_defs},
    {"definitions", k_defs},
    {"$ref", k_ref},
    {"$dynamicRef", k_dynamic_ref},
    {"$anchor", k_anchor},
    {"$dynamicAnchor", k_dynamic_anchor},
};

static keyword_fn *keyword_find(struct slice name)
{
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
        if (slice_is(name, keywords[i].name))
            return keywords[i].read;
    }
    return NULL;
}

/* ---- a schema -----------------------------------------------------------------------------------
 */

/* An $id makes a resource of its own, with its own base for references. */
static bool open_resource(struct compiler *c, const struct json *v, struct schema *s)
{
    const struct json *id = json_find(v, SLICE("$id"));
    struct slice fragment;
    if (!id)
        return true;
    if (!want(c, id, JSON_STRING, "$id is a URI"))
        return false;
    struct slice uri = uri_resolve(c->a, c->at->uri, json_str(id), &fragment);
    if (fragment.len)
        return fail(c, "$id has no part after `#`; use $anchor");
    struct resource *r = find_resource(c, uri);
    if (r && r->root != v)
        return fail(c, "another schema has this $id already");
    r = r ? r : add_resource(c, uri, c->at->file, v);
    r->top = c->at->top;
    r->schema = s;
    c->at = r;
    return true;
}

static struct schema *compile_object(struct compiler *c, const struct json *v, struct schema *s)
{
    const struct resource *outer = c->at;
    size_t depth = c->path.len;
    if (!open_resource(c, v, s))
        return NULL;
    s->resource = c->at;
    json_each (it, v) {
        keyword_fn *read = keyword_find(it.key);
        json_pointer_add(&c->path, it.key);
        if (read && !read(c, s, it.value))
            return NULL;
        buf_truncate(&c->path, depth);
    }
    c->at = outer;
    return s;
}

static struct schema *compile(struct compiler *c, const struct json *v)
{
    struct schema *s = find_known(c, v);
    if (s)
        return s;
    if (json_type(v) != JSON_OBJECT && json_type(v) != JSON_BOOL) {
        fail(c, "a schema is an object, true or false");
        return NULL;
    }
    if (c->n_known == SCHEMAS_MAX) {
        fail(c, "these are more than 50,000 schemas");
        return NULL;
    }
    s = arena_new(c->a, struct schema);
    s->at = v;
    s->resource = c->at;
    s->min_length = s->max_length = s->min_items = s->max_items = -1;
    s->min_properties = s->max_properties = s->min_contains = s->max_contains = -1;
    s->is_false = json_type(v) == JSON_BOOL && !json_bool(v);
    remember(c, s);
    return json_type(v) == JSON_BOOL ? s : compile_object(c, v, s);
}

/* ---- files and references -----------------------------------------------------------------------
 */

static const struct slice scheme = SLICE_INIT("app:///");

static struct resource *load(struct compiler *c, struct slice uri)
{
    struct slice path = slice_skip(uri, scheme.len), text;
    struct json_doc doc;
    struct err why = {0};
    if (++c->n_files > FILES_MAX) {
        err_set(c->e, ERR_MANIFEST, "the schema leads to more than %d files", FILES_MAX);
        return NULL;
    }
    if (!c->loader->load(c->loader->user, path, &text, &why) ||
        !json_parse(&doc, c->a, arena_dup(c->a, text), NULL, &why)) {
        err_set(c->e, ERR_MANIFEST, "%.*s: %s", SLICE_ARGS(path), why.msg);
        return NULL;
    }
    const struct resource *outer = c->at;
    struct resource *r = add_resource(c, uri, path, json_root(&doc));
    c->at = r;
    buf_clear(&c->path);
    r->schema = compile(c, r->root);
    c->at = outer;
    return r->schema ? r : NULL;
}

static struct slice percent_decoded(struct arena *a, struct slice s)
{
    char *to = arena_alloc(a, s.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++, n++) {
        const char hex[] = {i + 2 < s.len ? s.ptr[i + 1] : '\0',
                            i + 2 < s.len ? s.ptr[i + 2] : '\0', '\0'};
        bool is_code = s.ptr[i] == '%' && strspn(hex, "0123456789abcdefABCDEF") == 2;
        to[n] = is_code ? (char)strtol(hex, NULL, 16) : s.ptr[i];
        i += is_code ? 2 : 0;
    }
    return (struct slice){to, n};
}

static const struct schema *by_pointer(struct compiler *c, const struct resource *r,
                                       struct slice pointer)
{
    const struct json *v = json_pointer_find(r->root, percent_decoded(c->a, pointer));
    if (!v)
        return NULL;
    const struct resource *outer = c->at;
    c->at = r;
    buf_clear(&c->path);
    buf_add(&c->path, pointer);
    struct schema *s = compile(c, v);
    c->at = outer;
    return s;
}

static const struct anchor *find_anchor(const struct compiler *c, const struct resource *r,
                                        struct slice name, bool only_dynamic)
{
    for (const struct anchor *it = c->anchors; it; it = it->next) {
        if (it->resource == r && slice_eq(it->name, name) && (it->is_dynamic || !only_dynamic))
            return it;
    }
    return NULL;
}

static bool no_goal(struct compiler *c, const struct pending *p, const char *why)
{
    if (c->e->code != ERR_NONE)
        return false;
    return err_set(c->e, ERR_MANIFEST, "%.*s: the reference \"%.*s\" %s",
                   SLICE_ARGS(p->schema->resource->file), SLICE_ARGS(p->reference), why);
}

static bool resolve(struct compiler *c, const struct pending *p)
{
    struct slice fragment;
    struct slice uri = uri_resolve(c->a, p->schema->resource->uri, p->reference, &fragment);
    struct resource *r = find_resource(c, uri);
    if (!r && !slice_starts(uri, scheme))
        return no_goal(c, p, "leads out of the app's files; nothing is ever fetched");
    c->at = p->schema->resource;
    r = r ? r : load(c, uri);
    if (!r)
        return no_goal(c, p, "leads to no file");
    const struct anchor *anchor = NULL;
    const struct schema *goal = r->schema;
    if (slice_starts(fragment, SLICE("/"))) {
        goal = by_pointer(c, r, fragment);
    } else if (fragment.len) {
        anchor = find_anchor(c, r, fragment, false);
        goal = anchor ? anchor->schema : NULL;
    }
    if (!goal)
        return no_goal(c, p, "leads to nothing");
    if (!p->is_dynamic) {
        p->schema->ref = goal;
        return true;
    }
    p->schema->dynamic_ref = goal;
    p->schema->dynamic_name = anchor && anchor->is_dynamic ? fragment : SLICE("");
    return true;
}

/* For each resource its $dynamicAnchors, which checking looks up. */
static void gather_dynamic(struct compiler *c)
{
    for (struct resource *r = c->resources; r; r = r->next) {
        size_t n = 0;
        for (const struct anchor *it = c->anchors; it; it = it->next)
            n += it->resource == r && it->is_dynamic;
        r->dynamic = arena_alloc(c->a, (n + 1) * sizeof *r->dynamic);
        for (const struct anchor *it = c->anchors; it; it = it->next) {
            if (it->resource == r && it->is_dynamic)
                r->dynamic[r->n_dynamic++] = (struct named_schema){it->name, it->schema};
        }
    }
}

static bool has_no_circle(struct compiler *c)
{
    const struct schema *s = find_circle(c->a, c->known, c->n_slots, c->n_known);
    return !s || err_set(c->e, ERR_MANIFEST, "%.*s: the reference \"%.*s\" leads back to itself",
                         SLICE_ARGS(s->resource->file),
                         SLICE_ARGS(json_str(json_find(s->at, SLICE("$ref")))));
}

static int by_place(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)(*(const struct schema *const *)a)->at;
    uintptr_t y = (uintptr_t)(*(const struct schema *const *)b)->at;
    return (x > y) - (x < y);
}

static void gather_links(struct compiler *c)
{
    struct links *links = arena_new(c->a, struct links);
    links->items = arena_alloc(c->a, (c->n_known + 1) * sizeof *links->items);
    for (size_t i = 0; i < c->n_slots; i++) {
        if (c->known[i] && c->known[i]->ref)
            links->items[links->n++] = c->known[i];
    }
    qsort(links->items, links->n, sizeof *links->items, by_place);
    for (struct resource *r = c->resources; r; r = r->next)
        r->links = links;
}

static const struct schema *compile_all(struct compiler *c, struct slice path)
{
    struct resource *outside = arena_new(c->a, struct resource);
    *outside = (struct resource){.file = path, .uri = scheme};
    c->at = outside;
    struct slice uri = arena_printf(c->a, "%.*s%.*s", SLICE_ARGS(scheme), SLICE_ARGS(path));
    const struct resource *r = load(c, uri);
    if (!r)
        return NULL;
    while (c->pending) {
        const struct pending *p = c->pending;
        c->pending = p->next;
        if (!resolve(c, p))
            return NULL;
    }
    gather_dynamic(c);
    if (!has_no_circle(c))
        return NULL;
    gather_links(c);
    for (size_t i = 0; i < c->n_slots; i++) {
        if (c->known[i])
            c->known[i]->notes = c->has_unevaluated;
    }
    return r->schema;
}

const struct schema *schema_compile(struct arena *a, struct slice path,
                                    const struct schema_loader *loader, struct err *e)
{
    struct compiler c = {.a = a, .loader = loader, .e = e};
    e->code = ERR_NONE;
    buf_init(&c.path, 1u << 20);
    const struct schema *s = compile_all(&c, path);
    buf_done(&c.path);
    return s;
}

/* ---- the way back -------------------------------------------------------------------------------
 */

const struct json *schema_json(const struct schema *s, struct schema_place *ret)
{
    *ret = (struct schema_place){s->resource->file, (size_t)(s->at - s->resource->top)};
    return s->at;
}

const struct json *schema_follow(const struct schema *s, const struct json *from,
                                 struct schema_place *ret)
{
    const struct links *links = s->resource->links;
    const struct schema sought = {.at = from}, *key = &sought;
    const struct schema **found =
        links->n ? bsearch(&key, links->items, links->n, sizeof *links->items, by_place) : NULL;
    return found ? schema_json((*found)->ref, ret) : NULL;
}
