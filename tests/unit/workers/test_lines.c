/* What a program says: cut anywhere it is understood the same; all of it is bounded and clean. */
#include "workers/workers_impl.h"
#include "unit.h"

#include "base/utf8.h"

#include <stdio.h>

static struct buf logged;

static void take_all(struct talk *t)
{
    while (talk_take_log(t, &logged))
        if (!t->log.len)
            break;
}

static void say(struct talk *t, enum talk_stream from, struct slice text, size_t size)
{
    while (text.len) {
        talk_add(t, from, slice_first(text, size));
        text = slice_skip(text, size);
    }
}

/* A new one that has said this, in pieces of `size`. */
static void hear(struct talk *t, const struct mask *m, const char *out, const char *err,
                 size_t size)
{
    talk_init(t, m);
    buf_init(&logged, 64u << 20);
    say(t, TALK_OUT, slice_from(out), size);
    say(t, TALK_ERR, slice_from(err), size);
    talk_end(t);
    take_all(t);
}

static void forget(struct talk *t)
{
    talk_done(t);
    buf_done(&logged);
}

static void test_the_same_however_it_is_cut(void **state)
{
    struct talk t;
    (void)state;
    for (size_t size = 1; size < 90; size++) {
        hear(&t, NULL,
             "{\"progress\":0.4,\"message\":\"f\\u00fcnf\"}\n  "
             "\nplain\r\n{\"result\":{\"a\":[1,2]}}",
             "gr\xc3\xbcn \xff\xfe\xf0\x9f\x98\x80 ok\n", size);
        assert_int_equal(t.progress, 400000);
        assert_true(slice_is(buf_slice(&t.message), "f\xc3\xbcnf"));
        assert_true(slice_is(buf_slice(&t.result), "{\"a\":[1,2]}"));
        assert_true(
            slice_is(buf_slice(&logged), "plain\ngr\xc3\xbcn \xef\xbf\xbd\xf0\x9f\x98\x80 ok\n"));
        assert_true(slice_is(talk_last_line(&t), "gr\xc3\xbcn \xef\xbf\xbd\xf0\x9f\x98\x80 ok"));
        forget(&t);
    }
}

static void test_what_is_no_line_of_ours(void **state)
{
    static const char *const lines[] = {
        "{\"progress\":\"a\"}",
        "{\"progress\":1e999}",
        "{\"progress\":0.5",
        "[0.5]",
        "{}",
        "{\"message\":5}",
        "{\"progress\":null}",
        "0.5",
        "{\"x\":{\"progress\":1}}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct talk t;
        hear(&t, NULL, lines[i], "", 1000);
        assert_int_equal(t.progress, -1);
        assert_false(t.has_step || t.has_result);
        assert_true(slice_starts(buf_slice(&logged), slice_from(lines[i])));
        forget(&t);
    }
}

static void test_numbers_and_messages_are_bounded(void **state)
{
    struct talk t;
    char line[3000] = "{\"message\":\"";
    (void)state;
    hear(&t, NULL, "{\"progress\":7}\n", "", 5);
    assert_int_equal(t.progress, 1000000);
    forget(&t);
    hear(&t, NULL, "{\"progress\":-7,\"message\":\"a\\u0000b\\u001b[2Jc\\u202ed\"}\n", "", 5);
    assert_int_equal(t.progress, 0);
    assert_true(slice_is(buf_slice(&t.message), "a b [2Jc d"));
    forget(&t);
    for (size_t n = strlen(line); n < sizeof line - 10; n += 2)
        memcpy(line + n, "\xc3\xbc", 3);
    memcpy(line + strlen(line), "\"}", 3);
    hear(&t, NULL, line, "", 100);
    assert_int_equal(t.message.len, JOB_MESSAGE_MAX);
    assert_true(utf8_is_valid(buf_slice(&t.message)));
    forget(&t);
}

static void test_secrets_are_hidden_wherever_they_are_cut(void **state)
{
    const struct slice secret = SLICE("hunter2-secret");
    struct arena a;
    struct mask m;
    struct talk t;
    (void)state;
    arena_init(&a, 1u << 16);
    mask_init(&m, &a, &secret, 1);
    for (size_t size = 1; size < 40; size++) {
        hear(&t, &m, "say hunter2-secret\n{\"message\":\"is hunter2-secret\"}",
             "x hunter2-secret y", size);
        assert_true(slice_is(buf_slice(&logged), "say ***\nx *** y"));
        assert_true(slice_is(buf_slice(&t.message), "is ***"));
        forget(&t);
    }
    arena_done(&a);
}

static void test_a_line_that_is_too_long(void **state)
{
    struct talk t;
    struct buf text;
    (void)state;
    buf_init(&text, 8u << 20);
    buf_add_str(&text, "{\"result\":\"");
    while (text.len < WORKER_LINE_MAX + 100000)
        buf_add_str(&text, "abcdefghijklmnop");
    buf_add_str(&text, "\"}\n{\"progress\":1}\n");
    hear(&t, NULL, text.data, "", 30000);
    assert_non_null(strstr(t.bad_result, "longer than"));
    assert_int_equal(t.progress, 1000000); /* the next line is one again */
    assert_in_range(logged.len, JOB_LOG_MAX / 4, JOB_LOG_MAX + 1000);
    assert_true(slice_search(buf_slice(&logged), SLICE("bytes are left out")) >= 0);
    forget(&t);
    buf_done(&text);
}

static void test_results(void **state)
{
    struct talk t;
    struct buf text;
    (void)state;
    hear(&t, NULL, "{\"result\":1}\n{\"result\":null}\n", "", 7);
    assert_true(t.has_result && slice_is(buf_slice(&t.result), "null"));
    forget(&t);
    buf_init(&text, 8u << 20);
    buf_add_str(&text, "{\"result\":\"");
    while (text.len < JOB_RESULT_MAX + 100)
        buf_add_str(&text, "abcdefghijklmnop");
    buf_add_str(&text, "\"}\n");
    hear(&t, NULL, text.data, "", 1u << 20);
    assert_true(t.has_result && strstr(t.bad_result, "1024 KB"));
    forget(&t);
    buf_done(&text);
}

/* What begins like a result and is none ends the job as failed, and says why. */
static void test_results_that_cannot_be_taken(void **state)
{
    static const struct {
        const char *line, *why;
    } cases[] = {
        {"{\"result\": 1", "column 13"},
        {" \t{ \t\"result\"\t: [1,]}", "expected"},
        {"{\"result\": \"\\ud800\"}", "surrogate"},
        {"{\"result\": \"\xff\xfe\"}", "UTF-8"},
        {"{\"result\": {\"a\":1,\"a\":2}}", "before"},
        {"{\"result\"", "expected"},
        {"{\"result\": 1} and more", "found"},
    };
    struct talk t;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hear(&t, NULL, cases[i].line, "", 3);
        if (!strstr(t.bad_result, cases[i].why))
            fail_msg("%s: %s", cases[i].line, t.bad_result);
        assert_int_equal(t.result.len, 0);
        assert_true(logged.len > 0);
        forget(&t);
    }
    hear(&t, NULL, "{\"result\":1\n{\"result\":2}\n{\"results\":3\n", "", 5);
    assert_true(!t.bad_result[0] && slice_is(buf_slice(&t.result), "2"));
    forget(&t);
    hear(&t, NULL, "{\"result\":1}\n{\"result\":2\n", "", 5);
    assert_true(t.bad_result[0] && !t.result.len);
    forget(&t);
}

static void test_a_result_that_is_nested_too_deep(void **state)
{
    struct talk t;
    struct buf text;
    (void)state;
    buf_init(&text, 1u << 20);
    buf_add_str(&text, "{\"result\":");
    for (int i = 0; i < 50000; i++)
        buf_add_str(&text, "[");
    for (int i = 0; i < 50000; i++)
        buf_add_str(&text, "]");
    buf_add_str(&text, "}\n");
    hear(&t, NULL, text.data, "", 1000);
    assert_non_null(strstr(t.bad_result, "at most 64"));
    forget(&t);
    buf_done(&text);
}

static void test_pieces_of_the_log_are_whole_characters(void **state)
{
    struct talk t;
    struct buf piece;
    size_t all = 0;
    (void)state;
    talk_init(&t, NULL);
    buf_init(&piece, TALK_PIECE + 100);
    for (int i = 0; i < 100000; i++)
        talk_add(&t, TALK_ERR, SLICE("\xe2\x82\xac"));
    while (talk_take_log(&t, &piece)) {
        assert_true(piece.len <= TALK_PIECE && utf8_is_valid(buf_slice(&piece)));
        all += piece.len;
        buf_clear(&piece);
    }
    assert_int_equal(all, 300000);
    buf_done(&piece);
    talk_done(&t);
}

/* Escaped, in keys, deep inside: it is gone, and what is left is JSON. */
static void test_results_hide_secrets(void **state)
{
    static const struct slice values[] = {{"s3cr\"et/\xc3\xbc", 10}, {"djt_token", 9}};
    struct arena a;
    struct mask m;
    struct talk t;
    (void)state;
    arena_init(&a, 1u << 20);
    mask_init(&m, &a, values, 2);
    hear(
        &t, &m,
        "{\"result\":{\"t\":\"a djt_token b\",\"djt_token\":[{\"x\":\"s3cr\\u0022et\\/\\u00fc\"},1,"
        "null,\"djt_toke\"]}}\n",
        "", 7);
    assert_true(slice_is(buf_slice(&t.result),
                         "{\"t\":\"a *** b\",\"***\":[{\"x\":\"***\"},1,null,\"djt_toke\"]}"));
    forget(&t);
    hear(&t, &m, "{\"result\":\"djt_token\"}\n", "", 7);
    assert_true(slice_is(buf_slice(&t.result), "\"***\""));
    forget(&t);
    arena_done(&a);
}

TESTS(cmocka_unit_test(test_the_same_however_it_is_cut),
      cmocka_unit_test(test_what_is_no_line_of_ours),
      cmocka_unit_test(test_numbers_and_messages_are_bounded),
      cmocka_unit_test(test_secrets_are_hidden_wherever_they_are_cut),
      cmocka_unit_test(test_a_line_that_is_too_long), cmocka_unit_test(test_results),
      cmocka_unit_test(test_results_hide_secrets),
      cmocka_unit_test(test_results_that_cannot_be_taken),
      cmocka_unit_test(test_a_result_that_is_nested_too_deep),
      cmocka_unit_test(test_pieces_of_the_log_are_whole_characters))
