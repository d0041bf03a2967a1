/* All that belongs to somebody goes for good, or becomes somebody else's: bit by bit, on a lane.
 *
 * A document goes as a purge takes it: what goes with it (cascade) goes, references to it are
 * cleared. One that others' documents hold (restrict, or not valid without) stays and is nobody's
 * from then on, without its history, once nothing else is left to go. */
#include "docs/search_impl.h"

#include <stdio.h>
#include <stdlib.h>

#define ROWS   100 /* in one write */
#define WRITES 50  /* at once, of those that change hands */
#define ARENA  (64u << 20)

struct owned {
    struct docs *docs;
    const struct doc_coll *coll;
    struct slice from, to; /* to empty: nobody's */
    struct arena arena;
    struct slice ids[ROWS];
    size_t n;
};

static const struct subject console = {.is_console = true};

static bool read_ids(struct owned *o, struct slice after, struct err *e)
{
    enum db_step step = DB_END;
    struct db_conn *c = db_conn_take(docs_db(o->docs), e);
    if (!c)
        return false;
    struct slice name = o->coll->name;
    struct slice text = arena_printf(&o->arena,
                                     "SELECT id FROM c_%.*s WHERE deleted IS NULL AND owner = ?"
                                     " AND id > ? UNION ALL SELECT id FROM c_%.*s WHERE deleted IS"
                                     " NOT NULL AND owner = ? AND id > ? ORDER BY id LIMIT %d",
                                     SLICE_ARGS(name), SLICE_ARGS(name), ROWS);
    struct db_stmt *s = db_prepare_text(c, text, e);
    o->n = 0;
    if (s) {
        db_bind_text(s, 1, o->from);
        db_bind_text(s, 2, after);
        db_bind_text(s, 3, o->from);
        db_bind_text(s, 4, after);
        while (o->n < ROWS && (step = db_step(s, e)) == DB_ROW)
            o->ids[o->n++] = arena_dup(&o->arena, db_text(s, 0));
        db_reset(s);
    }
    db_conn_give(c);
    return s && step != DB_FAILED;
}

/* ---- for good -------------------------------------------------------------------------------- */

static bool run_writing(void *arg, struct db_conn *c, struct err *e)
{
    return docs_writing_apply(arg, c, e) && docs_writing_finish(arg, c, e);
}

/* Some at once; false with ERR_EXISTS when one of them is held, and ERR_NOT_FOUND when one went
 * meanwhile: nothing was done then. */
static bool purge(struct owned *o, const struct slice *ids, size_t n, struct err *e)
{
    struct arena a;
    arena_init(&a, ARENA);
    struct docs_writing w = {
        .docs = o->docs, .arena = &a, .who = &console, .n = n, .is_leaving = true};
    w.changes = arena_zalloc(&a, n * sizeof *w.changes);
    for (size_t i = 0; i < n; i++)
        w.changes[i] = (struct doc_change){.op = DOC_PURGE, .coll = o->coll, .id = ids[i]};
    bool fine = docs_writing_plan(&w, e) && db_write_now(docs_db(o->docs), run_writing, &w, e);
    arena_done(&a);
    return fine;
}

static bool is_passed_over(const struct err *e)
{
    return e->code == ERR_EXISTS || e->code == ERR_NOT_FOUND;
}

/* *ret_gone: something went. */
static bool purge_some(struct owned *o, bool *ret_gone, struct err *e)
{
    *ret_gone = purge(o, o->ids, o->n, e);
    if (*ret_gone || !is_passed_over(e))
        return *ret_gone;
    for (size_t i = 0; i < o->n; i++) {
        bool is_gone = purge(o, &o->ids[i], 1, e);
        if (!is_gone && !is_passed_over(e))
            return false;
        *ret_gone |= is_gone;
    }
    return true;
}

/* From the first on, until something went. */
static bool purge_in(struct owned *o, bool *ret_gone, struct err *e)
{
    char after[DOC_ID_MAX + 1] = "";
    do {
        arena_reset(&o->arena); /* of those that are held there may be any number */
        if (!read_ids(o, slice_from(after), e))
            return false;
        if (o->n && !purge_some(o, ret_gone, e))
            return false;
        if (o->n)
            snprintf(after, sizeof after, "%.*s", SLICE_ARGS(o->ids[o->n - 1]));
    } while (!*ret_gone && o->n == ROWS);
    return true;
}

/* ---- another owner --------------------------------------------------------------------------- */

static bool forget_history(struct owned *o, struct db_conn *c, struct slice id, struct err *e)
{
    struct db_stmt *s = db_prepare_text(c, o->coll->sql->forget, e);
    if (!s)
        return false;
    db_bind_text(s, 1, id);
    return db_run(s, NULL, e);
}

static bool write_row(struct docs_writing *w, struct owned *o, struct db_conn *c,
                      const struct doc_row *row, const struct json *doc, struct err *e)
{
    struct arena *a = w->arena;
    struct doc_draft *d = draft_new(o->coll, a);
    struct violations taken = {.a = a};
    char now[RFC3339_LEN + 1];
    const struct json *own = doc_own(doc, a, e);
    clock_rfc3339(clock_wall_ms(), now);
    d->meta = row->meta;
    d->meta.owner = o->to;
    d->author = o->to;
    if (!row->deleted.len) {
        d->meta.version++;
        d->meta.updated = arena_dup(a, slice_from(now));
    }
    if (!own || !draft_write(d, own, a, e) || !rows_unique(c, d, NULL, &taken, e))
        return false;
    if (taken.n && !row->deleted.len)
        return err_set(e, ERR_EXISTS,
                       "Document %.*s of %.*s cannot change hands: the account has one that is"
                       " unique in the same way.",
                       SLICE_ARGS(row->meta.id), SLICE_ARGS(o->coll->name));
    if (!rows_update(c, d, row->meta.version, e))
        return false;
    if (row->deleted.len) /* it is in the trash still */
        return rows_trash(c, o->coll, row->meta.id, row->deleted, e);
    return search_put(w, o->coll, c, row->meta.id, doc, own, e) &&
           tell_draft(w, c, CHANGE_UPDATED, d, e);
}

static bool change_hands(struct docs_writing *w, struct owned *o, struct db_conn *c,
                         struct slice id, struct err *e)
{
    struct doc_row row;
    doc_arena_grow(w->arena, 128u << 10);
    struct arena_mark mark = arena_mark(w->arena);
    enum db_step step = doc_row_find(c, o->coll, id, true, w->arena, &row, e);
    if (step != DB_ROW || !slice_eq(row.meta.owner, o->from))
        return step != DB_FAILED;
    const struct json *doc = doc_row_json(&row, w->arena, e);
    bool fine =
        doc && write_row(w, o, c, &row, doc, e) && (o->to.len || forget_history(o, c, id, e));
    arena_rewind(w->arena, mark);
    return fine;
}

struct handing {
    struct owned *o;
    struct docs_writing w;
};

static bool run_handing(void *arg, struct db_conn *c, struct err *e)
{
    struct handing *h = arg;
    search_begin(&h->w);
    for (size_t i = 0; i < h->o->n; i++) {
        if (!change_hands(&h->w, h->o, c, h->o->ids[i], e))
            return false;
    }
    return docs_is_present(h->o->docs, e) && search_finish(&h->w, c, e);
}

/* The first of them; *ret_some: there were any. */
static bool hand_over(struct owned *o, bool *ret_some, struct err *e)
{
    struct arena a;
    if (!read_ids(o, SLICE(""), e))
        return false;
    *ret_some = o->n > 0;
    if (!o->n)
        return true;
    arena_init(&a, ARENA);
    struct handing h = {o, {.docs = o->docs, .arena = &a, .who = &console}};
    bool fine = db_write_now(docs_db(o->docs), run_handing, &h, e);
    arena_done(&a);
    return fine;
}

/* ---- all of it ------------------------------------------------------------------------------- */

typedef bool (*bit_fn)(struct owned *o, bool *ret_some, struct err *e);

/* Of one collection after the other, until one has something to do. */
static bool do_some(struct docs *d, struct slice from, struct slice to, bit_fn fn, bool *ret_some,
                    struct err *e)
{
    bool fine = true;
    *ret_some = false;
    for (size_t i = 0; fine && !*ret_some && i < d->n_colls; i++) {
        struct owned *o = mem_new(struct owned);
        *o = (struct owned){.docs = d, .coll = &d->colls[i], .from = from, .to = to};
        arena_init(&o->arena, ARENA);
        fine = fn(o, ret_some, e);
        arena_done(&o->arena);
        free(o);
    }
    return fine;
}

/* To know that nothing goes any more, each that is held was tried: many are handed over for it. */
bool docs_purge_owner(struct docs *d, struct slice user, bool *ret_more, struct err *e)
{
    must(user.len);
    bool fine = do_some(d, user, SLICE(""), purge_in, ret_more, e);
    if (!fine || *ret_more)
        return fine;
    for (int i = 0; i < WRITES && fine && (!i || *ret_more); i++)
        fine = do_some(d, user, SLICE(""), hand_over, ret_more, e);
    return fine;
}

bool docs_adopt_owner(struct docs *d, struct slice from, struct slice to, bool *ret_more,
                      struct err *e)
{
    must(from.len && to.len && !slice_eq(from, to));
    return do_some(d, from, to, hand_over, ret_more, e);
}
