/* `env` of a target: its values are written as they are; `$$` is a dollar, and `$NAME`, the value
 * of another variable, is only for Compose on one's own machine, which has a way to write it. */
#include "render/rows_impl.h"

struct slice env_plain(struct arena *a, struct slice value)
{
    char *to = arena_alloc(a, value.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < value.len; i++) {
        to[n++] = value.ptr[i];
        i += value.ptr[i] == '$';
    }
    to[n] = '\0';
    return (struct slice){to, n};
}

/* A dollar that is not doubled. */
static bool has_reference(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] != '$')
            continue;
        i++;
        if (i == value.len || value.ptr[i] != '$')
            return true;
    }
    return false;
}

const struct pair *env_find(const struct target *t, struct slice name)
{
    for (size_t i = 0; t && i < t->env.n; i++) {
        if (slice_eq(t->env.items[i].key.s, name))
            return &t->env.items[i];
    }
    return NULL;
}

void check_env_is_plain(const struct manifest *m, const struct target *t, struct problems *p)
{
    for (size_t i = 0; t && i < t->env.n; i++) {
        const struct pair *it = &t->env.items[i];
        if (has_reference(it->value.s))
            problems_add(p, PROBLEM_ERROR, m->file, it->value.pos,
                         "env: %.*s takes the value of another variable, which nothing there would "
                         "fill in; write the value, `$$` for a dollar, or name it in secrets:",
                         SLICE_ARGS(it->key.s));
    }
}
