/* What can be wrong between a manifest and its schemas, at the place in the manifest.
 *
 * A check of a collection is a row of `checks`; each adds its problems and none stops another. */
#include "base/nearest.h"
#include "describe/describe_impl.h"
#include "schema/checks.h"

#define SET_MAX         200 /* schemas looked at for the nearest name */
#define FIELD_STEPS_MAX 16

struct check {
    struct arena *a;
    const struct manifest *m;
    const struct collection *c;
    const struct schema *schema; /* NULL: any document, or it is wrong */
    struct problems *p;
};

#define report(k, at, ...) problems_add((k)->p, PROBLEM_ERROR, (k)->m->file, (at), __VA_ARGS__)

/* ---- names that a schema knows ------------------------------------------------------------------
 * All schemas that apply to one value: what a path of fields leads to. */
struct set {
    const struct json *items[SET_MAX];
    size_t n;
};

static void set_add(struct set *s, const struct json *v)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->items[i] == v)
            return;
    }
    if (v && s->n < SET_MAX)
        s->items[s->n++] = v;
}

/* With all that is applied beside them; the set grows while it is walked. */
static void set_spread(const struct check *k, struct set *s)
{
    static const char *const one[] = {"not", "if", "then", "else"};
    static const char *const many[] = {"allOf", "anyOf", "oneOf", "dependentSchemas"};
    struct schema_place ignored;
    for (size_t i = 0; i < s->n; i++) {
        const struct json *v = s->items[i];
        if (json_type(v) != JSON_OBJECT)
            continue;
        set_add(s, schema_follow(k->schema, v, &ignored));
        for (size_t j = 0; j < 4; j++) {
            set_add(s, json_find(v, slice_from(one[j])));
            json_each (it, json_find(v, slice_from(many[j])))
                set_add(s, it.value);
        }
    }
}

static bool is_false(const struct json *v)
{
    return json_type(v) == JSON_BOOL && !json_bool(v);
}

static bool is_index(struct slice name)
{
    uint64_t ignored;
    return slice_to_u64(name, &ignored);
}

static void step(const struct set *from, struct slice name, struct set *to)
{
    for (size_t i = 0; i < from->n; i++) {
        const struct json *v = from->items[i];
        set_add(to, json_find(json_find(v, SLICE("properties")), name));
        if (is_index(name)) {
            set_add(to, json_find(v, SLICE("items")));
            json_each (it, json_find(v, SLICE("prefixItems")))
                set_add(to, it.value);
        }
    }
}

static bool suggest(const struct set *s, bool is_top, struct slice name, struct slice *ret)
{
    struct nearest nearest = {.typed = name};
    for (size_t i = 0; i < s->n; i++) {
        json_each (it, json_find(s->items[i], SLICE("properties")))
            nearest_offer(&nearest, it.key);
    }
    for (size_t i = 0; is_top && i < OWN_FIELDS; i++)
        nearest_offer(&nearest, own_fields[i]);
    *ret = nearest.best;
    return nearest.best.len > 0;
}

/* ---- the checks ---------------------------------------------------------------------------------
 */

static void unknown_field(struct check *k, const char *key, const struct text *field,
                          const struct set *s, bool is_top, struct slice name)
{
    struct slice best;
    if (suggest(s, is_top, name, &best))
        report(k, field->pos,
               "`%s` names the field `%.*s`, which %.*s does not have; did you mean "
               "`%.*s`?",
               key, SLICE_ARGS(name), SLICE_ARGS(k->c->schema.s), SLICE_ARGS(best));
    else
        report(k, field->pos,
               "`%s` names the field `%.*s`, which %.*s does not have; declare it there", key,
               SLICE_ARGS(name), SLICE_ARGS(k->c->schema.s));
}

/* What a filter could not name, an index could not have. Tells of the first step that leads
 * nowhere. */
static void need_field(struct check *k, const char *key, const struct text *field)
{
    struct slice steps[FIELD_STEPS_MAX], rest = field->s;
    struct schema_place place;
    struct set now = {.n = 0};
    size_t n = 0, known = 0;
    if (!k->schema)
        return;
    if (rest.len && rest.ptr[0] == '-')
        rest = slice_skip(rest, 1);
    while (n < FIELD_STEPS_MAX && slice_cut(&rest, '.', &steps[n]))
        n++;
    if (n == 0 || (n == 1 && is_own_field(steps[0])) || schema_has_path(k->schema, steps, n))
        return;
    while (schema_has_path(k->schema, steps, known + 1))
        known++;
    set_add(&now, schema_json(k->schema, &place));
    set_spread(k, &now);
    for (size_t i = 0; i < known; i++) {
        struct set next = {.n = 0};
        step(&now, steps[i], &next);
        set_spread(k, &next);
        now = next;
    }
    unknown_field(k, key, field, &now, known == 0, steps[known]);
}

static void need_fields(struct check *k, const char *key, const struct texts *fields)
{
    for (size_t i = 0; i < fields->n; i++)
        need_field(k, key, &fields->items[i]);
}

static void check_fields(struct check *k)
{
    for (size_t i = 0; i < k->c->indexes.n; i++)
        need_fields(k, "indexes", &k->c->indexes.items[i]);
    for (size_t i = 0; i < k->c->unique.n; i++)
        need_fields(k, "unique", &k->c->unique.items[i]);
    need_fields(k, "search", &k->c->search);
    need_fields(k, "hidden", &k->c->hidden);
    for (size_t i = 0; i < k->c->refs.n; i++)
        need_field(k, "refs", &k->c->refs.items[i].field);
}

static void check_hidden(struct check *k)
{
    for (size_t i = 0; i < k->c->hidden.n; i++) {
        const struct text *field = &k->c->hidden.items[i];
        if (is_own_field(field->s))
            report(k, field->pos, "`%.*s` is in every document and cannot be hidden",
                   SLICE_ARGS(field->s));
    }
}

/* dais sets these itself: what the schema says of them could never hold. */
static void check_own_fields(struct check *k)
{
    struct slice *names;
    size_t n;
    if (!k->schema)
        return;
    schema_properties(k->schema, k->a, &names, &n);
    for (size_t i = 0; i < n; i++) {
        if (is_own_field(names[i]))
            report(k, k->c->schema.pos,
                   "%.*s declares the field `%.*s`, which dais sets itself (id, version, owner, "
                   "created, updated); give yours another name, or leave it out",
                   SLICE_ARGS(k->c->schema.s), SLICE_ARGS(names[i]));
    }
}

static bool allows_objects(const struct json *v)
{
    const struct json *type = json_find(v, SLICE("type"));
    bool found = !type || slice_is(json_str(type), "object");
    json_each (it, type)
        found |= slice_is(json_str(it.value), "object");
    return found && !is_false(v);
}

static void check_object(struct check *k)
{
    struct schema_place place;
    if (k->schema && !allows_objects(schema_json(k->schema, &place)))
        report(k, k->c->schema.pos,
               "%.*s allows no object, and a document is one; it needs \"type\": \"object\"",
               SLICE_ARGS(k->c->schema.s));
}

static void check_rules(struct check *k)
{
    const struct rules *r = &k->c->rules;
    bool has_rule = r->read.s.len || r->create.s.len || r->write.s.len || r->del.s.len;
    if (!k->c->owner && !has_rule)
        problems_add(k->p, PROBLEM_WARNING, k->m->file, k->c->name.pos,
                     "nobody can read or write `%.*s`; write `owner: true`, or who may what: "
                     "`rules: { read: public, create: signed_in, write: operator }`",
                     SLICE_ARGS(k->c->name.s));
}

/* Rules beyond the schema; one that names a misspelt field would never fail. */
static void check_checks(struct check *k)
{
    for (size_t i = 0; i < k->c->checks.n; i++) {
        const struct text *text = &k->c->checks.items[i];
        struct err e = {0};
        const struct doc_check *check = doc_check_parse(k->a, text->s, &e);
        if (!check || (k->schema && !doc_check_fits(check, k->schema, &e)))
            report(k, text->pos, "the check `%.*s` is wrong: %s",
                   (int)(text->s.len < 80 ? text->s.len : 80), text->s.ptr, e.msg);
    }
}

static void (*const checks[])(struct check *k) = {check_object, check_own_fields, check_fields,
                                                  check_hidden, check_checks,     check_rules};

/* ---- all of them --------------------------------------------------------------------------------
 */

/* NULL: it has none, it is not there (which was told), or it is wrong. */
static const struct schema *compile(struct arena *a, const struct manifest *m,
                                    const struct text *path, const struct schema_loader *schemas,
                                    struct problems *p)
{
    struct slice text;
    struct err e = {0};
    if (!path->s.len ||
        (!schemas->load(schemas->user, path->s, &text, &e) && e.code == ERR_NOT_FOUND))
        return NULL;
    const struct schema *s = schema_compile(a, path->s, schemas, &e);
    if (!s)
        problems_add(p, PROBLEM_ERROR, m->file, path->pos, "the schema is wrong: %s", e.msg);
    return s;
}

void describe_check(struct arena *a, const struct manifest *m, const struct schema_loader *schemas,
                    struct problems *p)
{
    for (size_t i = 0; i < m->collections.n; i++) {
        const struct collection *c = &m->collections.items[i];
        struct check k = {.a = a, .m = m, .c = c, .p = p};
        k.schema = compile(a, m, &c->schema, schemas, p);
        for (size_t j = 0; j < sizeof checks / sizeof *checks; j++)
            checks[j](&k);
    }
    for (size_t i = 0; i < m->jobs.n; i++)
        (void)compile(a, m, &m->jobs.items[i].input, schemas, p);
}
