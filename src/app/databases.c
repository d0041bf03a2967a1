/* Where each app's database is; the same one for every reading of its manifest. */
#include "app/limits_impl.h"

#include "files/files.h"
#include "journal/journal.h"
#include "mail/mail.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IDLE_MS  60000
#define OPEN_MAX 64 /* at once */

#define PRUNE_MS   (24 * 3600 * 1000)
#define PRUNE_ROWS 500   /* at once */
#define RETRY_MS   10000 /* for events that could not be written */

struct database {
    struct list link;
    struct arena arena;
    struct slice slug; /* "_host": the operators'; no app is called so */
    struct db_options options;
    struct db_slot *slot;
    struct account_store *accounts; /* in it, once asked for */
    struct mail_box mail;
    bool has_letters; /* with the lock; not only those of accounts */
    struct limit_share *limits;
    struct events *events;
    int64_t pruned_ms, failed_ms; /* the keeper's */
};

/* Steps are run in this order by every database there is: new ones come last. */
const struct db_migration *app_migrations(void)
{
    static struct db_migration all[10];
    all[0] = docs_migrations[0];
    all[1] = docs_migrations[1];
    all[2] = accounts_migration;
    all[3] = mail_migrations[0];
    all[4] = events_migration;
    all[5] = limits_migration;
    all[6] = mail_migrations[1];
    all[7] = files_migration;
    all[8] = jobs_migrations[0];
    return all;
}

static bool is_postgres(struct slice url)
{
    return slice_starts(url, SLICE("postgres://")) || slice_starts(url, SLICE("postgresql://"));
}

/* It may be there for the app's own programs, and nothing needs it. */
void redis_check(const struct settings *s, struct problems *p)
{
    struct slice url = settings_get(s, SET_REDIS_URL);
    struct err e;
    if (url.len && is_postgres(settings_get(s, SET_DATABASE_URL)) && !db_redis_check(url, &e))
        problems_add(p, PROBLEM_WARNING, SLICE("REDIS_URL"), (struct pos){0},
                     "%s; until then servers wake each other up through Postgres", e.msg);
}

void databases_check(struct host *h, struct problems *p)
{
    struct slice url = settings_get(&h->settings, SET_DATABASE_URL);
    size_t n = 0;
    for (size_t i = 0; i < h->n_apps; i++)
        n += h->apps[i].docs || h->apps[i].files || h->apps[i].jobs;
    if (n > 1 && url.len && !is_postgres(url))
        problems_add(
            p, PROBLEM_ERROR, SLICE("DATABASE_URL"), (struct pos){0},
            "%.*s is one file, and there are %zu apps with collections, files or jobs; leave it "
            "out (each has its own below %s), or name a Postgres",
            SLICE_ARGS(url), n, h->data_dir);
}

/* "sqlite:///notes.db" is beside the manifest, "sqlite:////var/lib/notes.db" is not. */
static struct slice file_of(struct host *h, const struct app *app, struct arena *a)
{
    struct slice url = settings_get(&h->settings, SET_DATABASE_URL);
    struct slice path = slice_skip(url, sizeof "sqlite:///" - 1);
    if (!url.len)
        return arena_printf(a, "%s/apps/%.*s/app.db", h->data_dir,
                            SLICE_ARGS(app->manifest->slug.s));
    if (slice_starts(path, SLICE("/")))
        return arena_dup(a, path);
    return arena_printf(a, "%.*s/%.*s", SLICE_ARGS(h->site->dir), SLICE_ARGS(path));
}

void database_make_folders(struct arena *a, struct slice file)
{
    for (size_t i = 1; i < file.len; i++) {
        if (file.ptr[i] == '/')
            mkdir(arena_cstr(a, slice_first(file, i)), 0700);
    }
}

static void set_options(struct host *h, const struct app *app, struct arena *a,
                        struct db_options *ret)
{
    struct slice url = settings_get(&h->settings, SET_DATABASE_URL);
    *ret = (struct db_options){.migrations = app_migrations()};
    if (is_postgres(url)) {
        ret->url = arena_dup(a, url);
        ret->schema = arena_dup(a, app->manifest->slug.s);
        struct slice redis = settings_get(&h->settings, SET_REDIS_URL);
        if (redis.len && db_redis_check(redis, NULL))
            ret->redis_url = arena_dup(a, redis);
    } else {
        ret->path = file_of(h, app, a).ptr;
    }
}

static void set_host_options(struct host *h, struct arena *a, struct db_options *ret)
{
    struct slice url = settings_get(&h->settings, SET_DATABASE_URL);
    *ret = (struct db_options){.migrations = app_migrations()};
    if (is_postgres(url)) {
        ret->url = arena_dup(a, url);
        ret->schema = SLICE(HOST_SLUG);
    } else {
        ret->path = arena_printf(a, "%s/host.db", h->data_dir).ptr;
    }
}

void database_options(struct host *h, const struct app *app, struct arena *a,
                      struct db_options *ret)
{
    if (app)
        set_options(h, app, a, ret);
    else
        set_host_options(h, a, ret);
}

/* Beside a file; on Postgres the next restore does it. */
static void forget_draft(struct host *h, const struct app *app, struct arena *a)
{
    struct db_options options, draft;
    struct err e;
    database_options(h, app, a, &options);
    db_beside(&options, a, &draft);
    if (options.path && !db_drop(&draft, &e))
        log_line(LOG_WARN, "what a restore that was killed left could not be removed",
                 F_CSTR("reason", e.msg));
}

void databases_forget_drafts(struct host *h)
{
    struct arena a;
    arena_init(&a, 1u << 20);
    for (size_t i = 0; i < h->n_apps; i++) {
        if (app_keeps_something(&h->apps[i]))
            forget_draft(h, &h->apps[i], &a);
    }
    forget_draft(h, NULL, &a);
    arena_done(&a);
}

/* app NULL: the host's own */
static struct database *database_new(struct host *h, const struct app *app, struct life *life)
{
    struct database *d = mem_new(struct database);
    arena_init(&d->arena, 1u << 20);
    d->slug = app ? arena_dup(&d->arena, app->manifest->slug.s) : SLICE(HOST_SLUG);
    database_options(h, app, &d->arena, &d->options);
    d->options.loops = life->loops;
    if (d->options.path)
        database_make_folders(&d->arena, slice_from(d->options.path));
    d->slot = db_slot_new(&d->options);
    d->mail.slot = d->slot;
    d->mail.path = d->options.path;
    d->events = events_new();
    return d;
}

struct db *database_open_to_read(struct host *h, const struct app *app, bool *ret_there,
                                 struct err *e)
{
    struct db_options options;
    struct arena a;
    arena_init(&a, 1u << 20);
    database_options(h, app, &a, &options);
    options.is_reader = true;
    *ret_there = !options.path || access(options.path, F_OK) == 0;
    struct db *db = *ret_there ? db_open(&options, e) : NULL;
    *ret_there = db || (*ret_there && e->code != ERR_NOT_FOUND);
    arena_done(&a);
    return db;
}

/* With the lock. app NULL: the host's own. */
static struct database *find_or_make(struct host *h, const struct app *app, struct life *life)
{
    struct slice slug = app ? app->manifest->slug.s : SLICE(HOST_SLUG);
    list_each (link, &life->databases) {
        struct database *d = container_of(link, struct database, link);
        if (slice_eq(d->slug, slug))
            return d;
    }
    struct database *made = database_new(h, app, life);
    list_add(&life->databases, &made->link);
    return made;
}

void database_attach(struct host *h, struct app *app, struct life *life)
{
    pthread_mutex_lock(&life->databases_lock);
    struct database *d = find_or_make(h, app, life);
    d->has_letters |= app_writes_letters(app);
    pthread_mutex_unlock(&life->databases_lock);
    if (app->docs)
        docs_attach(app->docs, d->slot);
    if (app->jobs)
        jobs_attach(app->jobs, d->slot);
}

static struct account_store *accounts_in(struct host *h, const struct app *app, struct life *life)
{
    pthread_mutex_lock(&life->databases_lock);
    struct database *d = find_or_make(h, app, life);
    if (!d->accounts)
        account_store_tell(d->accounts = account_store_new(d->slot, !app), d->events);
    pthread_mutex_unlock(&life->databases_lock);
    return d->accounts;
}

struct account_store *database_accounts(struct host *h, const struct app *app, struct life *life)
{
    return accounts_in(h, app, life);
}

struct account_store *database_operators(struct host *h, struct life *life)
{
    return accounts_in(h, NULL, life);
}

struct limit_share *database_limits(struct host *h, const struct app *app, struct life *life)
{
    pthread_mutex_lock(&life->databases_lock);
    struct database *d = find_or_make(h, app, life);
    if (!d->limits)
        d->limits = limit_share_new(d->slot, !d->options.path);
    pthread_mutex_unlock(&life->databases_lock);
    return d->limits;
}

/* They are never removed while the server lives, so a copy of the list holds. */
static struct database **all_of(struct life *l, size_t *ret_n)
{
    size_t n = 0;
    pthread_mutex_lock(&l->databases_lock);
    list_each (link, &l->databases)
        n++;
    struct database **all = mem_alloc((n + 1) * sizeof *all);
    n = 0;
    list_each (link, &l->databases)
        all[n++] = container_of(link, struct database, link);
    pthread_mutex_unlock(&l->databases_lock);
    *ret_n = n;
    return all;
}

/* ---- events ---------------------------------------------------------------------------------- */

/* NULL: there is none. */
static struct database *database_called(struct life *l, struct slice slug)
{
    struct database *found = NULL;
    pthread_mutex_lock(&l->databases_lock);
    list_each (link, &l->databases) {
        struct database *d = container_of(link, struct database, link);
        if (slice_eq(d->slug, slug.len ? slug : SLICE(HOST_SLUG)))
            found = d;
    }
    pthread_mutex_unlock(&l->databases_lock);
    return found;
}

struct events *database_events(struct life *l, struct slice slug)
{
    struct database *d = database_called(l, slug);
    return d ? d->events : NULL;
}

struct db_slot *database_slot(struct life *l, struct slice slug)
{
    struct database *d = database_called(l, slug);
    return d ? d->slot : NULL;
}

/* The host's own is not made for this. */
static bool may_open(const struct database *d)
{
    bool is_there = d->options.path ? access(d->options.path, F_OK) == 0 : d->options.url.len > 0;
    return !slice_is(d->slug, HOST_SLUG) || (is_there && d->accounts);
}

static void write_events(struct database *d, bool all)
{
    struct err e;
    int64_t now = clock_wall_ms();
    if (!may_open(d) || !events_are_due(d->events, all, now))
        return;
    struct db *db = db_slot_open(d->slot, &e);
    bool fine = db && events_flush(d->events, db, all, now, &e);
    if (db)
        db_slot_leave(d->slot);
    d->failed_ms = fine ? 0 : clock_mono_ms();
    if (!fine)
        log_line(LOG_WARN, "events could not be written; it is tried again", F_STR("app", d->slug),
                 F_CSTR("reason", e.msg));
}

static bool run_prune(void *arg, struct db_conn *c, struct err *e)
{
    return events_prune(c, clock_wall_ms(), PRUNE_ROWS, arg, e);
}

/* Once after the start, then daily, in a database that is open anyway. */
static bool prune_events(struct database *d, int64_t now_ms)
{
    struct err e;
    int64_t n = 0;
    if (d->pruned_ms && now_ms - d->pruned_ms < PRUNE_MS)
        return false;
    struct db *db = db_slot_enter(d->slot);
    if (!db)
        return false;
    bool fine = db_write_now(db, run_prune, &n, &e);
    db_slot_leave_quietly(d->slot);
    bool has_more = fine && n == PRUNE_ROWS;
    if (fine && !has_more)
        d->pruned_ms = now_ms;
    return has_more;
}

bool databases_tend_events(struct life *l)
{
    int64_t now = clock_mono_ms();
    bool has_more = false;
    size_t n;
    struct database **all = all_of(l, &n);
    for (size_t i = 0; i < n; i++) {
        if (all[i]->failed_ms && now - all[i]->failed_ms < RETRY_MS)
            continue;
        write_events(all[i], false);
        has_more |= prune_events(all[i], now);
    }
    free(all);
    return has_more;
}

/* ---- streams of who is signed in ------------------------------------------------------------- */

static struct account_store **account_stores(struct life *l, size_t *ret_n)
{
    size_t n = 0;
    pthread_mutex_lock(&l->databases_lock);
    list_each (link, &l->databases)
        n++;
    struct account_store **all = mem_alloc((n + 1) * sizeof *all);
    *ret_n = 0;
    list_each (link, &l->databases) {
        struct database *d = container_of(link, struct database, link);
        if (d->accounts)
            all[(*ret_n)++] = d->accounts;
    }
    pthread_mutex_unlock(&l->databases_lock);
    return all;
}

bool databases_have_streams(struct life *l)
{
    bool any = false;
    pthread_mutex_lock(&l->databases_lock);
    list_each (link, &l->databases) {
        struct database *d = container_of(link, struct database, link);
        any |= d->accounts && accounts_have_streams(d->accounts);
    }
    pthread_mutex_unlock(&l->databases_lock);
    return any;
}

void databases_look_at_streams(struct life *l)
{
    size_t n;
    struct account_store **all = account_stores(l, &n);
    for (size_t i = 0; i < n; i++) {
        if (accounts_have_streams(all[i]))
            accounts_look_at_streams(all[i]);
    }
    free(all);
}

/* ---- letters --------------------------------------------------------------------------------- */

struct mail_box **databases_mail(struct life *l, size_t *ret_n)
{
    size_t n = 0;
    pthread_mutex_lock(&l->databases_lock);
    list_each (link, &l->databases)
        n++;
    struct mail_box **boxes = mem_alloc((n + 1) * sizeof *boxes);
    *ret_n = 0;
    list_each (link, &l->databases) {
        struct database *d = container_of(link, struct database, link);
        if (d->accounts || d->has_letters)
            boxes[(*ret_n)++] = &d->mail;
    }
    pthread_mutex_unlock(&l->databases_lock);
    return boxes;
}

bool databases_any(struct life *l)
{
    pthread_mutex_lock(&l->databases_lock);
    bool any = !list_is_empty(&l->databases);
    pthread_mutex_unlock(&l->databases_lock);
    return any;
}

void databases_tidy(struct life *l)
{
    size_t n;
    struct database **all = all_of(l, &n);
    struct db_slot **slots = mem_alloc((n + 1) * sizeof *slots);
    for (size_t i = 0; i < n; i++)
        slots[i] = all[i]->slot;
    db_slots_tidy(slots, n, IDLE_MS, OPEN_MAX);
    free(slots);
    free(all);
}

void databases_end(struct life *l)
{
    list_each (link, &l->databases) {
        struct database *d = container_of(link, struct database, link);
        if (!db_slot_has_failed(d->slot))
            write_events(d, true);
        db_slot_end(d->slot);
    }
}

void databases_free(struct life *l)
{
    list_each_safe (link, &l->databases) {
        struct database *d = container_of(link, struct database, link);
        account_store_free(d->accounts);
        limit_share_free(d->limits);
        db_slot_free(d->slot);
        events_free(d->events);
        arena_done(&d->arena);
        free(d);
    }
    list_init(&l->databases);
}

/* ---- what is told of them -------------------------------------------------------------------- */

bool databases_are_postgres(const struct host *h)
{
    return is_postgres(settings_get(&h->settings, SET_DATABASE_URL));
}

/* One that nobody uses is not opened for this, unless it is a server elsewhere: whether that is
 * there is what a balancer asks before it sends the first request. One that could not be opened is
 * tried again. */
static const char *check(const struct host *h, struct db_slot *slot)
{
    struct err e;
    struct db *db = db_slot_enter(slot);
    if (!db && !databases_are_postgres(h) && !db_slot_has_failed(slot))
        return "idle";
    if (!db && !(db = db_slot_open(slot, &e)))
        return "failing";
    bool fine = db_ping(db, &e);
    db_slot_leave_quietly(slot);
    return fine ? "ready" : "failing";
}

bool databases_check_ready(const struct host *h, struct buf *to)
{
    bool is_ready = true;
    for (size_t i = 0; i < h->n_apps; i++) {
        const struct app *app = &h->apps[i];
        if (!app->docs && !app->files && !app->jobs)
            continue;
        const char *state = check(h, database_slot(h->life, app->manifest->slug.s));
        is_ready &= state[0] != 'f';
        buf_printf(to, "%s\"database:%.*s\":\"%s\"", to->len ? "," : "",
                   SLICE_ARGS(app->manifest->slug.s), state);
    }
    return is_ready;
}

/* ---- figures --------------------------------------------------------------------------------- */

/*         name                                     type       help */
#define FIGURE_MAP(X)                                                                             \
    X("dais_database_open", "gauge", "Is it open? It closes when nobody asks.", is_open)          \
    X("dais_database_writes_total", "counter", "Changes answered since it was opened.", writes)   \
    X("dais_database_failed_total", "counter", "Of them, refused or failed.", failed)             \
    X("dais_database_commits_total", "counter", "Waits for the disk that changes shared.",        \
      commits)                                                                                    \
    X("dais_database_commit_microseconds_total", "counter", "Time that commits took.", commit_us) \
    X("dais_database_redone_total", "counter", "Changes run again alone.", redone)                \
    X("dais_database_checkpoints_total", "counter", "Copies of the log into the file.",           \
      checkpoints)                                                                                \
    X("dais_database_log_bytes", "gauge", "Size of the log.", wal_bytes)                          \
    X("dais_database_waiting", "gauge", "Changes that wait for the writer.", waiting)             \
    X("dais_database_readers", "gauge", "Connections that read.", readers)                        \
    X("dais_mail_waiting", "gauge", "Letters that no server has taken yet.", mail_waiting)        \
    X("dais_mail_sent_total", "counter", "Letters that were taken.", mail_sent)                   \
    X("dais_mail_failed_total", "counter", "Letters that were given up.", mail_failed)
struct figures {
#define X(name, type, help, member) uint64_t member;
    FIGURE_MAP(X)
#undef X
};

static struct figures figures_of(const struct database *d)
{
    struct db_stats s = {0};
    struct db *db = db_slot_enter(d->slot);
    if (db) {
        db_stats(db, &s);
        db_slot_leave_quietly(d->slot);
    }
    return (struct figures){
        .is_open = db != NULL,
        .writes = s.writes,
        .failed = s.failed,
        .commits = s.commits,
        .commit_us = s.commit_ns / 1000,
        .redone = s.redone,
        .checkpoints = s.checkpoints,
        .wal_bytes = s.wal_bytes,
        .waiting = s.waiting,
        .readers = s.readers,
        .mail_waiting = atomic_load(&d->mail.waiting),
        .mail_sent = atomic_load(&d->mail.sent),
        .mail_failed = atomic_load(&d->mail.failed),
    };
}

void databases_metrics(struct life *l, struct buf *out)
{
    static const struct {
        const char *name, *type, *help;
        size_t at;
    } rows[] = {
#define X(name, type, help, member) {name, type, help, offsetof(struct figures, member)},
        FIGURE_MAP(X)
#undef X
    };
    pthread_mutex_lock(&l->databases_lock);
    for (size_t i = 0; !list_is_empty(&l->databases) && i < sizeof rows / sizeof *rows; i++) {
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", rows[i].name, rows[i].help, rows[i].name,
                   rows[i].type);
        list_each (link, &l->databases) {
            const struct database *d = container_of(link, struct database, link);
            struct figures f = figures_of(d);
            buf_printf(out, "%s{app=\"%.*s\"} %llu\n", rows[i].name, SLICE_ARGS(d->slug),
                       *(unsigned long long *)((char *)&f + rows[i].at));
        }
    }
    pthread_mutex_unlock(&l->databases_lock);
}
