/* An app's crew: decides on loop 0 what is due, has it written, and acts on what came of it.
 *
 *   on_ring      something was committed: perhaps there is more to claim, or one is to be cancelled
 *   on_timer     a look each second: limits of runs; the database, if it is open
 *   crew_go      whatever is due goes into one write; at most one is under way
 *   crew_written claimed jobs begin, what is written is forgotten, what failed is tried again */
#include "workers/workers_impl.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_MS       1000
#define STOP_LOOK_MS  64
#define STOP_MAX_MS   5000 /* patience with tasks and the database; programs are gone by then */
#define AGAIN_MS      300  /* after a write that failed */
#define BUSY_MS       5    /* after a claim that another one was in the way of */
#define OPEN_AGAIN_MS 2000
#define TEND_PAUSE_MS 20 /* between looks for what is due */

/* ---- readings -----------------------------------------------------------------------------------
 */

struct plan *plan_new(const struct crew_plan *p)
{
    struct plan *plan = mem_new(struct plan);
    plan->refs = 1;
    plan->of = *p;
    plan->kinds = mem_alloc((p->n + 1) * sizeof *plan->kinds);
    memcpy(plan->kinds, p->kinds, p->n * sizeof *plan->kinds);
    plan->of.kinds = plan->kinds;
    if (p->service)
        service_ref(p->service);
    return plan;
}

void plan_ref(struct plan *p)
{
    p->refs++;
}

void plan_unref(struct plan *p)
{
    if (!p || --p->refs)
        return;
    if (p->of.service)
        service_unref(p->of.service);
    free(p->kinds);
    free(p);
}

const struct worker_kind *plan_kind(const struct plan *p, const struct job_type *t)
{
    for (size_t i = 0; i < p->of.n; i++) {
        if (p->kinds[i].type == t)
            return &p->kinds[i];
    }
    must(!"a job was claimed for which there was no room");
    return NULL;
}

/* ---- there and gone -----------------------------------------------------------------------------
 */

static void on_bell(struct db_listener *l);
static void on_ring(struct post *p, struct loop *l);
static void on_timer(struct timer *t, struct loop *l);
static void conclude(struct crew *c, const struct err *e);

struct crew *crew_new(struct workers *w, struct slice slug, struct db_slot *slot,
                      const struct crew_place *place)
{
    struct crew *c = mem_new(struct crew);
    c->refs = 1;
    c->workers = w;
    workers_ref(w);
    arena_init(&c->arena, 1u << 20);
    c->slug = arena_dup(&c->arena, slug);
    c->place = (struct crew_place){.base = arena_cstr(&c->arena, slice_from(place->base)),
                                   .rest = arena_cstr(&c->arena, slice_from(place->rest)),
                                   .is_shared = place->is_shared};
    c->folder = arena_printf(&c->arena, "%s/%s", place->base, place->rest).ptr;
    c->slot = slot;
    random_id(c->mark);
    c->mark[ID_LEN] = '-';
    list_init(&c->runs);
    pthread_mutex_init(&c->lock, NULL);
    figures_init(&c->figures);
    c->bell.topic = TOPIC_JOBS;
    c->bell.fn = on_bell;
    c->ring.fn = on_ring;
    c->timer.fn = on_timer;
    crew_write_init(c);
    return c;
}

void crew_ref(struct crew *c)
{
    atomic_fetch_add(&c->refs, 1);
}

void crew_unref(struct crew *c)
{
    if (atomic_fetch_sub(&c->refs, 1) > 1)
        return;
    crew_write_done(c);
    figures_done(&c->figures);
    pthread_mutex_destroy(&c->lock);
    arena_done(&c->arena);
    workers_unref(c->workers);
    free(c);
}

/* Nothing is heard or looked for any more; runs may be left. */
static void stop_working(struct crew *c)
{
    if (!c->is_working)
        return;
    c->is_working = false;
    db_slot_unlisten(c->slot, &c->bell);
    timer_off(&c->timer);
    workers_leave(c->workers, c);
}

void crew_free(struct crew *c)
{
    if (!c)
        return;
    must(!c->is_writing);
    list_each_safe (link, &c->runs)
        run_abandon(container_of(link, struct job_run, link));
    stop_working(c);
    plan_unref(c->plan);
    c->plan = NULL;
    crew_unref(c);
}

static void sweep(struct work *w)
{
    struct crew *c = container_of(w, struct crew, sweep_work);
    folder_sweep(c->folder, slice_from(c->mark));
}

static void on_swept(struct work *w, struct loop *l)
{
    struct crew *c = container_of(w, struct crew, sweep_work);
    (void)l;
    c->is_sweeping = false;
    crew_unref(c);
}

/* What an earlier process left behind. */
static void begin_sweep(struct crew *c)
{
    if (c->is_swept)
        return;
    c->sweep_work.run = sweep;
    c->sweep_work.done = on_swept;
    c->is_swept = c->is_sweeping =
        lane_submit(workers_home(c->workers), LANE_STORE, &c->sweep_work);
    if (c->is_sweeping)
        crew_ref(c);
}

void crew_serve(struct crew *c, const struct crew_plan *plan)
{
    struct plan *before = c->plan;
    c->plan = plan ? plan_new(plan) : NULL;
    plan_unref(before);
    if (c->is_stopping || !c->plan)
        return;
    if (!c->is_working) {
        c->is_working = true;
        workers_join(c->workers, c);
        db_slot_listen(c->slot, &c->bell);
    }
    c->wants_look = true;
    timer_set(&c->timer, workers_home(c->workers), LOOK_MS);
    workers_wake_at(c->workers, clock_mono_ms());
}

/* ---- what is due --------------------------------------------------------------------------------
 */

static bool is_wall_due(const struct crew *c)
{
    return c->next_wall_ms && clock_wall_ms() >= c->next_wall_ms;
}

static struct crew_due find_due(struct crew *c, int64_t now_ms)
{
    struct crew_due due = {.has_items = crew_write_has_left(c)};
    bool has_runs = !list_is_empty(&c->runs);
    list_each (link, &c->runs) {
        const struct job_run *r = container_of(link, struct job_run, link);
        due.has_items |= atomic_load(&r->step) == RUN_FINISHED || run_note_due(r) <= now_ms;
    }
    due.is_beat = has_runs && now_ms - c->beat_ms >= JOB_BEAT_MS;
    due.has_items |= due.is_beat;
    if (!c->plan || !c->plan->of.n || c->is_stopping) {
        due.is_check = has_runs && now_ms - c->looked_ms >= LOOK_MS;
        return due;
    }
    due.is_look = c->wants_look || now_ms - c->looked_ms >= LOOK_MS || is_wall_due(c);
    due.is_check = has_runs && (due.is_look || c->wants_check);
    due.is_claim = (due.is_look || c->wants_claim) && now_ms >= c->claim_ms;
    return due;
}

static bool is_any(const struct crew_due *due)
{
    return due->has_items || due->is_look || due->is_check || due->is_claim;
}

static void wake_for_next(struct crew *c, int64_t now_ms)
{
    int64_t at = INT64_MAX;
    if (now_ms < c->retry_ms) {
        workers_wake_at(c->workers, c->retry_ms);
        return;
    }
    list_each (link, &c->runs) {
        int64_t due = run_note_due(container_of(link, struct job_run, link));
        at = due < at ? due : at;
    }
    if (c->next_wall_ms && c->plan && !c->is_stopping) {
        int64_t in_ms = c->next_wall_ms - clock_wall_ms();
        int64_t due = clock_mono_ms() + (in_ms < 1 ? 1 : in_ms);
        at = in_ms < LOOK_MS && due < at ? due : at;
    }
    if (c->wants_claim && c->claim_ms > clock_mono_ms() && c->claim_ms < at)
        at = c->claim_ms;
    if (at < INT64_MAX)
        workers_wake_at(c->workers, at);
}

/* ---- the database -------------------------------------------------------------------------------
 */

static void open_jobs(struct work *w)
{
    struct crew *c = container_of(w, struct crew, open_work);
    c->is_open = jobs_open(c->w.plan->of.jobs, &c->open_error);
}

static void on_opened(struct work *w, struct loop *l)
{
    struct crew *c = container_of(w, struct crew, open_work);
    struct plan *p = c->w.plan;
    (void)l;
    c->is_opening = false;
    c->w.plan = NULL;
    if (!c->is_open) {
        c->retry_ms = clock_mono_ms() + OPEN_AGAIN_MS;
        if (!c->is_told_down)
            log_line(LOG_ERROR, "jobs wait for their database", F_STR("app", c->slug),
                     F_CSTR("why", c->open_error.msg));
        c->is_told_down = true;
    }
    crew_go(c);
    if (c->is_open)
        jobs_leave(p->of.jobs);
    plan_unref(p);
    crew_unref(c);
}

static struct plan *present_plan(struct crew *c)
{
    if (c->plan)
        return c->plan;
    return list_is_empty(&c->runs) ? NULL : container_of(c->runs.next, struct job_run, link)->plan;
}

static void begin_opening(struct crew *c, struct plan *p)
{
    c->open_work.run = open_jobs;
    c->open_work.done = on_opened;
    c->w.plan = p;
    c->is_opening = lane_submit(workers_home(c->workers), LANE_SLOW, &c->open_work);
    if (!c->is_opening) {
        c->w.plan = NULL;
        c->retry_ms = clock_mono_ms() + AGAIN_MS;
        return;
    }
    plan_ref(p);
    crew_ref(c);
}

/* A database that nobody uses is closed, and stays so until something is due. */
static void enter_or_open(struct crew *c, struct plan *p, const struct crew_due *due,
                          int64_t now_ms)
{
    if (!jobs_enter(p->of.jobs)) {
        if (due->has_items || !c->has_tended || c->wants_claim || c->wants_look || is_wall_due(c))
            begin_opening(c, p);
        else
            c->looked_ms = now_ms;
        return;
    }
    if (due->is_look) {
        c->looked_ms = now_ms;
        c->wants_look = false;
    }
    c->wants_check = false;
    c->wants_claim &= !due->is_claim;
    crew_write_gather(c, due, now_ms);
    if (c->w.is_beat)
        c->beat_ms = now_ms;
    c->is_writing = true;
    if (crew_write_send(c, jobs_db(p->of.jobs))) {
        crew_ref(c);
    } else {
        const struct err e = {.code = ERR_UNAVAILABLE, .msg = "too many writes wait"};
        conclude(c, &e);
    }
}

/* ---- stopping -----------------------------------------------------------------------------------
 */

static void on_stop_told(struct post *p, struct loop *l)
{
    struct crew *c = container_of(p, struct crew, stop_post);
    (void)l;
    c->stopped(c->stopped_user);
}

static void abandon_rest(struct crew *c)
{
    log_line(LOG_WARN,
             "jobs could not be given back in time; others take them when their lease ends",
             F_STR("app", c->slug));
    c->w.n_ending = c->w.n_said = 0;
    list_each_safe (link, &c->runs)
        run_abandon(container_of(link, struct job_run, link));
}

static void end_if_stopped(struct crew *c)
{
    bool is_late = clock_mono_ms() > c->stop_ms;
    if (!c->is_stopping || c->is_stopped || c->is_writing || (c->is_opening && !is_late))
        return;
    if (is_late && !list_is_empty(&c->runs))
        abandon_rest(c);
    if (!list_is_empty(&c->runs))
        return;
    c->is_stopped = true;
    stop_working(c);
    c->stop_post.fn = on_stop_told;
    loop_post(workers_home(c->workers), &c->stop_post);
}

void crew_stop(struct crew *c, void (*done)(void *user), void *user)
{
    must(!c->is_stopping);
    c->is_stopping = true;
    c->stopped = done;
    c->stopped_user = user;
    c->stop_ms = clock_mono_ms() + STOP_MAX_MS;
    list_each (link, &c->runs)
        run_stop(container_of(link, struct job_run, link), WHY_STOP);
    if (c->is_working)
        timer_set(&c->timer, workers_home(c->workers), STOP_LOOK_MS);
    crew_go(c);
}

/* ---- the heart ----------------------------------------------------------------------------------
 */

void crew_go(struct crew *c)
{
    int64_t now_ms = clock_mono_ms();
    if (c->is_opening) /* that may take long: it has its time, no more */
        end_if_stopped(c);
    if (c->is_stopped || c->is_writing || c->is_opening)
        return;
    struct crew_due due = find_due(c, now_ms);
    struct plan *p = present_plan(c);
    if (is_any(&due) && now_ms >= c->retry_ms && p)
        enter_or_open(c, p, &due, now_ms);
    if (!c->is_writing && !c->is_opening)
        wake_for_next(c, now_ms);
    end_if_stopped(c);
}

/* Soon, with all others that end in the same turn. */
void crew_notice(struct crew *c)
{
    c->wants_claim |= !c->is_stopping;
    if (!c->is_writing)
        workers_wake_at(c->workers, clock_mono_ms());
}

/* On any thread. */
static void on_bell(struct db_listener *l)
{
    struct crew *c = container_of(l, struct crew, bell);
    if (atomic_exchange(&c->is_rung, true))
        return;
    crew_ref(c);
    loop_post(workers_home(c->workers), &c->ring);
}

static void on_ring(struct post *p, struct loop *l)
{
    struct crew *c = container_of(p, struct crew, ring);
    (void)l;
    atomic_store(&c->is_rung, false);
    if (c->is_working) {
        c->wants_claim = c->wants_check = true;
        crew_go(c);
    }
    crew_unref(c);
}

static void on_timer(struct timer *t, struct loop *l)
{
    struct crew *c = container_of(t, struct crew, timer);
    int64_t now_ms = clock_mono_ms();
    timer_set(&c->timer, l, c->is_stopping ? STOP_LOOK_MS : LOOK_MS);
    begin_sweep(c);
    list_each_safe (link, &c->runs)
        run_look(container_of(link, struct job_run, link), now_ms);
    crew_go(c); /* the last: it may be stopped by this */
}

/* ---- after a write ------------------------------------------------------------------------------
 */

static void begin_runs(struct crew *c, size_t from, size_t n)
{
    struct crew_write *w = &c->w;
    int64_t wall_ms = clock_wall_ms();
    for (size_t i = from; i < from + n; i++) {
        const struct job_claim *claim = &w->claims[i];
        const struct job_row *row = &claim->row;
        const char *token = i < WORKERS_PROCESSES ? w->tokens[i] : "";
        struct job_run *r = run_new(c, w->plan, claim, token, w->began_ms);
        int64_t ready_ms = row->due_ms > row->created_ms ? row->due_ms : row->created_ms;
        figures_began(&c->figures, r->type, wall_ms - ready_ms);
        if (c->is_stopping)
            run_refuse(r);
        else
            run_start(r);
    }
}

static void heed_held(struct crew *c)
{
    struct crew_write *w = &c->w;
    for (size_t i = 0; i < w->n_held; i++) {
        struct job_run *r = w->held_runs[i];
        if (w->held[i].is_lost) {
            atomic_store(&r->is_lost, true); /* its token is another run's affair now */
            run_stop(r, WHY_LEASE);
        } else if (w->is_beat) {
            run_renew(r, w->began_ms);
        }
        if (w->held[i].is_cancelled)
            run_stop(r, WHY_CANCELLED);
    }
}

/* What is due and stays so, whyever, does not keep the database busy. */
static int64_t not_at_once(int64_t wall_ms)
{
    int64_t soonest_ms = clock_wall_ms() + TEND_PAUSE_MS;
    return wall_ms && wall_ms < soonest_ms ? soonest_ms : wall_ms;
}

static void was_written(struct crew *c)
{
    struct crew_write *w = &c->w;
    c->is_told_down = false;
    crew_write_drop_items(c);
    heed_held(c);
    if (w->is_look) {
        c->has_tended = true;
        c->next_wall_ms = not_at_once(w->tending.next_ms);
        c->wants_look |= w->tending.has_more;
    }
    workers_give_back(c->workers, (unsigned)(w->max_programs - w->n_claimed_programs));
    c->wants_claim |= w->has_more;
    if (w->has_more && !w->n_claimed_programs && !w->n_claimed_tasks)
        c->claim_ms = clock_mono_ms() + BUSY_MS;
    begin_runs(c, 0, w->n_claimed_programs);
    crew_write_use_tokens(c, w->n_claimed_programs);
    begin_runs(c, WORKERS_PROCESSES, w->n_claimed_tasks);
}

static bool is_down(enum err_code code)
{
    return code == ERR_UNAVAILABLE || code == ERR_LOCKED || code == ERR_UNREACHABLE ||
           code == ERR_FULL || code == ERR_IO || code == ERR_DAMAGED || code == ERR_TIMEOUT;
}

/* What the database refuses is told alone: the first thing that is, goes. */
static void was_refused(struct crew *c, const struct err *e)
{
    struct crew_write *w = &c->w;
    if (!crew_write_has_left(c)) {
        c->retry_ms = clock_mono_ms() + AGAIN_MS;
        log_line(LOG_ERROR, "jobs cannot be claimed", F_STR("app", c->slug), F_CSTR("why", e->msg));
    } else if (!w->is_careful) {
        w->is_careful = true;
    } else if (!crew_write_soften(c)) {
        log_line(LOG_ERROR, "what a job said or how it ended cannot be written",
                 F_STR("app", c->slug), F_CSTR("why", e->msg));
        crew_write_drop_items(c);
    }
}

static void was_not_written(struct crew *c, const struct err *e)
{
    workers_give_back(c->workers, (unsigned)c->w.max_programs);
    crew_write_use_tokens(c, WORKERS_PROCESSES);
    c->wants_claim = c->wants_look = true;
    c->beat_ms = c->w.is_beat ? 0 : c->beat_ms;
    if (!is_down(e->code)) {
        was_refused(c, e);
        return;
    }
    c->retry_ms = clock_mono_ms() + AGAIN_MS;
    if (!c->is_told_down)
        log_line(LOG_WARN, "jobs wait for their database", F_STR("app", c->slug),
                 F_CSTR("why", e->msg));
    c->is_told_down = true;
}

static void conclude(struct crew *c, const struct err *e)
{
    struct crew_write *w = &c->w;
    struct plan *p = w->plan;
    bool is_sqlite = db_is_sqlite(jobs_db(p->of.jobs));
    bool was_use = crew_write_has_left(c) || w->n_held;
    if (e)
        was_not_written(c, e);
    else
        was_written(c);
    c->is_writing = false;
    was_use |= !e && (w->n_claimed_programs || w->n_claimed_tasks || w->has_more);
    w->n_claimed_programs = w->n_claimed_tasks = 0;
    w->plan = NULL;
    if (was_use || !is_sqlite) /* other processes may use the same Postgres: it stays open */
        jobs_leave(p->of.jobs);
    else
        jobs_leave_quietly(p->of.jobs);
    plan_unref(p);
}

void crew_written(struct crew *c, const struct err *e)
{
    conclude(c, e);
    crew_go(c);
    crew_unref(c);
}

/* ---- asked by others ----------------------------------------------------------------------------
 */

bool crew_knows(struct crew *c, const unsigned char token[32], struct arena *a,
                struct job_bearer *ret)
{
    bool found = false;
    pthread_mutex_lock(&c->lock);
    list_each (link, &c->runs) {
        const struct job_run *r = container_of(link, struct job_run, link);
        if (!run_is_program(r) || run_is_over(r) || atomic_load(&r->is_lost) ||
            memcmp(r->token, token, sizeof r->token) != 0)
            continue;
        *ret = (struct job_bearer){.id = arena_dup(a, r->id),
                                   .type = arena_dup(a, r->type),
                                   .owner = arena_dup(a, r->owner),
                                   .is_strangers = r->is_strangers,
                                   .depth = r->depth + 1};
        found = true;
        break;
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

void crew_text(struct crew *c, struct buf *to)
{
    int64_t now_ms = clock_mono_ms();
    pthread_mutex_lock(&c->lock);
    list_each (link, &c->runs) {
        const struct job_run *r = container_of(link, struct job_run, link);
        buf_printf(to, "%.*s %.*s %.*s attempt %lld %s %lld ms", SLICE_ARGS(c->slug),
                   SLICE_ARGS(r->type), SLICE_ARGS(r->id), (long long)r->attempt,
                   run_step_name((enum run_step)atomic_load(&r->step)),
                   (long long)(now_ms - r->began_ms));
        if (atomic_load(&r->pid))
            buf_printf(to, " pid %d", atomic_load(&r->pid));
        buf_add_char(to, '\n');
    }
    pthread_mutex_unlock(&c->lock);
}
