/* A schedule of cron as systemd's OnCalendar: both are read as sets of minutes, hours, days, months
 * and weekdays, so what is written means the same whatever the shorthand was. */
#include "render/render_impl.h"

#include <stdio.h>

enum field { MINUTES, HOURS, DAYS, MONTHS, WEEKDAYS, FIELD_COUNT };

static const struct {
    unsigned min, max;
} bounds[FIELD_COUNT] = {{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 7}};

struct cron {
    uint64_t set[FIELD_COUNT]; /* a bit per value; Sunday is 7 */
    bool is_star[FIELD_COUNT]; /* begins with `*`: says nothing of its own about the day */
};

/* ---- reading ------------------------------------------------------------------------------------
 */

/* One item of a field: `*`, `5`, `1-5`, each with an optional `/2`; `5/2` goes on to the end. */
static bool read_item(struct slice s, enum field n, uint64_t *set)
{
    uint64_t from = bounds[n].min, to = bounds[n].max, step = 1;
    bool has_step = slice_index(s, '/') >= 0;
    struct slice range = SLICE(""), first = SLICE("");
    slice_cut(&s, '/', &range);
    if (has_step && (!slice_to_u64(s, &step) || step == 0 || step > 60))
        return false;
    bool is_range = slice_index(range, '-') >= 0, is_star = slice_is(range, "*");
    slice_cut(&range, '-', &first);
    if (!is_star && !slice_to_u64(first, &from))
        return false;
    if (is_range && !slice_to_u64(range, &to))
        return false;
    if (!is_star && !is_range && !has_step)
        to = from;
    if (from < bounds[n].min || to > bounds[n].max || from > to)
        return false;
    for (uint64_t i = from; i <= to; i += step)
        *set |= (uint64_t)1 << (n == WEEKDAYS && i == 0 ? 7 : i);
    return true;
}

static bool read_cron(struct slice s, struct cron *ret)
{
    struct slice field, item;
    int n = 0;
    *ret = (struct cron){0};
    while (slice_cut(&s, ' ', &field)) {
        if (field.len == 0)
            continue;
        if (n == FIELD_COUNT)
            return false;
        ret->is_star[n] = field.ptr[0] == '*';
        while (slice_cut(&field, ',', &item)) {
            if (!read_item(item, (enum field)n, &ret->set[n]))
                return false;
        }
        n++;
    }
    return n == FIELD_COUNT;
}

static uint64_t all_of(enum field n)
{
    unsigned min = n == WEEKDAYS ? 1 : bounds[n].min;
    return (((uint64_t)2 << bounds[n].max) - 1) & ~(((uint64_t)1 << min) - 1);
}

/* Is there such a day in one of the months? 29 February is: it comes. */
static bool has_day(const struct cron *c)
{
    static const unsigned char days[] = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    for (unsigned month = 1; month <= 12; month++) {
        uint64_t of_month = ((uint64_t)2 << days[month]) - 2;
        if ((c->set[MONTHS] >> month & 1) && (c->set[DAYS] & of_month))
            return true;
    }
    return false;
}

/* ---- writing ------------------------------------------------------------------------------------
 */

static void add_value(struct buf *to, enum field n, unsigned value)
{
    static const char names[] = "MonTueWedThuFriSatSun";
    if (n == WEEKDAYS)
        buf_printf(to, "%.3s", names + (value - 1) * 3);
    else
        buf_printf(to, "%02u", value);
}

/* `*`, `00/15`, or a list of values and ranges. */
static void add_set(struct buf *to, enum field n, uint64_t set)
{
    unsigned values[64], count = 0;
    for (unsigned i = 0; i < 64; i++) {
        if (set >> i & 1)
            values[count++] = i;
    }
    if (set == all_of(n)) {
        buf_add_char(to, '*');
        return;
    }
    unsigned step = count > 2 ? values[1] - values[0] : 0, steady = 1;
    while (step > 1 && steady < count && values[steady] == values[steady - 1] + step)
        steady++;
    if (n != WEEKDAYS && step > 1 && steady == count && values[count - 1] + step > bounds[n].max) {
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
    if (weekdays != all_of(WEEKDAYS)) {
        add_set(&text, WEEKDAYS, weekdays);
        buf_add_char(&text, ' ');
    }
    buf_add_str(&text, "*-");
    add_set(&text, MONTHS, c->set[MONTHS]);
    buf_add_char(&text, '-');
    add_set(&text, DAYS, days);
    buf_add_char(&text, ' ');
    add_set(&text, HOURS, c->set[HOURS]);
    buf_add_char(&text, ':');
    add_set(&text, MINUTES, c->set[MINUTES]);
    buf_add_str(&text, ":00 UTC");
    must(!text.full);
    struct slice kept = arena_dup(a, buf_slice(&text));
    buf_done(&text);
    return kept;
}

/* Two restricted days mean either; with a field that begins with `*` it is both, which for a plain
 * `*` is the other alone. */
size_t cron_calendars(struct slice cron, struct arena *a, struct slice ret[CALENDARS_MAX])
{
    struct cron c;
    size_t n = 0;
    if (!read_cron(cron, &c))
        return 0;
    bool is_either = !c.is_star[DAYS] && !c.is_star[WEEKDAYS];
    if (!is_either) {
        if (has_day(&c))
            ret[n++] = calendar(&c, c.set[DAYS], c.set[WEEKDAYS], a);
        return n;
    }
    if (has_day(&c))
        ret[n++] = calendar(&c, c.set[DAYS], all_of(WEEKDAYS), a);
    ret[n++] = calendar(&c, all_of(DAYS), c.set[WEEKDAYS], a);
    return n;
}
