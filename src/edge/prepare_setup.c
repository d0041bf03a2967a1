/* The setup of an app's release as a process: what it says, how it ends, that it was run.
 *
 *   setup_begin   it is started
 *   on_event      it has ended: what it made is noted, in a worker; or that it failed is told */
#include "edge/prepare_run_impl.h"

#include <errno.h>
#include <unistd.h>

#define GRACE_MS     10000
#define WAIT_MS      50
#define LINES_MAX    20000
#define LAST_MAX     700 /* of what it said at the end, told with its failure */
#define READS_AT_END 256 /* more than any pipe holds */

/* ---- what the setup says ------------------------------------------------------------------------
 */

static void keep_last(struct prepare *p, struct slice line)
{
    line = slice_first(line, LAST_MAX / 2);
    if (p->last.len + line.len + 1 > LAST_MAX)
        buf_consume(&p->last, p->last.len + line.len + 1 - LAST_MAX);
    if (p->last.len)
        buf_add_char(&p->last, '\n');
    buf_add(&p->last, line);
}

static void on_line(struct lines *l, struct slice line)
{
    struct prepare *p = container_of(l, struct prepare, lines);
    keep_last(p, line);
    if (p->n_lines++ < LINES_MAX)
        log_line(LOG_INFO, "setup", F_STR("app", p->app), F_STR("said", line));
    else if (p->n_lines == LINES_MAX + 1)
        log_line(LOG_WARN, "the setup says too much; the rest is not logged", F_STR("app", p->app));
}

/* Watches hold a reference each: they are closed at the end of the turn. */
static void on_output_closed(struct watch *w)
{
    prepare_unref(container_of(w, struct prepare, output));
}

static void on_events_closed(struct watch *w)
{
    prepare_unref(container_of(w, struct prepare, events));
}

/* False at the end of the pipe. */
static bool read_output(struct prepare *p, bool *ret_any)
{
    char bytes[16384];
    ssize_t n = read(p->output_fd, bytes, sizeof bytes);
    *ret_any = n > 0;
    if (n > 0)
        lines_add(&p->lines, (struct slice){bytes, (size_t)n});
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void close_output(struct prepare *p)
{
    if (!p->has_output)
        return;
    p->has_output = false;
    watch_close(&p->output, on_output_closed);
    close(p->output_fd);
    lines_end(&p->lines);
}

static void on_output(struct watch *w, int events)
{
    struct prepare *p = container_of(w, struct prepare, output);
    bool any;
    (void)events;
    if (!read_output(p, &any))
        close_output(p);
}

/* ---- the setup ----------------------------------------------------------------------------------
 */

static void remember(struct work *w)
{
    struct prepare *p = container_of(w, struct prepare, work);
    struct setup_options o = prepare_setup_options(p);
    p->looked =
        setup_remember(&o, p->now, buf_slice(&p->inputs), &p->error) ? LOOKED_READY : LOOKED_FAILED;
}

static void on_remembered(struct work *w, struct loop *l)
{
    struct prepare *p = container_of(w, struct prepare, work);
    (void)l;
    if (p->looked == LOOKED_FAILED) /* then it is run again next time */
        log_line(LOG_WARN, "that the setup was run cannot be noted", F_STR("app", p->app),
                 F_CSTR("why", p->error.msg));
    if (prepare_is_wanted(p))
        prepare_finish(p, true, "");
    else
        prepare_end_run(p);
}

static void end_process(struct prepare *p)
{
    watch_close(&p->events, on_events_closed);
    process_free(p->process);
    p->process = NULL;
    bool any = p->has_output;
    for (int i = 0; any && i < READS_AT_END; i++) /* what it said last is in the pipe */
        (void)read_output(p, &any);
    close_output(p);
}

void setup_tell_failure(struct prepare *p, struct slice why)
{
    log_line(LOG_ERROR, "the backend's setup failed; it is not started", F_STR("app", p->app),
             F_STR("why", why), F_STR("last", buf_slice(&p->last)),
             F_CSTR("next", "put it right, then `dais reload`"));
}

static void on_end(struct prepare *p, const struct process_event *ev)
{
    struct buf why;
    buf_init(&why, 400);
    if (ev->kind == EVENT_FAILED) {
        process_failed(p->process, ev, &p->error);
        buf_add_str(&why, p->error.msg);
    } else {
        process_ended_text(ev, &why);
    }
    end_process(p);
    if (!prepare_is_wanted(p)) {
        prepare_end_run(p);
    } else if (ev->kind == EVENT_ENDED && ev->exit_code == 0 && ev->reason == PROCESS_EXITED) {
        log_line(LOG_INFO, "the setup is done", F_STR("app", p->app),
                 F_INT("ms", ev->usage.wall_us / 1000));
        prepare_submit(p, remember, on_remembered);
    } else {
        setup_tell_failure(p, buf_slice(&why));
        prepare_finish(p, false, "its setup failed");
    }
    buf_done(&why);
}

static void on_event(struct watch *w, int events)
{
    struct prepare *p = container_of(w, struct prepare, events);
    struct process_event ev;
    (void)events;
    while (p->process && process_next(p->process, &ev) == PROCESS_EVENT) {
        if (ev.kind != EVENT_STARTED)
            on_end(p, &ev);
    }
}

static void watch_setup(struct prepare *p)
{
    struct err e;
    p->events.on_ready = on_event;
    must(watch_open(&p->events, prepare_home(p), process_fd(p->process), &e));
    prepare_ref(p);
    watch_want(&p->events, WATCH_READ);
    p->output_fd = process_stdio_take(p->process, 1);
    p->output.on_ready = on_output;
    p->has_output = p->output_fd >= 0 && watch_open(&p->output, prepare_home(p), p->output_fd, &e);
    if (p->has_output) {
        prepare_ref(p);
        watch_want(&p->output, WATCH_READ);
    } else if (p->output_fd >= 0) {
        close(p->output_fd);
    }
}

void setup_begin(struct prepare *p)
{
    const struct process_opts o = {
        .shell = p->command.ptr,
        .env = p->env,
        .cwd = p->dir,
        .out.kind = STDIO_PIPE,
        .err.kind = STDIO_STDOUT,
        .wall_ms = (uint64_t)p->timeout_ms,
        .grace_ms = GRACE_MS,
    };
    atomic_store(&p->state, PREPARE_SETTING_UP);
    log_line(LOG_INFO, "the setup begins", F_STR("app", p->app), F_STR("run", p->command),
             F_INT("timeout_s", p->timeout_ms / 1000));
    if (!spawner_is_lost(p->spawner) || spawner_reopen(p->spawner, &p->error))
        p->process = process_start(p->spawner, &o, &p->error);
    if (p->process) {
        watch_setup(p);
        return;
    }
    setup_tell_failure(p, slice_from(p->error.msg));
    prepare_finish(p, false, "its setup could not be started");
}

/* ---- its end, when nobody wants it --------------------------------------------------------------
 */

void setup_cancel(struct prepare *p)
{
    struct err ignored;
    if (p->process)
        process_cancel(p->process, GRACE_MS, &ignored);
}

/* What it says is read: a full pipe would hold it up. */
void setup_wait(struct prepare *p)
{
    struct process_event ev = {0};
    int64_t until = clock_mono_ms() + GRACE_MS + 2000;
    bool is_over = !p->process;
    while (!is_over && clock_mono_ms() < until) {
        enum process_next next = process_wait(p->process, WAIT_MS, &ev);
        bool any = p->has_output;
        for (int i = 0; any && i < READS_AT_END; i++)
            (void)read_output(p, &any);
        is_over = next == PROCESS_OVER || (next == PROCESS_EVENT && ev.kind != EVENT_STARTED);
    }
    if (!p->process)
        return;
    end_process(p);
    prepare_end_run(p);
}

/* ---- what it needs ------------------------------------------------------------------------------
 */

void setup_open(struct prepare *p)
{
    lines_init(&p->lines, &p->mask, on_line);
    buf_init(&p->last, LAST_MAX + 1);
    buf_init(&p->inputs, 256u << 10);
}

void setup_close(struct prepare *p)
{
    lines_done(&p->lines);
    buf_done(&p->last);
    buf_done(&p->inputs);
}
