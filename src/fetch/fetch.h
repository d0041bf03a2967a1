/* Requests that somebody else's data asks us to make: a webhook, a picture, a document to import.
 *
 * Whoever wrote the URL must not reach what this server reaches and they do not: the guard looks at
 * the address of every connection right before it is made, whatever the name or the spelling that
 * led there (public ones; of this machine's own public ones ports 80 and 443), and redirects are
 * followed here, one by one, each checked like the first URL. Only http and https; certificates are
 * verified; no proxy, no cookies, no credentials in URLs; time, redirects, header bytes and decoded
 * body bytes all have a bound.
 *
 * fetch_run blocks, so it belongs on a worker lane; any number of threads may call it. libcurl is
 * opened the first time and stays. The process must ignore SIGPIPE. */
#pragma once
#include "base/arena.h"
#include "net/net.h"

struct fetch_header {
    struct slice name, value;
    bool is_secret; /* not sent on when a redirect leaves the origin; Authorization and Cookie
                       never are */
};

#define FETCH_REDIRECTS     5
#define FETCH_REDIRECTS_MAX 20
#define FETCH_HEADERS_MAX   200         /* of an answer */
#define FETCH_HEAD_MAX      (64u << 10) /* bytes of all heads of one answer, 1xx included */

struct fetch_options {
    struct slice url;
    enum http_method method; /* GET unless said otherwise; not METHOD_OTHER */
    const struct fetch_header *headers;
    size_t n_headers;
    struct slice body; /* ptr NULL: none. A type is sent only if `headers` name one. */

    uint64_t max_bytes;          /* of the decoded body; 0 = 1 MB */
    uint32_t max_ms;             /* for everything, redirects included; 0 = 30 s */
    int max_redirects;           /* 0 = FETCH_REDIRECTS; -1: a redirect is the answer */
    bool may_lose_tls;           /* follow a redirect from https to http */
    bool is_head_only;           /* end after the answer's head, without its body */
    bool is_websocket;           /* ask for a WebSocket, for the head only; 101 is an answer then */
    bool is_unguarded;           /* any address and port: only where the operator typed the URL */
    const struct address *allow; /* besides public ones; port 0: every port of it */
    size_t n_allow;
    const char *ca_file;        /* trust these certificates and no others */
    const char *const *resolve; /* for tests, instead of DNS: "name:port:address[,address]", NULL */

    /* The body as it comes, instead of answer.body; only of the last answer. False ends the call
     * with *e. */
    bool (*on_body)(void *user, struct slice piece, struct err *e);
    bool (*should_stop)(void *user); /* asked about once a second; may be NULL */
    void *user;
};

struct fetch_hop {
    const char *url;
    int status;
};

struct fetch_answer {
    int status;
    bool has_head;   /* so much of it is there, even if the body failed */
    const char *url; /* that answered, without a fragment */
    char ip[IP_TEXT_LEN];
    struct fetch_header headers[FETCH_HEADERS_MAX]; /* as sent, in order */
    size_t n_headers;
    struct buf body;
    struct fetch_hop hops[FETCH_REDIRECTS_MAX]; /* the redirects on the way */
    size_t n_hops;
    struct arena arena; /* holds all of these but the body */
};

/* Any status is an answer. False when there is none:
 * ERR_INVALID: the URL, a header or a redirect's target is none we would follow.
 * ERR_FORBIDDEN: it leads to an address or a port that is not allowed; nothing was sent there.
 * ERR_UNREACHABLE: no such name, no connection, no trusted certificate.
 * ERR_GATEWAY_TIMEOUT: max_ms. ERR_UNAVAILABLE: should_stop, or libcurl is not installed.
 * ERR_BAD_GATEWAY: too much, too many redirects, or not HTTP.
 * *ret is to be given to fetch_answer_done in any case. */
bool fetch_run(const struct fetch_options *options, struct fetch_answer *ret, struct err *e);
void fetch_answer_done(struct fetch_answer *a);
/* The n-th (from 0) header of that name, any case; ptr NULL when there are fewer. */
struct slice fetch_find(const struct fetch_answer *a, const char *name, size_t n);
