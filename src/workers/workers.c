/* What the crews of all apps share: how many processes there may be, and an alarm clock. */
#include "workers/workers_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct workers *workers_new(struct loops *loops, struct spawner *spawner)
{
    struct workers *w = mem_new(struct workers);
    w->refs = 1;
    w->loops = loops;
    w->spawner = spawner;
    random_id(w->holder);
    list_init(&w->crews);
    return w;
}

void workers_free(struct workers *w)
{
    if (!w)
        return;
    must(list_is_empty(&w->crews));
    workers_unref(w);
}

void workers_ref(struct workers *w)
{
    atomic_fetch_add(&w->refs, 1);
}

void workers_unref(struct workers *w)
{
    if (atomic_fetch_sub(&w->refs, 1) == 1)
        free(w);
}

struct loop *workers_home(const struct workers *w)
{
    return loops_get(w->loops, 0);
}

/* ---- the alarm ----------------------------------------------------------------------------------
 * Notes leave within milliseconds; the loop's own timers are too coarse for that. */

struct alarm {
    struct watch watch;
    struct workers *workers;
    int fd;
    int64_t at_ms; /* 0: it is not set */
};

static void set_alarm(struct alarm *a, int64_t at_ms)
{
    const struct itimerspec when = {
        .it_value = {.tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000}};
    a->at_ms = at_ms;
    must(timerfd_settime(a->fd, TFD_TIMER_ABSTIME, &when, NULL) == 0);
}

static void on_alarm(struct watch *watch, int events)
{
    struct alarm *a = container_of(watch, struct alarm, watch);
    uint64_t times;
    (void)events;
    if (read(a->fd, &times, sizeof times) < 0 && errno == EAGAIN) /* it was set anew meanwhile */
        return;
    a->at_ms = 0;
    list_each_safe (link, &a->workers->crews)
        crew_go(container_of(link, struct crew, link));
}

static void open_alarm(struct workers *w)
{
    struct err e;
    struct alarm *a = mem_new(struct alarm);
    a->workers = w;
    a->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    a->watch.on_ready = on_alarm;
    must(a->fd >= 0 && watch_open(&a->watch, workers_home(w), a->fd, &e));
    watch_want(&a->watch, WATCH_READ);
    w->alarm = a;
}

static void on_alarm_closed(struct watch *watch)
{
    free(container_of(watch, struct alarm, watch));
}

static void close_alarm(struct workers *w)
{
    struct alarm *a = w->alarm;
    w->alarm = NULL;
    watch_close(&a->watch, on_alarm_closed);
    close(a->fd);
}

void workers_wake_at(struct workers *w, int64_t at_ms)
{
    struct alarm *a = w->alarm;
    if (a && (!a->at_ms || at_ms < a->at_ms))
        set_alarm(a, at_ms);
}

/* ---- crews --------------------------------------------------------------------------------------
 */

void workers_join(struct workers *w, struct crew *c)
{
    if (list_is_empty(&w->crews))
        open_alarm(w);
    list_add(&w->crews, &c->link);
    w->n_crews++;
}

void workers_leave(struct workers *w, struct crew *c)
{
    list_remove(&c->link);
    w->n_crews--;
    if (list_is_empty(&w->crews))
        close_alarm(w);
}

/* Never all at once when there are several, so that one with a long queue leaves some to others. */
unsigned workers_take(struct workers *w, struct crew *c)
{
    unsigned left = WORKERS_PROCESSES - w->processes;
    unsigned n = w->n_crews > 1 ? (left + 1) / 2 : left;
    c->is_starved = n == 0;
    w->processes += n;
    return n;
}

void workers_give_back(struct workers *w, unsigned n)
{
    must(n <= w->processes);
    w->processes -= n;
    if (!n)
        return;
    list_each (link, &w->crews) {
        struct crew *c = container_of(link, struct crew, link);
        if (!c->is_starved)
            continue;
        c->is_starved = false;
        c->wants_claim = true;
        workers_wake_at(w, clock_mono_ms());
    }
}
