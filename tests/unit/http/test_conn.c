/* What clients may do to a connection's buffers, time-outs and services: pull in small steps, stand
 * still, leave with a reset, wait through a reload. */
#include "server_rig.c"

#include <semaphore.h>
#include <signal.h>
#include <stdio.h>

static struct rig rig;

/* ---- a service beside the rig's ----------------------------------------------------------------
 */

static bool some_bytes(struct req *rq, struct err *e)
{
    (void)e;
    char *bytes = arena_alloc(rq->arena, 20000);
    memset(bytes, 'b', 20000);
    return reply_bytes(rq, 200, "text/plain", (struct slice){bytes, 20000});
}

static enum io much_pull(struct source *s, struct buf *to, size_t room)
{
    struct counter *c = container_of(s, struct counter, source);
    for (size_t left = room < 9000 ? room : 9000; left; left--)
        buf_add_char(to, (char)('a' + c->n++ % 23));
    return c->n > 4000000 ? IO_EOF : IO_OK;
}

static bool much(struct req *rq, struct err *e)
{
    stream(rq, e);
    rq->res.source->pull = much_pull;
    return true;
}

/* Finds that there is more only while it says that there is nothing. */
static enum io waking_pull(struct source *s, struct buf *to, size_t room)
{
    struct counter *c = container_of(s, struct counter, source);
    (void)room;
    buf_printf(to, "round %u\n", c->n);
    source_wake(s);
    return ++c->n == 3 ? IO_EOF : IO_MORE;
}

static bool waking(struct req *rq, struct err *e)
{
    stream(rq, e);
    rq->res.source->pull = waking_pull;
    return true;
}

static bool empty_file(struct req *rq, struct err *e)
{
    (void)e;
    return reply_file(rq, 200, dup(pattern_fd), 0, 0);
}

static sem_t lane_began, lane_may_end;

static bool wait_for_test(struct req *rq, struct err *e)
{
    sem_post(&lane_began);
    sem_wait(&lane_may_end);
    return hello(rq, e);
}

static const struct route more_rows[] = {
    {.path = "/hello", .name = "hello", .methods = ON_GET, .handle = hello},
    {.path = "/bytes", .name = "bytes", .methods = ON_GET, .handle = some_bytes},
    {.path = "/much", .name = "much", .methods = ON_GET, .handle = much},
    {.path = "/waking", .name = "waking", .methods = ON_GET, .handle = waking},
    {.path = "/empty", .name = "empty", .methods = ON_GET, .handle = empty_file},
    {.path = "/echo", .name = "echo", .methods = ON_POST, .handle = echo, .max_body = 100},
    {.path = "/wait", .name = "wait", .methods = ON_GET, .handle = wait_for_test, .run = RUN_SLOW},
};

#define MANY 100
static struct route many_rows[MANY]; /* at /many/0 and so on, each with a name of its own */
static char many_names[MANY][24];

struct counted {
    struct service service;
    _Atomic int freed;
};

static const struct route *find_more(struct service *s, struct req *rq)
{
    uint64_t n;
    (void)s;
    if (slice_starts(rq->path, SLICE("/many/")) && slice_to_u64(slice_skip(rq->path, 6), &n) &&
        n < MANY)
        return &many_rows[n];
    for (size_t i = 0; i < sizeof more_rows / sizeof *more_rows; i++) {
        if (slice_is(rq->path, more_rows[i].path))
            return &more_rows[i];
    }
    return &nothing;
}

static void count_freed(struct service *s)
{
    container_of(s, struct counted, service)->freed++;
}

static void serve(struct counted *c)
{
    *c = (struct counted){.service = {.refs = 1, .find = find_more, .free = count_freed}};
    server_replace(rig.server, &c->service);
}

static void look(struct loop *l, void *arg)
{
    (void)l;
    (void)arg;
}

/* Every loop has done what was posted to it, and what it retired. */
static void settle(void)
{
    loops_visit(rig.loops, look, NULL);
    loops_visit(rig.loops, look, NULL);
}

static void wait_until_closed(void)
{
    struct server_stats stats = {.conns_open = 1};
    for (int i = 0; i < 6000 && stats.conns_open; i++) {
        struct arena a;
        arena_init(&a, 1 << 20);
        server_stats_read(rig.server, &a, &stats);
        arena_done(&a);
        poll(NULL, 0, 5);
    }
    assert_int_equal(stats.conns_open, 0);
}

/* ---- a stream that takes as many bytes as the test allows
 * ------------------------------------------------ */

static _Atomic long allowed;

static enum io allowed_write(struct stream *s, const struct iovec *iov, int n_iov, bool more,
                             size_t *ret_n)
{
    struct stream *inner = s->state;
    long may = atomic_load(&allowed);
    (void)n_iov;
    if (may <= 0)
        return IO_MORE;
    struct iovec one = {iov->iov_base, iov->iov_len < (size_t)may ? iov->iov_len : (size_t)may};
    enum io io = inner->ops->write(inner, &one, 1, more, ret_n);
    if (io == IO_OK)
        atomic_fetch_sub(&allowed, (long)*ret_n);
    return io;
}

static enum io same_read(struct stream *s, char *to, size_t n, size_t *ret_n)
{
    struct stream *inner = s->state;
    return inner->ops->read(inner, to, n, ret_n);
}

static const struct stream_ops allowing = {
    .name = "allowing",
    .read = same_read,
    .write = allowed_write,
    .shut = changed_shut,
    .done = changed_done,
};

static bool wrap_allowing(struct stream *s)
{
    wrap(s);
    s->ops = &allowing;
    return true;
}

static void start(const struct server_options *o, struct counted *c, unsigned threads)
{
    struct rig_options options = {.threads = threads};
    if (o)
        options.server = *o;
    rig_start(&rig, &options);
    serve(c);
    settle();
}

static void start_allowing(const struct server_options *o, struct counted *c, long bytes)
{
    start(o, c, 1);
    atomic_store(&allowed, bytes);
    rig.front.filter = wrap_allowing;
}

static struct client *plain_client(void)
{
    struct client *c = client_open(&rig);
    c->filter = false;
    return c;
}

static void read_up_to(struct client *c, size_t n)
{
    while (c->len < n)
        assert_true(read_more(c));
}

static void get(struct client *c, const char *path)
{
    char text[512];
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: a.example\r\n\r\n", path);
    client_say(c, text);
}

/* ---- the tests ---------------------------------------------------------------------------------
 */

/* There is always a rest that was not sent yet, so what was sent must go by itself. */
static void answers_taken_in_part_do_not_pile_up(void **state)
{
    struct counted service;
    size_t taken = 10000;
    (void)state;
    start_allowing(NULL, &service, (long)taken);
    struct client *c = plain_client();
    get(c, "/bytes");
    for (int i = 0; i < 60; i++, taken += 20000) {
        get(c, "/bytes");
        read_up_to(c, taken);
        atomic_fetch_add(&allowed, 20000);
    }
    atomic_store(&allowed, 1 << 30);
    get(c, "/hello");
    assert_true(client_expect(c, "hello"));
    client_close(c);
    rig_stop(&rig);
}

static void a_long_stream_taken_in_part_stays_whole(void **state)
{
    struct counted service;
    (void)state;
    start_allowing(NULL, &service, 0);
    struct client *c = plain_client();
    client_say(c, "GET /much HTTP/1.0\r\n\r\n");
    for (size_t taken = 30000; taken < 3000000; taken += 30000) {
        atomic_fetch_add(&allowed, 30000);
        read_up_to(c, taken);
    }
    atomic_store(&allowed, 1 << 30);
    client_read_all(c);
    const char *body = strstr(c->data, "\r\n\r\n") + 4;
    size_t n = c->len - (size_t)(body - c->data);
    assert_true(n >= 4000000);
    for (size_t i = 0; i < n; i++)
        assert_true(body[i] == (char)('a' + i % 23));
    client_close(c);
    rig_stop(&rig);
}

/* However often the server looks whether the client takes more. */
static void a_reader_that_takes_nothing_is_cut(void **state)
{
    const struct server_options o = {.write_ms = 200};
    struct counted service;
    (void)state;
    start_allowing(&o, &service, 100);
    struct client *c = plain_client();
    get(c, "/much");
    struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};
    assert_int_equal(poll(&p, 1, 30000), 1);
    client_close(c);
    rig_stop(&rig);
}

static bool has_state(const char *state)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    server_conns_text(rig.server, &text);
    bool has = slice_search(buf_slice(&text), slice_from(state)) >= 0;
    buf_done(&text);
    return has;
}

static void wait_for_state(const char *state)
{
    for (int i = 0; i < 6000 && !has_state(state); i++)
        poll(NULL, 0, 5);
    assert_true(has_state(state));
}

/* Taking an earlier answer bit by bit buys no time for the rest of a head. */
static void a_head_has_its_own_time(void **state)
{
    const struct server_options o = {.head_ms = 1500}; /* in which " head " must be seen */
    struct counted service;
    (void)state;
    start_allowing(&o, &service, 100);
    struct client *c = plain_client();
    get(c, "/bytes");
    read_up_to(c, 100);
    client_say(c, "GET /hello HT");
    wait_for_state(" head ");
    atomic_fetch_add(&allowed, 100);
    read_up_to(c, 200);
    wait_for_state(" send "); /* that it took too long */
    client_close(c);
    rig_stop(&rig);
}

/* The time for writing an earlier answer is not the time a later handler may take. */
static void a_handler_may_take_longer_than_a_write(void **state)
{
    const struct server_options o = {.write_ms = 1000}; /* in which /bytes must be let go */
    struct counted service;
    (void)state;
    start_allowing(&o, &service, 100);
    struct client *c = plain_client();
    get(c, "/bytes");
    read_up_to(c, 100);
    get(c, "/wait");
    sem_wait(&lane_began);
    atomic_store(&allowed, 1 << 30);
    read_up_to(c, 20000);
    struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};
    assert_int_equal(poll(&p, 1, 2000), 0);
    sem_post(&lane_may_end);
    assert_true(client_expect(c, "hello"));
    client_close(c);
    rig_stop(&rig);
}

/* It keeps the service it began with, whatever becomes of its body. */
static void a_refused_body_lets_go_of_its_own_service(void **state)
{
    struct counted first, second;
    (void)state;
    start(NULL, &first, 1);
    struct client *c = client_open(&rig);
    client_say(c, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                  "Expect: 100-continue\r\n\r\n");
    assert_true(client_expect(c, "100 Continue"));
    serve(&second);
    settle();
    assert_int_equal(first.freed, 0);
    client_say(c, "no size\r\n");
    client_read_all(c);
    assert_non_null(strstr(c->data, "HTTP/1.1 400 "));
    client_close(c);
    settle();
    assert_int_equal(first.freed, 1);
    assert_int_equal(second.freed, 0);
    rig_stop(&rig);
    assert_int_equal(second.freed, 1);
}

struct pause {
    struct post post;
    sem_t began, may_end;
};

static void on_pause(struct post *p, struct loop *l)
{
    struct pause *pause = container_of(p, struct pause, post);
    (void)l;
    sem_post(&pause->began);
    sem_wait(&pause->may_end);
}

/* Bytes and the reset after them are seen in one look: the bytes must not hide it. */
static void a_reset_ends_a_silent_stream(void **state)
{
    const struct linger now = {.l_onoff = 1};
    const struct rig_options options = {.threads = 1};
    struct pause pause = {.post.fn = on_pause};
    (void)state;
    rig_start(&rig, &options);
    sem_init(&pause.began, 0, 0);
    sem_init(&pause.may_end, 0, 0);
    struct client *c = client_open(&rig);
    get(c, "/silent");
    assert_true(client_expect(c, "one\n"));
    loop_post(loops_get(rig.loops, 0), &pause.post);
    sem_wait(&pause.began);
    client_say(c, "more");
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    client_close(c);
    sem_post(&pause.may_end);
    wait_until_closed();
    rig_stop(&rig);
}

static void a_source_may_wake_itself(void **state)
{
    struct counted service;
    (void)state;
    start(NULL, &service, 1);
    struct client *c = client_open(&rig);
    get(c, "/waking");
    assert_true(client_expect(c, "round 2\n\r\n0\r\n\r\n"));
    client_close(c);
    rig_stop(&rig);
}

static void who_sends_no_more_still_gets_a_stream_that_ends(void **state)
{
    struct counted service;
    (void)state;
    start_allowing(NULL, &service, 1000);
    struct client *c = plain_client();
    get(c, "/much");
    read_up_to(c, 1000);
    shutdown(c->fd, SHUT_WR);
    settle();
    atomic_store(&allowed, 1 << 30);
    assert_true(client_expect(c, "\r\n0\r\n\r\n"));
    client_close(c);
    rig_stop(&rig);
}

static void an_empty_file_is_an_answer_like_others(void **state)
{
    struct counted service;
    (void)state;
    start(NULL, &service, 1);
    struct client *c = client_open(&rig);
    for (int i = 0; i < 2; i++) {
        get(c, "/empty");
        assert_int_equal(client_answer(c, NULL, NULL), 200);
    }
    client_close(c);
    rig_stop(&rig);
}

static void a_hundred_routes_have_room_in_the_figures(void **state)
{
    struct counted service;
    struct server_stats stats;
    struct arena a;
    (void)state;
    start(NULL, &service, 1);
    struct client *c = client_open(&rig);
    for (int i = 0; i < MANY; i++) {
        char path[32];
        snprintf(many_names[i], sizeof many_names[i], "route%d", i);
        many_rows[i] =
            (struct route){.path = "/", .name = many_names[i], .methods = ON_GET, .handle = hello};
        snprintf(path, sizeof path, "/many/%d", i);
        get(c, path);
        assert_int_equal(client_answer(c, NULL, NULL), 200);
    }
    arena_init(&a, 4u << 20); /* half of what a request has */
    server_stats_read(rig.server, &a, &stats);
    assert_int_equal(stats.n_routes, MANY);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(stats.routes[i].by_status[100], 1);
    arena_done(&a);
    client_close(c);
    rig_stop(&rig);
}

static void every_loop_takes_at_least_one(void **state)
{
    const struct server_options o = {.conns_max = 1};
    struct counted service;
    (void)state;
    start(&o, &service, 2);
    struct client *c = client_open(&rig);
    get(c, "/hello");
    assert_int_equal(client_answer(c, NULL, NULL), 200);
    client_close(c);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_taken_in_part_do_not_pile_up),
        cmocka_unit_test(a_long_stream_taken_in_part_stays_whole),
        cmocka_unit_test(a_reader_that_takes_nothing_is_cut),
        cmocka_unit_test(a_head_has_its_own_time),
        cmocka_unit_test(a_handler_may_take_longer_than_a_write),
        cmocka_unit_test(a_refused_body_lets_go_of_its_own_service),
        cmocka_unit_test(a_reset_ends_a_silent_stream),
        cmocka_unit_test(a_source_may_wake_itself),
        cmocka_unit_test(who_sends_no_more_still_gets_a_stream_that_ends),
        cmocka_unit_test(an_empty_file_is_an_answer_like_others),
        cmocka_unit_test(a_hundred_routes_have_room_in_the_figures),
        cmocka_unit_test(every_loop_takes_at_least_one),
    };
    signal(SIGPIPE, SIG_IGN);
    log_setup(LOG_ERROR, LOG_TEXT, NULL);
    sem_init(&lane_began, 0, 0);
    sem_init(&lane_may_end, 0, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
