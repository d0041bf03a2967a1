/* How many jobs a second the queue takes and gives, and that no statement looks at a whole table.
 *
 * DAIS_TEST_JOBS: how many (2,000 when it is not set; figures are told, not judged). */
#include "jobs_test.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

static const char manifest[] =
    "app: t\n"
    "jobs:\n"
    "  work: { run: jobs/work, concurrency: 0 }\n"
    "  rich: { run: jobs/work, concurrency: { total: 100, per_user: 10 }, retries: 3,"
    " quota: { runs: 100000, minutes: 1000 }, cache: { key: [n] }, schedule: '* * * * *' }\n"
    "  open: { run: jobs/work, rules: { read: public } }\n";

RIG_OF(manifest)

static size_t how_many(void)
{
    uint64_t n;
    return slice_to_u64(slice_from(getenv("DAIS_TEST_JOBS")), &n) ? n : 2000;
}

/* ---- speed ----------------------------------------------------------------------------------- */

#define AHEAD 512

struct adding {
    struct db_write write;
    struct arena arena;
    struct job_order order;
    int64_t began_ns;
    struct flood *flood;
};
struct flood {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct adding all[AHEAD];
    struct adding *idle[AHEAD];
    size_t n_idle;
};

static bool run_add(struct db_write *w, struct db_conn *c, struct err *e)
{
    int64_t ignored;
    return job_order_apply(&container_of(w, struct adding, write)->order, c, rig.now, &ignored, e);
}

static void added(struct db_write *w, const struct err *e)
{
    struct adding *x = container_of(w, struct adding, write);
    if (e)
        fail_msg("%s", e->msg);
    pthread_mutex_lock(&x->flood->lock);
    x->flood->idle[x->flood->n_idle++] = x;
    pthread_cond_signal(&x->flood->cond);
    pthread_mutex_unlock(&x->flood->lock);
}

static void begin(struct adding *x, size_t i)
{
    arena_reset(&x->arena);
    x->order = (struct job_order){
        .jobs = rig.jobs,
        .type = job_type_at(rig.jobs, 0),
        .arena = &x->arena,
        .text = SLICE("{\"a\":1}"),
        .owner = arena_printf(&x->arena, "user%zu", i % 50),
        .is_trusted = true,
    };
    OK(job_order_check(&x->order, &err));
    x->write = (struct db_write){.run = run_add, .done = added};
    assert_true(db_write(jobs_db(rig.jobs), &x->write));
}

static void add_all(size_t n)
{
    struct flood *f = mem_new(struct flood);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->cond, NULL);
    for (size_t i = 0; i < AHEAD; i++) {
        arena_init(&f->all[i].arena, 1u << 16);
        f->all[i].flood = f;
        f->idle[f->n_idle++] = &f->all[i];
    }
    for (size_t i = 0; i < n + AHEAD; i++) { /* at last only waits for the rest */
        pthread_mutex_lock(&f->lock);
        while (!f->n_idle)
            pthread_cond_wait(&f->cond, &f->lock);
        struct adding *x = f->idle[--f->n_idle];
        pthread_mutex_unlock(&f->lock);
        if (i < n)
            begin(x, i);
    }
    for (size_t i = 0; i < AHEAD; i++)
        arena_done(&f->all[i].arena);
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->cond);
    free(f);
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void tell_latency(void)
{
    enum { N = 300 };
    static int64_t ns[N];
    for (int i = 0; i < N; i++) {
        int64_t began = clock_mono_ns();
        add("work");
        ns[i] = clock_mono_ns() - began;
    }
    qsort(ns, N, sizeof *ns, by_size);
    int64_t median = ns[N / 2], late = ns[N * 99 / 100];
    print_message("one after the other: median %.2f ms, 99%% %.2f ms\n", (double)median / 1e6,
                  (double)late / 1e6);
}

struct running {
    struct arena arena;
    struct job_claim got[256];
    size_t n;
};

static bool run_claim(void *arg, struct db_conn *c, struct err *e)
{
    struct running *x = arg;
    const struct job_room room = {job_type_at(rig.jobs, 0), 256};
    bool more;
    return jobs_claim(rig.jobs, c, SLICE("h"), &room, 1, rig.now, &x->arena, x->got, 256, &x->n,
                      &more, e);
}

static bool run_finish(void *arg, struct db_conn *c, struct err *e)
{
    struct running *x = arg;
    struct job_end ends[256];
    for (size_t i = 0; i < x->n; i++)
        ends[i] = (struct job_end){.id = x->got[i].row.id,
                                   .attempt = x->got[i].row.attempt,
                                   .outcome = OUTCOME_SUCCEEDED,
                                   .progress = -1};
    return jobs_finish(rig.jobs, c, SLICE("h"), ends, x->n, rig.now, &x->arena, e);
}

static double rate(size_t n, int64_t ns)
{
    return (double)n / ((double)ns / 1e9);
}

static void test_rate(void **unused)
{
    struct running x;
    size_t n = how_many(), n_run = 0;
    int64_t claiming = 0, finishing = 0, began = clock_mono_ns();
    (void)unused;
    add_all(n);
    print_message("added: %.0f jobs/s\n", rate(n, clock_mono_ns() - began));
    tell_latency();
    arena_init(&x.arena, 1u << 28);
    do {
        arena_reset(&x.arena);
        began = clock_mono_ns();
        OK(written_loosely(run_claim, &x, &err));
        claiming += clock_mono_ns() - began;
        began = clock_mono_ns();
        OK(written_loosely(run_finish, &x, &err));
        finishing += clock_mono_ns() - began;
        n_run += x.n;
    } while (x.n);
    arena_done(&x.arena);
    print_message("claimed: %.0f jobs/s, finished: %.0f jobs/s\n", rate(n_run, claiming),
                  rate(n_run, finishing));
    assert_int_equal(n_run, n + 300);
}

/* ---- plans ----------------------------------------------------------------------------------- */

static sqlite3 *handles[32];
static size_t n_handles;

static int remember(sqlite3 *db, const char **ret_error, const struct sqlite3_api_routines *api)
{
    (void)ret_error;
    (void)api;
    if (n_handles < sizeof handles / sizeof *handles)
        handles[n_handles++] = db;
    return SQLITE_OK;
}

static int start_watched(void **state)
{
    n_handles = 0;
    assert_int_equal(sqlite3_auto_extension((void (*)(void))(uintptr_t)remember), SQLITE_OK);
    return start(state);
}

static int stop_watched(void **state)
{
    sqlite3_reset_auto_extension();
    return stop(state);
}

/* Whole tables, but for what is not a table of ours. */
static bool is_bad(const char *plan)
{
    static const char *const fine[] = {"json_each", "VIRTUAL TABLE", "owners", "CONSTANT",
                                       "(subquery", "SCAN t",        "SCAN o", "SCAN few"};
    struct slice line = slice_from(plan);
    if (slice_starts(line, SLICE("SCAN dais_jobs USING COVERING INDEX dais_jobs_running")) ||
        slice_starts(line, SLICE("SCAN dais_jobs USING INDEX dais_jobs_running")))
        return false; /* those that run now are few */
    bool is = slice_starts(line, SLICE("SCAN"));
    for (size_t i = 0; is && i < sizeof fine / sizeof *fine; i++)
        is = slice_search(line, slice_from(fine[i])) < 0;
    return is;
}

static size_t explain(sqlite3 *own, const char *sql)
{
    size_t n_bad = 0;
    sqlite3_stmt *s;
    char *text = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql);
    if (sqlite3_prepare_v2(own, text, -1, &s, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sqlite3_errmsg(own), sql);
    while (sqlite3_step(s) == SQLITE_ROW) {
        const char *plan = (const char *)sqlite3_column_text(s, 3);
        if (!is_bad(plan))
            continue;
        print_error("%s\n    in %s\n", plan, sql);
        n_bad++;
    }
    sqlite3_finalize(s);
    sqlite3_free(text);
    return n_bad;
}

static void use_lists(void)
{
    struct jobs_query q = {0};
    rig_be("op");
    assert_non_null(list(&q));
    rig_be("ada");
    q.type = SLICE("work");
    assert_non_null(list(&q));
}

static bool run_bearer(void *arg, struct db_conn *c, struct err *e)
{
    static const unsigned char token[32] = {1};
    struct job_bearer b;
    const struct job_claim *claimed = arg;
    const struct job_said said = {claimed->row.id, claimed->row.attempt, NOTE_LOG, -1, SLICE("x")};
    return jobs_set_token(c, claimed->row.id, claimed->row.attempt, token, e) &&
           jobs_bearer(c, token, &rig.a, &b, e) && jobs_say(c, &said, 1, rig.now, e);
}

static bool run_reads(const struct jobs_reading *r, void *arg)
{
    struct job_figures figures[3];
    struct buf text;
    struct slice next;
    struct job_note notes[4];
    size_t n;
    bool gap;
    buf_init(&text, 1u << 20);
    bool fine = jobs_figures(rig.jobs, r->conn, figures, &err) &&
                jobs_export_owner(r, SLICE("ada"), SLICE(""), &text, &next, &err) &&
                jobs_usage(r, rig.now, &text, &err) &&
                job_notes_read(r->conn, r->arena, S(arg), 0, 4, notes, &n, &gap, &err);
    buf_done(&text);
    return fine;
}

/* Everything once. */
static void use_all(void)
{
    struct job_held held;
    bool more;
    const struct wish same = {.type = "rich", .input = "{\"n\":1}"};
    const char *a = add("work");
    add_wish(&same);
    add_wish(&same);
    OK(add_wish(&(struct wish){.type = "rich", .input = "{\"n\":2}", .after = {a}}) != NULL);
    const char *failing = add("work");
    OK(add_wish(&(struct wish){.type = "work", .after = {failing}}) != NULL);
    struct claims c = claim("h", 256);
    OK(written_loosely(run_bearer, &c.items[0], &err));
    OK(beat("h", &c.items[0], &held));
    OK(read_with(run_reads, (void *)(uintptr_t)arena_cstr(&rig.a, c.items[0].row.id)));
    OK(cancel(a));
    for (size_t i = 0; i < c.n; i++)
        finish("h", &c.items[i],
               slice_is(c.items[i].row.id, failing) ? OUTCOME_FAILED : OUTCOME_SUCCEEDED);
    OK(retry(failing));
    use_lists();
    row(a);
    rig.now += 60 * 24 * 3600000LL;
    tend("h", true);
    OK(jobs_adopt_owner(rig.jobs, SLICE("ada"), SLICE("bob"), &more, &err));
    OK(jobs_purge_owner(rig.jobs, SLICE("bob"), &more, &err));
}

static void test_plans(void **unused)
{
    size_t n_bad = 0, n = 0;
    sqlite3 *own;
    (void)unused;
    if (is_postgres())
        skip();
    use_all();
    size_t n_theirs = n_handles;
    assert_int_equal(sqlite3_open(rig.path, &own), SQLITE_OK);
    for (size_t i = 0; i < n_theirs; i++) {
        for (sqlite3_stmt *s = NULL; (s = sqlite3_next_stmt(handles[i], s));) {
            const char *sql = sqlite3_sql(s);
            if (!sql || !strstr(sql, "dais_job"))
                continue;
            n_bad += explain(own, sql);
            n++;
        }
    }
    sqlite3_close(own);
    assert_true(n > 40);
    assert_int_equal(n_bad, 0);
}

TESTS(cmocka_unit_test_setup_teardown(test_plans, start_watched, stop_watched), TEST(test_rate))
