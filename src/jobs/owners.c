/* All jobs of an account: they end and go with it, become another's, or are told to it. */
#include "jobs/jobs_impl.h"

#define ROWS   50  /* in one write: each may have a log */
#define EXPORT 100 /* at once: each may be large */
#define ARENA  (256u << 20)

#define FIRST(said, rest)                                                        \
    "SELECT " JOB_COLUMNS said rest " FROM dais_jobs WHERE owner = ? AND id > ?" \
    " ORDER BY id LIMIT ?"
static const struct sql rows_of = {FIRST(JOB_SAID, JOB_BRIEF),
                                   FIRST(JOB_SAID, JOB_BRIEF) " FOR UPDATE"};
static const struct sql told_of = {FIRST(JOB_LIVE, JOB_WHOLE), NULL};
static const struct sql remove_rows = {
    "DELETE FROM dais_jobs WHERE id IN " JOB_IDS_SQLITE,
    "DELETE FROM dais_jobs WHERE id = " JOB_IDS_POSTGRES,
};
static const struct sql remove_links = {
    "DELETE FROM dais_job_links WHERE job IN " JOB_IDS_SQLITE,
    "DELETE FROM dais_job_links WHERE job = " JOB_IDS_POSTGRES,
};
static const struct sql remove_usage = {"DELETE FROM dais_job_usage WHERE owner = ?", NULL};
static const struct sql move_rows = {
    "UPDATE dais_jobs SET owner = ? WHERE id IN"
    " (SELECT id FROM dais_jobs WHERE owner = ? ORDER BY id LIMIT ?)",
    NULL,
};
static const struct sql move_usage = {
    "INSERT INTO dais_job_usage AS u (owner, type, since, runs, ms)"
    " SELECT CAST(? AS TEXT), type, since, runs, ms FROM dais_job_usage WHERE owner = ?"
    " ON CONFLICT (owner, type, since) DO UPDATE SET runs = u.runs + excluded.runs,"
    " ms = u.ms + excluded.ms",
    NULL,
};

struct owned {
    struct jobs *jobs;
    struct slice from, to;
    struct arena arena;
    bool has_more;
};

typedef bool write_now(struct db *db, bool (*run)(void *arg, struct db_conn *c, struct err *e),
                       void *arg, struct err *e);

static bool write_all(struct jobs *j, struct slice from, struct slice to,
                      bool (*run)(void *arg, struct db_conn *c, struct err *e), write_now *write,
                      bool *ret_more, struct err *e)
{
    struct owned o = {.jobs = j, .from = from, .to = to};
    arena_init(&o.arena, ARENA);
    bool fine = write(jobs_db(j), run, &o, e);
    arena_done(&o.arena);
    *ret_more = fine && o.has_more;
    return fine;
}

static bool run_for(struct db_conn *c, const struct sql *sql, struct slice what, struct err *e)
{
    struct db_stmt *s = db_prepare(c, sql, e);
    if (!s)
        return false;
    db_bind_text(s, 1, what);
    return db_run(s, NULL, e);
}

/* ---- for good -------------------------------------------------------------------------------- */

/* Others may wait for them. Who runs one hears that it is not his any more. */
static bool end_all(struct owned *o, struct db_conn *c, struct job_full *rows, size_t n,
                    struct err *e)
{
    struct settling x = {o->jobs, c, &o->arena, clock_wall_ms(), false, true};
    struct job_full *open = arena_alloc(&o->arena, (n + 1) * sizeof *open);
    size_t n_open = 0;
    for (size_t i = 0; i < n; i++) {
        if (job_state_is_over(rows[i].row.state))
            continue;
        open[n_open] = rows[i];
        job_fail(&open[n_open], JOB_ERROR_LEFT, SLICE("Its account left."), x.now_ms);
        open[n_open].quota_since = 0;
        open[n_open++].row.state = JOB_CANCELLED;
    }
    if (n_open)
        db_tell(c, TOPIC_JOBS);
    return jobs_settle(&x, open, n_open, e);
}

static bool run_purge(void *arg, struct db_conn *c, struct err *e)
{
    struct owned *o = arg;
    arena_reset(&o->arena);
    struct job_full *rows = arena_alloc(&o->arena, ROWS * sizeof *rows);
    struct slice *ids = arena_alloc(&o->arena, ROWS * sizeof *ids);
    size_t n = 0;
    struct db_stmt *s = db_prepare(c, &rows_of, e);
    if (!s)
        return false;
    db_bind_text(s, 1, o->from);
    db_bind_text(s, 2, SLICE(""));
    db_bind_i64(s, 3, ROWS);
    if (!job_read_all(s, &o->arena, rows, ROWS, &n, e) || !end_all(o, c, rows, n, e))
        return false;
    for (size_t i = 0; i < n; i++)
        ids[i] = rows[i].row.id;
    struct slice all = job_ids(&o->arena, ids, n);
    o->has_more = n == ROWS;
    return run_for(c, &remove_rows, all, e) && run_for(c, &remove_links, all, e) &&
           notes_remove(c, all, e) && run_for(c, &remove_usage, o->from, e);
}

bool jobs_purge_owner(struct jobs *j, struct slice user, bool *ret_more, struct err *e)
{
    must(user.len); /* loose, as jobs_cancel() is; what they say meanwhile is then seen, too */
    return write_all(j, user, SLICE(""), run_purge, db_write_now_loose, ret_more, e);
}

/* ---- another owner --------------------------------------------------------------------------- */

static bool run_adopt(void *arg, struct db_conn *c, struct err *e)
{
    struct owned *o = arg;
    int64_t changed = 0;
    struct db_stmt *s = db_prepare(c, &move_rows, e);
    if (!s)
        return false;
    db_bind_text(s, 1, o->to);
    db_bind_text(s, 2, o->from);
    db_bind_i64(s, 3, 4 * ROWS);
    if (!db_run(s, &changed, e))
        return false;
    o->has_more = changed == 4 * ROWS;
    if (o->has_more)
        return true;
    if (!(s = db_prepare(c, &move_usage, e)))
        return false;
    db_bind_text(s, 1, o->to);
    db_bind_text(s, 2, o->from);
    return db_run(s, NULL, e) && run_for(c, &remove_usage, o->from, e);
}

bool jobs_adopt_owner(struct jobs *j, struct slice from, struct slice to, bool *ret_more,
                      struct err *e)
{
    must(from.len && to.len && !slice_eq(from, to));
    return write_all(j, from, to, run_adopt, db_write_now, ret_more, e);
}

/* ---- telling --------------------------------------------------------------------------------- */

/* One line: an input is kept as it came, with ends of lines between its values. */
static void tell(struct buf *to, const struct job_row *row)
{
    size_t at = to->len;
    buf_add_str(to, "{\"job\":");
    job_json(to, row);
    for (; at < to->len; at++) {
        if (to->data[at] == '\n' || to->data[at] == '\r')
            to->data[at] = ' ';
    }
    buf_add_str(to, "}\n");
}

bool jobs_export_owner(const struct jobs_reading *r, struct slice owner, struct slice after,
                       struct buf *to, struct slice *ret_next, struct err *e)
{
    enum db_step step = DB_END;
    struct slice next = SLICE("");
    size_t n = 0;
    struct db_stmt *s = db_prepare(r->conn, &told_of, e);
    if (!s)
        return false;
    db_bind_text(s, 1, owner);
    db_bind_text(s, 2, after);
    db_bind_i64(s, 3, EXPORT);
    for (; (step = db_step(s, e)) == DB_ROW; n++) {
        struct arena_mark mark = arena_mark(r->arena);
        struct job_full f;
        job_read(s, r->arena, &f);
        tell(to, &f.row);
        arena_rewind(r->arena, mark);
        if (n + 1 == EXPORT)
            next = arena_dup(r->arena, db_text(s, 0));
    }
    db_reset(s);
    *ret_next = next;
    return step != DB_FAILED;
}
