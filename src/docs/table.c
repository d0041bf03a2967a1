/* The tables of one collection as they are at first, without columns that follow from an index or
 * from words; and what bringing back a backup needs of them. */
#include "docs/tables_impl.h"

#define COLL_NAME_MAX 40 /* of a collection, as in a manifest */

bool table_make(struct db_conn *conn, struct slice coll, struct arena *a, struct err *e)
{
    bool lite = db_is_sqlite(db_of(conn));
    const char *text = lite ? "TEXT" : "TEXT COLLATE \"C\"";
    struct slice sql = arena_printf(
        a,
        "CREATE TABLE IF NOT EXISTS c_%.*s (%sid %s NOT NULL%s, version BIGINT NOT NULL, owner %s,"
        " created %s NOT NULL, updated %s NOT NULL, author %s, label TEXT, deleted %s,"
        " body TEXT NOT NULL, shown TEXT)",
        SLICE_ARGS(coll), lite ? "n INTEGER PRIMARY KEY, " : "", text,
        lite ? " UNIQUE" : " PRIMARY KEY", text, text, text, text, text);
    if (!run_text(conn, sql, e))
        return false;
    sql = arena_printf(a,
                       "CREATE TABLE IF NOT EXISTS h_%.*s (id %s NOT NULL, version BIGINT NOT NULL,"
                       " updated %s NOT NULL, author %s, label TEXT, body TEXT NOT NULL,"
                       " PRIMARY KEY (id, version))",
                       SLICE_ARGS(coll), text, text, text);
    if (!run_text(conn, sql, e))
        return false;
    sql = arena_printf(a,
                       "CREATE INDEX IF NOT EXISTS i_%.*s_owner ON c_%.*s (owner, id)"
                       " WHERE deleted IS NULL",
                       SLICE_ARGS(coll), SLICE_ARGS(coll));
    if (!run_text(conn, sql, e))
        return false;
    sql = arena_printf(a,
                       "CREATE INDEX IF NOT EXISTS i_%.*s_trash ON c_%.*s (deleted, id)"
                       " WHERE deleted IS NOT NULL",
                       SLICE_ARGS(coll), SLICE_ARGS(coll));
    return run_text(conn, sql, e);
}

/* ---- bringing back --------------------------------------------------------------------------- */

static bool can_be_called(struct slice coll)
{
    bool fine =
        coll.len > 0 && coll.len <= COLL_NAME_MAX && coll.ptr[0] >= 'a' && coll.ptr[0] <= 'z';
    for (size_t i = 0; fine && i < coll.len; i++)
        fine = (coll.ptr[i] >= 'a' && coll.ptr[i] <= 'z') ||
               (coll.ptr[i] >= '0' && coll.ptr[i] <= '9') || coll.ptr[i] == '_';
    return fine;
}

bool docs_make_named(struct db_conn *c, struct slice table, struct err *e)
{
    struct arena a;
    struct slice coll = slice_skip(table, 2);
    bool is_ours = slice_starts(table, SLICE("c_")) || slice_starts(table, SLICE("h_"));
    if (!is_ours || !can_be_called(coll))
        return err_set(e, ERR_DAMAGED, "'%.*s' is no table of a collection",
                       SLICE_ARGS(slice_first(table, 60)));
    arena_init(&a, 1u << 16);
    bool fine = table_make(c, coll, &a, e);
    arena_done(&a);
    return fine;
}

/* The names in 'shape' stay, with the shape of nothing: they tell of documents whose collection the
 * manifest has no more. */
bool docs_settle(struct db_conn *c, struct err *e)
{
    static const char *const texts[] = {
        "DELETE FROM dais_fields",
        "DELETE FROM dais_indexes",
        "DELETE FROM dais_meta WHERE substr(name, 1, 5) = 'fill '",
        "DELETE FROM dais_meta WHERE substr(name, 1, 6) = 'shown '",
        "DELETE FROM dais_meta WHERE substr(name, 1, 7) = 'search:'",
        "UPDATE dais_meta SET value = '' WHERE substr(name, 1, 6) = 'shape '",
    };
    bool fine = true;
    for (size_t i = 0; fine && i < sizeof texts / sizeof *texts; i++)
        fine = run_text(c, slice_from(texts[i]), e);
    return fine;
}
