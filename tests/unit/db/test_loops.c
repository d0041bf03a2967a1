/* Reading on loops: what was answered is seen on each, a turn reads one state, closing is heard. */
#include "db_test.h"

#include <sqlite3.h>

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

/* Who asks is looked up on the connection that lists of documents use. */
static void on_turn_without_budget(struct post *p, struct loop *l)
{
    struct turn *t = container_of(p, struct turn, post);
    db_conn_budget(db_conn_of_loop(t->db, l), 1);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(read_count(db_conn_of_loop(t->db, l)), 0);
    loops_stop(t->loops);
}

static void a_budget_ends_with_its_request(void **state)
{
    (void)state;
    struct loops *loops = loops_new(1);
    struct db *db = open_with(loops);
    struct turn t = {.post.fn = on_turn_without_budget, .db = db, .loops = loops};
    loop_post(loops_get(loops, 0), &t.post);
    loops_run(loops);
    db_close(db);
    loops_free(loops);
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

DB_TESTS(T(what_was_answered_is_read_on_every_loop),
         T(a_turn_reads_one_state_and_a_request_the_newest), T(a_budget_ends_with_its_request),
         T(closed_while_the_loops_run), T(the_last_answers_are_heard_before_it_closes),
         T(closed_in_the_turn_of_a_write))
