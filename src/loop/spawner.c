/* The spawner process: forks a runner for every channel it is sent, and outlives them all.
 *
 * It is the outer subreaper. When a runner is killed, what it watched becomes ours: any child that
 * is no runner is killed until there is none, and only then the server is told. */
#include "loop/spawn_impl.h"
#include "base/slice.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SWEEP_PAUSE_MS 1

/* A runner, and our copy of its end of the channel: it keeps the server from seeing the end before
 * we have seen how the runner ended. */
struct ward {
    pid_t pid; /* 0 = free */
    int channel;
    bool is_lost; /* the runner was killed; its orphans are being swept */
};

struct spawner_state {
    int control, signals;
    pid_t self;
    size_t n_lost, n_used, n_max;
    struct ward wards[SPAWNER_MAX_RUNS];
};

/* ---- shared by the spawner and its runners -------------------------------------------------- */

extern void __gcov_dump(void) __attribute__((weak));

_Noreturn void process_quit(int code)
{
    if (__gcov_dump)
        __gcov_dump();
    /* Not _exit: thread sanitizer would look for the threads that stayed behind in the server. */
    syscall(SYS_exit_group, code);
    __builtin_unreachable();
}

void process_close_from(int first)
{
    if (close_range((unsigned)first, ~0U, 0) == 0)
        return;
    for (int fd = first; fd < 65536; fd++)
        close(fd);
}

void process_become(const char *name)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    setsid();
    prctl(PR_SET_NAME, name);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_DUMPABLE, 0); /* no reading of our memory by commands of the same user */
}

int process_signalfd(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGUSR1);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* ---- wards -------------------------------------------------------------------------------- */

static struct ward *ward_find(struct spawner_state *s, pid_t pid)
{
    for (size_t i = 0; i < s->n_used; i++)
        if (s->wards[i].pid == pid)
            return &s->wards[i];
    return NULL;
}

static void send_event(int channel, const struct process_event *ev)
{
    char bytes[WIRE_SMALL_MAX];
    struct wire_small m = {.kind = WIRE_EVENT, .event = *ev};
    size_t n = wire_small_encode(&m, bytes);
    packet_send(channel, (struct slice){.ptr = bytes, .len = n}, NULL, 0);
}

static void ward_end(struct ward *w)
{
    close(w->channel);
    *w = (struct ward){0};
}

static void start_runner(struct spawner_state *s, int channel)
{
    struct ward *w = ward_find(s, 0);
    if (!w && s->n_used < s->n_max)
        w = &s->wards[s->n_used++];
    pid_t pid = -1;
    errno = EAGAIN;
    if (w) /* not fork(): its handlers, libuv's say, would take descriptors for theirs */
        pid = _Fork();
    if (pid == 0)
        runner_main(channel, s->self);
    if (pid < 0) {
        struct process_event ev = {.kind = EVENT_FAILED, .step = STEP_RUNNER, .sys_errno = errno};
        send_event(channel, &ev);
        close(channel);
        return;
    }
    *w = (struct ward){.pid = pid, .channel = channel};
}

/* ---- the loop, verb by verb ---------------------------------------------------------------- */

/* Reaps runners and orphans. A runner that did not end by itself leaves orphans to sweep. */
static void reap(struct spawner_state *s)
{
    struct signalfd_siginfo ignored[8];
    while (read(s->signals, ignored, sizeof ignored) > 0)
        ;
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        struct ward *w = ward_find(s, pid);
        if (!w || w->is_lost)
            continue;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
            ward_end(w);
        } else {
            w->is_lost = true;
            s->n_lost++;
        }
    }
}

static bool is_live_runner(pid_t pid, void *state)
{
    struct ward *w = ward_find(state, pid);
    return w && !w->is_lost;
}

/* Kills what is not ours to keep. Orphans do not say whose they were, so all lost runs end
 * together, when no orphan is left: our list of children shrinks only by our own reaping, so one
 * empty look at it is proof. By a scan of /proc it takes two. */
static void sweep(struct spawner_state *s)
{
    for (int look = 0; look < 2; look++) {
        if (tree_kill_children(is_live_runner, s))
            return;
    }
    for (size_t i = 0; i < s->n_used; i++) {
        if (!s->wards[i].is_lost)
            continue;
        struct process_event ev = {.kind = EVENT_ENDED, .reason = PROCESS_LOST, .exit_code = -1};
        send_event(s->wards[i].channel, &ev);
        ward_end(&s->wards[i]);
    }
    s->n_lost = 0;
}

/* The server is gone: the runners saw it too. One that somebody stopped has to be woken. */
static void leave(struct spawner_state *s)
{
    close(s->control);
    s->control = -1;
    for (size_t i = 0; i < s->n_used; i++)
        if (s->wards[i].pid)
            kill(s->wards[i].pid, SIGCONT);
}

static void receive(struct spawner_state *s)
{
    char bytes[WIRE_SMALL_MAX];
    struct wire_small m;
    int channel;
    size_t n_fds;
    ssize_t n = packet_receive(s->control, bytes, sizeof bytes, &channel, 1, &n_fds);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EBADMSG)) {
        leave(s);
        return;
    }
    if (n < 0 || !n_fds)
        return;
    if (wire_small_decode((struct slice){.ptr = bytes, .len = (size_t)n}, &m) &&
        m.kind == WIRE_START)
        start_runner(s, channel);
    else
        close(channel);
}

/* A ward costs a descriptor. The limit is not raised: commands would inherit that. */
static size_t wards_allowed(void)
{
    struct rlimit l;
    size_t spare = 16;
    if (getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur >= SPAWNER_MAX_RUNS + spare)
        return SPAWNER_MAX_RUNS;
    return l.rlim_cur > spare ? l.rlim_cur - spare : 1;
}

static bool has_wards(const struct spawner_state *s)
{
    for (size_t i = 0; i < s->n_used; i++)
        if (s->wards[i].pid)
            return true;
    return false;
}

_Noreturn void spawner_main(int control)
{
    static struct spawner_state state; /* too large for a stack, and there is no heap here */
    struct spawner_state *s = &state;
    memset(s, 0, sizeof *s); /* a second spawner is forked from the same server */
    s->control = control;
    s->self = getpid();
    s->signals = process_signalfd();
    s->n_max = wards_allowed();
    while (s->control >= 0 || has_wards(s)) {
        struct pollfd on[] = {{.fd = s->signals, .events = POLLIN},
                              {.fd = s->control, .events = POLLIN}};
        poll(on, 2, s->n_lost ? SWEEP_PAUSE_MS : -1);
        reap(s);
        if (s->n_lost)
            sweep(s);
        if (on[1].revents)
            receive(s);
    }
    process_quit(0);
}
