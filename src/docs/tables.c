/* Makes the tables what the manifest says: a table per collection, a column per field that an index
 * has, the indexes. Which column is which field is in the catalogue, so that the order of things
 * in a manifest means nothing. */
#include "docs/search_impl.h"
#include "docs/tables_impl.h"

#include "journal/journal.h"

#include <stdio.h>

const struct db_migration docs_migrations[] = {
    {
        "documents",
        "CREATE TABLE dais_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);"
        "CREATE TABLE dais_fields (collection TEXT NOT NULL, path TEXT NOT NULL,"
        " number INTEGER NOT NULL, state TEXT NOT NULL, PRIMARY KEY (collection, number));"
        "CREATE TABLE dais_indexes (collection TEXT NOT NULL, spec TEXT NOT NULL,"
        " number INTEGER NOT NULL, state TEXT NOT NULL, PRIMARY KEY (collection, spec));"
        "CREATE TABLE dais_refs (to_name TEXT NOT NULL, to_id TEXT NOT NULL,"
        " from_name TEXT NOT NULL, from_id TEXT NOT NULL, field TEXT NOT NULL,"
        " PRIMARY KEY (to_name, to_id, from_name, from_id, field)) WITHOUT ROWID;"
        "CREATE INDEX dais_refs_from ON dais_refs (from_name, from_id);",
        "CREATE TABLE dais_meta (name TEXT COLLATE \"C\" PRIMARY KEY, value TEXT NOT NULL);"
        "CREATE TABLE dais_fields (collection TEXT COLLATE \"C\" NOT NULL,"
        " path TEXT COLLATE \"C\" NOT NULL, number BIGINT NOT NULL, state TEXT NOT NULL,"
        " PRIMARY KEY (collection, number));"
        "CREATE TABLE dais_indexes (collection TEXT COLLATE \"C\" NOT NULL,"
        " spec TEXT COLLATE \"C\" NOT NULL, number BIGINT NOT NULL, state TEXT NOT NULL,"
        " PRIMARY KEY (collection, spec));"
        "CREATE TABLE dais_refs (to_name TEXT COLLATE \"C\" NOT NULL,"
        " to_id TEXT COLLATE \"C\" NOT NULL, from_name TEXT COLLATE \"C\" NOT NULL,"
        " from_id TEXT COLLATE \"C\" NOT NULL, field TEXT COLLATE \"C\" NOT NULL,"
        " PRIMARY KEY (to_name, to_id, from_name, from_id, field));"
        "CREATE INDEX dais_refs_from ON dais_refs (from_name, from_id);",
    },
    JOURNAL_MIGRATION,
    {0},
};

struct making {
    struct docs *docs;
    struct db *db;
    struct arena arena; /* of one run */
    bool has_changed;   /* rows hold something else now: earlier readings are superseded */
};

/* ---- a collection ---------------------------------------------------------------------------- */

static bool supersede(struct making *m, struct err *e)
{
    m->has_changed = true;
    return db_slot_supersede(m->docs->slot, m->docs->reading) ||
           err_set(e, ERR_UNAVAILABLE, "The app was just changed; ask again.");
}

static bool make_field(struct making *m, struct doc_coll *c, struct doc_field *f, bool has_rows,
                       struct db_conn *conn, struct err *e)
{
    int64_t number = 0;
    bool is_ready = !has_rows;
    if (!field_find(conn, c->name, f->path, &number, &is_ready, e))
        return false;
    bool is_new = number == 0;
    if (is_new) {
        is_ready = !has_rows;
        if (!supersede(m, e) || !field_add(conn, c->name, f->path, is_ready, &number, e))
            return false;
    }
    snprintf(f->column, sizeof f->column, "k%lld", (long long)number);
    atomic_store(&f->is_ready, is_ready);
    if (!is_new)
        return true;
    return run_text(conn,
                    arena_printf(&m->arena, "ALTER TABLE c_%.*s ADD COLUMN %s %s",
                                 SLICE_ARGS(c->name), f->column,
                                 db_is_sqlite(m->db) ? "BLOB" : "BYTEA"),
                    e);
}

static bool make_fields(struct making *m, struct doc_coll *c, bool has_rows, struct db_conn *conn,
                        struct err *e)
{
    bool some_gone;
    if (!fields_forget(conn, c, &some_gone, e) || (some_gone && !supersede(m, e)))
        return false;
    for (size_t i = 0; i < c->n_fields; i++) {
        if (!make_field(m, c, &c->fields[i], has_rows, conn, e))
            return false;
    }
    return true;
}

/* An index of no rows is made at once, all others while the app serves. One that documents of
 * before broke is tried again. */
static bool make_index(struct making *m, struct doc_coll *c, struct doc_index *index, bool has_rows,
                       struct db_conn *conn, struct err *e)
{
    int64_t number = 0;
    enum state state;
    if (!index_find(conn, c->name, index->spec, &number, &state, e))
        return false;
    if (!number) {
        state = STATE_BUILDING;
        if (!index_add(conn, c->name, index->spec, &number, e))
            return false;
    }
    if (state == STATE_BUILDING && !has_rows) {
        bool lite = db_is_sqlite(m->db);
        const char *how = index->is_unique ? "UNIQUE INDEX IF NOT EXISTS" : "INDEX IF NOT EXISTS";
        state = STATE_READY;
        if (!run_text(conn, index_text(c, index, number, how, lite, &m->arena), e) ||
            !index_set(conn, c->name, index->spec, state, e))
            return false;
    }
    atomic_store(&index->is_violated, state == STATE_VIOLATED);
    atomic_store(&index->wants_try, state == STATE_VIOLATED);
    atomic_store(&index->is_ready, state == STATE_READY);
    return true;
}

/* ---- what a row was made with ---------------------------------------------------------------- */

static void add_texts(struct buf *to, const char *what, const struct texts *texts)
{
    buf_add_str(to, what);
    for (size_t i = 0; i < texts->n; i++) {
        buf_add_char(to, i ? ',' : ' ');
        buf_add(to, texts->items[i].s);
    }
    buf_add_char(to, '\n');
}

static struct slice hidden_of(const struct doc_coll *c, struct arena *a)
{
    struct buf b;
    buf_init(&b, 1u << 16);
    add_texts(&b, "hidden", &c->conf->hidden);
    struct slice text = arena_dup(a, buf_slice(&b));
    buf_done(&b);
    return text;
}

static struct slice shape_of(const struct doc_coll *c, struct arena *a)
{
    struct buf b;
    buf_init(&b, 1u << 17);
    buf_add(&b, hidden_of(c, a));
    buf_printf(&b, "versions %lld\n", (long long)c->conf->versions);
    add_texts(&b, "search", &c->conf->search);
    buf_add_str(&b, "refs");
    for (size_t i = 0; i < c->n_refs; i++)
        buf_printf(&b, " %.*s>%.*s", SLICE_ARGS(c->refs[i].field.path),
                   SLICE_ARGS(c->refs[i].to->name));
    struct slice text = arena_dup(a, buf_slice(&b));
    buf_done(&b);
    return text;
}

static bool make_shape(struct making *m, struct doc_coll *c, bool has_rows, struct db_conn *conn,
                       struct err *e)
{
    struct arena *a = &m->arena;
    struct slice was, shape = shape_of(c, a);
    bool has_shape;
    if (!meta_find(conn, "shape", c->name, a, &was, &has_shape, e))
        return false;
    if (has_shape && slice_eq(was, shape))
        return true;
    if (!supersede(m, e) || !meta_put(conn, "shape", c->name, shape, a, e))
        return false;
    if (!has_rows)
        return true;
    return (slice_starts(was, hidden_of(c, a)) ||
            meta_put(conn, "shown", c->name, SLICE(""), a, e)) &&
           meta_put(conn, "fill", c->name, SLICE(""), a, e);
}

/* A field that is new begins the work on the rows anew, wherever that was. */
static bool make_rows(struct making *m, struct doc_coll *c, bool has_rows, struct db_conn *conn,
                      struct err *e)
{
    bool was_filling = false, is_new = false;
    struct slice ignored;
    if (!meta_find(conn, "fill", c->name, &m->arena, &ignored, &was_filling, e))
        return false;
    m->has_changed = false;
    if (!make_fields(m, c, has_rows, conn, e))
        return false;
    for (size_t i = 0; i < c->n_fields; i++)
        is_new |= !atomic_load(&c->fields[i].is_ready);
    if (is_new && (m->has_changed || !was_filling) &&
        !meta_put(conn, "fill", c->name, SLICE(""), &m->arena, e))
        return false;
    return make_shape(m, c, has_rows, conn, e) && fill_look(m->docs, c, conn, e);
}

/* ---- statements ------------------------------------------------------------------------------ */

static void add_columns(const struct doc_coll *c, struct buf *names, struct buf *marks,
                        struct buf *sets, struct buf *same)
{
    for (size_t i = 0; i < c->n_fields; i++) {
        buf_printf(names, ", %s", c->fields[i].column);
        buf_add_str(marks, ", ?");
        buf_printf(sets, ", %s = ?", c->fields[i].column);
        buf_printf(same, " AND %s = ?", c->fields[i].column);
    }
}

/* In the docs' arena, which must not grow with each opening: a statement changes only when the
 * database is another one. */
static bool keep(struct docs *d, struct slice *to, struct slice text)
{
    if (slice_eq(*to, text))
        return false;
    *to = arena_dup(&d->arena, text);
    return true;
}

static void make_sql(struct docs *d, struct db *db, struct doc_coll *c)
{
    struct arena arena, *a = &arena;
    struct buf names, marks, sets, same;
    arena_init(a, 1u << 20);
    buf_init(&names, 1u << 16);
    buf_init(&marks, 1u << 16);
    buf_init(&sets, 1u << 16);
    buf_init(&same, 1u << 16);
    add_columns(c, &names, &marks, &sets, &same);
    bool is_new =
        keep(d, &c->sql_fill,
             arena_printf(a, "UPDATE c_%.*s SET shown = ?%.*s WHERE id = ? AND version = ?",
                          SLICE_ARGS(c->name), SLICE_ARGS(buf_slice(&sets))));
    search_add_columns(c, db_is_sqlite(db), &names, &marks, &sets);
    struct slice get =
        arena_printf(a, "SELECT " ROW_COLUMNS " FROM c_%.*s WHERE id = ?", SLICE_ARGS(c->name));
    keep(d, &c->sql_get, get);
    keep(d, &c->sql_lock,
         db_is_sqlite(db) ? get : arena_printf(a, "%.*s FOR UPDATE", SLICE_ARGS(get)));
    keep(d, &c->sql_insert,
         arena_printf(a,
                      "INSERT INTO c_%.*s (" ROW_COLUMNS "%.*s)"
                      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?%.*s) ON CONFLICT DO NOTHING",
                      SLICE_ARGS(c->name), SLICE_ARGS(buf_slice(&names)),
                      SLICE_ARGS(buf_slice(&marks))));
    keep(d, &c->sql_update,
         arena_printf(a,
                      "UPDATE c_%.*s SET version = ?, owner = ?, created = ?, updated = ?,"
                      " author = ?, label = ?, deleted = ?, body = ?, shown = ?%.*s WHERE id = ?",
                      SLICE_ARGS(c->name), SLICE_ARGS(buf_slice(&sets))));
    keep(d, &c->sql_touch,
         arena_printf(a,
                      "UPDATE c_%.*s SET version = ?, updated = ?, author = ?, label = ?, body = ?,"
                      " shown = ?%s WHERE id = ? AND deleted IS NULL"
                      " AND owner IS NOT DISTINCT FROM ? AND created = ?%.*s",
                      SLICE_ARGS(c->name), search_sets(c, db_is_sqlite(db)),
                      SLICE_ARGS(buf_slice(&same))));
    buf_done(&names);
    buf_done(&marks);
    buf_done(&sets);
    buf_done(&same);
    arena_done(a);
    if (!c->sql || is_new)
        rows_make_sql(d, db, c);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static bool make_coll(struct making *m, struct doc_coll *c, struct db_conn *conn, struct err *e)
{
    bool has_rows;
    if (!table_make(conn, c->name, &m->arena, e) ||
        !table_has_rows(conn, c, &m->arena, &has_rows, e) || !make_rows(m, c, has_rows, conn, e) ||
        !indexes_forget(conn, c, &m->arena, e))
        return false;
    for (size_t i = 0; i < c->n_indexes; i++) {
        if (!make_index(m, c, &c->indexes[i], has_rows, conn, e))
            return false;
    }
    return search_make(c, conn, db_is_sqlite(m->db), &m->arena, e);
}

/* Two servers on one Postgres: one makes them, the other finds them made. A lock on a table, since
 * waiting for one takes no snapshot. */
static bool wait_for_turn(struct making *m, struct db_conn *conn, struct err *e)
{
    return db_is_sqlite(m->db) ||
           run_text(conn, SLICE("LOCK TABLE dais_fields IN EXCLUSIVE MODE"), e);
}

static bool run_making(void *arg, struct db_conn *conn, struct err *e)
{
    struct making *m = arg;
    arena_init(&m->arena, 16u << 20);
    bool fine = wait_for_turn(m, conn, e);
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
