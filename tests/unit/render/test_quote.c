/* The filters: what each makes of values that look like something else in its format. */
#include "render/render_impl.h"
#include "unit.h"

#include <stdio.h>

#define REFUSED NULL

static const struct {
    const char *filter, *value, *wanted;
} rows[] = {
    {"raw", "a b", "a b"},
    {"line", "two\nlines\r\t.\x1b[31m\x7f", "two lines  . [31m "},
    {"line",
     "a\xc2\x85"
     "b\u2028c\u2029d\xc2\x9b"
     "31m",
     "a b c d 31m"},
    {"line", "Grüße 🙂", "Grüße 🙂"},
    {"json", "", "\"\""},
    {"json", "a\"b\\c\n\t", "\"a\\\"b\\\\c\\n\\t\""},
    {"json", "\u2028🙂", "\"\u2028🙂\""},
    {"json", "\xff", "\"\xef\xbf\xbd\""},
    {"yaml", "no", "\"no\""},
    {"yaml", "a: b # c", "\"a: b # c\""},
    {"yaml",
     "a\xc2\x85"
     "b",
     "\"a\\u0085b\""},
    {"yaml", "a\u2028\u2029", "\"a\\u2028\\u2029\""},
    {"yaml", "\xef\xbb\xbf.", "\"\\ufeff.\""},
    {"yaml", "\xef\xbf\xbf", "\"\\uffff\""},
    {"yaml", "\x7f", "\"\\u007f\""},
    {"yaml", "é € 🙂", "\"é € 🙂\""},
    {"yaml", "$HOME", "\"$HOME\""},
    {"compose", "$HOME ${X}", "\"$$HOME $${X}\""},
    {"compose", "a$$", "\"a$$$$\""},
    {"sh", "plain-word_1.2/x:y@z%+,", "plain-word_1.2/x:y@z%+,"},
    {"sh", "", "''"},
    {"sh", "a b", "'a b'"},
    {"sh", "it's", "'it'\\''s'"},
    {"sh", "'", "''\\'''"},
    {"sh", "$(id) `id` \"x\"", "'$(id) `id` \"x\"'"},
    {"sh", "~", "'~'"},
    {"sh", "a\nb", "'a\nb'"},
    {"env", "", ""},
    {"env", "plain", "plain"},
    {"env", "a b", "'a b'"},
    {"env", "a#b", "'a#b'"},
    {"env", "$HOME", "'$HOME'"},
    {"env", "a\nb", "'a\nb'"},
    {"env", "it's", "\"it's\""},
    {"env", "a\\nb", "'a\\nb'"},
    {"env", "it's $5", REFUSED},
    {"env", "it's \"so\"", REFUSED},
    {"env", "it's a\\b", REFUSED},
    {"env", "a\\\\b", REFUSED},
    {"env", "a\\", REFUSED},
    {"env", "a${b}", REFUSED},
    {"env", "a\rb", REFUSED},
    {"python", "a\"b\\c'", "\"a\\\"b\\\\c'\""},
    {"python", "a\n\r\t\x7f", "\"a\\x0a\\x0d\\x09\\x7f\""},
    {"python", "{x} %s 🙂", "\"{x} %s 🙂\""},
    {"html", "<a href=\"x\">&'", "&lt;a href=&quot;x&quot;&gt;&amp;&#39;"},
};

static void table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf to;
        buf_init(&to, 1000);
        quote_fn *quote = quote_find(slice_from(rows[i].filter));
        assert_non_null(quote);
        bool fine = quote(&to, slice_from(rows[i].value));
        const char *got = to.data ? to.data : "";
        if (fine != (rows[i].wanted != REFUSED) || (fine && strcmp(got, rows[i].wanted) != 0))
            fail_msg("row %zu, %s of %s: %s", i, rows[i].filter, rows[i].value, got);
        buf_done(&to);
    }
}

static void unknown(void **state)
{
    (void)state;
    assert_null(quote_find(SLICE("")));
    assert_null(quote_find(SLICE("ra")));
    assert_null(quote_find(SLICE("raww")));
    assert_null(quote_find(SLICE("RAW")));
}

static void nul(void **state)
{
    struct buf to;
    (void)state;
    buf_init(&to, 100);
    assert_false(quote_find(SLICE("sh"))(&to, SLICE("a\0b")));
    assert_false(quote_find(SLICE("env"))(&to, SLICE("a\0b")));
    assert_true(quote_find(SLICE("json"))(&to, SLICE("a\0b")));
    assert_string_equal(to.data, "\"a\\u0000b\"");
    buf_clear(&to);
    assert_true(quote_find(SLICE("line"))(&to, SLICE("a\0b")));
    assert_string_equal(to.data, "a b");
    buf_done(&to);
}

/* Every filter keeps to the buf's limit. */
static void full(void **state)
{
    static const char *const names[] = {"raw", "line", "json",   "yaml", "compose",
                                        "sh",  "env",  "python", "html"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct buf to;
        buf_init(&to, 10);
        quote_find(slice_from(names[i]))(&to, SLICE("a longer value than that"));
        assert_true(to.full || to.len <= 10);
        assert_true(to.len <= 10);
        buf_done(&to);
    }
}

TESTS(cmocka_unit_test(table), cmocka_unit_test(unknown), cmocka_unit_test(nul),
      cmocka_unit_test(full))
