/* The server as a whole: its loops' sides, accepting, replacing the service, draining. */
#include "http/http_impl.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILES_OWN   32 /* descriptors that are no connections */
#define CONNS_LEAST 8

void service_ref(struct service *s)
{
    atomic_fetch_add(&s->refs, 1);
}

void service_unref(struct service *s)
{
    if (s && atomic_fetch_sub(&s->refs, 1) == 1)
        s->free(s);
}

/* ---- the end of every turn
 * ------------------------------------------------------------------------------- */

static void on_tick(struct tick *t, struct loop *l)
{
    struct http_loop *hl = container_of(t, struct http_loop, tick);
    struct list *link;
    (void)l;
    while ((link = list_pop(&hl->dirty)))
        out_flush(container_of(link, struct conn, dirty));
}

/* ---- making and ending
 * --------------------------------------------------------------------------------------- */

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value ? value : otherwise;
}

/* With room left for files, sockets of our own and what libraries open. */
static unsigned conns_within(rlim_t descriptors)
{
    uint64_t all = descriptors > 1000000 ? 1000000 : descriptors, own = FILES_OWN + all / 10;
    return all > own + CONNS_LEAST ? (unsigned)(all - own) : CONNS_LEAST;
}

static void fill_defaults(struct server_options *o, unsigned loops)
{
    struct rlimit files;
    o->head_ms = or_default(o->head_ms, 10000);
    o->body_ms = or_default(o->body_ms, 60000);
    o->idle_ms = or_default(o->idle_ms, 75000);
    o->write_ms = or_default(o->write_ms, 60000);
    o->drain_ms = or_default(o->drain_ms, 30000);
    o->slow_ms = or_default(o->slow_ms, 20000);
    o->min_rate = or_default(o->min_rate, 1024);
    if (!o->limits.head_bytes)
        o->limits = h1_default_limits;
    unsigned most = getrlimit(RLIMIT_NOFILE, &files) == 0 ? conns_within(files.rlim_cur) : 0;
    if (most && (!o->conns_max || o->conns_max > most))
        o->conns_max = most;
    if (o->conns_max < loops) /* each takes its share: one at least */
        o->conns_max = loops;
}

static void http_loop_init(struct http_loop *hl, struct server *s, unsigned i,
                           struct service *service)
{
    hl->server = s;
    hl->loop = loops_get(s->loops, i);
    hl->read_room = mem_alloc(READ_BULK_BYTES);
    hl->pipe[0] = hl->pipe[1] = -1;
    list_init(&hl->conns);
    list_init(&hl->dirty);
    hl->service = service;
    service_ref(service);
    hl->tick.fn = on_tick;
    loop_add_tick(hl->loop, &hl->tick);
}

struct server *server_new(struct loops *ls, const struct server_options *options,
                          struct service *service)
{
    struct server *s = mem_new(struct server);
    s->options = *options;
    s->loops = ls;
    s->n = loops_count(ls);
    fill_defaults(&s->options, s->n);
    s->at = mem_zalloc(s->n * sizeof *s->at);
    for (unsigned i = 0; i < s->n; i++)
        http_loop_init(&s->at[i], s, i, service);
    service_unref(service);
    return s;
}

static void close_all(struct http_loop *hl)
{
    list_each_safe (link, &hl->conns)
        conn_close(container_of(link, struct conn, link), "the server stops");
}

void server_free(struct server *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        struct http_loop *hl = &s->at[i];
        close_all(hl);
        timer_off(&hl->drain_timer);
        list_remove(&hl->tick.link);
        service_unref(hl->service);
        exchange_pool_free(hl);
        conn_pool_free(hl);
        stats_free(hl);
        free(hl->read_room);
        move_done(hl);
    }
    free(s->at);
    free(s);
}

/* ---- accepting
 * ------------------------------------------------------------------------------------------------
 */

/* One small write that may fail: who is refused should know that it is not for good. */
static void refuse(const struct front *front, int fd)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\n"
                                 "Content-Length: 0\r\nConnection: close\r\n\r\n";
    if (!front->filter)
        (void)!send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

void server_accept(void *user, struct listener *ln, struct loop *l, int fd,
                   const struct address *peer)
{
    const struct front *front = user;
    struct http_loop *hl = &front->server->at[loop_index(l)];
    (void)ln;
    /* Each loop takes its share; the control socket is for finding out why it is so full. */
    if (!front->is_control && hl->n_open >= front->server->options.conns_max / front->server->n) {
        hl->n_refused++;
        refuse(front, fd);
        return;
    }
    conn_open(hl, front, fd, peer);
}

/* ---- a new service
 * ---------------------------------------------------------------------------------------------- */

struct replacement {
    struct post post;
    struct server *server;
    struct service *service; /* one reference */
};

static void retire_service(void *service)
{
    service_unref(service);
}

static void on_replace(struct post *p, struct loop *l)
{
    struct replacement *r = container_of(p, struct replacement, post);
    struct http_loop *hl = &r->server->at[loop_index(l)];
    loop_retire(l, retire_service, hl->service);
    hl->service = r->service;
    free(r);
}

void server_replace(struct server *s, struct service *service)
{
    for (unsigned i = 0; i < s->n; i++) {
        struct replacement *r = mem_new(struct replacement);
        *r = (struct replacement){.post.fn = on_replace, .server = s, .service = service};
        service_ref(service);
        loop_post(s->at[i].loop, &r->post);
    }
    service_unref(service);
}

/* ---- draining
 * -----------------------------------------------------------------------------------------------------
 */

static void on_loop_drained(struct post *p, struct loop *l)
{
    struct server *s = container_of(p, struct http_loop, post)->server;
    (void)l;
    if (++s->n_drained == s->n)
        s->on_drained(s->drained_arg);
}

static void tell_when_empty(struct http_loop *hl)
{
    if (hl->is_drained || hl->n_open)
        return;
    hl->is_drained = true;
    timer_off(&hl->drain_timer);
    hl->post.fn = on_loop_drained;
    loop_post(hl->server->at[0].loop, &hl->post);
}

/* Looks again and again whether the last connection has gone; when the time is up it closes what
 * is left. */
static void on_drain_timer(struct timer *t, struct loop *l)
{
    struct http_loop *hl = container_of(t, struct http_loop, drain_timer);
    if (loop_now_ms(l) >= hl->drain_until_ms)
        close_all(hl);
    list_each_safe (link, &hl->conns)
        conn_drain_idle(container_of(link, struct conn, link));
    tell_when_empty(hl);
    if (!hl->is_drained)
        timer_set(&hl->drain_timer, l, 64);
}

struct drain {
    struct post post;
    struct server *server;
};

static void on_drain(struct post *p, struct loop *l)
{
    struct drain *d = container_of(p, struct drain, post);
    struct http_loop *hl = &d->server->at[loop_index(l)];
    free(d);
    hl->is_draining = true;
    hl->drain_until_ms = loop_now_ms(l) + hl->server->options.drain_ms;
    hl->drain_timer.fn = on_drain_timer;
    list_each_safe (link, &hl->conns)
        conn_drain(container_of(link, struct conn, link));
    timer_set(&hl->drain_timer, l, 1);
}

void server_drain(struct server *s, void (*on_drained)(void *), void *arg)
{
    s->on_drained = on_drained;
    s->drained_arg = arg;
    for (unsigned i = 0; i < s->n; i++) {
        struct drain *d = mem_new(struct drain);
        *d = (struct drain){.post.fn = on_drain, .server = s};
        loop_post(s->at[i].loop, &d->post);
    }
}
