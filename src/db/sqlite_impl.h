/* The inside of the SQLite driver, shared by its files. */
#pragma once
#include "db/db_impl.h"

#include <sqlite3.h>

#define PAGE_BYTES 4096

/* What a writer or reader says again and again, prepared when the connection is opened: ending a
 * transaction must not fail because a statement cannot be prepared. */
#define WORD_MAP(X)                    \
    X(WORD_READ, "BEGIN")              \
    X(WORD_BEGIN, "BEGIN IMMEDIATE")   \
    X(WORD_COMMIT, "COMMIT")           \
    X(WORD_ROLLBACK, "ROLLBACK")       \
    X(WORD_SAVEPOINT, "SAVEPOINT one") \
    X(WORD_RELEASE, "RELEASE one")     \
    X(WORD_ROLLBACK_TO, "ROLLBACK TO one")
enum word {
#define X(word, text) word,
    WORD_MAP(X)
#undef X
        WORD_COUNT
};

struct sqlite_conn {
    struct db_conn base;
    sqlite3 *handle;
    sqlite3_stmt *words[WORD_COUNT];
    bool has_budget, is_late; /* is_late: it was interrupted for the time, not for the steps */
    bool is_saying;           /* a word: it is never interrupted */
    int64_t rounds_left;      /* of the progress handler */
    int64_t until_ms;         /* lanes: the transaction's end */
    unsigned rounds;
};

struct sqlite_stmt {
    struct db_stmt base;
    sqlite3_stmt *stmt;
    bool is_too_large; /* a value that was bound */
};

/* One thread copies the log into the file, beside the writer. */
struct sqlite_checkpointer {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    bool is_wanted, is_stopping, is_started;
    struct sqlite_conn *conn;
};

struct sqlite_db {
    struct db *db;
    pthread_t writer;
    bool has_writer;
    struct sqlite_conn *conn; /* the writer's */
    bool was_busy;            /* another process held the lock: it is not waited for as long */
    bool has_written;         /* the commit under way put something into the log */
    int log_pages, try_pages; /* in the log after the last commit; try_pages: from when we copy */
    struct sqlite_checkpointer checkpointer;
};

static inline struct sqlite_conn *of_conn(struct db_conn *c)
{
    return container_of(c, struct sqlite_conn, base);
}

/* False, with a sentence for what the handle says of its last call. */
bool sqlite_fail(struct sqlite_conn *c, int rc, struct err *e);
bool sqlite_say(struct sqlite_conn *c, enum word word, struct err *e);

struct db_conn *sqlite_conn_open(struct db *db, enum conn_kind kind, struct err *e);
void sqlite_conn_close(struct db_conn *base);
bool sqlite_begin(struct db_conn *base, struct err *e);
bool sqlite_commit(struct db_conn *base, struct err *e);
void sqlite_rollback(struct db_conn *base);
bool sqlite_exec(struct db_conn *base, const char *many, struct err *e);
void sqlite_budget(struct db_conn *base, uint64_t steps);

struct db_stmt *sqlite_prepare(struct db_conn *base, struct slice text, struct err *e);
void sqlite_finalize_stmt(struct db_stmt *base);
void sqlite_bind_bytes(struct db_stmt *s, int at, struct slice bytes, bool is_text);
void sqlite_bind_i64(struct db_stmt *s, int at, int64_t n);
void sqlite_bind_nothing(struct db_stmt *s, int at);
enum db_step sqlite_step(struct db_stmt *base, struct err *e);
int64_t sqlite_changes(const struct db_stmt *s);
void sqlite_reset_stmt(struct db_stmt *s);
bool sqlite_is_null(const struct db_stmt *s, int column);
int64_t sqlite_i64(const struct db_stmt *s, int column);
struct slice sqlite_bytes(const struct db_stmt *s, int column);

bool sqlite_writer_start(struct sqlite_db *own, struct err *e);

bool sqlite_checkpointer_start(struct sqlite_db *own, struct err *e);
void sqlite_checkpointer_stop(struct sqlite_db *own);
/* By the writer after its commits: wakes the thread, or copies itself when the log is long. */
void sqlite_checkpoint_between(struct sqlite_db *own);

/* sqlite_replace.c */
bool sqlite_replace(struct db *made, struct db *place, struct err *e);
bool sqlite_drop(struct db *made, struct err *e);
