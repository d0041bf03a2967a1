/* Jobs follow changes and other jobs: which, in what order, what they are told, for whom, how deep;
 * on either database. */
#include "jobs/jobs_impl.h"
#include "unit.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char manifest[] =
    "app: t\n"
    "collections: { charts: {}, notes: {} }\n"
    "files: { uploads: {} }\n"
    "jobs:\n"
    "  first: { use: nothing, on: [charts.created, charts.deleted, uploads.updated] }\n"
    "  second: { use: nothing, on: charts.created, quota: { runs: 1 } }\n"
    "  third: { use: nothing, on: [second.failed, first.cancelled, shy.failed] }\n"
    "  shy: { use: nothing, rules: { read: 'role:editor' } }\n"
    "auth: { roles: [editor] }\n";

static struct arena a;
static struct jobs *jobs;
static struct db_slot *slot;
static char folder[64], path[96];
static struct err err;

static int start(void **unused)
{
    static struct db_options o;
    static int n_made;
    struct problems p;
    struct buf said;
    (void)unused;
    arena_init(&a, 1u << 30);
    problems_init(&p, &a);
    struct manifest *m = manifest_parse(&a, slice_from(manifest), "dais.yaml", &p);
    jobs = jobs_new(m, &p);
    buf_init(&said, 1 << 16);
    problems_print(&p, &said);
    if (said.len)
        fail_msg("%.*s", SLICE_ARGS(buf_slice(&said)));
    buf_done(&said);
    snprintf(folder, sizeof folder, "/tmp/dais-jobs-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/app.db", folder);
    o = (struct db_options){
        .url = slice_from(getenv("DAIS_TEST_DATABASE")),
        .path = path,
        .schema = arena_printf(&a, "triggers_%d_%d", (int)getpid(), n_made++),
        .read_ms = 120000,
        .migrations = jobs_migrations,
    };
    slot = db_slot_new(&o);
    jobs_attach(jobs, slot);
    if (!jobs_open(jobs, &err))
        fail_msg("%s", err.msg);
    return 0;
}

static int remove_one(const char *at, const struct stat *st, int flag, struct FTW *where)
{
    (void)st, (void)flag, (void)where;
    return remove(at);
}

static int stop(void **unused)
{
    (void)unused;
    jobs_leave(jobs);
    jobs_free(jobs);
    db_slot_free(slot);
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    arena_done(&a);
    return 0;
}

/* ---- happenings ------------------------------------------------------------------------------ */

static bool run_change(void *arg, struct db_conn *c, struct err *e)
{
    return jobs_on_change(jobs, c, arg, e);
}

static void happen(enum change_kind kind, const char *of, const char *by, struct slice text,
                   unsigned depth)
{
    struct change ch = {.kind = kind,
                        .is_file = *of == 'u',
                        .of = slice_from(of),
                        .id = SLICE("some/\"id\""),
                        .text = text,
                        .by = slice_from(by),
                        .depth = depth};
    if (!db_write_now(jobs_db(jobs), run_change, &ch, &err))
        fail_msg("%s", err.msg);
}

static bool run_end(void *arg, struct db_conn *c, struct err *e)
{
    return jobs_trigger_job(jobs, c, arg, 1, &a, e);
}

static void end(const char *type, enum job_state state, const char *owner, struct slice input)
{
    struct job_row row = {.id = SLICE("aaaaaaaaaaaaaaa"),
                          .type = slice_from(type),
                          .owner = slice_from(owner),
                          .state = state,
                          .charged_ms = -1,
                          .progress = -1,
                          .input = input,
                          .result = SLICE("{\"r\":1}"),
                          .depth = 2};
    if (!db_write_now(jobs_db(jobs), run_end, &row, &err))
        fail_msg("%s", err.msg);
}

/* type owner depth state, a line each; then *ret_input is the last one's. */
static void assert_jobs(const char *want, const struct json **ret_input)
{
    struct json_doc doc;
    struct buf b;
    struct slice input = SLICE("null");
    struct db_conn *c = db_conn_take(jobs_db(jobs), &err);
    assert_non_null(c);
    struct db_stmt *s = db_prepare_text(
        c, SLICE("SELECT type, owner, depth, state, error, input FROM dais_jobs ORDER BY type"),
        &err);
    assert_non_null(s);
    buf_init(&b, 1 << 16);
    while (db_step(s, &err) == DB_ROW) {
        buf_printf(&b, "%.*s %.*s/%d %s\n", SLICE_ARGS(db_text(s, 0)), SLICE_ARGS(db_text(s, 1)),
                   (int)db_i64(s, 2), job_state_name((enum job_state)db_i64(s, 3)));
        input = arena_dup(&a, db_text(s, 5));
    }
    db_reset(s);
    db_conn_give(c);
    buf_add_char(&b, '\0');
    assert_string_equal(b.data, want);
    buf_done(&b);
    if (ret_input) {
        assert_true(json_parse(&doc, &a, input, NULL, &err));
        *ret_input = json_root(&doc);
    }
}

static bool run_text(void *arg, struct db_conn *c, struct err *e)
{
    struct db_stmt *s = db_prepare_text(c, slice_from(arg), e);
    return s && db_run(s, NULL, e);
}

static void forget(void)
{
    static char text[] = "DELETE FROM dais_jobs";
    assert_true(db_write_now(jobs_db(jobs), run_text, text, &err));
}

static struct slice member(const struct json *in, const char *key)
{
    return json_str(json_find(in, slice_from(key)));
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void a_change_starts_those_that_name_it(void **unused)
{
    const struct json *in;
    (void)unused;
    assert_true(jobs_have_triggers(jobs));
    happen(CHANGE_CREATED, "charts", "ada", SLICE("{\"id\":\"x\",\"n\":[1]}"), 0);
    assert_jobs("first ada/0 queued\nsecond ada/0 queued\n", &in);
    assert_true(slice_is(member(in, "event"), "charts.created"));
    assert_true(slice_is(member(in, "id"), "some/\"id\""));
    assert_true(slice_is(member(in, "by"), "ada"));
    assert_true(slice_is(member(json_find(in, SLICE("document")), "id"), "x"));
    forget();
    happen(CHANGE_UPDATED, "charts", "ada", SLICE("{}"), 0);
    happen(CHANGE_CREATED, "notes", "ada", SLICE("{}"), 0);
    happen(CHANGE_CREATED, "gone", "ada", SLICE("{}"), 0);
    assert_jobs("", NULL);
    happen(CHANGE_UPDATED, "uploads", "", SLICE("{\"path\":\"p\"}"), 3);
    assert_jobs("first /3 queued\n", &in);
    assert_true(slice_is(member(in, "event"), "uploads.updated"));
    assert_int_equal(json_type(json_find(in, SLICE("by"))), JSON_NULL);
    assert_true(slice_is(member(json_find(in, SLICE("file")), "path"), "p"));
    forget();
    happen(CHANGE_DELETED, "charts", "ada", SLICE(""), 0); /* nobody may say what it was */
    assert_jobs("first ada/0 queued\n", &in);
    assert_int_equal(json_type(json_find(in, SLICE("document"))), JSON_NULL);
}

static void what_does_not_fit_is_not_told(void **unused)
{
    const struct json *in;
    struct buf b;
    (void)unused;
    buf_init(&b, 4u << 20);
    buf_add_str(&b, "{\"a\":\"");
    for (unsigned i = 0; i < JOB_INPUT_MAX - 40; i++)
        buf_add_char(&b, 'x');
    buf_add_str(&b, "\"}");
    happen(CHANGE_DELETED, "charts", "ada", buf_slice(&b), 0);
    assert_jobs("first ada/0 queued\n", &in);
    assert_int_equal(json_type(json_find(in, SLICE("document"))), JSON_NULL);
    forget();
    buf_clear(&b);
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        buf_add_str(&b, "[");
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        buf_add_str(&b, "]");
    happen(CHANGE_DELETED, "charts", "ada", buf_slice(&b), 0);
    assert_jobs("first ada/0 queued\n", &in);
    assert_int_equal(json_type(json_find(in, SLICE("document"))), JSON_NULL);
    buf_done(&b);
}

/* The change goes on; what could not be is there, and what follows a failure follows. */
static void without_quota_it_is_there_as_failed(void **unused)
{
    const struct json *in;
    (void)unused;
    happen(CHANGE_CREATED, "charts", "ada", SLICE("{}"), 0);
    forget();
    happen(CHANGE_CREATED, "charts", "ada", SLICE("{}"), 0);
    assert_jobs("first ada/0 queued\nsecond ada/0 failed\nthird ada/1 queued\n", &in);
    assert_true(slice_is(member(in, "event"), "second.failed"));
    const struct json *job = json_find(in, SLICE("job"));
    assert_true(slice_is(member(job, "type"), "second"));
    assert_true(slice_is(member(json_find(job, SLICE("error")), "code"), "quota_exceeded"));
    assert_true(slice_is(member(json_find(job, SLICE("input")), "event"), "charts.created"));
}

static void too_deep_is_a_loop(void **unused)
{
    (void)unused;
    happen(CHANGE_DELETED, "charts", "ada", SLICE("{}"), JOB_DEPTH_MAX);
    assert_jobs("first ada/8 queued\n", NULL);
    forget();
    happen(CHANGE_DELETED, "charts", "ada", SLICE("{}"), JOB_DEPTH_MAX + 1);
    assert_jobs("first ada/9 failed\n", NULL);
}

static void an_end_starts_those_that_name_it(void **unused)
{
    const struct json *in;
    (void)unused;
    end("first", JOB_SUCCEEDED, "ada", SLICE("{}"));
    end("first", JOB_FAILED, "ada", SLICE("{}"));
    assert_jobs("", NULL);
    end("first", JOB_CANCELLED, "ada", SLICE("{\"i\":1}"));
    assert_jobs("third ada/3 queued\n", &in);
    assert_true(slice_is(member(in, "event"), "first.cancelled"));
    assert_true(slice_is(member(in, "id"), "aaaaaaaaaaaaaaa"));
    const struct json *job = json_find(in, SLICE("job"));
    assert_non_null(json_find(json_find(job, SLICE("input")), SLICE("i")));
    assert_non_null(json_find(json_find(job, SLICE("result")), SLICE("r")));
}

/* Whoever may not see a job does not see it through what follows it; the app's own may all. */
static void no_more_is_shown_than_may_be_read(void **unused)
{
    const struct json *in;
    (void)unused;
    end("shy", JOB_FAILED, "ada", SLICE("{\"i\":1}"));
    assert_jobs("third ada/3 queued\n", &in);
    assert_true(slice_is(member(json_find(in, SLICE("job")), "type"), "shy"));
    assert_null(json_find(json_find(json_find(in, SLICE("job")), SLICE("input")), SLICE("i")));
    assert_null(json_find(json_find(json_find(in, SLICE("job")), SLICE("result")), SLICE("r")));
    forget();
    end("shy", JOB_FAILED, "", SLICE("{\"i\":1}"));
    assert_jobs("third /3 queued\n", &in);
    assert_non_null(json_find(json_find(json_find(in, SLICE("job")), SLICE("input")), SLICE("i")));
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
TESTS(T(a_change_starts_those_that_name_it), T(what_does_not_fit_is_not_told),
      T(without_quota_it_is_there_as_failed), T(too_deep_is_a_loop),
      T(an_end_starts_those_that_name_it), T(no_more_is_shown_than_may_be_read))
