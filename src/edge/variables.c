/* Puts together what a process of the app finds in its environment. */
#include "edge/variables_impl.h"

#include <stdlib.h>

static const char *const passed[] = {"PATH", "HOME", "LANG", "TZ"};

#define N_PASSED (sizeof passed / sizeof *passed)

const char **variables_make(struct arena *a, const char *const *more, const struct pairs *own)
{
    size_t n = 0, n_more = 0;
    while (more[n_more])
        n_more++;
    const char **env = arena_alloc(a, (N_PASSED + n_more + own->n + 1) * sizeof *env);
    for (size_t i = 0; i < N_PASSED; i++) {
        const char *value = getenv(passed[i]);
        if (value)
            env[n++] = arena_printf(a, "%s=%s", passed[i], value).ptr;
    }
    for (size_t i = 0; i < n_more; i++)
        env[n++] = more[i];
    for (size_t i = 0; i < own->n; i++)
        env[n++] = arena_printf(a, "%.*s=%.*s", SLICE_ARGS(own->items[i].key.s),
                                SLICE_ARGS(own->items[i].value.s))
                       .ptr;
    env[n] = NULL;
    return env;
}
