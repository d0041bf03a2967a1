/* The server's end of the spawner: opening it, and starting, watching and ending processes. */
#include "loop/spawn_impl.h"
#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUSY_MS  1000 /* how long a start may wait for a busy spawner */
#define CLOSE_MS 5000

struct spawner {
    pthread_rwlock_t lock; /* written only by reopen */
    int control;
    pid_t pid;
};

struct process {
    int channel, stdio[3];
    bool is_over;
    char name[64]; /* argv[0] or the shell line, for sentences */
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- spawner ------------------------------------------------------------------------------ */

static _Noreturn void spawner_begin(int control)
{
    process_become("dais-spawner");
    for (int i = 1; i < NSIG; i++) /* runners and commands inherit the defaults */
        signal(i, SIG_DFL);
    dup2(control, 3);
    fcntl(3, F_SETFD, FD_CLOEXEC);
    process_close_from(4);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    close(null);
    if (chdir("/") < 0)
        process_quit(1);
    spawner_main(3);
}

/* Signals are blocked over the fork, so that no handler of the server runs in the child; nor do
 * those of pthread_atfork: libuv's closes and opens descriptors by their numbers. */
static bool fork_spawner(int *ret_control, pid_t *ret_pid, struct err *e)
{
    int ends[2], size = 2 * (int)WIRE_RUN_MAX;
    if (access("/proc/self/stat", R_OK) < 0)
        return err_set_sys(e, ERR_IO, "Processes cannot be watched: /proc is not mounted");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return err_set_sys(e, ERR_IO, "No socket for the spawner");
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = _Fork();
    int why = errno;
    if (pid == 0)
        spawner_begin(ends[1]);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        errno = why;
        return err_set_sys(e, ERR_IO, "The spawner could not be forked");
    }
    *ret_control = ends[0];
    *ret_pid = pid;
    return true;
}

struct spawner *spawner_open(struct err *e)
{
    int control = -1;
    pid_t pid = -1;
    if (!fork_spawner(&control, &pid, e))
        return NULL;
    struct spawner *s = mem_new(struct spawner);
    pthread_rwlock_init(&s->lock, NULL);
    s->control = control;
    s->pid = pid;
    return s;
}

int spawner_fd(struct spawner *s)
{
    return s->control; /* its number never changes */
}

pid_t spawner_pid(struct spawner *s)
{
    pthread_rwlock_rdlock(&s->lock);
    pid_t pid = s->pid;
    pthread_rwlock_unlock(&s->lock);
    return pid;
}

bool spawner_is_lost(struct spawner *s)
{
    struct pollfd on = {.fd = s->control, .events = POLLIN | POLLRDHUP};
    return poll(&on, 1, 0) > 0;
}

/* Waits for a spawner that is about to end; true when it was reaped (or is nobody's child). */
static bool reap_spawner(pid_t pid, int64_t until_ms)
{
    for (;;) {
        pid_t got = waitpid(pid, NULL, WNOHANG);
        if (got == pid || (got < 0 && errno == ECHILD))
            return true;
        if (clock_mono_ms() >= until_ms)
            return false;
        struct timespec t = {.tv_nsec = 500000};
        nanosleep(&t, NULL);
    }
}

bool spawner_reopen(struct spawner *s, struct err *e)
{
    int control = -1;
    pid_t pid = -1;
    pthread_rwlock_wrlock(&s->lock);
    bool is_lost = spawner_is_lost(s), ok = !is_lost || fork_spawner(&control, &pid, e);
    if (is_lost && ok) {
        reap_spawner(s->pid, clock_mono_ms() + CLOSE_MS);
        dup3(control, s->control, O_CLOEXEC);
        close(control);
        s->pid = pid;
    }
    pthread_rwlock_unlock(&s->lock);
    return ok;
}

void spawner_close(struct spawner *s)
{
    if (!s)
        return;
    close(s->control);
    reap_spawner(s->pid, clock_mono_ms() + CLOSE_MS);
    pthread_rwlock_destroy(&s->lock);
    free(s);
}

/* ---- start -------------------------------------------------------------------------------- */

/* The descriptors that travel with a request, in the order the runner expects them. */
struct parcel {
    int fds[WIRE_FDS_MAX], theirs[3];
    size_t n;
};

static bool pack_stream(struct process *p, struct parcel *to, int which,
                        const struct process_stream *s, struct err *e)
{
    int ends[2];
    if (s->kind == STDIO_FD)
        to->fds[to->n++] = s->fd;
    if (s->kind != STDIO_PIPE)
        return true;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_set_sys(e, ERR_IO, "No pipe for a process");
    int ours = which == 0 ? 1 : 0;
    fcntl(ends[ours], F_SETFL, O_NONBLOCK);
    p->stdio[which] = ends[ours];
    to->theirs[which] = to->fds[to->n++] = ends[!ours];
    return true;
}

static bool pack(struct process *p, struct parcel *to, const struct process_opts *o, struct err *e)
{
    if (!pack_stream(p, to, 0, &o->in, e) || !pack_stream(p, to, 1, &o->out, e) ||
        !pack_stream(p, to, 2, &o->err, e))
        return false;
    for (size_t i = 0; i < o->n_fds; i++)
        to->fds[to->n++] = o->fds[i];
    return true;
}

static bool is_gone(int sys_errno)
{
    return sys_errno == EPIPE || sys_errno == ECONNRESET || sys_errno == ENOTCONN;
}

/* Few packets fit in the queue of a socket: under a burst of starts this waits for the spawner. */
static bool send_start(struct spawner *s, int channel, struct err *e)
{
    char bytes[WIRE_SMALL_MAX];
    struct wire_small m = {.kind = WIRE_START};
    struct slice packet = {.ptr = bytes, .len = wire_small_encode(&m, bytes)};
    int64_t until = clock_mono_ms() + BUSY_MS;
    while (!packet_send(s->control, packet, &channel, 1)) {
        if (is_gone(errno))
            return err_set(e, ERR_UNAVAILABLE, "The spawner was killed. Try again.");
        if (errno != EAGAIN && errno != ENOBUFS)
            return err_set_sys(e, ERR_IO, "A command could not be handed to the spawner");
        int64_t left = until - clock_mono_ms();
        struct pollfd on = {.fd = s->control, .events = POLLOUT};
        if (left <= 0 || poll(&on, 1, (int)left) < 0)
            return err_set(e, ERR_UNAVAILABLE, "The spawner is busy. Try again.");
    }
    return true;
}

/* The request goes onto the channel first: a runner never waits for it. */
static bool send_request(struct spawner *s, struct process *p, const struct buf *request,
                         const struct parcel *parcel, struct err *e)
{
    int ends[2], size = 2 * (int)WIRE_RUN_MAX;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return err_set_sys(e, ERR_IO, "No channel for a process");
    p->channel = ends[0];
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    bool ok = packet_send(ends[0], buf_slice(request), parcel->fds, parcel->n)
                  ? send_start(s, ends[1], e)
                  : err_set_sys(e, ERR_IO, "The request to start %s could not be sent", p->name);
    close(ends[1]);
    return ok;
}

static struct process *process_new(const struct process_opts *o)
{
    struct process *p = mem_new(struct process);
    p->channel = p->stdio[0] = p->stdio[1] = p->stdio[2] = -1;
    must(o->shell || o->argv); /* wire_run_encode refuses neither */
    struct slice name =
        slice_first(slice_from(o->shell ? o->shell : o->argv[0]), sizeof p->name - 1);
    memcpy(p->name, name.ptr, name.len);
    return p;
}

struct process *process_start(struct spawner *s, const struct process_opts *o, struct err *e)
{
    struct buf request;
    struct parcel parcel = {.theirs = {-1, -1, -1}};
    buf_init(&request, WIRE_RUN_MAX);
    bool ok = wire_run_encode(o, &request, e);
    struct process *p = ok ? process_new(o) : NULL;
    if (ok) {
        pthread_rwlock_rdlock(&s->lock);
        ok = pack(p, &parcel, o, e) && send_request(s, p, &request, &parcel, e);
        pthread_rwlock_unlock(&s->lock);
    }
    for (size_t i = 0; i < 3; i++)
        close_fd(&parcel.theirs[i]);
    buf_done(&request);
    if (ok)
        return p;
    process_free(p);
    return NULL;
}

void process_free(struct process *p)
{
    if (!p)
        return;
    close_fd(&p->channel);
    for (size_t i = 0; i < 3; i++)
        close_fd(&p->stdio[i]);
    free(p);
}

int process_stdio_take(struct process *p, int which)
{
    must(which >= 0 && which < 3);
    int fd = p->stdio[which];
    p->stdio[which] = -1;
    return fd;
}

/* ---- watch -------------------------------------------------------------------------------- */

int process_fd(const struct process *p)
{
    return p->channel;
}

enum process_next process_next(struct process *p, struct process_event *ret)
{
    char bytes[WIRE_SMALL_MAX];
    struct wire_small m;
    if (p->is_over)
        return PROCESS_OVER;
    ssize_t n = packet_receive(p->channel, bytes, sizeof bytes, NULL, 0, NULL);
    if (n < 0 && errno == EAGAIN)
        return PROCESS_WAIT;
    if (n > 0 && wire_small_decode((struct slice){.ptr = bytes, .len = (size_t)n}, &m) &&
        m.kind == WIRE_EVENT)
        *ret = m.event;
    else /* runner and spawner are both gone: nobody is left who could have proved it empty */
        *ret = (struct process_event){
            .kind = EVENT_ENDED, .reason = PROCESS_LOST, .exit_code = -1, .is_unproven = true};
    p->is_over = ret->kind != EVENT_STARTED;
    return PROCESS_EVENT;
}

enum process_next process_wait(struct process *p, int timeout_ms, struct process_event *ret)
{
    int64_t until = clock_mono_ms() + timeout_ms;
    for (;;) {
        enum process_next next = process_next(p, ret);
        int64_t left = timeout_ms < 0 ? -1 : until - clock_mono_ms();
        if (next != PROCESS_WAIT || (timeout_ms >= 0 && left <= 0))
            return next;
        struct pollfd on = {.fd = p->channel, .events = POLLIN};
        poll(&on, 1, (int)left);
    }
}

bool process_failed(const struct process *p, const struct process_event *ev, struct err *e)
{
    static const char *const texts[STEP_COUNT] = {
#define X(step, text) [step] = text,
        PROCESS_STEP_MAP(X)
#undef X
    };
    static const char mark[] = "%s";
    struct slice text = slice_from(texts[ev->step]);
    ptrdiff_t at = slice_search(text, SLICE("%s"));
    must(at >= 0);
    struct slice tail = slice_skip(text, (size_t)at + sizeof mark - 1);
    errno = ev->sys_errno;
    return err_set_sys(e, ERR_IO, "%.*s\"%s\"%.*s", (int)at, text.ptr, p->name, SLICE_ARGS(tail));
}

void process_ended_text(const struct process_event *ev, struct buf *to)
{
    static const char *const reasons[PROCESS_REASON_COUNT] = {
#define X(reason, text) [reason] = text,
        PROCESS_REASON_MAP(X)
#undef X
    };
    if (ev->signal)
        buf_printf(to, "signal %d", ev->signal);
    else if (ev->exit_code >= 0)
        buf_printf(to, "exit code %d", ev->exit_code);
    else
        buf_add_str(to, "ended");
    if (ev->reason > PROCESS_SIGNALLED)
        buf_printf(to, " (%s)", reasons[ev->reason]);
}

/* ---- act ---------------------------------------------------------------------------------- */

static bool command(struct process *p, enum wire_kind kind, int64_t value, struct err *e)
{
    char bytes[WIRE_SMALL_MAX];
    struct wire_small m = {.kind = kind, .value = value};
    struct slice packet = {.ptr = bytes, .len = wire_small_encode(&m, bytes)};
    if (packet_send(p->channel, packet, NULL, 0) || is_gone(errno))
        return true;
    return err_set_sys(e, ERR_UNAVAILABLE, "The runner of \"%s\" does not answer", p->name);
}

bool process_cancel(struct process *p, uint32_t grace_ms, struct err *e)
{
    return command(p, WIRE_CANCEL, grace_ms, e);
}

bool process_signal(struct process *p, int signal, struct err *e)
{
    if (signal < 1 || signal >= NSIG)
        return err_set(e, ERR_INVALID, "There is no signal %d.", signal);
    return command(p, WIRE_SIGNAL, signal, e);
}

bool process_renew(struct process *p, int64_t lease_until_ms, struct err *e)
{
    return command(p, WIRE_RENEW, lease_until_ms, e);
}

/* ---- all in one --------------------------------------------------------------------------- */

/* Reads what is there; beyond the limit of `to` (or without one) it is dropped. False at the end.
 */
static bool drain(int fd, struct buf *to)
{
    char bytes[16384];
    ssize_t n = read(fd, bytes, sizeof bytes);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n > 0 && to)
        buf_add(to, (struct slice){.ptr = bytes, .len = (size_t)n});
    return n > 0;
}

/* Until the final event and the end of both pipes. */
static bool follow(struct process *p, struct buf *const bufs[2], struct process_event *ev,
                   struct err *e)
{
    bool is_over = false;
    while (!is_over || p->stdio[1] >= 0 || p->stdio[2] >= 0) {
        struct pollfd on[] = {{.fd = is_over ? -1 : p->channel, .events = POLLIN},
                              {.fd = p->stdio[1], .events = POLLIN},
                              {.fd = p->stdio[2], .events = POLLIN}};
        poll(on, 3, -1);
        for (int i = 1; i < 3; i++)
            if (on[i].revents && !drain(p->stdio[i], bufs[i - 1]))
                close_fd(&p->stdio[i]);
        if (on[0].revents && process_next(p, ev) == PROCESS_EVENT)
            is_over = p->is_over;
    }
    return ev->kind == EVENT_ENDED || process_failed(p, ev, e);
}

bool process_run(struct spawner *s, const struct process_opts *o, struct buf *out,
                 struct buf *err_out, struct process_event *ret_ended, struct err *e)
{
    struct process *p = process_start(s, o, e);
    if (!p)
        return false;
    struct process_event ev;
    close_fd(&p->stdio[0]);
    bool ok = follow(p, (struct buf *const[]){out, err_out}, &ev, e);
    if (ok)
        *ret_ended = ev;
    process_free(p);
    return ok;
}
