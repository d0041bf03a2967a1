/* When schedules come next: known answers, and the same as asking every minute of some years. */
#include "jobs/jobs.h"

#include "base/cron.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MINUTE 60000LL

static int64_t ms_of(const char *text)
{
    int64_t ms;
    if (!clock_parse_rfc3339(text, strlen(text), &ms))
        fail_msg("%s is no time", text);
    return ms;
}

static void known_answers(void **unused)
{
    static const struct {
        const char *spec, *after, *next; /* next NULL: never */
    } rows[] = {
        {"* * * * *", "2026-01-02T03:04:05Z", "2026-01-02T03:05:00Z"},
        {"* * * * *", "2026-01-02T03:04:00Z", "2026-01-02T03:05:00Z"},
        {"* * * * *", "2026-01-02T03:03:59.999Z", "2026-01-02T03:04:00Z"},
        {"0 3 * * *", "2026-01-02T03:00:00Z", "2026-01-03T03:00:00Z"},
        {"0 3 * * *", "2026-01-02T02:59:59Z", "2026-01-02T03:00:00Z"},
        {"59 23 31 12 *", "2025-12-31T23:59:00Z", "2026-12-31T23:59:00Z"},
        {"0 0 1 1 *", "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"},
        {"*/15 * * * *", "2026-01-02T03:46:00Z", "2026-01-02T04:00:00Z"},
        {"5/20 * * * *", "2026-01-02T03:26:00Z", "2026-01-02T03:45:00Z"},
        {"0,30 8-10 * * *", "2026-01-02T10:30:00Z", "2026-01-03T08:00:00Z"},
        {"0 0 29 2 *", "2024-02-29T00:00:00Z", "2028-02-29T00:00:00Z"},
        {"0 0 29 2 *", "2096-02-29T00:00:00Z", "2104-02-29T00:00:00Z"}, /* 2100 is no leap year */
        {"0 0 31 * *", "2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z"},
        {"0 0 30 2 *", "2026-01-01T00:00:00Z", NULL},
        {"0 0 31 4,6,9,11 *", "2026-01-01T00:00:00Z", NULL},
        {"0 0 * * 0", "2026-11-22T00:00:00Z", "2026-11-29T00:00:00Z"}, /* both are Sunday */
        {"0 0 * * 7", "2026-11-21T12:00:00Z", "2026-11-22T00:00:00Z"},
        {"0 0 * * 1-5", "2026-11-20T00:00:00Z", "2026-11-23T00:00:00Z"},
        {"0 0 13 * 5", "2026-11-14T00:00:00Z", "2026-11-20T00:00:00Z"}, /* either */
        {"0 0 13 * 5", "2026-12-12T00:00:00Z", "2026-12-13T00:00:00Z"},
        {"0 0 */10 * 5", "2026-11-22T00:00:00Z", "2026-12-11T00:00:00Z"}, /* both: it is a star */
        {"0 0 30 2 1", "2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z"},
        {"0 0 29 2 */7", "2025-01-01T00:00:00Z", "2032-02-29T00:00:00Z"},
        {"  0  0 1  1 * ", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
        {"* * * * *", "9999-12-31T23:58:00Z", "9999-12-31T23:59:00Z"},
        {"@daily", "2026-01-01T00:00:00Z", NULL},
        {"0 0 * *", "2026-01-01T00:00:00Z", NULL},
        {"", "2026-01-01T00:00:00Z", NULL},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t found = cron_next(slice_from(rows[i].spec), ms_of(rows[i].after));
        char text[RFC3339_LEN + 1];
        clock_rfc3339(found, text);
        if (found != (rows[i].next ? ms_of(rows[i].next) : 0))
            fail_msg("\"%s\" after %s: %s", rows[i].spec, rows[i].after, text);
    }
    assert_int_equal(cron_next(SLICE("* * * * *"), -5), MINUTE);
    assert_int_equal(cron_next(SLICE("* * * * *"), INT64_MIN), MINUTE);
    assert_int_equal(cron_next(SLICE("* * * * *"), INT64_MAX), 0);
}

/* ---- the same, asking every minute ----------------------------------------------------------- */

static uint32_t seed = 1;

static unsigned below(unsigned n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

static void add_field(char *to, size_t size, unsigned min, unsigned max)
{
    size_t n = 0;
    unsigned count = below(4) ? 1 : 1 + below(3);
    to[0] = '\0';
    for (unsigned i = 0; i < count; i++) {
        unsigned a = min + below(max - min + 1), b = a + below(max - a + 1), step = 1 + below(max);
        n += (size_t)snprintf(to + n, size - n, i ? "," : "");
        switch (below(6)) {
        case 0:
            n += (size_t)snprintf(to + n, size - n, "%u", a);
            break;
        case 1:
            n += (size_t)snprintf(to + n, size - n, "%u-%u", a, b);
            break;
        case 2:
            n += (size_t)snprintf(to + n, size - n, "%u-%u/%u", a, b, step);
            break;
        case 3:
            n += (size_t)snprintf(to + n, size - n, "*/%u", step);
            break;
        case 4:
            n += (size_t)snprintf(to + n, size - n, "%u/%u", a, step);
            break;
        default:
            n += (size_t)snprintf(to + n, size - n, "*");
        }
    }
}

/* Takes a number off the text; false: there is none. */
static bool number(const char **at, unsigned *ret)
{
    char *end;
    unsigned long n = strtoul(*at, &end, 10);
    bool is_one = end != *at;
    *at = end;
    if (is_one)
        *ret = (unsigned)n;
    return is_one;
}

/* Does one field, as it is written, take the value? Written again, and otherwise. */
static bool takes(const char *field, unsigned value, unsigned max)
{
    for (const char *at = field; at; at = strchr(at, ','), at = at ? at + 1 : NULL) {
        unsigned from = 0, to = max, step = 1;
        if (*at == '*') {
            at++;
            from = max == 31 || max == 12 ? 1 : 0;
        } else if (number(&at, &from)) {
            to = *at == '/' ? max : from;
            if (*at == '-') {
                at++;
                assert_true(number(&at, &to));
            }
        }
        if (*at == '/') {
            at++;
            assert_true(number(&at, &step));
        }
        if (value >= from && value <= to && (value - from) % step == 0)
            return true;
    }
    return false;
}

struct asked {
    bool takes[5][64];
    bool is_either;
};

static void ask_all(struct asked *a, char fields[5][64])
{
    static const unsigned last[5] = {59, 23, 31, 12, 7};
    for (int k = 0; k < 5; k++) {
        for (unsigned v = 0; v <= last[k]; v++)
            a->takes[k][v] = takes(fields[k], v, last[k]);
    }
    a->takes[4][0] |= a->takes[4][7];
    a->is_either = fields[2][0] != '*' && fields[4][0] != '*';
}

static bool comes_at(const struct asked *a, int64_t ms)
{
    struct tm tm;
    time_t at = (time_t)(ms / 1000);
    gmtime_r(&at, &tm);
    bool day = a->takes[2][tm.tm_mday], weekday = a->takes[4][tm.tm_wday];
    return a->takes[0][tm.tm_min] && a->takes[1][tm.tm_hour] && a->takes[3][tm.tm_mon + 1] &&
           (a->is_either ? day || weekday : day && weekday);
}

static void the_same_as_every_minute(void **unused)
{
    static const unsigned bounds[5][2] = {{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 7}};
    const char *rounds = getenv("DAIS_TEST_ROUNDS");
    long n = rounds ? strtol(rounds, NULL, 10) : 100;
    (void)unused;
    for (long i = 0; i < n; i++) {
        struct asked asked = {0};
        char fields[5][64], spec[400];
        for (int k = 0; k < 5; k++)
            add_field(fields[k], sizeof fields[k], bounds[k][0], bounds[k][1]);
        ask_all(&asked, fields);
        snprintf(spec, sizeof spec, "%s %s %s %s %s", fields[0], fields[1], fields[2], fields[3],
                 fields[4]);
        /* Half of them around the end of a February, with and without a leap day. */
        int64_t after = i % 2 ? ms_of("2026-01-01T00:00:00Z") + below(6 * 365 * 1440) * MINUTE
                              : ms_of(i % 4 ? "2028-02-27T00:00:00Z" : "2100-02-27T00:00:00Z") +
                                    below(3 * 1440) * MINUTE;
        after += below(60000);
        int64_t found = cron_next(slice_from(spec), after), at = after / MINUTE * MINUTE + MINUTE;
        int64_t end = at + 370LL * 1440 * MINUTE;
        while (at < end && !comes_at(&asked, at))
            at += MINUTE;
        if (at < end ? found != at : found && found < end)
            fail_msg("\"%s\" after %lld: %lld, not %lld", spec, (long long)after, (long long)found,
                     (long long)at);
    }
}

TESTS(cmocka_unit_test(known_answers), cmocka_unit_test(the_same_as_every_minute))
