/* Crews with the queue itself: programs and tasks from a manifest, on SQLite or what
 * DAIS_TEST_DATABASE names. */
#include "workers/workers_impl.h"
#include "unit.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define wait_until(cond)                          \
    do {                                          \
        int64_t until_ = clock_mono_ms() + 90000; \
        while (!(cond)) {                         \
            if (clock_mono_ms() > until_)         \
                fail_msg("never: %s", #cond);     \
            usleep(2000);                         \
        }                                         \
    } while (0)

static struct {
    char folder[64], path[100], runs[100];
    struct arena a;
    struct manifest *manifest;
    struct jobs *jobs;
    struct loops *loops;
    struct spawner *spawner;
    struct workers *workers;
    struct crew *crew;
    struct db_slot *slot;
    struct db_options options;
    struct worker_kind kinds[16];
    pthread_t thread;
} rig;
static struct err err;

/* ---- the place ----------------------------------------------------------------------------------
 */

static bool nothing(void *user, struct task_call *t, struct err *e)
{
    (void)user;
    (void)t;
    (void)e;
    return true;
}
static const struct task nothing_task = {.name = "nothing", .run = nothing, .is_instant = true};

static const char manifest[] =
    "app: a\n"
    "title: A\n"
    "jobs:\n"
    "  nothing: { use: nothing, concurrency: { total: 1000, per_user: 1000 } }\n"
    "  fine: { run: fine }\n"
    "  again: { run: again, retries: { max: 2, backoff: 1s..1s } }\n"
    "  sleeps: { run: sleeps, concurrency: { total: 3 } }\n";
static const char *const scripts[][2] = {
    {"fine", "#!/bin/sh\necho '{\"progress\":0.5}'; echo said; cat >&2; echo '{\"result\":[1]}'\n"},
    {"again", "#!/bin/sh\nexit 75\n"},
    {"sleeps", "#!/bin/sh\nexec sleep 1000\n"},
};

static void write_file(const char *name, const char *text, mode_t mode)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", rig.folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static void on_call(void (*fn)(void *arg), void *arg);

static void serve(void *arg)
{
    static const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
    struct crew_plan plan = {.jobs = rig.jobs, .kinds = rig.kinds, .n = job_type_count(rig.jobs)};
    (void)arg;
    for (size_t i = 0; i < plan.n; i++) {
        const struct job_type *t = job_type_at(rig.jobs, i);
        const struct job *conf = job_type_conf(t);
        rig.kinds[i] = (struct worker_kind){.type = t, .env = env};
        if (conf->use.s.len)
            rig.kinds[i].task = &nothing_task;
        else
            rig.kinds[i].program =
                arena_printf(&rig.a, "%s/%.*s", rig.folder, SLICE_ARGS(conf->run.s)).ptr;
    }
    crew_serve(rig.crew, &plan);
}

static void *run_loops(void *arg)
{
    loops_run(arg);
    return NULL;
}

static void start_crew(void)
{
    const struct crew_place place = {.base = rig.folder, .rest = "runs", .is_shared = true};
    rig.crew = crew_new(rig.workers, SLICE("a"), rig.slot, &place);
    on_call(serve, NULL);
}

static void open_queue(void)
{
    static struct db_migration steps[8];
    static int n_made;
    struct problems p;
    int n = 0;
    steps[n++] = (struct db_migration)JOURNAL_MIGRATION;
    for (const struct db_migration *m = jobs_migrations; m->name; m++)
        steps[n++] = *m;
    problems_init(&p, &rig.a);
    write_file("dais.yaml", manifest, 0644);
    rig.manifest = manifest_load(&rig.a, rig.folder, &p);
    assert_non_null(rig.manifest);
    rig.jobs = jobs_new(rig.manifest, &p);
    for (size_t i = 0; i < p.n; i++)
        print_message("%.*s\n", SLICE_ARGS(p.items[i].text));
    assert_false(problems_has_errors(&p));
    rig.options = (struct db_options){
        .url = slice_from(getenv("DAIS_TEST_DATABASE")),
        .path = rig.path,
        .schema = arena_printf(&rig.a, "workers_%d_%d", (int)getpid(), n_made++),
        .migrations = steps,
        .loops = rig.loops};
    rig.slot = db_slot_new(&rig.options);
    jobs_attach(rig.jobs, rig.slot);
    if (!jobs_open(rig.jobs, &err))
        fail_msg("%s", err.msg);
}

static int start(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    memset(&rig, 0, sizeof rig);
    arena_init(&rig.a, 1u << 28);
    snprintf(rig.folder, sizeof rig.folder, "/tmp/dais-queue-XXXXXX");
    assert_non_null(mkdtemp(rig.folder));
    snprintf(rig.path, sizeof rig.path, "%s/app.db", rig.folder);
    snprintf(rig.runs, sizeof rig.runs, "%s/runs", rig.folder);
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++)
        write_file(scripts[i][0], scripts[i][1], 0755);
    rig.spawner = spawner_open(&err);
    rig.loops = loops_new(1);
    assert_true(lanes_start(rig.loops, 2, &err));
    open_queue();
    rig.workers = workers_new(rig.loops, rig.spawner);
    assert_int_equal(pthread_create(&rig.thread, NULL, run_loops, rig.loops), 0);
    start_crew();
    return 0;
}

struct call {
    struct post post;
    void (*fn)(void *arg);
    void *arg;
    _Atomic bool is_done;
};

static void on_post(struct post *p, struct loop *l)
{
    struct call *c = container_of(p, struct call, post);
    (void)l;
    c->fn(c->arg);
    atomic_store(&c->is_done, true);
}

static void on_call(void (*fn)(void *arg), void *arg)
{
    struct call c = {.post.fn = on_post, .fn = fn, .arg = arg};
    loop_post(loops_get(rig.loops, 0), &c.post);
    while (!atomic_load(&c.is_done))
        usleep(100);
}

static _Atomic bool has_stopped;

static void on_stopped(void *user)
{
    (void)user;
    atomic_store(&has_stopped, true);
}

static void stop_crew(void *arg)
{
    (void)arg;
    crew_stop(rig.crew, on_stopped, NULL);
}

static void free_crew(void *arg)
{
    (void)arg;
    crew_free(rig.crew);
}

static void end_crew(void)
{
    atomic_store(&has_stopped, false);
    on_call(stop_crew, NULL);
    wait_until(atomic_load(&has_stopped));
    on_call(free_crew, NULL);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *where)
{
    (void)st;
    (void)flag;
    (void)where;
    return remove(path);
}

static int stop(void **state)
{
    (void)state;
    end_crew();
    loops_stop(rig.loops);
    pthread_join(rig.thread, NULL);
    lanes_stop(rig.loops);
    jobs_leave(rig.jobs);
    db_slot_free(rig.slot);
    jobs_free(rig.jobs);
    workers_free(rig.workers);
    loops_free(rig.loops);
    spawner_close(rig.spawner);
    crew_place_leave(&(struct crew_place){.base = rig.folder, .rest = "runs", .is_shared = true});
    assert_int_not_equal(access(rig.runs, F_OK), 0); /* it goes when nothing is left in it */
    nftw(rig.folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    arena_done(&rig.a);
    return 0;
}

/* ---- what tests do ------------------------------------------------------------------------------
 */

static const struct identity ann = {
    .is_signed_in = true, .has_every_scope = true, .id = SLICE_INIT("ann")};

struct adding {
    const char *type, *input;
    size_t n;
    char id[64]; /* of the last one */
};

static bool add_some(void *arg, struct db_conn *c, struct err *e)
{
    struct adding *x = arg;
    struct subject who;
    struct arena a;
    struct json_doc doc;
    arena_init(&a, 1u << 28);
    subject_from(&ann, &a, &who);
    bool fine = json_parse(&doc, &a, slice_from(x->input), NULL, e);
    for (size_t i = 0; fine && i < x->n; i++) {
        int64_t retry_ms;
        struct job_order o = {.jobs = rig.jobs,
                              .type = job_type_find(rig.jobs, slice_from(x->type)),
                              .who = &who,
                              .arena = &a,
                              .input = json_root(&doc),
                              .text = slice_from(x->input),
                              .owner = SLICE("ann"),
                              .is_trusted = true};
        fine = job_order_check(&o, e) && job_order_apply(&o, c, clock_wall_ms(), &retry_ms, e);
        if (fine)
            snprintf(x->id, sizeof x->id, "%.*s", SLICE_ARGS(o.row.id));
    }
    arena_done(&a);
    return fine;
}

static const char *add(const char *type, const char *input, size_t n)
{
    static struct adding x;
    x = (struct adding){.type = type, .input = input, .n = n};
    if (!db_write_now(jobs_db(rig.jobs), add_some, &x, &err))
        fail_msg("%s", err.msg);
    return x.id;
}

static int64_t ask(const char *sql_text)
{
    struct db_conn *c = db_conn_take(jobs_db(rig.jobs), &err);
    assert_non_null(c);
    struct db_stmt *s = db_prepare_text(c, slice_from(sql_text), &err);
    if (!s || db_step(s, &err) != DB_ROW)
        fail_msg("%s", err.msg);
    int64_t n = db_i64(s, 0);
    db_reset(s);
    db_conn_give(c);
    return n;
}

static void test_programs(void **state)
{
    (void)state;
    add("fine", "{\"a\":1}", 20);
    wait_until(ask("SELECT count(*) FROM dais_jobs WHERE state = 3 AND type = 'fine'") == 20);
    assert_int_equal(ask("SELECT count(*) FROM dais_jobs WHERE result IS NOT NULL AND type = 'fine'"
                         " AND attempt = 1 AND token IS NULL"),
                     20);
    assert_int_equal(ask("SELECT count(DISTINCT job) FROM dais_job_notes"), 20);
}

static void test_retries(void **state)
{
    (void)state;
    add("again", "1", 3);
    wait_until(ask("SELECT count(*) FROM dais_jobs WHERE state = 4") == 3);
    assert_int_equal(ask("SELECT count(*) FROM dais_jobs WHERE attempt = 3"), 3);
}

struct cancelling {
    const char *id;
};

static bool cancel(void *arg, struct db_conn *c, struct err *e)
{
    struct cancelling *x = arg;
    struct subject who;
    struct arena a;
    arena_init(&a, 1u << 22);
    subject_from(&ann, &a, &who);
    struct job_act act = {.jobs = rig.jobs, .who = &who, .arena = &a, .id = slice_from(x->id)};
    bool fine = jobs_cancel(&act, c, clock_wall_ms(), e);
    arena_done(&a);
    return fine;
}

static void find_running(char *id, size_t room)
{
    struct db_conn *c = db_conn_take(jobs_db(rig.jobs), &err);
    assert_non_null(c);
    struct db_stmt *s =
        db_prepare_text(c, SLICE("SELECT id FROM dais_jobs WHERE state = 1 ORDER BY id"), &err);
    if (!s || db_step(s, &err) != DB_ROW)
        fail_msg("%s", err.msg);
    snprintf(id, room, "%.*s", SLICE_ARGS(db_text(s, 0)));
    db_reset(s);
    db_conn_give(c);
}

/* How long it took to end the n-th one that ran. */
static int64_t cancel_one(int64_t n)
{
    char id[64];
    struct cancelling x = {id};
    find_running(id, sizeof id);
    int64_t began = clock_mono_ms();
    if (!db_write_now(jobs_db(rig.jobs), cancel, &x, &err))
        fail_msg("%s", err.msg);
    wait_until(ask("SELECT count(*) FROM dais_jobs WHERE state = 5") == n);
    return clock_mono_ms() - began;
}

static void test_concurrency_cancelling_and_stopping(void **state)
{
    int64_t n = 0, best = INT64_MAX;
    (void)state;
    add("sleeps", "1", 10);
    wait_until(ask("SELECT count(*) FROM dais_jobs WHERE state = 1") == 3);
    while (best > 2000 && n < 5) { /* the best of some: others use this machine, too */
        int64_t took = cancel_one(++n);
        best = took < best ? took : best;
        wait_until(ask("SELECT count(*) FROM dais_jobs WHERE state = 1") == 3);
    }
    assert_in_range(best, 0, 2000);
    end_crew();
    assert_int_equal(ask("SELECT count(*) FROM dais_jobs WHERE state = 0"), 10 - n);
    start_crew();
    wait_until(ask("SELECT count(*) FROM dais_jobs WHERE state = 1") == 3);
}

/* How many a second; the figure is printed, and only its order asserted: this is a debug build. */
static void test_instant_tasks(void **state)
{
    const char *n_text = getenv("DAIS_TEST_JOBS");
    uint64_t n = 2000;
    (void)state;
    if (n_text)
        assert_true(slice_to_u64(slice_from(n_text), &n));
    int64_t began = clock_mono_ms();
    for (uint64_t i = 0; i < n; i += 1000)
        add("nothing", "{\"a\":1}", n - i < 1000 ? n - i : 1000);
    int64_t added = clock_mono_ms();
    wait_until(crew_figures(rig.crew, SLICE("nothing")).succeeded == n);
    wait_until(ask("SELECT count(*) FROM dais_jobs WHERE state <> 3") == 0);
    int64_t took = clock_mono_ms() - began;
    struct db_stats stats;
    db_stats(jobs_db(rig.jobs), &stats);
    print_message("%llu writes in %llu commits, which took %llu ms\n",
                  (unsigned long long)stats.writes, (unsigned long long)stats.commits,
                  (unsigned long long)stats.commit_ns / 1000000);
    print_message("%llu instant tasks: added in %lld ms, done after %lld ms: %lld a second\n",
                  (unsigned long long)n, (long long)(added - began), (long long)took,
                  (long long)((int64_t)n * 1000 / (took + 1)));
    assert_int_equal(ask("SELECT count(*) FROM dais_jobs WHERE attempt = 1"), n);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
TESTS(T(test_programs), T(test_retries), T(test_concurrency_cancelling_and_stopping),
      T(test_instant_tasks))
