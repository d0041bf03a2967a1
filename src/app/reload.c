/* Reading the manifests again while requests run: in a worker, then one swap on loop 0. */
#include "app/app_impl.h"

#include <stdlib.h>

void life_log_problems(enum log_level level, struct slice text)
{
    struct slice line;
    while (slice_cut(&text, '\n', &line)) {
        if (line.len)
            log_line(level, "manifest", F_STR("problem", line));
    }
}

struct swap {
    struct life *life;
    struct host *next;
    bool fine;
};

/* Who stops takes no new host: nobody would stop that one. */
static void swap_here(struct loop *loop, void *arg)
{
    struct swap *s = arg;
    struct life *l = s->life;
    if (loop_index(loop) != 0 || atomic_load(&l->is_draining))
        return;
    struct host *old = l->host;
    host_start(s->next);
    service_ref(&s->next->service);
    server_replace(l->server, &s->next->service);
    l->host = s->next;
    host_stop(old);
    service_unref(&old->service);
    atomic_fetch_add(&l->reloads, 1);
    s->fine = true;
}

static bool read_again(struct life *l, struct buf *problems)
{
    log_reopen(); /* errors or not: whoever renamed the file waits for a new one */
    struct host *h = host_try(&l->options, problems);
    if (!h) {
        atomic_fetch_add(&l->reload_failures, 1);
        life_log_problems(LOG_ERROR, buf_slice(problems));
        log_line(LOG_ERROR, "reload refused: the manifests have errors; the old ones go on");
        return false;
    }
    life_log_problems(LOG_WARN, buf_slice(problems));
    struct err e;
    if (!tokens_open(h, &e)) {
        atomic_fetch_add(&l->reload_failures, 1);
        log_line(LOG_ERROR, "reload refused: the old host goes on", F_CSTR("why", e.msg));
        buf_printf(problems, "%s\n", e.msg);
        service_unref(&h->service);
        return false;
    }
    struct swap s = {.life = l, .next = h};
    size_t n_apps = h->n_apps;
    host_open(h, l, l->loops, &l->budgets[(atomic_load(&l->reloads) + 1) % 2]);
    loops_visit(l->loops, swap_here, &s);
    if (s.fine) {
        log_line(LOG_INFO, "reloaded", F_INT("apps", n_apps));
        return true;
    }
    log_line(LOG_WARN, "reload refused: the server is stopping");
    service_unref(&h->service);
    return false;
}

bool life_reload(struct life *l, struct buf *problems)
{
    pthread_mutex_lock(&l->reloading);
    bool fine = read_again(l, problems);
    pthread_mutex_unlock(&l->reloading);
    return fine;
}

struct hangup {
    struct work work;
    struct life *life;
};

static void on_hangup_run(struct work *w)
{
    struct buf problems;
    buf_init(&problems, PROBLEM_BYTES);
    (void)life_reload(container_of(w, struct hangup, work)->life, &problems);
    buf_done(&problems);
}

static void on_hangup_done(struct work *w, struct loop *home)
{
    (void)home;
    free(container_of(w, struct hangup, work));
}

void life_hangup(struct life *l)
{
    struct hangup *h = mem_new(struct hangup);
    *h = (struct hangup){.work = {.run = on_hangup_run, .done = on_hangup_done}, .life = l};
    if (lane_submit(loops_get(l->loops, 0), LANE_SLOW, &h->work))
        return;
    log_line(LOG_WARN, "reload refused: too much work is waiting");
    free(h);
}
