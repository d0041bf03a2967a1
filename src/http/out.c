/* Answers on their way out: heads and small bodies as bytes, one large body behind them.
 *
 * Answers are queued while the loop works through its events and leave once per turn, so that
 * pipelined requests and the frames of one turn share a write. */
#include "http/http_impl.h"

#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- queueing
 * -------------------------------------------------------------------------------------- */

/* Made once a second. */
static void make_common(struct http_loop *hl, int64_t now_s)
{
    char date[HTTP_DATE_LEN + 1];
    struct buf b;
    buf_init(&b, sizeof hl->common - 1);
    clock_http_date(now_s, date);
    buf_printf(&b, "Server: dais\r\nDate: %s\r\n", date);
    if (hl->server->options.release)
        h1_add(&b, "X-Release", slice_from(hl->server->options.release));
    buf_add_str(&b, "X-Request-Id: ");
    must(!b.full);
    memcpy(hl->common, b.data, b.len);
    hl->common_len = b.len;
    hl->common_s = now_s;
    buf_done(&b);
}

static struct slice common_lines(struct http_loop *hl)
{
    int64_t now_s = loop_wall_s(hl->loop);
    if (now_s != hl->common_s)
        make_common(hl, now_s);
    return (struct slice){hl->common, hl->common_len};
}

static bool may_have_body(int status)
{
    return status != 204 && status != 304;
}

static bool has_body(const struct exchange *x)
{
    const struct res *res = &x->rq.res;
    bool is_empty = res->kind == BODY_NONE || (res->kind != BODY_SOURCE && res->length == 0);
    return x->rq.method != METHOD_HEAD && may_have_body(res->status) && !is_empty;
}

static void add_framing(struct conn *c, struct exchange *x, struct buf *out)
{
    const struct res *res = &x->rq.res;
    if (res->is_tunnel) {
        buf_add(out, SLICE("Connection: Upgrade\r\n"));
        return;
    }
    if (may_have_body(res->status) && res->kind == BODY_SOURCE && !res->is_sized) {
        if (x->h1.minor == 0)
            c->close_after = true; /* the end of the body is the end of the connection */
        else
            buf_add(out, SLICE("Transfer-Encoding: chunked\r\n"));
    } else if (may_have_body(res->status)) {
        buf_add(out, SLICE("Content-Length: "));
        buf_add_u64(out, res->length);
        buf_add(out, SLICE("\r\n"));
    }
    if (c->close_after)
        buf_add(out, SLICE("Connection: close\r\n"));
    else if (x->h1.minor == 0)
        buf_add(out, SLICE("Connection: keep-alive\r\n"));
}

static void add_head(struct conn *c, struct exchange *x, struct buf *out)
{
    const struct res *res = &x->rq.res;
    h1_add_status(out, res->status);
    buf_add(out, common_lines(c->home));
    buf_add_str(out, x->rq.id);
    buf_add(out, SLICE("\r\n"));
    add_framing(c, x, out);
    buf_add(out, buf_slice(&res->head));
    buf_add(out, res->prebuilt);
    buf_add(out, res->always);
    buf_add(out, SLICE("\r\n"));
}

/* Moves what the answer holds into the flow's tail. */
static void set_tail(struct conn *c, struct exchange *x)
{
    struct res *res = &x->rq.res;
    c->flow->tail = (struct tail){
        .kind = res->kind,
        .shared = res->shared,
        .fd = res->fd,
        .offset = res->offset,
        .left = res->length,
        .source = res->source,
        .bytes = res->bytes,
        .exchange = (res->kind == BODY_SOURCE || res->kind == BODY_BYTES) && !x->waiter ? x : NULL,
        .is_chunked = x->h1.minor > 0 && !res->is_sized && !res->is_tunnel,
        .is_sized = res->is_sized,
    };
    if (res->kind == BODY_SOURCE)
        res->source->conn = c;
    res->kind = BODY_NONE;
}

/* Small bodies go behind their head: one write, and more requests may follow in it. */
static bool is_small(const struct res *res)
{
    if (res->kind == BODY_BYTES)
        return res->length <= OUT_BYTES;
    return res->kind == BODY_SHARED && res->length <= COPY_BYTES;
}

static void add_small_body(const struct res *res, struct buf *out)
{
    if (res->kind == BODY_BYTES)
        buf_add(out, res->bytes);
    else
        buf_add(out, (struct slice){res->shared->data + res->offset, (size_t)res->length});
}

bool out_answer(struct conn *c, struct exchange *x)
{
    struct res *res = &x->rq.res;
    struct flow *f = conn_flow(c);
    must(f->tail.kind == BODY_NONE);
    if (res->close || !x->h1.keep_alive || c->home->is_draining || (c->has_ended && f->in.len == 0))
        c->close_after = true;
    add_head(c, x, &f->out);
    if (has_body(x)) {
        if (res->kind != BODY_SOURCE) /* those are counted as they come */
            x->bytes_out = res->length;
        if (is_small(res))
            add_small_body(res, &f->out);
        else
            set_tail(c, x);
    }                   /* else exchange_put lets go of the body that is not sent */
    must(!f->out.full); /* OUT_BYTES were waiting, one head and a small body came */
    conn_mark_dirty(c);
    return f->tail.exchange == x;
}

bool out_is_busy(const struct conn *c)
{
    const struct flow *f = c->flow;
    return f && (f->tail.kind != BODY_NONE || f->out.len - f->sent > OUT_BYTES);
}

/* ---- sources
 * ------------------------------------------------------------------------------------------ */

/* The tail is done with, sent or not: what it holds is let go. */
void out_end_tail(struct http_loop *hl, struct tail *t)
{
    struct tail was = *t;
    *t = (struct tail){0};
    if (was.kind == BODY_SHARED)
        shared_unref(was.shared);
    else if (was.kind == BODY_FILE)
        close(was.fd);
    else if (was.kind == BODY_SOURCE)
        was.source->close(was.source);
    if (was.exchange)
        exchange_put(hl, was.exchange);
}

static enum io pull_into(struct tail *t, struct buf *to, size_t most)
{
    size_t had = to->len;
    enum io io = IO_OK;
    while (io == IO_OK && to->len - had <= most - PULL_LEAST) {
        t->is_dry = true; /* unless it wakes us while it looks */
        io = t->source->pull(t->source, to, most - (to->len - had));
    }
    t->is_dry &= io == IO_MORE;
    return io;
}

/* As one chunk, whose length comes first: so it is pulled apart. */
static enum io pull_chunk(struct flow *f)
{
    struct buf piece;
    char head[CHUNK_HEAD_MAX];
    buf_init(&piece, 2 * READ_BYTES);
    enum io io = pull_into(&f->tail, &piece, READ_BYTES);
    if (piece.len) {
        buf_add(&f->out, (struct slice){head, chunk_head(head, piece.len)});
        buf_add(&f->out, buf_slice(&piece));
        buf_add(&f->out, CHUNK_TAIL);
    }
    f->out.full |= piece.full;
    buf_done(&piece);
    return io;
}

/* As it is, straight to where it is sent from. A source that says nothing costs no memory. */
static enum io pull_plain(struct flow *f)
{
    buf_consume(&f->out, f->sent);
    f->sent = 0;
    enum io io = pull_into(&f->tail, &f->out, READ_BYTES);
    if (f->out.len == 0)
        buf_done(&f->out);
    return io;
}

/* Fills the flow from its source while there is room. False: cut the connection. */
static bool pull_source(struct conn *c)
{
    struct flow *f = c->flow;
    struct tail *t = &f->tail;
    size_t had = f->out.len - f->sent;
    enum io io = t->is_chunked ? pull_chunk(f) : pull_plain(f);
    size_t n = f->out.len - f->sent - had;
    bool fits = !f->out.full && (!t->is_sized || n <= t->left);
    if (t->is_sized && fits)
        t->left -= n;
    if (c->exchange && c->exchange->waiter)
        c->exchange->bytes_out += n;
    if (fits && t->is_sized && t->left == 0)
        io = IO_EOF;
    if (io == IO_EOF && t->is_sized && t->left > 0)
        return false; /* less than was promised */
    if (io == IO_EOF) {
        if (t->is_chunked)
            buf_add(&f->out, CHUNK_END);
        out_end_tail(c->home, t);
    }
    return fits && io != IO_FAIL;
}

void source_wake(struct source *s)
{
    if (!s->conn || s->conn->is_closed)
        return;
    s->conn->flow->tail.is_dry = false;
    conn_mark_dirty(s->conn);
}

void out_drop(struct http_loop *hl, struct flow *f)
{
    out_end_tail(hl, &f->tail);
    buf_clear(&f->out);
    f->sent = 0;
}

/* ---- sending
 * ------------------------------------------------------------------------------------------- */

static void tail_sent(struct conn *c, size_t n)
{
    struct tail *t = &c->flow->tail;
    t->offset += n;
    t->left -= n;
    if (t->left == 0)
        out_end_tail(c->home, t);
}

static struct slice tail_bytes(const struct tail *t)
{
    const char *from = t->kind == BODY_SHARED ? t->shared->data : t->bytes.ptr;
    return (struct slice){from + t->offset, (size_t)t->left};
}

/* The bytes, and a body in memory right behind them in the same write. */
static enum io send_bytes(struct conn *c, size_t *ret_n)
{
    struct flow *f = c->flow;
    struct tail *t = &f->tail;
    struct iovec iov[2];
    int n_iov = 0;
    size_t rest = f->out.len - f->sent, sent = 0;
    if (rest)
        iov[n_iov++] = (struct iovec){f->out.data + f->sent, rest};
    if (t->kind == BODY_SHARED || t->kind == BODY_BYTES) {
        struct slice body = tail_bytes(t);
        iov[n_iov++] = (struct iovec){(void *)(uintptr_t)body.ptr, body.len};
    }
    enum io io = c->stream.ops->write(&c->stream, iov, n_iov, t->kind == BODY_FILE, &sent);
    if (io != IO_OK)
        return io;
    size_t of_bytes = sent < rest ? sent : rest;
    f->sent += of_bytes;
    if (f->sent == f->out.len || f->sent >= OUT_BYTES) { /* a slow reader may never take all */
        buf_consume(&f->out, f->sent);
        f->sent = 0;
    }
    if (sent > of_bytes)
        tail_sent(c, sent - of_bytes);
    *ret_n = sent;
    return IO_OK;
}

/* Through the loop's read buffer, for streams that cannot send files themselves. */
static enum io copy_file(struct conn *c, size_t n, size_t *ret_n)
{
    struct tail *t = &c->flow->tail;
    size_t want = n < READ_BYTES ? n : READ_BYTES;
    ssize_t got = pread(t->fd, c->home->read_room, want, (off_t)t->offset);
    if (got <= 0)
        return IO_EOF;
    struct iovec iov = {c->home->read_room, (size_t)got};
    return c->stream.ops->write(&c->stream, &iov, 1, false, ret_n);
}

static enum io send_file_part(struct conn *c, size_t budget, size_t *ret_n)
{
    struct tail *t = &c->flow->tail;
    size_t n = t->left < budget ? (size_t)t->left : budget;
    enum io io = c->stream.ops->send_file
                     ? c->stream.ops->send_file(&c->stream, t->fd, t->offset, n, ret_n)
                     : copy_file(c, n, ret_n);
    if (io == IO_OK)
        tail_sent(c, *ret_n);
    return io;
}

static bool is_all_sent(const struct flow *f)
{
    return f->sent == f->out.len && f->tail.kind == BODY_NONE;
}

static bool has_something(const struct flow *f)
{
    return f->sent < f->out.len || (f->tail.kind != BODY_NONE && f->tail.kind != BODY_SOURCE);
}

static bool wants_pull(const struct flow *f)
{
    return f->tail.kind == BODY_SOURCE && !f->tail.is_dry && f->out.len - f->sent < OUT_BYTES;
}

/* One step of sending; IO_MORE also when this turn's share is used up. */
static enum io send_some(struct conn *c, size_t *budget)
{
    struct flow *f = c->flow;
    size_t n = 0;
    if (*budget == 0)
        return IO_MORE;
    bool is_file = f->sent == f->out.len && f->tail.kind == BODY_FILE;
    enum io io = is_file ? send_file_part(c, *budget, &n) : send_bytes(c, &n);
    c->home->bytes_out += n;
    c->sent += n;
    *budget -= n < *budget ? n : *budget;
    return io;
}

/* ---- slow readers --------------------------------------------------------------------------- */

/* What the client's side of the connection has confirmed: the kernel alone takes megabytes. */
static uint64_t arrived(const struct conn *c)
{
    int queued = 0;
    if (ioctl(c->stream.fd, SIOCOUTQ, &queued) < 0 || queued < 0)
        queued = 0;
    return (uint64_t)queued < c->sent ? c->sent - (uint64_t)queued : 0;
}

static void count_time(struct conn *c)
{
    c->arrived = arrived(c);
    timer_set(&c->timer, c->home->loop, c->home->server->options.write_ms);
}

bool out_goes_on(struct conn *c)
{
    const struct server_options *o = &c->home->server->options;
    uint64_t least = (uint64_t)o->min_rate * o->write_ms / 1000, now = arrived(c);
    if (now < c->arrived + least)
        return false;
    count_time(c);
    return true;
}

/* ---- a turn's end --------------------------------------------------------------------------- */

void out_flush(struct conn *c)
{
    size_t budget = FILE_TICK_BYTES;
    enum io io = IO_OK;
    if (c->state == CONN_WAIT && !later_turn(c))
        return;
    struct flow *f = c->flow;
    if (!f)
        return;
    do {
        bool is_moving = wants_pull(f) && move_is_possible(c);
        if (!is_moving && wants_pull(f) && !pull_source(c)) {
            conn_close(c, "the answer broke off");
            return;
        }
        if (is_moving)
            io = move_some(c, &budget);
        else if (has_something(f))
            io = send_some(c, &budget);
    } while (io == IO_OK && (has_something(f) || wants_pull(f)));
    if (io == IO_FAIL || io == IO_EOF) {
        conn_close(c, io == IO_EOF ? "the file became shorter" : "the client went away");
        return;
    }
    if (io == IO_MORE) {
        bool is_coming = c->state == CONN_HEAD || c->state == CONN_BODY; /* it has a clock */
        bool is_counted = (c->watch.events & WATCH_WRITE) && c->timer.due_ms;
        if (!is_coming && !is_counted)
            count_time(c);
        watch_want(&c->watch, c->watch.events | WATCH_WRITE);
        return;
    }
    if (c->watch.events & WATCH_WRITE)
        watch_want(&c->watch, c->watch.events & ~WATCH_WRITE);
    if (is_all_sent(f)) {
        conn_next(c);
        return;
    }
    timer_off(&c->timer); /* a source with nothing to say may stay silent */
    later_rest(c);
}
