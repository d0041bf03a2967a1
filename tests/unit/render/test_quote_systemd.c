/* Values in units, read back the way systemd reads them; and files that are included further to
 * the right. */
#include "render/render_impl.h"
#include "unit.h"

#include <stdio.h>

static const struct {
    const char *filter, *value, *want; /* want is NULL: refused */
} rows[] = {
    {"systemd", "Story Desk", "Story Desk"},
    {"systemd", "100% %h", "100%% %%h"},
    {"systemd", "two\nExecStart=/bin/sh", "two ExecStart=/bin/sh"},
    {"systemd", "a\r\tb\x7f", "a  b "},
    {"systemd", "ends in \\", "ends in \\ "},
    {"systemd", "in\\side", "in\\side"},
    {"systemd", "\"quotes\" 'and' $HOME; # so", "\"quotes\" 'and' $HOME; # so"},
    {"systemd",
     "Gr\xc3\xbc\xc3\x9f"
     "e",
     "Gr\xc3\xbc\xc3\x9f"
     "e"},
    {"systemd", "a\xe2\x80\xa8%\xc2\x85", "a %% "},
    {"systemd", "%", "%%"},
    {"systemd", "", ""},
    {"systemd-word", "a\xe2\x80\xa8\xc2\x85", "a\\u2028\\u0085"},
    {"systemd-word", "no", "no"},
    {"systemd-word", "a \"b\" \\c", "a \\\"b\\\" \\\\c"},
    {"systemd-word", "50%", "50%%"},
    {"systemd-word", "$HOME ${X} `id`", "$HOME ${X} `id`"},
    {"systemd-word", "a\nb\tc", "a\\nb\\tc"},
    {"systemd-word", "\\", "\\\\"},
    {"systemd-word", "\x01", NULL},
    {"systemd-word", "a\rb", NULL},
    {"systemd-word", "\x7f", NULL},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf to;
        buf_init(&to, 1000);
        bool fine = quote_find(slice_from(rows[i].filter))(&to, slice_from(rows[i].value));
        if (fine != (rows[i].want != NULL))
            fail_msg("row %zu was %s", i, fine ? "taken" : "refused");
        if (fine && !slice_is(buf_slice(&to), rows[i].want))
            fail_msg("row %zu gave \"%.*s\"", i, SLICE_ARGS(buf_slice(&to)));
        buf_done(&to);
    }
}

static void test_nul(void **state)
{
    struct buf to;
    (void)state;
    buf_init(&to, 1000);
    assert_false(quote_find(SLICE("systemd-word"))(&to, SLICE("a\0b")));
    buf_done(&to);
}

static void test_included_further_right(void **state)
{
    struct arena a;
    struct json_doc doc = {0};
    struct err e;
    struct buf to;
    (void)state;
    arena_init(&a, 1u << 20);
    buf_init(&to, 10000);
    assert_true(json_parse(&doc, &a, SLICE("{\"dais\":1}"), NULL, &e));
    struct slice text = SLICE("a:\n    <%include observability/health%>\nb: "
                              "<%include observability/health%>\n");
    assert_true(fill_text("test", text, json_root(&doc), &to, &e));
    assert_string_equal(to.data, "a:\n    interval: 30s\n    timeout: 5s\n    start_period: 60s\n"
                                 "b: interval: 30s\ntimeout: 5s\nstart_period: 60s\n\n");
    buf_done(&to);
    arena_done(&a);
}

static void test_too_large_is_told(void **state)
{
    struct arena a;
    struct json_doc doc = {0};
    struct err e;
    struct buf to;
    (void)state;
    arena_init(&a, 1u << 20);
    buf_init(&to, 20);
    assert_true(json_parse(&doc, &a, SLICE("{}"), NULL, &e));
    assert_true(
        fill_text("test", SLICE("  <%include observability/health%>\n"), json_root(&doc), &to, &e));
    assert_true(to.full);
    buf_done(&to);
    arena_done(&a);
}

TESTS(cmocka_unit_test(test_rows), cmocka_unit_test(test_nul),
      cmocka_unit_test(test_included_further_right), cmocka_unit_test(test_too_large_is_told))
