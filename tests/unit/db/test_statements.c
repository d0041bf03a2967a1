/* What is bound comes back, statements are kept, a reader only reads, steps have a budget. */
#include "db_test.h"

static const struct sql endless = {
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?) SELECT max(i) FROM n",
    NULL};

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
    expect(ERR_OVER_BUDGET, "2000 ms");
    db_conn_give(c);
    c = db_conn_take(db, &err);
    assert_int_equal(count_up(c, 100), DB_ROW);
    db_conn_give(c);
    db_close(db);
}

/* SQLite looks at the budget now and then, whatever statement it is at: at ROLLBACK, too. */
static void ending_a_transaction_needs_no_budget(void **state)
{
    (void)state;
    struct db *db = open_with(NULL);
    for (int i = 0; i < 1000; i++) {
        struct db_conn *c = db_conn_take(db, &err);
        assert_int_equal(count_up(c, 100), DB_ROW);
        db_conn_budget(c, 1);
        assert_int_equal(count_up(c, INT64_MAX), DB_FAILED);
        db_conn_give(c);
    }
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

DB_TESTS(T(values_come_back_as_they_went), T(statements_are_prepared_once),
         T(a_reader_cannot_write), T(unique_keys_are_told), T(too_many_steps_are_interrupted),
         T(ending_a_transaction_needs_no_budget), T(readers_are_kept_but_not_all))
