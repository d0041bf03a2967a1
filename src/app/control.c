/* The control socket in the data folder: what `dais reload` and `dais debug` ask. */
#include "app/app_impl.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

static bool debug_conns(struct req *rq, struct err *e);
static bool debug_lanes(struct req *rq, struct err *e);
static bool debug_mem(struct req *rq, struct err *e);
static bool reload(struct req *rq, struct err *e);

const struct route control_routes[] = {
    {.path = "/debug/conns",
     .name = "control_conns",
     .methods = ON_GET,
     .handle = debug_conns,
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
    {.path = "/reload",
     .name = "control_reload",
     .methods = ON_POST,
     .handle = reload,
     .run = RUN_SLOW},
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

static bool reload(struct req *rq, struct err *e)
{
    struct buf problems;
    buf_init(&problems, PROBLEM_BYTES);
    bool fine = life_reload(life_of(rq), &problems);
    if (!fine && problems.len)
        return reply_text(rq, err_status(ERR_MANIFEST), &problems);
    buf_done(&problems);
    if (!fine)
        return err_set(e, ERR_UNAVAILABLE, "The server is stopping; nothing was reloaded.");
    return reply_bytes(rq, 200, "application/json", SLICE("{\"reloaded\":true}"));
}
