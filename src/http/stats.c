/* Counting requests by route and status, and how long they took. */
#include "http/http_impl.h"

#include <stdlib.h>

const uint32_t latency_bounds_us[LATENCY_BUCKETS] = {
    50, 100, 250, 500, 1000, 2500, 10000, 50000, 250000, 1000000, 5000000, 30000000};

static size_t slot_of(const struct http_loop *hl, const struct route *route)
{
    size_t mask = hl->cap_routes - 1, i = ((uintptr_t)route >> 4) & mask;
    while (hl->routes[i] && hl->routes[i]->route != route)
        i = (i + 1) & mask;
    return i;
}

static void grow(struct http_loop *hl)
{
    struct route_count **old = hl->routes;
    size_t old_cap = hl->cap_routes;
    hl->cap_routes = old_cap ? old_cap * 2 : 64;
    hl->routes = mem_zalloc(hl->cap_routes * sizeof *hl->routes);
    for (size_t i = 0; i < old_cap; i++) {
        if (old[i])
            hl->routes[slot_of(hl, old[i]->route)] = old[i];
    }
    free(old);
}

void stats_count(struct http_loop *hl, const struct route *route, int status, int64_t us)
{
    if ((hl->n_routes + 1) * 2 > hl->cap_routes)
        grow(hl);
    struct route_count **at = &hl->routes[slot_of(hl, route)];
    if (!*at) {
        *at = mem_new(struct route_count);
        (*at)->route = route; /* NULL counts what was refused before it had a route */
        hl->n_routes++;
    }
    struct route_count *rc = *at;
    int bucket = 0;
    while (bucket < LATENCY_BUCKETS && us > latency_bounds_us[bucket])
        bucket++;
    rc->by_status[status - 100]++;
    rc->buckets[bucket]++;
    rc->sum_us += (uint64_t)us;
}

void stats_free(struct http_loop *hl)
{
    for (size_t i = 0; i < hl->cap_routes; i++)
        free(hl->routes[i]);
    free(hl->routes);
    hl->routes = NULL;
    hl->cap_routes = hl->n_routes = 0;
}

/* ---- reading, from a worker
 * --------------------------------------------------------------------------- */

struct reading {
    struct server *server;
    struct arena *arena;
    struct server_stats *stats;
    struct buf *text;
};

static struct route_stats *row_for(struct reading *r, const char *name)
{
    struct server_stats *s = r->stats;
    for (size_t i = 0; i < s->n_routes; i++) {
        if (slice_eq(slice_from(s->routes[i].route), slice_from(name)))
            return &s->routes[i];
    }
    size_t n = s->n_routes, bytes = n * sizeof *s->routes;
    if ((n & (n - 1)) == 0) { /* doubled at 1, 2, 4, ...: a row is large, and so is each move */
        s->routes = arena_try_grow(r->arena, s->routes, bytes, n ? 2 * bytes : sizeof *s->routes);
        must(s->routes);
    }
    s->routes[s->n_routes] = (struct route_stats){.route = name};
    return &s->routes[s->n_routes++];
}

static void read_loop(struct loop *l, void *arg)
{
    struct reading *r = arg;
    const struct http_loop *hl = &r->server->at[loop_index(l)];
    struct server_stats *s = r->stats;
    s->conns_open += hl->n_open;
    s->conns_idle += hl->n_idle;
    s->conns_total += hl->n_total;
    s->conns_refused += hl->n_refused;
    s->bytes_sent += hl->bytes_out;
    s->bytes_received += hl->bytes_in;
    for (size_t i = 0; i < hl->cap_routes; i++) {
        const struct route_count *rc = hl->routes[i];
        if (!rc)
            continue;
        struct route_stats *row = row_for(r, rc->route ? rc->route->name : "none");
        for (int n = 0; n < 500; n++)
            row->by_status[n] += rc->by_status[n];
        for (int n = 0; n <= LATENCY_BUCKETS; n++)
            row->buckets[n] += rc->buckets[n];
        row->sum_us += rc->sum_us;
    }
}

void server_stats_read(struct server *s, struct arena *a, struct server_stats *ret)
{
    *ret = (struct server_stats){0};
    struct reading r = {.server = s, .arena = a, .stats = ret};
    loops_visit(s->loops, read_loop, &r);
}

static void list_conns(struct loop *l, void *arg)
{
    struct reading *r = arg;
    struct http_loop *hl = &r->server->at[loop_index(l)];
    list_each (link, &hl->conns) {
        const struct conn *c = container_of(link, struct conn, link);
        char peer[IP_TEXT_LEN];
        ip_text(&c->peer, peer);
        buf_printf(r->text, "%4u  %-40s %-7s %8lld %8u  %s\n", loop_index(l),
                   c->is_peer_unix ? "unix" : peer, conn_state_name(c->state),
                   (long long)(loop_now_ms(l) - c->since_ms), c->requests,
                   c->exchange && c->exchange->rq.route ? c->exchange->rq.route->name : "");
    }
}

void server_conns_text(struct server *s, struct buf *out)
{
    struct reading r = {.server = s, .text = out};
    buf_printf(out, "%4s  %-40s %-7s %8s %8s  %s\n", "loop", "peer", "state", "age_ms", "requests",
               "route");
    loops_visit(s->loops, list_conns, &r);
}
