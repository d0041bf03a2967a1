/* How long starting a command and ending a process tree take; printed by `make bench-spawn`. */
#include "base/clock.h"
#include "loop/spawn.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS 300

static const char *const env[] = {"PATH=/usr/bin:/bin", NULL};

struct series {
    const char *name;
    int64_t ns[ROUNDS];
    size_t n;
};

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void print(struct series *s)
{
    qsort(s->ns, s->n, sizeof *s->ns, by_size);
    printf("%-58s %7.3f %7.3f %7.3f\n", s->name, (double)s->ns[s->n / 2] / 1e6,
           (double)s->ns[s->n * 99 / 100] / 1e6, (double)s->ns[s->n - 1] / 1e6);
}

static void add(struct series *s, int64_t from)
{
    s->ns[s->n++] = clock_mono_ns() - from;
}

static void wait_for(struct process *p, int kind)
{
    struct process_event ev = {0};
    must(process_wait(p, 10000, &ev) == PROCESS_EVENT && (int)ev.kind == kind);
}

/* Waits for a byte of the command, or for the end of the pipe when no process holds it any more. */
static bool read_byte(int fd)
{
    struct pollfd on = {.fd = fd, .events = POLLIN};
    char byte;
    poll(&on, 1, 10000);
    return read(fd, &byte, 1) == 1;
}

static void bench_start(struct spawner *s)
{
    static struct series start = {.name = "start of /bin/true to its exec"};
    static struct series output = {.name = "start of /bin/echo to its first byte of output"};
    static struct series whole = {.name = "start of /bin/true to the final event"};
    const char *const yes[] = {"/bin/true", NULL}, *const echo[] = {"/bin/echo", NULL};
    for (int i = 0; i < ROUNDS; i++) {
        int64_t from = clock_mono_ns();
        struct process *p = process_start(s, &(struct process_opts){.argv = yes, .env = env}, NULL);
        must(p);
        wait_for(p, EVENT_STARTED);
        add(&start, from);
        wait_for(p, EVENT_ENDED);
        add(&whole, from);
        process_free(p);
        from = clock_mono_ns();
        p = process_start(
            s, &(struct process_opts){.argv = echo, .env = env, .out.kind = STDIO_PIPE}, NULL);
        must(p);
        int out = process_stdio_take(p, 1);
        must(read_byte(out));
        add(&output, from);
        wait_for(p, EVENT_STARTED);
        wait_for(p, EVENT_ENDED);
        close(out);
        process_free(p);
    }
    print(&start);
    print(&output);
    print(&whole);
}

/* A tree whose processes all hold standard output: the end of the pipe is the end of the tree. */
static void bench_kill(struct spawner *s, const char *name, const char *shell, int size,
                       bool kill_9)
{
    static struct series gone, told;
    static char names[2][128];
    gone.n = told.n = 0;
    snprintf(names[0], sizeof names[0], "%s: last process gone", name);
    snprintf(names[1], sizeof names[1], "%s: final event", name);
    gone.name = names[0];
    told.name = names[1];
    for (int i = 0; i < ROUNDS / 3; i++) {
        struct process_event ev;
        struct process *p = process_start(
            s, &(struct process_opts){.shell = shell, .env = env, .out.kind = STDIO_PIPE}, NULL);
        must(p && process_wait(p, 10000, &ev) == PROCESS_EVENT && ev.kind == EVENT_STARTED);
        int out = process_stdio_take(p, 1);
        for (int n = 0; n < size; n++)
            must(read_byte(out));
        int64_t from = clock_mono_ns();
        must(kill_9 ? kill(ev.runner, SIGKILL) == 0 : process_cancel(p, 0, NULL));
        must(!read_byte(out));
        add(&gone, from);
        wait_for(p, EVENT_ENDED);
        add(&told, from);
        close(out);
        process_free(p);
    }
    print(&gone);
    print(&told);
}

int main(void)
{
    struct err e;
    struct spawner *s = spawner_open(&e);
    must(s);
    printf("%-58s %7s %7s %7s\n", "milliseconds", "median", "p99", "worst");
    bench_start(s);
    bench_kill(s, "kill of one process", "echo; exec sleep 1000", 1, false);
    bench_kill(s, "kill of 20 in one session",
               "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do (printf x; exec sleep "
               "1000) & done; printf x; wait",
               20, false);
    bench_kill(s, "kill of 10 in 10 sessions",
               "for i in 1 2 3 4 5 6 7 8 9; do setsid sh -c 'printf x; exec sleep 1000' & done; "
               "printf x; wait",
               10, false);
    bench_kill(s, "kill -9 of the runner of such 10",
               "for i in 1 2 3 4 5 6 7 8 9; do setsid sh -c 'printf x; exec sleep 1000' & done; "
               "printf x; wait",
               10, true);
    spawner_close(s);
    return 0;
}
