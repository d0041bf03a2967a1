/* One request and its answer.
 *
 *   call_start   a connection is taken; the head goes out as soon as it is open
 *   call_send    the body follows, framed
 *   on_readable  the answer's head is collected; interim ones (1xx) are skipped
 *   call_read    the answer's body, as fast as the caller pulls
 *   call_end     the connection waits for the next call, or closes
 *
 * A connection that waited may have been closed by the other side just now, and a new one may die
 * with its process. If not one byte of an answer came and the request may be repeated, it is, once,
 * on a new connection.
 */
#include "client/client_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SIDES_MAX   64u
#define CRUMB_BYTES 4096u
#define INTERIM_MAX 32u /* 1xx answers before the one that counts */

/* ---- sides ---------------------------------------------------------------------------------- */

static struct call_side *side_take(struct dial *d)
{
    struct call_side *s = d->sides;
    d->n_calls++;
    if (s) {
        d->sides = s->next;
        d->n_sides--;
    } else {
        s = mem_new(struct call_side);
        buf_init(&s->head, 2 * HEAD_BYTES);
        buf_init(&s->out, 2 * OUT_BYTES + CHUNK_HEAD_MAX + 8);
        buf_init(&s->in, HEAD_BYTES + READ_BYTES);
    }
    if (!s->headers)
        s->headers = mem_alloc(HEADERS * sizeof *s->headers);
    s->dial = d;
    return s;
}

static void side_put(struct call_side *s)
{
    struct dial *d = s->dial;
    struct buf head = s->head, out = s->out, in = s->in;
    struct h1_header *headers = s->headers;
    bool is_small = head.cap + out.cap + in.cap <= READ_BYTES;
    if (d->n_sides >= SIDES_MAX || !is_small) {
        buf_done(&head);
        buf_done(&out);
        buf_done(&in);
        free(headers);
        free(s);
    } else {
        buf_clear(&head);
        buf_clear(&out);
        buf_clear(&in);
        memset(s, 0, sizeof *s);
        s->head = head;
        s->out = out;
        s->in = in;
        s->headers = headers;
        s->next = d->sides;
        d->sides = s;
        d->n_sides++;
    }
    dial_unuse(d);
}

/* A tunnel may be silent for hours: it keeps none of what its opening took. */
static void slim(struct call *c)
{
    struct call_side *s = c->side;
    free(s->headers);
    s->headers = NULL;
    c->answer.head.headers = NULL;
    c->answer.head.n_headers = 0;
    memset(c->answer.head.at, 0, sizeof c->answer.head.at);
    if (s->head_sent == s->head.len) {
        buf_done(&s->head);
        s->head_sent = 0;
    }
    buf_done(&s->in);
    s->in_used = 0;
}

/* ---- what the state says -------------------------------------------------------------------- */

static bool is_sent(const struct call_side *s)
{
    return s->head_sent == s->head.len && s->out_sent == s->out.len;
}

/* Does the other side not take what there is for it? */
static bool is_sending(const struct call_side *s)
{
    return (!is_sent(s) || s->wants_room) && !s->is_out_broken;
}

/* Is the ball in the other side's court, and for how long at most? 0: it is not. */
static uint32_t patience_ms(const struct call_side *s)
{
    if (s->is_over || s->has_failed)
        return 0;
    if (s->is_tunnel)
        return s->options.tunnel_ms == CALL_FOR_EVER ? 0 : s->options.tunnel_ms;
    if (is_sending(s))
        return s->options.idle_ms;
    if (!s->has_head)
        return s->is_all_given || s->is_out_broken ? s->options.head_ms : 0;
    return s->is_told ? 0 : s->options.idle_ms;
}

static void set_timer(struct call *c)
{
    uint32_t ms = patience_ms(c->side);
    if (c->line->is_connecting)
        return; /* connect_ms runs */
    if (ms)
        timer_set(&c->line->timer, c->side->dial->loop, ms);
    else
        timer_off(&c->line->timer);
}

static void fail(struct call_side *s, enum err_code code, const char *why)
{
    if (s->has_failed)
        return;
    s->has_failed = true;
    err_set(&s->call->error, code, "%s", why);
    struct line *l = s->call->line;
    if (l) {
        s->call->line = NULL;
        line_close(l);
    }
}

/* From the loop: the caller hears of it at once. */
static void fail_now(struct call *c, enum err_code code, const char *why)
{
    fail(c->side, code, why);
    c->on_event(c, CALL_FAILED);
}

static void on_post(struct post *p, struct loop *l)
{
    struct call_side *s = container_of(p, struct call_side, post);
    (void)l;
    s->is_posted = false;
    if (!s->call)
        side_put(s);
    else
        s->call->on_event(s->call, CALL_FAILED);
}

/* ---- sending -------------------------------------------------------------------------------- */

static enum io flush(struct call *c)
{
    struct call_side *s = c->side;
    while (!is_sent(s)) {
        struct iovec iov[2];
        int n_iov = 0;
        size_t head_left = s->head.len - s->head_sent, sent = 0;
        if (head_left)
            iov[n_iov++] = (struct iovec){s->head.data + s->head_sent, head_left};
        if (s->out.len > s->out_sent)
            iov[n_iov++] = (struct iovec){s->out.data + s->out_sent, s->out.len - s->out_sent};
        enum io io = c->line->stream.ops->write(&c->line->stream, iov, n_iov, false, &sent);
        if (io != IO_OK)
            return io;
        size_t of_head = sent < head_left ? sent : head_left;
        s->head_sent += of_head;
        s->out_sent += sent - of_head;
    }
    if (s->is_tunnel)
        buf_done(&s->out);
    else
        buf_clear(&s->out);
    s->out_sent = 0;
    return IO_OK;
}

/* A failure of sending is not the end: the answer may be there already. */
static void break_out(struct call_side *s)
{
    s->is_out_broken = true;
    buf_clear(&s->out);
    s->out_sent = 0;
    s->head_sent = s->head.len;
}

/* Sends what there is. */
static void push(struct call *c)
{
    struct call_side *s = c->side;
    struct line *l = c->line;
    enum io io = s->is_out_broken ? IO_OK : flush(c);
    if (io != IO_OK && io != IO_MORE)
        break_out(s);
    int events = l->watch.events | WATCH_READ;
    bool wants_event = io == IO_MORE || s->wants_room;
    watch_want(&l->watch, wants_event ? events | WATCH_WRITE : events & ~WATCH_WRITE);
    set_timer(c);
}

/* A chunk, or a piece of a tunnel, of which all or nothing is taken. */
static void add_piece(struct call_side *s, struct slice *in, bool is_last)
{
    char head[CHUNK_HEAD_MAX];
    bool is_chunked = !s->is_tunnel;
    struct slice piece = slice_first(*in, OUT_BYTES);
    *in = slice_skip(*in, piece.len);
    buf_consume(&s->out, s->out_sent); /* or what was sent would count against the limit */
    s->out_sent = 0;
    if (is_chunked && piece.len)
        buf_add(&s->out, (struct slice){head, chunk_head(head, piece.len)});
    buf_add(&s->out, piece);
    if (is_chunked && piece.len)
        buf_add(&s->out, CHUNK_TAIL);
    if (is_chunked && is_last && in->len == 0)
        buf_add(&s->out, CHUNK_END);
    must(!s->out.full);
}

/* Straight from where the caller has it: what the kernel does not take now stays there. */
static void send_plain(struct call *c, struct slice *in)
{
    struct call_side *s = c->side;
    enum io io = s->is_out_broken ? IO_MORE : flush(c);
    while (io == IO_OK && in->len) {
        size_t sent = 0;
        struct iovec iov = {(void *)(uintptr_t)in->ptr, in->len};
        io = c->line->stream.ops->write(&c->line->stream, &iov, 1, false, &sent);
        *in = slice_skip(*in, sent);
    }
    if (io != IO_OK && io != IO_MORE)
        break_out(s);
}

/* Whoever cuts a body into single bytes gets no call of the kernel for each: they leave together,
 * when the loop comes by. */
static bool is_crumb(const struct call_side *s, size_t n)
{
    return n < CRUMB_BYTES && s->options.body == CALL_BODY_CHUNKED && !s->is_tunnel;
}

void call_send(struct call *c, struct slice *in, bool is_last)
{
    struct call_side *s = c->side;
    must(!s->is_all_given);
    if (s->has_failed)
        return;             /* whoever calls again with the same body has all of it */
    if (s->is_out_broken) { /* the answer, or its lack, tells the caller */
        s->is_all_given = is_last;
        *in = slice_skip(*in, in->len);
        return;
    }
    bool is_end = is_last && in->len == 0; /* of which nothing can be left: there is room for it */
    if (!is_end && (c->line->is_connecting || s->head_sent < s->head.len ||
                    s->out.len - s->out_sent >= OUT_BYTES)) {
        s->wants_room = true;
        return;
    }
    size_t had = in->len;
    if (s->options.body == CALL_BODY_CHUNKED || s->is_tunnel)
        add_piece(s, in, is_last);
    else if (!c->line->is_connecting)
        send_plain(c, in);
    if (s->is_out_broken)
        *in = slice_skip(*in, in->len);
    s->is_all_given = is_last && in->len == 0;
    s->wants_room = in->len > 0;
    if (c->line->is_connecting)
        return;
    if (is_crumb(s, had - in->len) && !s->is_all_given)
        watch_want(&c->line->watch, c->line->watch.events | WATCH_WRITE); /* with what follows */
    else
        push(c);
    if (s->is_all_given && s->is_tunnel && is_sent(s))
        c->line->stream.ops->shut(&c->line->stream);
}

static void on_writable(struct call *c)
{
    struct call_side *s = c->side;
    if (s->wants_room && s->out.len - s->out_sent < OUT_BYTES && !s->is_out_broken &&
        s->head_sent == s->head.len) {
        s->wants_room = false;
        push(c);
        c->on_event(c, CALL_WRITABLE);
        return;
    }
    push(c);
    if (s->is_all_given && s->is_tunnel && is_sent(s))
        c->line->stream.ops->shut(&c->line->stream);
}

/* ---- starting ------------------------------------------------------------------------------- */

static bool begin(struct call *c, bool may_reuse)
{
    struct call_side *s = c->side;
    s->head_sent = 0;
    c->line = line_take(s->dial, c, may_reuse, s->options.may_repeat, &c->error);
    if (!c->line)
        return false;
    if (!c->line->is_connecting)
        push(c);
    return true;
}

void call_start(struct call *c, struct dial *d, const struct call_options *options)
{
    struct call_side *s = side_take(d);
    c->side = s;
    s->call = c;
    c->has_begun = false;
    s->options = *options;
    if (!s->options.head_ms)
        s->options.head_ms = 60000;
    if (!s->options.idle_ms)
        s->options.idle_ms = 60000;
    if (!s->options.tunnel_ms)
        s->options.tunnel_ms = 120000;
    buf_add(&s->head, options->head);
    must(!s->head.full);
    s->is_all_given = options->body == CALL_BODY_NONE;
    s->wants_room = !s->is_all_given;
    c->answer.head.headers = s->headers;
    if (begin(c, true))
        return;
    s->has_failed = true;
    s->is_posted = true;
    s->post.fn = on_post;
    loop_post(d->loop, &s->post);
}

static bool can_repeat(const struct call_side *s)
{
    return !s->call->has_begun && !s->has_retried && s->options.may_repeat &&
           !s->options.does_caller && s->options.body == CALL_BODY_NONE;
}

/* The connection ended before the answer's head. */
static void on_broken(struct call *c)
{
    struct call_side *s = c->side;
    if (!can_repeat(s)) {
        fail_now(c, ERR_BAD_GATEWAY,
                 c->has_begun ? "the other side closed the connection within its answer's head"
                              : "the other side closed the connection without an answer");
        return;
    }
    s->has_retried = true;
    s->is_out_broken = false;
    s->dial->retries++;
    line_close(c->line);
    c->line = NULL;
    if (!begin(c, false))
        fail_now(c, c->error.code, c->error.msg);
}

static void on_connected(struct call *c)
{
    int sys_errno = 0;
    socklen_t n = sizeof sys_errno;
    char text[ADDRESS_TEXT_LEN], why[ADDRESS_TEXT_LEN + 100];
    getsockopt(c->line->stream.fd, SOL_SOCKET, SO_ERROR, &sys_errno, &n);
    if (sys_errno == 0) {
        c->line->is_connecting = false;
        timer_off(&c->line->timer);
        return;
    }
    address_text(&c->side->dial->options.to, text);
    snprintf(why, sizeof why, "%s does not answer: %s", text, strerror(sys_errno));
    fail_now(c, ERR_UNREACHABLE, why);
}

/* ---- the answer's head ---------------------------------------------------------------------- */

static bool is_interim(int status)
{
    return status < 200 && status != 101;
}

static void take_head(struct call *c)
{
    struct call_side *s = c->side;
    s->has_head = true;
    s->in_used += c->answer.head.head_len;
    s->body = h1_response_body(&c->answer, s->options.method);
    s->left = c->answer.head.content_length;
    if (c->answer.status == 101) {
        s->is_tunnel = true;
        s->is_all_given = false;
        s->body = H1_BODY_CLOSE;
    }
    if (s->body == H1_BODY_CHUNKED)
        chunked_init(&s->chunked);
    s->is_over = s->body == H1_BODY_NONE || (s->body == H1_BODY_LENGTH && s->left == 0);
    if (s->is_over)
        s->has_extra = s->in.len > s->in_used;
}

/* Skips interim answers. IO_OK: the head is there. */
static enum io parse_head(struct call *c, struct err *e)
{
    struct call_side *s = c->side;
    static const struct h1_limits limits = {H1_LINE_BYTES, HEAD_BYTES, HEADERS};
    for (;;) {
        struct slice rest = slice_skip(buf_slice(&s->in), s->in_used);
        enum io io = h1_parse_response(&c->answer, rest, &s->scanned, &limits, e);
        if (io != IO_OK || !is_interim(c->answer.status))
            return io;
        s->in_used += c->answer.head.head_len;
        s->scanned = 0;
        if (++s->n_interim > INTERIM_MAX) {
            err_set(e, ERR_BAD_GATEWAY, "too many interim answers");
            return IO_FAIL;
        }
    }
}

static void collect_head(struct call *c, struct slice bytes)
{
    struct call_side *s = c->side;
    struct err e;
    c->has_begun = true;
    buf_consume(&s->in, s->in_used);
    s->in_used = 0;
    buf_add(&s->in, bytes);
    enum io io = s->in.full ? IO_FAIL : parse_head(c, &e);
    if (io == IO_MORE)
        return;
    if (io == IO_FAIL) {
        fail_now(c, ERR_BAD_GATEWAY, s->in.full ? "the answer's head is too large" : e.msg);
        return;
    }
    if (c->answer.status == 101 && !s->options.is_upgrade) {
        fail_now(c, ERR_BAD_GATEWAY, "the other side changed the protocol unasked");
        return;
    }
    take_head(c);
    set_timer(c);
    c->on_event(c, CALL_HEAD);
}

/* ---- the answer's body ---------------------------------------------------------------------- */

static enum io decode_chunks(struct call *c, struct slice *raw, struct buf *to)
{
    struct call_side *s = c->side;
    struct slice data;
    struct err e;
    enum io io;
    while ((io = chunked_next(&s->chunked, raw, &data, &e)) == IO_OK)
        buf_add(to, data);
    if (io == IO_FAIL)
        fail(s, ERR_BAD_GATEWAY, e.msg);
    s->is_over = io == IO_EOF;
    return io == IO_FAIL ? IO_FAIL : IO_OK;
}

/* Body bytes out of raw ones; what lies behind the end is noted and dropped. */
static enum io decode(struct call *c, struct slice raw, struct buf *to)
{
    struct call_side *s = c->side;
    enum io io = IO_OK;
    if (s->body == H1_BODY_CHUNKED) {
        io = decode_chunks(c, &raw, to);
    } else if (s->body == H1_BODY_LENGTH) {
        struct slice mine = slice_first(raw, s->left < raw.len ? (size_t)s->left : raw.len);
        buf_add(to, mine);
        s->left -= mine.len;
        s->is_over = s->left == 0;
        raw = slice_skip(raw, mine.len);
    } else {
        buf_add(to, raw);
        raw.len = 0;
    }
    s->has_extra |= s->is_over && raw.len > 0;
    return io;
}

static enum io read_end(struct call *c, enum io io)
{
    struct call_side *s = c->side;
    if (io == IO_EOF && s->body == H1_BODY_CLOSE) {
        s->is_over = true;
        return IO_EOF;
    }
    fail(s, ERR_BAD_GATEWAY, "the other side closed the connection within its answer");
    return IO_FAIL;
}

/* Nothing came: for now, or no more. */
static enum io read_stopped(struct call *c, enum io io)
{
    struct line *l = c->line;
    if (io != IO_MORE)
        return read_end(c, io);
    c->side->is_told = false;
    if (c->side->is_tunnel)
        slim(c);
    watch_want(&l->watch, l->watch.events | WATCH_READ);
    set_timer(c);
    return IO_MORE;
}

/* Chunks are decoded on the way. */
static enum io read_chunks(struct call *c, struct buf *to, size_t room)
{
    struct call_side *s = c->side;
    size_t n = 0;
    enum io io = c->line->stream.ops->read(&c->line->stream, s->dial->read_room,
                                           room < READ_BYTES ? room : READ_BYTES, &n);
    return io == IO_OK ? decode(c, (struct slice){s->dial->read_room, n}, to) : io;
}

/* Everything else goes straight where it is wanted. What lies behind its end stays with the kernel,
 * which the next call on this connection would notice. */
static enum io read_straight(struct call *c, struct buf *to, size_t room)
{
    struct call_side *s = c->side;
    size_t n = 0;
    if (s->body == H1_BODY_LENGTH && s->left < room)
        room = (size_t)s->left;
    char *at = buf_reserve(to, room);
    must(at);
    enum io io = c->line->stream.ops->read(&c->line->stream, at, room, &n);
    if (io != IO_OK)
        return io;
    buf_grew(to, n);
    if (s->body == H1_BODY_LENGTH)
        s->left -= n;
    s->is_over = s->body == H1_BODY_LENGTH && s->left == 0;
    return IO_OK;
}

static enum io read_more(struct call *c, struct buf *to, size_t room)
{
    struct call_side *s = c->side;
    if (s->in_used < s->in.len) {
        struct slice raw = slice_first(slice_skip(buf_slice(&s->in), s->in_used), room);
        s->in_used += raw.len;
        return decode(c, raw, to);
    }
    bool is_chunked = s->body == H1_BODY_CHUNKED;
    enum io io = is_chunked ? read_chunks(c, to, room) : read_straight(c, to, room);
    return io == IO_OK ? IO_OK : read_stopped(c, io);
}

enum io call_read(struct call *c, struct buf *to, size_t room)
{
    struct call_side *s = c->side;
    size_t had = to->len;
    enum io io = IO_OK;
    must(s->has_head || s->has_failed);
    while (io == IO_OK && to->len == had) {
        if (s->has_failed)
            return IO_FAIL;
        if (s->is_over)
            return IO_EOF;
        io = read_more(c, to, room); /* a chunk's frame alone gives no byte */
    }
    return io;
}

uint64_t call_movable(const struct call *c)
{
    const struct call_side *s = c->side;
    bool is_it = s->has_head && !s->has_failed && s->body == H1_BODY_LENGTH &&
                 s->in_used == s->in.len && c->line->stream.ops->to_pipe;
    return is_it ? s->left : 0;
}

enum io call_move(struct call *c, int pipe, size_t most, size_t *ret_n)
{
    struct call_side *s = c->side;
    must(call_movable(c) > 0);
    size_t n = s->left < most ? (size_t)s->left : most;
    enum io io = c->line->stream.ops->to_pipe(&c->line->stream, pipe, n, ret_n);
    if (io != IO_OK)
        return read_stopped(c, io);
    s->left -= *ret_n;
    s->is_over = s->left == 0;
    return IO_OK;
}

/* ---- events --------------------------------------------------------------------------------- */

static void on_readable(struct call *c)
{
    struct call_side *s = c->side;
    struct line *l = c->line;
    size_t n = 0;
    if (s->has_head) { /* the caller pulls; until then nobody looks */
        bool was_told = s->is_told;
        if (was_told || s->is_over)
            watch_want(&l->watch, l->watch.events & ~WATCH_READ);
        s->is_told = true;
        set_timer(c);
        if (!was_told && !s->is_over)
            c->on_event(c, CALL_READABLE);
        return;
    }
    enum io io = l->stream.ops->read(&l->stream, s->dial->read_room, READ_BYTES, &n);
    if (io == IO_OK)
        collect_head(c, (struct slice){s->dial->read_room, n});
    else if (io != IO_MORE)
        on_broken(c);
}

void call_on_ready(struct line *l, int events)
{
    struct call *c = l->call;
    if (l->is_connecting) {
        on_connected(c);
        if (l->is_closed)
            return;
    }
    if (events & WATCH_WRITE)
        on_writable(c);
    if ((events & WATCH_READ) && !l->is_closed && l->call == c)
        on_readable(c);
}

void call_on_timer(struct line *l)
{
    struct call *c = l->call;
    const struct call_side *s = c->side;
    if (s->is_over)
        return; /* it was set before the last byte came */
    if (l->is_connecting)
        fail_now(c, ERR_UNREACHABLE, "the connection was not accepted in time");
    else if (s->is_tunnel)
        fail_now(c, ERR_GATEWAY_TIMEOUT, "nothing came through the tunnel for too long");
    else if (is_sending(s))
        fail_now(c, ERR_GATEWAY_TIMEOUT, "the other side did not read the request in time");
    else if (!s->has_head)
        fail_now(c, ERR_GATEWAY_TIMEOUT, "the answer did not begin in time");
    else
        fail_now(c, ERR_GATEWAY_TIMEOUT, "the answer stopped half-way");
}

static bool is_clean(const struct call *c)
{
    const struct call_side *s = c->side;
    return s->is_over && !s->has_failed && !s->has_extra && s->in_used == s->in.len &&
           !s->is_tunnel && !s->is_out_broken && s->is_all_given && is_sent(s) &&
           s->body != H1_BODY_CLOSE && c->answer.head.keep_alive;
}

void call_end(struct call *c)
{
    struct call_side *s = c->side;
    struct line *l = c->line;
    c->side = NULL;
    c->line = NULL;
    s->call = NULL;
    if (l) {
        c->side = s;
        bool clean = is_clean(c);
        c->side = NULL;
        if (clean)
            line_keep(l);
        else
            line_close(l);
    }
    if (!s->is_posted)
        side_put(s);
}
