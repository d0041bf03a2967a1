/* Is a backend ready, and does it stay well?
 *
 *   health_begin   until backend.health.path answers 2xx, or without one until a connection opens,
 *                  it is not ready
 *   next_round     then every so often path and the deep ones are asked, one after the other
 *   judge          after a round: well, degraded, or to be restarted
 *
 * A restart that did not help doubles the failures until the next one: with a dead database behind
 * it, an app is better degraded than always starting. */
#include "edge/backend_impl.h"

#include <string.h>
#include <unistd.h>

#define LOOK_MS      20 /* between two looks while it starts */
#define LOOK_LATE_MS 250
#define ASK_MS       100  /* the same for one that answers, but not well */
#define LATE_MS      5000 /* not ready for this long: worth a line in the log */
#define BODY_MAX     (1u << 20)
#define VAIN_MAX     6 /* doublings */

static struct loop *home(const struct instance *i)
{
    return backend_home(i->of);
}

static bool is_starting(const struct instance *i)
{
    return !instance_is_ready(i);
}

/* ---- while it starts --------------------------------------------------------------------------
 */

static void become_ready(struct instance *i)
{
    const struct backend *b = i->of;
    log_line(LOG_INFO, "the backend is ready", F_STR("app", b->app), F_INT("instance", i->number),
             F_INT("ms", loop_now_ms(home(i)) - i->begun_ms));
    atomic_store(&i->state, BACKEND_READY);
    i->was_ready = true;
    i->health.at = 0;
    if (b->n_questions > (b->has_path ? 1u : 0u)) /* what is behind it was not asked for yet */
        timer_set(&i->timer, home(i), 0);
    else if (b->n_questions)
        timer_set(&i->timer, home(i), b->every_ms);
}

/* Whoever listens somewhere else would wonder for ever. */
static void tell_if_late(struct instance *i)
{
    char where[ADDRESS_TEXT_LEN];
    const struct backend *b = i->of;
    if (i->health.is_told_late || loop_now_ms(home(i)) - i->begun_ms < LATE_MS)
        return;
    i->health.is_told_late = true;
    address_text(&i->address, where);
    if (b->has_path)
        log_line(LOG_WARN, "the backend is not ready yet", F_STR("app", b->app),
                 F_CSTR("at", where), F_STR("path", b->questions[0]), F_CSTR("why", i->health.why));
    else
        log_line(LOG_WARN, "the backend does not listen yet", F_STR("app", b->app),
                 F_CSTR("at", where),
                 F_CSTR("told_by", i->address.path[0] ? "$DAIS_SOCKET" : "$PORT on 127.0.0.1"));
}

static void look_again(struct instance *i, int64_t ms)
{
    int64_t since = loop_now_ms(home(i)) - i->begun_ms;
    int64_t late_ms = i->of->is_ours ? LOOK_LATE_MS : i->of->every_ms;
    tell_if_late(i);
    timer_set(&i->timer, home(i), since >= LATE_MS && ms < late_ms ? late_ms : ms);
}

static void on_probe_closed(struct watch *w)
{
    instance_watch_closed(container_of(w, struct instance, health.probe));
}

static void end_probe(struct health *h)
{
    if (!h->is_probing)
        return;
    h->is_probing = false;
    watch_close(&h->probe, on_probe_closed);
    close(h->probe_fd);
}

/* Where nobody listens at a port of the kernel's own range, a connection to it may be given that
 * very port, and then is one with itself. */
static bool is_with_itself(int fd)
{
    struct sockaddr_storage here = {0}, there = {0};
    socklen_t n = sizeof here, m = sizeof there;
    return getsockname(fd, (struct sockaddr *)&here, &n) == 0 &&
           getpeername(fd, (struct sockaddr *)&there, &m) == 0 && here.ss_family != AF_UNIX &&
           n == m && memcmp(&here, &there, n) == 0;
}

static void on_probe(struct watch *w, int events)
{
    struct instance *i = container_of(w, struct instance, health.probe);
    int why = 0;
    socklen_t n = sizeof why;
    (void)events;
    getsockopt(i->health.probe_fd, SOL_SOCKET, SO_ERROR, &why, &n);
    bool is_there = why == 0 && !is_with_itself(i->health.probe_fd);
    end_probe(&i->health);
    if (!is_there)
        look_again(i, LOOK_MS);
    else
        become_ready(i);
}

static void probe(struct instance *i)
{
    struct health *h = &i->health;
    struct err ignored;
    h->probe_fd = address_connect(&i->address, &ignored);
    if (h->probe_fd >= 0 && watch_open(&h->probe, home(i), h->probe_fd, &ignored)) {
        h->is_probing = true;
        i->open_watches++;
        h->probe.on_ready = on_probe;
        watch_want(&h->probe, WATCH_WRITE);
        return;
    }
    if (h->probe_fd >= 0)
        close(h->probe_fd);
    look_again(i, LOOK_MS);
}

/* ---- the verdict of a round -------------------------------------------------------------------
 */

static size_t worst_question(const struct instance *i)
{
    size_t worst = 0;
    for (size_t k = 1; k < i->of->n_questions; k++) {
        if (i->health.failed[k] > i->health.failed[worst])
            worst = k;
    }
    return worst;
}

static bool is_beyond_hope(const struct instance *i, unsigned failed)
{
    unsigned vain = i->health.vain < VAIN_MAX ? i->health.vain : VAIN_MAX;
    int64_t patience = i->of->restart_after << vain;
    return i->of->is_ours && patience && failed >= patience;
}

static void judge(struct instance *i)
{
    struct health *h = &i->health;
    size_t worst = worst_question(i);
    unsigned failed = h->failed[worst];
    struct slice path = i->of->questions[worst];
    bool was_well = atomic_load(&i->state) == BACKEND_READY;
    timer_set(&i->timer, home(i), i->of->every_ms);
    if (failed == 0) {
        h->vain = 0;
        atomic_store(&i->state, BACKEND_READY);
        if (!was_well)
            log_line(LOG_INFO, "the backend is well again", F_STR("app", i->of->app),
                     F_INT("instance", i->number));
        return;
    }
    if (was_well)
        log_line(LOG_WARN, "the backend is degraded", F_STR("app", i->of->app),
                 F_INT("instance", i->number), F_STR("path", path), F_CSTR("why", h->why));
    atomic_store(&i->state, BACKEND_DEGRADED);
    if (!is_beyond_hope(i, failed))
        return;
    log_line(LOG_ERROR, "the backend is restarted", F_STR("app", i->of->app),
             F_INT("instance", i->number), F_STR("path", path), F_INT("failed", failed),
             F_CSTR("why", h->why));
    h->vain++;
    instance_restart(i);
}

static void take_answer(struct instance *i, bool is_well)
{
    struct health *h = &i->health;
    if (is_starting(i)) {
        if (is_well)
            become_ready(i);
        else
            look_again(i, h->call.error.code == ERR_UNREACHABLE ? LOOK_MS : ASK_MS);
        return;
    }
    h->failed[h->at] = is_well ? 0 : h->failed[h->at] + 1;
    i->probes_failed += !is_well;
    bool says_nothing = !is_well && h->at == 0 && i->of->has_path;
    if (!says_nothing && ++h->at < i->of->n_questions) {
        timer_set(&i->timer, home(i), 0);
        return;
    }
    h->at = 0;
    judge(i);
}

/* ---- one question -----------------------------------------------------------------------------
 */

static void answered(struct instance *i, const char *why)
{
    struct health *h = &i->health;
    call_end(&h->call);
    h->is_asking = false;
    timer_off(&i->timer);
    if (why)
        snprintf(h->why, sizeof h->why, "%s", why);
    take_answer(i, !why);
}

/* To its end, which spares the backend a broken connection; only the status counts. */
static void read_answer(struct instance *i)
{
    struct health *h = &i->health;
    struct buf bytes;
    char why[40];
    enum io io;
    buf_init(&bytes, 128u << 10);
    while ((io = call_read(&h->call, &bytes, 16384)) == IO_OK && h->bytes < BODY_MAX) {
        h->bytes += bytes.len;
        buf_clear(&bytes);
    }
    buf_done(&bytes);
    int status = h->call.answer.status;
    snprintf(why, sizeof why, "it answered %d", status);
    if (io == IO_FAIL)
        answered(i, h->call.error.msg);
    else if (io != IO_MORE)
        answered(i, status / 100 == 2 ? NULL : why);
}

static void on_call(struct call *c, enum call_event event)
{
    struct instance *i = container_of(c, struct instance, health.call);
    if (event == CALL_FAILED)
        answered(i, c->error.msg);
    else if (event == CALL_HEAD || event == CALL_READABLE)
        read_answer(i);
}

static void ask(struct instance *i)
{
    struct health *h = &i->health;
    const struct backend *b = i->of;
    struct buf head;
    if (!h->dial)
        h->dial = dial_new(home(i), &(struct dial_options){.to = i->address});
    buf_init(&head, 16384);
    buf_add_str(&head, "GET ");
    path_encode(&head, b->questions[h->at]);
    buf_printf(&head, " HTTP/1.1\r\nHost: %.*s\r\nUser-Agent: dais-health\r\nAccept: */*\r\n",
               SLICE_ARGS(b->authority));
    buf_add_str(&head, "Connection: close\r\n\r\n");
    must(!head.full);
    const struct call_options o = {.head = buf_slice(&head), .method = METHOD_GET};
    h->call = (struct call){.on_event = on_call};
    h->bytes = 0;
    h->is_asking = true;
    call_start(&h->call, h->dial, &o);
    buf_done(&head);
    timer_set(&i->timer, home(i), b->timeout_ms);
}

/* ---- when ---------------------------------------------------------------------------------------
 */

void health_on_timer(struct instance *i)
{
    struct health *h = &i->health;
    if (h->is_asking) {
        h->call.error.code = ERR_GATEWAY_TIMEOUT;
        answered(i, "it did not answer in time");
    } else if (is_starting(i) && !i->of->has_path) {
        probe(i);
    } else {
        ask(i);
    }
}

void health_begin(struct instance *i)
{
    struct health *h = &i->health;
    h->is_told_late = false;
    h->at = 0;
    snprintf(h->why, sizeof h->why, "it does not listen");
    memset(h->failed, 0, i->of->n_questions * sizeof *h->failed);
    if (i->of->is_ours || i->of->has_path)
        timer_set(&i->timer, home(i), LOOK_MS);
    else
        become_ready(i);
}

void health_stop(struct instance *i)
{
    struct health *h = &i->health;
    end_probe(h);
    if (h->is_asking)
        call_end(&h->call);
    h->is_asking = false;
}

void health_init(struct instance *i)
{
    i->health.failed =
        arena_zalloc(&i->of->arena, (i->of->n_questions + 1) * sizeof *i->health.failed);
}

void health_done(struct instance *i)
{
    if (i->health.dial)
        dial_free(i->health.dial);
    i->health.dial = NULL;
}
