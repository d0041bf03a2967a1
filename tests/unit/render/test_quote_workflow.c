/* Tests of the filters for workflows: what GitHub would compute, and what ends a line in YAML. */
#include "render/render_impl.h"
#include "unit.h"

static void check(const char *filter, const char *value, const char *expected)
{
    struct buf out;
    buf_init(&out, 4096);
    assert_true(quote_find(slice_from(filter))(&out, slice_from(value)));
    assert_string_equal(out.data, expected);
    buf_done(&out);
}

static void expressions_are_no_longer_computed(void **state)
{
    (void)state;
    check("actions", "plain", "\"plain\"");
    check("actions", "a ${{ secrets.T }} b", "\"a ${{ '${{' }} secrets.T }} b\"");
    check("actions", "${{${{", "\"${{ '${{' }}${{ '${{' }}\"");
    check("actions", "$${{ x", "\"$${{ '${{' }} x\"");
    check("actions", "$ { {{ }} ${", "\"$ { {{ }} ${\"");
    check("actions", "two\nlines \"no\"", "\"two\\nlines \\\"no\\\"\"");
    check("actions", "\xe2\x80\xa8", "\"\\u2028\"");
}

static void a_line_is_one_for_every_reader(void **state)
{
    (void)state;
    check("line",
          "a\nb\tc\x7f"
          "d",
          "a b c d");
    check("line",
          "a\xe2\x80\xa8"
          "b\xe2\x80\xa9"
          "c\xc2\x85"
          "d",
          "a b c d");
    check("line", "\xc3\xa9\xe2\x82\xac", "\xc3\xa9\xe2\x82\xac");
    check("line", "cut \xe2", "cut \xe2");
}

TESTS(cmocka_unit_test(expressions_are_no_longer_computed),
      cmocka_unit_test(a_line_is_one_for_every_reader))
