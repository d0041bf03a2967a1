/* Noticing that files changed: inotify on every folder, or a look once a second. */
#include "web/web_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define QUIET_MS  50  /* a build writes many files: wait until it pauses */
#define LATEST_MS 500 /* but not longer than this */
#define POLL_MS   1000

struct web_watch {
    struct watch io;
    struct web *web;
    struct timer quiet, poll;
    int64_t first_ms; /* of the changes not looked at yet; 0: none */
};

int watch_inotify(void)
{
    return inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
}

static void on_quiet(struct timer *t, struct loop *l)
{
    struct web_watch *ww = container_of(t, struct web_watch, quiet);
    (void)l;
    ww->first_ms = 0;
    rebuild_start(ww->web);
}

static void on_poll(struct timer *t, struct loop *l)
{
    (void)l;
    rebuild_start(container_of(t, struct web_watch, poll)->web);
}

/* Which name changed does not matter: all are looked at. */
static bool drain(int fd)
{
    char events[16384] __attribute__((aligned(8)));
    bool any = false;
    for (;;) {
        ssize_t n = read(fd, events, sizeof events);
        if (n > 0)
            any = true;
        else if (n == 0 || errno != EINTR)
            return any;
    }
}

static void on_ready(struct watch *io, int bits)
{
    struct web_watch *ww = container_of(io, struct web_watch, io);
    struct loop *l = loops_get(ww->web->options.loops, 0);
    (void)bits;
    if (!drain(ww->web->inotify))
        return;
    int64_t now = loop_now_ms(l);
    if (!ww->first_ms)
        ww->first_ms = now;
    int64_t left = ww->first_ms + LATEST_MS - now;
    timer_set(&ww->quiet, l, left < QUIET_MS ? (left > 1 ? left : 1) : QUIET_MS);
}

static void on_closed(struct watch *io)
{
    free(container_of(io, struct web_watch, io));
}

/* Where the kernel does not tell all, looking again costs at most a twentieth of the time. */
static void poll_later(struct web_watch *ww)
{
    struct web *w = ww->web;
    if (w->is_watched && !w->tree->is_partial) {
        timer_off(&ww->poll);
        return;
    }
    int64_t pause = w->rebuild.took_ms * 20;
    timer_set(&ww->poll, loops_get(w->options.loops, 0), pause > POLL_MS ? pause : POLL_MS);
}

void watch_start(struct web *w)
{
    struct web_watch *ww = mem_new(struct web_watch);
    struct err e;
    ww->web = w;
    ww->quiet.fn = on_quiet;
    ww->poll.fn = on_poll;
    ww->io.on_ready = on_ready;
    w->watch = ww;
    w->is_watched =
        w->inotify >= 0 && watch_open(&ww->io, loops_get(w->options.loops, 0), w->inotify, &e);
    if (w->is_watched)
        watch_want(&ww->io, WATCH_READ);
    else
        log_line(LOG_WARN, "changed files are looked for once a second");
    poll_later(ww);
}

void watch_rebuilt(struct web *w)
{
    poll_later(w->watch);
}

void watch_again(struct web *w)
{
    timer_set(&w->watch->poll, loops_get(w->options.loops, 0), POLL_MS);
}

void watch_stop(struct web *w)
{
    struct web_watch *ww = w->watch;
    timer_off(&ww->quiet);
    timer_off(&ww->poll);
    w->watch = NULL;
    if (w->is_watched)
        watch_close(&ww->io, on_closed);
    else
        free(ww);
    w->is_watched = false;
}
