/* Whoever runs jobs: takes them from the queues of apps while there is room, and runs each as a
 * process of its own or as one of dais's tasks. All decisions are on loop 0.
 *
 *   workers  the server's: how many processes at once, all apps together
 *   crew     one app's; outlives the readings of its manifest
 *   kind     how jobs of one type are run, as one reading of the manifest has it
 *   run      one attempt of one job: claimed -> started -> ended -> finished (its steps stand at
 *            the top of run.c)
 *
 * A program of a job gets its input as JSON on standard input, an empty folder of its own as the
 * working directory, and the environment that its kind names, nothing else. It says lines of JSON
 * on standard output ({"progress":0.4,"message":"…"}, {"result":{…}}); other lines and all of
 * standard error are its log. It ends with exit code 0 (done), 75 (try again) or another (failed).
 * When it has ended, nothing of its process tree is left (loop/spawn.h), nor its folder.
 *
 * What it says is written every few milliseconds, all runs of an app together, and whoever watches
 * hears of it after that commit. */
#pragma once
#include "jobs/jobs.h"
#include "loop/spawn.h"

#define WORKERS_PROCESSES 64           /* at once, of all apps */
#define WORKERS_TASKS     256          /* claimed at once, of an app */
#define WORKER_GRACE_MS   1500         /* from SIGTERM to SIGKILL */
#define WORKER_LINE_MAX   (2u << 20)   /* of standard output */
#define WORKER_OUTPUT     (100u << 20) /* both together, unless limits.output says */
#define WORKER_OPEN_FILES 1024
#define WORKER_TOKEN      "djt_" /* then 43 characters */

/* ---- tasks: what dais does itself ---------------------------------------------------------------
 */

struct task_call {
    struct slice id;    /* of the job */
    struct slice owner; /* whoever it is for; empty: the app */
    int64_t attempt;
    unsigned depth;           /* how many jobs led to it */
    const struct json *input; /* of the job */
    const struct pairs *with; /* of the manifest, with settings in place of their names; what it
                                 says goes before the input: the maker fixed it */
    struct arena *arena;
    struct buf *result; /* JSON; empty: none */
    bool (*should_stop)(struct task_call *t);
    void (*say)(struct task_call *t, int32_t progress, struct slice message);
};
/* On LANE_JOB: may block. False: e; ERR_UNAVAILABLE, ERR_UNREACHABLE, ERR_GATEWAY_TIMEOUT and
 * ERR_BAD_GATEWAY are tried again, others are final. */
struct task {
    const char *name; /* "http.call" */
    bool (*run)(void *user, struct task_call *t, struct err *e);
    /* What is wrong with `with`, when the manifest is read; may be NULL. */
    bool (*check)(const struct pairs *with, const struct manifest *m, struct err *e);
    bool is_instant; /* takes no time: is run where it was claimed */
};

/* ---- crews ------------------------------------------------------------------------------------
 */

struct worker_kind {
    const struct job_type *type;
    /* a program */
    const char *program; /* absolute */
    const char *const
        *env; /* exact, but for DAIS_JOB_ID, DAIS_TOKEN, HOME and TMPDIR; ends in NULL */
    const struct slice *hidden; /* values that no log shows */
    size_t n_hidden;
    uid_t uid; /* 0: as the server */
    gid_t gid;
    const char *user_name; /* of uid, for people; NULL: nobody knows */
    /* or a task */
    const struct task *task;
    void *user;
    const struct pairs *with; /* of the task; NULL: nothing */
};
/* The nearest of the path's parents that this user cannot enter, by its mode; NULL: none. */
const char *worker_barrier(struct arena *a, const char *path, uid_t uid, gid_t gid);
/* By its mode. A script has to be read, too. */
bool worker_may_run(const char *path, uid_t uid, gid_t gid);

/* One reading of the manifest; what it points to lives as long as `service` (NULL: as the crew). */
struct crew_plan {
    struct jobs *jobs;
    struct service *service;
    const struct worker_kind *kinds; /* of each type, in the manifest's order */
    size_t n;
};

struct workers;
struct workers *workers_new(struct loops *loops, struct spawner *spawner);
void workers_free(struct workers *w); /* after its crews are freed */

/* Where runs have their folders: `rest` below `base`, which is there. */
struct crew_place {
    const char *base, *rest;
    bool is_shared; /* anybody may write to base, and others run jobs: each folder of `rest` has to
                       be ours, no link, closed to others but for passing through */
};
/* False, and e says where, why and what to do: it cannot be made, or somebody else has. */
bool crew_place_make(const struct crew_place *p, struct err *e);
void crew_place_leave(const struct crew_place *p); /* removes what is empty of it */

struct crew;
/* The place is made when it is needed, and emptied at the start; it is copied. Loop 0, or before
 * the loops run. */
struct crew *crew_new(struct workers *w, struct slice slug, struct db_slot *slot,
                      const struct crew_place *place);
/* Loop 0: from now on as this plan says; copied. Runs under way go on as they began. NULL: nothing
 * more is claimed. */
void crew_serve(struct crew *c, const struct crew_plan *plan);
/* Loop 0: claims nothing more, ends what runs (SIGTERM, then SIGKILL), gives it back to the queue;
 * then `done` is called there, after 5 s at the latest, unless a write is under way: what could not
 * be given back by then is another's when its lease ends. */
void crew_stop(struct crew *c, void (*done)(void *user), void *user);
/* Loop 0 or when it runs no more, and before loops_free(). Runs of a crew that was not stopped are
 * killed. NULL is fine. */
void crew_free(struct crew *c);

/* Is this the token of a run of this process? Any thread; the slices go into the arena. */
bool crew_knows(struct crew *c, const unsigned char token[32], struct arena *a,
                struct job_bearer *ret);
/* A line for each run, for `dais debug`; figures for /metrics, # HELP once by the caller. */
void crew_text(struct crew *c, struct buf *to);
struct crew_figures {
    uint64_t claimed, succeeded, failed, cancelled, again, lost;
    uint64_t wait_ms, run_ms; /* all together: from ready to start; from start to end */
    unsigned running;
};
/* Of a type; any thread. */
struct crew_figures crew_figures(struct crew *c, struct slice type);
