/* Who runs the jobs of apps: a crew for each, which outlives the readings of its manifest. Here is
 * what a crew is told: programs, their environments, and what dais's own tasks work with. */
#include "app/app_impl.h"
#include "app/job_tokens_impl.h"

#include "base/sha256.h"
#include "journal/journal.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLACE_HEX 16 /* of the name of a data folder */

struct manned {
    struct list link;
    struct arena arena;
    struct slice slug;
    struct crew_place place;
    struct crew *crew;
    bool is_stopping;
    struct jobman *of;
};

struct jobman {
    struct life *life;
    struct workers *workers;
    struct breakers *breakers;
    struct list crews;
    unsigned stopping;
    void (*stopped)(void *user);
    void *user;
};

/* ---- as whom, and where ---------------------------------------------------------------------- */

/* Nobody but us may look into the data folder, so what runs as somebody else needs another place.
 * One that only root can write to is best; what is in /var/tmp is anybody's to make first. */
static struct crew_place place_of_root(const struct host *h, struct slice slug, struct arena *a)
{
    char hex[SHA256_HEX_LEN + 1], *real = realpath(h->data_dir, NULL);
    struct sha256 digest;
    sha256_init(&digest);
    sha256_add(&digest, slice_from(real ? real : h->data_dir));
    sha256_end_hex(&digest, hex);
    free(real);
    bool has_own = access("/var/lib", W_OK) == 0 || access("/var/lib/dais-jobs", W_OK) == 0;
    return (struct crew_place){
        .base = has_own ? "/var/lib" : "/var/tmp",
        .rest = arena_printf(a, has_own ? "dais-jobs/%.*s/%.*s" : "dais-jobs-%.*s/%.*s", PLACE_HEX,
                             hex, SLICE_ARGS(slug))
                    .ptr,
        .is_shared = true,
    };
}

static struct crew_place crew_place_of(const struct host *h, struct slice slug, struct arena *a)
{
    if (geteuid() == 0)
        return place_of_root(h, slug, a);
    return (struct crew_place){.base = arena_cstr(a, slice_from(h->data_dir)),
                               .rest = arena_printf(a, "apps/%.*s/jobs", SLICE_ARGS(slug)).ptr};
}

static bool has_programs(const struct app *app)
{
    const struct manifest *m = app->manifest;
    for (size_t i = 0; app->jobs && i < m->jobs.n; i++) {
        if (m->jobs.items[i].run.s.len)
            return true;
    }
    return false;
}

bool jobs_have_place(struct host *h, struct err *e)
{
    for (size_t i = 0; i < h->n_apps; i++) {
        const struct app *app = &h->apps[i];
        if (!has_programs(app))
            continue;
        struct crew_place place = crew_place_of(h, app->manifest->slug.s, &h->arena);
        if (!crew_place_make(&place, e))
            return false;
    }
    return true;
}

/* ---- what each type is run with ---------------------------------------------------------------
 */

/* e of a secret that cannot be read: the server would not be here. */
static struct task_backup *backup_for(struct host *h, const struct app *app)
{
    struct err e;
    struct blob_store *blobs = app->store ? store_blobs(app->store) : NULL;
    struct backup *of = arena_new(&h->arena, struct backup);
    struct task_backup *ret = arena_new(&h->arena, struct task_backup);
    if (!backup_of(h, app, blobs, NULL, &h->arena, of, &e)) {
        log_line(LOG_WARN, "backups cannot be made", F_STR("app", app->manifest->slug.s),
                 F_CSTR("reason", e.msg));
        return NULL;
    }
    *ret = (struct task_backup){.source = &of->source, .dir = of->dir, .rule = of->rule};
    return ret;
}

static struct task_place *place_of(struct host *h, const struct app *app, struct life *life)
{
    struct task_place *place = arena_new(&h->arena, struct task_place);
    *place = (struct task_place){
        .app = app->manifest->slug.s,
        .title = app->manifest->title.s,
        .from_url = app_public_url(h, app, life, &h->arena),
        .docs = app->docs,
        .files = app->files,
        .jobs = app->jobs,
        .slot = database_slot(life, app->manifest->slug.s),
        .breakers = life->jobman->breakers,
        .backup = backup_for(h, app),
    };
    return place;
}

static void open_kind(struct host *h, struct app *app, struct life *life, struct worker_kind *kind,
                      struct task_place *place)
{
    const struct job *conf = job_type_conf(kind->type);
    if (conf->use.s.len) {
        struct pairs *with = arena_new(&h->arena, struct pairs);
        *with = host_expand(h, app, &conf->with);
        kind->task = task_find(conf->use.s);
        kind->user = place;
        kind->with = with;
        return;
    }
    struct slice *hidden;
    kind->program = jobs_program(app->manifest, conf, &h->arena);
    kind->env = worker_environment(h, app, conf, life);
    kind->n_hidden = backend_hidden(h, app, &hidden);
    kind->hidden = hidden;
    if (!jobs_user(&kind->uid, &kind->gid))
        return;
    const struct passwd *who = getpwuid(kind->uid);
    kind->user_name = who ? arena_cstr(&h->arena, slice_from(who->pw_name)) : NULL;
}

static void open_kinds(struct host *h, struct app *app, struct life *life)
{
    struct task_place *place = place_of(h, app, life);
    size_t n = job_type_count(app->jobs);
    app->kinds = arena_zalloc(&h->arena, n * sizeof *app->kinds);
    for (size_t i = 0; i < n; i++) {
        app->kinds[i].type = job_type_at(app->jobs, i);
        open_kind(h, app, life, &app->kinds[i], place);
    }
}

struct broken {
    struct slice slug;
    struct events *events;
};

/* Many of one type within a minute are one event. */
static void on_broken(void *user, const struct job_row *row)
{
    const struct broken *of = user;
    char detail[400];
    snprintf(detail, sizeof detail, "%s, job %.*s: %.*s", job_error_slug(row->error_code),
             SLICE_ARGS(row->id), SLICE_ARGS(row->error));
    log_line(LOG_WARN, "a job failed for good", F_STR("app", of->slug), F_STR("job", row->type),
             F_STR("id", row->id), F_CSTR("code", job_error_slug(row->error_code)),
             F_STR("reason", row->error));
    events_note(of->events,
                &(struct event){
                    .kind = EVENT_JOB_FAILED, .object = row->type, .detail = slice_from(detail)},
                clock_wall_ms());
}

void app_jobs_open(struct host *h, struct app *app, struct life *life)
{
    struct broken *broken = arena_new(&h->arena, struct broken);
    *broken = (struct broken){app->manifest->slug.s, database_events(life, app->manifest->slug.s)};
    jobs_on_broken(app->jobs, on_broken, broken);
    if (jobs_have_triggers(app->jobs) && app->docs)
        docs_on_change(app->docs, jobs_on_change, app->jobs);
    if (jobs_have_triggers(app->jobs) && app->files)
        files_on_change(app->files, jobs_on_change, app->jobs);
    if (life->jobman) /* not in a command */
        open_kinds(h, app, life);
}

static bool knows(void *user, const unsigned char token[32], struct arena *a,
                  struct job_bearer *ret)
{
    const struct app *app = user;
    return app->crew && crew_knows(app->crew, token, a, ret);
}

void app_job_tokens_open(const struct host *h, struct app *app)
{
    bool has_local = !app_has_accounts(app) || slice_is(app->manifest->auth.local.s, "none");
    app->tokens = job_tokens_new(&(struct job_tokens_options){
        .rest = app->identities,
        .jobs = app->jobs,
        .accounts = app->accounts,
        .operators = h->operators,
        .local = has_local ? &app->local.who : NULL,
        .roles = &app->manifest->auth.roles,
        .knows = knows,
        .user = app,
    });
    app->identities = job_tokens_source(app->tokens);
    if (app->is_given)
        return;
    jobs_guard(app->jobs, job_tokens_is_in);
    if (app->docs)
        docs_guard(app->docs, job_tokens_is_in);
    if (app->files)
        files_guard(app->files, job_tokens_is_in);
}

/* ---- crews: loop 0 --------------------------------------------------------------------------- */

static struct manned *find(const struct jobman *m, struct slice slug)
{
    list_each (link, &m->crews) {
        struct manned *it = container_of(link, struct manned, link);
        if (slice_eq(it->slug, slug))
            return it;
    }
    return NULL;
}

static struct manned *man(struct jobman *m, const struct host *h, const struct app *app)
{
    struct manned *it = mem_new(struct manned);
    arena_init(&it->arena, 64u << 10);
    if (!m->workers)
        m->workers = workers_new(m->life->loops, m->life->spawner);
    it->of = m;
    it->slug = arena_dup(&it->arena, app->manifest->slug.s);
    it->place = crew_place_of(h, it->slug, &it->arena);
    it->crew = crew_new(m->workers, it->slug, database_slot(m->life, it->slug), &it->place);
    list_add(&m->crews, &it->link);
    return it;
}

static bool has_jobs(const struct host *h, struct slice slug)
{
    for (size_t i = 0; i < h->n_apps; i++) {
        if (h->apps[i].jobs && slice_eq(h->apps[i].manifest->slug.s, slug))
            return true;
    }
    return false;
}

void jobman_serve(struct host *h)
{
    struct jobman *m = h->life->jobman;
    for (size_t i = 0; i < h->n_apps; i++) {
        struct app *app = &h->apps[i];
        if (!app->jobs)
            continue;
        struct manned *it = find(m, app->manifest->slug.s);
        if (!it)
            it = man(m, h, app);
        app->crew = it->crew;
        crew_serve(it->crew, &(struct crew_plan){.jobs = app->jobs,
                                                 .service = &h->service,
                                                 .kinds = app->kinds,
                                                 .n = job_type_count(app->jobs)});
    }
    list_each (link, &m->crews) {
        struct manned *it = container_of(link, struct manned, link);
        if (!has_jobs(h, it->slug))
            crew_serve(it->crew, NULL);
    }
}

static void on_stopped(void *user)
{
    struct jobman *m = user;
    if (--m->stopping == 0)
        m->stopped(m->user);
}

void jobman_stop(struct life *l, void (*stopped)(void *user), void *user)
{
    struct jobman *m = l->jobman;
    m->stopped = stopped;
    m->user = user;
    m->stopping = 1; /* ours, so that it comes once, at the earliest at the end of this */
    list_each (link, &m->crews) {
        struct manned *it = container_of(link, struct manned, link);
        m->stopping++;
        crew_stop(it->crew, on_stopped, m);
    }
    on_stopped(m);
}

void jobman_open(struct life *l)
{
    struct jobman *m = mem_new(struct jobman);
    m->life = l;
    m->breakers = breakers_new();
    list_init(&m->crews);
    l->jobman = m;
}

void jobman_free(struct life *l)
{
    struct jobman *m = l->jobman;
    if (!m)
        return;
    list_each_safe (link, &m->crews) {
        struct manned *it = container_of(link, struct manned, link);
        crew_free(it->crew);
        crew_place_leave(&it->place);
        arena_done(&it->arena);
        free(it);
    }
    if (m->workers)
        workers_free(m->workers);
    breakers_free(m->breakers);
    free(m);
    l->jobman = NULL;
}

/* ---- what is told of them -------------------------------------------------------------------- */

void jobs_text(const struct host *h, struct buf *to)
{
    for (size_t i = 0; i < h->n_apps; i++) {
        if (h->apps[i].crew)
            crew_text(h->apps[i].crew, to);
    }
}
