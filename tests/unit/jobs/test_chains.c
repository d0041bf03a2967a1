/* Jobs that wait for others, and results that are used again. */
#include "jobs_test.h"

static const char manifest[] =
    "app: t\n"
    "jobs:\n"
    "  work: { run: jobs/work, concurrency: { total: 0, per_user: 0 }, retries: { max: 0 } }\n"
    "  known: { run: jobs/work, retries: { max: 0 }, cache: { key: [a.b, \"'v2'\"], ttl: 1h },"
    " quota: { runs: 100 } }\n"
    "  shared: { run: jobs/work, cache: { key: [n], scope: app } }\n";

RIG_OF(manifest)

static const char *after(const char *a, const char *b)
{
    const struct job_row *r = add_wish(&(struct wish){.type = "work", .after = {a, b}});
    if (!r)
        fail_msg("%s", err.msg);
    must(r);
    return arena_cstr(&rig.a, r->id);
}

static void end_it(const char *id, enum job_outcome outcome)
{
    struct claims c = claim("h", 256);
    bool is_found = false;
    for (size_t i = 0; i < c.n; i++) {
        bool is_it = slice_is(c.items[i].row.id, id);
        is_found |= is_it;
        finish("h", &c.items[i], is_it ? outcome : OUTCOME_RETURNED);
    }
    assert_true(is_found);
}

/* ---- after ----------------------------------------------------------------------------------- */

static void test_after(void **unused)
{
    (void)unused;
    const char *a = add("work"), *b = after(a, NULL), *c = after(b, a);
    assert_int_equal(claim("x", 9).n, 1);
    rig.now += 1;
    tend("other", false);
    run_sql("UPDATE dais_jobs SET state = 0, holder = '' WHERE state = 1");
    end_it(a, OUTCOME_SUCCEEDED);
    STATE(b, "queued");
    STATE(c, "queued");
    assert_int_equal(count_rows("SELECT count(*) FROM dais_jobs WHERE state = 0"), 1);
    end_it(b, OUTCOME_SUCCEEDED);
    end_it(c, OUTCOME_SUCCEEDED);
    assert_int_equal(count_rows("SELECT count(*) FROM dais_job_links"), 0);
    const char *late = after(a, b); /* all of it is over */
    end_it(late, OUTCOME_SUCCEEDED);
}

static void test_failure(void **unused)
{
    (void)unused;
    const char *a = add("work"), *b = after(a, NULL), *c = after(b, NULL), *other = add("work");
    const char *d = after(c, other);
    end_it(a, OUTCOME_FAILED);
    const char *all[] = {b, c, d};
    for (int i = 0; i < 3; i++) {
        struct job_row r = row(all[i]);
        assert_true(r.state == JOB_FAILED && r.error_code == JOB_ERROR_AFTER && r.error.len);
    }
    STATE(other, "queued");
    end_it(other, OUTCOME_SUCCEEDED); /* who waits for it is over */
    struct job_row r = row(d);
    assert_int_equal(r.state, JOB_FAILED);
    const char *late = after(a, NULL), *open = add("work");
    const char *orders[] = {late, after(a, open), after(open, a)};
    for (int i = 0; i < 3; i++) {
        r = row(orders[i]);
        assert_true(r.state == JOB_FAILED && r.error_code == JOB_ERROR_AFTER);
    }
}

static void test_cancelled(void **unused)
{
    (void)unused;
    const char *a = add("work"), *b = after(a, NULL);
    OK(cancel(a));
    struct job_row r = row(b);
    assert_true(r.state == JOB_FAILED && r.error_code == JOB_ERROR_AFTER);
}

static void test_diamond(void **unused)
{
    (void)unused;
    const char *a = add("work"), *b = after(a, NULL), *c = after(a, NULL), *d = after(b, c);
    end_it(a, OUTCOME_SUCCEEDED);
    end_it(c, OUTCOME_SUCCEEDED);
    STATE(d, "queued");
    assert_int_equal(count_rows("SELECT count(*) FROM dais_jobs WHERE state = 0"), 1);
    end_it(b, OUTCOME_SUCCEEDED);
    end_it(d, OUTCOME_SUCCEEDED);
    const char *twice = after(a, a);
    end_it(twice, OUTCOME_SUCCEEDED);
}

static void test_delayed(void **unused)
{
    (void)unused;
    const char *a = add("work");
    const struct job_row *r =
        add_wish(&(struct wish){.type = "work", .after = {a}, .delay_ms = 60000});
    const char *b = arena_cstr(&rig.a, r->id);
    end_it(a, OUTCOME_SUCCEEDED);
    assert_int_equal(claim("h", 9).n, 0);
    rig.now += 60000;
    tend("h", false);
    end_it(b, OUTCOME_SUCCEEDED);
}

static void test_whose(void **unused)
{
    (void)unused;
    const char *a = add("work");
    rig_be("bob");
    assert_null(add_wish(&(struct wish){.type = "work", .after = {a}}));
    assert_int_equal(err.code, ERR_INVALID);
}

/* A long tail is settled some in each write. */
static void test_many(void **unused)
{
    (void)unused;
    const char *a = add("work"), *last = a;
    for (int i = 0; i < 400; i++)
        after(a, NULL);
    for (int i = 0; i < 20; i++)
        last = after(last, NULL);
    end_it(a, OUTCOME_FAILED);
    tend("h", false);
    assert_int_equal(count_rows("SELECT count(*) FROM dais_jobs WHERE state = 4"), 421);
}

/* ---- the same again -------------------------------------------------------------------------- */

static const struct job_row *ask(const char *input)
{
    const struct job_row *r = add_wish(&(struct wish){.type = "known", .input = input});
    if (!r)
        fail_msg("%s", err.msg);
    return r;
}

static void test_known(void **unused)
{
    (void)unused;
    const char *a = arena_cstr(&rig.a, ask("{\"a\":{\"b\":1},\"c\":1}")->id);
    end_it(a, OUTCOME_SUCCEEDED);
    assert_int_equal(used("known", "ada").runs, 1);
    const struct job_row *r = ask("{\"c\":2,\"a\":{\"b\":1}}");
    assert_true(r->state == JOB_SUCCEEDED && r->is_cached && slice_is(r->result, "{\"n\":1}"));
    assert_int_equal(used("known", "ada").runs, 1);
    assert_int_equal(ask("{\"a\":{\"b\":2}}")->state, JOB_READY);
    assert_int_equal(ask("{}")->state, JOB_READY);
    rig_be("bob");
    assert_int_equal(ask("{\"a\":{\"b\":1}}")->state, JOB_READY);
    rig_be("ada");
    rig.now += 3600001;
    assert_int_equal(ask("{\"a\":{\"b\":1}}")->state, JOB_READY);
}

static void test_under_way(void **unused)
{
    (void)unused;
    const char *a = arena_cstr(&rig.a, ask("{\"a\":{\"b\":1}}")->id);
    const char *b = arena_cstr(&rig.a, ask("{\"a\":{\"b\":1}}")->id);
    const char *c = arena_cstr(&rig.a, ask("{\"a\":{\"b\":1}}")->id);
    struct claims all = claim("h", 9);
    assert_int_equal(all.n, 1);
    finish("h", &all.items[0], OUTCOME_SUCCEEDED);
    STATE(a, "succeeded");
    struct job_row r = row(b);
    assert_true(r.state == JOB_SUCCEEDED && r.is_cached && slice_is(r.result, "{\"n\":1}"));
    STATE(c, "succeeded");
    assert_int_equal(used("known", "ada").runs, 1);
}

struct late {
    const char *first;
    bool has_come;
};

/* One that a loose write adds comes to wait for it when the cancelling has begun. */
static bool run_cancel_late(void *arg, struct db_conn *c, struct err *e)
{
    static const struct sql any = {"SELECT 1 FROM dais_jobs LIMIT 1", NULL};
    struct late *late = arg;
    const struct wish w = {
        .type = "shared", .input = "{\"n\":1}", .is_trusted = true, .owner = "ada"};
    struct job_act act = {.jobs = rig.jobs, .who = &rig.who, .arena = &rig.a, .id = S(late->first)};
    struct db_stmt *s = db_prepare(c, &any, e);
    if (!s || db_step(s, e) != DB_ROW)
        return false;
    db_reset(s);
    if (!late->has_come && !add_as(&rig.who, &w, e))
        return false;
    late->has_come = true;
    return jobs_cancel(&act, c, rig.now, e);
}

static void test_cancelled_while_one_comes(void **unused)
{
    (void)unused;
    if (!is_postgres()) /* one writer there is */
        return;
    const struct job_row *r = add_wish(&(struct wish){.type = "shared", .input = "{\"n\":1}"});
    struct late late = {arena_cstr(&rig.a, r->id), false};
    OK(written_loosely(run_cancel_late, &late, &err));
    STATE(late.first, "cancelled");
    tend("h", false);
    assert_int_equal(claim("h", 9).n, 1);
}

/* When the one they waited for fails, one of them runs, the others wait for that. */
static void test_first_fails(void **unused)
{
    (void)unused;
    ask("{\"a\":{\"b\":1}}");
    for (int i = 0; i < 3; i++)
        ask("{\"a\":{\"b\":1}}");
    for (int i = 0; i < 2; i++) {
        struct claims all = claim("h", 9);
        assert_int_equal(all.n, 1);
        finish("h", &all.items[0], i ? OUTCOME_SUCCEEDED : OUTCOME_FAILED);
    }
    assert_int_equal(count_rows("SELECT count(*) FROM dais_jobs WHERE state = 4"), 1);
    assert_int_equal(count_rows("SELECT count(*) FROM dais_jobs WHERE state = 3"), 3);
    assert_int_equal(count_rows("SELECT count(*) FROM dais_jobs WHERE is_cached = 1"), 2);
    assert_int_equal(used("known", "ada").runs, 2);
}

static void test_scope(void **unused)
{
    const struct wish w = {.type = "shared", .input = "{\"n\":[1,{\"x\":null}]}"};
    (void)unused;
    const struct job_row *r = add_wish(&w);
    OK(r != NULL);
    end_it(arena_cstr(&rig.a, r->id), OUTCOME_SUCCEEDED);
    rig_be("bob");
    OK((r = add_wish(&w)) != NULL);
    assert_int_equal(r->state, JOB_SUCCEEDED);
}

/* Known by the time it would begin. */
static void test_known_later(void **unused)
{
    (void)unused;
    const char *gate = add("work");
    const char *a = arena_cstr(&rig.a, ask("{\"a\":{\"b\":1}}")->id);
    const struct job_row *r =
        add_wish(&(struct wish){.type = "known", .input = "{\"a\":{\"b\":1}}", .after = {gate}});
    const char *b = arena_cstr(&rig.a, r->id);
    end_it(a, OUTCOME_SUCCEEDED);
    end_it(gate, OUTCOME_SUCCEEDED);
    assert_int_equal(claim("h", 9).n, 0);
    assert_true(row(b).is_cached && row(b).state == JOB_SUCCEEDED);
    assert_int_equal(used("known", "ada").runs, 1);
}

TESTS(TEST(test_after), TEST(test_failure), TEST(test_cancelled), TEST(test_diamond),
      TEST(test_delayed), TEST(test_whose), TEST(test_many), TEST(test_known), TEST(test_under_way),
      TEST(test_cancelled_while_one_comes), TEST(test_first_fails), TEST(test_scope),
      TEST(test_known_later))
