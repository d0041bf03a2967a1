/* What comes before a backend's process is started for the first time, in this order: the packages
 * it needs are looked up, what it persists is linked in, its setup is run, once per release.
 *
 * All of it happens away from the loops: files and packages in a worker, the setup as a process.
 * What cannot be done is said in the log, once, with what to do; the backend is then not started.
 * docs/decisions/0009-before-the-first-start.md says why each step is as it is. */
#pragma once
#include "base/mask.h"
#include "loop/loop.h"
#include "loop/spawn.h"
#include "manifest/manifest.h"

#include <stdatomic.h>

struct prepare;

struct prepare_options {
    const struct backend_conf *conf; /* copied as far as it is needed */
    struct slice app;                /* its slug: in the log and in paths */
    struct slice dir;                /* the app folder */
    const char *data_dir;
    const struct pairs *env;    /* of the setup, besides PATH, HOME, LANG and TZ */
    const struct slice *hidden; /* values no log shows */
    size_t n_hidden;
    struct loops *loops;
    struct spawner *spawner;
    bool is_running; /* the backend of the host before is: nothing is copied under its hands */
    const _Atomic bool *is_draining; /* work that takes long gives up when this becomes true */
};

enum prepare_state {
    PREPARE_IDLE,
    PREPARE_LOOKING,    /* packages, files */
    PREPARE_SETTING_UP, /* may take minutes */
    PREPARE_DONE,
    PREPARE_FAILED
};

/* Reads the files that tell releases apart, so not on a loop that serves. One reference. */
struct prepare *prepare_new(const struct prepare_options *o);
struct prepare *prepare_ref(struct prepare *p);
void prepare_unref(struct prepare *p); /* any thread; NULL is fine */
/* Would the two do the same, and has the first not failed? Then whoever it prepared may go on. */
bool prepare_is_same(const struct prepare *p, const struct prepare *next);

/* Loop 0, once. `prepared` is called on loop 0, at once when there is nothing to do; why is a
 * sentence for the log, which has it already. */
void prepare_begin(struct prepare *p, void (*prepared)(void *user, bool ok, const char *why),
                   void *user);
/* Loop 0, or when the loops have ended: it is not called any more, and a setup is ended. */
void prepare_end(struct prepare *p);
void prepare_wait(struct prepare *p); /* after that, when the loops have ended: until it has */

enum prepare_state prepare_state(const struct prepare *p); /* any thread */
const struct mask *prepare_mask(const struct prepare *p);  /* any thread; lives as long as p */
/* What a client may know of why there is no backend yet; NULL: nothing but that it starts. */
const char *prepare_excuse(const struct prepare *p);

/* For `dais check`, which changes nothing: paths of `persist` that cannot be, packages that are
 * missing. data_dir need not be there. */
void prepare_check(const struct manifest *m, const char *data_dir, struct problems *p);
