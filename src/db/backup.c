/* What backups need of a database: what tables there are, and all rows of one. */
#include "db/db_impl.h"

#include "base/sha256.h"
#include "db/postgres_impl.h"

#include <stdio.h>
#include <stdlib.h>

void db_add_name(struct buf *to, struct slice name)
{
    pg_add_ident(to, name);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static const struct sql list_columns = {
    "SELECT t.name, c.name, upper(c.type) FROM pragma_table_list t, pragma_table_info(t.name) c"
    " WHERE t.schema = 'main' AND t.type = 'table' AND substr(t.name, 1, 7) <> 'sqlite_'"
    " AND t.name <> 'dais_migrations' ORDER BY t.name, c.cid",
    "SELECT t.table_name::text, c.column_name::text, upper(c.data_type::text)"
    " FROM information_schema.tables t JOIN information_schema.columns c"
    " ON c.table_schema = t.table_schema AND c.table_name = t.table_name"
    " WHERE t.table_schema = current_schema() AND t.table_type = 'BASE TABLE'"
    " AND t.table_name <> 'dais_migrations'"
    " ORDER BY t.table_name::text COLLATE \"C\", c.ordinal_position",
};
static const struct sql list_steps = {
    "SELECT name FROM dais_migrations WHERE version > 0 ORDER BY version", NULL};

static bool type_of(struct slice text, enum db_type *ret)
{
    static const struct {
        const char *name;
        enum db_type type;
    } types[] = {
        {"BIGINT", DB_NUMBER}, {"INTEGER", DB_NUMBER}, {"SMALLINT", DB_NUMBER},
        {"TEXT", DB_TEXT},     {"BLOB", DB_BYTES},     {"BYTEA", DB_BYTES},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (slice_is(text, types[i].name)) {
            *ret = types[i].type;
            return true;
        }
    }
    return false;
}

/* Columns of all tables follow each other in one array; a table begins where the name changes. */
struct listing {
    struct arena *arena;
    struct db_column *columns;
    struct db_table *tables;
    size_t n_columns, n_tables;
};

static void add_column(struct listing *l, const struct db_stmt *s)
{
    struct db_table *t = l->n_tables ? &l->tables[l->n_tables - 1] : NULL;
    struct db_column *c = &l->columns[l->n_columns];
    if (!type_of(db_text(s, 2), &c->type))
        return;
    if (!t || !slice_eq(t->name, db_text(s, 0))) {
        t = &l->tables[l->n_tables++];
        *t = (struct db_table){.name = arena_dup(l->arena, db_text(s, 0)), .columns = c};
    }
    c->name = arena_dup(l->arena, db_text(s, 1));
    l->n_columns++;
    t->n++;
}

/* `l` NULL: they are only counted. */
static bool each_column(struct db_conn *c, struct listing *l, size_t *ret_n, struct err *e)
{
    enum db_step step;
    struct db_stmt *s = db_prepare(c, &list_columns, e);
    if (!s)
        return false;
    for (size_t n = 0; (step = db_step(s, e)) == DB_ROW && (!l || n < *ret_n); n++) {
        if (l)
            add_column(l, s);
        else
            *ret_n = n + 1;
    }
    db_reset(s);
    return step != DB_FAILED;
}

bool db_tables(struct db_conn *c, struct arena *a, struct db_table **ret, size_t *ret_n,
               struct err *e)
{
    struct listing l = {.arena = a};
    size_t n = 0;
    if (!each_column(c, NULL, &n, e))
        return false;
    l.columns = arena_alloc(a, n * sizeof *l.columns);
    l.tables = arena_alloc(a, n * sizeof *l.tables);
    if (!each_column(c, &l, &n, e))
        return false;
    *ret = l.tables;
    *ret_n = l.n_tables;
    return true;
}

bool db_steps(struct db_conn *c, struct arena *a, struct slice **ret, size_t *ret_n, struct err *e)
{
    enum db_step step = DB_END;
    struct db_stmt *s = db_prepare(c, &list_steps, e);
    if (!s)
        return false;
    *ret = NULL;
    for (*ret_n = 0; (step = db_step(s, e)) == DB_ROW; ++*ret_n) {
        size_t bytes = *ret_n * sizeof **ret;
        *ret = arena_try_grow(a, *ret, bytes, bytes + sizeof **ret);
        must(*ret);
        (*ret)[*ret_n] = arena_dup(a, db_text(s, 0));
    }
    db_reset(s);
    return step == DB_END;
}

/* ---- rows ------------------------------------------------------------------------------------ */

#define TEXT_MAX    (1u << 20)
#define FETCH_FIRST 8
#define FETCH_MAX   50          /* rows of unknown size */
#define FETCH_BYTES (32u << 20) /* if the next rows are as long as the longest of the last ones */

/* SQLite gives a row at each step; Postgres has a cursor, which is asked for some at a time. */
struct db_rows {
    struct db_conn *conn;
    const struct db_table *table;
    struct db_stmt *stmt;
    char cursor[24]; /* "": there is none */
    bool has_failed;
    unsigned asked, got; /* of the rows in memory */
    size_t longest;
};

static bool fetch(struct db_rows *r, struct err *e)
{
    char text[80];
    snprintf(text, sizeof text, "FETCH %u FROM %s", r->asked, r->cursor);
    r->got = 0;
    r->longest = 0;
    r->stmt = db_prepare_text(r->conn, slice_from(text), e);
    return r->stmt != NULL;
}

static void close_cursor(struct db_rows *r)
{
    char text[80];
    snprintf(text, sizeof text, "CLOSE %s", r->cursor);
    struct db_stmt *s = db_prepare_text(r->conn, slice_from(text), NULL);
    if (s)
        db_run(s, NULL, NULL); /* the end of the transaction closes it, too */
}

static void add_select(const struct db_table *t, const char *where, struct buf *to)
{
    buf_add_str(to, "SELECT ");
    for (size_t i = 0; i < t->n; i++) {
        buf_add_str(to, i ? ", " : "");
        db_add_name(to, t->columns[i].name);
    }
    buf_add_str(to, " FROM ");
    db_add_name(to, t->name);
    if (where)
        buf_printf(to, " WHERE %s", where);
}

static bool rows_begin(struct db_rows *r, struct slice select, struct err *e)
{
    struct db_stmt *s = db_prepare_text(r->conn, select, e);
    if (s && !r->cursor[0])
        r->stmt = s;
    return s && (!r->cursor[0] || db_run(s, NULL, e));
}

struct db_rows *db_rows_open(struct db_conn *c, const struct db_table *t, const char *where,
                             struct err *e)
{
    static _Atomic unsigned number; /* each has its own statements: the columns differ */
    struct db_rows *r = mem_new(struct db_rows);
    struct buf text;
    *r = (struct db_rows){.conn = c, .table = t, .asked = FETCH_FIRST};
    buf_init(&text, TEXT_MAX);
    if (!db_is_sqlite(c->db)) {
        snprintf(r->cursor, sizeof r->cursor, "dais_%u", atomic_fetch_add(&number, 1));
        buf_printf(&text, "DECLARE %s NO SCROLL CURSOR FOR ", r->cursor);
    }
    add_select(t, where, &text);
    bool fine = rows_begin(r, buf_slice(&text), e);
    buf_done(&text);
    if (fine)
        return r;
    free(r);
    return NULL;
}

static void note_size(struct db_rows *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->table->n; i++) {
        if (r->table->columns[i].type != DB_NUMBER)
            n += db_blob(r->stmt, (int)i).len;
    }
    r->longest = n > r->longest ? n : r->longest;
    r->got++;
}

static unsigned next_fetch(const struct db_rows *r)
{
    size_t n = FETCH_BYTES / (r->longest + 1);
    return n < 1 ? 1 : n < FETCH_MAX ? (unsigned)n : FETCH_MAX;
}

static enum db_step fetch_next(struct db_rows *r, struct err *e)
{
    for (;;) {
        if (!r->stmt && !fetch(r, e))
            return DB_FAILED;
        enum db_step step = db_step(r->stmt, e);
        if (step == DB_ROW)
            note_size(r);
        if (step != DB_END || r->got < r->asked)
            return step;
        db_reset(r->stmt);
        r->stmt = NULL;
        r->asked = next_fetch(r);
    }
}

enum db_step db_rows_next(struct db_rows *r, struct err *e)
{
    enum db_step step = r->cursor[0] ? fetch_next(r, e) : db_step(r->stmt, e);
    r->has_failed |= step == DB_FAILED;
    return step;
}

const struct db_stmt *db_rows_at(const struct db_rows *r)
{
    return r->stmt;
}

void db_rows_close(struct db_rows *r)
{
    if (!r)
        return;
    if (r->stmt)
        db_reset(r->stmt);
    if (r->cursor[0] && !r->has_failed)
        close_cursor(r);
    free(r);
}

/* ---- taking another's place ------------------------------------------------------------------ */

#define SUFFIX     "_restored"
#define SCHEMA_MAX 63 /* bytes of a name in Postgres */

void db_beside(const struct db_options *place, struct arena *a, struct db_options *ret)
{
    struct slice scheme = SLICE("sqlite://"), schema = place->schema;
    *ret = *place;
    ret->loops = NULL;
    ret->is_reader = false;
    if (!place->url.len || slice_starts(place->url, scheme)) {
        struct slice path =
            place->url.len ? slice_skip(place->url, scheme.len) : slice_from(place->path);
        ret->url = SLICE("");
        ret->path = arena_printf(a, "%.*s.restored", SLICE_ARGS(path)).ptr;
        return;
    }
    if (!schema.len)
        schema = SLICE("public");
    if (schema.len + sizeof SUFFIX - 1 > SCHEMA_MAX) {
        struct sha256 sum;
        char hash[SHA256_HEX_LEN + 1];
        sha256_init(&sum);
        sha256_add(&sum, schema);
        sha256_end_hex(&sum, hash);
        schema = arena_dup(a, slice_first(slice_from(hash), 40));
    }
    ret->schema = arena_printf(a, "%.*s" SUFFIX, SLICE_ARGS(schema));
}

bool db_replace(const struct db_options *made, const struct db_options *place, struct err *e)
{
    struct db *from = db_named(made, e), *to = from ? db_named(place, e) : NULL;
    must(!to || from->driver == to->driver);
    bool fine = to && to->driver->replace(from, to, e);
    db_unnamed(from);
    db_unnamed(to);
    return fine;
}

bool db_drop(const struct db_options *made, struct err *e)
{
    struct db *db = db_named(made, e);
    bool fine = db && db->driver->drop(db, e);
    db_unnamed(db);
    return fine;
}
