/* The steps before a backend's first start, one after the other.
 *
 *   look        in a worker: packages, persisted paths, has the setup been run?
 *   on_looked   somebody else is at it: again soon; nothing left to do; or the setup runs
 *   on_event    it has ended: what it made is noted, in a worker; or that it failed is told
 *   finish      whoever waits is called, unless he has gone */
#include "edge/prepare_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_MS      100
#define GRACE_MS     10000
#define SAID_MAX     8192 /* longer lines are logged in pieces */
#define LINES_MAX    20000
#define LAST_MAX     700 /* of what it said at the end, told with its failure */
#define ENV_MAX      256
#define READS_AT_END 256 /* more than any pipe holds */

enum looked { LOOKED_BUSY, LOOKED_FAILED, LOOKED_READY, LOOKED_SETUP };

struct prepare {
    _Atomic int refs;
    _Atomic int state;
    struct arena arena; /* all text below */
    struct slice app, command;
    const char *dir, *data_dir; /* real paths */
    struct texts packages, persist;
    int64_t timeout_ms;
    bool is_running;
    const char **env;
    struct mask mask;
    struct loops *loops;
    struct spawner *spawner;
    struct patience patience;
    char digest[SHA256_HEX_LEN + 1]; /* when it was made; never changes */

    /* of the run: a worker's or loop 0's, never both at a time */
    struct work work;
    struct timer timer; /* until whoever has the lock has gone */
    int lock_fd;
    enum looked looked;
    struct err error;
    const char *step;             /* that failed, in a few words */
    char now[SHA256_HEX_LEN + 1]; /* the digest with the lock held */
    struct buf inputs;            /* files that counted before the setup */

    /* loop 0 only */
    void (*prepared)(void *user, bool ok, const char *why);
    void *user;
    struct process *process;
    struct watch events, output;
    int output_fd;
    bool has_output;
    struct buf said, last; /* a line that is not whole yet; the last ones, masked */
    unsigned n_lines;
};

static struct loop *home(const struct prepare *p)
{
    return loops_get(p->loops, 0);
}

static struct setup_options setup_of(const struct prepare *p)
{
    return (struct setup_options){.command = p->command,
                                  .dir = p->dir,
                                  .data_dir = p->data_dir,
                                  .app = p->app.ptr,
                                  .persist = &p->persist};
}

/* ---- the end of a run ---------------------------------------------------------------------------
 */

static void unlock(struct prepare *p)
{
    if (p->lock_fd >= 0)
        close(p->lock_fd);
    p->lock_fd = -1;
}

/* The run's own reference goes. */
static void end_run(struct prepare *p)
{
    unlock(p);
    prepare_unref(p);
}

static void finish(struct prepare *p, bool ok, const char *why)
{
    atomic_store(&p->state, ok ? PREPARE_DONE : PREPARE_FAILED);
    unlock(p);
    if (p->prepared)
        p->prepared(p->user, ok, why);
    end_run(p);
}

static bool is_wanted(const struct prepare *p)
{
    return loop_is_here(home(p)) && !atomic_load(&p->patience.is_stopped);
}

static bool submit(struct prepare *p, void (*run)(struct work *w),
                   void (*done)(struct work *w, struct loop *l))
{
    p->work = (struct work){.run = run, .done = done};
    if (lane_submit(home(p), LANE_SLOW, &p->work))
        return true;
    finish(p, false, "too much work is waiting");
    return false;
}

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

static void log_line_of(struct prepare *p, struct slice line)
{
    line = slice_trim(line);
    if (!line.len)
        return;
    keep_last(p, line);
    if (p->n_lines++ < LINES_MAX)
        log_line(LOG_INFO, "setup", F_STR("app", p->app), F_STR("said", line));
    else if (p->n_lines == LINES_MAX + 1)
        log_line(LOG_WARN, "the setup says too much; the rest is not logged", F_STR("app", p->app));
}

/* A piece without an end keeps back what may be the start of a secret. */
static void log_said(struct prepare *p, bool is_whole)
{
    struct buf shown;
    buf_init(&shown, 4 * SAID_MAX);
    buf_consume(&p->said, mask_add(&p->mask, buf_slice(&p->said), is_whole, &shown));
    log_line_of(p, buf_slice(&shown));
    buf_done(&shown);
    if (p->said.len == SAID_MAX) /* a secret as long as that is no line of a log */
        buf_clear(&p->said);
}

static void take_output(struct prepare *p, struct slice bytes)
{
    while (bytes.len) {
        ptrdiff_t end = slice_index(bytes, '\n');
        size_t room = SAID_MAX - p->said.len;
        size_t n = end < 0 ? bytes.len : (size_t)end + 1;
        n = n < room ? n : room;
        buf_add(&p->said, slice_first(bytes, n));
        bytes = slice_skip(bytes, n);
        bool is_whole = p->said.data[p->said.len - 1] == '\n';
        if (is_whole || p->said.len == SAID_MAX)
            log_said(p, is_whole);
    }
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
        take_output(p, (struct slice){bytes, (size_t)n});
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void close_output(struct prepare *p)
{
    if (!p->has_output)
        return;
    p->has_output = false;
    watch_close(&p->output, on_output_closed);
    close(p->output_fd);
    log_said(p, true);
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
    struct setup_options o = setup_of(p);
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
    if (is_wanted(p))
        finish(p, true, "");
    else
        end_run(p);
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

static void tell_failure(struct prepare *p, struct slice why)
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
    if (!is_wanted(p)) {
        end_run(p);
    } else if (ev->kind == EVENT_ENDED && ev->exit_code == 0 && ev->reason == PROCESS_EXITED) {
        log_line(LOG_INFO, "the setup is done", F_STR("app", p->app),
                 F_INT("ms", ev->usage.wall_us / 1000));
        (void)submit(p, remember, on_remembered);
    } else {
        tell_failure(p, buf_slice(&why));
        finish(p, false, "its setup failed");
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
    must(watch_open(&p->events, home(p), process_fd(p->process), &e));
    prepare_ref(p);
    watch_want(&p->events, WATCH_READ);
    p->output_fd = process_stdio_take(p->process, 1);
    p->output.on_ready = on_output;
    p->has_output = p->output_fd >= 0 && watch_open(&p->output, home(p), p->output_fd, &e);
    if (p->has_output) {
        prepare_ref(p);
        watch_want(&p->output, WATCH_READ);
    } else if (p->output_fd >= 0) {
        close(p->output_fd);
    }
}

static void begin_setup(struct prepare *p)
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
    tell_failure(p, slice_from(p->error.msg));
    finish(p, false, "its setup could not be started");
}

/* ---- looking ------------------------------------------------------------------------------------
 */

/* One at a time for an app: a reload may have another one at work on the same folder. */
static bool take_lock(struct prepare *p, bool *ret_busy)
{
    char path[4096];
    *ret_busy = false;
    snprintf(path, sizeof path, "%s/apps/%.*s", p->data_dir, SLICE_ARGS(p->app));
    if (!folders_make(path, 0700, &p->error))
        return false;
    snprintf(path, sizeof path, "%s/apps/%.*s/prepare.lock", p->data_dir, SLICE_ARGS(p->app));
    p->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (p->lock_fd < 0)
        return err_set_sys(&p->error, ERR_IO, "opening %s failed", path);
    if (flock(p->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    *ret_busy = errno == EWOULDBLOCK || errno == EINTR;
    err_set_sys(&p->error, ERR_IO, "locking %s failed", path);
    unlock(p);
    return false;
}

static bool look_for_packages(struct prepare *p)
{
    struct buf missing;
    if (!p->packages.n)
        return true;
    buf_init(&missing, 64u << 10);
    enum packages found = packages_look(p->spawner, &p->packages, &missing);
    struct slice names = buf_slice(&missing);
    if (found == PACKAGES_MISSING) {
        struct slice line =
            arena_printf(&p->arena, "sudo apt-get install -y %.*s", SLICE_ARGS(names));
        log_line(LOG_ERROR, "the backend needs packages; it is not started", F_STR("app", p->app),
                 F_STR("install", line), F_CSTR("next", "install them, then `dais reload`"));
        err_set(&p->error, ERR_UNAVAILABLE, "packages are missing");
    } else if (found == PACKAGES_UNKNOWN) {
        log_line(LOG_WARN, "packages the backend needs cannot be looked up here, without dpkg",
                 F_STR("app", p->app), F_STR("packages", names));
    }
    buf_done(&missing);
    return found != PACKAGES_MISSING;
}

static bool link_persisted(struct prepare *p)
{
    struct buf release;
    bool fine = true;
    buf_init(&release, 100);
    release_identity(p->dir, &release);
    for (size_t i = 0; fine && i < p->persist.n; i++) {
        const struct persist_options o = {.app = p->app.ptr,
                                          .dir = p->dir,
                                          .data_dir = p->data_dir,
                                          .release = release.data,
                                          .path = p->persist.items[i].s,
                                          .is_running = p->is_running,
                                          .patience = &p->patience};
        fine = persist_one(&o, &p->error);
        if (!fine)
            log_line(LOG_ERROR, "what the backend persists is not in its place; it is not started",
                     F_STR("app", p->app), F_STR("path", o.path), F_CSTR("why", p->error.msg),
                     F_CSTR("next", "put it right, then `dais reload`"));
    }
    buf_done(&release);
    return fine;
}

static enum looked look_for_setup(struct prepare *p)
{
    struct setup_options o = setup_of(p);
    if (!p->command.len)
        return LOOKED_READY;
    setup_digest(&o, p->now);
    if (setup_is_done(&o, p->now))
        return LOOKED_READY;
    buf_clear(&p->inputs);
    setup_inputs(&o, &p->inputs);
    if (setup_forget(&o, &p->error))
        return LOOKED_SETUP;
    tell_failure(p, slice_from(p->error.msg));
    return LOOKED_FAILED;
}

static void look(struct work *w)
{
    struct prepare *p = container_of(w, struct prepare, work);
    bool is_busy;
    if (!take_lock(p, &is_busy)) {
        p->looked = is_busy ? LOOKED_BUSY : LOOKED_FAILED;
        p->step = "it cannot be prepared";
        if (!is_busy)
            log_line(LOG_ERROR, "the backend cannot be prepared", F_STR("app", p->app),
                     F_CSTR("why", p->error.msg));
        return;
    }
    p->looked = LOOKED_FAILED;
    p->step = "packages it needs are missing";
    if (!look_for_packages(p))
        return;
    p->step = "what it persists is not in its place";
    if (!link_persisted(p))
        return;
    p->step = "its setup cannot be run";
    p->looked = look_for_setup(p);
}

static void on_looked(struct work *w, struct loop *l)
{
    struct prepare *p = container_of(w, struct prepare, work);
    if (!is_wanted(p)) {
        end_run(p);
        return;
    }
    switch (p->looked) {
    case LOOKED_BUSY:
        timer_set(&p->timer, l, BUSY_MS);
        break;
    case LOOKED_FAILED:
        finish(p, false, p->step);
        break;
    case LOOKED_READY:
        finish(p, true, "");
        break;
    case LOOKED_SETUP:
        begin_setup(p);
        break;
    }
}

static void begin_look(struct prepare *p)
{
    atomic_store(&p->state, PREPARE_LOOKING);
    (void)submit(p, look, on_looked);
}

static void on_timer(struct timer *t, struct loop *l)
{
    (void)l;
    begin_look(container_of(t, struct prepare, timer));
}

void prepare_begin(struct prepare *p, void (*prepared)(void *user, bool ok, const char *why),
                   void *user)
{
    must(atomic_load(&p->state) == PREPARE_IDLE);
    if (!p->packages.n && !p->persist.n && !p->command.len) {
        atomic_store(&p->state, PREPARE_DONE);
        prepared(user, true, "");
        return;
    }
    p->prepared = prepared;
    p->user = user;
    prepare_ref(p);
    begin_look(p);
}

/* After the loops have ended nobody else is left to wait for the setup's end. */
static void wait_for_end(struct prepare *p)
{
    struct process_event ev = {0};
    while (ev.kind != EVENT_ENDED && ev.kind != EVENT_FAILED &&
           process_wait(p->process, GRACE_MS + 2000, &ev) == PROCESS_EVENT)
        continue;
    end_process(p);
    end_run(p);
}

void prepare_end(struct prepare *p)
{
    struct err ignored;
    if (atomic_exchange(&p->patience.is_stopped, true))
        return;
    p->prepared = NULL;
    if (prepare_state(p) != PREPARE_DONE)
        atomic_store(&p->state, PREPARE_FAILED);
    if (list_is_linked(&p->timer.link)) {
        timer_off(&p->timer);
        end_run(p);
    }
    if (!p->process)
        return;
    process_cancel(p->process, GRACE_MS, &ignored);
    if (!loop_is_here(home(p)))
        wait_for_end(p);
}

/* ---- making -------------------------------------------------------------------------------------
 */

static struct texts copy_texts(struct arena *a, const struct texts *from)
{
    struct texts to = {.n = from->n};
    to.items = arena_zalloc(a, from->n * sizeof *to.items);
    for (size_t i = 0; i < from->n; i++)
        to.items[i].s = arena_dup(a, from->items[i].s);
    return to;
}

static const char *real_path(struct arena *a, const char *path)
{
    char *real = realpath(path, NULL);
    const char *kept = arena_cstr(a, slice_from(real ? real : path));
    free(real);
    return kept;
}

static void make_env(struct prepare *p, const struct pairs *env)
{
    static const char *const passed[] = {"PATH", "HOME", "LANG", "TZ"};
    size_t n = 0;
    p->env = arena_alloc(&p->arena, ENV_MAX * sizeof *p->env);
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++) {
        const char *value = getenv(passed[i]);
        if (value)
            p->env[n++] = arena_printf(&p->arena, "%s=%s", passed[i], value).ptr;
    }
    for (size_t i = 0; i < env->n && n < ENV_MAX - 1; i++)
        p->env[n++] = arena_printf(&p->arena, "%.*s=%.*s", SLICE_ARGS(env->items[i].key.s),
                                   SLICE_ARGS(env->items[i].value.s))
                          .ptr;
    p->env[n] = NULL;
}

struct prepare *prepare_new(const struct prepare_options *o)
{
    struct prepare *p = mem_new(struct prepare);
    struct arena *a = &p->arena;
    atomic_store(&p->refs, 1);
    arena_init(a, 128u << 20); /* all secrets, and a row for each of their lines */
    buf_init(&p->said, SAID_MAX);
    buf_init(&p->last, LAST_MAX + 1);
    buf_init(&p->inputs, 256u << 10);
    p->lock_fd = -1;
    p->timer.fn = on_timer;
    p->app = arena_dup(a, o->app);
    p->command = arena_dup(a, o->conf->setup.s);
    p->timeout_ms = o->conf->setup_timeout_ms;
    p->dir = real_path(a, arena_cstr(a, o->dir.len ? o->dir : SLICE(".")));
    p->data_dir = real_path(a, o->data_dir);
    p->packages = copy_texts(a, &o->conf->packages);
    p->persist = copy_texts(a, &o->conf->persist);
    p->loops = o->loops;
    p->spawner = o->spawner;
    p->is_running = o->is_running;
    p->patience.is_draining = o->is_draining;
    make_env(p, o->env);
    mask_init(&p->mask, a, o->hidden, o->n_hidden);
    struct setup_options setup = setup_of(p);
    if (p->command.len)
        setup_digest(&setup, p->digest);
    return p;
}

struct prepare *prepare_ref(struct prepare *p)
{
    atomic_fetch_add(&p->refs, 1);
    return p;
}

void prepare_unref(struct prepare *p)
{
    if (!p || atomic_fetch_sub(&p->refs, 1) > 1)
        return;
    buf_done(&p->said);
    buf_done(&p->last);
    buf_done(&p->inputs);
    arena_done(&p->arena);
    free(p);
}

/* ---- asking -------------------------------------------------------------------------------------
 */

static bool is_same_list(const struct texts *a, const struct texts *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = slice_eq(a->items[i].s, b->items[i].s);
    return same;
}

bool prepare_is_same(const struct prepare *p, const struct prepare *next)
{
    return prepare_state(p) != PREPARE_FAILED && slice_eq(p->command, next->command) &&
           strcmp(p->dir, next->dir) == 0 && strcmp(p->data_dir, next->data_dir) == 0 &&
           strcmp(p->digest, next->digest) == 0 && is_same_list(&p->packages, &next->packages) &&
           is_same_list(&p->persist, &next->persist);
}

enum prepare_state prepare_state(const struct prepare *p)
{
    return (enum prepare_state)atomic_load(&p->state);
}

const struct mask *prepare_mask(const struct prepare *p)
{
    return p ? &p->mask : NULL;
}

const char *prepare_excuse(const struct prepare *p)
{
    switch (p ? prepare_state(p) : PREPARE_DONE) {
    case PREPARE_SETTING_UP:
        return "The app is being set up; try again in a few minutes.";
    case PREPARE_FAILED:
        return "The app could not be started; whoever runs it finds the reason in its log.";
    default:
        return NULL;
    }
}
