/* What the files of workers/ share: talk (what a program says), folders, runs, crews. */
#pragma once
#include "workers/workers.h"

#include "base/mask.h"
#include "http/http.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- lines.c: what a program says (pure) --------------------------------------------------------
 */

#define TALK_PIECE (64u << 10) /* of the log, at most, in one note */

enum talk_stream { TALK_OUT, TALK_ERR, TALK_STREAMS };

/* Bytes of its two streams in, cut anywhere; progress, message, result and log out. All of it is
 * bounded; messages and log are well-formed UTF-8 without zero bytes; what is hidden is in none of
 * them, nor in a string of the result. */
struct talk {
    const struct mask *mask;
    uint64_t bytes;   /* of both, so far */
    int32_t progress; /* of 1,000,000; -1: nothing said */
    struct buf message, result;
    bool has_step;        /* progress or message, since it was last taken */
    bool has_result;      /* or what begins like one */
    char bad_result[300]; /* why the last one cannot be taken, a sentence; "": it can */
    struct buf log;       /* what was not taken yet; its oldest goes when it is too much */
    /* inside */
    uint64_t left_out;
    bool is_long; /* of standard output: what comes until the line's end is log */
    struct buf line, tail;
    struct talk_held {
        char raw[4]; /* may be the start of a character */
        size_t n_raw;
        bool is_after_gone; /* the last was none, and a sign stands for it */
        struct buf text;    /* may be the start of a secret */
    } held[TALK_STREAMS];
};
void talk_init(struct talk *t, const struct mask *mask);
void talk_done(struct talk *t);
void talk_add(struct talk *t, enum talk_stream from, struct slice bytes);
void talk_end(struct talk *t); /* nothing more comes */
/* The oldest of the log that was not taken, at most TALK_PIECE, whole characters; false: none. */
bool talk_take_log(struct talk *t, struct buf *to);
struct slice talk_last_line(const struct talk *t); /* of the log; for the sentence of a failure */
/* From a task: as if it had printed it. */
void talk_step(struct talk *t, int32_t progress, struct slice message);
/* As one well-formed line, without what would drive a terminal. */
void text_as_line(struct buf *to, struct slice text, size_t max);

/* ---- folder.c: files of a run; they block, on a lane, but for folder_make and folder_drop -------
 */

/* An empty folder, of that user when uid is not 0. */
bool folder_make(const char *path, uid_t uid, gid_t gid, struct err *e);
/* Goes at once if nothing is in it; false: folder_remove must. */
bool folder_drop(const char *path);
bool folder_remove(const char *path, struct err *e);
/* What is in `path`, but for what has a name with this prefix. */
void folder_sweep(const char *path, struct slice but);
/* Bytes on disk, counted until they are more than `most`; *ret_is_over then. */
void folder_measure(const char *path, uint64_t most, bool *ret_is_over);

/* ---- readings of the manifest -------------------------------------------------------------------
 */

struct plan {
    unsigned refs; /* on loop 0 */
    struct crew_plan of;
    struct worker_kind *kinds;
};
struct plan *plan_new(const struct crew_plan *p);
void plan_ref(struct plan *p);
void plan_unref(struct plan *p); /* NULL is fine */
const struct worker_kind *plan_kind(const struct plan *p, const struct job_type *t);

/* ---- run.c: one attempt -------------------------------------------------------------------------
 */

#define RUN_STEP_MAP(X)                                                    \
    X(RUN_CLAIMED, "claimed")   /* a folder and a token are made */        \
    X(RUN_STARTED, "started")   /* its program runs, or its task */        \
    X(RUN_STOPPING, "stopping") /* somebody wants its end */               \
    X(RUN_ENDED, "ended")       /* nothing of it is left but its folder */ \
    X(RUN_FINISHED, "finished") /* its end waits to be written */          \
    X(RUN_WRITING, "writing")   /* and is on its way */
enum run_step {
#define X(id, name) id,
    RUN_STEP_MAP(X)
#undef X
};

/* Why we want its end. */
enum run_why {
    WHY_NONE,
    WHY_CANCELLED,
    WHY_TIMEOUT,
    WHY_MEMORY,
    WHY_CPU,
    WHY_OUTPUT,
    WHY_FILES,
    WHY_LEASE,
    WHY_STOP
};

struct job_run;
struct task_run;

struct pipe_end {
    struct watch watch;
    struct job_run *run;
    int fd;
    bool is_open;
};

struct job_run {
    struct list link; /* in its crew */
    struct crew *crew;
    struct loop *home; /* outlives the crew's workers, as it may */
    struct plan *plan;
    const struct worker_kind *kind;
    struct arena arena;
    struct slice id, type, owner, input;
    bool is_strangers;
    int64_t attempt;
    unsigned depth;
    int64_t began_ms, lease_ms; /* monotonic; the lease: when it was last renewed */
    unsigned char token[32];    /* digest */
    char token_text[48];
    _Atomic int step; /* enum run_step */
    enum run_why why;
    _Atomic bool is_lost; /* another one's by now: nothing is written */
    struct job_end end;
    struct talk talk;
    struct mask mask;
    int64_t said_ms, spoke_ms; /* when a note was last taken; since when there is one to take; 0 */
    unsigned open;             /* watches, works and writes that will come back */
    bool is_gone;              /* it is in no crew; goes with the last that comes back */
    /* a program */
    struct process *process;
    _Atomic int pid;
    const char *folder;
    struct pipe_end events, in, streams[TALK_STREAMS];
    size_t in_at;    /* of the input, written so far */
    bool has_room;   /* one of the processes or tasks that may be at once is taken up by it */
    bool has_folder; /* it is to be removed */
    bool is_at_folder, is_over_files; /* folder_work is under way */
    struct work folder_work;
    /* a task */
    struct task_run *task;
};

/* Of a claim that was committed. It is in the crew's list. */
struct job_run *run_new(struct crew *c, struct plan *p, const struct job_claim *claim,
                        const char *token, int64_t lease_ms);
void run_start(struct job_run *r);
void run_refuse(struct job_run *r); /* it goes back as it came */
/* SIGTERM, later SIGKILL, if it has not ended. The first reason stays. */
void run_stop(struct job_run *r, enum run_why why);
/* Its lease was renewed, by a write that began then. */
void run_renew(struct job_run *r, int64_t lease_ms);
int64_t run_lease_until(const struct job_run *r); /* its runner kills it then, whatever we do */
/* Once a second, more or less. */
void run_look(struct job_run *r, int64_t now_ms);
/* When its next note may be taken: monotonic; INT64_MAX: there is none. */
int64_t run_note_due(const struct job_run *r);
bool run_is_over(const struct job_run *r); /* its end may be written, or was */
bool run_is_program(const struct job_run *r);
/* It is written, or nobody wants it: out of the crew, and freed as soon as may be. */
void run_remove(struct job_run *r);
/* Without a loop: its processes are killed. */
void run_abandon(struct job_run *r);
const char *run_step_name(enum run_step s);

/* For program.c and task.c. */
void run_spoke(struct job_run *r); /* its talk has a note */
void run_sets(struct job_run *r, enum job_outcome outcome, enum job_error code, const char *fmt,
              ...) PRINTF(4, 5);
bool run_ended_by_us(struct job_run *r); /* sets its end by `why`; false: there is none */
void run_ended(struct job_run *r);       /* its process or task is over; end is set */
void run_let_go(struct job_run *r);      /* what came back */

/* ---- program.c ----------------------------------------------------------------------------------
 */

struct process *program_start(struct job_run *r, struct err *e);
/* Why it could not be started, for people: without the server's paths. */
void program_failed(struct job_run *r, const struct process_event *ev);
/* How it ended. */
void program_ended(struct job_run *r, const struct process_event *ev);

/* ---- task.c -------------------------------------------------------------------------------------
 */

/* On LANE_JOB, or at once if it is instant; run_ended() follows. */
void task_start(struct job_run *r);
void task_stop(struct job_run *r);
void task_free(struct task_run *t);

/* ---- figures.c ----------------------------------------------------------------------------------
 */

struct figures {
    pthread_mutex_t lock;
    struct crew_figures *of; /* of each name */
    struct slice *names;
    size_t n;
};
void figures_init(struct figures *f);
void figures_done(struct figures *f);
void figures_began(struct figures *f, struct slice type, int64_t wait_ms);
void figures_ended(struct figures *f, struct slice type, enum job_outcome outcome, int64_t run_ms);

/* ---- workers.c ----------------------------------------------------------------------------------
 */

struct alarm; /* finer than the loop's own timers */

struct workers {
    _Atomic unsigned refs; /* its maker's, and one of each crew: runs of those may end later */
    struct loops *loops;
    struct spawner *spawner;
    char holder[ID_LEN + 1];
    struct list crews;
    unsigned n_crews, processes; /* processes: that run, or may be claimed just now */
    struct alarm *alarm;
};
struct loop *workers_home(const struct workers *w);
void workers_ref(struct workers *w);
void workers_unref(struct workers *w);
void workers_join(struct workers *w, struct crew *c);
void workers_leave(struct workers *w, struct crew *c);
/* Calls crew_go() of all at that time (monotonic), or sooner. */
void workers_wake_at(struct workers *w, int64_t at_ms);
/* How many processes a crew may claim now; they are its own until it gives them back. */
unsigned workers_take(struct workers *w, struct crew *c);
void workers_give_back(struct workers *w, unsigned n);

/* ---- crew.c and crew_write.c --------------------------------------------------------------------
 */

/* What one write does, all that is due of it: notes, ends, leases, what is due, a claim. */
struct crew_write {
    struct db_write write;
    struct plan *plan; /* whose jobs are asked */
    int64_t began_ms;  /* monotonic */
    struct slice holder;
    struct arena notes; /* of said */
    struct job_said *said;
    struct job_run **ending;
    struct job_end *ends;
    struct job_run **held_runs;
    struct job_held *held;
    size_t n_said, cap_said, n_ending, cap_ending, n_held, cap_held;
    struct slice *mine; /* ids of all runs */
    size_t n_mine, cap_mine;
    bool is_beat, is_look;
    struct jobs_tending tending;
    struct job_room *rooms; /* programs, then tasks */
    size_t n_programs, n_tasks, max_programs, max_tasks;
    struct job_claim claims[WORKERS_PROCESSES + WORKERS_TASKS]; /* programs, then tasks */
    char tokens[WORKERS_PROCESSES][48];
    unsigned char digests[WORKERS_PROCESSES][32];
    size_t n_claimed_programs, n_claimed_tasks;
    bool has_more;
    struct arena claimed;
    bool is_careful; /* one thing at a time: one of them cannot be written */
};

struct crew {
    struct list link; /* in workers */
    struct workers *workers;
    _Atomic unsigned refs;
    struct arena arena;
    struct slice slug;
    struct db_slot *slot;
    struct crew_place place;
    const char *folder;    /* the same, as one path */
    char mark[ID_LEN + 2]; /* names of our folders begin with it */
    struct plan *plan;     /* NULL: nothing is claimed */
    struct list runs;
    unsigned n_programs, n_tasks; /* of runs, that take up room */
    pthread_mutex_t lock;         /* of the list of runs: other threads read it */
    struct figures figures;
    struct db_listener bell;
    _Atomic bool is_rung;
    struct post ring;
    struct timer timer;
    struct crew_write w;
    bool is_working, is_writing, is_opening, is_told_down;
    bool wants_claim, wants_check, wants_look, has_tended;
    bool is_starved;                      /* it could claim more if others had fewer processes */
    int64_t looked_ms, beat_ms, retry_ms; /* monotonic; retry_ms: nothing before */
    int64_t claim_ms;                     /* no claim before: another one is at it */
    int64_t next_wall_ms;                 /* something is due then; 0: nothing is */
    unsigned turn;                        /* which type is asked first */
    struct work open_work, sweep_work;
    struct err open_error;
    bool is_open; /* the outcome of open_work */
    bool is_sweeping, is_swept;
    bool is_stopping, is_stopped;
    int64_t stop_ms; /* its patience ends */
    void (*stopped)(void *user);
    void *stopped_user;
    struct post stop_post;
};
void crew_ref(struct crew *c);
void crew_unref(struct crew *c);
/* Does what can be done now: writes, opens the database, or sets the alarm. */
void crew_go(struct crew *c);
void crew_notice(struct crew *c); /* a run of it is over */

/* What is due now? */
struct crew_due {
    bool has_items; /* notes, ends, leases, or what could not be written before */
    bool is_look, is_beat, is_check, is_claim;
};

/* crew_write.c: what goes into one write. */
void crew_write_init(struct crew *c);
void crew_write_done(struct crew *c);
bool crew_write_has_left(const struct crew *c); /* of a failed one, to be done again */
void crew_write_gather(struct crew *c, const struct crew_due *due, int64_t now_ms);
bool crew_write_send(struct crew *c, struct db *db); /* false: it is over already */
/* It is not to be done again, or was done; the one at the front only, when careful. */
void crew_write_drop_items(struct crew *c);
/* The end at the front cannot be written as it is: it becomes a plain failure. False: it is one
 * already, or a note. */
bool crew_write_soften(struct crew *c);
/* The first n are, or may be, in the database: the next jobs have others. */
void crew_write_use_tokens(struct crew *c, size_t n);
/* crew.c: it is over; `e` as db_write.done has it. */
void crew_written(struct crew *c, const struct err *e);
