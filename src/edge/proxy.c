/* One request to the backend and its answer, both ways bit by bit.
 *
 *   start      the head goes out; the body follows as the backend takes it
 *   on_head    the answer's head goes to the client, its body is pulled when there is room
 *   on_failed  502, 503 or 504; or, once the answer has begun, the connection breaks off
 *   done       the client has it all, or is gone: the backend's connection is kept or closed */
#include "edge/edge_impl.h"

#include <stdlib.h>

#define LOOK_MS          20    /* how often a request looks whether the backend has started */
#define PATIENCE_MS      30000 /* and for how long */
#define PAGE_PATIENCE_MS 1500  /* of a person; then a page says so and loads itself again */

struct proxy {
    struct waiter waiter;
    struct source source;
    struct call call;
    struct tunnel *tunnel; /* NULL: it is none */
    struct req *rq;
    struct instance *instance; /* the one it is for; NULL while none is ready */
    struct slice identity;     /* what the backend is told about who asks */
    struct outgoing outgoing;
    struct caching *caching;    /* NULL: there is no cache */
    struct rewriter *rewriter;  /* of the answer's body; NULL: it passes as it is */
    struct timer timer;         /* while the backend starts */
    struct session_watch watch; /* of an answer that may have no end */
    int64_t patience_ends_ms;
    bool is_calling, is_answered, is_repeated;
    bool is_end_given; /* of the body, alone: it is not given again */
    bool lasts;        /* perhaps for ever */
};

/* ---- the answer's body ---------------------------------------------------------------------- */

static void log_failure(const struct proxy *p, const char *why)
{
    log_line(LOG_WARN, "the backend failed", F_CSTR("request", p->rq->id),
             F_STR("path", p->rq->path), F_CSTR("why", why));
}

/* What breaks off here is found by who pulls; nobody else hears of it. */
static enum io pulled(const struct proxy *p, enum io io)
{
    if (io == IO_FAIL)
        log_failure(p, p->call.error.msg);
    return io;
}

static enum io pull(struct source *s, struct buf *to, size_t room)
{
    struct proxy *p = container_of(s, struct proxy, source);
    size_t had = to->len;
    enum io io = p->rewriter ? rewriter_read(p->rewriter, &p->call, to, room)
                             : call_read(&p->call, to, room);
    if (p->caching && (io == IO_OK || io == IO_EOF))
        caching_take(p->caching, p->rq, slice_skip(buf_slice(to), had), io == IO_EOF);
    return pulled(p, io);
}

static uint64_t movable(struct source *s)
{
    return call_movable(&container_of(s, struct proxy, source)->call);
}

static enum io move(struct source *s, int pipe, size_t most, size_t *ret_n)
{
    struct proxy *p = container_of(s, struct proxy, source);
    return pulled(p, call_move(&p->call, pipe, most, ret_n));
}

static void source_closed(struct source *s)
{
    (void)s; /* the waiter, which closes after it, holds it all */
}

/* ---- the answer's head ---------------------------------------------------------------------- */

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

static void answer_starting(struct proxy *p)
{
    const struct edge *g = p->rq->site;
    const char *excuse = backend_excuse(g->backend);
    log_failure(p, "it has not started");
    p->is_answered = true;
    reply_starting(p->rq, excuse ? excuse : "The app is starting; try again in a moment.");
    waiter_answer(&p->waiter);
}

/* It keeps ending, or what comes before its first start failed. */
static void answer_failing(struct proxy *p)
{
    const struct edge *g = p->rq->site;
    const char *excuse = backend_excuse(g->backend);
    struct err e;
    log_failure(p, excuse ? "it could not be started" : "it keeps ending");
    err_set(&e, ERR_UNAVAILABLE, "%s",
            excuse
                ? excuse
                : "The app ends as soon as it is started, and is tried again; its log says why.");
    p->is_answered = true;
    reply_error(p->rq, &e);
    waiter_answer(&p->waiter);
}

static void leave_instance(struct proxy *p)
{
    if (p->instance)
        backend_release(p->instance, p->lasts);
    p->instance = NULL;
    p->lasts = false;
}

/* A tunnel or a stream of events: whoever takes the process away need not wait for its end. */
static void note_lasting(struct proxy *p)
{
    const struct h1_response *answer = &p->call.answer;
    struct slice type = h1_get(&answer->head, HEADER_CONTENT_TYPE);
    p->lasts = answer->status == 101 || slice_starts_nocase(type, SLICE("text/event-stream"));
    if (p->lasts)
        backend_lasts(p->instance);
}

static bool is_websocket(const struct h1_response *answer)
{
    return answer->head.upgrade &&
           slice_eq_nocase(h1_get(&answer->head, HEADER_UPGRADE), SLICE("websocket"));
}

static struct tunnel *open_tunnel(struct proxy *p)
{
    const struct edge *g = p->rq->site;
    const struct tunnel_options o = {
        .conf = &g->conf->websocket,
        .rq = p->rq,
        .call = &p->call,
        .waiter = &p->waiter,
    };
    return tunnel_new(&o);
}

static void session_ended(struct session_watch *w)
{
    struct proxy *p = container_of(w, struct proxy, watch);
    log_line(LOG_INFO, "a stream ended with its session", F_CSTR("request", p->rq->id),
             F_STR("path", p->rq->path));
    if (p->tunnel)
        tunnel_session_ended(p->tunnel);
    else
        waiter_cut(&p->waiter);
}

/* Before the answer: a tunnel's request has nothing left then. */
static void watch_session(struct proxy *p)
{
    const struct h1_response *answer = &p->call.answer;
    bool has_end = answer->head.has_length || answer->status == 204 || answer->status == 304;
    if (has_end && answer->status != 101)
        return;
    p->watch.ended = session_ended;
    session_watch(p->rq, &p->watch);
}

static void reply_body(struct proxy *p)
{
    const struct h1_response *answer = &p->call.answer;
    struct req *rq = p->rq;
    int status = answer->status;
    if (status == 101)
        reply_tunnel(rq, tunnel_source(p->tunnel));
    else if (status == 204 || status == 304)
        reply_empty(rq, status);
    else if (answer->head.has_length && !p->rewriter)
        reply_sized_source(rq, status, answer->head.content_length, &p->source);
    else
        reply_source(rq, status, NULL, &p->source);
}

static void begin_rewriting(struct proxy *p)
{
    const struct edge *g = p->rq->site;
    p->rewriter = rewriter_new(g->web_conf, p->rq->path);
}

/* True: it was answered from the cache. */
static bool meet_cache(struct proxy *p, struct slice lines)
{
    if (!p->caching || !caching_meet(p->caching, p->rq, &p->outgoing, &p->call.answer, lines))
        return false;
    p->is_answered = true;
    waiter_answer(&p->waiter);
    return true;
}

static void on_head(struct proxy *p)
{
    struct buf lines;
    const struct h1_response *answer = &p->call.answer;
    if (answer->status > 599) {
        answer_failure(p, ERR_BAD_GATEWAY, "its status is none");
        return;
    }
    if (answer->status == 101 && !is_websocket(answer)) {
        answer_failure(p, ERR_BAD_GATEWAY, "it switched to another protocol than asked for");
        return;
    }
    outgoing_meet(&p->outgoing, p->rq->site, answer);
    if (p->outgoing.is_rewritten)
        begin_rewriting(p);
    buf_init(&lines, 128u << 10);
    forward_answer(&lines, answer, p->rq, &p->outgoing);
    size_t everybodys = lines.len; /* what follows is for this visitor alone */
    struct slice control = outgoing_cache_control(&p->outgoing, answer->status);
    if (!caching_judge(answer, control, &(struct cache_terms){0})) /* a copy would spread it */
        sticky_answer(&lines, p->rq->site, p->rq, backend_number(p->instance));
    note_lasting(p);
    if (answer->status == 101)
        buf_add(&lines, SLICE("Upgrade: websocket\r\n"));
    if (lines.full) { /* a mount makes it longer */
        buf_done(&lines);
        answer_failure(p, ERR_BAD_GATEWAY, "its head is too large");
        return;
    }
    struct slice kept = arena_dup(p->rq->arena, buf_slice(&lines));
    buf_done(&lines);
    if (meet_cache(p, slice_first(kept, everybodys)))
        return;
    if (p->rewriter ||
        (p->caching && p->caching->is_keeping)) { /* its bytes have to pass through our hands */
        p->source.movable = NULL;
        p->source.move = NULL;
    }
    reply_prebuilt(p->rq, kept);
    if (answer->status == 101)
        p->tunnel = open_tunnel(p);
    watch_session(p);
    reply_body(p);
    p->is_answered = true;
    waiter_answer(&p->waiter);
}

static void be_patient(struct proxy *p)
{
    uint32_t ms = req_is_page_load(p->rq) ? PAGE_PATIENCE_MS : PATIENCE_MS;
    p->patience_ends_ms = loop_now_ms(p->rq->loop) + ms;
}

static bool is_safe(const struct req *rq)
{
    struct slice other;
    uint32_t at = 0;
    return edge_is_reading(rq->method) && !rq->h1->chunked && !rq->h1->content_length &&
           !h1_next_override(rq->h1, &at, &other);
}

/* The process died with the request, perhaps, but gave no byte of an answer: once more. Not at
 * once, or the new connection would end in what is left of the old process. */
static bool is_worth_repeating(struct proxy *p)
{
    if (!backend_is_ours(p->instance) || p->is_repeated || p->call.has_begun || !is_safe(p->rq) ||
        p->call.error.code != ERR_BAD_GATEWAY)
        return false;
    p->is_repeated = true;
    be_patient(p);
    return true;
}

/* Nothing was sent, and the process is about to be started again. */
static bool is_down(const struct proxy *p)
{
    return backend_is_ours(p->instance) && p->call.error.code == ERR_UNREACHABLE;
}

static void wait_again(struct proxy *p)
{
    call_end(&p->call);
    p->is_calling = false;
    leave_instance(p);
    timer_set(&p->timer, p->rq->loop, LOOK_MS);
}

static void on_failed(struct proxy *p)
{
    const struct err *e = &p->call.error;
    if (p->tunnel) {
        tunnel_failed(p->tunnel);
    } else if (p->is_answered) {
        log_failure(p, e->msg);
        waiter_cut(&p->waiter);
    } else if (is_worth_repeating(p)) {
        wait_again(p);
    } else if (!is_down(p)) {
        answer_failure(p, e->code, e->msg);
    } else if (loop_now_ms(p->rq->loop) < p->patience_ends_ms) {
        wait_again(p);
    } else {
        answer_starting(p);
    }
}

static void on_event(struct call *c, enum call_event event)
{
    struct proxy *p = container_of(c, struct proxy, call);
    switch (event) {
    case CALL_WRITABLE:
        if (p->tunnel)
            tunnel_writable(p->tunnel);
        else
            waiter_want(&p->waiter);
        break;
    case CALL_HEAD:
        on_head(p);
        break;
    case CALL_READABLE:
        source_wake(p->tunnel ? tunnel_source(p->tunnel) : &p->source);
        break;
    case CALL_FAILED:
        on_failed(p);
        break;
    }
}

/* ---- the request ---------------------------------------------------------------------------- */

static void on_body(struct waiter *w, struct slice *in, bool is_last)
{
    struct proxy *p = container_of(w, struct proxy, waiter);
    if (p->tunnel) {
        tunnel_body(p->tunnel, in, is_last);
        return;
    }
    p->is_end_given |= is_last && in->len == 0;
    if (p->is_calling)
        call_send(&p->call, in, is_last);
}

static void done(struct waiter *w)
{
    struct proxy *p = container_of(w, struct proxy, waiter);
    timer_off(&p->timer);
    session_unwatch(p->rq, &p->watch);
    tunnel_free(p->tunnel);
    if (p->is_calling)
        call_end(&p->call);
    leave_instance(p);
    rewriter_free(p->rewriter);
    if (p->caching)
        caching_end(p->caching);
    free(p->caching);
    free(p);
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

/* The head goes out, on a connection that waits or a new one. */
static void go(struct proxy *p)
{
    struct req *rq = p->rq;
    struct edge *g = rq->site;
    const struct h1_request *h1 = rq->h1;
    struct buf head;
    buf_init(&head, 128u << 10); /* a head and its path in escapes are less */
    forward_request(&head, rq, g, p->identity, &p->outgoing);
    bool has_body = h1->chunked || h1->content_length > 0;
    uint32_t timeout_ms = (uint32_t)bounds_timeout_ms(g->conf, rq->path);
    const struct call_options o = {
        .head = buf_slice(&head),
        .method = rq->method,
        .body = !has_body     ? CALL_BODY_NONE
                : h1->chunked ? CALL_BODY_CHUNKED
                              : CALL_BODY_LENGTH,
        .is_upgrade = forward_is_upgrade(h1),
        .may_repeat = is_safe(rq),
        .does_caller = backend_is_ours(p->instance),
        .head_ms = timeout_ms,
        .idle_ms = timeout_ms,
        .tunnel_ms = CALL_FOR_EVER, /* the tunnel has a clock of its own */
    };
    p->call = (struct call){.on_event = on_event};
    p->is_calling = true;
    call_start(&p->call, backend_dial(p->instance, rq->loop), &o);
    buf_done(&head);
    if (p->is_end_given)
        call_send(&p->call, &(struct slice){0}, true);
}

/* A process that starts is worth waiting for. */
static void go_when_ready(struct proxy *p)
{
    const struct edge *g = p->rq->site;
    enum pick why;
    p->instance = backend_pick(g->backend, sticky_wanted(g, p->rq), &why);
    if (p->instance)
        go(p);
    else if (why == PICK_FAILING)
        answer_failing(p);
    else if (loop_now_ms(p->rq->loop) < p->patience_ends_ms)
        timer_set(&p->timer, p->rq->loop, LOOK_MS);
    else
        answer_starting(p);
}

static void on_look(struct timer *t, struct loop *l)
{
    (void)l;
    go_when_ready(container_of(t, struct proxy, timer));
}

/* A person who has to sign in first: to the page for that, and back here afterwards. */
static bool send_to_sign_in(struct req *rq)
{
    struct buf here, to;
    buf_init(&here, 64u << 10);
    buf_init(&to, 256u << 10);
    buf_add(&here, rq->mount);
    path_encode(&here, rq->path);
    if (rq->query.len)
        buf_add_char(&here, '?');
    buf_add(&here, rq->query);
    buf_add(&to, rq->mount);
    buf_add_str(&to, "/_/sign-in?next=");
    percent_encode(&to, buf_slice(&here));
    bool fits = !here.full && !to.full;
    struct slice location = fits ? arena_dup(rq->arena, buf_slice(&to)) : (struct slice){0};
    buf_done(&here);
    buf_done(&to);
    if (!fits)
        location = arena_printf(rq->arena, "%.*s/_/sign-in", SLICE_ARGS(rq->mount));
    return reply_redirect(rq, 303, location);
}

static bool refused(struct req *rq, const struct edge *g, const struct err *e)
{
    bool can_sign_in = g->has_sign_in && e->code == ERR_UNAUTHENTICATED &&
                       rq->method == METHOD_GET && !rq->h1->upgrade && req_is_page_load(rq) &&
                       !h1_get(rq->h1, HEADER_AUTHORIZATION).ptr;
    return can_sign_in && send_to_sign_in(rq);
}

static bool start(struct req *rq, struct err *e)
{
    struct edge *g = rq->site;
    struct slice identity;
    if (!access_check(rq, g->conf, e) || !identity_value(rq, g, &identity, e))
        return refused(rq, g, e);
    if (rq->h1->upgrade && !is_origin_welcome(rq, &g->conf->websocket.origins))
        return err_set(e, ERR_FORBIDDEN,
                       "This origin may not open a connection here; backend.websocket.origins "
                       "lists those that may.");
    struct proxy *p = mem_new(struct proxy);
    p->rq = rq;
    p->identity = identity;
    p->waiter.body = on_body;
    p->waiter.close = done;
    p->source.pull = pull;
    p->source.close = source_closed;
    p->source.movable = movable;
    p->source.move = move;
    p->source.is_endless = true; /* a client that hangs up ends the call */
    p->timer.fn = on_look;
    outgoing_init(&p->outgoing, g, rq);
    if (g->cache)
        p->caching = mem_new(struct caching);
    if (p->caching && caching_begin(p->caching, g->cache, rq, &p->outgoing)) {
        free(p->caching);
        free(p);
        return true;
    }
    be_patient(p);
    reply_later(rq, &p->waiter);
    go_when_ready(p);
    return true;
}

const struct route proxy_route = {
    .path = "/",
    .name = "backend",
    .methods = ON_ANY,
    .handle = start,
    .max_body = 1, /* edge_find says */
    .is_streamed = true,
};
