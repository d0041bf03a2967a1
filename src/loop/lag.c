/* How long a loop was busy between two sleeps: the longest that an event may have had to wait. */
#include "loop/loop_impl.h"

const uint32_t lag_bounds_us[LAG_BUCKETS] = {100, 500, 1000, 2500, 5000, 10000, 50000, 250000};

/* Called last before every sleep. The time since the previous call, less what was slept. */
void lag_count(struct loop *l)
{
    struct lag_clock *clock = &l->lag_clock;
    uint64_t now_ns = uv_hrtime(), slept_ns = uv_metrics_idle_time(&l->uv);
    uint64_t busy_us = (now_ns - clock->now_ns - (slept_ns - clock->slept_ns)) / 1000;
    bool is_first = clock->now_ns == 0;
    *clock = (struct lag_clock){now_ns, slept_ns};
    if (is_first)
        return;
    int bucket = 0;
    while (bucket < LAG_BUCKETS && busy_us > lag_bounds_us[bucket])
        bucket++;
    l->lag.buckets[bucket]++;
    l->lag.sum_us += busy_us;
}

static void add_lag(struct loop *l, void *arg)
{
    struct loop_lag *sum = arg;
    for (int i = 0; i <= LAG_BUCKETS; i++)
        sum->buckets[i] += l->lag.buckets[i];
    sum->sum_us += l->lag.sum_us;
}

void loops_lag(struct loops *ls, struct loop_lag *ret)
{
    *ret = (struct loop_lag){0};
    loops_visit(ls, add_lag, ret);
}
