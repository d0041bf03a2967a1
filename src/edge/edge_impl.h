/* What the files of edge/ share. */
#pragma once
#include "edge/cache_impl.h"
#include "edge/edge.h"

struct edge {
    const struct backend_conf *conf;
    const struct web_conf *web_conf;
    struct arena arena;
    struct web_headers *headers; /* by web_conf->headers; NULL: none */
    struct slice app;
    struct backend *backend;
    struct web *web;
    struct slice public_url;
    char cookie[64], stay_cookie[72]; /* dais's own of the app */
    struct tokens *tokens;            /* NULL: it wants none */
    bool has_cors, has_sign_in;
    struct cache *cache;     /* NULL: none */
    _Atomic bool has_warned; /* that what should be rewritten comes encoded */
};

/* "/api/" is all below it; "/health" is itself and all below "/health/". */
bool edge_is_below(struct slice path, struct slice prefix);

/* bounds.c: backend.timeout and max_body, or those of the longest prefix in backend.bounds. */
int64_t bounds_timeout_ms(const struct backend_conf *conf, struct slice path);
int64_t bounds_max_body(const struct backend_conf *conf, struct slice path);

/* headers.c: what dais does to one answer's head; decided with the request. */
struct outgoing {
    const struct backend_conf *conf;
    const struct web_headers *headers; /* of the path; NULL: nothing is said about it */
    struct slice csp;                  /* headers->csp, filled */
    bool has_cors;                     /* the backend's own word does not count */
    bool may_rewrite;                  /* text of this path is rewritten */
    bool is_rewritten;                 /* and this answer is: known with its head */
    struct slice condition;            /* lines in the place of the client's; empty: none */
    struct slice nonce;                /* in it, and told to the backend; empty: none */
};
/* On the loop, when the request is there to stay; what it makes lives in rq->arena. */
void outgoing_init(struct outgoing *o, const struct edge *g, struct req *rq);
/* The answer's head is there. */
void outgoing_meet(struct outgoing *o, struct edge *g, const struct h1_response *answer);
/* What the manifest says about keeping this answer; empty: the backend's word counts. */
struct slice outgoing_cache_control(const struct outgoing *o, int status);
/* Is this header of the backend's answer left out? */
bool outgoing_drops(const struct outgoing *o, const struct req *rq, struct slice name, int status);
/* Is its value another one? Then that is added to ret_value; it may be empty: no header. */
bool outgoing_changes(const struct outgoing *o, const struct h1_header *h, int status,
                      struct buf *ret_value);
/* Adds the lines that the backend did not send, or should not have sent otherwise. */
void outgoing_add(struct buf *to, const struct outgoing *o, const struct req *rq,
                  const struct h1_response *answer);

/* rewrite.c: web.rewrite on what passes through. */
struct rewriter;
/* Is text rewritten in the answer to this request? It is then asked for whole and without coding.
 */
bool rewriter_is_for(const struct web_conf *conf, const struct req *rq);
bool rewriter_is_text(const struct h1_response *answer);
bool rewriter_is_plain(const struct h1_response *answer); /* not encoded */
struct rewriter *rewriter_new(const struct web_conf *conf, struct slice path);
void rewriter_free(struct rewriter *r); /* NULL is fine */
/* The next piece; `to` then holds what of it, and of what was held back, can leave. False: that is
 * too much. */
bool rewriter_add(struct rewriter *r, struct slice in, bool is_last, struct buf *to);
/* As call_read, rewritten. */
enum io rewriter_read(struct rewriter *r, struct call *c, struct buf *to, size_t room) MUST_CHECK;

/* forward.c: heads, both ways; pure functions. */

/* Does it ask for a WebSocket? Nothing else becomes a tunnel: through one of HTTP/2 (h2c) further
 * requests would pass that nobody checks. */
bool forward_is_upgrade(const struct h1_request *h1);
/* The head of the request to the backend, ready for the wire. identity: identity_value's. */
void forward_request(struct buf *to, const struct req *rq, const struct edge *g,
                     struct slice identity, const struct outgoing *o);
/* The headers of the backend's answer that go to the client, as lines. */
void forward_answer(struct buf *to, const struct h1_response *answer, const struct req *rq,
                    const struct outgoing *o);

/* sticky.c: who stays with one instance. */
#define STICKY_COOKIE "dais_instance_" /* and the app's slug: apps may share an origin */
/* The number of the instance the visitor's cookie names; -1: any will do. */
int sticky_wanted(const struct edge *g, const struct req *rq);
/* The header line that makes the visitor stay; nothing where the cookie says so already. */
void sticky_answer(struct buf *to, const struct edge *g, const struct req *rq, int number);

/* identity.c */

/* Can it stand in a path, a header, a name of anything? */
bool identity_id_is_safe(struct slice id);
/* The value of the header that says who asks; empty: signed out, or the backend wants none. */
bool identity_value(struct req *rq, const struct edge *g, struct slice *ret, struct err *e);
/* May a program behind us take one header's name for the other's? */
bool identity_is_header(struct slice name, struct slice header);
bool identity_is_own_bearer(struct slice authorization); /* dais's own token, not the backend's */
bool identity_is_cookie(struct slice piece, struct slice own); /* "NAME=..." of that name? */
/* A Cookie line without dais's own cookie; the line itself when that is not in it. */
struct slice identity_other_cookies(struct slice line, struct slice own, struct arena *a);

/* tokens.c */
#define TOKEN_S 300 /* how long a token holds */
struct tokens;
struct tokens *tokens_new(const struct signer *signer);
void tokens_free(struct tokens *t); /* NULL is fine */
/* Adds a token of these claims (a JSON object without iat and exp), a minute old at most. */
void tokens_add(struct tokens *t, struct slice claims, int64_t now_s, struct buf *to);

/* tunnel.c: a WebSocket, once the backend has said 101. */
struct tunnel;
struct tunnel_options {
    const struct websocket_conf *conf;
    struct req *rq;
    struct call *call; /* all of them outlive the tunnel */
    struct waiter *waiter;
};
struct tunnel *tunnel_new(const struct tunnel_options *o);
struct source *tunnel_source(struct tunnel *t); /* what goes to the client */
/* The events of the waiter and of the call. */
void tunnel_body(struct tunnel *t, struct slice *in, bool is_last);
void tunnel_writable(struct tunnel *t);
void tunnel_failed(struct tunnel *t);
void tunnel_session_ended(struct tunnel *t);
void tunnel_free(struct tunnel *t); /* NULL is fine */

/* access.c */
bool edge_is_reading(enum http_method m); /* GET, HEAD, OPTIONS: `read` in rules, safe to repeat */
/* May whoever asks do this? backend.access says; a key needs the scope `read` or `write`, too. */
bool access_check(struct req *rq, const struct backend_conf *conf, struct err *e);
/* Is a request like this within the scopes of who asks? Else it is nobody's for the backend. */
bool edge_scope_covers(const struct req *rq, const struct identity *who);

/* proxy.c */
extern const struct route proxy_route;
