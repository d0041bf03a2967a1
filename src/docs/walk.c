/* A walk through the rows of a plan: SQLite gives them one by one, Postgres in chunks, each
 * statement beginning behind the last row of the one before. */
#include "docs/list_impl.h"

#define CHUNK       128 /* rows of a statement where the database sends all of them at once */
#define FIRST_CHUNK 8   /* nobody knows yet how large they are */
#define CHUNK_BYTES (4u << 20) /* of what they should have together */
#define WALK_MS     2000 /* SQLite ends a read on a lane by itself; Postgres each statement only */

enum { COLUMN_ID, COLUMN_BODY, COLUMN_SHOWN, COLUMN_TERMS };

void walk_init(struct walk *w, const struct plan *p, const struct order *o,
               const struct place *from, bool is_parsed, uint32_t wanted)
{
    bool lite = db_is_sqlite(docs_db(p->r->docs));
    bool has_rest = p->rest->kind != QUERY_TRUE;
    *w = (struct walk){.plan = p, .order = *o, .is_parsed = is_parsed || has_rest};
    w->is_plain = !w->is_parsed;
    w->wanted = w->chunk = has_rest ? DOC_SCAN_MAX + 1 : wanted;
    w->is_chunked = !lite;
    if (!lite && w->chunk > FIRST_CHUNK)
        w->chunk = FIRST_CHUNK;
    w->until_ms = p->r->is_on_loop ? INT64_MAX : clock_mono_ms() + WALK_MS;
    w->has_place = from != NULL;
    if (from)
        w->place = *from;
    arena_init(&w->docs, DOC_ARENA);
    for (int i = 0; i < 2; i++)
        arena_init(&w->places[i], 1u << 20);
}

void walk_done(struct walk *w)
{
    if (w->stmt)
        db_reset(w->stmt);
    w->stmt = NULL;
    arena_done(&w->docs);
    for (int i = 0; i < 2; i++)
        arena_done(&w->places[i]);
}

/* ---- the statement --------------------------------------------------------------------------- */

static void add_columns(const struct walk *w, struct buf *sql)
{
    buf_add_str(sql,
                w->plan->coll->conf->hidden.n ? "SELECT id, body, shown" : "SELECT id, body, NULL");
    for (size_t i = 0; i < w->order.n; i++) {
        buf_add_str(sql, ", ");
        buf_add_str(sql, order_sql(w->order.terms[i].field));
    }
}

static bool start(struct walk *w, struct err *e)
{
    const struct plan *p = w->plan;
    struct condition after;
    struct arena a;
    struct buf sql;
    arena_init(&a, 1u << 20);
    condition_init(&after, &a);
    if (w->has_place)
        order_after(&w->order, &p->where.facts, &w->place, &after);
    buf_init(&sql, 2 * CONDITION_SIZE);
    add_columns(w, &sql);
    buf_add_str(&sql, " FROM c_");
    buf_add(&sql, p->coll->name);
    buf_add_str(&sql, p->is_trash ? " WHERE deleted IS NOT NULL" : " WHERE deleted IS NULL");
    buf_add(&sql, buf_slice(p->where.text));
    buf_add(&sql, buf_slice(after.text));
    order_by(&w->order, &p->where.facts, &sql);
    buf_add_str(&sql, " LIMIT ?");
    w->stmt = db_prepare_text(p->r->conn, buf_slice(&sql), e);
    if (w->stmt) {
        int at = condition_bind_all(&after, w->stmt, condition_bind_all(&p->where, w->stmt, 1));
        db_bind_i64(w->stmt, at, w->chunk);
        w->left = w->chunk;
    }
    buf_done(&sql);
    arena_done(&a);
    return w->stmt != NULL;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static bool parse(struct walk *w, struct err *e)
{
    struct json_doc doc;
    arena_reset(&w->docs);
    if (!json_parse(&doc, &w->docs, db_text(w->stmt, COLUMN_BODY), &doc_stored_limits, e))
        return err_set(e, ERR_IO, "A stored document is damaged; `dais verify` says which.");
    w->doc = json_root(&doc);
    return true;
}

/* As many rows as are some megabytes, going by those of the chunk before. */
static void choose_chunk(struct walk *w)
{
    uint32_t n = w->chunk > CHUNK / 4 ? CHUNK : 4 * w->chunk;
    if (!w->is_chunked)
        return;
    if (w->bytes > CHUNK_BYTES)
        n = (uint32_t)((uint64_t)w->chunk * CHUNK_BYTES / w->bytes);
    if (w->wanted > w->n_looked_at && w->wanted - w->n_looked_at < n)
        n = (uint32_t)(w->wanted - w->n_looked_at);
    w->chunk = n > 0 ? n : 1;
    w->bytes = 0;
}

/* The chunk's last row: the next chunk begins behind it. The place before is still bound. */
static void keep_place(struct walk *w)
{
    w->turn ^= 1;
    arena_reset(&w->places[w->turn]);
    walk_place(w, &w->places[w->turn], &w->place);
    w->has_place = true;
}

static enum db_step fail(const struct plan *p, struct err *e)
{
    if (e->code == ERR_OVER_BUDGET && !p->r->is_on_loop)
        plan_too_long(p, e); /* it read for longer than a lane may */
    return DB_FAILED;
}

/* Between two statements: the next one would begin behind `place`. */
static enum db_step be_late(struct walk *w, struct err *e)
{
    w->is_paused = w->pause_at > 0;
    if (w->is_paused)
        return DB_END;
    plan_too_long(w->plan, e);
    return DB_FAILED;
}

static enum db_step step(struct walk *w, struct err *e)
{
    for (;;) {
        if (!w->stmt && w->n_looked_at && clock_mono_ms() > w->until_ms)
            return be_late(w, e);
        if (!w->stmt && !start(w, e))
            return DB_FAILED;
        enum db_step step = db_step(w->stmt, e);
        if (step == DB_ROW) {
            w->left--;
            w->n_looked_at++;
            if (w->is_chunked)
                w->bytes += db_text(w->stmt, COLUMN_BODY).len;
            if (w->left == 0)
                keep_place(w);
            return DB_ROW;
        }
        db_reset(w->stmt);
        w->stmt = NULL;
        if (step == DB_FAILED)
            return fail(w->plan, e);
        if (w->left > 0)
            return DB_END;
        choose_chunk(w);
    }
}

enum db_step walk_next(struct walk *w, struct err *e)
{
    static const struct query_context nothing;
    for (;;) {
        enum db_step s = step(w, e);
        if (s != DB_ROW || w->is_plain)
            return s;
        if (w->n_looked_at > DOC_SCAN_MAX) {
            plan_too_long(w->plan, e);
            return DB_FAILED;
        }
        if (!parse(w, e))
            return DB_FAILED;
        if (query_matches(w->plan->rest, w->doc, &nothing))
            return DB_ROW;
        if (w->pause_at && w->n_looked_at >= w->pause_at) {
            keep_place(w);
            w->is_paused = true;
            return DB_END;
        }
    }
}

struct slice walk_id(const struct walk *w)
{
    return db_text(w->stmt, COLUMN_ID);
}

bool walk_text(struct walk *w, struct slice *ret, struct err *e)
{
    if (w->is_plain)
        arena_reset(&w->docs);
    const struct doc_coll *coll = w->plan->coll;
    struct slice shown = coll->conf->hidden.n ? db_text(w->stmt, COLUMN_SHOWN) : SLICE("");
    return doc_text_public(coll, db_text(w->stmt, COLUMN_BODY), shown, &w->docs, ret, e);
}

void walk_place(const struct walk *w, struct arena *a, struct place *ret)
{
    char number[8];
    for (size_t i = 0; i < w->order.n; i++)
        ret->keys[i] = arena_dup(
            a, order_column(w->order.terms[i].field, w->stmt, COLUMN_TERMS + (int)i, number));
    ret->id = arena_dup(a, walk_id(w));
}

/* ---- counting -------------------------------------------------------------------------------- */

static bool count_in_sql(const struct plan *p, uint64_t *ret, struct err *e)
{
    struct buf sql;
    buf_init(&sql, 2 * CONDITION_SIZE);
    buf_printf(&sql, "SELECT count(*) FROM c_%.*s WHERE deleted IS %sNULL",
               SLICE_ARGS(p->coll->name), p->is_trash ? "NOT " : "");
    buf_add(&sql, buf_slice(p->where.text));
    struct db_stmt *s = db_prepare_text(p->r->conn, buf_slice(&sql), e);
    buf_done(&sql);
    if (!s)
        return false;
    condition_bind_all(&p->where, s, 1);
    enum db_step step = db_step(s, e);
    if (step == DB_ROW)
        *ret = (uint64_t)db_i64(s, 0);
    db_reset(s);
    if (step == DB_FAILED)
        fail(p, e);
    return step == DB_ROW;
}

bool plan_count(const struct plan *p, uint64_t *ret, struct err *e)
{
    struct order by_id;
    struct walk w;
    enum db_step step;
    if (p->rest->kind == QUERY_TRUE)
        return count_in_sql(p, ret, e);
    order_by_id(&by_id);
    walk_init(&w, p, &by_id, NULL, true, DOC_SCAN_MAX + 1);
    for (*ret = 0; (step = walk_next(&w, e)) == DB_ROW;)
        ++*ret;
    walk_done(&w);
    return step == DB_END;
}
