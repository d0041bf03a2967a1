/* Both ends of the proxy benchmark: a backend that costs little, and clients for what wrk cannot.
 *
 *   peer backend PORT                small answers, 100 MB both ways, WebSockets
 *   peer latency PORT COUNT          one request after the other: p50 and p99 in nanoseconds
 *   peer get|put PORT COUNT CONNS    COUNT bodies of 100 MB on CONNS connections: microseconds
 *   peer tunnels PORT COUNT          opens WebSockets, says "ready", waits for a line, counts
 *   peer stuck get|put PORT COUNT    bodies that do not move on, says "ready", waits for a line */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BODY    (100u << 20)
#define HEAD    8192
#define SOURCES 8 /* addresses 127.0.0.2 and up: no pair of addresses runs out of ports */

static char block[1 << 20];

static void fail(const char *what)
{
    fprintf(stderr, "peer: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* ---- the backend ------------------------------------------------------------------------------
 */

struct conn {
    int fd;
    enum { READ_HEAD, READ_BODY, STALL, SEND_BIG, TUNNEL } state;
    uint64_t left; /* of a body, either way */
    size_t have;
    char head[HEAD];
};

static const char small_answer[] =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}";
static const char tunnel_answer[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

static void say(int fd, const char *text, size_t n)
{
    if (send(fd, text, n, MSG_NOSIGNAL) != (ssize_t)n)
        shutdown(fd, SHUT_RDWR);
}

static void on_head(struct conn *c)
{
    const char *length = strcasestr(c->head, "\r\ncontent-length:");
    c->left = length ? strtoull(length + 17, NULL, 10) : 0;
    if (strncmp(c->head, "GET /big", 8) == 0) {
        char answer[200];
        int n = snprintf(answer, sizeof answer,
                         "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
                         "Content-Length: %u\r\n\r\n",
                         BODY);
        say(c->fd, answer, (size_t)n);
        c->left = BODY;
        c->state = SEND_BIG;
    } else if (strncmp(c->head, "GET /ws", 7) == 0) {
        say(c->fd, tunnel_answer, sizeof tunnel_answer - 1);
        c->state = TUNNEL;
    } else if (strncmp(c->head, "POST /stall", 11) == 0) {
        c->state = STALL;
    } else if (c->left) {
        c->state = READ_BODY;
    } else {
        say(c->fd, small_answer, sizeof small_answer - 1);
    }
}

/* False: it is closed. */
static bool read_head(struct conn *c)
{
    ssize_t n = recv(c->fd, c->head + c->have, HEAD - 1 - c->have, 0);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    c->have += (size_t)n;
    c->head[c->have] = '\0';
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end)
        return c->have < HEAD - 1;
    size_t more = c->have - (size_t)(end + 4 - c->head);
    on_head(c);
    c->have = 0;
    if (c->state == READ_BODY) {
        c->left -= more < c->left ? more : c->left;
        if (!c->left) {
            c->state = READ_HEAD;
            say(c->fd, small_answer, sizeof small_answer - 1);
        }
    }
    return true;
}

static bool read_body(struct conn *c)
{
    ssize_t n = recv(c->fd, block, c->left < sizeof block ? c->left : sizeof block, MSG_TRUNC);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    c->left -= (uint64_t)n;
    if (!c->left) {
        c->state = READ_HEAD;
        say(c->fd, small_answer, sizeof small_answer - 1);
    }
    return true;
}

static bool send_big(struct conn *c)
{
    ssize_t n = send(c->fd, block, c->left < sizeof block ? c->left : sizeof block, MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN;
    c->left -= (uint64_t)n;
    if (!c->left)
        c->state = READ_HEAD;
    return true;
}

static bool echo(struct conn *c)
{
    char frame[512];
    ssize_t n = recv(c->fd, frame, sizeof frame, 0);
    if (n > 0)
        say(c->fd, "\x81\x02ok", 4);
    return n > 0 || (n < 0 && errno == EAGAIN);
}

static bool act(struct conn *c)
{
    switch (c->state) {
    case READ_HEAD:
        return read_head(c);
    case READ_BODY:
        return read_body(c);
    case SEND_BIG:
        return send_big(c);
    case TUNNEL:
        return echo(c);
    case STALL:
        break;
    }
    return true;
}

static void take(int loop, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
    if (fd < 0)
        return;
    struct conn *c = calloc(1, sizeof *c);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->fd = fd;
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(loop, EPOLL_CTL_ADD, fd, &ev);
}

static void want(int loop, struct conn *c)
{
    unsigned events = c->state == SEND_BIG ? EPOLLOUT : c->state == STALL ? 0 : EPOLLIN;
    struct epoll_event ev = {.events = events, .data.ptr = c};
    epoll_ctl(loop, EPOLL_CTL_MOD, c->fd, &ev);
}

_Noreturn static void run_backend(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int loop = epoll_create1(0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096))
        fail("listen");
    struct epoll_event ev = {.events = EPOLLIN}, got[256];
    epoll_ctl(loop, EPOLL_CTL_ADD, listener, &ev);
    for (;;) {
        int n = epoll_wait(loop, got, 256, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = got[i].data.ptr;
            if (!c) {
                take(loop, listener);
                continue;
            }
            int before = (int)c->state;
            bool stays = act(c) && !(c->state == STALL && got[i].events & (EPOLLHUP | EPOLLERR));
            if (!stays) {
                close(c->fd);
                free(c);
            } else if ((int)c->state != before) {
                want(loop, c);
            }
        }
    }
}

/* ---- clients ----------------------------------------------------------------------------------
 */

static int dial(int port, int number)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr =
                                   htonl(INADDR_LOOPBACK + 1 + (unsigned)number % SOURCES)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof from) ||
        connect(fd, (struct sockaddr *)&to, sizeof to))
        fail("connect");
    return fd;
}

static void send_all(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t done = send(fd, bytes, n, MSG_NOSIGNAL);
        if (done < 0)
            fail("send");
        bytes += done;
        n -= (size_t)done;
    }
}

/* Reads an answer's head; returns its Content-Length less what came with the head. */
static uint64_t recv_head(int fd, const char *status)
{
    char head[HEAD];
    size_t have = 0;
    char *end = NULL;
    while (!end) {
        ssize_t n = recv(fd, head + have, sizeof head - 1 - have, 0);
        if (n <= 0)
            fail("no answer");
        have += (size_t)n;
        head[have] = '\0';
        end = strstr(head, "\r\n\r\n");
    }
    if (strncmp(head + 9, status, 3) != 0) {
        fprintf(stderr, "peer: answer: %.60s\n", head);
        exit(1);
    }
    const char *length = strcasestr(head, "\r\ncontent-length:");
    uint64_t body = length ? strtoull(length + 17, NULL, 10) : 0;
    return body - (have - (size_t)(end + 4 - head));
}

static void recv_body(int fd, uint64_t left)
{
    static _Thread_local char bytes[1 << 18];
    while (left) {
        ssize_t n = recv(fd, bytes, left < sizeof bytes ? left : sizeof bytes, MSG_TRUNC);
        if (n <= 0)
            fail("an answer broke off");
        left -= (uint64_t)n;
    }
}

static void ask(int fd, const char *line, const char *more)
{
    char head[400];
    int n = snprintf(head, sizeof head, "%s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n", line, more);
    send_all(fd, head, (size_t)n);
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int run_latency(int port, int count)
{
    int64_t *took = calloc((size_t)count, sizeof *took);
    int fd = dial(port, 0);
    for (int i = -200; i < count; i++) {
        int64_t begun = now_ns();
        ask(fd, "GET /small", "");
        recv_body(fd, recv_head(fd, "200"));
        if (i >= 0)
            took[i] = now_ns() - begun;
    }
    qsort(took, (size_t)count, sizeof *took, by_size);
    printf("%lld %lld\n", (long long)took[count / 2], (long long)took[count * 99 / 100]);
    return 0;
}

struct hauler {
    int port, number, count;
    bool is_put;
};

static void *haul(void *user)
{
    const struct hauler *h = user;
    char length[60];
    int fd = dial(h->port, h->number);
    snprintf(length, sizeof length, "Content-Length: %u\r\n", BODY);
    for (int i = 0; i < h->count; i++) {
        ask(fd, h->is_put ? "POST /up" : "GET /big", h->is_put ? length : "");
        for (uint64_t left = h->is_put ? BODY : 0; left; left -= sizeof block)
            send_all(fd, block, sizeof block);
        recv_body(fd, recv_head(fd, "200"));
    }
    close(fd);
    return NULL;
}

static int run_haul(bool is_put, int port, int count, int conns)
{
    pthread_t threads[64];
    struct hauler haulers[64];
    int64_t begun = now_ns();
    for (int i = 0; i < conns && i < 64; i++) {
        haulers[i] = (struct hauler){port, i, count / conns, is_put};
        pthread_create(&threads[i], NULL, haul, &haulers[i]);
    }
    for (int i = 0; i < conns && i < 64; i++)
        pthread_join(threads[i], NULL);
    printf("%lld\n", (long long)(now_ns() - begun) / 1000);
    return 0;
}

static void wait_for_line(void)
{
    char line[10];
    puts("ready");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        exit(0);
}

static bool echoes(int fd)
{
    char frame[4];
    static const char hello[] = "\x81\x82\x01\x02\x03\x04ig"; /* "hi" minus the mask, any text */
    if (send(fd, hello, sizeof hello - 1, MSG_NOSIGNAL) != sizeof hello - 1)
        return false;
    return recv(fd, frame, 4, MSG_WAITALL) == 4 && memcmp(frame, "\x81\x02ok", 4) == 0;
}

static int run_tunnels(int port, int count)
{
    int *fds = calloc((size_t)count, sizeof *fds), alive = 0;
    for (int i = 0; i < count; i++) {
        fds[i] = dial(port, i);
        ask(fds[i], "GET /ws",
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
        recv_head(fds[i], "101");
        if (!echoes(fds[i]))
            fail("a tunnel is silent");
    }
    wait_for_line();
    for (int i = 0; i < count; i++)
        alive += echoes(fds[i]);
    printf("%d\n", alive);
    return 0;
}

/* Nothing moves any more when no connection has moved for a while. */
static int run_stuck(bool is_put, int port, int count)
{
    int *fds = calloc((size_t)count, sizeof *fds), quiet = 0;
    char length[60];
    snprintf(length, sizeof length, "Content-Length: %u\r\n", BODY);
    for (int i = 0; i < count; i++) {
        fds[i] = dial(port, i);
        ask(fds[i], is_put ? "POST /stall" : "GET /big", is_put ? length : "");
        fcntl(fds[i], F_SETFL, O_NONBLOCK);
    }
    while (is_put && quiet < 20) {
        quiet++;
        for (int i = 0; i < count; i++) {
            if (send(fds[i], block, 65536, MSG_NOSIGNAL) > 0)
                quiet = 0;
        }
        usleep(10000);
    }
    for (int last = -1, sum = 0; !is_put && (sum != last || quiet < 20); usleep(10000)) {
        quiet = sum == last ? quiet + 1 : 0;
        last = sum;
        sum = 0;
        for (int i = 0; i < count; i++) {
            ssize_t n = recv(fds[i], block, sizeof block, MSG_PEEK | MSG_TRUNC);
            sum += n > 0 ? (int)(n >> 4) : 0;
        }
    }
    wait_for_line();
    return 0;
}

static int number_of(const char *text)
{
    return (int)strtol(text, NULL, 10);
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    bool is_stuck = strcmp(verb, "stuck") == 0;
    int first = is_stuck ? 3 : 2;
    const char *way = is_stuck && argc > 2 ? argv[2] : verb;
    int port = argc > first ? number_of(argv[first]) : 0;
    int count = argc > first + 1 ? number_of(argv[first + 1]) : 0;
    int conns = argc > first + 2 ? number_of(argv[first + 2]) : 1;
    bool is_put = strcmp(way, "put") == 0;
    if (port && strcmp(verb, "backend") == 0)
        run_backend(port);
    if (port && count && is_stuck)
        return run_stuck(is_put, port, count);
    if (port && count && strcmp(verb, "latency") == 0)
        return run_latency(port, count);
    if (port && count && strcmp(verb, "tunnels") == 0)
        return run_tunnels(port, count);
    if (port && count && (is_put || strcmp(verb, "get") == 0))
        return run_haul(is_put, port, count, conns);
    fprintf(stderr, "usage: peer backend|latency|get|put|tunnels|stuck PORT ...\n");
    return 1;
}
