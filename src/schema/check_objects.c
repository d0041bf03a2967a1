/* Keywords of objects. */
#include "base/nearest.h"
#include "schema/check_impl.h"

static const struct schema *named(const struct named_schema *list, size_t n, struct slice name)
{
    size_t from = 0;
    while (from < n) {
        size_t middle = (from + n) / 2;
        int order = slice_cmp(list[middle].name, name);
        if (order == 0)
            return list[middle].schema;
        if (order < 0)
            from = middle + 1;
        else
            n = middle;
    }
    return NULL;
}

static bool unknown_member(struct check *c, const struct schema *s, struct slice name)
{
    struct nearest nearest = {.typed = name};
    for (size_t i = 0; is_telling(c) && i < s->n_properties; i++)
        nearest_offer(&nearest, s->properties[i].name);
    if (nearest.best.len)
        return tell_at(c, name, "additionalProperties", "is not known here; did you mean `%.*s`?",
                       SLICE_ARGS(nearest.best));
    return tell_at(c, name, "additionalProperties", "is not known here");
}

/* properties, patternProperties, additionalProperties: a member belongs to the first two, or else
 * to the last. */
static bool check_one(struct check *c, const struct schema *s, const struct json_iter *it,
                      const struct seen *seen)
{
    const struct schema *own = named(s->properties, s->n_properties, it->key);
    bool fine = !own || check_member(c, own, it->key, it->value), is_known = own != NULL;
    for (size_t i = 0; i < s->n_patterns; i++) {
        if (!check_pattern(c, s->patterns[i].regex, it->key))
            continue;
        is_known = true;
        fine = check_member(c, s->patterns[i].schema, it->key, it->value) && fine;
    }
    if (is_known || s->additional)
        seen_add(seen, it->index);
    if (is_known || !s->additional)
        return fine;
    if (s->additional->is_false)
        return unknown_member(c, s, it->key);
    return check_member(c, s->additional, it->key, it->value);
}

static bool check_name(struct check *c, const struct schema *s, struct slice name)
{
    const struct json text = {.type = JSON_STRING, .len = (uint32_t)name.len, {.ptr = name.ptr}};
    struct arena_mark mark = arena_mark(&c->scratch);
    struct json *v = arena_new(&c->scratch, struct json);
    *v = text;
    bool fine = check_quietly(c, s->names, v, &(struct seen){0});
    arena_rewind(&c->scratch, mark);
    return fine || tell_at(c, name, "propertyNames", "is not a name that is allowed here");
}

static bool check_counts(struct check *c, const struct schema *s, const struct json *v)
{
    int64_t n = (int64_t)json_len(v);
    bool fine = true;
    if (s->min_properties >= 0 && n < s->min_properties)
        fine = tell(c, "minProperties", "must have at least %lld members",
                    (long long)s->min_properties);
    if (s->max_properties >= 0 && n > s->max_properties)
        fine = tell(c, "maxProperties", "must have at most %lld members",
                    (long long)s->max_properties);
    return fine;
}

static bool check_required(struct check *c, const struct schema *s, const struct json *v)
{
    struct arena_mark mark = arena_mark(&c->scratch);
    struct members members;
    members_init(&members, v, &c->scratch);
    bool fine = true;
    for (size_t i = 0; i < s->n_required; i++) {
        if (!members_find(&members, s->required[i]))
            fine = tell_at(c, s->required[i], "required", "is missing");
    }
    for (size_t i = 0; i < s->n_needs; i++) {
        if (!members_find(&members, s->needs[i].name))
            continue;
        for (size_t j = 0; j < s->needs[i].n; j++) {
            if (!members_find(&members, s->needs[i].names[j]))
                fine = tell_at(c, s->needs[i].names[j], "dependentRequired",
                               "is missing; it goes with `%.*s`", SLICE_ARGS(s->needs[i].name));
        }
    }
    arena_rewind(&c->scratch, mark);
    return fine;
}

bool check_object(struct check *c, const struct schema *s, const struct json *v,
                  const struct seen *seen)
{
    bool fine = check_counts(c, s, v);
    if (s->n_required || s->n_needs)
        fine = check_required(c, s, v) && fine;
    for (size_t i = 0; i < s->n_dependents; i++) {
        if (json_find(v, s->dependents[i].name))
            fine = check_value(c, s->dependents[i].schema, v, seen) && fine;
    }
    if (!s->n_properties && !s->n_patterns && !s->additional && !s->names)
        return fine;
    json_each (it, v) {
        if (s->names && !check_name(c, s, it.key))
            fine = false;
        fine = check_one(c, s, &it, seen) && fine;
        if (c->gave_up)
            return false;
    }
    return fine;
}
