/* The types of an app as a module of Python: a TypedDict per object, with a name for each.
 *
 * Python has no type for two at once: the fields of an object and of all that `allOf` and the like
 * add to it come into one TypedDict; what only one of several alternatives has may be missing.
 * Types are written as strings, so that they may name what comes later. */
#include "describe/describe_impl.h"

#include <string.h>

#define DEPTH_MAX 100
#define CHAIN_MAX 32
#define LOOKS_MAX 1000000

/* An object in a place without a name of its own, to be written later. */
struct waiting {
    struct slice name;
    const struct json *schema;
    struct waiting *next;
};

struct py {
    struct bundle *b;
    struct buf *to;
    const struct part *part;
    struct waiting *first, **last;
    struct map named; /* by where the schema stands: struct waiting that were there */
    size_t looks;
};

struct at {
    struct slice name; /* for objects without one */
    unsigned depth;
    bool in_place; /* nothing between it and the type being defined */
};

static struct slice type_of(struct py *t, const struct json *v, struct at at);

/* ---- words of the app ---------------------------------------------------------------------------
 */

static void write_string(struct py *t, struct slice text)
{
    json_escape(t->to, text, JSON_FOR_HTML); /* every escape of JSON is one of Python's */
}

/* `#:` so that no tool takes it for one of its own marks, such as `# type: ignore`. */
static void write_remark(struct py *t, const struct json *v, const char *indent)
{
    struct slice rest = remark_of(t->b->a, v), line;
    while (remark_line(t->b->a, &rest, &line))
        buf_printf(t->to, "%s#:%s%.*s\n", indent, line.len ? " " : "", SLICE_ARGS(line));
}

static bool is_identifier(struct slice s)
{
    static const char *const taken[] = {
        /* keywords, and types that fields would hide */
        "bool", "float",  "int",    "str",    "False",   "None",     "True",     "and",
        "as",   "assert", "async",  "await",  "break",   "class",    "continue", "def",
        "del",  "elif",   "else",   "except", "finally", "for",      "from",     "global",
        "if",   "import", "in",     "is",     "lambda",  "nonlocal", "not",      "or",
        "pass", "raise",  "return", "try",    "while",   "with",     "yield"};
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!is_letter && !(i && c >= '0' && c <= '9'))
            return false;
    }
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        if (slice_is(s, taken[i]))
            return false;
    }
    /* Two underscores get another name in a class; an upper-case letter may hide a type. */
    return s.len && !slice_starts(s, SLICE("__")) && !(s.ptr[0] >= 'A' && s.ptr[0] <= 'Z');
}

/* ---- unions -------------------------------------------------------------------------------------
 */

struct alternatives {
    struct slice items[64];
    size_t n;
};

static void offer(struct alternatives *u, struct slice text)
{
    for (size_t i = 0; i < u->n; i++) {
        if (slice_eq(u->items[i], text) || slice_is(u->items[i], "Any"))
            return;
    }
    bool is_any = slice_is(text, "Any") || u->n == 64;
    u->n = is_any ? 0 : u->n;
    u->items[u->n++] = is_any ? SLICE("Any") : text;
}

static const struct slice literal = SLICE_INIT("Literal[");

/* Several literals are one with several values. */
static void add_literals(struct buf *to, const struct alternatives *u)
{
    const char *between = "";
    buf_add(to, literal);
    for (size_t i = 0; i < u->n; i++) {
        struct slice item = u->items[i];
        if (!slice_starts(item, literal))
            continue;
        buf_add_str(to, between);
        buf_add(to, slice_skip(slice_first(item, item.len - 1), literal.len));
        between = ", ";
    }
    buf_add_char(to, ']');
}

static struct slice union_of(struct py *t, const struct alternatives *u)
{
    struct buf own;
    size_t n_literals = 0;
    const char *between = "";
    if (u->n < 2)
        return u->n ? u->items[0] : SLICE("NoReturn");
    for (size_t i = 0; i < u->n; i++)
        n_literals += slice_starts(u->items[i], literal);
    buf_init(&own, TEXT_MAX);
    buf_add_str(&own, n_literals == u->n ? "" : "Union[");
    if (n_literals) {
        add_literals(&own, u);
        between = ", ";
    }
    for (size_t i = 0; i < u->n; i++) {
        if (slice_starts(u->items[i], literal))
            continue;
        buf_add_str(&own, between);
        buf_add(&own, u->items[i]);
        between = ", ";
    }
    buf_add_str(&own, n_literals == u->n ? "" : "]");
    struct slice text = arena_dup(t->b->a, buf_slice(&own));
    buf_done(&own);
    return text;
}

/* ---- values as types ----------------------------------------------------------------------------
 */

static struct slice literal_of(struct py *t, const struct json *v)
{
    int64_t i;
    struct buf own;
    switch (json_type(v)) {
    case JSON_NULL:
        return SLICE("None");
    case JSON_BOOL:
        return json_bool(v) ? SLICE("Literal[True]") : SLICE("Literal[False]");
    case JSON_NUMBER:
        if (json_i64(v, &i))
            return arena_printf(t->b->a, "Literal[%lld]", (long long)i);
        return json_is_integer(v) ? SLICE("int") : SLICE("float");
    case JSON_STRING:
        buf_init(&own, TEXT_MAX);
        buf_add_str(&own, "Literal[");
        json_escape(&own, json_str(v), JSON_FOR_HTML);
        buf_add_char(&own, ']');
        struct slice text = arena_dup(t->b->a, buf_slice(&own));
        buf_done(&own);
        return text;
    case JSON_ARRAY:
        return SLICE("List[Any]");
    default:
        return SLICE("Dict[str, Any]");
    }
}

static struct slice choices_of(struct py *t, const struct json *choices)
{
    struct alternatives u = {.n = 0};
    json_each (it, choices)
        offer(&u, literal_of(t, it.value));
    return union_of(t, &u);
}

static struct slice array_of(struct py *t, const struct json *v, struct at at)
{
    const struct json *items = json_find(v, SLICE("items"));
    struct at in = {arena_printf(t->b->a, "%.*sItem", SLICE_ARGS(at.name)), at.depth + 1, false};
    struct alternatives u = {.n = 0};
    json_each (it, json_find(v, SLICE("prefixItems")))
        offer(&u, type_of(t, it.value, in));
    if (items && (json_type(items) != JSON_BOOL || json_bool(items)))
        offer(&u, type_of(t, items, in));
    else if (!u.n)
        offer(&u, SLICE("Any"));
    return arena_printf(t->b->a, "List[%.*s]", SLICE_ARGS(union_of(t, &u)));
}

/* ---- objects ------------------------------------------------------------------------------------
 */

/* Has it, or what applies beside it for certain, fields with names? */
static bool is_record(struct py *t, const struct json *v, unsigned chain)
{
    struct slice name = reference_name(t->b, v);
    const struct part *part = name.len ? map_find(&t->b->by_name, name) : NULL;
    if (chain > CHAIN_MAX || t->looks++ > LOOKS_MAX)
        return false;
    if (json_len(json_find(v, SLICE("properties"))) ||
        (part && chain && is_record(t, part_root(t->b, part), chain + 1)))
        return true;
    json_each (it, json_find(v, SLICE("allOf"))) {
        if (is_record(t, it.value, chain + 1))
            return true;
    }
    return false;
}

static struct slice later(struct py *t, const struct json *v, struct slice name)
{
    struct slice key = arena_dup(t->b->a, (struct slice){(const char *)&v, sizeof v});
    struct waiting *w = map_find(&t->named, key);
    if (w)
        return w->name;
    w = arena_new(t->b->a, struct waiting);
    *w = (struct waiting){bundle_name(t->b, name), v, NULL};
    map_put(&t->named, key, w);
    *t->last = w;
    t->last = &w->next;
    return w->name;
}

static struct slice object_of(struct py *t, const struct json *v, struct at at)
{
    const struct json *more = json_find(v, SLICE("additionalProperties"));
    if (is_record(t, v, 0))
        return later(t, v, at.name);
    struct at in = {arena_printf(t->b->a, "%.*sValue", SLICE_ARGS(at.name)), at.depth + 1, false};
    struct slice value = json_type(more) == JSON_OBJECT ? type_of(t, more, in) : SLICE("Any");
    return arena_printf(t->b->a, "Dict[str, %.*s]", SLICE_ARGS(value));
}

/* ---- a type -------------------------------------------------------------------------------------
 */

static struct slice kinds_of(struct py *t, const struct json *v, struct at at)
{
    unsigned set = types_of(v);
    struct alternatives u = {.n = 0};
    if (set & TYPE_OF(JSON_BOOL))
        offer(&u, SLICE("bool"));
    if (set & (TYPE_OF(JSON_NUMBER) | TYPE_INTEGER))
        offer(&u, set & TYPE_INTEGER ? SLICE("int") : SLICE("float"));
    if (set & TYPE_OF(JSON_STRING))
        offer(&u, SLICE("str"));
    if (set & TYPE_OF(JSON_ARRAY))
        offer(&u, array_of(t, v, at));
    if (set & TYPE_OF(JSON_OBJECT))
        offer(&u, object_of(t, v, at));
    if (set & TYPE_OF(JSON_NULL))
        offer(&u, SLICE("None"));
    return u.n ? union_of(t, &u) : SLICE("Any");
}

static struct slice alternatives_of(struct py *t, const struct json *list, struct at at)
{
    struct alternatives u = {.n = 0};
    struct at in = {at.name, at.depth + 1, at.in_place};
    json_each (it, list)
        offer(&u, type_of(t, it.value, in));
    return u.n ? union_of(t, &u) : SLICE("Any");
}

/* The first of several that says anything. */
static struct slice narrowest(struct py *t, const struct json *v, struct at at)
{
    struct at in = {at.name, at.depth + 1, at.in_place};
    struct slice found = SLICE("Any");
    json_each (it, json_find(v, SLICE("allOf"))) {
        if (slice_is(found, "Any"))
            found = type_of(t, it.value, in);
    }
    if (slice_is(found, "Any"))
        found = alternatives_of(t, json_find(v, SLICE("anyOf")), at);
    if (slice_is(found, "Any"))
        found = alternatives_of(t, json_find(v, SLICE("oneOf")), at);
    return slice_is(found, "Any") ? kinds_of(t, v, at) : found;
}

static struct slice type_of(struct py *t, const struct json *v, struct at at)
{
    struct slice name = reference_name(t->b, v);
    const struct json *constant = json_find(v, SLICE("const"));
    const struct json *choices = json_find(v, SLICE("enum"));
    if (json_type(v) == JSON_BOOL && !json_bool(v))
        return SLICE("NoReturn");
    if (json_type(v) != JSON_OBJECT || at.depth > DEPTH_MAX)
        return SLICE("Any");
    if (constant || choices)
        return constant ? literal_of(t, constant) : choices_of(t, choices);
    const struct json *all = json_find(v, SLICE("allOf"));
    bool is_other_name = json_len(all) == 1 && !json_find(v, SLICE("properties")) && !name.len;
    if (is_other_name)
        return type_of(t, json_item(all, 0), (struct at){at.name, at.depth + 1, at.in_place});
    unsigned set = types_of(v);
    bool is_named = name.len && !(at.in_place && leads_back(t->b, t->part, name));
    if (is_record(t, v, 0) && (set == TYPE_ANY || set == TYPE_OF(JSON_OBJECT)))
        return object_of(t, v, at);
    return is_named ? name : narrowest(t, v, at);
}

/* ---- fields -------------------------------------------------------------------------------------
 */

struct entry {
    struct slice name;
    struct alternatives types;
    const struct json *schema; /* for the remark */
    bool is_required;
    struct entry *next;
};

struct record {
    struct slice name;
    struct entry *first, **last;
    struct map by_name;
    size_t looks;
};

static struct entry *entry_of(struct py *t, struct record *r, struct slice name)
{
    struct entry *entry = map_find(&r->by_name, name);
    if (entry)
        return entry;
    entry = arena_new(t->b->a, struct entry);
    entry->name = name;
    *r->last = entry;
    r->last = &entry->next;
    map_put(&r->by_name, name, entry);
    return entry;
}

static void gather(struct py *t, struct record *r, const struct json *v, bool is_certain,
                   unsigned chain)
{
    static const char *const may[] = {"anyOf", "oneOf", "then", "else"};
    struct slice name = reference_name(t->b, v);
    const struct part *part = name.len ? map_find(&t->b->by_name, name) : NULL;
    if (chain > CHAIN_MAX || r->looks++ > 2000)
        return;
    json_each (it, json_find(v, SLICE("properties"))) {
        if (is_ignored(it.key, it.value) || !it.key.len) /* no checker takes "" for a name */
            continue;
        struct entry *entry = entry_of(t, r, it.key);
        struct slice own = camel(t->b->a, it.key);
        struct at at = {arena_printf(t->b->a, "%.*s%.*s", SLICE_ARGS(r->name), SLICE_ARGS(own)), 0,
                        false};
        if (entry->types.n && json_type(it.value) == JSON_BOOL && json_bool(it.value))
            continue;
        if (entry->types.n == 1 && slice_is(entry->types.items[0], "Any"))
            entry->types.n = 0;
        offer(&entry->types, type_of(t, it.value, at));
        entry->schema = entry->schema ? entry->schema : it.value;
        entry->is_required |= is_certain && is_required(v, it.key);
    }
    if (part)
        gather(t, r, part_root(t->b, part), is_certain, chain + 1);
    json_each (it, json_find(v, SLICE("allOf")))
        gather(t, r, it.value, is_certain, chain + 1);
    for (size_t i = 0; i < 4; i++) {
        const struct json *list = json_find(v, slice_from(may[i]));
        if (json_type(list) == JSON_OBJECT)
            gather(t, r, list, false, chain + 1);
        else
            json_each (it, list)
                gather(t, r, it.value, false, chain + 1);
    }
    /* A name may be required beside where it is declared. */
    json_each (it, json_find(v, SLICE("required"))) {
        struct entry *entry = map_find(&r->by_name, json_str(it.value));
        if (entry && is_certain)
            entry->is_required = true;
    }
}

static void write_field_type(struct py *t, const struct entry *entry)
{
    buf_add_str(t->to, entry->is_required ? "" : "NotRequired[");
    write_string(t, union_of(t, &entry->types));
    buf_add_str(t->to, entry->is_required ? "" : "]");
}

static void write_class(struct py *t, const struct record *r)
{
    buf_printf(t->to, "class %.*s(TypedDict):\n", SLICE_ARGS(r->name));
    for (const struct entry *it = r->first; it; it = it->next) {
        write_remark(t, it->schema, "    ");
        buf_printf(t->to, "    %.*s: ", SLICE_ARGS(it->name));
        write_field_type(t, it);
        buf_add_char(t->to, '\n');
    }
    if (!r->first)
        buf_add_str(t->to, "    pass\n");
}

/* For fields whose names are no names of Python. */
static void write_call(struct py *t, const struct record *r)
{
    buf_printf(t->to, "%.*s = TypedDict(\"%.*s\", {\n", SLICE_ARGS(r->name), SLICE_ARGS(r->name));
    for (const struct entry *it = r->first; it; it = it->next) {
        write_remark(t, it->schema, "    ");
        buf_add_str(t->to, "    ");
        write_string(t, it->name);
        buf_add_str(t->to, ": ");
        write_field_type(t, it);
        buf_add_str(t->to, ",\n");
    }
    buf_add_str(t->to, "})\n");
}

static void write_record(struct py *t, const struct json *v, struct slice name)
{
    struct record r = {.name = name};
    bool all_plain = true;
    r.last = &r.first;
    map_init(&r.by_name);
    gather(t, &r, v, true, 0);
    map_done(&r.by_name);
    for (const struct entry *it = r.first; it; it = it->next)
        all_plain &= is_identifier(it->name);
    buf_add_str(t->to, "\n\n");
    write_remark(t, v, "");
    if (all_plain)
        write_class(t, &r);
    else
        write_call(t, &r);
}

/* ---- the module ---------------------------------------------------------------------------------
 */

static void write_waiting(struct py *t)
{
    while (t->first) {
        struct waiting *w = t->first;
        t->first = w->next;
        if (!t->first)
            t->last = &t->first;
        write_record(t, w->schema, w->name);
    }
}

static void write_part(struct py *t, const struct part *part)
{
    const struct json *root = part_root(t->b, part);
    unsigned set = types_of(root);
    bool is_document = part->shape == SHAPE_READ || part->shape == SHAPE_WRITTEN;
    bool is_object = (set == TYPE_ANY || set == TYPE_OF(JSON_OBJECT)) && is_record(t, root, 0);
    t->part = part;
    if (is_document || is_object) {
        write_record(t, root, part->name);
    } else {
        struct slice text = type_of(t, root, (struct at){part->name, 0, true});
        buf_add_str(t->to, "\n\n");
        write_remark(t, root, "");
        buf_printf(t->to, "%.*s: TypeAlias = ", SLICE_ARGS(part->name));
        write_string(t, text);
        buf_add_char(t->to, '\n');
    }
    write_waiting(t);
}

static void write_pages(struct py *t)
{
    for (size_t i = 0; i < t->b->n; i++)
        buf_printf(t->to,
                   "\n\nclass %.*sPage(TypedDict):\n"
                   "    items: List[\"%.*s\"]\n"
                   "    next: Optional[str]\n"
                   "    total: NotRequired[int]\n",
                   SLICE_ARGS(t->b->collections[i].singular),
                   SLICE_ARGS(t->b->collections[i].read->name));
}

static void write_names(struct py *t)
{
    buf_add_str(t->to, "\n\n#: Every collection of the API.\nCollectionName: TypeAlias = ");
    if (!t->b->n)
        buf_add_str(t->to, "NoReturn");
    for (size_t i = 0; i < t->b->n; i++) {
        buf_add_str(t->to, i ? ", " : "Literal[");
        write_string(t, t->b->collections[i].conf->name.s);
    }
    buf_add_str(t->to, t->b->n ? "]\n" : "\n");
}

static void write_jobs(struct py *t)
{
    buf_add_str(t->to, "\n\n#: Every type of job.\nJobType: TypeAlias = ");
    for (size_t i = 0; i < t->b->n_jobs; i++) {
        buf_add_str(t->to, i ? ", " : "Literal[");
        write_string(t, t->b->jobs[i].conf->name.s);
    }
    buf_add_str(t->to, "]\n");
}

static void write_problem(struct py *t)
{
    struct buf json;
    struct json_writer w;
    buf_init(&json, 1u << 20);
    json_writer_init(&w, &json, 0);
    problem_schema(&w);
    struct part *part = arena_new(t->b->a, struct part);
    *part = (struct part){.name = SLICE("Problem"), .json = arena_dup(t->b->a, buf_slice(&json))};
    buf_done(&json);
    map_put(&t->b->by_name, part->name, part);
    write_part(t, part);
    map_remove(&t->b->by_name, part->name);
}

static const char head[] =
    "# The types of an app's documents, made by `dais types --py`; do not edit.\n"
    "from typing import (Any, Dict, List, Literal, NoReturn, NotRequired, Optional, TypeAlias,\n"
    "                    TypedDict, Union)\n";

bool describe_types_py(struct arena *a, const struct describe_source *src, struct buf *to,
                       struct err *e)
{
    struct bundle *b = bundle_new(a, src, NULL, SLICE("#/$defs/"), e);
    if (!b)
        return false;
    struct py t = {.b = b, .to = to};
    t.last = &t.first;
    map_init(&t.named);
    buf_add_str(to, head);
    for (const struct part *part = b->parts; part; part = part->next)
        write_part(&t, part);
    write_pages(&t);
    write_problem(&t);
    write_names(&t);
    if (b->n_jobs)
        write_jobs(&t);
    map_done(&t.named);
    return !to->full || err_set(e, ERR_MANIFEST, "the types are too large");
}
