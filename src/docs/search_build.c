/* Making the index of words: with the tables when nothing is there yet, and a few documents at a
 * time, through the writer, when there are documents already. */
#include "base/words.h"
#include "docs/search_impl.h"
#include "docs/tables_impl.h"

#include <stdio.h>
#include <string.h>

#define STEP_ROWS  100
#define STEP_BYTES (256u << 10) /* of documents: a step is part of other requests' commit */
#define STEP_ARENA (256u << 20)

/* ---- what there is to be --------------------------------------------------------------------- */

/* Every commit leaves a small part of the index behind; merging them less often makes changes a
 * third cheaper, and searches look into at most 16 of each size. */
static bool configure(struct slice name, const char *what, int value, struct db_conn *conn,
                      struct arena *a, struct err *e)
{
    return run_text(conn,
                    arena_printf(a, "INSERT INTO f_%.*s (f_%.*s, rank) VALUES ('%s', %d)",
                                 SLICE_ARGS(name), SLICE_ARGS(name), what, value),
                    e);
}

static bool make_sqlite(const struct search *s, struct db_conn *conn, struct arena *a,
                        struct err *e)
{
    struct buf columns;
    struct slice name = s->coll->name;
    buf_init(&columns, 1024);
    for (size_t i = 0; i < s->n; i++)
        buf_printf(&columns, "w%zu, ", i + 1);
    struct slice sql =
        arena_printf(a, "CREATE VIRTUAL TABLE f_%.*s USING fts5(%.*scontent='', tokenize='ascii')",
                     SLICE_ARGS(name), SLICE_ARGS(buf_slice(&columns)));
    buf_done(&columns);
    return run_text(conn, arena_printf(a, "DROP TABLE IF EXISTS f_%.*s", SLICE_ARGS(name)), e) &&
           run_text(conn, sql, e) && configure(name, "automerge", 16, conn, a, e) &&
           configure(name, "pgsz", 16000, conn, a, e);
}

/* The columns stay when `search` goes: somebody may be writing to them yet. */
static bool make_postgres(const struct search *s, struct db_conn *conn, struct arena *a,
                          struct err *e)
{
    struct slice name = s->coll->name;
    return run_text(conn,
                    arena_printf(a,
                                 "ALTER TABLE c_%.*s ADD COLUMN IF NOT EXISTS words tsvector,"
                                 " ADD COLUMN IF NOT EXISTS words_at BIGINT",
                                 SLICE_ARGS(name)),
                    e) &&
           run_text(conn,
                    arena_printf(a,
                                 "CREATE INDEX IF NOT EXISTS i_%.*s_words ON c_%.*s"
                                 " USING gin (words) WHERE words IS NOT NULL",
                                 SLICE_ARGS(name), SLICE_ARGS(name)),
                    e);
}

static bool make_new(struct doc_coll *c, struct search_state *state, struct db_conn *conn,
                     bool is_sqlite, struct arena *a, struct err *e)
{
    bool is_used = false;
    if (!(is_sqlite ? make_sqlite : make_postgres)(c->search, conn, a, e) ||
        !table_has_rows(conn, c, a, &is_used, e))
        return false;
    *state = (struct search_state){.is = is_used ? SEARCH_BUILDING : SEARCH_READY,
                                   .version = WORDS_VERSION,
                                   .number = state->number % (SEARCH_NUMBERS - 1) + 1,
                                   .spec = c->search->spec};
    return search_state_write(conn, c, state, e);
}

/* Its number stays known, so that words of now are not taken for those of a later index. */
static bool unmake(struct doc_coll *c, struct search_state *state, struct db_conn *conn,
                   bool is_sqlite, struct arena *a, struct err *e)
{
    if (state->is == SEARCH_NONE)
        return true;
    state->is = SEARCH_NONE;
    state->spec = SLICE("");
    struct slice name = c->name;
    struct slice text =
        is_sqlite ? arena_printf(a, "DROP TABLE IF EXISTS f_%.*s", SLICE_ARGS(name))
                  : arena_printf(a, "DROP INDEX IF EXISTS i_%.*s_words", SLICE_ARGS(name));
    return run_text(conn, text, e) && search_state_write(conn, c, state, e);
}

static bool is_as_wanted(const struct search_state *state, const struct search *s)
{
    return state->is != SEARCH_NONE && state->is != SEARCH_STALE &&
           state->version == WORDS_VERSION && slice_eq(state->spec, s->spec);
}

bool search_make(struct doc_coll *c, struct db_conn *conn, bool is_sqlite, struct arena *a,
                 struct err *e)
{
    struct search_state state;
    if (!search_state_read(conn, c, a, &state, e))
        return false;
    if (!c->search)
        return unmake(c, &state, conn, is_sqlite, a, e);
    if (!is_as_wanted(&state, c->search) && !make_new(c, &state, conn, is_sqlite, a, e))
        return false;
    atomic_store(&c->search->number, state.number);
    atomic_store(&c->search->is_due, state.is != SEARCH_READY);
    return true;
}

/* ---- a step ---------------------------------------------------------------------------------- */

struct building {
    struct docs *docs;
    struct doc_coll *coll;
    struct arena arena;
    bool is_at_end; /* of the collection */
    size_t n;       /* documents written */
    char position[DOC_ID_MAX + 1];
};

static const struct json *parse(const struct db_stmt *rows, int column, struct arena *a,
                                struct err *e)
{
    const struct doc_row row = {.body = arena_dup(a, db_text(rows, column))};
    return doc_row_json(&row, a, e);
}

static bool add_sqlite(const struct search *s, struct db_conn *c, int64_t n, const struct json *doc,
                       struct arena *a, struct err *e)
{
    struct slice words[SEARCH_FIELDS];
    for (size_t i = 0; i < s->n; i++) {
        if (!search_words(s, i, doc, a, &words[i], e))
            return false;
    }
    struct db_stmt *stmt = db_prepare_text(c, s->sql_add, e);
    if (!stmt)
        return false;
    db_bind_i64(stmt, 1, n);
    for (size_t i = 0; i < s->n; i++)
        db_bind_text(stmt, 2 + (int)i, words[i]);
    return db_run(stmt, NULL, e);
}

/* Runs a statement's rows through fn, some of them. */
struct rows {
    struct building *b;
    struct db_conn *conn;
    struct db_stmt *stmt;
    size_t n, bytes;
    bool (*fn)(struct rows *r, const struct search *s, struct err *e);
};

static bool each_row(struct rows *r, const struct search *s, struct err *e)
{
    enum db_step step = DB_END;
    bool fine = true;
    while (fine && r->bytes < STEP_BYTES && (step = db_step(r->stmt, e)) == DB_ROW) {
        fine = r->fn(r, s, e);
        r->n++;
    }
    r->b->is_at_end = step == DB_END && r->n < STEP_ROWS;
    db_reset(r->stmt);
    return fine && step != DB_FAILED;
}

/* ---- a step of SQLite ------------------------------------------------------------------------ */

static bool add_row(struct rows *r, const struct search *s, struct err *e)
{
    struct building *b = r->b;
    struct arena_mark mark = arena_mark(&b->arena);
    int64_t n = db_i64(r->stmt, 0);
    r->bytes += db_text(r->stmt, 1).len;
    const struct json *doc = parse(r->stmt, 1, &b->arena, e);
    bool fine = doc && add_sqlite(s, r->conn, n, doc, &b->arena, e);
    arena_rewind(&b->arena, mark);
    snprintf(b->position, sizeof b->position, "%lld", (long long)n);
    b->n++;
    return fine;
}

/* Where it is stays in the database, with the state: writers go by it. */
static bool build_sqlite(struct building *b, struct search_state *state, struct db_conn *conn,
                         struct err *e)
{
    const struct doc_coll *c = b->coll;
    uint64_t position = 0;
    struct rows r = {.b = b, .conn = conn, .fn = add_row};
    slice_to_u64(state->position, &position);
    r.stmt = db_prepare_text(conn,
                             arena_printf(&b->arena,
                                          "SELECT n, body FROM c_%.*s WHERE n > ? AND deleted IS"
                                          " NULL ORDER BY n LIMIT %d",
                                          SLICE_ARGS(c->name), STEP_ROWS),
                             e);
    if (!r.stmt)
        return false;
    db_bind_i64(r.stmt, 1, (int64_t)position);
    if (!each_row(&r, c->search, e))
        return false;
    state->is = b->is_at_end ? SEARCH_READY : SEARCH_BUILDING;
    if (r.n)
        state->position = slice_from(b->position);
    return search_state_write(conn, c, state, e);
}

/* ---- a step of Postgres ---------------------------------------------------------------------- */

/* Who changed it meanwhile wrote its words, too. */
static bool fill_row(struct rows *r, const struct search *s, struct err *e)
{
    struct building *b = r->b;
    struct arena_mark mark = arena_mark(&b->arena);
    struct slice id = arena_dup(&b->arena, db_text(r->stmt, 0));
    int64_t version = db_i64(r->stmt, 1), changed = 0;
    r->bytes += db_text(r->stmt, 2).len;
    const struct json *doc = parse(r->stmt, 2, &b->arena, e);
    struct slice sql =
        arena_printf(&b->arena,
                     "UPDATE c_%.*s SET words = ?::tsvector, words_at = ? WHERE id = ? AND"
                     " version = ?",
                     SLICE_ARGS(s->coll->name));
    struct db_stmt *stmt = doc ? db_prepare_text(r->conn, sql, e) : NULL;
    bool fine = stmt != NULL;
    if (stmt) {
        int at = search_bind(s->coll, stmt, 1, search_vector(s, doc, &b->arena), version);
        db_bind_text(stmt, at, id);
        db_bind_i64(stmt, at + 1, version);
        fine = db_run(stmt, &changed, e);
    }
    snprintf(b->position, sizeof b->position, "%.*s", SLICE_ARGS(id));
    b->n += changed > 0;
    arena_rewind(&b->arena, mark);
    return fine;
}

/* By id, and those only whose words are not of this index and their version. Writers that knew
 * nothing of this index may have added some behind us: the next time the database is opened it is
 * gone through again, while it answers. */
static bool build_postgres(struct building *b, struct search_state *state, struct db_conn *conn,
                           struct err *e)
{
    const struct doc_coll *c = b->coll;
    struct rows r = {.b = b, .conn = conn, .fn = fill_row};
    struct slice sql = arena_printf(
        &b->arena,
        "SELECT id, version, body FROM c_%.*s WHERE id > ? AND deleted IS NULL AND words_at IS"
        " DISTINCT FROM version * %d + %u ORDER BY id LIMIT %d",
        SLICE_ARGS(c->name), SEARCH_NUMBERS, state->number, STEP_ROWS);
    r.stmt = db_prepare_text(conn, sql, e);
    if (!r.stmt)
        return false;
    db_bind_text(r.stmt, 1, slice_from(b->position));
    if (!each_row(&r, c->search, e))
        return false;
    if (!b->is_at_end)
        return true;
    state->is = state->is == SEARCH_BUILDING ? SEARCH_CHECKING : SEARCH_READY;
    return search_state_write(conn, c, state, e);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static bool build(struct building *b, struct db_conn *conn, struct err *e)
{
    struct doc_coll *c = b->coll;
    bool is_sqlite = db_is_sqlite(docs_db(b->docs));
    struct search_state state;
    if (!search_state_read(conn, c, &b->arena, &state, e))
        return false;
    if (state.is == SEARCH_STALE && (!search_make(c, conn, is_sqlite, &b->arena, e) ||
                                     !search_state_read(conn, c, &b->arena, &state, e)))
        return false;
    bool is_ours = is_as_wanted(&state, c->search) && state.is != SEARCH_READY;
    b->is_at_end = true;
    return !is_ours || (is_sqlite ? build_sqlite : build_postgres)(b, &state, conn, e);
}

static bool run_building(void *arg, struct db_conn *conn, struct err *e)
{
    struct building *b = arg;
    snprintf(b->position, sizeof b->position, "%s", b->coll->search->position);
    arena_init(&b->arena, STEP_ARENA);
    bool fine = build(b, conn, e);
    arena_done(&b->arena);
    return fine;
}

/* One thread at a time: who tends the tables. */
bool search_build(struct docs *d, struct doc_coll *c, bool *ret_some, struct err *e)
{
    struct building b = {.docs = d, .coll = c};
    *ret_some = c->search && atomic_load(&c->search->is_due);
    if (!*ret_some)
        return true;
    if (!db_write_now(docs_db(d), run_building, &b, e))
        return false;
    snprintf(c->search->position, sizeof c->search->position, "%s", b.is_at_end ? "" : b.position);
    if (b.is_at_end)
        atomic_store(&c->search->is_due, false);
    return true;
}

void search_is_wanted(struct docs *d, struct search *s)
{
    atomic_store(&s->is_due, true);
    atomic_store(&d->tend_ms, clock_mono_ms());
}
