/* The inside of a struct web: one seat per loop, the background work, the watching. */
#pragma once
#include "web/answer_impl.h"

#include <sys/inotify.h>

/* What belongs to one loop: only its thread touches it once requests are served. */
struct web_seat {
    struct web_tree *tree; /* one reference */
    uint64_t swaps;        /* which tree that is: so many came before it */
    struct list listeners; /* live-reload streams of pages open on this loop */
} __attribute__((aligned(64)));

/* The rest belongs to loop 0, but for what its comment says. */
struct web {
    _Atomic int refs;
    struct web_rules rules; /* constant */
    struct web_options options;
    struct web_budget own_budget;
    struct web_seat *seats;
    unsigned n_seats;
    struct web_tree *tree; /* the newest; one reference */
    uint64_t swaps;

    bool is_started, is_watched;
    _Atomic bool is_stopping; /* any thread */

    struct prepare { /* loads and compresses the files of one tree */
        struct work work;
        struct web_tree *tree; /* one reference */
        size_t at;
        bool compress, is_busy, is_over;
        struct timer retry;
    } prepare;
    struct rebuild {
        struct work work;
        struct web_tree *old, *tree;
        enum tree_change change;
        int64_t took_ms;
        bool is_busy, again;
    } rebuild;
    struct web_watch *watch; /* NULL: not started */
    int inotify;             /* -1: none */
};

struct web_seat *web_seat(struct web *w, struct loop *l);

/* watch.c, loop 0: calls rebuild_start when something changed. The inotify descriptor is theirs. */
int watch_inotify(void); /* -1 when there is none */
void watch_start(struct web *w);
void watch_stop(struct web *w);
void watch_rebuilt(struct web *w); /* a new look was taken */
void watch_again(struct web *w);   /* it could not be taken: once more, later */

/* refresh.c, loop 0. */
void rebuild_start(struct web *w);
void prepare_start(struct web *w);
void deliver_end(struct web *w); /* ends the live-reload streams on every loop */

/* dev.c */
const struct route *dev_find(struct req *rq); /* NULL: not one of its paths */
void dev_notify(struct web_seat *seat, enum tree_change change);
void dev_close(struct web_seat *seat); /* ends the streams: pages connect again elsewhere */
