/* Looks after the databases while the server runs: once a second, and at once while there is more
 * to do, one bit of work on a lane. */
#include "app/app_impl.h"

#include <stdlib.h>

#define LOOK_MS 1000

struct keeper {
    struct life *life;
    struct timer timer;
    struct work work;
    struct host *host; /* while it works; held */
    bool has_more;
    struct leavers leavers;
};

static struct docs *next_to_tend(const struct host *h)
{
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < h->n_apps; i++) {
        struct docs *d = h->apps[i].docs;
        if (d && docs_wants_tending(d, now) && docs_enter(d))
            return d;
    }
    return NULL;
}

static void run(struct work *w)
{
    struct keeper *k = container_of(w, struct keeper, work);
    limits_tick(k->host);
    struct docs *d = next_to_tend(k->host);
    k->has_more = databases_tend_events(k->life);
    k->has_more |= d && docs_tend(d);
    k->has_more |= leavers_tend(k->host, &k->leavers);
    if (d)
        docs_leave_quietly(d);
    else
        databases_tidy(k->life);
}

static void look(struct keeper *k, struct loop *l);

static void done(struct work *w, struct loop *home)
{
    struct keeper *k = container_of(w, struct keeper, work);
    service_unref(&k->host->service);
    k->host = NULL;
    if (k->has_more)
        look(k, home);
    else if (!atomic_load(&k->life->is_draining))
        timer_set(&k->timer, home, LOOK_MS);
}

static void look(struct keeper *k, struct loop *l)
{
    if (atomic_load(&k->life->is_draining))
        return;
    k->work = (struct work){.run = run, .done = done};
    k->host = k->life->host;
    service_ref(&k->host->service);
    if (lane_submit(l, LANE_SLOW, &k->work))
        return;
    service_unref(&k->host->service);
    k->host = NULL;
    timer_set(&k->timer, l, LOOK_MS);
}

static void on_time(struct timer *t, struct loop *l)
{
    struct keeper *k = container_of(t, struct keeper, timer);
    if (databases_any(k->life))
        look(k, l);
    else /* a reload may bring one */
        timer_set(&k->timer, l, LOOK_MS);
}

void keeper_start(struct life *l)
{
    struct keeper *k = mem_new(struct keeper);
    k->life = l;
    k->timer.fn = on_time;
    l->keeper = k;
    timer_set(&k->timer, loops_get(l->loops, 0), LOOK_MS);
}

void keeper_stop(struct life *l)
{
    if (!l->keeper)
        return;
    timer_off(&l->keeper->timer);
    free(l->keeper);
    l->keeper = NULL;
}
