/* Makes the tables what the manifest says: a table per collection, a column per field that an index
 * has, the indexes. Which column is which field is in the catalogue, so that the order of things
 * in a manifest means nothing. */
#include "docs/list_impl.h"

#include <stdio.h>

const struct db_migration docs_migrations[] = {
    {
        "documents",
        "CREATE TABLE dais_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);"
        "CREATE TABLE dais_fields (collection TEXT NOT NULL, path TEXT NOT NULL,"
        " number INTEGER NOT NULL, PRIMARY KEY (collection, path));"
        "CREATE TABLE dais_indexes (collection TEXT NOT NULL, spec TEXT NOT NULL,"
        " number INTEGER NOT NULL, state TEXT NOT NULL, PRIMARY KEY (collection, spec));"
        "CREATE TABLE dais_refs (to_name TEXT NOT NULL, to_id TEXT NOT NULL,"
        " from_name TEXT NOT NULL, from_id TEXT NOT NULL, field TEXT NOT NULL,"
        " PRIMARY KEY (to_name, to_id, from_name, from_id, field)) WITHOUT ROWID;"
        "CREATE INDEX dais_refs_from ON dais_refs (from_name, from_id);",
        "CREATE TABLE dais_meta (name TEXT COLLATE \"C\" PRIMARY KEY, value TEXT NOT NULL);"
        "CREATE TABLE dais_fields (collection TEXT COLLATE \"C\" NOT NULL,"
        " path TEXT COLLATE \"C\" NOT NULL, number BIGINT NOT NULL,"
        " PRIMARY KEY (collection, path));"
        "CREATE TABLE dais_indexes (collection TEXT COLLATE \"C\" NOT NULL,"
        " spec TEXT COLLATE \"C\" NOT NULL, number BIGINT NOT NULL, state TEXT NOT NULL,"
        " PRIMARY KEY (collection, spec));"
        "CREATE TABLE dais_refs (to_name TEXT COLLATE \"C\" NOT NULL,"
        " to_id TEXT COLLATE \"C\" NOT NULL, from_name TEXT COLLATE \"C\" NOT NULL,"
        " from_id TEXT COLLATE \"C\" NOT NULL, field TEXT COLLATE \"C\" NOT NULL,"
        " PRIMARY KEY (to_name, to_id, from_name, from_id, field));"
        "CREATE INDEX dais_refs_from ON dais_refs (from_name, from_id);",
    },
    {0},
};

struct making {
    struct docs *docs;
    struct db *db;
    struct arena arena; /* of one run */
};

static bool run_text(struct db_conn *c, struct slice text, struct err *e)
{
    struct db_stmt *s = db_prepare_text(c, text, e);
    return s && db_run(s, NULL, e);
}

/* ---- the catalogue --------------------------------------------------------------------------- */

static const struct sql find_field = {
    "SELECT number FROM dais_fields WHERE collection = ? AND path = ?", NULL};
static const struct sql next_field = {
    "SELECT coalesce(max(number), 0) + 1 FROM dais_fields WHERE collection = ?", NULL};
static const struct sql add_field = {
    "INSERT INTO dais_fields (collection, path, number) VALUES (?, ?, ?)", NULL};
static const struct sql find_index = {
    "SELECT number FROM dais_indexes WHERE collection = ? AND spec = ?", NULL};
static const struct sql next_index = {
    "SELECT coalesce(max(number), 0) + 1 FROM dais_indexes WHERE collection = ?", NULL};
static const struct sql add_index = {
    "INSERT INTO dais_indexes (collection, spec, number, state) VALUES (?, ?, ?, 'ready')", NULL};

/* A number, or 0 when there is no row. */
static bool ask(struct db_conn *c, const struct sql *sql, struct slice a, struct slice b,
                int64_t *ret, struct err *e)
{
    struct db_stmt *s = db_prepare(c, sql, e);
    if (!s)
        return false;
    db_bind_text(s, 1, a);
    if (b.ptr)
        db_bind_text(s, 2, b);
    enum db_step step = db_step(s, e);
    *ret = step == DB_ROW ? db_i64(s, 0) : 0;
    db_reset(s);
    return step != DB_FAILED;
}

static bool note(struct db_conn *c, const struct sql *sql, struct slice a, struct slice b,
                 int64_t number, struct err *e)
{
    struct db_stmt *s = db_prepare(c, sql, e);
    if (!s)
        return false;
    db_bind_text(s, 1, a);
    db_bind_text(s, 2, b);
    db_bind_i64(s, 3, number);
    return db_run(s, NULL, e);
}

/* ---- a collection ---------------------------------------------------------------------------- */

static bool make_table(struct making *m, const struct doc_coll *c, struct db_conn *conn,
                       struct err *e)
{
    bool lite = db_is_sqlite(m->db);
    const char *text = lite ? "TEXT" : "TEXT COLLATE \"C\"";
    struct slice sql = arena_printf(
        &m->arena,
        "CREATE TABLE IF NOT EXISTS c_%.*s (%sid %s NOT NULL%s, version BIGINT NOT NULL, owner %s,"
        " created %s NOT NULL, updated %s NOT NULL, author %s, label TEXT, deleted %s,"
        " body TEXT NOT NULL, shown TEXT)",
        SLICE_ARGS(c->name), lite ? "n INTEGER PRIMARY KEY, " : "", text,
        lite ? " UNIQUE" : " PRIMARY KEY", text, text, text, text, text);
    if (!run_text(conn, sql, e))
        return false;
    sql = arena_printf(&m->arena,
                       "CREATE TABLE IF NOT EXISTS h_%.*s (id %s NOT NULL, version BIGINT NOT NULL,"
                       " updated %s NOT NULL, author %s, label TEXT, body TEXT NOT NULL,"
                       " PRIMARY KEY (id, version))",
                       SLICE_ARGS(c->name), text, text, text);
    if (!run_text(conn, sql, e))
        return false;
    sql = arena_printf(&m->arena,
                       "CREATE INDEX IF NOT EXISTS i_%.*s_owner ON c_%.*s (owner, id)"
                       " WHERE deleted IS NULL",
                       SLICE_ARGS(c->name), SLICE_ARGS(c->name));
    if (!run_text(conn, sql, e))
        return false;
    sql = arena_printf(&m->arena,
                       "CREATE INDEX IF NOT EXISTS i_%.*s_trash ON c_%.*s (deleted, id)"
                       " WHERE deleted IS NOT NULL",
                       SLICE_ARGS(c->name), SLICE_ARGS(c->name));
    return run_text(conn, sql, e);
}

static bool make_field(struct making *m, struct doc_coll *c, struct doc_field *f,
                       struct db_conn *conn, struct err *e)
{
    int64_t number = 0;
    if (!ask(conn, &find_field, c->name, f->path, &number, e))
        return false;
    bool is_new = number == 0;
    if (is_new && !ask(conn, &next_field, c->name, (struct slice){0}, &number, e))
        return false;
    snprintf(f->column, sizeof f->column, "k%lld", (long long)number);
    atomic_store(&f->is_ready, true);
    if (!is_new)
        return true;
    struct slice sql =
        arena_printf(&m->arena, "ALTER TABLE c_%.*s ADD COLUMN %s %s", SLICE_ARGS(c->name),
                     f->column, db_is_sqlite(m->db) ? "BLOB" : "BYTEA");
    return note(conn, &add_field, c->name, f->path, number, e) && run_text(conn, sql, e);
}

/* Rows of a unique index with a null or missing part are left out: they hold no key. */
static void add_terms(struct making *m, const struct doc_index *index, struct buf *to,
                      struct buf *where)
{
    bool lite = db_is_sqlite(m->db);
    if (index->is_by_owner)
        buf_add_str(to, "owner, ");
    for (size_t i = 0; i < index->n_terms; i++) {
        const struct doc_field *f = index->terms[i].field;
        buf_printf(to, "%s%s", f->column, index->terms[i].is_descending ? " DESC" : "");
        buf_add_str(to, i + 1 < index->n_terms || !index->is_unique ? ", " : "");
        if (index->is_unique && f->kind == FIELD_KEY)
            buf_printf(where, lite ? " AND %s > x'01'" : " AND %s > '\\x01'::bytea", f->column);
    }
    /* The id goes the way of the last term, as it does in a list sorted by them. */
    if (!index->is_unique)
        buf_add_str(to, index->terms[index->n_terms - 1].is_descending ? "id DESC" : "id");
}

static bool make_index(struct making *m, struct doc_coll *c, struct doc_index *index,
                       struct db_conn *conn, struct err *e)
{
    int64_t number = 0;
    if (!ask(conn, &find_index, c->name, index->spec, &number, e))
        return false;
    if (!number) {
        struct buf terms, where;
        buf_init(&terms, 4096);
        buf_init(&where, 4096);
        add_terms(m, index, &terms, &where);
        bool fine =
            ask(conn, &next_index, c->name, (struct slice){0}, &number, e) &&
            note(conn, &add_index, c->name, index->spec, number, e) &&
            run_text(conn,
                     arena_printf(&m->arena,
                                  "CREATE %sINDEX i_%.*s_%lld ON c_%.*s (%.*s)"
                                  " WHERE deleted IS NULL%.*s",
                                  index->is_unique ? "UNIQUE " : "", SLICE_ARGS(c->name),
                                  (long long)number, SLICE_ARGS(c->name),
                                  SLICE_ARGS(buf_slice(&terms)), SLICE_ARGS(buf_slice(&where))),
                     e);
        buf_done(&terms);
        buf_done(&where);
        if (!fine)
            return false;
    }
    atomic_store(&index->is_ready, true);
    return true;
}

/* ---- statements ------------------------------------------------------------------------------ */

static void add_columns(const struct doc_coll *c, struct buf *names, struct buf *marks,
                        struct buf *sets)
{
    for (size_t i = 0; i < c->n_fields; i++) {
        buf_printf(names, ", %s", c->fields[i].column);
        buf_add_str(marks, ", ?");
        buf_printf(sets, ", %s = ?", c->fields[i].column);
    }
}

/* In the docs' arena, once: a connection knows a statement by its text. */
static void make_sql(struct docs *d, struct db *db, struct doc_coll *c)
{
    struct arena *a = &d->arena;
    struct buf names, marks, sets;
    buf_init(&names, 1u << 16);
    buf_init(&marks, 1u << 16);
    buf_init(&sets, 1u << 16);
    add_columns(c, &names, &marks, &sets);
    c->sql_get =
        arena_printf(a, "SELECT " ROW_COLUMNS " FROM c_%.*s WHERE id = ?", SLICE_ARGS(c->name));
    c->sql_lock =
        db_is_sqlite(db) ? c->sql_get : arena_printf(a, "%.*s FOR UPDATE", SLICE_ARGS(c->sql_get));
    c->sql_insert = arena_printf(
        a,
        "INSERT INTO c_%.*s (" ROW_COLUMNS "%.*s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?%.*s)"
        " ON CONFLICT DO NOTHING",
        SLICE_ARGS(c->name), SLICE_ARGS(buf_slice(&names)), SLICE_ARGS(buf_slice(&marks)));
    c->sql_update = arena_printf(
        a,
        "UPDATE c_%.*s SET version = ?, owner = ?, created = ?, updated = ?, author = ?, label = ?,"
        " deleted = ?, body = ?, shown = ?%.*s WHERE id = ?",
        SLICE_ARGS(c->name), SLICE_ARGS(buf_slice(&sets)));
    buf_done(&names);
    buf_done(&marks);
    buf_done(&sets);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static bool make_coll(struct making *m, struct doc_coll *c, struct db_conn *conn, struct err *e)
{
    if (!make_table(m, c, conn, e))
        return false;
    for (size_t i = 0; i < c->n_fields; i++) {
        if (!make_field(m, c, &c->fields[i], conn, e))
            return false;
    }
    for (size_t i = 0; i < c->n_indexes; i++) {
        if (!make_index(m, c, &c->indexes[i], conn, e))
            return false;
    }
    return true;
}

static bool run_making(void *arg, struct db_conn *conn, struct err *e)
{
    struct making *m = arg;
    bool fine = true;
    arena_init(&m->arena, 16u << 20);
    for (size_t i = 0; fine && i < m->docs->n_colls; i++)
        fine = make_coll(m, &m->docs->colls[i], conn, e);
    fine = fine && cursor_key_make(m->docs, conn, e);
    arena_done(&m->arena);
    return fine;
}

bool docs_make_tables(struct docs *d, struct db *db, struct err *e)
{
    struct making m = {.docs = d, .db = db};
    if (!db_write_now(db, run_making, &m, e))
        return false;
    for (size_t i = 0; i < d->n_colls; i++)
        make_sql(d, db, &d->colls[i]);
    return true;
}
