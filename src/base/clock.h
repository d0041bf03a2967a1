/* Time: a monotonic clock for durations, the wall clock for people, and its two text forms. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

int64_t clock_mono_ns(void);
int64_t clock_mono_ms(void);
int64_t clock_cpu_ns(void);         /* this thread's processor time */
int64_t clock_wall_ms(void);        /* since 1970, UTC */
int64_t clock_wall_coarse_ms(void); /* the same a few milliseconds late, at a tenth of the price */

#define HTTP_DATE_LEN 29
void clock_http_date(int64_t wall_s,
                     char to[HTTP_DATE_LEN + 1]); /* Sun, 06 Nov 1994 08:49:37 GMT */
/* Seconds of an HTTP date in its one present form, exactly; -1 when it is none or before 1970. */
int64_t clock_parse_http_date(const char *s, uint64_t len);

#define RFC3339_LEN 24
void clock_rfc3339(int64_t wall_ms, char to[RFC3339_LEN + 1]); /* 2026-01-02T03:04:05.678Z */
/* The same back, in UTC (`Z`), with or without a fraction. False: it is none. */
bool clock_parse_rfc3339(const char *s, uint64_t len, int64_t *ret_ms);
