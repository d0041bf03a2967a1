/* A server in the test's own process: its loops in a thread, a few test routes, blocking clients.
 */
#pragma once
#include "http/http.h"

struct rig {
    struct loops *loops;
    struct server *server;
    struct listener *listener;
    struct front front;
    pthread_t thread;
    uint16_t port;
    bool changes_bytes; /* the filter does, so clients change them back */
    struct service service;
    struct router *router;
    int file_fd; /* 1 MB of pattern */
};

struct rig_options {
    struct server_options server;
    unsigned threads;
    bool filter;                    /* every byte of the wire is changed by a stream filter */
    bool (*wrap)(struct stream *s); /* the test's own filter, which keeps the bytes */
    const struct route *routes;     /* more of them */
    size_t n_routes;
};

void rig_start(struct rig *r, const struct rig_options *o);
void rig_stop(struct rig *r);  /* stops at once */
void rig_drain(struct rig *r); /* stops gracefully, waits */
/* Until no lane has work: what was asked for by who has gone is counted then, too. */
void rig_wait_lanes(struct rig *r);
void gate_set(bool is_open); /* closed at first: GET /gate/ID waits in its lane for it */

/* A client connection; with the rig's filter it changes bytes back. */
struct client {
    int fd;
    bool filter;
    char data[4 << 20];
    size_t len;
};
struct client *client_open(struct rig *r);
void client_close(struct client *c);
void client_send(struct client *c, const char *bytes, size_t n);
void client_say(struct client *c, const char *text);
/* Reads until `data` holds the text, or the server closes; the deadline is 30 s. False at the end.
 */
bool client_expect(struct client *c, const char *text);
/* Reads until the server closes; fails the test after 5 s. */
void client_read_all(struct client *c);
/* Reads one answer with Content-Length whole; returns its status; data and len hold it and no more.
 */
int client_answer(struct client *c, const char **ret_body, size_t *ret_len);
