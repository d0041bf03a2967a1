/* Keeping one process: start, wait until it listens, note what it says, start again when it ends.
 *
 *   begin        the process is started
 *   on_probe     until somebody listens at its address, it is not ready
 *   on_event     it ended: again, after a pause that doubles while it keeps ending
 *   stop         nobody wants it any more */
#include "edge/backend.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROBE_MS     20
#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 10000
#define STEADY_MS    10000 /* who lived this long starts again at once */
#define GRACE_MS     10000
#define LATE_MS      5000 /* silent at its address for this long: worth a line in the log */
#define SAID_MAX     8192 /* longer lines are logged in pieces */
#define ENV_MAX      256

struct backend {
    _Atomic int refs;
    _Atomic bool is_ready;
    struct arena arena; /* all text below */
    struct slice app, run, dir;
    struct pairs own_env;
    const char **env;
    struct address address;
    struct loops *loops;
    struct spawner *spawner;
    struct prepare *prepare; /* NULL: nothing comes before */

    /* loop 0 only */
    struct process *process;
    struct watch events, output, probe;
    struct timer timer;
    struct post post;
    struct buf said; /* a line that is not whole yet */
    int output_fd, probe_fd;
    int64_t begun_ms;
    unsigned failures; /* ends in a row, each soon after its start */
    bool is_told_late;
    bool is_started, is_stopping, is_probing, has_output;
    unsigned open_watches;
};

static void begin(struct backend *b);

static struct loop *home(const struct backend *b)
{
    return loops_get(b->loops, 0);
}

/* ---- what it says -----------------------------------------------------------------------------
 */

static void log_said(struct backend *b)
{
    struct buf shown;
    bool is_cut = b->said.len == SAID_MAX;
    buf_init(&shown, 4 * SAID_MAX);
    size_t taken = mask_add(prepare_mask(b->prepare), buf_slice(&b->said), !is_cut, &shown);
    struct slice text = slice_trim(buf_slice(&shown));
    if (text.len)
        log_line(LOG_INFO, "backend", F_STR("app", b->app), F_STR("said", text));
    buf_done(&shown);
    buf_consume(&b->said, taken ? taken : b->said.len);
}

static void take_output(struct backend *b, struct slice bytes)
{
    while (bytes.len) {
        ptrdiff_t end = slice_index(bytes, '\n');
        size_t room = SAID_MAX - b->said.len;
        size_t n = end < 0 ? bytes.len : (size_t)end + 1;
        n = n < room ? n : room;
        buf_add(&b->said, slice_first(bytes, n));
        bytes = slice_skip(bytes, n);
        if (b->said.len == SAID_MAX || b->said.data[b->said.len - 1] == '\n')
            log_said(b);
    }
}

static void gone(struct backend *b);

static void on_watch_closed(struct backend *b)
{
    b->open_watches--;
    gone(b);
}

static void on_output_closed(struct watch *w)
{
    on_watch_closed(container_of(w, struct backend, output));
}

static void close_output(struct backend *b)
{
    if (!b->has_output)
        return;
    b->has_output = false;
    log_said(b);
    watch_close(&b->output, on_output_closed);
    close(b->output_fd);
}

static void on_output(struct watch *w, int events)
{
    struct backend *b = container_of(w, struct backend, output);
    char bytes[16384];
    (void)events;
    ssize_t n = read(b->output_fd, bytes, sizeof bytes);
    if (n > 0)
        take_output(b, (struct slice){bytes, (size_t)n});
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        close_output(b);
}

/* ---- does it listen? --------------------------------------------------------------------------
 */

static void on_probe_closed(struct watch *w)
{
    on_watch_closed(container_of(w, struct backend, probe));
}

static void end_probe(struct backend *b)
{
    if (!b->is_probing)
        return;
    b->is_probing = false;
    watch_close(&b->probe, on_probe_closed);
    close(b->probe_fd);
}

static void on_probe(struct watch *w, int events)
{
    struct backend *b = container_of(w, struct backend, probe);
    int why = 0;
    socklen_t n = sizeof why;
    (void)events;
    getsockopt(b->probe_fd, SOL_SOCKET, SO_ERROR, &why, &n);
    end_probe(b);
    if (why) {
        timer_set(&b->timer, home(b), PROBE_MS);
        return;
    }
    log_line(LOG_INFO, "the backend is ready", F_STR("app", b->app),
             F_INT("ms", loop_now_ms(home(b)) - b->begun_ms));
    atomic_store(&b->is_ready, true);
}

/* Whoever listens somewhere else would wonder for ever. */
static void tell_if_late(struct backend *b)
{
    char where[ADDRESS_TEXT_LEN];
    if (b->is_told_late || loop_now_ms(home(b)) - b->begun_ms < LATE_MS)
        return;
    b->is_told_late = true;
    address_text(&b->address, where);
    log_line(LOG_WARN, "the backend does not listen yet", F_STR("app", b->app), F_CSTR("at", where),
             F_CSTR("told_by", b->address.path[0] ? "$DAIS_SOCKET" : "$PORT on 127.0.0.1"));
}

static void begin_probe(struct backend *b)
{
    struct err ignored;
    tell_if_late(b);
    b->probe_fd = address_connect(&b->address, &ignored);
    if (b->probe_fd >= 0 && watch_open(&b->probe, home(b), b->probe_fd, &ignored)) {
        b->is_probing = true;
        b->open_watches++;
        b->probe.on_ready = on_probe;
        watch_want(&b->probe, WATCH_WRITE);
        return;
    }
    if (b->probe_fd >= 0)
        close(b->probe_fd);
    timer_set(&b->timer, home(b), PROBE_MS);
}

/* ---- its start and its end ----------------------------------------------------------------------
 */

/* In doubt for longer each time it ends soon after its start. */
static uint32_t pause_ms(const struct backend *b)
{
    if (b->failures == 0)
        return 0;
    unsigned doublings = b->failures > 7 ? 7 : b->failures - 1;
    uint32_t ms = PAUSE_MIN_MS << doublings;
    return ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS;
}

static void on_events_closed(struct watch *w)
{
    on_watch_closed(container_of(w, struct backend, events));
}

static void end_process(struct backend *b)
{
    atomic_store(&b->is_ready, false);
    end_probe(b);
    timer_off(&b->timer);
    if (!b->process)
        return;
    watch_close(&b->events, on_events_closed);
    process_free(b->process);
    b->process = NULL;
    if (b->has_output) /* what it said last is in the pipe */
        on_output(&b->output, WATCH_READ);
    close_output(b);
}

static void begin_again(struct backend *b, const char *why)
{
    bool was_steady = loop_now_ms(home(b)) - b->begun_ms >= STEADY_MS;
    end_process(b);
    b->failures = was_steady ? 0 : b->failures + 1;
    uint32_t ms = pause_ms(b);
    log_line(b->failures >= 5 ? LOG_ERROR : LOG_WARN,
             b->failures >= 5 ? "the backend keeps ending" : "the backend ended",
             F_STR("app", b->app), F_CSTR("why", why), F_INT("again_in_ms", ms));
    timer_set(&b->timer, home(b), ms);
}

static void on_event(struct watch *w, int events)
{
    struct backend *b = container_of(w, struct backend, events);
    struct process_event ev;
    (void)events;
    while (b->process && process_next(b->process, &ev) == PROCESS_EVENT) {
        struct err e = {0};
        struct buf text;
        if (ev.kind == EVENT_STARTED)
            continue;
        if (b->is_stopping) {
            end_process(b);
            gone(b);
            return;
        }
        if (ev.kind == EVENT_FAILED) {
            process_failed(b->process, &ev, &e);
            begin_again(b, e.msg);
            return;
        }
        buf_init(&text, 300);
        process_ended_text(&ev, &text);
        buf_add_char(&text, '\0');
        begin_again(b, text.data);
        buf_done(&text);
    }
}

static void on_timer(struct timer *t, struct loop *l)
{
    struct backend *b = container_of(t, struct backend, timer);
    (void)l;
    if (b->process)
        begin_probe(b);
    else
        begin(b);
}

static void watch_process(struct backend *b)
{
    struct err e;
    b->events.on_ready = on_event;
    must(watch_open(&b->events, home(b), process_fd(b->process), &e));
    b->open_watches++;
    watch_want(&b->events, WATCH_READ);
    b->output_fd = process_stdio_take(b->process, 1);
    b->output.on_ready = on_output;
    b->has_output = b->output_fd >= 0 && watch_open(&b->output, home(b), b->output_fd, &e);
    if (b->has_output) {
        b->open_watches++;
        watch_want(&b->output, WATCH_READ);
    } else if (b->output_fd >= 0) {
        close(b->output_fd);
    }
}

static void begin(struct backend *b)
{
    struct err e = {0};
    const struct process_opts o = {
        .shell = b->run.ptr,
        .env = b->env,
        .cwd = b->dir.ptr,
        .out.kind = STDIO_PIPE,
        .err.kind = STDIO_STDOUT,
    };
    if (b->open_watches) { /* of the last one: they close at the end of the turn */
        timer_set(&b->timer, home(b), PROBE_MS);
        return;
    }
    b->begun_ms = loop_now_ms(home(b));
    b->is_told_late = false;
    if (b->address.path[0])
        unlink(b->address.path);
    if (!spawner_is_lost(b->spawner) || spawner_reopen(b->spawner, &e))
        b->process = process_start(b->spawner, &o, &e);
    if (!b->process) {
        begin_again(b, e.msg);
        return;
    }
    watch_process(b);
    timer_set(&b->timer, home(b), PROBE_MS);
}

static void on_prepared(void *user, bool ok, const char *why)
{
    (void)why; /* the log has it */
    if (ok)
        begin(user);
}

void backend_start(struct backend *b)
{
    if (b->is_started)
        return;
    b->is_started = true;
    if (b->prepare)
        prepare_begin(b->prepare, on_prepared, b);
    else
        begin(b);
}

/* ---- nobody wants it any more -------------------------------------------------------------------
 */

static void gone(struct backend *b)
{
    if (!b->is_stopping || b->process || b->open_watches)
        return;
    if (b->address.path[0])
        unlink(b->address.path);
    prepare_unref(b->prepare);
    buf_done(&b->said);
    arena_done(&b->arena);
    free(b);
}

/* After the loops have ended nobody else is left to wait for it. A post of its own: all that stop
 * are told before the first is waited for. */
static void wait_for_end(struct post *p, struct loop *l)
{
    struct backend *b = container_of(p, struct backend, post);
    struct process_event ev = {0};
    (void)l;
    while (ev.kind != EVENT_ENDED && ev.kind != EVENT_FAILED &&
           process_wait(b->process, GRACE_MS + 2000, &ev) == PROCESS_EVENT)
        continue;
    end_process(b);
    gone(b);
}

static void stop(struct post *p, struct loop *l)
{
    struct backend *b = container_of(p, struct backend, post);
    struct err ignored;
    b->is_stopping = true;
    if (b->prepare)
        prepare_end(b->prepare);
    atomic_store(&b->is_ready, false);
    timer_off(&b->timer);
    end_probe(b);
    bool is_told = b->process && process_cancel(b->process, GRACE_MS, &ignored);
    if (is_told && !loop_is_here(l)) {
        b->post.fn = wait_for_end;
        loop_post(l, &b->post);
        return;
    }
    if (!is_told)
        end_process(b);
    gone(b);
}

struct backend *backend_ref(struct backend *b)
{
    atomic_fetch_add(&b->refs, 1);
    return b;
}

void backend_unref(struct backend *b)
{
    if (!b || atomic_fetch_sub(&b->refs, 1) > 1)
        return;
    b->post.fn = stop;
    loop_post(home(b), &b->post);
}

/* ---- making -------------------------------------------------------------------------------------
 */

static bool uses_socket(struct slice run)
{
    return slice_search(run, SLICE("DAIS_SOCKET")) >= 0;
}

/* A port that is free now. Somebody else may take it before the backend does; then it ends, says so
 * and is started again. */
static bool free_port(struct address *ret, struct err *e)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool fine = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
                getsockname(fd, (struct sockaddr *)&a, &n) == 0;
    int why = errno;
    if (fd >= 0)
        close(fd);
    errno = why;
    if (!fine)
        return err_set_sys(e, ERR_IO, "finding a free port for the backend failed");
    *ret = (struct address){.sa.v4 = a, .len = sizeof a};
    return true;
}

static bool choose_address(struct backend *b, const char *socket_dir, struct err *e)
{
    static _Atomic unsigned number;
    char text[400];
    if (!uses_socket(b->run))
        return free_port(&b->address, e);
    snprintf(text, sizeof text, "unix:%s/%.*s-%d-%u.sock", socket_dir, SLICE_ARGS(b->app),
             (int)getpid(), atomic_fetch_add(&number, 1));
    return address_parse(&b->address, slice_from(text), e);
}

static void add_env(struct backend *b, size_t *n, const char *name, struct slice value)
{
    must(*n < ENV_MAX - 1);
    b->env[(*n)++] = arena_printf(&b->arena, "%s=%.*s", name, SLICE_ARGS(value)).ptr;
}

/* These and nothing else of ours: secrets of dais stay with dais. */
static void make_env(struct backend *b)
{
    static const char *const passed[] = {"PATH", "HOME", "LANG", "TZ"};
    char port[8];
    size_t n = 0;
    b->env = arena_alloc(&b->arena, ENV_MAX * sizeof *b->env);
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++) {
        const char *value = getenv(passed[i]);
        if (value)
            add_env(b, &n, passed[i], slice_from(value));
    }
    if (b->address.path[0]) {
        add_env(b, &n, "DAIS_SOCKET", slice_from(b->address.path));
    } else {
        snprintf(port, sizeof port, "%u", ntohs(b->address.sa.v4.sin_port));
        add_env(b, &n, "PORT", slice_from(port));
    }
    for (size_t i = 0; i < b->own_env.n && n < ENV_MAX - 1; i++)
        add_env(b, &n, b->own_env.items[i].key.s.ptr, b->own_env.items[i].value.s);
    b->env[n] = NULL;
}

static struct pairs copy_pairs(struct arena *a, const struct pairs *from)
{
    struct pairs to = {.n = from->n};
    to.items = arena_zalloc(a, from->n * sizeof *to.items);
    for (size_t i = 0; i < from->n; i++) {
        to.items[i].key.s = slice_from(arena_cstr(a, from->items[i].key.s));
        to.items[i].value.s = slice_from(arena_cstr(a, from->items[i].value.s));
    }
    return to;
}

struct backend *backend_new(const struct backend_options *o, struct err *e)
{
    struct backend *b = mem_new(struct backend);
    b->refs = 1;
    arena_init(&b->arena, 1u << 20);
    buf_init(&b->said, SAID_MAX);
    b->app = slice_from(arena_cstr(&b->arena, o->app));
    b->run = slice_from(arena_cstr(&b->arena, o->conf->run.s));
    b->own_env = copy_pairs(&b->arena, o->env);
    b->loops = o->loops;
    b->spawner = o->spawner;
    b->timer.fn = on_timer;
    char *dir = realpath(arena_cstr(&b->arena, o->dir), NULL);
    b->dir = slice_from(arena_cstr(&b->arena, slice_from(dir ? dir : "/")));
    free(dir);
    if (!choose_address(b, o->socket_dir, e)) {
        buf_done(&b->said);
        arena_done(&b->arena);
        free(b);
        return NULL;
    }
    make_env(b);
    b->prepare = o->prepare;
    return b;
}

bool backend_is_same(const struct backend *b, const struct backend_options *o)
{
    struct arena a;
    arena_init(&a, 64u << 10);
    char *dir = realpath(arena_cstr(&a, o->dir), NULL);
    bool same = slice_eq(b->app, o->app) && slice_eq(b->run, o->conf->run.s) && dir &&
                slice_is(b->dir, dir) && b->own_env.n == o->env->n;
    free(dir);
    arena_done(&a);
    same = same && (!o->prepare || (b->prepare && prepare_is_same(b->prepare, o->prepare)));
    for (size_t i = 0; same && i < b->own_env.n; i++)
        same = slice_eq(b->own_env.items[i].key.s, o->env->items[i].key.s) &&
               slice_eq(b->own_env.items[i].value.s, o->env->items[i].value.s);
    return same;
}

const struct address *backend_address(const struct backend *b)
{
    return &b->address;
}

bool backend_is_ready(const struct backend *b)
{
    return atomic_load(&b->is_ready);
}

const char *backend_excuse(const struct backend *b, bool *ret_is_over)
{
    *ret_is_over = b->prepare && prepare_state(b->prepare) == PREPARE_FAILED;
    return b->prepare ? prepare_excuse(b->prepare) : NULL;
}
