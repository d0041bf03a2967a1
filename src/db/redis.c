/* Wake-ups through Redis (6 or newer: subscribing and publishing on one connection is RESP3):
 * a message is the number of whoever sent it. */
#include "db/ring_impl.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECT_MS  2000
#define IN_MAX      (256 << 10)
#define CHANNEL_LEN 64

struct line {
    int fd;
    char me[ID_LEN + 1]; /* what we send: our own messages come back */
    char channels[TOPIC_COUNT][CHANNEL_LEN];
    struct buf in;
};

/* ---- connecting ---------------------------------------------------------------------------- */

/* To be heard of within half a minute, when a network goes away without a word. */
static void set_keepalive(int fd)
{
    static const struct {
        int level, name, value;
    } all[] = {{SOL_SOCKET, SO_KEEPALIVE, 1},          {IPPROTO_TCP, TCP_KEEPIDLE, 10},
               {IPPROTO_TCP, TCP_KEEPINTVL, 5},        {IPPROTO_TCP, TCP_KEEPCNT, 3},
               {IPPROTO_TCP, TCP_USER_TIMEOUT, 10000}, {IPPROTO_TCP, TCP_NODELAY, 1}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        setsockopt(fd, all[i].level, all[i].name, &all[i].value, sizeof all[i].value);
}

/* -1 with errno. */
static int connect_to(int family, const struct sockaddr *at, socklen_t len)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), rc = -1;
    if (fd < 0)
        return -1;
    if (connect(fd, at, len) == 0)
        return fd;
    if (errno == EINPROGRESS) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        socklen_t size = sizeof rc;
        rc = poll(&p, 1, CONNECT_MS) > 0 && !getsockopt(fd, SOL_SOCKET, SO_ERROR, &rc, &size)
                 ? rc
                 : ETIMEDOUT;
        if (rc == 0)
            return fd;
        errno = rc;
    }
    rc = errno;
    close(fd);
    errno = rc;
    return -1;
}

static int connect_host(const struct redis_address *a, struct buf *why)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all = NULL;
    int fd = -1, rc = getaddrinfo(a->host, a->port, &hints, &all);
    if (rc) {
        buf_add_str(why, gai_strerror(rc));
        return -1;
    }
    for (struct addrinfo *one = all; one && fd < 0; one = one->ai_next)
        fd = connect_to(one->ai_family, one->ai_addr, one->ai_addrlen);
    if (fd < 0)
        buf_add_str(why, strerrordesc_np(errno));
    else
        set_keepalive(fd);
    freeaddrinfo(all);
    return fd;
}

static int connect_socket(const struct redis_address *a, struct buf *why)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path, a->path, strlen(a->path) + 1);
    int fd = connect_to(AF_UNIX, (struct sockaddr *)&at, sizeof at);
    if (fd < 0)
        buf_add_str(why, strerrordesc_np(errno));
    return fd;
}

/* ---- talking ------------------------------------------------------------------------------- */

/* So little always fits, unless nobody reads there. */
static bool put(struct line *l, const struct buf *text, struct buf *why)
{
    ssize_t n = send(l->fd, text->data, text->len, MSG_NOSIGNAL);
    if (n == (ssize_t)text->len)
        return true;
    buf_add_str(why, n < 0 ? strerrordesc_np(errno) : "it does not read what is sent");
    return false;
}

/* Reads what there is. */
static bool fill(struct line *l, struct buf *why)
{
    for (;;) {
        char *room = buf_reserve(&l->in, 4096);
        ssize_t n = room ? recv(l->fd, room, 4096, MSG_DONTWAIT) : 0;
        if (n > 0) {
            buf_grew(&l->in, (size_t)n);
            if (l->in.len > IN_MAX / 2)
                return true;
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        buf_add_str(why, n < 0 ? strerrordesc_np(errno) : "it closed the connection");
        return false;
    }
}

static unsigned topic_of(const struct line *l, struct slice channel)
{
    for (unsigned i = 0; i < TOPIC_COUNT; i++) {
        if (slice_is(channel, l->channels[i]))
            return 1u << i;
    }
    return 0;
}

static unsigned topics_in(const struct line *l, const struct redis_value *v)
{
    bool is_message = v->type == '>' && v->n == 3 && slice_is(v->words[0], "message");
    return is_message && !slice_is(v->words[2], l->me) ? topic_of(l, v->words[1]) : 0;
}

/* A message of the server may quote what it was sent: only its first word is told. */
static void tell_refusal(const struct redis_value *v, struct buf *why)
{
    struct slice rest = v->words[0], code;
    if (!slice_cut(&rest, ' ', &code) || code.len > 20)
        code = SLICE("ERR");
    buf_printf(why, "it refused with %.*s%s", SLICE_ARGS(code),
               slice_is(code, "NOPROTO") || slice_is(code, "ERR") ? ": is it Redis 6 or newer?"
                                                                  : ": is the password right?");
}

/* *ret_values counts what was read. */
static bool take_values(struct line *l, unsigned *ret_topics, unsigned *ret_values, struct buf *why)
{
    struct redis_value v;
    for (ptrdiff_t n; (n = redis_value_read(buf_slice(&l->in), &v)) != 0; ++*ret_values) {
        if (n < 0)
            buf_add_str(why, "it does not speak as Redis does");
        else if (v.type == '-')
            tell_refusal(&v, why);
        if (why->len)
            return false;
        *ret_topics |= topics_in(l, &v);
        buf_consume(&l->in, (size_t)n);
    }
    return true;
}

/* Says who we are and listens; waits for the answers. */
static bool greet(struct line *l, const struct redis_address *a, struct buf *why)
{
    struct slice hello[] = {SLICE("HELLO"), SLICE("3"), SLICE("AUTH"),
                            a->user[0] ? slice_from(a->user) : SLICE("default"),
                            slice_from(a->password)};
    struct slice listen[TOPIC_COUNT + 1] = {SLICE("SUBSCRIBE")};
    struct buf text;
    unsigned topics = 0, n = 0;
    for (int i = 0; i < TOPIC_COUNT; i++)
        listen[i + 1] = slice_from(l->channels[i]);
    buf_init(&text, 4000);
    redis_command_add(&text, hello, a->user[0] || a->password[0] ? 5 : 2);
    redis_command_add(&text, listen, TOPIC_COUNT + 1);
    bool fine = put(l, &text, why);
    buf_done(&text);
    int64_t until = clock_mono_ms() + CONNECT_MS;
    while (fine && n < 1 + TOPIC_COUNT) {
        struct pollfd p = {.fd = l->fd, .events = POLLIN};
        int64_t left = until - clock_mono_ms();
        if (left <= 0 || poll(&p, 1, (int)left) == 0) {
            buf_add_str(why, "it does not answer");
            return false;
        }
        /* An answer that came with the end of the connection says more than the end. */
        struct buf end;
        buf_init(&end, 200);
        bool is_open = fill(l, &end);
        fine = take_values(l, &topics, &n, why) && is_open;
        if (!is_open && !why->len)
            buf_add(why, buf_slice(&end));
        buf_done(&end);
    }
    return fine;
}

/* ---- the carrier --------------------------------------------------------------------------- */

static void line_close(void *arg)
{
    struct line *l = arg;
    if (l->fd >= 0)
        close(l->fd);
    buf_done(&l->in);
    free(l);
}

/* Publishing knows nothing of a database's number: it is part of the name. */
static struct line *line_new(const struct db *db, const struct redis_address *a)
{
    struct line *l = mem_new(struct line);
    char scope[17];
    ring_scope(db->schema, scope);
    for (int i = 0; i < TOPIC_COUNT; i++)
        snprintf(l->channels[i], CHANNEL_LEN, "dais:%u:%s:%s", a->index, scope, topic_name(i));
    random_id(l->me);
    buf_init(&l->in, IN_MAX);
    return l;
}

static void *line_open(struct db *db, struct buf *why)
{
    struct redis_address a;
    struct err e;
    must(redis_address_read(slice_from(db->redis_url), &a, &e)); /* as when it was opened */
    struct line *l = line_new(db, &a);
    l->fd = a.path[0] ? connect_socket(&a, why) : connect_host(&a, why);
    if (l->fd >= 0 && greet(l, &a, why))
        return l;
    line_close(l);
    return NULL;
}

static int line_fd(void *arg)
{
    return ((struct line *)arg)->fd;
}

static bool line_send(void *arg, unsigned topics, struct buf *why)
{
    struct line *l = arg;
    struct buf text;
    buf_init(&text, 4000);
    for (unsigned i = 0; i < TOPIC_COUNT; i++) {
        struct slice words[] = {SLICE("PUBLISH"), slice_from(l->channels[i]), slice_from(l->me)};
        if (topics & 1u << i)
            redis_command_add(&text, words, 3);
    }
    bool fine = put(l, &text, why);
    buf_done(&text);
    return fine;
}

static bool line_receive(void *arg, unsigned *ret_topics, struct buf *why)
{
    unsigned n = 0;
    return fill(arg, why) && take_values(arg, ret_topics, &n, why);
}

const struct ring_carrier redis_ring = {
    .name = "redis",
    .open = line_open,
    .fd = line_fd,
    .send = line_send,
    .receive = line_receive,
    .close = line_close,
};
