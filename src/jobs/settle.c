/* Rows that end, and what that leads to: quotas, jobs that waited for them, triggers.
 *
 * Whoever waits is only marked, in statements that do not ask how many there are; those who fail
 * with it, or take its result, are then settled in turn, a few at a time and some in each write. */
#include "jobs/jobs_impl.h"

#include <stdlib.h>

#define ROUNDS 4 /* of JOB_BATCH rows that are due 0, in one write */

/* ---- statements ------------------------------------------------------------------------------ */

static const struct sql have_followers = {
    "SELECT DISTINCT after FROM dais_job_links WHERE after IN " JOB_IDS_SQLITE,
    "SELECT DISTINCT after FROM dais_job_links WHERE after = " JOB_IDS_POSTGRES,
};
/* What was to be due was set by a clock that may have jumped back since. */
static const struct sql release = {
    "UPDATE dais_jobs SET blocked = blocked - 1,"
    " state = CASE WHEN blocked = 1 AND (due <= ?1 OR due - set_at <= 0) THEN 0 ELSE 2 END"
    " WHERE state = 2 AND blocked > 0"
    " AND id IN (SELECT job FROM dais_job_links WHERE after = ?2 AND kind = 0)",
    "UPDATE dais_jobs SET blocked = blocked - 1,"
    " state = CASE WHEN blocked = 1 AND (due <= $1 OR due - set_at <= 0) THEN 0 ELSE 2 END"
    " WHERE state = 2 AND blocked > 0"
    " AND id = ANY (ARRAY(SELECT job FROM dais_job_links WHERE after = $2 AND kind = 0))",
};
static const struct sql wake_same = {
    "UPDATE dais_jobs SET blocked = 0, due = 0 WHERE state = 2 AND blocked > 0"
    " AND id IN (SELECT job FROM dais_job_links WHERE after = ? AND kind = 1)",
    "UPDATE dais_jobs SET blocked = 0, due = 0 WHERE state = 2 AND blocked > 0"
    " AND id = ANY (ARRAY(SELECT job FROM dais_job_links WHERE after = ? AND kind = 1))",
};
static const struct sql fail_after = {
    "UPDATE dais_jobs SET blocked = 0, due = 0, error_code = ?, error = ?"
    " WHERE state = 2 AND blocked > 0"
    " AND id IN (SELECT job FROM dais_job_links WHERE after = ? AND kind = 0)",
    "UPDATE dais_jobs SET blocked = 0, due = 0, error_code = ?, error = ?"
    " WHERE state = 2 AND blocked > 0"
    " AND id = ANY (ARRAY(SELECT job FROM dais_job_links WHERE after = ? AND kind = 0))",
};
static const struct sql input_of = {"SELECT input FROM dais_jobs WHERE id = ?", NULL};
static const struct sql drop_links = {"DELETE FROM dais_job_links WHERE after = ?", NULL};
static const struct sql insert_link = {
    "INSERT INTO dais_job_links (job, after, kind) VALUES (?, ?, ?)"
    " ON CONFLICT (after, job, kind) DO NOTHING",
    NULL,
};
#define DUE                                                    \
    "SELECT " JOB_COLUMNS JOB_SAID JOB_BRIEF " FROM dais_jobs" \
    " WHERE state = 2 AND blocked = 0 AND due = 0 LIMIT ?"
static const struct sql due_rows = {DUE, DUE " FOR UPDATE SKIP LOCKED"};

/* ---- in memory ------------------------------------------------------------------------------- */

static void end(struct job_full *f, enum job_state state, int64_t now_ms)
{
    f->row.state = state;
    f->row.ended_ms = now_ms > f->row.started_ms ? now_ms : f->row.started_ms;
    f->row.is_cancelled = false;
    f->blocked = 0;
    if (!f->row.due_ms)
        f->row.due_ms = f->set_at;
}

void job_fail(struct job_full *f, enum job_error code, struct slice error, int64_t now_ms)
{
    end(f, JOB_FAILED, now_ms);
    f->row.error_code = code;
    f->row.error = error;
    f->row.result = SLICE("");
    f->row.is_cached = false;
}

void job_succeed(struct job_full *f, struct slice result, int64_t now_ms)
{
    end(f, JOB_SUCCEEDED, now_ms);
    f->row.result = result;
    f->row.error_code = JOB_ERROR_NONE;
    f->row.error = SLICE("");
    f->row.progress = 1000000;
}

void job_ready(struct job_full *f, int64_t now_ms)
{
    f->row.state = JOB_READY;
    f->row.due_ms = now_ms;
    f->row.is_cancelled = false;
    f->set_at = now_ms;
    f->blocked = 0;
}

/* ---- followers ------------------------------------------------------------------------------- */

bool link_add(struct db_conn *c, struct slice job, struct slice after, int kind, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &insert_link, e);
    if (!s)
        return false;
    db_bind_text(s, 1, job);
    db_bind_text(s, 2, after);
    db_bind_i64(s, 3, kind);
    return db_run(s, NULL, e);
}

static bool run_for(struct db_conn *c, const struct sql *sql, struct slice id, struct err *e)
{
    struct db_stmt *s = db_prepare(c, sql, e);
    if (!s)
        return false;
    db_bind_text(s, 1, id);
    return db_run(s, NULL, e);
}

static bool run_release(struct settling *x, struct slice id, struct err *e)
{
    struct db_stmt *s = db_prepare(x->conn, &release, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, x->now_ms);
    db_bind_text(s, 2, id);
    return db_run(s, NULL, e);
}

static bool run_fail(struct settling *x, const struct job_row *row, struct err *e)
{
    struct db_stmt *s = db_prepare(x->conn, &fail_after, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, JOB_ERROR_AFTER);
    db_bind_text(s, 2,
                 arena_printf(x->arena, "Job %.*s, which it waited for, %s.", SLICE_ARGS(row->id),
                              row->state == JOB_CANCELLED ? "was cancelled" : "failed"));
    db_bind_text(s, 3, row->id);
    return db_run(s, NULL, e);
}

static bool mark_followers(struct settling *x, const struct job_row *row, struct err *e)
{
    return run_for(x->conn, &wake_same, row->id, e) &&
           (row->state == JOB_SUCCEEDED ? run_release(x, row->id, e) : run_fail(x, row, e)) &&
           run_for(x->conn, &drop_links, row->id, e);
}

/* *ret_any: some are marked. */
static bool tell_followers(struct settling *x, const struct job_full *const *over, size_t n,
                           bool *ret_any, struct err *e)
{
    struct slice *ids = arena_alloc(x->arena, n * sizeof *ids);
    struct slice *led = arena_alloc(x->arena, n * sizeof *led);
    size_t n_led = 0;
    enum db_step step;
    struct db_stmt *s = db_prepare(x->conn, &have_followers, e);
    if (!s)
        return false;
    for (size_t i = 0; i < n; i++)
        ids[i] = over[i]->row.id;
    db_bind_text(s, 1, job_ids(x->arena, ids, n));
    while ((step = db_step(s, e)) == DB_ROW && n_led < n)
        led[n_led++] = arena_dup(x->arena, db_text(s, 0));
    db_reset(s);
    bool fine = step != DB_FAILED;
    for (size_t k = 0; fine && k < n_led; k++) {
        size_t i = 0;
        while (i < n && !slice_eq(over[i]->row.id, led[k]))
            i++;
        must(i < n);
        fine = mark_followers(x, &over[i]->row, e);
    }
    *ret_any |= n_led > 0;
    return fine;
}

/* ---- one after the other ---------------------------------------------------------------------
 */

/* Rows are settled without their inputs, which may be large: of one at a time there is room. */
static bool read_input(struct settling *x, struct job_row *row, struct err *e)
{
    struct db_stmt *s = db_prepare(x->conn, &input_of, e);
    if (!s)
        return false;
    db_bind_text(s, 1, row->id);
    enum db_step step = db_step(s, e);
    if (step == DB_ROW)
        row->input = arena_dup(x->arena, db_text(s, 0));
    db_reset(s);
    return step != DB_FAILED;
}

bool jobs_followed(struct settling *x, const struct job_full *f, struct err *e)
{
    struct job_row row = f->row;
    if (x->is_quiet || !job_state_is_over(row.state) || row.depth > JOB_DEPTH_MAX ||
        !jobs_have_triggers(x->jobs))
        return true;
    struct arena_mark mark = arena_mark(x->arena);
    bool fine = (row.input.len || read_input(x, &row, e)) &&
                jobs_trigger_job(x->jobs, x->conn, &row, x->now_ms, x->arena, e);
    arena_rewind(x->arena, mark);
    return fine;
}

static int by_whose(const void *a, const void *b)
{
    const struct job_row *x = &(*(struct job_full *const *)a)->row,
                         *y = &(*(struct job_full *const *)b)->row;
    int order = slice_cmp(x->owner, y->owner);
    return order ? order : slice_cmp(x->type, y->type);
}

/* *ret_queued: some are to be run; *ret_marked: some are due 0. */
static bool store(struct settling *x, struct job_full *rows, size_t n, bool *ret_queued,
                  bool *ret_marked, struct err *e)
{
    struct job_full **over = arena_alloc(x->arena, (n + 1) * sizeof *over);
    size_t n_over = 0;
    for (size_t i = 0; i < n; i++) {
        if (!job_update(x->conn, &rows[i], e))
            return false;
        if (job_state_is_over(rows[i].row.state))
            over[n_over++] = &rows[i];
        else
            *ret_queued = true;
    }
    if (n_over)
        db_tell(x->conn, TOPIC_JOB_EVENTS);
    if (n_over && !tell_followers(x, (const struct job_full *const *)over, n_over, ret_marked, e))
        return false;
    qsort(over, n_over, sizeof(struct job_full *), by_whose);
    for (size_t i = 0; i < n_over; i++) {
        const struct job_type *t = job_type_find(x->jobs, over[i]->row.type);
        jobs_tell_broken(x->jobs, &over[i]->row);
        if (!quota_settle(x->conn, t, over[i], x->now_ms, e) || !jobs_followed(x, over[i], e))
            return false;
    }
    return true;
}

/* Those it waited for are over, one way or the other. */
static bool decide(struct settling *x, struct job_full *f, struct err *e)
{
    const struct job_type *t = job_type_find(x->jobs, f->row.type);
    struct slice found = {0};
    enum db_step step = DB_END;
    if (f->row.error_code == JOB_ERROR_AFTER) {
        f->is_refunded = !f->row.started_ms;
        job_fail(f, JOB_ERROR_AFTER, f->row.error, x->now_ms);
        return true;
    }
    if (t && f->cache.len)
        step = cache_known(x->conn, t, f->cache, x->now_ms, x->arena, &found, e);
    if (step == DB_ROW) {
        f->is_refunded = true;
        job_succeed(f, found, x->now_ms);
        return true;
    }
    if (t && f->cache.len && step == DB_END)
        step = cache_under_way(x->conn, t, f, x->now_ms, x->arena, &found, e);
    if (step == DB_FAILED)
        return false;
    job_ready(f, x->now_ms);
    f->row.is_cached = step == DB_ROW;
    f->blocked = step == DB_ROW;
    if (step == DB_ROW)
        f->row.state = JOB_WAITING;
    return step == DB_END || link_add(x->conn, f->row.id, found, LINK_SAME, e);
}

static bool settle_some(struct settling *x, size_t *ret_n, bool *ret_queued, struct err *e)
{
    bool has_marked = false;
    struct job_full *rows = arena_alloc(x->arena, JOB_BATCH * sizeof *rows);
    struct db_stmt *s = db_prepare(x->conn, &due_rows, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, JOB_BATCH);
    if (!job_read_all(s, x->arena, rows, JOB_BATCH, ret_n, e))
        return false;
    for (size_t i = 0; i < *ret_n; i++) { /* the next one's question is answered by this one */
        if (!decide(x, &rows[i], e) || !store(x, &rows[i], 1, ret_queued, &has_marked, e))
            return false;
    }
    return true;
}

bool jobs_settle_due(struct settling *x, struct err *e)
{
    size_t n = 0;
    bool any = false;
    int round = 0;
    do {
        if (!settle_some(x, &n, &any, e))
            return false;
    } while (n && ++round < ROUNDS);
    x->has_more |= n > 0;
    if (any)
        db_tell(x->conn, TOPIC_JOBS);
    return true;
}

bool jobs_settle(struct settling *x, struct job_full *rows, size_t n, struct err *e)
{
    bool any = false, has_marked = false;
    if (n && !store(x, rows, n, &any, &has_marked, e))
        return false;
    if (any || has_marked)
        db_tell(x->conn, TOPIC_JOBS);
    return !has_marked || x->is_quiet || jobs_settle_due(x, e); /* others' are not quiet */
}
