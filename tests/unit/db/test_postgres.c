/* The database room on Postgres: values, transactions, refusals, opening; a real server. */
#include "db/postgres_impl.h"
#include "pg.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct pg_server server;
static char schema[20];
static struct err err;

#define MAKE "CREATE TABLE things (id BIGINT PRIMARY KEY, t TEXT UNIQUE, b BYTEA)"
static const struct db_migration steps[] = {{"things", "-", MAKE}, {0}};
static const struct db_migration more_steps[] = {
    {"things", "-", MAKE},
    {"more", "-", "CREATE TABLE more (id INTEGER PRIMARY KEY); INSERT INTO more VALUES (7)"},
    {0},
};
static const struct sql insert = {"INSERT INTO things (id, t, b) VALUES (?, ?, ?)", NULL};
static const struct sql by_id = {"SELECT t, b, id FROM things WHERE id = ?", NULL};
static const struct sql count_all = {"SELECT count(*) FROM things", NULL};
static const struct sql endless = {
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?) SELECT max(i) FROM n",
    "SELECT count(*) FROM generate_series(1, $1)",
};

static struct db *try_open(const struct db_migration *migrations)
{
    struct db_options o = {.url = slice_from(server.url),
                           .schema = slice_from(schema),
                           .migrations = migrations,
                           .busy_ms = 5000,
                           .read_ms = 2000};
    err = (struct err){0};
    return db_open(&o, &err);
}

static struct db *open_with(void)
{
    struct db *db = try_open(steps);
    if (!db)
        fail_msg("%s", err.msg);
    return db;
}

/* A schema for each case. */
static int set_up(void **state)
{
    static unsigned n;
    (void)state;
    snprintf(schema, sizeof schema, "app \"%u\"'s", ++n);
    return 0;
}

static void expect(enum err_code code, const char *words)
{
    if (err.code != code || !strstr(err.msg, words))
        fail_msg("not '%s' but %s: %s", words, err_slug(err.code), err.msg);
    if (strstr(err.msg, PG_PASSWORD))
        fail_msg("the password is told: %s", err.msg);
}

struct thing {
    int64_t id;
    struct slice t, b;
};

static bool add_thing(void *arg, struct db_conn *c, struct err *e)
{
    const struct thing *x = arg;
    struct db_stmt *s = db_prepare(c, &insert, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, x->id);
    if (x->t.ptr)
        db_bind_text(s, 2, x->t);
    db_bind_blob(s, 3, x->b);
    int64_t changed = 0;
    return db_run(s, &changed, e) && changed == 1;
}

static bool add(struct db *db, int64_t id, struct slice t)
{
    struct thing x = {id, t, SLICE("")};
    return db_write_now(db, add_thing, &x, &err);
}

static int64_t read_count(struct db_conn *c)
{
    struct db_stmt *s = db_prepare(c, &count_all, &err);
    assert_non_null(s);
    if (db_step(s, &err) != DB_ROW)
        fail_msg("%s", err.msg);
    int64_t n = db_i64(s, 0);
    db_reset(s);
    return n;
}

static int64_t count(struct db *db)
{
    struct db_conn *c = db_conn_take(db, &err);
    assert_non_null(c);
    int64_t n = read_count(c);
    db_conn_give(c);
    return n;
}

/* ---- statements ---------------------------------------------------------------------------- */

static void values_come_back_as_they_went(void **state)
{
    static const struct slice texts[] = {SLICE_INIT(""), SLICE_INIT("\xc3\xa9\xf0\x9f\x98\x80"),
                                         SLICE_INIT("1e2"), SLICE_INIT("'); DROP TABLE things --"),
                                         SLICE_INIT("{\"a\":\"\\u0000\"}")};
    (void)state;
    struct db *db = open_with();
    struct thing nothing = {INT64_MIN, {0}, {0}}; /* first: no kind is known of a NULL */
    assert_true(db_write_now(db, add_thing, &nothing, &err));
    for (int i = 0; i < 5; i++) {
        struct thing x = {INT64_MAX - i, texts[i], SLICE("\0\xff\x80")};
        if (!db_write_now(db, add_thing, &x, &err))
            fail_msg("%s", err.msg);
    }
    struct db_conn *c = db_conn_take(db, &err);
    for (int i = 0; i < 5; i++) {
        struct db_stmt *s = db_prepare(c, &by_id, &err);
        db_bind_i64(s, 1, INT64_MAX - i);
        assert_int_equal(db_step(s, &err), DB_ROW);
        assert_true(slice_eq(db_text(s, 0), texts[i]));
        assert_false(db_is_null(s, 0));
        assert_true(slice_eq(db_blob(s, 1), SLICE("\0\xff\x80")));
        assert_int_equal(db_i64(s, 2), INT64_MAX - i);
        assert_int_equal(db_step(s, &err), DB_END);
        db_reset(s);
    }
    struct db_stmt *s = db_prepare(c, &by_id, &err);
    db_bind_i64(s, 1, INT64_MIN);
    assert_int_equal(db_step(s, &err), DB_ROW);
    assert_true(db_is_null(s, 0));
    assert_int_equal(db_text(s, 0).len, 0);
    assert_false(db_is_null(s, 1)); /* an empty blob is not nothing */
    assert_int_equal(db_i64(s, 2), INT64_MIN);
    db_reset(s);
    s = db_prepare_text(c,
                        SLICE("SELECT sum(id), id / 2, id < 0, avg(id) FROM things"
                              " WHERE id < 0 GROUP BY id"),
                        &err);
    assert_int_equal(db_step(s, &err), DB_ROW);
    assert_int_equal(db_i64(s, 0), INT64_MIN);
    assert_int_equal(db_i64(s, 1), INT64_MIN / 2);
    assert_int_equal(db_i64(s, 2), 1);
    assert_int_equal(db_i64(s, 3), INT64_MIN);
    db_conn_give(c);
    db_close(db);
}

static void texts_that_cannot_be_stored(void **state)
{
    (void)state;
    struct db *db = open_with();
    assert_false(add(db, 1, SLICE("a\0b")));
    expect(ERR_INVALID, "zero byte");
    assert_false(add(db, 1, SLICE("\xff")));
    expect(ERR_INVALID, "UTF-8");
    assert_true(add(db, 1, SLICE("a")));
    assert_int_equal(count(db), 1);
    db_close(db);
}

static void kinds_may_change(void **state)
{
    (void)state;
    struct db *db = open_with();
    assert_true(add(db, 5, SLICE("5")));
    struct db_conn *c = db_conn_take(db, &err);
    for (int i = 0; i < 4; i++) {
        struct db_stmt *s = db_prepare_text(c,
                                            SLICE("SELECT id, '?' FROM things WHERE t = ? -- ?\n"
                                                  " AND id > ?"),
                                            &err);
        db_bind_text(s, 1, SLICE("5"));
        if (i % 2)
            db_bind_i64(s, 2, 4);
        assert_int_equal(db_step(s, &err), i % 2 ? DB_ROW : DB_END);
        db_reset(s);
    }
    db_conn_give(c);
    db_close(db);
}

static void statements_are_kept_and_forgotten(void **state)
{
    char text[60];
    (void)state;
    struct db *db = open_with();
    struct db_conn *c = db_conn_take(db, &err);
    struct db_stmt *first = db_prepare(c, &count_all, &err);
    db_reset(first);
    assert_ptr_equal(db_prepare(c, &count_all, &err), first);
    db_reset(first);
    for (int i = 0; i < TEXTS_MAX * 2; i++) {
        int n =
            snprintf(text, sizeof text, "SELECT count(*), %d FROM things", i % (TEXTS_MAX + 20));
        struct db_stmt *s = db_prepare_text(c, (struct slice){text, (size_t)n}, &err);
        assert_int_equal(db_step(s, &err), DB_ROW);
        assert_int_equal(db_i64(s, 1), i % (TEXTS_MAX + 20));
        db_reset(s);
    }
    assert_int_equal(c->by_text.len, TEXTS_MAX);
    struct db_stmt *s =
        db_prepare_text(c, SLICE("SELECT count(*) FROM pg_prepared_statements"), &err);
    assert_int_equal(db_step(s, &err), DB_ROW);
    assert_in_range(db_i64(s, 0), TEXTS_MAX, TEXTS_MAX + 8); /* the server forgets them too */
    db_reset(s);
    db_conn_give(c);
    db_close(db);
}

static void a_mistake_is_told_without_the_statement(void **state)
{
    (void)state;
    struct db *db = open_with();
    struct db_conn *c = db_conn_take(db, &err);
    struct db_stmt *s = db_prepare_text(c, SLICE("SELECT secret_column FROM things"), &err);
    assert_int_equal(db_step(s, &err), DB_FAILED);
    expect(ERR_INTERNAL, "42703");
    assert_null(strstr(err.msg, "secret_column"));
    db_reset(s);
    assert_int_equal(read_count(c), 0); /* a reader goes on */
    db_conn_give(c);
    db_close(db);
}

static void a_reader_cannot_write(void **state)
{
    (void)state;
    struct db *db = open_with();
    struct db_conn *c = db_conn_take(db, &err);
    struct db_stmt *s = db_prepare_text(c, SLICE("DELETE FROM things"), &err);
    assert_false(db_run(s, NULL, &err));
    expect(ERR_UNAVAILABLE, "read-only");
    db_conn_give(c);
    db_close(db);
}

static void a_take_reads_one_state(void **state)
{
    (void)state;
    struct db *db = open_with();
    struct db_conn *c = db_conn_take(db, &err);
    assert_int_equal(read_count(c), 0);
    assert_true(add(db, 1, SLICE("a")));
    assert_int_equal(read_count(c), 0);
    db_conn_give(c);
    assert_int_equal(count(db), 1);
    char *open = pg_server_ask(&server, "SELECT count(*) FROM pg_stat_activity WHERE state LIKE"
                                        " 'idle in%'");
    assert_string_equal(open, "0"); /* no transaction stays open */
    free(open);
    db_close(db);
}

static void too_slow_is_over_budget(void **state)
{
    (void)state;
    struct db *db = open_with();
    struct db_conn *c = db_conn_take(db, &err);
    for (int i = 0; i < 2; i++) {
        struct db_stmt *s = db_prepare(c, &endless, &err);
        db_bind_i64(s, 1, 1000000000000);
        assert_int_equal(db_step(s, &err), DB_FAILED);
        expect(ERR_OVER_BUDGET, "2000 ms");
        db_reset(s);
        assert_int_equal(read_count(c), 0);
    }
    db_conn_give(c);
    db_close(db);
}

static void sessions_are_set_up(void **state)
{
    static const char text[] =
        "SELECT current_setting('synchronous_commit') || ' ' || current_setting('TimeZone') || ' '"
        " || current_setting('client_encoding') || ' ' || current_setting('transaction_isolation')"
        " || ' ' || current_setting('transaction_read_only') || ' ' || current_schema()";
    (void)state;
    struct db *db = open_with();
    struct db_conn *c = db_conn_take(db, &err);
    struct db_stmt *s = db_prepare_text(c, slice_from(text), &err);
    assert_int_equal(db_step(s, &err), DB_ROW);
    char want[100];
    snprintf(want, sizeof want, "on UTC UTF8 repeatable read on %s", schema);
    assert_true(slice_is(db_text(s, 0), want));
    db_conn_give(c);
    assert_null(db_conn_of_loop(db, NULL));
    assert_false(db_is_sqlite(db));
    db_close(db);
}

/* ---- writes -------------------------------------------------------------------------------- */

static void unique_keys_are_told(void **state)
{
    struct db_stats stats;
    (void)state;
    struct db *db = open_with();
    assert_true(add(db, 1, SLICE("a")));
    assert_false(add(db, 1, SLICE("b")));
    expect(ERR_EXISTS, "unique");
    assert_false(add(db, 2, SLICE("a")));
    expect(ERR_EXISTS, "unique");
    assert_int_equal(count(db), 1);
    db_stats(db, &stats);
    assert_int_equal(stats.writes, 3);
    assert_int_equal(stats.failed, 2);
    assert_int_equal(stats.commits, 1);
    db_close(db);
}

static bool add_two_carelessly(void *arg, struct db_conn *c, struct err *e)
{
    struct thing first = {10, SLICE("x"), SLICE("")}, again = {1, SLICE("y"), SLICE("")};
    (void)arg;
    if (!add_thing(&first, c, e))
        return false;
    (void)!add_thing(&again, c, NULL); /* a mistake: it exists, and this is not looked at */
    return true;
}

static bool refuse_after_a_change(void *arg, struct db_conn *c, struct err *e)
{
    add_thing(arg, c, e);
    return err_set(e, ERR_STALE, "I changed my mind");
}

static void what_failed_is_never_committed(void **state)
{
    (void)state;
    struct db *db = open_with();
    assert_true(add(db, 1, SLICE("a")));
    assert_false(db_write_now(db, add_two_carelessly, NULL, &err));
    expect(ERR_EXISTS, "unique");
    struct thing x = {2, SLICE("b"), SLICE("")};
    assert_false(db_write_now(db, refuse_after_a_change, &x, &err));
    expect(ERR_STALE, "my mind");
    assert_int_equal(count(db), 1);
    assert_true(db_ping(db, &err));
    db_close(db);
}

struct finishing {
    struct db_write write;
    pthread_mutex_t lock;
    unsigned runs, finishes;
    bool fails;
    _Atomic int answer; /* 1 done, 2 failed */
};

static bool run_finishing(struct db_write *w, struct db_conn *c, struct err *e)
{
    struct thing x = {1, {0}, SLICE("x")};
    container_of(w, struct finishing, write)->runs++;
    return add_thing(&x, c, e);
}

static bool finish_finishing(struct db_write *w, struct db_conn *c, struct err *e)
{
    struct finishing *f = container_of(w, struct finishing, write);
    f->finishes++;
    assert_int_equal(read_count(c), 1);
    return !f->fails || err_set(e, ERR_UNAVAILABLE, "not this time");
}

static void on_finishing(struct db_write *w, const struct err *e)
{
    container_of(w, struct finishing, write)->answer = e ? 2 : 1;
}

static void finish_is_part_of_it(void **state)
{
    (void)state;
    struct db *db = open_with();
    for (int i = 0; i < 2; i++) {
        struct finishing f = {.fails = i == 0};
        f.write = (struct db_write){
            .run = run_finishing, .finish = finish_finishing, .done = on_finishing};
        assert_true(db_write(db, &f.write));
        while (!f.answer)
            usleep(1000);
        assert_int_equal(f.answer, i == 0 ? 2 : 1);
        assert_int_equal(f.finishes, 1);
    }
    assert_int_equal(count(db), 1);
    db_close(db);
}

static const struct sql all_columns = {"SELECT * FROM things", NULL};

static bool read_all(void *arg, struct db_conn *c, struct err *e)
{
    (void)arg;
    struct db_stmt *s = db_prepare(c, &all_columns, e);
    return s && db_run(s, NULL, e);
}

/* What was prepared before is of no use any more. */
static void tables_may_change_meanwhile(void **state)
{
    char sql[120];
    (void)state;
    struct db *db = open_with();
    struct db_conn *c = db_conn_take(db, &err);
    for (int i = 0; i < 8; i++) /* Postgres plans it for good after a few */
        assert_true(read_all(NULL, c, &err));
    db_conn_give(c);
    for (int i = 0; i < 40; i++)
        assert_true(db_write_now(db, read_all, NULL, &err));
    struct buf name;
    buf_init(&name, 100);
    pg_add_ident(&name, slice_from(schema));
    snprintf(sql, sizeof sql, "ALTER TABLE %s.things ADD COLUMN more TEXT", name.data);
    buf_done(&name);
    free(pg_server_ask(&server, sql));
    for (int i = 0; i < 8; i++) {
        if (!db_write_now(db, read_all, NULL, &err))
            fail_msg("%s", err.msg);
    }
    c = db_conn_take(db, &err);
    assert_false(read_all(NULL, c, &err));
    expect(ERR_UNAVAILABLE, "tables were changed");
    assert_true(read_all(NULL, c, &err));
    db_conn_give(c);
    db_close(db);
}

static bool add_and_count_prepared(void *arg, struct db_conn *c, struct err *e)
{
    int64_t *n = arg;
    struct db_stmt *s = db_prepare_text(c, SLICE("SELECT count(*) FROM pg_prepared_statements"), e);
    if (!s || db_step(s, e) != DB_ROW)
        return false;
    *n = db_i64(s, 0);
    db_reset(s);
    struct thing x = {1, SLICE("a"), SLICE("")};
    return add_thing(&x, c, e);
}

static void refusals_leave_nothing_behind(void **state)
{
    int64_t n = 0;
    (void)state;
    struct db *db = open_with();
    assert_true(db_write_now(db, add_and_count_prepared, &n, &err));
    for (int i = 0; i < 100; i++)
        assert_false(db_write_now(db, add_and_count_prepared, &n, &err));
    assert_in_range(n, 3, 12);
    db_close(db);
}

/* ---- many threads -------------------------------------------------------------------------- */

#define THREADS 8
#define EACH    60
static struct db *shared_db;

static void *write_and_read(void *arg)
{
    int64_t first = 1 + (int64_t)(uintptr_t)arg * EACH;
    struct err e;
    for (int64_t id = first; id < first + EACH; id++) {
        struct thing x = {id, {0}, SLICE("x")};
        if (!db_write_now(shared_db, add_thing, &x, &e))
            fail_msg("%s", e.msg);
        struct db_conn *c = db_conn_take(shared_db, &e);
        assert_non_null(c);
        struct db_stmt *s = db_prepare(c, &by_id, &e);
        db_bind_i64(s, 1, id);
        assert_int_equal(db_step(s, &e), DB_ROW);
        db_conn_give(c); /* resets */
    }
    return NULL;
}

static void many_threads_write_and_read(void **state)
{
    pthread_t threads[THREADS];
    struct db_stats stats;
    (void)state;
    shared_db = open_with();
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, write_and_read, (void *)i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(count(shared_db), THREADS * EACH);
    db_stats(shared_db, &stats);
    assert_int_equal(stats.writes, THREADS * EACH);
    assert_int_equal(stats.failed, 0);
    assert_in_range(stats.readers, 1, 8);
    db_close(shared_db);
}

static const struct sql read_one = {"SELECT id FROM things WHERE t = ?", NULL};
static const struct sql set_one = {"UPDATE things SET id = ? WHERE t = ?", NULL};

/* Reads and writes what it read: without an order some would be lost. */
static bool raise_counter(void *arg, struct db_conn *c, struct err *e)
{
    (void)arg;
    struct db_stmt *s = db_prepare(c, &read_one, e);
    if (!s)
        return false;
    db_bind_text(s, 1, SLICE("counter"));
    enum db_step step = db_step(s, e);
    int64_t n = step == DB_ROW ? db_i64(s, 0) : 0;
    db_reset(s);
    if (step != DB_ROW || !(s = db_prepare(c, &set_one, e)))
        return false;
    db_bind_i64(s, 1, n + 1);
    db_bind_text(s, 2, SLICE("counter"));
    return db_run(s, NULL, e);
}

static void *raise_often(void *arg)
{
    int64_t *done = arg;
    struct err e;
    for (int i = 0; i < 50; i++) {
        if (db_write_now(shared_db, raise_counter, NULL, &e))
            ++*done;
        else
            print_message("%s\n", e.msg);
    }
    return NULL;
}

static void writes_are_as_if_one_after_the_other(void **state)
{
    pthread_t threads[4];
    int64_t done[4] = {0}, all = 0;
    struct db_stats stats;
    (void)state;
    shared_db = open_with();
    assert_true(add(shared_db, 0, SLICE("counter")));
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, raise_often, &done[i]);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        all += done[i];
    }
    struct db_conn *c = db_conn_take(shared_db, &err);
    struct db_stmt *s = db_prepare(c, &read_one, &err);
    db_bind_text(s, 1, SLICE("counter"));
    assert_int_equal(db_step(s, &err), DB_ROW);
    assert_int_equal(db_i64(s, 0), all);
    db_conn_give(c);
    db_stats(shared_db, &stats);
    assert_true(stats.redone > 0);
    assert_int_equal(all, 200);
    db_close(shared_db);
}

/* ---- opening ------------------------------------------------------------------------------- */

static void steps_run_once_each(void **state)
{
    (void)state;
    db_close(open_with());
    db_close(open_with());
    for (int i = 0; i < 2; i++) {
        struct db *db = try_open(more_steps);
        assert_non_null(db);
        struct db_conn *c = db_conn_take(db, &err);
        struct db_stmt *s = db_prepare_text(c, SLICE("SELECT sum(id) FROM more"), &err);
        assert_int_equal(db_step(s, &err), DB_ROW);
        assert_int_equal(db_i64(s, 0), 7);
        db_conn_give(c);
        db_close(db);
    }
    assert_null(try_open(steps));
    expect(ERR_USAGE, "newer dais");
}

static void steps_that_do_not_fit_change_nothing(void **state)
{
    static const struct db_migration others[] = {{"others", "SELECT 1", NULL}, {0}};
    static const struct db_migration bad[] = {
        {"things", "", NULL}, {"bad", "-", "CREATE TABLE x (a INT); CREATE TABLE x (a INT)"}, {0}};
    (void)state;
    db_close(open_with());
    assert_null(try_open(others));
    expect(ERR_USAGE, "'things' and not 'others'");
    for (int i = 0; i < 2; i++) {
        assert_null(try_open(bad));
        expect(ERR_INTERNAL, "step 'bad' failed");
    }
    db_close(open_with());
}

static void *open_at_once(void *arg)
{
    struct db_options o = {.url = slice_from(server.url),
                           .schema = slice_from(schema),
                           .migrations = more_steps,
                           .busy_ms = 5000};
    struct db **ret = arg;
    struct err e;
    *ret = db_open(&o, &e);
    if (!*ret)
        print_message("%s\n", e.msg);
    return NULL;
}

static void many_open_at_once(void **state)
{
    pthread_t threads[6];
    struct db *dbs[6] = {0};
    (void)state;
    for (int i = 0; i < 6; i++)
        pthread_create(&threads[i], NULL, open_at_once, &dbs[i]);
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 6; i++) {
        assert_non_null(dbs[i]);
        db_close(dbs[i]);
    }
}

static void *make_it_meanwhile(void *arg)
{
    char sql[600], *key = arg;
    snprintf(sql, sizeof sql,
             "SELECT pg_advisory_lock(hashtextextended('dais %s', 0)); COMMIT;"
             " DO 'BEGIN WHILE NOT EXISTS (SELECT FROM pg_locks WHERE locktype = ''advisory'' AND"
             " NOT granted) LOOP PERFORM pg_sleep(0.01); END LOOP; END'; COMMIT;"
             " CREATE SCHEMA \"%s\"; COMMIT",
             key, key);
    free(pg_server_ask(&server, sql)); /* and lets the lock go with its connection */
    return NULL;
}

/* Who waits for the other one to make the schema finds it made. */
static void another_makes_it_first(void **state)
{
    static const char locks[] = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
    pthread_t other;
    char *count = mem_strdup("0");
    (void)state;
    snprintf(schema, sizeof schema, "meanwhile");
    pthread_create(&other, NULL, make_it_meanwhile, schema);
    while (strcmp(count, "0") == 0) {
        free(count);
        count = pg_server_ask(&server, locks);
    }
    free(count);
    struct db *db = try_open(steps);
    pthread_join(other, NULL);
    assert_non_null(db);
    db_close(db);
}

static int64_t n_turns(struct db *db)
{
    struct db_conn *c = db_conn_take(db, &err);
    struct db_stmt *s = db_prepare_text(
        c, SLICE("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), &err);
    assert_int_equal(db_step(s, &err), DB_ROW);
    int64_t n = db_i64(s, 0);
    db_reset(s);
    db_conn_give(c);
    return n;
}

/* Who is through holds nobody up, though the server may see only later that its connection ended.
 */
static void alone_one_after_the_other(void **state)
{
    static const char *const fine[] = {"CREATE INDEX CONCURRENTLY by_b ON things (b)",
                                       "DROP INDEX CONCURRENTLY by_b", NULL};
    static const char *const wrong[] = {"CREATE INDEX CONCURRENTLY by_c ON things (c)", NULL};
    struct db *db = open_with();
    (void)state;
    assert_int_equal(n_turns(db), 0);
    for (int i = 0; i < 20; i++) {
        if (!db_run_alone(db, fine, &err))
            fail_msg("%d: %s", i, err.msg);
        assert_int_equal(n_turns(db), 0);
        assert_false(db_run_alone(db, wrong, &err));
        assert_int_not_equal(err.code, ERR_LOCKED);
        assert_int_equal(n_turns(db), 0);
    }
    db_close(db);
}

static void other_tables_are_left_alone(void **state)
{
    (void)state;
    free(pg_server_ask(&server, "CREATE SCHEMA theirs; CREATE TABLE theirs.x (a INT)"));
    snprintf(schema, sizeof schema, "theirs");
    assert_null(try_open(steps));
    expect(ERR_USAGE, "another program's tables");
}

static void rights_that_are_missing(void **state)
{
    char url[160];
    (void)state;
    free(pg_server_ask(&server, "CREATE USER weak PASSWORD '" PG_PASSWORD "'"));
    snprintf(url, sizeof url, "postgresql://weak:" PG_PASSWORD "@127.0.0.1:%u/postgres",
             server.port);
    struct db_options o = {.url = slice_from(url), .schema = SLICE("weaks"), .migrations = steps};
    assert_null(db_open(&o, &err));
    expect(ERR_UNAVAILABLE, "permission denied for database postgres");
    o.schema = SLICE("");
    assert_null(db_open(&o, &err));
    expect(ERR_UNAVAILABLE, "permission denied for schema public");
    free(pg_server_ask(&server, "CREATE SCHEMA weaks AUTHORIZATION weak"));
    o.schema = SLICE("weaks"); /* one that is there needs no right to make one */
    struct db *db = db_open(&o, &err);
    if (!db)
        fail_msg("%s", err.msg);
    db_close(db);
}

static void refuse(const char *url, enum err_code code, const char *words)
{
    struct db_options o = {.url = slice_from(url), .migrations = steps};
    assert_null(db_open(&o, &err));
    expect(code, words);
}

static void addresses(void **state)
{
    char url[200];
    (void)state;
    refuse("postgres://u:" PG_PASSWORD "/x@host/db", ERR_USAGE, "%2F");
    refuse("postgres://u:" PG_PASSWORD "@x@host/db", ERR_USAGE, "%40");
    refuse("postgres://u:" PG_PASSWORD "%zz@host/db", ERR_USAGE, "the form");
    refuse("postgres://u:" PG_PASSWORD "@host/db?nonsense=1", ERR_USAGE, "the form");
    refuse("postgres://u:" PG_PASSWORD "@host:99999/db", ERR_USAGE, "the form");
    refuse("postgres://u:" PG_PASSWORD "@host/d b", ERR_USAGE, "space");
    refuse("postgres://u:" PG_PASSWORD "@127.0.0.1:1/db", ERR_UNAVAILABLE, "Connection refused");
    snprintf(url, sizeof url, "postgres://dais:" PG_PASSWORD "x@127.0.0.1:%u/postgres",
             server.port);
    refuse(url, ERR_UNAVAILABLE, "password authentication failed");
    snprintf(url, sizeof url, "postgres://dais:" PG_PASSWORD "@127.0.0.1:%u/none", server.port);
    refuse(url, ERR_UNAVAILABLE, "database \"none\" does not exist");
    snprintf(schema, sizeof schema, "pg_mine");
    assert_null(try_open(steps));
    expect(ERR_USAGE, "pg_");
    free(pg_server_ask(&server,
                       "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"));
    snprintf(url, sizeof url, "postgres://dais:" PG_PASSWORD "@127.0.0.1:%u/latin", server.port);
    refuse(url, ERR_USAGE, "LATIN1");
}

/* In a child: libpq is opened once. */
static void without_libpq(void **state)
{
    int status;
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        char name[4] = "x";
        (void)name;
        execl("/proc/self/exe", "test_postgres", "--without-libpq", (char *)NULL);
        _exit(9);
    }
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int open_without_libpq(void)
{
    struct db_options o = {.url = SLICE("postgres://u:p@127.0.0.1:1/x"), .migrations = steps};
    pq_library = "libpq.so.none";
    if (db_open(&o, &err) || err.code != ERR_UNAVAILABLE || !strstr(err.msg, "install libpq5"))
        return 1;
    pq_library = "libc.so.6";
    return db_open(&o, &err) || !strstr(err.msg, "too old") ? 2 : 0;
}

#define T(name) cmocka_unit_test_setup(name, set_up)
int main(int argc, char **argv)
{
    (void)argv;
    const struct CMUnitTest tests[] = {
        T(values_come_back_as_they_went),
        T(texts_that_cannot_be_stored),
        T(kinds_may_change),
        T(statements_are_kept_and_forgotten),
        T(a_mistake_is_told_without_the_statement),
        T(a_reader_cannot_write),
        T(a_take_reads_one_state),
        T(too_slow_is_over_budget),
        T(sessions_are_set_up),
        T(unique_keys_are_told),
        T(what_failed_is_never_committed),
        T(finish_is_part_of_it),
        T(tables_may_change_meanwhile),
        T(refusals_leave_nothing_behind),
        T(many_threads_write_and_read),
        T(writes_are_as_if_one_after_the_other),
        T(steps_run_once_each),
        T(steps_that_do_not_fit_change_nothing),
        T(many_open_at_once),
        T(another_makes_it_first),
        T(alone_one_after_the_other),
        T(other_tables_are_left_alone),
        T(rights_that_are_missing),
        T(addresses),
        T(without_libpq),
    };
    if (argc > 1)
        return open_without_libpq();
    pg_server_make(&server);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
