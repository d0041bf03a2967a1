/* Shared by the spawner's tests: a marked environment, and looking through /proc for what is left.
 */
#pragma once
#include "unit.h"
#include "base/clock.h"
#include "base/random.h"
#include "loop/spawn_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BOUND_MS 60000 /* for everything that is waited for; far above what is printed */

struct fixture {
    struct spawner *spawner;
    char mark[ID_LEN + 8];
    const char *env[4];
};

/* A new mark, which every process of the tree inherits. */
static inline void fixture_mark(struct fixture *f)
{
    memcpy(f->mark, "MARK=", 6);
    random_id(f->mark + 5);
    f->env[0] = "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
    f->env[1] = f->mark;
    f->env[2] = f->env[3] = NULL;
}

static inline int fixture_open(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct err e = {0};
    fixture_mark(f);
    f->spawner = spawner_open(&e);
    if (!f->spawner)
        print_error("%s\n", e.msg);
    *state = f;
    return f->spawner ? 0 : -1;
}

static inline int fixture_close(void **state)
{
    struct fixture *f = *state;
    spawner_close(f->spawner);
    int status;
    while (waitpid(-1, &status, WNOHANG) > 0)
        ;
    free(f);
    return 0;
}

static inline void pause_us(long us)
{
    struct timespec t = {.tv_nsec = us * 1000};
    nanosleep(&t, NULL);
}

/* ---- /proc -------------------------------------------------------------------------------- */

static inline size_t read_all(const char *path, char *to, size_t max)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    size_t len = 0;
    for (ssize_t n; len < max && (n = read(fd, to + len, max - len)) > 0;)
        len += (size_t)n;
    close(fd);
    return len;
}

/* Living processes whose environment holds the mark. */
static inline int count_marked(const char *mark)
{
    static _Thread_local char env[PROCESS_MAX_BYTES + 4096];
    int n = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *d; (d = readdir(proc));) {
        char path[300];
        if (d->d_name[0] < '1' || d->d_name[0] > '9')
            continue;
        snprintf(path, sizeof path, "/proc/%s/environ", d->d_name);
        size_t len = read_all(path, env, sizeof env);
        n += memmem(env, len, mark, strlen(mark)) != NULL;
    }
    closedir(proc);
    return n;
}

static inline int count_fds(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    int n = 0;
    DIR *dir = opendir(path);
    if (!dir)
        return -1;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static inline int count_children(pid_t parent)
{
    int n = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *d; (d = readdir(proc));) {
        char path[300], text[512];
        if (d->d_name[0] < '1' || d->d_name[0] > '9')
            continue;
        snprintf(path, sizeof path, "/proc/%s/stat", d->d_name);
        text[read_all(path, text, sizeof text - 1)] = '\0';
        const char *at = strrchr(text, ')');
        n += at && strlen(at) > 4 && strtol(at + 4, NULL, 10) == parent;
    }
    closedir(proc);
    return n;
}

/* Waits until the tree has grown to at least n processes. */
static inline void wait_marked(const struct fixture *f, int n)
{
    int64_t until = clock_mono_ms() + BOUND_MS;
    while (count_marked(f->mark) < n) {
        assert_true(clock_mono_ms() < until);
        pause_us(1000);
    }
}

/* Waits until nothing marked lives; returns how long that took. */
static inline int64_t wait_gone(const struct fixture *f)
{
    int64_t from = clock_mono_ns(), until = clock_mono_ms() + BOUND_MS;
    while (count_marked(f->mark)) {
        if (clock_mono_ms() >= until)
            fail_msg("%d processes were left behind", count_marked(f->mark));
        pause_us(200);
    }
    return (clock_mono_ns() - from) / 1000;
}

/* ---- processes ---------------------------------------------------------------------------- */

static inline struct process *begin(struct fixture *f, const struct process_opts *o,
                                    struct process_event *started)
{
    struct err e = {0};
    struct process *p = process_start(f->spawner, o, &e);
    if (!p)
        fail_msg("%s", e.msg);
    assert_int_equal(process_wait(p, BOUND_MS, started), PROCESS_EVENT);
    if (started->kind == EVENT_FAILED) {
        process_failed(p, started, &e);
        fail_msg("%s", e.msg);
    }
    assert_int_equal(started->kind, EVENT_STARTED);
    return p;
}

static inline struct process_event finish(struct process *p)
{
    struct process_event ev = {0}, more;
    assert_int_equal(process_wait(p, BOUND_MS, &ev), PROCESS_EVENT);
    assert_int_equal(ev.kind, EVENT_ENDED);
    assert_int_equal(process_next(p, &more), PROCESS_OVER);
    process_free(p);
    return ev;
}

/* Runs a shell line to its end and gives its output. */
static inline struct process_event run(struct fixture *f, struct process_opts o, char *out,
                                       size_t max)
{
    struct buf b;
    struct err e = {0};
    struct process_event ev = {0};
    buf_init(&b, max - 1);
    if (!o.env)
        o.env = f->env;
    o.out.kind = STDIO_PIPE;
    if (!process_run(f->spawner, &o, &b, NULL, &ev, &e))
        fail_msg("%s", e.msg);
    snprintf(out, max, "%.*s", (int)b.len, b.data ? b.data : "");
    buf_done(&b);
    return ev;
}
