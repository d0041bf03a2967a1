/* Requests whose handler waits for something else on the loop: body in and answer out, bit by bit.
 *
 * later_start     the head is there: the handler runs, and takes the request or answers at once
 * later_body      bytes came: the waiter takes what it can; what it leaves waits in the flow
 * waiter_answer   the answer's head is queued, its source is pulled like any other
 * later_is_over   all of it has left
 *
 * What a waiter asks for happens at the end of the turn (later_turn), never under its own feet. */
#include "http/http_impl.h"

#include <stdlib.h>
#include <sys/socket.h>

static struct exchange *exchange_of(struct req *rq)
{
    return container_of(rq, struct exchange, rq);
}

static bool is_tunnel(const struct exchange *x)
{
    return x->is_answered && x->rq.res.is_tunnel;
}

/* ---- what waiters call ---------------------------------------------------------------------- */

bool reply_later(struct req *rq, struct waiter *w)
{
    struct exchange *x = exchange_of(rq);
    must(rq->route->is_streamed && !x->waiter && rq->res.status == 0);
    x->waiter = w;
    w->exchange = x;
    return true;
}

bool waiter_has_body(const struct waiter *w)
{
    return !w->exchange->is_body_over;
}

void waiter_want(struct waiter *w)
{
    struct exchange *x = w->exchange;
    if (!x->is_body_full)
        return;
    x->is_body_wanted = true;
    conn_mark_dirty(x->conn);
}

/* A tunnel may be silent for hours: of its request only what its log line needs is kept, in the
 * body that it does not have. */
static void slim(struct exchange *x)
{
    struct req *rq = &x->rq;
    const struct slice kept[] = {x->h1.method_text, rq->path, rq->mount};
    struct slice copies[3];
    size_t n = 0;
    for (size_t i = 0; i < 3; i++)
        n += kept[i].len;
    buf_init(&x->body, n);
    for (size_t i = 0; i < 3; i++) {
        must(buf_reserve(&x->body, i ? kept[i].len : n));
        copies[i] = (struct slice){x->body.data + x->body.len, kept[i].len};
        buf_add(&x->body, kept[i]);
    }
    x->h1 = (struct h1_request){.minor = x->h1.minor, .method_text = copies[0]};
    rq->path = copies[1];
    rq->mount = copies[2];
    rq->query = rq->host = rq->res.prebuilt = SLICE("");
    rq->n_params = 0;
    free(x->headers);
    x->headers = NULL;
    buf_done(&rq->res.head);
    arena_done(&x->arena);
}

void later_rest(struct conn *c)
{
    struct flow *f = c->flow;
    if (c->state != CONN_WAIT || !is_tunnel(c->exchange))
        return;
    if (f->in.len == 0)
        buf_done(&f->in);
    buf_done(&f->out);
    f->sent = 0;
}

void waiter_answer(struct waiter *w)
{
    struct exchange *x = w->exchange;
    must(!x->is_answered && x->rq.res.status);
    if (!x->is_body_over && !x->rq.res.is_tunnel)
        x->rq.res.close = true; /* whether the rest comes is not for us to wait for */
    out_answer(x->conn, x);
    x->is_answered = true;
    if (is_tunnel(x)) { /* what came early was waiting for this */
        slim(x);
        x->is_body_full = true;
        waiter_want(w);
    }
}

void waiter_cut(struct waiter *w)
{
    w->exchange->is_cut = true;
    conn_mark_dirty(w->exchange->conn);
}

/* ---- the end of it -------------------------------------------------------------------------- */

/* The waiter is told, after its source, and forgotten; the exchange is ours alone again. */
static void let_go(struct conn *c, struct exchange *x)
{
    struct waiter *w = x->waiter;
    c->exchange = NULL;
    x->waiter = NULL;
    exchange_drop_answer(&x->rq.res);
    w->close(w);
}

static void count(struct conn *c, struct exchange *x)
{
    int64_t us = (clock_mono_ns() - x->rq.start_ns) / 1000;
    stats_count(c->home, x->rq.route, x->rq.res.status, us);
    exchange_log(x, us);
}

bool later_is_over(struct conn *c)
{
    struct exchange *x = c->exchange;
    if (!x->is_answered)
        return false; /* only an interim answer has left */
    if (!x->is_body_over || is_tunnel(x))
        c->close_after = true;
    c->requests++;
    count(c, x);
    let_go(c, x);
    exchange_put(c->home, x);
    conn_set_state(c, CONN_SEND);
    return true;
}

void later_drop(struct conn *c)
{
    struct exchange *x = c->exchange;
    if (!x->is_answered)
        x->rq.res.status = STATUS_GONE;
    count(c, x);
    let_go(c, x);
    exchange_put(c->home, x);
}

/* An error of the request itself, before anything was answered. */
static void refuse(struct conn *c, const struct err *e)
{
    struct exchange *x = c->exchange;
    if (x->is_answered) {
        conn_close(c, e->msg);
        return;
    }
    let_go(c, x);
    exchange_refuse(c, x, e);
}

/* ---- the body ------------------------------------------------------------------------------- */

/* The time that the client lets us wait costs, its bytes buy more: slow_ms at the start, never more
 * than body_ms. What we let it wait costs nothing. */
static void settle(struct exchange *x, const struct server_options *o, int64_t now_ms)
{
    int64_t most = (int64_t)o->body_ms * o->min_rate;
    uint64_t bytes = x->body_taken - x->body_paid;
    if (x->body_since_ms)
        x->body_credit -= (now_ms - x->body_since_ms) * o->min_rate;
    x->body_credit += (int64_t)(bytes < 1u << 30 ? bytes : 1u << 30) * 1000;
    if (x->body_credit > most)
        x->body_credit = most;
    x->body_paid = x->body_taken;
    x->body_since_ms = 0;
}

/* While the client owes us its taking, that clock runs: sending does not stop it. */
static void set_body_timer(struct conn *c, struct exchange *x)
{
    const struct server_options *o = &c->home->server->options;
    int64_t now_ms = loop_now_ms(c->home->loop);
    settle(x, o, now_ms);
    if (c->watch.events & WATCH_WRITE)
        return;
    if (x->is_body_over || x->is_body_full) {
        timer_off(&c->timer);
        return;
    }
    x->body_since_ms = now_ms;
    timer_set(&c->timer, c->home->loop, x->body_credit > 0 ? x->body_credit / o->min_rate : 1);
}

static size_t offer(struct exchange *x, struct slice piece, bool is_last)
{
    size_t had = piece.len;
    x->waiter->body(x->waiter, &piece, is_last);
    must(piece.len <= had);
    x->is_body_full = piece.len > 0;
    x->body_taken += had - piece.len;
    return had - piece.len;
}

static void take_counted(struct exchange *x, struct slice *in)
{
    uint64_t left = x->h1.content_length - x->body_taken;
    struct slice piece = slice_first(*in, left < in->len ? (size_t)left : in->len);
    *in = slice_skip(*in, offer(x, piece, piece.len == left));
    x->is_body_over = x->body_taken == x->h1.content_length;
}

/* Steps the decoder over bytes it has seen already: what was not taken comes again. */
static void redo(struct chunked *decoder, struct slice again)
{
    struct slice data;
    struct err never;
    while (again.len && chunked_next(decoder, &again, &data, &never) == IO_OK)
        continue;
    must(again.len == 0);
}

static enum io take_chunk(struct exchange *x, struct slice *in, struct err *e)
{
    struct chunked before = x->chunked;
    struct slice all = *in, data;
    enum io io = chunked_next(&x->chunked, in, &data, e);
    if (io == IO_EOF) {
        offer(x, SLICE(""), true);
        x->is_body_over = true;
    }
    if (io != IO_OK)
        return io;
    if (data.len > x->rq.max_body - x->body_taken) {
        err_set(e, ERR_BODY_TOO_LARGE, "The body may have at most %llu bytes.",
                (unsigned long long)x->rq.max_body);
        return IO_FAIL;
    }
    size_t taken = offer(x, data, false);
    if (taken == data.len)
        return IO_OK;
    size_t used = (size_t)(data.ptr + taken - all.ptr);
    x->chunked = before;
    redo(&x->chunked, slice_first(all, used));
    *in = slice_skip(all, used);
    return IO_OK;
}

/* Raw, in a tunnel. */
static void take_any(struct exchange *x, struct slice *in)
{
    *in = slice_skip(*in, offer(x, *in, false));
}

/* The end of a tunnel's bytes, once all of them are through. */
static void tell_end(struct conn *c, struct exchange *x)
{
    bool is_through = !x->is_body_full && (!c->flow || c->flow->in.len == 0);
    if (!c->has_ended || !is_tunnel(x) || x->is_end_told || !is_through)
        return;
    x->is_end_told = true;
    offer(x, SLICE(""), true);
}

bool later_body(struct conn *c, struct slice *in)
{
    struct exchange *x = c->exchange;
    struct err e;
    if (x->is_body_full || (x->is_body_over && !is_tunnel(x)))
        return false;
    if (is_tunnel(x))
        take_any(x, in);
    else if (!x->h1.chunked)
        take_counted(x, in);
    else if (take_chunk(x, in, &e) == IO_FAIL) {
        refuse(c, &e);
        *in = slice_skip(*in, in->len);
        return false;
    }
    set_body_timer(c, x);
    return !x->is_body_full;
}

/* ---- events --------------------------------------------------------------------------------- */

static void send_continue(struct conn *c, struct exchange *x)
{
    x->owes_continue = false;
    if (x->is_answered)
        return;
    buf_add(&conn_flow(c)->out, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
    conn_mark_dirty(c);
}

void later_start(struct conn *c, struct exchange *x, struct slice head)
{
    const struct server_options *o = &c->home->server->options;
    x->is_body_over = !x->h1.chunked && x->h1.content_length == 0;
    x->body_credit = (int64_t)o->slow_ms * o->min_rate;
    if (x->h1.chunked)
        chunked_init(&x->chunked);
    if (!x->is_kept)
        exchange_keep(x, head);
    c->exchange = x;
    conn_set_state(c, CONN_WAIT);
    exchange_run(x);
    if (!x->waiter) {
        exchange_finish_early(x);
        return;
    }
    x->owes_continue = !x->is_body_over && x->h1.expect_continue;
    x->is_body_full = !x->is_body_over && x->waiter->is_shut;
    if (x->owes_continue && !x->is_body_full)
        send_continue(c, x);
    set_body_timer(c, x);
}

bool later_turn(struct conn *c)
{
    struct exchange *x = c->exchange;
    if (x->is_cut) {
        conn_close(c, "the answer broke off");
        return false;
    }
    if (x->is_body_wanted) {
        x->is_body_wanted = x->is_body_full = false;
        if (x->owes_continue)
            send_continue(c, x);
        set_body_timer(c, x);
        conn_resume(c);
        if (c->state == CONN_WAIT && !c->is_closed)
            tell_end(c, x);
    }
    return !c->is_closed;
}

bool later_on_end(struct conn *c)
{
    if (!is_tunnel(c->exchange))
        return false;
    c->has_ended = true;
    tell_end(c, c->exchange);
    return true;
}

void later_on_timer(struct conn *c)
{
    const struct exchange *x = c->exchange;
    struct err e;
    if (c->watch.events & WATCH_WRITE) {
        if (!out_goes_on(c))
            conn_reset(c, "the client takes too little");
        return;
    }
    if (x->is_body_over || x->is_body_full || is_tunnel(x))
        return; /* the waiter has clocks of its own */
    err_set(&e, ERR_TIMEOUT, "The request's body did not arrive in time.");
    refuse(c, &e);
}
