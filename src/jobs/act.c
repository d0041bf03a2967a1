/* What people and programs do with a job that is there: cancel it, retry it, say what it costs. */
#include "jobs/jobs_impl.h"

static const struct sql want_end = {
    "UPDATE dais_jobs SET cancel_at = ? WHERE id = ? AND state = 1 AND cancel_at = 0", NULL};
static const struct sql set_charge = {
    "UPDATE dais_jobs SET charged_ms = ?, charged_since = ? WHERE id = ? AND state = 1", NULL};

static bool is_itself(const struct job_act *a)
{
    const struct identity *who = a->who->who;
    return who && who->is_of_job && slice_eq(who->session, a->id);
}

/* The row, if they may see it and do that with it. */
static bool find(struct job_act *a, struct db_conn *c, struct job_full *ret, struct err *e)
{
    enum db_step step =
        jobs_still_in(a->jobs, a->who, c, e) ? job_lock(c, a->id, a->arena, ret, e) : DB_FAILED;
    if (step == DB_FAILED)
        return false;
    bool is_seen =
        step == DB_ROW && (is_itself(a) || job_may_read(a->jobs, a->who, &ret->row, a->arena));
    return is_seen || job_not_found(a->id, e);
}

/* Whose it is, operators, and who may write what is others': a job's reader may only look. */
static bool may_act(struct job_act *a, const struct job_full *f, struct err *e)
{
    struct slice id = subject_id(a->who);
    const struct identity *who = a->who->who;
    const struct query *rows;
    if (a->who->is_console)
        return true;
    if (who && who->is_signed_in && !who->has_every_scope &&
        !identity_has_scope(who, SLICE("jobs")))
        return err_set(e, ERR_FORBIDDEN, "This key lacks the scope `jobs`.");
    if ((who && who->is_operator) || (id.len && slice_eq(id, f->row.owner)))
        return true;
    if (!authorize(a->who, job_policy(a->jobs, f->row.type), ACTION_WRITE, a->arena, &rows, e))
        return false;
    return job_matches(rows, &f->row) || err_set(e, ERR_FORBIDDEN, "This job is somebody else's.");
}

/* As if it were added now. */
static bool may_run(struct job_act *a, const struct job_type *t, const struct job_full *f,
                    struct err *e)
{
    struct subject who = *a->who;
    const struct query *rows;
    struct json_doc input;
    if (!json_parse(&input, a->arena, f->row.input, NULL, e))
        return false;
    who.context.body = json_root(&input);
    if (!authorize(&who, &t->policy, ACTION_RUN, a->arena, &rows, e))
        return false;
    return job_matches(rows, &f->row) ||
           err_set(e, ERR_FORBIDDEN, "The rules do not let you run %.*s.", SLICE_ARGS(t->name));
}

/* ---- cancel ---------------------------------------------------------------------------------- */

/* Whoever caused a run that they could not have asked for does not decide about it, either. */
static bool may_end(struct job_act *a, const struct job_full *f, struct err *e)
{
    const struct job_type *t = job_type_find(a->jobs, f->row.type);
    bool is_asked = t && !a->who->is_console && !(a->who->who && a->who->who->is_operator);
    return !is_asked || may_run(a, t, f, e);
}

static bool ask_for_end(struct db_conn *c, struct slice id, int64_t now_ms, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &want_end, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, now_ms);
    db_bind_text(s, 2, id);
    db_tell(c, TOPIC_JOBS);
    return db_run(s, NULL, e);
}

bool jobs_cancel(struct job_act *a, struct db_conn *c, int64_t now_ms, struct err *e)
{
    static const struct job_end cancelled = {.outcome = OUTCOME_CANCELLED, .progress = -1};
    struct settling x = {a->jobs, c, a->arena, now_ms, false, false};
    struct job_full f;
    if (!find(a, c, &f, e) || !may_act(a, &f, e) || !may_end(a, &f, e))
        return false;
    bool fine = true;
    if (f.row.state == JOB_RUNNING) {
        fine = ask_for_end(c, f.row.id, now_ms, e);
        f.row.is_cancelled = true;
    } else if (!job_state_is_over(f.row.state)) {
        job_end_apply(job_type_find(a->jobs, f.row.type), &f, &cancelled, now_ms, a->arena);
        fine = jobs_settle(&x, &f, 1, e);
    }
    a->row = f.row;
    return fine;
}

/* ---- retry ----------------------------------------------------------------------------------- */

bool jobs_retry(struct job_act *a, struct db_conn *c, int64_t now_ms, struct err *e)
{
    struct job_full f;
    if (!find(a, c, &f, e) || !may_act(a, &f, e))
        return false;
    const struct job_type *t = job_type_find(a->jobs, f.row.type);
    if (f.row.state != JOB_FAILED && f.row.state != JOB_CANCELLED)
        return err_set(e, ERR_EXISTS, "Job %.*s is %s; only failed and cancelled ones are retried.",
                       SLICE_ARGS(f.row.id), job_state_name(f.row.state));
    if (!t)
        return err_set(e, ERR_NOT_FOUND, "The app has no jobs of type %.*s any more.",
                       SLICE_ARGS(f.row.type));
    if (f.row.depth > JOB_DEPTH_MAX)
        return err_set(e, ERR_FORBIDDEN, "It is one of jobs that lead to jobs without end.");
    if (!may_run(a, t, &f, e))
        return false;
    f.quota_since = f.charged_since = 0;
    f.row.charged_ms = -1;
    if (!quota_take(c, t, &f, !f.row.owner.len && !f.row.is_strangers, now_ms, e))
        return false;
    job_ready(&f, now_ms);
    f.again = f.lost = f.cancel_at = 0;
    f.row.run_ms = f.row.started_ms = f.row.ended_ms = 0;
    f.row.progress = -1;
    f.row.message = f.row.error = f.row.result = SLICE("");
    f.row.error_code = JOB_ERROR_NONE;
    f.row.is_cached = false;
    db_tell(c, TOPIC_JOBS);
    db_tell(c, TOPIC_JOB_EVENTS);
    a->row = f.row;
    return job_update(c, &f, e);
}

/* ---- charge ---------------------------------------------------------------------------------- */

static bool has_left(const struct job_type *t, const struct quota_use *use, int64_t more,
                     struct err *e)
{
    int64_t minutes = t->conf->quota.minutes;
    if (minutes < 0 || more <= 0 ||
        (use->ms <= minutes * 60000 && more <= minutes * 60000 - use->ms))
        return true;
    return err_set(e, ERR_QUOTA, "%.*s has not so many minutes left.", SLICE_ARGS(t->name));
}

bool jobs_charge(struct job_act *a, struct db_conn *c, int64_t now_ms, struct err *e)
{
    struct quota_use use;
    struct job_full f;
    if (!is_itself(a))
        return err_set(e, ERR_FORBIDDEN, "Only a job itself says what it costs.");
    if (a->charge_ms < 0 || a->charge_ms > 366 * 24 * 3600000LL)
        return err_set(e, ERR_MALFORMED, "minutes: 0 or more, at most those of a year.");
    if (!find(a, c, &f, e))
        return false;
    if (f.row.state != JOB_RUNNING)
        return err_set(e, ERR_EXISTS, "Job %.*s is not running.", SLICE_ARGS(f.row.id));
    const struct job_type *t = job_type_find(a->jobs, f.row.type);
    if (t && f.quota_since) {
        int64_t before = f.row.charged_ms > 0 ? f.row.charged_ms : 0;
        int64_t since = f.charged_since ? f.charged_since : quota_since(t, now_ms);
        if (!quota_read(c, t, f.row.owner, since, &use, e) ||
            !has_left(t, &use, a->charge_ms - before, e) ||
            !quota_add(c, t, f.row.owner, since, 0, a->charge_ms - before, e))
            return false;
        f.charged_since = since;
    }
    f.row.charged_ms = a->charge_ms;
    a->row = f.row;
    struct db_stmt *s = db_prepare(c, &set_charge, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, f.row.charged_ms);
    db_bind_i64(s, 2, f.charged_since);
    db_bind_text(s, 3, f.row.id);
    return db_run(s, NULL, e);
}
