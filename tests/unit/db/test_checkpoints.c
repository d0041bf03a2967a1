/* The write-ahead log is copied back beside the writes, and does not grow for ever. */
#include "db_test.h"

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

DB_TESTS(T(the_log_is_copied_beside_the_writes), T(a_long_log_begins_anew))
