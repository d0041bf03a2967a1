/* A backend's own process: started, watched, started again when it ends, ended with all it started.
 *
 * `backend.run` is a line for the shell in the app's folder. It listens at $PORT on 127.0.0.1, or
 * at the unix socket $DAIS_SOCKET if the line names that. The process lives on loop 0; other loops
 * only ask where it is and whether it is ready. */
#pragma once
#include "edge/prepare.h"
#include "loop/loop.h"
#include "loop/spawn.h"
#include "manifest/manifest.h"
#include "net/net.h"

struct backend;

struct backend_options {
    const struct backend_conf *conf; /* copied as far as it is needed */
    struct slice app;                /* its slug, in the log */
    struct slice dir;                /* the app folder */
    const struct pairs *env;         /* backend.env, expanded */
    const char *socket_dir;          /* a folder of ours */
    struct loops *loops;
    struct spawner *spawner;
    struct prepare *prepare; /* before its first start; backend_new takes the reference */
};

/* Nothing runs yet. One reference, the caller's. NULL: e says why no address could be found. */
struct backend *backend_new(const struct backend_options *o, struct err *e);
/* Is this what those options ask for? Then it may go on. */
bool backend_is_same(const struct backend *b, const struct backend_options *o);
struct backend *backend_ref(struct backend *b);
/* Any thread. With the last one the process ends: SIGTERM, and what is left after 10 s is killed.
 */
void backend_unref(struct backend *b);
void backend_start(struct backend *b); /* loop 0; again is fine */

const struct address *backend_address(const struct backend *b);
bool backend_is_ready(const struct backend *b); /* any thread */
/* What a client may know of why it is not; NULL: it starts. *ret_is_over: it will not. */
const char *backend_excuse(const struct backend *b, bool *ret_is_over);
