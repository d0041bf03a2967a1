/* The inside of jobs/: its tables, who does what with them.
 *
 *   dais_jobs           a row a job; see JOB_COLUMNS
 *   dais_job_notes      steps of progress and pieces of the log of a job, by its own seq
 *   dais_job_links      job waits for `after`: for its success (LINK_AFTER) or for the result of
 * the same work (LINK_SAME) dais_job_usage      runs and time of an owner ('' is the app) in a
 * window that began at `since` dais_job_schedules  when each type is due next
 *
 * Whoever changes several tables does so in this order, so that on Postgres few wait in a circle:
 * jobs, links, other jobs, usage.
 *
 * A waiting row is blocked (it waits for `blocked` others), or due at a time. Due 0 means that
 * those it waited for are over and somebody has to look at it: it fails (error_code is
 * JOB_ERROR_AFTER), or it takes the result of the same work (is_cached). Who ended the others does
 * so, as far as he gets in one write; jobs_tend() does the rest. */
#pragma once
#include "jobs/jobs.h"

#include "base/base.h"
#include "base/sha256.h"

#include <pthread.h>
#include <stdatomic.h>

#define JOB_SKEW_MS    60000 /* as far as servers' clocks may be apart */
#define JOB_SAME_MAX   1000  /* that wait for the same work; more of them are just queued */
#define JOB_BATCH      64    /* rows that one write looks at, of each kind of work */
#define JOB_ERROR_LEN  500
#define JOB_KEEP_MS    (30 * 24 * 3600 * 1000LL)     /* of types that the manifest has no more */
#define JOB_USAGE_MS   (2 * 31 * 24 * 3600 * 1000LL) /* how long old windows are kept */
#define JOB_PIECES_MAX 10000                         /* of a job's log, whatever their size */

struct triggers; /* trigger.c's */

struct cache_part {      /* of a cache key */
    struct slice word;   /* a quoted one; or */
    struct slice *steps; /* a path of the input */
    size_t n_steps;
};
struct job_type {
    const struct job *conf;
    struct jobs *jobs;
    struct slice name;
    size_t index; /* in the manifest's order */
    struct policy policy;
    const struct schema *schema;
    struct cache_part *parts; /* of cache.key */
    size_t n_parts;
    bool has_quota, is_quota_per_app;
    /* with jobs->lock: the owner who was served last; see claim.c */
    char turn[128];
    size_t turn_len;
    bool has_turn;
};
struct jobs {
    const struct manifest *manifest;
    struct db_slot *slot;
    struct db *_Atomic db;
    jobs_is_in is_in;
    jobs_broken broken; /* NULL: nobody is told */
    void *broken_user;
    struct arena arena;
    struct job_type *types;
    size_t n_types;
    struct policy orphans; /* of rows whose type the manifest has no more */
    struct map by_name;
    struct triggers *triggers; /* trigger.c: made by triggers_compile(), in the arena */
    pthread_mutex_t lock;      /* of turns */
    /* tend.c */
    _Atomic int64_t prune_ms;        /* monotonic: when to look for what is too old */
    _Atomic int64_t off_ms;          /* wall - monotonic, when it was last looked at */
    _Atomic bool must_look_at_clock; /* it jumped back, or nobody knows */
};

void jobs_tell_broken(const struct jobs *j, const struct job_row *row); /* if it is one of those */

/* ---- trigger.c --------------------------------------------------------------------------------
 */

/* After the types are there: which of them follow what. What is wrong with `on` is a problem. */
void triggers_compile(struct jobs *j, struct problems *p);
/* What follows the end of a job: `row` is succeeded, failed or cancelled, whole, with its input.
 * Adds orders (is_trusted, may_fail) by job_order_apply(). Only called when jobs_have_triggers(),
 * and not for rows deeper than JOB_DEPTH_MAX. */
bool jobs_trigger_job(struct jobs *j, struct db_conn *c, const struct job_row *row, int64_t now_ms,
                      struct arena *a, struct err *e);

/* ---- rows.c ---------------------------------------------------------------------------------- */

/* In this order; then `input, result`, or '' in their place. */
#define JOB_COLUMNS                                                                       \
    "id, type, owner, state, attempt, priority, created, due, started, ended, run_ms,"    \
    " charged_ms, error_code, error, depth, is_cached, cancel_at, set_at, blocked, lost," \
    " again, quota_since, charged_since, cache, is_strangers"
#define JOB_SAID ", progress, message" /* of a row; a running one has it in its notes: */
#define JOB_LIVE                                                                          \
    ", CASE WHEN state = 1 THEN coalesce((SELECT CASE WHEN n.attempt = dais_jobs.attempt" \
    " THEN n.level ELSE -1 END FROM dais_job_notes n WHERE n.job = dais_jobs.id"          \
    " ORDER BY n.seq DESC LIMIT 1), progress) ELSE progress END,"                         \
    " CASE WHEN state = 1 THEN coalesce((SELECT m.message FROM dais_job_notes m"          \
    " WHERE m.job = dais_jobs.id AND m.attempt = dais_jobs.attempt AND m.seq ="           \
    " (SELECT n.step FROM dais_job_notes n WHERE n.job = dais_jobs.id"                    \
    " ORDER BY n.seq DESC LIMIT 1)), message) ELSE message END"
#define JOB_WHOLE ", input, result"
#define JOB_BRIEF ", '', ''"
/* `id` is one of a JSON array of ids. */
#define JOB_IDS_SQLITE   "(SELECT value FROM json_each(?))"
#define JOB_IDS_POSTGRES "ANY (ARRAY(SELECT json_array_elements_text(?::json)))"
/* The wall clock that leases go by: a Postgres's own, so that servers' clocks do not matter. */
#define JOB_CLOCK_POSTGRES "(? * 0 + (extract(epoch FROM clock_timestamp()) * 1000)::bigint)"

struct job_full {
    struct job_row row;
    int64_t set_at, blocked, lost, again, quota_since, charged_since, cancel_at;
    struct slice cache; /* empty: none */
    bool is_refunded;   /* set by who ends it: the run does not count */
};
/* Of the statement's present row; copied to the arena. */
void job_read(const struct db_stmt *s, struct arena *a, struct job_full *ret);
/* Reads all rows of a statement that is bound, up to `max`; ends it. */
bool job_read_all(struct db_stmt *s, struct arena *a, struct job_full *ret, size_t max,
                  size_t *ret_n, struct err *e);
/* The row, locked until the write's end. DB_END: there is none. */
enum db_step job_lock(struct db_conn *c, struct slice id, struct arena *a, struct job_full *ret,
                      struct err *e);
bool job_insert(struct db_conn *c, const struct job_full *f, struct err *e);
/* Everything but id, type, owner, input and cache; nobody holds it any more. */
bool job_update(struct db_conn *c, const struct job_full *f, struct err *e);
bool job_id_is_good(struct slice id);
/* ["…","…"], in the arena. */
struct slice job_ids(struct arena *a, const struct slice *ids, size_t n);
bool job_not_found(struct slice id, struct err *e);
/* Text for a row or a person: valid, at most `max` bytes, without zero bytes. */
struct slice job_text(struct arena *a, struct slice text, size_t max);
void job_write(struct json_writer *w, const struct job_row *row, bool is_whole);

/* ---- types.c --------------------------------------------------------------------------------- */

/* Of a row; the policy of orphans when the manifest has no such type. */
const struct policy *job_policy(const struct jobs *j, struct slice type);
/* May this subject see it, or what `rows` says? Rules see a job as the document {id, type, owner,
 * state, priority, created}. */
bool job_matches(const struct query *rows, const struct job_row *row);
bool job_may_read(const struct jobs *j, const struct subject *who, const struct job_row *row,
                  struct arena *a);
bool jobs_still_in(const struct jobs *j, const struct subject *who, struct db_conn *c,
                   struct err *e);

/* ---- cache.c --------------------------------------------------------------------------------- */

bool cache_compile(struct job_type *t, struct arena *a, const struct text **ret_text,
                   struct err *e);
/* The digest of what makes two runs the same; of a type with a cache. */
void cache_digest(const struct job_type *t, const struct job_row *row, const struct json *input,
                  unsigned char to[SHA256_LEN]);
/* The result of the same work, if it is known; DB_END: it is not. */
enum db_step cache_known(struct db_conn *c, const struct job_type *t, struct slice digest,
                         int64_t now_ms, struct arena *a, struct slice *ret, struct err *e);
/* The job that is at it, or will be within reason; locked against ending before our write does. */
enum db_step cache_under_way(struct db_conn *c, const struct job_type *t, const struct job_full *f,
                             int64_t now_ms, struct arena *a, struct slice *ret_id, struct err *e);

/* ---- quota.c --------------------------------------------------------------------------------- */

struct quota_use {
    int64_t runs, ms;
};
int64_t quota_since(const struct job_type *t, int64_t now_ms); /* when the window began */
int64_t quota_until(const struct job_type *t, int64_t now_ms); /* when the next one does */
/* Counts a run of f, or ERR_QUOTA; nothing for types without one and for the app's own. */
bool quota_take(struct db_conn *c, const struct job_type *t, struct job_full *f, bool is_of_app,
                int64_t now_ms, struct err *e);
/* f is over: what it took counts, or is given back. */
bool quota_settle(struct db_conn *c, const struct job_type *t, struct job_full *f, int64_t now_ms,
                  struct err *e);
bool quota_read(struct db_conn *c, const struct job_type *t, struct slice owner, int64_t since,
                struct quota_use *ret, struct err *e);
bool quota_add(struct db_conn *c, const struct job_type *t, struct slice owner, int64_t since,
               int64_t runs, int64_t ms, struct err *e);
/* Minutes are left for a job that is about to begin. */
bool quota_may_begin(struct db_conn *c, const struct job_type *t, const struct job_full *f,
                     int64_t now_ms, bool *ret, struct err *e);

/* ---- settle.c: rows that end, and what that leads to ------------------------------------------
 */

struct settling {
    struct jobs *jobs;
    struct db_conn *conn;
    struct arena *arena;
    int64_t now_ms;
    bool has_more; /* the outcome: jobs_tend() has something left to do */
    bool is_quiet; /* nothing follows: their account leaves */
};
/* Rows that were read in this write (locked) and changed in memory: stores them; of those that are
 * over their quota, whoever waits for them, and what follows them. */
bool jobs_settle(struct settling *x, struct job_full *rows, size_t n, struct err *e);
/* Only what is due 0. */
bool jobs_settle_due(struct settling *x, struct err *e);
/* What is over, without storing it: for rows that were inserted as over. */
bool jobs_followed(struct settling *x, const struct job_full *f, struct err *e);
bool link_add(struct db_conn *c, struct slice job, struct slice after, int kind, struct err *e);
enum { LINK_AFTER, LINK_SAME };
/* Makes f failed, and the like, in memory. */
void job_fail(struct job_full *f, enum job_error code, struct slice error, int64_t now_ms);
void job_succeed(struct job_full *f, struct slice result, int64_t now_ms);
void job_ready(struct job_full *f, int64_t now_ms);

/* ---- finish.c -------------------------------------------------------------------------------- */

/* What an end makes of a running row. Pure but for the jitter. */
void job_end_apply(const struct job_type *t, struct job_full *f, const struct job_end *end,
                   int64_t now_ms, struct arena *a);

/* ---- lease.c --------------------------------------------------------------------------------- */

/* Running rows whose lease is over; is_all: all that are not held by `holder`. */
bool lease_reclaim(struct settling *x, const struct jobs_tending *t, struct err *e);
/* When the first lease ends, 0: none. */
bool lease_next(struct db_conn *c, int64_t *ret_ms, struct err *e);

/* ---- notes.c --------------------------------------------------------------------------------- */

bool notes_remove(struct db_conn *c, struct slice ids, struct err *e); /* ids: as job_ids() */
