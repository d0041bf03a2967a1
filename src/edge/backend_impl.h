/* What the files of a backend share: its instances, and what each has to do with its process. */
#pragma once
#include "edge/backend.h"
#include "edge/lines_impl.h"

#include <stdatomic.h>

#define GRACE_MS 10000 /* from SIGTERM to SIGKILL */

/* What a process says, line by line into the log, up to so much a second. */
struct output {
    struct watch watch;
    struct timer timer; /* tells what was dropped */
    struct lines lines;
    int fd;
    bool is_open;
    unsigned room; /* lines that may be logged now */
    int64_t filled_ms;
    uint64_t dropped;
};

/* The questions to an instance: backend.health.path, then the deep ones. */
struct health {
    struct watch probe; /* a connection that opens, where no path is asked */
    int probe_fd;
    struct dial *dial;
    struct call call;
    size_t at;        /* the question of this round */
    unsigned *failed; /* of each, in a row */
    unsigned vain;    /* restarts since all was well */
    bool is_probing, is_asking, is_told_late;
    uint64_t bytes;
    char why[200]; /* of the last failure */
};

struct instance {
    struct backend *of;
    unsigned number;
    struct address address;
    const char **env;
    struct dial **dials; /* one per loop, made there on first use */

    _Atomic int state; /* enum backend_state; written on loop 0 */
    _Atomic bool is_closed;
    _Atomic unsigned in_flight, lasting;

    /* loop 0 only */
    struct process *process;
    pid_t pid;
    struct watch events;
    struct timer timer; /* the next step: start, question, or the end of patience with one */
    struct timer drain_timer;
    struct output output;
    struct health health;
    int64_t begun_ms, retired_ms;
    unsigned failures; /* ends in a row, each soon after its start */
    uint64_t ends, probes_failed;
    char last_end[160];
    bool was_ready;   /* this process was, once */
    bool is_stopping; /* it is not started again */
    unsigned open_watches;
};

struct backend {
    _Atomic int refs;
    _Atomic(struct backend *) next; /* took over; a reference */
    _Atomic unsigned turn;
    struct arena arena; /* all text below */
    struct slice app, run, dir, authority;
    struct pairs own_env;
    struct slice *questions; /* health paths; the first is health.path if has_path */
    size_t n_questions;
    bool has_path;
    int64_t every_ms, timeout_ms, restart_after, memory_bytes;
    bool is_ours, is_started, is_retired;
    bool is_over; /* the last reference has gone, and no post speaks of it any more */
    struct loops *loops;
    struct spawner *spawner;
    struct prepare *prepare; /* NULL: nothing comes before */
    struct list *all, link;
    void (*ended)(void *user, struct slice app, unsigned number, const char *why);
    void *user;
    struct post post;
    int64_t began_ms;     /* 0: no process was started yet */
    uint64_t ends_before; /* of those it took over from */
    unsigned n;
    struct instance *instances;
};

struct loop *backend_home(const struct backend *b);
void backend_gone(struct backend *b); /* frees it when nothing of it is left */
bool instance_is_ready(const struct instance *i);
void instance_watch_closed(struct instance *i);

/* backend_pick.c: ends it, and says so if another took over. */
void instance_dismiss(struct instance *i);

/* backend_env.c: where each listens and what it is told. */
bool instance_address(struct instance *i, const struct backend_options *o, struct err *e);
void instance_env(struct instance *i);

/* backend_process.c */
void instance_begin(struct instance *i);
/* Ends it and starts it again; nothing happens when it is ending. */
void instance_restart(struct instance *i);
void instance_stop(struct instance *i); /* for good; instance_wait if no loop turns any more */
void instance_wait(struct instance *i);

/* backend_health.c */
void health_init(struct instance *i);
void health_begin(struct instance *i); /* it was started */
void health_on_timer(struct instance *i);
void health_stop(struct instance *i);
void health_done(struct instance *i);

/* backend_output.c */
void output_open(struct instance *i, int fd);
void output_read(struct instance *i); /* all that is there */
void output_close(struct instance *i);
