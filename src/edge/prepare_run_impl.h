/* A run of prepare: what prepare.c, which looks, and prepare_setup.c, which has the setup run,
 * share.
 */
#pragma once
#include "edge/lines_impl.h"
#include "edge/prepare_impl.h"

enum looked { LOOKED_BUSY, LOOKED_FAILED, LOOKED_READY, LOOKED_SETUP };

struct prepare {
    _Atomic int refs;
    _Atomic int state;
    struct arena arena; /* all text below */
    struct slice app, command;
    const char *dir, *data_dir; /* real paths */
    const char *stamp;          /* of a sealed folder; NULL: it is none */
    struct texts packages, persist;
    int64_t timeout_ms;
    bool is_running;
    const char **env;
    struct mask mask;
    struct loops *loops;
    struct spawner *spawner;
    struct patience patience;
    char digest[SHA256_HEX_LEN + 1]; /* when it was made; never changes */

    /* of the run: a worker's or loop 0's, never both at a time */
    struct work work;
    struct timer timer; /* until whoever has the lock has gone */
    int lock_fd;
    enum looked looked;
    struct err error;
    const char *step;             /* that failed, in a few words */
    char now[SHA256_HEX_LEN + 1]; /* the digest with the lock held */
    struct buf inputs;            /* files that counted before the setup */

    /* loop 0 only */
    void (*prepared)(void *user, bool ok, const char *why);
    void *user;
    struct process *process;
    struct watch events, output;
    int output_fd;
    bool has_output;
    struct lines lines;
    struct buf last; /* the last ones, masked */
    unsigned n_lines;
};

struct loop *prepare_home(const struct prepare *p);
struct setup_options prepare_setup_options(const struct prepare *p);
bool prepare_is_wanted(const struct prepare *p); /* by whoever began it, on its loop */
/* In a worker; when there is no room for it, the run is over. */
void prepare_submit(struct prepare *p, void (*run)(struct work *w),
                    void (*done)(struct work *w, struct loop *l));
/* The run is over: whoever waits is called. */
void prepare_finish(struct prepare *p, bool ok, const char *why);
void prepare_end_run(struct prepare *p); /* the same, but nobody waits any more */

/* prepare_setup.c */
void setup_open(struct prepare *p); /* what it needs, once for each p */
void setup_close(struct prepare *p);
void setup_begin(struct prepare *p); /* ends in prepare_finish or prepare_end_run */
void setup_cancel(struct prepare *p);
void setup_wait(struct prepare *p); /* when no loop turns any more */
void setup_tell_failure(struct prepare *p, struct slice why);
