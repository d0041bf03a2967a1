/* Indexes of a collection: their SQL, and building one while the app serves. */
#include "docs/tables_impl.h"

void index_where(const struct doc_index *index, bool is_sqlite, struct buf *to)
{
    for (size_t i = 0; index->is_unique && i < index->n_terms; i++)
        rows_unique_where(index->terms[i].field, is_sqlite, to);
}

static void add_terms(const struct doc_index *index, struct buf *to)
{
    if (index->is_by_owner)
        buf_add_str(to, "owner, ");
    for (size_t i = 0; i < index->n_terms; i++) {
        buf_printf(to, "%s%s", index->terms[i].field->column,
                   index->terms[i].is_descending ? " DESC" : "");
        buf_add_str(to, i + 1 < index->n_terms || !index->is_unique ? ", " : "");
    }
    /* The id goes the way of the last term, as it does in a list sorted by them. */
    if (!index->is_unique)
        buf_add_str(to, index->terms[index->n_terms - 1].is_descending ? "id DESC" : "id");
}

struct slice index_text(const struct doc_coll *c, const struct doc_index *index, int64_t number,
                        const char *how, bool is_sqlite, struct arena *a)
{
    struct buf terms, where;
    buf_init(&terms, 4096);
    buf_init(&where, 4096);
    add_terms(index, &terms);
    index_where(index, is_sqlite, &where);
    struct slice text =
        arena_printf(a, "CREATE %s i_%.*s_%lld ON c_%.*s (%.*s) WHERE deleted IS NULL%.*s", how,
                     SLICE_ARGS(c->name), (long long)number, SLICE_ARGS(c->name),
                     SLICE_ARGS(buf_slice(&terms)), SLICE_ARGS(buf_slice(&where)));
    buf_done(&terms);
    buf_done(&where);
    return text;
}

/* ---- building -------------------------------------------------------------------------------- */

struct building {
    const struct doc_coll *coll;
    const struct doc_index *index;
    int64_t number;
    enum state state;
};

static bool look(struct db_conn *conn, struct building *b, struct err *e)
{
    return index_find(conn, b->coll->name, b->index->spec, &b->number, &b->state, e);
}

static bool run_set(void *arg, struct db_conn *conn, struct err *e)
{
    const struct building *b = arg;
    return index_set(conn, b->coll->name, b->index->spec, b->state, e);
}

static bool set_state(struct docs *d, struct building *b, enum state state, struct err *e)
{
    b->state = state;
    return db_write_now(docs_db(d), run_set, b, e);
}

/* What an interrupted attempt left is no index that anybody could use. */
static bool create(struct docs *d, const struct building *b, bool is_unique, struct arena *a,
                   struct err *e)
{
    bool lite = db_is_sqlite(docs_db(d));
    struct slice name =
        arena_printf(a, "i_%.*s_%lld", SLICE_ARGS(b->coll->name), (long long)b->number);
    const char *const how[2][2] = {{"INDEX CONCURRENTLY", "INDEX"},
                                   {"UNIQUE INDEX CONCURRENTLY", "UNIQUE INDEX"}};
    const char *texts[3] = {
        arena_printf(a, "DROP INDEX IF EXISTS %.*s", SLICE_ARGS(name)).ptr,
        index_text(b->coll, b->index, b->number, how[is_unique][lite], lite, a).ptr,
    };
    return db_run_alone(docs_db(d), texts, e);
}

static void tell_violated(const struct building *b)
{
    log_line(LOG_WARN, "documents of before break a unique; `dais check --stored` names them",
             F_STR("collection", b->coll->name), F_STR("index", b->index->spec));
}

/* Unique when documents let it be; else what changes are compared with, one by one. */
static bool build(struct docs *d, struct building *b, struct arena *a, struct err *e)
{
    if (create(d, b, b->index->is_unique, a, e))
        return set_state(d, b, STATE_READY, e);
    if (!b->index->is_unique || e->code != ERR_EXISTS)
        return false;
    tell_violated(b);
    return create(d, b, false, a, e) && set_state(d, b, STATE_VIOLATED, e);
}

/* Are there still some with the same key? Reads the index that is there in its place. */
static bool find_double(struct docs *d, const struct building *b, struct db_conn *conn,
                        struct arena *a, bool *ret, struct err *e)
{
    struct buf terms, where;
    buf_init(&terms, 4096);
    buf_init(&where, 4096);
    for (size_t i = 0; i < b->index->n_terms; i++)
        buf_printf(&terms, "%s%s", i ? ", " : "", b->index->terms[i].field->column);
    for (size_t i = 0; i < b->index->n_terms; i++)
        buf_printf(&where, " AND %s IS NOT NULL", b->index->terms[i].field->column);
    index_where(b->index, db_is_sqlite(docs_db(d)), &where);
    struct slice text = arena_printf(
        a,
        "SELECT 1 FROM c_%.*s WHERE deleted IS NULL%.*s GROUP BY %.*s HAVING count(*) > 1 LIMIT 1",
        SLICE_ARGS(b->coll->name), SLICE_ARGS(buf_slice(&where)), SLICE_ARGS(buf_slice(&terms)));
    buf_done(&terms);
    buf_done(&where);
    struct db_stmt *s = db_prepare_text(conn, text, e);
    if (!s)
        return false;
    enum db_step step = db_step(s, e);
    *ret = step == DB_ROW;
    db_reset(s);
    return step != DB_FAILED;
}

bool index_build(struct docs *d, struct doc_coll *c, struct doc_index *index, struct err *e)
{
    struct building b = {.coll = c, .index = index};
    struct arena a;
    struct db_conn *conn = db_conn_take(docs_db(d), e);
    if (!conn)
        return false;
    bool is_double = false, fine = look(conn, &b, e); /* another server may have built it */
    arena_init(&a, 1u << 20);
    if (fine && b.state == STATE_VIOLATED)
        fine = find_double(d, &b, conn, &a, &is_double, e);
    db_conn_give(conn);
    if (fine && b.number && b.state != STATE_READY && !is_double)
        fine = build(d, &b, &a, e);
    arena_done(&a);
    if (!fine)
        return false;
    atomic_store(&index->wants_try, false);
    atomic_store(&index->is_violated, b.state == STATE_VIOLATED);
    atomic_store(&index->is_ready, b.state == STATE_READY);
    return true;
}
