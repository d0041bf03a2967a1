/* Keeping one process: start, note how it ends, start it again, end it.
 *
 *   instance_begin    the process is started; health_begin looks when it is ready
 *   on_event          it ended: again, after a pause that doubles while it keeps ending
 *   instance_stop     nobody wants it any more */
#include "edge/backend_impl.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define PAUSE_MIN_MS   100
#define PAUSE_MAX_MS   10000
#define STEADY_MS      10000 /* who lived this long starts again at once */
#define ENDS_TILL_SAID 5     /* quick ends in a row: requests wait no longer */
#define UNWELL_MS      5000  /* from SIGTERM to SIGKILL for one that fails its health checks */
#define AGAIN_MS       20

/* In doubt for longer each time it ends soon after its start. */
static uint32_t pause_ms(const struct instance *i)
{
    if (i->failures == 0)
        return 0;
    unsigned doublings = i->failures > 7 ? 7 : i->failures - 1;
    uint32_t ms = PAUSE_MIN_MS << doublings;
    return ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS;
}

/* ---- its end ------------------------------------------------------------------------------------
 */

static void on_events_closed(struct watch *w)
{
    instance_watch_closed(container_of(w, struct instance, events));
}

static void end_process(struct instance *i, enum backend_state state)
{
    atomic_store(&i->state, (int)state);
    health_stop(i);
    timer_off(&i->timer);
    if (!i->process)
        return;
    watch_close(&i->events, on_events_closed);
    process_free(i->process);
    i->process = NULL;
    i->pid = 0;
    output_close(i);
}

/* Nobody needs it any more; memory may be gone after this. */
static void end_for_good(struct instance *i)
{
    end_process(i, BACKEND_ENDED);
    backend_gone(i->of);
}

static void begin_again(struct instance *i, const char *why)
{
    bool was_steady = i->was_ready && loop_now_ms(backend_home(i->of)) - i->begun_ms >= STEADY_MS;
    i->failures = was_steady ? 0 : i->failures + 1;
    i->ends++;
    snprintf(i->last_end, sizeof i->last_end, "%s", why);
    bool keeps_ending = i->failures >= ENDS_TILL_SAID;
    end_process(i, keeps_ending ? BACKEND_FAILING : BACKEND_STARTING);
    uint32_t ms = pause_ms(i);
    log_line(keeps_ending ? LOG_ERROR : LOG_WARN,
             keeps_ending ? "the backend keeps ending" : "the backend ended",
             F_STR("app", i->of->app), F_INT("instance", i->number), F_CSTR("why", why),
             F_INT("again_in_ms", ms));
    if (i->of->ended)
        i->of->ended(i->of->user, i->of->app, i->number, why);
    timer_set(&i->timer, backend_home(i->of), ms);
}

static void on_end(struct instance *i, const struct process_event *ev)
{
    struct err e = {0};
    struct buf text;
    if (i->is_stopping || i->of->is_retired) {
        end_for_good(i);
        return;
    }
    if (ev->kind == EVENT_FAILED) {
        process_failed(i->process, ev, &e);
        begin_again(i, e.msg);
        return;
    }
    buf_init(&text, 300);
    process_ended_text(ev, &text);
    buf_add_char(&text, '\0');
    begin_again(i, text.data);
    buf_done(&text);
}

static void on_event(struct watch *w, int events)
{
    struct instance *i = container_of(w, struct instance, events);
    struct process_event ev;
    (void)events;
    while (i->process && process_next(i->process, &ev) == PROCESS_EVENT) {
        if (ev.kind == EVENT_STARTED) {
            i->pid = ev.pid;
            continue;
        }
        on_end(i, &ev);
        return; /* it may be gone */
    }
}

void instance_restart(struct instance *i)
{
    struct err ignored;
    health_stop(i);
    timer_off(&i->timer);
    atomic_store(&i->state, BACKEND_ENDING);
    process_cancel(i->process, UNWELL_MS, &ignored);
}

/* ---- its start ----------------------------------------------------------------------------------
 */

static void on_timer(struct timer *t, struct loop *l)
{
    struct instance *i = container_of(t, struct instance, timer);
    (void)l;
    if (i->of->is_retired) /* it only has to end */
        health_stop(i);
    else if (i->of->is_ours && !i->process)
        instance_begin(i);
    else
        health_on_timer(i);
}

static void watch_process(struct instance *i)
{
    struct err e;
    i->events.on_ready = on_event;
    must(watch_open(&i->events, backend_home(i->of), process_fd(i->process), &e));
    i->open_watches++;
    watch_want(&i->events, WATCH_READ);
    output_open(i, process_stdio_take(i->process, 1));
}

static bool start_process(struct instance *i, struct err *e)
{
    const struct backend *b = i->of;
    const struct process_opts o = {
        .shell = b->run.ptr,
        .env = i->env,
        .cwd = b->dir.ptr,
        .out.kind = STDIO_PIPE,
        .err.kind = STDIO_STDOUT,
        .memory_bytes = (uint64_t)b->memory_bytes,
    };
    if (i->address.path[0])
        unlink(i->address.path);
    if (spawner_is_lost(b->spawner) && !spawner_reopen(b->spawner, e))
        return false;
    i->process = process_start(b->spawner, &o, e);
    return i->process;
}

void instance_begin(struct instance *i)
{
    struct err e = {0};
    i->timer.fn = on_timer;
    if (i->open_watches) { /* of the last one: they close at the end of the turn */
        timer_set(&i->timer, backend_home(i->of), AGAIN_MS);
        return;
    }
    i->begun_ms = loop_now_ms(backend_home(i->of));
    i->was_ready = false;
    if (i->of->is_ours) {
        if (!start_process(i, &e)) {
            begin_again(i, e.msg);
            return;
        }
        watch_process(i);
    }
    health_begin(i);
}

/* ---- nobody wants it any more -------------------------------------------------------------------
 */

void instance_stop(struct instance *i)
{
    struct err ignored;
    if (i->is_stopping)
        return;
    i->is_stopping = true;
    health_stop(i);
    timer_off(&i->timer);
    atomic_store(&i->state, BACKEND_ENDING);
    if (!i->process || !process_cancel(i->process, GRACE_MS, &ignored))
        end_process(i, BACKEND_ENDED);
}

/* What all of them say as they end is read: a full pipe would hold one up. */
static void read_outputs(const struct backend *b)
{
    list_each (link, b->all) {
        struct backend *other = container_of(link, struct backend, link);
        for (unsigned k = 0; k < other->n; k++)
            output_read(&other->instances[k]);
    }
}

void instance_wait(struct instance *i)
{
    struct process_event ev = {0};
    int64_t until = clock_mono_ms() + GRACE_MS + 2000;
    while (i->process && clock_mono_ms() < until) {
        struct pollfd fds[2] = {{.fd = process_fd(i->process), .events = POLLIN},
                                {.fd = i->output.is_open ? i->output.fd : -1, .events = POLLIN}};
        poll(fds, 2, 50);
        read_outputs(i->of);
        enum process_next next;
        while ((next = process_next(i->process, &ev)) == PROCESS_EVENT && ev.kind == EVENT_STARTED)
            continue;
        if (next != PROCESS_WAIT)
            break;
    }
    end_process(i, BACKEND_ENDED);
}
