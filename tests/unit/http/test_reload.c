/* A storm of reloads: the service is replaced again and again while clients ask on several loops;
 * no request is lost, and every one keeps the service it began with to its last byte. */
#include "server_rig.c"

#include <sched.h>
#include <signal.h>
#include <stdio.h>

#define RELOADS 600
#define CLIENTS 6
#define ALIVE   0x600dbeef

/* What a manifest would be: gone with its service, so that a use after that is seen. */
struct world {
    struct service service;
    struct router *router;
    unsigned number, *alive;
};

static _Atomic unsigned worlds_alive;
static _Atomic bool is_storm_over;

/* On loop 0, as a signal's reload is; each one sees to the next, so they come as fast as turns do.
 */
static struct storm {
    struct post post;
    unsigned left;
    _Atomic unsigned done;
    _Atomic unsigned asked; /* a reload happens only between requests, not before them all */
} storm;

static struct rig rig;

static void nothing_more(struct loop *l, void *arg)
{
    (void)l;
    (void)arg;
}

/* Waits until every loop has taken a newer service and let go of the one before: the first of two
 * reloads is posted when the second is counted, and a loop retires at the end of its turn. */
static void outlast_a_reload(void)
{
    unsigned before = storm.done;
    while (storm.done < before + 2 && !is_storm_over) {
        storm.asked++; /* who else would ask may be waiting too */
        sched_yield();
    }
    loops_visit(rig.loops, nothing_more, NULL);
    loops_visit(rig.loops, nothing_more, NULL);
}

static struct world *world_of(struct req *rq)
{
    struct world *w = container_of(rq->service, struct world, service);
    assert_int_equal(*w->alive, ALIVE);
    return w;
}

/* ---- handlers: each looks at its service as late as it can ------------------------------------
 */

static bool tell(struct req *rq, struct err *e)
{
    struct world *w = world_of(rq);
    (void)e;
    return reply_bytes(rq, 200, "text/plain",
                       arena_printf(rq->arena, "world %u, %zu bytes", w->number, rq->body.len));
}

static bool tell_late(struct req *rq, struct err *e)
{
    world_of(rq);
    outlast_a_reload();
    return tell(rq, e);
}

struct story {
    struct source source;
    struct post post;
    struct req *rq;
    unsigned number, left;
    bool is_posted, is_closed;
};

static void on_story_due(struct post *p, struct loop *l)
{
    struct story *s = container_of(p, struct story, post);
    (void)l;
    s->is_posted = false;
    if (s->is_closed)
        free(s);
    else
        source_wake(&s->source);
}

static enum io story_pull(struct source *source, struct buf *to, size_t room)
{
    struct story *s = container_of(source, struct story, source);
    (void)room;
    assert_int_equal(world_of(s->rq)->number, s->number);
    buf_printf(to, "world %u, %.*s\n", s->number, SLICE_ARGS(req_header(s->rq, "User-Agent")));
    if (--s->left == 0)
        return IO_EOF;
    s->is_posted = true;
    loop_post(s->rq->loop, &s->post);
    return IO_MORE;
}

static void story_close(struct source *source)
{
    struct story *s = container_of(source, struct story, source);
    sources_open--;
    s->is_closed = true;
    if (!s->is_posted)
        free(s);
}

static bool tell_slowly(struct req *rq, struct err *e)
{
    struct story *s = mem_new(struct story);
    (void)e;
    *s = (struct story){.source = {.pull = story_pull, .close = story_close},
                        .post.fn = on_story_due,
                        .rq = rq,
                        .number = world_of(rq)->number,
                        .left = 20};
    sources_open++;
    return reply_source(rq, 200, "text/plain", &s->source);
}

static const struct route world_rows[] = {
    {.path = "/inline/{n}",
     .name = "inline",
     .methods = ON_GET | ON_POST,
     .handle = tell,
     .max_body = 20000},
    {.path = "/lane/{n}",
     .name = "lane",
     .methods = ON_GET | ON_POST,
     .handle = tell_late,
     .run = RUN_SLOW,
     .max_body = 20000},
    {.path = "/source/{n}", .name = "source", .methods = ON_GET, .handle = tell_slowly},
};

/* ---- services ---------------------------------------------------------------------------------
 */

static const struct route *find_in_world(struct service *s, struct req *rq)
{
    const struct world *w = container_of(s, struct world, service);
    assert_int_equal(*w->alive, ALIVE);
    const struct route *row = router_find(w->router, rq);
    return row ? row : &nothing;
}

static void world_free(struct service *s)
{
    struct world *w = container_of(s, struct world, service);
    router_free(w->router);
    *w->alive = 0;
    free(w->alive);
    free(w);
    worlds_alive--;
}

static struct service *world_new(unsigned number)
{
    struct world *w = mem_new(struct world);
    *w = (struct world){.service = {.refs = 1, .find = find_in_world, .free = world_free},
                        .router = router_new(),
                        .number = number,
                        .alive = mem_alloc(sizeof *w->alive)};
    *w->alive = ALIVE;
    router_add(w->router, world_rows, sizeof world_rows / sizeof *world_rows);
    worlds_alive++;
    return &w->service;
}

/* ---- the storm --------------------------------------------------------------------------------
 */

static void on_reload(struct post *p, struct loop *l)
{
    static unsigned asked_before;
    if (storm.asked != asked_before || storm.left == 0) {
        asked_before = storm.asked;
        server_replace(rig.server, world_new(++storm.done));
        storm.left -= storm.left > 0;
    }
    if (storm.left > 0)
        loop_post(l, p);
    else
        is_storm_over = true;
}

static unsigned world_told(const char *body)
{
    const char *at = strstr(body, "world ");
    assert_non_null(at);
    return (unsigned)strtoul(at + 6, NULL, 10);
}

static unsigned ask_plainly(struct client *c, unsigned n)
{
    const char *body;
    char text[200];
    snprintf(text, sizeof text, "GET /%s/%u HTTP/1.1\r\nHost: a\r\n\r\n", n % 2 ? "lane" : "inline",
             n);
    client_say(c, text);
    assert_int_equal(client_answer(c, &body, NULL), 200);
    return world_told(body);
}

/* The head before a reload, the body perhaps behind it. */
static unsigned ask_with_body(struct client *c, unsigned n)
{
    const char *body;
    char text[200];
    snprintf(
        text, sizeof text,
        "POST /%s/%u HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
        n % 2 ? "lane" : "inline", n);
    client_say(c, text);
    assert_true(client_expect(c, "100 Continue\r\n\r\n"));
    c->len = 0;
    outlast_a_reload();
    client_say(c, "0123456789");
    assert_int_equal(client_answer(c, &body, NULL), 200);
    assert_non_null(strstr(body, ", 10 bytes"));
    return world_told(body);
}

static unsigned ask_for_a_story(struct client *c, unsigned n)
{
    char text[200];
    snprintf(text, sizeof text,
             "GET /source/%u HTTP/1.1\r\nHost: a\r\nUser-Agent: teller-%u\r\n\r\n", n, n);
    client_say(c, text);
    assert_true(client_expect(c, "\r\n0\r\n\r\n"));
    assert_memory_equal(c->data, "HTTP/1.1 200 ", 13);
    unsigned world = world_told(c->data), lines = 0;
    snprintf(text, sizeof text, "world %u, teller-%u\n", world, n);
    for (const char *at = c->data; (at = strstr(at, text)); at++)
        lines++;
    assert_int_equal(lines, 20); /* one world from the first line to the last */
    c->len = 0;
    return world;
}

static void *ask_on(void *arg)
{
    static unsigned (*const kinds[])(struct client *, unsigned) = {ask_plainly, ask_with_body,
                                                                   ask_for_a_story};
    unsigned *n_asked = arg, world = 0, now;
    struct client *c = client_open(&rig);
    while (!is_storm_over || *n_asked <= 3) { /* some threads come late */
        now = kinds[*n_asked % 3](c, *n_asked / 3);
        assert_true(now >= world); /* a connection never goes back in time */
        world = now;
        ++*n_asked;
        storm.asked++;
    }
    client_close(c);
    return NULL;
}

static void a_storm_of_reloads(void **state)
{
    const struct rig_options o = {.threads = 3};
    pthread_t threads[CLIENTS];
    unsigned asked[CLIENTS] = {0};
    const char *body;
    (void)state;
    rig_start(&rig, &o);
    storm = (struct storm){.post.fn = on_reload, .left = RELOADS};
    server_replace(rig.server, world_new(0)); /* the rig's own service goes */
    struct client *last = client_open(&rig);
    do
        client_say(last, "GET /inline/1 HTTP/1.1\r\nHost: a\r\n\r\n");
    while (client_answer(last, NULL, NULL) != 200);
    for (int i = 0; i < CLIENTS; i++)
        pthread_create(&threads[i], NULL, ask_on, &asked[i]);
    loop_post(loops_get(rig.loops, 0), &storm.post);
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(asked[i] > 3);
    }
    assert_int_equal(storm.done, RELOADS);
    client_say(last,
               "GET /inline/1 HTTP/1.1\r\nHost: a\r\n\r\n"); /* an old connection, a new world */
    assert_int_equal(client_answer(last, &body, NULL), 200);
    assert_in_range(world_told(body), RELOADS - 1, RELOADS);
    client_close(last);
    rig_stop(&rig);
    assert_int_equal(worlds_alive, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_storm_of_reloads)};
    signal(SIGPIPE, SIG_IGN);
    log_setup(LOG_ERROR, LOG_TEXT, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
