/* The HTTP server: connections, requests, routing to handlers, answers.
 *
 * A handler is straight-line C: it reads `struct req`, calls one reply_* function and returns true;
 * or it returns false with an error set, and the client gets problem+json (or a page). It never
 * sees the socket. Where it runs is the route row's word: on the loop, or in a worker lane. */
#pragma once
#include "base/shared.h"
#include "net/net.h"
#include "wire/wire.h"

struct req;
struct source;

/* ---- routes ---------------------------------------------------------------------------------- */

enum run { RUN_INLINE, RUN_READ, RUN_WRITE, RUN_SLOW, RUN_SIGN, RUN_STORE };

enum { /* bits of route.methods; HEAD is implied by GET */
       ON_GET = 1 << METHOD_GET,
       ON_HEAD = 1 << METHOD_HEAD,
       ON_POST = 1 << METHOD_POST,
       ON_PUT = 1 << METHOD_PUT,
       ON_PATCH = 1 << METHOD_PATCH,
       ON_DELETE = 1 << METHOD_DELETE,
       ON_OPTIONS = 1 << METHOD_OPTIONS,
       ON_ANY = 0xffff
};

/* One row of a static table. A path is literal, may hold {name} segments, and may end in a segment
 * "*". */
struct route {
    const char *path;
    const char *name; /* in logs and metrics */
    unsigned methods;
    bool (*handle)(struct req *rq, struct err *e);
    enum run run;
    size_t max_body;  /* 0: takes no body */
    bool is_quiet;    /* no access log line at level info (health checks) */
    bool is_streamed; /* RUN_INLINE, run when the head is there; see struct waiter */
    bool is_form;     /* people post to it from a page: an error of that is a page too */
};

/* A compiled set of tables: literal paths by hash, the others tried in order of the rows. */
struct router;
struct router *router_new(void);
void router_add(struct router *r, const struct route *rows, size_t n);
void router_free(struct router *r);
/* The row for the path, with rq's params filled; NULL when no row has this path. Methods are not
 * looked at: the server answers 405 itself. */
const struct route *router_find(const struct router *r, struct req *rq);

/* What answers requests. Made by app/ from the manifests, replaced as a whole on reload: a request
 * sees one service from its head to its last byte. */
struct service {
    _Atomic int refs;
    /* On the loop, for every request. Never NULL: what does not exist has a row that says so.
     * May set rq->site, rq->mount, rq->identities, rq->wants_identity, rq->refusal and
     * rq->res.always. Must not block. */
    const struct route *(*find)(struct service *s, struct req *rq);
    /* On the loop, after `find`, once who asks is known if that was wanted: is this too often? May
     * set rq->refusal and rq->res.always, as find may. May be NULL. */
    void (*admit)(struct service *s, struct req *rq);
    void (*free)(struct service *s);
    /* Told of each answer with 401 or 403, on the loop. May be NULL. */
    void (*denied)(struct service *s, struct req *rq);
    /* A page of the site's own for an error of a routed request that loads a page: replies and
     * returns true, or does nothing. May be NULL. On the loop. */
    bool (*error_page)(struct service *s, struct req *rq, int status);
};
void service_ref(struct service *s);
void service_unref(struct service *s);

/* ---- who asks -------------------------------------------------------------------------------- */

/* Slices live in the request's arena or outlive the request's service. */
struct identity {
    bool is_signed_in;    /* false: everything else is empty */
    bool is_key;          /* a program's key, no session */
    bool is_operator;     /* of the whole host */
    bool is_local;        /* whoever sits at this machine, without an account: never counted */
    bool is_of_link;      /* whoever made a link that is used now: there is no session */
    bool is_of_job;       /* the program of a job that is running; `session` is the job's id */
    unsigned depth;       /* of that: how many jobs led to it, itself included; else 0 */
    bool has_every_scope; /* a session, no key made for some scopes */
    struct slice id, email, name; /* email: empty unless it was verified */
    struct slice session;         /* the session's or key's own id; empty: there is none */
    const struct slice *roles, *scopes;
    size_t n_roles, n_scopes;
    int64_t expires_ms; /* of the session or key; 0: never */
    uint64_t epoch;     /* the source's: when it was known */
};
bool identity_has_role(const struct identity *who, struct slice role);
bool identity_has_scope(const struct identity *who, struct slice scope);

enum identity_found { FOUND, FOUND_BAD, FOUND_LATER };

/* Who knows that. One per app; what a request brings (a cookie, a bearer) is looked at here alone.
 */
struct session_watch;
struct identity_source {
    /* On the loop; must not block. Without credentials *ret stays as it is, signed out. The head's
     * slices do not outlive the call: copy into rq->arena.
     * FOUND_BAD: e says what is wrong with the credentials (ERR_UNAUTHENTICATED).
     * FOUND_LATER: it has to be asked elsewhere; the source calls req_identified(). Only while
     * rq->can_wait_for_identity, else it is FOUND_BAD with ERR_UNAVAILABLE. */
    enum identity_found (*find)(struct identity_source *s, struct req *rq, struct identity *ret,
                                struct err *e);
    /* Tells `w` when this session ends; see struct session_watch. NULL: sessions never end. */
    void (*watch)(struct identity_source *s, const struct identity *who, struct session_watch *w);
    void (*unwatch)(struct identity_source *s, struct session_watch *w);
};
/* On rq->loop, once after FOUND_LATER: `who` lives in rq->arena, or NULL with what is wrong. */
void req_identified(struct req *rq, const struct identity *who, const struct err *e);

/* Whoever sends one account something without an end (a tunnel, events) watches its session:
 * logout, a new password, its time and the account's end are the end of that too. */
struct session_watch {
    void (*ended)(struct session_watch *w); /* once, on `home`; never after session_unwatch() */
    struct loop *home;
    void *store, *at; /* the source's; NULL: it is off */
};
/* On the request's loop; nothing happens for who is signed out. One that ended since the request
 * was identified is told of soon. w is off before it is freed; off again is fine. */
void session_watch(struct req *rq, struct session_watch *w);
void session_unwatch(struct req *rq, struct session_watch *w);

/* Did a page of another site make this request, and might it change something? Credentials that a
 * browser adds by itself (cookies, being at this machine) are then not the visitor's word. */
bool req_is_cross_site(const struct req *rq);
/* Does the browser itself say that a page of ours made it, or the visitor? True for what only
 * reads. Cookies count for nothing else. */
bool req_is_own_doing(const struct req *rq);
/* Asked once per request, when first needed, on the loop; where service.find wanted it, before the
 * handler runs. NULL: the credentials are bad, or nobody can say just now. */
const struct identity *req_identity(struct req *rq, struct err *e);

/* ---- a request ------------------------------------------------------------------------------- */

enum body_kind { BODY_NONE, BODY_BYTES, BODY_SHARED, BODY_FILE, BODY_SOURCE };

struct res {
    int status;
    enum body_kind kind;
    struct buf head;       /* header lines ready for the wire, each ending CRLF */
    struct slice prebuilt; /* more of them, made beforehand; must live as long as the body */
    struct slice always;   /* and those that an error sends too; in the request's arena */
    struct slice bytes;    /* BODY_BYTES: in the request's arena, or static */
    struct shared *shared;
    struct source *source;
    int fd;
    uint64_t offset, length;
    bool close;     /* Connection: close after this answer */
    bool is_sized;  /* BODY_SOURCE: `length` is known, so no chunks */
    bool is_tunnel; /* BODY_SOURCE: 101, then raw bytes both ways */
};

#define REQ_PARAMS 4

struct req {
    const struct h1_request *h1; /* the head as received: well-known headers as slices */
    enum http_method method;
    struct slice path;  /* decoded, normalised, always starts with '/'; after the mount */
    struct slice query; /* raw, without '?' */
    struct slice host;  /* without the port, as sent */
    struct slice mount; /* "" or "/app": what was taken off the path */
    struct slice body;  /* whole, once the handler runs; of a streamed route empty */
    uint64_t max_body;  /* the route's, unless service.find says less or more */
    struct {
        struct slice name, value;
    } params[REQ_PARAMS];
    unsigned n_params;
    struct ip client;
    bool is_peer_loopback, is_control, is_secure, had_forwarding; /* about the other end */
    char id[ID_LEN + 44];                                         /* X-Request-Id, ends in NUL */
    struct arena *arena; /* lives until the answer is on its way */
    const struct route *route;
    struct service *service;
    void *site;                /* what service.find wants its handler to have */
    void *app;                 /* and what service.admit wants; NULL: a path of the host's */
    const struct err *refusal; /* of service.find: answered instead of running the handler */
    struct identity_source *identities; /* of the app; NULL: everybody is signed out */
    const struct identity *identity;    /* once asked; see req_identity */
    const struct err *identity_error;   /* or what is wrong with the credentials */
    bool is_origin_allowed;             /* a page of another origin asks, and `cors` names that */
    bool wants_identity;                /* service.find: ask before the handler runs */
    bool can_wait_for_identity;         /* just now: the source may answer FOUND_LATER */
    struct slice page_script; /* of this origin: what the page of an error loads; empty: nothing */
    struct slice details; /* of an error: the JSON array "errors" of problem+json; in the arena */
    bool is_on_lane;      /* a worker runs the handler, not the loop */
    struct loop *loop;    /* the connection's */
    struct server *server;
    struct res res;
    int64_t start_ns;
};

struct slice req_param(const struct req *rq, const char *name);  /* empty when absent */
struct slice req_header(const struct req *rq, const char *name); /* the first; empty when absent */

/* ---- answers: exactly one per request, all return true ------------------------------------------
 */

/* Header lines; name is ours, value is checked: a line break in it is dropped with the header. */
void reply_header(struct req *rq, const char *name, struct slice value);
/* Header lines made beforehand, "Name: value\r\n..."; Content-Length, Date, Connection,
 * X-Request-Id, X-Release and Server are the server's own and never in them. They must live as long
 * as the answer's body does (point into the same shared block's owner) or until the handler returns
 * for an inline route. */
void reply_prebuilt(struct req *rq, struct slice lines);
/* Lines like those that errors send too, whoever answers; copied. Also for service.find. */
void reply_always(struct req *rq, struct slice lines);

/* Takes back what was replied in bytes, and its headers: as if nothing had been. */
void reply_forget(struct req *rq);

bool reply_empty(struct req *rq, int status);
bool reply_bytes(struct req *rq, int status, const char *type, struct slice body);
bool reply_shared(struct req *rq, int status, struct shared *body, uint64_t offset,
                  uint64_t length);
bool reply_file(struct req *rq, int status, int fd, uint64_t offset,
                uint64_t length); /* takes fd */
bool reply_redirect(struct req *rq, int status, struct slice location);
/* problem+json, or a page where a browser loads a page. Sets nothing else. */
bool reply_error(struct req *rq, const struct err *e);
/* 503: what answers is not there yet. The page for people loads itself again until it is. */
bool reply_starting(struct req *rq, const char *what);
/* A person in a browser opens this, so that an error is a page. */
bool req_is_page_load(const struct req *rq);

/* An answer made bit by bit: pulled when there is room, so a slow reader slows the producer.
 * pull adds at most `room` bytes (4 KB or more): IO_OK (something came, more later), IO_MORE
 * (nothing more now: source_wake when there is), IO_EOF (that was all), IO_FAIL (cut the
 * connection). All on the connection's loop. The request and its service stay until close; slices
 * of its head that an inline handler took do not: ask the request again. */
struct source {
    enum io (*pull)(struct source *s, struct buf *to, size_t room);
    void (*close)(struct source *s); /* once, always: done, client gone, server stopping */
    /* Both or neither, for reply_sized_source: how many bytes could go through a pipe instead of
     * pull (0: none now), and moving up to `most` of them into it. */
    uint64_t (*movable)(struct source *s);
    enum io (*move)(struct source *s, int pipe, size_t most, size_t *ret_n);
    void (*leave)(struct source *s); /* the server stops: come to an end soon. May be NULL */
    bool is_endless;   /* events: ends with the client, also when that only says no more */
    struct conn *conn; /* the server's */
};
bool reply_source(struct req *rq, int status, const char *type, struct source *s);
void source_wake(struct source *s);

/* The source will give exactly `length` bytes; less cuts the connection. */
bool reply_sized_source(struct req *rq, int status, uint64_t length, struct source *s);
/* 101: what the source gives goes out as it is, what the client sends comes to the waiter as it is.
 * The Upgrade header is the caller's. From waiter_answer on the request's head and its arena are
 * gone; rq->path, mount and id stay. */
bool reply_tunnel(struct req *rq, struct source *s);

/* The handler of a streamed route that has to wait for something else on the loop (a backend)
 * calls reply_later. The body then comes bit by bit, the answer when it is there, both at once if
 * need be. All on the connection's loop. */
struct waiter {
    /* Takes off *in what it can; what it leaves comes again after waiter_want, and the client is
     * not read until then. is_last: the body ends with *in (once all of that is taken). Not called
     * for a request without a body. */
    void (*body)(struct waiter *w, struct slice *in, bool is_last);
    /* Once, always, and the last call: answered, or the client is gone. */
    void (*close)(struct waiter *w);
    /* Set before reply_later: may the body come at all? Nothing is read, and no 100 Continue sent,
     * before the first waiter_want. */
    bool is_shut;
    bool is_bulk;              /* it takes much at once: its body is read in larger pieces */
    struct exchange *exchange; /* the server's */
};
bool reply_later(struct req *rq, struct waiter *w);
bool waiter_has_body(const struct waiter *w); /* does more of the body come? */
void waiter_want(struct waiter *w);           /* body is welcome again; not from inside `body` */
void waiter_answer(struct waiter *w); /* after exactly one reply_*, which may be reply_error */
void waiter_cut(struct waiter *w);    /* closes the connection: half an answer is no answer */

/* ---- handlers that cannot answer at once, and have their body whole ---------------------------
 * Both return true, and are the last thing the handler does. */

/* Somebody else (a database's writer) will have the answer: he calls req_done on rq->loop. The
 * request and all it holds stay until then, also when the client leaves. Before this call is made,
 * or the other one is told, an inline handler calls req_keep: slices of the head that it took
 * earlier are gone then. A handler that returns false after all was not waiting. */
void req_keep(struct req *rq);
bool req_wait(struct req *rq);
/* On rq->loop, once: after exactly one reply_*, or with what went wrong. */
void req_done(struct req *rq, const struct err *e);
/* This takes longer than a loop may wait: the handler runs again from its start, in this lane. */
bool req_move(struct req *rq, enum run run);

/* ---- the server -------------------------------------------------------------------------------
 */

struct server;
struct server_options {
    uint32_t head_ms, body_ms, idle_ms, write_ms, drain_ms; /* 0 = 10 s, 60 s, 75 s, 60 s, 30 s */
    /* Who is slower than min_rate bytes/s (0 = 1024) is cut: a streamed body after slow_ms (0 =
     * 20 s), and, while there is more for it than its socket takes, a reader in any write_ms. */
    uint32_t slow_ms, min_rate;
    struct h1_limits limits;
    unsigned conns_max; /* 0 = as many as descriptors allow, which is never exceeded */
    struct trust trust;
    bool log_requests;
    const char *release; /* X-Release */
};
/* The service's one reference is taken. */
struct server *server_new(struct loops *ls, const struct server_options *options,
                          struct service *service);
void server_free(struct server *s); /* after the loops ended */

/* How a listener's connections are treated; the filter wraps every stream (NULL: plain). */
struct front {
    struct server *server;
    bool (*filter)(struct stream *s);
    bool is_control; /* the local control socket: operator rights */
    bool is_secure;
};
/* on_accept for net's listen_options with a struct front as `user`. */
void server_accept(void *user, struct listener *ln, struct loop *l, int fd,
                   const struct address *peer);

/* Loop 0: new requests see the new service, those under way keep theirs. Takes the reference. */
void server_replace(struct server *s, struct service *service);
/* Loop 0: close idle connections, finish the others with Connection: close, cut after drain_ms,
 * then call on_drained on loop 0. */
void server_drain(struct server *s, void (*on_drained)(void *), void *arg);

/* ---- what is going on: for /metrics and `dais debug`
 * ------------------------------------------------ */

#define LATENCY_BUCKETS 12
extern const uint32_t latency_bounds_us[LATENCY_BUCKETS];

struct server_stats {
    uint64_t conns_open, conns_idle, conns_total, conns_refused, bytes_sent, bytes_received;
    struct route_stats {
        const char *route;
        uint64_t by_status[600 - 100]; /* index = status - 100 */
        uint64_t buckets[LATENCY_BUCKETS + 1], sum_us;
    } * routes; /* in the arena */
    size_t n_routes;
};
/* From a worker, never from a loop's thread. */
void server_stats_read(struct server *s, struct arena *a, struct server_stats *ret);
/* A heading, then a line per connection: loop, peer, state, age, requests, route. */
void server_conns_text(struct server *s, struct buf *out);
