/* Listening sockets, byte streams over them, and who is really at the other end. */
#pragma once
#include "loop/loop.h"
#include "wire/wire.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* ---- addresses ---------------------------------------------------------------------------------
 */

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage room;
    } sa;
    socklen_t len;
    char path[256]; /* a unix socket's, else empty */
};

#define ADDRESS_TEXT_LEN 300
/* "127.0.0.1:8000", "[::1]:8000", ":8000" (every address), "localhost:8000", "8000", "unix:/path".
 * Port 0 lets the kernel choose. */
bool address_parse(struct address *ret, struct slice text, struct err *e);
void address_text(const struct address *a, char to[ADDRESS_TEXT_LEN]);
bool address_is_loopback(const struct address *a); /* or a unix socket */
/* A non-blocking socket on its way there: writable once it is connected, or not (SO_ERROR). -1:
 * ERR_UNREACHABLE. */
int address_connect(const struct address *a, struct err *e);

/* An IP in 16 bytes, IPv4 mapped into IPv6: one form to compare, mask and print. */
struct ip {
    unsigned char bytes[16];
};
bool ip_parse(struct ip *ret, struct slice text);    /* bare: no brackets, no port */
bool ip_of(struct ip *ret, const struct address *a); /* false for unix sockets */
#define IP_TEXT_LEN INET6_ADDRSTRLEN
void ip_text(const struct ip *ip, char to[IP_TEXT_LEN]);
bool ip_is_loopback(const struct ip *ip);
/* May a server connect there for somebody else? No: private and shared networks, this machine,
 * links, multicast, documentation, benchmarks, tunnels (6to4, Teredo), unassigned IPv6, and places
 * where clouds keep credentials. NAT64 and mapped addresses are judged by the IPv4 one inside. */
bool ip_is_public(const struct ip *ip);

/* DAIS_TRUSTED_PROXIES: a comma-separated list of addresses and networks, or the words
 * "loopback" and "private". */
struct trust {
    struct trust_row {
        struct ip net;
        unsigned bits;
    } rows[64];
    unsigned n;
};
bool trust_parse(struct trust *ret, struct slice list, struct err *e);
bool trust_has(const struct trust *t, const struct ip *ip);
/* The client's address: the peer, or, while the hop is trusted, the next address to the left in
 * X-Forwarded-For. The peer of a unix socket is the loopback address. */
struct ip client_ip(const struct trust *t, const struct ip *peer, const struct h1_request *h1);

/* ---- streams ---------------------------------------------------------------------------------
 * Bytes both ways over a non-blocking descriptor. A filter (TLS) is another set of operations over
 * an inner stream; who uses a stream cannot tell. */

struct stream;
struct stream_ops {
    const char *name;
    /* IO_OK with *ret_n > 0, IO_MORE (wait for the descriptor), IO_EOF, IO_FAIL. */
    enum io (*read)(struct stream *s, char *to, size_t n, size_t *ret_n);
    enum io (*write)(struct stream *s, const struct iovec *iov, int n_iov, bool more,
                     size_t *ret_n);
    /* May be NULL: the caller then reads the file and writes the bytes. */
    enum io (*send_file)(struct stream *s, int fd, uint64_t offset, size_t n, size_t *ret_n);
    /* Bytes to and from a pipe without passing through this program. May be NULL, both: they must.
     */
    enum io (*to_pipe)(struct stream *s, int pipe, size_t n, size_t *ret_n);
    enum io (*from_pipe)(struct stream *s, int pipe, size_t n, bool more, size_t *ret_n);
    bool (*has_pending)(const struct stream *s); /* read bytes inside; may be NULL: never */
    void (*shut)(struct stream *s);              /* no more writes from us */
    void (*done)(struct stream *s);              /* frees the state and closes the descriptor */
};
struct stream {
    const struct stream_ops *ops;
    int fd;
    void *state; /* a filter's */
};
void stream_plain(struct stream *s, int fd); /* takes the descriptor */

/* ---- listeners ---------------------------------------------------------------------------------
 */

struct listener; /* one address: one descriptor per loop (SO_REUSEPORT), or one shared (unix) */

struct listen_options {
    /* On the loop's thread; the descriptor is the callee's. */
    void (*on_accept)(void *user, struct listener *ln, struct loop *l, int fd,
                      const struct address *peer);
    void *user;
    int unix_mode; /* permissions of a unix socket; 0 = 0600 */
};
/* Binds and listens; fails with a sentence that names the address and what to do. */
struct listener *listener_open(struct loops *ls, const struct address *a,
                               const struct listen_options *options, struct err *e);
/* The same around a listening socket that somebody else made and goes on with after us; takes the
 * descriptor, also when it fails. Every loop accepts from it; no file is ever removed. */
struct listener *listener_take(struct loops *ls, int fd, const struct listen_options *options,
                               struct err *e);
void listener_address(const struct listener *ln, struct address *ret); /* the port chosen */
/* On each loop's thread: begins or ends accepting there. Stopping accepts what is already queued.
 */
void listener_start(struct listener *ln, struct loop *l);
void listener_stop(struct listener *ln, struct loop *l);
void listener_free(struct listener *ln); /* after the loops ended; removes a unix socket's file */
