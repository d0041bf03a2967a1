/* Quotas: never over, however many come at once; what counts when, and what is given back. */
#include "jobs_test.h"

#include <stdio.h>

static const char manifest[] =
    "app: t\n"
    "jobs:\n"
    "  runs: { run: jobs/work, retries: { max: 0 }, quota: { runs: 3 } }\n"
    "  none: { run: jobs/work, quota: { runs: 0 } }\n"
    "  all: { run: jobs/work, quota: { per: app, runs: 10, window: hour } }\n"
    "  minutes: { run: jobs/work, retries: { max: 0 }, quota: { minutes: 2, window: month } }\n";

RIG_OF(manifest)

static bool try_to(const char *type)
{
    return add_wish(&(struct wish){.type = type}) != NULL;
}

static void test_runs(void **unused)
{
    (void)unused;
    for (int i = 0; i < 3; i++)
        add("runs");
    NOT(try_to("runs"), ERR_QUOTA);
    assert_true(last_retry_ms() > 0 && last_retry_ms() <= 24 * 3600000);
    assert_true(err.retry_s > 0);
    NOT(try_to("none"), ERR_QUOTA);
    int64_t wait_ms = last_retry_ms();
    rig_be("bob");
    add("runs");
    rig_be("ada");
    rig.now += wait_ms; /* the next day */
    add("runs");
    assert_int_equal(used("runs", "ada").runs, 1);
}

static void test_may_fail(void **unused)
{
    struct wish w = {.type = "runs", .is_trusted = true, .may_fail = true, .owner = "ada"};
    const struct job_row *r = NULL;
    (void)unused;
    for (int i = 0; i < 4; i++)
        OK((r = add_wish(&w)) != NULL);
    assert_true(r->state == JOB_FAILED && r->error_code == JOB_ERROR_QUOTA && r->error.len);
    w.owner = NULL; /* the app's own is nobody's */
    for (int i = 0; i < 5; i++)
        OK((r = add_wish(&w)) != NULL && r->state == JOB_READY);
}

/* Back when it was not the user's doing. */
static void test_refunds(void **unused)
{
    (void)unused;
    add("runs");
    struct job_claim c = claim_one("h");
    finish("h", &c, OUTCOME_FAILED);
    assert_int_equal(used("runs", "ada").runs, 1); /* it was */
    add("runs");
    c = claim_one("h");
    finish("h", &c, OUTCOME_AGAIN); /* used up */
    assert_int_equal(used("runs", "ada").runs, 1);
    const char *id = add("runs");
    OK(cancel(id)); /* before it began */
    assert_int_equal(used("runs", "ada").runs, 1);
    id = add("runs");
    c = claim_one("h");
    OK(cancel(id));
    finish("h", &c, OUTCOME_CANCELLED);
    assert_int_equal(used("runs", "ada").runs, 2);
    add("runs");
    c = claim_one("h");
    const struct job_end crash = {.id = c.row.id,
                                  .attempt = 1,
                                  .outcome = OUTCOME_FAILED,
                                  .code = JOB_ERROR_SIGNAL,
                                  .is_refunded = true};
    finish_with("h", &crash);
    assert_int_equal(used("runs", "ada").runs, 2);
    id = arena_cstr(&rig.a, c.row.id);
    OK(retry(id)); /* counts anew */
    assert_int_equal(used("runs", "ada").runs, 3);
    OK(cancel(id));
    assert_int_equal(used("runs", "ada").runs, 2);
}

static void test_retry_without(void **unused)
{
    (void)unused;
    const char *id = add("runs");
    OK(cancel(id));
    for (int i = 0; i < 3; i++)
        add("runs");
    NOT(retry(id), ERR_QUOTA);
    STATE(id, "cancelled");
}

static void test_minutes(void **unused)
{
    (void)unused;
    const char *first = add("minutes"), *second = add("minutes");
    struct job_claim c = claim_one("h");
    if (slice_is(c.row.id, second)) { /* both of the same millisecond */
        second = first;
        first = arena_cstr(&rig.a, c.row.id);
    }
    struct job_end end = {
        .id = c.row.id, .attempt = 1, .outcome = OUTCOME_SUCCEEDED, .run_ms = 130000};
    finish_with("h", &end);
    STATE(first, "succeeded");
    assert_int_equal(used("minutes", "ada").ms, 130000);
    NOT(try_to("minutes"), ERR_QUOTA);
    assert_int_equal(claim("h", 1).n, 0); /* one that was queued fails when it would begin */
    struct job_row r = row(second);
    assert_true(r.state == JOB_FAILED && r.error_code == JOB_ERROR_QUOTA);
    assert_int_equal(used("minutes", "ada").runs, 1);
    run_sql("UPDATE dais_job_usage SET ms = 0");
    OK(retry(second)); /* as it is the second time */
    assert_int_equal(used("minutes", "ada").runs, 2);
    run_sql("UPDATE dais_job_usage SET ms = 130000");
    assert_int_equal(claim("h", 1).n, 0);
    STATE(second, "failed");
    assert_int_equal(used("minutes", "ada").runs, 1);
    rig.now += 32LL * 24 * 3600000;
    add("minutes");
}

static void test_charge(void **unused)
{
    (void)unused;
    const char *id = add("minutes");
    struct job_claim c = claim_one("h");
    NOT(charge(id, 1000), ERR_FORBIDDEN);
    rig.identity.is_of_job = true;
    rig.identity.session = c.row.id;
    OK(charge(id, 60000));
    NOT(charge(id, 120001), ERR_QUOTA);
    OK(charge(id, 120000));
    assert_int_equal(used("minutes", "ada").ms, 120000);
    OK(charge(id, 90000));
    struct job_end end = {
        .id = c.row.id, .attempt = 1, .outcome = OUTCOME_FAILED, .run_ms = 500000};
    finish_with("h", &end);
    assert_int_equal(used("minutes", "ada").ms, 90000); /* not its time */
    NOT(charge(id, 1000), ERR_EXISTS);
    id = add("minutes");
    c = claim_one("h");
    rig.identity.session = c.row.id;
    OK(charge(id, 30000));
    end.id = c.row.id;
    end.is_refunded = true;
    finish_with("h", &end);
    assert_int_equal(used("minutes", "ada").ms, 90000); /* that is given back, too */
}

/* ---- at the same time ------------------------------------------------------------------------
 */

struct adder {
    pthread_t thread;
    int n_added, n_failed;
};

static void *adder_main(void *arg)
{
    struct adder *x = arg;
    for (int i = 0; i < 5; i++) {
        struct err e;
        if (add_as(&rig.who, &(struct wish){.type = "all"}, &e))
            x->n_added++;
        else if (e.code != ERR_QUOTA && !(is_postgres() && e.code == ERR_UNAVAILABLE))
            x->n_failed++;
    }
    return NULL;
}

static void test_together(void **unused)
{
    struct adder adders[8] = {0};
    int n = 0;
    (void)unused;
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&adders[i].thread, NULL, adder_main, &adders[i]), 0);
    for (int i = 0; i < 8; i++) {
        pthread_join(adders[i].thread, NULL);
        n += adders[i].n_added;
        assert_int_equal(adders[i].n_failed, 0);
    }
    assert_int_equal(n, 10);
    assert_int_equal(count_rows("SELECT count(*) FROM dais_jobs"), 10);
    assert_int_equal(used("all", "").runs, 10);
}

static void test_windows(void **unused)
{
    static const struct {
        const char *type, *at, *since, *until;
    } all[] = {
        {"all", "2026-11-22T10:59:59.999Z", "2026-11-22T10:00:00.000Z", "2026-11-22T11:00:00.000Z"},
        {"runs", "2026-02-28T23:59:59.000Z", "2026-02-28T00:00:00.000Z",
         "2026-03-01T00:00:00.000Z"},
        {"minutes", "2024-12-31T12:00:00.000Z", "2024-12-01T00:00:00.000Z",
         "2025-01-01T00:00:00.000Z"},
    };
    (void)unused;
    for (size_t i = 0; i < 3; i++) {
        char text[RFC3339_LEN + 1];
        int64_t at;
        const struct job_type *t = job_type_find(rig.jobs, S(all[i].type));
        assert_true(clock_parse_rfc3339(all[i].at, RFC3339_LEN, &at));
        clock_rfc3339(quota_since(t, at), text);
        assert_string_equal(text, all[i].since);
        clock_rfc3339(quota_until(t, at), text);
        assert_string_equal(text, all[i].until);
    }
}

static bool run_usage(const struct jobs_reading *r, void *arg)
{
    return jobs_usage(r, rig.now, arg, &err);
}

static void test_usage(void **unused)
{
    struct buf text;
    struct json_doc doc;
    (void)unused;
    buf_init(&text, 4096);
    add("runs");
    buf_add_char(&text, '{');
    OK(read_with(run_usage, &text));
    buf_add_char(&text, '}');
    OK(json_parse(&doc, &rig.a, buf_slice(&text), NULL, &err));
    const struct json *runs = json_find(json_find(json_root(&doc), SLICE("jobs")), SLICE("runs"));
    int64_t left = 0;
    assert_true(json_i64(json_find(json_find(runs, SLICE("runs")), SLICE("left")), &left));
    assert_int_equal(left, 2);
    assert_true(slice_is(json_str(json_find(runs, SLICE("window"))), "day"));
    buf_done(&text);
}

TESTS(TEST(test_runs), TEST(test_may_fail), TEST(test_refunds), TEST(test_retry_without),
      TEST(test_minutes), TEST(test_charge), TEST(test_together), TEST(test_windows),
      TEST(test_usage))
