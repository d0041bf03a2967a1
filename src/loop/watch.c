/* Watching one descriptor. */
#include "loop/loop_impl.h"

/* libuv stops asking after an error, but bytes that came before it may be left to read: the owner
 * is told until it has seen the error itself. */
static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct watch *w = container_of(handle, struct watch, poll);
    if (status < 0) {
        int wanted = w->events;
        w->events = 0;
        watch_want(w, wanted);
        events = WATCH_READ | WATCH_WRITE;
    }
    w->on_ready(w, events);
}

bool watch_open(struct watch *w, struct loop *l, int fd, struct err *e)
{
    int rc = uv_poll_init(&l->uv, &w->poll, fd);
    w->events = 0;
    if (rc < 0)
        return err_set(e, ERR_IO, "watching a descriptor failed: %s", uv_strerror(rc));
    return true;
}

void watch_want(struct watch *w, int events)
{
    if (w->events == events)
        return;
    w->events = events;
    if (events)
        must(uv_poll_start(&w->poll, events, on_poll) == 0);
    else
        uv_poll_stop(&w->poll);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct watch *w = container_of((uv_poll_t *)handle, struct watch, poll);
    w->on_closed(w);
}

void watch_close(struct watch *w, void (*on_closed)(struct watch *w))
{
    w->on_closed = on_closed;
    w->events = 0;
    uv_close((uv_handle_t *)&w->poll, on_handle_closed);
}
