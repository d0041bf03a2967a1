/* Leases: renewed by who holds a job, and taken back from who does not any more. */
#include "jobs/jobs_impl.h"

#define BEAT(clock)                                                  \
    "UPDATE dais_jobs SET lease = " clock " + 30000 WHERE state = 1" \
    " AND holder = ? AND id "
#define BEATEN " RETURNING id, attempt, cancel_at"
static const struct sql beat = {
    BEAT("?") "IN " JOB_IDS_SQLITE BEATEN,
    BEAT(JOB_CLOCK_POSTGRES) "= " JOB_IDS_POSTGRES BEATEN,
};
#define LOOK "SELECT id, attempt, cancel_at FROM dais_jobs WHERE state = 1 AND holder = ? AND id "
static const struct sql look = {LOOK "IN " JOB_IDS_SQLITE, LOOK "= " JOB_IDS_POSTGRES};
#define GONE(clock)                                                            \
    "SELECT " JOB_COLUMNS JOB_SAID JOB_BRIEF " FROM dais_jobs WHERE state = 1" \
    " AND holder <> ? AND lease < " clock " + ? LIMIT ?"
static const struct sql gone = {GONE("?"), GONE(JOB_CLOCK_POSTGRES) " FOR UPDATE SKIP LOCKED"};
#define OWN(clock)                                                             \
    "SELECT " JOB_COLUMNS JOB_SAID JOB_BRIEF " FROM dais_jobs WHERE state = 1" \
    " AND holder = ? AND lease < " clock " LIMIT ?"
static const struct sql own = {OWN("?"), OWN(JOB_CLOCK_POSTGRES) " FOR UPDATE SKIP LOCKED"};
static const struct sql first = {"SELECT coalesce(min(lease), 0) FROM dais_jobs WHERE state = 1",
                                 NULL};
_Static_assert(JOB_LEASE_MS == 30000, "as in the statement");

static void answer(struct job_held *held, size_t n, const struct db_stmt *s)
{
    for (size_t i = 0; i < n; i++) {
        if (!slice_eq(held[i].id, db_text(s, 0)) || held[i].attempt != db_i64(s, 1))
            continue;
        held[i].is_lost = false;
        held[i].is_cancelled = db_i64(s, 2) != 0;
    }
}

bool jobs_beat(struct db_conn *c, struct slice holder, struct job_held *held, size_t n,
               bool is_beat, int64_t now_ms, struct err *e)
{
    enum db_step step = DB_FAILED;
    struct arena a;
    if (!n)
        return true;
    arena_init(&a, 64 * (n + 16));
    struct slice *ids = arena_alloc(&a, n * sizeof *ids);
    struct db_stmt *s = db_prepare(c, is_beat ? &beat : &look, e);
    int at = 1;
    for (size_t i = 0; i < n; i++) {
        ids[i] = held[i].id;
        held[i].is_lost = true;
        held[i].is_cancelled = false;
    }
    if (s) {
        if (is_beat)
            db_bind_i64(s, at++, now_ms);
        db_bind_text(s, at++, holder);
        db_bind_text(s, at, job_ids(&a, ids, n));
        while ((step = db_step(s, e)) == DB_ROW)
            answer(held, n, s);
        db_reset(s);
    }
    arena_done(&a);
    return step != DB_FAILED;
}

static bool take_back(struct settling *x, struct job_full *rows, size_t n, struct job_end end,
                      struct err *e)
{
    end.progress = -1;
    for (size_t i = 0; i < n; i++)
        job_end_apply(job_type_find(x->jobs, rows[i].row.type), &rows[i], &end, x->now_ms,
                      x->arena);
    x->has_more |= n == JOB_BATCH;
    return jobs_settle(x, rows, n, e);
}

static bool is_among(const struct jobs_tending *t, struct slice id)
{
    for (size_t i = 0; i < t->n_mine; i++) {
        if (slice_eq(t->mine[i], id))
            return true;
    }
    return false;
}

/* Its claim was committed, and nobody heard of that: the connection was lost. It never began. */
static bool reclaim_unheard(struct settling *x, const struct jobs_tending *t, struct job_full *rows,
                            struct err *e)
{
    size_t n = 0, n_unheard = 0;
    struct db_stmt *s = db_prepare(x->conn, &own, e);
    if (!s)
        return false;
    db_bind_text(s, 1, t->holder);
    db_bind_i64(s, 2, x->now_ms);
    db_bind_i64(s, 3, JOB_BATCH);
    if (!job_read_all(s, x->arena, rows, JOB_BATCH, &n, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!is_among(t, rows[i].row.id))
            rows[n_unheard++] = rows[i];
    }
    return take_back(x, rows, n_unheard, (struct job_end){.outcome = OUTCOME_RETURNED}, e);
}

bool lease_reclaim(struct settling *x, const struct jobs_tending *t, struct err *e)
{
    struct job_full *rows = arena_alloc(x->arena, JOB_BATCH * sizeof *rows);
    size_t n = 0;
    struct db_stmt *s = db_prepare(x->conn, &gone, e);
    if (!s)
        return false;
    db_bind_text(s, 1, t->holder);
    db_bind_i64(s, 2, x->now_ms);
    db_bind_i64(s, 3, t->is_first ? INT64_MAX / 4 : 0);
    db_bind_i64(s, 4, JOB_BATCH);
    return job_read_all(s, x->arena, rows, JOB_BATCH, &n, e) &&
           take_back(x, rows, n, (struct job_end){.outcome = OUTCOME_LOST}, e) &&
           (!t->mine || reclaim_unheard(x, t, rows, e));
}

bool lease_next(struct db_conn *c, int64_t *ret_ms, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &first, e);
    if (!s)
        return false;
    enum db_step step = db_step(s, e);
    *ret_ms = step == DB_ROW ? db_i64(s, 0) : 0;
    db_reset(s);
    return step != DB_FAILED;
}
