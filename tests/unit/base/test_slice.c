/* Slices: comparison, search, cutting, numbers. */
#include "base/slice.h"
#include "unit.h"

static const struct slice none = {NULL, 0};

static void assert_slice(struct slice s, const char *want)
{
    if (!slice_is(s, want))
        fail_msg("'%.*s' is not '%s'", SLICE_ARGS(s), want);
}

static void equality_and_order(void **state)
{
    (void)state;
    assert_true(slice_eq(none, SLICE("")));
    assert_true(slice_is(none, NULL));
    assert_false(slice_eq(SLICE("a"), SLICE("ab")));
    assert_false(slice_eq(SLICE("a\0b"), SLICE("a\0c")));
    assert_true(slice_eq_nocase(SLICE("Content-Type[@`{Z"), SLICE("cONTENT-tYPE[@`{z")));
    assert_false(slice_eq_nocase(SLICE("@"), SLICE("`")));
    assert_false(slice_eq_nocase(SLICE("["), SLICE("{")));
    assert_false(slice_eq_nocase(SLICE("\xc4"), SLICE("\xe4")));
    assert_int_equal(slice_cmp(none, SLICE("")), 0);
    assert_true(slice_cmp(SLICE("a"), SLICE("ab")) < 0);
    assert_true(slice_cmp(SLICE("b"), SLICE("ab")) > 0);
    assert_true(slice_cmp(SLICE("\xff"), SLICE("a")) > 0);
    assert_true(slice_cmp(SLICE("a"), none) > 0);
}

static void starts_and_ends(void **state)
{
    (void)state;
    assert_true(slice_starts(SLICE("abc"), SLICE("ab")));
    assert_true(slice_starts(SLICE("abc"), none));
    assert_false(slice_starts(SLICE("a"), SLICE("ab")));
    assert_true(slice_starts_nocase(SLICE("Bearer x"), SLICE("bearer ")));
    assert_true(slice_ends(SLICE("abc"), SLICE("bc")));
    assert_true(slice_ends(none, none));
    assert_false(slice_ends(SLICE("c"), SLICE("bc")));
    assert_false(slice_ends(SLICE("abd"), SLICE("bc")));
}

static void search(void **state)
{
    (void)state;
    assert_int_equal(slice_index(SLICE("abca"), 'a'), 0);
    assert_int_equal(slice_rindex(SLICE("abca"), 'a'), 3);
    assert_int_equal(slice_index(slice_first(SLICE("ab"), 1), 'b'), -1);
    assert_int_equal(slice_rindex(none, 'b'), -1);
    assert_int_equal(slice_index(SLICE("a\0b"), '\0'), 1);
    assert_int_equal(slice_search(SLICE("aaab"), SLICE("ab")), 2);
    assert_int_equal(slice_search(slice_first(SLICE("aaab"), 3), SLICE("ab")), -1);
    assert_int_equal(slice_search(none, none), 0);
    assert_int_equal(slice_search(none, SLICE("a")), -1);
}

static void parts(void **state)
{
    (void)state;
    assert_slice(slice_skip(SLICE("abc"), 1), "bc");
    assert_slice(slice_skip(SLICE("abc"), 3), "");
    assert_slice(slice_skip(SLICE("abc"), 99), "");
    assert_slice(slice_skip(none, 1), "");
    assert_slice(slice_first(SLICE("abc"), 2), "ab");
    assert_slice(slice_first(SLICE("abc"), 99), "abc");
    assert_slice(slice_trim(SLICE(" \t\r\na b\n\r\t ")), "a b");
    assert_slice(slice_trim(SLICE("  ")), "");
    assert_slice(slice_trim(SLICE("\v")), "\v");
}

static void cutting(void **state)
{
    (void)state;
    struct slice s = SLICE("a,,b,"), head = none;
    assert_true(slice_cut(&s, ',', &head));
    assert_slice(head, "a");
    assert_true(slice_cut(&s, ',', &head));
    assert_slice(head, "");
    assert_true(slice_cut(&s, ',', &head));
    assert_slice(head, "b");
    assert_false(slice_cut(&s, ',', &head)); /* nothing behind the last one */
    assert_slice(head, "b");
    s = SLICE("whole");
    assert_true(slice_cut(&s, ',', &head));
    assert_slice(head, "whole");
    assert_int_equal(s.len, 0);
}

static void numbers(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "-1", "+1", " 1", "1 ", "1a", "0x1", "18446744073709551616", "99999999999999999999999"};
    uint64_t v = 77;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(slice_to_u64(slice_from(bad[i]), &v));
        assert_int_equal(v, 77);
    }
    assert_false(slice_to_u64(SLICE("1\0"), &v));
    assert_true(slice_to_u64(SLICE("18446744073709551615"), &v));
    assert_true(v == UINT64_MAX);
    assert_true(slice_to_u64(SLICE("007"), &v));
    assert_int_equal(v, 7);
    assert_true(slice_to_u64(slice_first(SLICE("123"), 2), &v));
    assert_int_equal(v, 12);
}

TESTS(cmocka_unit_test(equality_and_order), cmocka_unit_test(starts_and_ends),
      cmocka_unit_test(search), cmocka_unit_test(parts), cmocka_unit_test(cutting),
      cmocka_unit_test(numbers))
