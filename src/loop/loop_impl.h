/* The inside of a loop, shared by the files of this room. */
#pragma once
#include "loop/loop.h"

#include <pthread.h>
#include <stdatomic.h>

#define WHEEL_SLOTS   512
#define WHEEL_STEP_MS 64

struct wheel {
    struct list slots[WHEEL_SLOTS];
    int64_t looked_ms; /* every slot up to here has been looked at */
    int64_t armed_ms;  /* when the libuv timer fires; 0 = off */
    uv_timer_t alarm;
};

struct lag_clock {
    uint64_t now_ns, slept_ns; /* at the last sleep */
};

struct retired {
    void (*fn)(void *);
    void *arg;
};

struct loop {
    uv_loop_t uv;
    unsigned index;
    struct loops *all;
    pthread_t thread;
    uv_prepare_t before_sleep;
    uv_async_t wake;
    struct list ticks;
    struct retired *retired;
    size_t n_retired, cap_retired;
    struct wheel wheel;
    struct buf log;
    pthread_mutex_t posts_lock;
    struct list posts;
    int64_t wall_s, wall_at_ms;
    struct lag_clock lag_clock;
    struct loop_lag lag;
};

struct lanes;

struct loops {
    struct loop **loops;
    unsigned n;
    _Atomic bool stopping, running;
    struct lanes *lanes;
};

void lag_count(struct loop *l);
void wheel_init(struct loop *l);
void wheel_done(struct loop *l);
