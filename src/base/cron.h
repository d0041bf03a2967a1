/* Five fields of cron ("0 3 * * 1-5"), read as sets of minutes, hours, days, months and weekdays.
 */
#pragma once
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum cron_field { CRON_MINUTES, CRON_HOURS, CRON_DAYS, CRON_MONTHS, CRON_WEEKDAYS, CRON_FIELDS };
struct cron {
    uint64_t set[CRON_FIELDS]; /* a bit per value; Sunday is 7, never 0 */
    bool is_star[CRON_FIELDS]; /* begins with `*`: says nothing of its own about the day */
};
/* False: it is none. No names of months and days, and no shorthands such as @daily. */
bool cron_read(struct slice spec, struct cron *ret);
/* A day of the month and a weekday mean either of them; where one begins with `*` it is both, which
 * for a plain `*` is the other alone. */
bool cron_is_either(const struct cron *c);
/* Is there such a day in one of the months? 29 February is: it comes. */
bool cron_has_day(const struct cron *c);
/* Comes it ever? */
bool cron_comes(const struct cron *c);
uint64_t cron_all_of(enum cron_field n);  /* the set of a plain `*` */
unsigned cron_last_of(enum cron_field n); /* the greatest value */
