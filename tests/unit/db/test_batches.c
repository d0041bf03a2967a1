/* Writes that share one commit: each runs and finishes before it, and one's failure is its own. */
#include "db_test.h"

struct member {
    struct db_write write;
    struct thing thing;
    unsigned runs, finishes, *order, ran_at, finished_at;
    bool is_first, finish_fails_once, is_done, *may_go;
};

static bool run_member(struct db_write *w, struct db_conn *c, struct err *e)
{
    struct member *m = container_of(w, struct member, write);
    m->runs++;
    m->ran_at = ++*m->order;
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
        m[i].write.is_first = m[i].is_first;
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

static void one_goes_before_all_that_wait(void **state)
{
    (void)state;
    struct member m[4] = {[3] = {.is_first = true}};
    unsigned order = 0;
    run_members(open_with(NULL), m, &order);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(m[i].ran_at, (i + 1) % 4 + 1);
}

DB_TESTS(T(a_batch_finishes_before_its_commit), T(a_finish_that_fails_costs_nobody_else),
         T(one_goes_before_all_that_wait))
