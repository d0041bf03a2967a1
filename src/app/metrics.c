/* The figures of /metrics in Prometheus' text form. */
#include "app/app_impl.h"
#include "base/build.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(struct buf *out, const char *name, const char *type, const char *help,
                uint64_t value)
{
    head(out, name, type, help);
    buf_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

static void requests(struct buf *out, const struct server_stats *s)
{
    head(out, "dais_requests_total", "counter", "Requests answered, by route and status.");
    for (size_t i = 0; i < s->n_routes; i++) {
        for (int n = 0; n < 500; n++) {
            if (s->routes[i].by_status[n])
                buf_printf(out, "dais_requests_total{route=\"%s\",status=\"%d\"} %llu\n",
                           s->routes[i].route, n + 100,
                           (unsigned long long)s->routes[i].by_status[n]);
        }
    }
}

static void latencies(struct buf *out, const struct server_stats *s)
{
    const char *name = "dais_request_duration_seconds";
    head(out, name, "histogram", "From the last byte of the head to the answer being queued.");
    for (size_t i = 0; i < s->n_routes; i++) {
        const struct route_stats *r = &s->routes[i];
        uint64_t sum = 0;
        for (int n = 0; n < LATENCY_BUCKETS; n++) {
            sum += r->buckets[n];
            buf_printf(out, "%s_bucket{route=\"%s\",le=\"%g\"} %llu\n", name, r->route,
                       latency_bounds_us[n] / 1e6, (unsigned long long)sum);
        }
        sum += r->buckets[LATENCY_BUCKETS];
        buf_printf(out, "%s_bucket{route=\"%s\",le=\"+Inf\"} %llu\n", name, r->route,
                   (unsigned long long)sum);
        buf_printf(out, "%s_sum{route=\"%s\"} %.6f\n", name, r->route, (double)r->sum_us / 1e6);
        buf_printf(out, "%s_count{route=\"%s\"} %llu\n", name, r->route, (unsigned long long)sum);
    }
}

static void lane_rows(struct buf *out, struct loops *loops)
{
    struct lane_stats lanes[LANE_COUNT];
    lanes_stats(loops, lanes);
    head(out, "dais_lane_depth", "gauge", "Work waiting in a lane.");
    for (int i = 0; i < LANE_COUNT; i++)
        buf_printf(out, "dais_lane_depth{lane=\"%s\"} %llu\n", lanes[i].name,
                   (unsigned long long)lanes[i].depth);
    head(out, "dais_lane_wait_seconds_total", "counter", "Time work waited for a worker.");
    for (int i = 0; i < LANE_COUNT; i++)
        buf_printf(out, "dais_lane_wait_seconds_total{lane=\"%s\"} %.6f\n", lanes[i].name,
                   (double)lanes[i].wait_ns / 1e9);
    head(out, "dais_lane_done_total", "counter", "Work finished by a lane.");
    for (int i = 0; i < LANE_COUNT; i++)
        buf_printf(out, "dais_lane_done_total{lane=\"%s\"} %llu\n", lanes[i].name,
                   (unsigned long long)lanes[i].done);
}

static void turns(struct buf *out, struct loops *loops)
{
    const char *name = "dais_loop_busy_seconds";
    struct loop_lag lag;
    uint64_t sum = 0;
    loops_lag(loops, &lag);
    head(out, name, "histogram", "How long a turn kept a loop busy: what an event may wait.");
    for (int i = 0; i < LAG_BUCKETS; i++) {
        sum += lag.buckets[i];
        buf_printf(out, "%s_bucket{le=\"%g\"} %llu\n", name, lag_bounds_us[i] / 1e6,
                   (unsigned long long)sum);
    }
    sum += lag.buckets[LAG_BUCKETS];
    buf_printf(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.6f\n%s_count %llu\n", name,
               (unsigned long long)sum, name, (double)lag.sum_us / 1e6, name,
               (unsigned long long)sum);
}

static uint64_t resident_bytes(void)
{
    char text[128];
    uint64_t pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    struct slice line = slice_from(fgets(text, sizeof text, f)), total, resident;
    if (slice_cut(&line, ' ', &total) && slice_cut(&line, ' ', &resident))
        slice_to_u64(resident, &pages);
    fclose(f);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void metrics_text(struct life *l, const struct host *h, struct arena *a, struct buf *out)
{
    struct server_stats s;
    server_stats_read(l->server, a, &s);
    head(out, "dais_build_info", "gauge", "What runs here.");
    buf_printf(out, "dais_build_info{version=\"%s\",release=\"%s\",mode=\"%s\"} 1\n", build_version,
               build_release, build_mode);
    one(out, "dais_uptime_seconds", "gauge", "Since the start.",
        (uint64_t)(clock_mono_ms() - l->started_ms) / 1000);
    requests(out, &s);
    latencies(out, &s);
    one(out, "dais_connections_open", "gauge", "Connections open now.", s.conns_open);
    one(out, "dais_connections_idle", "gauge", "Of them, waiting for a request.", s.conns_idle);
    one(out, "dais_connections_total", "counter", "Connections accepted.", s.conns_total);
    one(out, "dais_connections_refused_total", "counter", "Refused for want of room.",
        s.conns_refused);
    one(out, "dais_received_bytes_total", "counter", "Bytes read from clients.", s.bytes_received);
    one(out, "dais_sent_bytes_total", "counter", "Bytes written to clients.", s.bytes_sent);
    lane_rows(out, l->loops);
    backends_metrics(l, out);
    databases_metrics(l, out);
    stores_metrics(l, out);
    jobs_metrics(h, a, out);
    limits_metrics(l, out);
    events_metrics(out);
    turns(out, l->loops);
    one(out, "dais_reloads_total", "counter", "Reloads that took effect.",
        atomic_load(&l->reloads));
    one(out, "dais_reload_failures_total", "counter", "Reloads refused for errors in a manifest.",
        atomic_load(&l->reload_failures));
    one(out, "dais_static_memory_bytes", "gauge", "File contents held in memory.",
        life_file_bytes(l));
    one(out, "process_resident_memory_bytes", "gauge", "Memory in use.", resident_bytes());
}
