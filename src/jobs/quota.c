/* Quotas of runs and minutes: windows in UTC, what is counted when, what is given back.
 *
 * A run counts when it is added, in the window of then; minutes when it is over, in the window of
 * then, or when it says itself what it costs. */
#include "jobs/jobs_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define HOUR 3600000LL
#define DAY  (24 * HOUR)

static const struct sql take = {
    "INSERT INTO dais_job_usage AS u (owner, type, since, runs, ms) VALUES (?, ?, ?, 1, 0)"
    " ON CONFLICT (owner, type, since) DO UPDATE SET runs = u.runs + 1"
    " WHERE u.runs < ? AND u.ms < ?",
    NULL,
};
static const struct sql add = {
    "INSERT INTO dais_job_usage AS u (owner, type, since, runs, ms) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (owner, type, since) DO UPDATE SET runs = u.runs + excluded.runs,"
    " ms = u.ms + excluded.ms",
    NULL,
};
static const struct sql read_one = {
    "SELECT runs, ms FROM dais_job_usage WHERE owner = ? AND type = ? AND since = ?", NULL};

/* ---- windows --------------------------------------------------------------------------------- */

static int64_t month_of(int64_t now_ms, int more)
{
    time_t s = now_ms / 1000;
    struct tm at;
    gmtime_r(&s, &at);
    struct tm first = {.tm_year = at.tm_year, .tm_mon = at.tm_mon + more, .tm_mday = 1};
    return (int64_t)timegm(&first) * 1000;
}

static int64_t floor_to(int64_t ms, int64_t step)
{
    int64_t rest = ms % step;
    return ms - (rest < 0 ? rest + step : rest);
}

static int64_t window_at(const struct job_type *t, int64_t now_ms, int more)
{
    struct slice window = t->conf->quota.window.s;
    if (slice_is(window, "month"))
        return month_of(now_ms, more);
    if (slice_is(window, "week")) /* from Monday; 1970 began on a Thursday */
        return floor_to(now_ms + 3 * DAY, 7 * DAY) - 3 * DAY + more * 7 * DAY;
    int64_t step = slice_is(window, "hour") ? HOUR : DAY;
    return floor_to(now_ms, step) + more * step;
}

int64_t quota_since(const struct job_type *t, int64_t now_ms)
{
    return window_at(t, now_ms, 0);
}

int64_t quota_until(const struct job_type *t, int64_t now_ms)
{
    return window_at(t, now_ms, 1);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static struct slice counted_for(const struct job_type *t, struct slice owner)
{
    return t->is_quota_per_app ? SLICE("") : owner;
}

static void bind_key(struct db_stmt *s, const struct job_type *t, struct slice owner, int64_t since)
{
    db_bind_text(s, 1, counted_for(t, owner));
    db_bind_text(s, 2, t->name);
    db_bind_i64(s, 3, since);
}

bool quota_read(struct db_conn *c, const struct job_type *t, struct slice owner, int64_t since,
                struct quota_use *ret, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &read_one, e);
    if (!s)
        return false;
    bind_key(s, t, owner, since);
    enum db_step step = db_step(s, e);
    *ret = (struct quota_use){0};
    if (step == DB_ROW)
        *ret = (struct quota_use){db_i64(s, 0), db_i64(s, 1)};
    db_reset(s);
    return step != DB_FAILED;
}

bool quota_add(struct db_conn *c, const struct job_type *t, struct slice owner, int64_t since,
               int64_t runs, int64_t ms, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &add, e);
    if (!s)
        return false;
    bind_key(s, t, owner, since);
    db_bind_i64(s, 4, runs);
    db_bind_i64(s, 5, ms);
    return db_run(s, NULL, e);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static int64_t runs_max(const struct job_type *t)
{
    return t->conf->quota.runs < 0 ? INT64_MAX : t->conf->quota.runs;
}

static int64_t ms_max(const struct job_type *t)
{
    return t->conf->quota.minutes < 0 ? INT64_MAX : t->conf->quota.minutes * 60000;
}

static bool refuse(struct db_conn *c, const struct job_type *t, struct slice owner, int64_t since,
                   int64_t now_ms, struct err *e)
{
    struct quota_use use;
    char at[RFC3339_LEN + 1];
    int64_t until = quota_until(t, now_ms);
    if (!quota_read(c, t, owner, since, &use, e))
        return false;
    bool is_of_runs = use.runs >= runs_max(t);
    clock_rfc3339(until, at);
    err_set(e, ERR_QUOTA,
            "The %" PRId64 " %s of %.*s that %s may use in one %.*s are used up; they"
            " are free again at %s.",
            is_of_runs ? runs_max(t) : t->conf->quota.minutes, is_of_runs ? "runs" : "minutes",
            SLICE_ARGS(t->name), t->is_quota_per_app ? "the app" : "an account",
            SLICE_ARGS(t->conf->quota.window.s), at);
    if (e)
        e->retry_s = (int)((until - now_ms + 999) / 1000);
    return false;
}

bool quota_take(struct db_conn *c, const struct job_type *t, struct job_full *f, bool is_of_app,
                int64_t now_ms, struct err *e)
{
    int64_t since = quota_since(t, now_ms), changed = 0;
    if (!t->has_quota || (is_of_app && !t->is_quota_per_app))
        return true;
    if (runs_max(t) > 0 && ms_max(t) > 0) { /* else the first row would be one too many */
        struct db_stmt *s = db_prepare(c, &take, e);
        if (!s)
            return false;
        bind_key(s, t, f->row.owner, since);
        db_bind_i64(s, 4, runs_max(t));
        db_bind_i64(s, 5, ms_max(t));
        if (!db_run(s, &changed, e))
            return false;
    }
    f->quota_since = changed ? since : 0;
    return changed || refuse(c, t, f->row.owner, since, now_ms, e);
}

bool quota_may_begin(struct db_conn *c, const struct job_type *t, const struct job_full *f,
                     int64_t now_ms, bool *ret, struct err *e)
{
    struct quota_use use;
    *ret = true;
    if (t->conf->quota.minutes < 0 || !f->quota_since)
        return true;
    if (!quota_read(c, t, f->row.owner, quota_since(t, now_ms), &use, e))
        return false;
    *ret = use.ms < ms_max(t);
    return true;
}

bool quota_settle(struct db_conn *c, const struct job_type *t, struct job_full *f, int64_t now_ms,
                  struct err *e)
{
    struct slice owner = f->row.owner;
    if (!t || !t->has_quota || !f->quota_since)
        return true;
    if (!f->is_refunded)
        return f->row.charged_ms >= 0 || !f->row.run_ms ||
               quota_add(c, t, owner, quota_since(t, now_ms), 0, f->row.run_ms, e);
    bool fine = quota_add(c, t, owner, f->quota_since, -1, 0, e);
    if (fine && f->row.charged_ms > 0)
        fine = quota_add(c, t, owner, f->charged_since, 0, -f->row.charged_ms, e);
    return fine;
}
