/* Clocks and the two date formats. */
#include "base/clock.h"
#include "unit.h"

static int64_t parse(const char *s)
{
    return clock_parse_http_date(s, strlen(s));
}

static void http_dates_round_trip(void **state)
{
    (void)state;
    char text[HTTP_DATE_LEN + 1];
    clock_http_date(784111777, text);
    assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_int_equal(parse(text), 784111777);
    clock_http_date(0, text);
    assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT");
    for (int64_t s = 0; s < 253402300800; s += 86400 * 29 + 12347) {
        clock_http_date(s, text);
        assert_int_equal(strlen(text), HTTP_DATE_LEN);
        assert_int_equal(parse(text), s);
    }
    assert_int_equal(parse("Thu, 29 Feb 2024 23:59:59 GMT"), 1709251199);
}

static void rfc3339_times_are_read_back(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-01-02T03:04:05.678Z", 1767323045678},
        {"2024-02-29T23:59:59.9999Z", 1709251199999},
        {"1969-12-31T23:59:59.5Z", -500},
    };
    static const char *const bad[] = {
        "",
        "Z",
        "2026-01-02",
        "2026-01-02T03:04:05",
        "2026-01-02T03:04:05.Z",
        "2026-02-31T03:04:05Z",
        "2026-13-02T03:04:05Z",
        "2026-01-02T24:04:05Z",
        "2026-01-02 03:04:05Z",
        "2026-01-02T03:04:05+01:00",
        "2026-01-02T03:04:05.6x8Z",
        "2026-01-02T03:04:05,678Z",
        "-026-01-02T03:04:05Z",
        "2026-01-02T03:04:5ZZ",
    };
    int64_t ms;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(clock_parse_rfc3339(good[i].text, strlen(good[i].text), &ms));
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (clock_parse_rfc3339(bad[i], strlen(bad[i]), &ms))
            fail_msg("%s", bad[i]);
    }
}

static void what_is_no_http_date(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "Sun, 06 Nov 1994 08:49:37 GM",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Thu, 29 Feb 2023 00:00:00 GMT",
        "Mon, 06 Nov 1994 08:49:37 GMT",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 ovD 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 6  Nov 1994 08:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08.49.37 GMT",
        "Sun, 06 Nov 1994T08:49:37 GMT",
        "Sun; 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov -994 08:49:37 GMT",
        "Wed, 31 Dec 1969 23:59:59 GMT",
        "Sun Nov  6 08:49:37 1994     ",
        "Sunday, 06-Nov-94 08:49:37 GM",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (parse(bad[i]) != -1)
            fail_msg("%s", bad[i]);
    }
    char noise[HTTP_DATE_LEN];
    memset(noise, 0xff, sizeof noise);
    assert_int_equal(clock_parse_http_date(noise, sizeof noise), -1);
}

static void rfc3339(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1767323045678, "2026-01-02T03:04:05.678Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {-1000, "1969-12-31T23:59:59.000Z"},
        {-1001, "1969-12-31T23:59:58.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
    };
    char text[RFC3339_LEN + 1];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        clock_rfc3339(rows[i].ms, text);
        assert_string_equal(text, rows[i].text);
    }
}

/* Whatever the number, the length is what the buffers were made for. */
static void absurd_times_keep_the_form(void **state)
{
    (void)state;
    const int64_t times[] = {INT64_MIN,    INT64_MIN / 1000, -62167219201,
                             253402300800, INT64_MAX / 1000, INT64_MAX};
    char http[HTTP_DATE_LEN + 1], rfc[RFC3339_LEN + 1];
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        clock_http_date(times[i], http);
        assert_int_equal(strlen(http), HTTP_DATE_LEN);
        assert_string_equal(http + 25, " GMT");
        clock_rfc3339(times[i], rfc);
        assert_int_equal(strlen(rfc), RFC3339_LEN);
        assert_int_equal(rfc[RFC3339_LEN - 1], 'Z');
    }
}

static void clocks_go_forward(void **state)
{
    (void)state;
    int64_t ns = clock_mono_ns(), ms = clock_mono_ms();
    assert_true(clock_mono_ns() >= ns);
    assert_true(ms - ns / 1000000 >= 0 && ms - ns / 1000000 < 10000);
    assert_true(clock_wall_ms() > 1700000000000);
}

TESTS(cmocka_unit_test(http_dates_round_trip), cmocka_unit_test(what_is_no_http_date),
      cmocka_unit_test(rfc3339_times_are_read_back), cmocka_unit_test(rfc3339),
      cmocka_unit_test(absurd_times_keep_the_form), cmocka_unit_test(clocks_go_forward))
