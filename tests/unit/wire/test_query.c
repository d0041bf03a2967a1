/* Queries: pieces, decoding and one parameter by name. */
#include "unit.h"

#include "wire/wire.h"

static void test_pieces(void **state)
{
    (void)state;
    struct slice q = SLICE("a=1&&b&=2&c=d=e&"), name, value;
    assert_true(query_next(&q, &name, &value) && slice_is(name, "a") && slice_is(value, "1"));
    assert_true(query_next(&q, &name, &value) && slice_is(name, "b") && value.len == 0);
    assert_true(query_next(&q, &name, &value) && name.len == 0 && slice_is(value, "2"));
    assert_true(query_next(&q, &name, &value) && slice_is(name, "c") && slice_is(value, "d=e"));
    assert_false(query_next(&q, &name, &value));
}

static void check_decode(const char *raw, const char *expected)
{
    char to[64];
    struct slice text;
    struct err e = {0};
    bool fine = query_decode(slice_from(raw), to, &text, &e);
    assert_int_equal(fine, expected != NULL);
    if (expected)
        assert_true(slice_is(text, expected));
    else
        assert_int_equal(e.code, ERR_MALFORMED);
}

static void test_decode(void **state)
{
    (void)state;
    check_decode("plain", "plain");
    check_decode("a+b%20c%2B", "a b c+");
    check_decode("%C3%A4\xc3\xa4", "\xc3\xa4\xc3\xa4");
    check_decode("%2525", "%25");
    check_decode("a%0Ab", "a\nb");
    check_decode("%00", NULL);
    check_decode("%", NULL);
    check_decode("%4", NULL);
    check_decode("%4x", NULL);
    check_decode("%ff", NULL);
    check_decode("\xff", NULL);
}

static void test_find(void **state)
{
    (void)state;
    struct arena a;
    struct slice value;
    struct err e = {0};
    arena_init(&a, 1 << 16);
    assert_true(query_find(SLICE("x=1&l%69mit=a+b&limit=2"), SLICE("limit"), &a, &value, &e));
    assert_true(slice_is(value, "a b"));
    assert_true(query_find(SLICE("x=1"), SLICE("limit"), &a, &value, &e));
    assert_null(value.ptr);
    assert_true(query_find(SLICE("limit"), SLICE("limit"), &a, &value, &e));
    assert_true(value.ptr && value.len == 0);
    assert_false(query_find(SLICE("%zz=1&limit=1"), SLICE("limit"), &a, &value, &e));
    assert_int_equal(e.code, ERR_MALFORMED);
    arena_done(&a);
}

TESTS(cmocka_unit_test(test_pieces), cmocka_unit_test(test_decode), cmocka_unit_test(test_find))
