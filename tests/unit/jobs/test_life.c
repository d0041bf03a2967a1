/* A job's life on either database: added, claimed, ended, tried again, cancelled, retried; who may.
 */
#include "jobs_test.h"

#include <stdlib.h>
#include <unistd.h>

static const char manifest[] =
    "app: t\n"
    "jobs:\n"
    "  work: { run: jobs/work, retries: { max: 2, backoff: 10s..30s } }\n"
    "  one: { run: jobs/work, retries: { max: 0 } }\n"
    "  ruled: { run: jobs/work, rules: { run: '@request.body.n > 2',"
    " read: public } }\n"
    "  task: { use: nothing }\n";

RIG_OF(manifest)

static _Atomic int n_told;

static void on_told(struct db_listener *l)
{
    (void)l;
    atomic_fetch_add(&n_told, 1);
}

static void test_life(void **unused)
{
    struct buf text;
    struct db_listener listener = {.topic = TOPIC_JOB_EVENTS, .fn = on_told};
    (void)unused;
    const struct job_row *made = add_wish(&(struct wish){.type = "work", .input = "{\"a\":1}"});
    OK(made != NULL);
    const char *id = arena_cstr(&rig.a, made->id);
    STATE(id, "queued");
    assert_true(slice_is(row(id).owner, "ada") && slice_is(row(id).input, "{\"a\":1}"));
    struct job_claim c = claim_one("h");
    assert_true(slice_is(c.row.id, id) && c.row.attempt == 1 && c.row.started_ms == rig.now);
    assert_true(slice_is(c.row.input, "{\"a\":1}") && slice_is(c.type->name, "work"));
    STATE(id, "running");
    assert_int_equal(claim("h", 5).n, 0);
    db_slot_listen(rig.slot, &listener);
    finish("h", &c, OUTCOME_SUCCEEDED);
    for (int i = 0; i < 60000 && !atomic_load(&n_told); i++) /* whoever watches it hears of it */
        usleep(1000);
    db_slot_unlisten(rig.slot, &listener);
    assert_true(atomic_load(&n_told) > 0);
    struct job_row r = row(id);
    assert_int_equal(r.state, JOB_SUCCEEDED);
    assert_true(slice_is(r.result, "{\"n\":1}") && r.run_ms == 1000 && r.ended_ms == rig.now);
    buf_init(&text, 4096);
    job_json(&text, &r);
    struct json_doc doc;
    OK(json_parse(&doc, &rig.a, buf_slice(&text), NULL, &err));
    const struct json *root = json_root(&doc);
    assert_true(slice_is(json_str(json_find(root, SLICE("state"))), "succeeded"));
    assert_int_equal(json_type(json_find(json_find(root, SLICE("result")), SLICE("n"))),
                     JSON_NUMBER);
    assert_int_equal(json_type(json_find(root, SLICE("error"))), JSON_NULL);
    buf_done(&text);
    assert_int_equal(claim("h", 5).n, 0);
}

/* A claim's write may have begun before the job was added that it takes. */
static void test_one_that_comes_meanwhile(void **unused)
{
    (void)unused;
    const char *id = add("work");
    int64_t added = row(id).created_ms;
    rig.now = added - 5;
    struct job_claim c = claim_one("h");
    assert_int_equal(c.row.started_ms, added);
    assert_int_equal(row(id).started_ms, added);
    rig.now = added + 7;
    finish("h", &c, OUTCOME_SUCCEEDED);
    assert_int_equal(row(id).ended_ms, added + 7);
}

static void test_rights(void **unused)
{
    (void)unused;
    const char *id = add("work");
    rig_be("");
    assert_null(add_wish(&(struct wish){.type = "work"}));
    assert_int_equal(err.code, ERR_UNAUTHENTICATED);
    NOT(cancel(id), ERR_NOT_FOUND);
    rig_be("bob");
    NOT(cancel(id), ERR_NOT_FOUND);
    NOT(retry(id), ERR_NOT_FOUND);
    assert_null(add_wish(&(struct wish){.type = "task"}));
    assert_int_equal(err.code, ERR_FORBIDDEN);
    assert_null(add_wish(&(struct wish){.type = "ruled", .input = "{\"n\":2}"}));
    assert_int_equal(err.code, ERR_FORBIDDEN);
    const struct job_row *seen = add_wish(&(struct wish){.type = "ruled", .input = "{\"n\":3}"});
    OK(seen != NULL);
    rig_be("ada"); /* may read, not end */
    NOT(cancel(arena_cstr(&rig.a, seen->id)), ERR_FORBIDDEN);
    rig_be("op");
    OK(cancel(arena_cstr(&rig.a, seen->id)));
    add("task");
    rig_be("ada");
    rig.identity.has_every_scope = false;
    assert_null(add_wish(&(struct wish){.type = "work"}));
    NOT(cancel(id), ERR_NOT_FOUND);
    static const struct slice scopes[] = {SLICE_INIT("read"), SLICE_INIT("jobs")};
    rig.identity.scopes = scopes;
    rig.identity.n_scopes = 1;
    NOT(cancel(id), ERR_FORBIDDEN);
    STATE(id, "queued");
    rig.identity.n_scopes = 2;
    OK(cancel(id));
}

static void test_bounds(void **unused)
{
    (void)unused;
    assert_null(add_wish(&(struct wish){.type = "work", .priority = 101}));
    assert_null(add_wish(&(struct wish){.type = "work", .delay_ms = -1}));
    assert_null(add_wish(&(struct wish){.type = "work", .delay_ms = JOB_DELAY_MAX + 1}));
    assert_null(add_wish(&(struct wish){.type = "work", .after = {"nonsense"}}));
    assert_null(add_wish(&(struct wish){.type = "work", .after = {"00000000000000000000"}}));
    assert_int_equal(err.code, ERR_INVALID);
    char *big = arena_alloc(&rig.a, JOB_INPUT_MAX + 3);
    memset(big, 'x', JOB_INPUT_MAX + 2);
    big[0] = big[JOB_INPUT_MAX + 1] = '"';
    big[JOB_INPUT_MAX + 2] = 0;
    assert_null(add_wish(&(struct wish){.type = "work", .input = big}));
    assert_int_equal(err.code, ERR_BODY_TOO_LARGE);
    assert_int_equal(count_rows("SELECT count(*) FROM dais_jobs"), 0);
}

static void test_delay(void **unused)
{
    (void)unused;
    const struct job_row *r = add_wish(&(struct wish){.type = "work", .delay_ms = 5000});
    OK(r != NULL);
    assert_int_equal(tend("h", false).next_ms, rig.now + 5000);
    rig.now += 4999;
    tend("h", false);
    assert_int_equal(claim("h", 1).n, 0);
    rig.now += 1;
    tend("h", false);
    assert_int_equal(claim("h", 1).n, 1);
}

static void test_retries(void **unused)
{
    (void)unused;
    const char *id = add("work");
    for (int i = 0; i < 2; i++) {
        struct job_claim c = claim_one("h");
        assert_int_equal(c.row.attempt, i + 1);
        finish("h", &c, OUTCOME_AGAIN);
        struct job_row r = row(id);
        assert_int_equal(r.state, JOB_WAITING);
        int64_t pause = r.due_ms - rig.now;
        assert_true(pause >= (i ? 20000 : 10000) && pause <= (i ? 30000 : 20000));
        assert_int_equal(claim("h", 1).n, 0);
        rig.now = r.due_ms;
        tend("h", false);
    }
    struct job_claim c = claim_one("h");
    finish("h", &c, OUTCOME_AGAIN);
    struct job_row r = row(id);
    assert_int_equal(r.state, JOB_FAILED);
    assert_int_equal(r.error_code, JOB_ERROR_AGAIN);
    assert_int_equal(r.run_ms, 3000);
    NOT(retry("00000000000000000000"), ERR_NOT_FOUND);
    OK(retry(id));
    r = row(id);
    assert_true(r.state == JOB_READY && r.error_code == JOB_ERROR_NONE && !r.run_ms);
    c = claim_one("h");
    NOT(retry(id), ERR_EXISTS);
    finish("h", &c, OUTCOME_AGAIN); /* has all its tries again */
    STATE(id, "queued");
}

static void test_final(void **unused)
{
    (void)unused;
    const char *id = add("work");
    struct job_claim c = claim_one("h");
    finish("h", &c, OUTCOME_FAILED);
    struct job_row r = row(id);
    assert_true(r.state == JOB_FAILED && r.error_code == JOB_ERROR_EXIT && r.error.len);
    const char *other = add("one");
    c = claim_one("h");
    finish("h", &c, OUTCOME_AGAIN);
    STATE(other, "failed");
    char *large = arena_alloc(&rig.a, JOB_RESULT_MAX + 2);
    memset(large, '1', JOB_RESULT_MAX + 2);
    add("work");
    c = claim_one("h");
    const struct job_end end = {.id = c.row.id,
                                .attempt = 1,
                                .outcome = OUTCOME_SUCCEEDED,
                                .result = {large, JOB_RESULT_MAX + 1}};
    finish_with("h", &end);
    r = row(arena_cstr(&rig.a, c.row.id));
    assert_int_equal(r.error_code, JOB_ERROR_RESULT);
}

static void test_cancel(void **unused)
{
    struct job_held held;
    (void)unused;
    const char *ready = add("work");
    OK(cancel(ready));
    STATE(ready, "cancelled");
    assert_int_equal(claim("h", 1).n, 0);
    OK(cancel(ready)); /* as it is */
    const struct job_row *w = add_wish(&(struct wish){.type = "work", .delay_ms = 5000});
    const char *waiting = arena_cstr(&rig.a, w->id);
    OK(cancel(waiting));
    STATE(waiting, "cancelled");
    const char *id = add("work");
    struct job_claim c = claim_one("h");
    OK(beat("h", &c, &held));
    assert_false(held.is_lost || held.is_cancelled);
    OK(cancel(id));
    assert_true(row(id).is_cancelled);
    STATE(id, "running");
    OK(beat("h", &c, &held));
    assert_true(held.is_cancelled && !held.is_lost);
    finish("h", &c, OUTCOME_CANCELLED);
    STATE(id, "cancelled");
    id = add("work"); /* cancelled, and its server died or stopped, or it wants to be tried again */
    for (int i = 0; i < 3; i++) {
        static const enum job_outcome all[] = {OUTCOME_AGAIN, OUTCOME_LOST, OUTCOME_RETURNED};
        c = claim_one("h");
        OK(cancel(id));
        finish("h", &c, all[i]);
        STATE(id, "cancelled");
        OK(retry(id));
    }
    c = claim_one("h"); /* too late */
    OK(cancel(id));
    finish("h", &c, OUTCOME_SUCCEEDED);
    STATE(id, "succeeded");
}

static void test_returned(void **unused)
{
    (void)unused;
    const char *id = add("one");
    for (int i = 0; i < 20; i++) {
        struct job_claim c = claim_one("h");
        finish("h", &c, OUTCOME_RETURNED);
        struct job_row r = row(id);
        assert_true(r.state == JOB_READY && !r.started_ms && !r.run_ms);
    }
}

static void test_trusted(void **unused)
{
    (void)unused;
    rig_be("");
    const struct wish w = {.type = "ruled", .is_trusted = true, .owner = "bob", .depth = 3};
    const struct job_row *r = add_wish(&w);
    OK(r != NULL);
    assert_true(slice_is(r->owner, "bob") && r->depth == 3);
    struct wish deep = {.type = "ruled", .is_trusted = true, .depth = JOB_DEPTH_MAX + 1};
    assert_null(add_wish(&deep));
    deep.may_fail = true;
    r = add_wish(&deep);
    OK(r != NULL);
    assert_true(r->state == JOB_FAILED && r->error_code == JOB_ERROR_LOOP);
    rig_be("op");
    NOT(retry(arena_cstr(&rig.a, r->id)), ERR_FORBIDDEN);
}

struct tokening {
    const struct job_claim *c;
    unsigned char token[32];
    struct job_bearer bearer;
};

static bool run_set(void *arg, struct db_conn *c, struct err *e)
{
    struct tokening *t = arg;
    return jobs_set_token(c, t->c->row.id, t->c->row.attempt, t->token, e);
}

static bool run_bearer(const struct jobs_reading *r, void *arg)
{
    struct tokening *t = arg;
    return jobs_bearer(r->conn, t->token, &rig.a, &t->bearer, &err);
}

static void test_token(void **unused)
{
    (void)unused;
    add("work");
    struct job_claim c = claim_one("h");
    struct tokening t = {.c = &c, .token = {1, 2, 3}};
    NOT(read_with(run_bearer, &t), ERR_UNAUTHENTICATED);
    OK(written(run_set, &t, &err));
    OK(read_with(run_bearer, &t));
    assert_true(slice_eq(t.bearer.id, c.row.id) && slice_is(t.bearer.owner, "ada"));
    assert_int_equal(t.bearer.depth, 1);
    finish("h", &c, OUTCOME_SUCCEEDED);
    NOT(read_with(run_bearer, &t), ERR_UNAUTHENTICATED);
}

TESTS(TEST(test_life), TEST(test_one_that_comes_meanwhile), TEST(test_rights), TEST(test_bounds),
      TEST(test_delay), TEST(test_retries), TEST(test_final), TEST(test_cancel),
      TEST(test_returned), TEST(test_trusted), TEST(test_token))
