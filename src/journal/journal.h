/* What is kept about requests beside what they changed. Now: answers to requests that may come
 * twice. (Events, audit and what runs after a commit join it when accounts and jobs do.) */
#pragma once
#include "base/arena.h"
#include "db/db.h"

/* A step for the migrations of every database of an app. */
#define JOURNAL_MIGRATION                                                                       \
    {                                                                                           \
        "once",                                                                                 \
            "CREATE TABLE dais_once (id BLOB PRIMARY KEY, body BLOB NOT NULL,"                  \
            " at BIGINT NOT NULL, status BIGINT NOT NULL, error TEXT, head TEXT, answer TEXT)"  \
            " WITHOUT ROWID; CREATE INDEX dais_once_at ON dais_once (at);",                     \
            "CREATE TABLE dais_once (id BYTEA PRIMARY KEY, body BYTEA NOT NULL,"                \
            " at BIGINT NOT NULL, status BIGINT NOT NULL, error TEXT, head TEXT, answer TEXT);" \
            "CREATE INDEX dais_once_at ON dais_once (at);",                                     \
    }

/* ---- Idempotency-Key -------------------------------------------------------------------------
 * A client that got no answer sends the same request with the same key again, and gets the answer
 * of the first: it was done once. The answer is kept in the transaction of the change itself, for
 * 24 hours. Whoever comes while the first is under way waits for it. */

#define ONCE_KEY_MAX 255
#define ONCE_KEPT_MS (24 * 60 * 60 * 1000LL)

/* Who sent what where: the same key of somebody else, or for another path, is another. */
struct once {
    unsigned char id[32];   /* of subject, method, path and key */
    unsigned char body[32]; /* a digest of what was sent */
};
void once_init(struct once *o, struct slice subject, struct slice method, struct slice path,
               struct slice key, struct slice body);
/* 1 to 255 visible characters. */
bool once_key_is_good(struct slice key);

struct once_answer {
    int status;
    struct slice head, body; /* header lines; or, of an error, its sentence and its details */
    struct slice error;      /* the slug of an error; empty: it is none */
};

enum once_state {
    ONCE_NEW,   /* nobody did it before: once_keep() in the same transaction */
    ONCE_KNOWN, /* *ret is the answer */
    ONCE_FAILED /* e: another body came with this key (ERR_INVALID), or the database failed */
};
/* Both inside a write's run. */
enum once_state once_begin(const struct once *o, struct db_conn *c, struct arena *a,
                           struct once_answer *ret, struct err *e);
bool once_keep(const struct once *o, struct db_conn *c, const struct once_answer *answer,
               struct err *e);
/* Forgets up to `limit` that are older than 24 hours; *ret_n: how many. Inside a write's run. */
bool once_prune(struct db_conn *c, int64_t now_ms, int limit, int64_t *ret_n, struct err *e);
