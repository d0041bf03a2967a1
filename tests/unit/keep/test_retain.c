/* Which backups stay, day by day, and what a calendar says of it. */
#include "keep_test.h"

#include "base/clock.h"

#include <time.h>

#define MANY 512

static struct keep_entry entries[MANY];
static bool drop[MANY];
static size_t n;
static int64_t now_ms; /* 0: when the newest was made */

/* "2026-11-22T03:00", newest first. */
static void add(const char *at)
{
    int64_t ms;
    struct slice text = arena_printf(&rig.a, "%s:00Z", at);
    assert_true(clock_parse_rfc3339(text.ptr, text.len, &ms));
    assert_true(!n || entries[n - 1].made_ms >= ms);
    entries[n++] = (struct keep_entry){.made_ms = ms};
}

static void now_is(const char *at)
{
    struct slice text = arena_printf(&rig.a, "%s:00Z", at);
    assert_true(clock_parse_rfc3339(text.ptr, text.len, &now_ms));
}

/* As letters: which are kept. */
static void keeps(int64_t daily, int64_t weekly, int64_t monthly, const char *want)
{
    char is[MANY + 1];
    memset(drop, 2, sizeof drop);
    keep_choose(entries, n, &(struct keep_rule){daily, weekly, monthly},
                now_ms || !n ? now_ms : entries[0].made_ms, drop);
    for (size_t i = 0; i < n; i++)
        is[i] = drop[i] ? '-' : 'K';
    is[n] = '\0';
    assert_string_equal(is, want);
}

static int begin(void **state)
{
    n = 0;
    now_ms = 0;
    return start(state);
}

static void days(void **state)
{
    (void)state;
    add("2026-11-22T23:59"); /* with those of the day before it */
    add("2026-11-22T03:00");
    add("2026-11-22T00:00");
    add("2026-11-21T23:59");
    add("2026-11-18T03:00"); /* days without one are none */
    add("2026-11-18T02:00");
    add("2026-11-01T03:00");
    keeps(0, 0, 0, "KKK----");
    keeps(1, 0, 0, "KKK----");
    keeps(2, 0, 0, "KKKK---");
    keeps(3, 0, 0, "KKKKK--");
    keeps(4, 0, 0, "KKKKK-K");
    keeps(100, 0, 0, "KKKKK-K");
    keeps(-1, -5, INT64_MIN, "KKK----");
    keeps(INT64_MAX, INT64_MAX, INT64_MAX, "KKKKK-K");
}

static void weeks(void **state)
{
    (void)state;
    add("2027-01-04T00:00"); /* Monday, week 1 */
    add("2027-01-03T23:59"); /* Sunday, week 53 of 2026 */
    add("2027-01-01T00:00");
    add("2026-12-31T00:00");
    add("2026-12-28T00:00");  /* Monday, week 53 */
    add("2026-12-27T23:59");  /* Sunday, week 52 */
    keeps(0, 1, 0, "KK----"); /* a minute before the newest */
    keeps(0, 2, 0, "KK----");
    keeps(0, 3, 0, "KK---K");
}

static void months(void **state)
{
    (void)state;
    add("2027-01-01T00:00");
    add("2026-12-31T23:59");
    add("2026-12-01T00:00");
    add("2026-11-30T23:59");
    add("2025-11-30T23:59"); /* the same month of another year */
    keeps(0, 0, 2, "KK---");
    keeps(0, 0, 3, "KK-K-");
    keeps(0, 0, 4, "KK-KK");
}

static void together(void **state)
{
    (void)state;
    add("2026-11-22T03:00"); /* day 1, week 1, month 1 */
    add("2026-11-21T03:00"); /* day 2 */
    add("2026-11-20T03:00");
    add("2026-11-15T03:00"); /* week 2 */
    add("2026-11-14T03:00");
    add("2026-10-31T03:00"); /* month 2 */
    add("2026-10-30T03:00");
    keeps(2, 2, 2, "KK-K-K-");
}

static void damaged_ones_stay_and_do_not_count(void **state)
{
    (void)state;
    add("2026-11-22T03:00");
    add("2026-11-22T02:00");
    add("2026-11-21T03:00");
    add("2026-11-20T03:00");
    add("2026-11-19T03:00");
    memcpy(entries[0].why_damaged, "so", 3);
    memcpy(entries[2].why_damaged, "so", 3);
    memcpy(entries[4].why_damaged, "so", 3);
    keeps(0, 0, 0, "KKK-K");
    keeps(1, 0, 0, "KKK-K");
    keeps(2, 0, 0, "KKKKK");
}

static void the_last_day_ends_now(void **state)
{
    (void)state;
    add("2026-11-22T03:00");
    add("2026-11-22T02:00");
    add("2026-11-21T04:00");
    now_is("2026-11-22T03:59");
    keeps(0, 0, 0, "KKK");
    now_is("2026-11-23T02:30");
    keeps(0, 0, 0, "K--"); /* the newest, whenever it was made, and no longer what was beside it */
    now_is("2026-11-30T00:00");
    keeps(0, 0, 0, "K--");
    keeps(2, 0, 0, "K-K");
}

static void of_the_future_they_stay_and_do_not_count(void **state)
{
    (void)state;
    add("2999-01-01T00:00");
    add("2026-11-23T04:01"); /* more than a day ahead */
    add("2026-11-23T03:59"); /* less: a clock may be a little wrong */
    add("2026-11-21T02:00");
    add("2026-11-20T02:00");
    add("2026-11-19T02:00");
    now_is("2026-11-22T04:00");
    keeps(0, 0, 0, "KKK---");
    keeps(2, 0, 0, "KKKK--");
    keeps(3, 0, 0, "KKKKK-");
    keeps(0, 0, 2, "KKK---");
}

static void none_at_all(void **state)
{
    (void)state;
    keeps(1, 1, 1, "");
}

/* Each day of fourteen years, in pairs with the one before: the same week or month as the C library
 * says. */
static void a_calendar_agrees(void **state)
{
    (void)state;
    for (int day = 1; day < 14 * 366; day++) {
        char week[2][16], month[2][16];
        for (int i = 0; i < 2; i++) {
            time_t at = (time_t)(10957 + day - i) * 86400 + (i ? 86399 : 0);
            struct tm tm;
            gmtime_r(&at, &tm);
            strftime(week[i], sizeof week[i], "%G %V", &tm);
            strftime(month[i], sizeof month[i], "%Y %m", &tm);
            entries[i + 1] = (struct keep_entry){.made_ms = (int64_t)at * 1000};
        }
        entries[0] = (struct keep_entry){.made_ms = entries[1].made_ms + 100 * 86400000LL};
        n = 3; /* the newest is of neither */
        keeps(3, 0, 0, "KKK");
        keeps(0, 3, 0, strcmp(week[0], week[1]) ? "KKK" : "KK-");
        keeps(0, 0, 3, strcmp(month[0], month[1]) ? "KKK" : "KK-");
    }
}

/* Every day a new one and the rule at once: what stays is what the rule promises, for good. */
static void years_of_it(void **state)
{
    struct keep_rule rule = {7, 4, 12};
    (void)state;
    n = 0;
    for (int day = 0; day < 3 * 365; day++) {
        size_t kept = 0;
        memmove(entries + 1, entries, n * sizeof *entries);
        entries[0] = (struct keep_entry){.made_ms = (20000ll + day) * 86400000};
        n++;
        keep_choose(entries, n, &rule, entries[0].made_ms, drop);
        for (size_t i = 0; i < n; i++) {
            if (!drop[i])
                entries[kept++] = entries[i];
        }
        n = kept;
        assert_in_range(n, day < 7 ? (size_t)day + 1 : 7, 7 + 4 + 12);
    }
    /* The last week whole, and back to the end of the twelfth month. */
    for (int i = 0; i < 7; i++)
        assert_int_equal(entries[i].made_ms, (20000ll + 3 * 365 - 1 - i) * 86400000);
    assert_true(entries[0].made_ms - entries[n - 1].made_ms > 300ll * 86400000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, stop)
TESTS(TEST(days), TEST(weeks), TEST(months), TEST(together),
      TEST(damaged_ones_stay_and_do_not_count), TEST(the_last_day_ends_now),
      TEST(of_the_future_they_stay_and_do_not_count), TEST(none_at_all), TEST(a_calendar_agrees),
      TEST(years_of_it))
