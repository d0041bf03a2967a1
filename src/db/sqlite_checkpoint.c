/* Checkpoints: copying the write-ahead log into the file, so that commits never wait for it.
 *
 * A thread copies while the writer goes on. The log begins anew when all of it is copied and no
 * reader needs it; under an unending stream of writes that moment never comes by itself. So between
 * two batches the writer copies too when the log is long, and when it is very long but little is
 * left to copy it waits a moment for the readers, who renew every turn. */
#include "db/sqlite_impl.h"

#include <time.h>

#define MB            ((1 << 20) / PAGE_BYTES)
#define WAKE_PAGES    (4 * MB)  /* the thread begins */
#define COPY_PAGES    (8 * MB)  /* the writer helps, then after each further MB */
#define RESTART_PAGES (32 * MB) /* the writer has the log begin anew ... */
#define LEFT_PAGES    (8 * MB)  /* ... if less is left to copy */
#define RESTART_MS    5         /* for readers to go on */
#define REST_MS       10        /* between two copies of the thread */

/* False: somebody else copies, or the disk failed; then the log stays as it is, and nothing is
 * lost. */
static bool copy(struct sqlite_conn *c, int mode, int *ret_left)
{
    int pages = 0, copied = 0;
    int rc = sqlite3_wal_checkpoint_v2(c->handle, NULL, mode, &pages, &copied);
    *ret_left = pages - copied;
    if (rc == SQLITE_OK)
        c->base.db->n_checkpoints++;
    else if ((rc & 0xff) != SQLITE_BUSY)
        log_line(LOG_WARN, "the database's log was not copied",
                 F_CSTR("reason", sqlite3_errstr(rc)));
    return rc == SQLITE_OK;
}

/* ---- the writer's part --------------------------------------------------------------------- */

static void wake(struct sqlite_checkpointer *k)
{
    pthread_mutex_lock(&k->lock);
    k->is_wanted = true;
    pthread_cond_signal(&k->more);
    pthread_mutex_unlock(&k->lock);
}

void sqlite_checkpoint_between(struct sqlite_db *own)
{
    int left = 0, pages = own->log_pages;
    struct sqlite_conn *c = own->conn;
    own->db->wal_bytes = (uint64_t)pages * PAGE_BYTES;
    if (pages >= WAKE_PAGES)
        wake(&own->checkpointer);
    if (pages < COPY_PAGES)
        own->try_pages = COPY_PAGES;
    if (pages < COPY_PAGES || pages < own->try_pages)
        return;
    own->try_pages = pages + MB;
    if (!copy(c, SQLITE_CHECKPOINT_PASSIVE, &left) || pages < RESTART_PAGES || left > LEFT_PAGES)
        return;
    sqlite3_busy_timeout(c->handle, RESTART_MS);
    copy(c, SQLITE_CHECKPOINT_RESTART, &left);
    sqlite3_busy_timeout(c->handle, (int)own->db->busy_ms);
}

/* ---- the thread's -------------------------------------------------------------------------- */

static bool wait_for_work(struct sqlite_checkpointer *k)
{
    pthread_mutex_lock(&k->lock);
    while (!k->is_wanted && !k->is_stopping)
        pthread_cond_wait(&k->more, &k->lock);
    bool goes_on = !k->is_stopping;
    k->is_wanted = false;
    pthread_mutex_unlock(&k->lock);
    return goes_on;
}

static void *checkpointer_main(void *arg)
{
    struct sqlite_checkpointer *k = arg;
    const struct timespec rest = {.tv_nsec = REST_MS * 1000000L};
    int left;
    while (wait_for_work(k)) {
        copy(k->conn, SQLITE_CHECKPOINT_PASSIVE, &left);
        nanosleep(&rest, NULL);
    }
    return NULL;
}

bool sqlite_checkpointer_start(struct sqlite_db *own, struct err *e)
{
    struct sqlite_checkpointer *k = &own->checkpointer;
    struct db_conn *c = sqlite_conn_open(own->db, CONN_WRITER, e);
    if (!c)
        return false;
    k->conn = of_conn(c);
    /* A connection that never read finds no log: its checkpoints would do nothing, and say so to
     * nobody. */
    if (!sqlite_exec(c, "SELECT count(*) FROM sqlite_master", e))
        return false;
    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->more, NULL);
    k->is_started = pthread_create(&k->thread, NULL, checkpointer_main, k) == 0;
    return k->is_started || err_set(e, ERR_UNAVAILABLE, "the database's threads cannot be started");
}

void sqlite_checkpointer_stop(struct sqlite_db *own)
{
    struct sqlite_checkpointer *k = &own->checkpointer;
    if (k->is_started) {
        pthread_mutex_lock(&k->lock);
        k->is_stopping = true;
        pthread_cond_signal(&k->more);
        pthread_mutex_unlock(&k->lock);
        pthread_join(k->thread, NULL);
        pthread_cond_destroy(&k->more);
        pthread_mutex_destroy(&k->lock);
    }
    if (k->conn)
        db_conn_close(&k->conn->base);
    k->conn = NULL;
    k->is_started = false;
}
