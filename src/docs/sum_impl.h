/* Exact sums of JSON numbers, as long as 38 decimal digits hold them. */
#pragma once
#include "base/json.h"

struct sum {
    __int128 exact; /* x 10^-scale */
    int scale;
    bool is_rough; /* it did not hold: only `rough` counts */
    double rough;
    uint64_t n;
};
void sum_add(struct sum *s, const struct json *number);
void sum_write(const struct sum *s, struct json_writer *w);
void sum_write_mean(const struct sum *s, struct json_writer *w); /* null of none */
