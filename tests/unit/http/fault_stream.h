/* A stream filter that fails on order: the n-th read or write is short, not possible now, broken or
 * at its end; or all of them come in odd pieces. It keeps the bytes. */
#pragma once
#include "http/http.h"

#include <pthread.h>

enum side { READS, WRITES, SIDES };
enum fault { FAULT_SHORT, FAULT_MORE, FAULT_FAIL, FAULT_END, FAULTS };

struct fault_plan {
    enum side side;
    enum fault fault;
    unsigned at;        /* which call of that side, from 1; 0 = none, or every one (see is_odd) */
    bool is_every;      /* every second call has the fault */
    bool is_odd;        /* pieces of random length and random IO_MORE, from `seed` */
    bool copies_files;  /* no send_file */
    bool reads_ahead;   /* holds read bytes back and says so with has_pending, as TLS does */
    size_t short_bytes; /* of a short call; 0 = 1 */
    uint64_t seed;
};

/* For the connections opened from now on, with all counters at 0. */
void faults_plan(const struct fault_plan *plan);
bool faults_wrap(struct stream *s); /* for the rig's `wrap` */
/* Waits until every connection since faults_plan is gone; how many faults happened. Fails after
 * 5 s: a connection hangs. */
unsigned faults_wait_closed(void);
/* Waits until the server has read n bytes since faults_plan. */
void faults_wait_read(size_t n);
void faults_wait_end(void); /* until a read came to the client's end */
