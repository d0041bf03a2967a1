/* JSON numbers: their decimal text taken apart, and turned into machine numbers without loss. */
#include "base/json.h"
#include "base/json_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXP_HUGE         1000000000000000 /* beyond what any text's length can balance */
#define FAST_DIGITS      15               /* below 2^53 whatever they are */
#define FAST_EXP         22               /* 10^22 is the last exact power of ten */
#define DIGITS_THAT_TELL 800              /* no double's neighbourhood needs more */

char json_decimal_digit(const struct json_decimal *d, size_t i)
{
    i += d->skip;
    return i < d->whole_n ? d->whole[i] : d->part[i - d->whole_n];
}

static int64_t read_exp(struct slice s)
{
    bool negative = s.len && s.ptr[0] == '-';
    int64_t v = 0;
    for (size_t i = s.len && !is_digit(s.ptr[0]) ? 1 : 0; i < s.len && v < EXP_HUGE; i++)
        v = v * 10 + (s.ptr[i] - '0');
    return negative ? -v : v;
}

static struct json_decimal decimal_of(struct slice s)
{
    struct json_decimal d = {.negative = s.len && s.ptr[0] == '-'};
    size_t at = d.negative, part_n = 0;
    d.whole = s.ptr + at;
    for (; at < s.len && is_digit(s.ptr[at]); at++)
        d.whole_n++;
    d.part = d.whole + d.whole_n;
    if (at < s.len && s.ptr[at] == '.') {
        d.part++;
        for (at++; at < s.len && is_digit(s.ptr[at]); at++)
            part_n++;
    }
    if (at < s.len)
        d.exp = read_exp(slice_skip(s, at + 1));
    d.exp -= (int64_t)part_n;
    d.n = d.whole_n + part_n;
    while (d.n && json_decimal_digit(&d, d.n - 1) == '0')
        d.n--, d.exp++;
    while (d.n && json_decimal_digit(&d, 0) == '0')
        d.n--, d.skip++;
    return d;
}

struct json_decimal json_decimal(const struct json *v)
{
    must(json_type(v) == JSON_NUMBER);
    return decimal_of(json_num_text(v));
}

static int decimal_cmp(const struct json_decimal *a, const struct json_decimal *b)
{
    if (a->n == 0 || b->n == 0 || a->negative != b->negative) {
        int sign_a = a->n == 0 ? 0 : a->negative ? -1 : 1;
        int sign_b = b->n == 0 ? 0 : b->negative ? -1 : 1;
        return (sign_a > sign_b) - (sign_a < sign_b);
    }
    int away = a->negative ? -1 : 1; /* what a larger magnitude means */
    int64_t top_a = a->exp + (int64_t)a->n, top_b = b->exp + (int64_t)b->n;
    if (top_a != top_b)
        return top_a > top_b ? away : -away;
    size_t both = a->n < b->n ? a->n : b->n;
    for (size_t i = 0; i < both; i++) {
        char x = json_decimal_digit(a, i), y = json_decimal_digit(b, i);
        if (x != y)
            return x > y ? away : -away;
    }
    return a->n == b->n ? 0 : a->n > b->n ? away : -away;
}

int json_num_cmp(const struct json *a, const struct json *b)
{
    must(json_type(a) == JSON_NUMBER && json_type(b) == JSON_NUMBER);
    struct json_decimal x = decimal_of(json_num_text(a)), y = decimal_of(json_num_text(b));
    return decimal_cmp(&x, &y);
}

bool json_is_integer(const struct json *v)
{
    if (json_type(v) != JSON_NUMBER)
        return false;
    struct json_decimal d = decimal_of(json_num_text(v));
    return d.n == 0 || d.exp >= 0;
}

static bool magnitude(const struct json *v, uint64_t *ret, bool *ret_negative)
{
    if (json_type(v) != JSON_NUMBER)
        return false;
    struct json_decimal d = decimal_of(json_num_text(v));
    uint64_t sum = 0;
    if (d.n && (d.exp < 0 || d.exp > 20 || d.n > 20))
        return false;
    for (size_t i = 0; i < d.n + (d.n ? (size_t)d.exp : 0); i++) {
        unsigned digit = i < d.n ? (unsigned)(json_decimal_digit(&d, i) - '0') : 0;
        if (__builtin_mul_overflow(sum, 10u, &sum) || __builtin_add_overflow(sum, digit, &sum))
            return false;
    }
    *ret = sum;
    *ret_negative = d.negative;
    return true;
}

bool json_u64(const struct json *v, uint64_t *ret)
{
    uint64_t sum;
    bool negative;
    if (!magnitude(v, &sum, &negative) || (negative && sum))
        return false;
    *ret = sum;
    return true;
}

bool json_i64(const struct json *v, int64_t *ret)
{
    uint64_t sum;
    bool negative;
    if (!magnitude(v, &sum, &negative) || sum > (uint64_t)INT64_MAX + negative)
        return false;
    *ret = (int64_t)(negative ? 0 - sum : sum);
    return true;
}

/* One correctly rounded operation on two exact doubles is correctly rounded itself. */
static bool fast_double(const struct json_decimal *d, double *ret)
{
    static const double ten[FAST_EXP + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                             1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                             1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (d->n > FAST_DIGITS || d->exp < -FAST_EXP || d->exp > FAST_EXP)
        return false;
    int64_t digits = 0;
    for (size_t i = 0; i < d->n; i++)
        digits = digits * 10 + (json_decimal_digit(d, i) - '0');
    double v = (double)digits;
    *ret = d->exp < 0 ? v / ten[-d->exp] : v * ten[d->exp];
    return true;
}

/* strtod on the digits that tell; one more digit stands for all that were left out. */
static double slow_double(const struct json_decimal *d)
{
    char text[DIGITS_THAT_TELL + 40];
    size_t n = d->n < DIGITS_THAT_TELL ? d->n : DIGITS_THAT_TELL;
    for (size_t i = 0; i < n; i++)
        text[i] = json_decimal_digit(d, i);
    int64_t exp = d->exp + (int64_t)(d->n - n);
    if (n < d->n)
        text[n++] = '1', exp--;
    snprintf(text + n, sizeof text - n, "e%lld", (long long)exp);
    return strtod(text, NULL);
}

/* Is the double the decimal, or the decimal the shortest name of the double? */
static bool is_exact(const struct json_decimal *d, double v)
{
    char text[DIGITS_THAT_TELL];
    struct json_decimal back = decimal_of((struct slice){text, json_format_double(v, text)});
    if (decimal_cmp(d, &back) == 0)
        return true;
    int n = snprintf(text, sizeof text, "%.0f", v);
    must(n > 0 && (size_t)n < sizeof text);
    back = decimal_of((struct slice){text, (size_t)n});
    return decimal_cmp(d, &back) == 0;
}

bool json_double(const struct json *v, double *ret, bool *ret_exact)
{
    if (json_type(v) != JSON_NUMBER)
        return false;
    struct json_decimal d = decimal_of(json_num_text(v));
    double got = 0;
    if (d.n && !fast_double(&d, &got))
        got = slow_double(&d);
    if (!isfinite(got))
        return false;
    *ret = d.negative ? -got : got;
    if (ret_exact)
        *ret_exact = is_exact(&d, *ret);
    return true;
}

/* 1e+20 -> 1e20, 1e-07 -> 1e-7 */
static size_t tidy_exp(char *text, size_t n)
{
    char *e = memchr(text, 'e', n);
    if (!e)
        return n;
    char *to = e + 1, *from = e + 1;
    if (*from == '-')
        to++;
    from++;
    while (*from == '0')
        from++;
    size_t left = (size_t)(text + n - from);
    memmove(to, from, left);
    return (size_t)(to - text) + left;
}

size_t json_format_double(double v, char to[JSON_DOUBLE_MAX])
{
    must(isfinite(v));
    if (fabs(v) < 1e15 && v == (double)(int64_t)v && !(v == 0 && signbit(v)))
        return (size_t)snprintf(to, JSON_DOUBLE_MAX, "%lld", (long long)v);
    /* 15 digits survive in every normal double, 17 tell all apart; below those, fewer may do. */
    int n = 0, digits = fabs(v) < 0x1p-1022 ? 1 : 15;
    do {
        n = snprintf(to, JSON_DOUBLE_MAX, "%.*g", digits, v);
    } while (strtod(to, NULL) != v && ++digits <= 17);
    return tidy_exp(to, (size_t)n);
}
