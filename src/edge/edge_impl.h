/* What the files of edge/ share. */
#pragma once
#include "edge/edge.h"

struct edge {
    const struct backend_conf *conf;
    struct slice app;
    struct backend *backend;
    struct web *web;
};

/* "/api/" is all below it; "/health" is itself and all below "/health/". */
bool edge_is_below(struct slice path, struct slice prefix);

/* forward.c: heads, both ways; pure functions. */

/* Does it ask for a WebSocket? Nothing else becomes a tunnel: through one of HTTP/2 (h2c) further
 * requests would pass that nobody checks. */
bool forward_is_upgrade(const struct h1_request *h1);
/* The head of the request to the backend, ready for the wire. */
void forward_request(struct buf *to, const struct req *rq, const struct backend_conf *conf);
/* The headers of the backend's answer that go to the client, as lines. */
void forward_answer(struct buf *to, const struct h1_response *answer, const struct req *rq);

/* sticky.c: who stays with one instance. */
/* The number of the instance the visitor's cookie names; -1: any will do. */
int sticky_wanted(const struct edge *g, const struct req *rq);
/* The header line that makes the visitor stay; nothing where the cookie says so already. */
void sticky_answer(struct buf *to, const struct edge *g, const struct req *rq, int number);

/* access.c */
bool edge_is_reading(enum http_method m); /* GET, HEAD, OPTIONS: `read` in rules, safe to repeat */
/* The rule for the longest prefix of backend.access that covers the path; "public" without one. */
struct slice access_rule(const struct backend_conf *conf, struct slice path, enum http_method m);
bool access_check(const struct req *rq, const struct backend_conf *conf, struct err *e);

/* proxy.c */
extern const struct route proxy_route;
