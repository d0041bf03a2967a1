/* Attempts that are over: what becomes of their rows. */
#include "jobs/jobs_impl.h"

#define HELD                                                   \
    "SELECT " JOB_COLUMNS JOB_SAID JOB_BRIEF " FROM dais_jobs" \
    " WHERE state = 1 AND holder = ? AND id "
static const struct sql held = {
    HELD "IN " JOB_IDS_SQLITE,
    HELD "= " JOB_IDS_POSTGRES " FOR UPDATE",
};

/* ---- one ------------------------------------------------------------------------------------- */

/* Twice as long each time, between the two values that the manifest names, and somewhere between
 * this time and the next one, so that those who failed together do not come back together. */
static int64_t pause_of(const struct job_type *t, int64_t again)
{
    const struct duration_range *backoff = &t->conf->retries.backoff;
    int64_t from = backoff->min_ms > 0 ? backoff->min_ms : 1;
    uint32_t chance;
    for (int64_t i = 0; i < again && from < backoff->max_ms; i++)
        from *= 2;
    if (from > backoff->max_ms)
        from = backoff->max_ms / 2 + 1;
    int64_t to = 2 * from < backoff->max_ms ? 2 * from : backoff->max_ms;
    random_bytes(&chance, sizeof chance);
    return from + (to > from ? (int64_t)chance % (to - from + 1) : 0);
}

static void cancel(struct job_full *f, int64_t now_ms)
{
    job_fail(f, JOB_ERROR_NONE, SLICE(""), now_ms);
    f->row.state = JOB_CANCELLED;
    f->is_refunded = !f->row.started_ms;
}

static void try_again(const struct job_type *t, struct job_full *f, const struct job_end *end,
                      struct slice error, int64_t now_ms)
{
    if (!t || f->again >= t->conf->retries.max) {
        job_fail(f, end->code ? end->code : JOB_ERROR_AGAIN, error, now_ms);
        f->is_refunded = true;
        return;
    }
    job_ready(f, now_ms);
    f->row.state = JOB_WAITING;
    int64_t pause = pause_of(t, f->again);
    f->row.due_ms = now_ms + (pause > end->pause_ms ? pause : end->pause_ms);
    f->row.error_code = end->code;
    f->row.error = error;
    f->again++;
}

static void lose(struct job_full *f, int64_t now_ms)
{
    if (f->lost >= JOB_LOST_MAX) {
        job_fail(f, JOB_ERROR_LOST, SLICE("Its server died over it, too often."), now_ms);
        f->is_refunded = true;
        return;
    }
    job_ready(f, now_ms);
    f->lost++;
}

static void give_back(struct job_full *f, int64_t now_ms)
{
    job_ready(f, now_ms);
    f->row.started_ms = f->again || f->lost ? f->row.started_ms : 0;
}

static void succeed(struct job_full *f, const struct job_end *end, int64_t now_ms)
{
    if (end->result.len > JOB_RESULT_MAX)
        job_fail(f, JOB_ERROR_RESULT, SLICE("Its result has more than 1 MB."), now_ms);
    else
        job_succeed(f, end->result, now_ms);
}

static bool is_final(enum job_outcome o)
{
    return o == OUTCOME_SUCCEEDED || o == OUTCOME_FAILED;
}

void job_end_apply(const struct job_type *t, struct job_full *f, const struct job_end *end,
                   int64_t now_ms, struct arena *a)
{
    struct slice error = job_text(a, end->error, JOB_ERROR_LEN);
    if (end->outcome != OUTCOME_RETURNED)
        f->row.run_ms += end->run_ms > 0 ? end->run_ms : 0;
    if (end->progress >= 0)
        f->row.progress = end->progress;
    f->row.message = job_text(a, end->message, JOB_MESSAGE_MAX);
    if (end->outcome == OUTCOME_CANCELLED || (f->cancel_at && !is_final(end->outcome)))
        cancel(f, now_ms);
    else if (end->outcome == OUTCOME_SUCCEEDED)
        succeed(f, end, now_ms);
    else if (end->outcome == OUTCOME_FAILED)
        job_fail(f, end->code ? end->code : JOB_ERROR_EXIT, error, now_ms);
    else if (end->outcome == OUTCOME_AGAIN)
        try_again(t, f, end, error, now_ms);
    else if (end->outcome == OUTCOME_LOST)
        lose(f, now_ms);
    else
        give_back(f, now_ms);
    f->is_refunded |= end->is_refunded && f->row.state == JOB_FAILED;
}

/* ---- all ------------------------------------------------------------------------------------- */

static bool read_held(struct settling *x, struct slice holder, const struct job_end *ends, size_t n,
                      struct job_full *ret, size_t *ret_n, struct err *e)
{
    struct slice *ids = arena_alloc(x->arena, (n + 1) * sizeof *ids);
    struct db_stmt *s = db_prepare(x->conn, &held, e);
    if (!s)
        return false;
    for (size_t i = 0; i < n; i++)
        ids[i] = ends[i].id;
    db_bind_text(s, 1, holder);
    db_bind_text(s, 2, job_ids(x->arena, ids, n));
    return job_read_all(s, x->arena, ret, n, ret_n, e);
}

static const struct job_end *end_of(const struct map *by_id, const struct job_full *f)
{
    const struct job_end *end = map_find(by_id, f->row.id);
    return end && end->attempt == f->row.attempt ? end : NULL;
}

bool jobs_finish(struct jobs *j, struct db_conn *c, struct slice holder, const struct job_end *ends,
                 size_t n, int64_t now_ms, struct arena *a, struct err *e)
{
    struct settling x = {j, c, a, now_ms, false, false};
    struct job_full *rows = arena_alloc(a, (n + 1) * sizeof *rows);
    struct map by_id;
    size_t n_read = 0, n_rows = 0;
    bool frees_others = false;
    if (!n)
        return true;
    if (!read_held(&x, holder, ends, n, rows, &n_read, e))
        return false;
    map_init(&by_id);
    for (size_t i = 0; i < n; i++)
        map_put(&by_id, ends[i].id, (void *)(uintptr_t)&ends[i]);
    for (size_t i = 0; i < n_read; i++) {
        const struct job_end *end = end_of(&by_id, &rows[i]);
        const struct job_type *t = job_type_find(j, rows[i].row.type);
        if (!end)
            continue;
        rows[n_rows] = rows[i];
        job_end_apply(t, &rows[n_rows++], end, now_ms, a);
        frees_others |= t && (t->conf->concurrency.total || t->conf->concurrency.per_user);
    }
    map_done(&by_id);
    if (n_rows)
        db_tell(c, TOPIC_JOB_EVENTS);
    if (frees_others)
        db_tell(c, TOPIC_JOBS);
    return jobs_settle(&x, rows, n_rows, e);
}
