/* What the store of secrets adds to the settings. */
#include "app/app_impl.h"

#include <string.h>

static void problem_of(struct problems *p, const struct err *e, const char *file)
{
    problems_add(p, PROBLEM_ERROR, slice_from(file), (struct pos){0}, "%s", e->msg);
}

static void add_store(struct settings *s, const struct site *site, struct problems *p)
{
    const char *data_dir = settings_data_dir(s, site);
    struct vault v;
    struct err e;
    if (!vault_open(&v, s->arena, data_dir, settings_get(s, SET_SECRET), &e)) {
        problem_of(p, &e, "secrets");
        return;
    }
    struct stored *stored = arena_alloc(s->arena, v.n * sizeof *stored);
    for (size_t i = 0; i < v.n; i++)
        stored[i] = (struct stored){v.items[i].app, v.items[i].name, v.items[i].value};
    settings_add_stored(s, stored, v.n, p);
}

/* Told where it is set and not where it would be used: an example must not go on unseen until
 * somebody turns accounts on. */
static bool check_secret(const struct settings *s, struct problems *p)
{
    struct slice given = settings_get(s, SET_SECRET);
    struct root_secret unused;
    struct err e;
    bool fine = !given.len || root_secret_from(&unused, given, &e);
    if (!fine)
        problem_of(p, &e, "settings");
    explicit_bzero(&unused, sizeof unused);
    return fine;
}

void app_settings_finish(struct settings *s, const struct site *site, bool to_serve,
                         struct problems *p)
{
    if (!to_serve || check_secret(s, p))
        add_store(s, site, p);
}
