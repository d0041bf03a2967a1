/* References that lead back to where they stand without going down into the document: checking
 * would never end, whatever the document, so that compiling refuses them. */
#include "schema/schema_impl.h"

enum { NEW, OPEN, DONE };

/* The n-th schema that is always asked about the same value; NULL: there are no more. */
static const struct schema *nth(const struct schema *s, size_t n)
{
    const struct schema *const single[] = {s->ref, s->not_, s->if_, s->n_any ? s->any[0] : NULL};
    for (size_t i = 0; i < sizeof single / sizeof *single; i++) {
        if (single[i] && n-- == 0)
            return single[i];
    }
    if (n < s->n_all)
        return s->all[n];
    return n - s->n_all < s->n_one ? s->one[n - s->n_all] : NULL;
}

struct place {
    struct schema *schema;
    size_t next;
};

static struct place enter(const struct schema *s)
{
    struct schema *own = (struct schema *)(uintptr_t)s; /* it is being compiled */
    own->mark = OPEN;
    return (struct place){own, 0};
}

/* The last reference of those that are open. */
static const struct schema *last_ref(const struct place *stack, size_t n)
{
    while (n > 1 && !stack[n - 1].schema->ref)
        n--;
    return stack[n - 1].schema;
}

const struct schema *find_circle(struct arena *a, struct schema *const *all, size_t n, size_t most)
{
    struct place *stack = arena_alloc(a, (most + 1) * sizeof *stack);
    for (size_t i = 0; i < n; i++) {
        size_t height = 0;
        if (all[i] && all[i]->mark == NEW)
            stack[height++] = enter(all[i]);
        while (height) {
            struct place *at = &stack[height - 1];
            const struct schema *below = nth(at->schema, at->next++);
            if (!below) {
                at->schema->mark = DONE;
                height--;
            } else if (below->mark == OPEN) {
                return last_ref(stack, height);
            } else if (below->mark == NEW) {
                stack[height++] = enter(below);
            }
        }
    }
    return NULL;
}
