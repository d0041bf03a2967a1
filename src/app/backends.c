/* The backends of a host's apps: where they are, and those that dais runs. One that the host before
 * ran with the same words goes on; any other is started, and takes over once it is ready. */
#include "app/app_impl.h"

#include "journal/journal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* data/run holds the sockets of backends; absolute, as they run elsewhere. NULL: it cannot be. */
static const char *socket_dir(struct host *h)
{
    const char *dir = arena_printf(&h->arena, "%s/run", h->data_dir).ptr;
    struct stat st;
    if ((mkdir(dir, 0700) != 0 && errno != EEXIST) || stat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
        return NULL;
    char *real = realpath(dir, NULL);
    const char *kept = real ? arena_cstr(&h->arena, slice_from(real)) : NULL;
    free(real);
    return kept;
}

void backends_clean(const char *data_dir)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/run", data_dir);
    DIR *dir = opendir(path);
    for (struct dirent *it; dir && (it = readdir(dir));) {
        if (slice_ends(slice_from(it->d_name), SLICE(".sock")))
            unlinkat(dirfd(dir), it->d_name, 0);
    }
    if (dir)
        closedir(dir);
}

static struct backend *find_running(const struct host *old, const struct backend_options *o)
{
    for (size_t i = 0; old && i < old->n_apps; i++) {
        struct backend *b = old->apps[i].edge ? edge_backend(old->apps[i].edge) : NULL;
        if (b && backend_is_same(b, o))
            return backend_ref(b);
    }
    return NULL;
}

static struct backend *find_backend(const struct host *h, struct slice slug)
{
    for (size_t i = 0; i < h->n_apps; i++) {
        if (h->apps[i].edge && slice_eq(h->apps[i].manifest->slug.s, slug))
            return edge_backend(h->apps[i].edge);
    }
    return NULL;
}

/* What comes before its first start, if anything does; its mask at any rate. */
static struct prepare *preparation(struct host *h, const struct app *app, const struct life *life,
                                   const struct pairs *env)
{
    struct slice *hidden;
    struct prepare_options o = {
        .conf = &app->manifest->backend,
        .app = app->manifest->slug.s,
        .dir = app->manifest->dir,
        .data_dir = h->data_dir,
        .env = env,
        .loops = life->loops,
        .spawner = life->spawner,
        .is_running = life->host != h && find_backend(life->host, app->manifest->slug.s),
        .is_draining = &life->is_draining,
    };
    o.n_hidden = backend_hidden(h, app, &hidden);
    o.hidden = hidden;
    return prepare_new(&o);
}

static void on_ended(void *user, struct slice app, unsigned number, const char *why)
{
    char object[32];
    snprintf(object, sizeof object, "instance %u", number);
    life_note(user, app,
              &(struct event){.kind = EVENT_BACKEND_ENDED,
                              .object = slice_from(object),
                              .detail = slice_from(why)});
}

static struct backend *backend_of(struct host *h, struct app *app, struct life *life, struct err *e)
{
    const struct manifest *m = app->manifest;
    struct pairs env = backend_environment(h, app, life);
    bool is_ours = m->backend.run.s.len > 0;
    struct address to;
    struct backend_options o = {
        .conf = &m->backend,
        .app = m->slug.s,
        .dir = m->dir,
        .env = &env,
        .socket_dir = socket_dir(h),
        .loops = life->loops,
        .spawner = life->spawner,
        .all = &life->backends,
        .ended = on_ended,
        .user = life,
    };
    if (is_ours && !o.socket_dir) {
        err_set(e, ERR_IO, "the folder %s/run cannot be made", h->data_dir);
        return NULL;
    }
    if (is_ours && !environment_fits(&env, e))
        return NULL;
    if (!is_ours) {
        edge_url_read(app->backend_url, &to, &o.authority);
        o.to = &to;
    } else {
        o.prepare = preparation(h, app, life, &env);
    }
    bool starts_anew = h->renews_backends && is_ours;
    struct backend *b = starts_anew ? NULL : find_running(life->host == h ? NULL : life->host, &o);
    bool is_new = !b;
    if (is_new)
        b = backend_new(&o, e);
    if (!is_new || !b)
        prepare_unref(o.prepare);
    return b;
}

void backend_open(struct host *h, struct app *app, struct life *life)
{
    struct err e;
    const struct backend_conf *conf = &app->manifest->backend;
    if (!conf->run.s.len && !app->backend_url.len)
        return;
    const struct edge_options o = {
        .conf = conf,
        .app = app->manifest->slug.s,
        .backend = backend_of(h, app, life, &e),
        .web = app->web,
        .public_url = settings_get(&h->settings, SET_PUBLIC_URL),
        .signer = app->signer,
        .web_conf = &app->manifest->web,
        .has_cors = app->manifest->cors.pos.line > 0,
        .has_sign_in = app_has_accounts(app),
    };
    if (o.backend) {
        app->edge = edge_new(&o);
        return;
    }
    app->backend_why = arena_cstr(&h->arena, slice_from(e.msg));
    log_line(LOG_ERROR, "the backend cannot be run", F_STR("app", app->manifest->slug.s),
             F_CSTR("why", e.msg));
}

void backends_start(struct host *h)
{
    for (size_t i = 0; i < h->n_apps; i++) {
        struct slice slug = h->apps[i].manifest->slug.s;
        struct backend *b = find_backend(h, slug), *old = find_backend(h->life->host, slug);
        if (b && old && b != old)
            backend_give_way(old);
        if (b)
            edge_start(h->apps[i].edge);
    }
}

enum backend_state backends_trial(const struct host *h, struct err *e)
{
    struct err of_one;
    enum backend_state worst = BACKEND_READY;
    for (size_t i = 0; i < h->n_apps; i++) {
        struct slice slug = h->apps[i].manifest->slug.s;
        if (h->apps[i].backend_why) {
            err_set(e, ERR_UNAVAILABLE, "the backend of %.*s cannot be run: %s", SLICE_ARGS(slug),
                    h->apps[i].backend_why);
            return BACKEND_FAILING;
        }
        struct backend *b = find_backend(h, slug);
        bool is_new = b && b != find_backend(h->life->host, slug);
        enum backend_state state = is_new ? backend_trial(b, &of_one) : BACKEND_READY;
        if (state <= worst)
            continue;
        worst = state;
        err_set(e, of_one.code, "the backend of %.*s was not replaced: %s", SLICE_ARGS(slug),
                of_one.msg);
    }
    return worst;
}

void backends_retire(struct host *old, const struct host *next)
{
    for (size_t i = 0; i < old->n_apps; i++) {
        struct slice slug = old->apps[i].manifest->slug.s;
        struct backend *b = find_backend(old, slug), *other = find_backend(next, slug);
        if (b && b != other)
            backend_retire(b, other);
    }
}
