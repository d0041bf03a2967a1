/* Which backups stay: the newest of so many days, weeks and months, and the last day's: among them
 * is what a restore replaced, which somebody may want back. */
#include "keep/keep_impl.h"

#include <time.h>

#define HOUR_MS 3600000
#define DAY_MS  86400000

static int64_t day_of(int64_t ms)
{
    return ms / DAY_MS;
}

/* ISO weeks begin on Monday; 1970 began on a Thursday. */
static int64_t week_of(int64_t ms)
{
    return (day_of(ms) + 3) / 7;
}

static int64_t month_of(int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm = {0};
    gmtime_r(&seconds, &tm);
    return (int64_t)tm.tm_year * 12 + tm.tm_mon;
}

bool keep_is_of_future(const struct keep_entry *entry, int64_t now_ms)
{
    return entry->made_ms > now_ms + HOUR_MS;
}

/* What a clock made that was wrong for a while stays, and counts for nothing: else it would push
 * out all that are made now. */
static bool counts(const struct keep_entry *entry, int64_t now_ms)
{
    return !entry->why_damaged[0] && entry->made_ms <= now_ms + DAY_MS;
}

/* Of one sort: the newest of each, as many as there may be. */
static void keep_newest(const struct keep_entry *entries, size_t n, int64_t now_ms,
                        int64_t (*which)(int64_t ms), int64_t left, bool *drop)
{
    int64_t last = INT64_MIN;
    for (size_t i = 0; i < n && left > 0; i++) {
        if (!counts(&entries[i], now_ms) || which(entries[i].made_ms) == last)
            continue;
        last = which(entries[i].made_ms);
        drop[i] = false;
        left--;
    }
}

void keep_choose(const struct keep_entry *entries, size_t n, const struct keep_rule *rule,
                 int64_t now_ms, bool *drop)
{
    bool has_newest = false;
    for (size_t i = 0; i < n; i++) {
        bool is_counted = counts(&entries[i], now_ms);
        drop[i] = is_counted && has_newest && now_ms - entries[i].made_ms >= DAY_MS;
        has_newest |= is_counted;
    }
    keep_newest(entries, n, now_ms, day_of, rule->daily, drop);
    keep_newest(entries, n, now_ms, week_of, rule->weekly, drop);
    keep_newest(entries, n, now_ms, month_of, rule->monthly, drop);
}
