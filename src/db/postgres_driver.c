/* The Postgres driver: one schema of a database, a few writers, readers for lanes. */
#include "db/postgres_impl.h"
#include "db/ring_impl.h"

#include <stdlib.h>

#define WRITERS_MAX 64
#define LANES_KEPT  8

/* ---- opening ------------------------------------------------------------------------------- */

/* What libpq says of it may quote it. */
static bool check_url(struct db *db, struct err *e)
{
    char *said = NULL;
    if (!pg_url_check(slice_from(db->path), e) || !pq_load(e))
        return false;
    PQconninfoOption *parsed = pq.PQconninfoParse(db->path, &said);
    if (!parsed)
        err_set(e, ERR_USAGE,
                "the database's address cannot be read: it has the form"
                " postgres://user:password@host:5432/name?sslmode=verify-full");
    pq.PQconninfoFree(parsed);
    pq.PQfreemem(said);
    return parsed != NULL;
}

/* Two servers that start at once: one makes and migrates, the other finds it done. The lock is let
 * go by pg_set_limits(), or with the connection. */
static bool lock_schema(struct pg_conn *c, struct err *e)
{
    struct buf text, key;
    buf_init(&text, 1000);
    buf_init(&key, 100);
    buf_add_str(&key, "dais ");
    buf_add(&key, slice_from(c->base.db->schema));
    buf_add_str(&text, "SELECT pg_advisory_lock(hashtextextended(");
    pg_add_literal(&text, buf_slice(&key));
    buf_add_str(&text, ", 0))");
    bool fine = pg_exec(&c->base, text.data, e);
    buf_done(&key);
    buf_done(&text);
    return fine;
}

/* A schema that is there needs no right to make one. A statement of its own, with the lock: in one
 * with it it would see what there was before the lock was waited for. */
static bool make_schema(struct pg_conn *c, struct err *e)
{
    struct slice schema = slice_from(c->base.db->schema);
    struct buf text, block;
    buf_init(&text, 2000);
    buf_init(&block, 1000);
    buf_add_str(&block, "BEGIN IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = ");
    pg_add_literal(&block, schema);
    buf_add_str(&block, ") THEN CREATE SCHEMA ");
    pg_add_ident(&block, schema);
    buf_add_str(&block, "; END IF; END");
    buf_add_str(&text, "DO ");
    pg_add_literal(&text, buf_slice(&block));
    bool fine = pg_exec(&c->base, text.data, e);
    buf_done(&block);
    buf_done(&text);
    return fine;
}

struct db_conn *pg_open(struct db *db, struct err *e)
{
    struct pg_db *own = mem_new(struct pg_db);
    db->own = own;
    own->db = db;
    own->n_writers = db->writers < WRITERS_MAX ? db->writers : WRITERS_MAX;
    own->writers = mem_zalloc(own->n_writers * sizeof *own->writers);
    pg_gate_init(&own->gate);
    pthread_rwlockattr_t fair;
    pthread_rwlockattr_init(&fair);
    pthread_rwlockattr_setkind_np(&fair, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&own->turns, &fair);
    pthread_rwlockattr_destroy(&fair);
    if (!check_url(db, e) || !pg_schema_check(slice_from(db->schema), e))
        return NULL;
    struct pg_conn *c = pg_conn_new(db, CONN_WRITER);
    c->answer_ms = 0;
    if (pg_connect(c, e) && lock_schema(c, e) && make_schema(c, e))
        return &c->base;
    db_conn_close(&c->base);
    return NULL;
}

/* ---- start and stop ------------------------------------------------------------------------ */

static bool pg_start(struct db *db, struct db_conn *c, struct err *e)
{
    struct pg_db *own = db->own;
    if (!pg_set_limits(pg_of(c), e)) {
        db_conn_close(c);
        return false;
    }
    if (pg_writers_start(own, pg_of(c), e))
        return true;
    db_writes_stop(db);
    pg_writers_stop(own);
    return false;
}

static void pg_stop(struct db *db)
{
    pg_writers_stop(db->own);
}

static void pg_close(struct db *db)
{
    struct pg_db *own = db->own;
    for (unsigned i = 0; i < own->n_writers; i++) {
        if (own->writers[i].conn)
            db_conn_close(&own->writers[i].conn->base);
    }
    pthread_rwlock_destroy(&own->turns);
    pg_gate_done(&own->gate);
    free(own->writers);
    free(own);
}

const struct db_driver postgres_driver = {
    .name = "postgres",
    .idle_max = LANES_KEPT,
    .open = pg_open,
    .start = pg_start,
    .stop = pg_stop,
    .close = pg_close,
    .conn_open = pg_conn_open,
    .conn_close = pg_conn_close,
    .begin = pg_begin,
    .commit = pg_commit,
    .rollback = pg_rollback,
    .exec = pg_exec,
    .budget = pg_budget,
    .alone = pg_alone,
    .replace = pg_replace,
    .drop = pg_drop,
    .ring = &postgres_ring,
    .prepare = pg_prepare,
    .finalize = pg_finalize,
    .bind_bytes = pg_bind_bytes,
    .bind_i64 = pg_bind_i64,
    .bind_null = pg_bind_null,
    .step = pg_step,
    .changes = pg_changes,
    .reset = pg_reset,
    .is_null = pg_is_null,
    .i64 = pg_i64,
    .bytes = pg_bytes,
};
