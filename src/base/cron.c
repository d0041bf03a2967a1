/* Five fields of cron, read as sets. */
#include "base/cron.h"

static const struct {
    unsigned min, max;
} bounds[CRON_FIELDS] = {{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 7}};

/* One item of a field: `*`, `5`, `1-5`, each with an optional `/2`; `5/2` goes on to the end. */
static bool read_item(struct slice s, enum cron_field n, uint64_t *set)
{
    uint64_t from = bounds[n].min, to = bounds[n].max, step = 1;
    bool has_step = slice_index(s, '/') >= 0;
    struct slice range = SLICE(""), first = SLICE("");
    slice_cut(&s, '/', &range);
    if (has_step && (!slice_to_u64(s, &step) || step == 0 || step > bounds[n].max))
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
        *set |= (uint64_t)1 << (n == CRON_WEEKDAYS && i == 0 ? 7 : i);
    return true;
}

static bool read_field(struct slice s, enum cron_field n, struct cron *ret)
{
    struct slice item;
    if (s.ptr[s.len - 1] == ',')
        return false;
    ret->is_star[n] = s.ptr[0] == '*';
    while (slice_cut(&s, ',', &item)) {
        if (!read_item(item, n, &ret->set[n]))
            return false;
    }
    return true;
}

bool cron_read(struct slice spec, struct cron *ret)
{
    struct slice field;
    int n = 0;
    *ret = (struct cron){0};
    while (slice_cut(&spec, ' ', &field)) {
        if (field.len == 0)
            continue;
        if (n == CRON_FIELDS || !read_field(field, (enum cron_field)n, ret))
            return false;
        n++;
    }
    return n == CRON_FIELDS;
}

bool cron_is_either(const struct cron *c)
{
    return !c->is_star[CRON_DAYS] && !c->is_star[CRON_WEEKDAYS];
}

bool cron_has_day(const struct cron *c)
{
    static const unsigned char days[] = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    for (unsigned month = 1; month <= 12; month++) {
        uint64_t of_month = ((uint64_t)2 << days[month]) - 2;
        if ((c->set[CRON_MONTHS] >> month & 1) && (c->set[CRON_DAYS] & of_month))
            return true;
    }
    return false;
}

/* Every date falls on every weekday in the 400 years after which the calendar begins anew. */
bool cron_comes(const struct cron *c)
{
    return cron_is_either(c) || cron_has_day(c);
}

uint64_t cron_all_of(enum cron_field n)
{
    unsigned min = n == CRON_WEEKDAYS ? 1 : bounds[n].min;
    return (((uint64_t)2 << bounds[n].max) - 1) & ~(((uint64_t)1 << min) - 1);
}

unsigned cron_last_of(enum cron_field n)
{
    return bounds[n].max;
}
