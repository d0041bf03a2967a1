/* What dais itself can do as a job, without a program: `use: http.call` and its like.
 *
 *   nothing      for measuring, and as a place where others meet
 *   http.call    a webhook: signed, guarded against our own network, with a breaker for each host
 *   mail.send    a letter
 *   prune.run    what is too old goes now
 *   export.run   a collection as a file in a bucket
 *   backup.run   a backup of the app, and older ones go as `backups.keep` says
 *
 * Each is a file with its row; they block, on LANE_JOB. What they need is a member of `with`, else
 * of the input: what `with` says the input cannot say, because the maker fixed it. Some members
 * only `with` may have. */
#pragma once
#include "docs/docs.h"
#include "files/files.h"
#include "keep/keep.h"
#include "mail/mail.h"
#include "workers/workers.h"

/* For backup.run: of what, and where to. */
struct task_backup {
    const struct keep_source *source;
    const char *dir;
    struct keep_rule rule;
};

/* What they work with; one per app and reading. */
struct task_place {
    struct slice app;             /* slug */
    struct slice title, from_url; /* of letters: the app's name, how people reach it */
    struct docs *docs;            /* NULL: none */
    struct files *files;          /* NULL: none */
    struct jobs *jobs;
    struct db_slot *slot;
    struct breakers *breakers;        /* of http.call; shared by all readings */
    const struct task_backup *backup; /* NULL: no job is backup.run */
    bool is_unguarded;                /* for tests: http.call may reach this machine */
};
/* NULL: dais has no such task. */
const struct task *task_find(struct slice name);
/* "nothing, http.call, …" for messages: those that are served. */
extern const char task_names[];

struct breakers;
struct breakers *breakers_new(void);
void breakers_free(struct breakers *b);
