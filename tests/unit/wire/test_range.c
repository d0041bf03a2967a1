/* Range: what is sent for each form, and the hostile ones. */
#include "unit.h"

#include "wire/wire.h"

#include <stdio.h>

/* "2-3,5-9" of the ranges, "all" or "none". */
static void check(const char *value, uint64_t size, const char *expected)
{
    struct byte_range r[RANGES_MAX];
    uint32_t n = 0;
    char text[512] = "";
    enum range_kind kind = range_parse(slice_from(value), size, r, &n);
    if (kind != RANGE_SOME)
        snprintf(text, sizeof text, "%s", kind == RANGE_ALL ? "all" : "none");
    for (uint32_t i = 0; i < n && kind == RANGE_SOME; i++) {
        size_t at = strlen(text);
        snprintf(text + at, sizeof text - at, "%s%llu-%llu", i ? "," : "",
                 (unsigned long long)r[i].first, (unsigned long long)(r[i].first + r[i].len - 1));
    }
    if (strcmp(text, expected) != 0)
        fail_msg("%s of %llu gives %s, not %s", value, (unsigned long long)size, text, expected);
}

static void test_forms(void **state)
{
    (void)state;
    check("bytes=0-0", 10, "0-0");
    check("bytes=2-5", 10, "2-5");
    check("Bytes=2-", 10, "2-9");
    check("bytes=-3", 10, "7-9");
    check("bytes=-30", 10, "0-9");
    check("bytes=5-100", 10, "5-9");
    check("bytes=9-9", 10, "9-9");
    check("bytes=10-", 10, "none");
    check("bytes=-0", 10, "none");
    check("bytes=0-", 0, "none");
    check("bytes=-1", 0, "none");
    check("bytes=20-30,1-1", 10, "1-1");
    check("bytes=0-99999999999999999999999", 10, "0-9");
    check("bytes=99999999999999999999999-", 10, "none");
    check("bytes=-99999999999999999999999", 10, "0-9");
    check("bytes=0-18446744073709551615", UINT64_MAX, "0-18446744073709551614");
}

static void test_ignored(void **state)
{
    (void)state;
    static const char *const ignored[] = {"",          "bytes=",      "bytes",       "items=0-1",
                                          "bytes=5-2", "bytes=a-b",   "bytes=-",     "bytes=1--2",
                                          "bytes=--1", "bytes=0-1,x", "bytes=1 - 2", "bytes=+1-2",
                                          "bytes=1",   "bytes =1-2",  "bytes=0x1-2", "bytes=,"};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        check(ignored[i], 10, "all");
}

static void test_merging(void **state)
{
    (void)state;
    check("bytes=8-9, 0-1", 10, "8-9,0-1");
    check("bytes=0-1,2-3", 10, "0-3");
    check("bytes=0-1,3-4", 10, "0-1,3-4");
    check("bytes=0-1,4-5,1-4", 10, "0-5");
    check("bytes=8-8,0-1,4-5,1-4", 10, "8-8,0-5");
    check("bytes=0-9,2-3", 10, "0-9");
    check("bytes=5-6,-10,0-0", 10, "0-9");
}

static void test_thousand(void **state)
{
    (void)state;
    static char apart[20000] = "bytes=0-0", same[20000] = "bytes=0-";
    size_t a = strlen(apart), s = strlen(same);
    for (unsigned i = 1; i < 1000; i++) {
        a += (size_t)snprintf(apart + a, sizeof apart - a, ",%u-%u", i * 3, i * 3);
        s += (size_t)snprintf(same + s, sizeof same - s, ",0-");
    }
    check(apart, 100000, "all");
    check(same, 100000, "0-99999");
    check("bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,"
          "30-30",
          99,
          "0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,"
          "30-30");
    check("bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,"
          "30-30,32-32",
          99, "all");
}

TESTS(cmocka_unit_test(test_forms), cmocka_unit_test(test_ignored), cmocka_unit_test(test_merging),
      cmocka_unit_test(test_thousand))
