/* Between the files of the spawner: the messages, and the mains of the processes it forks.
 *
 * All that runs in the spawner, in a runner and in a command before its exec uses neither malloc
 * nor locks: a lost spawner is forked anew from a process full of threads. */
#pragma once
#include "loop/spawn.h"

/* ---- messages (spawn_wire.c, no I/O) ------------------------------------------------------ */

/* Every message is one packet of a SOCK_SEQPACKET socket: its size and kind, then its body. */
enum wire_kind {
    WIRE_START = 1, /* server to spawner: a channel (one descriptor), no body */
    WIRE_RUN,       /* server to runner, first on its channel: what to run, and its descriptors */
    WIRE_CANCEL,    /* server to runner: grace in ms */
    WIRE_SIGNAL,    /* server to runner: signal number */
    WIRE_RENEW,     /* server to runner: its lease, a time of clock_mono_ms() */
    WIRE_EVENT      /* runner (or spawner) to server: a struct process_event */
};

/* The fixed part of WIRE_RUN; all fields have one width, so that there is no padding. */
struct run_spec {
    uint64_t wall_ms, grace_ms, memory_bytes, cpu_s, address_space_bytes, open_files, file_bytes;
    uint64_t umask, uid, gid, may_gain_privileges, in, out, err, n_fds, argc, envc;
    int64_t nice, lease_until_ms;
};

#define WIRE_RUN_MAX \
    (8 + sizeof(struct run_spec) + PROCESS_MAX_BYTES + 4 * (2 * PROCESS_MAX_STRINGS + 1))
#define WIRE_SMALL_MAX 256 /* of every other message */
#define WIRE_FDS_MAX   (3 + PROCESS_MAX_FDS)

/* What a runner reads out of WIRE_RUN; the strings stay in the packet. */
struct run_request {
    struct run_spec spec;
    const char *cwd;
    const char *argv[PROCESS_MAX_STRINGS + 1], *env[PROCESS_MAX_STRINGS + 1];
};

struct wire_small { /* every message but WIRE_RUN */
    enum wire_kind kind;
    int64_t value; /* CANCEL, SIGNAL, RENEW */
    struct process_event event;
};

bool wire_run_encode(const struct process_opts *o, struct buf *to, struct err *e);
bool wire_run_decode(struct slice packet, struct run_request *ret);
size_t wire_small_encode(const struct wire_small *m, char to[WIRE_SMALL_MAX]);
bool wire_small_decode(struct slice packet, struct wire_small *ret);

/* ---- packets with descriptors (spawn_packet.c) -------------------------------------------- */

/* False with errno set. Never blocks. */
bool packet_send(int sock, struct slice bytes, const int *fds, size_t n_fds);
/* Length; 0 at the end; -1 with errno (EAGAIN when there is none). Descriptors that do not fit
 * are closed and the packet is refused with EBADMSG. Never blocks. */
ssize_t packet_receive(int sock, char *to, size_t max, int *fds, size_t max_fds, size_t *ret_n_fds);

/* ---- our descendants (spawn_tree.c) ------------------------------------------------------- */

/* Direct children of this process, zombies too. Exact: only we can reap them. */
size_t tree_children(pid_t *to, size_t max);
/* SIGKILL to every child, and its process group, for which spare() is not true. Returns how many
 * there were. Can hit no foreign process: the number of an unreaped child is not reused. */
size_t tree_kill_children(bool (*spare)(pid_t pid, void *context), void *context);
/* A signal to all descendants, best effort (the decisive one is tree_kill_children). */
void tree_signal(int signal);
struct tree_usage {
    uint64_t cpu_us, memory_bytes;
};
/* Of all living descendants and of those that were waited for. */
struct tree_usage tree_usage(void);

/* ---- processes ---------------------------------------------------------------------------- */

_Noreturn void spawner_main(int control);               /* spawner.c */
_Noreturn void runner_main(int channel, pid_t spawner); /* runner.c */
/* runner_exec.c: the command's side of the fork, up to exec. fds: as received, all above the
 * last number they become. Writes a struct exec_failure to `report` if it fails. */
struct exec_failure {
    int step, sys_errno;
};
_Noreturn void runner_exec(const struct run_request *rq, const int *fds, int report, pid_t runner);

/* A forked process starts here: all signals blocked, a session of its own, a name, a subreaper,
 * not to be traced by its equals. */
void process_become(const char *name);
/* Closes everything from `first` on. */
void process_close_from(int first);
int process_signalfd(void); /* SIGCHLD and SIGUSR1 (the parent died) */
_Noreturn void process_quit(int code);
