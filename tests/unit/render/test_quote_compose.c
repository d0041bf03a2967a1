/* The filters of Compose files and of .env: what they write, and what has no form there. */
#include "unit.h"
#include "render/render_impl.h"

static void expect(const char *filter, const char *value, const char *wanted)
{
    struct buf to;
    buf_init(&to, 1 << 20);
    bool fine = quote_find(slice_from(filter))(&to, slice_from(value));
    if (wanted) {
        assert_true(fine);
        assert_true(slice_is(buf_slice(&to), wanted));
    } else {
        assert_false(fine);
    }
    buf_done(&to);
}

static void test_env(void **state)
{
    (void)state;
    expect("env", "", "");
    expect("env", "plain/word:1", "plain/word:1");
    expect("env", "two words", "'two words'");
    expect("env", "a \"b\" $c # \\d", "'a \"b\" $c # \\d'");
    expect("env", "it's", "\"it's\"");
    expect("env", "two\nlines", "'two\nlines'");
    expect("env", "it's $x", NULL);
    expect("env", "it's \"x\"", NULL);
}

/* python-dotenv, and with it Compose 1, looks into single quotes, too. */
static void test_env_that_readers_read_differently(void **state)
{
    (void)state;
    expect("env", "${HOME}", NULL);
    expect("env", "a\\\\b", NULL);
    expect("env", "end\\", NULL);
    expect("env", "a\r\nb", NULL);
    expect("env", "a\\b", "'a\\b'");
}

static void test_word(void **state)
{
    (void)state;
    expect("word", "us-east-1", "us-east-1");
    expect("word", "", NULL);
    expect("word", "us east", NULL);
    expect("word", "us\n1", NULL);
    expect("word", "$x", NULL);
}

/* What ends a line for YAML ends its remark. */
static void test_line(void **state)
{
    (void)state;
    expect("line",
           "a\nb\tc\x7f"
           "d",
           "a b c d");
    expect("line",
           "a\u2028b\u2029c\xc2\x85"
           "d\ufeff",
           "a b c d ");
    expect("line", "caf\u00e9 \u2713", "caf\u00e9 \u2713");
}

static void test_compose(void **state)
{
    (void)state;
    expect("compose", "$x ${y} $$", "\"$$x $${y} $$$$\"");
    expect("compose", "no", "\"no\"");
    expect("compose", "\u2028", "\"\\u2028\"");
}

TESTS(cmocka_unit_test(test_env), cmocka_unit_test(test_env_that_readers_read_differently),
      cmocka_unit_test(test_word), cmocka_unit_test(test_line), cmocka_unit_test(test_compose))
