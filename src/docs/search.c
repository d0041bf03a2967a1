/* Searching: what was typed, asked of the database's index, and what it finds, the best first.
 *
 * The database ranks, on the numbers of the whole collection as they are now, so there is no place
 * between two hits that stays one: a page is the hits from a position on, up to SEARCH_HITS. Who
 * asks for a sort gets the list that it is, with those that are found. */
#include "base/words_query.h"
#include "docs/search_impl.h"

#include <stdio.h>

static const char *const weights[] = {"10.0", "4.0", "2.0", "1.0"}; /* as Postgres' A, B, C, D */

/* ---- what is asked --------------------------------------------------------------------------- */

static bool is_served(const struct docs_reading *r, const struct doc_coll *c, struct err *e)
{
    struct search_state state;
    if (!search_state_read(r->conn, c, r->arena, &state, e))
        return false;
    if (search_state_serves(&state, c->search))
        return true;
    search_is_wanted(c->docs, c->search);
    return err_set(e, ERR_UNAVAILABLE,
                   "The search index of %.*s is being built; search again in a while.",
                   SLICE_ARGS(c->name));
}

static struct slice match_of(const struct words_query *q, bool is_sqlite, struct arena *a)
{
    struct buf b;
    buf_init(&b, 1u << 16);
    (is_sqlite ? words_query_fts5 : words_query_tsquery)(q, &b);
    must(!b.full);
    struct slice text = arena_dup(a, buf_slice(&b));
    buf_done(&b);
    return text;
}

bool search_read(struct search_asked *to, const struct docs_reading *r, const struct doc_coll *c,
                 const struct docs_query *q, struct err *e)
{
    struct words_query words;
    if (!c->search)
        return err_set(e, ERR_MALFORMED,
                       "search: %.*s cannot be searched; in dais.yaml `search` of the collection"
                       " lists the fields for it.",
                       SLICE_ARGS(c->name));
    if (q->is_trash)
        return err_set(e, ERR_MALFORMED, "search: what is in the trash is not found; list it.");
    if (!words_query_parse(r->arena, q->search, &words, e) || !is_served(r, c, e))
        return false;
    to->match = match_of(&words, db_is_sqlite(docs_db(r->docs)), r->arena);
    return true;
}

void search_condition(const struct search_asked *s, struct plan *p)
{
    struct slice name = p->coll->name;
    if (db_is_sqlite(docs_db(p->r->docs)))
        buf_printf(p->where.text, " AND n IN (SELECT rowid FROM f_%.*s WHERE f_%.*s MATCH ?)",
                   SLICE_ARGS(name), SLICE_ARGS(name));
    else
        buf_add_str(p->where.text, " AND words @@ ?::tsquery");
    condition_bind(&p->where, (struct bound){.kind = BOUND_TEXT, .bytes = s->match});
    p->where.facts.has_others = true;
}

/* ---- by rank --------------------------------------------------------------------------------- */

/* What nothing more is asked of is ranked without looking at the documents: those in the index are
 * there. */
static void add_sqlite(const struct search_walk *w, struct buf *sql)
{
    const struct plan *p = w->plan;
    struct slice name = p->coll->name;
    bool is_bare = !p->where.text->len;
    buf_printf(sql,
               is_bare ? "SELECT (SELECT id FROM c_%.*s WHERE n = f_%.*s.rowid) FROM "
                       : "SELECT id FROM ",
               SLICE_ARGS(name), SLICE_ARGS(name));
    buf_printf(sql, "f_%.*s", SLICE_ARGS(name));
    if (!is_bare)
        buf_printf(sql, " CROSS JOIN c_%.*s ON n = f_%.*s.rowid", SLICE_ARGS(name),
                   SLICE_ARGS(name));
    buf_printf(sql, " WHERE f_%.*s MATCH ?", SLICE_ARGS(name));
    if (!is_bare)
        buf_add_str(sql, " AND deleted IS NULL");
    buf_add(sql, buf_slice(p->where.text));
    buf_printf(sql, " ORDER BY bm25(f_%.*s", SLICE_ARGS(name));
    for (size_t i = 0; i < p->coll->search->n; i++)
        buf_printf(sql, ", %s", weights[i < 4 ? i : 3]);
    buf_printf(sql, "), f_%.*s.rowid DESC LIMIT ? OFFSET ?", SLICE_ARGS(name));
}

static void add_postgres(const struct search_walk *w, struct buf *sql)
{
    const struct plan *p = w->plan;
    buf_printf(sql, "SELECT id FROM c_%.*s WHERE words @@ ?::tsquery AND deleted IS NULL",
               SLICE_ARGS(p->coll->name));
    buf_add(sql, buf_slice(p->where.text));
    buf_add_str(sql, " ORDER BY ts_rank(words, ?::tsquery) DESC, id DESC LIMIT ? OFFSET ?");
}

static bool start(struct search_walk *w, struct err *e)
{
    const struct plan *p = w->plan;
    bool is_sqlite = db_is_sqlite(docs_db(p->r->docs)), has_rest = p->rest->kind != QUERY_TRUE;
    uint32_t offset = has_rest ? 0 : w->skip;
    struct buf sql;
    buf_init(&sql, 2 * CONDITION_SIZE);
    (is_sqlite ? add_sqlite : add_postgres)(w, &sql);
    w->stmt = db_prepare_text(p->r->conn, buf_slice(&sql), e);
    buf_done(&sql);
    if (!w->stmt)
        return false;
    db_bind_text(w->stmt, 1, w->asked->match);
    int at = condition_bind_all(&p->where, w->stmt, 2);
    if (!is_sqlite)
        db_bind_text(w->stmt, at++, w->asked->match);
    db_bind_i64(w->stmt, at++, has_rest ? DOC_SCAN_MAX + 1 : SEARCH_HITS - offset);
    db_bind_i64(w->stmt, at, offset);
    if (!has_rest) {
        w->position = w->skip;
        w->skip = 0;
    }
    return true;
}

void search_walk_init(struct search_walk *w, const struct plan *p, const struct search_asked *s,
                      uint32_t from)
{
    *w = (struct search_walk){.plan = p, .asked = s, .skip = from};
    arena_init(&w->docs, DOC_ARENA);
}

void search_walk_done(struct search_walk *w)
{
    if (w->stmt)
        db_reset(w->stmt);
    w->stmt = NULL;
    arena_done(&w->docs);
}

/* ---- a group of hits, with their documents --------------------------------------------------- */

static bool on_doc(void *user, struct slice id, struct slice shown, struct slice body,
                   struct err *e)
{
    struct search_walk *w = user;
    bool has_rest = w->plan->rest->kind != QUERY_TRUE;
    (void)e;
    for (size_t i = 0; i < w->n; i++) {
        if (w->texts[i].len || !slice_eq(w->ids[i], id))
            continue;
        w->texts[i] = arena_dup(&w->docs, shown);
        if (has_rest)
            w->bodies[i] = arena_dup(&w->docs, body);
    }
    return true;
}

static bool too_much(const struct plan *p, struct err *e)
{
    return err_set(e, ERR_OVER_BUDGET,
                   "This search finds more than can be looked through in %.*s: add a word, or a"
                   " filter on a field that has an index.",
                   SLICE_ARGS(p->coll->name));
}

static enum db_step read_group(struct search_walk *w, struct err *e)
{
    enum { GROUP = sizeof w->ids / sizeof *w->ids };
    const struct by_id by = {.coll = w->plan->coll, .fn = on_doc, .user = w};
    enum db_step step = DB_END;
    w->n = w->at = 0;
    arena_reset(&w->docs);
    while (!w->is_at_end && w->n < GROUP && (step = db_step(w->stmt, e)) == DB_ROW) {
        w->texts[w->n] = (struct slice){0};
        w->ids[w->n++] = arena_dup(&w->docs, db_text(w->stmt, 0));
    }
    if (step == DB_FAILED) {
        if (e->code == ERR_OVER_BUDGET)
            too_much(w->plan, e);
        return DB_FAILED;
    }
    w->is_at_end = w->n < GROUP; /* another step would begin anew */
    w->n_looked_at += w->n;
    if (w->n_looked_at > DOC_SCAN_MAX) {
        too_much(w->plan, e);
        return DB_FAILED;
    }
    if (!w->n)
        return DB_END;
    return docs_by_id(w->plan->r->conn, &by, w->ids, w->n, e) ? DB_ROW : DB_FAILED;
}

static bool holds(struct search_walk *w, size_t i, bool *ret, struct err *e)
{
    static const struct query_context nothing;
    const struct query *rest = w->plan->rest;
    const struct doc_row row = {.body = w->bodies[i]};
    *ret = w->texts[i].len > 0;
    if (!*ret || rest->kind == QUERY_TRUE)
        return true;
    struct arena_mark mark = arena_mark(&w->docs);
    const struct json *doc = doc_row_json(&row, &w->docs, e);
    if (doc)
        *ret = query_matches(rest, doc, &nothing);
    arena_rewind(&w->docs, mark);
    return doc != NULL;
}

enum db_step search_walk_next(struct search_walk *w, struct err *e)
{
    if (!w->stmt && !start(w, e))
        return DB_FAILED;
    while (w->position < SEARCH_HITS) {
        bool is_hit;
        enum db_step step = w->at < w->n ? DB_ROW : read_group(w, e);
        if (step != DB_ROW)
            return step;
        w->text = w->texts[w->at];
        if (!holds(w, w->at++, &is_hit, e))
            return DB_FAILED;
        if (!is_hit)
            continue;
        w->position++;
        if (!w->skip)
            return DB_ROW;
        w->skip--;
    }
    return DB_END;
}

/* ---- places ---------------------------------------------------------------------------------- */

#define PLACE "position_"

struct slice search_place(uint32_t position, struct arena *a)
{
    return arena_printf(a, PLACE "%08u", position);
}

uint32_t search_position(struct slice place)
{
    uint64_t n = 0;
    if (!slice_starts(place, SLICE(PLACE)) ||
        !slice_to_u64(slice_skip(place, sizeof PLACE - 1), &n))
        return 0;
    return n < SEARCH_HITS ? (uint32_t)n : SEARCH_HITS;
}
