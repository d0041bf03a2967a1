/* Tasks without a network: the table, what `with` and the input say, times, checks, breakers. */
#include "tasks_test.h"

static void each_is_found(void **state)
{
    struct slice rest = S(task_names), name;
    (void)state;
    while (slice_cut(&rest, ',', &name)) {
        const struct task *t = task_find(slice_trim(name));
        assert_true(t && t->run && t->check && slice_is(slice_trim(name), t->name));
    }
    for (rest = S(job_tasks); slice_cut(&rest, ' ', &name);)
        assert_non_null(task_find(name));
    assert_null(task_find(SLICE("http.cal")));
    assert_null(task_find(SLICE("")));
    assert_true(task_find(SLICE("nothing"))->is_instant);
}

static void with_goes_before_the_input(void **state)
{
    struct asked k;
    struct slice text;
    (void)state;
    asked_init(&k, WITH("to=maker", "empty="),
               "{\"to\":\"other\",\"empty\":\"other\",\"own\":\"mine\",\"n\":5,\"none\":null}");
    assert_true(told(&k.call, "to", &text, &k.err) && slice_is(text, "maker"));
    assert_true(told(&k.call, "empty", &text, &k.err) && !text.len);
    assert_false(told_needed(&k.call, "empty", &text, &k.err));
    assert_true(told_needed(&k.call, "own", &text, &k.err) && slice_is(text, "mine"));
    assert_true(told(&k.call, "none", &text, &k.err) && !text.len);
    assert_false(told(&k.call, "n", &text, &k.err));
    assert_int_equal(k.err.code, ERR_INVALID);
    assert_false(told_needed(&k.call, "absent", &text, &k.err));
    assert_true(told_by_maker(&k.call, "own", &text, &k.err) && !text.len);
    assert_false(told_by_maker(&k.call, "empty", &text, &k.err));
    asked_done(&k);
    asked_init(&k, NULL, "[1]"); /* no object: it says nothing */
    assert_true(told(&k.call, "to", &text, &k.err) && !text.len);
    asked_done(&k);
}

static void times_in_a_path(void **state)
{
    struct arena a;
    struct slice text;
    struct err e;
    (void)state;
    arena_init(&a, 1u << 20);
    assert_true(told_with_time(S("a/%Y-%m-%d/%H%M%S-100%%.jsonl"), 1767323045678, &a, &text, &e));
    assert_true(slice_is(text, "a/2026-01-02/030405-100%.jsonl"));
    assert_false(told_with_time(S("a/%y"), 0, &a, &text, &e));
    assert_false(told_with_time(S("a/%"), 0, &a, &text, &e));
    arena_done(&a);
}

/* ---- checks ------------------------------------------------------------------------------------
 */

static void what_check_says(void **state)
{
    static const struct {
        const char *task, *one, *two, *words; /* words NULL: it is fine */
    } rows[] = {
        {"http.call", "url=https://example.com/", "method=PUT", NULL},
        {"http.call", "url=", "secret=", NULL}, /* settings that are not there yet */
        {"http.call", "url=https://example.com/", "metod=PUT", "did you mean `method`?"},
        {"http.call", "url=https://example.com/", "method=put", "`method` is POST"},
        {"http.call", "url=example.com", NULL, "https://example.com/hook"},
        {"http.call", "secret=x", NULL, "Write the `url` beside it"},
        {"http.call", "authorization=x", NULL, "Write the `url` beside it"},
        {"http.call", "internal=true", NULL, "Write the `url` beside it"},
        {"http.call", "url=http://10.0.0.1/", "internal=yes", "\"true\" or \"false\""},
        {"http.call", "method=GET", "body=x", "Write the `url` beside it"},
        {"mail.send", "to=ops@example.com", "link=/orders", NULL},
        {"mail.send", "to=ops", NULL, "no e-mail address"},
        {"mail.send", "link=javascript:1", NULL, "`link` is none"},
        {"mail.send", "link=//evil.example/", NULL, "`link` is none"},
        {"mail.send", "sbject=x", NULL, "did you mean `subject`?"},
        {"export.run", "collection=notes", "bucket=exports", NULL},
        {"export.run", "collection=note", NULL, "did you mean `notes`?"},
        {"export.run", "bucket=pictures", NULL, "add it to `files`"},
        {"export.run", "path=../x", NULL, ""},
        {"export.run", "path=a-%Y-%m-%d.jsonl", "format=jsonl", NULL},
        {"export.run", "path=a-%s", NULL, "%Y"},
        {"export.run", "format=csv", NULL, "jsonl"},
        {"prune.run", "days=3", NULL, "takes nothing"},
        {"nothing", "a=b", NULL, "takes nothing"},
        {"backup.run", NULL, NULL, NULL},
        {"backup.run", "to=x", NULL, "takes nothing"},
    };
    struct arena a;
    struct problems p;
    (void)state;
    arena_init(&a, 1u << 20);
    problems_init(&p, &a);
    const struct manifest *m = manifest_parse(
        &a, S("app: x\ncollections: { notes: {} }\nfiles: { exports: {} }\n"), "dais.yaml", &p);
    assert_non_null(m);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct asked k;
        const char *with[] = {rows[i].one, rows[i].two, NULL};
        asked_init(&k, with, "null");
        bool fine = task_find(S(rows[i].task))->check(&k.with, m, &k.err);
        if (fine != !rows[i].words || (!fine && !strstr(k.err.msg, rows[i].words)))
            fail_msg("%s %s: %s", rows[i].task, rows[i].one, fine ? "fine" : k.err.msg);
        asked_done(&k);
    }
    const char *get[] = {"url=https://example.com/", "method=GET", "body=x", NULL};
    struct asked k;
    asked_init(&k, get, "null");
    assert_false(task_find(S("http.call"))->check(&k.with, m, &k.err));
    assert_non_null(strstr(k.err.msg, "GET sends none"));
    asked_done(&k);
    arena_done(&a);
}

/* ---- breakers ----------------------------------------------------------------------------------
 */

static struct breaker_turn turn_of(const char *origin)
{
    return (struct breaker_turn){.app = SLICE("shop"), .origin = S(origin)};
}

static void pause_doubles_with_one_try_between(void **state)
{
    struct breakers *b = breakers_new();
    struct breaker_turn t = turn_of("https://a"), other = turn_of("https://b"), probe = t;
    int64_t now = 1000, left = 0, wanted = 30000;
    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_true(breakers_enter(b, &t, now, &left));
        breakers_leave(b, &t, BREAKER_FAILED, now);
    }
    for (int i = 0; i < 8; i++) {
        assert_false(breakers_enter(b, &t, now, &left));
        assert_int_equal(left, wanted);
        assert_true(breakers_enter(b, &other, now, &left));
        breakers_leave(b, &other, BREAKER_FINE, now);
        now += wanted;
        assert_true(breakers_enter(b, &probe, now, &left) && probe.is_probe);
        assert_false(breakers_enter(b, &t, now, &left)); /* one at a time */
        breakers_leave(b, &probe, BREAKER_FAILED, now);
        wanted = wanted * 2 < 600000 ? wanted * 2 : 600000;
    }
    now += wanted;
    assert_true(breakers_enter(b, &probe, now, &left));
    breakers_leave(b, &probe, BREAKER_UNKNOWN, now); /* ended before it knew: the next one asks */
    assert_true(breakers_enter(b, &probe, now, &left) && probe.is_probe);
    breakers_leave(b, &probe, BREAKER_FINE, now);
    assert_true(breakers_enter(b, &t, now, &left) && !t.is_probe);
    breakers_free(b);
}

static void never_more_than_its_table(void **state)
{
    struct breakers *b = breakers_new();
    char name[32];
    int64_t left = 0;
    (void)state;
    for (int i = 0; i < 5 * BREAKERS_MAX; i++) {
        snprintf(name, sizeof name, "https://h%d", i / 5);
        struct breaker_turn t = turn_of(name);
        assert_true(breakers_enter(b, &t, 1000 + i, &left));
        breakers_leave(b, &t, BREAKER_FAILED, 1000 + i);
    }
    struct breaker_turn first = turn_of("https://h0"), more = turn_of("https://more");
    assert_false(breakers_enter(b, &first, 3000, &left)); /* used again: not the oldest */
    breakers_leave(b, &more, BREAKER_FAILED, 3001);
    assert_false(breakers_enter(b, &first, 3002, &left));
    struct breaker_turn second = turn_of("https://h1");
    assert_true(breakers_enter(b, &second, 3003, &left)); /* forgotten for it */
    breakers_free(b);
}

TESTS(cmocka_unit_test(each_is_found), cmocka_unit_test(with_goes_before_the_input),
      cmocka_unit_test(times_in_a_path), cmocka_unit_test(what_check_says),
      cmocka_unit_test(pause_doubles_with_one_try_between),
      cmocka_unit_test(never_more_than_its_table))
