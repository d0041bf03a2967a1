/* A client that does not wait: sends so many requests a second of each file, whatever comes back,
 * and counts how long after its time each was answered. Prints a line of JSON per file.
 *
 *   paced PORT MS (FILE PER_SECOND)...
 *
 * FILE holds requests, each as its length (4 bytes, little-endian) and its bytes, taken in turn.
 * Connections are kept as long as the server keeps them. Answers need a Content-Length. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS   1000 /* of a flow at once; a request that finds none free is lost */
#define FLOWS     4
#define IN_MAX    16384
#define LAST_MS   5000 /* after the end: who has not answered by then is lost */
#define PRECISE   1000 /* a second, of a flow: sent to the microsecond */
#define BURST_MAX 64   /* caught up with in one turn */

struct client {
    struct flow *flow;
    int fd; /* -1: not connected */
    bool is_busy, closes;
    const char *out;
    size_t out_len, sent, have, want;
    int64_t due;
    int status;
    struct client *next_free;
    char in[IN_MAX + 1];
};

struct flow {
    const char **requests;
    uint32_t *lengths;
    size_t n_requests, at;
    double per_second;
    int64_t n_due;
    struct client *clients, *free;
    int64_t *waits;
    size_t n_waits, waits_max;
    uint64_t by_status[600], lost;
    unsigned busy;
};

static struct flow flows[FLOWS];
static int n_flows, port, poll_fd;

static void fail(const char *what)
{
    fprintf(stderr, "paced: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* ---- requests ------------------------------------------------------------------------------ */

static void read_requests(struct flow *f, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size == 0)
        fail(path);
    const char *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED)
        fail(path);
    close(fd);
    size_t most = (size_t)st.st_size / 16 + 1;
    f->requests = calloc(most, sizeof *f->requests);
    f->lengths = calloc(most, sizeof *f->lengths);
    if (!f->requests || !f->lengths)
        fail("calloc");
    for (const char *end = at + st.st_size; at < end; f->n_requests++) {
        memcpy(&f->lengths[f->n_requests], at, 4);
        f->requests[f->n_requests] = at + 4;
        at += 4 + f->lengths[f->n_requests];
    }
}

static void flow_init(struct flow *f, const char *path, double per_second, int64_t ms)
{
    read_requests(f, path);
    f->per_second = per_second;
    f->waits_max = (size_t)(per_second * (double)ms / 1000) + 10;
    f->waits = calloc(f->waits_max, sizeof *f->waits);
    f->clients = calloc(CLIENTS, sizeof *f->clients);
    if (!f->waits || !f->clients)
        fail("calloc");
    for (int i = 0; i < CLIENTS; i++) {
        f->clients[i] = (struct client){.flow = f, .fd = -1, .next_free = f->free};
        f->free = &f->clients[i];
    }
}

/* ---- one connection ------------------------------------------------------------------------ */

static void hang_up(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static void is_done(struct client *c, bool answered)
{
    struct flow *f = c->flow;
    if (answered && c->status < 600) {
        f->by_status[c->status]++;
        if (f->n_waits < f->waits_max)
            f->waits[f->n_waits++] = now_ns() - c->due;
    } else {
        f->lost++;
    }
    if (!answered || c->closes)
        hang_up(c);
    c->is_busy = false;
    c->next_free = f->free;
    f->free = c;
    f->busy--;
}

static bool dial(struct client *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    int on = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        return false;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
        hang_up(c);
        return false;
    }
    return epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &event) == 0;
}

static void send_rest(struct client *c)
{
    while (c->sent < c->out_len) {
        ssize_t n = send(c->fd, c->out + c->sent, c->out_len - c->sent, MSG_NOSIGNAL);
        if (n < 0) /* not yet, or over: then reading tells */
            return;
        c->sent += (size_t)n;
    }
}

static void read_head(struct client *c)
{
    c->in[c->have] = '\0';
    char *end = strstr(c->in, "\r\n\r\n"), *length = strcasestr(c->in, "\r\nContent-Length:");
    char *closing = strcasestr(c->in, "\r\nConnection: close");
    if (!end)
        return;
    c->status = (int)strtol(c->in + sizeof "HTTP/1.1", NULL, 10);
    c->closes = closing && closing < end;
    c->want = (size_t)(end - c->in) + 4;
    if (length && length < end)
        c->want += strtoul(length + sizeof "\r\nContent-Length:" - 1, NULL, 10);
}

static void receive(struct client *c)
{
    while (c->is_busy) {
        ssize_t n = recv(c->fd, c->in + c->have, IN_MAX - c->have, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            is_done(c, false);
            return;
        }
        c->have += (size_t)n;
        if (!c->want)
            read_head(c);
        if (c->want && c->have >= c->want)
            is_done(c, true);
    }
}

static void on_event(struct client *c)
{
    char rest[64];
    if (c->fd < 0)
        return;
    if (c->is_busy) {
        send_rest(c);
        receive(c);
    } else if (recv(c->fd, rest, sizeof rest, 0) == 0) { /* closed while nobody asked */
        hang_up(c);
    }
}

/* ---- all of them --------------------------------------------------------------------------- */

static void begin(struct flow *f, int64_t due)
{
    struct client *c = f->free;
    if (!c) {
        f->lost++;
        return;
    }
    f->free = c->next_free;
    c->is_busy = true;
    f->busy++;
    c->out = f->requests[f->at % f->n_requests];
    c->out_len = f->lengths[f->at++ % f->n_requests];
    c->sent = c->have = c->want = 0;
    c->closes = false;
    c->due = due;
    if (c->fd < 0 && !dial(c))
        is_done(c, false);
    else
        send_rest(c);
}

static void begin_due(int64_t start, int64_t now)
{
    for (struct flow *f = flows; f < flows + n_flows; f++) {
        for (int n = 0; n < BURST_MAX; n++) {
            int64_t due = start + (int64_t)((double)f->n_due * 1e9 / f->per_second);
            if (due > now)
                break;
            f->n_due++;
            begin(f, due);
        }
    }
}

static unsigned busy(void)
{
    unsigned n = 0;
    for (int i = 0; i < n_flows; i++)
        n += flows[i].busy;
    return n;
}

/* Until the next one is due, at most a millisecond; no shorter when there are so many that it would
 * be mostly waiting. */
static struct timespec pause_until_due(int64_t start)
{
    int64_t now = now_ns(), left = 1000000;
    for (const struct flow *f = flows; f < flows + n_flows; f++) {
        int64_t in = start + (int64_t)((double)f->n_due * 1e9 / f->per_second) - now;
        if (f->per_second <= PRECISE && in < left)
            left = in > 0 ? in : 0;
    }
    return (struct timespec){.tv_nsec = left};
}

static void run(int64_t ms)
{
    struct epoll_event events[256];
    int64_t start = now_ns(), end = start + ms * 1000000;
    for (int64_t now = start; now < end || (busy() && now < end + LAST_MS * 1000000ll);) {
        struct timespec pause = pause_until_due(start);
        int got = epoll_pwait2(poll_fd, events, 256, &pause, NULL);
        for (int i = 0; i < got; i++)
            on_event(events[i].data.ptr);
        now = now_ns();
        if (now < end)
            begin_due(start, now);
    }
    for (int i = 0; i < n_flows; i++)
        flows[i].lost += flows[i].busy;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static long long wait_at(const struct flow *f, double percent)
{
    return f->n_waits ? f->waits[(size_t)((double)(f->n_waits - 1) * percent / 100)] / 1000 : 0;
}

static void tell(struct flow *f)
{
    const char *comma = "";
    qsort(f->waits, f->n_waits, sizeof *f->waits, by_size);
    printf("{\"due\":%lld,\"lost\":%llu,\"p50\":%lld,\"p99\":%lld,\"max\":%lld,\"by_status\":{",
           (long long)f->n_due, (unsigned long long)f->lost, wait_at(f, 50), wait_at(f, 99),
           wait_at(f, 100));
    for (int i = 0; i < 600; i++) {
        if (!f->by_status[i])
            continue;
        printf("%s\"%d\":%llu", comma, i, (unsigned long long)f->by_status[i]);
        comma = ",";
    }
    printf("}}\n");
}

int main(int argc, char **argv)
{
    if (argc < 5 || argc % 2 == 0 || argc > 3 + 2 * FLOWS) {
        fprintf(stderr, "usage: paced PORT MS (FILE PER_SECOND)...\n");
        return 2;
    }
    int64_t ms = strtoll(argv[2], NULL, 10);
    port = (int)strtol(argv[1], NULL, 10);
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 3; i < argc; i += 2)
        flow_init(&flows[n_flows++], argv[i], strtod(argv[i + 1], NULL), ms);
    run(ms);
    for (int i = 0; i < n_flows; i++)
        tell(&flows[i]);
    return 0;
}
