/* The runner process: starts one command, watches it, and ends only when its whole tree is gone.
 *
 * It is the inner subreaper: whatever the command leaves behind becomes our child. So "nothing is
 * left" is simply waitpid saying that we have no children. */
#include "loop/spawn_impl.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NEVER           INT64_MAX
#define MS              INT64_C(1000000)
#define FIRST_SCAN_NS   (MS / 4) /* a group that was killed is usually gone by then */
#define KILL_PAUSE_NS   (MS / 2)
#define KILL_PAUSE_MAX  (50 * MS) /* for what cannot be killed, say in an uninterruptible wait */
#define MEASURE_SLOW_NS (200 * MS)
#define MEASURE_FAST_NS (25 * MS) /* past half of a limit */
#define MEASURE_COST    50        /* measuring takes at most 1/50 of a processor */

enum phase {
    PHASE_RUNNING, /* until something ends it */
    PHASE_GRACE,   /* SIGTERM was sent */
    PHASE_KILLING, /* SIGKILL until there are no children */
    PHASE_EMPTY    /* there are none */
};

struct runner {
    int channel, signals, report;
    pid_t self, spawner, command;
    enum phase phase;
    bool is_reaped;
    int status; /* of the command, once reaped */
    enum process_reason reason;
    struct exec_failure failure;
    bool has_failed;
    int64_t started_ns, wall_ns, grace_ns, measure_ns, kill_ns, kill_pause; /* times of the clock */
    int64_t lease_ns;
    struct run_spec spec;
};

/* Static, because a runner must not touch the heap. */
static struct {
    char packet[WIRE_RUN_MAX];
    struct run_request rq;
} room;

/* ---- telling the server -------------------------------------------------------------------- */

static void tell(const struct runner *r, const struct process_event *ev)
{
    char bytes[WIRE_SMALL_MAX];
    struct wire_small m = {.kind = WIRE_EVENT, .event = *ev};
    size_t n = wire_small_encode(&m, bytes);
    packet_send(r->channel, (struct slice){.ptr = bytes, .len = n}, NULL, 0);
}

static _Noreturn void fail(const struct runner *r, enum process_step step, int sys_errno)
{
    struct process_event ev = {.kind = EVENT_FAILED, .step = step, .sys_errno = sys_errno};
    tell(r, &ev);
    process_quit(0);
}

static uint64_t us_of(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

/* Which limit a signal or the sum of the whole tree stands for, unless something else ended it. A
 * tree may be over between two looks at it, and each of its processes below the limit. */
static enum process_reason reason_of(const struct runner *r, uint64_t cpu_us)
{
    if (r->reason != PROCESS_EXITED)
        return r->reason;
    if (r->spec.cpu_s && cpu_us > r->spec.cpu_s * 1000000)
        return PROCESS_OVER_CPU;
    if (!WIFSIGNALED(r->status))
        return PROCESS_EXITED;
    if (WTERMSIG(r->status) == SIGXCPU)
        return PROCESS_OVER_CPU;
    if (WTERMSIG(r->status) == SIGXFSZ)
        return PROCESS_OVER_FILE;
    return PROCESS_SIGNALLED;
}

static void tell_end(const struct runner *r)
{
    struct rusage u;
    getrusage(RUSAGE_CHILDREN, &u);
    struct process_event ev = {
        .kind = EVENT_ENDED,
        .reason = reason_of(r, us_of(u.ru_utime) + us_of(u.ru_stime)),
        .exit_code = WIFEXITED(r->status) ? WEXITSTATUS(r->status) : -1,
        .signal = WIFSIGNALED(r->status) ? WTERMSIG(r->status) : 0,
        .usage = {.wall_us = (uint64_t)(clock_mono_ns() - r->started_ns) / 1000,
                  .user_us = us_of(u.ru_utime),
                  .system_us = us_of(u.ru_stime),
                  .max_rss_kb = (uint64_t)u.ru_maxrss},
    };
    tell(r, &ev);
}

/* ---- ending the tree ----------------------------------------------------------------------- */

/* The command's group takes most of the tree in one stroke. Its number is safe to use only while
 * the command is not reaped. */
static void kill_group(const struct runner *r)
{
    if (r->is_reaped)
        return;
    kill(-r->command, SIGKILL);
    kill(r->command, SIGKILL);
}

static void begin_kill(struct runner *r)
{
    if (r->phase >= PHASE_KILLING)
        return;
    r->phase = PHASE_KILLING;
    r->kill_ns = clock_mono_ns() + FIRST_SCAN_NS;
    r->kill_pause = KILL_PAUSE_NS;
    kill_group(r);
}

/* The first reason stays. Grace 0 kills at once; a later call may only shorten it. */
static void end(struct runner *r, enum process_reason why, uint64_t grace_ms)
{
    if (r->phase >= PHASE_KILLING)
        return;
    if (r->phase == PHASE_RUNNING)
        r->reason = why;
    if (!grace_ms) {
        begin_kill(r);
        return;
    }
    int64_t until = clock_mono_ns() + (int64_t)grace_ms * MS;
    if (until < r->grace_ns)
        r->grace_ns = until;
    if (r->phase == PHASE_RUNNING) {
        r->phase = PHASE_GRACE;
        tree_signal(SIGTERM);
    }
}

static void kill_round(struct runner *r)
{
    kill_group(r);
    tree_kill_children(NULL, NULL);
    r->kill_ns = clock_mono_ns() + r->kill_pause;
    if (r->kill_pause < KILL_PAUSE_MAX)
        r->kill_pause += r->kill_pause / 4;
}

/* ---- the loop, verb by verb ---------------------------------------------------------------- */

static void read_report(struct runner *r)
{
    if (r->report < 0)
        return;
    ssize_t n = read(r->report, &r->failure, sizeof r->failure);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    close(r->report);
    r->report = -1;
    r->has_failed = n == sizeof r->failure;
    if (r->has_failed)
        return;
    struct process_event ev = {.kind = EVENT_STARTED, .pid = r->command, .runner = r->self};
    tell(r, &ev);
}

/* Looks before reaping: while the dead command keeps its number, so does its group. */
static void reap(struct runner *r)
{
    struct signalfd_siginfo ignored[8];
    while (read(r->signals, ignored, sizeof ignored) > 0)
        ;
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD) {
            r->phase = PHASE_EMPTY;
            return;
        }
        if (!info.si_pid)
            return;
        int status = 0;
        if (info.si_pid == r->command && !r->is_reaped)
            begin_kill(r);
        if (waitpid(info.si_pid, &status, 0) == r->command && !r->is_reaped) {
            r->status = status;
            r->is_reaped = true;
        }
        r->kill_pause = KILL_PAUSE_NS; /* progress: what is left may be reached now */
    }
}

static int64_t lease_of(int64_t until_ms)
{
    return until_ms ? until_ms * MS : NEVER;
}

static void obey(struct runner *r)
{
    char bytes[WIRE_SMALL_MAX];
    struct wire_small m;
    ssize_t n = packet_receive(r->channel, bytes, sizeof bytes, NULL, 0, NULL);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || !wire_small_decode((struct slice){.ptr = bytes, .len = (size_t)n}, &m))
        end(r, PROCESS_LOST, 0);
    else if (m.kind == WIRE_CANCEL)
        end(r, PROCESS_CANCELLED, (uint64_t)m.value);
    else if (m.kind == WIRE_RENEW)
        r->lease_ns = lease_of(m.value);
    else if (m.kind == WIRE_SIGNAL && !r->is_reaped)
        kill(-r->command, (int)m.value);
}

static void measure(struct runner *r)
{
    const struct run_spec *s = &r->spec;
    int64_t before = clock_cpu_ns();
    struct tree_usage u = tree_usage();
    int64_t now = clock_mono_ns(), pause = MEASURE_SLOW_NS;
    if (s->memory_bytes && u.memory_bytes > s->memory_bytes)
        end(r, PROCESS_OVER_MEMORY, 0);
    else if (s->cpu_s && u.cpu_us > s->cpu_s * 1000000)
        end(r, PROCESS_OVER_CPU, 0);
    if ((s->memory_bytes && u.memory_bytes > s->memory_bytes / 2) ||
        (s->cpu_s && u.cpu_us > s->cpu_s * 500000))
        pause = MEASURE_FAST_NS;
    int64_t cost = (clock_cpu_ns() - before) * MEASURE_COST;
    r->measure_ns = now + (cost > pause ? cost : pause);
}

/* Whatever is due by the clock. */
static void keep_time(struct runner *r)
{
    int64_t now = clock_mono_ns();
    if (r->phase == PHASE_RUNNING && now >= r->wall_ns)
        end(r, PROCESS_TIMEOUT, r->spec.grace_ms);
    if (r->phase == PHASE_GRACE && now >= r->grace_ns)
        begin_kill(r);
    if (now >= r->lease_ns)
        end(r, PROCESS_UNRENEWED, 0);
    if (r->phase < PHASE_KILLING && now >= r->measure_ns)
        measure(r);
    if (r->phase == PHASE_KILLING && now >= r->kill_ns)
        kill_round(r);
}

static int64_t next_due(const struct runner *r)
{
    if (r->phase == PHASE_KILLING)
        return r->kill_ns;
    int64_t due = r->phase == PHASE_GRACE ? r->grace_ns : r->wall_ns;
    due = r->lease_ns < due ? r->lease_ns : due;
    return r->measure_ns < due ? r->measure_ns : due;
}

static void wait_for_news(struct runner *r)
{
    /* While killing nothing the server says matters, and its end would wake us for ever. */
    struct pollfd on[] = {
        {.fd = r->signals, .events = POLLIN},
        {.fd = r->report, .events = POLLIN},
        {.fd = r->phase < PHASE_KILLING ? r->channel : -1, .events = POLLIN},
    };
    int64_t due = next_due(r), left = due == NEVER ? 0 : due - clock_mono_ns();
    if (left < 0)
        left = 0;
    struct timespec t = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
    ppoll(on, 3, due == NEVER ? NULL : &t, NULL);
    if (getppid() != r->spawner)
        end(r, PROCESS_LOST, 0);
    if (on[1].revents)
        read_report(r);
    if (on[2].revents)
        obey(r);
}

/* ---- start -------------------------------------------------------------------------------- */

/* The request is on the channel already; if its sender is gone too, there is nothing to start. */
static size_t receive_request(struct runner *r, int *fds)
{
    size_t n_fds = 0;
    ssize_t n =
        packet_receive(r->channel, room.packet, sizeof room.packet, fds, WIRE_FDS_MAX, &n_fds);
    struct pollfd hangup = {.fd = r->channel, .events = POLLRDHUP};
    if (n == 0 || (poll(&hangup, 1, 0) > 0 && (hangup.revents & (POLLRDHUP | POLLHUP))))
        process_quit(0);
    if (n < 0)
        fail(r, STEP_REQUEST, errno);
    if (!wire_run_decode((struct slice){.ptr = room.packet, .len = (size_t)n}, &room.rq))
        fail(r, STEP_REQUEST, EBADMSG);
    const struct run_spec *s = &room.rq.spec;
    size_t needed = (s->in != STDIO_NULL) + (s->out != STDIO_NULL) +
                    (s->err != STDIO_NULL && s->err != STDIO_STDOUT) + s->n_fds;
    if (needed != n_fds)
        fail(r, STEP_REQUEST, EBADMSG);
    r->spec = *s;
    return n_fds;
}

static void start_command(struct runner *r, int *fds, size_t n_fds)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC | O_NONBLOCK) < 0)
        fail(r, STEP_FORK, errno);
    r->started_ns = clock_mono_ns();
    r->lease_ns = lease_of(r->spec.lease_until_ms);
    if (r->started_ns >= r->lease_ns)
        fail(r, STEP_LEASE, 0);
    r->command = _Fork();
    if (r->command < 0)
        fail(r, STEP_FORK, errno);
    if (r->command == 0)
        runner_exec(&room.rq, fds, report[1], r->self);
    close(report[1]);
    r->report = report[0];
    while (n_fds)
        close(fds[--n_fds]);
    const struct run_spec *s = &r->spec;
    r->wall_ns = s->wall_ms ? r->started_ns + (int64_t)s->wall_ms * MS : NEVER;
    r->measure_ns = s->memory_bytes || s->cpu_s ? r->started_ns + MEASURE_FAST_NS : NEVER;
    r->grace_ns = NEVER;
}

/* Only the channel and standard error stay of what the spawner had open. */
static void runner_init(struct runner *r, int channel, pid_t spawner)
{
    process_become("dais-runner");
    r->channel = dup2(channel, 3);
    fcntl(r->channel, F_SETFD, FD_CLOEXEC);
    process_close_from(4);
    r->self = getpid();
    r->spawner = spawner;
    r->signals = process_signalfd();
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
    if (getppid() != spawner)
        process_quit(0);
}

_Noreturn void runner_main(int channel, pid_t spawner)
{
    struct runner r = {.report = -1};
    int fds[WIRE_FDS_MAX];
    runner_init(&r, channel, spawner);
    size_t n_fds = receive_request(&r, fds);
    start_command(&r, fds, n_fds);
    for (;;) {
        reap(&r);
        if (r.phase == PHASE_EMPTY)
            break;
        keep_time(&r);
        wait_for_news(&r);
    }
    read_report(&r);
    if (r.has_failed)
        fail(&r, (enum process_step)r.failure.step, r.failure.sys_errno);
    tell_end(&r);
    process_quit(0);
}
