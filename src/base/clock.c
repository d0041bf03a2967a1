/* Clocks and the two date formats of the wire. */
#include "base/clock.h"
#include "base/slice.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t now_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t clock_mono_ns(void)
{
    return now_ns(CLOCK_MONOTONIC);
}

int64_t clock_mono_ms(void)
{
    return now_ns(CLOCK_MONOTONIC) / 1000000;
}

int64_t clock_cpu_ns(void)
{
    return now_ns(CLOCK_THREAD_CPUTIME_ID);
}

int64_t clock_wall_ms(void)
{
    return now_ns(CLOCK_REALTIME) / 1000000;
}

int64_t clock_wall_coarse_ms(void)
{
    return now_ns(CLOCK_REALTIME_COARSE) / 1000000;
}

static const char days[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Both formats have four digits for the year: what lies outside is drawn to their edge. */
#define FIRST_SECOND INT64_C(-62167219200) /* 0000-01-01 */
#define LAST_SECOND  INT64_C(253402300799) /* 9999-12-31 */

static struct tm calendar(int64_t wall_s)
{
    time_t t = (time_t)(wall_s < FIRST_SECOND  ? FIRST_SECOND
                        : wall_s > LAST_SECOND ? LAST_SECOND
                                               : wall_s);
    struct tm tm;
    gmtime_r(&t, &tm);
    return tm;
}

void clock_http_date(int64_t wall_s, char to[HTTP_DATE_LEN + 1])
{
    struct tm tm = calendar(wall_s);
    char text[64];
    snprintf(text, sizeof text, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday,
             tm.tm_mday, months + 3 * tm.tm_mon, (tm.tm_year + 1900) % 10000, tm.tm_hour, tm.tm_min,
             tm.tm_sec);
    memcpy(to, text, HTTP_DATE_LEN);
    to[HTTP_DATE_LEN] = '\0';
}

static bool two_digits(const char *s, int *ret)
{
    if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
        return false;
    *ret = (s[0] - '0') * 10 + s[1] - '0';
    return true;
}

int64_t clock_parse_http_date(const char *s, uint64_t len)
{
    int day, hi, lo, hour, min, sec;
    if (len != HTTP_DATE_LEN)
        return -1;
    if (!two_digits(s + 5, &day) || !two_digits(s + 12, &hi) || !two_digits(s + 14, &lo) ||
        !two_digits(s + 17, &hour) || !two_digits(s + 20, &min) || !two_digits(s + 23, &sec))
        return -1;
    int month = 0;
    while (month < 12 && memcmp(months + (size_t)3 * (size_t)month, s + 8, 3) != 0)
        month++;
    if (month == 12)
        return -1;
    struct tm tm = {.tm_year = hi * 100 + lo - 1900,
                    .tm_mon = month,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = min,
                    .tm_sec = sec};
    int64_t wall_s = (int64_t)timegm(&tm);
    char again[HTTP_DATE_LEN + 1]; /* the 31st of February, a wrong weekday, odd separators */
    clock_http_date(wall_s, again);
    return memcmp(again, s, HTTP_DATE_LEN) == 0 && wall_s >= 0 ? wall_s : -1;
}

/* A thread asks for the same second many times: only the milliseconds are written anew. */
void clock_rfc3339(int64_t wall_ms, char to[RFC3339_LEN + 1])
{
    static _Thread_local int64_t known_s = INT64_MIN;
    static _Thread_local char known[80];
    int ms = (int)(wall_ms % 1000);
    if (ms < 0) /* before 1970: the second is the one that began earlier */
        ms += 1000;
    int64_t wall_s = wall_ms / 1000 - (wall_ms % 1000 < 0);
    if (wall_s != known_s) {
        struct tm tm = calendar(wall_s);
        snprintf(known, sizeof known, "%04d-%02d-%02dT%02d:%02d:%02d.000Z",
                 (tm.tm_year + 1900) % 10000, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                 tm.tm_sec);
        known_s = wall_s;
    }
    memcpy(to, known, RFC3339_LEN);
    to[RFC3339_LEN - 4] = (char)('0' + ms / 100);
    to[RFC3339_LEN - 3] = (char)('0' + ms / 10 % 10);
    to[RFC3339_LEN - 2] = (char)('0' + ms % 10);
    to[RFC3339_LEN] = '\0';
}

/* ".5", ".123456": as milliseconds, what is less than one is dropped. */
static bool read_fraction(const char *s, uint64_t len, int *ret_ms)
{
    int worth = 100;
    *ret_ms = 0;
    for (uint64_t i = 1; i < len; i++, worth /= 10) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        *ret_ms += (s[i] - '0') * worth;
    }
    return len == 0 || (s[0] == '.' && len > 1);
}

bool clock_parse_rfc3339(const char *s, uint64_t len, int64_t *ret_ms)
{
    int hi, lo, month, day, hour, min, sec, ms;
    char again[RFC3339_LEN + 1];
    const uint64_t whole = RFC3339_LEN - 5; /* without a fraction and the Z */
    if (len <= whole || s[len - 1] != 'Z' || !two_digits(s, &hi) || !two_digits(s + 2, &lo) ||
        !two_digits(s + 5, &month) || !two_digits(s + 8, &day) || !two_digits(s + 11, &hour) ||
        !two_digits(s + 14, &min) || !two_digits(s + 17, &sec) ||
        !read_fraction(s + whole, len - whole - 1, &ms))
        return false;
    struct tm tm = {.tm_year = hi * 100 + lo - 1900,
                    .tm_mon = month - 1,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = min,
                    .tm_sec = sec};
    int64_t wall_ms = (int64_t)timegm(&tm) * 1000 + ms;
    clock_rfc3339(wall_ms, again); /* the 31st of February, odd separators */
    if (memcmp(again, s, whole) != 0)
        return false;
    *ret_ms = wall_ms;
    return true;
}
