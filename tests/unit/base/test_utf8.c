/* UTF-8: the edges of each length, and every malformed shape. */
#include "unit.h"
#include "base/utf8.h"

static const struct {
    struct slice bytes;
    size_t want;
} cases[] = {
    {SLICE_INIT("a"), 1},
    {SLICE_INIT("\0"), 1},
    {SLICE_INIT("\x7f\xff"), 1},
    {SLICE_INIT("\xc2\x80"), 2},
    {SLICE_INIT("\xdf\xbf"), 2},
    {SLICE_INIT("\xe0\xa0\x80"), 3},
    {SLICE_INIT("\xed\x9f\xbf"), 3},
    {SLICE_INIT("\xee\x80\x80"), 3},
    {SLICE_INIT("\xf0\x90\x80\x80"), 4},
    {SLICE_INIT("\xf4\x8f\xbf\xbf"), 4},
    {SLICE_INIT("\x80"), 0},             /* no start */
    {SLICE_INIT("\xc0\x80"), 0},         /* overlong */
    {SLICE_INIT("\xc1\xbf"), 0},         /* overlong */
    {SLICE_INIT("\xe0\x9f\xbf"), 0},     /* overlong */
    {SLICE_INIT("\xf0\x8f\xbf\xbf"), 0}, /* overlong */
    {SLICE_INIT("\xed\xa0\x80"), 0},     /* a surrogate */
    {SLICE_INIT("\xf4\x90\x80\x80"), 0}, /* beyond U+10FFFF */
    {SLICE_INIT("\xf5\x80\x80\x80"), 0},
    {SLICE_INIT("\xff"), 0},
    {SLICE_INIT("\xc2"), 0}, /* cut short */
    {SLICE_INIT("\xe2\x82"), 0},
    {SLICE_INIT("\xc2\x41"), 0},
};

static void test_lengths(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(utf8_length(cases[i].bytes), cases[i].want);
}

/* The edges of what shows nothing: 'c' drives a terminal, 'u' ends a line or turns it around. */
static const struct {
    struct slice bytes;
    char kind;
} kinds[] = {
    {SLICE_INIT("\0"), 'c'},
    {SLICE_INIT("\x1f"), 'c'},
    {SLICE_INIT(" "), '-'},
    {SLICE_INIT("~"), '-'},
    {SLICE_INIT("\x7f"), 'c'},
    {SLICE_INIT("\xc2\x80"), 'c'},
    {SLICE_INIT("\xc2\x9f"), 'c'},
    {SLICE_INIT("\xc2\xa0"), '-'},
    {SLICE_INIT("\xc3\x9b"), '-'},
    {SLICE_INIT("\xc2"), '-'},
    {SLICE_INIT("\xc2x"), '-'},
    {SLICE_INIT("\xe2\x80\xa7"), '-'},
    {SLICE_INIT("\xe2\x80\xa8"), 'u'},
    {SLICE_INIT("\xe2\x80\xae"), 'u'},
    {SLICE_INIT("\xe2\x80\xaf"), '-'},
    {SLICE_INIT("\xe2\x81\xa5"), '-'},
    {SLICE_INIT("\xe2\x81\xa6"), 'u'},
    {SLICE_INIT("\xe2\x81\xa9"), 'u'},
    {SLICE_INIT("\xe2\x81\xaa"), '-'},
    {SLICE_INIT("\xe2\x80"), '-'},
    {SLICE_INIT("a\x1b"), '-'}, /* the first alone */
};

static void test_what_is_not_seen(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        assert_int_equal(utf8_is_control(kinds[i].bytes), kinds[i].kind == 'c');
        assert_int_equal(utf8_is_unseen(kinds[i].bytes), kinds[i].kind != '-');
    }
    assert_true(utf8_is_line(SLICE("")));
    assert_true(utf8_is_line(SLICE("a \xc3\xa9")));
    assert_false(utf8_is_line(SLICE("a\xc2\x9b")));
    assert_false(utf8_is_line(SLICE("a\n")));
    assert_false(utf8_is_line(SLICE("a\xff")));
    assert_true(slice_has_control(SLICE("a\x1b")));
    assert_true(slice_has_control(SLICE("\x7f")));
    assert_false(slice_has_control(SLICE("a \xc2\x9b")));
    assert_false(slice_has_control(SLICE("")));
}

TESTS(cmocka_unit_test(test_lengths), cmocka_unit_test(test_what_is_not_seen))
