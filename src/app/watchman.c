/* Looks once a second whether the sessions of open streams live on: others end them, too. It goes
 * on while the server drains, which may take streams as long as they are allowed. */
#include "app/app_impl.h"

#include <stdlib.h>

#define LOOK_MS 1000

struct watchman {
    struct life *life;
    struct timer timer;
    struct work work;
};

static void run(struct work *w)
{
    const struct watchman *m = container_of(w, struct watchman, work);
    databases_look_at_streams(m->life);
}

static void done(struct work *w, struct loop *home)
{
    struct watchman *m = container_of(w, struct watchman, work);
    timer_set(&m->timer, home, LOOK_MS);
}

static void on_time(struct timer *t, struct loop *l)
{
    struct watchman *m = container_of(t, struct watchman, timer);
    m->work = (struct work){.run = run, .done = done};
    if (!databases_have_streams(m->life) || !lane_submit(l, LANE_READ, &m->work))
        timer_set(t, l, LOOK_MS);
}

void watchman_start(struct life *l)
{
    struct watchman *m = mem_new(struct watchman);
    m->life = l;
    m->timer.fn = on_time;
    l->watchman = m;
    timer_set(&m->timer, loops_get(l->loops, 0), LOOK_MS);
}

void watchman_stop(struct life *l)
{
    if (!l->watchman)
        return;
    timer_off(&l->watchman->timer);
    free(l->watchman);
    l->watchman = NULL;
}
