/* Opening and closing a database, whichever it is; its readiness and its figures. */
#include "db/ring_impl.h"

#include <stdlib.h>
#include <string.h>

#define BUSY_MS  5000
#define READ_MS  2000
#define PING_MS  2000
#define CACHE_KB 8192
#define WRITERS  4

/* ---- which one ----------------------------------------------------------------------------- */

static char *copy(struct slice s)
{
    char *to = mem_alloc(s.len + 1);
    memcpy(to, s.ptr, s.len);
    to[s.len] = '\0';
    return to;
}

bool db_redis_check(struct slice url, struct err *e)
{
    struct redis_address read;
    return redis_address_read(url, &read, e);
}

static bool choose_redis(struct db *db, struct slice url, struct err *e)
{
    if (url.len && db_redis_check(url, e))
        db->redis_url = copy(url);
    return !url.len || db->redis_url;
}

static bool choose(struct db *db, const struct db_options *o, struct err *e)
{
    struct slice url = o->url, scheme = SLICE("sqlite://");
    if (slice_starts(url, SLICE("postgres://")) || slice_starts(url, SLICE("postgresql://"))) {
        db->driver = &postgres_driver;
        db->path = copy(url);
        db->schema = copy(o->schema.len ? o->schema : SLICE("public"));
        db->writers = o->writers ? o->writers : WRITERS;
        return choose_redis(db, o->redis_url, e);
    }
    if (url.len && !slice_starts(url, scheme))
        return err_set(
            e, ERR_USAGE,
            "the database's address begins with sqlite:///, postgres:// or postgresql://");
    struct slice path = url.len ? slice_skip(url, scheme.len) : slice_from(o->path);
    if (!path.len || (url.len && path.ptr[0] != '/'))
        return err_set(e, ERR_USAGE, "the database's address names no file; write sqlite:///path");
    db->driver = &sqlite_driver;
    db->path = copy(path);
    return true;
}

bool db_is_sqlite(const struct db *db)
{
    return db->driver == &sqlite_driver;
}

/* ---- life ---------------------------------------------------------------------------------- */

static struct db *db_new(const struct db_options *o)
{
    struct db *db = mem_new(struct db);
    db->loops = o->loops;
    db->is_reader = o->is_reader;
    db->is_any_age = o->is_any_age;
    db->steps_max = o->steps_max;
    db->busy_ms = o->busy_ms ? o->busy_ms : BUSY_MS;
    db->read_ms = o->read_ms ? o->read_ms : READ_MS;
    db->cache_kb = o->cache_kb ? o->cache_kb : CACHE_KB;
    if (o->loops)
        db->readers = mem_zalloc(loops_count(o->loops) * sizeof *db->readers);
    pthread_mutex_init(&db->idle_lock, NULL);
    pthread_mutex_init(&db->queue_lock, NULL);
    pthread_cond_init(&db->queue_more, NULL);
    pthread_mutex_init(&db->ring_lock, NULL);
    list_init(&db->idle);
    list_init(&db->queue);
    return db;
}

static void db_free(struct db *db)
{
    if (db->own)
        db->driver->close(db);
    pthread_cond_destroy(&db->queue_more);
    pthread_mutex_destroy(&db->queue_lock);
    pthread_mutex_destroy(&db->idle_lock);
    pthread_mutex_destroy(&db->ring_lock);
    free(db->redis_url);
    free(db->readers);
    free(db->schema);
    free(db->path);
    free(db);
}

struct db *db_named(const struct db_options *o, struct err *e)
{
    struct db *db = db_new(o);
    if (choose(db, o, e))
        return db;
    db_free(db);
    return NULL;
}

void db_unnamed(struct db *db)
{
    if (db)
        db_free(db);
}

struct db *db_open_with(const struct db_options *o, struct db_bell *bell, struct err *e)
{
    static const struct db_migration none[1];
    struct db *db = db_named(o, e);
    if (!db)
        return NULL;
    db->bell = bell;
    struct db_conn *c = db->driver->open(db, e);
    bool fine = c && db_migrate(c, o->migrations ? o->migrations : none, e);
    if (c && !fine)
        db_conn_close(c);
    if (fine && db->driver->start(db, c, e)) {
        db->has_opened = true;
        return db;
    }
    db_free(db);
    return NULL;
}

struct db *db_open(const struct db_options *o, struct err *e)
{
    return db_open_with(o, NULL, e);
}

static void unstage(struct loop *l, void *arg)
{
    struct db *db = arg;
    db_writes_unstage(db, &db->readers[loop_index(l)]);
}

static void close_reader(struct loop *l, void *arg)
{
    struct db *db = arg;
    struct db_reader *r = &db->readers[loop_index(l)];
    if (r->has_tick)
        list_remove(&r->tick.link);
    db_conn_close(r->conn);
}

/* After what was posted to it. */
static void on_each_loop(struct db *db, void (*fn)(struct loop *l, void *arg))
{
    if (!db->loops)
        return;
    if (loops_are_running(db->loops)) {
        loops_visit(db->loops, fn, db);
        return;
    }
    loops_run_posts(db->loops);
    for (unsigned i = 0; i < loops_count(db->loops); i++)
        fn(loops_get(db->loops, i), db);
}

void db_close(struct db *db)
{
    if (!db)
        return;
    atomic_store(&db->is_closing, true);
    on_each_loop(db, unstage);
    db_writes_stop(db);
    db->driver->stop(db);
    db_ring_stop(db);
    on_each_loop(db, close_reader); /* the last answers were heard by now, and may have read */
    for (struct list *link; (link = list_pop(&db->idle));)
        db_conn_close(container_of(link, struct db_conn, link));
    must(db->n_readers == 0); /* one was taken and not given back */
    db_free(db);
}

void db_set_shared(struct db *db, bool is_shared)
{
    atomic_store(&db->is_shared, is_shared);
}

/* ---- how it is ----------------------------------------------------------------------------- */

/* Getting here took the lock. A disk that failed has to show that it takes something again. */
static bool try_to_write(void *arg, struct db_conn *c, struct err *e)
{
    static const struct sql touch = {
        "UPDATE dais_migrations SET at = at + 1 WHERE version = 0",
        NULL,
    };
    struct db *db = arg;
    if (!atomic_load(&db->is_sick))
        return true;
    struct db_stmt *s = db_prepare(c, &touch, e);
    return s && db_run(s, NULL, e);
}

bool db_ping(struct db *db, struct err *e)
{
    return db_write_and_wait(db, try_to_write, db, PING_MS, e);
}

void db_stats(struct db *db, struct db_stats *ret)
{
    pthread_mutex_lock(&db->queue_lock);
    *ret = (struct db_stats){.waiting = db->waiting, .waiting_max = db->waiting_max};
    pthread_mutex_unlock(&db->queue_lock);
    ret->writes = db->n_writes;
    ret->commits = db->n_commits;
    ret->redone = db->n_redone;
    ret->failed = db->n_failed;
    ret->checkpoints = db->n_checkpoints;
    ret->wal_bytes = db->wal_bytes;
    ret->commit_ns = db->commit_ns;
    ret->readers = db->n_readers;
}

/* ---- alone --------------------------------------------------------------------------------- */

static bool run_all(void *arg, struct db_conn *c, struct err *e)
{
    const char *const *texts = arg;
    for (; *texts; texts++) {
        if (!c->driver->exec(c, *texts, e))
            return false;
    }
    return true;
}

bool db_run_alone(struct db *db, const char *const *texts, struct err *e)
{
    if (db->driver->alone)
        return db->driver->alone(db, texts, e);
    return db_write_now(db, run_all, (void *)(uintptr_t)texts, e);
}
