/* A schedule of cron as systemd's OnCalendar: both are read as sets of minutes, hours, days, months
 * and weekdays, so what is written means the same whatever the shorthand was. */
#include "render/render_impl.h"

#include "base/cron.h"

#include <stdio.h>

/* ---- writing ------------------------------------------------------------------------------------
 */

static void add_value(struct buf *to, enum cron_field n, unsigned value)
{
    static const char names[] = "MonTueWedThuFriSatSun";
    if (n == CRON_WEEKDAYS)
        buf_printf(to, "%.3s", names + (value - 1) * 3);
    else
        buf_printf(to, "%02u", value);
}

/* `*`, `00/15`, or a list of values and ranges. */
static void add_set(struct buf *to, enum cron_field n, uint64_t set)
{
    unsigned values[64], count = 0;
    for (unsigned i = 0; i < 64; i++) {
        if (set >> i & 1)
            values[count++] = i;
    }
    if (set == cron_all_of(n)) {
        buf_add_char(to, '*');
        return;
    }
    unsigned step = count > 2 ? values[1] - values[0] : 0, steady = 1;
    while (step > 1 && steady < count && values[steady] == values[steady - 1] + step)
        steady++;
    if (n != CRON_WEEKDAYS && step > 1 && steady == count &&
        values[count - 1] + step > cron_last_of(n)) {
        buf_printf(to, "%02u/%u", values[0], step);
        return;
    }
    for (unsigned i = 0, last; i < count; i = last + 1) {
        for (last = i; last + 1 < count && values[last + 1] == values[last] + 1;)
            last++;
        last = last - i < 2 ? i : last; /* two are no range */
        buf_add_str(to, i ? "," : "");
        add_value(to, n, values[i]);
        if (last > i) {
            buf_add_str(to, "..");
            add_value(to, n, values[last]);
        }
    }
}

static struct slice calendar(const struct cron *c, uint64_t days, uint64_t weekdays,
                             struct arena *a)
{
    struct buf text;
    buf_init(&text, 4096);
    if (weekdays != cron_all_of(CRON_WEEKDAYS)) {
        add_set(&text, CRON_WEEKDAYS, weekdays);
        buf_add_char(&text, ' ');
    }
    buf_add_str(&text, "*-");
    add_set(&text, CRON_MONTHS, c->set[CRON_MONTHS]);
    buf_add_char(&text, '-');
    add_set(&text, CRON_DAYS, days);
    buf_add_char(&text, ' ');
    add_set(&text, CRON_HOURS, c->set[CRON_HOURS]);
    buf_add_char(&text, ':');
    add_set(&text, CRON_MINUTES, c->set[CRON_MINUTES]);
    buf_add_str(&text, ":00 UTC");
    must(!text.full);
    struct slice kept = arena_dup(a, buf_slice(&text));
    buf_done(&text);
    return kept;
}

size_t cron_calendars(struct slice cron, struct arena *a, struct slice ret[CALENDARS_MAX])
{
    struct cron c;
    size_t n = 0;
    if (!cron_read(cron, &c))
        return 0;
    if (!cron_is_either(&c)) {
        if (cron_has_day(&c))
            ret[n++] = calendar(&c, c.set[CRON_DAYS], c.set[CRON_WEEKDAYS], a);
        return n;
    }
    if (cron_has_day(&c))
        ret[n++] = calendar(&c, c.set[CRON_DAYS], cron_all_of(CRON_WEEKDAYS), a);
    ret[n++] = calendar(&c, cron_all_of(CRON_DAYS), c.set[CRON_WEEKDAYS], a);
    return n;
}
