/* A server in the test's own process that says what it is told and keeps what it was asked. */
#include "site.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#define PATIENCE_MS 10000

/* Reads a head and the body it announces into s->asked. */
static void read_request(struct site *s, int fd)
{
    size_t len = 0, need = 0;
    for (;;) {
        ssize_t n = recv(fd, s->asked + len, sizeof s->asked - 1 - len, 0);
        if (n <= 0)
            return;
        len += (size_t)n;
        s->asked[len] = '\0';
        const char *end = strstr(s->asked, "\r\n\r\n");
        if (!end)
            continue;
        const char *length = strcasestr(s->asked, "content-length:");
        need = (size_t)(end - s->asked) + 4;
        if (length && length < end)
            need += strtoul(length + 15, NULL, 10);
        if (len >= need)
            return;
    }
}

static bool say(int fd, const struct buf *b)
{
    struct slice left = buf_slice(b);
    while (left.len) {
        ssize_t n = send(fd, left.ptr, left.len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        left = slice_skip(left, (size_t)n);
    }
    return true;
}

static void serve(struct site *s, int fd)
{
    unsigned last = s->n_answers - 1, at = s->conns - 1 < last ? s->conns - 1 : last;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    memset(s->asked, 0, sizeof s->asked);
    read_request(s, fd);
    if (s->delay_ms)
        (void)poll(&wait, 1, s->delay_ms);
    bool goes_on = say(fd, &s->answers[at]);
    while (goes_on && s->after == SITE_REPEAT)
        goes_on = say(fd, &s->answers[at]);
    if (goes_on && s->after == SITE_HANG)
        (void)poll(&wait, 1, PATIENCE_MS);
}

static void *site_main(void *arg)
{
    struct site *s = arg;
    int fd;
    while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
        const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        s->conns++;
        if (s->n_answers)
            serve(s, fd);
        close(fd);
    }
    return NULL;
}

void site_open(struct site *s, const char *where)
{
    struct err e;
    memset(s, 0, sizeof *s);
    for (unsigned i = 0; i < SITE_ANSWERS; i++)
        buf_init(&s->answers[i], 64u << 20);
    assert_true(address_parse(&s->address, slice_from(where), &e));
    s->fd = socket(s->address.sa.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    s->address.len = sizeof s->address.sa;
    if (s->address.sa.any.sa_family == AF_INET)
        s->address.len = sizeof s->address.sa.v4;
    assert_int_equal(bind(s->fd, &s->address.sa.any, s->address.len), 0);
    assert_int_equal(listen(s->fd, 16), 0);
    s->address.len = sizeof s->address.sa;
    assert_int_equal(getsockname(s->fd, &s->address.sa.any, &s->address.len), 0);
    s->port = ntohs(s->address.sa.v4.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, site_main, s), 0);
}

void site_say(struct site *s, const char *fmt, ...)
{
    char text[4096];
    va_list list;
    va_start(list, fmt);
    int n = vsnprintf(text, sizeof text, fmt, list);
    va_end(list);
    assert_in_range(n, 0, sizeof text - 1);
    site_say_bytes(s, (struct slice){text, (size_t)n}, SLICE(""));
}

void site_say_bytes(struct site *s, struct slice head, struct slice body)
{
    assert_in_range(s->n_answers, 0, SITE_ANSWERS - 1);
    buf_add(&s->answers[s->n_answers], head);
    buf_add(&s->answers[s->n_answers++], body);
}

void site_close(struct site *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    for (unsigned i = 0; i < SITE_ANSWERS; i++)
        buf_done(&s->answers[i]);
}
