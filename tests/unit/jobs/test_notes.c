/* What running jobs say: progress, logs, their bounds, how it is read on; and lists of jobs. */
#include "jobs_test.h"

static const char manifest[] =
    "app: t\n"
    "jobs:\n"
    "  work: { run: jobs/work, concurrency: 0, retries: { max: 3, backoff: 1s..9s } }\n"
    "  open: { run: jobs/work, concurrency: 0, rules: { read: signed_in } }\n";

RIG_OF(manifest)

struct saying {
    const struct job_said *said;
    size_t n;
};

static bool run_say(void *arg, struct db_conn *c, struct err *e)
{
    struct saying *s = arg;
    return jobs_say(c, s->said, s->n, rig.now, e);
}

static void say(const struct job_claim *c, int32_t progress, struct slice text)
{
    const struct job_said said = {c->row.id, c->row.attempt,
                                  progress < -1 ? NOTE_LOG : NOTE_PROGRESS, progress, text};
    struct saying s = {&said, 1};
    OK(written_loosely(run_say, &s, &err));
}

#define LOG (-2)

struct reading {
    struct slice id;
    int64_t seq;
    struct job_note notes[20000];
    size_t n;
    bool has_gap;
};

static bool run_read(const struct jobs_reading *r, void *arg)
{
    struct reading *x = arg;
    return job_notes_read(r->conn, r->arena, x->id, x->seq, 20000, x->notes, &x->n, &x->has_gap,
                          &err);
}

static struct reading *notes_of(const struct job_claim *c, int64_t seq)
{
    struct reading *x = arena_new(&rig.a, struct reading);
    x->id = c->row.id;
    x->seq = seq;
    OK(read_with(run_read, x));
    return x;
}

static void test_progress(void **unused)
{
    (void)unused;
    const char *id = add("work");
    struct job_claim c = claim_one("h");
    assert_int_equal(row(id).progress, -1);
    say(&c, 250000, SLICE("Downloading"));
    say(&c, LOG, SLICE("a line\n\xff\0x"));
    say(&c, 500000, SLICE(""));
    struct job_row r = row(id);
    assert_true(r.progress == 500000 && slice_is(r.message, "Downloading"));
    say(&c, -1, SLICE("Only \0words"));
    r = row(id);
    assert_true(r.progress == 500000 && slice_is(r.message, "Only ?words"));
    struct reading *x = notes_of(&c, 0);
    assert_true(x->n == 4 && !x->has_gap && x->notes[0].seq == 1 && x->notes[3].seq == 4);
    assert_true(x->notes[1].kind == NOTE_LOG && x->notes[1].text.len == 10);
    assert_true(x->notes[3].progress == -1 && x->notes[2].progress == 500000);
    x = notes_of(&c, 2);
    assert_true(x->n == 2 && !x->has_gap && x->notes[0].seq == 3);
    assert_int_equal(notes_of(&c, 4)->n, 0);
    finish("h", &c, OUTCOME_AGAIN);
    say(&c, 900000, SLICE("too late")); /* not heard */
    assert_int_equal(notes_of(&c, 4)->n, 0);
    rig.now += 3600000;
    tend("h", false);
    struct job_claim next = claim_one("h");
    say(&c, 900000, SLICE("too late"));
    assert_int_equal(row(id).progress, -1); /* begins anew; the log goes on */
    say(&next, 100000, SLICE(""));
    r = row(id);
    assert_true(r.progress == 100000 && !r.message.len);
    assert_int_equal(notes_of(&next, 0)->n, 5);
}

static void test_steps_bound(void **unused)
{
    (void)unused;
    add("work");
    struct job_claim c = claim_one("h");
    struct job_said *said = arena_alloc(&rig.a, 100 * sizeof *said);
    for (int k = 0; k < 100; k++)
        said[k] = (struct job_said){c.row.id, c.row.attempt, NOTE_PROGRESS, 1, SLICE("step")};
    for (int i = 0; i < 25; i++) {
        struct saying s = {said, 100};
        OK(written_loosely(run_say, &s, &err));
        struct reading *x = notes_of(&c, 0);
        assert_true(x->n <= JOB_NOTES_MAX + 100);
        assert_int_equal(x->notes[x->n - 1].seq, (i + 1) * 100);
    }
    struct reading *x = notes_of(&c, 0);
    assert_true(x->n <= JOB_NOTES_MAX && x->n >= JOB_NOTES_MAX / 2 && x->has_gap);
}

static void test_log_bound(void **unused)
{
    (void)unused;
    add("work");
    struct job_claim c = claim_one("h");
    char *text = arena_alloc(&rig.a, 2u << 20);
    memset(text, 'x', 2u << 20);
    say(&c, 1, SLICE("a step"));
    for (int i = 0; i < 60; i++) {
        say(&c, LOG, (struct slice){text, 50000});
        assert_true(count_rows("SELECT CAST(sum(length(body)) AS BIGINT) FROM dais_job_notes") <=
                    JOB_LOG_MAX);
    }
    text[(2u << 20) - 1] = '!';
    say(&c, LOG, (struct slice){text, 2u << 20}); /* its end is what counts */
    struct reading *x = notes_of(&c, 0);
    assert_true(x->n > 10 && x->notes[0].kind == NOTE_PROGRESS);
    struct slice last = x->notes[x->n - 1].text;
    assert_true(last.len <= JOB_LOG_MAX && last.ptr[last.len - 1] == '!');
    assert_true(row(arena_cstr(&rig.a, c.row.id)).progress == 1);
}

static void test_pieces_bound(void **unused)
{
    (void)unused;
    add("work");
    struct job_claim c = claim_one("h");
    struct job_said *said = arena_alloc(&rig.a, 1000 * sizeof *said);
    for (int k = 0; k < 1000; k++)
        said[k] = (struct job_said){c.row.id, c.row.attempt, NOTE_LOG, -1, SLICE("x")};
    for (int i = 0; i < 14; i++) {
        struct saying s = {said, 1000};
        OK(written_loosely(run_say, &s, &err));
    }
    assert_true(notes_of(&c, 0)->n <= JOB_PIECES_MAX);
}

/* ---- lists ----------------------------------------------------------------------------------- */

static size_t n_of(const struct json *page)
{
    return json_len(json_find(page, SLICE("items")));
}

static struct slice next_of(const struct json *page)
{
    return json_str(json_find(page, SLICE("next")));
}

static void test_list(void **unused)
{
    struct jobs_query q = {.limit = 4};
    (void)unused;
    for (int i = 0; i < 10; i++)
        add("work");
    rig_be("bob");
    add("work");
    const struct json *page = list(&q);
    assert_non_null(page);
    assert_true(n_of(page) == 1 && !next_of(page).len);
    rig_be("ada");
    size_t n = 0;
    struct slice before = SLICE("~");
    do {
        page = list(&q);
        assert_non_null(page);
        json_each (it, json_find(page, SLICE("items"))) {
            struct slice id = json_str(json_find(it.value, SLICE("id")));
            assert_true(slice_cmp(id, before) < 0);
            assert_true(slice_is(json_str(json_find(it.value, SLICE("owner"))), "ada"));
            assert_null(json_find(it.value, SLICE("input")));
            before = id;
            n++;
        }
        q.after = next_of(page);
    } while (q.after.len);
    assert_int_equal(n, 10);
}

static void test_filters(void **unused)
{
    struct jobs_query q = {.state = SLICE("queued")};
    (void)unused;
    for (int i = 0; i < 3; i++)
        add("work");
    add("open");
    rig_be("bob");
    add("open");
    add("work");
    struct claims c = claim_of("h", "open", 2);
    assert_int_equal(c.n, 2);
    say(&c.items[0], 300000, SLICE("Half way"));
    assert_int_equal(n_of(list(&q)), 1);
    q = (struct jobs_query){.state = SLICE("running"), .type = SLICE("open")};
    const struct json *page = list(&q); /* others' too */
    assert_int_equal(n_of(page), 2);
    bool has_said = false;
    json_each (it, json_find(page, SLICE("items")))
        has_said |= slice_is(json_str(json_find(it.value, SLICE("message"))), "Half way");
    assert_true(has_said);
    q = (struct jobs_query){.type = SLICE("work")};
    assert_int_equal(n_of(list(&q)), 1);
    q = (struct jobs_query){.type = SLICE("nothing")};
    assert_null(list(&q));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    q = (struct jobs_query){.state = SLICE("odd")};
    assert_null(list(&q));
    q = (struct jobs_query){.after = SLICE("odd")};
    assert_null(list(&q));
    rig_be("");
    q = (struct jobs_query){0};
    assert_null(list(&q));
    assert_int_equal(err.code, ERR_UNAUTHENTICATED);
}

TESTS(TEST(test_progress), TEST(test_steps_bound), TEST(test_log_bound), TEST(test_pieces_bound),
      TEST(test_list), TEST(test_filters))
