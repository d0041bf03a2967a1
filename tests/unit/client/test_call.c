/* Calls against a server that does exactly what a script says: every framing, every way to break
 * off, reuse and repetition, bodies both ways, tunnels. */
#include "client/client_impl.h"
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- the scripted server ----------------------------------------------------------------------
 */

/* Waits for the text (NULL: nothing), sends what follows (NULL: nothing). A connection's steps end
 * with an empty row, which closes; RESET drops the connection hard. */
struct step {
    const char *expect, *send;
};
#define CLOSE      \
    {              \
        NULL, NULL \
    }
#define RESET "\x01reset"
#define GATE  "\x02gate" /* to expect: that the caller is done with its answer */
static sem_t gate;

static struct server {
    int fd;
    uint16_t port;
    const struct step *steps;
    unsigned conns; /* accepted */
    bool failed;
    pthread_t thread;
    char got[4 << 20];
} server;

static bool wait_for(int fd, size_t *len, const char *text)
{
    for (;;) {
        if (memmem(server.got, *len, text, strlen(text)))
            return true;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 30000) != 1)
            return false;
        ssize_t n = recv(fd, server.got + *len, sizeof server.got - *len, 0);
        if (n <= 0)
            return false;
        *len += (size_t)n;
    }
}

static void reset(int fd)
{
    const struct linger now = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

static const struct step *serve_one(int fd, const struct step *at)
{
    size_t len = 0;
    for (; at->expect || at->send; at++) {
        if (at->expect && strcmp(at->expect, GATE) == 0)
            sem_wait(&gate);
        else if (at->expect && !wait_for(fd, &len, at->expect)) {
            server.failed = true;
        }
        len = 0;
        if (at->send && strcmp(at->send, RESET) == 0)
            reset(fd);
        else if (at->send && send(fd, at->send, strlen(at->send), MSG_NOSIGNAL) < 0)
            break;
    }
    while (at->expect || at->send)
        at++;
    return at + 1;
}

static void *server_main(void *arg)
{
    const struct step *at = arg;
    while (at->expect || at->send) {
        int fd = accept(server.fd, NULL, NULL);
        if (fd < 0)
            break;
        server.conns++;
        at = serve_one(fd, at);
        close(fd);
    }
    return NULL;
}

static void server_start(const struct step *steps)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t n = sizeof a;
    inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
    server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    server.conns = 0;
    server.failed = false;
    assert_int_equal(bind(server.fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(server.fd, 10), 0);
    assert_int_equal(getsockname(server.fd, (struct sockaddr *)&a, &n), 0);
    server.port = ntohs(a.sin_port);
    server.steps = steps;
    assert_int_equal(pthread_create(&server.thread, NULL, server_main, (void *)(uintptr_t)steps),
                     0);
}

/* With steps that are not meant to be done. */
static void server_end(void)
{
    shutdown(server.fd, SHUT_RDWR); /* wakes accept */
    pthread_join(server.thread, NULL);
    close(server.fd);
}

static void server_stop(void)
{
    server_end();
    assert_false(server.failed);
}

/* ---- the caller -------------------------------------------------------------------------------
 */

struct ask {
    const char *head;
    enum http_method method;
    enum call_body kind;
    const char *body;                   /* sent as it fits */
    size_t body_len;                    /* 0: strlen */
    bool is_upgrade, may_repeat, waits; /* waits: for the idle connection to be closed first */
    bool rushes, does_caller;
    size_t crumb; /* the body is given in pieces of so many bytes; 0: at once */
    size_t sip;   /* of the answer; 0: 64 KB */
    uint32_t head_ms, idle_ms, tunnel_ms;
    uint32_t linger_ms; /* with all of the answer, before the call ends */
    /* what came */
    int status;
    enum err_code error;
    char got[200000];
    size_t got_len;
};

static struct caller {
    struct loops *loops;
    struct dial *dial;
    struct call call;
    struct ask *asks, *now;
    size_t n;
    struct slice body;
    struct post post;
    struct dial_stats stats;
    struct timer timer;
} caller;

static void next_ask(struct post *p, struct loop *l);
static void begin(struct ask *a);

static void finish(void)
{
    int fd = caller.now->rushes ? caller.call.line->stream.fd : -1;
    dial_stats(caller.dial, &caller.stats);
    call_end(&caller.call);
    if (caller.now++->rushes) { /* the next one asks before the loop can see what came */
        struct pollfd p = {.fd = fd, .events = POLLIN};
        sem_post(&gate);
        assert_int_equal(poll(&p, 1, 30000), 1);
        begin(caller.now);
        return;
    }
    loop_post(loops_get(caller.loops, 0), &caller.post);
}

static void on_lingered(struct timer *t, struct loop *l)
{
    (void)t, (void)l;
    finish();
}

static void pull(struct ask *a)
{
    struct buf b;
    enum io io = IO_OK;
    while (io == IO_OK) {
        buf_init(&b, 1 << 20);
        io = call_read(&caller.call, &b, a->sip ? a->sip : 65536);
        assert_true(a->got_len + b.len < sizeof a->got && b.len <= (a->sip ? a->sip : 65536));
        if (b.len)
            memcpy(a->got + a->got_len, b.data, b.len);
        a->got_len += b.len;
        buf_done(&b);
    }
    if (io == IO_FAIL)
        a->error = caller.call.error.code;
    if (io == IO_EOF && a->linger_ms) {
        caller.timer.fn = on_lingered;
        timer_set(&caller.timer, loops_get(caller.loops, 0), a->linger_ms);
    } else if (io == IO_EOF || io == IO_FAIL) {
        finish();
    }
}

static void give(struct call *c, const struct ask *a)
{
    size_t taken = 1;
    while (a->crumb && caller.body.len > a->crumb && taken) {
        struct slice piece = slice_first(caller.body, a->crumb);
        call_send(c, &piece, false);
        taken = a->crumb - piece.len;
        caller.body = slice_skip(caller.body, taken);
    }
    if (taken)
        call_send(c, &caller.body, true);
}

static void on_event(struct call *c, enum call_event event)
{
    struct ask *a = caller.now;
    switch (event) {
    case CALL_WRITABLE:
        give(c, a);
        break;
    case CALL_HEAD:
        a->status = c->answer.status;
        if (a->is_upgrade && a->status == 101 && a->body)
            call_send(c, &caller.body, true);
        pull(a);
        break;
    case CALL_READABLE:
        pull(a);
        break;
    case CALL_FAILED:
        a->error = c->error.code;
        assert_true(strlen(c->error.msg) > 10);
        finish();
        break;
    }
}

static void begin(struct ask *a)
{
    struct call_options o = {
        .head = slice_from(a->head),
        .method = a->method,
        .body = a->kind,
        .is_upgrade = a->is_upgrade,
        .may_repeat = a->may_repeat,
        .does_caller = a->does_caller,
        .head_ms = a->head_ms,
        .idle_ms = a->idle_ms,
        .tunnel_ms = a->tunnel_ms,
    };
    caller.call = (struct call){.on_event = on_event};
    caller.body = (struct slice){a->body, a->body_len ? a->body_len
                                          : a->body   ? strlen(a->body)
                                                      : 0};
    call_start(&caller.call, caller.dial, &o);
}

static void on_waited(struct timer *t, struct loop *l)
{
    struct dial_stats s;
    dial_stats(caller.dial, &s);
    if (s.idle)
        timer_set(t, l, 1);
    else
        begin(caller.now);
}

static void next_ask(struct post *p, struct loop *l)
{
    (void)p;
    if (caller.now == caller.asks + caller.n) {
        dial_free(caller.dial);
        loops_stop(caller.loops);
    } else if (caller.now->waits) {
        caller.timer.fn = on_waited;
        timer_set(&caller.timer, l, 1);
    } else {
        begin(caller.now);
    }
}

/* A socket whose buffer is nearly full, always: little goes out at a time. */
static struct stream_ops tight_ops;
static const struct stream_ops *plain_ops;
static bool is_tight, is_tight_now;

static enum io tight_write(struct stream *s, const struct iovec *iov, int n, bool more,
                           size_t *ret_n)
{
    is_tight_now = !is_tight_now;
    if (is_tight_now)
        return IO_MORE;
    (void)n;
    struct iovec little = {iov->iov_base, iov->iov_len < 9000 ? iov->iov_len : 9000};
    return plain_ops->write(s, &little, 1, more, ret_n);
}

static bool tighten(struct stream *s)
{
    plain_ops = s->ops;
    tight_ops = *plain_ops;
    tight_ops.write = tight_write;
    s->ops = &tight_ops;
    return true;
}

static struct stream_ops counting_ops;
static unsigned n_writes; /* is counted while is_counting */
static bool is_counting;

static enum io counting_write(struct stream *s, const struct iovec *iov, int n, bool more,
                              size_t *ret_n)
{
    n_writes++;
    return plain_ops->write(s, iov, n, more, ret_n);
}

static bool count_writes(struct stream *s)
{
    plain_ops = s->ops;
    counting_ops = *plain_ops;
    counting_ops.write = counting_write;
    s->ops = &counting_ops;
    return true;
}

static void run_to(uint16_t port, struct ask *asks, size_t n)
{
    struct err e;
    char text[32];
    struct dial_options o = {.connect_ms = 30000,
                             .filter = is_tight      ? tighten
                                       : is_counting ? count_writes
                                                     : NULL};
    snprintf(text, sizeof text, "127.0.0.1:%u", port);
    assert_true(address_parse(&o.to, slice_from(text), &e));
    caller = (struct caller){.asks = asks, .now = asks, .n = n, .post.fn = next_ask};
    caller.loops = loops_new(1);
    assert_true(lanes_start(caller.loops, 2, &e));
    caller.dial = dial_new(loops_get(caller.loops, 0), &o);
    loop_post(loops_get(caller.loops, 0), &caller.post);
    loops_run(caller.loops);
    lanes_stop(caller.loops);
    loops_free(caller.loops);
}

static void run(const struct step *steps, struct ask *asks, size_t n)
{
    server_start(steps);
    run_to(server.port, asks, n);
    server_stop();
}

static struct ask *ask(struct ask a)
{
    static struct ask asks[8];
    static size_t at;
    at = (at + 1) % 8;
    asks[at] = a;
    return &asks[at];
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

static void expect(const struct ask *a, int status, const char *body)
{
    if (a->error)
        fail_msg("failed with %d instead of %d", a->error, status);
    assert_int_equal(a->status, status);
    assert_int_equal(a->got_len, strlen(body));
    assert_memory_equal(a->got, body, a->got_len);
}

/* ---- tests ------------------------------------------------------------------------------------
 */

static void answers_in_every_framing(void **state)
{
    static const struct {
        const char *answer, *body;
        int status;
        enum http_method method;
        bool is_kept;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 200, METHOD_GET, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", 200, METHOD_GET, true},
        {"HTTP/1.1 204 No\r\n\r\n", "", 204, METHOD_GET, true},
        {"HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", "", 304, METHOD_GET, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "", 200, METHOD_HEAD, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nhe\r\n3\r\nllo\r\n0\r\nT: "
         "x\r\n\r\n",
         "hello", 200, METHOD_GET, true},
        {"HTTP/1.1 200 OK\r\n\r\nhello", "hello", 200, METHOD_GET, false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 200, METHOD_GET, false},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", "hello", 200,
         METHOD_GET, false},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
         "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
         "no", 404, METHOD_GET, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n", "hello", 200,
         METHOD_GET, false}, /* more than was asked for: never used again */
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct step steps[] = {{"\r\n\r\n", rows[i].answer},
                               CLOSE,
                               {"again", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
                               CLOSE,
                               CLOSE};
        struct ask *a = ask((struct ask){.head = GET, .method = rows[i].method});
        server_start(steps);
        run_to(server.port, a, 1);
        expect(a, rows[i].status, rows[i].body);
        server_end();
    }
}

static void connections_are_kept_and_not(void **state)
{
    static const char small[] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    static const struct step kept[] = {{"1", small},
                                       {"2", small},
                                       {"3", "HTTP/1.1 200 OK\r\n\r\nend"},
                                       CLOSE,
                                       {"4", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxyz"},
                                       {"", NULL},
                                       CLOSE,
                                       {"5", small},
                                       CLOSE,
                                       CLOSE};
    struct ask asks[5] = {{.head = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"},
                          {.head = "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"},
                          {.head = "GET /3 HTTP/1.1\r\nHost: a\r\n\r\n"},
                          {.head = "GET /4 HTTP/1.1\r\nHost: a\r\n\r\n"},
                          {.head = "GET /5 HTTP/1.1\r\nHost: a\r\n\r\n"}};
    (void)state;
    run(kept, asks, 5);
    expect(&asks[0], 200, "x");
    expect(&asks[1], 200, "x");
    expect(&asks[2], 200, "end");
    expect(&asks[3], 200, "x");
    expect(&asks[4], 200, "x");
    assert_int_equal(server.conns, 3);
    assert_int_equal(caller.stats.connects, 3);
    assert_int_equal(caller.stats.reuses, 2);
}

static void broken_answers_fail(void **state)
{
    static const char *const bad[] = {
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct step steps[] = {{"\r\n\r\n", bad[i]}, CLOSE, CLOSE};
        struct ask *a = ask((struct ask){.head = GET, .may_repeat = true});
        run(steps, a, 1);
        if (a->error != ERR_BAD_GATEWAY)
            fail_msg("row %zu: error %d, status %d", i, a->error, a->status);
        assert_int_equal(server.conns, 1); /* half an answer is no reason to repeat */
    }
}

/* Its process died, perhaps. */
static void a_new_connection_that_dies_is_no_failure(void **state)
{
    static const char small[] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    static const struct step dies[] = {
        {"\r\n\r\n", RESET}, CLOSE, {"\r\n\r\n", small}, CLOSE, CLOSE};
    static const struct step twice[] = {{"\r\n\r\n", ""}, CLOSE, {"\r\n\r\n", ""}, CLOSE, CLOSE};
    (void)state;
    struct ask *a = ask((struct ask){.head = GET, .may_repeat = true});
    run(dies, a, 1);
    expect(a, 200, "x");
    assert_int_equal(server.conns, 2);

    a = ask((struct ask){.head = GET, .may_repeat = true});
    run(twice, a, 1);
    assert_int_equal(a->error, ERR_BAD_GATEWAY);
    assert_int_equal(server.conns, 2);

    a = ask((struct ask){.head = GET, .may_repeat = true, .does_caller = true});
    server_start(dies);
    run_to(server.port, a, 1);
    assert_int_equal(a->error, ERR_BAD_GATEWAY);
    assert_int_equal(server.conns, 1);
    server_end();
}

static void too_large_a_head_fails(void **state)
{
    static char answer[200000];
    struct step steps[] = {{"\r\n\r\n", answer}, CLOSE, CLOSE};
    (void)state;
    memset(answer, 'x', sizeof answer - 1);
    memcpy(answer, "HTTP/1.1 200 OK\r\nA: ", 20);
    struct ask *a = ask((struct ask){.head = GET});
    run(steps, a, 1);
    assert_int_equal(a->error, ERR_BAD_GATEWAY);
}

static void silence_times_out(void **state)
{
    static const struct step none[] = {{"\r\n\r\n", NULL}, {"never", NULL}, CLOSE, CLOSE};
    static const struct step half[] = {
        {"\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"},
        {"never", NULL},
        CLOSE,
        CLOSE};
    (void)state;
    struct ask *a = ask((struct ask){.head = GET, .head_ms = 50});
    server_start(none);
    run_to(server.port, a, 1);
    assert_int_equal(a->error, ERR_GATEWAY_TIMEOUT);
    server_end();
    a = ask((struct ask){.head = GET, .idle_ms = 500});
    server_start(half);
    run_to(server.port, a, 1);
    assert_int_equal(a->error, ERR_GATEWAY_TIMEOUT);
    assert_int_equal(a->status, 200);
    server_end();
    static const struct step whole[] = {
        {"\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
        {"never", NULL},
        CLOSE,
        CLOSE};
    a = ask((struct ask){.head = GET, .idle_ms = 500, .linger_ms = 1500});
    server_start(whole);
    run_to(server.port, a, 1); /* who has all of it may take his time */
    expect(a, 200, "ok");
    server_end();
    static const struct step tunnel[] = {
        {"\r\n\r\n", "HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"},
        {"never", NULL},
        CLOSE,
        CLOSE};
    a = ask((struct ask){.head = GET, .is_upgrade = true, .tunnel_ms = 500});
    server_start(tunnel);
    run_to(server.port, a, 1);
    assert_int_equal(a->error, ERR_GATEWAY_TIMEOUT);
    server_end();
}

static void nobody_there(void **state)
{
    (void)state;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* nobody listens, nor will */
    assert_int_equal(bind(taken, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(taken, (struct sockaddr *)&at, &n), 0);
    struct ask *a = ask((struct ask){.head = GET, .may_repeat = true});
    run_to(ntohs(at.sin_port), a, 1);
    assert_int_equal(a->error, ERR_UNREACHABLE);
    close(taken);
}

static char big[500000];

static void bodies_arrive(void **state)
{
    static const char done[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    static const struct step steps[] = {{"END", done}, {"\r\n0\r\n\r\n", done}, CLOSE, CLOSE};
    (void)state;
    memset(big, 'b', sizeof big);
    memcpy(big + sizeof big - 3, "END", 3);
    struct ask asks[2] = {
        {.head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n",
         .kind = CALL_BODY_LENGTH,
         .body = big,
         .body_len = sizeof big},
        {.head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
         .kind = CALL_BODY_CHUNKED,
         .body = big,
         .body_len = sizeof big}};
    for (int i = 0; i < 2; i++) {
        is_tight = i == 1;
        run(steps, asks, 2);
        is_tight = false;
        expect(&asks[0], 200, "ok");
        expect(&asks[1], 200, "ok");
        assert_int_equal(server.conns, 1);
        asks[0].got_len = asks[1].got_len = 0;
    }
}

/* A client that sends its body byte by byte must not cost a call of the kernel for each. */
static void crumbs_leave_together(void **state)
{
    static const struct step steps[] = {
        {"\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}, CLOSE, CLOSE};
    (void)state;
    memset(big, 'b', sizeof big);
    struct ask *a =
        ask((struct ask){.head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                         .kind = CALL_BODY_CHUNKED,
                         .body = big,
                         .body_len = 50000,
                         .crumb = 1});
    is_counting = true;
    n_writes = 0;
    run(steps, a, 1);
    is_counting = false;
    expect(a, 200, "ok");
    assert_in_range(n_writes, 2, 100);
}

/* The answer comes before the body is read, and the connection ends: a 413 must not get lost. */
static void early_answers_are_heard(void **state)
{
    static const struct step steps[] = {
        {"\r\n\r\n", "HTTP/1.1 413 Large\r\nContent-Length: 3\r\n\r\nbig"}, CLOSE, CLOSE};
    (void)state;
    struct ask *a =
        ask((struct ask){.head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
                         .kind = CALL_BODY_LENGTH,
                         .body = "too large"});
    run(steps, a, 1);
    expect(a, 413, "big");
}

static void a_closed_connection_is_no_failure(void **state)
{
    static const char small[] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    static const struct step seen[] = {{"1", small}, CLOSE, {"2", small}, CLOSE, CLOSE};
    static const struct step unseen[] = {{"1", small}, {"2", RESET}, CLOSE,
                                         {"2", small}, CLOSE,        CLOSE};
    static const struct step twice[] = {{"1", small}, {"2", ""}, CLOSE, {"2", ""}, CLOSE, CLOSE};
    struct ask asks[2] = {{.head = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"},
                          {.head = "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n", .waits = true}};
    (void)state;
    run(seen, asks, 2); /* it closed while it waited, and we saw that */
    expect(&asks[1], 200, "x");
    assert_int_equal(caller.stats.retries, 0);

    struct ask again[2] = {{.head = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"},
                           {.head = "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n", .may_repeat = true}};
    run(unseen, again, 2); /* it closed just when we asked */
    expect(&again[1], 200, "x");
    assert_int_equal(caller.stats.retries, 1);

    struct ask once[2] = {{.head = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"},
                          {.head = "POST /2 HTTP/1.1\r\nHost: a\r\n\r\n"}};
    server_start(unseen);
    run_to(server.port, once, 2); /* what is not safe to repeat is not repeated */
    assert_int_equal(once[1].error, ERR_BAD_GATEWAY);
    assert_int_equal(server.conns, 1);
    server_end();

    struct ask never[2] = {{.head = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"},
                           {.head = "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n", .may_repeat = true}};
    run(twice, never, 2); /* once, not for ever */
    assert_int_equal(never[1].error, ERR_BAD_GATEWAY);
    assert_int_equal(server.conns, 2);
}

static void stale_bytes_are_no_answer(void **state)
{
    static const char small[] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    static const char stale[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale";
    static const struct step steps[] = {{"1", small}, {GATE, stale}, CLOSE,
                                        {"2", small}, CLOSE,         CLOSE};
    struct ask asks[2] = {{.head = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", .rushes = true},
                          {.head = "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n", .may_repeat = true}};
    (void)state;
    sem_init(&gate, 0, 0);
    run(steps, asks, 2);
    expect(&asks[1], 200, "x");
    assert_int_equal(server.conns, 2);
    sem_destroy(&gate);
}

static void tunnels(void **state)
{
    static const struct step steps[] = {
        {"\r\n\r\n", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nearly "},
        {"from us", "late"},
        CLOSE,
        CLOSE};
    (void)state;
    struct ask *a = ask((struct ask){
        .head = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        .is_upgrade = true,
        .body = "from us"});
    run(steps, a, 1);
    expect(a, 101, "early late");
}

static void answers_are_sipped(void **state)
{
    static char answer[100100];
    struct step steps[] = {{"\r\n\r\n", answer}, CLOSE, CLOSE};
    (void)state;
    int n =
        snprintf(answer, 200, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", 99000);
    memset(answer + n, 'z', 99000);
    snprintf(answer + n + 99000, 20, "\r\n0\r\n\r\n");
    struct ask *a = ask((struct ask){.head = GET, .sip = 77});
    run(steps, a, 1);
    assert_int_equal(a->error, 0);
    assert_int_equal(a->got_len, 99000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_in_every_framing),
        cmocka_unit_test(connections_are_kept_and_not),
        cmocka_unit_test(broken_answers_fail),
        cmocka_unit_test(a_new_connection_that_dies_is_no_failure),
        cmocka_unit_test(too_large_a_head_fails),
        cmocka_unit_test(silence_times_out),
        cmocka_unit_test(nobody_there),
        cmocka_unit_test(bodies_arrive),
        cmocka_unit_test(crumbs_leave_together),
        cmocka_unit_test(early_answers_are_heard),
        cmocka_unit_test(a_closed_connection_is_no_failure),
        cmocka_unit_test(stale_bytes_are_no_answer),
        cmocka_unit_test(tunnels),
        cmocka_unit_test(answers_are_sipped),
    };
    signal(SIGPIPE, SIG_IGN);
    log_setup(LOG_ERROR, LOG_TEXT, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
