/* Figures of jobs for /metrics: the queues, if their databases are open, and what the crews of this
 * server did. */
#include "app/app_impl.h"

/*     name                           type       help */
#define FIGURE_MAP(X)                                                                            \
    X("dais_jobs_queued", "gauge", "Jobs that wait, those of all servers on the database.",      \
      queued)                                                                                    \
    X("dais_jobs_running", "gauge", "Jobs that run, on all servers.", running)                   \
    X("dais_jobs_oldest_seconds", "gauge", "How long the oldest one that could run has waited.", \
      oldest_s)                                                                                  \
    X("dais_jobs_claimed_total", "counter", "Attempts begun by this server.", claimed)           \
    X("dais_jobs_succeeded_total", "counter", "Jobs that succeeded here.", succeeded)            \
    X("dais_jobs_failed_total", "counter", "Jobs that failed here for good.", failed)            \
    X("dais_jobs_cancelled_total", "counter", "Jobs that were cancelled here while they ran.",   \
      cancelled)                                                                                 \
    X("dais_jobs_again_total", "counter", "Attempts here that another one follows.", again)      \
    X("dais_jobs_lost_total", "counter", "Attempts whose process was lost.", lost)               \
    X("dais_jobs_wait_milliseconds_total", "counter", "From being ready to being begun here.",   \
      wait_ms)                                                                                   \
    X("dais_jobs_run_milliseconds_total", "counter", "Time that attempts here took.", run_ms)
struct figures {
#define X(name, type, help, member) uint64_t member;
    FIGURE_MAP(X)
#undef X
};

struct row {
    const struct app *app;
    struct slice type;
    struct figures of;
};

static int64_t age_s(int64_t since_ms, int64_t now_ms)
{
    return since_ms && now_ms > since_ms ? (now_ms - since_ms) / 1000 : 0;
}

/* A database that nobody uses is not opened for this. */
static void add_queue(const struct app *app, struct arena *a, struct row *rows)
{
    struct err e;
    struct db *db = db_slot_enter(jobs_slot(app->jobs));
    struct db_conn *c = db ? db_conn_take(db, &e) : NULL;
    struct job_figures *found = arena_zalloc(a, job_type_count(app->jobs) * sizeof *found);
    bool fine = c && jobs_figures(app->jobs, c, found, &e);
    for (size_t i = 0; fine && i < job_type_count(app->jobs); i++) {
        rows[i].of.queued = found[i].queued;
        rows[i].of.running = found[i].running;
        rows[i].of.oldest_s = (uint64_t)age_s(found[i].oldest_ms, clock_wall_ms());
    }
    if (c)
        db_conn_give(c);
    if (db)
        db_slot_leave_quietly(jobs_slot(app->jobs));
}

static void add_crew(const struct app *app, struct row *rows)
{
    for (size_t i = 0; app->crew && i < job_type_count(app->jobs); i++) {
        struct crew_figures f = crew_figures(app->crew, rows[i].type);
        rows[i].of.claimed = f.claimed;
        rows[i].of.succeeded = f.succeeded;
        rows[i].of.failed = f.failed;
        rows[i].of.cancelled = f.cancelled;
        rows[i].of.again = f.again;
        rows[i].of.lost = f.lost;
        rows[i].of.wait_ms = f.wait_ms;
        rows[i].of.run_ms = f.run_ms;
    }
}

static struct row *rows_of(const struct host *h, struct arena *a, size_t *ret_n)
{
    size_t n = 0;
    for (size_t i = 0; i < h->n_apps; i++)
        n += h->apps[i].jobs ? job_type_count(h->apps[i].jobs) : 0;
    struct row *rows = arena_zalloc(a, (n + 1) * sizeof *rows), *next = rows;
    for (size_t i = 0; i < h->n_apps; i++) {
        const struct app *app = &h->apps[i];
        size_t types = app->jobs ? job_type_count(app->jobs) : 0;
        for (size_t t = 0; t < types; t++) {
            next[t].app = app;
            next[t].type = job_type_conf(job_type_at(app->jobs, t))->name.s;
        }
        if (types) {
            add_queue(app, a, next);
            add_crew(app, next);
        }
        next += types;
    }
    *ret_n = n;
    return rows;
}

void jobs_metrics(const struct host *h, struct arena *a, struct buf *out)
{
    static const struct {
        const char *name, *type, *help;
        size_t at;
    } figures[] = {
#define X(name, type, help, member) {name, type, help, offsetof(struct figures, member)},
        FIGURE_MAP(X)
#undef X
    };
    size_t n;
    const struct row *rows = rows_of(h, a, &n);
    for (size_t i = 0; n && i < sizeof figures / sizeof *figures; i++) {
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", figures[i].name, figures[i].help,
                   figures[i].name, figures[i].type);
        for (size_t r = 0; r < n; r++)
            buf_printf(
                out, "%s{app=\"%.*s\",type=\"%.*s\"} %llu\n", figures[i].name,
                SLICE_ARGS(rows[r].app->manifest->slug.s), SLICE_ARGS(rows[r].type),
                (unsigned long long)*(const uint64_t *)((const char *)&rows[r].of + figures[i].at));
    }
}
