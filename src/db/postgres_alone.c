/* Statements that no transaction may hold, such as CREATE INDEX CONCURRENTLY. */
#include "db/postgres_impl.h"

/* Tried, not waited for: a statement that waits is one that CONCURRENTLY waits for. */
static bool take_turn(struct pg_conn *c, struct err *e)
{
    static const char lock[] = "DO 'BEGIN IF NOT pg_try_advisory_lock(hashtextextended("
                               "''dais alone '' || current_schema(), 0)) THEN"
                               " RAISE EXCEPTION ''another server is at it''; END IF; END'";
    return pg_exec(&c->base, lock, e) ||
           err_set(e, ERR_LOCKED, "another server works on the database's indexes");
}

bool pg_alone(struct db *db, const char *const *texts, struct err *e)
{
    struct pg_conn *c = pg_conn_new(db, CONN_WRITER);
    c->answer_ms = 0;
    bool fine = pg_connect(c, e) && take_turn(c, e);
    for (; fine && *texts; texts++)
        fine = pg_exec(&c->base, *texts, e);
    struct err ignored; /* the turn ends now, not when the server sees that we have gone */
    pg_exec(&c->base, "DISCARD ALL", &ignored);
    db_conn_close(&c->base);
    return fine;
}
