/* Who is served when: fair turns between owners, priorities, how many at once, with several who
 * claim at the same time. */
#include "jobs_test.h"

#include <stdio.h>

static const char manifest[] =
    "app: t\n"
    "jobs:\n"
    "  free: { run: jobs/work, concurrency: { total: 0, per_user: 0 } }\n"
    "  two: { run: jobs/work, concurrency: { total: 0, per_user: 2 } }\n"
    "  five: { run: jobs/work, concurrency: { total: 5, per_user: 3 } }\n";

RIG_OF(manifest)

static void add_many(const char *type, const char *user, int n)
{
    rig_be(user);
    for (int i = 0; i < n; i++)
        add(type);
}

static size_t of(const struct claims *c, const char *owner)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        n += slice_is(c->items[i].row.owner, owner);
    return n;
}

static void test_fair(void **unused)
{
    (void)unused;
    add_many("free", "many", 300);
    add_many("free", "some", 10);
    add_many("free", "one", 1);
    struct claims c = claim("h", 6);
    assert_int_equal(c.n, 6);
    assert_true(of(&c, "one") == 1 && of(&c, "some") == 2 && of(&c, "many") == 3);
    c = claim("h", 16); /* the rest of `some` is not behind those who came first */
    assert_int_equal(c.n, 16);
    assert_true(of(&c, "some") == 8 && of(&c, "many") == 8);
    c = claim("h", 256);
    assert_int_equal(c.n, 256);
    for (size_t i = 1; i < c.n; i++) /* each owner's oldest first */
        assert_true(slice_cmp(c.items[i - 1].row.id, c.items[i].row.id) < 0);
    c = claim("h", 256);
    assert_int_equal(c.n, 33);
    assert_int_equal(claim("h", 256).n, 0);
}

/* One at a time, the turn goes round, the app's own jobs included. */
static void test_turns(void **unused)
{
    char seen[10] = "";
    (void)unused;
    add_many("free", "b", 3);
    add_many("free", "a", 3);
    for (int i = 0; i < 3; i++)
        OK(add_wish(&(struct wish){.type = "free", .is_trusted = true}) != NULL);
    for (int i = 0; i < 9; i++) {
        struct claims c = claim("h", 1);
        assert_int_equal(c.n, 1);
        struct slice owner = c.items[0].row.owner;
        seen[i] = owner.len ? owner.ptr[0] : '-';
        add_many("free", "a", 1); /* whoever brings more does not come sooner */
    }
    assert_string_equal(seen, "-ab-ab-ab");
}

static void test_priorities(void **unused)
{
    static const int priorities[] = {0, -100, 5, 100, 5};
    int64_t before = 101;
    (void)unused;
    for (size_t i = 0; i < 5; i++)
        OK(add_wish(&(struct wish){
               .type = "free", .priority = priorities[i], .is_trusted = true}) != NULL);
    assert_null(add_wish(&(struct wish){.type = "free", .priority = 1})); /* not a user's to say */
    struct claims c = claim("h", 3);
    assert_int_equal(c.n, 3);
    for (size_t i = 0; i < c.n; i++) {
        assert_true(c.items[i].row.priority <= before);
        before = c.items[i].row.priority;
    }
    assert_int_equal(before, 5);
    c = claim("h", 3);
    assert_true(c.n == 2 && c.items[0].row.priority == 0 && c.items[1].row.priority == -100);
}

static void test_per_user(void **unused)
{
    (void)unused;
    add_many("two", "a", 10);
    add_many("two", "b", 1);
    add_many("two", "c", 5);
    struct claims c = claim("h", 256);
    assert_int_equal(c.n, 5);
    assert_true(of(&c, "a") == 2 && of(&c, "b") == 1 && of(&c, "c") == 2);
    assert_false(c.has_more);
    assert_int_equal(claim("other", 256).n, 0);
    for (size_t i = 0; i < c.n; i++) {
        if (slice_is(c.items[i].row.owner, "a"))
            finish("h", &c.items[i], OUTCOME_SUCCEEDED);
    }
    c = claim("other", 256);
    assert_true(c.n == 2 && of(&c, "a") == 2);
}

static void test_total(void **unused)
{
    (void)unused;
    add_many("five", "a", 10);
    add_many("five", "b", 10);
    struct claims c = claim("h", 4);
    assert_int_equal(c.n, 4);
    struct claims d = claim("other", 4);
    assert_int_equal(d.n, 1);
    assert_int_equal(claim("third", 4).n, 0);
    assert_true(of(&c, "a") + of(&d, "a") <= 3 && of(&c, "b") + of(&d, "b") <= 3);
    finish("h", &c.items[0], OUTCOME_FAILED);
    assert_int_equal(claim("third", 4).n, 1);
}

/* ---- at the same time ------------------------------------------------------------------------
 */

struct claimer {
    pthread_t thread;
    char holder[16];
    struct arena a;
    struct job_claim got[256];
    size_t n;
    int rounds;
};

static _Atomic int n_over, n_failed;

/* Of what others have committed, and of what was just claimed. */
static bool look(struct db_conn *c, struct err *e)
{
    struct db_stmt *s = db_prepare_text(
        c,
        SLICE("SELECT count(*) FROM (SELECT type FROM dais_jobs WHERE state = 1 AND type <> 'free'"
              " GROUP BY type, owner HAVING count(*) > CASE WHEN type = 'two' THEN 2 ELSE 3 END"
              " UNION ALL SELECT type FROM dais_jobs WHERE state = 1 AND type = 'five'"
              " GROUP BY type HAVING count(*) > 5) AS many"),
        e);
    if (!s || db_step(s, e) != DB_ROW)
        return false;
    atomic_fetch_add(&n_over, (int)db_i64(s, 0));
    db_reset(s);
    return true;
}

static bool run_claim(void *arg, struct db_conn *c, struct err *e)
{
    struct claimer *x = arg;
    struct job_room rooms[3];
    bool more;
    for (size_t i = 0; i < 3; i++) /* another one first each time, as crews do it */
        rooms[i] = (struct job_room){job_type_at(rig.jobs, (i + (size_t)x->rounds) % 3), 7};
    return jobs_claim(rig.jobs, c, S(x->holder), rooms, 3, rig.now, &x->a, x->got, 20, &x->n, &more,
                      e) &&
           look(c, e);
}

static bool run_finish(void *arg, struct db_conn *c, struct err *e)
{
    struct claimer *x = arg;
    struct job_end ends[20];
    for (size_t i = 0; i < x->n; i++)
        ends[i] = (struct job_end){.id = x->got[i].row.id,
                                   .attempt = x->got[i].row.attempt,
                                   .outcome = OUTCOME_SUCCEEDED,
                                   .progress = -1};
    return jobs_finish(rig.jobs, c, S(x->holder), ends, x->n, rig.now, &x->a, e);
}

static void *claimer_main(void *arg)
{
    struct claimer *x = arg;
    struct err e;
    for (int idle = 0; idle < 50;) {
        arena_reset(&x->a);
        x->n = 0;
        x->rounds++;
        if (!written_loosely(run_claim, x, &e))
            atomic_fetch_add(&n_failed, 1);
        idle = x->n ? 0 : idle + 1;
        if (x->n && !written_loosely(run_finish, x, &e))
            atomic_fetch_add(&n_failed, 1);
    }
    return NULL;
}

/* Each job runs once, and never more at once than may. */
static void test_together(void **unused)
{
    struct claimer claimers[4];
    struct db_stats stats;
    (void)unused;
    for (int i = 0; i < 5; i++) {
        char user[16];
        snprintf(user, sizeof user, "u%d", i);
        add_many("free", user, 20);
        add_many("two", user, 20);
        add_many("five", user, 20);
    }
    atomic_store(&n_over, 0);
    for (int i = 0; i < 4; i++) {
        snprintf(claimers[i].holder, sizeof claimers[i].holder, "h%d", i);
        arena_init(&claimers[i].a, 1u << 26);
        claimers[i].rounds = i;
        assert_int_equal(pthread_create(&claimers[i].thread, NULL, claimer_main, &claimers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(claimers[i].thread, NULL);
        arena_done(&claimers[i].a);
    }
    assert_int_equal(atomic_load(&n_over), 0);
    assert_int_equal(atomic_load(&n_failed), 0);
    db_stats(jobs_db(rig.jobs), &stats);
    assert_int_equal(stats.redone, 0); /* nor do they wait for each other in a circle */
    assert_int_equal(count_rows("SELECT count(*) FROM dais_jobs WHERE state = 3 AND attempt = 1"),
                     300);
}

TESTS(TEST(test_fair), TEST(test_turns), TEST(test_priorities), TEST(test_per_user),
      TEST(test_total), TEST(test_together))
