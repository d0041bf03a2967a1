/* Wake-ups, loose writes and their locks, on a file and on a Postgres of the test's own. */
#include "db/db_impl.h"
#include "db/slot.h"
#include "pg.h"
#include "unit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct pg_server server;
static bool on_postgres;
static char redis_url[160]; /* "": Postgres' own way */
static char folder[] = "/tmp/dais-tell-XXXXXX", path[80], schema[60];
static struct err err;

static const struct db_migration steps[] = {
    {"things", "CREATE TABLE things (id INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT",
     "CREATE TABLE things (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)"},
    {0},
};
static const struct sql insert = {"INSERT INTO things (id, n) VALUES (?, 0)", NULL};
static const struct sql raise_it = {"UPDATE things SET n = ? WHERE id = 1", NULL};
static const struct sql read_it = {"SELECT n FROM things WHERE id = 1", NULL};

static struct db_options options_of(void)
{
    return (struct db_options){.url = slice_from(on_postgres ? server.url : ""),
                               .schema = slice_from(schema),
                               .path = path,
                               .redis_url = slice_from(redis_url),
                               .migrations = steps};
}

static void remove_files(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/rm", "rm", "-rf", folder, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

static int set_up(void **state)
{
    static unsigned n;
    (void)state;
    snprintf(schema, sizeof schema, "tell \"%u\"'s", ++n);
    snprintf(path, sizeof path, "%s/%u.db", folder, n);
    return 0;
}

static void wait_until(bool (*fn)(void *arg), void *arg)
{
    for (int64_t until = clock_mono_ms() + 60000; !fn(arg);) {
        if (clock_mono_ms() > until)
            fail_msg("it did not come");
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
}

/* ---- an ear ---------------------------------------------------------------------------------- */

struct ear {
    struct db_listener listener;
    _Atomic unsigned heard;
    _Atomic int64_t heard_ns;
};

static void on_told(struct db_listener *l)
{
    struct ear *ear = container_of(l, struct ear, listener);
    atomic_store(&ear->heard_ns, clock_mono_ns());
    atomic_fetch_add(&ear->heard, 1);
}

static void ear_init(struct ear *ear, enum db_topic topic)
{
    *ear = (struct ear){.listener = {.topic = topic, .fn = on_told}};
}

struct hope {
    const struct ear *ear;
    unsigned n;
};

static bool has_heard(void *arg)
{
    const struct hope *h = arg;
    return atomic_load(&h->ear->heard) >= h->n;
}

static void wait_heard(const struct ear *ear, unsigned n)
{
    wait_until(has_heard, &(struct hope){ear, n});
}

/* Until what is told when it has connected (something may have been missed) was heard. */
static void settle(const struct ear *ear)
{
    if (on_postgres)
        wait_heard(ear, 1);
}

/* ---- writes ---------------------------------------------------------------------------------- */

struct telling {
    struct db_write write;
    int64_t id;
    bool refuses, tells_late;
    _Atomic bool *answered;
};

static bool run_telling(void *arg, struct db_conn *c, struct err *e)
{
    const struct telling *t = arg;
    struct db_stmt *s = db_prepare(c, &insert, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, t->id);
    if (!t->tells_late)
        db_tell(c, TOPIC_JOBS);
    if (!db_run(s, NULL, e))
        return false;
    return !t->refuses || err_set(e, ERR_INVALID, "it is refused");
}

static bool tell_by(struct db *db, int64_t id)
{
    struct telling t = {.id = id};
    bool fine = db_write_now(db, run_telling, &t, &err);
    if (!fine && err.code != ERR_EXISTS)
        fail_msg("%s", err.msg);
    return fine;
}

static void told_after_the_commit(void **state)
{
    struct db_options o = options_of();
    struct ear jobs, events;
    (void)state;
    ear_init(&jobs, TOPIC_JOBS);
    ear_init(&events, TOPIC_JOB_EVENTS);
    struct db_slot *s = db_slot_new(&o);
    db_slot_listen(s, &jobs.listener); /* before it is open */
    struct db *db = db_slot_open(s, &err);
    assert_non_null(db);
    db_slot_listen(s, &events.listener);
    settle(&jobs);
    unsigned before = jobs.heard;
    assert_true(tell_by(db, 1));
    wait_heard(&jobs, before + 1);
    assert_true(events.heard <= 1);
    db_slot_leave(s);
    db_slot_close_idle(s, 0);
    assert_false(db_slot_is_open(s));
    before = jobs.heard;
    db = db_slot_open(s, &err); /* listeners outlive it */
    if (on_postgres)
        wait_heard(&jobs, ++before);
    assert_true(tell_by(db, 2));
    wait_heard(&jobs, before + 1);
    db_slot_unlisten(s, &jobs.listener);
    before = jobs.heard;
    assert_true(tell_by(db, 3));
    db_slot_leave(s);
    db_slot_end(s);
    assert_int_equal(jobs.heard, before);
    db_slot_unlisten(s, &events.listener);
    db_slot_free(s);
}

/* ---- many in one transaction ----------------------------------------------------------------- */

static _Atomic bool is_held, is_holding;
static _Atomic unsigned answers;

static bool hold(struct db_write *w, struct db_conn *c, struct err *e)
{
    (void)w;
    (void)c;
    (void)e;
    atomic_store(&is_holding, true);
    while (atomic_load(&is_held))
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    return true;
}

static bool is_begun(void *arg)
{
    (void)arg;
    return atomic_load(&is_holding);
}

static void on_held(struct db_write *w, const struct err *e)
{
    (void)w;
    assert_null(e);
}

static bool run_queued(struct db_write *w, struct db_conn *c, struct err *e)
{
    return run_telling(container_of(w, struct telling, write), c, e);
}

static bool finish_queued(struct db_write *w, struct db_conn *c, struct err *e)
{
    (void)w;
    (void)e;
    db_tell(c, TOPIC_JOB_EVENTS);
    return true;
}

static void on_queued(struct db_write *w, const struct err *e)
{
    assert_int_equal(e != NULL, container_of(w, struct telling, write)->refuses);
    atomic_fetch_add(&answers, 1);
}

static bool are_answered(void *arg)
{
    return atomic_load(&answers) >= *(unsigned *)arg;
}

static bool add_alone_refused(struct db *db)
{
    struct telling t = {.id = 1, .refuses = true};
    return db_write_now(db, run_telling, &t, &err);
}

struct many {
    struct db_slot *slot;
    struct db *db;
    struct ear jobs, events;
};

static void many_open(struct many *m, struct db_options *o)
{
    ear_init(&m->jobs, TOPIC_JOBS);
    ear_init(&m->events, TOPIC_JOB_EVENTS);
    o->writers = 1;
    m->slot = db_slot_new(o);
    m->db = db_slot_open(m->slot, &err);
    if (!m->db)
        fail_msg("%s", err.msg);
    db_slot_listen(m->slot, &m->jobs.listener);
    db_slot_listen(m->slot, &m->events.listener);
}

static void many_close(struct many *m)
{
    db_slot_leave(m->slot);
    db_slot_end(m->slot);
    db_slot_unlisten(m->slot, &m->jobs.listener);
    db_slot_unlisten(m->slot, &m->events.listener);
    db_slot_free(m->slot);
}

/* While one is held, in a transaction of its own, they queue: on SQLite they share the next. */
static void write_together(struct many *m, struct telling *all, unsigned n)
{
    struct db_write held = {.run = hold, .done = on_held};
    is_held = true;
    is_holding = false;
    answers = 0;
    assert_true(db_write(m->db, &held));
    wait_until(is_begun, NULL);
    for (unsigned i = 0; i < n; i++) {
        all[i].write.run = run_queued;
        all[i].write.done = on_queued;
        assert_true(db_write(m->db, &all[i].write));
    }
    is_held = false;
    wait_until(are_answered, &n);
}

static void undone_writes_tell_nothing(void **state)
{
    struct db_options o = options_of();
    struct many m;
    (void)state;
    many_open(&m, &o);
    settle(&m.jobs);
    settle(&m.events);
    unsigned jobs = m.jobs.heard, events = m.events.heard;
    struct telling refused[3] = {{.id = 1, .refuses = true},
                                 {.id = 2, .refuses = true},
                                 {.id = 3, .refuses = true, .write.finish = finish_queued}};
    write_together(&m, refused, 3);
    assert_false(add_alone_refused(m.db));
    struct telling late = {.id = 9, .tells_late = true};
    assert_true(db_write_now(m.db, run_telling, &late, &err)); /* after it what came was heard */
    assert_int_equal(m.jobs.heard, jobs);
    assert_int_equal(m.events.heard, events);
    struct telling some[3] = {{.id = 1, .refuses = true}, {.id = 2}, {.id = 3, .refuses = true}};
    write_together(&m, some, 3);
    wait_heard(&m.jobs, jobs + 1);
    assert_int_equal(m.jobs.heard, jobs + 1);
    struct telling ends[2] = {{.id = 11, .tells_late = true},
                              {.id = 12, .tells_late = true, .write.finish = finish_queued}};
    write_together(&m, ends, 2);
    wait_heard(&m.events, events + 1);
    assert_int_equal(m.jobs.heard, jobs + 1);
    many_close(&m);
}

/* Many that are committed together come as one. */
static void several_come_as_one(void **state)
{
    enum { N = 100 };
    static struct telling all[N];
    struct db_options o = options_of();
    struct many m;
    (void)state;
    many_open(&m, &o);
    settle(&m.jobs);
    settle(&m.events);
    unsigned jobs = m.jobs.heard;
    for (unsigned i = 0; i < N; i++)
        all[i] = (struct telling){.id = 100 + i};
    write_together(&m, all, N);
    wait_heard(&m.jobs, jobs + 1);
    if (!on_postgres)
        assert_int_equal(m.jobs.heard, jobs + 1);
    many_close(&m);
}

/* ---- loose writes ---------------------------------------------------------------------------- */

static int64_t number(struct db_conn *c, const struct sql *sql)
{
    struct db_stmt *s = db_prepare(c, sql, &err);
    if (!s || db_step(s, &err) != DB_ROW)
        fail_msg("%s", err.msg);
    int64_t n = db_i64(s, 0);
    db_reset(s);
    return n;
}

static bool set_number(struct db_conn *c, int64_t n, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &raise_it, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, n);
    return db_run(s, NULL, e);
}

struct looking {
    struct db *other;
    int64_t first, second;
    unsigned runs;
};

static bool run_raise(void *arg, struct db_conn *c, struct err *e)
{
    return set_number(c, *(int64_t *)arg, e);
}

/* Another server commits between its two statements. */
static bool run_looking(void *arg, struct db_conn *c, struct err *e)
{
    struct looking *l = arg;
    int64_t n = 7;
    l->runs++;
    l->first = number(c, &read_it);
    if (l->runs == 1 && !db_write_now(l->other, run_raise, &n, e))
        return false;
    l->second = number(c, &read_it);
    return true;
}

static void a_loose_write_sees_others_commits(void **state)
{
    struct db_options o = options_of();
    struct looking l = {0}, strict = {0};
    (void)state;
    if (!on_postgres) /* there is one writer, whatever they are */
        return;
    struct db *db = db_open(&o, &err), *other = db_open(&o, &err);
    assert_true(tell_by(db, 1));
    l.other = strict.other = other;
    if (!db_write_now_loose(db, run_looking, &l, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(l.first, 0);
    assert_int_equal(l.second, 7);
    assert_int_equal(l.runs, 1);
    int64_t zero = 0;
    assert_true(db_write_now(other, run_raise, &zero, &err));
    assert_true(db_write_now(db, run_looking, &strict, &err)); /* on the same connections */
    assert_int_equal(strict.first, 0);
    assert_int_equal(strict.second, 0);
    db_close(other);
    db_close(db);
}

#define RAISES 40

/* Reads and writes what it read and one more: with nothing lost only if one does it at a time. */
static bool run_locked(void *arg, struct db_conn *c, struct err *e)
{
    unsigned *runs = arg;
    ++*runs;
    return db_lock(c, SLICE("job:\"x\""), e) && set_number(c, number(c, &read_it) + 1, e);
}

static void *raise_often(void *arg)
{
    struct err e;
    unsigned runs = 0;
    for (int i = 0; i < RAISES; i++) {
        if (!db_write_now_loose(arg, run_locked, &runs, &e))
            fail_msg("%s", e.msg);
    }
    assert_int_equal(runs, RAISES); /* nobody was in the way of another */
    return NULL;
}

static bool read_number(void *arg, struct db_conn *c, struct err *e)
{
    (void)e;
    *(int64_t *)arg = number(c, &read_it);
    return true;
}

static void locks_exclude_each_other(void **state)
{
    enum { THREADS = 4 };
    struct db_options o = options_of();
    pthread_t threads[THREADS];
    int64_t n = 0;
    (void)state;
    struct db *db = db_open(&o, &err), *other = on_postgres ? db_open(&o, &err) : db;
    assert_true(tell_by(db, 1));
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, raise_often, i % 2 ? db : other);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(db_write_now(db, read_number, &n, &err));
    assert_int_equal(n, THREADS * RAISES);
    if (other != db)
        db_close(other);
    db_close(db);
}

/* ---- two servers on one Postgres ---------------------------------------------------------------
 */

struct pair {
    struct db_options options;
    struct db_slot *slots[2];
    struct db *dbs[2];
    struct ear jobs[2], events[2];
};

static void pair_open(struct pair *p)
{
    p->options = options_of();
    for (int i = 0; i < 2; i++) {
        ear_init(&p->jobs[i], TOPIC_JOBS);
        ear_init(&p->events[i], TOPIC_JOB_EVENTS);
        p->slots[i] = db_slot_new(&p->options);
        db_slot_listen(p->slots[i], &p->jobs[i].listener);
        p->dbs[i] = db_slot_open(p->slots[i], &err);
        if (!p->dbs[i])
            fail_msg("%s", err.msg);
        db_slot_listen(p->slots[i], &p->events[i].listener);
        settle(&p->jobs[i]);
    }
}

static void pair_close(struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        db_slot_leave(p->slots[i]);
        db_slot_end(p->slots[i]);
        db_slot_unlisten(p->slots[i], &p->jobs[i].listener);
        db_slot_unlisten(p->slots[i], &p->events[i].listener);
        db_slot_free(p->slots[i]);
    }
}

#define HEARINGS 50

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The median, in us. */
static int64_t hear_each_other(void)
{
    int64_t took[HEARINGS];
    struct pair p;
    pair_open(&p);
    for (int64_t i = 0; i < HEARINGS; i++) {
        int from = i % 2, to = !from;
        unsigned before = p.jobs[to].heard, own = p.jobs[from].heard;
        int64_t began = clock_mono_ns();
        assert_true(tell_by(p.dbs[from], i));
        wait_heard(&p.jobs[to], before + 1);
        took[i] = (p.jobs[to].heard_ns - began) / 1000;
        wait_heard(&p.jobs[from], own + 1);
        assert_int_equal(p.jobs[to].heard, before + 1);
    }
    qsort(took, HEARINGS, sizeof *took, by_number);
    print_message("from a write's begin to another server's ear: median %lld us, worst %lld us\n",
                  (long long)took[HEARINGS / 2], (long long)took[HEARINGS - 1]);
    /* each told half of them, and heard the other half: its own did not come back */
    assert_int_equal(p.jobs[0].heard + p.jobs[1].heard, 2 * HEARINGS + 2);
    pair_close(&p);
    return took[HEARINGS / 2];
}

#define TRIES 5 /* of which the best counts: others use this machine, too */

static void they_hear_each_other_soon(void **state)
{
    int64_t median = INT64_MAX;
    for (int i = 0; i < TRIES && median >= 50000; i++) {
        set_up(state);
        median = hear_each_other();
    }
    assert_true(median < 50000);
}

/* Other apps are on the same server. */
static void schemas_do_not_hear_each_other(void **state)
{
    struct pair one, other;
    (void)state;
    pair_open(&one);
    set_up(NULL);
    pair_open(&other);
    unsigned before[2] = {one.jobs[0].heard, one.jobs[1].heard};
    unsigned heard = other.jobs[1].heard;
    assert_true(tell_by(other.dbs[0], 1));
    wait_heard(&other.jobs[1], heard + 1);
    assert_true(tell_by(one.dbs[0], 1)); /* after it whatever came before was heard */
    wait_heard(&one.jobs[1], before[1] + 1);
    assert_int_equal(one.jobs[1].heard, before[1] + 1);
    assert_int_equal(one.jobs[0].heard, before[0] + 1);
    pair_close(&other);
    pair_close(&one);
}

/* A command that adds something and ends, without anybody who listens in it. */
static void who_only_tells_is_heard(void **state)
{
    struct pair p;
    (void)state;
    pair_open(&p);
    unsigned before[2] = {p.jobs[0].heard, p.jobs[1].heard};
    struct db *db = db_open(&p.options, &err);
    assert_true(tell_by(db, 1));
    db_close(db); /* at once */
    wait_heard(&p.jobs[0], before[0] + 1);
    wait_heard(&p.jobs[1], before[1] + 1);
    pair_close(&p);
}

/* One sends what many commits told as few. */
static void floods_are_thinned(void **state)
{
    enum { N = 300 };
    struct pair p;
    (void)state;
    pair_open(&p);
    unsigned before = p.jobs[1].heard;
    int64_t began = clock_mono_ms();
    for (int64_t i = 0; i < N; i++)
        assert_true(tell_by(p.dbs[0], i));
    int64_t took = clock_mono_ms() - began;
    wait_heard(&p.jobs[1], before + 1);
    assert_true(p.jobs[1].heard - before <= took + 2);
    pair_close(&p);
}

/* ---- connections that go away ------------------------------------------------------------------
 */

static void cut_listeners(void)
{
    free(pg_server_ask(&server, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                                " WHERE query LIKE 'LISTEN%' OR query LIKE 'NOTIFY%'"));
}

static void a_cut_connection_is_made_anew(void **state)
{
    struct pair p;
    (void)state;
    pair_open(&p);
    for (int64_t round = 1; round <= 3; round++) {
        unsigned before[2] = {p.jobs[0].heard, p.jobs[1].heard};
        unsigned events = p.events[0].heard;
        cut_listeners();
        for (int i = 0; i < 2; i++)
            wait_heard(&p.jobs[i], before[i] + 1); /* something may have been missed */
        wait_heard(&p.events[0], events + 1);
        before[1] = p.jobs[1].heard;
        assert_true(tell_by(p.dbs[0], round));
        wait_heard(&p.jobs[1], before[1] + 1);
    }
    pair_close(&p);
}

static void the_server_is_restarted(void **state)
{
    struct pair p;
    (void)state;
    pair_open(&p);
    unsigned before[2] = {p.jobs[0].heard, p.jobs[1].heard};
    pg_server_stop(&server);
    pg_server_start(&server);
    for (int i = 0; i < 2; i++)
        wait_heard(&p.jobs[i], before[i] + 1);
    before[0] = p.jobs[0].heard;
    assert_true(tell_by(p.dbs[1], 1));
    wait_heard(&p.jobs[0], before[0] + 1);
    pair_close(&p);
}

/* Closing does not wait for a server that does not answer. */
static int64_t close_while_it_is_down(void)
{
    struct pair p;
    pair_open(&p);
    assert_true(tell_by(p.dbs[0], 1));
    pg_server_stop(&server);
    int64_t began = clock_mono_ms();
    pair_close(&p);
    int64_t took = clock_mono_ms() - began;
    pg_server_start(&server);
    return took;
}

static void closing_while_it_is_down(void **state)
{
    int64_t took = INT64_MAX;
    for (int i = 0; i < TRIES && took >= 3000; i++) {
        set_up(state);
        took = close_while_it_is_down();
    }
    assert_true(took < 3000);
}

/* ---- through Redis -----------------------------------------------------------------------------
 */

#define REDIS_PASSWORD "geheim:p@ss"

static pid_t redis;
static char redis_port[8];

/* The package redis-tools holds the whole server, under the name of one of its tools. */
static void redis_start(void)
{
    char socket[100];
    snprintf(socket, sizeof socket, "%s/redis", folder);
    redis = fork();
    if (redis == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 1);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl("/usr/bin/redis-check-rdb", "redis-server", "--port", redis_port, "--unixsocket",
              socket, "--bind", "127.0.0.1", "--save", "", "--requirepass", REDIS_PASSWORD, "--dir",
              folder, (char *)NULL);
        _exit(127);
    }
}

static void redis_stop(void)
{
    kill(redis, SIGKILL);
    waitpid(redis, NULL, 0);
    redis = 0;
}

/* It carries what Postgres would: without it nothing is heard but what each looks for itself. */
static void redis_goes_and_comes_back(void **state)
{
    struct pair p;
    (void)state;
    pair_open(&p);
    unsigned before[2] = {p.jobs[0].heard, p.jobs[1].heard};
    redis_stop();
    assert_true(tell_by(p.dbs[0], 1)); /* nobody needs it to write */
    wait_heard(&p.jobs[0], before[0] + 1);
    redis_start();
    for (int i = 0; i < 2; i++)
        wait_heard(&p.jobs[i], before[i] + 1 + !i);
    before[1] = p.jobs[1].heard;
    assert_true(tell_by(p.dbs[0], 2));
    wait_heard(&p.jobs[1], before[1] + 1);
    pair_close(&p);
}

/* It takes what is sent and says nothing: nobody waits for it. */
static int64_t close_while_it_is_frozen(void)
{
    struct pair p;
    pair_open(&p);
    kill(redis, SIGSTOP);
    unsigned before = p.jobs[0].heard;
    assert_true(tell_by(p.dbs[0], 1));
    wait_heard(&p.jobs[0], before + 1);
    int64_t began = clock_mono_ms();
    pair_close(&p);
    int64_t took = clock_mono_ms() - began;
    kill(redis, SIGCONT);
    return took;
}

static void a_frozen_one_holds_up_nobody(void **state)
{
    int64_t took = INT64_MAX;
    for (int i = 0; i < TRIES && took >= 2000; i++) {
        set_up(state);
        took = close_while_it_is_frozen();
    }
    assert_true(took < 2000);
}

static void a_wrong_password_is_no_harm(void **state)
{
    struct db_options o = options_of();
    char wrong[140];
    struct ear jobs;
    (void)state;
    snprintf(wrong, sizeof wrong, "unix://:wrong@%s/redis", folder);
    o.redis_url = slice_from(wrong);
    ear_init(&jobs, TOPIC_JOBS);
    struct db_slot *s = db_slot_new(&o);
    db_slot_listen(s, &jobs.listener);
    struct db *db = db_slot_open(s, &err);
    assert_true(tell_by(db, 1));
    wait_heard(&jobs, 1);
    db_slot_leave(s);
    db_slot_end(s);
    assert_int_equal(jobs.heard, 1); /* it never connected */
    db_slot_unlisten(s, &jobs.listener);
    db_slot_free(s);
}

static void addresses_that_are_refused(void **state)
{
    static const char *const bad[] = {"rediss://:pw@x", "http://pw@x", "redis://x:0", "unix://pw"};
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct db_options o = options_of();
        o.redis_url = slice_from(bad[i]);
        assert_null(db_open(&o, &err));
        assert_int_equal(err.code, ERR_USAGE);
        assert_null(strstr(err.msg, "pw"));
    }
}

/* ---- all --------------------------------------------------------------------------------------
 */

#define T(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest on_both[] = {
        T(told_after_the_commit),    T(undone_writes_tell_nothing),
        T(several_come_as_one),      T(a_loose_write_sees_others_commits),
        T(locks_exclude_each_other),
    };
    const struct CMUnitTest of_two[] = {
        T(they_hear_each_other_soon),
        T(schemas_do_not_hear_each_other),
        T(who_only_tells_is_heard),
        T(floods_are_thinned),
    };
    const struct CMUnitTest of_connections[] = {
        T(a_cut_connection_is_made_anew),
        T(the_server_is_restarted),
        T(closing_while_it_is_down),
    };
    const struct CMUnitTest of_redis[] = {
        T(told_after_the_commit),        T(redis_goes_and_comes_back),
        T(a_frozen_one_holds_up_nobody), T(a_wrong_password_is_no_harm),
        T(addresses_that_are_refused),
    };
    if (!mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests_name("sqlite", on_both, NULL, NULL);
    pg_server_make(&server);
    on_postgres = true;
    failed += cmocka_run_group_tests_name("postgres", on_both, NULL, NULL);
    failed += cmocka_run_group_tests_name("two servers", of_two, NULL, NULL);
    failed += cmocka_run_group_tests_name("connections", of_connections, NULL, NULL);
    snprintf(redis_url, sizeof redis_url, "unix://:geheim%%3Ap%%40ss@%s/redis?db=3", folder);
    snprintf(redis_port, sizeof redis_port, "%u", pg_free_port());
    redis_start();
    failed += cmocka_run_group_tests_name("two servers and redis", of_two, NULL, NULL);
    failed += cmocka_run_group_tests_name("redis", of_redis, NULL, NULL);
    snprintf(redis_url, sizeof redis_url, "redis://:geheim%%3Ap%%40ss@localhost:%s/3", redis_port);
    failed += cmocka_run_group_tests_name("redis by its port", of_two, NULL, NULL);
    redis_stop();
    remove_files();
    return failed;
}
