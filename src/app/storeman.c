/* Looks after the stores of files while the server runs: once a second, and at once while there is
 * more to do, one bit of work; and from time to time they are asked whether they are there, which
 * /readyz tells. A store that keeps it waiting keeps nothing else of ours, and on a lane of its own
 * it waits behind nobody whom the store keeps waiting. */
#include "app/app_impl.h"

#include <stdlib.h>

#define LOOK_MS 1000

struct storeman {
    struct life *life;
    struct timer timer;
    struct work work;
    struct host *host; /* while it works; held */
    bool has_more;
};

static void run(struct work *w)
{
    struct storeman *m = container_of(w, struct storeman, work);
    stores_ask(m->host);
    m->has_more = stores_tend(m->host);
}

static void look(struct storeman *m, struct loop *l);

static void done(struct work *w, struct loop *home)
{
    struct storeman *m = container_of(w, struct storeman, work);
    service_unref(&m->host->service);
    m->host = NULL;
    if (m->has_more)
        look(m, home);
    else if (!atomic_load(&m->life->is_draining))
        timer_set(&m->timer, home, LOOK_MS);
}

static bool has_stores(const struct host *h)
{
    for (size_t i = 0; i < h->n_apps; i++) {
        if (h->apps[i].files)
            return true;
    }
    return false;
}

static void look(struct storeman *m, struct loop *l)
{
    if (atomic_load(&m->life->is_draining))
        return;
    m->work = (struct work){.run = run, .done = done};
    m->host = m->life->host;
    service_ref(&m->host->service);
    if (has_stores(m->host) && lane_submit(l, LANE_TEND, &m->work))
        return;
    service_unref(&m->host->service);
    m->host = NULL;
    timer_set(&m->timer, l, LOOK_MS);
}

static void on_time(struct timer *t, struct loop *l)
{
    look(container_of(t, struct storeman, timer), l);
}

void storeman_start(struct life *l)
{
    struct storeman *m = mem_new(struct storeman);
    m->life = l;
    m->timer.fn = on_time;
    l->storeman = m;
    timer_set(&m->timer, loops_get(l->loops, 0), LOOK_MS);
}

void storeman_stop(struct life *l)
{
    if (!l->storeman)
        return;
    timer_off(&l->storeman->timer);
    free(l->storeman);
    l->storeman = NULL;
}
