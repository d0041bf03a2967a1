/* A backend as a whole: made, started, asked for an instance, taken over from, ended. */
#include "edge/backend_impl.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DRAIN_LOOK_MS  50
#define DRAIN_MIN_MS   1000  /* requests that know only this one may be on their way */
#define DRAIN_LASTS_MS 30000 /* for tunnels and event streams */
#define TRIAL_ENDS     3     /* a new one that ended so often will not take over */

const char *const backend_state_names[BACKEND_STATE_COUNT] = {
#define X(state, text) [state] = text,
    BACKEND_STATE_MAP(X)
#undef X
};

struct loop *backend_home(const struct backend *b)
{
    return loops_get(b->loops, 0);
}

static enum backend_state state_of(const struct instance *i)
{
    return (enum backend_state)atomic_load(&i->state);
}

bool instance_is_ready(const struct instance *i)
{
    return state_of(i) <= BACKEND_DEGRADED;
}

/* ---- picking ------------------------------------------------------------------------------------
 */

/* Degraded ones only where none is well; whoever runs elsewhere is asked in any case. */
static bool is_better(const struct instance *i, const struct instance *than)
{
    if (!than || state_of(i) != state_of(than))
        return !than || state_of(i) < state_of(than);
    return atomic_load(&i->in_flight) < atomic_load(&than->in_flight);
}

static bool may_be_asked(const struct instance *i)
{
    return !atomic_load(&i->is_closed) && (instance_is_ready(i) || !i->of->is_ours);
}

static struct instance *best_of(struct backend *b, int wanted)
{
    struct instance *best = NULL;
    if (wanted >= 0 && (unsigned)wanted < b->n && may_be_asked(&b->instances[wanted]))
        return &b->instances[wanted];
    unsigned first = b->n > 1 ? atomic_fetch_add(&b->turn, 1) : 0;
    for (unsigned k = 0; k < b->n; k++) {
        struct instance *i = &b->instances[(first + k) % b->n];
        if (may_be_asked(i) && is_better(i, best))
            best = i;
    }
    return best;
}

/* Counted first, then looked at: on_drain closes first and then looks at the count. */
static bool enter(struct instance *i)
{
    atomic_fetch_add(&i->in_flight, 1);
    if (!atomic_load(&i->is_closed))
        return true;
    atomic_fetch_sub(&i->in_flight, 1);
    return false;
}

struct instance *backend_pick(struct backend *b, int wanted, enum pick *ret)
{
    struct backend *next;
    while ((next = atomic_load(&b->next)))
        b = next;
    struct instance *i = best_of(b, wanted);
    *ret = PICK_FINE;
    if (i && enter(i))
        return i;
    *ret = backend_state(b) == BACKEND_FAILING ? PICK_FAILING : PICK_WAIT;
    return NULL;
}

void backend_lasts(struct instance *i)
{
    atomic_fetch_add(&i->lasting, 1);
}

void backend_release(struct instance *i, bool lasted)
{
    if (lasted)
        atomic_fetch_sub(&i->lasting, 1);
    atomic_fetch_sub(&i->in_flight, 1);
}

int backend_number(const struct instance *i)
{
    return (int)i->number;
}

bool backend_is_ours(const struct instance *i)
{
    return i->of->is_ours;
}

struct dial *backend_dial(struct instance *i, struct loop *l)
{
    struct dial **at = &i->dials[loop_index(l)];
    if (!*at) {
        const struct dial_options o = {.to = i->address};
        *at = dial_new(l, &o);
    }
    return *at;
}

enum backend_state backend_state(const struct backend *b)
{
    enum backend_state best = BACKEND_ENDED;
    for (unsigned k = 0; k < b->n; k++) {
        enum backend_state state = state_of(&b->instances[k]);
        best = state < best ? state : best;
    }
    return best;
}

/* ---- its life -----------------------------------------------------------------------------------
 */

void backend_start(struct backend *b)
{
    if (b->is_started)
        return;
    b->is_started = true;
    list_add(b->all, &b->link);
    for (unsigned k = 0; k < b->n; k++)
        instance_begin(&b->instances[k]);
}

enum backend_state backend_trial(const struct backend *b, struct err *e)
{
    bool are_ready = true;
    for (unsigned k = 0; k < b->n; k++) {
        const struct instance *i = &b->instances[k];
        are_ready &= instance_is_ready(i) || !b->is_ours;
        err_set(e, ERR_UNAVAILABLE, "its new process is not ready: %s", i->health.why);
        if (instance_is_ready(i) || i->failures < TRIAL_ENDS)
            continue;
        err_set(e, ERR_UNAVAILABLE, "its new process keeps ending: %s; the log has what it said",
                i->last_end);
        return BACKEND_FAILING;
    }
    return are_ready ? BACKEND_READY : BACKEND_STARTING;
}

/* Closed first, then counted: see enter. */
static bool try_close(struct instance *i)
{
    int64_t since = loop_now_ms(backend_home(i->of)) - i->retired_ms;
    atomic_store(&i->is_closed, true);
    unsigned lasting = atomic_load(&i->lasting), in_flight = atomic_load(&i->in_flight);
    bool has_none = in_flight == 0 && since >= DRAIN_MIN_MS;
    if (has_none || (in_flight <= lasting && since >= DRAIN_LASTS_MS))
        return true;
    atomic_store(&i->is_closed, false);
    return false;
}

static void stop_instance(struct instance *i)
{
    if (i->of->is_retired && i->process && !i->is_stopping)
        log_line(LOG_INFO, "the old backend is ended", F_STR("app", i->of->app),
                 F_INT("instance", i->number), F_INT("cut", atomic_load(&i->in_flight)),
                 F_INT("ms", loop_now_ms(backend_home(i->of)) - i->retired_ms));
    timer_off(&i->drain_timer);
    instance_stop(i);
}

static void on_drain(struct timer *t, struct loop *l)
{
    struct instance *i = container_of(t, struct instance, drain_timer);
    if (try_close(i))
        stop_instance(i);
    else
        timer_set(t, l, DRAIN_LOOK_MS);
}

static uint64_t ends_of(const struct backend *b)
{
    uint64_t n = b->ends_before;
    for (unsigned k = 0; k < b->n; k++)
        n += b->instances[k].ends;
    return n;
}

void backend_retire(struct backend *b, struct backend *next)
{
    if (b->is_retired)
        return;
    b->is_retired = true;
    if (next) {
        next->ends_before += ends_of(b);
        atomic_store(&b->next, backend_ref(next));
    }
    for (unsigned k = 0; k < b->n; k++) {
        struct instance *i = &b->instances[k];
        i->retired_ms = loop_now_ms(backend_home(b));
        i->drain_timer.fn = on_drain;
        timer_set(&i->drain_timer, backend_home(b), DRAIN_LOOK_MS);
    }
}

struct backend *backend_ref(struct backend *b)
{
    atomic_fetch_add(&b->refs, 1);
    return b;
}

/* ---- its end ------------------------------------------------------------------------------------
 */

static void free_backend(struct backend *b)
{
    for (unsigned k = 0; k < b->n; k++) {
        timer_off(&b->instances[k].timer);
        if (b->instances[k].address.path[0] && b->is_ours)
            unlink(b->instances[k].address.path);
        free(b->instances[k].dials);
    }
    free(b->instances);
    arena_done(&b->arena);
    free(b);
}

void backend_gone(struct backend *b)
{
    if (atomic_load(&b->refs))
        return;
    for (unsigned k = 0; k < b->n; k++) {
        if (b->instances[k].process || b->instances[k].open_watches)
            return;
    }
    if (b->is_started)
        list_remove(&b->link);
    free_backend(b);
}

void instance_watch_closed(struct instance *i)
{
    i->open_watches--;
    backend_gone(i->of);
}

struct farewell {
    struct post post;
    struct dial *dial;
};

static void on_farewell(struct post *p, struct loop *l)
{
    struct farewell *f = container_of(p, struct farewell, post);
    (void)l;
    dial_free(f->dial);
    free(f);
}

/* A dial ends on its own loop. */
static void free_dials(struct instance *i)
{
    for (unsigned k = 0; k < loops_count(i->of->loops); k++) {
        if (!i->dials[k])
            continue;
        struct farewell *f = mem_new(struct farewell);
        f->dial = i->dials[k];
        f->post.fn = on_farewell;
        i->dials[k] = NULL;
        loop_post(loops_get(i->of->loops, k), &f->post);
    }
}

/* After the loops have ended nobody else is left to wait for it. A post of its own: all that stop
 * are told before the first is waited for. */
static void wait_for_end(struct post *p, struct loop *l)
{
    struct backend *b = container_of(p, struct backend, post);
    (void)l;
    for (unsigned k = 0; k < b->n; k++)
        instance_wait(&b->instances[k]);
    backend_gone(b);
}

static void stop(struct post *p, struct loop *l)
{
    struct backend *b = container_of(p, struct backend, post);
    for (unsigned k = 0; k < b->n; k++) {
        stop_instance(&b->instances[k]);
        health_done(&b->instances[k]);
        free_dials(&b->instances[k]);
    }
    backend_unref(atomic_exchange(&b->next, NULL));
    if (loop_is_here(l)) {
        backend_gone(b);
        return;
    }
    b->post.fn = wait_for_end;
    loop_post(l, &b->post);
}

void backend_unref(struct backend *b)
{
    if (!b || atomic_fetch_sub(&b->refs, 1) > 1)
        return;
    b->post.fn = stop;
    loop_post(backend_home(b), &b->post);
}

/* ---- making -------------------------------------------------------------------------------------
 */

static struct pairs copy_pairs(struct arena *a, const struct pairs *from)
{
    struct pairs to = {.n = from->n};
    to.items = arena_zalloc(a, from->n * sizeof *to.items);
    for (size_t i = 0; i < from->n; i++) {
        to.items[i].key.s = slice_from(arena_cstr(a, from->items[i].key.s));
        to.items[i].value.s = slice_from(arena_cstr(a, from->items[i].value.s));
    }
    return to;
}

static void copy_health(struct backend *b, const struct health_conf *conf)
{
    size_t n = 0;
    b->has_path = conf->path.s.len > 0;
    b->questions = arena_zalloc(&b->arena, (conf->deep.n + 1) * sizeof *b->questions);
    if (b->has_path)
        b->questions[n++] = arena_dup(&b->arena, conf->path.s);
    for (size_t k = 0; k < conf->deep.n; k++)
        b->questions[n++] = arena_dup(&b->arena, conf->deep.items[k].s);
    b->n_questions = n;
    b->every_ms = conf->every_ms;
    b->timeout_ms = conf->timeout_ms;
    b->restart_after = conf->restart_after;
}

static void copy_options(struct backend *b, const struct backend_options *o)
{
    struct arena *a = &b->arena;
    char *dir = realpath(arena_cstr(a, o->dir), NULL);
    b->app = arena_dup(a, o->app);
    b->run = slice_from(arena_cstr(a, o->conf->run.s));
    b->dir = slice_from(arena_cstr(a, slice_from(dir ? dir : "/")));
    free(dir);
    b->authority = arena_dup(a, o->to ? o->authority : SLICE("localhost"));
    b->own_env = copy_pairs(a, o->env);
    b->is_ours = !o->to;
    b->memory_bytes = o->conf->limits.memory_bytes;
    b->loops = o->loops;
    b->spawner = o->spawner;
    b->all = o->all;
    copy_health(b, &o->conf->health);
}

static bool make_instance(struct instance *i, const struct backend_options *o, struct err *e)
{
    atomic_store(&i->state, BACKEND_STARTING);
    if (!instance_address(i, o, e))
        return false;
    i->dials = mem_zalloc(loops_count(o->loops) * sizeof(struct dial *));
    if (i->of->is_ours)
        instance_env(i);
    health_init(i);
    return true;
}

struct backend *backend_new(const struct backend_options *o, struct err *e)
{
    struct backend *b = mem_new(struct backend);
    atomic_store(&b->refs, 1);
    arena_init(&b->arena, 8u << 20);
    copy_options(b, o);
    b->n = b->is_ours ? (unsigned)o->conf->instances : 1;
    b->instances = mem_zalloc(b->n * sizeof *b->instances);
    for (unsigned k = 0; k < b->n; k++) {
        b->instances[k].of = b;
        b->instances[k].number = k;
        if (!make_instance(&b->instances[k], o, e)) {
            free_backend(b);
            return NULL;
        }
    }
    return b;
}

/* ---- comparing ----------------------------------------------------------------------------------
 */

static bool is_same_env(const struct pairs *a, const struct pairs *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = slice_eq(a->items[i].key.s, b->items[i].key.s) &&
               slice_eq(a->items[i].value.s, b->items[i].value.s);
    return same;
}

static bool is_same_health(const struct backend *b, const struct health_conf *conf)
{
    size_t n = 0;
    bool has_path = conf->path.s.len > 0;
    bool same = b->has_path == has_path && b->n_questions == conf->deep.n + has_path &&
                b->every_ms == conf->every_ms && b->timeout_ms == conf->timeout_ms &&
                b->restart_after == conf->restart_after;
    if (same && has_path)
        same = slice_eq(b->questions[n++], conf->path.s);
    for (size_t k = 0; same && k < conf->deep.n; k++)
        same = slice_eq(b->questions[n++], conf->deep.items[k].s);
    return same;
}

static bool is_same_place(const struct backend *b, const struct backend_options *o)
{
    struct arena a;
    if (o->to) {
        const struct address *at = &b->instances[0].address;
        return !b->is_ours && at->len == o->to->len && !strcmp(at->path, o->to->path) &&
               !memcmp(&at->sa, &o->to->sa, at->len) && slice_eq(b->authority, o->authority);
    }
    arena_init(&a, 64u << 10);
    char *dir = realpath(arena_cstr(&a, o->dir), NULL);
    bool same = b->is_ours && dir && slice_is(b->dir, dir);
    free(dir);
    arena_done(&a);
    return same && b->n == (unsigned)o->conf->instances;
}

bool backend_is_same(const struct backend *b, const struct backend_options *o)
{
    return slice_eq(b->app, o->app) && slice_eq(b->run, o->conf->run.s) && is_same_place(b, o) &&
           b->memory_bytes == o->conf->limits.memory_bytes && is_same_env(&b->own_env, o->env) &&
           is_same_health(b, &o->conf->health);
}

/* ---- for people ---------------------------------------------------------------------------------
 */

static void fill_row(struct backend_row *r, const struct instance *i)
{
    const struct backend *b = i->of;
    snprintf(r->app, sizeof r->app, "%.*s", SLICE_ARGS(b->app));
    address_text(&i->address, r->address);
    memcpy(r->last_end, i->last_end, sizeof r->last_end);
    r->number = i->number;
    r->in_flight = atomic_load(&i->in_flight);
    r->pid = i->pid;
    r->state = state_of(i);
    r->is_retired = b->is_retired;
    r->age_ms = i->process || !b->is_ours ? loop_now_ms(backend_home(b)) - i->begun_ms : 0;
    r->restarts = i->ends + (i->number == 0 ? b->ends_before : 0);
    r->probes_failed = i->probes_failed;
}

struct backend_row *backend_rows(const struct list *all, size_t *ret_n)
{
    size_t n = 0;
    list_each (link, all)
        n += container_of(link, struct backend, link)->n;
    struct backend_row *rows = mem_zalloc((n + 1) * sizeof *rows);
    *ret_n = n;
    n = 0;
    list_each (link, all) {
        const struct backend *b = container_of(link, struct backend, link);
        for (unsigned k = 0; k < b->n; k++)
            fill_row(&rows[n++], &b->instances[k]);
    }
    return rows;
}
