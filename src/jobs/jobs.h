/* Jobs of an app: slow work in a queue in its database, which outlives whoever runs it.
 *
 *   jobs       an app's types as one reading of the manifest has them; read-only, shared
 *   job_type   one: who may run it, the schema of its input, what it may use
 *   job        a row: input, state, result
 *   job_order  a job that is to be, on its way through a write
 *   holder     a server process that runs jobs; a job it runs is leased to it
 *
 * Life of a row: waiting (for its time, or for other jobs) -> ready -> running -> succeeded, failed
 * or cancelled. Both of the first are "queued" for people. What runs is known by (id, attempt): who
 * says something of an attempt that is over is not heard.
 *
 * Whoever wants a job adds it inside the write that it is about: both are there or neither. So
 * adding only inserts rows of its own (and counts a quota, where there is one), and is in nobody's
 * way. Claiming looks at others' rows: it is a loose write (db.h) that holds the type's lock.
 *
 * At least once: a job whose holder is gone is ready again when its lease is over; a holder that
 * cannot renew a lease ends the work before that. Which is why none runs twice at the same time.
 *
 * This room is rows and decisions. Who runs them is workers/, what dais itself can do is tasks/. */
#pragma once
#include "auth/auth.h"
#include "db/db.h"
#include "db/slot.h"
#include "journal/journal.h"
#include "manifest/manifest.h"
#include "schema/schema.h"

#define JOB_INPUT_MAX   (1u << 20) /* JSON */
#define JOB_RESULT_MAX  (1u << 20)
#define JOB_MESSAGE_MAX 500
#define JOB_LOG_MAX     (1u << 20) /* of one job; then its oldest pieces go */
#define JOB_NOTES_MAX   1000       /* steps of progress kept of one job; then the oldest go */
#define JOB_AFTER_MAX   20
#define JOB_DEPTH_MAX   8   /* a job that a job led to, and so on: then it is a loop */
#define JOB_LOST_MAX    5   /* servers that died over it: then it is not tried again */
#define JOB_PRIORITY    100 /* -100 to 100; higher goes first */
#define JOB_DELAY_MAX   (365 * 24 * 3600 * 1000LL)
#define JOB_LEASE_MS    30000
#define JOB_BEAT_MS     8000 /* how often it is renewed */
#define JOB_LIMIT       30
#define JOB_LIMIT_MAX   1000

extern const struct db_migration jobs_migrations[]; /* every database of an app */

/* ---- an app's types ---------------------------------------------------------------------------
 */

struct jobs;
struct job_type;
struct job_row;

/* Compiles rules, schemas, cache keys and triggers; reads files, so not on a loop that serves. What
 * is wrong is added to the problems. Never NULL. */
struct jobs *jobs_new(const struct manifest *m, struct problems *p); /* m outlives them */
void jobs_attach(struct jobs *j, struct db_slot *slot);
/* As docs_guard(): asked in every write that somebody asks for. */
typedef bool (*jobs_is_in)(struct db_conn *c, const struct identity *who, struct err *e);
void jobs_guard(struct jobs *j, jobs_is_in is_in);
/* Told of a job that failed for good where nobody would see it: a task of dais's own (a backup,
 * a webhook), whoever it was for; and of programs those that neither they nor whoever asked did
 * wrong: it could not be started, was lost too often, or jobs led to jobs in a circle. Any thread,
 * inside a write, which may run again: then twice. Before the first of them. */
typedef void (*jobs_broken)(void *user, const struct job_row *row);
void jobs_on_broken(struct jobs *j, jobs_broken tell, void *user);
void jobs_free(struct jobs *j); /* NULL is fine */

const struct job_type *job_type_find(const struct jobs *j, struct slice name); /* NULL: none */
size_t job_type_count(const struct jobs *j);
const struct job_type *job_type_at(const struct jobs *j, size_t i); /* the manifest's order */
const struct job *job_type_conf(const struct job_type *t);          /* as dais.yaml has it */
const struct schema *job_type_schema(const struct job_type *t);     /* NULL: any JSON value */

/* As docs_enter() and its like. */
bool jobs_enter(struct jobs *j);
bool jobs_open(struct jobs *j, struct err *e); /* blocks */
void jobs_leave(struct jobs *j);
void jobs_leave_quietly(struct jobs *j);
struct db *jobs_db(const struct jobs *j);
struct db_slot *jobs_slot(const struct jobs *j);

/* ---- a row ------------------------------------------------------------------------------------
 */

/*    as stored: numbers stay   for people */
#define JOB_STATE_MAP(X)             \
    X(JOB_READY, 0, "queued")        \
    X(JOB_RUNNING, 1, "running")     \
    X(JOB_WAITING, 2, "queued")      \
    X(JOB_SUCCEEDED, 3, "succeeded") \
    X(JOB_FAILED, 4, "failed")       \
    X(JOB_CANCELLED, 5, "cancelled")
enum job_state {
#define X(id, number, name) id = number,
    JOB_STATE_MAP(X)
#undef X
};
const char *job_state_name(enum job_state s);
bool job_state_is_over(enum job_state s);

/* Why one failed, or was cancelled; slugs that clients may rely on. */
#define JOB_ERROR_MAP(X)                                                            \
    X(JOB_ERROR_EXIT, "exit_code")  /* its program said so */                       \
    X(JOB_ERROR_SIGNAL, "signal")   /* its program crashed */                       \
    X(JOB_ERROR_AGAIN, "try_again") /* exit code 75, too often */                   \
    X(JOB_ERROR_TIMEOUT, "timeout")                                                 \
    X(JOB_ERROR_MEMORY, "over_memory")                                              \
    X(JOB_ERROR_CPU, "over_cpu")                                                    \
    X(JOB_ERROR_FILES, "over_files")                                                \
    X(JOB_ERROR_OUTPUT, "over_output")                                              \
    X(JOB_ERROR_START, "cannot_start") /* no such program, not executable */        \
    X(JOB_ERROR_LOST, "lost")          /* with its server, too often */             \
    X(JOB_ERROR_QUOTA, "quota_exceeded")                                            \
    X(JOB_ERROR_AFTER, "dependency_failed") /* one it waited for did not succeed */ \
    X(JOB_ERROR_RESULT, "bad_result")       /* no JSON, or too large */             \
    X(JOB_ERROR_TASK, "task_failed")        /* a task of dais's own */              \
    X(JOB_ERROR_LOOP, "loop")               /* jobs that lead to jobs, too deep */  \
    X(JOB_ERROR_LEFT, "account_left")
enum job_error {
    JOB_ERROR_NONE,
#define X(id, slug) id,
    JOB_ERROR_MAP(X)
#undef X
};
const char *job_error_slug(enum job_error code); /* "" of none */

struct job_row {
    struct slice id, type, owner; /* owner empty: the app's own, or */
    bool is_strangers;            /* of somebody who was signed out */
    enum job_state state;
    int64_t attempt, priority;
    int64_t created_ms, due_ms, started_ms, ended_ms; /* 0: not (yet) */
    int64_t run_ms, charged_ms; /* of all attempts; charged -1: nothing said */
    int32_t progress;           /* of 1,000,000; -1: nothing said */
    struct slice message;
    struct slice input, result; /* JSON; result empty: none */
    enum job_error error_code;
    struct slice error; /* a sentence */
    unsigned depth;
    bool is_cached, is_cancelled; /* is_cancelled: asked for, still running */
};
/* {"id","type","owner","state","progress","message","attempt","priority","input","result","error"
 * (null or {"code","message"}),"cached","created","due","started","ended","run_ms"} */
void job_json(struct buf *to, const struct job_row *row);

/* ---- adding -----------------------------------------------------------------------------------
 */

struct job_order {
    /* asked for; all of it lives in `arena` */
    struct jobs *jobs;
    const struct job_type *type;
    const struct subject *who;
    struct arena *arena;
    const struct json *input;  /* NULL: null */
    struct slice text;         /* the same as text, as it came */
    const struct slice *after; /* ids it waits for */
    size_t n_after;
    int64_t delay_ms;
    int priority;
    struct slice owner; /* set by job_order_check(): the subject's id; the app's own: empty */
    bool is_strangers;  /* set by it, too: whoever asks is signed out, so owner is empty */
    unsigned depth;
    bool is_trusted; /* a trigger, a schedule, a command: rules and schema are not asked */
    bool may_fail;   /* of a trigger: without quota it is there, as failed, and the write goes on */
    /* the outcome */
    struct job_row row;
    struct slice details; /* of ERR_INVALID…: problem+json's "errors" */
};
/* Before the write: may they, is the input what the schema says (422), is it small enough? Pure. */
bool job_order_check(struct job_order *o, struct err *e);
/* Inside anybody's db_write, which may run again: inserts it, ready, waiting or, with a known
 * result, succeeded; counts the quota (ERR_QUOTA, with when it is free again in the sentence and
 * *ret_retry_ms); tells TOPIC_JOBS. */
bool job_order_apply(struct job_order *o, struct db_conn *c, int64_t now_ms, int64_t *ret_retry_ms,
                     struct err *e);

/* What follows a change of a document or file: a change_hook (journal.h); user: the jobs. */
bool jobs_on_change(void *user, struct db_conn *c, const struct change *ch, struct err *e);
bool jobs_have_triggers(const struct jobs *j);

/* ---- reading ----------------------------------------------------------------------------------
 */

struct jobs_reading {
    struct jobs *jobs;
    struct db_conn *conn;
    struct arena *arena; /* what is returned lives here */
    const struct subject *who;
    bool is_on_loop; /* nothing may take long: ERR_OVER_BUDGET means again, on a lane */
};
/* ERR_NOT_FOUND: absent, or not for this subject. */
bool jobs_get(const struct jobs_reading *r, struct slice id, struct job_row *ret, struct err *e);
/* Of one that was read for somebody else. */
bool jobs_may_see(const struct jobs_reading *r, const struct job_row *row);

struct jobs_query {
    struct slice state, type, after; /* empty: any; after: opaque */
    uint32_t limit;                  /* 0: JOB_LIMIT */
};
/* Adds {"items":[…],"next":…}, newest first, without input and result. */
bool jobs_list(const struct jobs_reading *r, const struct jobs_query *q, struct buf *to,
               struct err *e);

/* What happened to a job since `seq`: steps of progress and pieces of its log, oldest first. */
enum job_note_kind { NOTE_PROGRESS, NOTE_LOG };
struct job_note {
    int64_t seq, at_ms;
    enum job_note_kind kind;
    int32_t progress;  /* -1: only a message */
    struct slice text; /* the message, or bytes of the log */
};
/* Up to `max`, after `seq`; *ret_has_gap: some before the first of them are not kept any more. No
 * right is asked: jobs_get() first. */
bool job_notes_read(struct db_conn *c, struct arena *a, struct slice id, int64_t seq, size_t max,
                    struct job_note *ret, size_t *ret_n, bool *ret_has_gap, struct err *e);

/* Adds the member "jobs":{"import_video":{"per","window","runs":{"used","limit","left"},
 * "minutes":{…},"frees"},…} of GET /api/usage: types the subject may run. */
bool jobs_usage(const struct jobs_reading *r, int64_t now_ms, struct buf *to, struct err *e);

/* ---- what people do with a job: inside a db_write's run ---------------------------------------
 */

struct job_act {
    struct jobs *jobs;
    const struct subject *who;
    struct arena *arena;
    struct slice id;
    int64_t charge_ms;  /* of jobs_charge */
    struct job_row row; /* the outcome */
};
/* In a loose write: who came to wait for it until it was locked must be seen, and those that loose
 * writes add are no conflict for a serializable one. Queued: over at once. Running: its holder is
 * told (TOPIC_JOBS) and ends it. Over: as it is. */
bool jobs_cancel(struct job_act *a, struct db_conn *c, int64_t now_ms, struct err *e);
/* Of one that failed or was cancelled: queued again, from its first attempt; a run of the quota.
 * ERR_EXISTS (409) for others. */
bool jobs_retry(struct job_act *a, struct db_conn *c, int64_t now_ms, struct err *e);
/* What the running job itself says it costs instead of its time; more than is left: ERR_QUOTA.
 * Only the job's own token may. */
bool jobs_charge(struct job_act *a, struct db_conn *c, int64_t now_ms, struct err *e);

/* ---- running: for workers/, inside loose writes (db_write.is_loose) ----------------------------
 */

struct job_claim {
    const struct job_type *type;
    struct job_row row;      /* attempt: the one that begins */
    unsigned char token[32]; /* digest of what its program proves itself with; made by the caller */
};
struct job_room {
    const struct job_type *type;
    size_t most; /* that the caller has room for */
};
/* Takes ready jobs, fairly between owners, within concurrency, and leases them to `holder`. Those
 * over their minutes fail here, those with a known result by now succeed. *ret_has_more: there may
 * be more for which there is room, or another holder claims of the same type in this moment: again,
 * in a little while if nothing was had. Slices in `a`. */
bool jobs_claim(struct jobs *j, struct db_conn *c, struct slice holder,
                const struct job_room *rooms, size_t n_rooms, int64_t now_ms, struct arena *a,
                struct job_claim *ret, size_t max, size_t *ret_n, bool *ret_has_more,
                struct err *e);
/* The digest of the token that a claimed attempt has from now on. */
bool jobs_set_token(struct db_conn *c, struct slice id, int64_t attempt,
                    const unsigned char token[32], struct err *e);

enum job_outcome {
    OUTCOME_SUCCEEDED,
    OUTCOME_FAILED, /* for good */
    OUTCOME_AGAIN,  /* tried again as often as its type says */
    OUTCOME_CANCELLED,
    OUTCOME_RETURNED, /* the server stops: ready again, as if it had not begun */
    OUTCOME_LOST      /* its runner died: again, but not for ever */
};
struct job_end {
    struct slice id;
    int64_t attempt;
    enum job_outcome outcome;
    enum job_error code;
    struct slice error, result; /* result: JSON */
    int32_t progress;
    struct slice message;
    int64_t run_ms, pause_ms; /* pause_ms: of OUTCOME_AGAIN, there is no use before that */
    bool is_refunded;         /* not the user's doing: the run does not count */
};
/* What they led to, in one transaction: the rows, retries with their pauses, quotas, those who
 * waited for them, and `on:` of other types. An end that is not of the present attempt is ignored.
 */
bool jobs_finish(struct jobs *j, struct db_conn *c, struct slice holder, const struct job_end *ends,
                 size_t n, int64_t now_ms, struct arena *a, struct err *e);

struct job_said {
    struct slice id;
    int64_t attempt;
    enum job_note_kind kind;
    int32_t progress;
    struct slice text;
};
/* Notes of running jobs, in order; tells TOPIC_JOB_EVENTS. */
bool jobs_say(struct db_conn *c, const struct job_said *said, size_t n, int64_t now_ms,
              struct err *e);

struct job_held {
    struct slice id;
    int64_t attempt;
    bool is_lost, is_cancelled; /* the answer: it is not ours any more; somebody wants its end */
};
/* Renews the leases; also asked in between, with is_beat false, for what was cancelled. */
bool jobs_beat(struct db_conn *c, struct slice holder, struct job_held *held, size_t n,
               bool is_beat, int64_t now_ms, struct err *e);

/* One bit of: what is due becomes ready, schedules, leases that are over, what is too old goes, due
 * times after the clock jumped back. is_first: this process has just taken a SQLite for itself,
 * so nobody runs what is said to be running. *ret_next_ms: when something is due next (0: nothing
 * is), as a wall time. In a loose write. */
struct jobs_tending {
    struct slice holder;      /* who tends: its own are not taken back, */
    const struct slice *mine; /* but for what is not among these ids when its lease is over: of */
    size_t n_mine;            /* that claim it never heard. NULL: that is not asked */
    bool is_first;
    int64_t next_ms;
    bool has_more;
};
bool jobs_tend(struct jobs *j, struct db_conn *c, int64_t now_ms, struct jobs_tending *t,
               struct err *e);
/* Only what is too old goes, a bit of it, whenever it was last looked for: *ret_n jobs. In a write.
 */
bool jobs_prune(struct jobs *j, struct db_conn *c, int64_t now_ms, int64_t *ret_n,
                bool *ret_has_more, struct err *e);

/* Who a job's token speaks for. False with ERR_UNAUTHENTICATED: no running job has it. */
struct job_bearer {
    struct slice id, type, owner;
    bool is_strangers; /* signed out: it may what a stranger may */
    unsigned depth;    /* as identity.depth: that of the job, and one for itself */
};
bool jobs_bearer(struct db_conn *c, const unsigned char token[32], struct arena *a,
                 struct job_bearer *ret, struct err *e);
/* Inside a write that a job's program asked for: does the job still run? ERR_UNAUTHENTICATED. */
bool jobs_vouch(struct db_conn *c, struct slice id, struct err *e);

/* ---- people who leave, figures ----------------------------------------------------------------
 */

/* As docs_purge_owner() and docs_adopt_owner(); running ones are cancelled, then go. */
bool jobs_purge_owner(struct jobs *j, struct slice user, bool *ret_more, struct err *e);
bool jobs_adopt_owner(struct jobs *j, struct slice from, struct slice to, bool *ret_more,
                      struct err *e);
/* As files_export_owner(): {"job":{…}} as JSON lines. */
bool jobs_export_owner(const struct jobs_reading *r, struct slice owner, struct slice after,
                       struct buf *to, struct slice *ret_next, struct err *e);

struct job_figures {
    uint64_t queued, running; /* rows, of all processes */
    int64_t oldest_ms;        /* since when the oldest ready one waits; 0: none */
};
/* Of each type, in the manifest's order; bounded: a queue longer than 100,000 is told as that. */
bool jobs_figures(struct jobs *j, struct db_conn *c, struct job_figures *ret, struct err *e);

/* ---- cron (pure) ------------------------------------------------------------------------------
 */

/* The first time after `after_ms` (wall, UTC) that five fields name; 0: never. */
int64_t cron_next(struct slice spec, int64_t after_ms);
