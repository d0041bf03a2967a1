/* One app's database, SQLite or Postgres: statements, reading, and writes that are acknowledged
 * only when they are on stable storage. Whoever uses it never sees which of the two it is.
 *
 *   db        an app's database; opened on first use, shared by all threads
 *   db_conn   a connection of one thread: a loop's reader, a lane's reader, or the writer's
 *   db_stmt   a prepared statement, kept by its connection
 *   db_write  a piece of work that changes something, done by the writer, answered on its loop
 *
 * Reading. A loop thread reads inline what is short (a row by its key, a range of an index): with
 * db_conn_of_loop(), inside one read transaction per turn of the loop, which ends before the loop
 * sleeps and is begun anew when something was committed meanwhile: whoever got the answer to a
 * write reads it, on any connection. A statement that runs longer than its steps allow is
 * interrupted (ERR_OVER_BUDGET); the caller runs it again on a lane, with a connection of its own.
 * On Postgres every read is on a lane.
 *
 * Writing. A write is a function that reads what it needs, decides, and changes rows; it can be run
 * again from the start, so it keeps nothing from an earlier run. SQLite: one writer thread takes
 * all that waits into one transaction, a savepoint for each write, and answers all of them after
 * COMMIT, refusals too: they were decided on rows that the same transaction changed. Postgres: a
 * transaction for each write on a few connections, serializable, so that it sees what it would see
 * if there were no other; one that others were in the way of (40001, a deadlock) is run again,
 * three times. When a COMMIT fails or its outcome is not known, a write is never answered as done;
 * on Postgres it is then not run again either.
 *
 * Statements. SQL is a table of constants with a text for each database, `?` for values, in both:
 * text, 64-bit integers and blobs only. JSON stays text. Nothing a user wrote is ever part of SQL.
 * The same on both: columns are BIGINT, TEXT and BLOB or BYTEA; a sort of text names its collation;
 * a conflict that is expected is ON CONFLICT DO NOTHING with no row changed, not an error.
 *
 * A Postgres that is down: reads and writes are refused (ERR_UNAVAILABLE) as soon as an attempt to
 * reach it failed, and the next request tries again; one that answers nothing is waited for as long
 * as a statement may take and a second more (lanes: read_ms; writers: 10 s), then 2 s to connect.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "loop/loop.h"

struct db;
struct db_conn;
struct db_stmt;

/* ---- opening ------------------------------------------------------------------------------- */

/* A step of the schema's life. They are run once each, in order, in a transaction; a database that
 * has more of them than the program is refused with a sentence. */
struct db_migration {
    const char *name;              /* "documents" */
    const char *sqlite, *postgres; /* several with ; between them; postgres NULL: the same */
};

struct db_options {
    struct slice url;    /* postgres://… or postgresql://…; empty or sqlite:///path: a file */
    const char *path;    /* SQLite: the file, when the url names none */
    struct slice schema; /* Postgres: one per app, made when it is not there; empty: public */
    struct loops *loops; /* NULL: none reads, as in a command */
    const struct db_migration *migrations; /* ends in one without a name */
    unsigned busy_ms;                      /* how long another process may hold it; default 5,000 */
    unsigned read_ms;   /* how long a lane may read in one piece, or one statement; default 2,000 */
    unsigned cache_kb;  /* SQLite: what a writer keeps in memory; default 8,192 */
    bool is_reader;     /* a command beside a server: nothing is migrated; ERR_NOT_FOUND: empty */
    bool is_any_age;    /* a reader's: one that lacks the last steps is fine, too */
    unsigned steps_max; /* only so many of the migrations there are: as an older dais; 0: all */
    unsigned writers;   /* Postgres: connections that write; default 4 */
    struct slice redis_url; /* Postgres: wake-ups go through it, when given, instead of NOTIFY */
};

/* Is it an address that can be used? ERR_USAGE (nothing of it is in the message); db_open asks too.
 */
bool db_redis_check(struct slice url, struct err *e);

/* Opens, checks and migrates; blocks, so not on a loop that serves. NULL: e says what to do. */
struct db *db_open(const struct db_options *o, struct err *e);
/* Writes that wait are done and answered first. No statement may be under way, no connection taken.
 * Blocks. While the loops run: from a thread that is none of them, before loops_stop or on a lane;
 * else after loops_run. */
void db_close(struct db *db);
/* Another process writes too (two generations during a hand-over): every request then reads in a
 * transaction of its own, because our counter of commits does not see theirs. Any thread. */
void db_set_shared(struct db *db, bool is_shared);
bool db_is_sqlite(const struct db *db); /* for `dais doctor` and backups only */

struct db *db_of(const struct db_conn *c);

/* Is it there and able to write? For readiness; blocks up to 2 s, so on a lane. After a failed
 * commit it writes a row and waits for the disk. */
bool db_ping(struct db *db, struct err *e);

/* ---- connections --------------------------------------------------------------------------- */

/* The loop's reader, on its thread; NULL on Postgres, or when it cannot be opened: then use a lane.
 * Once a request: each call may move on to a newer state of the data, and has no budget yet. All is
 * reset by the turn's end. */
struct db_conn *db_conn_of_loop(struct db *db, struct loop *l);
/* A reader for one piece of work on a lane, given back after it; inside one read transaction. */
struct db_conn *db_conn_take(struct db *db, struct err *e);
void db_conn_give(struct db_conn *c);
/* One statement will be asked of this reader and no more: on Postgres it needs no BEGIN and COMMIT
 * of its own. If another one follows, it may see a newer state of the data. Until it is given back.
 */
void db_conn_once(struct db_conn *c);
/* How many steps the next statements of this connection may take together; 0: no limit. Postgres
 * counts none: there only the time of a lane is limited, which blocks nobody else. */
void db_conn_budget(struct db_conn *c, uint64_t steps);

/* ---- statements ---------------------------------------------------------------------------- */

/* Constants of a room, compared by address: a connection prepares each once. */
struct sql {
    const char *sqlite, *postgres; /* postgres NULL: the same text, with ? as $1, $2, …; an own one
                                      may have either */
};

enum db_step { DB_ROW, DB_END, DB_FAILED };

/* Ready to be bound and stepped. NULL: e says why. One use at a time; end it with db_reset().
 * A mistake in the text is told here by SQLite, by the first step on Postgres. */
struct db_stmt *db_prepare(struct db_conn *c, const struct sql *sql, struct err *e);
/* The same for a text made at run time from constants and column names of our own (filters, sort
 * orders); kept by its text, up to 100 of them. */
struct db_stmt *db_prepare_text(struct db_conn *c, struct slice text, struct err *e);

/* From 1. Bytes are borrowed until db_reset(). What was not bound is NULL. A text is UTF-8; with a
 * zero byte Postgres cannot keep it, and the step fails (ERR_INVALID). */
void db_bind_text(struct db_stmt *s, int at, struct slice text);
void db_bind_blob(struct db_stmt *s, int at, struct slice bytes);
void db_bind_i64(struct db_stmt *s, int at, int64_t n);
void db_bind_null(struct db_stmt *s, int at);

/* ERR_EXISTS: a unique key is taken. ERR_OVER_BUDGET. ERR_UNAVAILABLE: disk full, locked, gone.
 * ERR_IO: the file is damaged. Inside a write nothing more can be done after a failure: it returns
 * false (on Postgres all its changes are undone by then). A reader goes on, on Postgres with a
 * newer state of the data. On Postgres the first step brings all rows into memory: use LIMIT. */
enum db_step db_step(struct db_stmt *s, struct err *e);
/* Runs to the end and resets; *ret_changed (may be NULL): rows it changed. */
bool db_run(struct db_stmt *s, int64_t *ret_changed, struct err *e);
void db_reset(struct db_stmt *s);

/* Columns of the present row, from 0. Valid until the next step or reset. A number is asked for as
 * one, a text or blob as one. */
bool db_is_null(const struct db_stmt *s, int column);
int64_t db_i64(const struct db_stmt *s, int column);
struct slice db_text(const struct db_stmt *s, int column); /* "" for null */
struct slice db_blob(const struct db_stmt *s, int column);

/* ---- writing ------------------------------------------------------------------------------- */

struct db_write {
    /* On a writer's thread, inside the transaction; may be called again after its changes were
     * undone. False (with e): its own changes are undone, the others' stay; it is answered with e.
     * True after a step that failed is a mistake: on Postgres it is answered with that error. */
    bool (*run)(struct db_write *w, struct db_conn *c, struct err *e);
    /* May be NULL. After every `run` of the same transaction, before COMMIT (Postgres: right
     * after its own): for what is costly inside a savepoint (full text). Only when its `run` was
     * true; false undoes and redoes all. */
    bool (*finish)(struct db_write *w, struct db_conn *c, struct err *e);
    /* On `home`, once, after the commit: `e` is NULL when it was done and is on stable storage. */
    void (*done)(struct db_write *w, const struct err *e);
    struct loop *home; /* NULL: `done` is called by the writer, which must not be kept waiting */
    /* Postgres: READ COMMITTED instead of serializable. Each statement sees what others have
     * committed by then, and the write locks what it decides on itself (db_lock). */
    bool is_loose;
    /* Before all that wait, and never too many: for the one write of a room that others wait for.
     */
    bool is_first;

    /* the writer's */
    struct list link;
    struct post post;
    struct err err;
    bool has_failed;
};
/* From any thread. False: too many wait (ERR_UNAVAILABLE); `done` is not called then. */
bool db_write(struct db *db, struct db_write *w) MUST_CHECK;
/* The same and waits for it: for commands, seeds and lanes, never on a loop. */
bool db_write_now(struct db *db, bool (*run)(void *arg, struct db_conn *c, struct err *e),
                  void *arg, struct err *e);
bool db_write_now_loose(struct db *db, bool (*run)(void *arg, struct db_conn *c, struct err *e),
                        void *arg, struct err *e); /* with is_loose */

/* Inside a loose write: until its end no other one holds the lock of this name. SQLite has one
 * writer: nothing happens. */
bool db_lock(struct db_conn *c, struct slice name, struct err *e);
/* The same without waiting: *ret_has says whether it has it now. */
bool db_try_lock(struct db_conn *c, struct slice name, bool *ret_has, struct err *e);

/* Wake-ups: what others may be waiting for was committed. Inside a write's run; after its COMMIT
 * whoever listens (db/slot.h) is told, in this process and, on Postgres, in the others on it.
 * Several come as one, none is lost in this process; between processes one may be, so whoever
 * listens looks by itself once a second too. */
enum db_topic { TOPIC_JOBS, TOPIC_JOB_EVENTS, TOPIC_COUNT };
void db_tell(struct db_conn *c, enum db_topic topic);

/* Statements for which the rest need not wait: Postgres runs them one by one outside a transaction,
 * on a connection of their own and by one process at a time (ERR_LOCKED: another one is at it);
 * SQLite in a write. `texts` ends in NULL. ERR_EXISTS as for db_step. Blocks for as long as it
 * takes. */
bool db_run_alone(struct db *db, const char *const *texts, struct err *e);

struct db_stats {
    uint64_t writes, commits, redone, failed, checkpoints;
    uint64_t wal_bytes, commit_ns; /* commit_ns: all commits together */
    unsigned waiting, waiting_max, readers;
};
void db_stats(struct db *db, struct db_stats *ret);

/* ---- for backups -----------------------------------------------------------------------------
 */

enum db_type { DB_NUMBER, DB_TEXT, DB_BYTES };
struct db_column {
    struct slice name;
    enum db_type type;
};
struct db_table {
    struct slice name;
    struct db_column *columns;
    size_t n;
};
/* All tables with rows of an app, by their names, columns in their order. Without what follows from
 * rows (an index of words), columns of other types than statements have, and the list of steps. In
 * the arena. */
bool db_tables(struct db_conn *c, struct arena *a, struct db_table **ret, size_t *ret_n,
               struct err *e);
/* Names of the migrations that were run, in their order. In the arena. */
bool db_steps(struct db_conn *c, struct arena *a, struct slice **ret, size_t *ret_n, struct err *e);
/* "name", for statements made at run time. */
void db_add_name(struct buf *to, struct slice name);

/* All rows of a table in some order, as a reader's transaction sees them, a few in memory at once.
 * `where`: NULL, or a constant condition. Other statements may be asked meanwhile; one that fails
 * ends it. The time of all of them together is read_ms: give the database some hours.
 *
 * SQLite cannot begin its log anew while somebody reads, so that it grows by what is written
 * meanwhile; nobody waits for that. */
struct db_rows;
struct db_rows *db_rows_open(struct db_conn *c, const struct db_table *t, const char *where,
                             struct err *e);
enum db_step db_rows_next(struct db_rows *r, struct err *e);
const struct db_stmt *db_rows_at(const struct db_rows *r); /* the present row, for db_text()… */
void db_rows_close(struct db_rows *r);                     /* NULL is fine */

/* The options of a database that is made to take another's place: beside it, with another name. */
void db_beside(const struct db_options *place, struct arena *a, struct db_options *ret);
/* `made` takes the place of `place` at once: a kill at any moment leaves one or the other, whole.
 * Both are closed; ERR_LOCKED: somebody has `place` open. One that is damaged stays beside it, as
 * NAME.damaged (SQLite). On Postgres everything in the schema goes. Blocks. */
bool db_replace(const struct db_options *made, const struct db_options *place, struct err *e);
/* A closed one goes with all it holds; again is fine. Blocks. */
bool db_drop(const struct db_options *made, struct err *e);
