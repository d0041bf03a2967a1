/* The inside of the Postgres driver, shared by its files.
 *
 * libpq is opened on first use and called through a table. Every connection is in pipeline mode:
 * what a step needs (BEGIN, the statement's preparation, the statement) leaves in one go, and a
 * reader's transaction is ended without waiting for the answer, so that a read is one round trip.
 * What was sent and not answered yet stands in `asked`; answers are read in that order.
 *
 * A statement's rows are in memory as a whole, as libpq has it: callers page with LIMIT.
 * Nothing waits for ever: each wait for an answer has an end, after which the connection counts as
 * lost. A lost connection is closed at once; the next transaction opens another. */
#pragma once
#include "db/db_impl.h"

#include <libpq-fe.h>

/* ---- postgres_lib.c ------------------------------------------------------------------------ */

#define PQ_MAP(X)           \
    X(PQconnectdbParams)    \
    X(PQfinish)             \
    X(PQstatus)             \
    X(PQsocket)             \
    X(PQerrorMessage)       \
    X(PQserverVersion)      \
    X(PQparameterStatus)    \
    X(PQconninfoParse)      \
    X(PQconninfoFree)       \
    X(PQfreemem)            \
    X(PQsetNoticeProcessor) \
    X(PQsetnonblocking)     \
    X(PQenterPipelineMode)  \
    X(PQexitPipelineMode)   \
    X(PQpipelineSync)       \
    X(PQsendQuery)          \
    X(PQsendQueryParams)    \
    X(PQsendPrepare)        \
    X(PQsendQueryPrepared)  \
    X(PQflush)              \
    X(PQisBusy)             \
    X(PQconsumeInput)       \
    X(PQgetResult)          \
    X(PQclear)              \
    X(PQresultStatus)       \
    X(PQresultErrorField)   \
    X(PQntuples)            \
    X(PQnfields)            \
    X(PQftype)              \
    X(PQgetisnull)          \
    X(PQgetvalue)           \
    X(PQgetlength)          \
    X(PQcmdTuples)          \
    X(PQcmdStatus)          \
    X(PQbackendPID)         \
    X(PQnotifies)

struct pq {
#define X(name) __typeof__(&(name)) name;
    PQ_MAP(X)
#undef X
};
extern struct pq pq;
extern const char *pq_library; /* "libpq.so.5"; a test names another */
bool pq_load(struct err *e);   /* any thread */

/* ---- postgres_text.c: pure ----------------------------------------------------------------- */

/* ERR_USAGE for an address that libpq would read otherwise than it was meant, or quote in a
 * message. No message of ours holds a part of it. */
bool pg_url_check(struct slice url, struct err *e);
/* Its password, as it is written there; empty without one. */
struct slice pg_url_password(struct slice url);
/* libpq's message on one line and without the password. */
void pg_clean(const char *message, struct slice url, struct buf *to);
bool pg_schema_check(struct slice schema, struct err *e);
void pg_add_ident(struct buf *to, struct slice name);   /* "a ""b""" */
void pg_add_literal(struct buf *to, struct slice text); /* 'it''s' */
/* With $1, $2, … for each ? outside of quotes and comments; returns how many values there are. */
unsigned pg_number(struct slice text, struct buf *to);
/* A number as Postgres sends it; false: none, or outside of 64 bits. */
bool pg_numeric_i64(struct slice bytes, int64_t *ret);

/* ---- postgres_error.c ---------------------------------------------------------------------- */

enum pg_trouble { /* of a transaction, the worst wins */
                  PG_FINE,
                  PG_FAILED, /* a statement was refused: the transaction can only be undone */
                  PG_REDO,   /* another transaction was in the way: it may be run again */
                  PG_LOST,   /* the connection */
};
enum pg_trouble pg_fail(const PGresult *r, unsigned read_ms, struct err *e);

/* ---- postgres_gate.c: who may connect while it is down ------------------------------------- */

/* One at a time tries again, after a pause that grows; those who came meanwhile share the outcome.
 */
struct pg_gate {
    pthread_mutex_t lock;
    pthread_cond_t tried;
    unsigned fails;
    uint64_t rounds;
    int64_t next_ms, began_ms;
    _Atomic int64_t told_until_ms; /* who reads is told what the last attempt was */
    bool is_trying;
    struct err err;
};
void pg_gate_init(struct pg_gate *g);
void pg_gate_done(struct pg_gate *g);
bool pg_gate_enter(struct pg_gate *g, bool is_reader, bool *ret_is_turn,
                   struct err *e); /* blocks; false: it is down */
void pg_gate_leave(struct pg_gate *g, bool is_turn, const struct err *e); /* e NULL: connected */

/* ---- connections --------------------------------------------------------------------------- */

enum pg_ask { ASK_PLAIN, ASK_BEGIN, ASK_COMMIT, ASK_PREPARE, ASK_RUN, ASK_SYNC };
#define ASKED_MAX 64
#define DEAD_MAX  32 /* statements that were forgotten and not yet told */

struct pg_stmt;
struct pg_conn {
    struct db_conn base;
    PGconn *handle;     /* NULL: lost, or not connected yet */
    unsigned life;      /* counts connections: what an earlier one prepared is gone */
    unsigned names;     /* of statements */
    unsigned answer_ms; /* the longest wait for an answer; 0: for ever (migrations) */
    enum pg_ask asked[ASKED_MAX];
    unsigned n_asked;
    unsigned dead[DEAD_MAX], n_dead;
    bool owes_begin, owes_rollback; /* said together with the next statement */
    bool is_fresh;                  /* nothing was asked since it was connected */
    bool has_changed;               /* this transaction, a row */
    bool lacks_prepared;            /* the last statement that was to be prepared was not */
    enum pg_trouble trouble;        /* of this transaction ... */
    struct err first;               /* ... and what was said */
};

struct pg_value {
    enum { VALUE_NULL, VALUE_TEXT, VALUE_BLOB, VALUE_I64 } kind;
    struct slice bytes;
    char number[8];
};

struct pg_stmt {
    struct db_stmt base;
    char *text;
    unsigned n, life, name; /* name: s7, when life is the connection's */
    struct pg_value *values;
    Oid *types;  /* as prepared; 0: it was NULL, so Postgres chose */
    bool is_bad; /* a value that was bound */
    struct err bad;
    PGresult *rows;
    int row, n_rows;
};

struct pg_writer {
    struct db *db;
    struct pg_conn *conn;
    pthread_t thread;
    bool has_thread;
};

struct pg_db {
    struct db *db;
    struct pg_gate gate;
    pthread_rwlock_t
        turns; /* shared by those that write; alone for one that was redone too often */
    struct pg_writer *writers;
    unsigned n_writers;
};

static inline struct pg_conn *pg_of(struct db_conn *c)
{
    return container_of(c, struct pg_conn, base);
}

/* postgres_wire.c: asking and reading answers. False: the connection is lost (and closed). */
bool pg_ask(struct pg_conn *c, enum pg_ask what, int sent);
bool pg_ask_word(struct pg_conn *c, enum pg_ask what, const char *name);
#define PG_BEGIN       "BEGIN"
#define PG_BEGIN_LOOSE "BEGIN ISOLATION LEVEL READ COMMITTED"
bool pg_ask_begin(struct pg_conn *c);
bool pg_ask_sync(struct pg_conn *c);
/* Reads all that was asked; *ret_run (may be NULL) is the answer to ASK_RUN, or NULL, and the first
 * error is noted in the connection. */
bool pg_collect(struct pg_conn *c, PGresult **ret_run);
/* Several statements outside the pipeline. The answer to the last, or the first that failed. */
PGresult *pg_say(struct pg_conn *c, const char *many);
bool pg_is_alive(struct pg_conn *c);
void pg_lose(struct pg_conn *c, const char *why); /* `why` NULL: what libpq says */

/* postgres_conn.c */
struct db_conn *pg_conn_open(struct db *db, enum conn_kind kind, struct err *e);
void pg_conn_close(struct db_conn *base);
struct pg_conn *pg_conn_new(struct db *db, enum conn_kind kind);
bool pg_connect(struct pg_conn *c, struct err *e);
bool pg_dial(struct pg_conn *c, struct buf *why); /* as libpq does it: no settings, no pipeline */
bool pg_set_limits(struct pg_conn *c, struct err *e); /* those of its kind; none while migrating */
bool pg_begin(struct db_conn *base, struct err *e);
/* What is not known is PG_LOST: then it may have been committed. */
enum pg_trouble pg_end(struct pg_conn *c, struct err *e);
bool pg_commit(struct db_conn *base, struct err *e);
void pg_rollback(struct db_conn *base);
bool pg_exec(struct db_conn *base, const char *many, struct err *e);
void pg_budget(struct db_conn *base, uint64_t steps);

/* postgres_stmt.c, postgres_rows.c */
struct db_stmt *pg_prepare(struct db_conn *base, struct slice text, struct err *e);
void pg_finalize(struct db_stmt *base);
void pg_bind_bytes(struct db_stmt *base, int at, struct slice bytes, bool is_text);
void pg_bind_i64(struct db_stmt *base, int at, int64_t n);
void pg_bind_null(struct db_stmt *base, int at);
enum db_step pg_step(struct db_stmt *base, struct err *e);
int64_t pg_changes(const struct db_stmt *base);
void pg_reset(struct db_stmt *base);
bool pg_rows_check(const PGresult *r, struct err *e); /* only types that can be read */
bool pg_is_null(const struct db_stmt *base, int column);
int64_t pg_i64(const struct db_stmt *base, int column);
struct slice pg_bytes(const struct db_stmt *base, int column);

/* postgres_alone.c */
bool pg_alone(struct db *db, const char *const *texts, struct err *e);

/* postgres_driver.c: makes the schema where it is absent; nobody else makes or migrates it while
 * the connection is open */
struct db_conn *pg_open(struct db *db, struct err *e);

/* postgres_replace.c */
bool pg_replace(struct db *made, struct db *place, struct err *e);
bool pg_drop(struct db *made, struct err *e);

/* postgres_writer.c */
bool pg_writers_start(struct pg_db *own, struct pg_conn *first, struct err *e);
void pg_writers_stop(struct pg_db *own);
