/* A WebSocket between a client and the backend: bytes both ways, held to the rules of its frames.
 *
 *   tunnel_body   the client's frames, checked and counted, go to the backend
 *   pull          the backend's frames go to the client
 *   end           somebody broke a rule or fell silent: both are told by a close frame each, as far
 *                 as they are between two frames, then it is over
 *
 * A frame's head only passes when it is whole, so a close frame of ours never lands within one. An
 * open tunnel that is silent holds no buffer. */
#include "base/random.h"
#include "edge/edge_impl.h"

#include <stdlib.h>
#include <string.h>

#define CHEAP_PER_S 100  /* control frames and empty ones of a client */
#define END_MS      5000 /* for a client to take what is on its way, and the close frame */
#define LINGER_MS   1000 /* then for the backend to read its own, and to close */
#define LINGER_MAX  (1u << 20)

struct tunnel {
    struct source source;
    struct req *rq;
    struct call *call;
    struct waiter *waiter;
    struct timer timer; /* silence; then the end of the end */
    struct ws client, backend;
    int64_t second; /* the client's cheap frames are of */
    uint32_t idle_ms;
    uint16_t code; /* for the client, when it ends */
    const char *why;
    char head[WS_HEAD_MAX], back[WS_HEAD_MAX]; /* of frames that are not whole yet */
    uint8_t n_head, n_back;
    size_t lingered; /* bytes of the backend that nobody wants any more */
    bool is_ending;
    bool is_told; /* the client */
    bool is_over;
    bool is_end_given; /* to the backend */
};

/* ---- the end -------------------------------------------------------------------------------- */

static void tell_backend(struct tunnel *t, uint16_t code, const char *why)
{
    char frame[WS_CLOSE_MAX];
    uint8_t mask[4];
    struct slice rest = {0};
    if (t->is_end_given)
        return;
    t->is_end_given = true;
    if (ws_is_between(&t->client) && !t->client.has_closed) {
        random_bytes(mask, sizeof mask);
        rest = (struct slice){frame, ws_close_frame(frame, code, why, mask)};
        call_send(t->call, &rest, false); /* or not, if it reads nothing */
    }
    call_send(t->call, &(struct slice){0}, true);
}

static void log_end(const struct tunnel *t, const char *by)
{
    log_line(LOG_INFO, "the WebSocket was ended", F_CSTR("request", t->rq->id),
             F_STR("path", t->rq->path), F_CSTR("by", by), F_CSTR("why", t->why),
             F_INT("code", t->code));
}

/* The client hears in `pull`, in its turn. */
static void end(struct tunnel *t, const char *by, uint16_t client_code, uint16_t backend_code,
                const char *why)
{
    if (t->is_ending)
        return;
    t->is_ending = true;
    t->code = client_code;
    t->why = why;
    log_end(t, by);
    tell_backend(t, backend_code, why);
    timer_set(&t->timer, t->rq->loop, END_MS);
    source_wake(&t->source);
}

static void on_timer(struct timer *timer, struct loop *l)
{
    struct tunnel *t = container_of(timer, struct tunnel, timer);
    (void)l;
    t->is_over = t->is_told;
    if (t->is_over)
        source_wake(&t->source);
    else if (t->is_ending)
        waiter_cut(t->waiter);
    else
        end(t, "silence", 1001, 1001, "idle for too long");
}

static void moved(struct tunnel *t)
{
    if (!t->is_ending)
        timer_set(&t->timer, t->rq->loop, t->idle_ms);
}

/* ---- from the client ------------------------------------------------------------------------ */

/* Sends what may pass of `in`. IO_OK: *ret_n bytes, the rest is a part of a head; IO_MORE: nothing,
 * the backend has enough; IO_FAIL: a rule was broken behind *ret_n bytes, which are sent. */
static enum io pass(struct tunnel *t, struct slice in, size_t *ret_n)
{
    struct ws before = t->client;
    bool is_fine = ws_follow(&t->client, in, ret_n);
    struct slice good = slice_first(in, *ret_n);
    if (good.len)
        call_send(t->call, &good, false);
    must(good.len == 0 || good.len == *ret_n);
    if (good.len) {
        t->client = before;
        *ret_n = 0;
        return IO_MORE;
    }
    if (*ret_n)
        moved(t);
    if (!is_fine)
        end(t, "client", t->client.fault, 1001, t->client.why);
    return is_fine ? IO_OK : IO_FAIL;
}

/* The head that came in pieces, byte by byte until it is whole. */
static enum io pass_head(struct tunnel *t, struct slice *in)
{
    enum io io = IO_OK;
    while (t->n_head) {
        size_t n;
        io = pass(t, (struct slice){t->head, t->n_head}, &n);
        if (io == IO_OK && n == 0 && in->len == 0)
            return IO_OK;
        if (io != IO_OK || n) {
            t->n_head = io == IO_MORE ? t->n_head : 0;
            return io;
        }
        must(t->n_head < WS_HEAD_MAX);
        t->head[t->n_head++] = *in->ptr;
        *in = slice_skip(*in, 1);
    }
    return io;
}

static void refill(struct tunnel *t)
{
    int64_t second = loop_now_ms(t->rq->loop) / 1000;
    if (second != t->second)
        t->client.cheap_left = CHEAP_PER_S;
    t->second = second;
}

static enum io pass_all(struct tunnel *t, struct slice *in)
{
    enum io io = pass_head(t, in);
    while (io == IO_OK && in->len) {
        struct slice piece = slice_first(*in, CALL_PIECE);
        size_t n;
        io = pass(t, piece, &n);
        *in = slice_skip(*in, n);
        if (io == IO_OK && n < piece.len && in->len < WS_HEAD_MAX) {
            t->n_head = (uint8_t)in->len;
            memcpy(t->head, in->ptr, in->len);
            *in = slice_skip(*in, in->len);
        }
    }
    return io;
}

void tunnel_body(struct tunnel *t, struct slice *in, bool is_last)
{
    refill(t);
    if (t->is_ending || pass_all(t, in) == IO_FAIL)
        *in = slice_skip(*in, in->len);
    if (is_last && in->len == 0 && !t->is_end_given) {
        t->is_end_given = true;
        call_send(t->call, in, true);
    }
}

void tunnel_writable(struct tunnel *t)
{
    if (!t->is_ending)
        (void)!pass_head(t, &(struct slice){0});
    waiter_want(t->waiter);
}

/* ---- from the backend ----------------------------------------------------------------------- */

/* Keeps back the part of a head that is at the end of *to. */
static void keep_back(struct tunnel *t, struct buf *to, size_t upto)
{
    t->n_back = (uint8_t)(to->len - upto);
    must(t->n_back < WS_HEAD_MAX);
    if (t->n_back)
        memcpy(t->back, to->data + upto, t->n_back);
    buf_truncate(to, upto);
}

/* Closing with unread bytes would reset the connection, and the backend might not see why. */
static enum io linger(struct tunnel *t, struct buf *to, size_t room)
{
    size_t had = to->len;
    enum io io = IO_OK;
    while (io == IO_OK && t->lingered <= LINGER_MAX && !t->is_over) {
        io = call_read(t->call, to, room);
        t->lingered += to->len - had;
        buf_truncate(to, had);
    }
    return io == IO_MORE ? IO_MORE : IO_EOF;
}

/* The rest of the frame that is on its way, then the close frame. */
static enum io pull_end(struct tunnel *t, struct buf *to, size_t room)
{
    char frame[WS_CLOSE_MAX];
    if (t->is_told)
        return linger(t, to, room);
    if (!ws_is_between(&t->backend)) {
        size_t n = 0, had = to->len;
        enum io io =
            call_read(t->call, to, t->backend.left < room ? (size_t)t->backend.left : room);
        must(ws_follow(&t->backend, slice_skip(buf_slice(to), had), &n) && n == to->len - had);
        return io;
    }
    if (!t->backend.has_closed)
        buf_add(to, (struct slice){frame, ws_close_frame(frame, t->code, t->why, NULL)});
    t->is_told = true;
    timer_set(&t->timer, t->rq->loop, LINGER_MS);
    return IO_OK;
}

static enum io pull(struct source *s, struct buf *to, size_t room)
{
    struct tunnel *t = container_of(s, struct tunnel, source);
    size_t had = to->len, n = 0;
    if (t->is_ending)
        return pull_end(t, to, room);
    buf_add(to, (struct slice){t->back, t->n_back});
    t->backend.cheap_left = UINT32_MAX;
    enum io io = call_read(t->call, to, room - t->n_back);
    bool is_fine = ws_follow(&t->backend, slice_skip(buf_slice(to), had), &n);
    if (!is_fine)
        buf_truncate(to, had + n);
    else
        keep_back(t, to, had + n);
    if (n)
        moved(t);
    if (!is_fine) {
        end(t, "backend", 1011, t->backend.fault, t->backend.why);
        return IO_OK; /* the rest comes with the next pull */
    }
    if (io == IO_FAIL || (io == IO_EOF && !t->backend.has_closed)) {
        end(t, "backend", 1001, 1001,
            io == IO_EOF ? "the backend closed the connection" : t->call->error.msg);
        return ws_is_between(&t->backend) ? IO_OK : io;
    }
    return io;
}

void tunnel_failed(struct tunnel *t)
{
    t->is_end_given = true;
    end(t, "backend", 1001, 1001, t->call->error.msg);
    if (!ws_is_between(&t->backend))
        waiter_cut(t->waiter);
}

/* At once: what is in the middle of a frame is not waited for. */
void tunnel_session_ended(struct tunnel *t)
{
    end(t, "session", 1008, 1001, "the session has ended");
    if (!ws_is_between(&t->backend))
        waiter_cut(t->waiter);
}

/* ---- its life ------------------------------------------------------------------------------- */

static bool may_compress(const struct h1_request *head)
{
    for (uint32_t i = 0; i < head->n_headers; i++) {
        struct slice list = head->headers[i].value, one;
        if (!slice_eq_nocase(head->headers[i].name, SLICE("sec-websocket-extensions")))
            continue;
        while (list_next(&list, &one)) {
            struct slice name;
            if (slice_cut(&one, ';', &name) &&
                slice_eq_nocase(slice_trim(name), SLICE("permessage-deflate")))
                return true;
        }
    }
    return false;
}

static void leave(struct source *s)
{
    end(container_of(s, struct tunnel, source), "server", 1001, 1001, "the server stops");
}

static void source_closed(struct source *s)
{
    (void)s; /* whoever has the tunnel closes after it */
}

struct tunnel *tunnel_new(const struct tunnel_options *o)
{
    struct tunnel *t = mem_new(struct tunnel);
    const struct h1_request *answer = &o->call->answer.head;
    struct ws_options client = {
        .is_client = true,
        .may_compress = may_compress(answer),
        .max_message = (uint64_t)o->conf->max_message_bytes,
        .max_session = (uint64_t)o->conf->max_session_bytes,
    };
    ws_init(&t->client, &client);
    ws_init(&t->backend, &(struct ws_options){.may_compress = client.may_compress});
    t->rq = o->rq;
    t->call = o->call;
    t->waiter = o->waiter;
    t->idle_ms = (uint32_t)o->conf->idle_ms;
    t->source.pull = pull;
    t->source.close = source_closed;
    t->source.leave = leave;
    t->source.is_endless = true;
    t->timer.fn = on_timer;
    moved(t);
    return t;
}

struct source *tunnel_source(struct tunnel *t)
{
    return &t->source;
}

void tunnel_free(struct tunnel *t)
{
    if (!t)
        return;
    timer_off(&t->timer);
    free(t);
}
