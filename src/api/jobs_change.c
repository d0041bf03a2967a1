/* What people and programs do with jobs: adding one, cancelling it, trying it again; and what a
 * running one says it costs. Each is a write like those of documents (write.c), so that an
 * Idempotency-Key counts for all of them. */
#include "api/auth_impl.h"
#include "api/jobs_impl.h"

#include "base/clock.h"
#include "base/nearest.h"

/* ---- adding: what the request says ----------------------------------------------------------- */

struct job_write {
    struct api_write aw;
    struct job_order order;
};

static struct job_write *order_of(struct api_write *aw)
{
    return container_of(aw, struct job_write, aw);
}

/* In the order of the manifest; the nearest name is offered. */
static const struct job_type *find_type(const struct jobs *j, struct slice name, struct err *e)
{
    const struct job_type *type = job_type_find(j, name);
    struct nearest near = {.typed = name};
    if (type)
        return type;
    for (size_t i = 0; i < job_type_count(j); i++)
        nearest_offer(&near, job_type_conf(job_type_at(j, i))->name.s);
    err_set(e, ERR_NOT_FOUND, "There is no job type %.*s.%s%.*s%s",
            SLICE_ARGS(slice_first(name, 60)), near.best.len ? " Did you mean " : "",
            SLICE_ARGS(near.best), near.best.len ? "?" : "");
    return NULL;
}

static bool read_after(struct req *rq, struct job_order *o, struct err *e)
{
    struct slice list = {0}, id;
    if (!api_param(rq, "after", &list, e))
        return false;
    struct slice *ids = arena_alloc(rq->arena, JOB_AFTER_MAX * sizeof *ids);
    while (slice_cut(&list, ',', &id)) {
        if (o->n_after == JOB_AFTER_MAX)
            return err_set(e, ERR_MALFORMED, "after names at most %d jobs.", JOB_AFTER_MAX);
        if (!auth_is_id(id))
            return err_set(e, ERR_MALFORMED, "after is the ids of jobs, separated by commas.");
        ids[o->n_after++] = id;
    }
    o->after = ids;
    return true;
}

static bool read_time(struct req *rq, struct job_order *o, struct err *e)
{
    struct slice delay = {0}, at = {0};
    int64_t ms = 0;
    if (!api_param(rq, "delay", &delay, e) || !api_param(rq, "at", &at, e))
        return false;
    if (delay.ptr && at.ptr)
        return err_set(e, ERR_MALFORMED, "Either delay or at, not both.");
    if (delay.ptr && (!duration_parse(delay, &ms) || ms < 0))
        return err_set(e, ERR_MALFORMED, "delay is a time such as 10m or 2h.");
    if (at.ptr && !clock_parse_rfc3339(at.ptr, at.len, &ms))
        return err_set(e, ERR_MALFORMED, "at is a time such as 2030-01-31T12:00:00Z.");
    o->delay_ms = at.ptr ? ms - clock_wall_ms() : ms;
    if (o->delay_ms < 0)
        o->delay_ms = 0; /* it is time already */
    return o->delay_ms <= JOB_DELAY_MAX ||
           err_set(e, ERR_MALFORMED, "A job waits at most a year for its time.");
}

static bool read_priority(struct req *rq, struct job_order *o, struct err *e)
{
    struct slice text = {0};
    uint64_t n = 0;
    if (!api_param(rq, "priority", &text, e))
        return false;
    bool is_low = slice_starts(text, SLICE("-"));
    if (text.ptr && (!slice_to_u64(slice_skip(text, is_low), &n) || n > JOB_PRIORITY))
        return err_set(e, ERR_MALFORMED, "priority is a number from -%d to %d.", JOB_PRIORITY,
                       JOB_PRIORITY);
    o->priority = is_low ? -(int)n : (int)n;
    return true;
}

static bool read_input(struct req *rq, struct job_order *o, struct err *e)
{
    if (!api_is_json(rq, e))
        return false;
    o->text = rq->body.len ? rq->body : SLICE("null");
    o->input = rq->body.len ? api_body(rq, e) : NULL;
    return o->input || !rq->body.len;
}

static bool read_order(struct req *rq, struct job_order *o, struct err *e)
{
    static const char *const params[] = {"after", "delay", "at", "priority", NULL};
    return api_params_known(rq, params, e) && read_after(rq, o, e) && read_time(rq, o, e) &&
           read_priority(rq, o, e) && read_input(rq, o, e);
}

/* ---- the write ------------------------------------------------------------------------------- */

static struct jobs *jobs_of(const struct api_write *aw)
{
    return ((const struct api *)aw->rq->site)->jobs;
}

static bool enter_jobs(struct api_write *aw)
{
    return jobs_enter(jobs_of(aw));
}

static bool open_jobs(struct api_write *aw, struct err *e)
{
    return job_open(jobs_of(aw), e);
}

static void leave_jobs(struct api_write *aw)
{
    jobs_leave(jobs_of(aw));
}

static struct db *db_of_jobs(const struct api_write *aw)
{
    return jobs_db(jobs_of(aw));
}

static bool plan_order(struct api_write *aw, struct err *e)
{
    return job_order_check(&order_of(aw)->order, e);
}

static bool apply_order(struct api_write *aw, struct db_conn *c, struct err *e)
{
    int64_t retry_ms = 0;
    if (job_order_apply(&order_of(aw)->order, c, clock_wall_ms(), &retry_ms, e))
        return true;
    if (retry_ms > 0)
        e->retry_s = (int)((retry_ms + 999) / 1000);
    return false;
}

static void tell_order(struct api_write *aw, const struct err *e)
{
    (void)e;
    aw->rq->details = order_of(aw)->order.details;
}

static const struct api_write_kind of_order = {
    .enter = enter_jobs,
    .open = open_jobs,
    .leave = leave_jobs,
    .db = db_of_jobs,
    .plan = plan_order,
    .apply = apply_order,
    .tell = tell_order,
};

static void add_location(struct req *rq, struct slice id)
{
    const struct api *a = rq->site;
    reply_header(rq, "Location",
                 arena_printf(rq->arena, "%.*s%.*sjobs/%.*s", SLICE_ARGS(rq->mount),
                              SLICE_ARGS(a->manifest->api.s), SLICE_ARGS(id)));
}

static bool reply_added(struct api_write *aw)
{
    const struct job_row *row = &order_of(aw)->order.row;
    add_location(aw->rq, row->id);
    return job_reply(aw->rq, 202, row);
}

static struct jobs *jobs_here(struct req *rq, struct err *e)
{
    const struct api *a = rq->site;
    if (!a->jobs)
        err_set(e, ERR_NOT_FOUND, "This app has no jobs.");
    return a->jobs;
}

bool job_add(struct req *rq, struct err *e)
{
    struct jobs *j = jobs_here(rq, e);
    if (!j)
        return false;
    if (rq->body.len > API_INLINE_MAX && !rq->is_on_lane)
        return api_move_write(rq, e);
    struct job_write *w = arena_new(rq->arena, struct job_write);
    w->order = (struct job_order){.jobs = j, .who = &w->aw.who, .arena = rq->arena};
    w->order.type = find_type(j, req_param(rq, "id"), e);
    if (!w->order.type || !api_write_init(&w->aw, rq, &of_order, e) ||
        !read_order(rq, &w->order, e))
        return false;
    w->order.depth = w->aw.who.who->depth;
    w->aw.reply = reply_added;
    return api_write_go(&w->aw, e);
}

/* ---- what is done with one that is there ------------------------------------------------------
 */

struct act_write {
    struct api_write aw;
    struct job_act act;
    bool (*apply)(struct job_act *a, struct db_conn *c, int64_t now_ms, struct err *e);
};

static struct act_write *act_of(struct api_write *aw)
{
    return container_of(aw, struct act_write, aw);
}

static bool apply_act(struct api_write *aw, struct db_conn *c, struct err *e)
{
    struct act_write *w = act_of(aw);
    return w->apply(&w->act, c, clock_wall_ms(), e);
}

static const struct api_write_kind of_act = {
    .enter = enter_jobs,
    .open = open_jobs,
    .leave = leave_jobs,
    .db = db_of_jobs,
    .apply = apply_act,
};

/* Begun, and the rest follows; or over. */
static bool reply_act(struct api_write *aw)
{
    const struct job_row *row = &act_of(aw)->act.row;
    return job_reply(aw->rq, job_state_is_over(row->state) ? 200 : 202, row);
}

static bool reply_charged(struct api_write *aw)
{
    return reply_empty(aw->rq, 204);
}

static struct act_write *act_new(struct req *rq, struct err *e)
{
    static const char *const none[] = {NULL};
    struct act_write *w = arena_new(rq->arena, struct act_write);
    struct jobs *j = jobs_here(rq, e);
    struct slice id;
    if (!j || !api_params_known(rq, none, e) || !job_id(rq, &id, e) ||
        !api_write_init(&w->aw, rq, &of_act, e))
        return NULL;
    w->act = (struct job_act){
        .jobs = j, .who = &w->aw.who, .arena = rq->arena, .id = req_param(rq, "id")};
    w->aw.reply = reply_act;
    return w;
}

bool job_cancel(struct req *rq, struct err *e)
{
    struct act_write *w = act_new(rq, e);
    if (!w)
        return false;
    w->apply = jobs_cancel;
    w->aw.write.is_loose = true;
    return api_write_go(&w->aw, e);
}

bool job_retry(struct req *rq, struct err *e)
{
    struct act_write *w = act_new(rq, e);
    if (!w)
        return false;
    w->apply = jobs_retry;
    return api_write_go(&w->aw, e);
}

#define MINUTES_MAX (365 * 24 * 60)

static bool read_minutes(struct req *rq, int64_t *ret_ms, struct err *e)
{
    const struct json *body = auth_body(rq, e);
    double minutes;
    if (!body)
        return false;
    if (!json_double(json_find(body, SLICE("minutes")), &minutes, NULL) || minutes < 0 ||
        minutes > MINUTES_MAX)
        return auth_tell(rq, "/minutes", "invalid",
                         "`minutes` is a number from 0, such as 4.2: what the job costs.", e);
    *ret_ms = (int64_t)(minutes * 60000 + 0.5);
    return true;
}

bool job_charge(struct req *rq, struct err *e)
{
    struct act_write *w = act_new(rq, e);
    if (!w || !read_minutes(rq, &w->act.charge_ms, e))
        return false;
    w->apply = jobs_charge;
    w->aw.reply = reply_charged;
    return api_write_go(&w->aw, e);
}
