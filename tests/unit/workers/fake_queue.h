/* A queue in memory with the functions of jobs.h that crews call, and a crew with real loops, a
 * real spawner and a real (empty) database around it: what is written, and when, is seen here. */
#pragma once
#include "workers/workers_impl.h"
#include "unit.h"

#define FAKE_JOBS 4096

struct fake_job {
    char id[32];
    const struct job_type *type;
    char *input;
    enum job_state state;
    int64_t attempt, added_ns, said_ns, ended_ns; /* monotonic; said: the first note */
    bool is_cancelled, is_stolen;                 /* stolen: another holder has it */
    unsigned ends, beats, steps;
    int32_t progress, end_progress;
    char message[JOB_MESSAGE_MAX + 1], error[600];
    enum job_outcome outcome;
    enum job_error code;
    bool is_refunded;
    int64_t run_ms;
    struct buf log, result;
};

/* Every test begins with fake_start() and ends with fake_stop(). */
struct fake {
    char folder[64], path[80], runs[80];
    struct loops *loops;
    struct spawner *spawner;
    struct workers *workers;
    struct crew *crew;
    struct db_slot *slot;
    pthread_t thread;
    pthread_mutex_t lock;
    struct fake_job jobs[FAKE_JOBS];
    size_t n, n_ready_from;
    bool is_down;          /* all writes fail */
    const char *refuse_id; /* notes and ends of this one are refused */
    bool refuses_ends, has_tended_first;
    bool fails, refuses; /* the write that is under way */
    unsigned writes, max_claimed;
};
extern struct fake fake;

/* A type with this program (a script's text, or NULL) or task. */
struct fake_type {
    const char *name, *script;
    const struct task *task;
    struct job conf;
    const char *program; /* instead of a script */
    const char *secret;
    uid_t uid;
};
void fake_start(struct fake_type *types, size_t n);
void fake_stop(void); /* ends the crew; nothing of it may be left */
void fake_end_crew(void);
void fake_opens_slowly(bool slowly); /* the database: not before this is over */
bool fake_is_opening(void);
/* Calls fn on loop 0 and waits. */
void on_loop(void (*fn)(void *arg), void *arg);
struct fake_job *fake_add(struct fake_type *t, const char *input);
struct fake_job *fake_add_quietly(struct fake_type *t, const char *input);
void fake_ring(void);
/* Until it is over; fails the test after some seconds. */
void fake_wait(struct fake_job *j);
#define wait_until(cond)                          \
    do {                                          \
        int64_t until_ = clock_mono_ms() + 60000; \
        while (!(cond)) {                         \
            if (clock_mono_ms() > until_)         \
                fail_msg("never: %s", #cond);     \
            usleep(500);                          \
        }                                         \
    } while (0)
bool fake_log_has(struct fake_job *j, const char *words);
unsigned fake_steps(const struct fake_job *j);
unsigned fake_writes(void); /* calls of the queue, so far */
unsigned folders_left(void);
/* Processes whose command line has this text. */
unsigned processes_with(const char *text);
