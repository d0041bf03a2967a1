/* What the files of prepare share: the steps, each of them without the others. */
#pragma once
#include "edge/prepare.h"

#define PATH_BYTES 4096

/* For how long somebody wants what is being done; looked at by work that may take long. */
struct patience {
    const _Atomic bool *is_draining; /* may be NULL */
    _Atomic bool is_stopped;
};
static inline bool patience_is_over(const struct patience *p)
{
    return atomic_load(&p->is_stopped) || (p->is_draining && atomic_load(p->is_draining));
}
#include "base/arena.h"
#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/sha256.h"

/* ---- prepare_files.c: moving, copying and removing, so that nothing is lost half-way ------------
 */

enum thing { THING_NONE, THING_FILE, THING_FOLDER, THING_EMPTY, THING_LINK, THING_OTHER };

/* What is there, without following a link; THING_EMPTY is a folder with nothing in it. */
bool thing_at(const char *path, enum thing *ret, struct err *e);
bool folders_make(const char *path, mode_t mode, struct err *e); /* and those above it */
bool parent_make(const char *path, mode_t mode, struct err *e);  /* those above it alone */
/* A path put together; false when it is too long. */
bool path_put(char to[PATH_BYTES], struct err *e, const char *fmt, ...) PRINTF(3, 4);
/* The real path, of which the end need not be there yet. False when it is too long, or relative to
 * a present folder that was removed. */
bool path_real(const char *path, char ret[PATH_BYTES]);
/* From one name to another on the same file system, on stable storage when it returns. Never
 * replaces anything. errno is EXDEV when that cannot be in one step. */
bool thing_rename(const char *from, const char *to, struct err *e);
/* A copy with modes and times, on stable storage; a rest of an earlier try is replaced. */
bool thing_copy(const char *from, const char *to, const struct patience *p, struct err *e);
/* Has nothing in `from` changed since it was copied? */
bool thing_is_copied(const char *from, const char *to, struct err *e);
bool thing_remove(const char *path, struct err *e); /* and all below it; nothing is fine */
bool link_make(const char *target, const char *path, struct err *e);
bool file_replace(const char *path, struct slice text, mode_t mode, struct err *e); /* or nothing */

/* ---- prepare_persist.c
 * --------------------------------------------------------------------------- */

struct persist_options {
    const char *app, *dir, *data_dir; /* real paths */
    const char *release;              /* prepare_release.c: which folder this is */
    struct slice path;                /* relative to dir */
    bool is_running;                  /* a process of it may write there now */
    const struct patience *patience;
};

/* The names of a persisted path. */
struct persist {
    const struct persist_options *o;
    char place[PATH_BYTES], kept[PATH_BYTES], aside[PATH_BYTES], shipped[PATH_BYTES];
    char target[PATH_BYTES]; /* what the link says */
};
bool persist_init(struct persist *p, const struct persist_options *o, struct err *e);
/* Refuses what leads out of the app folder, or what the data folder lies in. */
bool persist_check(const struct persist *p, struct err *e);
bool persist_is_data(const struct persist *p); /* it is the data folder: kept as it is */
bool persist_is_file(struct slice path);       /* by its name: "app.db", but not ".cache" */
/* What SQLite keeps beside a file, ends in NULL: it comes first and goes last. */
extern const char *const persist_companions[];

/* A path that is moved and linked, or refused with a sentence. */
bool persist_one(const struct persist_options *o, struct err *e);
/* Would it be refused? Changes nothing. */
bool persist_look(const struct persist_options *o, struct err *e);

/* What was found, and what follows from it: pure. */
struct persist_found {
    enum thing place, kept, aside, shipped;
    bool leads_here;     /* place is a link to where it is kept */
    bool leads_to_data;  /* a link to such a place of another data folder */
    bool has_target;     /* and something is there */
    bool is_new_release; /* this folder was never linked before */
    bool is_file;        /* by its name, when there is nothing */
};
enum persist_step {
    PERSIST_DONE,
    PERSIST_LINK,   /* place becomes a link to kept */
    PERSIST_RELINK, /* the link led to a data folder that is gone */
    PERSIST_MAKE,   /* an empty folder is kept */
    PERSIST_MOVE,   /* place to kept */
    PERSIST_DROP,   /* an empty folder gives way to the link */
    PERSIST_SHIP,   /* place to place.shipped */
    PERSIST_UNDO,   /* place.dais-moving back to place */
    PERSIST_CLEAN,  /* place.dais-moving was copied: it goes */
    PERSIST_REFUSE
};
/* The part of it that is about the link at place. */
bool persist_read_link(const struct persist *p, struct persist_found *f, struct err *e);
enum persist_step persist_decide(const struct persist_found *f, const char **ret_why);

/* ---- prepare_packages.c
 * -------------------------------------------------------------------------- */

enum packages { PACKAGES_THERE, PACKAGES_MISSING, PACKAGES_UNKNOWN /* nobody can say */ };
/* Adds the names of those that are missing, by spaces. Blocks. */
enum packages packages_look(struct spawner *s, const struct texts *names, struct buf *missing);
/* Of dpkg-query's answer, a line "installed NAME" each: is it there? Pure. */
bool packages_has(struct slice answer, struct slice name);

/* ---- prepare_release.c: telling releases apart
 * --------------------------------------------------- */

/* Which folder this is: another one, made anew at the same path too, is another release. */
void release_identity(const char *dir, struct buf *to);

struct setup_options {
    struct slice command;
    const char *dir, *data_dir, *app; /* real paths */
    const struct texts *persist;      /* what changes while the app runs says nothing */
    const char *stamp; /* of a sealed folder, wherever that is; NULL: the data folder's */
};
/* What the setup depends on, as a digest. Files that an earlier setup made do not count. */
void setup_digest(const struct setup_options *o, char ret[SHA256_HEX_LEN + 1]);
/* Was a setup of this digest finished, and is what it made still there? */
bool setup_is_done(const struct setup_options *o, const char *digest);
/* The names of files that count and that no setup made, a line each, sorted. */
void setup_inputs(const struct setup_options *o, struct buf *to);
bool setup_forget(const struct setup_options *o, struct err *e); /* before it is run */
/* After it: files that are no inputs are its own. `before` are the inputs before it ran. */
bool setup_remember(const struct setup_options *o, const char *digest, struct slice before,
                    struct err *e);
