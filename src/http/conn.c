/* One connection: reading, cutting the bytes into requests, time-outs, closing. */
#include "http/http_impl.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FRESH_MS 1000 /* from connecting to a first request, while the server stops */

static void feed(struct conn *c, struct slice in, bool is_from_flow);
static void read_pending(struct conn *c);

const char *conn_state_name(enum conn_state state)
{
    static const char *const names[] = {
#define X(id, name) name,
        CONN_STATE_MAP(X)
#undef X
    };
    return names[state];
}

/* The only place that changes a state. */
void conn_set_state(struct conn *c, enum conn_state state)
{
    struct http_loop *hl = c->home;
    const struct server_options *o = &hl->server->options;
    if (c->state == CONN_IDLE)
        hl->n_idle--;
    if (state == CONN_IDLE)
        hl->n_idle++;
    if (state == CONN_HEAD && c->state != CONN_HEAD)
        timer_set(&c->timer, hl->loop, o->head_ms);
    else if (state == CONN_IDLE)
        timer_set(&c->timer, hl->loop, o->idle_ms);
    else if (state == CONN_RUN || state == CONN_WAIT)
        timer_off(&c->timer);
    else if (state == CONN_SEND)
        timer_set(&c->timer, hl->loop, o->write_ms);
    else if (state == CONN_LINGER)
        timer_set(&c->timer, hl->loop, LINGER_MS);
    c->state = (uint8_t)state;
}

/* ---- buffers
 * ------------------------------------------------------------------------------------------ */

struct flow *conn_flow(struct conn *c)
{
    struct http_loop *hl = c->home;
    if (c->flow)
        return c->flow;
    c->flow = hl->flows;
    if (c->flow) {
        hl->flows = c->flow->next;
        hl->n_flows--;
    } else {
        c->flow = mem_new(struct flow);
        buf_init(&c->flow->in,
                 hl->server->options.limits.head_bytes + READ_BYTES + READ_BULK_BYTES);
        buf_init(&c->flow->out, OUT_MAX_BYTES);
    }
    return c->flow;
}

static void flow_free(struct flow *f)
{
    buf_done(&f->in);
    buf_done(&f->out);
    free(f);
}

static void release_flow(struct conn *c)
{
    struct http_loop *hl = c->home;
    struct flow *f = c->flow;
    if (!f)
        return;
    c->flow = NULL;
    out_drop(hl, f);
    buf_clear(&f->in);
    if (hl->n_flows >= POOL_MAX || f->in.cap + f->out.cap > 2 * READ_BYTES) {
        flow_free(f);
        return;
    }
    f->next = hl->flows;
    hl->flows = f;
    hl->n_flows++;
}

void conn_pool_free(struct http_loop *hl)
{
    while (hl->flows) {
        struct flow *f = hl->flows;
        hl->flows = f->next;
        flow_free(f);
    }
    hl->n_flows = 0;
}

void conn_mark_dirty(struct conn *c)
{
    if (!list_is_linked(&c->dirty))
        list_add(&c->home->dirty, &c->dirty);
}

/* ---- closing
 * -------------------------------------------------------------------------------------------- */

static void on_closed(struct watch *w)
{
    free(container_of(w, struct conn, watch));
}

void conn_close(struct conn *c, const char *why)
{
    struct http_loop *hl = c->home;
    if (c->is_closed)
        return;
    c->is_closed = true;
    if (log_is_on(LOG_DEBUG))
        log_line(LOG_DEBUG, "connection closed", F_CSTR("why", why), F_INT("requests", c->requests),
                 F_CSTR("state", conn_state_name(c->state)));
    if (c->exchange && c->state == CONN_RUN) {
        c->exchange->conn = NULL; /* the lane finishes it for nobody */
        atomic_store(&c->exchange->is_left, true);
    } else if (c->exchange && c->state == CONN_WAIT) {
        release_flow(c); /* a source ends before its waiter */
        later_drop(c);
    } else if (c->exchange) { /* part of its body was there */
        c->exchange->conn = NULL;
        c->exchange->rq.res.status = STATUS_GONE;
        exchange_finish(c->exchange);
    }
    c->exchange = NULL;
    release_flow(c);
    timer_off(&c->timer);
    list_remove(&c->link);
    if (list_is_linked(&c->dirty))
        list_remove(&c->dirty);
    hl->n_open--;
    if (c->state == CONN_IDLE)
        hl->n_idle--;
    watch_close(&c->watch, on_closed);
    c->stream.ops->done(&c->stream);
}

/* All is sent. We say so, then wait for the client's end: closing with unread bytes would reset
 * the connection and might destroy the answer before the client has read it. */
static void linger(struct conn *c)
{
    c->stream.ops->shut(&c->stream);
    release_flow(c);
    conn_set_state(c, CONN_LINGER);
    watch_want(&c->watch, WATCH_READ);
}

/* Nothing is owed any more, and nothing new can or may come. */
static bool is_over(const struct conn *c)
{
    if (c->state == CONN_IDLE)
        return c->has_ended || c->home->is_draining;
    return (c->state == CONN_HEAD || c->state == CONN_BODY) && c->has_ended;
}

void conn_next(struct conn *c)
{
    if (c->state == CONN_RUN)
        timer_off(&c->timer); /* it was for what has left now; a lane has no time-out */
    if (c->state == CONN_RUN || (c->state == CONN_BODY && !c->has_ended))
        return; /* only an interim answer has left */
    if (c->state == CONN_WAIT && !later_is_over(c))
        return;
    if (c->close_after) {
        linger(c);
        return;
    }
    if (c->state == CONN_SEND)
        conn_set_state(c, CONN_IDLE);
    if (!c->has_ended)
        watch_want(&c->watch, c->watch.events | WATCH_READ);
    if (c->flow && c->state == CONN_IDLE && c->flow->in.len)
        feed(c, buf_slice(&c->flow->in), true);
    read_pending(c);
    if (c->is_closed || list_is_linked(&c->dirty))
        return;
    if (is_over(c))
        linger(c);
    else if (c->flow && c->flow->in.len == 0)
        release_flow(c);
}

/* ---- cutting bytes into requests
 * ------------------------------------------------------------------------- */

static void refuse_head(struct conn *c, struct exchange *x, const struct err *e)
{
    memset(&x->h1, 0, sizeof x->h1);
    x->h1.minor = 1;
    exchange_refuse(c, x, e);
}

/* One head off the front of *in. False: more is needed, or the connection is done for. */
static bool feed_head(struct conn *c, struct slice *in)
{
    struct http_loop *hl = c->home;
    struct exchange *x = exchange_take(hl);
    struct err e;
    size_t scanned = c->scanned;
    x->h1.headers = x->headers;
    enum io io = h1_parse_request(&x->h1, *in, &scanned, &hl->server->options.limits, &e);
    c->scanned = (uint32_t)scanned;
    if (io == IO_MORE) {
        exchange_put(hl, x);
        if (c->state == CONN_IDLE)
            conn_set_state(c, CONN_HEAD);
        return false;
    }
    c->scanned = 0;
    if (io == IO_FAIL) {
        *in = slice_skip(*in, in->len);
        refuse_head(c, x, &e);
        return false;
    }
    struct slice head = slice_first(*in, x->h1.head_len);
    *in = slice_skip(*in, head.len);
    exchange_start(c, x, head);
    return true;
}

/* Works through received bytes; what cannot be used yet stays in the flow. */
static void feed(struct conn *c, struct slice in, bool is_from_flow)
{
    size_t had = in.len;
    bool go_on = true;
    while (go_on && in.len && !c->is_closed) {
        if (c->state == CONN_BODY)
            exchange_body(c, &in);
        else if (c->state == CONN_WAIT)
            go_on = later_body(c, &in);
        else if (c->state == CONN_IDLE || c->state == CONN_HEAD)
            go_on = feed_head(c, &in);
        else
            break;
    }
    if (c->is_closed)
        return;
    if (is_from_flow)
        buf_consume(&c->flow->in, had - in.len);
    else if (in.len)
        buf_add(&conn_flow(c)->in, in);
    must(!c->flow || !c->flow->in.full);
}

void conn_resume(struct conn *c)
{
    if (c->flow && c->flow->in.len)
        feed(c, buf_slice(&c->flow->in), true);
    if (!c->is_closed && !c->has_ended)
        watch_want(&c->watch, c->watch.events | WATCH_READ);
}

/* ---- events
 * ---------------------------------------------------------------------------------------------- */

static void on_bytes(struct conn *c, struct slice bytes)
{
    if (c->flow && c->flow->in.len) {
        buf_add(&c->flow->in, bytes);
        feed(c, buf_slice(&c->flow->in), true);
    } else {
        feed(c, bytes, false);
    }
}

/* The client says no more. What it asked for it still gets, unless that has no end of its own. */
static void on_end(struct conn *c)
{
    const struct flow *f = c->flow;
    if (c->state == CONN_WAIT) { /* who waits for an answer and hangs up wants none */
        if (later_on_end(c))
            watch_want(&c->watch, c->watch.events & ~WATCH_READ);
        else
            conn_close(c, "the client closed");
        return;
    }
    bool is_owed = c->state == CONN_RUN || c->state == CONN_SEND || (f && f->out.len > f->sent);
    bool is_endless = f && f->tail.kind == BODY_SOURCE && f->tail.source->is_endless;
    if (!is_owed || is_endless || c->state == CONN_LINGER) {
        conn_close(c, "the client closed");
        return;
    }
    c->has_ended = true;
    watch_want(&c->watch, c->watch.events & ~WATCH_READ);
}

static bool is_answering(const struct conn *c)
{
    return c->state == CONN_RUN || c->state == CONN_SEND;
}

/* While an answer is made or sent: keep a little, see the client leave, and otherwise let the
 * kernel's buffer fill up. */
static bool has_read_ahead(struct conn *c)
{
    if ((!is_answering(c) && c->state != CONN_WAIT) || !c->flow || c->flow->in.len < READ_BYTES)
        return false;
    watch_want(&c->watch, c->watch.events & ~WATCH_READ);
    return true;
}

/* What its taker leaves of a body is kept here. */
static size_t most_to_read(const struct conn *c)
{
    const struct exchange *x = c->exchange;
    bool is_bulk = c->state == CONN_WAIT && x->waiter && x->waiter->is_bulk && !x->is_body_full &&
                   (!c->flow || !c->flow->in.len);
    return is_bulk ? READ_BULK_BYTES : READ_BYTES;
}

static void on_readable(struct conn *c)
{
    size_t n = 0;
    if (has_read_ahead(c))
        return;
    enum io io = c->stream.ops->read(&c->stream, c->home->read_room, most_to_read(c), &n);
    struct slice bytes = {c->home->read_room, n};
    c->home->bytes_in += n;
    if (io == IO_MORE)
        return;
    if (io == IO_FAIL) {
        conn_close(c, "reading failed");
        return;
    }
    if (io == IO_EOF)
        on_end(c);
    else if (is_answering(c))
        buf_add(&conn_flow(c)->in, bytes);
    else if (c->state != CONN_LINGER)
        on_bytes(c, bytes);
    else if ((c->scanned += (uint32_t)n) > LINGER_BYTES)
        conn_close(c, "the client would not stop sending");
}

/* What a filter holds shows on no descriptor. */
static void read_pending(struct conn *c)
{
    bool (*has_pending)(const struct stream *) = c->stream.ops->has_pending;
    while (has_pending && !c->is_closed && (c->watch.events & WATCH_READ) &&
           has_pending(&c->stream))
        on_readable(c);
}

static void on_ready(struct watch *w, int events)
{
    struct conn *c = container_of(w, struct conn, watch);
    if (events & WATCH_READ)
        on_readable(c);
    read_pending(c);
    if ((events & WATCH_WRITE) && !c->is_closed)
        conn_mark_dirty(c);
}

/* A reader that takes nothing would leave the kernel holding our bytes for minutes. */
void conn_reset(struct conn *c, const char *why)
{
    const struct linger now = {.l_onoff = 1};
    setsockopt(c->stream.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    conn_close(c, why);
}

static void on_timer(struct timer *t, struct loop *l)
{
    struct conn *c = container_of(t, struct conn, timer);
    struct err e;
    (void)l;
    if (c->state == CONN_HEAD) {
        err_set(&e, ERR_TIMEOUT, "The request's head did not arrive in time.");
        refuse_head(c, exchange_take(c->home), &e);
    } else if (c->state == CONN_BODY) {
        err_set(&e, ERR_TIMEOUT, "The request's body did not arrive in time.");
        exchange_refuse(c, c->exchange, &e);
    } else if (c->state == CONN_WAIT) {
        later_on_timer(c);
    } else if (c->watch.events & WATCH_WRITE) {
        if (!out_goes_on(c))
            conn_reset(c, "the client takes too little");
    } else {
        conn_close(c, "timed out");
    }
}

/* Who has only just connected is about to ask, and was let in. */
void conn_drain_idle(struct conn *c)
{
    bool is_fresh = !c->requests && loop_now_ms(c->home->loop) - c->since_ms < FRESH_MS;
    if (c->is_closed || c->state != CONN_IDLE || c->flow || is_fresh)
        return;
    on_readable(c); /* a request that has arrived already gets its answer */
    if (!c->is_closed && c->state == CONN_IDLE && !c->flow)
        conn_close(c, "the server stops");
}

void conn_drain(struct conn *c)
{
    const struct tail *t = !c->is_closed && c->flow ? &c->flow->tail : NULL;
    if (t && t->kind == BODY_SOURCE && t->source->leave)
        t->source->leave(t->source);
    else
        conn_drain_idle(c);
}

/* ---- opening
 * --------------------------------------------------------------------------------------------- */

void conn_open(struct http_loop *hl, const struct front *front, int fd, const struct address *peer)
{
    struct conn *c = mem_new(struct conn);
    struct err e;
    c->home = hl;
    c->front = front;
    c->watch.on_ready = on_ready;
    c->timer.fn = on_timer;
    c->since_ms = loop_now_ms(hl->loop);
    stream_plain(&c->stream, fd);
    if (!ip_of(&c->peer, peer)) {
        c->is_peer_unix = true;
        must(ip_parse(&c->peer, SLICE("127.0.0.1")));
    }
    if ((front->filter && !front->filter(&c->stream)) || !watch_open(&c->watch, hl->loop, fd, &e)) {
        c->stream.ops->done(&c->stream);
        free(c);
        return;
    }
    list_add(&hl->conns, &c->link);
    hl->n_open++;
    hl->n_total++;
    hl->n_idle++; /* state 0 is CONN_IDLE */
    conn_set_state(c, CONN_IDLE);
    watch_want(&c->watch, WATCH_READ);
}
