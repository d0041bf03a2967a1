/* One request to the backend and its answer, both ways bit by bit.
 *
 *   start      the head goes out; the body follows as the backend takes it
 *   on_head    the answer's head goes to the client, its body is pulled when there is room
 *   on_failed  502, 503 or 504; or, once the answer has begun, the connection breaks off
 *   done       the client has it all, or is gone: the backend's connection is kept or closed */
#include "edge/edge_impl.h"

#include <stdlib.h>

struct proxy {
    struct waiter waiter;
    struct source source;
    struct call call;
    struct req *rq;
    bool is_answered;
};

/* ---- the answer's body ---------------------------------------------------------------------- */

static enum io pull(struct source *s, struct buf *to, size_t room)
{
    struct proxy *p = container_of(s, struct proxy, source);
    return call_read(&p->call, to, room);
}

static void source_closed(struct source *s)
{
    (void)s; /* the waiter, which closes after it, holds it all */
}

/* ---- the answer's head ---------------------------------------------------------------------- */

static void log_failure(const struct proxy *p, const char *why)
{
    log_line(LOG_WARN, "the backend failed", F_CSTR("request", p->rq->id),
             F_STR("path", p->rq->path), F_CSTR("why", why));
}

/* What the client may know; why is for the log. */
static void answer_failure(struct proxy *p, enum err_code code, const char *why)
{
    struct err e;
    log_failure(p, why);
    if (code == ERR_GATEWAY_TIMEOUT)
        err_set(&e, code, "The backend took too long to answer.");
    else if (code == ERR_UNREACHABLE)
        err_set(&e, ERR_BAD_GATEWAY, "The backend cannot be reached.");
    else
        err_set(&e, ERR_BAD_GATEWAY, "The backend did not answer as it should.");
    p->is_answered = true;
    reply_error(p->rq, &e);
    waiter_answer(&p->waiter);
}

static void reply_body(struct proxy *p)
{
    const struct h1_response *answer = &p->call.answer;
    struct req *rq = p->rq;
    int status = answer->status;
    if (status == 101)
        reply_tunnel(rq, &p->source);
    else if (status == 204 || status == 304)
        reply_empty(rq, status);
    else if (answer->head.has_length)
        reply_sized_source(rq, status, answer->head.content_length, &p->source);
    else
        reply_source(rq, status, NULL, &p->source);
}

static void on_head(struct proxy *p)
{
    struct buf lines;
    const struct h1_response *answer = &p->call.answer;
    if (answer->status > 599 || (answer->status == 101 && !p->rq->h1->upgrade)) {
        answer_failure(p, ERR_BAD_GATEWAY, "its status is none");
        return;
    }
    buf_init(&lines, 128u << 10);
    forward_answer(&lines, answer, p->rq);
    if (answer->status == 101) {
        buf_add(&lines, SLICE("Upgrade: "));
        buf_add(&lines, h1_get(&answer->head, HEADER_UPGRADE));
        buf_add(&lines, SLICE("\r\n"));
    }
    reply_prebuilt(p->rq, arena_dup(p->rq->arena, buf_slice(&lines)));
    buf_done(&lines);
    reply_body(p);
    p->is_answered = true;
    waiter_answer(&p->waiter);
}

static void on_event(struct call *c, enum call_event event)
{
    struct proxy *p = container_of(c, struct proxy, call);
    switch (event) {
    case CALL_WRITABLE:
        waiter_want(&p->waiter);
        break;
    case CALL_HEAD:
        on_head(p);
        break;
    case CALL_READABLE:
        source_wake(&p->source);
        break;
    case CALL_FAILED:
        if (!p->is_answered) {
            answer_failure(p, c->error.code, c->error.msg);
        } else {
            log_failure(p, c->error.msg);
            waiter_cut(&p->waiter);
        }
        break;
    }
}

/* ---- the request ---------------------------------------------------------------------------- */

static void on_body(struct waiter *w, struct slice *in, bool is_last)
{
    struct proxy *p = container_of(w, struct proxy, waiter);
    call_send(&p->call, in, is_last);
}

static void done(struct waiter *w)
{
    struct proxy *p = container_of(w, struct proxy, waiter);
    call_end(&p->call);
    free(p);
}

static bool is_safe(enum http_method m)
{
    return m == METHOD_GET || m == METHOD_HEAD || m == METHOD_OPTIONS;
}

/* A page of another site must not talk through our visitor's cookies. */
static bool is_origin_welcome(const struct req *rq, const struct texts *origins)
{
    struct slice origin = h1_get(rq->h1, HEADER_ORIGIN);
    if (!origin.ptr)
        return true; /* no browser */
    ptrdiff_t scheme = slice_search(origin, SLICE("://"));
    struct slice host = scheme < 0 ? origin : slice_skip(origin, (size_t)scheme + 3);
    for (size_t i = 0; i < origins->n; i++) {
        struct slice allowed = origins->items[i].s;
        if (slice_is(allowed, "self") ? slice_eq_nocase(host, rq->h1->host)
                                      : slice_is(allowed, "*") || slice_eq_nocase(allowed, origin))
            return true;
    }
    return false;
}

static bool start(struct req *rq, struct err *e)
{
    struct edge *g = rq->site;
    const struct h1_request *h1 = rq->h1;
    struct buf head;
    if (!access_check(rq, g->conf, e))
        return false;
    if (h1->upgrade && !is_origin_welcome(rq, &g->conf->websocket.origins))
        return err_set(
            e, ERR_FORBIDDEN,
            "This origin may not open a connection here; backend.websocket.origins lists "
            "those that may.");
    buf_init(&head, 128u << 10); /* a head and its path in escapes are less */
    forward_request(&head, rq, g->conf);
    bool has_body = h1->chunked || h1->content_length > 0;
    const struct call_options o = {
        .head = buf_slice(&head),
        .method = rq->method,
        .body = !has_body     ? CALL_BODY_NONE
                : h1->chunked ? CALL_BODY_CHUNKED
                              : CALL_BODY_LENGTH,
        .is_upgrade = h1->upgrade,
        .may_repeat = is_safe(rq->method) && !has_body,
        .head_ms = (uint32_t)g->conf->timeout_ms,
        .idle_ms = (uint32_t)g->conf->timeout_ms,
    };
    struct proxy *p = mem_new(struct proxy);
    p->rq = rq;
    p->waiter.body = on_body;
    p->waiter.close = done;
    p->source.pull = pull;
    p->source.close = source_closed;
    p->call.on_event = on_event;
    call_start(&p->call, edge_dial(g, rq->loop), &o);
    buf_done(&head);
    return reply_later(rq, &p->waiter);
}

const struct route proxy_route = {
    .path = "/",
    .name = "backend",
    .methods = ON_ANY,
    .handle = start,
    .max_body = 1, /* edge_find says */
    .is_streamed = true,
};
