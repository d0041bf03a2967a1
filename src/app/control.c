/* The control socket in the data folder: what `dais reload` and `dais debug` ask. */
#include "app/app_impl.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

static bool debug_conns(struct req *rq, struct err *e);
static bool debug_jobs(struct req *rq, struct err *e);
static bool debug_lanes(struct req *rq, struct err *e);
static bool debug_mem(struct req *rq, struct err *e);
static bool debug_backends(struct req *rq, struct err *e);
static bool reload(struct req *rq, struct err *e);
static bool reload_backends(struct req *rq, struct err *e);

const struct route control_routes[] = {
    {.path = "/debug/backends",
     .name = "control_backends",
     .methods = ON_GET,
     .handle = debug_backends,
     .run = RUN_SLOW},
    {.path = "/debug/conns",
     .name = "control_conns",
     .methods = ON_GET,
     .handle = debug_conns,
     .run = RUN_SLOW},
    {.path = "/debug/jobs",
     .name = "control_jobs",
     .methods = ON_GET,
     .handle = debug_jobs,
     .run = RUN_SLOW},
    {.path = "/debug/lanes",
     .name = "control_lanes",
     .methods = ON_GET,
     .handle = debug_lanes,
     .run = RUN_SLOW},
    {.path = "/debug/mem",
     .name = "control_mem",
     .methods = ON_GET,
     .handle = debug_mem,
     .run = RUN_SLOW},
    {.path = "/events",
     .name = "control_events",
     .methods = ON_GET,
     .handle = events_control,
     .run = RUN_SLOW},
    {.path = "/reload",
     .name = "control_reload",
     .methods = ON_POST,
     .handle = reload,
     .is_streamed = true},
    {.path = "/reload/backends",
     .name = "control_reload",
     .methods = ON_POST,
     .handle = reload_backends,
     .is_streamed = true},
};
const size_t n_control_routes = sizeof control_routes / sizeof *control_routes;

static bool reply_text(struct req *rq, int status, struct buf *text)
{
    struct slice body = arena_dup(rq->arena, buf_slice(text));
    buf_done(text);
    return reply_bytes(rq, status, "text/plain; charset=utf-8", body);
}

static bool debug_conns(struct req *rq, struct err *e)
{
    struct buf text;
    (void)e;
    buf_init(&text, 7u << 20); /* the first 70,000 */
    server_conns_text(rq->server, &text);
    return reply_text(rq, 200, &text);
}

static bool debug_jobs(struct req *rq, struct err *e)
{
    struct buf text;
    (void)e;
    buf_init(&text, 4u << 20);
    jobs_text(container_of(rq->service, struct host, service), &text);
    return reply_text(rq, 200, &text);
}

static bool debug_lanes(struct req *rq, struct err *e)
{
    struct lane_stats lanes[LANE_COUNT];
    struct buf text;
    (void)e;
    lanes_stats(life_of(rq)->loops, lanes);
    buf_init(&text, 64u << 10);
    buf_printf(&text, "%-6s %8s %8s %6s %9s %8s %8s %12s %12s\n", "lane", "running", "workers",
               "depth", "depth_max", "done", "refused", "wait_avg_us", "run_avg_us");
    for (int i = 0; i < LANE_COUNT; i++) {
        const struct lane_stats *s = &lanes[i];
        uint64_t done = s->done ? s->done : 1;
        buf_printf(&text, "%-6s %8u %8u %6llu %9llu %8llu %8llu %12llu %12llu\n", s->name,
                   s->running, s->workers_max, (unsigned long long)s->depth,
                   (unsigned long long)s->depth_max, (unsigned long long)s->done,
                   (unsigned long long)s->refused, (unsigned long long)(s->wait_ns / done / 1000),
                   (unsigned long long)(s->run_ns / done / 1000));
    }
    return reply_text(rq, 200, &text);
}

static bool debug_mem(struct req *rq, struct err *e)
{
    struct life *l = life_of(rq);
    struct mallinfo2 heap = mallinfo2();
    struct server_stats s;
    struct buf text;
    char line[160];
    (void)e;
    buf_init(&text, 64u << 10);
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f)) {
        if (slice_starts(slice_from(line), SLICE("VmRSS")) ||
            slice_starts(slice_from(line), SLICE("VmHWM")) ||
            slice_starts(slice_from(line), SLICE("Rss")))
            buf_add_str(&text, line);
    }
    if (f)
        fclose(f);
    server_stats_read(l->server, rq->arena, &s);
    buf_printf(&text, "heap in use:\t%8zu kB\nheap free:\t%8zu kB\nmapped:\t\t%8zu kB\n",
               heap.uordblks / 1024, heap.fordblks / 1024, heap.hblkhd / 1024);
    buf_printf(&text, "static files:\t%8zu kB\nconnections:\t%8llu\n", life_file_bytes(l) / 1024,
               (unsigned long long)s.conns_open);
    return reply_text(rq, 200, &text);
}

static bool debug_backends(struct req *rq, struct err *e)
{
    struct buf text;
    (void)e;
    buf_init(&text, 4u << 20);
    backends_text(life_of(rq), &text);
    return reply_text(rq, 200, &text);
}

/* ---- reload -------------------------------------------------------------------------------------
 */

/* A request for it waits on its own loop while loop 0 works. */
struct asking {
    struct waiter waiter;
    struct reload_ask ask;
    struct post post;
    struct req *rq;
    struct life *life;
    struct loop *loop;
    bool is_gone; /* the client is; then nobody else frees this */
    bool is_answered;
    struct err e;
    struct buf problems;
};

static void free_asking(struct asking *a)
{
    buf_done(&a->problems);
    free(a);
}

static void on_closed(struct waiter *w)
{
    struct asking *a = container_of(w, struct asking, waiter);
    if (a->is_answered)
        free_asking(a);
    else
        a->is_gone = true;
}

static void on_body(struct waiter *w, struct slice *in, bool is_last)
{
    (void)w;
    (void)is_last;
    *in = slice_skip(*in, in->len);
}

static void on_told(struct post *p, struct loop *l)
{
    struct asking *a = container_of(p, struct asking, post);
    (void)l;
    if (a->is_gone) {
        free_asking(a);
        return;
    }
    a->is_answered = true;
    if (a->e.code == ERR_NONE)
        reply_bytes(a->rq, 200, "application/json", SLICE("{\"reloaded\":true}"));
    else if (a->e.code == ERR_MANIFEST && a->problems.len)
        reply_text(a->rq, err_status(ERR_MANIFEST), &a->problems);
    else
        reply_error(a->rq, &a->e);
    waiter_answer(&a->waiter);
}

static void on_reloaded(struct reload_ask *ask, const struct err *e, struct slice problems)
{
    struct asking *a = container_of(ask, struct asking, ask);
    if (e)
        a->e = *e;
    buf_add(&a->problems, problems);
    a->post.fn = on_told;
    loop_post(a->loop, &a->post);
}

static void on_asked(struct post *p, struct loop *l)
{
    struct asking *a = container_of(p, struct asking, post);
    (void)l;
    life_reload(a->life, &a->ask);
}

static bool ask_for_reload(struct req *rq, bool renews_backends)
{
    struct asking *a = mem_new(struct asking);
    a->waiter.body = on_body;
    a->waiter.close = on_closed;
    a->ask.renews_backends = renews_backends;
    a->ask.done = on_reloaded;
    a->rq = rq;
    a->life = life_of(rq);
    a->loop = rq->loop;
    a->post.fn = on_asked;
    buf_init(&a->problems, PROBLEM_BYTES);
    reply_later(rq, &a->waiter);
    loop_post(loops_get(a->life->loops, 0), &a->post);
    return true;
}

static bool reload(struct req *rq, struct err *e)
{
    (void)e;
    return ask_for_reload(rq, false);
}

static bool reload_backends(struct req *rq, struct err *e)
{
    (void)e;
    return ask_for_reload(rq, true);
}
