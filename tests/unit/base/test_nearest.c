/* Suggestions: near names are found, far ones are not guessed at. */
#include "unit.h"
#include "base/nearest.h"

static const char *suggest(const char *typed)
{
    static const char *const known[] = {"root", "build", "fallback", "redirects", "static_first"};
    struct nearest n = {.typed = slice_from(typed)};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        nearest_offer(&n, slice_from(known[i]));
    return n.best.len ? n.best.ptr : "";
}

static void test_near(void **state)
{
    (void)state;
    assert_string_equal(suggest("rot"), "root");
    assert_string_equal(suggest("orot"), "root");
    assert_string_equal(suggest("Build"), "build");
    assert_string_equal(suggest("falback"), "fallback");
    assert_string_equal(suggest("redirect"), "redirects");
    assert_string_equal(suggest("static-first"), "static_first");
}

static void test_far(void **state)
{
    (void)state;
    assert_string_equal(suggest(""), "");
    assert_string_equal(suggest("x"), "");
    assert_string_equal(suggest("banana"), "");
    assert_string_equal(suggest("fallbackfallbackfallbackfallbackfallbackfallbackfallback"), "");
}

TESTS(cmocka_unit_test(test_near), cmocka_unit_test(test_far))
