/* The queue of writes: anybody adds, a writer takes what waits, the answer goes to its home. */
#include "db/db_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

/* With the lock. */
static void count_waiting(struct db *db, unsigned more)
{
    db->waiting += more;
    if (db->waiting > db->waiting_max)
        db->waiting_max = db->waiting;
    pthread_cond_signal(&db->queue_more);
}

/* With the lock. */
static void enqueue(struct db *db, struct db_write *w)
{
    list_add(w->is_first ? db->queue.next : &db->queue, &w->link);
}

/* A turn's writes become one batch: without this the writer would run off with the first of them,
 * and the others would wait for its commit. */
static void stage(struct db *db, struct db_write *w)
{
    struct db_reader *r = &db->readers[loop_index(w->home)];
    db_reader_start(db, r, w->home);
    list_add(&r->staged, &w->link);
    r->n_staged++;
}

void db_writes_unstage(struct db *db, struct db_reader *r)
{
    if (!r->n_staged)
        return;
    pthread_mutex_lock(&db->queue_lock);
    while (!list_is_empty(&r->staged))
        enqueue(db, container_of(list_pop(&r->staged), struct db_write, link));
    count_waiting(db, r->n_staged);
    pthread_mutex_unlock(&db->queue_lock);
    r->n_staged = 0;
}

bool db_write(struct db *db, struct db_write *w)
{
    bool is_on_loop = db->readers && w->home && loop_is_here(w->home);
    unsigned staged = is_on_loop ? db->readers[loop_index(w->home)].n_staged : 0;
    if ((db->waiting + staged >= QUEUE_MAX && !w->is_first) || db->is_closing)
        return false;
    if (is_on_loop) {
        stage(db, w);
        return true;
    }
    pthread_mutex_lock(&db->queue_lock);
    bool fits = !db->is_stopping;
    if (fits) {
        enqueue(db, w);
        count_waiting(db, 1);
    }
    pthread_mutex_unlock(&db->queue_lock);
    return fits;
}

bool db_writes_take(struct db *db, struct list *ret, unsigned max)
{
    unsigned n = 0;
    pthread_mutex_lock(&db->queue_lock);
    while (list_is_empty(&db->queue) && !db->is_stopping)
        pthread_cond_wait(&db->queue_more, &db->queue_lock);
    for (; n < max && !list_is_empty(&db->queue); n++)
        list_add(ret, list_pop(&db->queue));
    db->waiting -= n;
    if (db->waiting) /* Postgres: another writer may be idle */
        pthread_cond_signal(&db->queue_more);
    pthread_mutex_unlock(&db->queue_lock);
    return n > 0;
}

void db_writes_drain(struct db *db, struct list *ret)
{
    pthread_mutex_lock(&db->queue_lock);
    while (!list_is_empty(&db->queue))
        list_add(ret, list_pop(&db->queue));
    db->waiting = 0;
    pthread_mutex_unlock(&db->queue_lock);
}

void db_writes_stop(struct db *db)
{
    pthread_mutex_lock(&db->queue_lock);
    db->is_stopping = true;
    pthread_cond_broadcast(&db->queue_more);
    pthread_mutex_unlock(&db->queue_lock);
}

static void tell(struct db_write *w)
{
    w->done(w, w->has_failed ? &w->err : NULL);
}

/* The first of a ring of answers to the same loop. */
static void on_answers(struct post *p, struct loop *l)
{
    struct db_write *first = container_of(p, struct db_write, post);
    struct list all;
    (void)l;
    list_add(&first->link, &all);
    for (struct list *link; (link = list_pop(&all));)
        tell(container_of(link, struct db_write, link));
}

static void deliver(struct db_write *first)
{
    if (!first->home) {
        tell(first);
        return;
    }
    first->post.fn = on_answers;
    loop_post(first->home, &first->post);
}

static void count_answer(struct db *db, const struct db_write *w)
{
    db->n_writes++;
    db->n_failed += w->has_failed;
}

void db_writes_answer(struct db *db, struct db_write *w, const struct err *e)
{
    w->has_failed = e != NULL;
    if (e && e != &w->err)
        w->err = *e;
    count_answer(db, w);
    list_init(&w->link);
    deliver(w);
}

void db_writes_answer_all(struct db *db, struct list *batch)
{
    for (struct list *link; (link = list_pop(batch));) {
        struct db_write *first = container_of(link, struct db_write, link);
        count_answer(db, first);
        list_each_safe (other, batch) {
            struct db_write *w = container_of(other, struct db_write, link);
            if (!first->home || w->home != first->home)
                continue;
            list_remove(other);
            list_add(link, other);
            count_answer(db, w);
        }
        deliver(first);
    }
}

/* ---- and waiting for it -------------------------------------------------------------------- */

struct errand { /* of two owners: who waits, and the writer */
    struct db_write write;
    bool (*run)(void *arg, struct db_conn *c, struct err *e);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool is_done, is_left; /* is_left: nobody waits any more */
};

static void errand_free(struct errand *t)
{
    pthread_cond_destroy(&t->ended);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static bool run_errand(struct db_write *w, struct db_conn *c, struct err *e)
{
    struct errand *t = container_of(w, struct errand, write);
    return t->run(t->arg, c, e);
}

static void end_errand(struct db_write *w, const struct err *e)
{
    struct errand *t = container_of(w, struct errand, write);
    (void)e; /* it is in the write */
    pthread_mutex_lock(&t->lock);
    t->is_done = true;
    bool is_ours = t->is_left;
    pthread_cond_signal(&t->ended);
    pthread_mutex_unlock(&t->lock);
    if (is_ours)
        errand_free(t);
}

static struct errand *errand_new(bool (*run)(void *, struct db_conn *, struct err *), void *arg)
{
    struct errand *t = mem_new(struct errand);
    t->write = (struct db_write){.run = run_errand, .done = end_errand};
    t->run = run;
    t->arg = arg;
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&t->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return t;
}

/* Ends it. */
static bool send_and_wait(struct db *db, struct errand *t, unsigned wait_ms, struct err *e)
{
    if (!db_write(db, &t->write)) {
        errand_free(t);
        return err_set(e, ERR_UNAVAILABLE,
                       "the database takes no more writes just now; try again soon");
    }
    int64_t until = clock_mono_ns() + (int64_t)wait_ms * 1000000;
    struct timespec at = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
    int rc = 0;
    pthread_mutex_lock(&t->lock);
    while (!t->is_done && rc != ETIMEDOUT)
        rc = wait_ms ? pthread_cond_timedwait(&t->ended, &t->lock, &at)
                     : pthread_cond_wait(&t->ended, &t->lock);
    t->is_left = !t->is_done;
    bool is_done = t->is_done, fine = is_done && !t->write.has_failed;
    if (is_done && !fine && e)
        *e = t->write.err;
    pthread_mutex_unlock(&t->lock);
    if (is_done)
        errand_free(t);
    else
        err_set(e, ERR_UNAVAILABLE, "the database did not answer within %u ms", wait_ms);
    return fine;
}

bool db_write_and_wait(struct db *db, bool (*run)(void *, struct db_conn *, struct err *),
                       void *arg, unsigned wait_ms, struct err *e)
{
    return send_and_wait(db, errand_new(run, arg), wait_ms, e);
}

bool db_write_now(struct db *db, bool (*run)(void *arg, struct db_conn *c, struct err *e),
                  void *arg, struct err *e)
{
    return db_write_and_wait(db, run, arg, 0, e);
}

bool db_write_now_loose(struct db *db, bool (*run)(void *arg, struct db_conn *c, struct err *e),
                        void *arg, struct err *e)
{
    struct errand *t = errand_new(run, arg);
    t->write.is_loose = true;
    return send_and_wait(db, t, 0, e);
}

/* ---- locks --------------------------------------------------------------------------------- */

#define NAMED "(hashtextextended('dais lock ' || current_schema() || ' ' || $1, 0))"
static const struct sql wait_for_lock = {.postgres = "SELECT pg_advisory_xact_lock" NAMED};
static const struct sql try_lock = {.postgres = "SELECT pg_try_advisory_xact_lock" NAMED "::int"};

/* A statement of its own: the next one sees what was committed while this one waited. */
bool db_lock(struct db_conn *c, struct slice name, struct err *e)
{
    must(c->is_loose); /* a serializable one has its snapshot already */
    if (db_is_sqlite(c->db))
        return true;
    struct db_stmt *s = db_prepare(c, &wait_for_lock, e);
    if (!s)
        return false;
    db_bind_text(s, 1, name);
    return db_run(s, NULL, e);
}

bool db_try_lock(struct db_conn *c, struct slice name, bool *ret_has, struct err *e)
{
    must(c->is_loose);
    *ret_has = db_is_sqlite(c->db);
    if (*ret_has)
        return true;
    struct db_stmt *s = db_prepare(c, &try_lock, e);
    if (!s)
        return false;
    db_bind_text(s, 1, name);
    enum db_step step = db_step(s, e);
    *ret_has = step == DB_ROW && db_i64(s, 0) != 0;
    db_reset(s);
    return step != DB_FAILED;
}
