/* The database room on SQLite: statements, budgets, reading what was written, migrations, refusals.
 */
#include "db/db_impl.h"
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/dais-db-XXXXXX";
static char path[64];
static struct err err;

static const struct db_migration steps[] = {
    {"things", "CREATE TABLE things (id INTEGER PRIMARY KEY, t TEXT UNIQUE, b BLOB) STRICT", NULL},
    {0},
};
static const struct db_migration more_steps[] = {
    {"things", "CREATE TABLE things (id INTEGER PRIMARY KEY, t TEXT UNIQUE, b BLOB) STRICT", NULL},
    {"more", "CREATE TABLE more (id INTEGER PRIMARY KEY); INSERT INTO more VALUES (7)", NULL},
    {0},
};
static const struct sql insert = {"INSERT INTO things (id, t, b) VALUES (?, ?, ?)", NULL};
static const struct sql by_id = {"SELECT t, b, id FROM things WHERE id = ?", NULL};
static const struct sql count_all = {"SELECT count(*) FROM things", NULL};
static const struct sql endless = {
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?) SELECT max(i) FROM n",
    NULL};

static struct db *try_open(const struct db_migration *migrations, struct loops *loops)
{
    struct db_options o = {
        .path = path, .migrations = migrations, .loops = loops, .busy_ms = 50, .read_ms = 300};
    err = (struct err){0};
    return db_open(&o, &err);
}

static struct db *open_with(struct loops *loops)
{
    struct db *db = try_open(steps, loops);
    if (!db)
        fail_msg("%s", err.msg);
    return db;
}

static int set_up(void **state)
{
    (void)state;
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        char name[80];
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
    return 0;
}

static void expect(enum err_code code, const char *words)
{
    if (err.code != code || !strstr(err.msg, words))
        fail_msg("not '%s' but %s: %s", words, err_slug(err.code), err.msg);
}

/* ---- a write for tests --------------------------------------------------------------------- */

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
    assert_int_equal(db_step(s, &err), DB_ROW);
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
    static const struct slice texts[] = {SLICE_INIT(""), SLICE_INIT("a\0b"),
                                         SLICE_INIT("\xc3\xa9\xf0\x9f\x98\x80"), SLICE_INIT("1e2"),
                                         SLICE_INIT("'); DROP TABLE things --")};
    (void)state;
    struct db *db = open_with(NULL);
    for (int i = 0; i < 5; i++) {
        struct thing x = {INT64_MAX - i, texts[i], SLICE("\0\xff\x80")};
        assert_true(db_write_now(db, add_thing, &x, &err));
    }
    struct thing nothing = {INT64_MIN, {0}, {0}};
    assert_true(db_write_now(db, add_thing, &nothing, &err));
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
    db_reset(s);
    db_conn_give(c);
    db_close(db);
}

static void statements_are_prepared_once(void **state)
{
    char text[60];
    (void)state;
    struct db *db = open_with(NULL);
    struct db_conn *c = db_conn_take(db, &err);
    struct db_stmt *first = db_prepare(c, &count_all, &err);
    db_reset(first);
    assert_ptr_equal(db_prepare(c, &count_all, &err), first);
    db_reset(first);
    for (int i = 0; i < TEXTS_MAX * 2; i++) {
        int n = snprintf(text, sizeof text, "SELECT id, %d FROM things", i % (TEXTS_MAX + 20));
        struct db_stmt *s = db_prepare_text(c, (struct slice){text, (size_t)n}, &err);
        assert_non_null(s);
        struct db_stmt *held = i == 3 ? db_prepare_text(c, SLICE("SELECT 3"), &err) : NULL;
        db_reset(s);
        if (held) /* while it is used nothing takes it away */
            db_reset(held);
    }
    assert_int_equal(c->by_text.len, TEXTS_MAX);
    assert_null(db_prepare_text(c, SLICE("SELECT id FROM nowhere"), &err));
    expect(ERR_INTERNAL, "no such table");
    assert_null(db_prepare_text(c, SLICE("SELECT \"text\" FROM things"), &err));
    db_conn_give(c);
    db_close(db);
}

static void a_reader_cannot_write(void **state)
{
    (void)state;
    struct db *db = open_with(NULL);
    struct db_conn *c = db_conn_take(db, &err);
    struct db_stmt *s = db_prepare_text(c, SLICE("DELETE FROM things"), &err);
    assert_false(db_run(s, NULL, &err));
    expect(ERR_UNAVAILABLE, "read-only");
    db_conn_give(c);
    db_close(db);
}

static void unique_keys_are_told(void **state)
{
    (void)state;
    struct db *db = open_with(NULL);
    assert_true(add(db, 1, SLICE("a")));
    assert_false(add(db, 1, SLICE("b")));
    expect(ERR_EXISTS, "unique");
    assert_false(add(db, 2, SLICE("a")));
    expect(ERR_EXISTS, "unique");
    assert_int_equal(count(db), 1);
    struct db_stats stats;
    db_stats(db, &stats);
    assert_int_equal(stats.writes, 3);
    assert_int_equal(stats.failed, 2);
    db_close(db);
}

/* ---- budgets ------------------------------------------------------------------------------- */

static enum db_step count_up(struct db_conn *c, int64_t to)
{
    struct db_stmt *s = db_prepare(c, &endless, &err);
    assert_non_null(s);
    db_bind_i64(s, 1, to);
    enum db_step step = db_step(s, &err);
    db_reset(s);
    return step;
}

static void too_many_steps_are_interrupted(void **state)
{
    (void)state;
    struct db *db = open_with(NULL);
    struct db_conn *c = db_conn_take(db, &err);
    db_conn_budget(c, 20000);
    assert_int_equal(count_up(c, 100), DB_ROW);
    assert_int_equal(count_up(c, INT64_MAX), DB_FAILED);
    expect(ERR_OVER_BUDGET, "steps");
    assert_int_equal(count_up(c, 1000), DB_FAILED); /* they were for all together */
    db_conn_budget(c, 20000);
    assert_int_equal(count_up(c, 100), DB_ROW);
    db_conn_budget(c, 0);
    assert_int_equal(count_up(c, 20000), DB_ROW);
    assert_int_equal(count_up(c, INT64_MAX), DB_FAILED); /* no lane reads for ever */
    expect(ERR_OVER_BUDGET, "300 ms");
    db_conn_give(c);
    c = db_conn_take(db, &err);
    assert_int_equal(count_up(c, 100), DB_ROW);
    db_conn_give(c);
    db_close(db);
}

static void readers_are_kept_but_not_all(void **state)
{
    struct db_conn *taken[IDLE_MAX + 3];
    struct db_stats stats;
    (void)state;
    struct db *db = open_with(NULL);
    for (int i = 0; i < IDLE_MAX + 3; i++)
        assert_non_null(taken[i] = db_conn_take(db, &err));
    for (int i = 0; i < IDLE_MAX + 3; i++)
        db_conn_give(taken[i]);
    db_stats(db, &stats);
    assert_int_equal(stats.readers, IDLE_MAX);
    db_close(db);
}

/* ---- loops --------------------------------------------------------------------------------- */

#define ROUNDS 300

struct trip { /* written from one loop, read on the other */
    struct db_write write;
    struct post post;
    struct db *db;
    struct loops *loops;
    unsigned from, round;
};

static void on_trip_written(struct db_write *w, const struct err *e);

static bool run_trip(struct db_write *w, struct db_conn *c, struct err *e)
{
    struct trip *t = container_of(w, struct trip, write);
    struct thing x = {1 + t->from * ROUNDS + t->round, {0}, SLICE("x")};
    return add_thing(&x, c, e);
}

static bool is_there(struct db *db, struct loop *l, int64_t id)
{
    struct db_conn *c = db_conn_of_loop(db, l);
    assert_non_null(c);
    struct db_stmt *s = db_prepare(c, &by_id, &err);
    assert_non_null(s);
    db_bind_i64(s, 1, id);
    enum db_step step = db_step(s, &err);
    db_reset(s);
    return step == DB_ROW;
}

static void on_other_loop(struct post *p, struct loop *l)
{
    struct trip *t = container_of(p, struct trip, post);
    assert_true(is_there(t->db, l, 1 + t->from * ROUNDS + t->round));
    if (++t->round == ROUNDS) {
        static _Atomic unsigned ended;
        if (++ended == 2)
            loops_stop(t->loops);
        return;
    }
    /* From here too: a transaction is open on this loop while the next one is committed. */
    t->write.home = l;
    assert_true(db_write(t->db, &t->write));
}

static void on_trip_written(struct db_write *w, const struct err *e)
{
    struct trip *t = container_of(w, struct trip, write);
    assert_null(e);
    unsigned other = (loop_index(w->home) + 1) % loops_count(t->loops);
    t->post.fn = on_other_loop;
    loop_post(loops_get(t->loops, other), &t->post);
}

static void what_was_answered_is_read_on_every_loop(void **state)
{
    (void)state;
    struct loops *loops = loops_new(3);
    struct db *db = open_with(loops);
    struct trip trips[2];
    for (unsigned i = 0; i < 2; i++) {
        trips[i] = (struct trip){.db = db, .loops = loops, .from = i};
        trips[i].write = (struct db_write){
            .run = run_trip, .done = on_trip_written, .home = loops_get(loops, i)};
        assert_true(db_write(db, &trips[i].write));
    }
    loops_run(loops);
    assert_int_equal(count(db), 2 * ROUNDS);
    db_close(db);
    loops_free(loops);
}

struct turn {
    struct post post;
    struct db *db;
    struct loops *loops;
    pthread_t closer;
};

/* One turn of the loop: it reads, somebody commits, it reads again. */
static void on_turn(struct post *p, struct loop *l)
{
    struct turn *t = container_of(p, struct turn, post);
    struct db_conn *c = db_conn_of_loop(t->db, l);
    assert_int_equal(read_count(c), 0);
    assert_true(c->in_transaction);
    assert_true(add(t->db, 1, SLICE("a")));
    assert_int_equal(read_count(c), 0); /* within a request nothing moves */
    assert_int_equal(read_count(db_conn_of_loop(t->db, l)), 1);

    struct db_stmt *s = db_prepare(c, &by_id, &err); /* not under a statement's feet */
    assert_true(add(t->db, 2, SLICE("b")));
    assert_ptr_equal(db_conn_of_loop(t->db, l), c);
    assert_int_equal(read_count(c), 1);
    db_reset(s);

    sqlite3 *other = NULL; /* another process's commit moves no counter of ours */
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(read_count(db_conn_of_loop(t->db, l)), 2);
    sqlite3_exec(other, "INSERT INTO things (id) VALUES (3)", NULL, NULL, NULL);
    assert_int_equal(read_count(db_conn_of_loop(t->db, l)), 2);
    db_set_shared(t->db, true);
    assert_int_equal(read_count(db_conn_of_loop(t->db, l)), 3);
    sqlite3_close(other);
    loops_stop(t->loops);
}

static void a_turn_reads_one_state_and_a_request_the_newest(void **state)
{
    (void)state;
    struct loops *loops = loops_new(1);
    struct db *db = open_with(loops);
    struct turn t = {.post.fn = on_turn, .db = db, .loops = loops};
    loop_post(loops_get(loops, 0), &t.post);
    loops_run(loops);
    assert_false(db->readers[0].conn->in_transaction); /* it ended before the loop slept */
    db_close(db);
    loops_free(loops);
}

static void *close_from_outside(void *arg)
{
    struct turn *t = arg;
    db_close(t->db); /* the loops run and have readers */
    loops_stop(t->loops);
    return NULL;
}

static void on_read_then_close(struct post *p, struct loop *l)
{
    struct turn *t = container_of(p, struct turn, post);
    assert_false(is_there(t->db, l, 1));
    pthread_create(&t->closer, NULL, close_from_outside, t);
}

static void closed_while_the_loops_run(void **state)
{
    (void)state;
    struct loops *loops = loops_new(2);
    struct turn t = {.post.fn = on_read_then_close, .db = open_with(loops), .loops = loops};
    loop_post(loops_get(loops, 1), &t.post);
    loops_run(loops);
    pthread_join(t.closer, NULL);
    loops_free(loops);
}

struct farewell {
    struct db_write write;
    struct db *db;
    int answers;
};

static bool run_farewell(struct db_write *w, struct db_conn *c, struct err *e)
{
    struct thing x = {1, {0}, SLICE("x")};
    (void)w;
    return add_thing(&x, c, e);
}

static void on_farewell(struct db_write *w, const struct err *e)
{
    struct farewell *f = container_of(w, struct farewell, write);
    assert_null(e);
    assert_true(is_there(f->db, w->home, 1)); /* its loop may still read */
    assert_false(db_write(f->db, w));         /* but nobody writes */
    f->answers++;
}

static void the_last_answers_are_heard_before_it_closes(void **state)
{
    (void)state;
    struct loops *loops = loops_new(2); /* they do not run, as after loops_run */
    struct farewell f = {.db = open_with(loops)};
    f.write =
        (struct db_write){.run = run_farewell, .done = on_farewell, .home = loops_get(loops, 1)};
    assert_true(db_write(f.db, &f.write));
    db_close(f.db);
    assert_int_equal(f.answers, 1);
    loops_free(loops);
}

struct last_turn {
    struct turn turn;
    struct farewell farewell;
};

static void on_last_turn(struct post *p, struct loop *l)
{
    struct last_turn *t = container_of(p, struct last_turn, turn.post);
    t->farewell.write.home = l;
    assert_true(db_write(t->turn.db, &t->farewell.write)); /* staged when closing begins */
    pthread_create(&t->turn.closer, NULL, close_from_outside, &t->turn);
    while (!atomic_load(&t->turn.db->is_closing))
        ;
}

static void closed_in_the_turn_of_a_write(void **state)
{
    (void)state;
    struct loops *loops = loops_new(2);
    struct db *db = open_with(loops);
    struct last_turn t = {.turn = {.post.fn = on_last_turn, .db = db, .loops = loops}};
    t.farewell = (struct farewell){.write = {.run = run_farewell, .done = on_farewell}, .db = db};
    loop_post(loops_get(loops, 1), &t.turn.post);
    loops_run(loops);
    pthread_join(t.turn.closer, NULL);
    assert_int_equal(t.farewell.answers, 1);
    loops_free(loops);
}

/* ---- batches ------------------------------------------------------------------------------- */

struct member {
    struct db_write write;
    struct thing thing;
    unsigned runs, finishes, *order, finished_at;
    bool finish_fails_once, is_done, *may_go;
};

static bool run_member(struct db_write *w, struct db_conn *c, struct err *e)
{
    struct member *m = container_of(w, struct member, write);
    m->runs++;
    (*m->order)++;
    return add_thing(&m->thing, c, e);
}

static bool finish_member(struct db_write *w, struct db_conn *c, struct err *e)
{
    struct member *m = container_of(w, struct member, write);
    (void)c;
    m->finishes++;
    m->finished_at = *m->order;
    if (m->finish_fails_once && m->finishes == 1)
        return err_set(e, ERR_UNAVAILABLE, "not this time");
    return true;
}

static void on_member(struct db_write *w, const struct err *e)
{
    container_of(w, struct member, write)->is_done = e == NULL;
}

static bool hold(void *arg, struct db_conn *c, struct err *e)
{
    struct db *db = arg;
    (void)c;
    (void)e;
    for (unsigned waiting = 0; waiting < 4;) { /* until all of the batch is there */
        struct db_stats stats;
        db_stats(db, &stats);
        waiting = stats.waiting;
    }
    return true;
}

static void *hold_writer(void *arg)
{
    db_write_now(arg, hold, arg, NULL);
    return NULL;
}

static void run_members(struct db *db, struct member *m, unsigned *order)
{
    struct db_stats stats = {0};
    pthread_t thread;
    pthread_create(&thread, NULL, hold_writer, db);
    do { /* the writer has taken it: the queue was used and is empty */
        db_stats(db, &stats);
    } while (stats.waiting_max == 0 || stats.waiting);
    for (int i = 0; i < 4; i++) {
        m[i].write =
            (struct db_write){.run = run_member, .finish = finish_member, .done = on_member};
        m[i].thing = (struct thing){.id = i == 2 ? 1 : i + 1, .b = SLICE("x")};
        m[i].order = order;
        assert_true(db_write(db, &m[i].write));
    }
    pthread_join(thread, NULL);
    db_close(db); /* what waits is done first */
}

static void a_batch_finishes_before_its_commit(void **state)
{
    (void)state;
    struct member m[4] = {0};
    unsigned order = 0;
    run_members(open_with(NULL), m, &order);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(m[i].is_done, i != 2); /* its key is the first one's */
        assert_int_equal(m[i].runs, 1);
        assert_int_equal(m[i].finishes, i != 2);
        assert_int_equal(m[i].finished_at, i == 2 ? 0 : 4);
    }
}

static void a_finish_that_fails_costs_nobody_else(void **state)
{
    (void)state;
    struct member m[4] = {{.finish_fails_once = true}};
    unsigned order = 0;
    run_members(open_with(NULL), m, &order);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(m[i].is_done, i != 2);
        assert_int_equal(m[i].runs, 2);
    }
}

/* ---- locked by another process ------------------------------------------------------------- */

static void held_by_another_process(void **state)
{
    (void)state;
    struct db *db = open_with(NULL);
    sqlite3 *other = NULL;
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_false(add(db, 1, SLICE("a")));
    expect(ERR_UNAVAILABLE, "another process");
    assert_false(db_ping(db, &err));
    assert_int_equal(count(db), 0); /* reading goes on */
    struct db_options o = {.path = path, .busy_ms = 20};
    assert_null(db_open(&o, &err));
    expect(ERR_UNAVAILABLE, "another process");
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    assert_true(db_ping(db, &err));
    assert_true(add(db, 1, SLICE("a")));
    db_close(db);
}

/* A limit on the size of files stands for a full disk, on a real one. */
static void a_full_disk_is_told_and_survived(void **state)
{
    static char bytes[64 << 10];
    struct rlimit old, small;
    (void)state;
    struct db *db = open_with(NULL);
    struct thing x = {1, {0}, {bytes, sizeof bytes}};
    assert_true(db_write_now(db, add_thing, &x, &err));
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){.rlim_cur = 300 << 10, .rlim_max = old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    bool fine = true;
    int64_t done = 1;
    while (fine && x.id < 20) {
        x.id++;
        fine = db_write_now(db, add_thing, &x, &err);
        done += fine;
    }
    setrlimit(RLIMIT_FSIZE, &old);
    assert_false(fine);
    expect(ERR_UNAVAILABLE, "disk");
    assert_int_equal(count(db), done);
    assert_true(db_write_now(db, add_thing, &x, &err));
    assert_int_equal(count(db), done + 1);
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
        assert_true(db_write_now(shared_db, add_thing, &x, &e));
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
    shared_db = open_with(NULL);
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, write_and_read, (void *)i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(count(shared_db), THREADS * EACH);
    db_stats(shared_db, &stats);
    assert_int_equal(stats.writes, THREADS * EACH);
    assert_int_equal(stats.failed, 0);
    db_close(shared_db);
}

/* ---- checkpoints --------------------------------------------------------------------------- */

static void the_log_is_copied_beside_the_writes(void **state)
{
    static char bytes[64 << 10];
    struct db_stats stats = {0};
    (void)state;
    struct db *db = open_with(NULL);
    for (int i = 1; i < 4000 && !stats.checkpoints; i++) {
        struct thing x = {i, {0}, {bytes, sizeof bytes}};
        assert_true(db_write_now(db, add_thing, &x, &err));
        db_stats(db, &stats);
    }
    assert_true(stats.checkpoints > 0);
    assert_true(stats.wal_bytes >= 4 << 20);
    assert_true(stats.wal_bytes < 40 << 20);
    db_close(db);
}

/* A reader keeps the log from beginning anew. When it has gone, the writer sees to it. */
static void a_long_log_begins_anew(void **state)
{
    static char bytes[64 << 10];
    struct db_stats stats = {0};
    (void)state;
    struct db *db = open_with(NULL);
    struct thing x = {0, {0}, {bytes, sizeof bytes}};
    struct db_conn *c = db_conn_take(db, &err);
    assert_int_equal(read_count(c), 0);
    while (stats.wal_bytes < 40 << 20) {
        x.id++;
        assert_true(db_write_now(db, add_thing, &x, &err));
        db_stats(db, &stats);
        assert_true(x.id < 2000);
    }
    assert_int_equal(read_count(c), 0); /* its state is still there */
    db_conn_give(c);
    while (stats.wal_bytes > 8 << 20) {
        x.id++;
        assert_true(db_write_now(db, add_thing, &x, &err));
        db_stats(db, &stats);
        assert_true(x.id < 2000);
    }
    assert_int_equal(count(db), x.id);
    db_close(db);
}

/* ---- migrations and files that are none ---------------------------------------------------- */

static void steps_run_once_each(void **state)
{
    (void)state;
    db_close(open_with(NULL));
    db_close(open_with(NULL));
    for (int i = 0; i < 2; i++) {
        struct db *db = try_open(more_steps, NULL);
        assert_non_null(db);
        struct db_conn *c = db_conn_take(db, &err);
        struct db_stmt *s = db_prepare_text(c, SLICE("SELECT sum(id) FROM more"), &err);
        assert_int_equal(db_step(s, &err), DB_ROW);
        assert_int_equal(db_i64(s, 0), 7);
        db_conn_give(c);
        db_close(db);
    }
    assert_null(try_open(steps, NULL));
    expect(ERR_USAGE, "newer dais");
}

static void steps_that_do_not_fit_change_nothing(void **state)
{
    static const struct db_migration others[] = {{"others", "SELECT 1", NULL}, {0}};
    static const struct db_migration bad[] = {
        {"things", "", NULL}, {"bad", "CREATE TABLE x (a); CREATE TABLE x (a)", NULL}, {0}};
    (void)state;
    db_close(open_with(NULL));
    assert_null(try_open(others, NULL));
    expect(ERR_USAGE, "'things' and not 'others'");
    for (int i = 0; i < 2; i++) {
        assert_null(try_open(bad, NULL));
        expect(ERR_INTERNAL, "step 'bad' failed");
    }
    db_close(open_with(NULL));
}

static void write_file(const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void files_that_are_no_database_of_ours(void **state)
{
    (void)state;
    write_file("name,age\nAda,36\n");
    assert_null(try_open(steps, NULL));
    expect(ERR_IO, "not an SQLite database");
    unlink(path);

    sqlite3 *other = NULL;
    sqlite3_open(path, &other);
    sqlite3_exec(other, "CREATE TABLE theirs (a)", NULL, NULL, NULL);
    sqlite3_close(other);
    assert_null(try_open(steps, NULL));
    expect(ERR_USAGE, "another program's tables");

    struct db_options o = {.path = "/nowhere/at/all.db"};
    assert_null(db_open(&o, &err));
    expect(ERR_UNAVAILABLE, "No such file or directory");
    o.path = folder;
    assert_null(db_open(&o, &err));
    expect(ERR_UNAVAILABLE, "cannot be opened");
}

/* Every page but the first is overwritten: found when it is read, told, survived. */
static void a_damaged_file_is_told(void **state)
{
    static char bytes[64 << 10];
    (void)state;
    struct db *db = open_with(NULL);
    struct thing x = {1, SLICE("a"), {bytes, sizeof bytes}};
    assert_true(db_write_now(db, add_thing, &x, &err));
    db_close(db);
    int fd = open(path, O_WRONLY);
    memset(bytes, 0xa5, sizeof bytes);
    assert_int_equal(pwrite(fd, bytes, sizeof bytes, 4096), sizeof bytes);
    close(fd);
    assert_null(try_open(steps, NULL));
    expect(ERR_IO, "damaged");
}

static void addresses(void **state)
{
    char url[100];
    (void)state;
    snprintf(url, sizeof url, "sqlite://%s", path);
    struct db_options o = {.url = slice_from(url), .path = "/nowhere", .migrations = steps};
    struct db *db = db_open(&o, &err);
    assert_non_null(db);
    assert_true(db_is_sqlite(db));
    db_close(db);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    o.url = SLICE("mysql://x");
    assert_null(db_open(&o, &err));
    expect(ERR_USAGE, "postgres://");
    o.url = SLICE("sqlite://relative.db");
    assert_null(db_open(&o, &err));
    expect(ERR_USAGE, "sqlite:///path");
}

/* As another user, since the superuser may write everything. */
static void a_read_only_file_is_refused(void **state)
{
    int status;
    (void)state;
    db_close(open_with(NULL));
    chmod(folder, 0755);
    chmod(path, 0444);
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && setuid(65534))
            _exit(3);
        _exit(try_open(steps, NULL)                                          ? 1
              : err.code != ERR_UNAVAILABLE || !strstr(err.msg, "read-only") ? 2
                                                                             : 0);
    }
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define T(name) cmocka_unit_test_setup(name, set_up)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(values_come_back_as_they_went),
        T(statements_are_prepared_once),
        T(a_reader_cannot_write),
        T(unique_keys_are_told),
        T(too_many_steps_are_interrupted),
        T(readers_are_kept_but_not_all),
        T(what_was_answered_is_read_on_every_loop),
        T(a_turn_reads_one_state_and_a_request_the_newest),
        T(closed_while_the_loops_run),
        T(the_last_answers_are_heard_before_it_closes),
        T(closed_in_the_turn_of_a_write),
        T(a_batch_finishes_before_its_commit),
        T(a_finish_that_fails_costs_nobody_else),
        T(held_by_another_process),
        T(the_log_is_copied_beside_the_writes),
        T(a_full_disk_is_told_and_survived),
        T(many_threads_write_and_read),
        T(a_long_log_begins_anew),
        T(steps_run_once_each),
        T(steps_that_do_not_fit_change_nothing),
        T(files_that_are_no_database_of_ours),
        T(a_damaged_file_is_told),
        T(addresses),
        T(a_read_only_file_is_refused),
    };
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/a.db", folder);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    set_up(NULL);
    rmdir(folder);
    return failed;
}
