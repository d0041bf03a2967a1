/* The inside of the HTTP server, shared by the files of this room.
 *
 * A `conn` is one connection; when it is idle it is all there is of it. While bytes are on their
 * way in or out it has a `flow` (buffers from a pool). While a request is under way it has an
 * `exchange` (the request, its arena, its answer), also from a pool. Everything here belongs to one
 * loop thread, except that a handler in a lane has its exchange's `rq` to itself until it is done.
 */
#pragma once
#include "http/http.h"

#define READ_BYTES      (64u << 10)  /* read per event */
#define READ_BULK_BYTES (256u << 10) /* of a body that is taken in bulk, and was till now */
#define COPY_BYTES      4096u        /* bodies up to here are copied behind their head */
#define OUT_BYTES       (64u << 10)  /* answers waiting: above it no further request is parsed */
#define OUT_MAX_BYTES   (1u << 20)
#define PULL_LEAST      4096u        /* room a source is asked to fill */
#define FILE_TICK_BYTES (2u << 20)   /* of a body, in a turn */
#define ARENA_BYTES     (8u << 20)   /* of one request, its body aside */
#define MOVE_LEAST      (64u << 10)  /* of a body: less is not worth a pipe */
#define MOVE_BYTES      (512u << 10) /* at once, if the client takes so much */
#define POOL_MAX        128u
#define LINGER_MS       2000
#define LINGER_BYTES    (16u << 20) /* a proxy that is cut while it sends forgets our answer */
#define STATUS_GONE     499 /* the client left before its answer: only in the log and the figures */
#define BODY_MIN_RATE   16  /* bytes per ms that a body must keep up after body_ms */

/* ---- one request and its answer ----------------------------------------------------------------
 */

struct exchange {
    struct req rq;
    struct arena arena;
    struct h1_request h1;
    struct h1_header *headers; /* limits.headers of them, made once */
    char path_room[256];
    struct buf body;
    struct chunked chunked;
    struct conn *conn; /* NULL: it closed while a lane had the request */
    struct work work;
    struct err *error; /* in the arena, when it failed */
    struct waiter *waiter;
    uint64_t body_taken;   /* by the waiter */
    uint64_t body_paid;    /* bytes that body_credit counts already */
    int64_t body_credit;   /* ms that more of it may take, times min_rate */
    int64_t body_since_ms; /* waiting for the client since then; 0: not waiting for it */
    bool is_body_over, is_body_full, is_body_wanted, is_answered, is_cut, is_end_told;
    bool owes_continue;      /* the client waits for 100 Continue, and the waiter is still shut */
    bool failed;             /* the handler returned false */
    struct slice head;       /* while the loop runs its handler, and not kept yet */
    enum run moves_to;       /* RUN_INLINE: it stays where it is */
    bool is_waiting;         /* req_wait: somebody will call req_done */
    bool is_identifying;     /* somebody will call req_identified */
    _Atomic bool is_left;    /* the client went while a lane had it: told to the lane */
    bool is_out, is_decided; /* a lane has not given it back; req_done was called. The loop's */
    bool is_kept; /* outlives this turn: owns its head's bytes and a reference to the service */
    uint64_t bytes_out;
    struct exchange *next; /* in the pool */
};

/* ---- buffers of a connection under way
 * ----------------------------------------------------------- */

struct tail { /* the body that follows the bytes of the flow, when it is not among them */
    enum body_kind kind;
    struct shared *shared;
    int fd;
    uint64_t offset, left;
    struct source *source;
    struct slice bytes;
    struct exchange *exchange; /* of a source or of bytes, which live in it */
    bool is_chunked;
    bool is_sized; /* a source of exactly `left` bytes more */
    bool is_dry;   /* the source has nothing now and will wake us */
};

struct flow {
    struct buf in;  /* received, not yet used */
    struct buf out; /* to be sent; the first `sent` bytes are */
    size_t sent;
    struct tail tail;
    struct flow *next; /* in the pool */
};

/* ---- a connection
 * ---------------------------------------------------------------------------------- */

#define CONN_STATE_MAP(X)                                              \
    X(IDLE, "idle")     /* nothing received */                         \
    X(HEAD, "head")     /* part of a head */                           \
    X(BODY, "body")     /* a request's body is coming */               \
    X(RUN, "run")       /* a lane has the request */                   \
    X(WAIT, "wait")     /* a waiter has it: body in, answer out */     \
    X(SEND, "send")     /* an answer is on its way; nothing is read */ \
    X(LINGER, "linger") /* all sent, no more from us; waiting for the client to close */
enum conn_state {
#define X(id, name) CONN_##id,
    CONN_STATE_MAP(X)
#undef X
        CONN_STATES
};

struct conn {
    struct watch watch;
    struct stream stream;
    struct timer timer;
    struct list link, dirty;
    struct http_loop *home;
    const struct front *front;
    struct flow *flow;         /* NULL when idle */
    struct exchange *exchange; /* in BODY, RUN and WAIT */
    struct ip peer;
    uint32_t scanned; /* of a partial head */
    uint8_t state;
    bool is_peer_unix, close_after, is_closed;
    bool has_ended; /* the client sends no more, but waits for answers */
    uint32_t requests;
    int64_t since_ms; /* when it was opened */
    uint64_t sent;    /* all bytes that the kernel took */
    uint64_t arrived; /* of them at the client, when its time began to be counted */
};

/* ---- one loop's side of the server
 * ------------------------------------------------------------------ */

struct route_count {
    const struct route *route;
    uint64_t by_status[500];
    uint64_t buckets[LATENCY_BUCKETS + 1], sum_us;
};

struct http_loop {
    struct server *server;
    struct loop *loop;
    struct tick tick;
    struct service *service;
    struct list conns, dirty;
    struct exchange *exchanges; /* pools */
    struct flow *flows;
    unsigned n_exchanges, n_flows;
    char *read_room;
    int pipe[2];      /* for move.c: empty whenever nobody uses it; -1 until then */
    char common[256]; /* the header lines every answer starts with, up to the request id */
    size_t common_len;
    int64_t common_s;
    bool is_draining, is_drained;
    struct timer drain_timer;
    int64_t drain_until_ms;
    struct post post;
    uint64_t n_open, n_idle, n_total, n_refused, bytes_in, bytes_out;
    struct route_count **routes; /* by pointer hash, power of two */
    size_t cap_routes, n_routes;
};

struct server {
    struct server_options options;
    struct loops *loops;
    struct http_loop *at; /* one per loop */
    unsigned n;
    void (*on_drained)(void *);
    void *drained_arg;
    unsigned n_drained;
};

/* conn.c */
void conn_open(struct http_loop *hl, const struct front *front, int fd, const struct address *peer);
void conn_close(struct conn *c, const char *why);
void conn_drain(struct conn *c);      /* the server is stopping: an idle connection goes now */
void conn_drain_idle(struct conn *c); /* again and again: one that was too fresh then */
void conn_pool_free(struct http_loop *hl);
void conn_set_state(struct conn *c, enum conn_state state);
void conn_mark_dirty(struct conn *c);
void conn_next(struct conn *c);                   /* the answer has left: what comes now? */
void conn_resume(struct conn *c);                 /* what waits in the flow may be used now */
void conn_reset(struct conn *c, const char *why); /* closes, and drops what the kernel holds */
struct flow *conn_flow(struct conn *c);
const char *conn_state_name(enum conn_state state);

/* exchange.c */
struct exchange *exchange_take(struct http_loop *hl);
void exchange_put(struct http_loop *hl, struct exchange *x);
void exchange_pool_free(struct http_loop *hl);
/* A head was parsed: finds the route, plans the body, runs or waits. *in starts behind the head. */
void exchange_start(struct conn *c, struct exchange *x, struct slice head);
/* More of the body. Takes what it needs off *in. */
void exchange_body(struct conn *c, struct slice *in);
/* Answers with an error before or instead of a handler, then closes the connection. */
void exchange_refuse(struct conn *c, struct exchange *x, const struct err *e);
void exchange_finish(struct exchange *x);

void exchange_drop_answer(struct res *res);                /* what of it was never handed over */
void exchange_finish_early(struct exchange *x);            /* whatever of the body may still come */
void exchange_keep(struct exchange *x, struct slice head); /* outlives this turn */
void exchange_run(struct exchange *x);                     /* calls the handler */
void exchange_log(struct exchange *x, int64_t us);

/* identity.c: asks the source; false: it has to ask elsewhere, and req_identified() comes. */
bool identity_ask(struct req *rq);
void identity_refuse(struct req *rq, const struct err *e);

/* later.c */
/* The handler of a streamed route runs; it may answer at once. */
void later_start(struct conn *c, struct exchange *x, struct slice head);
/* Bytes of the body, or of a tunnel. Takes what the waiter took off *in; false: it has enough. */
bool later_body(struct conn *c, struct slice *in);
bool later_on_end(struct conn *c);   /* the client sends no more; true: that has a meaning */
void later_on_timer(struct conn *c); /* it should have sent or taken something */
bool later_is_over(struct conn *c);  /* all that was to be sent is: let go of the exchange */
void later_drop(struct conn *c);     /* the connection closes */
void later_rest(struct conn *c);     /* all that there was to send has left, for now */
bool later_turn(struct conn *c);     /* what the waiter asked for; false: the connection is gone */

/* out.c */
/* Queues head and body; true when the body lives in the exchange, which is then the flow's. */
bool out_answer(struct conn *c, struct exchange *x);
void out_flush(struct conn *c);
void out_drop(struct http_loop *hl, struct flow *f); /* forgets what was not sent */
bool out_is_busy(const struct conn *c);
/* More is for the client than its socket takes, and its time is up. False: it takes too little. */
bool out_goes_on(struct conn *c);

void out_end_tail(struct http_loop *hl, struct tail *t); /* done with it, sent or not */

/* move.c */
bool move_is_possible(struct conn *c);
/* One step, like those of out.c. IO_OK also when nothing came: the tail is dry then. */
enum io move_some(struct conn *c, size_t *budget);
void move_done(struct http_loop *hl);

/* stats.c */
void stats_count(struct http_loop *hl, const struct route *route, int status, int64_t us);
void stats_free(struct http_loop *hl);
