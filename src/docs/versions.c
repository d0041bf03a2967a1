/* Earlier versions of a document: listed, read, compared. Who may read the document today may read
 * all that are kept of it. */
#include "docs/docs_impl.h"

#include "schema/patch.h"

#include <stdio.h>

#define LIST_SQL_BYTES 300

/* ---- one of them ----------------------------------------------------------------------------- */

/* "SELECT … FROM h_NAME WHERE …": a connection knows it by its text. */
static struct db_stmt *prepare(struct db_conn *c, const struct doc_coll *coll, const char *columns,
                               const char *where, struct err *e)
{
    char text[LIST_SQL_BYTES];
    int n = snprintf(text, sizeof text, "SELECT %s FROM h_%.*s WHERE %s", columns,
                     SLICE_ARGS(coll->name), where);
    must(n > 0 && (size_t)n < sizeof text);
    return db_prepare_text(c, (struct slice){text, (size_t)n}, e);
}

/* More than the manifest says is not there, even where nothing was written since. */
static int64_t oldest(const struct doc_coll *coll, int64_t present)
{
    int64_t keeps = coll->conf->versions;
    return keeps > 0 && present > keeps ? present - keeps + 1 : keeps > 0 ? 1 : present;
}

enum db_step version_find(struct db_conn *c, const struct doc_coll *coll, struct slice id,
                          int64_t version, int64_t present, struct arena *a, struct slice *ret,
                          struct err *e)
{
    *ret = (struct slice){0};
    if (version == present)
        return DB_ROW;
    if (version > present || version < oldest(coll, present))
        return DB_END;
    struct db_stmt *s = prepare(c, coll, "body", "id = ? AND version = ?", e);
    if (!s)
        return DB_FAILED;
    db_bind_text(s, 1, id);
    db_bind_i64(s, 2, version);
    enum db_step step = db_step(s, e);
    if (step == DB_ROW)
        *ret = doc_row_text(a, db_text(s, 0));
    db_reset(s);
    return step;
}

static bool find_body(const struct docs_reading *r, const struct doc_coll *c,
                      const struct doc_row *row, int64_t version, struct slice *ret, struct err *e)
{
    enum db_step step =
        version_find(r->conn, c, row->meta.id, version, row->meta.version, r->arena, ret, e);
    if (step == DB_END)
        return err_set(e, ERR_NOT_FOUND, "Version %lld is not kept.", (long long)version);
    if (version == row->meta.version)
        *ret = row->body;
    return step == DB_ROW;
}

/* Without hidden fields, and dais's own if is_own. */
static const struct json *tree(const struct docs_reading *r, const struct doc_coll *c,
                               struct slice body, bool is_own, struct err *e)
{
    const struct doc_row row = {.body = body};
    const struct json *doc = doc_row_json(&row, r->arena, e);
    if (doc && is_own)
        doc = doc_own(doc, r->arena, e);
    return doc ? doc_shown(c, doc, r->arena, e) : NULL;
}

static void free_buf(void *arg)
{
    buf_done(arg);
}

bool docs_version(const struct docs_reading *r, const struct doc_coll *c, struct slice id,
                  int64_t version, struct doc *ret, struct err *e)
{
    struct doc_row row;
    struct slice body;
    if (!docs_row(r, c, id, &row, e) || !find_body(r, c, &row, version, &body, e))
        return false;
    *ret = (struct doc){.id = row.meta.id, .text = body, .version = version};
    if (!c->conf->hidden.n)
        return true;
    const struct doc_row old = {.body = body};
    const struct json *doc = doc_row_json(&old, r->arena, e);
    struct buf *shown = arena_new(r->arena, struct buf);
    buf_init(shown, DOC_BYTES_MAX);
    arena_defer(r->arena, free_buf, shown);
    if (!doc || !doc_text_shown(shown, c, doc, e))
        return false;
    ret->text = buf_slice(shown);
    return true;
}

bool docs_diff(const struct docs_reading *r, const struct doc_coll *c, struct slice id,
               int64_t version, int64_t to_version, struct buf *to, struct err *e)
{
    struct doc_row row;
    struct slice from_body, to_body;
    if (!docs_row(r, c, id, &row, e))
        return false;
    if (!to_version)
        to_version = row.meta.version;
    if (!find_body(r, c, &row, version, &from_body, e) ||
        !find_body(r, c, &row, to_version, &to_body, e))
        return false;
    const struct json *from = tree(r, c, from_body, true, e);
    const struct json *then = from ? tree(r, c, to_body, true, e) : NULL;
    if (!then)
        return false;
    patch_diff(from, then, to);
    return !to->full || err_set(e, ERR_BODY_TOO_LARGE, "The difference is too large to be told.");
}

/* ---- all of them ----------------------------------------------------------------------------- */

struct listing {
    struct json_writer w;
    uint32_t left;
    int64_t last; /* version */
    bool has_more;
};

static void text_or_null(struct json_writer *w, const char *key, struct slice text)
{
    json_write_key(w, slice_from(key));
    if (text.len)
        json_write_str(w, text);
    else
        json_write_null(w);
}

static void write_item(struct listing *l, int64_t version, struct slice updated, struct slice by,
                       struct slice label)
{
    struct json_writer *w = &l->w;
    if (!l->left) {
        l->has_more = true;
        return;
    }
    l->left--;
    l->last = version;
    json_write_object(w);
    json_write_key(w, SLICE("version"));
    json_write_i64(w, version);
    text_or_null(w, "updated", updated);
    text_or_null(w, "by", by);
    text_or_null(w, "label", label);
    json_write_object_end(w);
}

static bool write_history(const struct docs_reading *r, const struct doc_coll *c,
                          const struct doc_row *row, int64_t before, struct listing *l,
                          struct err *e)
{
    enum db_step step;
    struct db_stmt *s =
        prepare(r->conn, c, "version, updated, author, label",
                "id = ? AND version < ? AND version >= ? ORDER BY version DESC LIMIT ?", e);
    if (!s)
        return false;
    db_bind_text(s, 1, row->meta.id);
    db_bind_i64(s, 2, before);
    db_bind_i64(s, 3, oldest(c, row->meta.version));
    db_bind_i64(s, 4, (int64_t)l->left + 1);
    while ((step = db_step(s, e)) == DB_ROW)
        write_item(l, db_i64(s, 0), db_text(s, 1), db_text(s, 2), db_text(s, 3));
    db_reset(s);
    return step != DB_FAILED;
}

/* A cursor is the version it is behind. */
static bool read_after(struct slice after, int64_t *ret, struct err *e)
{
    uint64_t n = INT64_MAX;
    if (after.len && (!slice_to_u64(after, &n) || n == 0 || n > INT64_MAX))
        return err_set(e, ERR_MALFORMED, "after is what `next` of this list said.");
    *ret = (int64_t)n;
    return true;
}

bool docs_versions(const struct docs_reading *r, const struct doc_coll *c, struct slice id,
                   struct slice after, uint32_t limit, struct buf *to, struct err *e)
{
    struct listing l = {.left = limit ? limit : DOC_LIMIT};
    struct doc_row row;
    int64_t before = 0;
    char cursor[24];
    if (!read_after(after, &before, e) || !docs_row(r, c, id, &row, e))
        return false;
    json_writer_init(&l.w, to, 0);
    json_write_object(&l.w);
    json_write_key(&l.w, SLICE("items"));
    json_write_array(&l.w);
    if (row.meta.version < before)
        write_item(&l, row.meta.version, row.meta.updated, row.author, row.label);
    if (row.meta.version < before)
        before = row.meta.version;
    if (!write_history(r, c, &row, before, &l, e))
        return false;
    json_write_array_end(&l.w);
    json_write_key(&l.w, SLICE("next"));
    snprintf(cursor, sizeof cursor, "%lld", (long long)l.last);
    json_write_cstr(&l.w, l.has_more ? cursor : NULL);
    json_write_object_end(&l.w);
    return !to->full || err_set(e, ERR_INTERNAL, "The list of versions is too long.");
}
