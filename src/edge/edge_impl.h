/* What the files of edge/ share. */
#pragma once
#include "edge/edge.h"

struct edge {
    const struct backend_conf *conf;
    struct address address;
    struct backend *backend; /* NULL: it runs elsewhere */
    struct web *web;
    struct loops *loops;
    struct dial **dials; /* one per loop, made there on first use */
};

/* "/api/" is all below it; "/health" is itself and all below "/health/". */
bool edge_is_below(struct slice path, struct slice prefix);
/* The dial of the loop it is called on. */
struct dial *edge_dial(struct edge *g, struct loop *l);

/* forward.c: heads, both ways; pure functions. */

/* Does it ask for a WebSocket? Nothing else becomes a tunnel: through one of HTTP/2 (h2c) further
 * requests would pass that nobody checks. */
bool forward_is_upgrade(const struct h1_request *h1);
/* The head of the request to the backend, ready for the wire. */
void forward_request(struct buf *to, const struct req *rq, const struct backend_conf *conf);
/* The headers of the backend's answer that go to the client, as lines. */
void forward_answer(struct buf *to, const struct h1_response *answer, const struct req *rq);

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
void tunnel_free(struct tunnel *t); /* NULL is fine */

/* access.c */
bool edge_is_reading(enum http_method m); /* GET, HEAD, OPTIONS: `read` in rules, safe to repeat */
/* The rule for the longest prefix of backend.access that covers the path; "public" without one. */
struct slice access_rule(const struct backend_conf *conf, struct slice path, enum http_method m);
bool access_check(const struct req *rq, const struct backend_conf *conf, struct err *e);

/* proxy.c */
extern const struct route proxy_route;
