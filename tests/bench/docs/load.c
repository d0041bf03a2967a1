/* A client that costs little: sends the requests of a file on many keep-alive connections, each its
 * next one when its answer is whole, and prints what came back as one line of JSON.
 *
 *   load PORT CONNECTIONS MS FILE START
 *
 * FILE holds requests, each as its length (4 bytes, little-endian) and its bytes; they are taken in
 * turn from number START on, and again from the first. Answers need a Content-Length. */
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
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ANSWER    (4u << 20) /* the longest there may be, head and body */
#define WAITS_MAX 4000000
#define LAST_MS   5000 /* after the end: who has not answered by then failed */

struct request {
    const char *bytes;
    size_t len;
};
struct client {
    int fd;
    size_t sent, have, want; /* want: of the whole answer; 0: its head is not there yet */
    const struct request *request;
    int64_t began;
    int status;
    bool is_over;
    char *in;
};
struct outcome {
    uint64_t answers, bytes, bad, errors;
    int first_bad;
    char said[200]; /* the first bad answer's body */
};

static struct request *requests;
static size_t n_requests, next_request;
static struct outcome outcome;
static int64_t *waits;
static size_t n_waits;

static void fail(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* ---- requests ------------------------------------------------------------------------------ */

static void read_requests(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size == 0)
        fail(path);
    const char *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED)
        fail(path);
    close(fd);
    requests = calloc((size_t)st.st_size / 16 + 1, sizeof *requests);
    for (const char *end = at + st.st_size; at < end;) {
        uint32_t len;
        memcpy(&len, at, sizeof len);
        requests[n_requests++] = (struct request){at + sizeof len, len};
        at += sizeof len + len;
    }
}

/* ---- one connection ------------------------------------------------------------------------ */

static void send_rest(struct client *c)
{
    while (c->sent < c->request->len) {
        ssize_t n = send(c->fd, c->request->bytes + c->sent, c->request->len - c->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) /* who was closed is told of when it is read */
            return;
        c->sent += (size_t)n;
    }
}

static void send_next(struct client *c)
{
    c->request = &requests[next_request++ % n_requests];
    c->sent = c->have = c->want = 0;
    c->began = now_ns();
    send_rest(c);
}

static void read_head(struct client *c)
{
    c->in[c->have] = '\0';
    char *end = strstr(c->in, "\r\n\r\n"), *length = strcasestr(c->in, "\r\nContent-Length:");
    if (!end)
        return;
    c->status = (int)strtol(c->in + sizeof "HTTP/1.1", NULL, 10);
    c->want = (size_t)(end - c->in) + 4;
    if (length && length < end)
        c->want += strtoul(length + sizeof "\r\nContent-Length:" - 1, NULL, 10);
    if (c->want > ANSWER)
        fail("an answer that is too long");
}

static void count_answer(struct client *c)
{
    outcome.answers++;
    outcome.bytes += c->want;
    if (n_waits < WAITS_MAX)
        waits[n_waits++] = now_ns() - c->began;
    if (c->status / 100 == 2)
        return;
    if (outcome.bad++)
        return;
    outcome.first_bad = c->status;
    const char *body = strstr(c->in, "\"detail\":");
    snprintf(outcome.said, sizeof outcome.said, "%s", body ? body + 9 : "");
}

enum receive { GOES_ON, ANSWERED, CLOSED };

static enum receive receive(struct client *c)
{
    ssize_t n = recv(c->fd, c->in + c->have, ANSWER - c->have, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return GOES_ON;
    if (n <= 0)
        return CLOSED;
    c->have += (size_t)n;
    if (!c->want)
        read_head(c);
    return c->want && c->have >= c->want ? ANSWERED : GOES_ON;
}

static void dial(struct client *c, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int on = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0)
        fail("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->in = malloc(ANSWER + 1); /* only what is used becomes memory */
    if (!c->in)
        fail("malloc");
}

static enum receive take(struct client *c)
{
    if (c->sent < c->request->len)
        send_rest(c);
    enum receive received = receive(c);
    if (received == ANSWERED)
        count_answer(c);
    else if (received == CLOSED)
        outcome.errors++;
    return received;
}

/* ---- all of them --------------------------------------------------------------------------- */

/* Until the time is over and everybody has an answer; returns when the last one came. */
static int64_t run(int poll, struct client *all, int n, int64_t until)
{
    struct epoll_event events[256];
    int waiting = n;
    for (int i = 0; i < n; i++)
        send_next(&all[i]);
    while (waiting) {
        int got = epoll_wait(poll, events, 256, 100);
        if (now_ns() > until + LAST_MS * 1000000ll)
            break;
        for (int i = 0; i < got; i++) {
            struct client *c = events[i].data.ptr;
            enum receive received = c->is_over ? GOES_ON : take(c);
            if (received == ANSWERED && now_ns() < until)
                send_next(c);
            else if (received != GOES_ON) {
                c->is_over = true;
                waiting--;
            }
        }
    }
    outcome.errors += (uint64_t)waiting;
    return now_ns();
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int64_t wait_at(size_t percent)
{
    return n_waits ? waits[(n_waits - 1) * percent / 100] / 1000 : 0;
}

/* As a JSON string's inside. */
static void clean(char *s)
{
    for (; *s; s++) {
        if (*s == '"' || *s == '\\' || *s < ' ')
            *s = '\'';
    }
}

static void tell(int64_t took_ns)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    int64_t cpu = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000ll +
                  used.ru_utime.tv_usec + used.ru_stime.tv_usec;
    qsort(waits, n_waits, sizeof *waits, by_size);
    clean(outcome.said);
    printf("{\"us\":%lld,\"requests\":%llu,\"bytes\":%llu,\"p50\":%lld,\"p99\":%lld,\"bad\":%llu,"
           "\"first_bad\":%d,\"said\":\"%s\",\"errors\":%llu,\"cpu_us\":%lld}\n",
           (long long)took_ns / 1000, (unsigned long long)outcome.answers,
           (unsigned long long)outcome.bytes, (long long)wait_at(50), (long long)wait_at(99),
           (unsigned long long)outcome.bad, outcome.first_bad, outcome.said,
           (unsigned long long)outcome.errors, (long long)cpu);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: load PORT CONNECTIONS MS FILE START\n");
        return 2;
    }
    int n = (int)strtol(argv[2], NULL, 10), poll = epoll_create1(EPOLL_CLOEXEC);
    struct client *all = calloc((size_t)n, sizeof *all);
    waits = malloc(WAITS_MAX * sizeof *waits);
    if (!all || !waits || poll < 0)
        fail("start");
    read_requests(argv[4]);
    next_request = strtoul(argv[5], NULL, 10);
    for (int i = 0; i < n; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = &all[i]};
        dial(&all[i], (int)strtol(argv[1], NULL, 10));
        if (epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &event) < 0)
            fail("epoll_ctl");
    }
    int64_t began = now_ns();
    int64_t ended = run(poll, all, n, began + strtoll(argv[3], NULL, 10) * 1000000);
    tell(ended - began);
    return 0;
}
