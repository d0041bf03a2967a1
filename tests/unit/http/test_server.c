/* The server over real sockets: every kind of answer, pipelining, time-outs, drain; plain and
 * through a filter that changes every byte. */
#include "server_rig.c"

#include <signal.h>
#include <stdio.h>

static struct rig rig;
static bool with_filter;

static void start(const struct server_options *o)
{
    struct rig_options options = {.filter = with_filter};
    if (o)
        options.server = *o;
    rig_start(&rig, &options);
}

static void get(struct client *c, const char *path)
{
    char text[512];
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: a.example\r\n\r\n", path);
    client_say(c, text);
}

static void answers_and_keeps_alive(void **state)
{
    const char *body;
    size_t n;
    (void)state;
    start(NULL);
    struct client *c = client_open(&rig);
    for (int i = 0; i < 3; i++) {
        get(c, "/hello");
        assert_int_equal(client_answer(c, &body, &n), 200);
        assert_memory_equal(body, "hello", 5);
        assert_non_null(strstr(c->data, "X-Request-Id: "));
        assert_non_null(strstr(c->data, "Date: "));
    }
    client_say(c, "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(client_expect(c, "hello"));
    client_close(c);
    rig_stop(&rig);
}

static void errors_are_problems(void **state)
{
    const char *body;
    (void)state;
    start(NULL);
    struct client *c = client_open(&rig);
    get(c, "/fail");
    assert_int_equal(client_answer(c, &body, NULL), 409);
    assert_non_null(strstr(c->data, "application/problem+json"));
    assert_null(strstr(c->data, "X-Half-Made"));
    assert_non_null(strstr(body, "\"detail\":\"It is \\\"there\\\" already.\""));
    assert_non_null(strstr(body, "\"code\":\"exists\""));
    get(c, "/nowhere");
    assert_int_equal(client_answer(c, NULL, NULL), 404);
    client_say(c, "DELETE /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(client_answer(c, NULL, NULL), 405);
    assert_non_null(strstr(c->data, "Allow: GET, HEAD\r\n"));
    client_say(c, "OPTIONS /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(client_answer(c, NULL, NULL), 204);
    client_say(c, "GET /hello HTTP/1.1\r\nHost: a\r\nAccept: text/html,*/*;q=0.8\r\n\r\n");
    assert_int_equal(client_answer(c, NULL, NULL), 200);
    client_say(c, "GET /fail HTTP/1.1\r\nHost: a\r\nAccept: text/html,*/*;q=0.8\r\n\r\n");
    assert_int_equal(client_answer(c, &body, NULL), 409);
    assert_non_null(strstr(body, "It is &quot;there&quot; already."));
    client_close(c);
    rig_stop(&rig);
}

static void routes_give_params(void **state)
{
    const char *body;
    (void)state;
    start(NULL);
    struct client *c = client_open(&rig);
    get(c, "/show/a%20b?x=1");
    assert_int_equal(client_answer(c, &body, NULL), 200);
    assert_non_null(
        strstr(body, "path=/show/a b query=x=1 id=a b host=a.example client=127.0.0.1"));
    get(c, "/slow/42?q=%20");
    assert_int_equal(client_answer(c, &body, NULL), 200);
    assert_non_null(strstr(body, "path=/slow/42 query=q=%20 id=42"));
    get(c, "/show/a/b");
    assert_int_equal(client_answer(c, NULL, NULL), 404);
    get(c, "/tree/a/b/");
    assert_int_equal(client_answer(c, NULL, NULL), 200);
    client_close(c);
    rig_stop(&rig);
}

static void bodies_come_whole(void **state)
{
    const char *body;
    size_t n;
    (void)state;
    start(NULL);
    struct client *c = client_open(&rig);
    client_say(c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde");
    assert_int_equal(client_answer(c, &body, &n), 200);
    assert_memory_equal(body, "abcde", 5);
    client_say(c, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 100; i++)
        client_say(c, "a\r\n0123456789\r\n");
    client_say(c, "0\r\n\r\n");
    assert_int_equal(client_answer(c, NULL, &n), 200);
    assert_int_equal(n, 1000);
    size_t big = 1u << 20;
    char *bytes = mem_alloc(big);
    memset(bytes, 'x', big);
    client_say(c, "POST /lane HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n");
    client_send(c, bytes, big);
    assert_int_equal(client_answer(c, &body, &n), 200);
    assert_int_equal(n, big);
    assert_memory_equal(body, bytes, big);
    free(bytes);
    client_close(c);
    rig_stop(&rig);
}

static void too_large_is_refused_before_it_is_read(void **state)
{
    (void)state;
    start(NULL);
    struct client *c = client_open(&rig);
    client_say(c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n"
                  "Expect: 100-continue\r\n\r\n");
    client_read_all(c);
    assert_memory_equal(c->data, "HTTP/1.1 413 ", 13);
    assert_non_null(strstr(c->data, "Connection: close\r\n"));
    client_close(c);
    c = client_open(&rig);
    client_say(c, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n");
    char *bytes = mem_zalloc(0x20000);
    client_send(c, bytes, 0x20000);
    free(bytes);
    client_read_all(c);
    assert_memory_equal(c->data, "HTTP/1.1 413 ", 13);
    client_close(c);
    rig_stop(&rig);
}

static void expect_continue_invites(void **state)
{
    (void)state;
    start(NULL);
    struct client *c = client_open(&rig);
    client_say(c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                  "Expect: 100-continue\r\n\r\n");
    assert_true(client_expect(c, "HTTP/1.1 100 Continue\r\n\r\n"));
    c->len = 0;
    client_say(c, "xyz");
    assert_int_equal(client_answer(c, NULL, NULL), 200);
    client_close(c);
    rig_stop(&rig);
}

static void large_answers_arrive_whole(void **state)
{
    const char *body;
    size_t n;
    (void)state;
    start(NULL);
    struct client *c = client_open(&rig);
    for (int round = 0; round < 2; round++) {
        get(c, "/big");
        assert_int_equal(client_answer(c, &body, &n), 200);
        assert_int_equal(n, 3u << 20);
        for (size_t i = 0; i < n; i++)
            assert_true(body[i] == (char)('a' + i % 23));
        get(c, "/file");
        assert_int_equal(client_answer(c, &body, &n), 200);
        assert_int_equal(n, (1u << 20) - 5);
        for (size_t i = 0; i < n; i++)
            assert_true(body[i] == (char)('A' + (i + 5) % 19));
    }
    client_close(c);
    rig_stop(&rig);
}

static void sources_stream(void **state)
{
    (void)state;
    start(NULL);
    struct client *c = client_open(&rig);
    get(c, "/stream");
    assert_true(client_expect(c, "\r\n0\r\n\r\n"));
    assert_non_null(strstr(c->data, "Transfer-Encoding: chunked"));
    assert_non_null(strstr(c->data, "line 19999\n"));
    c->len = 0;
    client_say(c, "GET /stream HTTP/1.0\r\n\r\n");
    client_read_all(c);
    assert_null(strstr(c->data, "Transfer-Encoding"));
    assert_memory_equal(c->data + c->len - 11, "line 19999\n", 11);
    client_close(c);
    c = client_open(&rig);
    get(c, "/silent");
    assert_true(client_expect(c, "one\n"));
    client_close(c); /* the server must notice and let the source go: rig_stop counts */
    rig_stop(&rig);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    start(NULL);
    struct client *c = client_open(&rig);
    struct buf all;
    buf_init(&all, 1 << 20);
    for (int i = 0; i < 300; i++)
        buf_printf(&all, "GET /%s/%d HTTP/1.1\r\nHost: a\r\n\r\n", i % 7 == 3 ? "slow" : "show", i);
    buf_add_str(&all, "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client_send(c, all.data, all.len);
    buf_done(&all);
    client_read_all(c);
    const char *at = c->data;
    for (int i = 0; i < 300; i++) {
        char want[32];
        snprintf(want, sizeof want, " id=%d ", i);
        at = strstr(at, want);
        assert_non_null(at);
    }
    assert_memory_equal(c->data + c->len - 5, "hello", 5);
    client_close(c);
    rig_stop(&rig);
}

static void bad_requests_close(void **state)
{
    static const char *const bad[] = {
        "GET / HTTP/1.1\r\n\r\n",
        "GET /%2f HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /../x HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET /hello HTTP/1.1\nHost: a\n\n",
    };
    (void)state;
    start(NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct client *c = client_open(&rig);
        client_say(c, bad[i]);
        client_read_all(c);
        assert_memory_equal(c->data, "HTTP/1.1 400 ", 13);
        assert_non_null(strstr(c->data, "Connection: close\r\n"));
        client_close(c);
    }
    rig_stop(&rig);
}

static void slow_clients_time_out(void **state)
{
    /* Each time alone: on a slow machine one that is short is over before the client is there. */
    const struct server_options head = {.head_ms = 150}, body = {.body_ms = 150},
                                idle = {.idle_ms = 150};
    (void)state;
    start(&head);
    struct client *c = client_open(&rig);
    client_say(c, "GET /hello HT");
    client_read_all(c);
    assert_memory_equal(c->data, "HTTP/1.1 408 ", 13);
    client_close(c);
    rig_stop(&rig);
    start(&body);
    c = client_open(&rig);
    client_say(c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab");
    client_read_all(c);
    assert_memory_equal(c->data, "HTTP/1.1 408 ", 13);
    client_close(c);
    rig_stop(&rig);
    start(&idle);
    c = client_open(&rig);
    client_read_all(c); /* idle: closed without a word */
    assert_int_equal(c->len, 0);
    client_close(c);
    rig_stop(&rig);
}

static void a_reader_that_stops_is_cut(void **state)
{
    const struct server_options o = {.write_ms = 200};
    (void)state;
    start(&o);
    struct client *c = client_open(&rig);
    int small = 4096;
    setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    for (int i = 0; i < 8; i++)
        get(c, "/big");
    struct pollfd p = {.fd = c->fd, .events = POLLHUP | POLLERR | POLLRDHUP};
    assert_int_equal(poll(&p, 1, 30000), 1); /* the server gives up; we never read */
    client_close(c);
    rig_stop(&rig);
}

/* Reads 4,000 bytes every 10 ms until the server cuts; how many bytes came. */
static size_t read_slowly(const struct server_options *o, size_t most)
{
    char piece[4000];
    size_t n = 0;
    ssize_t got;
    start(o);
    struct client *c = client_open(&rig);
    int small = 4096;
    setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    for (int i = 0; i < 8; i++)
        get(c, "/big");
    while (n < most && (got = recv(c->fd, piece, sizeof piece, 0)) > 0) {
        n += (size_t)got;
        poll(NULL, 0, 10);
    }
    client_close(c);
    rig_stop(&rig);
    return n;
}

static void a_reader_that_takes_too_little_is_cut(void **state)
{
    (void)state;
    const struct server_options strict = {.write_ms = 300, .min_rate = 100000000};
    const struct server_options mild = {.write_ms = 30000, .min_rate = 100};
    assert_true(read_slowly(&strict, 1000000) < 1000000); /* which takes 2.5 s at least */
    assert_true(read_slowly(&mild, 100000) >= 100000);
}

/* Requests of all routes that ended so. */
static uint64_t count_of(int status)
{
    struct server_stats stats;
    struct arena a;
    uint64_t n = 0;
    arena_init(&a, 1u << 20);
    server_stats_read(rig.server, &a, &stats);
    for (size_t i = 0; i < stats.n_routes; i++)
        n += stats.routes[i].by_status[status - 100];
    arena_done(&a);
    return n;
}

static void who_leaves_in_its_body_is_counted(void **state)
{
    const struct timespec a_moment = {.tv_nsec = 1000000};
    (void)state;
    start(NULL);
    struct client *c = client_open(&rig);
    client_say(c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
    client_close(c);
    for (int i = 0; i < 30000 && count_of(499) == 0; i++)
        nanosleep(&a_moment, NULL);
    assert_int_equal(count_of(499), 1);
    assert_int_equal(count_of(200), 0);
    rig_stop(&rig);
}

static void drain_finishes_what_was_asked(void **state)
{
    /* On one loop: once the idle connection has ended, draining has begun for the busy one too. */
    const struct rig_options options = {.filter = with_filter, .threads = 1};
    (void)state;
    rig_start(&rig, &options);
    struct client *idle = client_open(&rig), *busy = client_open(&rig);
    get(idle, "/hello");
    assert_int_equal(client_answer(idle, NULL, NULL), 200);
    client_say(busy, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                     "Expect: 100-continue\r\n\r\n");
    assert_true(client_expect(busy, "100 Continue"));
    server_drain(rig.server, on_drained, &rig);
    client_read_all(idle);
    busy->len = 0;
    client_say(busy, "xyz");
    client_read_all(busy);
    assert_memory_equal(busy->data, "HTTP/1.1 200 ", 13);
    assert_non_null(strstr(busy->data, "Connection: close\r\n"));
    client_close(idle);
    client_close(busy);
    end(&rig);
}

/* Who was let in and has not asked yet: he may, for a moment, and no longer. */
static void drain_lets_who_has_just_connected_ask(void **state)
{
    const struct rig_options options = {.filter = with_filter, .threads = 1};
    (void)state;
    rig_start(&rig, &options);
    struct client *fresh = client_open(&rig), *silent = client_open(&rig);
    struct client *idle = client_open(&rig);
    get(idle, "/hello");
    assert_int_equal(client_answer(idle, NULL, NULL), 200);
    server_drain(rig.server, on_drained, &rig);
    client_read_all(idle); /* draining has begun */
    get(fresh, "/hello");
    client_read_all(fresh);
    assert_memory_equal(fresh->data, "HTTP/1.1 200 ", 13);
    assert_non_null(strstr(fresh->data, "Connection: close\r\n"));
    client_read_all(silent);
    assert_int_equal(silent->len, 0);
    client_close(fresh);
    client_close(silent);
    client_close(idle);
    end(&rig);
}

static int no_filter(void **state)
{
    (void)state;
    with_filter = false;
    return 0;
}

static int filter(void **state)
{
    (void)state;
    with_filter = true;
    return 0;
}

#define BOTH(test)                                  \
    cmocka_unit_test_setup(test, no_filter),        \
    {                                               \
#test " (filter)", test, filter, NULL, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(answers_and_keeps_alive),
        BOTH(errors_are_problems),
        BOTH(routes_give_params),
        BOTH(bodies_come_whole),
        BOTH(too_large_is_refused_before_it_is_read),
        BOTH(expect_continue_invites),
        BOTH(large_answers_arrive_whole),
        BOTH(sources_stream),
        BOTH(pipelined_requests_are_answered_in_order),
        BOTH(bad_requests_close),
        BOTH(slow_clients_time_out),
        BOTH(a_reader_that_stops_is_cut),
        BOTH(a_reader_that_takes_too_little_is_cut),
        BOTH(who_leaves_in_its_body_is_counted),
        BOTH(drain_finishes_what_was_asked),
        BOTH(drain_lets_who_has_just_connected_ask),
    };
    signal(SIGPIPE, SIG_IGN);
    log_setup(LOG_ERROR, LOG_TEXT, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
