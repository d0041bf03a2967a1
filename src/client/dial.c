/* Connections to one address: opened, kept while they wait for the next call, closed. */
#include "client/client_impl.h"

#include <errno.h>
#include <stdlib.h>

#define FRESH_MS                                                                      \
    1000 /* a connection that waited this long may be closing: not for what cannot be \
            repeated */

/* ---- one connection ------------------------------------------------------------------------- */

static void dial_drop(struct dial *d)
{
    if (!d->is_freed || d->n_busy || d->n_idle || d->n_calls)
        return;
    while (d->sides) {
        struct call_side *s = d->sides;
        d->sides = s->next;
        buf_done(&s->head);
        buf_done(&s->out);
        buf_done(&s->in);
        free(s->headers);
        free(s);
    }
    free(d->read_room);
    free(d);
}

static void on_closed(struct watch *w)
{
    struct line *l = container_of(w, struct line, watch);
    struct dial *d = l->dial;
    d->n_busy--;
    free(l);
    dial_drop(d);
}

/* Counted as busy until it is really gone, so that the dial outlives it. */
void line_close(struct line *l)
{
    if (l->is_closed)
        return;
    l->is_closed = true;
    if (!l->call && l->idle_since_ms) {
        l->dial->n_idle--;
        l->dial->n_busy++;
    }
    l->call = NULL;
    timer_off(&l->timer);
    if (list_is_linked(&l->link))
        list_remove(&l->link);
    watch_close(&l->watch, on_closed);
    l->stream.ops->done(&l->stream);
}

static void on_ready(struct watch *w, int events)
{
    struct line *l = container_of(w, struct line, watch);
    if (l->is_closed)
        return;
    if (l->call)
        call_on_ready(l, events);
    else
        line_close(l); /* nobody asked: it is the end, or rubbish */
}

static void on_timer(struct timer *t, struct loop *loop)
{
    struct line *l = container_of(t, struct line, timer);
    (void)loop;
    if (l->call)
        call_on_timer(l);
    else
        line_close(l);
}

static struct line *line_open(struct dial *d, struct call *c, struct err *e)
{
    int fd = address_connect(&d->options.to, e);
    if (fd < 0)
        return NULL;
    struct line *l = mem_new(struct line);
    stream_plain(&l->stream, fd);
    l->dial = d;
    l->call = c;
    l->is_connecting = true;
    l->watch.on_ready = on_ready;
    l->timer.fn = on_timer;
    bool is_wrapped = !d->options.filter || d->options.filter(&l->stream);
    if (!is_wrapped)
        err_set(e, ERR_UNREACHABLE, "the connection could not be set up");
    if (!is_wrapped || !watch_open(&l->watch, d->loop, fd, e)) {
        l->stream.ops->done(&l->stream);
        free(l);
        return NULL;
    }
    d->n_busy++;
    d->connects++;
    list_add(&d->busy, &l->link);
    watch_want(&l->watch, WATCH_WRITE);
    timer_set(&l->timer, d->loop, d->options.connect_ms);
    return l;
}

/* ---- waiting ones --------------------------------------------------------------------------- */

/* Whatever came unasked, or the end, was not seen yet: nothing on it can be believed. */
static bool is_quiet(const struct line *l)
{
    char byte;
    ssize_t n = recv(l->stream.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* The one that waited least: the others may close. */
static struct line *take_idle(struct dial *d, bool may_repeat)
{
    if (list_is_empty(&d->idle))
        return NULL;
    struct line *l = container_of(d->idle.prev, struct line, link);
    if (!may_repeat && loop_now_ms(d->loop) - l->idle_since_ms > FRESH_MS)
        return NULL;
    if (!is_quiet(l)) {
        line_close(l);
        return NULL;
    }
    list_remove(&l->link);
    list_add(&d->busy, &l->link);
    timer_off(&l->timer);
    d->n_idle--;
    d->n_busy++;
    d->reuses++;
    l->idle_since_ms = 0;
    l->is_reused = true;
    return l;
}

struct line *line_take(struct dial *d, struct call *c, bool may_reuse, bool may_repeat,
                       struct err *e)
{
    struct line *l = may_reuse ? take_idle(d, may_repeat) : NULL;
    if (!l)
        return line_open(d, c, e);
    l->call = c;
    return l;
}

void line_keep(struct line *l)
{
    struct dial *d = l->dial;
    if (d->is_freed || d->n_idle >= d->options.idle_max) {
        line_close(l);
        return;
    }
    l->call = NULL;
    l->idle_since_ms = loop_now_ms(d->loop) + 1; /* never 0 */
    list_remove(&l->link);
    list_add(&d->idle, &l->link);
    d->n_busy--;
    d->n_idle++;
    watch_want(&l->watch, WATCH_READ); /* to see it end */
    timer_set(&l->timer, d->loop, d->options.idle_ms);
}

/* ---- the dial ------------------------------------------------------------------------------- */

struct dial *dial_new(struct loop *loop, const struct dial_options *options)
{
    struct dial *d = mem_new(struct dial);
    d->options = *options;
    if (!d->options.connect_ms)
        d->options.connect_ms = 5000;
    if (!d->options.idle_ms)
        d->options.idle_ms = 4000;
    if (!d->options.idle_max)
        d->options.idle_max = 64;
    d->loop = loop;
    d->read_room = mem_alloc(READ_BYTES);
    list_init(&d->idle);
    list_init(&d->busy);
    return d;
}

void dial_free(struct dial *d)
{
    must(!d->is_freed);
    d->is_freed = true;
    while (!list_is_empty(&d->idle))
        line_close(container_of(d->idle.next, struct line, link));
    dial_drop(d);
}

void dial_unuse(struct dial *d)
{
    d->n_calls--;
    dial_drop(d);
}

void dial_stats(const struct dial *d, struct dial_stats *ret)
{
    *ret = (struct dial_stats){
        .open = d->n_idle + d->n_busy,
        .idle = d->n_idle,
        .calls = d->n_calls,
        .connects = d->connects,
        .reuses = d->reuses,
        .retries = d->retries,
    };
}
