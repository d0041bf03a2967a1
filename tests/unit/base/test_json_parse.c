/* The JSON parser and validator: what they accept, where they say it is wrong, their limits. */
#include "base/json.h"
#include "base/json_cases.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

static struct json_doc parse(struct arena *a, struct slice text)
{
    struct json_doc doc;
    struct err e = {0};
    if (!json_parse(&doc, a, text, NULL, &e))
        fail_msg("%.*s: %s", SLICE_ARGS(text), e.msg);
    return doc;
}

static void write_doc(struct buf *to, const struct json_doc *doc)
{
    struct json_writer w;
    json_writer_init(&w, to, 0);
    json_write_value(&w, json_root(doc));
    json_writer_done(&w);
}

/* Written and read again it is the same text. */
static void check_round_trip(struct arena *a, const struct json_doc *doc)
{
    struct buf once, twice;
    buf_init(&once, 1 << 20);
    buf_init(&twice, 1 << 20);
    write_doc(&once, doc);
    struct json_doc again = parse(a, buf_slice(&once));
    write_doc(&twice, &again);
    assert_false(once.full);
    assert_int_equal(again.len, doc->len);
    assert_string_equal(once.data, twice.data);
    buf_done(&once);
    buf_done(&twice);
}

/* From a heap block of exactly its size, so that reading past it is seen. */
static void check_case(const struct json_case *c)
{
    char *exact = malloc(c->text.len ? c->text.len : 1);
    memcpy(exact, c->text.ptr, c->text.len);
    struct slice text = {exact, c->text.len};
    struct arena a;
    struct json_doc doc;
    struct err e1 = {0}, e2 = {0};
    arena_init(&a, 1 << 20);
    bool parsed = json_parse(&doc, &a, text, NULL, &e1);
    bool valid = json_validate(text, NULL, &e2);
    if (parsed != c->ok || valid != c->ok || (!c->ok && e1.code != ERR_JSON))
        fail_msg("'%.*s' should %s; parse: %s, validate: %s", SLICE_ARGS(text),
                 c->ok ? "pass" : "fail", e1.msg, e2.msg);
    assert_string_equal(e1.msg, e2.msg);
    if (parsed)
        check_round_trip(&a, &doc);
    arena_done(&a);
    free(exact);
}

#define CASES(name)                                                             \
    static void name(void **state)                                              \
    {                                                                           \
        (void)state;                                                            \
        for (size_t i = 0; i < sizeof name##_cases / sizeof *name##_cases; i++) \
            check_case(&name##_cases[i]);                                       \
    }
CASES(literal)
CASES(number)
CASES(string)
CASES(surrogate)
CASES(utf8)
CASES(encoding)
CASES(array)
CASES(object)
CASES(structure)
CASES(decided)

static void expect_error(const char *text, const char *msg)
{
    struct err e = {0}, v = {0};
    struct arena a;
    struct json_doc doc;
    arena_init(&a, 1 << 20);
    assert_false(json_parse(&doc, &a, slice_from(text), NULL, &e));
    assert_int_equal(e.code, ERR_JSON);
    assert_string_equal(e.msg, msg);
    assert_false(json_validate(slice_from(text), NULL, &v));
    assert_string_equal(v.msg, msg);
    arena_done(&a);
}

static void says_where_and_what(void **state)
{
    (void)state;
    expect_error("", "line 1, column 1: expected a value, found the end of the text");
    expect_error("{\n  \"a\": 1,\n}",
                 "line 3, column 1: expected a key in double quotes, found '}'");
    expect_error("[1 2]", "line 1, column 4: expected a comma or ']', found '2'");
    expect_error("{\"a\":1 2}", "line 1, column 8: expected a comma or '}', found '2'");
    expect_error("{\"a\" 1}", "line 1, column 6: expected a colon, found '1'");
    expect_error("[01]", "line 1, column 3: expected no digit after a leading 0, found '1'");
    expect_error("[-]", "line 1, column 3: expected a digit, found ']'");
    expect_error("[]]", "line 1, column 3: expected the end of the text, found ']'");
    expect_error("\"a", "line 1, column 3: expected a closing quote, found the end of the text");
    expect_error(
        "\"\t\"",
        "line 1, column 2: expected no raw control character in a string, found byte 0x09");
    expect_error("\"\\q\"", "line 1, column 3: expected one of \"\\/bfnrtu, found 'q'");
    expect_error("\"\\ud800\"", "line 1, column 2: expected a pair of surrogates, found '\\'");
    expect_error("\xef\xbb\xbf[]", "line 1, column 1: expected a value, found a byte order mark");
    /* Columns count characters, not bytes. */
    expect_error("\"\xc3\xa9\xf0\x9f\x98\x80\xff\"",
                 "line 1, column 4: expected valid UTF-8, found byte 0xff");
    expect_error("{\"a\":1,\n \"a\":2}", "line 2, column 2: this object has the key \"a\" before");
    expect_error("{\"ab\":1,\"\\u0061b\":2}",
                 "line 1, column 9: this object has the key \"ab\" before");
    expect_error("{\"\\n\":1,\"\\n\":2}", "line 1, column 9: this object has the key before");
}

/* ---- limits ---------------------------------------------------------------------------------- */
static char *repeat(const char *open, const char *middle, const char *close, size_t n)
{
    size_t a = strlen(open), m = strlen(middle), z = strlen(close);
    char *text = malloc(n * (a + z) + m + 1), *to = text;
    for (size_t i = 0; i < n; i++, to += a)
        memcpy(to, open, a);
    memcpy(to, middle, m);
    to += m;
    for (size_t i = 0; i < n; i++, to += z)
        memcpy(to, close, z);
    *to = '\0';
    return text;
}

static bool both(struct slice text, const struct json_limits *limits, struct err *e)
{
    struct arena a;
    struct json_doc doc;
    struct err v = {0};
    arena_init(&a, 512 << 20);
    bool parsed = json_parse(&doc, &a, text, limits, e);
    assert_int_equal(json_validate(text, limits, &v), parsed);
    assert_string_equal(v.msg, parsed ? "" : e->msg);
    arena_done(&a);
    return parsed;
}

static void check_depth(size_t n, const struct json_limits *limits, bool ok)
{
    const char *const shapes[][3] = {
        {"[", "", "]"}, {"{\"a\":", "1", "}"}, {"[{\"a\":", "[]", "}]"}};
    for (size_t i = 0; i < 3; i++) {
        char *text = repeat(shapes[i][0], shapes[i][1], shapes[i][2], i == 2 ? (n - 1) / 2 : n);
        struct err e = {0};
        assert_int_equal(both(slice_from(text), limits, &e), ok);
        if (!ok)
            assert_non_null(strstr(e.msg, "nested too deeply"));
        free(text);
    }
}

static void depth_is_limited(void **state)
{
    (void)state;
    check_depth(64, NULL, true);
    check_depth(67, NULL, false);
    check_depth(1, &(struct json_limits){.max_depth = 1}, true);
    check_depth(5, &(struct json_limits){.max_depth = 2}, false);
    check_depth(1000, &(struct json_limits){.max_depth = 1000}, true);
    check_depth(1003, &(struct json_limits){.max_depth = 1000}, false);
    check_depth(100000, NULL, false);
    check_depth(100000, &(struct json_limits){.max_depth = 1000}, false);
    struct err e = {0};
    char *open = repeat("[", "", "", 100000), *keys = repeat("{\"a\":", "", "", 100000);
    assert_false(both(slice_from(open), NULL, &e));
    assert_false(both(slice_from(keys), NULL, &e));
    assert_string_equal(e.msg, "line 1, column 321: nested too deeply (at most 64)");
    free(open);
    free(keys);
}

static void values_are_limited(void **state)
{
    (void)state;
    struct err e = {0};
    struct json_limits five = {.max_nodes = 5};
    assert_true(both(SLICE("[1,2,3,4]"), &five, &e));
    assert_false(both(SLICE("[1,2,3,4,5]"), &five, &e));
    assert_string_equal(e.msg, "line 1, column 10: too many values (at most 5)");
    assert_true(both(SLICE("{\"a\":1,\"b\":2}"), &five, &e));
    assert_false(both(SLICE("{\"a\":1,\"b\":2,\"c\":3}"), &five, &e));
    assert_true(both(SLICE("[[],[],[],[]]"), &five, &e));
    assert_false(both(SLICE("[[],[],[],[],[]]"), &five, &e));
    char *many = repeat("[],", "1", "", 999998);
    many[0] = '[';
    many[1] = '1';
    many[2] = ',';
    size_t n = strlen(many);
    many = realloc(many, n + 2);
    memcpy(many + n, "]", 2);
    assert_true(both((struct slice){many, n + 1}, NULL, &e));
    struct json_limits fewer = {.max_nodes = 999999};
    assert_false(both((struct slice){many, n + 1}, &fewer, &e));
    free(many);
}

static void large_strings_and_small_arenas(void **state)
{
    (void)state;
    size_t n = 100u << 20;
    char *text = malloc(n);
    memset(text, 'x', n);
    text[0] = text[n - 1] = '"';
    struct arena a;
    struct json_doc doc;
    struct err e = {0};
    arena_init(&a, 4096); /* the text stays where it is: one entry suffices */
    assert_true(json_parse(&doc, &a, (struct slice){text, n}, NULL, &e));
    assert_int_equal(json_str(json_root(&doc)).len, n - 2);
    assert_true(a.used_bytes < 64);
    assert_true(json_validate((struct slice){text, n}, NULL, &e));
    text[n / 2] = '\x80';
    assert_false(json_validate((struct slice){text, n}, NULL, &e));
    text[n / 2] = '\\';
    text[n / 2 + 1] = 'n';
    assert_false(json_parse(&doc, &a, (struct slice){text, n}, NULL, &e));
    assert_int_equal(e.code, ERR_BODY_TOO_LARGE);
    arena_done(&a);
    free(text);

    arena_init(&a, 1000);
    char *deep = repeat("[1,", "1", "]", 60);
    assert_false(json_parse(&doc, &a, slice_from(deep), NULL, &e));
    assert_int_equal(e.code, ERR_BODY_TOO_LARGE);
    arena_done(&a);
    free(deep);
}

/* Objects of every width around the change of method, with and without one key twice. */
static void duplicates_are_found_in_wide_objects(void **state)
{
    (void)state;
    for (size_t n = 2; n < 300; n += n < 40 ? 1 : 37) {
        for (size_t twice = 0; twice <= n; twice += n / 7 + 1) {
            struct buf b;
            struct err e = {0};
            buf_init(&b, 1 << 20);
            buf_add_char(&b, '{');
            for (size_t i = 0; i < n; i++)
                buf_printf(&b, "%s\"key%zu\":{\"key%zu\":[%zu]}", i ? "," : "",
                           i == n - 1 && twice < n - 1 ? twice : i, i, i);
            buf_add_char(&b, '}');
            assert_int_equal(both(buf_slice(&b), NULL, &e), twice >= n - 1);
            buf_done(&b);
        }
    }
}

static void a_huge_object_takes_linear_time(void **state)
{
    (void)state;
    struct buf b;
    struct err e = {0};
    buf_init(&b, 64 << 20);
    for (unsigned i = 0; i < 300000; i++)
        buf_printf(&b, "%s\"%u\":0", i ? "," : "{", i); /* quadratic would be 4.5e10 comparisons */
    buf_add_char(&b, '}');
    assert_true(both(buf_slice(&b), NULL, &e));
    buf_done(&b);
}

static void outcome_untouched_on_failure(void **state)
{
    (void)state;
    struct arena a;
    struct json_doc doc = {(const struct json *)0x10, 77};
    arena_init(&a, 1 << 16);
    assert_false(json_parse(&doc, &a, SLICE("[1,"), NULL, NULL));
    assert_ptr_equal(doc.nodes, 0x10);
    assert_int_equal(doc.len, 77);
    assert_false(json_validate((struct slice){NULL, 0}, NULL, NULL));
    arena_done(&a);
}

/* Every cut and every offset of a document that has a bit of all: the edges of 16-byte steps. */
static void every_prefix_fails_cleanly(void **state)
{
    (void)state;
    static const char text[] = "{\"name\":\"caf\xc3\xa9 \\u00e9\\ud83d\\ude00 and a longer run of "
                               "text\",\"list\":[1,-2.5e3,"
                               "true,false,null,[],{}],\r\n                                    "
                               "\"last\" : \"\xe2\x82\xac\"}";
    for (size_t n = 0; n <= sizeof text - 1; n++) {
        for (size_t pad = 0; pad < 3; pad++) {
            char *exact = malloc(n + pad + 1);
            memset(exact, ' ', pad);
            memcpy(exact + pad, text, n);
            struct err e = {0};
            struct arena a;
            struct json_doc doc;
            arena_init(&a, 1 << 16);
            bool ok = json_parse(&doc, &a, (struct slice){exact, n + pad}, NULL, &e);
            assert_int_equal(ok, n == sizeof text - 1);
            assert_int_equal(json_validate((struct slice){exact, n + pad}, NULL, &e), ok);
            arena_done(&a);
            free(exact);
        }
    }
}

TESTS(cmocka_unit_test(literal), cmocka_unit_test(number), cmocka_unit_test(string),
      cmocka_unit_test(surrogate), cmocka_unit_test(utf8), cmocka_unit_test(encoding),
      cmocka_unit_test(array), cmocka_unit_test(object), cmocka_unit_test(structure),
      cmocka_unit_test(decided), cmocka_unit_test(says_where_and_what),
      cmocka_unit_test(depth_is_limited), cmocka_unit_test(values_are_limited),
      cmocka_unit_test(large_strings_and_small_arenas),
      cmocka_unit_test(duplicates_are_found_in_wide_objects),
      cmocka_unit_test(a_huge_object_takes_linear_time),
      cmocka_unit_test(outcome_untouched_on_failure), cmocka_unit_test(every_prefix_fails_cleanly))
