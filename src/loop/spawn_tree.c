/* The descendants of this process: listing, signalling and measuring them by /proc, without malloc.
 *
 * Where the kernel has /proc/PID/task/TID/children it is used; others are searched by a scan of
 * /proc for parents. Only direct children are killed: their numbers cannot be reused before we
 * reap them. As they die, their children become ours (we are a subreaper), and so on. */
#include "loop/spawn_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <unistd.h>

#define TREE_MAX 16384 /* processes looked at when the whole tree is wanted */

/* Static, because the processes that use it must not touch the heap; each uses one thread. */
static struct {
    pid_t pids[TREE_MAX];
    struct link {
        pid_t pid, parent;
    } links[TREE_MAX];
    char entries[32768], text[16384];
} room;

/* ---- reading /proc ------------------------------------------------------------------------ */

static ssize_t read_text(int dir, const char *path, char *to, size_t max)
{
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, to, max - 1);
    close(fd);
    if (n >= 0)
        to[n] = '\0';
    return n;
}

static pid_t take_number(const char **at)
{
    pid_t n = 0;
    while (**at >= '0' && **at <= '9')
        n = n * 10 + (*(*at)++ - '0');
    return n;
}

/* "PID/rest", async-signal-safe. */
static void path_of(pid_t pid, const char *rest, char to[64])
{
    char digits[16];
    size_t n = 0, len = 0;
    for (; pid; pid /= 10)
        digits[n++] = (char)('0' + pid % 10);
    while (n)
        to[len++] = digits[--n];
    for (to[len++] = '/'; *rest && len < 63;)
        to[len++] = *rest++;
    to[len] = '\0';
}

/* Fields of PID/stat from the third (state) on; the name before may hold anything, also ')'. */
static bool read_stat(int proc, pid_t pid, uint64_t *fields, size_t n)
{
    char path[64], text[1024];
    path_of(pid, "stat", path);
    if (read_text(proc, path, text, sizeof text) < 0)
        return false;
    const char *at = strrchr(text, ')');
    if (!at)
        return false;
    for (size_t i = 0; i < n; i++) {
        at = strchr(at, ' ');
        if (!at)
            return false;
        uint64_t v = 0;
        for (at++; *at >= '0' && *at <= '9'; at++)
            v = v * 10 + (uint64_t)(*at - '0');
        fields[i] = v;
    }
    return true;
}

enum { STAT_STATE, STAT_PARENT, STAT_UTIME = 11, STAT_STIME, STAT_CUTIME, STAT_CSTIME, STAT_NEED };

/* Most numbers on an idle host are threads of the kernel: they are in no session, ours all are. */
static pid_t parent_of(int proc, pid_t pid)
{
    uint64_t f[STAT_PARENT + 1];
    if (getsid(pid) <= 0)
        return -1;
    return read_stat(proc, pid, f, STAT_PARENT + 1) ? (pid_t)f[STAT_PARENT] : -1;
}

static int proc_open(void)
{
    return open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Calls visit for each numeric entry of the directory. */
static void each_number(int dir, void (*visit)(int dir, pid_t n, void *context), void *context)
{
    lseek(dir, 0, SEEK_SET);
    for (;;) {
        ssize_t n = getdents64(dir, room.entries, sizeof room.entries);
        if (n <= 0)
            return;
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *d = (const void *)(room.entries + at);
            const char *name = d->d_name;
            at += d->d_reclen;
            pid_t number = take_number(&name);
            if (number > 0 && !*name)
                visit(dir, number, context);
        }
    }
}

/* ---- listing ------------------------------------------------------------------------------ */

struct listing {
    pid_t *to, parent;
    size_t n, max;
};

static void visit_child(int proc, pid_t pid, void *context)
{
    struct listing *l = context;
    if (l->n < l->max && parent_of(proc, pid) == l->parent)
        l->to[l->n++] = pid;
}

/* False when this kernel has no such file. Of a long list the rest comes in the next round. */
static bool children_by_file(struct listing *l)
{
    ssize_t n = read_text(AT_FDCWD, "/proc/thread-self/children", room.text, sizeof room.text);
    if (n < 0)
        return errno != ENOENT;
    for (const char *at = room.text; *at && l->n < l->max;) {
        pid_t pid = take_number(&at);
        if (*at++ != ' ')
            break;
        l->to[l->n++] = pid;
    }
    return true;
}

size_t tree_children(pid_t *to, size_t max)
{
    struct listing l = {.to = to, .max = max, .parent = getpid()};
    if (children_by_file(&l))
        return l.n;
    int proc = proc_open();
    if (proc >= 0) {
        each_number(proc, visit_child, &l);
        close(proc);
    }
    return l.n;
}

static void visit_link(int proc, pid_t pid, void *context)
{
    size_t *n = context;
    pid_t parent = *n < TREE_MAX ? parent_of(proc, pid) : -1;
    if (parent > 0)
        room.links[(*n)++] = (struct link){.pid = pid, .parent = parent};
}

/* All descendants into room.pids, parents before children: one scan, then generations. */
static size_t list_descendants(int proc)
{
    size_t n_links = 0, n = 0;
    each_number(proc, visit_link, &n_links);
    pid_t self = getpid();
    for (size_t i = 0; i < n_links; i++)
        if (room.links[i].parent == self)
            room.pids[n++] = room.links[i].pid;
    for (size_t at = 0; at < n; at++)
        for (size_t i = 0; i < n_links && n < TREE_MAX; i++)
            if (room.links[i].parent == room.pids[at])
                room.pids[n++] = room.links[i].pid;
    return n;
}

/* ---- acting ------------------------------------------------------------------------------- */

size_t tree_kill_children(bool (*spare)(pid_t pid, void *context), void *context)
{
    size_t n = tree_children(room.pids, TREE_MAX), found = 0;
    pid_t own_group = getpgrp(), last_group = 0;
    for (size_t i = 0; i < n; i++) {
        pid_t pid = room.pids[i], group = getpgid(pid);
        if (spare && spare(pid, context))
            continue;
        found++;
        /* All groups below us were made below us, and a group dies in one stroke: a fork that
         * overlaps with the signal is undone by the kernel. */
        if (group > 0 && group != own_group && group != last_group)
            kill(-group, SIGKILL);
        last_group = group;
        kill(pid, SIGKILL);
    }
    return found;
}

void tree_signal(int signal)
{
    int proc = proc_open();
    if (proc < 0)
        return;
    size_t n = list_descendants(proc);
    pid_t self = getpid();
    for (size_t i = 0; i < n; i++) {
        /* The number may be another's by now: hold the process, then look at its parent again. */
        int fd = pidfd_open(room.pids[i], 0);
        pid_t parent = fd < 0 ? -1 : parent_of(proc, room.pids[i]);
        bool is_ours = parent == self;
        for (size_t k = 0; k < i && !is_ours; k++)
            is_ours = room.pids[k] == parent;
        if (is_ours) {
            pidfd_send_signal(fd, signal, NULL, 0);
            if (signal == SIGTERM) /* a stopped process shall hear it too */
                pidfd_send_signal(fd, SIGCONT, NULL, 0);
        }
        if (fd >= 0)
            close(fd);
    }
    close(proc);
}

/* ---- measuring ---------------------------------------------------------------------------- */

/* Resident pages that are not file or shared ones. */
static uint64_t anonymous_pages(int proc, pid_t pid)
{
    char path[64], text[256];
    path_of(pid, "statm", path);
    if (read_text(proc, path, text, sizeof text) < 0)
        return 0;
    uint64_t f[3] = {0};
    const char *at = text;
    for (size_t i = 0; i < 3; i++, at++) {
        for (; *at >= '0' && *at <= '9'; at++)
            f[i] = f[i] * 10 + (uint64_t)(*at - '0');
        if (*at != ' ')
            break;
    }
    return f[1] > f[2] ? f[1] - f[2] : 0;
}

static uint64_t us_of(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

struct tree_usage tree_usage(void)
{
    struct rusage waited;
    getrusage(RUSAGE_CHILDREN, &waited);
    struct tree_usage u = {.cpu_us = us_of(waited.ru_utime) + us_of(waited.ru_stime)};
    int proc = proc_open();
    if (proc < 0)
        return u;
    uint64_t ticks = 0, pages = 0, f[STAT_NEED];
    size_t n = list_descendants(proc);
    for (size_t i = 0; i < n; i++) {
        if (!read_stat(proc, room.pids[i], f, STAT_NEED))
            continue;
        ticks += f[STAT_UTIME] + f[STAT_STIME] + f[STAT_CUTIME] + f[STAT_CSTIME];
        pages += anonymous_pages(proc, room.pids[i]);
    }
    close(proc);
    u.cpu_us += ticks * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
    u.memory_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return u;
}
