/* What is used and left of quotas, and how long the queues are. */
#include "jobs/jobs_impl.h"

#define FIGURES_MAX 100000

static const struct sql ready = {
    "SELECT count(*), coalesce(min(due), 0) FROM (SELECT due FROM dais_jobs"
    " WHERE state = 0 AND type = ? LIMIT ?) AS few",
    NULL,
};
static const struct sql waiting = {
    "SELECT count(*) FROM (SELECT 1 FROM dais_jobs WHERE state = 2 AND type = ? LIMIT ?) AS few",
    NULL,
};
static const struct sql running = {"SELECT count(*) FROM dais_jobs WHERE state = 1 AND type = ?",
                                   NULL};

/* ---- usage ----------------------------------------------------------------------------------- */

static void write_part(struct json_writer *w, const char *name, double used, int64_t limit)
{
    double left = (double)limit > used ? (double)limit - used : 0;
    json_write_key(w, slice_from(name));
    json_write_object(w);
    json_write_key(w, SLICE("used"));
    json_write_double(w, used);
    json_write_key(w, SLICE("limit"));
    if (limit < 0)
        json_write_null(w);
    else
        json_write_i64(w, limit);
    json_write_key(w, SLICE("left"));
    if (limit < 0)
        json_write_null(w);
    else
        json_write_double(w, left);
    json_write_object_end(w);
}

static bool tell(const struct jobs_reading *r, const struct job_type *t, int64_t now_ms,
                 struct json_writer *w, struct err *e)
{
    struct quota_use use;
    int64_t hundredths; /* of a minute */
    char frees[RFC3339_LEN + 1];
    if (!quota_read(r->conn, t, subject_id(r->who), quota_since(t, now_ms), &use, e))
        return false;
    clock_rfc3339(quota_until(t, now_ms), frees);
    hundredths = use.ms / 600;
    json_write_key(w, t->name);
    json_write_object(w);
    json_write_key(w, SLICE("per"));
    json_write_cstr(w, t->is_quota_per_app ? "app" : "user");
    json_write_key(w, SLICE("window"));
    json_write_str(w, t->conf->quota.window.s);
    write_part(w, "runs", (double)use.runs, t->conf->quota.runs);
    write_part(w, "minutes", (double)hundredths / 100, t->conf->quota.minutes);
    json_write_key(w, SLICE("frees"));
    json_write_cstr(w, frees);
    json_write_object_end(w);
    return true;
}

bool jobs_usage(const struct jobs_reading *r, int64_t now_ms, struct buf *to, struct err *e)
{
    struct json_writer w;
    bool fine = true;
    buf_add_str(to, "\"jobs\":");
    json_writer_init(&w, to, 0);
    json_write_object(&w);
    for (size_t i = 0; fine && i < r->jobs->n_types; i++) {
        const struct job_type *t = &r->jobs->types[i];
        const struct query *rows;
        struct err denied;
        if (t->has_quota && authorize(r->who, &t->policy, ACTION_RUN, r->arena, &rows, &denied))
            fine = tell(r, t, now_ms, &w, e);
    }
    if (fine)
        json_write_object_end(&w);
    return fine;
}

/* ---- figures --------------------------------------------------------------------------------- */

static bool count(struct db_conn *c, const struct sql *sql, struct slice type, bool is_bounded,
                  int64_t *ret, int64_t *ret_due, struct err *e)
{
    struct db_stmt *s = db_prepare(c, sql, e);
    if (!s)
        return false;
    db_bind_text(s, 1, type);
    if (is_bounded)
        db_bind_i64(s, 2, FIGURES_MAX);
    enum db_step step = db_step(s, e);
    *ret = step == DB_ROW ? db_i64(s, 0) : 0;
    if (ret_due)
        *ret_due = step == DB_ROW ? db_i64(s, 1) : 0;
    db_reset(s);
    return step != DB_FAILED;
}

bool jobs_figures(struct jobs *j, struct db_conn *c, struct job_figures *ret, struct err *e)
{
    for (size_t i = 0; i < j->n_types; i++) {
        struct slice type = j->types[i].name;
        int64_t n_ready, n_waiting, n_running, oldest;
        if (!count(c, &ready, type, true, &n_ready, &oldest, e) ||
            !count(c, &waiting, type, true, &n_waiting, NULL, e) ||
            !count(c, &running, type, false, &n_running, NULL, e))
            return false;
        int64_t queued = n_ready + n_waiting < FIGURES_MAX ? n_ready + n_waiting : FIGURES_MAX;
        ret[i] = (struct job_figures){(uint64_t)queued, (uint64_t)n_running, oldest};
    }
    return true;
}
