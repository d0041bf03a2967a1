/* The inside of the client: a connection, with or without a call on it. */
#pragma once
#include "client/client.h"

#define READ_BYTES (64u << 10)
#define OUT_BYTES  CALL_PIECE /* above it call_send takes nothing */
#define HEAD_BYTES (64u << 10)
#define HEADERS    100

/* A connection. Idle ones hang in the dial and have no call and no buffers. */
struct line {
    struct watch watch;
    struct stream stream;
    struct timer timer;
    struct list link; /* in the dial: idle or busy */
    struct dial *dial;
    struct call *call; /* NULL when idle */
    int64_t idle_since_ms;
    bool is_connecting, is_reused, is_closed;
};

/* What a call needs while it runs. It outlives the call by the news that is still on its way. */
struct call_side {
    struct call *call; /* NULL: ended */
    struct call_options options;
    struct dial *dial;
    struct buf head; /* of the request */
    struct buf out;  /* body bytes, framed, that the kernel has not taken */
    struct buf in;   /* the answer's head and what came with it: does not move once it is parsed */
    size_t head_sent, out_sent, in_used, scanned;
    struct h1_header *headers; /* HEADERS of them */
    unsigned n_interim;
    struct chunked chunked; /* of the answer's body */
    uint64_t left;          /* of an answer with a length */
    enum h1_body body;
    bool has_head; /* all of its head */
    bool is_over;  /* all of it */
    bool has_failed, is_tunnel, has_retried;
    bool is_all_given;  /* the caller gave the last of the body */
    bool is_out_broken; /* the other side reads no more; it may have answered */
    bool has_extra;     /* bytes behind the answer: the connection cannot be trusted */
    bool wants_room;    /* CALL_WRITABLE is owed */
    bool is_told;       /* CALL_READABLE was given and nothing read since */
    bool is_posted;
    struct post post;
    struct call_side *next; /* in the pool */
};

struct dial {
    struct dial_options options;
    struct loop *loop;
    struct list idle, busy;
    unsigned n_idle, n_busy, n_calls;
    uint64_t connects, reuses, retries;
    bool is_freed;
    char *read_room;
    struct call_side *sides; /* pool */
    unsigned n_sides;
};

/* dial.c */
/* A waiting connection if one may be used, or a new one; NULL: e says why. */
struct line *line_take(struct dial *d, struct call *c, bool may_reuse, bool may_repeat,
                       struct err *e);
void line_keep(struct line *l); /* its call is over and nothing is left on it */
void line_close(struct line *l);
void dial_unuse(struct dial *d); /* a call's side is gone */

/* call.c */
void call_on_ready(struct line *l, int events);
void call_on_timer(struct line *l);
