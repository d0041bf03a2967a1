/* Walking, numbers, JSON Pointers and the writer. */
#include "base/json.h"
#include "unit.h"

#include <float.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static const struct json *read_json(const char *text)
{
    struct json_doc doc;
    struct err e = {0};
    if (!json_parse(&doc, &arena, slice_from(text), NULL, &e))
        fail_msg("%s: %s", text, e.msg);
    return json_root(&doc);
}

static void assert_slice(struct slice s, const char *want)
{
    if (!slice_is(s, want))
        fail_msg("'%.*s' is not '%s'", SLICE_ARGS(s), want);
}

/* ---- walking --------------------------------------------------------------------------------- */
static void walks_in_order(void **state)
{
    (void)state;
    const struct json *v = read_json("{\"b\":[1,[2,{\"x\":3}],\"s\"],\"a\":{},\"c\":null}");
    const char *const keys[] = {"b", "a", "c"};
    const enum json_type types[] = {JSON_ARRAY, JSON_OBJECT, JSON_NULL};
    unsigned n = 0;
    json_each (it, v) {
        assert_int_equal(it.index, n);
        must(n < sizeof keys / sizeof *keys);
        assert_slice(it.key, keys[n]);
        assert_int_equal(json_type(it.value), types[n]);
        n++;
    }
    assert_int_equal(n, 3);
    assert_int_equal(json_len(v), 3);
    const struct json *b = json_find(v, SLICE("b"));
    assert_int_equal(json_len(b), 3);
    assert_slice(json_str(json_item(b, 2)), "s");
    assert_null(json_item(b, 3));
    n = 0;
    json_each (it, b) {
        assert_int_equal(it.key.len, 0);
        assert_ptr_equal(it.value, json_item(b, n));
        n++;
    }
    assert_int_equal(n, 3);
    assert_slice(json_num_text(json_find(json_item(json_item(b, 1), 1), SLICE("x"))), "3");
}

static void absent_is_empty_all_the_way(void **state)
{
    (void)state;
    const struct json *v = read_json("{\"n\":1,\"t\":true,\"f\":false,\"\":\"e\"}");
    assert_null(json_find(v, SLICE("x")));
    assert_null(json_find(json_find(v, SLICE("n")), SLICE("x")));
    assert_null(json_find(NULL, SLICE("x")));
    assert_null(json_item(v, 0));
    assert_int_equal(json_str(NULL).len, 0);
    assert_int_equal(json_str(json_find(v, SLICE("n"))).len, 0);
    assert_int_equal(json_num_text(json_find(v, SLICE("t"))).len, 0);
    assert_int_equal(json_type(NULL), JSON_NONE);
    assert_int_equal(json_len(NULL), 0);
    assert_true(json_bool(json_find(v, SLICE("t"))));
    assert_false(json_bool(json_find(v, SLICE("f"))));
    assert_false(json_bool(json_find(v, SLICE("n"))));
    assert_slice(json_str(json_find(v, (struct slice){NULL, 0})), "e");
    json_each (it, json_find(v, SLICE("n"))) {
        fail_msg("a number has no children");
    }
    json_each (it, (const struct json *)NULL) {
        fail_msg("nothing has no children");
    }
    assert_string_equal(json_type_name(JSON_OBJECT), "object");
    assert_string_equal(json_type_name(JSON_BOOL), "boolean");
}

static void strings_are_decoded_only_if_need_be(void **state)
{
    (void)state;
    static const char text[] =
        "[\"plain\",\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20AC\\ud83d\\ude00z\"]";
    const struct json *v = read_json(text);
    struct slice plain = json_str(json_item(v, 0));
    assert_true(plain.ptr > text && plain.ptr < text + sizeof text);
    assert_slice(json_str(json_item(v, 1)),
                 "a\"\\/\b\f\n\r\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z");
    struct slice nul = json_str(json_item(read_json("[\"a\\u0000b\"]"), 0));
    assert_int_equal(nul.len, 3);
    assert_memory_equal(nul.ptr, "a\0b", 3);
    const struct json *o = read_json("{\"\\u0061\\n\":1}");
    assert_non_null(json_find(o, SLICE("a\n")));
}

/* ---- numbers --------------------------------------------------------------------------------- */
static void integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_int, has_i64, has_u64;
        int64_t i;
        uint64_t u;
    } rows[] = {
        {"0", 1, 1, 1, 0, 0},
        {"-0", 1, 1, 1, 0, 0},
        {"0e999999999999999999999", 1, 1, 1, 0, 0},
        {"42", 1, 1, 1, 42, 42},
        {"-42", 1, 1, 0, -42, 0},
        {"1.0", 1, 1, 1, 1, 1},
        {"1.50e1", 1, 1, 1, 15, 15},
        {"1e3", 1, 1, 1, 1000, 1000},
        {"1200e-2", 1, 1, 1, 12, 12},
        {"1e-1", 0, 0, 0, 0, 0},
        {"1.5", 0, 0, 0, 0, 0},
        {"9007199254740993", 1, 1, 1, 9007199254740993, 9007199254740993},
        {"9223372036854775807", 1, 1, 1, INT64_MAX, INT64_MAX},
        {"9223372036854775808", 1, 0, 1, 0, 9223372036854775808u},
        {"-9223372036854775808", 1, 1, 0, INT64_MIN, 0},
        {"-9223372036854775809", 1, 0, 0, 0, 0},
        {"18446744073709551615", 1, 0, 1, 0, UINT64_MAX},
        {"18446744073709551616", 1, 0, 0, 0, 0},
        {"1e19", 1, 0, 1, 0, 10000000000000000000u},
        {"1e20", 1, 0, 0, 0, 0},
        {"1e999", 1, 0, 0, 0, 0},
        {"1e99999999999999999999999", 1, 0, 0, 0, 0},
        {"1e-99999999999999999999999", 0, 0, 0, 0, 0},
        {"0.00000000000000000001e20", 1, 1, 1, 1, 1},
        {"100000000000000000000e-20", 1, 1, 1, 1, 1},
        {"\"1\"", 0, 0, 0, 0, 0},
        {"null", 0, 0, 0, 0, 0},
    };
    for (size_t n = 0; n < sizeof rows / sizeof *rows; n++) {
        int64_t i = 77;
        uint64_t u = 77;
        const struct json *v = read_json(rows[n].text);
        if (json_is_integer(v) != rows[n].is_int || json_i64(v, &i) != rows[n].has_i64 ||
            json_u64(v, &u) != rows[n].has_u64)
            fail_msg("%s", rows[n].text);
        assert_int_equal(i, rows[n].has_i64 ? rows[n].i : 77);
        assert_true(u == (rows[n].has_u64 ? rows[n].u : 77));
    }
}

static void doubles(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok, exact;
        double d;
    } rows[] = {
        {"0", 1, 1, 0.0},
        {"-0", 1, 1, -0.0},
        {"0.1", 1, 1, 0.1},
        {"1e22", 1, 1, 1e22},
        {"1e23", 1, 1, 1e23},
        {"-1.5e300", 1, 1, -1.5e300},
        {"9007199254740992", 1, 1, 9007199254740992.0},
        {"9007199254740993", 1, 0, 9007199254740992.0},
        {"1152921504606846976", 1, 1, 0x1p60},
        {"0.10000000000000000000000001", 1, 0, 0.1},
        {"1.7976931348623157e308", 1, 1, DBL_MAX},
        {"1e308", 1, 1, 1e308},
        {"1e309", 0, 0, 0},
        {"1e999", 0, 0, 0},
        {"-1e99999999999999999999", 0, 0, 0},
        {"1e-999", 1, 0, 0.0},
        {"5e-324", 1, 1, 5e-324},
        {"2.2250738585072011e-308", 1, 0, 2.2250738585072011e-308},
        {"123456789012345678", 1, 0, 123456789012345680.0},
        {"0.000000000000000000000000000000000001e36", 1, 1, 1.0},
        {"true", 0, 0, 0},
    };
    for (size_t n = 0; n < sizeof rows / sizeof *rows; n++) {
        double d = 77;
        bool exact = false;
        bool ok = json_double(read_json(rows[n].text), &d, &exact);
        double want = rows[n].ok ? rows[n].d : 77;
        if (ok != rows[n].ok || exact != rows[n].exact || d != want || signbit(d) != signbit(want))
            fail_msg("%s: %d %d %.17g", rows[n].text, ok, exact, d);
        assert_int_equal(json_double(read_json(rows[n].text), &d, NULL), ok);
    }
}

/* A number of 2,000 digits that lies a hair above the middle of two doubles rounds up. */
static void long_numbers_round_right(void **state)
{
    (void)state;
    struct buf b;
    double d;
    bool exact;
    buf_init(&b, 1 << 16);
    buf_add_str(&b, "9007199254740993."); /* 2^53 + 1: the middle */
    for (int i = 0; i < 2000; i++)
        buf_add_char(&b, '0');
    assert_true(json_double(read_json(b.data), &d, &exact));
    assert_true(d == 9007199254740992.0 && !exact);
    buf_add_char(&b, '1');
    assert_true(json_double(read_json(b.data), &d, &exact));
    assert_true(d == 9007199254740994.0 && !exact);
    buf_done(&b);
}

static void numbers_compare_exactly(void **state)
{
    (void)state;
    static const char *const rising[] = {
        "-1e1000",
        "-1e999",
        "-18446744073709551617",
        "-2",
        "-1.5",
        "-0.1",
        "0",
        "1e-1000",
        "0.1",
        "0.11",
        "1",
        "1.0000000001",
        "9007199254740992",
        "9007199254740993",
        "18446744073709551616",
        "1e1000",
    };
    size_t n = sizeof rising / sizeof *rising;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++)
            assert_int_equal(json_num_cmp(read_json(rising[i]), read_json(rising[j])),
                             (i > j) - (i < j));
    }
    static const char *const same[][2] = {{"0", "-0.0"}, {"1", "1.0"},      {"1e2", "100"},
                                          {"0", "0e9"},  {"-5e-1", "-0.5"}, {"10e99", "1e100"}};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        assert_int_equal(json_num_cmp(read_json(same[i][0]), read_json(same[i][1])), 0);
}

static void check_double_text(double v, const char *want)
{
    char text[JSON_DOUBLE_MAX + 1];
    text[json_format_double(v, text)] = '\0';
    if (want)
        assert_string_equal(text, want);
    double back = strtod(text, NULL);
    assert_memory_equal(&back, &v, sizeof v);
    assert_int_equal(json_type(read_json(text)), JSON_NUMBER);
    assert_true(json_double(read_json(text), &back, NULL));
    assert_memory_equal(&back, &v, sizeof v);
}

static void doubles_are_written_shortest(void **state)
{
    (void)state;
    check_double_text(0, "0");
    check_double_text(-0.0, "-0");
    check_double_text(1, "1");
    check_double_text(-100, "-100");
    check_double_text(0.1, "0.1");
    check_double_text(0.1 + 0.2, "0.30000000000000004");
    check_double_text(1.0 / 3, "0.3333333333333333");
    check_double_text(1e21, "1e21");
    check_double_text(1e-7, "1e-7");
    check_double_text(-1.5e-300, "-1.5e-300");
    check_double_text(5e-324, "5e-324");
    check_double_text(DBL_MAX, "1.7976931348623157e308");
    check_double_text(DBL_MIN, "2.2250738585072014e-308");
    check_double_text(9007199254740993.0, "9007199254740992");
    uint64_t seed = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        double v;
        memcpy(&v, &seed, sizeof v);
        if (isfinite(v))
            check_double_text(v, NULL);
        arena_reset(&arena);
    }
}

/* ---- pointers -------------------------------------------------------------------------------- */
static void pointers_of_the_rfc(void **state)
{
    (void)state;
    const struct json *v =
        read_json("{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,"
                  "\"g|h\":4,\"i\\\\j\":5,\"k\\\"l\":6,\" \":7,\"m~n\":8,"
                  "\"~1\":9,\"0\":{\"\":{\"\":10}}}");
    static const struct {
        const char *pointer, *num;
    } rows[] = {{"/", "0"},     {"/a~1b", "1"}, {"/c%d", "2"},  {"/e^f", "3"},
                {"/g|h", "4"},  {"/i\\j", "5"}, {"/k\"l", "6"}, {"/ ", "7"},
                {"/m~0n", "8"}, {"/~01", "9"},  {"/0//", "10"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_slice(json_num_text(json_pointer_find(v, slice_from(rows[i].pointer))), rows[i].num);
    assert_ptr_equal(json_pointer_find(v, SLICE("")), v);
    assert_slice(json_str(json_pointer_find(v, SLICE("/foo/0"))), "bar");
    assert_slice(json_str(json_pointer_find(v, SLICE("/foo/1"))), "baz");
    static const char *const absent[] = {
        "foo",     "/foo/2",  "/foo/-",   "/foo/01", "/foo/",
        "/foo/+1", "/foo/1 ", "/foo/0/x", "/x",      "/m~n",
        "/m~",     "/m~2n",   "//",       "/FOO",    "/foo/18446744073709551617",
        "/fo",     "/fooo",   "/a~1",     "#/foo",   "/0//x"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        if (json_pointer_find(v, slice_from(absent[i])))
            fail_msg("%s", absent[i]);
    }
    assert_null(json_pointer_find(NULL, SLICE("/a")));
    assert_true(json_pointer_is_valid(SLICE("/a~0~1")));
    assert_false(json_pointer_is_valid(SLICE("/a~")));
    assert_false(json_pointer_is_valid(SLICE("a")));
}

static void pointers_are_built(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    json_pointer_add(&b, SLICE("a/b~c"));
    json_pointer_add_index(&b, 12);
    json_pointer_add(&b, SLICE(""));
    json_pointer_add(&b, SLICE("~1"));
    assert_string_equal(b.data, "/a~1b~0c/12//~01");
    buf_done(&b);
}

/* ---- writing --------------------------------------------------------------------------------- */
static void writes_with_commas(void **state)
{
    (void)state;
    struct buf b;
    struct json_writer w;
    buf_init(&b, 1000);
    json_writer_init(&w, &b, 0);
    json_write_object(&w);
    json_write_key(&w, SLICE("a"));
    json_write_array(&w);
    json_write_i64(&w, INT64_MIN);
    json_write_u64(&w, UINT64_MAX);
    json_write_double(&w, 0.5);
    json_write_double(&w, NAN);
    json_write_double(&w, -INFINITY);
    json_write_array(&w);
    json_write_array_end(&w);
    json_write_object(&w);
    json_write_object_end(&w);
    json_write_bool(&w, true);
    json_write_bool(&w, false);
    json_write_array_end(&w);
    json_write_key(&w, SLICE("b\n"));
    json_write_raw(&w, SLICE("[1, 2]"));
    json_write_key(&w, SLICE("c"));
    json_write_cstr(&w, NULL);
    json_write_key(&w, SLICE("d"));
    json_write_cstr(&w, "x");
    json_write_key(&w, SLICE("e"));
    json_write_value(&w, read_json("{\"x\":[[],{}],\"y\":1e999}"));
    json_write_key(&w, SLICE("f"));
    json_write_value(&w, NULL);
    json_write_object_end(&w);
    json_writer_done(&w);
    assert_string_equal(b.data,
                        "{\"a\":[-9223372036854775808,18446744073709551615,0.5,null,null,[],{},"
                        "true,false],\"b\\n\":[1, 2],\"c\":null,\"d\":\"x\",\"e\":{\"x\":[[],{}],"
                        "\"y\":1e999},\"f\":null}");
    assert_true(json_validate(buf_slice(&b), NULL, NULL));
    buf_done(&b);
}

static void check_escape(struct slice s, unsigned flags, const char *want)
{
    for (int wide = 0; wide < 2; wide++) { /* with and without room for the fast way */
        struct buf b;
        buf_init(&b, wide ? 4096 : strlen(want));
        if (wide)
            assert_non_null(buf_reserve(&b, 1000));
        json_escape(&b, s, flags);
        assert_false(b.full);
        assert_string_equal(b.data, want);
        assert_true(json_validate(buf_slice(&b), NULL, NULL));
        buf_done(&b);
    }
}

static void escapes(void **state)
{
    (void)state;
    check_escape(SLICE(""), 0, "\"\"");
    check_escape((struct slice){NULL, 0}, 0, "\"\"");
    check_escape(SLICE("plain, and longer than sixteen bytes"), 0,
                 "\"plain, and longer than sixteen bytes\"");
    check_escape(SLICE("\"\\/\b\f\n\r\t\x01\x1f\x7f"), 0,
                 "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"");
    check_escape(SLICE("a\0b"), 0, "\"a\\u0000b\"");
    check_escape(SLICE("0123456789abcdef\n0123456789abcdef\xc3\xa9"), 0,
                 "\"0123456789abcdef\\n0123456789abcdef\xc3\xa9\"");
    check_escape(SLICE("</script>&\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa"), 0,
                 "\"</script>&\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa\"");
    check_escape(SLICE("a</script>&\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa z"), JSON_FOR_HTML,
                 "\"a\\u003c/script\\u003e\\u0026\\u2028\\u2029\xe2\x80\xaa z\"");
    /* What is no UTF-8 is replaced byte by byte. */
    check_escape(SLICE("\xff"), 0, "\"\xef\xbf\xbd\"");
    check_escape(SLICE("a\xc3"), 0, "\"a\xef\xbf\xbd\"");
    check_escape(SLICE("\xc3\xa9\xed\xa0\x80z"), 0,
                 "\"\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"");
    check_escape(SLICE("\xe2\x80<"), JSON_FOR_HTML, "\"\xef\xbf\xbd\xef\xbf\xbd\\u003c\"");
}

/* All lengths, as steps of 4, 8 and 16 bytes meet their ends, with each place once not plain. */
static void strings_of_every_length(void **state)
{
    (void)state;
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (size_t n = 0; n < 50; n++) {
        char want[80];
        snprintf(want, sizeof want, "\"%.*s\"", (int)n, letters);
        check_escape((struct slice){letters, n}, 0, want);
        for (size_t i = 0; i < n; i++) {
            char text[64];
            memcpy(text, letters, sizeof letters);
            text[i] = "\n\"\\"[i % 3];
            snprintf(want, sizeof want, "\"%.*s\\%c%.*s\"", (int)i, letters, "n\"\\"[i % 3],
                     (int)(n - i - 1), letters + i + 1);
            check_escape((struct slice){text, n}, 0, want);
        }
    }
}

static void every_byte_pair_gives_valid_json(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    for (unsigned i = 0; i < 65536; i++) {
        char text[20] = "abcdefghijklmnop";
        text[i % 15] = (char)(i >> 8);
        text[i % 15 + 1] = (char)i;
        buf_clear(&b);
        json_escape(&b, (struct slice){text, 4 + i % 17}, i & 1);
        assert_true(json_validate(buf_slice(&b), NULL, NULL));
    }
    buf_done(&b);
}

static void a_full_buf_stays_full(void **state)
{
    (void)state;
    struct buf b;
    struct json_writer w;
    buf_init(&b, 10);
    json_writer_init(&w, &b, 0);
    json_write_array(&w);
    for (int i = 0; i < 100; i++)
        json_write_str(&w, SLICE("some text"));
    json_write_array_end(&w);
    json_writer_done(&w);
    assert_true(b.full);
    assert_true(b.len <= 10);
    buf_done(&b);
}

/* ---- misuse ---------------------------------------------------------------------------------- */
static void value_for_a_key(struct json_writer *w)
{
    json_write_object(w);
    json_write_null(w);
}

static void container_for_a_key(struct json_writer *w)
{
    json_write_object(w);
    json_write_array(w);
}

static void key_in_an_array(struct json_writer *w)
{
    json_write_array(w);
    json_write_key(w, SLICE("a"));
}

static void key_at_the_root(struct json_writer *w)
{
    json_write_key(w, SLICE("a"));
}

static void key_after_key(struct json_writer *w)
{
    json_write_object(w);
    json_write_key(w, SLICE("a"));
    json_write_key(w, SLICE("b"));
}

static void key_without_value(struct json_writer *w)
{
    json_write_object(w);
    json_write_key(w, SLICE("a"));
    json_write_object_end(w);
}

static void wrong_end(struct json_writer *w)
{
    json_write_array(w);
    json_write_object_end(w);
}

static void end_of_nothing(struct json_writer *w)
{
    json_write_array_end(w);
}

static void two_roots(struct json_writer *w)
{
    json_write_null(w);
    json_write_null(w);
}

static void unfinished(struct json_writer *w)
{
    json_write_array(w);
    json_writer_done(w);
}

static void too_deep(struct json_writer *w)
{
    for (int i = 0; i < 1025; i++)
        json_write_array(w);
}

static void misuse_ends_the_process(void **state)
{
    (void)state;
    void (*const ways[])(struct json_writer *) = {
        value_for_a_key, container_for_a_key, key_in_an_array, key_at_the_root,
        key_after_key,   key_without_value,   wrong_end,       end_of_nothing,
        two_roots,       unfinished,          too_deep,
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        int status;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            struct buf b;
            struct json_writer w;
            (void)freopen("/dev/null", "w", stderr);
            signal(SIGABRT, SIG_DFL);
            buf_init(&b, 10000);
            json_writer_init(&w, &b, 0);
            ways[i](&w);
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
            fail_msg("misuse %zu passed", i);
    }
}

/* The deepest document that can be read can be put into an answer. */
static void the_deepest_document_fits_into_an_answer(void **state)
{
    (void)state;
    struct json_doc doc;
    struct buf text, b;
    struct json_writer w;
    buf_init(&text, 1 << 20);
    buf_init(&b, 1 << 20);
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        buf_add_str(&text, i % 2 ? "{\"a\":" : "[0,");
    buf_add_str(&text, "1");
    for (int i = JSON_DEPTH_MAX - 1; i >= 0; i--)
        buf_add_str(&text, i % 2 ? "}" : ",2]");
    struct json_limits deep = {.max_depth = JSON_DEPTH_MAX};
    assert_true(json_parse(&doc, &arena, buf_slice(&text), &deep, NULL));
    json_writer_init(&w, &b, 0);
    json_write_array(&w);
    json_write_value(&w, json_root(&doc));
    json_write_array_end(&w);
    json_writer_done(&w);
    assert_int_equal(b.len, text.len + 2);
    assert_memory_equal(b.data + 1, text.data, text.len);
    buf_done(&text);
    buf_done(&b);
}

TESTS(cmocka_unit_test_setup_teardown(walks_in_order, set_up, tear_down),
      cmocka_unit_test_setup_teardown(absent_is_empty_all_the_way, set_up, tear_down),
      cmocka_unit_test_setup_teardown(strings_are_decoded_only_if_need_be, set_up, tear_down),
      cmocka_unit_test_setup_teardown(integers, set_up, tear_down),
      cmocka_unit_test_setup_teardown(doubles, set_up, tear_down),
      cmocka_unit_test_setup_teardown(long_numbers_round_right, set_up, tear_down),
      cmocka_unit_test_setup_teardown(numbers_compare_exactly, set_up, tear_down),
      cmocka_unit_test_setup_teardown(doubles_are_written_shortest, set_up, tear_down),
      cmocka_unit_test_setup_teardown(pointers_of_the_rfc, set_up, tear_down),
      cmocka_unit_test_setup_teardown(pointers_are_built, set_up, tear_down),
      cmocka_unit_test_setup_teardown(writes_with_commas, set_up, tear_down),
      cmocka_unit_test_setup_teardown(escapes, set_up, tear_down),
      cmocka_unit_test_setup_teardown(strings_of_every_length, set_up, tear_down),
      cmocka_unit_test_setup_teardown(misuse_ends_the_process, set_up, tear_down),
      cmocka_unit_test_setup_teardown(every_byte_pair_gives_valid_json, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_full_buf_stays_full, set_up, tear_down),
      cmocka_unit_test_setup_teardown(the_deepest_document_fits_into_an_answer, set_up, tear_down))
