/* Token buckets: how they fill, what a full table does, and several threads on one key. */
#include "limit/limit.h"

#include "base/mem.h"
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define S 1000000000LL

static bool take(struct limit *l, const char *key, int64_t now_ns, struct limit_state *ret)
{
    return limit_take(l, slice_from(key), now_ns, ret);
}

static void test_a_bucket_empties_and_fills(void **state)
{
    (void)state;
    struct limit *l = limit_new(3, 60000, 1024);
    struct limit_state st;
    int64_t now = 1000 * S;
    for (int i = 2; i >= 0; i--) {
        assert_true(take(l, "a", now, &st));
        assert_int_equal(st.limit, 3);
        assert_int_equal(st.remaining, i);
        assert_int_equal(st.reset_s, 60 - 20 * i);
        assert_int_equal(st.retry_s, 0);
    }
    assert_false(take(l, "a", now, &st));
    assert_int_equal(st.remaining, 0);
    assert_int_equal(st.retry_s, 20);
    assert_int_equal(st.reset_s, 60);
    assert_true(take(l, "b", now, &st)); /* somebody else's is full */
    assert_false(take(l, "a", now + 20 * S - 1, &st));
    assert_int_equal(st.retry_s, 1);
    assert_true(take(l, "a", now + 20 * S, &st));
    assert_int_equal(st.remaining, 0);
    assert_false(take(l, "a", now + 20 * S, &st));
    assert_true(take(l, "a", now + 200 * S, &st)); /* never more than all of them */
    assert_int_equal(st.remaining, 2);
    limit_free(l);
}

static void test_nothing_and_very_much(void **state)
{
    (void)state;
    struct limit_state st;
    struct limit *none = limit_new(0, 86400000, 8), *much = limit_new(1000000000, 1000, 8);
    assert_false(take(none, "a", S, &st));
    assert_int_equal(st.retry_s, 86400);
    assert_int_equal(st.remaining, 0);
    for (int i = 0; i < 1000; i++)
        assert_true(take(much, "a", S, &st));
    assert_int_equal(st.remaining, 1000000000 - 1000);
    limit_free(none);
    limit_free(much);
    limit_free(NULL);
}

/* A flood of keys, more than there is room for: who has used theirs up gets at most one request
 * for each time the table forgot them, and nobody new is refused at once. */
static void test_a_flood_resets_nobody(void **state)
{
    (void)state;
    struct limit *l = limit_new(10, 60000, 64);
    struct limit_state st;
    char key[32];
    int64_t now = 1000 * S;
    while (take(l, "victim", now, &st))
        continue;
    for (int i = 0; i < 10000; i++) { /* one request each: less used than the victim's */
        snprintf(key, sizeof key, "flood %d", i);
        assert_true(take(l, key, now, &st));
    }
    int passed = 0;
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 100; i++) {
            snprintf(key, sizeof key, "again %d %d", round, i);
            assert_true(take(l, key, now, &st)); /* whoever is new */
            while (take(l, key, now, &st))       /* all used: some take the victim's place */
                continue;
        }
        while (take(l, "victim", now, &st))
            passed++;
    }
    assert_in_range(passed, 1, 50);
    limit_free(l);
}

/* With room for all of them every key has a bucket of its own. */
static void test_there_is_room_for_many(void **state)
{
    (void)state;
    struct limit *l = limit_new(2, 60000, 32768);
    struct limit_state st;
    char key[32];
    int refused = 0;
    for (int i = 0; i < 4000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_true(take(l, key, S, &st));
    }
    for (int i = 0; i < 4000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        refused += !take(l, key, S, &st);
    }
    assert_int_equal(refused, 0);
    limit_free(l);
}

#define THREADS 4
static _Atomic int n_passed;

static void *hammer(void *arg)
{
    struct limit_state st;
    char key[32];
    for (int i = 0; i < 5000; i++) {
        if (take(arg, "shared", 5 * S, &st))
            atomic_fetch_add(&n_passed, 1);
        snprintf(key, sizeof key, "own %d", i);
        take(arg, key, 5 * S, &st);
    }
    return NULL;
}

static void test_threads_share_a_bucket(void **state)
{
    (void)state;
    struct limit *l = limit_new(1000, 60000, 1 << 18);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, l), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&n_passed), 1000);
    limit_free(l);
}

static void test_looking_takes_nothing(void **state)
{
    (void)state;
    struct limit *l = limit_new(1, 60000, 8);
    struct limit_state st;
    for (int i = 0; i < 3; i++)
        assert_true(limit_look(l, SLICE("a"), S, &st));
    assert_true(take(l, "a", S, &st));
    assert_false(limit_look(l, SLICE("a"), S, &st));
    assert_int_equal(st.retry_s, 60);
    limit_free(l);
}

/* Whoever only looks, from many addresses, drives nobody out of a full table. */
static void test_looking_moves_nothing(void **state)
{
    (void)state;
    struct limit *l = limit_new(10, 60000, 8);
    struct limit_state st;
    char key[32];
    int64_t now = 1000 * S;
    while (take(l, "victim", now, &st))
        continue;
    for (int i = 0; i < 7; i++) {
        snprintf(key, sizeof key, "other %d", i);
        while (take(l, key, now, &st))
            continue;
    }
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "look %d", i);
        assert_true(limit_look(l, slice_from(key), now, &st)); /* as a take would be told */
        assert_int_equal(st.remaining, 0);
    }
    assert_false(take(l, "victim", now, &st));
    for (int i = 0; i < 7; i++) {
        snprintf(key, sizeof key, "other %d", i);
        assert_false(take(l, key, now, &st));
    }
    limit_free(l);
}

static void test_what_others_took(void **state)
{
    (void)state;
    struct limit *l = limit_new(6, 60000, 8);
    struct limit_state st;
    int64_t now = 1000 * S;
    assert_true(take(l, "a", now, &st));
    limit_raise(l, SLICE("a"), now, now + 40 * S);
    assert_true(take(l, "a", now, &st));
    assert_int_equal(st.remaining, 1);
    limit_raise(l, SLICE("a"), now, now + 10 * S); /* nothing is given back */
    assert_true(take(l, "a", now, &st));
    assert_false(take(l, "a", now, &st));
    limit_raise(l, SLICE("b"), now, now + 3600 * S); /* no further than empty */
    assert_false(take(l, "b", now, &st));
    assert_int_equal(st.retry_s, 10);
    assert_true(take(l, "b", now + 10 * S, &st));
    limit_free(l);
}

TESTS(cmocka_unit_test(test_looking_takes_nothing), cmocka_unit_test(test_looking_moves_nothing),
      cmocka_unit_test(test_what_others_took), cmocka_unit_test(test_a_bucket_empties_and_fills),
      cmocka_unit_test(test_nothing_and_very_much), cmocka_unit_test(test_a_flood_resets_nobody),
      cmocka_unit_test(test_there_is_room_for_many), cmocka_unit_test(test_threads_share_a_bucket))
