/* Rows that were written for another manifest are made anew, some at a time: keys of new fields,
 * what is shown, how many versions are kept. Changes made meanwhile are right from the start, so
 * the order of both does not matter. How far it came is in dais_meta, in the same write. */
#include "docs/tables_impl.h"

#include <stdlib.h>

#define FILL_ARENA (64u << 20)

struct filled { /* what a row is to hold */
    struct slice id, shown;
    int64_t version;
    struct slice *keys;
    const struct json *doc;
};

struct filling {
    struct docs *docs;
    struct doc_coll *coll;
    struct arena arena;
    struct slice after, last; /* the ids before the first of these rows, and of the last */
    struct filled rows[FILL_ROWS];
    size_t n;
    bool is_done;
};

/* ---- reading --------------------------------------------------------------------------------- */

/* Ids of the next rows, as many as may be in one write. Bodies may be large: they are looked at
 * before they are read. */
static bool find_end(struct filling *f, struct db_conn *c, struct err *e)
{
    struct slice text =
        arena_printf(&f->arena, "SELECT id, %s(body) FROM c_%.*s WHERE id > ? ORDER BY id LIMIT %d",
                     db_is_sqlite(docs_db(f->docs)) ? "length" : "octet_length",
                     SLICE_ARGS(f->coll->name), FILL_ROWS);
    struct db_stmt *s = db_prepare_text(c, text, e);
    enum db_step step;
    int64_t bytes = 0;
    if (!s)
        return false;
    db_bind_text(s, 1, f->after);
    while ((step = db_step(s, e)) == DB_ROW) {
        bytes += db_i64(s, 1);
        if (f->n && bytes > FILL_BYTES)
            break;
        f->last = arena_dup(&f->arena, db_text(s, 0));
        f->n++;
    }
    db_reset(s);
    f->is_done = step == DB_END && f->n < FILL_ROWS;
    return step != DB_FAILED;
}

static void add_keys(struct filling *f, struct filled *row, const struct json *doc)
{
    const struct doc_coll *c = f->coll;
    struct buf b;
    row->keys = arena_alloc(&f->arena, c->n_fields * sizeof *row->keys);
    buf_init(&b, DOC_BYTES_MAX);
    for (size_t i = 0; i < c->n_fields; i++) {
        buf_clear(&b);
        doc_key(&b, doc_field_value(&c->fields[i], doc));
        row->keys[i] = arena_dup(&f->arena, buf_slice(&b));
    }
    buf_done(&b);
}

/* Nothing of a damaged document is found or shown: `dais verify` tells of it. */
static void add_row(struct filling *f, const struct db_stmt *s)
{
    struct arena *a = &f->arena;
    struct filled *row = &f->rows[f->n++];
    struct json_doc doc;
    struct buf b;
    struct err e;
    *row = (struct filled){.id = arena_dup(a, db_text(s, 0)), .version = db_i64(s, 1)};
    doc_arena_grow(a, db_text(s, 2).len);
    if (json_parse(&doc, a, arena_dup(a, db_text(s, 2)), &doc_stored_limits, &e))
        row->doc = json_root(&doc);
    else
        log_line(LOG_ERROR, "a stored document cannot be read", F_STR("collection", f->coll->name),
                 F_STR("id", row->id));
    add_keys(f, row, row->doc);
    if (!f->coll->conf->hidden.n)
        return;
    buf_init(&b, DOC_BYTES_MAX);
    bool fine = row->doc && doc_text_shown(&b, f->coll, row->doc, &e);
    row->shown = fine ? arena_dup(a, buf_slice(&b)) : SLICE("{}");
    buf_done(&b);
}

static bool read_rows(struct filling *f, struct db_conn *c, struct err *e)
{
    struct slice text = arena_printf(
        &f->arena, "SELECT id, version, body FROM c_%.*s WHERE id > ? AND id <= ? ORDER BY id",
        SLICE_ARGS(f->coll->name));
    struct db_stmt *s = db_prepare_text(c, text, e);
    enum db_step step;
    if (!s)
        return false;
    db_bind_text(s, 1, f->after);
    db_bind_text(s, 2, f->last);
    f->n = 0;
    while ((step = db_step(s, e)) == DB_ROW && f->n < FILL_ROWS)
        add_row(f, s);
    db_reset(s);
    return step != DB_FAILED;
}

static bool read_some(struct filling *f, struct err *e)
{
    bool is_filling, fine;
    struct db_conn *c = db_conn_take(docs_db(f->docs), e);
    if (!c)
        return false;
    fine = meta_find(c, "fill", f->coll->name, &f->arena, &f->after, &is_filling, e);
    if (fine && is_filling)
        fine = find_end(f, c, e) && (f->n == 0 || read_rows(f, c, e));
    else
        f->is_done = true; /* another server did the last */
    db_conn_give(c);
    return fine;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Of the present version and those before, `versions` stay. */
static bool trim(struct filling *f, struct db_conn *c, const struct filled *row, struct err *e)
{
    int64_t last = row->version - f->coll->conf->versions;
    if (last < 1)
        return true;
    struct slice text = arena_printf(&f->arena, "DELETE FROM h_%.*s WHERE id = ? AND version <= ?",
                                     SLICE_ARGS(f->coll->name));
    struct db_stmt *s = db_prepare_text(c, text, e);
    if (!s)
        return false;
    db_bind_text(s, 1, row->id);
    db_bind_i64(s, 2, last);
    return db_run(s, NULL, e);
}

/* Also what it refers to: the collection may not have had these references before. Is it there is
 * asked in the write: it may have gone to the trash or come back since, in the same version. */
static bool write_refs(struct filling *f, struct db_conn *c, const struct filled *row,
                       struct err *e)
{
    struct docs_writing w = {.docs = f->docs, .arena = &f->arena};
    struct doc_draft draft = {.coll = f->coll, .meta.id = row->id, .own = row->doc};
    bool is_there;
    if (!f->coll->n_refs)
        return true;
    return doc_row_is_there(c, f->coll, row->id, &is_there, e) &&
           refs_forget(c, f->coll, row->id, e) && (!is_there || refs_store(&w, c, &draft, NULL, e));
}

/* A row that is another version by now was written by who knows better. */
static bool write_row(struct filling *f, struct db_conn *c, const struct filled *row, struct err *e)
{
    int n = 1;
    struct db_stmt *s = db_prepare_text(c, f->coll->sql_fill, e);
    if (!s)
        return false;
    if (row->shown.len)
        db_bind_text(s, n++, row->shown);
    else
        db_bind_null(s, n++);
    for (size_t i = 0; i < f->coll->n_fields; i++)
        db_bind_blob(s, n++, row->keys[i]);
    db_bind_text(s, n++, row->id);
    db_bind_i64(s, n, row->version);
    int64_t changed;
    return db_run(s, &changed, e) &&
           (changed == 0 || (write_refs(f, c, row, e) && trim(f, c, row, e)));
}

static bool end_of_all(struct filling *f, struct db_conn *c, struct err *e)
{
    struct slice name = f->coll->name;
    return meta_drop(c, "fill", name, &f->arena, e) && meta_drop(c, "shown", name, &f->arena, e) &&
           fields_filled(c, name, e);
}

/* Another server may have been here; or another manifest, for which these rows are wrong. */
static bool run_filling(void *arg, struct db_conn *c, struct err *e)
{
    struct filling *f = arg;
    struct slice after;
    bool is_filling;
    if (!docs_is_present(f->docs, e) ||
        !meta_find(c, "fill", f->coll->name, &f->arena, &after, &is_filling, e))
        return false;
    if (!is_filling || !slice_eq(after, f->after))
        return true;
    for (size_t i = 0; i < f->n; i++) {
        if (!write_row(f, c, &f->rows[i], e))
            return false;
    }
    return f->is_done ? end_of_all(f, c, e)
                      : meta_put(c, "fill", f->coll->name, f->last, &f->arena, e);
}

/* ---- all of it ------------------------------------------------------------------------------- */

bool fill_look(struct docs *d, struct doc_coll *c, struct db_conn *conn, struct err *e)
{
    struct arena a;
    struct slice ignored;
    bool is_filling, is_stale, fine;
    (void)d;
    arena_init(&a, 1u << 16);
    fine = meta_find(conn, "fill", c->name, &a, &ignored, &is_filling, e) &&
           meta_find(conn, "shown", c->name, &a, &ignored, &is_stale, e);
    for (size_t i = 0; fine && i < c->n_fields; i++) {
        int64_t number;
        bool is_ready;
        fine = field_find(conn, c->name, c->fields[i].path, &number, &is_ready, e);
        if (fine)
            atomic_store(&c->fields[i].is_ready, is_ready);
    }
    if (fine) {
        atomic_store(&c->is_shown_ready, !is_stale);
        atomic_store(&c->is_filling, is_filling);
    }
    arena_done(&a);
    return fine;
}

static bool look_again(struct docs *d, struct doc_coll *c, struct err *e)
{
    struct db_conn *conn = db_conn_take(docs_db(d), e);
    bool fine = conn && fill_look(d, c, conn, e);
    if (conn)
        db_conn_give(conn);
    return fine;
}

bool fill_some(struct docs *d, struct doc_coll *c, bool *ret_done, struct err *e)
{
    struct filling *f = mem_new(struct filling);
    f->docs = d;
    f->coll = c;
    arena_init(&f->arena, FILL_ARENA);
    bool fine = read_some(f, e) && db_write_now(docs_db(d), run_filling, f, e);
    *ret_done = f->is_done;
    arena_done(&f->arena);
    free(f);
    return fine && (!*ret_done || look_again(d, c, e));
}
