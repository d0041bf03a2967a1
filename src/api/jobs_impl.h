/* What the calls for jobs share: being in their database, and whoever watches one.
 *
 *   jobs.c          read: lists, one, its log
 *   jobs_change.c   added, cancelled, tried again, charged
 *   jobs_events.c   one client's stream of what happens to a job
 *   jobs_hub.c      all streams of an app: who is told when, and what is read for them
 *   jobs_look.c     one look at the database for those who watch */
#pragma once
#include "api/api_impl.h"

#define JOB_TEXT_MAX (16u << 20) /* of a list, or of a job with its input and result */

/* jobs_change.c, jobs_events.c: handlers of job_routes */
bool job_add(struct req *rq, struct err *e);
bool job_cancel(struct req *rq, struct err *e);
bool job_retry(struct req *rq, struct err *e);
bool job_charge(struct req *rq, struct err *e);
bool job_events(struct req *rq, struct err *e);

/* As api_enter() and its like. */
enum enter job_enter(struct req *rq, struct jobs_reading *r, struct err *e);
void job_leave(struct req *rq, struct jobs_reading *r);
bool job_open(struct jobs *j, struct err *e); /* jobs_open(), with words for clients */
/* The id that the path names; false: it is none, ERR_NOT_FOUND. */
bool job_id(struct req *rq, struct slice *ret, struct err *e);
bool job_reply(struct req *rq, int status, const struct job_row *row);

/* ---- whoever watches --------------------------------------------------------------------------
 *
 * A watcher hears of a job in pieces of its stream, made by a look at the database: one look for
 * all watchers of all jobs of the app, one reading for each job. What was not taken yet is waited
 * for, and read from the database again when there is room: a slow client holds one look's pieces,
 * at most, and others never wait for it.
 *
 * The database tells when something was committed; each second is looked anyway. */

#define WATCH_PIECES     3            /* state, notes, state */
#define WATCH_NOTES      200          /* of one look */
#define WATCH_BYTES      (256u << 10) /* of notes of one look, more or less */
#define WATCH_TOPICS     500          /* of one look */
#define WATCH_LOOK_MS    1000
#define WATCH_ID_MAX     48
#define WATCH_SILENCE_MS 15000 /* then a comment says that we are still here */

struct job_hub;
struct job_hub *job_hub_new(struct jobs *j);
void job_hub_unref(struct job_hub *h); /* NULL is fine */

struct watch_piece {
    char id[WATCH_ID_MAX]; /* a line of its own before the rest; "": none */
    struct shared *bytes;
    size_t at, end;
};

struct topic; /* a job that is watched */
struct watcher {
    struct list link; /* in its topic */
    struct topic *topic;
    struct job_hub *hub;
    struct loop *loop;
    struct post post;
    void (*wake)(struct watcher *w);  /* on its loop: there is something */
    void (*freed)(struct watcher *w); /* on its loop, after job_hub_leave(): nobody knows it */
    const struct subject *who;        /* lives as long as it does */
    uint64_t serial;

    /* the hub's, with its lock */
    int64_t seq;  /* it was given everything up to this one */
    int64_t told; /* the state that it was given; -1: none */
    struct watch_piece pieces[WATCH_PIECES];
    size_t n_pieces;
    bool has_missed; /* there is more than it was given */
    bool is_over;    /* nothing follows the pieces */
    bool is_posted, has_left;
};
/* On the watcher's loop, with the request's service, which stays until it leaves. */
void job_hub_join(struct job_hub *h, struct watcher *w, struct slice id, struct service *s);
/* And ends; `freed` may be called later. */
void job_hub_leave(struct watcher *w);
/* Takes what there is, up to `room` bytes. IO_EOF: that was the last. On its loop. */
enum io job_hub_take(struct watcher *w, struct buf *to, size_t room);
/* The watcher's session has ended: nothing more. */
void job_hub_end(struct watcher *w);
/* Once a second, by each watcher: looks, unless it was done just now. On its loop. */
void job_hub_tick(struct watcher *w);

/* ---- a look (jobs_look.c): on a lane, nobody else touches it ------------------------------------
 */

struct look_frame {
    int64_t seq;
    size_t end; /* in `notes` */
};
/* One job of a look. */
struct looked {
    struct topic *topic;
    struct slice id;
    int64_t after;     /* what is known to whoever knows least */
    int64_t known;     /* the state that was told last */
    bool wants_state;  /* even if it is still that */
    bool has_programs; /* watched with a job's token */
    /* the outcome */
    bool is_done; /* else it was not looked at */
    bool is_gone;
    int64_t state; /* as watcher.told */
    bool is_final, has_gap, has_more;
    struct shared *state_text, *notes;
    struct look_frame frames[WATCH_NOTES];
    size_t n_frames;
    const uint64_t *denied; /* serials of those who may not see it any more */
    size_t n_denied;
};
/* Who watches it now: copies in the arena. */
struct look_guest {
    uint64_t serial;
    struct subject who;
};
struct look_guest *job_hub_guests(struct job_hub *h, struct topic *t, struct arena *a,
                                  size_t *ret_n);
/* Blocks. False: the database could not be asked; those that are done are. */
bool job_look(struct job_hub *h, struct jobs *j, struct arena *a, struct looked *items, size_t n);
