/* Tests of rewriting text that comes in pieces: where it was cut must not be seen. */
#include "unit.h"
#include "edge/edge_impl.h"

#include <stdlib.h>

#define RULES_MAX 4

static struct web_conf conf_of(const char *const *pairs, struct rewrite_rule rules[RULES_MAX])
{
    struct web_conf conf = {0};
    for (size_t i = 0; pairs[i]; i += 2)
        rules[conf.rewrite.n++] = (struct rewrite_rule){.files.s = SLICE("*"),
                                                        .from.s = slice_from(pairs[i]),
                                                        .to.s = slice_from(pairs[i + 1])};
    conf.rewrite.items = rules;
    return conf;
}

/* Cut at `a` and `b`, the pieces in memory of their own. */
static void rewrite_cut(const struct web_conf *conf, struct slice text, size_t a, size_t b,
                        struct buf *ret)
{
    struct rewriter *r = rewriter_new(conf, SLICE("/x.js"));
    struct buf out;
    const size_t cuts[] = {0, a, b, text.len};
    buf_init(&out, 1 << 20);
    buf_clear(ret);
    for (int i = 0; i < 3; i++) {
        size_t n = cuts[i + 1] - cuts[i];
        char *copy = malloc(n + 1);
        memcpy(copy, text.ptr + cuts[i], n);
        assert_true(rewriter_add(r, (struct slice){copy, n}, i == 2, &out));
        free(copy);
        buf_add(ret, buf_slice(&out));
    }
    buf_done(&out);
    rewriter_free(r);
}

static void no_cut_is_seen(void **state)
{
    (void)state;
    static const struct {
        const char *pairs[2 * RULES_MAX + 1], *text, *want;
    } rows[] = {
        {{"http://127.0.0.1:8000", ""},
         "a http://127.0.0.1:8000/b http://127.0.0.1:800 c",
         "a /b http://127.0.0.1:800 c"},
        {{"aab", "X"}, "aaaab aab aabaab", "aaX X XX"},
        {{"aa", "b"}, "aaaaa", "bba"},
        {{"abab", "-"}, "abababab ababab", "-- -ab"},
        {{"abacabad", "!"}, "abacabacabad", "abac!"},
        {{"x", "xx"}, "x xx y", "xx xxxx y"},
        {{"\xc3\xa9t\xc3\xa9", "\xe2\x82\xac"},
         "l'\xc3\xa9t\xc3\xa9 \xc3\xa9t\xc3",
         "l'\xe2\x82\xac \xc3\xa9t\xc3"},
        {{"one", "two", "two", "three", "three three", "!"},
         "one two onetwo on",
         "! threethree on"},
        {{"ab", "", "cd", "x"}, "cabd ccabd", "x cx"},
        {{"long", "l", "l", "longer"}, "long l lon", "longer longer longeron"},
        {{"a", ""}, "aaaa", ""},
        {{"absent", "x"}, "", ""},
        {{"end", "."}, "the end", "the ."},
        {{NULL}, "as it is", "as it is"},
    };
    struct buf got;
    buf_init(&got, 1 << 20);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rewrite_rule rules[RULES_MAX];
        struct web_conf conf = conf_of(rows[i].pairs, rules);
        struct slice text = slice_from(rows[i].text);
        for (size_t a = 0; a <= text.len; a++) {
            for (size_t b = a; b <= text.len; b++) {
                rewrite_cut(&conf, text, a, b, &got);
                if (!slice_is(buf_slice(&got), rows[i].want))
                    fail_msg("%s cut at %zu and %zu: %s", rows[i].text, a, b, buf_slice(&got).ptr);
            }
        }
    }
    buf_done(&got);
}

/* What cannot be the beginning of a match is not kept waiting: events would come late. */
static void what_can_leave_does(void **state)
{
    (void)state;
    struct rewrite_rule rules[RULES_MAX];
    const char *const pairs[] = {"http://127.0.0.1", "", NULL};
    struct web_conf conf = conf_of(pairs, rules);
    struct rewriter *r = rewriter_new(&conf, SLICE("/x"));
    struct buf out;
    buf_init(&out, 1000);
    assert_true(rewriter_add(r, SLICE("some text\n"), false, &out));
    assert_true(slice_is(buf_slice(&out), "some text\n"));
    assert_true(rewriter_add(r, SLICE("see http:/"), false, &out));
    assert_true(slice_is(buf_slice(&out), "see "));
    assert_true(rewriter_add(r, SLICE("x"), false, &out));
    assert_true(slice_is(buf_slice(&out), "http:/x"));
    buf_done(&out);
    rewriter_free(r);
}

static void a_flood_of_matches_has_an_end(void **state)
{
    (void)state;
    struct rewrite_rule rules[RULES_MAX];
    char *many = malloc(100001);
    memset(many, 'a', 100000);
    many[100000] = 0;
    const char *const pairs[] = {"a", many, "a", many, NULL};
    struct web_conf conf = conf_of(pairs, rules);
    struct rewriter *r = rewriter_new(&conf, SLICE("/x"));
    struct buf out;
    buf_init(&out, 16 << 20);
    assert_false(rewriter_add(r, slice_from(many), true, &out));
    buf_done(&out);
    rewriter_free(r);
    free(many);
}

static void text_is_known_by_its_type(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        bool is_text;
    } rows[] = {
        {"text/html; charset=utf-8", true},
        {"TEXT/CSS", true},
        {"application/json", true},
        {"application/problem+json", true},
        {"image/svg+xml", true},
        {"application/javascript", true},
        {"application/xml ; x=y", true},
        {"text/event-stream", false},
        {"image/png", false},
        {"application/octet-stream", false},
        {"video/mp4", false},
        {"", false},
        {"+xml", true},
        {"text", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct h1_header line = {SLICE("Content-Type"), slice_from(rows[i].type),
                                 HEADER_CONTENT_TYPE};
        struct h1_response answer = {.status = 200};
        answer.head.headers = &line;
        answer.head.n_headers = 1;
        answer.head.at[HEADER_CONTENT_TYPE] = 1;
        if (rewriter_is_text(&answer) != rows[i].is_text)
            fail_msg("%s", rows[i].type);
        answer.status = 206;
        assert_false(rewriter_is_text(&answer));
    }
}

TESTS(cmocka_unit_test(no_cut_is_seen), cmocka_unit_test(what_can_leave_does),
      cmocka_unit_test(a_flood_of_matches_has_an_end), cmocka_unit_test(text_is_known_by_its_type))
