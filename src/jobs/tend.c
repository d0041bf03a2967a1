/* The queue is tended: what is due becomes ready, schedules, leases that are over, what is too old,
 * clocks that jumped back. A little at a time, in a loose write, by any number of processes. */
#include "jobs/jobs_impl.h"

#define PRUNE_MS 60000 /* how often what is too old is looked for */

#define PROMOTE                                                                            \
    "UPDATE dais_jobs SET state = 0 WHERE state = 2 AND blocked = 0 AND due > 0 AND id IN" \
    " (SELECT id FROM dais_jobs WHERE state = 2 AND blocked = 0 AND due > 0 AND due <= ?"  \
    " ORDER BY due LIMIT ?"
static const struct sql promote = {PROMOTE ")", PROMOTE " FOR UPDATE SKIP LOCKED)"};
static const struct sql next_due = {
    "SELECT due FROM dais_jobs WHERE state = 2 AND blocked = 0 AND due >= 0 ORDER BY due LIMIT 1",
    NULL};
/* What is due at a time of a clock that was ahead. */
#define ANEW                                                                                    \
    "UPDATE dais_jobs SET due = due - set_at + ?1, set_at = ?1 WHERE state = 2 AND blocked = 0" \
    " AND id IN (SELECT id FROM dais_jobs WHERE state = 2 AND blocked = 0 AND due > 0"          \
    " AND set_at > ?2 LIMIT ?3)"
#define ANEW_POSTGRES                                                                           \
    "UPDATE dais_jobs SET due = due - set_at + $1, set_at = $1 WHERE state = 2 AND blocked = 0" \
    " AND id IN (SELECT id FROM dais_jobs WHERE state = 2 AND blocked = 0 AND due > 0"          \
    " AND set_at > $2 LIMIT $3 FOR UPDATE SKIP LOCKED)"
static const struct sql set_anew = {ANEW, ANEW_POSTGRES};
static const struct sql find_schedule = {
    "SELECT spec, due, set_at FROM dais_job_schedules WHERE type = ?", NULL};
static const struct sql add_schedule = {
    "INSERT INTO dais_job_schedules (type, spec, due, set_at) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (type) DO NOTHING",
    NULL,
};
static const struct sql set_schedule = {
    "UPDATE dais_job_schedules SET spec = ?, due = ?, set_at = ? WHERE type = ? AND due = ?"
    " AND spec = ?",
    NULL,
};
static const struct sql next_type = {
    "SELECT type FROM dais_jobs WHERE state >= 3 AND type > ? ORDER BY type LIMIT 1", NULL};
#define TOO_OLD \
    "SELECT id FROM dais_jobs WHERE state >= 3 AND type = ? AND ended < ? ORDER BY ended LIMIT ?"
static const struct sql too_old = {TOO_OLD, TOO_OLD " FOR UPDATE SKIP LOCKED"};
static const struct sql remove_rows = {
    "DELETE FROM dais_jobs WHERE state >= 3 AND id IN " JOB_IDS_SQLITE,
    "DELETE FROM dais_jobs WHERE state >= 3 AND id = " JOB_IDS_POSTGRES,
};
static const struct sql remove_links = {
    "DELETE FROM dais_job_links WHERE job IN " JOB_IDS_SQLITE,
    "DELETE FROM dais_job_links WHERE job = " JOB_IDS_POSTGRES,
};
static const struct sql remove_usage = {"DELETE FROM dais_job_usage WHERE since < ?", NULL};

/* ---- what is due ----------------------------------------------------------------------------- */

static bool run_two(struct db_conn *c, const struct sql *sql, int64_t a, int64_t b,
                    int64_t *ret_changed, struct err *e)
{
    struct db_stmt *s = db_prepare(c, sql, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, a);
    db_bind_i64(s, 2, b);
    return db_run(s, ret_changed, e);
}

static bool promote_due(struct settling *x, struct err *e)
{
    int64_t changed = 0;
    if (!run_two(x->conn, &promote, x->now_ms, 8 * JOB_BATCH, &changed, e))
        return false;
    x->has_more |= changed == 8 * JOB_BATCH;
    if (changed)
        db_tell(x->conn, TOPIC_JOBS);
    return true;
}

static bool find_next(struct settling *x, int64_t *ret_ms, struct err *e)
{
    struct db_stmt *s = db_prepare(x->conn, &next_due, e);
    if (!s)
        return false;
    enum db_step step = db_step(s, e);
    *ret_ms = step == DB_ROW ? db_i64(s, 0) : 0;
    db_reset(s);
    return step != DB_FAILED;
}

/* ---- clocks ---------------------------------------------------------------------------------- */

/* Our own clock jumped back when the wall lost against the one that cannot jump. At a start nobody
 * knows. */
static void look_at_clock(struct jobs *j, int64_t now_ms)
{
    int64_t off = now_ms - clock_mono_ms();
    int64_t before = atomic_exchange(&j->off_ms, off);
    if (off < before - JOB_SKEW_MS / 2)
        atomic_store(&j->must_look_at_clock, true);
}

static bool set_all_anew(struct settling *x, struct err *e)
{
    int64_t changed = 0;
    if (!atomic_load(&x->jobs->must_look_at_clock))
        return true;
    struct db_stmt *s = db_prepare(x->conn, &set_anew, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, x->now_ms);
    db_bind_i64(s, 2, x->now_ms + JOB_SKEW_MS);
    db_bind_i64(s, 3, 8 * JOB_BATCH);
    if (!db_run(s, &changed, e))
        return false;
    atomic_store(&x->jobs->must_look_at_clock, changed == 8 * JOB_BATCH);
    x->has_more |= changed == 8 * JOB_BATCH;
    return true;
}

/* ---- schedules ------------------------------------------------------------------------------- */

struct schedule {
    struct slice spec;
    int64_t due, set_at;
    bool is_there;
};

static bool read_schedule(struct settling *x, const struct job_type *t, struct schedule *ret,
                          struct err *e)
{
    struct db_stmt *s = db_prepare(x->conn, &find_schedule, e);
    if (!s)
        return false;
    db_bind_text(s, 1, t->name);
    enum db_step step = db_step(s, e);
    *ret = (struct schedule){.is_there = step == DB_ROW};
    if (ret->is_there)
        *ret =
            (struct schedule){arena_dup(x->arena, db_text(s, 0)), db_i64(s, 1), db_i64(s, 2), true};
    db_reset(s);
    return step != DB_FAILED;
}

/* *ret_is_ours: nobody else did so meanwhile. */
static bool write_schedule(struct settling *x, const struct job_type *t,
                           const struct schedule *before, int64_t due, bool *ret_is_ours,
                           struct err *e)
{
    struct slice spec = t->conf->schedule.s;
    int64_t changed = 0;
    int at = 1;
    struct db_stmt *s = db_prepare(x->conn, before->is_there ? &set_schedule : &add_schedule, e);
    if (!s)
        return false;
    if (!before->is_there)
        db_bind_text(s, at++, t->name);
    db_bind_text(s, at++, spec);
    db_bind_i64(s, at++, due);
    db_bind_i64(s, at++, x->now_ms);
    if (before->is_there) {
        db_bind_text(s, at++, t->name);
        db_bind_i64(s, at++, before->due);
        db_bind_text(s, at, before->spec);
    }
    bool fine = db_run(s, &changed, e);
    *ret_is_ours = changed > 0;
    return fine;
}

/* {"event":"schedule","due":"…"} */
static bool start(struct settling *x, const struct job_type *t, int64_t due, struct err *e)
{
    char when[RFC3339_LEN + 1];
    struct json_doc input;
    int64_t retry_ms;
    clock_rfc3339(due, when);
    struct job_order o = {
        .jobs = x->jobs,
        .type = t,
        .arena = x->arena,
        .text = arena_printf(x->arena, "{\"event\":\"schedule\",\"due\":\"%s\"}", when),
        .is_trusted = true,
        .may_fail = true,
    };
    if (!json_parse(&input, x->arena, o.text, NULL, e))
        return false;
    o.input = json_root(&input);
    return job_order_apply(&o, x->conn, x->now_ms, &retry_ms, e);
}

/* However many times were missed: one run. A new spec begins with its next time. */
static bool tend_schedule(struct settling *x, const struct job_type *t, int64_t *ret_due,
                          struct err *e)
{
    struct schedule now;
    bool is_ours;
    if (!read_schedule(x, t, &now, e))
        return false;
    bool is_new = !now.is_there || !slice_eq(now.spec, t->conf->schedule.s) ||
                  now.set_at > x->now_ms + JOB_SKEW_MS; /* by a clock that jumped back since */
    *ret_due = now.due;
    if (!is_new && (!now.due || now.due > x->now_ms))
        return true;
    *ret_due = cron_next(t->conf->schedule.s, x->now_ms);
    return write_schedule(x, t, &now, *ret_due, &is_ours, e) &&
           (is_new || !is_ours || start(x, t, now.due, e));
}

static void take_sooner(int64_t *to, int64_t ms)
{
    if (ms && (!*to || ms < *to))
        *to = ms;
}

static bool tend_schedules(struct settling *x, int64_t *ret_next, struct err *e)
{
    for (size_t i = 0; i < x->jobs->n_types; i++) {
        int64_t due = 0;
        const struct job_type *t = &x->jobs->types[i];
        if (t->conf->schedule.s.len && !tend_schedule(x, t, &due, e))
            return false;
        take_sooner(ret_next, due);
    }
    return true;
}

/* ---- what is too old ------------------------------------------------------------------------- */

static bool run_ids(struct db_conn *c, const struct sql *sql, struct slice ids, struct err *e)
{
    struct db_stmt *s = db_prepare(c, sql, e);
    if (!s)
        return false;
    db_bind_text(s, 1, ids);
    return db_run(s, NULL, e);
}

static bool prune_type(struct settling *x, struct slice type, int64_t keep_ms, int64_t *ret_n,
                       struct err *e)
{
    struct slice *ids = arena_alloc(x->arena, 2 * JOB_BATCH * sizeof *ids);
    enum db_step step;
    size_t n = 0;
    struct db_stmt *s = db_prepare(x->conn, &too_old, e);
    if (!s)
        return false;
    db_bind_text(s, 1, type);
    db_bind_i64(s, 2, x->now_ms - keep_ms);
    db_bind_i64(s, 3, 2 * JOB_BATCH);
    while ((step = db_step(s, e)) == DB_ROW && n < 2 * JOB_BATCH)
        ids[n++] = arena_dup(x->arena, db_text(s, 0));
    db_reset(s);
    if (step == DB_FAILED || !n)
        return step != DB_FAILED;
    struct slice all = job_ids(x->arena, ids, n);
    x->has_more |= n == 2 * JOB_BATCH;
    *ret_n += (int64_t)n;
    return run_ids(x->conn, &remove_rows, all, e) && run_ids(x->conn, &remove_links, all, e) &&
           notes_remove(x->conn, all, e);
}

/* Type by type, those of before too. Adds to *ret_n. */
static bool prune_all(struct settling *x, int64_t *ret_n, struct err *e)
{
    struct slice type = SLICE("");
    enum db_step step;
    for (;;) {
        struct db_stmt *s = db_prepare(x->conn, &next_type, e);
        if (!s)
            return false;
        db_bind_text(s, 1, type);
        step = db_step(s, e);
        if (step == DB_ROW)
            type = arena_dup(x->arena, db_text(s, 0));
        db_reset(s);
        if (step != DB_ROW)
            break;
        const struct job_type *t = job_type_find(x->jobs, type);
        if (!prune_type(x, type, t ? t->conf->keep_ms : JOB_KEEP_MS, ret_n, e))
            return false;
    }
    struct db_stmt *s = step == DB_FAILED ? NULL : db_prepare(x->conn, &remove_usage, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, x->now_ms - JOB_USAGE_MS);
    return db_run(s, NULL, e);
}

static bool prune(struct settling *x, struct err *e)
{
    int64_t mono = clock_mono_ms(), n = 0;
    if (mono < atomic_load(&x->jobs->prune_ms))
        return true;
    bool had_more = x->has_more;
    x->has_more = false;
    if (!prune_all(x, &n, e))
        return false;
    atomic_store(&x->jobs->prune_ms, x->has_more ? 0 : mono + PRUNE_MS);
    x->has_more |= had_more;
    return true;
}

bool jobs_prune(struct jobs *j, struct db_conn *c, int64_t now_ms, int64_t *ret_n,
                bool *ret_has_more, struct err *e)
{
    struct arena a;
    arena_init(&a, 1u << 30);
    struct settling x = {.jobs = j, .conn = c, .arena = &a, .now_ms = now_ms};
    *ret_n = 0;
    bool fine = prune_all(&x, ret_n, e);
    *ret_has_more = x.has_more;
    arena_done(&a);
    return fine;
}

/* ---- all ------------------------------------------------------------------------------------- */

static bool tend(struct settling *x, struct jobs_tending *t, struct err *e)
{
    int64_t lease = 0, due = 0, scheduled = 0;
    look_at_clock(x->jobs, x->now_ms);
    bool fine = set_all_anew(x, e) && lease_reclaim(x, t, e) && promote_due(x, e) &&
                jobs_settle_due(x, e) && tend_schedules(x, &scheduled, e) && prune(x, e) &&
                lease_next(x->conn, &lease, e) && find_next(x, &due, e);
    t->next_ms = scheduled;
    take_sooner(&t->next_ms, lease);
    take_sooner(&t->next_ms, due);
    t->has_more = x->has_more;
    return fine;
}

bool jobs_tend(struct jobs *j, struct db_conn *c, int64_t now_ms, struct jobs_tending *t,
               struct err *e)
{
    struct arena a;
    arena_init(&a, 1u << 30);
    struct settling x = {.jobs = j, .conn = c, .arena = &a, .now_ms = now_ms};
    bool fine = tend(&x, t, e);
    arena_done(&a);
    return fine;
}
