/* What a schema declares: the names of properties, and whether a path can lead anywhere. */
#include "base/mem.h"
#include "schema/schema_impl.h"

#include <stdlib.h>
#include <string.h>

#define ALIKE_MAX 1000 /* schemas that hold for one value; more of them declare anything */

/* Schemas that hold for the same value, each once. */
struct alike {
    const struct schema *items[ALIKE_MAX];
    size_t n;
    bool is_full;
};

/* Not cleared: most values have one schema or two. */
static struct alike *alike_new(void)
{
    struct alike *to = mem_alloc(sizeof *to);
    to->n = 0;
    to->is_full = false;
    return to;
}

static void add(struct alike *to, const struct schema *s)
{
    for (size_t i = 0; s && i < to->n; i++) {
        if (to->items[i] == s)
            return;
    }
    to->is_full |= s && to->n == ALIKE_MAX;
    if (s && to->n < ALIKE_MAX)
        to->items[to->n++] = s;
}

static void add_all(struct alike *to, const struct schema **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add(to, list[i]);
}

/* And what is beside each of them. */
static void add_beside(struct alike *to)
{
    for (size_t i = 0; i < to->n; i++) {
        const struct schema *s = to->items[i];
        add(to, s->ref);
        add(to, s->dynamic_ref);
        add_all(to, s->all, s->n_all);
        add_all(to, s->any, s->n_any);
        add_all(to, s->one, s->n_one);
        add(to, s->if_);
        add(to, s->then);
        add(to, s->else_);
        for (size_t k = 0; k < s->n_dependents; k++)
            add(to, s->dependents[k].schema);
    }
}

static bool is_closed(const struct schema *s)
{
    return (s->additional && s->additional->is_false && !s->n_patterns) ||
           (s->unevaluated_properties && s->unevaluated_properties->is_false);
}

/* ---- names --------------------------------------------------------------------------------------
 */

static int by_text(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

bool schema_properties(const struct schema *s, struct arena *a, struct slice **ret_names,
                       size_t *ret_n)
{
    struct alike *all = alike_new();
    size_t n = 0, kept = 0;
    bool closed = false;
    add(all, s);
    add_beside(all);
    for (size_t i = 0; i < all->n; i++)
        n += all->items[i]->n_properties;
    struct slice *names = arena_alloc(a, (n + 1) * sizeof *names);
    n = 0;
    for (size_t i = 0; i < all->n; i++) {
        closed |= is_closed(all->items[i]);
        for (size_t k = 0; k < all->items[i]->n_properties; k++)
            names[n++] = all->items[i]->properties[k].name;
    }
    qsort(names, n, sizeof *names, by_text);
    for (size_t i = 0; i < n; i++) {
        if (!kept || !slice_eq(names[kept - 1], names[i]))
            names[kept++] = names[i];
    }
    *ret_names = names;
    *ret_n = kept;
    closed = closed && !all->is_full;
    free(all);
    return closed;
}

/* ---- paths --------------------------------------------------------------------------------------
 */

static bool is_index(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    }
    return s.len > 0;
}

/* What the schemas of one value say of a step. */
struct answer {
    bool is_declared, has_names, is_open, is_shut;
};

static bool lead(const struct schema *goal, struct alike *next, struct answer *ret)
{
    ret->is_declared |= !goal->is_false;
    add(next, goal);
    return true;
}

static bool is_form(const struct schema *s)
{
    return s && json_type(s->at) == JSON_OBJECT;
}

/* Adds where the step leads to `next`. */
static void ask(const struct schema *s, struct slice step, struct alike *next, struct answer *ret)
{
    bool found = false;
    for (size_t i = 0; i < s->n_properties; i++) {
        if (slice_eq(s->properties[i].name, step))
            found = lead(s->properties[i].schema, next, ret);
    }
    for (size_t i = 0; i < s->n_patterns; i++) {
        uint64_t steps = SCHEMA_STEPS_MAX;
        if (regex_find(s->patterns[i].regex, step, &steps) == REGEX_FOUND)
            found = lead(s->patterns[i].schema, next, ret);
    }
    for (size_t i = 0; i < s->n_prefix && is_index(step); i++)
        found = lead(s->prefix[i], next, ret);
    if (s->items && is_index(step))
        found = lead(s->items, next, ret);
    if (!found && is_form(s->additional))
        add(next, s->additional);
    bool has_parts = !s->types || s->types & (TYPE_BIT(JSON_OBJECT) | TYPE_BIT(JSON_ARRAY));
    ret->has_names |= s->n_properties || s->n_patterns || s->is_false;
    ret->is_open |= is_form(s->additional) || is_form(s->unevaluated_properties);
    ret->is_shut |= is_closed(s) || !has_parts || s->is_false;
}

static bool step_into(const struct alike *from, struct slice step, bool is_first,
                      struct alike *next)
{
    struct answer is = {0};
    next->n = 0;
    next->is_full = from->is_full;
    for (size_t i = 0; i < from->n; i++)
        ask(from->items[i], step, next, &is);
    add_beside(next);
    if (is.is_declared || next->is_full)
        return true;
    if (is_first && (is.has_names || is.is_shut))
        return is.is_open;
    return !is.is_shut;
}

bool schema_has_path(const struct schema *s, const struct slice *steps, size_t n)
{
    struct alike *now = alike_new(), *next = alike_new();
    bool has = true;
    add(now, s);
    add_beside(now);
    for (size_t i = 0; has && i < n; i++) {
        struct alike *other = now;
        has = step_into(now, steps[i], i == 0, next);
        now = next;
        next = other;
    }
    free(now);
    free(next);
    return has;
}
