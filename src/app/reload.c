/* Reading the manifests again while requests run; one reload after the other.
 *
 *   begin_next   a worker reads and opens everything
 *   on_read      backends that are new start beside the old, which go on serving
 *   on_look      all are ready: one swap on loop 0; one never will be, or too late: refused
 *   finish       whoever asked is told */
#include "app/app_impl.h"

#include "journal/journal.h"

#include <stdlib.h>

#define LOOK_MS 20

struct reload {
    struct work work;
    struct life *life;
    struct reload_ask *ask;
    struct host *next; /* NULL: errors */
    struct buf problems;
    struct timer timer;
};

void life_log_problems(enum log_level level, struct slice text)
{
    struct slice line;
    while (slice_cut(&text, '\n', &line)) {
        if (line.len)
            log_line(level, "manifest", F_STR("problem", line));
    }
}

/* ---- the end of one ---------------------------------------------------------------------------
 */

static void note_refusal(struct life *l, const struct err *e)
{
    if (atomic_load(&l->is_draining)) {
        log_line(LOG_WARN, "reload refused: the server is stopping");
        return;
    }
    atomic_fetch_add(&l->reload_failures, 1);
    if (e->code == ERR_MANIFEST)
        log_line(LOG_ERROR, "reload refused: the manifests have errors; the old ones go on");
    else
        log_line(LOG_ERROR, "reload refused", F_CSTR("why", e->msg));
}

/* NULL: it took effect. */
static void finish(struct reload *r, const struct err *e)
{
    struct life *l = r->life;
    timer_off(&r->timer);
    l->reload = NULL;
    if (e && r->next)
        service_unref(&r->next->service);
    if (e)
        note_refusal(l, e);
    r->ask->done(r->ask, e, buf_slice(&r->problems));
    buf_done(&r->problems);
    free(r);
}

static void set_stopping(struct err *e)
{
    err_set(e, ERR_UNAVAILABLE, "The server is stopping; nothing was reloaded.");
}

/* ---- the swap -----------------------------------------------------------------------------------
 */

static void swap(struct reload *r)
{
    struct life *l = r->life;
    struct host *old = l->host;
    host_start(r->next);
    service_ref(&r->next->service);
    server_replace(l->server, &r->next->service);
    l->host = r->next;
    host_stop(old);
    if (!operators_are_needed(old) && operators_are_needed(l->host))
        operators_greet_later(l->host, loops_get(l->loops, 0));
    backends_retire(old, l->host);
    service_unref(&old->service);
    atomic_fetch_add(&l->reloads, 1);
    log_line(LOG_INFO, "reloaded", F_INT("apps", l->host->n_apps));
    life_note(l, SLICE(""), &(struct event){.kind = EVENT_SERVER_RELOADED});
    finish(r, NULL);
}

static void begin_next(struct life *l);

/* Who stops takes no new host: nobody would stop that one. */
static void on_look(struct timer *t, struct loop *loop)
{
    struct reload *r = container_of(t, struct reload, timer);
    struct life *l = r->life;
    struct err e;
    enum backend_state state = backends_trial(r->next, &e);
    bool is_draining = atomic_load(&l->is_draining);
    if (is_draining)
        set_stopping(&e);
    if (!is_draining && state == BACKEND_READY) {
        swap(r);
    } else if (!is_draining && state == BACKEND_STARTING) {
        timer_set(t, loop, LOOK_MS);
        return;
    } else {
        finish(r, &e);
    }
    begin_next(l);
}

/* ---- reading ------------------------------------------------------------------------------------
 */

static void read_again(struct work *w)
{
    struct reload *r = container_of(w, struct reload, work);
    struct life *l = r->life;
    struct err e;
    log_reopen(); /* errors or not: whoever renamed the file waits for a new one */
    r->next = host_try(&l->options, &r->problems);
    life_log_problems(r->next ? LOG_WARN : LOG_ERROR, buf_slice(&r->problems));
    if (r->next && !(tokens_open(r->next, &e) && stores_open(r->next, l, &e) &&
                     identity_is_safe(r->next, l, &e) && jobs_have_place(r->next, &e))) {
        buf_printf(&r->problems, "%s\n", e.msg);
        log_line(LOG_ERROR, "manifest", F_CSTR("problem", e.msg));
        service_unref(&r->next->service);
        r->next = NULL;
    }
    if (!r->next)
        return;
    r->next->renews_backends = r->ask->renews_backends;
    host_open(r->next, l, l->loops, &l->budgets[(atomic_load(&l->reloads) + 1) % 2]);
}

static void on_read(struct work *w, struct loop *home)
{
    struct reload *r = container_of(w, struct reload, work);
    struct life *l = r->life;
    struct err e;
    if (r->next && !atomic_load(&l->is_draining)) {
        backends_start(r->next);
        r->timer.fn = on_look;
        on_look(&r->timer, home);
        return;
    }
    if (r->next)
        set_stopping(&e);
    else
        err_set(&e, ERR_MANIFEST, "the manifests have errors; the old ones go on");
    finish(r, &e);
    begin_next(l);
}

static void begin_next(struct life *l)
{
    struct list *link;
    struct err e;
    while (!l->reload && (link = list_pop(&l->asks))) {
        struct reload *r = mem_new(struct reload);
        r->life = l;
        r->ask = container_of(link, struct reload_ask, link);
        r->work = (struct work){.run = read_again, .done = on_read};
        buf_init(&r->problems, PROBLEM_BYTES);
        l->reload = r;
        if (atomic_load(&l->is_draining))
            set_stopping(&e);
        else if (lane_submit(loops_get(l->loops, 0), LANE_SLOW, &r->work))
            return;
        else
            err_set(&e, ERR_UNAVAILABLE, "Too much work is waiting; nothing was reloaded.");
        finish(r, &e);
    }
}

void life_reload(struct life *l, struct reload_ask *ask)
{
    list_add(&l->asks, &ask->link);
    begin_next(l);
}

void life_reload_end(struct life *l)
{
    struct err e;
    set_stopping(&e);
    atomic_store(&l->is_draining, true); /* nothing begins any more */
    if (l->reload)
        finish(l->reload, &e);
    begin_next(l);
}

static void on_hangup_done(struct reload_ask *ask, const struct err *e, struct slice problems)
{
    (void)e;
    (void)problems;
    free(ask);
}

void life_hangup(struct life *l)
{
    struct reload_ask *ask = mem_new(struct reload_ask);
    ask->done = on_hangup_done;
    life_reload(l, ask);
}
