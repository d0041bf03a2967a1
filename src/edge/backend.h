/* A backend's own processes: started, watched, started again when they end, ended with all they
 * started; and which of them a request goes to.
 *
 * `backend.run` is a line for the shell in the app's folder. It listens at $PORT on 127.0.0.1, or
 * at the unix socket $DAIS_SOCKET if the line names that. An instance is one such process (or the
 * address of `backend.url`, which somebody else runs). Processes live on loop 0; other loops only
 * pick an instance for a request and give it back.
 *
 *   new, start        processes run; each is ready once it listens, or backend.health.path says so
 *   pick, release     any loop: the ready instance with the fewest requests
 *   retire            another took over: each process ends when its last request has
 *   unref             the last one ends what still runs: SIGTERM, and after 10 s SIGKILL */
#pragma once
#include "client/client.h"
#include "edge/prepare.h"
#include "loop/loop.h"
#include "loop/spawn.h"
#include "manifest/manifest.h"
#include "net/net.h"

struct backend;
struct instance;

struct backend_options {
    const struct backend_conf *conf; /* copied as far as it is needed */
    struct slice app;                /* its slug, in the log */
    struct slice dir;                /* the app folder */
    const struct pairs *env;         /* backend.env, expanded */
    const struct address *to;        /* of backend.url; NULL: the processes are ours */
    struct slice authority;          /* of backend.url: the Host of health checks */
    const char *socket_dir;          /* a folder of ours */
    struct loops *loops;
    struct spawner *spawner;
    struct prepare *prepare; /* before its first start; backend_new takes the reference; or NULL */
    struct list *all;        /* of what was started: backend_rows; used on loop 0 */
    /* Loop 0: a process of ours ended by itself. May be NULL; outlives the backend. */
    void (*ended)(void *user, struct slice app, unsigned number, const char *why);
    void *user;
};

/* Nothing runs yet. One reference, the caller's. NULL: e says why no address could be found. */
struct backend *backend_new(const struct backend_options *o, struct err *e);
/* Is this what those options ask for? Then it may go on. */
bool backend_is_same(const struct backend *b, const struct backend_options *o);
struct backend *backend_ref(struct backend *b);
void backend_unref(struct backend *b); /* any thread; NULL is fine */
void backend_start(struct backend *b); /* loop 0; again is fine */
/* Loop 0: another is about to start in its place. One that is still being prepared gives up, so
 * that the two are not at the same folder. */
void backend_give_way(struct backend *b);
/* Loop 0: requests go to `next` from now on (NULL: none come). A process of ours ends when its last
 * request has; tunnels and event streams are given 30 s. */
void backend_retire(struct backend *b, struct backend *next);

/* ---- for requests: any loop ------------------------------------------------------------------
 */

enum pick {
    PICK_FINE,
    PICK_WAIT,   /* it starts: ask again soon */
    PICK_FAILING /* it keeps ending: waiting is in vain */
};
/* The instance for one request, which must be given back; NULL: *ret says why. `wanted` is the
 * number of an instance that is taken if it is ready, -1 for any. */
struct instance *backend_pick(struct backend *b, int wanted, enum pick *ret);
/* This request may last for ever (a tunnel, a stream of events): a retiring process waits less. */
void backend_lasts(struct instance *i);
void backend_release(struct instance *i, bool lasted);
int backend_number(const struct instance *i);
bool backend_is_ours(const struct instance *i);                /* and will be started again */
struct dial *backend_dial(struct instance *i, struct loop *l); /* of the loop it is called on */

/* ---- how it is -------------------------------------------------------------------------------
 */

#define BACKEND_STATE_MAP(X)                                               \
    X(BACKEND_READY, "ready")                                              \
    X(BACKEND_DEGRADED, "degraded") /* serves, but a health check fails */ \
    X(BACKEND_STARTING, "starting")                                        \
    X(BACKEND_FAILING, "failing") /* keeps ending; it is still tried */    \
    X(BACKEND_ENDING, "ending")                                            \
    X(BACKEND_ENDED, "ended")
enum backend_state {
#define X(state, text) state,
    BACKEND_STATE_MAP(X)
#undef X
        BACKEND_STATE_COUNT
};
extern const char *const backend_state_names[BACKEND_STATE_COUNT];

/* Any thread: what a client may know of why there is none; NULL: what its state says. */
const char *backend_excuse(const struct backend *b);
/* Any thread: that of its best instance. */
enum backend_state backend_state(const struct backend *b);

/* Loop 0: is a new one fit to take over? BACKEND_READY: all instances are. BACKEND_FAILING: it will
 * not be, as e says. BACKEND_STARTING: not yet. */
enum backend_state backend_trial(const struct backend *b, struct err *e);

/* One instance, for people. */
struct backend_row {
    char app[48], address[ADDRESS_TEXT_LEN], last_end[160];
    unsigned number, in_flight;
    pid_t pid; /* 0: none runs, or somebody else's does */
    enum backend_state state;
    bool is_retired;
    int64_t age_ms; /* of the process */
    uint64_t restarts, probes_failed;
};
/* Loop 0: all of the list, in memory of its own. */
struct backend_row *backend_rows(const struct list *all, size_t *ret_n);
