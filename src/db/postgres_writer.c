/* Postgres' writers: a few threads with a connection each; each takes one write, runs it in a
 * transaction of its own, commits, answers.
 *
 * What goes wrong, and what then:
 *   - the write refuses, or a statement does: undone, answered with that;
 *   - another transaction was in the way (also when COMMIT says so): run again, three times,
 *     at last while our other writers pause;
 *   - the connection was lost before COMMIT: run again once, on a new one;
 *   - it was lost in COMMIT: nobody knows; answered 503, never run again;
 *   - there is no connection: 503, at once for all that wait. */
#include "db/postgres_impl.h"

#include <time.h>

#define REDO_MAX 3
#define PAUSE_US 2000 /* at most, before the first redo; then twice as long */

static void pause_a_little(unsigned redone)
{
    uint32_t chance;
    random_bytes(&chance, sizeof chance);
    struct timespec t = {.tv_nsec = (long)(chance % (PAUSE_US << redone)) * 1000};
    nanosleep(&t, NULL);
}

/* ---- one write ----------------------------------------------------------------------------- */

/* Of a write's functions, and whether all their statements went well. */
static enum pg_trouble call(struct pg_conn *c, struct db_write *w)
{
    w->err = (struct err){0};
    bool fine = w->run(w, &c->base, &w->err);
    db_conn_reset_all(&c->base);
    if (fine && c->trouble == PG_FINE && w->finish) {
        fine = w->finish(w, &c->base, &w->err);
        db_conn_reset_all(&c->base);
    }
    if (fine && c->trouble == PG_FINE)
        return PG_FINE;
    if (fine) /* it overlooked an error; nothing of it can be committed */
        w->err = c->first;
    if (w->err.code == ERR_NONE)
        err_set(&w->err, ERR_INTERNAL, "a write failed without saying why");
    return c->trouble == PG_FINE ? PG_FAILED : c->trouble;
}

static bool is_sickness(const struct err *e)
{
    return e->code == ERR_UNAVAILABLE || e->code == ERR_IO;
}

/* *ret_is_sure: nothing of it was committed, if it failed. */
static enum pg_trouble transact(struct pg_conn *c, struct db_write *w, bool *ret_is_sure)
{
    struct db *db = c->base.db;
    *ret_is_sure = true;
    enum pg_trouble trouble = call(c, w);
    if (trouble != PG_FINE) {
        pg_rollback(&c->base);
        return trouble;
    }
    int64_t began = clock_mono_ns();
    trouble = pg_end(c, &w->err);
    *ret_is_sure = trouble != PG_LOST;
    if (trouble != PG_FINE)
        return trouble;
    atomic_store(&((struct pg_db *)db->own)->gate.told_until_ms, 0); /* it is there */
    db->commit_ns += (uint64_t)(clock_mono_ns() - began);
    db->n_commits++;
    if (c->has_changed) {
        atomic_store(&db->is_sick, false);
        atomic_fetch_add(&db->commits, 1);
    }
    return PG_FINE;
}

static enum pg_trouble attempt(struct pg_conn *c, struct db_write *w, bool is_alone,
                               bool *ret_is_sure)
{
    struct pg_db *own = c->base.db->own;
    if (is_alone)
        pthread_rwlock_wrlock(&own->turns);
    else
        pthread_rwlock_rdlock(&own->turns);
    enum pg_trouble trouble = transact(c, w, ret_is_sure);
    pthread_rwlock_unlock(&own->turns);
    return trouble;
}

static void refuse(struct db *db, struct db_write *w, const struct err *e)
{
    if (is_sickness(e))
        atomic_store(&db->is_sick, true);
    db_writes_answer(db, w, e);
}

/* Those who wait would wait for the same. */
static void refuse_all(struct pg_writer *own, struct db_write *w, const struct err *e)
{
    struct list all;
    list_init(&all);
    refuse(own->db, w, e);
    db_writes_drain(own->db, &all);
    for (struct list *link; (link = list_pop(&all));)
        refuse(own->db, container_of(link, struct db_write, link), e);
}

static void run_write(struct pg_writer *own, struct db_write *w)
{
    struct pg_conn *c = own->conn;
    struct err e;
    unsigned redone = 0, lost = 0;
    for (;;) {
        bool is_sure;
        c->base.is_loose = w->is_loose;
        c->base.tells = 0;
        if (!pg_begin(&c->base, &e)) {
            refuse_all(own, w, &e);
            return;
        }
        enum pg_trouble trouble = attempt(c, w, redone == REDO_MAX, &is_sure);
        if (trouble == PG_FINE) {
            db_writes_answer(own->db, w, NULL);
            db_told(own->db, c->base.tells);
            return;
        }
        if (trouble == PG_REDO && redone < REDO_MAX)
            pause_a_little(redone++);
        else if (trouble != PG_LOST || !is_sure || lost++)
            break;
        own->db->n_redone++;
    }
    refuse(own->db, w, &w->err);
}

/* ---- threads ------------------------------------------------------------------------------- */

static void *writer_main(void *arg)
{
    struct pg_writer *own = arg;
    struct list one;
    list_init(&one);
    while (db_writes_take(own->db, &one, 1))
        run_write(own, container_of(list_pop(&one), struct db_write, link));
    return NULL;
}

/* The others connect when there is so much to do. */
bool pg_writers_start(struct pg_db *own, struct pg_conn *first, struct err *e)
{
    for (unsigned i = 0; i < own->n_writers; i++) {
        struct pg_writer *w = &own->writers[i];
        w->db = own->db;
        w->conn = i ? pg_conn_new(own->db, CONN_WRITER) : first;
        w->has_thread = pthread_create(&w->thread, NULL, writer_main, w) == 0;
        if (w->has_thread)
            continue;
        return err_set(e, ERR_UNAVAILABLE, "the database's writers cannot be started");
    }
    return true;
}

void pg_writers_stop(struct pg_db *own)
{
    for (unsigned i = 0; i < own->n_writers; i++) {
        if (own->writers[i].has_thread)
            pthread_join(own->writers[i].thread, NULL);
        own->writers[i].has_thread = false;
    }
}
