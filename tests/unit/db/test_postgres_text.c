/* Postgres' texts: addresses that are refused, messages without passwords, numbered values. */
#include "db/postgres_impl.h"
#include "unit.h"

static struct err err;

static void expect_number(const char *text, const char *want, unsigned n)
{
    struct buf to;
    buf_init(&to, 1000);
    assert_int_equal(pg_number(slice_from(text), &to), n);
    assert_string_equal(to.len ? to.data : "", want);
    buf_done(&to);
}

static void values_are_numbered_outside_of_quotes(void **state)
{
    (void)state;
    expect_number("", "", 0);
    expect_number("SELECT ?, ?", "SELECT $1, $2", 2);
    expect_number("SELECT '?''?', \"a?\"\"?\", ?", "SELECT '?''?', \"a?\"\"?\", $1", 1);
    expect_number("? -- ? '\n ? /* ? \" */ ?", "$1 -- ? '\n $2 /* ? \" */ $3", 3);
    expect_number("SELECT $2, $1, '$9'", "SELECT $2, $1, '$9'", 2);
    expect_number("SELECT $$ $1", "SELECT $$ $1", 1);
    expect_number("SELECT '?", "SELECT '?", 0);
    expect_number("SELECT /* ?", "SELECT /* ?", 0);
    expect_number("SELECT -- ?", "SELECT -- ?", 0);
}

static void expect_url(const char *url, const char *words)
{
    bool fine = pg_url_check(slice_from(url), &err);
    if (fine != !words || (words && (!strstr(err.msg, words) || err.code != ERR_USAGE)))
        fail_msg("%s: %s", url, fine ? "fine" : err.msg);
    if (!fine)
        assert_null(strstr(err.msg, "geheim"));
}

static void addresses_that_leak_are_refused(void **state)
{
    (void)state;
    expect_url("postgres://u:geheim@host/db", NULL);
    expect_url("postgresql://u:geheim%40%2F@host:5432,other:5433/db?sslmode=require", NULL);
    expect_url("postgres://u@[::1]:5432/db", NULL);
    expect_url("postgres://u@[::1]/db", NULL);
    expect_url("postgres:///db?host=/run/postgresql", NULL);
    expect_url("postgres://%2Frun%2Fpostgresql/db", NULL);
    expect_url("postgres://u:gehe@geheim@host/db", "%40");
    expect_url("postgres://u:x/geheim@host/db", "%2F");
    expect_url("postgres://u:geheim?x@host/db", "%3F"); /* the port would be quoted */
    expect_url("postgres://u:geheim", "the form");
    expect_url("postgres://host:0/db", "the form");
    expect_url("postgres://host:65536/db", "the form");
    expect_url("postgres://u:gehe im@host/db", "space");
    expect_url("postgres://u:geheim\n@host/db", "space");
}

static void expect_clean(const char *url, const char *message, const char *want)
{
    struct buf to;
    buf_init(&to, 1000);
    pg_clean(message, slice_from(url), &to);
    assert_string_equal(to.len ? to.data : "", want);
    buf_done(&to);
}

static void messages_are_one_line_without_the_password(void **state)
{
    (void)state;
    expect_clean("postgres://u:geheim@h/d", "no\n\tgeheim here: geheim\n", "no; *** here: ***");
    expect_clean("postgres://u:ge%20h%65im@h/d", "\"ge heim\" ge%20h%65im", "\"***\" ***");
    expect_clean("postgres://u:ab%zz@h/d", "ab%zz ab", "*** ab");
    expect_clean("postgres://u:a@h/d", "a cat", "a cat"); /* too short to be torn out */
    expect_clean("postgres://u@h/d", "\n", "");
    expect_clean("postgres://h/d", "a: b@c", "a: b@c");
}

static void names_and_texts_are_quoted(void **state)
{
    struct buf to;
    (void)state;
    buf_init(&to, 1000);
    pg_add_ident(&to, SLICE("a\"b'; --"));
    pg_add_literal(&to, SLICE("it's \"x\""));
    assert_string_equal(to.data, "\"a\"\"b'; --\"'it''s \"x\"'");
    buf_done(&to);
    assert_true(pg_schema_check(SLICE("app-1 \xc3\xa9"), &err));
    assert_false(pg_schema_check(SLICE(""), &err));
    assert_false(pg_schema_check(SLICE("a\\b"), &err));
    assert_false(pg_schema_check(SLICE("a\nb"), &err));
    assert_false(pg_schema_check(SLICE("a\0b"), &err));
    assert_false(pg_schema_check(SLICE("pg_catalog"), &err));
    assert_false(pg_schema_check(
        SLICE("0123456789012345678901234567890123456789012345678901234567890123"), &err));
}

static void expect_numeric(struct slice bytes, bool is_one, int64_t want)
{
    int64_t n = 0;
    assert_int_equal(pg_numeric_i64(bytes, &n), is_one);
    assert_int_equal(n, want);
}

/* Digits, weight, sign, digits behind the point, then the digits to the base of 10,000. */
static void sums_are_numbers(void **state)
{
    (void)state;
    expect_numeric(SLICE("\0\0\0\0\0\0\0\0"), true, 0);
    expect_numeric(SLICE("\0\1\0\0\0\0\0\0\0\7"), true, 7);
    expect_numeric(SLICE("\0\1\0\1\x40\0\0\0\0\2"), true, -20000);
    expect_numeric(SLICE("\0\2\0\0\0\0\0\1\0\3\x13\x88"), true, 3); /* 3.5 */
    expect_numeric(SLICE("\0\1\xff\xff\0\0\0\1\x13\x88"), true, 0); /* 0.5 */
    expect_numeric(SLICE("\0\5\0\4\0\0\0\0\x03\x9a\x0d\x2c\x01\x70\x15\x65\x16\xaf"), true,
                   INT64_MAX);                               /* 922 3372 0368 5477 5807 */
    expect_numeric(SLICE("\0\1\0\5\0\0\0\0\0\1"), false, 0); /* 10^20 */
    expect_numeric(SLICE("\0\0\0\0\xc0\0\0\0"), false, 0);   /* NaN */
    expect_numeric(SLICE("\0\2\0\0\0\0\0\0\0\1"), false, 0);
    expect_numeric(SLICE("\0"), false, 0);
}

TESTS(cmocka_unit_test(values_are_numbered_outside_of_quotes),
      cmocka_unit_test(addresses_that_leak_are_refused),
      cmocka_unit_test(messages_are_one_line_without_the_password),
      cmocka_unit_test(names_and_texts_are_quoted), cmocka_unit_test(sums_are_numbers))
