/* Event loop threads: descriptors, timers, wake-ups, what runs at the end of a turn, worker lanes.
 *
 * A loop is one thread around one libuv loop. Everything on it belongs to that thread; only
 * loop_post may be called from elsewhere. One turn is: wait for events, run their callbacks, run
 * the tick hooks in order (flush what was written, write the log), empty the retire list, sleep.
 * Nothing is freed on its own call stack: it is retired. */
#pragma once
#include "base/base.h"

#include <uv.h>

struct loop;
struct loops;

/* ---- loop threads ---------------------------------------------------------------------------- */

/* n loops; loop 0 is the caller's thread. Nothing runs yet. */
struct loops *loops_new(unsigned n);
void loops_free(struct loops *ls); /* after loops_run returned */
unsigned loops_count(const struct loops *ls);
struct loop *loops_get(struct loops *ls, unsigned i);

/* Starts the other threads, runs loop 0 here, returns when every loop has stopped. */
void loops_run(struct loops *ls);
/* Any thread. False before loops_run and once it has run the last posts: then nothing is on a loop.
 */
bool loops_are_running(const struct loops *ls);
/* When the loops do not run: what was posted to them, and what that posts. False: there was none.
 */
bool loops_run_posts(struct loops *ls);
/* Any thread, any number of times: every loop ends its turn, closes what it has, and returns. */
void loops_stop(struct loops *ls);

unsigned loop_index(const struct loop *l);
uv_loop_t *loop_uv(struct loop *l);      /* for signals and file events in app/ only */
int64_t loop_now_ms(struct loop *l);     /* monotonic, cached for the turn */
int64_t loop_wall_s(struct loop *l);     /* wall clock, cached for the turn */
struct buf *loop_log(struct loop *l);    /* log lines of this turn: log_add into it */
bool loop_is_here(const struct loop *l); /* is this the loop's thread? */

/* Turns by how long they kept the loop busy: what a new event may have had to wait. */
#define LAG_BUCKETS 8
extern const uint32_t lag_bounds_us[LAG_BUCKETS];
struct loop_lag {
    uint64_t buckets[LAG_BUCKETS + 1], sum_us;
};
void loops_lag(struct loops *ls, struct loop_lag *ret); /* all loops; from a worker */

/* ---- posting work to a loop from any thread ----------------------------------------------------
 */

struct post {
    struct list link;
    void (*fn)(struct post *p, struct loop *l); /* on the loop's thread */
};
void loop_post(struct loop *l,
               struct post *p); /* the post belongs to the loop until fn is called */

/* Runs fn on every loop in turn and returns when all are done. Never from a loop's thread. */
void loops_visit(struct loops *ls, void (*fn)(struct loop *l, void *arg), void *arg);

/* ---- the end of a turn
 * --------------------------------------------------------------------------- */

struct tick {
    struct list link;
    void (*fn)(struct tick *t, struct loop *l);
};
/* Run every turn, in the order added, this turn's too. Not to be taken away by a tick. */
void loop_add_tick(struct loop *l, struct tick *t);
void loop_retire(struct loop *l, void (*fn)(void *), void *arg); /* called after the ticks */

/* ---- descriptors -------------------------------------------------------------------------------
 */

enum { WATCH_READ = UV_READABLE, WATCH_WRITE = UV_WRITABLE };

struct watch {
    uv_poll_t poll;
    void (*on_ready)(struct watch *w, int events); /* WATCH_* bits; an error shows as both */
    void (*on_closed)(struct watch *w);
    int events; /* asked for now */
};
bool watch_open(struct watch *w, struct loop *l, int fd, struct err *e); /* asks for nothing yet */
void watch_want(struct watch *w, int events); /* cheap when nothing changes */
/* Stops; on_closed is called at the end of the turn and may free the watch. The descriptor is the
 * caller's to close, after this call. */
void watch_close(struct watch *w, void (*on_closed)(struct watch *w));

/* ---- timers -------------------------------------------------------------------------------------
 * Coarse (up to 64 ms late), cheap to set again and again: for time-outs, not for clocks. */

struct timer {
    struct list link;
    void (*fn)(struct timer *t, struct loop *l);
    int64_t due_ms;  /* 0 = off */
    int64_t slot_ms; /* where it hangs in the wheel */
};
void timer_set(struct timer *t, struct loop *l, int64_t after_ms);
void timer_off(struct timer *t);

/* ---- lanes: work that may take long or block
 * ------------------------------------------------------ A few worker threads. A lane is a queue
 * with a limit on how many workers it may hold at once, so that slow work never starves quick work.
 */

#define LANE_MAP(X)                                                                          \
    X(LANE_READ, "read")                                                                     \
    X(LANE_WRITE, "write")                                                                   \
    X(LANE_SLOW, "slow")                                                                     \
    X(LANE_SIGN, "sign")   /* passwords: one at a time, and few wait */                      \
    X(LANE_STORE, "store") /* the files' disk or object store, which may keep one waiting */ \
    X(LANE_TEND, "tend")   /* who looks after those, and waits behind nobody: one worker */  \
    X(LANE_JOB, "job")     /* dais's own tasks, which may wait for others */
enum lane {
#define X(lane, name) lane,
    LANE_MAP(X)
#undef X
        LANE_COUNT
};

struct work {
    struct list link;
    void (*run)(struct work *w);                     /* on a worker */
    void (*done)(struct work *w, struct loop *home); /* back on the loop; may free the work */
    struct loop *home;
    struct post post;
    int64_t queued_ns;
    enum lane lane;
};

struct lane_stats {
    const char *name;
    unsigned running, workers_max;
    uint64_t depth, depth_max, done, refused, wait_ns, run_ns;
};

bool lanes_start(struct loops *all, unsigned workers, struct err *e);
/* After loops_run returned: finishes what is queued, joins the workers, calls what is posted. */
void lanes_stop(struct loops *all);
/* False when the lane's queue is full (4096), or there are no workers any more: answer 503. From
 * the home loop's thread. */
bool lane_submit(struct loop *home, enum lane lane, struct work *w) MUST_CHECK;
void lanes_stats(struct loops *all, struct lane_stats ret[LANE_COUNT]);

/* Runs fn on a thread that gives way to all others, and waits for it: for what takes a core for a
 * while, on a lane or in a command. No more often than some hundred times a second. */
void run_gently(void (*fn)(void *arg), void *arg);
