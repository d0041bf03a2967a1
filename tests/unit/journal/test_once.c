/* Answers that are kept: found again by who sent what where, for a day, on both sides of a crash.
 */
#include "journal/journal.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[64], path[96];
static struct db *db;
static struct arena arena;

static int make_db(void **state)
{
    static const struct db_migration steps[] = {JOURNAL_MIGRATION, {0}};
    struct err e;
    (void)state;
    arena_init(&arena, 1u << 20);
    snprintf(folder, sizeof folder, "/tmp/dais-once-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/app.db", folder);
    db = db_open(&(struct db_options){.path = path, .migrations = steps}, &e);
    return db ? 0 : -1;
}

static int remove_db(void **state)
{
    static const char *const names[] = {"app.db", "app.db-wal", "app.db-shm"};
    db_close(db);
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
    (void)state;
    arena_done(&arena);
    return 0;
}

struct ask {
    const char *who, *method, *path, *key, *body;
    const char *answer; /* NULL: is not kept */
    enum once_state state;
    struct once_answer found;
    bool fails_after;
};

static bool run_ask(void *arg, struct db_conn *c, struct err *e)
{
    struct ask *a = arg;
    struct once o;
    once_init(&o, slice_from(a->who), slice_from(a->method), slice_from(a->path),
              slice_from(a->key), slice_from(a->body));
    a->state = once_begin(&o, c, &arena, &a->found, e);
    if (a->state == ONCE_FAILED)
        return false;
    struct once_answer answer = {.status = 201, .body = slice_from(a->answer)};
    if (a->state == ONCE_NEW && a->answer && !once_keep(&o, c, &answer, e))
        return false;
    return !a->fails_after || err_set(e, ERR_STALE, "on purpose");
}

static struct ask ask(const char *who, const char *key, const char *body, const char *answer)
{
    struct err e = {0};
    struct ask a = {
        .who = who, .method = "POST", .path = "/api/x", .key = key, .body = body, .answer = answer};
    if (!db_write_now(db, run_ask, &a, &e))
        assert_int_equal(e.code, ERR_INVALID);
    return a;
}

static void the_first_answer_is_found_again(void **state)
{
    (void)state;
    assert_int_equal(ask("u1", "k", "{}", "one").state, ONCE_NEW);
    struct ask again = ask("u1", "k", "{}", "two");
    assert_int_equal(again.state, ONCE_KNOWN);
    assert_int_equal(again.found.status, 201);
    assert_true(slice_is(again.found.body, "one"));
    assert_int_equal(again.found.error.len, 0);
    assert_int_equal(ask("u1", "k", "{ }", "three").state, ONCE_FAILED);
}

static void others_have_keys_of_their_own(void **state)
{
    (void)state;
    assert_int_equal(ask("u1", "k", "{}", "one").state, ONCE_NEW);
    assert_int_equal(ask("u2", "k", "{}", "two").state, ONCE_NEW);
    assert_int_equal(ask("u1", "k2", "{}", "three").state, ONCE_NEW);
    assert_int_equal(ask("u", "1k", "{}", "four").state, ONCE_NEW);
    assert_true(slice_is(ask("u2", "k", "{}", "").found.body, "two"));
}

/* What was undone was not answered. */
static void a_change_that_failed_keeps_nothing(void **state)
{
    struct err e = {0};
    struct ask a = {.who = "u",
                    .method = "POST",
                    .path = "/",
                    .key = "k",
                    .body = "",
                    .answer = "x",
                    .fails_after = true};
    (void)state;
    assert_false(db_write_now(db, run_ask, &a, &e));
    assert_int_equal(e.code, ERR_STALE);
    a.fails_after = false;
    assert_true(db_write_now(db, run_ask, &a, &e));
    assert_int_equal(a.state, ONCE_NEW);
}

static int64_t at_ms, pruned;
static bool run_age(void *arg, struct db_conn *c, struct err *e)
{
    static const struct sql age = {"UPDATE dais_once SET at = ?", NULL};
    struct db_stmt *s = db_prepare(c, &age, e);
    (void)arg;
    db_bind_i64(s, 1, at_ms);
    return db_run(s, NULL, e);
}

static bool run_prune(void *arg, struct db_conn *c, struct err *e)
{
    return once_prune(c, *(int64_t *)arg, 2, &pruned, e);
}

static void a_day_later_it_is_forgotten(void **state)
{
    struct err e = {0};
    int64_t now_ms = clock_wall_ms();
    (void)state;
    ask("u1", "k", "{}", "one");
    ask("u2", "k", "{}", "one");
    ask("u3", "k", "{}", "one");
    assert_true(db_write_now(db, run_prune, &now_ms, &e));
    assert_int_equal(pruned, 0);
    at_ms = now_ms - ONCE_KEPT_MS - 1;
    assert_true(db_write_now(db, run_age, NULL, &e));
    assert_int_equal(ask("u1", "k", "{1}", "new").state, ONCE_NEW);
    assert_true(db_write_now(db, run_prune, &now_ms, &e));
    assert_int_equal(pruned, 2);
    assert_int_equal(ask("u1", "k", "{1}", "").state, ONCE_KNOWN);
}

static void keys_are_short_and_visible(void **state)
{
    char text[ONCE_KEY_MAX + 2];
    (void)state;
    memset(text, 'k', sizeof text);
    assert_true(once_key_is_good((struct slice){text, ONCE_KEY_MAX}));
    assert_false(once_key_is_good((struct slice){text, ONCE_KEY_MAX + 1}));
    assert_false(once_key_is_good(SLICE("")));
    assert_false(once_key_is_good(SLICE("a b")));
    assert_false(once_key_is_good(SLICE("a\xc3\xa9")));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, make_db, remove_db)
TESTS(T(the_first_answer_is_found_again), T(others_have_keys_of_their_own),
      T(a_change_that_failed_keeps_nothing), T(a_day_later_it_is_forgotten),
      cmocka_unit_test(keys_are_short_and_visible))
