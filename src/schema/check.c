/* Checking: one value against one schema, its keywords in groups, in the order of schema_impl.h.
 *
 * What was evaluated is noted in bits of the value's members, each schema in its own; they become
 * the caller's when the schema holds, which is what the standard calls annotations. */
#include "schema/check_impl.h"

#include <string.h>

/* ---- going down ---------------------------------------------------------------------------------
 */

bool check_member(struct check *c, const struct schema *s, struct slice name, const struct json *v)
{
    size_t depth = c->pointer.len;
    unsigned refs = c->refs;
    c->refs = 0;
    json_pointer_add(&c->pointer, name);
    bool fine = check_value(c, s, v, &(struct seen){0});
    buf_truncate(&c->pointer, depth);
    c->refs = refs;
    return fine;
}

bool check_item(struct check *c, const struct schema *s, size_t index, const struct json *v)
{
    size_t depth = c->pointer.len;
    unsigned refs = c->refs;
    c->refs = 0;
    json_pointer_add_index(&c->pointer, index);
    bool fine = check_value(c, s, v, &(struct seen){0});
    buf_truncate(&c->pointer, depth);
    c->refs = refs;
    return fine;
}

bool check_quietly(struct check *c, const struct schema *s, const struct json *v,
                   const struct seen *seen)
{
    struct violations *to = c->to;
    c->to = NULL;
    bool fine = check_value(c, s, v, seen);
    c->to = to;
    return fine;
}

/* ---- alternatives -------------------------------------------------------------------------------
 */

static const struct schema *behind(const struct schema *s)
{
    for (int i = 0; s->ref && i < 16; i++)
        s = s->ref;
    return s;
}

bool check_choice(struct check *c, const struct json *choices, const struct json *v)
{
    c->steps += json_len(choices) / 64;
    json_each (it, choices) {
        if (values_equal(it.value, v))
            return true;
    }
    return false;
}

/* Could the value be meant for this alternative: by its type, and by members with a constant? */
static bool is_meant(struct check *c, const struct schema *s, const struct json *v)
{
    s = behind(s);
    if (s->types && !(s->types & TYPE_BIT(json_type(v))) &&
        !((s->types & TYPE_INTEGER) && json_type(v) == JSON_NUMBER))
        return false;
    for (size_t i = 0; i < s->n_properties; i++) {
        const struct schema *member = behind(s->properties[i].schema);
        const struct json *value = json_find(v, s->properties[i].name);
        if (!value)
            continue;
        if (member->constant && !values_equal(member->constant, value))
            return false;
        if (member->choices && !check_choice(c, member->choices, value))
            return false;
    }
    return !s->is_false;
}

/* None holds: tell what is wrong with the only one that can be meant, or that there is none. */
static bool tell_none(struct check *c, const char *code, const struct schema **list, size_t n,
                      const struct json *v)
{
    const struct schema *meant = NULL;
    size_t n_meant = 0;
    if (!is_telling(c))
        return tell(c, code, "is none that is allowed here");
    for (size_t i = 0; i < n; i++) {
        if (is_meant(c, list[i], v)) {
            meant = list[i];
            n_meant++;
        }
    }
    if (n_meant == 1)
        return check_value(c, meant, v, &(struct seen){0});
    return tell(c, code, "is none of the %zu kinds that are allowed here", n);
}

static bool check_any(struct check *c, const struct schema *s, const struct json *v,
                      const struct seen *seen)
{
    bool holds = false;
    for (size_t i = 0; i < s->n_any; i++) {
        holds = check_quietly(c, s->any[i], v, seen) || holds;
        if (holds && !seen->bits)
            return true;
    }
    return holds || tell_none(c, "anyOf", s->any, s->n_any, v);
}

static bool check_one_of(struct check *c, const struct schema *s, const struct json *v,
                         const struct seen *seen)
{
    size_t holds = 0;
    for (size_t i = 0; i < s->n_one; i++)
        holds += check_quietly(c, s->one[i], v, seen);
    if (holds > 1)
        return tell(c, "oneOf", "is %zu of the %zu kinds at once; it must be exactly one", holds,
                    s->n_one);
    return holds == 1 || tell_none(c, "oneOf", s->one, s->n_one, v);
}

static bool check_combined(struct check *c, const struct schema *s, const struct json *v,
                           const struct seen *seen)
{
    bool fine = true;
    for (size_t i = 0; i < s->n_all; i++)
        fine = check_value(c, s->all[i], v, seen) && fine;
    if (s->n_any)
        fine = check_any(c, s, v, seen) && fine;
    if (s->n_one)
        fine = check_one_of(c, s, v, seen) && fine;
    if (s->not_ && check_quietly(c, s->not_, v, &(struct seen){0}))
        fine = tell(c, "not", "is what is not allowed here");
    if (s->if_) {
        const struct schema *next = check_quietly(c, s->if_, v, seen) ? s->then : s->else_;
        fine = (!next || check_value(c, next, v, seen)) && fine;
    }
    return fine;
}

/* ---- references ---------------------------------------------------------------------------------
 */

/* The outermost resource that was entered and has the anchor decides. */
static const struct schema *dynamic_goal(const struct check *c, const struct schema *s)
{
    for (size_t i = 0; s->dynamic_name.len && i < c->n_scope; i++) {
        const struct resource *r = c->scope[i];
        for (size_t k = 0; k < r->n_dynamic; k++) {
            if (slice_eq(r->dynamic[k].name, s->dynamic_name))
                return r->dynamic[k].schema;
        }
    }
    return s->dynamic_ref;
}

/* ---- a value ------------------------------------------------------------------------------------
 */

/* Told even where only yes or no was asked; from here on nothing else is, for all answers are no.
 */
static bool give_up(struct check *c, const char *code, const char *sentence)
{
    struct violations *to = c->to;
    c->to = c->all;
    tell(c, code, "%s", sentence);
    c->to = to;
    c->gave_up = true;
    return false;
}

bool check_pattern(struct check *c, const struct regex *r, struct slice text)
{
    if (c->gave_up)
        return false;
    uint64_t left = c->steps < SCHEMA_STEPS_MAX ? SCHEMA_STEPS_MAX - c->steps : 0;
    enum regex_answer answer = regex_find(r, text, &left);
    c->steps = SCHEMA_STEPS_MAX - left;
    return answer == REGEX_TOO_LONG
               ? give_up(c, "too_long", "looking for a pattern in this takes too long")
               : answer == REGEX_FOUND;
}

static bool check_keywords(struct check *c, const struct schema *s, const struct json *v,
                           const struct seen *seen)
{
    bool fine = check_scalar(c, s, v);
    if (s->ref)
        fine = check_value(c, s->ref, v, seen) && fine;
    if (s->dynamic_ref)
        fine = check_value(c, dynamic_goal(c, s), v, seen) && fine;
    fine = check_combined(c, s, v, seen) && fine;
    if (json_type(v) == JSON_OBJECT)
        fine = check_object(c, s, v, seen) && fine;
    else if (json_type(v) == JSON_ARRAY)
        fine = check_array(c, s, v, seen) && fine;
    if (s->unevaluated_items || s->unevaluated_properties)
        fine = check_unevaluated(c, s, v, seen) && fine;
    return fine;
}

/* With bits of its own where somebody may ask for them. */
static bool check_noting(struct check *c, const struct schema *s, const struct json *v,
                         const struct seen *seen)
{
    size_t words = json_type(v) >= JSON_ARRAY ? json_len(v) / 64 + 1 : 0;
    struct seen own = {0};
    if (words)
        own.bits = arena_zalloc(&c->scratch, words * sizeof *own.bits);
    bool fine = check_keywords(c, s, v, &own);
    for (size_t i = 0; fine && seen->bits && i < words; i++)
        seen->bits[i] |= own.bits[i];
    return fine;
}

bool check_value(struct check *c, const struct schema *s, const struct json *v,
                 const struct seen *seen)
{
    if (c->gave_up)
        return false;
    if (s->is_false)
        return tell(c, "false", "is not allowed here");
    if (json_type(s->at) == JSON_BOOL)
        return true;
    if (c->refs == SCHEMA_REFS_MAX)
        return give_up(c, "too_deep", "the schema refers to itself without end here");
    if (c->depth == SCHEMA_DEPTH_MAX)
        return give_up(c, "too_deep", "this is nested more deeply than can be checked");
    if (++c->steps > SCHEMA_STEPS_MAX)
        return give_up(c, "too_long",
                       "checking this takes too long; the schema is too complicated");
    struct arena_mark mark = arena_mark(&c->scratch);
    size_t n_scope = c->n_scope;
    c->depth++;
    c->refs++;
    if (!n_scope || c->scope[n_scope - 1] != s->resource)
        c->scope[c->n_scope++] = s->resource;
    bool fine = s->notes ? check_noting(c, s, v, seen) : check_keywords(c, s, v, seen);
    c->n_scope = n_scope;
    c->depth--;
    c->refs--;
    arena_rewind(&c->scratch, mark);
    return fine;
}

bool schema_check(const struct schema *s, const struct json *doc, struct violations *to)
{
    struct check c = {.to = to, .all = to};
    arena_init(&c.scratch, 512u << 20);
    buf_init(&c.pointer, 64u << 20);
    bool fine = check_value(&c, s, doc, &(struct seen){0});
    buf_done(&c.pointer);
    arena_done(&c.scratch);
    return fine && !c.gave_up;
}
