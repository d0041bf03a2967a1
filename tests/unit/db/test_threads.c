/* Many threads write and read one database at once. */
#include "db_test.h"

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

DB_TESTS(T(many_threads_write_and_read))
