/* Which process a request goes to, and how one set of processes takes over from another. */
#include "edge/backend_impl.h"

#define DRAIN_LOOK_MS  50
#define DRAIN_MIN_MS   1000  /* requests that know only this one may be on their way */
#define DRAIN_LASTS_MS 30000 /* for tunnels and event streams */
#define TRIAL_ENDS     3     /* a new one that ended so often will not take over */
#define TRIAL_MS       60000 /* nor one that is not ready by then */

const char *const backend_state_names[BACKEND_STATE_COUNT] = {
#define X(state, text) [state] = text,
    BACKEND_STATE_MAP(X)
#undef X
};

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

const char *backend_excuse(const struct backend *b)
{
    const struct backend *next;
    while ((next = atomic_load(&b->next)))
        b = next;
    return prepare_excuse(b->prepare);
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

/* ---- one takes over from another ----------------------------------------------------------------
 */

/* What keeps this one from taking over; false: nothing, or not yet. */
static bool is_in_vain(const struct instance *i, struct err *e)
{
    if (instance_is_ready(i) || !i->of->is_ours)
        return false;
    if (i->failures >= TRIAL_ENDS)
        return !err_set(e, ERR_UNAVAILABLE,
                        "its new process keeps ending: %s; the log has what it said", i->last_end);
    if (loop_now_ms(backend_home(i->of)) - i->of->began_ms >= TRIAL_MS)
        return !err_set(e, ERR_UNAVAILABLE, "its new process is not ready after %d s: %s",
                        TRIAL_MS / 1000, i->health.why);
    return false;
}

enum backend_state backend_trial(const struct backend *b, struct err *e)
{
    bool are_ready = true;
    if (b->prepare && prepare_state(b->prepare) == PREPARE_FAILED) {
        err_set(e, ERR_UNAVAILABLE, "%s; the log says more", b->instances[0].last_end);
        return BACKEND_FAILING;
    }
    err_set(e, ERR_UNAVAILABLE, "it is not ready");
    for (unsigned k = 0; b->began_ms && k < b->n; k++) {
        const struct instance *i = &b->instances[k];
        are_ready &= instance_is_ready(i) || !b->is_ours;
        if (is_in_vain(i, e))
            return BACKEND_FAILING;
    }
    return are_ready && b->began_ms ? BACKEND_READY : BACKEND_STARTING;
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

void instance_dismiss(struct instance *i)
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
        instance_dismiss(i);
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
