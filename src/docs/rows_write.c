/* Rows of a collection are written here and nowhere else: its table and its history. */
#include "docs/search_impl.h"

/* ---- statements ------------------------------------------------------------------------------ */

/* As the index's own WHERE says it, so that the database knows it for the same. */
void rows_unique_where(const struct doc_field *f, bool is_sqlite, struct buf *to)
{
    if (f->kind == FIELD_KEY)
        buf_printf(to,
                   is_sqlite ? " AND %s > x'01' AND %s < x'ff'"
                             : " AND %s > '\\x01'::bytea AND %s < '\\xff'::bytea",
                   f->column, f->column);
}

static struct slice unique_sql(struct arena *a, bool lite, const struct doc_coll *c,
                               const struct doc_index *index)
{
    struct buf b;
    buf_init(&b, 1u << 16);
    buf_printf(&b, "SELECT 1 FROM c_%.*s WHERE deleted IS NULL", SLICE_ARGS(c->name));
    for (size_t i = 0; i < index->n_terms; i++)
        rows_unique_where(index->terms[i].field, lite, &b);
    for (size_t i = 0; i < index->n_terms; i++)
        buf_printf(&b, " AND %s = ?", index->terms[i].field->column);
    buf_add_str(&b, " AND id <> ? LIMIT 1");
    struct slice text = arena_dup(a, buf_slice(&b));
    buf_done(&b);
    return text;
}

void rows_make_sql(struct docs *d, struct db *db, struct doc_coll *c)
{
    struct arena *a = &d->arena;
    struct rows_sql *sql = arena_new(a, struct rows_sql);
    bool lite = db_is_sqlite(db);
    sql->keep = arena_printf(a,
                             "INSERT INTO h_%.*s (id, version, updated, author, label, body)"
                             " SELECT id, version, updated, author, label, body FROM c_%.*s"
                             " WHERE id = ? ON CONFLICT DO NOTHING",
                             SLICE_ARGS(c->name), SLICE_ARGS(c->name));
    sql->prune =
        arena_printf(a, "DELETE FROM h_%.*s WHERE id = ? AND version <= ?", SLICE_ARGS(c->name));
    sql->trash = arena_printf(a, "UPDATE c_%.*s SET deleted = ? WHERE id = ?", SLICE_ARGS(c->name));
    sql->remove = arena_printf(a, "DELETE FROM c_%.*s WHERE id = ?", SLICE_ARGS(c->name));
    sql->forget = arena_printf(a, "DELETE FROM h_%.*s WHERE id = ?", SLICE_ARGS(c->name));
    /* Whoever refers to a document holds it until the reference is there, too. */
    sql->target = arena_printf(a, "SELECT body FROM c_%.*s WHERE id = ? AND deleted IS NULL%s",
                               SLICE_ARGS(c->name), lite ? "" : " FOR SHARE");
    sql->unique = arena_zalloc(a, c->n_indexes * sizeof *sql->unique);
    for (size_t i = 0; i < c->n_indexes; i++) {
        if (c->indexes[i].is_unique)
            sql->unique[i] = unique_sql(a, lite, c, &c->indexes[i]);
    }
    c->sql = sql;
}

/* ---- a row ----------------------------------------------------------------------------------- */

static void bind_text(struct db_stmt *s, int at, struct slice text)
{
    if (text.len)
        db_bind_text(s, at, text);
    else
        db_bind_null(s, at);
}

/* All but the id, in the order of ROW_COLUMNS, then the keys; the next place. */
static int bind_draft(struct db_stmt *s, int at, const struct doc_draft *d)
{
    db_bind_i64(s, at++, d->meta.version);
    bind_text(s, at++, d->meta.owner);
    db_bind_text(s, at++, d->meta.created);
    db_bind_text(s, at++, d->meta.updated);
    bind_text(s, at++, d->author);
    bind_text(s, at++, d->label);
    db_bind_null(s, at++);
    db_bind_text(s, at++, buf_slice(&d->body));
    bind_text(s, at++, buf_slice(&d->shown));
    for (size_t i = 0; i < d->coll->n_fields; i++)
        db_bind_blob(s, at++, d->keys[i]);
    return search_bind(d->coll, s, at, d->words, d->meta.version);
}

bool rows_insert(struct db_conn *c, const struct doc_draft *d, bool *ret_is_new, struct err *e)
{
    int64_t n = 0;
    struct db_stmt *s = db_prepare_text(c, d->coll->sql_insert, e);
    if (!s)
        return false;
    db_bind_text(s, 1, d->meta.id);
    bind_draft(s, 2, d);
    if (!db_run(s, &n, e))
        return false;
    *ret_is_new = n > 0;
    return true;
}

/* One with an id, or an id and a version. */
static bool run(struct db_conn *c, struct slice sql, struct slice id, int64_t version,
                struct err *e)
{
    struct db_stmt *s = db_prepare_text(c, sql, e);
    if (!s)
        return false;
    db_bind_text(s, 1, id);
    if (version)
        db_bind_i64(s, 2, version);
    return db_run(s, NULL, e);
}

/* Versions in all, the present included: one less is history. */
static bool keep_history(struct db_conn *c, const struct doc_draft *d, struct err *e)
{
    int64_t keeps = d->coll->conf->versions, present = d->meta.version;
    if (keeps <= 0)
        return true;
    if (keeps > 1 && !run(c, d->coll->sql->keep, d->meta.id, 0, e))
        return false;
    return present <= keeps || run(c, d->coll->sql->prune, d->meta.id, present - keeps, e);
}

/* Most changes leave alone what indexes are made of. A column that is set, to the same value even,
 * has all of its indexes written anew, each a page somewhere else. What the row has is asked of the
 * row: a key that is not filled in yet is no equal one. */
static bool touch(struct db_conn *c, const struct doc_draft *d, int64_t *ret_n, struct err *e)
{
    struct db_stmt *s = db_prepare_text(c, d->coll->sql_touch, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, d->meta.version);
    db_bind_text(s, 2, d->meta.updated);
    bind_text(s, 3, d->author);
    bind_text(s, 4, d->label);
    db_bind_text(s, 5, buf_slice(&d->body));
    bind_text(s, 6, buf_slice(&d->shown));
    int at = search_bind(d->coll, s, 7, d->words, d->meta.version);
    db_bind_text(s, at++, d->meta.id);
    bind_text(s, at++, d->meta.owner);
    db_bind_text(s, at++, d->meta.created);
    for (size_t i = 0; i < d->coll->n_fields; i++)
        db_bind_blob(s, at++, d->keys[i]);
    return db_run(s, ret_n, e);
}

bool rows_update(struct db_conn *c, const struct doc_draft *d, int64_t before, struct err *e)
{
    int64_t n = 0;
    if (d->meta.version != before && !keep_history(c, d, e))
        return false;
    if (!touch(c, d, &n, e) || n > 0)
        return n > 0;
    struct db_stmt *s = db_prepare_text(c, d->coll->sql_update, e);
    if (!s)
        return false;
    db_bind_text(s, bind_draft(s, 1, d), d->meta.id);
    return db_run(s, NULL, e);
}

bool rows_trash(struct db_conn *c, const struct doc_coll *coll, struct slice id, struct slice now,
                struct err *e)
{
    struct db_stmt *s = db_prepare_text(c, coll->sql->trash, e);
    if (!s)
        return false;
    db_bind_text(s, 1, now);
    db_bind_text(s, 2, id);
    return db_run(s, NULL, e);
}

bool rows_remove(struct db_conn *c, const struct doc_coll *coll, struct slice id, struct err *e)
{
    return run(c, coll->sql->forget, id, 0, e) && run(c, coll->sql->remove, id, 0, e);
}

/* ---- what must be unique --------------------------------------------------------------------- */

static struct slice key_of(const struct doc_draft *d, const struct doc_field *f)
{
    return d->keys[f - d->coll->fields];
}

/* Has the draft a key for the index at all, and another than before? */
static bool is_new_key(const struct doc_draft *d, const struct doc_index *index,
                       const struct json *before)
{
    struct buf old;
    bool differs = before == NULL;
    buf_init(&old, DOC_BYTES_MAX);
    for (size_t i = 0; i < index->n_terms; i++) {
        const struct doc_field *f = index->terms[i].field;
        if (f->kind == FIELD_OWNER && !d->meta.owner.len)
            goto none;
        if (f->kind != FIELD_KEY) {
            differs |= f->kind == FIELD_VERSION || f->kind == FIELD_UPDATED;
            continue;
        }
        struct slice key = key_of(d, f);
        if (slice_cmp(key, SLICE("\x01")) <= 0 || slice_cmp(key, doc_key_unordered) >= 0)
            goto none;
        buf_clear(&old);
        doc_key(&old, doc_field_value(f, before));
        differs |= !slice_eq(key, buf_slice(&old));
    }
    buf_done(&old);
    return differs;
none:
    buf_done(&old);
    return false;
}

static void bind_term(struct db_stmt *s, int at, const struct doc_draft *d,
                      const struct doc_field *f)
{
    switch (f->kind) {
    case FIELD_KEY:
        db_bind_blob(s, at, key_of(d, f));
        break;
    case FIELD_VERSION:
        db_bind_i64(s, at, d->meta.version);
        break;
    case FIELD_ID:
        db_bind_text(s, at, d->meta.id);
        break;
    case FIELD_OWNER:
        db_bind_text(s, at, d->meta.owner);
        break;
    case FIELD_CREATED:
        db_bind_text(s, at, d->meta.created);
        break;
    case FIELD_UPDATED:
        db_bind_text(s, at, d->meta.updated);
        break;
    case FIELD_DELETED: /* nothing unique can name it */
        must(false);
        break;
    }
}

static bool is_taken(struct db_conn *c, const struct doc_draft *d, const struct doc_index *index,
                     bool *ret, struct err *e)
{
    struct db_stmt *s = db_prepare_text(c, d->coll->sql->unique[index - d->coll->indexes], e);
    if (!s)
        return false;
    for (size_t i = 0; i < index->n_terms; i++)
        bind_term(s, 1 + (int)i, d, index->terms[i].field);
    db_bind_text(s, 1 + (int)index->n_terms, d->meta.id);
    enum db_step step = db_step(s, e);
    *ret = step == DB_ROW;
    db_reset(s);
    return step != DB_FAILED;
}

/* One per field, so that a form can show it beside each; nothing about the other document. */
static void tell_taken(const struct doc_index *index, struct violations *to)
{
    for (size_t i = 0; i < index->n_terms; i++) {
        const struct doc_field *f = index->terms[i].field;
        struct buf b;
        if (f->kind == FIELD_OWNER && index->n_terms > 1)
            continue;
        buf_init(&b, 4096);
        if (f->kind != FIELD_KEY)
            json_pointer_add(&b, f->path);
        for (size_t k = 0; f->kind == FIELD_KEY && k < f->n_steps; k++)
            json_pointer_add(&b, f->steps[k]);
        violations_add(to, buf_slice(&b), "unique",
                       index->n_terms == 1 ? "is taken by another document"
                                           : "is taken, together with the other fields of its key");
        buf_done(&b);
    }
}

bool rows_unique(struct db_conn *c, const struct doc_draft *d, const struct json *before,
                 struct violations *to, struct err *e)
{
    for (size_t i = 0; i < d->coll->n_indexes; i++) {
        const struct doc_index *index = &d->coll->indexes[i];
        bool taken = false;
        /* While it is built there is nothing to look in; the building finds what came meanwhile. */
        if (!atomic_load(&index->is_ready) && !atomic_load(&index->is_violated))
            continue;
        if (!index->is_unique || !is_new_key(d, index, before))
            continue;
        if (!is_taken(c, d, index, &taken, e))
            return false;
        if (taken)
            tell_taken(index, to);
    }
    return true;
}

bool rows_must_look(const struct doc_coll *c)
{
    for (size_t i = 0; i < c->n_indexes; i++) {
        if (atomic_load(&c->indexes[i].is_violated))
            return true;
    }
    return false;
}
