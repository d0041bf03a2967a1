/* A place for a database: opened by who needs it, closed when nobody does, whoever comes meanwhile.
 */
#include "db/slot.h"

#include "db_test.h"

#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#define THREADS 6
#define ROUNDS  400

static struct db_options options;

static struct db_slot *slot_new(void)
{
    options = (struct db_options){.path = path, .migrations = steps};
    return db_slot_new(&options);
}

static void opened_by_who_needs_it(void **state)
{
    struct err e;
    (void)state;
    struct db_slot *s = slot_new();
    assert_null(db_slot_enter(s));
    assert_int_equal(db_slot_times(s), 0);
    struct db *db = db_slot_open(s, &e);
    assert_non_null(db);
    assert_ptr_equal(db_slot_enter(s), db);
    assert_int_equal(db_slot_idle_ms(s), -1);
    db_slot_close_idle(s, 0); /* two are in it */
    db_slot_leave(s);
    db_slot_close_idle(s, 0); /* one */
    assert_true(db_slot_is_open(s));
    db_slot_leave(s);
    db_slot_close_idle(s, 1000000); /* not for long enough */
    assert_true(db_slot_is_open(s));
    db_slot_close_idle(s, 0);
    assert_false(db_slot_is_open(s));
    assert_null(db_slot_enter(s));
    assert_non_null(db_slot_open(s, &e));
    assert_int_equal(db_slot_times(s), 2);
    db_slot_leave(s);
    db_slot_free(s);
}

static void looking_is_no_use(void **state)
{
    struct err e;
    (void)state;
    struct db_slot *s = slot_new();
    assert_non_null(db_slot_open(s, &e));
    db_slot_leave(s);
    int64_t began = clock_mono_ms();
    while (clock_mono_ms() - began < 5) {
        assert_non_null(db_slot_enter(s));
        db_slot_leave_quietly(s);
    }
    assert_true(db_slot_idle_ms(s) >= 5);
    db_slot_free(s);
}

static void a_few_stay_open(void **state)
{
    enum { N = 5 };
    struct db_slot *slots[N];
    static char paths[N][200];
    static struct db_options of[N];
    struct err e;
    (void)state;
    for (int i = 0; i < N; i++) {
        snprintf(paths[i], sizeof paths[i], "%s-%d", path, i);
        of[i] = (struct db_options){.path = paths[i], .migrations = steps};
        slots[i] = db_slot_new(&of[i]);
        assert_non_null(db_slot_open(slots[i], &e));
        if (i != 2)
            db_slot_leave(slots[i]);
        int64_t began = clock_mono_ms();
        while (clock_mono_ms() - began < 3)
            continue;
    }
    db_slots_tidy(slots, N, 1000000, 3);
    assert_false(db_slot_is_open(slots[0])); /* unused the longest */
    assert_false(db_slot_is_open(slots[1]));
    assert_true(db_slot_is_open(slots[2]) && db_slot_is_open(slots[3]) &&
                db_slot_is_open(slots[4]));
    db_slots_tidy(slots, N, 0, 3);
    assert_true(db_slot_is_open(slots[2])); /* somebody is in it */
    assert_false(db_slot_is_open(slots[3]) || db_slot_is_open(slots[4]));
    db_slot_leave(slots[2]);
    for (int i = 0; i < N; i++) {
        db_slot_free(slots[i]);
        unlink(paths[i]);
    }
}

/* The server ends, and somebody has not left yet. */
static void ended_whoever_is_in_it(void **state)
{
    struct err e;
    (void)state;
    struct db_slot *s = slot_new();
    assert_non_null(db_slot_open(s, &e));
    db_slot_end(s);
    assert_null(db_slot_enter(s));
    assert_null(db_slot_open(s, &e));
    assert_int_equal(e.code, ERR_UNAVAILABLE);
    db_slot_leave(s);
    db_slot_end(s); /* nothing more to close */
    db_slot_free(s);
}

/* ---- many at once ---------------------------------------------------------------------------- */

static struct db_slot *shared;
static _Atomic bool is_over;

static void *come_and_go(void *arg)
{
    int64_t first = 1 + (int64_t)(uintptr_t)arg * ROUNDS;
    for (int64_t id = first; id < first + ROUNDS; id++) {
        struct thing x = {id, {0}, SLICE("x")};
        struct err e;
        struct db *db = db_slot_enter(shared);
        if (!db)
            db = db_slot_open(shared, &e);
        assert_non_null(db);
        assert_true(db_write_now(db, add_thing, &x, &e));
        db_slot_leave(shared);
    }
    return NULL;
}

static void *close_again_and_again(void *arg)
{
    (void)arg;
    while (!atomic_load(&is_over))
        db_slots_tidy(&shared, 1, 0, 64);
    return NULL;
}

static void nothing_is_lost_while_it_closes(void **state)
{
    pthread_t threads[THREADS], closer;
    struct err e;
    (void)state;
    shared = slot_new();
    is_over = false;
    pthread_create(&closer, NULL, close_again_and_again, NULL);
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, come_and_go, (void *)i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    while (db_slot_is_open(shared)) /* nobody is in it, so that it will be closed now at last */
        sched_yield();
    is_over = true;
    pthread_join(closer, NULL);
    struct db *db = db_slot_open(shared, &e);
    assert_int_equal(count(db), THREADS * ROUNDS);
    assert_true(db_slot_times(shared) > 1);
    db_slot_leave(shared);
    db_slot_free(shared);
}

/* ---- readings -------------------------------------------------------------------------------- */

static void later_readings_supersede_earlier_ones(void **state)
{
    (void)state;
    struct db_slot *s = slot_new();
    uint64_t one = db_slot_join(s), two = db_slot_join(s), three = db_slot_join(s);
    assert_true(db_slot_is_present(s, one) && db_slot_is_present(s, three));
    assert_true(db_slot_supersede(s, two));
    assert_true(db_slot_supersede(s, two));
    assert_false(db_slot_is_present(s, one));
    assert_false(db_slot_supersede(s, one));
    assert_true(db_slot_is_present(s, two) && db_slot_is_present(s, three));
    db_slot_free(s);
}

DB_TESTS(T(opened_by_who_needs_it), T(looking_is_no_use), T(a_few_stay_open),
         T(ended_whoever_is_in_it), T(nothing_is_lost_while_it_closes),
         T(later_readings_supersede_earlier_ones))
