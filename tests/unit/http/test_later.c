/* Requests that wait: bodies taken bit by bit, answers that overlap them, tunnels, early ends;
 * plain and through a filter that changes every byte. */
#include "server_rig.c"

#include <signal.h>
#include <stdio.h>

#define SIP 1000 /* bytes a slow waiter takes at once */

static struct rig rig;
static bool with_filter;
static _Atomic int waiters_open;

/* ---- one waiter for all: what it does is in its path ------------------------------------------
 */

struct slow {
    struct waiter waiter;
    struct source source;
    struct req *rq;
    struct timer timer;
    struct buf kept; /* of the body, to be given back */
    uint64_t taken;
    uint32_t sum;
    bool is_last, is_mirror;
};

static void slow_answer(struct slow *s)
{
    struct slice text =
        arena_printf(s->rq->arena, "%llu bytes, sum %u", (unsigned long long)s->taken, s->sum);
    reply_bytes(s->rq, 200, "text/plain", text);
    waiter_answer(&s->waiter);
}

static void on_slow_timer(struct timer *t, struct loop *l)
{
    struct slow *s = container_of(t, struct slow, timer);
    (void)l;
    if (s->is_last)
        slow_answer(s);
    else
        waiter_want(&s->waiter);
}

/* Sips, and takes a breath after each one. */
static void sip(struct waiter *w, struct slice *in, bool is_last)
{
    struct slow *s = container_of(w, struct slow, waiter);
    size_t n = in->len < SIP ? in->len : SIP;
    for (size_t i = 0; i < n; i++)
        s->sum = s->sum * 31 + (unsigned char)in->ptr[i];
    s->taken += n;
    *in = slice_skip(*in, n);
    s->is_last = is_last && in->len == 0;
    timer_set(&s->timer, s->rq->loop, 1);
}

static void slow_close(struct waiter *w)
{
    struct slow *s = container_of(w, struct slow, waiter);
    timer_off(&s->timer);
    buf_done(&s->kept);
    waiters_open--;
    free(s);
}

static struct slow *slow_new(struct req *rq)
{
    struct slow *s = mem_new(struct slow);
    s->rq = rq;
    s->timer.fn = on_slow_timer;
    s->waiter.body = sip;
    s->waiter.close = slow_close;
    buf_init(&s->kept, 1 << 20);
    waiters_open++;
    reply_later(rq, &s->waiter);
    return s;
}

static bool slowly(struct req *rq, struct err *e)
{
    struct slow *s = slow_new(rq);
    (void)e;
    s->is_last = !waiter_has_body(&s->waiter);
    if (s->is_last)
        timer_set(&s->timer, rq->loop, 1);
    return true;
}

/* Gives back what it takes, while it takes it. */
static void mirror(struct waiter *w, struct slice *in, bool is_last)
{
    struct slow *s = container_of(w, struct slow, waiter);
    size_t room = s->kept.len < SIP ? SIP - s->kept.len : 0, n = in->len < room ? in->len : room;
    buf_add(&s->kept, slice_first(*in, n));
    *in = slice_skip(*in, n);
    bool is_bye = slice_ends(buf_slice(&s->kept), SLICE("BYE"));
    s->is_last = (is_last && in->len == 0) || is_bye;
    source_wake(&s->source);
}

static enum io mirror_pull(struct source *source, struct buf *to, size_t room)
{
    struct slow *s = container_of(source, struct slow, source);
    size_t n = s->kept.len < room ? s->kept.len : room;
    buf_add(to, slice_first(buf_slice(&s->kept), n));
    buf_consume(&s->kept, n);
    if (s->is_last && s->kept.len == 0)
        return IO_EOF;
    waiter_want(&s->waiter);
    return n ? IO_OK : IO_MORE;
}

static void mirror_close(struct source *source)
{
    (void)source; /* the waiter is still there */
}

static struct slow *mirror_new(struct req *rq)
{
    struct slow *s = slow_new(rq);
    s->waiter.body = mirror;
    s->source.pull = mirror_pull;
    s->source.close = mirror_close;
    return s;
}

static bool mirrored(struct req *rq, struct err *e)
{
    struct slow *s = mirror_new(rq);
    (void)e;
    reply_source(rq, 200, "text/plain", &s->source);
    waiter_answer(&s->waiter);
    return true;
}

static bool tunnelled(struct req *rq, struct err *e)
{
    struct slow *s = mirror_new(rq);
    (void)e;
    reply_header(rq, "Upgrade", SLICE("echo"));
    reply_tunnel(rq, &s->source);
    waiter_answer(&s->waiter);
    return true;
}

static enum io pattern_pull(struct source *source, struct buf *to, size_t room)
{
    struct slow *s = container_of(source, struct slow, source);
    size_t left = 300000 - (size_t)s->taken;
    for (size_t i = 0; i < left && i < room; i++, s->taken++)
        buf_add_char(to, (char)('a' + s->taken % 26));
    return s->taken == 300000 ? IO_EOF : IO_OK;
}

/* /sized/N: says N bytes and has 300,000. */
static bool sized(struct req *rq, struct err *e)
{
    struct slow *s = mirror_new(rq);
    uint64_t n = 0;
    (void)e;
    slice_to_u64(req_param(rq, "n"), &n);
    s->source.pull = pattern_pull;
    reply_sized_source(rq, 200, n, &s->source);
    waiter_answer(&s->waiter);
    return true;
}

static void never_body(struct waiter *w, struct slice *in, bool is_last)
{
    (void)w, (void)in, (void)is_last;
}

static bool never(struct req *rq, struct err *e)
{
    (void)e;
    slow_new(rq)->waiter.body = never_body;
    return true;
}

static bool at_once(struct req *rq, struct err *e)
{
    (void)rq;
    return err_set(e, ERR_FORBIDDEN, "Not with me.");
}

static bool cut(struct req *rq, struct err *e)
{
    (void)e;
    waiter_cut(&slow_new(rq)->waiter);
    return true;
}

static const struct route later_rows[] = {
#define ROW(p, h)                                                                  \
    {                                                                              \
        .path = p, .name = p, .methods = ON_ANY, .handle = h, .max_body = 1 << 20, \
        .is_streamed = true                                                        \
    }
    ROW("/slowly", slowly),   ROW("/mirror", mirrored), ROW("/tunnel", tunnelled),
    ROW("/sized/{n}", sized), ROW("/never", never),     ROW("/at-once", at_once),
    ROW("/cut", cut),
};

/* ---- tests ------------------------------------------------------------------------------------
 */

static void start_strict(const struct server_options *server)
{
    struct rig_options options = {.filter = with_filter,
                                  .routes = later_rows,
                                  .n_routes = sizeof later_rows / sizeof *later_rows,
                                  .server = *server};
    rig_start(&rig, &options);
}

static void start(void)
{
    start_strict(&(struct server_options){.body_ms = 30000, .write_ms = 30000});
}

static void stop(void)
{
    rig_stop(&rig);
    assert_int_equal(waiters_open, 0);
}

static char text[200000];

static const char *fill(size_t n)
{
    for (size_t i = 0; i < n; i++)
        text[i] = (char)('A' + i % 57);
    return text;
}

static void sum_text(char *to, size_t room, size_t n)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum = sum * 31 + (unsigned char)text[i];
    snprintf(to, room, "%zu bytes, sum %u", n, sum);
}

static void expect_sum(struct client *c, size_t n)
{
    char expected[64];
    const char *body;
    sum_text(expected, sizeof expected, n);
    assert_int_equal(client_answer(c, &body, NULL), 200);
    assert_memory_equal(body, expected, strlen(expected));
}

static void say_post(struct client *c, const char *path, size_t n)
{
    char head[200];
    snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", path,
             n);
    client_say(c, head);
}

static void bodies_are_sipped(void **state)
{
    (void)state;
    start();
    struct client *c = client_open(&rig);
    for (size_t n = 0; n < 100000; n = n * 7 + 999) {
        say_post(c, "/slowly", n);
        client_send(c, fill(n), n);
        expect_sum(c, n);
    }
    client_close(c);
    stop();
}

static void chunks_are_sipped(void **state)
{
    static const size_t sizes[] = {1, 999, 1000, 1001, 50000, 3};
    char head[64];
    size_t n = 0;
    (void)state;
    start();
    struct client *c = client_open(&rig);
    fill(sizeof text);
    client_say(c, "POST /slowly HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        snprintf(head, sizeof head, "%zx;x=\"y\"\r\n", sizes[i]);
        client_say(c, head);
        client_send(c, text + n, sizes[i]);
        client_say(c, "\r\n");
        n += sizes[i];
    }
    client_say(c, "0\r\nX-Tail: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    sum_text(head, sizeof head, n);
    assert_true(client_expect(c, "\r\n\r\nhello")); /* what was pipelined behind it */
    assert_non_null(strstr(c->data, head));
    client_close(c);
    stop();
}

static void answers_overlap_bodies(void **state)
{
    (void)state;
    start();
    struct client *c = client_open(&rig);
    say_post(c, "/mirror", 3000);
    client_send(c, fill(3000), 1500);
    char half[100];
    memcpy(half, text + 1400, 99);
    half[99] = '\0';
    assert_true(client_expect(c, half)); /* before the other half is sent */
    client_send(c, text + 1500, 1500);
    client_read_all(c);
    assert_non_null(strstr(c->data, "Connection: close"));
    assert_memory_equal(c->data + c->len - 5, "0\r\n\r\n", 5);
    client_close(c);
    stop();
}

static void tunnels_carry_bytes(void **state)
{
    (void)state;
    start();
    struct client *c = client_open(&rig);
    client_say(
        c, "GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly");
    assert_true(client_expect(c, "early"));
    assert_non_null(strstr(c->data, "HTTP/1.1 101 "));
    assert_non_null(strstr(c->data, "Upgrade: echo\r\n"));
    assert_non_null(strstr(c->data, "Connection: Upgrade\r\n"));
    assert_null(strstr(c->data, "Content-Length"));
    assert_null(strstr(c->data, "Transfer-Encoding"));
    size_t had = c->len;
    client_send(c, fill(150000), 150000);
    assert_int_equal(shutdown(c->fd, SHUT_WR), 0);
    client_read_all(c); /* the end goes through, and all that was before it */
    assert_int_equal(c->len - had, 150000);
    assert_memory_equal(c->data + had, text, 150000);
    client_close(c);
    stop();
}

static void tunnels_end_from_inside(void **state)
{
    (void)state;
    start();
    struct client *c = client_open(&rig);
    client_say(c,
               "GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    assert_true(client_expect(c, "\r\n\r\n"));
    client_say(c, "BYE");
    client_read_all(c);
    assert_memory_equal(c->data + c->len - 3, "BYE", 3);
    client_close(c);
    stop();
}

static void sizes_are_kept(void **state)
{
    const char *body;
    size_t n;
    (void)state;
    start();
    struct client *c = client_open(&rig);
    for (int i = 0; i < 2; i++) {
        client_say(c, "GET /sized/300000 HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_int_equal(client_answer(c, &body, &n), 200);
        assert_int_equal(n, 300000);
        assert_memory_equal(body + 299998, "kl", 2);
    }
    client_say(
        c, "HEAD /sized/300000 HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(client_expect(c, "hello"));
    assert_non_null(strstr(c->data, "Content-Length: 300000\r\n"));
    client_close(c);
    static const char *const wrong[] = {"/sized/300001", "/sized/1000"};
    for (size_t i = 0; i < 2; i++) { /* less than promised, and more */
        c = client_open(&rig);
        char line[100];
        snprintf(line, sizeof line, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", wrong[i]);
        client_say(c, line);
        client_read_all(c);
        client_close(c);
    }
    stop();
}

static void clients_leave(void **state)
{
    (void)state;
    start();
    struct client *a = client_open(&rig), *b = client_open(&rig);
    client_say(a, "GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
    say_post(b, "/never", 100000);
    client_send(b, fill(50000), 50000);
    for (int i = 0; waiters_open < 2 && i < 30000; i++)
        poll(NULL, 0, 1);
    assert_int_equal(waiters_open, 2);
    client_close(a);
    client_close(b);
    for (int i = 0; waiters_open && i < 30000; i++)
        poll(NULL, 0, 1);
    assert_int_equal(waiters_open, 0);
    stop();
}

/* What it sends meanwhile gives it no more time. */
static void who_takes_nothing_is_cut(void **state)
{
    (void)state;
    start_strict(&(struct server_options){.write_ms = 1000});
    struct client *c = client_open(&rig);
    client_say(c,
               "GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    assert_true(client_expect(c, "\r\n\r\n"));
    fill(sizeof text);
    for (int i = 0; waiters_open && i < 60000; i++) {
        if (send(c->fd, text, sizeof text, MSG_DONTWAIT | MSG_NOSIGNAL) <= 0)
            poll(NULL, 0, 1);
    }
    assert_int_equal(waiters_open, 0);
    client_close(c);
    stop();
}

static void limits_and_faults(void **state)
{
    (void)state;
    start();
    struct client *c = client_open(&rig);
    say_post(c, "/slowly", (1 << 20) + 1);
    assert_int_equal(client_answer(c, NULL, NULL), 413);
    client_close(c);
    c = client_open(&rig);
    client_say(c,
               "POST /slowly HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX");
    assert_int_equal(client_answer(c, NULL, NULL), 400);
    client_close(c);
    c = client_open(&rig);
    say_post(c, "/at-once", 10);
    assert_int_equal(client_answer(c, NULL, NULL), 403);
    client_read_all(c);
    client_close(c);
    c = client_open(&rig);
    client_say(c, "GET /at-once HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(client_expect(c, "\r\n\r\nhello"));
    assert_memory_equal(c->data, "HTTP/1.1 403", 12);
    client_close(c);
    c = client_open(&rig);
    client_say(c, "GET /cut HTTP/1.1\r\nHost: a\r\n\r\n");
    client_read_all(c);
    assert_int_equal(c->len, 0);
    client_close(c);
    stop();
}

static void a_body_that_stops_is_cut(void **state)
{
    (void)state;
    start_strict(&(struct server_options){.body_ms = 300});
    struct client *c = client_open(&rig);
    say_post(c, "/slowly", 10);
    client_say(c, "hello"); /* and no more */
    assert_int_equal(client_answer(c, NULL, NULL), 408);
    client_close(c);
    stop();
}

static void expectations_are_met(void **state)
{
    (void)state;
    start();
    struct client *c = client_open(&rig);
    client_say(
        c, "POST /slowly HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_true(client_expect(c, "HTTP/1.1 100 Continue\r\n\r\n"));
    client_send(c, fill(5), 5);
    assert_true(client_expect(c, "5 bytes, sum "));
    client_close(c);
    c = client_open(&rig);
    client_say(
        c,
        "POST /at-once HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    client_read_all(c);
    assert_memory_equal(c->data, "HTTP/1.1 403", 12);
    client_close(c);
    stop();
}

static void drains_finish_them(void **state)
{
    (void)state;
    start();
    struct client *c = client_open(&rig);
    say_post(c, "/slowly", 5000);
    client_send(c, fill(5000), 3000);
    for (int i = 0; !waiters_open && i < 30000; i++)
        poll(NULL, 0, 1);
    server_drain(rig.server, on_drained, &rig);
    client_send(c, text + 3000, 2000);
    expect_sum(c, 5000);
    client_read_all(c);
    end(&rig);
    assert_int_equal(waiters_open, 0);
    client_close(c);
}

/* ---- slow clients --------------------------------------------------------------------------- */

static int64_t drip(struct client *c, size_t n, size_t piece, int pause_ms)
{
    int64_t began = clock_mono_ns();
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    for (size_t sent = 0; sent < n; sent += piece) {
        client_send(c, text + sent, piece);
        if (poll(&p, 1, pause_ms) > 0)
            break;
    }
    return (clock_mono_ns() - began) / 1000000;
}

static void a_body_that_trickles_is_cut(void **state)
{
    const struct server_options o = {.slow_ms = 200, .min_rate = 1000, .body_ms = 5000};
    (void)state;
    start_strict(&o);
    fill(100000);
    struct client *c = client_open(&rig);
    say_post(c, "/slowly", 1000);
    assert_in_range(drip(c, 1000, 1, 20), 200, 15000); /* 50 bytes/s: 20 s in all */
    assert_int_equal(client_answer(c, NULL, NULL), 408);
    client_close(c);

    c = client_open(&rig); /* what was quick at first buys body_ms at most */
    client_say(c,
               "POST /slowly HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n");
    client_send(c, text, 10000);
    assert_in_range(drip(c, 1500, 1, 20), 3000, 25000); /* 30 s in all */
    assert_int_equal(client_answer(c, NULL, NULL), 408);
    client_close(c);
    stop();
}

static void a_body_that_keeps_the_rate_may_take_long(void **state)
{
    const struct server_options o = {.slow_ms = 300, .min_rate = 100, .body_ms = 1000};
    (void)state;
    start_strict(&o);
    fill(100000);
    struct client *c = client_open(&rig);
    say_post(c, "/slowly", 8000);
    assert_true(drip(c, 8000, 100, 20) > 1200); /* 5000 bytes/s */
    expect_sum(c, 8000);
    client_close(c);
    stop();
}

/* Not through the filter, which gives so little at once that nothing waits. The waiter takes 1,000
 * bytes every 64 ms: most of this time is ours. */
static void what_we_let_it_wait_costs_nothing(void **state)
{
    const struct server_options o = {.slow_ms = 3000, .min_rate = 100000000, .body_ms = 3000};
    (void)state;
    start_strict(&o);
    struct client *c = client_open(&rig);
    say_post(c, "/slowly", 61000);
    client_send(c, fill(61000), 60000);
    poll(NULL, 0, 4200);
    client_send(c, text + 60000, 1000);
    expect_sum(c, 61000);
    client_close(c);
    stop();
}

static int plain(void **state)
{
    (void)state;
    with_filter = false;
    return 0;
}

static int filtered(void **state)
{
    (void)state;
    with_filter = true;
    return 0;
}

#define BOTH(test)                                    \
    cmocka_unit_test_setup(test, plain),              \
    {                                                 \
#test " (filter)", test, filtered, NULL, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(bodies_are_sipped),
        BOTH(chunks_are_sipped),
        BOTH(answers_overlap_bodies),
        BOTH(tunnels_carry_bytes),
        BOTH(tunnels_end_from_inside),
        BOTH(sizes_are_kept),
        BOTH(clients_leave),
        BOTH(who_takes_nothing_is_cut),
        BOTH(limits_and_faults),
        BOTH(a_body_that_stops_is_cut),
        BOTH(expectations_are_met),
        BOTH(drains_finish_them),
        BOTH(a_body_that_trickles_is_cut),
        BOTH(a_body_that_keeps_the_rate_may_take_long),
        cmocka_unit_test_setup(what_we_let_it_wait_costs_nothing, plain),
    };
    signal(SIGPIPE, SIG_IGN);
    log_setup(LOG_ERROR, LOG_TEXT, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
