/* The filters of ARM templates and of Markdown. */
#include "unit.h"
#include "render/render_impl.h"

static void expect(const char *filter, const char *value, const char *wanted)
{
    struct buf to;
    buf_init(&to, 1 << 16);
    assert_true(quote_find(slice_from(filter))(&to, slice_from(value)));
    assert_true(slice_is(buf_slice(&to), wanted));
    buf_done(&to);
}

static void test_arm(void **state)
{
    (void)state;
    expect("arm", "plain", "\"plain\"");
    expect("arm", "", "\"\"");
    expect("arm", "[x]", "\"[[x]\"");
    expect("arm", "[[x]]", "\"[[[x]]\"");
    expect("arm", "[parameters('image')]", "\"[[parameters('image')]\"");
    expect("arm", "[", "\"[\"");
    expect("arm", "[x", "\"[x\"");
    expect("arm", "x]", "\"x]\"");
    expect("arm", "a\"b\nc", "\"a\\\"b\\nc\"");
}

static void test_markdown(void **state)
{
    (void)state;
    expect("md", "a b", "a b");
    expect("md", "a`b|c\nd",
           "a'b\xc2\xa6"
           "c d");
}

static void test_indent(void **state)
{
    (void)state;
    expect("indent", "one\ntwo\n", "one\n        two");
    expect("indent", "", "");
}

TESTS(cmocka_unit_test(test_arm), cmocka_unit_test(test_markdown), cmocka_unit_test(test_indent))
