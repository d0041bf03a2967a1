/* What is kept about requests beside what they changed: answers to requests that may come twice,
 * and the trail of events. */
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

/* ---- what follows a change --------------------------------------------------------------------
 * Documents and files tell of each of theirs, inside its write, so that what follows is there with
 * it or not at all. */

enum change_kind { CHANGE_CREATED, CHANGE_UPDATED, CHANGE_DELETED };
struct change {
    enum change_kind kind;
    bool is_file;
    struct slice of;   /* the collection or bucket */
    struct slice id;   /* the document's id, the file's path */
    struct slice text; /* JSON, without hidden fields; of a deleted one as it was; empty: whoever
                          did it may not read it */
    struct slice by;   /* whoever did it: an account's id; empty: nobody in particular */
    bool is_stranger;  /* they were signed out: `by` is empty, and it was not the app itself */
    unsigned depth;    /* how many jobs led to it */
};
/* May run again with its write. False: the write is refused with e. */
typedef bool (*change_hook)(void *user, struct db_conn *c, const struct change *ch, struct err *e);

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

/* ---- events -----------------------------------------------------------------------------------
 * The trail of what people and programs did to accounts, keys, secrets and the host (audit), and of
 * what should not happen (anomalies). Never a password, a token or a document's content. */

extern const struct db_migration events_migration;

/*        event                  name                      anomaly */
#define EVENT_MAP(X)                                        \
    X(EVENT_SIGN_UP, "account.sign_up", false)              \
    X(EVENT_SIGN_IN, "account.sign_in", false)              \
    X(EVENT_SIGN_IN_FAILED, "account.sign_in_failed", true) \
    X(EVENT_SIGN_OUT, "account.sign_out", false)            \
    X(EVENT_TOKEN_REUSED, "account.token_reused", true)     \
    X(EVENT_VERIFIED, "account.verified", false)            \
    X(EVENT_LINK_SENT, "account.link_sent", false)          \
    X(EVENT_PASSWORD, "account.password_changed", false)    \
    X(EVENT_ADDED, "account.added", false)                  \
    X(EVENT_CHANGED, "account.changed", false)              \
    X(EVENT_STATE, "account.state", false)                  \
    X(EVENT_LEFT, "account.left", false)                    \
    X(EVENT_NOT_REMOVED, "account.not_removed", true)       \
    X(EVENT_ADOPTED, "account.adopted", false)              \
    X(EVENT_KEY_ADDED, "key.added", false)                  \
    X(EVENT_KEY_REMOVED, "key.removed", false)              \
    X(EVENT_SECRET, "secret.changed", false)                \
    X(EVENT_DENIED, "access.denied_often", true)            \
    X(EVENT_LIMIT, "limit.reached", true)                   \
    X(EVENT_MAIL_FAILED, "mail.failed", true)               \
    X(EVENT_BACKEND_ENDED, "backend.ended", true)           \
    X(EVENT_JOB_FAILED, "job.failed", true)                 \
    X(EVENT_DAMAGE, "data.damaged", true)                   \
    X(EVENT_SERVER_STARTED, "server.started", false)        \
    X(EVENT_SERVER_RELOADED, "server.reloaded", false)      \
    X(EVENT_SERVER_STOPPED, "server.stopped", false)
enum event_kind {
#define X(id, name, is_anomaly) id,
    EVENT_MAP(X)
#undef X
        EVENT_KINDS
};
const char *event_name(enum event_kind kind);
bool event_kind_of(struct slice name, enum event_kind *ret);
/* How many there were since the start, written or not. */
uint64_t event_count(enum event_kind kind);

struct event {
    enum event_kind kind;
    struct slice who;    /* an account's id, a key's, "operator", "command"; empty: a stranger */
    struct slice object; /* what it was done to: an id, a name */
    struct slice ip, request;
    struct slice detail; /* a sentence or a few words; cut at 500 bytes */
};
/* Inside a write's run. For what changes something: it is there if the change is. */
bool event_add(struct db_conn *c, const struct event *ev, int64_t now_ms, struct err *e);

/* For what comes without a write of its own. It is kept in memory, in little of it, and the same
 * (kind, who, ip, object) within a minute is one event with a count; so a flood writes little. One
 * per database; outlives the database's openings. */
struct events;
struct events *events_new(void);
void events_free(struct events *ev); /* NULL is fine */
/* Any thread; copies. NULL: there is nowhere to write it, it is only counted. */
void events_note(struct events *ev, const struct event *what, int64_t now_ms);
/* Is there something to write: what is new, or a minute old and more than was written; or all? */
bool events_are_due(struct events *ev, bool all, int64_t now_ms);
/* Writes that in one write. Blocks; one thread at a time. What could not be written
 * stays. */
bool events_flush(struct events *ev, struct db *db, bool all, int64_t now_ms, struct err *e);

#define EVENTS_KEPT_MS (90 * 24 * 3600 * 1000LL)
#define EVENTS_MAX     100000
#define EVENTS_ANOMALIES                                                    \
    50000 /* of them: whoever floods drives out other floods, not the trail \
           */
/* Forgets up to `limit` that are too old or too many; *ret_n: how many. Inside a write's run. */
bool events_prune(struct db_conn *c, int64_t now_ms, int limit, int64_t *ret_n, struct err *e);

#define EVENTS_LIMIT     30
#define EVENTS_LIMIT_MAX 1000
struct events_query {
    struct slice kind, who; /* empty: any */
    struct slice after;     /* "next" of the page before; empty: the newest */
    bool is_anomaly;        /* only those */
    uint32_t limit;
};
/* {"items":[{"id","at","kind","anomaly","who","object","ip","request","detail","count"}],"next"},
 * newest first. */
bool events_list(struct db_conn *c, const struct events_query *q, struct buf *to, struct err *e);
