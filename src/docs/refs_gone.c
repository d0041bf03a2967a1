/* A document goes: which others go with it, which hold it back, which lose their reference to it.
 *
 * First all that go are found (cascade), a level after the other; then who else refers to one of
 * them and wants it kept (restrict) refuses it all; then the others are cleared, and what goes,
 * goes. What a manifest says here happens whoever may change those documents: it is the app that
 * says so. */
#include "docs/search_impl.h"

#include <stdio.h>

#define GONE_MAX   1000 /* that go, and that are cleared */
#define LEVELS_MAX 8

struct gone {
    const struct doc_coll *coll;
    struct slice id;
    unsigned level;
};

struct going {
    struct docs_writing *w;
    struct doc_change *ch;
    struct db_conn *conn;
    const struct doc_row *row; /* of what all the others go with */
    bool is_final;
    struct gone *items; /* GONE_MAX of them */
    size_t n, n_cleared;
    struct map known, cleared; /* by refs_key */
    struct buf found;          /* ids, a line each */
};

static bool is_in(const struct map *m, const struct doc_coll *c, struct slice id)
{
    char key[256];
    int n = snprintf(key, sizeof key, "%.*s/%.*s", SLICE_ARGS(c->name), SLICE_ARGS(id));
    return map_find(m, (struct slice){key, (size_t)n < sizeof key ? (size_t)n : 0});
}

/* ---- who refers to a document ---------------------------------------------------------------- */

/* One more than can go and be cleared already, so that there is one that was not. */
#define FOUND_MAX (2 * GONE_MAX + 1)
static const struct sql find_refs = {
    "SELECT from_id FROM dais_refs WHERE to_name = ? AND to_id = ? AND from_name = ? AND field = ?"
    " ORDER BY from_id LIMIT ?",
    NULL};

static bool find_from(struct going *g, const struct gone *to, const struct doc_coll *from,
                      const struct doc_ref *ref, struct err *e)
{
    enum db_step step;
    struct db_stmt *s = db_prepare(g->conn, &find_refs, e);
    if (!s)
        return false;
    buf_clear(&g->found);
    db_bind_text(s, 1, to->coll->name);
    db_bind_text(s, 2, to->id);
    db_bind_text(s, 3, from->name);
    db_bind_text(s, 4, ref->field.path);
    db_bind_i64(s, 5, FOUND_MAX);
    while ((step = db_step(s, e)) == DB_ROW) {
        buf_add(&g->found, db_text(s, 0));
        buf_add_char(&g->found, '\n');
    }
    db_reset(s);
    return step != DB_FAILED;
}

typedef bool (*referrer_fn)(struct going *g, const struct gone *to, const struct doc_coll *from,
                            const struct doc_ref *ref, struct slice id, struct err *e);

static bool each_found(struct going *g, const struct gone *to, const struct doc_coll *from,
                       const struct doc_ref *ref, referrer_fn fn, struct err *e)
{
    struct slice rest = buf_slice(&g->found), id;
    while (slice_cut(&rest, '\n', &id)) {
        if (!is_in(&g->known, from, id) && !fn(g, to, from, ref, id, e))
            return false;
    }
    return true;
}

/* Calls fn for every document that does not go and refers to this one in a way of that kind. */
static bool each_from(struct going *g, const struct gone *to, int on_delete, referrer_fn fn,
                      struct err *e)
{
    const struct docs *d = g->w->docs;
    for (size_t i = 0; i < d->n_colls; i++) {
        const struct doc_coll *from = &d->colls[i];
        for (size_t k = 0; k < from->n_refs; k++) {
            const struct doc_ref *ref = &from->refs[k];
            if (ref->to == to->coll && (int)ref->on_delete == on_delete &&
                !(find_from(g, to, from, ref, e) && each_found(g, to, from, ref, fn, e)))
                return false;
        }
    }
    return true;
}

/* ---- who goes with it ------------------------------------------------------------------------ */

static void add(struct going *g, const struct doc_coll *c, struct slice id, unsigned level)
{
    struct arena *a = g->w->arena;
    struct gone *it = &g->items[g->n++];
    *it = (struct gone){.coll = c, .id = arena_dup(a, id), .level = level};
    map_put(&g->known, refs_key(c, id, a), it);
}

static bool take_along(struct going *g, const struct gone *to, const struct doc_coll *from,
                       const struct doc_ref *ref, struct slice id, struct err *e)
{
    (void)ref;
    if (g->n == GONE_MAX)
        return err_set(e, ERR_EXISTS, "More than %d documents would go with it: delete some first.",
                       GONE_MAX);
    if (to->level == LEVELS_MAX)
        return err_set(e, ERR_EXISTS,
                       "Documents that go with it refer to each other more than %d deep: delete"
                       " the last ones first.",
                       LEVELS_MAX);
    add(g, from, id, to->level + 1);
    return true;
}

/* ---- who holds it back ----------------------------------------------------------------------- */

static bool tell_held(struct going *g, const struct doc_coll *from, const struct doc_ref *ref,
                      const char *why, struct err *e)
{
    struct violations v = {.a = g->w->arena};
    struct slice message = arena_printf(v.a, "is referred to by %.*s of %.*s%s",
                                        SLICE_ARGS(ref->field.path), SLICE_ARGS(from->name), why);
    violations_add(&v, SLICE(""), "restrict", message.ptr);
    return violations_none(&v, ERR_EXISTS, g->ch, e);
}

static bool hold_back(struct going *g, const struct gone *to, const struct doc_coll *from,
                      const struct doc_ref *ref, struct slice id, struct err *e)
{
    (void)to, (void)id;
    return tell_held(g, from, ref, "", e);
}

/* ---- who loses a reference ------------------------------------------------------------------- */

static bool write_cleared(struct going *g, const struct doc_row *row, const struct doc_coll *from,
                          const struct doc_ref *ref, struct err *e)
{
    struct arena *a = g->w->arena;
    struct doc_draft *d = draft_new(from, a);
    struct doc_change unseen = {.coll = from};
    const struct json *before = doc_row_json(row, a, e);
    const struct json *was = before ? doc_own(before, a, e) : NULL;
    const struct json *own = was ? refs_without(from, was, &g->known, a, e) : NULL;
    if (!own)
        return false;
    if (from->conf->append_only)
        return tell_held(g, from, ref, ", whose documents are never changed", e);
    if (!draft_check(from, own, &unseen, a, NULL))
        return tell_held(g, from, ref, ", which would not be valid without it", e);
    d->meta = row->meta;
    d->meta.version++;
    d->meta.updated = g->ch->plan->now;
    d->author = subject_id(g->w->who);
    struct violations taken = {.a = a};
    if (!draft_write(d, own, a, e) || !rows_unique(g->conn, d, before, &taken, e))
        return false;
    if (taken.n)
        return tell_held(g, from, ref, ", where something unique would be there twice without it",
                         e);
    return rows_update(g->conn, d, row->meta.version, e) &&
           refs_store(g->w, g->conn, d, before, e) &&
           search_put(g->w, from, g->conn, d->meta.id, before, own, e) &&
           tell_draft(g->w, g->conn, CHANGE_UPDATED, d, e);
}

static bool clear(struct going *g, const struct gone *to, const struct doc_coll *from,
                  const struct doc_ref *ref, struct slice id, struct err *e)
{
    struct arena *a = g->w->arena;
    struct doc_row row;
    (void)to;
    if (is_in(&g->cleared, from, id)) /* of all its references to what goes, at once */
        return true;
    if (++g->n_cleared > GONE_MAX)
        return err_set(e, ERR_EXISTS,
                       "More than %d documents refer to it: take it out of some first.", GONE_MAX);
    map_put(&g->cleared, refs_key(from, id, a), g);
    doc_arena_grow(a, 0);
    struct arena_mark mark = arena_mark(a);
    enum db_step step = doc_row_find(g->conn, from, id, true, a, &row, e);
    if (step != DB_ROW || row.deleted.len)
        return step != DB_FAILED;
    bool fine = write_cleared(g, &row, from, ref, e);
    if (fine)
        arena_rewind(a, mark);
    return fine;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* Before it goes: its row is read for that. */
static bool tell_one(struct going *g, const struct gone *it, struct err *e)
{
    struct arena *a = g->w->arena;
    struct doc_row row;
    if (!tells(g->w))
        return true;
    doc_arena_grow(a, 0);
    struct arena_mark mark = arena_mark(a);
    enum db_step step =
        it->level ? doc_row_find(g->conn, it->coll, it->id, true, a, &row, e) : DB_ROW;
    bool fine = step == DB_END || (step == DB_ROW && tell_gone(g->w, g->conn, it->coll,
                                                               it->level ? &row : g->row, e));
    arena_rewind(a, mark);
    return fine;
}

static bool goes(struct going *g, const struct gone *it, struct err *e)
{
    const struct collection *conf = it->coll->conf;
    if (!tell_one(g, it, e) || !refs_forget(g->conn, it->coll, it->id, e) ||
        !search_take(g->w, it->coll, g->conn, it->id, e))
        return false;
    if (g->is_final || !conf->trash_ms)
        return rows_remove(g->conn, it->coll, it->id, e);
    return rows_trash(g->conn, it->coll, it->id, g->ch->plan->now, e);
}

static bool run(struct going *g, struct err *e)
{
    for (size_t i = 0; i < g->n; i++) { /* grows meanwhile */
        struct gone it = g->items[i];
        if (!each_from(g, &it, REF_CASCADE, take_along, e))
            return false;
    }
    for (size_t i = 0; i < g->n; i++) {
        if (!each_from(g, &g->items[i], REF_RESTRICT, hold_back, e))
            return false;
    }
    for (size_t i = 0; i < g->n; i++) {
        if (!each_from(g, &g->items[i], REF_CLEAR, clear, e))
            return false;
    }
    for (size_t i = g->n; i-- > 0;) {
        if (!goes(g, &g->items[i], e))
            return false;
    }
    return true;
}

static bool is_referred_to(const struct docs *d, const struct doc_coll *c)
{
    for (size_t i = 0; i < d->n_colls; i++) {
        for (size_t k = 0; k < d->colls[i].n_refs; k++) {
            if (d->colls[i].refs[k].to == c)
                return true;
        }
    }
    return false;
}

bool refs_gone(struct docs_writing *w, struct doc_change *ch, struct db_conn *c,
               const struct doc_row *row, bool is_final, struct err *e)
{
    struct going g = {.w = w, .ch = ch, .conn = c, .row = row, .is_final = is_final};
    struct gone alone = {.coll = ch->coll, .id = row->meta.id};
    if (!is_referred_to(w->docs, ch->coll))
        return goes(&g, &alone, e);
    doc_arena_grow(w->arena, GONE_MAX * sizeof *g.items);
    g.items = arena_alloc(w->arena, GONE_MAX * sizeof *g.items);
    buf_init(&g.found, FOUND_MAX * (DOC_ID_MAX + 1));
    map_init(&g.known);
    map_init(&g.cleared);
    add(&g, ch->coll, row->meta.id, 0);
    bool fine = run(&g, e);
    map_done(&g.known);
    map_done(&g.cleared);
    buf_done(&g.found);
    return fine;
}
