/* A schema takes another's place, in one transaction. */
#include "db/postgres_impl.h"

static void add_drop(struct buf *to, const char *schema)
{
    buf_add_str(to, "DROP SCHEMA ");
    pg_add_ident(to, slice_from(schema));
    buf_add_str(to, " CASCADE");
}

/* Begins; what holds another program's tables stays. */
static bool begin_ours(struct db_conn *c, struct err *e)
{
    bool is_ours, fine = pg_begin(c, e) && db_is_ours(c, &is_ours, e);
    if (fine)
        db_conn_reset_all(c);
    return fine;
}

static bool swap(struct db_conn *c, const char *made, const char *place, struct err *e)
{
    struct buf text;
    buf_init(&text, 1000);
    add_drop(&text, place);
    buf_add_str(&text, "; ALTER SCHEMA ");
    pg_add_ident(&text, slice_from(made));
    buf_add_str(&text, " RENAME TO ");
    pg_add_ident(&text, slice_from(place));
    bool fine = pg_exec(c, text.data, e);
    buf_done(&text);
    return fine;
}

/* The connection has the lock that whoever opens the place waits for. */
bool pg_replace(struct db *made, struct db *place, struct err *e)
{
    struct db_conn *c = pg_open(place, e);
    bool fine = c && begin_ours(c, e) && swap(c, made->schema, place->schema, e) && pg_commit(c, e);
    db_conn_close(c);
    return fine || err_prefix(e, "the new schema was not put in the old one's place");
}

bool pg_drop(struct db *made, struct err *e)
{
    struct buf text;
    struct db_conn *c = pg_open(made, e);
    if (!c)
        return false;
    buf_init(&text, 1000);
    add_drop(&text, made->schema);
    bool fine = begin_ours(c, e) && pg_exec(c, text.data, e) && pg_commit(c, e);
    buf_done(&text);
    db_conn_close(c);
    return fine || err_prefix(e, "%s", made->schema);
}
