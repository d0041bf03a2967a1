/* One request from its head to its answer.
 *
 * exchange_start   a head was parsed: who answers, and who asks, if that is to be known
 * go               is it too often, is the method right, does a body come?
 * exchange_body    more of the body; when it is whole: run
 * run              on the loop, or in the lane the route names
 * exchange_finish  the handler is done: queue the answer, log, count */
#include "http/http_impl.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- pool
 * ----------------------------------------------------------------------------------------- */

struct exchange *exchange_take(struct http_loop *hl)
{
    struct exchange *x = hl->exchanges;
    if (x) {
        hl->exchanges = x->next;
        hl->n_exchanges--;
        return x;
    }
    x = mem_new(struct exchange);
    x->headers = mem_alloc(hl->server->options.limits.headers * sizeof *x->headers);
    arena_init(&x->arena, ARENA_BYTES);
    buf_init(&x->rq.res.head, 64u << 10);
    buf_init(&x->body, 0);
    return x;
}

static void exchange_free(struct exchange *x)
{
    arena_done(&x->arena);
    buf_done(&x->rq.res.head);
    buf_done(&x->body);
    free(x->headers);
    free(x);
}

/* What an answer holds that was never handed to the connection. */
void exchange_drop_answer(struct res *res)
{
    if (res->kind == BODY_SHARED)
        shared_unref(res->shared);
    else if (res->kind == BODY_FILE)
        close(res->fd);
    else if (res->kind == BODY_SOURCE)
        res->source->close(res->source);
    res->kind = BODY_NONE;
}

void exchange_put(struct http_loop *hl, struct exchange *x)
{
    exchange_drop_answer(&x->rq.res);
    if (x->is_kept)
        service_unref(x->rq.service);
    if (hl->n_exchanges >= POOL_MAX || !x->headers) {
        exchange_free(x);
        return;
    }
    arena_reset(&x->arena);
    x->arena.cap_bytes = ARENA_BYTES; /* a handler may have asked for more */
    struct buf head = x->rq.res.head;
    buf_clear(&head);
    buf_done(&x->body);
    memset(&x->rq, 0, sizeof x->rq);
    x->rq.res.head = head;
    x->is_kept = x->failed = false;
    x->is_waiting = x->is_out = x->is_decided = x->is_identifying = false;
    atomic_store(&x->is_left, false);
    x->moves_to = RUN_INLINE;
    x->head = (struct slice){0};
    x->is_body_over = x->is_body_full = x->is_body_wanted = false;
    x->is_answered = x->is_cut = x->is_end_told = x->owes_continue = false;
    x->bytes_out = x->body_taken = x->body_paid = 0;
    x->body_since_ms = 0;
    x->next = hl->exchanges;
    hl->exchanges = x;
    hl->n_exchanges++;
}

void exchange_pool_free(struct http_loop *hl)
{
    while (hl->exchanges) {
        struct exchange *x = hl->exchanges;
        hl->exchanges = x->next;
        exchange_free(x);
    }
    hl->n_exchanges = 0;
}

/* ---- what the request says
 * -------------------------------------------------------------------------- */

static bool is_good_id(struct slice id)
{
    if (id.len == 0 || id.len >= sizeof((struct req *)0)->id)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '_';
        if (!fine)
            return false;
    }
    return true;
}

/* The other end: who it is, and what a trusted proxy before us says about it. */
static void read_peer(struct conn *c, struct req *rq, const struct h1_request *h1)
{
    const struct trust *trust = &c->home->server->options.trust;
    rq->is_control = c->front->is_control;
    rq->is_secure = c->front->is_secure;
    rq->is_peer_loopback = c->is_peer_unix || ip_is_loopback(&c->peer);
    rq->had_forwarding = h1->at[HEADER_X_FORWARDED_FOR] || h1->at[HEADER_FORWARDED] ||
                         h1->at[HEADER_X_FORWARDED_HOST] || h1->at[HEADER_X_FORWARDED_PROTO] ||
                         h1->at[HEADER_X_REAL_IP];
    rq->client = c->peer;
    struct slice id = h1_get(h1, HEADER_X_REQUEST_ID);
    bool is_trusted = (rq->had_forwarding || id.ptr) && trust_has(trust, &c->peer);
    if (is_trusted && rq->had_forwarding) {
        rq->client = client_ip(trust, &c->peer, h1);
        if (slice_is(h1_get(h1, HEADER_X_FORWARDED_PROTO), "https"))
            rq->is_secure = true;
    }
    if (is_trusted && id.ptr && is_good_id(id)) {
        memcpy(rq->id, id.ptr, id.len);
        rq->id[id.len] = '\0';
    } else {
        random_id(rq->id);
    }
}

static bool read_path(struct exchange *x, struct err *e)
{
    struct req *rq = &x->rq;
    struct slice raw = x->h1.path;
    if (slice_is(raw, "*")) {
        rq->path = raw;
        return true;
    }
    char *room = raw.len <= sizeof x->path_room ? x->path_room : arena_alloc(&x->arena, raw.len);
    return path_normalise(raw, room, &rq->path, e);
}

/* The bytes of the head are the loop's read buffer: whatever outlives this turn needs its own. */
void exchange_keep(struct exchange *x, struct slice head)
{
    must(!x->is_kept);
    size_t scanned = 0;
    struct slice own = arena_dup(&x->arena, head);
    struct err never;
    enum io again =
        h1_parse_request(&x->h1, own, &scanned, &x->conn->home->server->options.limits, &never);
    must(again == IO_OK);
    struct slice path = x->rq.path, mount = x->rq.mount, host = x->rq.host;
    x->rq.path = arena_dup(&x->arena, path); /* may have borrowed from the head */
    x->rq.mount = arena_dup(&x->arena, mount);
    x->rq.host = arena_dup(&x->arena, host);
    for (unsigned i = 0; i < x->rq.n_params; i++)
        x->rq.params[i].value = arena_dup(&x->arena, x->rq.params[i].value);
    x->rq.query = x->h1.query;
    service_ref(x->rq.service);
    x->is_kept = true;
}

/* ---- running the handler
 * --------------------------------------------------------------------------------- */

static void fail(struct exchange *x, const struct err *e)
{
    x->failed = true;
    x->error = arena_new(&x->arena, struct err);
    *x->error = *e;
}

void exchange_run(struct exchange *x)
{
    struct err e;
    must_context(x->rq.id, x->rq.route->name);
    if (!x->rq.route->handle(&x->rq, &e)) {
        x->is_waiting = false;
        fail(x, &e);
    }
    must_context(NULL, NULL);
}

/* What only reads and has not begun need not be read for a client that went. */
static void on_lane_run(struct work *w)
{
    struct exchange *x = container_of(w, struct exchange, work);
    struct err e;
    if (atomic_load(&x->is_left) && x->rq.method == METHOD_GET) {
        err_set(&e, ERR_TIMEOUT, "The client has left."); /* nobody's fault here: STATUS_GONE */
        x->is_waiting = false;
        fail(x, &e);
        return;
    }
    exchange_run(x);
}

/* Out of turn: more requests may have come meanwhile. */
static void finish_late(struct exchange *x)
{
    struct conn *c = x->conn;
    exchange_finish(x);
    if (c && c->state == CONN_IDLE)
        conn_next(c);
}

static void on_lane_done(struct work *w, struct loop *home)
{
    struct exchange *x = container_of(w, struct exchange, work);
    (void)home;
    x->is_out = false;
    if (!x->is_waiting || x->is_decided)
        finish_late(x);
}

/* The connection's next request waits until this one is answered. */
static void hold(struct exchange *x)
{
    x->conn->exchange = x;
    conn_set_state(x->conn, CONN_RUN);
}

/* False: it was answered at once. */
static bool submit(struct exchange *x, enum run run)
{
    static const enum lane lanes[] = {[RUN_READ] = LANE_READ,
                                      [RUN_WRITE] = LANE_WRITE,
                                      [RUN_SLOW] = LANE_SLOW,
                                      [RUN_SIGN] = LANE_SIGN,
                                      [RUN_STORE] = LANE_STORE};
    x->work.run = on_lane_run;
    x->work.done = on_lane_done;
    x->rq.is_on_lane = x->is_out = true;
    if (lane_submit(x->rq.loop, lanes[run], &x->work))
        return true;
    struct err e;
    err_set(&e, ERR_UNAVAILABLE, "Too much work is waiting; try again in a moment.");
    x->rq.is_on_lane = x->is_out = false;
    fail(x, &e);
    exchange_finish(x);
    return false;
}

static void run_inline(struct exchange *x, struct slice head)
{
    x->head = head;
    exchange_run(x);
    x->head = (struct slice){0};
    if (x->moves_to != RUN_INLINE && !x->failed) {
        if (!x->is_kept)
            exchange_keep(x, head);
        hold(x);
        submit(x, x->moves_to);
        return;
    }
    if (x->is_waiting) {
        hold(x);
        return;
    }
    if (x->rq.res.kind == BODY_SOURCE && !x->failed && !x->is_kept)
        exchange_keep(x, head);
    exchange_finish(x);
}

static void run(struct exchange *x, struct slice head)
{
    if (x->rq.route->run == RUN_INLINE) {
        run_inline(x, head);
        return;
    }
    if (!x->is_kept)
        exchange_keep(x, head);
    hold(x);
    submit(x, x->rq.route->run);
}

/* ---- what a handler that cannot answer at once says --------------------------------------------
 */

static struct exchange *exchange_of(struct req *rq)
{
    return container_of(rq, struct exchange, rq);
}

void req_keep(struct req *rq)
{
    struct exchange *x = exchange_of(rq);
    if (!x->is_kept)
        exchange_keep(x, x->head);
}

bool req_wait(struct req *rq)
{
    struct exchange *x = exchange_of(rq);
    must(x->is_kept && !rq->res.status);
    x->is_waiting = true;
    return true;
}

bool req_move(struct req *rq, enum run run)
{
    must(!rq->is_on_lane && !rq->res.status && run != RUN_INLINE);
    exchange_of(rq)->moves_to = run;
    return true;
}

void req_done(struct req *rq, const struct err *e)
{
    struct exchange *x = exchange_of(rq);
    must(x->is_waiting && !x->is_decided && (x->is_out || !x->conn || x->conn->exchange == x));
    x->is_decided = true;
    if (e)
        fail(x, e);
    if (!x->is_out)
        finish_late(x);
}

/* ---- before the handler
 * ------------------------------------------------------------------------------------- */

static unsigned method_bit(enum http_method m)
{
    return 1u << m;
}

static void add_allow(struct req *rq)
{
    struct buf b;
    buf_init(&b, 256);
    unsigned methods = rq->route->methods;
    if (methods & ON_GET)
        methods |= ON_HEAD;
    for (int m = 0; m < METHOD_OTHER; m++) {
        if (methods & method_bit((enum http_method)m))
            buf_printf(&b, "%s%s", b.len ? ", " : "", http_method_name((enum http_method)m));
    }
    reply_header(rq, "Allow", buf_slice(&b));
    buf_done(&b);
}

/* False when the method was answered here: 405, or OPTIONS in general. */
static bool is_method_right(struct exchange *x)
{
    struct req *rq = &x->rq;
    struct err e;
    unsigned methods = rq->route->methods;
    if (methods & ON_GET)
        methods |= ON_HEAD;
    if (methods & method_bit(rq->method))
        return true;
    add_allow(rq);
    if (rq->method == METHOD_OPTIONS)
        return !reply_empty(rq, 204);
    err_set(&e, ERR_METHOD, "%.*s is not possible here; Allow says what is.",
            SLICE_ARGS(slice_first(x->h1.method_text, 20)));
    fail(x, &e);
    return false;
}

/* Answers without reading the body that may follow, so the connection cannot go on. */
void exchange_finish_early(struct exchange *x)
{
    if (x->h1.chunked || x->h1.content_length > 0)
        x->rq.res.close = true;
    exchange_finish(x);
}

static void begin(struct conn *c, struct exchange *x)
{
    struct req *rq = &x->rq;
    x->conn = c;
    rq->start_ns = clock_mono_ns();
    rq->h1 = &x->h1;
    rq->arena = &x->arena;
    rq->loop = c->home->loop;
    rq->server = c->home->server;
    rq->service = c->home->service;
    rq->client = c->peer; /* until a head says more; one that is no head never does */
}

void exchange_refuse(struct conn *c, struct exchange *x, const struct err *e)
{
    if (!x->rq.service) /* it had no head; what began keeps the service it began with */
        begin(c, x);
    if (!x->rq.id[0])
        random_id(x->rq.id);
    x->rq.res.close = true;
    fail(x, e);
    exchange_finish(x);
}

static void wait_for_body(struct exchange *x, struct slice head)
{
    struct conn *c = x->conn;
    if (!x->is_kept)
        exchange_keep(x, head);
    buf_init(&x->body, (size_t)x->rq.max_body);
    if (x->h1.chunked)
        chunked_init(&x->chunked);
    c->exchange = x;
    conn_set_state(c, CONN_BODY);
    timer_set(&c->timer, c->home->loop, c->home->server->options.body_ms);
    if (x->h1.expect_continue) {
        buf_add(&conn_flow(c)->out, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
        conn_mark_dirty(c);
    }
}

static void body_too_large(struct exchange *x)
{
    struct err e;
    err_set(&e, ERR_BODY_TOO_LARGE, "The body may have at most %llu bytes.",
            (unsigned long long)x->rq.max_body);
    fail(x, &e);
}

/* Who asks is known, if that was wanted. */
static void go(struct conn *c, struct exchange *x, struct slice head)
{
    struct req *rq = &x->rq;
    if (!rq->refusal && rq->service->admit)
        rq->service->admit(rq->service, rq);
    if (rq->refusal) {
        fail(x, rq->refusal);
        exchange_finish_early(x);
        return;
    }
    if (!rq->max_body)
        rq->max_body = rq->route->max_body;
    bool has_body = x->h1.chunked || x->h1.content_length > 0;
    uint64_t max_body = rq->max_body;
    if (!is_method_right(x)) {
        exchange_finish_early(x);
    } else if (has_body && max_body && x->h1.content_length > max_body) {
        body_too_large(x);
        exchange_finish_early(x);
    } else if (rq->route->is_streamed && (max_body || !has_body)) {
        later_start(c, x, head);
    } else if (has_body && max_body) {
        wait_for_body(x, head);
    } else {
        rq->res.close = has_body; /* nobody reads it, so nothing can follow it */
        run(x, head);
    }
}

void exchange_start(struct conn *c, struct exchange *x, struct slice head)
{
    struct req *rq = &x->rq;
    struct err e;
    begin(c, x);
    rq->method = x->h1.method;
    rq->query = x->h1.query;
    rq->mount = SLICE("");
    uint16_t port = 0;
    if (x->h1.host.len)
        host_split(x->h1.host, &rq->host, &port);
    read_peer(c, rq, &x->h1);
    if (!read_path(x, &e)) {
        exchange_refuse(c, x, &e);
        return;
    }
    rq->route = rq->service->find(rq->service, rq);
    must(rq->route);
    if (!rq->refusal && rq->wants_identity && rq->identities && !identity_ask(rq)) {
        if (!x->is_kept)
            exchange_keep(x, head);
        x->is_identifying = true;
        hold(x);
        return;
    }
    go(c, x, head);
}

/* What arrived meanwhile is looked at now, and the client's end too. */
static void catch_up(struct conn *c)
{
    if (c->state == CONN_IDLE) {
        conn_next(c);
        return;
    }
    if (c->state != CONN_BODY && c->state != CONN_WAIT)
        return;
    conn_resume(c);
    if (c->is_closed || !c->has_ended)
        return;
    if (c->state == CONN_BODY)
        conn_next(c);
    else if (c->state == CONN_WAIT && !later_on_end(c))
        conn_close(c, "the client closed");
}

void req_identified(struct req *rq, const struct identity *who, const struct err *e)
{
    struct exchange *x = exchange_of(rq);
    struct conn *c = x->conn;
    struct err gone;
    must(x->is_identifying);
    x->is_identifying = false;
    rq->identity = who;
    if (!who)
        identity_refuse(rq, e);
    if (!c) {
        err_set(&gone, ERR_TIMEOUT, "The client has left.");
        fail(x, &gone);
        exchange_finish(x);
        return;
    }
    c->exchange = NULL;
    conn_set_state(c, CONN_IDLE);
    go(c, x, (struct slice){0});
    if (!c->is_closed)
        catch_up(c);
}

/* ---- the body
 * ----------------------------------------------------------------------------------------------------
 */

static enum io take_chunked(struct exchange *x, struct slice *in, struct err *e)
{
    struct slice data;
    enum io io;
    while ((io = chunked_next(&x->chunked, in, &data, e)) == IO_OK) {
        buf_add(&x->body, data);
        if (x->body.full) {
            body_too_large(x);
            *e = *x->error;
            return IO_FAIL;
        }
    }
    return io;
}

static enum io take_counted(struct exchange *x, struct slice *in)
{
    size_t left = (size_t)x->h1.content_length - x->body.len;
    struct slice data = slice_first(*in, left);
    buf_add(&x->body, data);
    must(!x->body.full); /* the length was checked against the limit */
    *in = slice_skip(*in, data.len);
    return x->body.len == x->h1.content_length ? IO_EOF : IO_MORE;
}

void exchange_body(struct conn *c, struct slice *in)
{
    struct exchange *x = c->exchange;
    struct err e;
    enum io io = x->h1.chunked ? take_chunked(x, in, &e) : take_counted(x, in);
    if (io == IO_FAIL) {
        exchange_refuse(c, x, &e);
        return;
    }
    if (io == IO_MORE) {
        int64_t spent_ms = (clock_mono_ns() - x->rq.start_ns) / 1000000;
        int64_t granted_ms =
            c->home->server->options.body_ms + (int64_t)(x->body.len / BODY_MIN_RATE);
        timer_set(&c->timer, c->home->loop, granted_ms > spent_ms ? granted_ms - spent_ms : 1);
        return;
    }
    x->rq.body = buf_slice(&x->body);
    run(x, (struct slice){0});
}

/* ---- after the handler
 * ---------------------------------------------------------------------------------------------- */

void exchange_log(struct exchange *x, int64_t us)
{
    struct req *rq = &x->rq;
    bool quiet = rq->route && rq->route->is_quiet && rq->res.status < 500;
    enum log_level level = rq->res.status >= 500 ? LOG_ERROR : quiet ? LOG_DEBUG : LOG_INFO;
    if (!log_is_on(level) || (level < LOG_ERROR && !rq->server->options.log_requests))
        return;
    char client[IP_TEXT_LEN];
    ip_text(&rq->client, client);
    const struct log_field fields[] = {
        F_CSTR("id", rq->id),
        F_STR("method", x->h1.method_text.ptr ? x->h1.method_text : SLICE("-")),
        F_STR("path", rq->path.ptr ? rq->path : SLICE("-")),
        F_STR("mount", rq->mount.ptr ? rq->mount : SLICE("")),
        F_CSTR("route", rq->route ? rq->route->name : "-"),
        F_INT("status", rq->res.status),
        F_INT("bytes", x->bytes_out),
        F_INT("us", us),
        F_CSTR("client", client),
        F_CSTR("error", x->failed ? x->error->msg : ""),
        F_CSTR("where", x->failed && x->error->where ? x->error->where : ""),
    };
    size_t n = sizeof fields / sizeof *fields;
    log_add(loop_log(rq->loop), level, "request", fields, x->failed ? n : n - 2);
}

/* The handler failed: its half-made answer goes, the error takes its place. */
static void answer_error(struct exchange *x)
{
    struct res *res = &x->rq.res;
    bool keep_head = x->error->code == ERR_METHOD; /* Allow */
    exchange_drop_answer(res);
    res->prebuilt = (struct slice){0};
    if (!keep_head)
        buf_clear(&res->head);
    reply_error(&x->rq, x->error);
}

void exchange_finish(struct exchange *x)
{
    struct conn *c = x->conn;
    struct http_loop *hl = &x->rq.server->at[loop_index(x->rq.loop)];
    if (x->failed)
        answer_error(x);
    must(x->rq.res.status);
    int64_t us = (clock_mono_ns() - x->rq.start_ns) / 1000;
    bool is_handed_over = false;
    if ((x->rq.res.status == 401 || x->rq.res.status == 403) && x->rq.service->denied)
        x->rq.service->denied(x->rq.service, &x->rq);
    if (c) {
        c->exchange = NULL;
        c->requests++;
        is_handed_over = out_answer(c, x);
    } else if (x->rq.res.status < 500) {
        x->rq.res.status = STATUS_GONE;
    }
    stats_count(hl, x->rq.route, x->rq.res.status, us);
    exchange_log(x, us);
    if (c)
        conn_set_state(c, c->close_after || out_is_busy(c) ? CONN_SEND : CONN_IDLE);
    if (!is_handed_over)
        exchange_put(hl, x);
}
