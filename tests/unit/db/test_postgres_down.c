/* Postgres that goes away: stopped, killed, frozen, cut off in a commit; deadlocks; under load. */
#include "db/postgres_impl.h"
#include "pg.h"
#include "pg_proxy.h"
#include "unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct pg_server server;
static char schema[20];
static struct err err;

static const struct db_migration steps[] = {
    {"things", "-", "CREATE TABLE things (id BIGINT PRIMARY KEY, n BIGINT NOT NULL DEFAULT 0)"},
    {0},
};
static const struct sql insert = {"INSERT INTO things (id) VALUES (?)", NULL};
static const struct sql raise_it = {"UPDATE things SET n = n + 1 WHERE id = ?", NULL};
static const struct sql count_all = {"SELECT count(*) FROM things", NULL};
static const struct sql by_id = {"SELECT n FROM things WHERE id = ?", NULL};

static struct db *open_at(const char *url)
{
    struct db_options o = {.url = slice_from(url),
                           .schema = slice_from(schema),
                           .migrations = steps,
                           .busy_ms = 2000,
                           .read_ms = 2000};
    struct db *db = db_open(&o, &err);
    if (!db)
        fail_msg("%s", err.msg);
    return db;
}

static int set_up(void **state)
{
    static unsigned n;
    (void)state;
    snprintf(schema, sizeof schema, "down%u", ++n);
    if (!server.pid)
        pg_server_start(&server);
    return 0;
}

static bool run_with(struct db_conn *c, const struct sql *sql, int64_t id, struct err *e)
{
    struct db_stmt *s = db_prepare(c, sql, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, id);
    return db_run(s, NULL, e);
}

struct adding {
    int64_t id;
    unsigned runs;
};

static bool run_adding(void *arg, struct db_conn *c, struct err *e)
{
    struct adding *a = arg;
    a->runs++;
    return run_with(c, &insert, a->id, e);
}

static bool add(struct db *db, int64_t id)
{
    struct adding a = {.id = id};
    return db_write_now(db, run_adding, &a, &err);
}

/* -1: it failed, with `err`. */
static int64_t read_number(struct db *db, const struct sql *sql, int64_t id)
{
    struct db_conn *c = db_conn_take(db, &err);
    struct db_stmt *s = c ? db_prepare(c, sql, &err) : NULL;
    int64_t n = -1;
    if (s) {
        if (id)
            db_bind_i64(s, 1, id);
        if (db_step(s, &err) == DB_ROW)
            n = db_i64(s, 0);
        db_reset(s);
    }
    if (c)
        db_conn_give(c);
    return n;
}

static int64_t count(struct db *db)
{
    return read_number(db, &count_all, 0);
}

/* ---- down and up again --------------------------------------------------------------------- */

static void down_is_told_at_once_and_up_is_found_at_once(void **state)
{
    (void)state;
    struct db *db = open_at(server.url);
    assert_true(add(db, 1));
    for (int round = 0; round < 3; round++) {
        round == 1 ? pg_server_kill(&server) : pg_server_stop(&server);
        unsigned slow = 0; /* one is not our doing: others use this machine, too */
        for (int i = 0; i < 5; i++) {
            int64_t began = clock_mono_ms();
            assert_false(add(db, 2 + round));
            assert_int_equal(err.code, ERR_UNAVAILABLE);
            assert_null(strstr(err.msg, PG_PASSWORD));
            assert_int_equal(count(db), -1);
            assert_int_equal(err.code, ERR_UNAVAILABLE);
            assert_false(db_ping(db, &err));
            slow += clock_mono_ms() - began >= 2000;
        }
        assert_in_range(slow, 0, 1);
        pg_server_start(&server);
        if (!add(db, 2 + round)) /* the very next */
            fail_msg("%s", err.msg);
        assert_int_equal(count(db), 2 + round);
        assert_true(db_ping(db, &err));
    }
    db_close(db);
}

#define MANY 400

struct waiting {
    struct db_write write;
    struct adding adding;
    _Atomic unsigned *answers;
};

static bool run_waiting(struct db_write *w, struct db_conn *c, struct err *e)
{
    return run_adding(&container_of(w, struct waiting, write)->adding, c, e);
}

static void on_waiting(struct db_write *w, const struct err *e)
{
    assert_int_equal(e ? e->code : ERR_NONE, ERR_UNAVAILABLE);
    ++*container_of(w, struct waiting, write)->answers;
}

/* However many they are: one attempt answers all that wait. */
static void down_is_told_to_all_that_wait(void **state)
{
    static struct waiting all[MANY];
    _Atomic unsigned answers = 0;
    (void)state;
    struct db *db = open_at(server.url);
    assert_true(add(db, 1));
    pg_server_stop(&server);
    for (int i = 0; i < 6; i++) /* the pause between attempts has grown */
        assert_false(add(db, 2));
    int64_t began = clock_mono_ms();
    for (int i = 0; i < MANY; i++) {
        all[i] = (struct waiting){.write = {.run = run_waiting, .done = on_waiting},
                                  .adding.id = 10 + i,
                                  .answers = &answers};
        assert_true(db_write(db, &all[i].write));
    }
    while (answers < MANY)
        usleep(1000);
    assert_true(clock_mono_ms() - began < 15000); /* one after the other takes minutes */
    db_close(db);
}

/* Nothing was asked of the connections meanwhile. */
static void an_idle_connection_that_died_is_replaced(void **state)
{
    (void)state;
    struct db *db = open_at(server.url);
    assert_true(add(db, 1));
    assert_int_equal(count(db), 1);
    pg_server_stop(&server);
    pg_server_start(&server);
    assert_int_equal(count(db), 1);
    assert_true(add(db, 2));
    free(pg_server_ask(&server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                " WHERE application_name = 'dais'"));
    assert_int_equal(count(db), 2);
    assert_true(add(db, 3));
    assert_int_equal(count(db), 3);
    db_close(db);
}

static void frozen_it_hangs_nobody(void **state)
{
    (void)state;
    struct db *db = open_at(server.url);
    assert_true(add(db, 1));
    assert_int_equal(count(db), 1);
    pg_server_signal(&server, SIGSTOP);
    int64_t began = clock_mono_ms();
    assert_int_equal(count(db), -1); /* 2 s, a second's grace, 2 s to connect */
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_false(db_ping(db, &err));
    int64_t took = clock_mono_ms() - began;
    pg_server_signal(&server, SIGCONT);
    assert_true(took < 30000); /* and not until it goes on */
    while (!db_ping(db, &err))
        ;
    assert_true(add(db, 2));
    assert_int_equal(count(db), 2);
    db_close(db);
}

/* ---- under load ---------------------------------------------------------------------------- */

#define THREADS 6
#define IDS     20000

struct load {
    pthread_t thread;
    struct db *db;
    int64_t first;
    _Atomic int64_t next;
    _Atomic unsigned done, refused, slow;
    unsigned char is_done[IDS];
};
static struct load loads[THREADS];
static _Atomic bool is_over;

static void *write_on(void *arg)
{
    struct load *l = arg;
    struct err e;
    while (!is_over && l->next < IDS) {
        struct adding a = {.id = l->first + l->next};
        int64_t began = clock_mono_ms();
        bool fine = db_write_now(l->db, run_adding, &a, &e);
        l->slow += clock_mono_ms() - began > 15000;
        if (!fine && e.code != ERR_UNAVAILABLE)
            fail_msg("%s", e.msg);
        l->is_done[l->next] = fine;
        l->next++;
        fine ? l->done++ : l->refused++;
        if (!fine)
            usleep(1000);
    }
    return NULL;
}

static void wait_for_more(unsigned more)
{
    unsigned had[THREADS];
    for (int i = 0; i < THREADS; i++)
        had[i] = loads[i].done;
    for (int i = 0; i < THREADS; i++) {
        while (loads[i].done < had[i] + more && loads[i].next < IDS)
            usleep(1000);
    }
}

static void wait_for_refusals(void)
{
    for (int i = 0; i < THREADS; i++) {
        unsigned had = loads[i].refused;
        while (loads[i].refused == had)
            usleep(1000);
    }
}

static void nothing_acknowledged_is_lost(struct db *db)
{
    int64_t acknowledged = 0;
    for (int i = 0; i < THREADS; i++) {
        for (int64_t k = 0; k < loads[i].next; k++) {
            if (!loads[i].is_done[k])
                continue;
            acknowledged++;
            assert_int_equal(read_number(db, &by_id, loads[i].first + k), 0);
        }
        assert_int_equal(loads[i].slow, 0);
    }
    assert_true(count(db) >= acknowledged);
}

static void stopped_and_killed_under_load(void **state)
{
    (void)state;
    struct db *db = open_at(server.url);
    memset(loads, 0, sizeof loads);
    is_over = false;
    for (int i = 0; i < THREADS; i++) {
        loads[i].db = db;
        loads[i].first = 1 + (int64_t)i * IDS;
        pthread_create(&loads[i].thread, NULL, write_on, &loads[i]);
    }
    for (int round = 0; round < 6; round++) {
        wait_for_more(20);
        round % 2 ? pg_server_kill(&server) : pg_server_stop(&server);
        wait_for_refusals();
        pg_server_start(&server);
    }
    wait_for_more(20);
    free(pg_server_ask(&server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                " WHERE application_name = 'dais'"));
    wait_for_more(20);
    is_over = true;
    for (int i = 0; i < THREADS; i++)
        pthread_join(loads[i].thread, NULL);
    nothing_acknowledged_is_lost(db);
    db_close(db);
}

/* ---- cut off ------------------------------------------------------------------------------- */

/* The proxy cuts once; `runs` times it was run; what is there afterwards. */
static void cut(enum pg_cut where, unsigned runs, bool is_fine, int64_t left)
{
    char url[160];
    unsigned port = pg_proxy_start(server.port);
    pg_url_at(url, sizeof url, port);
    struct db *db = open_at(url);
    assert_true(add(db, 1));
    pg_proxy_cut(where);
    struct adding a = {.id = 2};
    bool fine = db_write_now(db, run_adding, &a, &err);
    assert_int_equal(a.runs, runs);
    assert_int_equal(fine, is_fine);
    if (!fine) {
        assert_int_equal(err.code, ERR_UNAVAILABLE);
        assert_non_null(strstr(err.msg, "may have been done"));
    }
    assert_int_equal(count(db), left);
    assert_true(add(db, 3));
    assert_int_equal(count(db), left + 1);
    struct db_stats stats;
    db_stats(db, &stats);
    assert_int_equal(stats.redone, runs - 1);
    db_close(db);
    pg_proxy_stop();
}

static void cut_before_the_commit_arrived(void **state)
{
    (void)state;
    cut(PG_CUT_AT_COMMIT, 1, false, 1);
}

static void cut_after_the_commit_was_done(void **state)
{
    (void)state;
    cut(PG_CUT_AFTER_COMMIT, 1, false, 2); /* it is there, but nobody was told so */
}

static void cut_before_there_was_a_commit(void **state)
{
    (void)state;
    cut(PG_CUT_AT_BEGIN, 2, true, 2);
}

/* ---- in each other's way ------------------------------------------------------------------- */

struct crossing {
    struct db *db;
    int64_t first, second;
    unsigned runs;
    pthread_barrier_t *both;
    bool is_fine;
};

static bool run_crossing(void *arg, struct db_conn *c, struct err *e)
{
    struct crossing *x = arg;
    if (!run_with(c, &raise_it, x->first, e))
        return false;
    if (x->runs++ == 0)
        pthread_barrier_wait(x->both);
    return run_with(c, &raise_it, x->second, e);
}

static void *cross(void *arg)
{
    struct crossing *x = arg;
    struct err e;
    x->is_fine = db_write_now(x->db, run_crossing, x, &e);
    if (!x->is_fine)
        print_message("%s\n", e.msg);
    return NULL;
}

static void a_deadlock_is_redone(void **state)
{
    pthread_t threads[2];
    pthread_barrier_t both;
    struct db_stats stats;
    (void)state;
    struct db *db = open_at(server.url);
    assert_true(add(db, 1) && add(db, 2));
    pthread_barrier_init(&both, NULL, 2);
    struct crossing x[2] = {{db, 1, 2, 0, &both, false}, {db, 2, 1, 0, &both, false}};
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, cross, &x[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&both);
    assert_true(x[0].is_fine && x[1].is_fine);
    assert_int_equal(read_number(db, &by_id, 1), 2);
    assert_int_equal(read_number(db, &by_id, 2), 2);
    db_stats(db, &stats);
    assert_in_range(stats.redone, 1, 3);
    db_close(db);
}

static void locked_by_somebody_else(void **state)
{
    (void)state;
    struct db *db = open_at(server.url);
    assert_true(add(db, 1));
    const char *const names[] = {"dbname", NULL}, *const values[] = {server.url, NULL};
    PGconn *other = pq.PQconnectdbParams(names, values, 1);
    char sql[80];
    snprintf(sql, sizeof sql, "BEGIN; LOCK TABLE %s.things", schema);
    assert_int_equal(pq.PQsendQuery(other, sql), 1);
    for (PGresult *r; (r = pq.PQgetResult(other));)
        pq.PQclear(r);
    assert_false(add(db, 2));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "holds the database"));
    pq.PQfinish(other);
    while (!add(db, 2))
        ;
    db_close(db);
}

#define T(name) cmocka_unit_test_setup(name, set_up)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(down_is_told_at_once_and_up_is_found_at_once),
        T(down_is_told_to_all_that_wait),
        T(an_idle_connection_that_died_is_replaced),
        T(frozen_it_hangs_nobody),
        T(stopped_and_killed_under_load),
        T(cut_before_the_commit_arrived),
        T(cut_after_the_commit_was_done),
        T(cut_before_there_was_a_commit),
        T(a_deadlock_is_redone),
        T(locked_by_somebody_else),
    };
    pg_server_make(&server);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
