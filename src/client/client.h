/* Requests to other servers over HTTP/1.1, streaming both ways: for the proxy, storage, webhooks.
 *
 * A `dial` is an address on one loop, with the connections that wait there for reuse. A `call` is
 * one request and its answer. Everything of both happens on the dial's loop. Body bytes are pushed
 * (call_send takes what fits), the answer is pulled (call_read): whoever is slow slows the other
 * side, and a call holds a small buffer at most.
 *
 * News comes through on_event, always from the loop, never from inside a function called here. In
 * it the call may be ended and freed. */
#pragma once
#include "net/net.h"

/* ---- where to ------------------------------------------------------------------------------- */

struct dial;

struct dial_options {
    struct address to;
    uint32_t connect_ms; /* 0 = 5 s */
    uint32_t idle_ms;    /* how long a connection waits for reuse; 0 = 4 s: many servers close
                            theirs after 5 */
    unsigned idle_max;   /* connections that wait; 0 = 64 */
    bool (*filter)(struct stream *s); /* wraps every stream; NULL: plain */
};
struct dial *dial_new(struct loop *l, const struct dial_options *options);
/* Closes what waits. Calls under way go on and close their connections; the dial goes with the
 * last of them. */
void dial_free(struct dial *d);

struct dial_stats {
    unsigned open, idle, calls;
    uint64_t connects, reuses, retries;
};
void dial_stats(const struct dial *d, struct dial_stats *ret);

/* ---- one request ---------------------------------------------------------------------------- */

enum call_event {
    CALL_WRITABLE, /* the head is sent: call_send takes bytes (again) */
    CALL_HEAD,     /* call->answer is there, until the call ends (its headers, of a 101: until
                      call_read has nothing) */
    CALL_READABLE, /* call_read has something, or the end (again) */
    CALL_FAILED    /* call->error says why: nothing more comes. ERR_BAD_GATEWAY,
                      ERR_GATEWAY_TIMEOUT, or ERR_UNREACHABLE (no connection, nothing was sent) */
};

enum call_body { CALL_BODY_NONE, CALL_BODY_LENGTH, CALL_BODY_CHUNKED };

struct call_options {
    struct slice head;       /* ready for the wire, framing headers included; copied */
    enum http_method method; /* HEAD has no body in its answer */
    enum call_body body;
    bool is_upgrade;    /* a 101 makes it a tunnel: raw bytes both ways, no end of the request */
    bool may_repeat;    /* safe to send twice. What is not only uses connections that waited for a
                           moment */
    bool does_caller;   /* repeat it; else a call without a body whose connection dies before a
                           byte of the answer is sent once more, at once, on a new one */
    uint32_t head_ms;   /* from the request's last byte to the answer's head; 0 = 60 s */
    uint32_t idle_ms;   /* between two bytes of an answer; 0 = 60 s */
    uint32_t tunnel_ms; /* between two bytes of a tunnel, either way; 0 = 120 s */
#define CALL_FOR_EVER UINT32_MAX
};

struct call {
    void (*on_event)(struct call *c, enum call_event event); /* set by the caller */
    struct h1_response answer;
    struct err error;
    bool has_begun; /* a byte of an answer came */
    /* the room's own */
    struct line *line;
    struct call_side *side;
};

void call_start(struct call *c, struct dial *d, const struct call_options *options);
#define CALL_PIECE (64u << 10)
/* Takes bytes off the front of *in, framing them as the options say: what the kernel takes of a
 * body with a length; of chunks and tunnels nothing, or CALL_PIECE bytes (or all that there are, if
 * less). What it leaves is taken after the next CALL_WRITABLE. is_last:
 * the body (or the tunnel's way out) ends with *in; given alone, the end is always taken, except by
 * a call that has failed. */
void call_send(struct call *c, struct slice *in, bool is_last);
/* Adds up to `room` bytes of the answer's body. IO_OK: some; IO_MORE: none now, CALL_READABLE
 * comes; IO_EOF: that was all; IO_FAIL: call->error. */
enum io call_read(struct call *c, struct buf *to, size_t room) MUST_CHECK;
/* How much of the answer's body may be moved without being looked at: it has a length, and nothing
 * of it was read here. 0: only call_read will do. */
uint64_t call_movable(const struct call *c);
/* The same as call_read, into a pipe; while call_movable says more than 0. */
enum io call_move(struct call *c, int pipe, size_t most, size_t *ret_n) MUST_CHECK;
/* Ends the call at any point, once; the connection is kept if nothing is left on it. */
void call_end(struct call *c);
