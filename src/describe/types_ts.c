/* The types of an app as a module of TypeScript.
 *
 * Names of types are letters and digits; names of fields are quoted unless they are identifiers;
 * remarks cannot end their comment. Nothing else of the app's own words is written. */
#include "describe/describe_impl.h"

#include <string.h>

#define DEPTH_MAX  200
#define REPEAT_MAX 200 /* bytes of a type that is written a second time */

struct ts {
    struct bundle *b;
    struct buf *to;
    const struct part *part;
};

/* What a type is part of: whether it needs parentheses, and how far in it stands. */
struct spot {
    unsigned indent, depth;
    bool in_place; /* no object or array between it and the type being defined */
};

static void write_type(struct ts *t, const struct json *v, struct spot at);

static void indent(struct ts *t, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        buf_add_str(t->to, "  ");
}

static struct spot inside(struct spot at)
{
    return (struct spot){at.indent, at.depth + 1, false};
}

static struct spot beside(struct spot at)
{
    return (struct spot){at.indent, at.depth + 1, at.in_place};
}

/* ---- words of the app ---------------------------------------------------------------------------
 */

static void write_comment_text(struct ts *t, struct slice line)
{
    for (size_t i = 0; i < line.len; i++) {
        buf_add_char(t->to, line.ptr[i]);
        if (line.ptr[i] == '*' && i + 1 < line.len && line.ptr[i + 1] == '/')
            buf_add_char(t->to, '\\');
    }
}

static void write_remark(struct ts *t, const struct json *v, unsigned depth)
{
    struct slice rest = remark_of(t->b->a, v), line;
    bool is_one = slice_index(rest, '\n') < 0;
    if (!rest.len)
        return;
    indent(t, depth);
    buf_add_str(t->to, is_one ? "/** " : "/**\n");
    while (remark_line(t->b->a, &rest, &line)) {
        if (!is_one) {
            indent(t, depth);
            buf_add_str(t->to, line.len ? " * " : " *");
        }
        write_comment_text(t, line);
        buf_add_str(t->to, is_one ? "" : "\n");
    }
    if (!is_one)
        indent(t, depth);
    buf_add_str(t->to, " */\n");
}

static bool is_identifier(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
        if (!is_letter && !(i && c >= '0' && c <= '9'))
            return false;
    }
    return s.len > 0;
}

static void write_name(struct ts *t, struct slice name)
{
    if (is_identifier(name))
        buf_add(t->to, name);
    else
        json_escape(t->to, name, JSON_FOR_HTML);
}

/* ---- values as types ----------------------------------------------------------------------------
 */

static void write_literal(struct ts *t, const struct json *v, unsigned depth)
{
    bool is_first = true;
    if (json_type(v) == JSON_STRING) {
        json_escape(t->to, json_str(v), JSON_FOR_HTML);
        return;
    }
    if ((json_type(v) != JSON_ARRAY && json_type(v) != JSON_OBJECT) || depth > DEPTH_MAX) {
        struct json_writer w;
        json_writer_init(&w, t->to, 0);
        json_write_value(&w, depth > DEPTH_MAX ? NULL : v);
        return;
    }
    buf_add_str(t->to, json_type(v) == JSON_ARRAY ? "[" : "{ ");
    json_each (it, v) {
        buf_add_str(t->to, is_first ? "" : ", ");
        is_first = false;
        if (json_type(v) == JSON_OBJECT) {
            json_escape(t->to, it.key, JSON_FOR_HTML);
            buf_add_str(t->to, ": ");
        }
        write_literal(t, it.value, depth + 1);
    }
    buf_add_str(t->to, json_type(v) == JSON_ARRAY ? "]" : " }");
}

static void write_choices(struct ts *t, const struct json *choices)
{
    bool is_first = true;
    if (!json_len(choices))
        buf_add_str(t->to, "never");
    json_each (it, choices) {
        buf_add_str(t->to, is_first ? "" : " | ");
        is_first = false;
        write_literal(t, it.value, 0);
    }
}

/* ---- objects and arrays -------------------------------------------------------------------------
 */

/* Written apart, so that it can be looked at before it is used. */
static struct slice type_text(struct ts *t, const struct json *v, struct spot at)
{
    struct buf own, *outer = t->to;
    buf_init(&own, TEXT_MAX);
    t->to = &own;
    write_type(t, v, at);
    t->to = outer;
    struct slice text = arena_dup(t->b->a, buf_slice(&own));
    outer->full |= own.full;
    buf_done(&own);
    return text;
}

struct alternatives {
    struct slice items[64];
    size_t n;
    bool is_unknown; /* one of them is, so all are */
};

static void offer(struct alternatives *u, struct slice text)
{
    for (size_t i = 0; i < u->n; i++) {
        if (slice_eq(u->items[i], text))
            return;
    }
    if (slice_is(text, "unknown") || u->n == 64)
        u->is_unknown = true;
    else
        u->items[u->n++] = text;
}

static void write_alternatives(struct ts *t, const struct alternatives *u)
{
    if (u->is_unknown)
        buf_add_str(t->to, "unknown");
    for (size_t i = 0; !u->is_unknown && i < u->n; i++) {
        buf_add_str(t->to, i ? " | " : "");
        buf_add(t->to, u->items[i]);
    }
}

/* What fields without a name of their own may hold. The language wants the named ones to fit it,
 * too. */
static void write_index(struct ts *t, const struct json *v, struct alternatives *u, struct spot at)
{
    const struct json *more = json_find(v, SLICE("additionalProperties"));
    const struct json *patterns = json_find(v, SLICE("patternProperties"));
    bool is_open = more && (json_type(more) != JSON_BOOL || json_bool(more));
    bool has_named = u->n || u->is_unknown;
    if (!is_open && !json_len(patterns))
        return;
    if (is_open)
        offer(u, type_text(t, more, inside(at)));
    json_each (it, patterns)
        offer(u, type_text(t, it.value, inside(at)));
    if (has_named)
        offer(u, SLICE("undefined"));
    indent(t, at.indent);
    buf_add_str(t->to, "[key: string]: ");
    write_alternatives(t, u);
    buf_add_str(t->to, ";\n");
}

static void write_fields(struct ts *t, const struct json *v, struct spot at)
{
    struct spot in = inside(at);
    struct alternatives u = {.n = 0};
    in.indent++;
    buf_add_str(t->to, "{\n");
    json_each (it, json_find(v, SLICE("properties"))) {
        if (is_ignored(it.key, it.value))
            continue;
        write_remark(t, it.value, in.indent);
        indent(t, in.indent);
        if (json_bool(json_find(it.value, SLICE("readOnly"))))
            buf_add_str(t->to, "readonly ");
        write_name(t, it.key);
        buf_add_str(t->to, is_required(v, it.key) ? ": " : "?: ");
        struct slice text = type_text(t, it.value, in);
        buf_add(t->to, text);
        buf_add_str(t->to, ";\n");
        offer(&u, text.len < REPEAT_MAX ? text : SLICE("unknown"));
    }
    write_index(t, v, &u, in);
    indent(t, at.indent);
    buf_add_char(t->to, '}');
}

static void write_object(struct ts *t, const struct json *v, struct spot at)
{
    const struct json *more = json_find(v, SLICE("additionalProperties"));
    bool has_fields = json_len(json_find(v, SLICE("properties"))) ||
                      json_len(json_find(v, SLICE("patternProperties")));
    if (has_fields || json_type(more) == JSON_OBJECT)
        write_fields(t, v, at);
    else if (json_type(more) == JSON_BOOL && !json_bool(more))
        buf_add_str(t->to, "Record<string, never>");
    else
        buf_add_str(t->to, "Record<string, unknown>");
}

static void write_array(struct ts *t, const struct json *v, struct spot at)
{
    const struct json *first = json_find(v, SLICE("prefixItems"));
    const struct json *items = json_find(v, SLICE("items"));
    int64_t least = 0;
    json_i64(json_find(v, SLICE("minItems")), &least);
    if (!json_len(first)) {
        buf_add_str(t->to, "Array<");
        write_type(t, items, inside(at));
        buf_add_str(t->to, ">");
        return;
    }
    buf_add_char(t->to, '[');
    json_each (it, first) {
        bool may_miss = (int64_t)it.index >= least;
        buf_add_str(t->to, it.index ? ", " : "");
        buf_add_str(t->to, may_miss ? "(" : "");
        write_type(t, it.value, inside(at));
        buf_add_str(t->to, may_miss ? ")?" : "");
    }
    if (!items || json_type(items) != JSON_BOOL || json_bool(items)) {
        buf_add_str(t->to, ", ...Array<");
        write_type(t, items, inside(at));
        buf_add_char(t->to, '>');
    }
    buf_add_char(t->to, ']');
}

/* ---- a type -------------------------------------------------------------------------------------
 */

static void write_kinds(struct ts *t, const struct json *v, unsigned set, struct spot at)
{
    static const struct {
        unsigned bit;
        const char *name;
    } simple[] = {{TYPE_OF(JSON_BOOL), "boolean"},
                  {TYPE_OF(JSON_NUMBER) | TYPE_INTEGER, "number"},
                  {TYPE_OF(JSON_STRING), "string"}};
    const char *between = "";
    for (size_t i = 0; i < sizeof simple / sizeof *simple; i++) {
        if (set & simple[i].bit) {
            buf_printf(t->to, "%s%s", between, simple[i].name);
            between = " | ";
        }
    }
    if (set & TYPE_OF(JSON_ARRAY)) {
        buf_add_str(t->to, between);
        write_array(t, v, at);
        between = " | ";
    }
    if (set & TYPE_OF(JSON_OBJECT)) {
        buf_add_str(t->to, between);
        write_object(t, v, at);
        between = " | ";
    }
    if (set & TYPE_OF(JSON_NULL))
        buf_printf(t->to, "%snull", between);
}

struct factors { /* of an intersection */
    struct slice items[64];
    size_t n;
};

static void factor(struct factors *f, struct slice text)
{
    if (text.len && !slice_is(text, "unknown") && f->n < 64)
        f->items[f->n++] = text;
}

static struct slice kinds_text(struct ts *t, const struct json *v, struct spot at)
{
    const struct json *choices = json_find(v, SLICE("enum"));
    const struct json *constant = json_find(v, SLICE("const"));
    struct buf own, *outer = t->to;
    buf_init(&own, TEXT_MAX);
    t->to = &own;
    if (constant)
        write_literal(t, constant, 0);
    else if (choices)
        write_choices(t, choices);
    else
        write_kinds(t, v, types_of(v), at);
    t->to = outer;
    struct slice text = arena_dup(t->b->a, buf_slice(&own));
    outer->full |= own.full;
    buf_done(&own);
    return text;
}

static void factor_union(struct ts *t, struct factors *f, const struct json *list, struct spot at)
{
    struct alternatives u = {.n = 0};
    struct buf own, *outer = t->to;
    json_each (it, list)
        offer(&u, type_text(t, it.value, beside(at)));
    if (!list || u.is_unknown)
        return;
    buf_init(&own, TEXT_MAX);
    t->to = &own;
    write_alternatives(t, &u);
    t->to = outer;
    factor(f, arena_dup(t->b->a, buf_slice(&own)));
    outer->full |= own.full;
    buf_done(&own);
}

static void write_type(struct ts *t, const struct json *v, struct spot at)
{
    struct factors f = {.n = 0};
    struct slice name = reference_name(t->b, v);
    if (json_type(v) == JSON_BOOL || !v || at.depth > DEPTH_MAX) {
        buf_add_str(t->to, !v || json_bool(v) || at.depth > DEPTH_MAX ? "unknown" : "never");
        return;
    }
    if (name.len && !(at.in_place && leads_back(t->b, t->part, name)))
        factor(&f, name);
    factor(&f, kinds_text(t, v, at));
    json_each (it, json_find(v, SLICE("allOf")))
        factor(&f, type_text(t, it.value, beside(at)));
    factor_union(t, &f, json_find(v, SLICE("anyOf")), at);
    factor_union(t, &f, json_find(v, SLICE("oneOf")), at);
    if (!f.n)
        buf_add_str(t->to, "unknown");
    for (size_t i = 0; i < f.n; i++) {
        bool alone = f.n == 1;
        buf_add_str(t->to, i ? " & " : "");
        buf_add_str(t->to, alone ? "" : "(");
        buf_add(t->to, f.items[i]);
        buf_add_str(t->to, alone ? "" : ")");
    }
}

/* ---- the module ---------------------------------------------------------------------------------
 */

static void write_part(struct ts *t, const struct part *part)
{
    const struct json *root = part_root(t->b, part);
    const struct spot at = {.in_place = true};
    t->part = part;
    buf_add_char(t->to, '\n');
    write_remark(t, root, 0);
    if (is_plain_object(root)) {
        buf_printf(t->to, "export interface %.*s ", SLICE_ARGS(part->name));
        write_fields(t, root, at);
        buf_add_char(t->to, '\n');
        return;
    }
    buf_printf(t->to, "export type %.*s = ", SLICE_ARGS(part->name));
    write_type(t, root, at);
    buf_add_str(t->to, ";\n");
}

static const char head[] =
    "// The types of an app's documents, made by `dais types --ts`; do not edit.\n";

static const char shared[] =
    "\n/** A page of a list; `next` is for `after`, null on the last page. */\n"
    "export interface Page<T> {\n"
    "  items: T[];\n"
    "  next: string | null;\n"
    "  /** With count=exact. */\n"
    "  total?: number;\n"
    "}\n"
    "\n/** A JSON Merge Patch: what is left out stays, null removes. */\n"
    "export type Patch<T> = { [K in keyof T]?: T[K] | null };\n";

static void write_problem(struct ts *t)
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

static void write_jobs(struct ts *t)
{
    buf_add_str(t->to, "\n/** Every type of job by its name. */\nexport interface Jobs {\n");
    for (size_t i = 0; i < t->b->n_jobs; i++) {
        const struct described_job *j = &t->b->jobs[i];
        buf_add_str(t->to, "  ");
        write_name(t, j->conf->name.s);
        buf_printf(t->to, ": { input: %.*s };\n",
                   SLICE_ARGS(j->input ? j->input->name : SLICE("unknown")));
    }
    buf_add_str(t->to, "}\n");
}

bool describe_types_ts(struct arena *a, const struct describe_source *src, struct buf *to,
                       struct err *e)
{
    struct bundle *b = bundle_new(a, src, NULL, SLICE("#/$defs/"), e);
    if (!b)
        return false;
    struct ts t = {.b = b, .to = to};
    buf_add_str(to, head);
    for (const struct part *part = b->parts; part; part = part->next)
        write_part(&t, part);
    buf_add_str(to, "\n/** Every collection of the API by its name. */\n"
                    "export interface Collections {\n");
    for (size_t i = 0; i < b->n; i++) {
        buf_add_str(to, "  ");
        write_name(&t, b->collections[i].conf->name.s);
        buf_printf(to, ": { document: %.*s; input: %.*s };\n",
                   SLICE_ARGS(b->collections[i].read->name),
                   SLICE_ARGS(b->collections[i].written->name));
    }
    buf_add_str(to, "}\n");
    if (b->n_jobs)
        write_jobs(&t);
    buf_add_str(to, shared);
    write_problem(&t);
    return !to->full || err_set(e, ERR_MANIFEST, "the types are too large");
}
