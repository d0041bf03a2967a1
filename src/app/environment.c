/* What a backend finds in its environment besides PATH and the like: where it is reached, the app's
 * secrets it may have, and its own `env`, which wins. */
#include "app/app_impl.h"

#include "loop/spawn.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define ENVIRONMENT_MAX 1000

/* "http://127.0.0.1:8000" for the first listener; people on this machine reach one that takes all
 * addresses there too. Empty for a socket with a path. */
static struct slice listener_url(const struct listener *ln, struct slice *ret_port, struct arena *a)
{
    struct address at;
    char text[ADDRESS_TEXT_LEN];
    listener_address(ln, &at);
    bool is_v4 = at.sa.any.sa_family == AF_INET;
    if (!is_v4 && at.sa.any.sa_family != AF_INET6)
        return SLICE("");
    if (is_v4 && at.sa.v4.sin_addr.s_addr == htonl(INADDR_ANY))
        at.sa.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (!is_v4 && IN6_IS_ADDR_UNSPECIFIED(&at.sa.v6.sin6_addr))
        at.sa.v6.sin6_addr = in6addr_loopback;
    uint16_t port = ntohs(is_v4 ? at.sa.v4.sin_port : at.sa.v6.sin6_port);
    *ret_port = port == 80 ? SLICE("") : arena_printf(a, ":%u", port);
    address_text(&at, text);
    return arena_printf(a, "http://%s", text);
}

static struct slice without_slash(struct slice url)
{
    return slice_ends(url, SLICE("/")) ? slice_first(url, url.len - 1) : url;
}

/* The setting speaks of the host: an app below a path of it adds that, one with a name of its own
 * only shares the scheme. */
struct slice app_public_url(const struct host *h, const struct app *app, const struct life *life,
                            struct arena *a)
{
    struct slice set = without_slash(settings_get(&h->settings, SET_PUBLIC_URL)), port;
    const struct texts *names = &app->manifest->hosts;
    if (set.len && h->n_apps > 1 && names->n)
        return arena_printf(a, "%s://%.*s", slice_starts(set, SLICE("https:")) ? "https" : "http",
                            SLICE_ARGS(names->items[0].s));
    if (set.len && app->mount.len && slice_ends(set, app->mount))
        return set;
    if (set.len)
        return arena_printf(a, "%.*s%.*s", SLICE_ARGS(set), SLICE_ARGS(app->mount));
    if (!life || !life->n_listeners) /* a command beside no server */
        return SLICE("");
    struct slice base = listener_url(life->listeners[0], &port, a);
    return base.len ? without_slash(app_url(app, base, port, a)) : base;
}

static void put(struct pairs *env, struct slice name, struct slice value)
{
    for (size_t i = 0; i < env->n; i++) {
        if (slice_eq(env->items[i].key.s, name)) {
            env->items[i].value.s = value;
            return;
        }
    }
    struct pair *pair = &env->items[env->n++];
    *pair = (struct pair){.key.s = name, .value.s = value};
}

struct pairs backend_environment(struct host *h, const struct app *app, const struct life *life)
{
    const struct manifest *m = app->manifest;
    struct pairs own = host_expand(h, app, &m->backend.env), env = {0};
    env.items = arena_zalloc(&h->arena, (1 + app->secrets.n + own.n) * sizeof *env.items);
    struct slice url = app_public_url(h, app, life, &h->arena);
    if (url.len)
        put(&env, SLICE("PUBLIC_URL"), url);
    for (size_t i = 0; i < app->secrets.n; i++) {
        const struct secret *it = &app->secrets.items[i];
        if (it->value.len && backend_gets_secret(m, it->name))
            put(&env, it->name, it->value);
    }
    for (size_t i = 0; i < own.n; i++)
        put(&env, own.items[i].key.s, own.items[i].value.s);
    return env;
}

/* ---- of a job's program ---------------------------------------------------------------------- */

/* Where a program on this machine calls the app, without a slash at its end. One that answers at
 * names of its own only is found by its slug (host.c). Empty: behind a socket alone. */
static struct slice api_url(const struct app *app, const struct host *h, const struct life *life,
                            struct arena *a)
{
    struct slice port, api = without_slash(app->manifest->api.s), base = SLICE("");
    for (size_t i = 0; !base.len && i < life->n_listeners; i++)
        base = listener_url(life->listeners[i], &port, a);
    if (!base.len)
        return base;
    bool has_own_names = h->n_apps > 1 && app->manifest->hosts.n;
    if (has_own_names)
        return arena_printf(a, "%.*s" APPS_BY_SLUG "%.*s%.*s", SLICE_ARGS(base),
                            SLICE_ARGS(app->manifest->slug.s), SLICE_ARGS(api));
    return arena_printf(a, "%.*s%.*s%.*s", SLICE_ARGS(base), SLICE_ARGS(app->mount),
                        SLICE_ARGS(api));
}

static void put_ours(struct pairs *env, struct arena *a)
{
    static const char *const passed[] = {"PATH", "LANG", "TZ"};
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++) {
        const char *value = getenv(passed[i]);
        if (value)
            put(env, slice_from(passed[i]), arena_dup(a, slice_from(value)));
    }
}

static const char *const *as_texts(const struct pairs *env, struct arena *a)
{
    const char **texts = arena_alloc(a, (env->n + 1) * sizeof *texts);
    for (size_t i = 0; i < env->n; i++)
        texts[i] = arena_printf(a, "%.*s=%.*s", SLICE_ARGS(env->items[i].key.s),
                                SLICE_ARGS(env->items[i].value.s))
                       .ptr;
    texts[env->n] = NULL;
    return texts;
}

const char *const *worker_environment(struct host *h, const struct app *app, const struct job *conf,
                                      const struct life *life)
{
    struct arena *a = &h->arena;
    struct pairs own = host_expand(h, app, &conf->env), env = {0};
    env.items = arena_zalloc(a, (8 + app->secrets.n + own.n) * sizeof *env.items);
    struct slice public = app_public_url(h, app, life, a), api = api_url(app, h, life, a);
    put_ours(&env, a);
    if (public.len)
        put(&env, SLICE("PUBLIC_URL"), public);
    if (api.len)
        put(&env, SLICE("DAIS_API"), api);
    for (size_t i = 0; i < app->secrets.n; i++) {
        const struct secret *it = &app->secrets.items[i];
        if (it->value.len && secrets_cover(&conf->secrets, it->name))
            put(&env, it->name, it->value);
    }
    for (size_t i = 0; i < own.n; i++)
        put(&env, own.items[i].key.s, own.items[i].value.s);
    return as_texts(&env, a);
}

bool environment_fits(const struct pairs *env, struct err *e)
{
    size_t bytes = 0;
    for (size_t i = 0; i < env->n; i++)
        bytes += env->items[i].key.s.len + env->items[i].value.s.len + sizeof "=";
    if (bytes <= PROCESS_MAX_BYTES && env->n <= ENVIRONMENT_MAX)
        return true;
    return err_set(e, ERR_MANIFEST,
                   "its environment has %zu variables of %zu KB; a process can be given %d of %d "
                   "KB: put large values into files and name these",
                   env->n, bytes >> 10, ENVIRONMENT_MAX, PROCESS_MAX_BYTES >> 10);
}

size_t backend_hidden(struct host *h, const struct app *app, struct slice **ret)
{
    const struct settings *s = &h->settings;
    *ret = arena_alloc(&h->arena, (app->secrets.n + s->n_stored + SETTING_COUNT) * sizeof **ret);
    size_t n = settings_secrets(&h->settings, *ret);
    for (size_t i = 0; i < app->secrets.n; i++) {
        if (app->secrets.items[i].value.len)
            (*ret)[n++] = app->secrets.items[i].value;
    }
    for (size_t i = 0; i < s->n_stored; i++) /* `env` may name what `secrets` does not */
        (*ret)[n++] = s->stored[i].value;
    return n;
}
