/* Starting commands and ending them: whole process trees that never outlive this program.
 *
 * The second public header of loop/ (the other is loop.h): it knows no event loop. It gives file
 * descriptors to poll and functions that do not block, so loop/, tests and the command line can
 * all use it. docs/decisions/0005-processes.md says why it has this shape and what is guaranteed.
 *
 * A spawner is a small process forked before threads. For each command it forks a runner, which
 * starts the command, watches it, and ends only when no descendant of the command is left: after
 * exit, limit, cancel, or when this program is gone (also by kill -9).
 *
 * A struct spawner may be used by any thread; a struct process belongs to one thread at a time. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>
#include <sys/types.h>

/* ---- the spawner -------------------------------------------------------------------------- */

struct spawner;

/* Forks the spawner. Call before threads exist and before secrets are read. NULL on failure. */
struct spawner *spawner_open(struct err *e);
/* Every process still running is killed; returns when the last is gone, at most 5 s later. */
void spawner_close(struct spawner *s);

/* Readable when the spawner has died (somebody killed it). All its processes then end by
 * themselves with PROCESS_LOST; new ones cannot start until spawner_reopen. */
int spawner_fd(struct spawner *s);
bool spawner_is_lost(struct spawner *s);
/* Forks a new spawner in place of a lost one. Safe with threads: what runs after the fork makes
 * system calls only. The descriptor of spawner_fd stays the same number. */
bool spawner_reopen(struct spawner *s, struct err *e) MUST_CHECK;
pid_t spawner_pid(struct spawner *s);

/* ---- starting ----------------------------------------------------------------------------- */

#define PROCESS_MAX_BYTES   (128 * 1024) /* argv, env and cwd together, each with its NUL */
#define PROCESS_MAX_STRINGS 4096         /* of argv, and of env */
#define PROCESS_MAX_FDS     16           /* extra descriptors */
#define SPAWNER_MAX_RUNS    1024         /* at the same time, less if descriptors are few */

enum process_stdio {
    STDIO_NULL,  /* /dev/null */
    STDIO_PIPE,  /* process_stdio_take gives our end, non-blocking */
    STDIO_FD,    /* a descriptor of the caller, who keeps and closes his own copy */
    STDIO_STDOUT /* only for err: the same as out */
};

struct process_stream {
    enum process_stdio kind;
    int fd; /* of STDIO_FD */
};

/* Zero is the default of every field. Nothing is inherited that is not named here. */
struct process_opts {
    const char *const *argv; /* ends in NULL; without a slash argv[0] is looked up in env's PATH */
    const char *shell;       /* instead of argv: a line for /bin/sh -c */
    const char *const *env;  /* exact, "NAME=value", ends in NULL */
    const char *cwd;         /* absolute; default "/" */
    struct process_stream in, out, err;
    const int *fds; /* become 3, 4, ...; the caller keeps his own copies */
    size_t n_fds;

    uint64_t wall_ms;             /* then SIGTERM, grace_ms, SIGKILL; 0 = for ever */
    int64_t lease_until_ms;       /* of clock_mono_ms(): then SIGKILL, unless process_renew came,
                                     even when this program stands still; 0 = none */
    uint64_t grace_ms;            /* of the wall timeout */
    uint64_t memory_bytes;        /* anonymous memory of the whole tree, polled; then SIGKILL */
    uint64_t cpu_s;               /* CPU seconds of the whole tree; then SIGKILL */
    uint64_t address_space_bytes; /* of each process: RLIMIT_AS, the allocation fails */
    uint64_t open_files;          /* of each process: RLIMIT_NOFILE */
    uint64_t file_bytes;          /* of each file: RLIMIT_FSIZE, SIGXFSZ */
    int nice;
    mode_t umask; /* 0 = 022 */
    uid_t uid;    /* 0 = unchanged; a gid must come with it */
    gid_t gid;
    bool may_gain_privileges; /* allows set-uid programs, which we may then be unable to kill */
};

struct process;

/* Starts a command; its first event says whether that worked. NULL if it could not be tried:
 * the options are wrong or too large, the spawner is lost or stays busy for a second. */
struct process *process_start(struct spawner *s, const struct process_opts *o, struct err *e);
/* Ends the tree at once if it still runs (without waiting) and forgets it. NULL is fine. */
void process_free(struct process *p);

/* Our end of a STDIO_PIPE stream (0, 1 or 2), which the caller then closes; -1 when there is none
 * or it was taken. What is not taken is closed by process_free. A pipe reaches its end when the
 * command and its children have closed it, at the latest just before the final event. */
int process_stdio_take(struct process *p, int which);

/* ---- watching ----------------------------------------------------------------------------- */

/* What was being done when a start failed, and what it means for a person (%s = argv[0]). */
#define PROCESS_STEP_MAP(X)                                                           \
    X(STEP_RUNNER, "no runner could be started for %s")                               \
    X(STEP_REQUEST, "the request to start %s was damaged")                            \
    X(STEP_LEASE, "the time in which %s may run was over before it began")            \
    X(STEP_FORK, "no process could be made for %s")                                   \
    X(STEP_SESSION, "%s could not get a session of its own")                          \
    X(STEP_STDIO, "the input and output of %s could not be set up")                   \
    X(STEP_LIMITS, "the limits of %s could not be set")                               \
    X(STEP_IDENTITY, "%s could not be given its user")                                \
    X(STEP_CWD, "the working directory of %s cannot be entered")                      \
    X(STEP_MISSING, "there is no command %s")                                         \
    X(STEP_INTERPRETER, "the interpreter named in the first line of %s is not there") \
    X(STEP_NOT_EXECUTABLE, "%s is there but may not be executed")                     \
    X(STEP_EXEC, "%s could not be executed")

enum process_step {
#define X(step, text) step,
    PROCESS_STEP_MAP(X)
#undef X
        STEP_COUNT
};

/* Why a process ended. */
#define PROCESS_REASON_MAP(X)                                       \
    X(PROCESS_EXITED, "it exited")                                  \
    X(PROCESS_SIGNALLED, "a signal ended it")                       \
    X(PROCESS_TIMEOUT, "it ran longer than allowed")                \
    X(PROCESS_CANCELLED, "it was cancelled")                        \
    X(PROCESS_OVER_MEMORY, "it used more memory than allowed")      \
    X(PROCESS_OVER_CPU, "it used more processor time than allowed") \
    X(PROCESS_OVER_FILE, "it wrote a larger file than allowed")     \
    X(PROCESS_UNRENEWED, "its lease was not renewed")               \
    X(PROCESS_LOST, "its runner was killed")

enum process_reason {
#define X(reason, text) reason,
    PROCESS_REASON_MAP(X)
#undef X
        PROCESS_REASON_COUNT
};

struct process_usage {
    uint64_t wall_us, user_us, system_us; /* of the tree, as far as its parents waited for it */
    uint64_t max_rss_kb;                  /* of its largest process */
};

struct process_event {
    enum { EVENT_STARTED, EVENT_FAILED, EVENT_ENDED } kind;
    pid_t pid, runner; /* STARTED: of the command (also its process group), and of its runner */

    enum process_step step; /* FAILED: nothing ran */
    int sys_errno;

    enum process_reason reason; /* ENDED */
    int exit_code;              /* -1 when a signal ended the command, or unknown (LOST) */
    int signal;                 /* 0 when it exited */
    bool is_unproven;           /* LOST together with its spawner: remains are possible */
    struct process_usage usage;
};

enum process_next { PROCESS_WAIT, PROCESS_EVENT, PROCESS_OVER };

/* Readable when process_next has news. */
int process_fd(const struct process *p);
/* The next event, without blocking: STARTED then ENDED, or FAILED alone; then PROCESS_OVER for
 * ever. After ENDED and FAILED no process of the tree exists any more. */
enum process_next process_next(struct process *p, struct process_event *ret);
/* The same, but waits up to timeout_ms (-1 = for ever). */
enum process_next process_wait(struct process *p, int timeout_ms, struct process_event *ret);

/* FAILED as an error with a sentence; returns false. */
bool process_failed(const struct process *p, const struct process_event *ev, struct err *e);
/* ENDED in words: "exit code 3", "signal 9 (it ran longer than allowed)". */
void process_ended_text(const struct process_event *ev, struct buf *to);

/* ---- acting ------------------------------------------------------------------------------- */

/* SIGTERM to the whole tree, then after grace_ms SIGKILL until nothing is left (0 = at once).
 * A second call may only shorten the grace. Fine when it has ended already. */
bool process_cancel(struct process *p, uint32_t grace_ms, struct err *e);
/* The lease of one that was started with one ends then instead, and not before. */
bool process_renew(struct process *p, int64_t lease_until_ms, struct err *e);
/* A signal to the command's process group, SIGHUP say. */
bool process_signal(struct process *p, int signal, struct err *e);

/* ---- all in one --------------------------------------------------------------------------- */

/* Starts, reads STDIO_PIPE outputs into the bufs (up to their limits; the rest is read and
 * dropped), closes a piped input, and waits. Blocks: for the command line and tests. */
bool process_run(struct spawner *s, const struct process_opts *o, struct buf *out,
                 struct buf *err_out, struct process_event *ret_ended, struct err *e);
