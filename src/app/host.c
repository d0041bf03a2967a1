/* Which app answers a request, by host name and path. */
#include "app/app_impl.h"
#include "app/job_tokens_impl.h"
#include "base/sha256.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_BYTES       (64u << 20) /* manifests are 1 MB at most, apps 64 */
#define LONGEST_OWN_PATH (sizeof "/_/healthz" - 1)

/* ---- finding the row
 * -------------------------------------------------------------------------------- */

/* `<slug>.localhost` works without any configuration. */
static struct app *app_of_localhost(const struct host *h, struct slice name)
{
    const struct slice tail = SLICE(".localhost");
    if (name.len < tail.len || !slice_eq_nocase(slice_skip(name, name.len - tail.len), tail))
        return NULL;
    name.len -= tail.len;
    for (size_t i = 0; i < h->n_apps; i++) {
        if (slice_eq_nocase(h->apps[i].manifest->slug.s, name))
            return &h->apps[i];
    }
    return NULL;
}

struct app *host_app_of_name(const struct host *h, struct slice name)
{
    char lower[256];
    if (slice_ends(name, SLICE("."))) /* the root of all names, which may be written */
        name.len--;
    if (h->by_name.len == 0 || name.len > sizeof lower)
        return app_of_localhost(h, name);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        lower[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    struct app *app = map_find(&h->by_name, (struct slice){lower, name.len});
    return app ? app : app_of_localhost(h, name);
}

/* Such an app answers nowhere else: below a path it would share an origin with the others. */
static bool has_own_names(const struct host *h, const struct app *app)
{
    return h->n_apps > 1 && app->manifest->hosts.n;
}

/* Is the token that of a program that runs now, for this app, as a child of ours? */
static bool is_of_program(const struct app *app, const struct req *rq)
{
    struct slice token = h1_get(rq->h1, HEADER_AUTHORIZATION);
    struct job_bearer ignored;
    unsigned char digest[SHA256_LEN];
    if (!app->crew || !slice_starts_nocase(token, SLICE("Bearer " WORKER_TOKEN)))
        return false;
    sha256_of(slice_skip(token, sizeof "Bearer " - 1), digest);
    return crew_knows(app->crew, digest, rq->arena, &ignored);
}

/* A program of a job finds an app that has only names of its own by its slug. Nobody else does:
 * what a proxy keeps strangers from by its name would be theirs below that of another app, and a
 * browser would see both as one origin. */
static struct app *app_of_slug(const struct host *h, struct req *rq)
{
    const struct slice prefix = SLICE(APPS_BY_SLUG);
    if (!slice_starts(rq->path, prefix))
        return NULL;
    for (size_t i = 0; i < h->n_apps; i++) {
        struct slice slug = h->apps[i].manifest->slug.s, rest = slice_skip(rq->path, prefix.len);
        if (!slice_starts(rest, slug) || rest.len == slug.len || rest.ptr[slug.len] != '/')
            continue;
        if (!is_of_program(&h->apps[i], rq))
            return NULL;
        rq->mount = slice_first(rq->path, prefix.len + slug.len);
        rq->path = slice_skip(rest, slug.len);
        return &h->apps[i];
    }
    return NULL;
}

/* "/slug/rest" belongs to the app mounted there, which sees "/rest". */
static struct app *app_of_mount(const struct host *h, struct req *rq)
{
    for (size_t i = 0; i < h->n_apps; i++) {
        struct app *app = &h->apps[i];
        if (has_own_names(h, app) || !slice_starts(rq->path, app->mount))
            continue;
        struct slice rest = slice_skip(rq->path, app->mount.len);
        if (rest.len && rest.ptr[0] == '/') {
            rq->mount = app->mount;
            rq->path = rest;
            return app;
        }
    }
    return NULL;
}

static bool is_mount_without_slash(const struct host *h, const struct req *rq)
{
    for (size_t i = 0; i < h->n_apps; i++) {
        if (h->apps[i].mount.len && slice_eq(rq->path, h->apps[i].mount))
            return true;
    }
    return false;
}

/* A page names its dev script below the app's mount, whatever name the app is reached by. */
static void leave_mount_of_dev(const struct app *app, struct req *rq)
{
    struct slice rest = slice_skip(rq->path, app->mount.len);
    if (slice_starts(rq->path, app->mount) && slice_starts(rest, SLICE("/_/dev/")))
        rq->path = rest;
}

/* Inside an app: what is dais's below /_/, then its files. */
static const struct route *row_in_app(const struct host *h, struct app *app, struct req *rq)
{
    if (h->dev)
        leave_mount_of_dev(app, rq);
    bool is_ours = slice_starts(rq->path, SLICE("/_/"));
    if (app->signer && slice_is(rq->path, jwks_route.path)) {
        rq->site = app;
        return &jwks_route;
    }
    if (slice_is(rq->path, events_route.path)) {
        rq->site = app;
        rq->wants_identity = true;
        return &events_route;
    }
    const struct route *ours = is_ours && app->signin ? signin_find(app->signin, rq) : NULL;
    if (ours)
        return ours;
    if (is_ours && !(h->dev && slice_starts(rq->path, SLICE("/_/dev/"))))
        return &missing_route;
    const struct route *row = cors_find(&app->manifest->cors, rq);
    if (!row && app->api)
        row = api_find(app->api, rq);
    if (!row && app->edge)
        row = edge_find(app->edge, rq);
    if (row) {
        rq->wants_identity = true;
        return row;
    }
    return app->web ? web_find(app->web, rq) : &missing_route;
}

static bool lists_as_its_own(const struct app *app, struct slice path)
{
    const struct texts *routes = &app->manifest->backend.routes;
    for (size_t i = 0; app->edge && i < routes->n; i++) {
        if (slice_eq(routes->items[i].s, path))
            return true;
    }
    return false;
}

/* "/healthz" and its like are the host's, unless the app at "/" names them in its routes; those
 * below "/_/" always are. */
static bool is_taken(const struct host *h, const struct req *rq)
{
    if (slice_starts(rq->path, SLICE("/_/")))
        return false;
    const struct app *app = host_app_of_name(h, rq->host);
    if (!app && h->n_apps == 1 && !h->apps[0].mount.len)
        app = &h->apps[0];
    return app && lists_as_its_own(app, rq->path);
}

static const struct route *find_in_app(const struct host *h, struct app *app, struct req *rq)
{
    const struct route *row = row_in_app(h, app, rq);
    rq->identities = app->identities;
    rq->app = app;
    rq->wants_identity |= app->n_limits > 0;
    return row;
}

static void host_admit(struct service *s, struct req *rq)
{
    (void)s;
    if (rq->app)
        limits_check(rq->app, rq);
}

static const struct route *host_find(struct service *s, struct req *rq)
{
    struct host *h = container_of(s, struct host, service);
    const struct route *row = NULL;
    rq->site = h;
    if (rq->is_control) {
        row = router_find(h->control, rq);
        return row ? row : &missing_route;
    }
    if (rq->path.ptr[0] != '/') /* OPTIONS * */
        return &whole_route;
    if (rq->path.len <= LONGEST_OWN_PATH)
        row = router_find(h->router, rq);
    if (row && !is_taken(h, rq)) {
        if (health_is_private(row) && !is_from_here(rq))
            operators_ask(h, rq);
        return row;
    }
    struct app *app = app_of_slug(h, rq);
    if (!app)
        app = host_app_of_name(h, rq->host);
    if (!app)
        app = app_of_mount(h, rq);
    if (app)
        return find_in_app(h, app, rq);
    if (slice_is(rq->path, "/"))
        return &home_route;
    return is_mount_without_slash(h, rq) ? &to_mount_route : &missing_route;
}

/* The app's own page for an error of one of its paths. */
static bool host_error_page(struct service *s, struct req *rq, int status)
{
    struct host *h = container_of(s, struct host, service);
    if (rq->site == h || rq->is_control) /* a path of the host's */
        return false;
    if (signin_has(rq->route))
        return signin_reply_error(((struct app *)rq->app)->signin, rq, status);
    struct app *app = rq->mount.len ? NULL : host_app_of_name(h, rq->host);
    for (size_t i = 0; !app && i < h->n_apps; i++) {
        if (slice_eq(h->apps[i].mount, rq->mount))
            app = &h->apps[i];
    }
    return app && app->web && web_reply_error(app->web, rq, status);
}

/* ---- making
 * ------------------------------------------------------------------------------------------ */

static void host_free(struct service *s)
{
    struct host *h = container_of(s, struct host, service);
    for (size_t i = 0; i < h->n_apps; i++) {
        edge_free(h->apps[i].edge);
        api_free(h->apps[i].api);
        signin_free(h->apps[i].signin);
        accounts_free(h->apps[i].accounts);
        docs_free(h->apps[i].docs);
        files_free(h->apps[i].files);
        job_tokens_free(h->apps[i].tokens);
        jobs_free(h->apps[i].jobs);
        web_unref(h->apps[i].web);
        signer_free(h->apps[i].signer);
        limits_done(&h->apps[i]);
    }
    accounts_free(h->operators);
    map_done(&h->by_name);
    router_free(h->router);
    router_free(h->control);
    explicit_bzero(&h->secret, sizeof h->secret);
    arena_done(&h->arena);
    free(h);
}

static void problem_of(struct problems *p, const struct err *e, const char *setting)
{
    problems_add(p, PROBLEM_ERROR, slice_from(setting), (struct pos){0}, "%s", e->msg);
}

static void read_settings(struct host *h, const struct app_options *o, struct problems *p)
{
    struct settings_sources from = {
        .dir = arena_cstr(&h->arena, h->site->dir),
        .environ_ = (const char *const *)environ,
        .flags = {[SET_LISTEN] = o->listen, [SET_DATA] = o->data},
    };
    const struct host_conf *conf = h->site->host;
    if (conf && conf->listen.n) /* PORT changes its port */
        from.manifest[SET_LISTEN] = arena_cstr(&h->arena, conf->listen.items[0].s);
    struct err e;
    settings_load(&h->arena, &from, p, &h->settings);
    if (problems_has_errors(p)) /* it checked them */
        return;
    if (!log_conf_parse(settings_get(&h->settings, SET_LOG), &h->arena, &h->log, &e))
        problem_of(p, &e, "DAIS_LOG");
    if (!trust_parse(&h->trust, settings_get(&h->settings, SET_TRUSTED_PROXIES), &e))
        problem_of(p, &e, "DAIS_TRUSTED_PROXIES");
}

struct pairs host_expand(struct host *h, const struct app *app, const struct pairs *values)
{
    const struct settings seen = settings_of_app(&h->settings, app->manifest->slug.s);
    struct pairs out = {.n = values->n};
    out.items = arena_alloc(&h->arena, values->n * sizeof *out.items);
    for (size_t i = 0; i < values->n; i++) {
        out.items[i] = values->items[i];
        out.items[i].value.s = settings_expand(&seen, values->items[i].value.s, &h->arena);
    }
    return out;
}

/* Alone on the host an app is at "/" (or its base), else at its host names, else below /slug/. */
static void place_app(struct host *h, struct app *app)
{
    const struct manifest *m = app->manifest;
    struct slice base = m->web.base.s;
    for (size_t i = 0; i < m->hosts.n; i++)
        map_put(&h->by_name, m->hosts.items[i].s, app);
    if (has_own_names(h, app))
        app->mount = SLICE("");
    else if (h->n_apps > 1)
        app->mount = arena_printf(&h->arena, "/%.*s", SLICE_ARGS(m->slug.s));
    else
        app->mount = base.len > 1 ? slice_first(base, base.len - 1) : SLICE("");
}

static void place_apps(struct host *h, const struct app_options *o, struct problems *p)
{
    h->n_apps = h->site->n_apps;
    h->apps = arena_zalloc(&h->arena, h->n_apps * sizeof *h->apps);
    for (size_t i = 0; i < h->n_apps; i++) {
        h->apps[i].manifest = h->site->apps[i];
        const struct settings seen = settings_of_app(&h->settings, h->site->apps[i]->slug.s);
        h->apps[i].env = host_expand(h, &h->apps[i], &h->site->apps[i]->web.env.values);
        h->apps[i].is_built = app_has_root(&h->apps[i], &h->arena);
        h->apps[i].backend_url = settings_expand(&seen, h->site->apps[i]->backend.url.s, &h->arena);
        secrets_load(&h->settings, h->site->apps[i], p, &h->apps[i].secrets);
        place_app(h, &h->apps[i]);
        identity_open(h, &h->apps[i], o->identities);
    }
}

static void check_backends(struct host *h, struct problems *p)
{
    struct err e;
    for (size_t i = 0; i < h->n_apps; i++) {
        const struct manifest *m = h->apps[i].manifest;
        if (h->apps[i].backend_url.len && !edge_url_is_good(h->apps[i].backend_url, &e))
            problems_add(p, PROBLEM_ERROR, m->file, m->backend.url.pos, "%s", e.msg);
    }
}

static void compile_docs(struct host *h, struct problems *p)
{
    for (size_t i = 0; i < h->n_apps; i++) {
        struct app *app = &h->apps[i];
        app->docs = api_read(app->manifest, p);
        if (app->manifest->files.n)
            app->files = files_new(app->manifest, p);
        if (app->manifest->jobs.n)
            app->jobs = jobs_new(app->manifest, p);
    }
}

/* Everything that can be read, whatever is wrong with it. */
static struct host *load(const struct app_options *o, bool is_to_run, struct problems *p)
{
    struct host *h = mem_new(struct host);
    h->service = (struct service){.refs = 1,
                                  .find = host_find,
                                  .admit = host_admit,
                                  .free = host_free,
                                  .denied = denied_note,
                                  .error_page = host_error_page};
    arena_init(&h->arena, HOST_BYTES);
    map_init(&h->by_name);
    h->dev = o->dev;
    problems_init(p, &h->arena);
    h->site = site_load(&h->arena, o->dirs, o->n_dirs, p);
    read_settings(h, o, p);
    h->data_dir = settings_data_dir(&h->settings, h->site);
    app_settings_finish(&h->settings, h->site, is_to_run, p);
    place_apps(h, o, p);
    check_backends(h, p);
    compile_docs(h, p);
    databases_check(h, p);
    storage_check(h->site, &h->settings, p);
    mail_check(h->site, &h->settings, p);
    redis_check(&h->settings, p);
    for (size_t i = 0; i < h->n_apps; i++)
        jobs_check(h->apps[i].manifest, &h->arena, p);
    private_check(h->site, h->data_dir, &h->arena, p);
    for (size_t i = 0; is_to_run && i < h->n_apps; i++)
        secrets_check(&h->settings, h->apps[i].manifest, &h->apps[i].secrets, p);
    for (size_t i = 0; is_to_run && i < h->n_apps; i++)
        seal_check(h->apps[i].manifest, h->data_dir, p);
    return h;
}

static struct host *try(const struct app_options *o, bool is_to_run, struct buf *problems)
{
    struct problems p;
    struct host *h = load(o, is_to_run, &p);
    problems_sort(&p);
    problems_print(&p, problems);
    if (problems_has_errors(&p)) {
        service_unref(&h->service);
        return NULL;
    }
    h->router = router_new();
    h->control = router_new();
    router_add(h->router, health_routes, n_health_routes);
    router_add(h->control, health_routes, n_health_routes);
    router_add(h->control, control_routes, n_control_routes);
    router_add(h->control, command_routes, n_command_routes);
    return h;
}

struct host *host_try(const struct app_options *o, struct buf *problems)
{
    return try(o, true, problems);
}

struct host *host_read(const struct app_options *o)
{
    struct buf problems;
    buf_init(&problems, PROBLEM_BYTES);
    struct host *h = try(o, false, &problems);
    if (problems.len)
        fwrite(problems.data, 1, problems.len, stderr);
    buf_done(&problems);
    return h;
}

bool host_find_data(const struct app_options *o, char *to, size_t n)
{
    struct problems ignored;
    struct host *h = load(o, false, &ignored);
    int len = snprintf(to, n, "%s", h->data_dir);
    service_unref(&h->service);
    return len >= 0 && (size_t)len < n;
}

/* ---- its life
 * ------------------------------------------------------------------------------------------ */

static void on_files_changed(void *user)
{
    const struct app *app = user;
    log_line(LOG_INFO, "files changed", F_STR("app", app->manifest->slug.s));
}

static void open_web(struct host *h, struct app *app, struct loops *loops,
                     struct web_budget *budget)
{
    const struct web_options options = {
        .conf = &app->manifest->web,
        .dir = app->manifest->dir,
        .owner = &h->service,
        .mount = app->mount,
        .env = &app->env,
        .budget = budget,
        .loops = loops,
        .dev = h->dev,
        .on_change = on_files_changed,
        .user = app,
    };
    app->web = web_new(&options);
}

static void open_api(struct host *h, struct app *app, struct life *life)
{
    if (app_has_accounts(app))
        app_accounts_open(h, app, life);
    if (app->docs || app->files || app->jobs || app->accounts)
        app->api = api_new(&(struct api_options){.manifest = app->manifest,
                                                 .docs = app->docs,
                                                 .files = app->files,
                                                 .jobs = app->jobs,
                                                 .accounts = app->accounts,
                                                 .operators = h->operators,
                                                 .count = limits_count,
                                                 .base = app_public_url(h, app, life, &h->arena),
                                                 .user = app});
}

void host_open(struct host *h, struct life *life, struct loops *loops, struct web_budget *budget)
{
    h->life = life;
    for (size_t i = 0; i < h->n_apps; i++) {
        struct app *app = &h->apps[i];
        limits_open(h, app, life);
        if (app->docs || app->files || app->jobs)
            database_attach(h, app, life);
        if (app->files)
            store_attach(h, app, life);
        if (app->jobs)
            app_jobs_open(h, app, life);
        open_api(h, app, life);
        if (app->jobs)
            app_job_tokens_open(h, app);
        if (app->manifest->web.root.s.len)
            open_web(h, app, loops, budget);
        backend_open(h, app, life);
    }
}

void host_start(struct host *h)
{
    for (size_t i = 0; i < h->n_apps; i++) {
        if (h->apps[i].web)
            web_start(h->apps[i].web);
    }
    backends_start(h);
    mail_start(h);
    jobman_serve(h);
    h->is_started = true;
}

void host_stop(struct host *h)
{
    for (size_t i = 0; h->is_started && i < h->n_apps; i++) {
        if (h->apps[i].web)
            web_stop(h->apps[i].web);
    }
    h->is_started = false;
}

struct slice app_url(const struct app *app, struct slice base, struct slice port, struct arena *a)
{
    const struct texts *names = &app->manifest->hosts;
    if (names->n)
        return arena_printf(a, "%s//%.*s%.*s/", base.len ? "http:" : "",
                            SLICE_ARGS(names->items[0].s), SLICE_ARGS(port));
    return arena_printf(a, "%.*s%.*s/", SLICE_ARGS(base), SLICE_ARGS(app->mount));
}
