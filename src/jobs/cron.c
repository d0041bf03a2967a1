/* When a schedule comes next. Days are walked, minutes are looked up: in UTC no day lacks an hour.
 */
#include "jobs/jobs.h"

#include "base/cron.h"

#include <time.h>

#define MINUTE_MS  60000
#define DAY_MIN    1440
#define CYCLE_DAYS 146097            /* 400 years: then dates and weekdays begin anew */
#define LATEST_MS  253402300799999LL /* the end of the year 9999 */

struct date {
    int year;
    unsigned month, day, weekday; /* from 1; Sunday is 7 */
};

static struct date date_of(int64_t day)
{
    struct tm tm;
    time_t at = (time_t)day * DAY_MIN * 60;
    gmtime_r(&at, &tm);
    return (struct date){.year = tm.tm_year + 1900,
                         .month = (unsigned)tm.tm_mon + 1,
                         .day = (unsigned)tm.tm_mday,
                         .weekday = tm.tm_wday ? (unsigned)tm.tm_wday : 7};
}

static unsigned days_in(const struct date *d)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = d->year % 4 == 0 && (d->year % 100 != 0 || d->year % 400 == 0);
    return days[d->month - 1] + (d->month == 2 && is_leap);
}

static void go_on(struct date *d)
{
    d->weekday = d->weekday % 7 + 1;
    if (d->day++ < days_in(d))
        return;
    d->day = 1;
    if (d->month++ < 12)
        return;
    d->month = 1;
    d->year++;
}

static bool has(const struct cron *c, enum cron_field n, unsigned value)
{
    return c->set[n] >> value & 1;
}

static bool is_of(const struct cron *c, const struct date *d)
{
    bool day = has(c, CRON_DAYS, d->day), weekday = has(c, CRON_WEEKDAYS, d->weekday);
    return has(c, CRON_MONTHS, d->month) && (cron_is_either(c) ? day || weekday : day && weekday);
}

/* The first minute of a day from `from` on; DAY_MIN: none. */
static unsigned minute_of(const struct cron *c, unsigned from)
{
    while (from < DAY_MIN && !has(c, CRON_HOURS, from / 60))
        from += 60 - from % 60;
    while (from < DAY_MIN && !(has(c, CRON_HOURS, from / 60) && has(c, CRON_MINUTES, from % 60)))
        from++;
    return from;
}

int64_t cron_next(struct slice spec, int64_t after_ms)
{
    struct cron c;
    if (!cron_read(spec, &c) || !cron_comes(&c) || after_ms > LATEST_MS)
        return 0;
    int64_t first = (after_ms < 0 ? 0 : after_ms) / MINUTE_MS + 1, day = first / DAY_MIN;
    unsigned from = (unsigned)(first % DAY_MIN);
    struct date d = date_of(day);
    for (int64_t end = day + CYCLE_DAYS; day <= end; day++, from = 0, go_on(&d)) {
        unsigned minute = is_of(&c, &d) ? minute_of(&c, from) : DAY_MIN;
        if (minute < DAY_MIN)
            return (day * DAY_MIN + minute) * MINUTE_MS;
    }
    must(false); /* whatever comes, comes within a cycle */
    return 0;
}
