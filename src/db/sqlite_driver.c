/* The SQLite driver: one file, one writer with its thread, one thread that checkpoints. */
#include "db/sqlite_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- the file ------------------------------------------------------------------------------ */

static void configure(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* a lock around every allocation, for a figure */
}

/* Made by us, so that nobody else may read it: the log and its index get the same rights. An
 * existing file is not opened here, because closing it would drop this process's locks on it. */
static bool make_file(const char *path, struct err *e)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    if (fd >= 0 || errno == EEXIST)
        return true;
    return err_set_sys(e, ERR_UNAVAILABLE, "the database %s cannot be made", path);
}

static bool is_there(const char *path, struct err *e)
{
    return access(path, F_OK) == 0 || errno != ENOENT ||
           err_set(e, ERR_NOT_FOUND, "the database holds nothing yet");
}

static bool use_log(struct sqlite_conn *c, struct err *e)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(c->handle, "PRAGMA journal_mode = WAL", -1, &s, NULL);
    bool is_wal = false;
    if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW)
        is_wal = slice_is(slice_from((const char *)sqlite3_column_text(s, 0)), "wal");
    bool fine = rc == SQLITE_ROW || sqlite_fail(c, rc, e);
    sqlite3_finalize(s);
    if (fine && !is_wal)
        return err_set(e, ERR_UNAVAILABLE,
                       "the database's folder takes no write-ahead log; is it a network disk?");
    return fine;
}

/* The settings are only kept by an empty file: page size of the disk, and our name in the header.
 */
static bool check_file(struct sqlite_conn *c, struct err *e)
{
    if (sqlite3_db_readonly(c->handle, "main") == 1)
        return err_set(e, ERR_UNAVAILABLE, "the file is read-only for this user");
    return sqlite_exec(&c->base, "PRAGMA page_size = 4096" /* PAGE_BYTES */, e) && use_log(c, e);
}

static struct db_conn *open_first(struct db *db, struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, configure);
    if (!(db->is_reader ? is_there(db->path, e) : make_file(db->path, e)))
        return NULL;
    struct db_conn *c = sqlite_conn_open(db, CONN_WRITER, e);
    if (c && check_file(of_conn(c), e))
        return c;
    err_prefix(e, "%s", db->path);
    db_conn_close(c);
    return NULL;
}

/* ---- start and stop ------------------------------------------------------------------------ */

static bool sqlite_start(struct db *db, struct db_conn *c, struct err *e)
{
    struct sqlite_db *own = mem_new(struct sqlite_db);
    own->db = db;
    own->conn = of_conn(c);
    db->own = own;
    if (sqlite_checkpointer_start(own, e) && sqlite_writer_start(own, e))
        return true;
    sqlite_checkpointer_stop(own);
    return false;
}

static void sqlite_stop(struct db *db)
{
    struct sqlite_db *own = db->own;
    pthread_join(own->writer, NULL);
    sqlite_checkpointer_stop(own);
}

/* The last connection to go copies the log into the file and removes it. */
static void sqlite_close_db(struct db *db)
{
    struct sqlite_db *own = db->own;
    db_conn_close(&own->conn->base);
    free(own);
}

const struct db_driver sqlite_driver = {
    .name = "sqlite",
    .reads_on_loops = true,
    .idle_max = IDLE_MAX,
    .open = open_first,
    .start = sqlite_start,
    .stop = sqlite_stop,
    .close = sqlite_close_db,
    .conn_open = sqlite_conn_open,
    .conn_close = sqlite_conn_close,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .exec = sqlite_exec,
    .budget = sqlite_budget,
    .replace = sqlite_replace,
    .drop = sqlite_drop,
    .prepare = sqlite_prepare,
    .finalize = sqlite_finalize_stmt,
    .bind_bytes = sqlite_bind_bytes,
    .bind_i64 = sqlite_bind_i64,
    .bind_null = sqlite_bind_nothing,
    .step = sqlite_step,
    .changes = sqlite_changes,
    .reset = sqlite_reset_stmt,
    .is_null = sqlite_is_null,
    .i64 = sqlite_i64,
    .bytes = sqlite_bytes,
};
