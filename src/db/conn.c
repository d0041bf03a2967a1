/* Connections: a loop's reader with a transaction per turn, and readers for lanes from a pool. */
#include "db/db_impl.h"

#define RETRY_MS 1000 /* a reader that could not be opened */

void db_conn_init(struct db_conn *c, struct db *db, enum conn_kind kind)
{
    c->db = db;
    c->driver = db->driver;
    c->kind = kind;
    list_init(&c->busy);
    list_init(&c->texts);
    list_init(&c->link);
    map_init(&c->by_sql);
    map_init(&c->by_text);
    if (kind != CONN_WRITER)
        db->n_readers++;
}

struct db *db_of(const struct db_conn *c)
{
    return c->db;
}

struct db_conn *db_conn_open(struct db *db, enum conn_kind kind, struct err *e)
{
    return db->driver->conn_open(db, kind, e);
}

void db_conn_close(struct db_conn *c)
{
    if (!c)
        return;
    db_conn_reset_all(c);
    db_conn_forget(c);
    map_done(&c->by_sql);
    map_done(&c->by_text);
    if (c->kind != CONN_WRITER)
        c->db->n_readers--;
    c->driver->conn_close(c);
}

void db_conn_reset_all(struct db_conn *c)
{
    while (!list_is_empty(&c->busy))
        db_reset(container_of(c->busy.next, struct db_stmt, busy));
}

void db_conn_end(struct db_conn *c)
{
    if (c->in_transaction)
        c->driver->rollback(c); /* it changed nothing */
}

void db_conn_budget(struct db_conn *c, uint64_t steps)
{
    c->driver->budget(c, steps);
}

/* ---- a loop's ------------------------------------------------------------------------------ */

/* The loop is about to sleep: an open snapshot would hold up checkpoints for as long. */
static void on_turn_end(struct tick *t, struct loop *l)
{
    struct db_reader *r = container_of(t, struct db_reader, tick);
    (void)l;
    if (r->n_staged)
        db_writes_unstage(r->db, r);
    if (!r->conn)
        return;
    must(list_is_empty(&r->conn->busy));
    db_conn_end(r->conn);
}

void db_reader_start(struct db *db, struct db_reader *r, struct loop *l)
{
    if (r->has_tick)
        return;
    r->db = db;
    r->tick.fn = on_turn_end;
    list_init(&r->staged);
    loop_add_tick(l, &r->tick);
    r->has_tick = true;
}

static bool open_reader(struct db *db, struct db_reader *r, struct loop *l)
{
    struct err e;
    if (loop_now_ms(l) < r->retry_ms)
        return false;
    r->conn = db_conn_open(db, CONN_LOOP, &e);
    if (!r->conn) {
        r->retry_ms = loop_now_ms(l) + RETRY_MS;
        log_line(LOG_WARN, "database reader not opened", F_CSTR("reason", e.msg));
        return false;
    }
    db_reader_start(db, r, l);
    return true;
}

struct db_conn *db_conn_of_loop(struct db *db, struct loop *l)
{
    if (!db->driver->reads_on_loops)
        return NULL;
    struct db_reader *r = &db->readers[loop_index(l)];
    if (!r->conn && !open_reader(db, r, l))
        return NULL;
    struct db_conn *c = r->conn;
    /* Renewed when something was committed meanwhile, but not while it is being read. */
    if (c->in_transaction &&
        (c->seen != atomic_load(&db->commits) || atomic_load(&db->is_shared)) &&
        list_is_empty(&c->busy))
        db_conn_end(c);
    db_conn_budget(c, 0); /* what the request before had left is not this one's */
    return c;
}

/* ---- lanes' -------------------------------------------------------------------------------- */

struct db_conn *db_conn_take(struct db *db, struct err *e)
{
    pthread_mutex_lock(&db->idle_lock);
    struct list *link = list_pop(&db->idle);
    db->n_idle -= link != NULL;
    pthread_mutex_unlock(&db->idle_lock);
    struct db_conn *c =
        link ? container_of(link, struct db_conn, link) : db_conn_open(db, CONN_LANE, e);
    if (c)
        db_conn_budget(c, 0);
    return c;
}

void db_conn_once(struct db_conn *c)
{
    c->is_once = c->kind == CONN_LANE;
}

void db_conn_give(struct db_conn *c)
{
    struct db *db = c->db;
    db_conn_reset_all(c);
    db_conn_end(c);
    c->is_once = false;
    pthread_mutex_lock(&db->idle_lock);
    bool is_kept = db->n_idle < db->driver->idle_max;
    if (is_kept) {
        list_add(&db->idle, &c->link);
        db->n_idle++;
    }
    pthread_mutex_unlock(&db->idle_lock);
    if (!is_kept)
        db_conn_close(c);
}
