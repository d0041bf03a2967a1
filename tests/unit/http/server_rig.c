/* The server rig: routes that try every kind of answer, and blocking clients with deadlines. */
#include "server_rig.h"
#include "http/http_impl.h"
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define KEY 0x5a

/* ---- routes
 * -------------------------------------------------------------------------------------- */

static bool hello(struct req *rq, struct err *e)
{
    (void)e;
    return reply_bytes(rq, 200, "text/plain", SLICE("hello"));
}

static bool echo(struct req *rq, struct err *e)
{
    (void)e;
    return reply_bytes(rq, 200, "application/octet-stream", rq->body);
}

static bool show(struct req *rq, struct err *e)
{
    char client[IP_TEXT_LEN];
    (void)e;
    ip_text(&rq->client, client);
    return reply_bytes(rq, 200, "text/plain",
                       arena_printf(rq->arena, "path=%.*s query=%.*s id=%.*s host=%.*s client=%s",
                                    SLICE_ARGS(rq->path), SLICE_ARGS(rq->query),
                                    SLICE_ARGS(req_param(rq, "id")), SLICE_ARGS(rq->host), client));
}

static bool failing(struct req *rq, struct err *e)
{
    reply_header(rq, "X-Half-Made", SLICE("yes"));
    return err_set(e, ERR_EXISTS, "It is \"there\" already.");
}

static struct shared *big_body(void)
{
    size_t n = 3u << 20;
    char *bytes = mem_alloc(n);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)('a' + i % 23);
    return shared_take(bytes, n);
}

static bool big(struct req *rq, struct err *e)
{
    struct shared *s = big_body();
    (void)e;
    reply_shared(rq, 200, s, 0, s->len);
    shared_unref(s);
    return true;
}

static int pattern_fd = -1;

static bool file(struct req *rq, struct err *e)
{
    (void)e;
    return reply_file(rq, 200, dup(pattern_fd), 5, (1u << 20) - 5);
}

struct counter {
    struct source source;
    unsigned n;
};
static _Atomic int sources_open;

static enum io count_pull(struct source *s, struct buf *to, size_t room)
{
    struct counter *c = container_of(s, struct counter, source);
    (void)room;
    buf_printf(to, "line %u\n", c->n);
    return ++c->n == 20000 ? IO_EOF : IO_OK;
}

static void count_close(struct source *s)
{
    sources_open--;
    free(container_of(s, struct counter, source));
}

static bool stream(struct req *rq, struct err *e)
{
    struct counter *c = mem_new(struct counter);
    (void)e;
    c->source.pull = count_pull;
    c->source.close = count_close;
    sources_open++;
    return reply_source(rq, 200, "text/plain", &c->source);
}

static enum io silent_pull(struct source *s, struct buf *to, size_t room)
{
    struct counter *c = container_of(s, struct counter, source);
    (void)room;
    if (c->n++ == 0)
        buf_add_str(to, "one\n");
    return IO_MORE;
}

static bool silent(struct req *rq, struct err *e)
{
    stream(rq, e);
    rq->res.source->pull = silent_pull;
    return true;
}

/* Ten events, each made by a turn of its own: the source is dry in between and wakes itself. */
struct events {
    struct source source;
    struct post post;
    unsigned n;
    bool is_posted, is_closed;
};

static void on_event_due(struct post *p, struct loop *l)
{
    struct events *ev = container_of(p, struct events, post);
    (void)l;
    ev->is_posted = false;
    if (ev->is_closed)
        free(ev);
    else
        source_wake(&ev->source);
}

static enum io events_pull(struct source *s, struct buf *to, size_t room)
{
    struct events *ev = container_of(s, struct events, source);
    (void)room;
    buf_printf(to, "data: %u\n\n", ev->n);
    if (++ev->n == 10)
        return IO_EOF;
    ev->is_posted = true;
    loop_post(s->conn->home->loop, &ev->post);
    return IO_MORE;
}

static void events_close(struct source *s)
{
    struct events *ev = container_of(s, struct events, source);
    sources_open--;
    ev->is_closed = true;
    if (!ev->is_posted)
        free(ev);
}

static bool events(struct req *rq, struct err *e)
{
    struct events *ev = mem_new(struct events);
    (void)e;
    *ev = (struct events){.source = {.pull = events_pull, .close = events_close},
                          .post.fn = on_event_due};
    sources_open++;
    return reply_source(rq, 200, "text/event-stream", &ev->source);
}

/* A lane is held up until the test opens the gate. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_open;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

void gate_set(bool is_open)
{
    pthread_mutex_lock(&gate.lock);
    gate.is_open = is_open;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static bool gated(struct req *rq, struct err *e)
{
    pthread_mutex_lock(&gate.lock);
    while (!gate.is_open)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
    return show(rq, e);
}

static const struct route rows[] = {
    {.path = "/hello", .name = "hello", .methods = ON_GET, .handle = hello},
    {.path = "/echo", .name = "echo", .methods = ON_POST, .handle = echo, .max_body = 100000},
    {.path = "/lane",
     .name = "lane",
     .methods = ON_GET | ON_POST,
     .handle = echo,
     .run = RUN_READ,
     .max_body = 2 << 20},
    {.path = "/slow/{id}", .name = "slow", .methods = ON_GET, .handle = show, .run = RUN_SLOW},
    {.path = "/gate/{id}", .name = "gate", .methods = ON_GET, .handle = gated, .run = RUN_SLOW},
    {.path = "/show/{id}", .name = "show", .methods = ON_GET, .handle = show},
    {.path = "/tree/*", .name = "tree", .methods = ON_GET, .handle = show},
    {.path = "/fail", .name = "fail", .methods = ON_GET, .handle = failing},
    {.path = "/big", .name = "big", .methods = ON_GET, .handle = big},
    {.path = "/file", .name = "file", .methods = ON_GET, .handle = file},
    {.path = "/stream", .name = "stream", .methods = ON_GET, .handle = stream},
    {.path = "/events", .name = "events", .methods = ON_GET, .handle = events},
    {.path = "/silent", .name = "silent", .methods = ON_GET, .handle = silent},
};

static bool none(struct req *rq, struct err *e)
{
    (void)rq;
    return err_set(e, ERR_NOT_FOUND, "Not here.");
}

static const struct route nothing = {
    .path = "/", .name = "nothing", .methods = ON_ANY, .handle = none};

static const struct route *find(struct service *s, struct req *rq)
{
    struct rig *r = container_of(s, struct rig, service);
    const struct route *row = router_find(r->router, rq);
    return row ? row : &nothing;
}

static void forget(struct service *s)
{
    router_free(container_of(s, struct rig, service)->router);
}

/* ---- the filter: every byte of the wire is changed, in odd pieces
 * --------------------------------- */

static void change(char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)(bytes[i] ^ KEY);
}

static enum io changed_read(struct stream *s, char *to, size_t n, size_t *ret_n)
{
    struct stream *inner = s->state;
    enum io io = inner->ops->read(inner, to, n > 1000 ? 1000 : n, ret_n);
    if (io == IO_OK)
        change(to, *ret_n);
    return io;
}

static enum io changed_write(struct stream *s, const struct iovec *iov, int n_iov, bool more,
                             size_t *ret_n)
{
    char piece[7001];
    struct stream *inner = s->state;
    size_t n = iov->iov_len < sizeof piece ? iov->iov_len : sizeof piece;
    (void)n_iov;
    memcpy(piece, iov->iov_base, n);
    change(piece, n);
    struct iovec one = {piece, n};
    return inner->ops->write(inner, &one, 1, more, ret_n);
}

static void changed_shut(struct stream *s)
{
    struct stream *inner = s->state;
    inner->ops->shut(inner);
}

static void changed_done(struct stream *s)
{
    struct stream *inner = s->state;
    inner->ops->done(inner);
    free(inner);
}

static const struct stream_ops changed = {
    .name = "changed",
    .read = changed_read,
    .write = changed_write,
    .shut = changed_shut,
    .done = changed_done,
};

static bool wrap(struct stream *s)
{
    struct stream *inner = mem_new(struct stream);
    *inner = *s;
    *s = (struct stream){.ops = &changed, .fd = inner->fd, .state = inner};
    return true;
}

/* ---- starting and stopping
 * -------------------------------------------------------------------------- */

static void make_pattern(void)
{
    char block[4096];
    pattern_fd = memfd_create("pattern", MFD_CLOEXEC);
    assert_true(pattern_fd >= 0);
    for (size_t at = 0; at < 1u << 20; at += sizeof block) {
        for (size_t i = 0; i < sizeof block; i++)
            block[i] = (char)('A' + (at + i) % 19);
        assert_int_equal(write(pattern_fd, block, sizeof block), sizeof block);
    }
}

static void *loops_main(void *arg)
{
    struct rig *r = arg;
    loops_run(r->loops);
    return NULL;
}

void rig_start(struct rig *r, const struct rig_options *o)
{
    struct address a;
    struct err e;
    *r = (struct rig){.service = {.refs = 1, .find = find, .free = forget}};
    make_pattern();
    r->router = router_new();
    router_add(r->router, rows, sizeof rows / sizeof *rows);
    router_add(r->router, o->routes, o->n_routes);
    r->loops = loops_new(o->threads ? o->threads : 2);
    assert_true(lanes_start(r->loops, 2, &e));
    r->server = server_new(r->loops, &o->server, &r->service);
    r->front = (struct front){.server = r->server, .filter = o->filter ? wrap : o->wrap};
    r->changes_bytes = o->filter;
    const struct listen_options options = {.on_accept = server_accept, .user = &r->front};
    assert_true(address_parse(&a, SLICE("127.0.0.1:0"), &e));
    r->listener = listener_open(r->loops, &a, &options, &e);
    assert_non_null(r->listener);
    listener_address(r->listener, &a);
    r->port = ntohs(a.sa.v4.sin_port);
    for (unsigned i = 0; i < loops_count(r->loops); i++)
        listener_start(r->listener, loops_get(r->loops, i));
    assert_int_equal(pthread_create(&r->thread, NULL, loops_main, r), 0);
}

static void end(struct rig *r)
{
    pthread_join(r->thread, NULL);
    lanes_stop(r->loops);
    for (unsigned i = 0; i < loops_count(r->loops); i++)
        listener_stop(r->listener, loops_get(r->loops, i));
    server_free(r->server);
    loops_free(r->loops);
    listener_free(r->listener);
    close(pattern_fd);
    assert_int_equal(sources_open, 0);
}

void rig_stop(struct rig *r)
{
    loops_stop(r->loops);
    end(r);
}

static void on_drained(void *arg)
{
    struct rig *r = arg;
    loops_stop(r->loops);
}

void rig_drain(struct rig *r)
{
    server_drain(r->server, on_drained, r);
    end(r);
}

void rig_wait_lanes(struct rig *r)
{
    const struct timespec a_moment = {.tv_nsec = 1000000};
    int64_t until = clock_mono_ms() + 30000;
    bool is_busy = true;
    while (is_busy) {
        struct lane_stats lanes[LANE_COUNT];
        assert_true(clock_mono_ms() < until);
        lanes_stats(r->loops, lanes);
        is_busy = false;
        for (int i = 0; i < LANE_COUNT; i++)
            is_busy |= lanes[i].depth || lanes[i].running;
        if (is_busy)
            nanosleep(&a_moment, NULL);
    }
}

/* ---- clients
 * ------------------------------------------------------------------------------------------ */

struct client *client_open(struct rig *r)
{
    struct client *c = mem_new(struct client);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(r->port)};
    inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    c->filter = r->changes_bytes;
    assert_int_equal(connect(c->fd, (struct sockaddr *)&a, sizeof a), 0);
    return c;
}

void client_close(struct client *c)
{
    close(c->fd);
    free(c);
}

void client_send(struct client *c, const char *bytes, size_t n)
{
    char *copy = mem_alloc(n);
    memcpy(copy, bytes, n);
    if (c->filter)
        change(copy, n);
    for (size_t sent = 0; sent < n;) {
        ssize_t did = send(c->fd, copy + sent, n - sent, MSG_NOSIGNAL);
        if (did < 0)
            break; /* the server may close early; what it answered tells */
        sent += (size_t)did;
    }
    free(copy);
}

void client_say(struct client *c, const char *text)
{
    client_send(c, text, strlen(text));
}

static bool read_more(struct client *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    assert_true(c->len + 1 < sizeof c->data);
    if (poll(&p, 1, 30000) != 1)
        fail_msg("no answer within 30 s; so far: %s", c->data);
    ssize_t n = recv(c->fd, c->data + c->len, sizeof c->data - 1 - c->len, 0);
    if (n <= 0)
        return false;
    if (c->filter)
        change(c->data + c->len, (size_t)n);
    c->len += (size_t)n;
    c->data[c->len] = '\0';
    return true;
}

bool client_expect(struct client *c, const char *text)
{
    while (!memmem(c->data, c->len, text, strlen(text))) {
        if (!read_more(c))
            return false;
    }
    return true;
}

void client_read_all(struct client *c)
{
    while (read_more(c))
        ;
}

int client_answer(struct client *c, const char **ret_body, size_t *ret_len)
{
    assert_true(client_expect(c, "\r\n\r\n"));
    const char *body = strstr(c->data, "\r\n\r\n") + 4;
    const char *length = strcasestr(c->data, "\r\ncontent-length: ");
    size_t n = length && length < body ? strtoul(length + 18, NULL, 10) : 0;
    size_t head = (size_t)(body - c->data);
    while (c->len < head + n)
        assert_true(read_more(c));
    assert_int_equal(c->len, head + n);
    int status = (int)strtol(c->data + 9, NULL, 10);
    c->len = 0; /* the next answer starts afresh; this one stays readable until then */
    if (ret_body)
        *ret_body = body;
    if (ret_len)
        *ret_len = n;
    return status;
}
