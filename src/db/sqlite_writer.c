/* The one writer of an SQLite file: what waits goes into one transaction, with one wait for the
 * disk.
 *
 * Each write has a savepoint, so that a refusal undoes only itself. Three things go wrong:
 *   - a write refuses: its savepoint is undone, the others stay;
 *   - the transaction is gone (a full disk undoes all of it, not the savepoint) or COMMIT fails:
 *     nothing of the batch is there, so nothing of it is answered; each write is run again alone;
 *   - alone it fails too: it is answered with the reason.
 * Nobody is told before COMMIT, refusals included: they were decided on rows of the same batch. */
#include "db/sqlite_impl.h"

#define BATCH_MAX 256
#define GIVE_UP   3 /* writes in a row that fail alone: the disk is gone, not one of them bad */
#define BUSY_AGAIN_MS                                                          \
    100 /* once another process held it too long, nobody waits that long again \
         */

/* ---- one write ----------------------------------------------------------------------------- */

static bool is_gone(const struct sqlite_db *own)
{
    return sqlite3_get_autocommit(own->conn->handle);
}

/* Runs one of its functions; what it left open is closed. */
static bool call(struct sqlite_db *own, struct db_write *w,
                 bool (*fn)(struct db_write *, struct db_conn *, struct err *))
{
    w->err = (struct err){0};
    own->conn->base.is_loose = w->is_loose;
    bool fine = fn(w, &own->conn->base, &w->err);
    db_conn_reset_all(&own->conn->base);
    if (fine && is_gone(own)) /* it overlooked an error */
        fine = err_set(&w->err, ERR_UNAVAILABLE, "the transaction was undone; try again");
    if (!fine && w->err.code == ERR_NONE)
        err_set(&w->err, ERR_INTERNAL, "a write failed without saying why");
    return fine;
}

/* False: the transaction is gone, or cannot be trusted. */
static bool run_in_batch(struct sqlite_db *own, struct db_write *w)
{
    unsigned tells = own->conn->base.tells;
    if (!sqlite_say(own->conn, WORD_SAVEPOINT, NULL))
        return false;
    w->has_failed = !call(own, w, w->run);
    if (w->has_failed)
        own->conn->base.tells = tells;
    if (is_gone(own))
        return false;
    if (w->has_failed && !sqlite_say(own->conn, WORD_ROLLBACK_TO, NULL))
        return false;
    return sqlite_say(own->conn, WORD_RELEASE, NULL);
}

/* ---- a transaction ------------------------------------------------------------------------- */

static bool begin(struct sqlite_db *own, struct err *e)
{
    struct db *db = own->db;
    struct sqlite_conn *c = own->conn;
    own->has_written = false;
    c->base.tells = 0;
    if (sqlite_begin(&c->base, e)) {
        if (own->was_busy)
            sqlite3_busy_timeout(c->handle, (int)db->busy_ms);
        own->was_busy = false;
        return true;
    }
    atomic_store(&db->is_sick, true);
    own->was_busy = true;
    sqlite3_busy_timeout(c->handle, db->busy_ms < BUSY_AGAIN_MS ? (int)db->busy_ms : BUSY_AGAIN_MS);
    return false;
}

/* On false everything is undone. */
static bool commit(struct sqlite_db *own, struct err *e)
{
    struct db *db = own->db;
    int64_t began = clock_mono_ns();
    if (!sqlite_commit(&own->conn->base, e)) {
        sqlite_rollback(&own->conn->base);
        atomic_store(&db->is_sick, true);
        return false;
    }
    db->commit_ns += (uint64_t)(clock_mono_ns() - began);
    db->n_commits++;
    if (own->has_written) {
        atomic_store(&db->is_sick, false);
        atomic_fetch_add(&db->commits, 1); /* before the first answer: see db_conn_of_loop */
    }
    return true;
}

/* The error is the write's own. */
static bool run_alone(struct sqlite_db *own, struct db_write *w)
{
    struct err e;
    if (!begin(own, &e)) {
        db_writes_answer(own->db, w, &e);
        return false;
    }
    if (!call(own, w, w->run) || (w->finish && !call(own, w, w->finish))) {
        bool is_fine = !is_gone(own);
        sqlite_rollback(&own->conn->base);
        db_writes_answer(own->db, w, &w->err);
        return is_fine;
    }
    bool fine = commit(own, &e);
    db_writes_answer(own->db, w, fine ? NULL : &e);
    if (fine)
        db_told(own->db, own->conn->base.tells);
    return fine;
}

/* ---- a batch ------------------------------------------------------------------------------- */

static void answer_all(struct sqlite_db *own, struct list *batch, const struct err *e)
{
    for (struct list *link; (link = list_pop(batch));)
        db_writes_answer(own->db, container_of(link, struct db_write, link), e);
}

static bool run_all(struct sqlite_db *own, struct list *batch)
{
    list_each (link, batch) {
        if (!run_in_batch(own, container_of(link, struct db_write, link)))
            return false;
    }
    list_each (link, batch) {
        struct db_write *w = container_of(link, struct db_write, link);
        if (w->finish && !w->has_failed && !call(own, w, w->finish))
            return false;
    }
    return true;
}

static void redo_alone(struct sqlite_db *own, struct list *batch)
{
    unsigned failed = 0;
    static const struct err gone = {.code = ERR_UNAVAILABLE,
                                    .msg = "the database cannot be written just now; try again"};
    while (failed < GIVE_UP) {
        struct list *link = list_pop(batch);
        if (!link)
            return;
        own->db->n_redone++;
        failed = run_alone(own, container_of(link, struct db_write, link)) ? 0 : failed + 1;
    }
    answer_all(own, batch, &gone);
}

static void run_batch(struct sqlite_db *own, struct list *batch)
{
    struct err e;
    if (batch->next == batch->prev) {
        run_alone(own, container_of(list_pop(batch), struct db_write, link));
        return;
    }
    if (!begin(own, &e)) {
        answer_all(own, batch, &e);
        return;
    }
    bool fine = run_all(own, batch);
    if (!fine)
        sqlite_rollback(&own->conn->base);
    if (!fine || !commit(own, &e)) {
        redo_alone(own, batch);
        return;
    }
    db_writes_answer_all(own->db, batch);
    db_told(own->db, own->conn->base.tells);
}

/* ---- its thread ---------------------------------------------------------------------------- */

static int on_log_grew(void *arg, sqlite3 *handle, const char *name, int pages)
{
    struct sqlite_db *own = arg;
    (void)handle;
    (void)name;
    own->log_pages = pages;
    own->has_written = true;
    return SQLITE_OK;
}

static void *writer_main(void *arg)
{
    struct sqlite_db *own = arg;
    struct list batch;
    list_init(&batch);
    while (db_writes_take(own->db, &batch, BATCH_MAX)) {
        run_batch(own, &batch);
        sqlite_checkpoint_between(own);
    }
    return NULL;
}

bool sqlite_writer_start(struct sqlite_db *own, struct err *e)
{
    sqlite3_wal_hook(own->conn->handle, on_log_grew, own);
    if (pthread_create(&own->writer, NULL, writer_main, own) == 0)
        return true;
    return err_set(e, ERR_UNAVAILABLE, "the database's writer could not be started");
}
