/* The inside of the database room: what both databases share, and the table of functions a driver
 * is.
 *
 * A driver's connection and statement begin with struct db_conn and struct db_stmt. The shared part
 * keeps them (who is busy, which statements are prepared, which transaction is open), the driver
 * talks to its library. */
#pragma once
#include "db/db.h"

#include "base/list.h"
#include "base/map.h"

#include <pthread.h>
#include <stdatomic.h>

#define TEXTS_MAX 100  /* statements made at run time that a connection keeps */
#define IDLE_MAX  4    /* readers of lanes that are kept open, on SQLite */
#define QUEUE_MAX 8192 /* writes that wait */

enum conn_kind { CONN_LOOP, CONN_LANE, CONN_WRITER };

struct db_conn {
    struct db *db;
    const struct db_driver *driver;
    enum conn_kind kind;
    bool in_transaction;
    bool is_once;               /* see db_conn_once() */
    bool is_loose;              /* a writer's: of the write under way */
    unsigned tells;             /* a writer's: bits of topics, of the transaction under way */
    uint64_t seen;              /* the counter of commits before the transaction began */
    struct list busy;           /* statements between prepare and reset */
    struct list texts;          /* those made at run time, the least used first */
    struct map by_sql, by_text; /* address of the constant, or text -> struct db_stmt */
    struct list link;           /* in db->idle */
};

struct db_stmt {
    struct db_conn *conn;
    struct list busy, link; /* in conn->busy, in conn->texts */
    const struct sql *sql;  /* the constant, or NULL */
    char *text;             /* of run time, ours, or NULL */
};

struct db_driver {
    const char *name;
    bool reads_on_loops; /* a row by its key is quick enough to wait for */
    unsigned idle_max;   /* readers of lanes that are kept open */
    /* What there is one of per database: checks, makes it where it is absent, gives the connection
     * that migrates. */
    struct db_conn *(*open)(struct db *db, struct err *e);
    /* Takes that connection (the writer's now, also on failure) and starts threads. */
    bool (*start)(struct db *db, struct db_conn *c, struct err *e);
    void (*stop)(struct db *db);  /* db_writes_stop() was called: ends when the queue is empty */
    void (*close)(struct db *db); /* the last */

    struct db_conn *(*conn_open)(struct db *db, enum conn_kind kind, struct err *e);
    void (*conn_close)(struct db_conn *c); /* statements are finalized */
    bool (*begin)(struct db_conn *c, struct err *e);
    bool (*commit)(struct db_conn *c, struct err *e);
    void (*rollback)(struct db_conn *c);
    bool (*exec)(struct db_conn *c, const char *many, struct err *e); /* statements with ; */
    void (*budget)(struct db_conn *c, uint64_t steps);
    bool (*alone)(struct db *db, const char *const *texts, struct err *e); /* NULL: in a write */
    bool (*replace)(struct db *made, struct db *place, struct err *e);     /* see db_replace() */
    bool (*drop)(struct db *made, struct err *e);
    const struct ring_carrier *ring; /* NULL: there are no other processes to wake up */

    struct db_stmt *(*prepare)(struct db_conn *c, struct slice text, struct err *e);
    void (*finalize)(struct db_stmt *s);
    void (*bind_bytes)(struct db_stmt *s, int at, struct slice bytes, bool is_text);
    void (*bind_i64)(struct db_stmt *s, int at, int64_t n);
    void (*bind_null)(struct db_stmt *s, int at);
    enum db_step (*step)(struct db_stmt *s, struct err *e);
    int64_t (*changes)(const struct db_stmt *s);
    void (*reset)(struct db_stmt *s);
    bool (*is_null)(const struct db_stmt *s, int column);
    int64_t (*i64)(const struct db_stmt *s, int column);
    struct slice (*bytes)(const struct db_stmt *s, int column);
};
extern const struct db_driver sqlite_driver, postgres_driver;

struct db_reader { /* a loop's part of the database */
    struct tick tick;
    struct db *db;
    struct db_conn *conn;
    int64_t retry_ms;   /* opening it failed: not before */
    struct list staged; /* this turn's writes; they join the queue together */
    unsigned n_staged;
    bool has_tick;
};

struct db_listener;
struct db_ring;
struct ring_carrier;
struct db_bell { /* who listens; a slot's, which outlives its databases */
    pthread_mutex_t lock;
    struct list listeners;
    _Atomic unsigned n_listeners;
    _Atomic unsigned pending; /* bits of topics: told, and somebody is about to call for them */
};

struct db {
    const struct db_driver *driver;
    void *own; /* the driver's */
    struct loops *loops;
    char *path;   /* Postgres: the address, with its password; in no message */
    char *schema; /* Postgres */
    unsigned busy_ms, read_ms, cache_kb, writers;
    bool is_reader, is_any_age;
    unsigned steps_max;      /* 0: all */
    _Atomic bool has_opened; /* db_open() has given it away */
    _Atomic bool is_shared;
    _Atomic bool is_sick;     /* the last commit, or taking the lock for it, failed */
    _Atomic uint64_t commits; /* raised after each COMMIT, before anybody is told */
    struct db_reader *readers;
    struct db_bell *bell; /* NULL: nobody can listen */
    pthread_mutex_t ring_lock;
    _Atomic(struct db_ring *) ring; /* once somebody listens or tells */
    char *redis_url;                /* NULL: the driver's own way */

    pthread_mutex_t idle_lock;
    struct list idle; /* readers of lanes */
    unsigned n_idle;

    pthread_mutex_t queue_lock;
    pthread_cond_t queue_more;
    struct list queue;
    bool is_stopping;        /* the writer ends when the queue is empty */
    _Atomic bool is_closing; /* no more writes are taken */

    /* what db_stats tells; the queue's under its lock */
    _Atomic unsigned waiting;
    unsigned waiting_max;
    _Atomic unsigned n_readers;
    _Atomic uint64_t n_writes, n_redone, n_failed, n_checkpoints, n_commits, wal_bytes, commit_ns;
};

/* ---- conn.c, stmt.c: kept by every connection ---------------------------------------------- */

void db_conn_init(struct db_conn *c, struct db *db, enum conn_kind kind);
struct db_conn *db_conn_open(struct db *db, enum conn_kind kind, struct err *e);
void db_conn_close(struct db_conn *c);     /* NULL is fine; a transaction is undone */
void db_conn_reset_all(struct db_conn *c); /* what is still busy */
void db_conn_forget(struct db_conn *c);
void db_reader_start(struct db *db, struct db_reader *r, struct loop *l); /* looks at turns' ends */
void db_conn_end(struct db_conn *c); /* a reader's transaction, if there is one */

/* ---- writes.c: the queue ------------------------------------------------------------------- */

/* Blocks until there are some, moves up to `max` to the (empty) list; false: no more will come. */
bool db_writes_take(struct db *db, struct list *ret, unsigned max);
/* All that wait, without blocking. */
void db_writes_drain(struct db *db, struct list *ret);
/* To its home; `e` NULL: done. The write is no longer ours. */
void db_writes_answer(struct db *db, struct db_write *w, const struct err *e);
/* The same for all of a batch, by their has_failed and err: each home gets its own in one go, so
 * that what it writes next comes in one go too. */
void db_writes_answer_all(struct db *db, struct list *batch);
/* The end of a loop's turn: what was staged joins the queue. On the loop's thread. */
void db_writes_unstage(struct db *db, struct db_reader *r);
void db_writes_stop(struct db *db);
/* As db_write_now, for at most wait_ms (0: for ever). When that was too short, `arg` is used later
 * all the same. */
bool db_write_and_wait(struct db *db, bool (*run)(void *arg, struct db_conn *c, struct err *e),
                       void *arg, unsigned wait_ms, struct err *e);

/* ---- tell.c: wake-ups ------------------------------------------------------------------------ */

void db_bell_init(struct db_bell *b);
void db_bell_done(struct db_bell *b);
void db_bell_add(struct db_bell *b, struct db_listener *l);
void db_bell_remove(struct db_bell *b, struct db_listener *l); /* its fn is not under way then */
/* Calls those who listen to one of these (bits). Any thread. Who waits for another one that is
 * calling leaves it to them. */
void db_bell_ring(struct db_bell *b, unsigned topics);
/* By a writer, after COMMIT and after the answers: what was told in the transaction. */
void db_told(struct db *db, unsigned topics);
/* As db_open, for a slot. */
struct db *db_open_with(const struct db_options *o, struct db_bell *bell, struct err *e);

/* ---- migrate.c ----------------------------------------------------------------------------- */

bool db_migrate(struct db_conn *c, const struct db_migration *migrations, struct err *e);
/* Inside a transaction: is it ours, or has it no tables yet? ERR_USAGE: another program's. */
bool db_is_ours(struct db_conn *c, bool *ret_ours, struct err *e);

/* ---- db.c: one that is not opened, only named ------------------------------------------------ */

struct db *db_named(const struct db_options *o, struct err *e);
void db_unnamed(struct db *db); /* and what its driver made; NULL is fine */
