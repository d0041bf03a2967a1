/* Leases, schedules, clocks that jump, what is too old, people who leave, figures. */
#include "jobs_test.h"

#include <stdio.h>

static const char manifest[] =
    "app: t\n"
    "jobs:\n"
    "  work: { run: jobs/work, concurrency: 0, keep: 1h, quota: { runs: 1000 } }\n"
    "  hourly: { run: jobs/work, concurrency: 0, schedule: '0 * * * *' }\n"
    "  told: { run: jobs/work, concurrency: 0, on: hourly.failed }\n";

RIG_OF(manifest)

#define HOUR 3600000LL

/* The lease of Postgres goes by its own clock. */
static void lease_is_over(void)
{
    run_sql("UPDATE dais_jobs SET lease = 1 WHERE state = 1");
}

/* ---- leases ---------------------------------------------------------------------------------- */

static void test_lost(void **unused)
{
    struct job_held held;
    (void)unused;
    const char *id = add("work");
    struct job_claim old = claim_one("a");
    tend("b", false);
    STATE(id, "running"); /* it is leased */
    lease_is_over();
    tend("a", false);
    STATE(id, "running"); /* nobody takes back his own */
    OK(beat("a", &old, &held));
    assert_false(held.is_lost);
    tend("b", false);
    STATE(id, "running");
    lease_is_over();
    tend("b", false);
    STATE(id, "queued");
    OK(beat("a", &old, &held));
    assert_true(held.is_lost);
    struct job_claim new = claim_one("b");
    assert_true(slice_is(new.row.id, id) && new.row.attempt == 2);
    finish("a", &old, OUTCOME_SUCCEEDED); /* comes too late */
    finish("b", &old, OUTCOME_SUCCEEDED);
    STATE(id, "running");
    OK(beat("b", &old, &held));
    assert_true(held.is_lost);
    finish("b", &new, OUTCOME_SUCCEEDED);
    STATE(id, "succeeded");
}

static bool run_tend_with(void *arg, struct db_conn *c, struct err *e)
{
    return jobs_tend(rig.jobs, c, rig.now, arg, e);
}

/* Its holder claimed one more than it knows of: the connection was lost in that COMMIT. */
static void test_unheard(void **unused)
{
    (void)unused;
    add("work");
    add("work");
    struct claims c = claim("a", 10);
    assert_int_equal(c.n, 2);
    struct slice known = arena_dup(&rig.a, c.items[0].row.id);
    const char *unheard = arena_cstr(&rig.a, c.items[1].row.id);
    struct jobs_tending t = {.holder = S("a"), .mine = &known, .n_mine = 1};
    OK(written_loosely(run_tend_with, &t, &err));
    STATE(unheard, "running"); /* the COMMIT may be late */
    lease_is_over();
    OK(written_loosely(run_tend_with, &t, &err));
    STATE(known.ptr, "running");
    STATE(unheard, "queued");
    assert_int_equal(row(unheard).started_ms, 0);
    struct job_claim again = claim_one("a");
    assert_true(slice_is(again.row.id, unheard) && again.row.attempt == 2);
}

static void test_too_often(void **unused)
{
    (void)unused;
    const char *id = add("work");
    for (int i = 0; i <= JOB_LOST_MAX; i++) {
        STATE(id, "queued");
        claim_one("a");
        lease_is_over();
        tend("b", false);
    }
    struct job_row r = row(id);
    assert_true(r.state == JOB_FAILED && r.error_code == JOB_ERROR_LOST);
    assert_int_equal(used("work", "ada").runs, 0);
}

static void test_first(void **unused)
{
    (void)unused;
    for (int i = 0; i < 200; i++)
        add("work");
    assert_int_equal(claim("old", 256).n, 200);
    tend("new", false);
    assert_int_equal(count_rows("SELECT count(*) FROM dais_jobs WHERE state = 1"), 200);
    tend("new", true);
    assert_int_equal(count_rows("SELECT count(*) FROM dais_jobs WHERE state = 0"), 200);
}

/* ---- schedules ------------------------------------------------------------------------------- */

static int64_t scheduled(void)
{
    return count_rows("SELECT count(*) FROM dais_jobs WHERE type = 'hourly'");
}

static void test_schedule(void **unused)
{
    (void)unused;
    rig.now = rig.now / HOUR * HOUR + 1000;
    assert_int_equal(tend("a", false).next_ms, rig.now - 1000 + HOUR);
    tend("b", false);
    assert_int_equal(scheduled(), 0);
    rig.now += HOUR - 1001;
    tend("a", false);
    assert_int_equal(scheduled(), 0);
    rig.now += 1;
    tend("a", false);
    tend("b", false);
    assert_int_equal(scheduled(), 1);
    rig.now += 5 * HOUR; /* nobody was there */
    tend("a", false);
    tend("b", false);
    assert_int_equal(scheduled(), 2);
    struct claims c = claim_of("a", "hourly", 1);
    assert_true(c.n == 1 && !c.items[0].row.owner.len);
    assert_true(slice_starts(c.items[0].row.input, SLICE("{\"event\":\"schedule\",\"due\":\"")));
}

struct tender {
    pthread_t thread;
    char holder[16];
    bool is_fine;
};

static bool run_tend(void *arg, struct db_conn *c, struct err *e)
{
    struct tender *t = arg;
    struct jobs_tending x = {.holder = S(t->holder)};
    return jobs_tend(rig.jobs, c, rig.now, &x, e);
}

static void *tender_main(void *arg)
{
    struct err e;
    ((struct tender *)arg)->is_fine = written_loosely(run_tend, arg, &e);
    return NULL;
}

static void test_once(void **unused)
{
    struct tender t[4];
    (void)unused;
    tend("a", false);
    for (int round = 1; round <= 10; round++) {
        rig.now += HOUR;
        for (int i = 0; i < 4; i++) {
            snprintf(t[i].holder, sizeof t[i].holder, "h%d", i);
            assert_int_equal(pthread_create(&t[i].thread, NULL, tender_main, &t[i]), 0);
        }
        for (int i = 0; i < 4; i++) {
            pthread_join(t[i].thread, NULL);
            assert_true(t[i].is_fine);
        }
        assert_int_equal(scheduled(), round);
    }
}

/* ---- clocks ---------------------------------------------------------------------------------- */

static void test_clock_back(void **unused)
{
    (void)unused;
    const struct job_row *r = add_wish(&(struct wish){.type = "work", .delay_ms = HOUR / 2});
    const char *id = arena_cstr(&rig.a, r->id);
    tend("a", false);
    int64_t runs = scheduled();
    rig.now -= 1000 * HOUR;
    tend("a", false);
    assert_int_equal(row(id).due_ms, rig.now + HOUR / 2);
    rig.now += HOUR;
    tend("a", false);
    STATE(id, "queued");
    assert_int_equal(claim_of("a", "work", 9).n, 1);
    assert_int_equal(scheduled(), runs + 1);
}

static void test_clock_forward(void **unused)
{
    (void)unused;
    add_wish(&(struct wish){.type = "work", .delay_ms = HOUR});
    tend("a", false);
    rig.now += 1000 * HOUR;
    tend("a", false);
    assert_int_equal(claim_of("a", "work", 9).n, 1);
    assert_int_equal(scheduled(), 1);
    rig.now -= 1000 * HOUR; /* and back */
    tend("a", false);
    assert_int_equal(scheduled(), 1);
    rig.now += HOUR;
    tend("a", false);
    assert_int_equal(scheduled(), 2);
}

/* Servers' clocks are some seconds apart: nothing is set anew, nothing starts twice. */
static void test_clocks_apart(void **unused)
{
    (void)unused;
    tend("a", false);
    rig.now = (rig.now / HOUR + 1) * HOUR + 5000;
    tend("a", false);
    assert_int_equal(scheduled(), 1);
    rig.now -= 10000;
    tend("b", false);
    rig.now += 6000;
    tend("b", false);
    assert_int_equal(scheduled(), 1);
}

/* ---- what is too old -------------------------------------------------------------------------
 */

static void say_something(const struct job_claim *c);

static void test_prune(void **unused)
{
    (void)unused;
    for (int i = 0; i < 300; i++)
        add("work");
    const char *keep = add("work");
    struct claims c = claim_of("a", "work", 256);
    say_something(&c.items[0]);
    for (size_t i = 0; i < c.n; i++)
        finish("a", &c.items[i], OUTCOME_SUCCEEDED);
    (void)keep;
    run_sql(
        "INSERT INTO dais_jobs SELECT 'vvvvv' || substr(id, 6), 'gone', owner, is_strangers, state,"
        " priority, created, due, set_at, blocked, attempt, lost, again, holder, lease, started, "
        "ended,"
        " run_ms, charged_ms, charged_since, progress, message, depth, cache, is_cached,"
        " quota_since, cancel_at, error_code, error, token, input, result FROM dais_jobs"
        " WHERE state = 3");
    rig.now += HOUR - 1;
    tend("a", false);
    assert_int_equal(count_rows("SELECT count(*) FROM dais_jobs WHERE type = 'work'"), 301);
    rig.now += 2;
    atomic_store(&rig.jobs->prune_ms, 0);
    tend("a", false);
    assert_int_equal(count_rows("SELECT count(*) FROM dais_jobs WHERE type = 'work'"), 45);
    assert_int_equal(count_rows("SELECT count(*) FROM dais_job_notes"), 0);
    assert_int_equal(count_rows("SELECT count(*) FROM dais_jobs WHERE type = 'gone'"), 256);
    rig.now += 31 * 24 * HOUR;
    atomic_store(&rig.jobs->prune_ms, 0);
    tend("a", false);
    assert_int_equal(count_rows("SELECT count(*) FROM dais_jobs WHERE type = 'gone'"), 0);
}

struct saying {
    const struct job_claim *c;
};

static bool run_say(void *arg, struct db_conn *c, struct err *e)
{
    struct saying *s = arg;
    const struct job_said said = {
        .id = s->c->row.id, .attempt = s->c->row.attempt, .kind = NOTE_LOG, .text = SLICE("x")};
    return jobs_say(c, &said, 1, rig.now, e);
}

static void say_something(const struct job_claim *c)
{
    struct saying s = {c};
    OK(written_loosely(run_say, &s, &err));
    assert_int_equal(count_rows("SELECT count(*) FROM dais_job_notes"), 1);
}

/* ---- people who leave ------------------------------------------------------------------------
 */

static void all_of(bool (*fn)(struct jobs *j, struct slice from, bool *more, struct err *e),
                   const char *user)
{
    bool more = true;
    for (int i = 0; more && i < 100; i++)
        OK(fn(rig.jobs, S(user), &more, &err));
    assert_false(more);
}

static void test_purge(void **unused)
{
    struct job_held held;
    (void)unused;
    for (int i = 0; i < 120; i++)
        add("work");
    struct job_claim c = claim_one("a");
    say_something(&c);
    const char *id = arena_cstr(&rig.a, c.row.id);
    const struct wish w = {.type = "hourly", .is_trusted = true, .owner = "bob", .after = {id}};
    const struct job_row *r = add_wish(&w);
    OK(r != NULL);
    all_of(jobs_purge_owner, "ada");
    assert_int_equal(count_rows("SELECT count(*) FROM dais_jobs"), 1);
    assert_int_equal(count_rows("SELECT count(*) FROM dais_job_notes"), 0);
    assert_int_equal(count_rows("SELECT count(*) FROM dais_job_links"), 0);
    assert_int_equal(count_rows("SELECT count(*) FROM dais_job_usage WHERE owner = 'ada'"), 0);
    assert_int_equal(row(arena_cstr(&rig.a, r->id)).error_code, JOB_ERROR_AFTER);
    tend("a", false); /* what is bob's has its followers */
    STATE(arena_cstr(&rig.a, r->id), "failed");
    assert_int_equal(count_rows("SELECT count(*) FROM dais_jobs WHERE type = 'told'"), 1);
    OK(beat("a", &c, &held));
    assert_true(held.is_lost);
    finish("a", &c, OUTCOME_SUCCEEDED);
    assert_int_equal(count_rows("SELECT count(*) FROM dais_jobs WHERE owner = 'ada'"), 0);
}

static bool adopt(struct jobs *j, struct slice from, bool *more, struct err *e)
{
    return jobs_adopt_owner(j, from, SLICE("bob"), more, e);
}

static void test_adopt(void **unused)
{
    (void)unused;
    for (int i = 0; i < 10; i++)
        add("work");
    struct job_claim c = claim_one("a");
    rig_be("bob");
    add("work");
    all_of(adopt, "ada");
    assert_int_equal(count_rows("SELECT count(*) FROM dais_jobs WHERE owner = 'bob'"), 11);
    assert_int_equal(used("work", "bob").runs, 11);
    assert_int_equal(used("work", "ada").runs, 0);
    finish("a", &c, OUTCOME_SUCCEEDED);
    STATE(arena_cstr(&rig.a, c.row.id), "succeeded");
}

struct exporting {
    struct buf text;
    struct slice after, next;
};

static bool run_export(const struct jobs_reading *r, void *arg)
{
    struct exporting *x = arg;
    return jobs_export_owner(r, SLICE("ada"), x->after, &x->text, &x->next, &err);
}

static void test_export(void **unused)
{
    struct exporting x = {.after = SLICE("")};
    int lines = 0;
    (void)unused;
    for (int i = 0; i < 130; i++)
        OK(add_wish(&(struct wish){.type = "work", .input = "{\r\n  \"a\": 1\n}"}) != NULL);
    buf_init(&x.text, 1u << 20);
    do {
        OK(read_with(run_export, &x));
        x.after = x.next;
    } while (x.next.len);
    struct slice rest = buf_slice(&x.text), line;
    while (slice_cut(&rest, '\n', &line)) {
        assert_true(slice_starts(line, SLICE("{\"job\":{\"id\":")));
        OK(json_validate(line, NULL, &err));
        lines++;
    }
    assert_int_equal(lines, 130);
    buf_done(&x.text);
}

static bool run_figures(const struct jobs_reading *r, void *arg)
{
    return jobs_figures(rig.jobs, r->conn, arg, &err);
}

static void test_figures(void **unused)
{
    struct job_figures f[3];
    (void)unused;
    add("work");
    int64_t first = rig.now;
    rig.now += 50;
    add("work");
    rig.now += 50;
    add("work");
    OK(add_wish(&(struct wish){.type = "work", .delay_ms = 1000}) != NULL);
    OK(read_with(run_figures, f));
    assert_true(f[0].queued == 4 && f[0].running == 0 && f[0].oldest_ms == first);
    claim_one("a");
    OK(read_with(run_figures, f));
    assert_true(f[0].queued == 3 && f[0].running == 1 && f[0].oldest_ms >= first);
    assert_true(f[1].queued == 0 && f[1].oldest_ms == 0);
}

TESTS(TEST(test_lost), TEST(test_unheard), TEST(test_too_often), TEST(test_first),
      TEST(test_schedule), TEST(test_once), TEST(test_clock_back), TEST(test_clock_forward),
      TEST(test_clocks_apart), TEST(test_prune), TEST(test_purge), TEST(test_adopt),
      TEST(test_export), TEST(test_figures))
