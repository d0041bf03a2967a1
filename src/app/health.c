/* What the host itself answers: is it alive, is it ready, what does it measure. */
#include "app/app_impl.h"

static bool healthz(struct req *rq, struct err *e);
static bool readyz(struct req *rq, struct err *e);
static bool metrics(struct req *rq, struct err *e);

#define ROW(path_, name_, handle_, run_)                                                 \
    {                                                                                    \
        .path = path_, .name = name_, .methods = ON_GET, .handle = handle_, .run = run_, \
        .is_quiet = true                                                                 \
    }

const struct route health_routes[] = {
    ROW("/healthz", "healthz", healthz, RUN_INLINE),
    ROW("/_/healthz", "healthz", healthz, RUN_INLINE),
    ROW("/readyz", "readyz", readyz, RUN_INLINE),
    ROW("/_/readyz", "readyz", readyz, RUN_INLINE),
    ROW("/metrics", "metrics", metrics, RUN_SLOW),
    ROW("/_/metrics", "metrics", metrics, RUN_SLOW),
};
const size_t n_health_routes = sizeof health_routes / sizeof *health_routes;

struct life *life_of(const struct req *rq)
{
    return container_of(rq->service, struct host, service)->life;
}

/* A page whose name is made to resolve to this machine may read what it gets from here, but its
 * requests name its host, which is none of ours and no address. HTTP/1.0 need not name any. */
static bool is_name_ours(const struct req *rq)
{
    const struct host *h = container_of(rq->service, struct host, service);
    struct ip ip;
    return !rq->host.len || host_is_local(rq->host) || host_is_address(rq->host, &ip) ||
           host_app_of_name(h, rq->host);
}

static bool is_asked_here(const struct req *rq)
{
    return rq->is_control || (rq->is_peer_loopback && !is_forwarded(rq->h1));
}

/* From this machine and not through a proxy on it, nor by a page of somebody else's. */
bool is_from_here(const struct req *rq)
{
    return is_asked_here(rq) && (rq->is_control || is_name_ours(rq));
}

bool health_is_private(const struct route *row)
{
    return row->handle == readyz || row->handle == metrics;
}

static bool must_be_allowed(const struct req *rq, struct err *e)
{
    if (is_from_here(rq) || operator_asks(rq))
        return true;
    if (is_asked_here(rq))
        return err_set(e, ERR_FORBIDDEN,
                       "This machine is shown this under a name of its own only: ask for "
                       "localhost, an address, or a host of an app here.");
    return err_set(e, ERR_FORBIDDEN, "This is only shown to this machine itself and to operators.");
}

/* O(1) and silent about everything else: the process turns its loops. */
static bool healthz(struct req *rq, struct err *e)
{
    (void)e;
    reply_prebuilt(rq, SLICE("Content-Type: application/json\r\nCache-Control: no-store\r\n"));
    return reply_bytes(rq, 200, NULL, SLICE("{\"ok\":true}"));
}

/* Members of a JSON object, one per app with a backend: slugs need no escapes. */
static bool check_backends(const struct host *h, struct buf *to)
{
    bool ready = true;
    for (size_t i = 0; i < h->n_apps; i++) {
        if (!h->apps[i].edge && !h->apps[i].backend_why)
            continue;
        enum backend_state state =
            h->apps[i].edge ? backend_state(edge_backend(h->apps[i].edge)) : BACKEND_FAILING;
        ready &= state == BACKEND_READY;
        buf_printf(to, "%s\"backend:%.*s\":\"%s\"", to->len ? "," : "",
                   SLICE_ARGS(h->apps[i].manifest->slug.s), backend_state_names[state]);
    }
    return ready;
}

static bool has_databases(const struct host *h)
{
    bool has = false;
    for (size_t i = 0; i < h->n_apps; i++)
        has |= h->apps[i].docs || h->apps[i].files;
    return has;
}

static bool readyz(struct req *rq, struct err *e)
{
    const struct host *h = container_of(rq->service, struct host, service);
    struct buf text;
    if (!must_be_allowed(rq, e))
        return false;
    if (atomic_load(&life_of(rq)->is_draining))
        return err_set(e, ERR_UNAVAILABLE, "The server is stopping.");
    if (has_databases(h) && !rq->is_on_lane)
        return req_move(rq, stores_are_known(h) ? RUN_SLOW : RUN_STORE);
    buf_init(&text, 64u << 10);
    bool ready = check_backends(h, &text);
    ready &= databases_check_ready(h, &text);
    ready &= stores_check_ready(h, &text);
    struct slice body =
        arena_printf(rq->arena, "{\"ready\":%s,\"checks\":{%.*s}}", ready ? "true" : "false",
                     (int)text.len, text.len ? text.data : "");
    buf_done(&text);
    reply_header(rq, "Cache-Control", SLICE("no-store"));
    return reply_bytes(rq, ready ? 200 : 503, "application/json", body);
}

static bool metrics(struct req *rq, struct err *e)
{
    struct buf text;
    if (!must_be_allowed(rq, e))
        return false;
    buf_init(&text, 4u << 20);
    metrics_text(life_of(rq), container_of(rq->service, struct host, service), rq->arena, &text);
    struct slice body = arena_dup(rq->arena, buf_slice(&text));
    buf_done(&text);
    reply_header(rq, "Cache-Control", SLICE("no-store"));
    return reply_bytes(rq, 200, "text/plain; version=0.0.4; charset=utf-8", body);
}
