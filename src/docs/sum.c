/* Sums: decimals are added as integers of a common scale, so that 0.1 + 0.2 is 0.3 and integers
 * beyond 2^53 keep their last digit. What goes beyond 38 digits goes on as a double. */
#include "docs/sum_impl.h"

#include <math.h>

#define DIGITS_MAX 36
#define TEXT_MAX   64

static bool times_ten(__int128 *n, int times)
{
    for (int i = 0; i < times; i++) {
        if (__builtin_mul_overflow(*n, (__int128)10, n))
            return false;
    }
    return true;
}

static bool exactly(const struct json *number, __int128 *ret, int *ret_scale)
{
    struct json_decimal d = json_decimal(number);
    __int128 n = 0;
    if (d.n > DIGITS_MAX || d.exp > DIGITS_MAX || d.exp < -DIGITS_MAX)
        return d.n == 0;
    for (size_t i = 0; i < d.n; i++)
        n = 10 * n + (json_decimal_digit(&d, i) - '0');
    *ret = d.negative ? -n : n;
    *ret_scale = d.exp < 0 ? (int)-d.exp : 0;
    return d.exp <= 0 || times_ten(ret, (int)d.exp);
}

static bool add_exactly(struct sum *s, const struct json *number)
{
    __int128 n = 0, have = s->exact;
    int scale = 0;
    if (s->is_rough || !exactly(number, &n, &scale))
        return false;
    int common = scale > s->scale ? scale : s->scale;
    if (!times_ten(&n, common - scale) || !times_ten(&have, common - s->scale) ||
        __builtin_add_overflow(have, n, &have))
        return false;
    s->exact = have;
    s->scale = common;
    return true;
}

void sum_add(struct sum *s, const struct json *number)
{
    double value = 0;
    s->n++;
    if (!add_exactly(s, number))
        s->is_rough = true;
    s->rough += json_double(number, &value, NULL) ? value : INFINITY;
}

/* From the last digit to the first; zeros at the end of a fraction are left out. */
static struct slice print(const struct sum *s, char to[TEXT_MAX])
{
    unsigned __int128 rest =
        s->exact < 0 ? -(unsigned __int128)s->exact : (unsigned __int128)s->exact;
    int scale = s->scale, at = TEXT_MAX;
    for (; scale > 0 && rest % 10 == 0; scale--)
        rest /= 10;
    for (int i = 0; rest || i <= scale; i++) {
        to[--at] = (char)('0' + (int)(rest % 10));
        rest /= 10;
        if (scale && i + 1 == scale)
            to[--at] = '.';
    }
    if (s->exact < 0)
        to[--at] = '-';
    return (struct slice){to + at, (size_t)(TEXT_MAX - at)};
}

void sum_write(const struct sum *s, struct json_writer *w)
{
    char text[TEXT_MAX];
    if (s->is_rough)
        json_write_double(w, s->rough);
    else
        json_write_raw(w, print(s, text));
}

void sum_write_mean(const struct sum *s, struct json_writer *w)
{
    long double sum = (long double)s->exact;
    for (int i = 0; i < s->scale; i++)
        sum /= 10;
    if (s->n == 0)
        json_write_null(w);
    else
        json_write_double(w, (double)((s->is_rough ? s->rough : sum) / (long double)s->n));
}
