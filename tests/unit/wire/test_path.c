/* Paths and UTF-8: what is resolved, what is refused, and the way back. */
#include "unit.h"

#include "wire/wire.h"

static const struct {
    const char *raw, *normal; /* NULL: refused */
} cases[] = {
    {"/", "/"},
    {"/a/b.c", "/a/b.c"},
    {"/a/b/", "/a/b/"},
    {"//", "/"},
    {"//a///b//", "/a/b/"},
    {"/.", "/"},
    {"/./a/./b/.", "/a/b/"},
    {"/a/..", "/"},
    {"/a/../b", "/b"},
    {"/a/b/../../c", "/c"},
    {"/a/b/..", "/a/"},
    {"/a//..//b", "/b"},
    {"/..", NULL},
    {"/a/../..", NULL},
    {"//..", NULL},
    {"/../a", NULL},
    {"/%2e%2e/a", NULL},
    {"/.%2E/a", NULL},
    {"/a/%2e%2E/b", "/b"},
    {"/a/%2e/b", "/a/b"},
    {"/...", "/..."},
    {"/a..b/..c", "/a..b/..c"},
    {"/.well-known/x", "/.well-known/x"},
    {"/%41%7e", "/A~"},
    {"/%252e%252e/", "/%2e%2e/"},
    {"/%25%32%65", "/%2e"},
    {"/a%2fb", NULL},
    {"/a%2Fb", NULL},
    {"/a%5cb", NULL},
    {"/a\\b", NULL},
    {"/..\\a", NULL},
    {"/a%00b", NULL},
    {"/a%0d%0ab", NULL},
    {"/a%7fb", NULL},
    {"/a\x01", NULL},
    {"/%", NULL},
    {"/%2", NULL},
    {"/%2g", NULL},
    {"/%g2", NULL},
    {"/a%", NULL},
    {"/%c3%a4", "/\xc3\xa4"},
    {"/\xc3\xa4", "/\xc3\xa4"},
    {"/%c0%af", NULL},
    {"/%c0%ae%c0%ae/", NULL},
    {"/%e0%80%af", NULL},
    {"/%ed%a0%80", NULL},
    {"/%f4%90%80%80", NULL},
    {"/%f0%9f%98%80", "/\xf0\x9f\x98\x80"},
    {"/%ff", NULL},
    {"/%c3", NULL},
    {"/a;b=c/..;/d", "/a;b=c/..;/d"},
    {"/a b", "/a b"},
    {"/a%20b", "/a b"},
    {"/a+b", "/a+b"},
    {"a/b", NULL},
    {"", NULL},
    {"*", NULL},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char to[64];
        struct err e = {0};
        struct slice path, raw = slice_from(cases[i].raw);
        bool fine = path_normalise(raw, to, &path, &e);
        if (fine != (cases[i].normal != NULL))
            fail_msg("%s is %s", cases[i].raw, fine ? "accepted" : "refused");
        if (fine && !slice_is(path, cases[i].normal))
            fail_msg("%s gives %.*s", cases[i].raw, SLICE_ARGS(path));
        if (!fine)
            assert_int_equal(e.code, ERR_MALFORMED);
    }
}

static void test_clean_paths_are_not_copied(void **state)
{
    (void)state;
    struct slice path, raw = SLICE("/assets/app.js");
    char to[64] = "untouched";
    assert_true(path_normalise(raw, to, &path, NULL));
    assert_ptr_equal(path.ptr, raw.ptr);
    assert_string_equal(to, "untouched");
}

static void test_encode(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    path_encode(&b, SLICE("/a b/\xc3\xa4?#%;=&+~\r\n\"<"));
    assert_true(slice_is(buf_slice(&b), "/a%20b/%C3%A4%3F%23%25;=&+~%0D%0A%22%3C"));
    buf_clear(&b);
    percent_encode(&b, (struct slice){"a/b c&\0", 7});
    assert_true(slice_is(buf_slice(&b), "a%2Fb%20c%26%00"));
    buf_done(&b);
}

static void test_utf8(void **state)
{
    (void)state;
    static const char *const fine[] = {"",
                                       "a",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const wrong[] = {"\x80",
                                        "\xc1\xbf",
                                        "\xe0\x9f\xbf",
                                        "\xed\xa0\x80",
                                        "\xf0\x8f\xbf\xbf",
                                        "\xf4\x90\x80\x80",
                                        "\xf5\x80\x80\x80",
                                        "\xe2\x82",
                                        "\xc3(",
                                        "a\xff",
                                        "\xe2\x28\xa1",
                                        "\xf0\x90\x80"};
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        assert_true(utf8_is_valid(slice_from(fine[i])));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(utf8_is_valid(slice_from(wrong[i])));
}

TESTS(cmocka_unit_test(test_cases), cmocka_unit_test(test_clean_paths_are_not_copied),
      cmocka_unit_test(test_encode), cmocka_unit_test(test_utf8))
