/* Do stored documents hold what the manifest says now? Reads them all, changes nothing, and trusts
 * no column that another manifest may have filled. */
#include "docs/tables_impl.h"

#include "base/sha256.h"
#include "schema/checks.h"

#define PAGE_ROWS  50
#define PAGE_ARENA ((size_t)1 << 30)
#define KEYS_ARENA ((size_t)4 << 30)
#define DIGEST     16

struct verifying {
    struct docs *docs;
    struct db *db;
    const struct doc_coll *coll;
    const struct docs_hearer *to;
    struct arena arena, keys; /* of a page; of a collection */
    struct map *seen;         /* per unique index: digest of the key -> the id that has it */
    const struct doc_check **checks;
    bool *has_target; /* of coll->refs: there is a table of what they refer to */
    struct slice after, id;
    struct docs_verdict verdict;
    bool is_broken; /* this document */
};

/* ---- telling --------------------------------------------------------------------------------- */

static void tell(struct verifying *v, struct slice pointer, struct slice message)
{
    if (!v->is_broken)
        v->verdict.broken++;
    v->is_broken = true;
    if (v->verdict.broken > DOCS_FINDINGS_MAX)
        return;
    v->to->finding(v->to->user, &(struct docs_finding){.collection = v->coll->name,
                                                       .id = v->id,
                                                       .pointer = pointer,
                                                       .message = message});
}

static struct slice pointer_of(struct arena *a, const struct doc_field *f)
{
    struct buf b;
    buf_init(&b, 1u << 16);
    if (f->kind != FIELD_KEY)
        json_pointer_add(&b, f->path);
    for (size_t i = 0; f->kind == FIELD_KEY && i < f->n_steps; i++)
        json_pointer_add(&b, f->steps[i]);
    struct slice pointer = arena_dup(a, buf_slice(&b));
    buf_done(&b);
    return pointer;
}

/* ---- schema and checks ----------------------------------------------------------------------- */

static const struct json *own_fields(struct verifying *v, const struct json *doc)
{
    struct json_writer w;
    struct json_doc own;
    struct buf b;
    struct err e;
    buf_init(&b, 2 * DOC_BYTES_MAX);
    json_writer_init(&w, &b, 0);
    json_write_object(&w);
    json_each (it, doc) {
        if (doc_name_is_system(it.key))
            continue;
        json_write_key(&w, it.key);
        json_write_value(&w, it.value);
    }
    json_write_object_end(&w);
    bool fine =
        json_parse(&own, &v->arena, arena_dup(&v->arena, buf_slice(&b)), &doc_stored_limits, &e);
    buf_done(&b);
    return fine ? json_root(&own) : NULL;
}

static void verify_schema(struct verifying *v, const struct json *doc)
{
    struct violations found = {.a = &v->arena};
    const struct json *own = own_fields(v, doc);
    if (v->coll->schema)
        schema_check(v->coll->schema, own, &found);
    for (size_t i = 0; i < v->coll->conf->checks.n; i++) {
        if (v->checks[i])
            doc_check_holds(v->checks[i], own, &found);
    }
    for (size_t i = 0; i < found.n; i++)
        tell(v, found.items[i].pointer, found.items[i].message);
}

/* ---- unique ---------------------------------------------------------------------------------- */

/* False: a part is null or missing, so it holds no key. */
static bool digest_of(const struct doc_index *index, const struct json *doc, char to[SHA256_LEN])
{
    struct sha256 h;
    struct buf b;
    bool has_key = true;
    sha256_init(&h);
    buf_init(&b, DOC_BYTES_MAX);
    for (size_t i = 0; has_key && i < index->n_terms; i++) {
        const struct json *value = doc_field_value(index->terms[i].field, doc);
        enum json_type type = json_type(value);
        has_key =
            type != JSON_NONE && type != JSON_NULL && type != JSON_OBJECT && type != JSON_ARRAY;
        buf_clear(&b);
        doc_key(&b, value);
        uint32_t len = (uint32_t)b.len;
        sha256_add(&h, (struct slice){(const char *)&len, sizeof len});
        sha256_add(&h, buf_slice(&b));
    }
    buf_done(&b);
    sha256_end(&h, (unsigned char *)to);
    return has_key;
}

static void verify_unique(struct verifying *v, const struct json *doc)
{
    for (size_t i = 0; i < v->coll->n_indexes; i++) {
        const struct doc_index *index = &v->coll->indexes[i];
        char digest[SHA256_LEN];
        if (!index->is_unique || !digest_of(index, doc, digest))
            continue;
        struct slice key = {digest, DIGEST};
        const char *other = map_find(&v->seen[i], key);
        if (other)
            tell(v, pointer_of(&v->arena, index->terms[0].field),
                 arena_printf(&v->arena, "is the same as in %s, and must be unique%s", other,
                              index->n_terms > 1 ? " together with its other fields" : ""));
        else
            map_put(&v->seen[i], arena_dup(&v->keys, key),
                    (void *)(uintptr_t)arena_dup(&v->keys, v->id).ptr);
    }
}

/* ---- references ------------------------------------------------------------------------------ */

static bool verify_ref(struct verifying *v, struct db_conn *c, const struct doc_ref *ref,
                       const struct json *value, struct err *e)
{
    bool found = false, is_asked = v->has_target[ref - v->coll->refs];
    struct slice id = json_str(value);
    if (json_type(value) == JSON_NULL || json_type(value) == JSON_NONE)
        return true;
    if (is_asked && json_type(value) == JSON_STRING && doc_id_is_good(id) &&
        !doc_row_is_there(c, ref->to, id, &found, e))
        return false;
    if (!found)
        tell(v, pointer_of(&v->arena, &ref->field),
             arena_printf(&v->arena, "refers to a document that is not in %.*s",
                          SLICE_ARGS(ref->to->name)));
    return true;
}

static bool verify_refs(struct verifying *v, struct db_conn *c, const struct json *doc,
                        struct err *e)
{
    for (size_t i = 0; i < v->coll->n_refs; i++) {
        const struct doc_ref *ref = &v->coll->refs[i];
        const struct json *value = doc_field_value(&ref->field, doc);
        if (json_type(value) != JSON_ARRAY) {
            if (!verify_ref(v, c, ref, value, e))
                return false;
            continue;
        }
        json_each (it, value) {
            if (!verify_ref(v, c, ref, it.value, e))
                return false;
        }
    }
    return true;
}

/* ---- a page ---------------------------------------------------------------------------------- */

struct verified_row {
    struct slice id, body;
};

static bool read_page(struct verifying *v, struct db_conn *c, struct verified_row *rows, size_t *n,
                      struct err *e)
{
    struct slice text =
        arena_printf(&v->arena,
                     "SELECT id, body FROM c_%.*s WHERE deleted IS NULL AND id > ? ORDER BY id"
                     " LIMIT %d",
                     SLICE_ARGS(v->coll->name), PAGE_ROWS);
    struct db_stmt *s = db_prepare_text(c, text, e);
    enum db_step step = DB_END;
    if (!s)
        return false;
    db_bind_text(s, 1, v->after);
    for (*n = 0; *n < PAGE_ROWS && (step = db_step(s, e)) == DB_ROW; (*n)++)
        rows[*n] = (struct verified_row){arena_dup(&v->arena, db_text(s, 0)),
                                         arena_dup(&v->arena, db_text(s, 1))};
    db_reset(s);
    return step != DB_FAILED;
}

static bool verify_row(struct verifying *v, struct db_conn *c, const struct verified_row *row,
                       struct err *e)
{
    struct json_doc doc;
    struct err wrong;
    v->id = row->id;
    v->is_broken = false;
    v->verdict.documents++;
    if (!json_parse(&doc, &v->arena, row->body, &doc_stored_limits, &wrong)) {
        tell(v, SLICE(""), SLICE("is damaged: it is no JSON"));
        return true;
    }
    verify_schema(v, json_root(&doc));
    verify_unique(v, json_root(&doc));
    return verify_refs(v, c, json_root(&doc), e);
}

/* A connection for each page: nobody's rows are held up for long. */
static bool verify_page(struct verifying *v, bool *ret_last, struct err *e)
{
    struct verified_row rows[PAGE_ROWS];
    size_t n = 0;
    struct db_conn *c = db_conn_take(v->db, e);
    bool fine = c && read_page(v, c, rows, &n, e);
    for (size_t i = 0; fine && i < n; i++) {
        struct arena_mark mark = arena_mark(&v->arena); /* fifty may be the largest there are */
        fine = verify_row(v, c, &rows[i], e);
        arena_rewind(&v->arena, mark);
    }
    if (c)
        db_conn_give(c);
    *ret_last = n < PAGE_ROWS;
    if (n)
        v->after = arena_dup(&v->keys, rows[n - 1].id);
    return fine;
}

/* ---- a collection ---------------------------------------------------------------------------- */

static bool has_table(struct verifying *v, struct slice name, bool *ret, struct err *e)
{
    static const struct sql find = {
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?",
        "SELECT 1 FROM information_schema.tables WHERE table_schema = current_schema()"
        " AND table_name = ?"};
    struct db_conn *c = db_conn_take(v->db, e);
    struct db_stmt *s = c ? db_prepare(c, &find, e) : NULL;
    enum db_step step = DB_FAILED;
    if (s) {
        db_bind_text(s, 1, arena_printf(&v->arena, "c_%.*s", SLICE_ARGS(name)));
        step = db_step(s, e);
        db_reset(s);
    }
    if (c)
        db_conn_give(c);
    *ret = step == DB_ROW;
    return step != DB_FAILED;
}

static void prepare(struct verifying *v)
{
    const struct doc_coll *c = v->coll;
    struct err e;
    v->seen = arena_alloc(&v->keys, (c->n_indexes + 1) * sizeof *v->seen);
    v->checks = arena_zalloc(&v->keys, (c->conf->checks.n + 1) * sizeof *v->checks);
    v->has_target = arena_zalloc(&v->keys, c->n_refs + 1);
    for (size_t i = 0; i < c->n_indexes; i++)
        map_init(&v->seen[i]);
    for (size_t i = 0; i < c->conf->checks.n; i++)
        v->checks[i] = doc_check_parse(&v->keys, c->conf->checks.items[i].s, &e);
    v->after = SLICE("");
    v->verdict = (struct docs_verdict){.collection = c->name};
}

static bool verify_coll(struct verifying *v, struct err *e)
{
    bool is_made, is_last = false, fine;
    arena_init(&v->keys, KEYS_ARENA);
    arena_init(&v->arena, PAGE_ARENA);
    prepare(v);
    fine = has_table(v, v->coll->name, &is_made, e);
    for (size_t i = 0; fine && i < v->coll->n_refs; i++)
        fine = has_table(v, v->coll->refs[i].to->name, &v->has_target[i], e);
    while (fine && is_made && !is_last) {
        fine = verify_page(v, &is_last, e);
        arena_reset(&v->arena);
    }
    if (fine)
        v->to->verdict(v->to->user, &v->verdict);
    for (size_t i = 0; i < v->coll->n_indexes; i++)
        map_done(&v->seen[i]);
    arena_done(&v->arena);
    arena_done(&v->keys);
    return fine;
}

/* ---- tables that no collection has any more -------------------------------------------------- */

static bool tell_left(struct verifying *v, struct err *e)
{
    static const struct sql list = {
        "SELECT substr(name, 7) FROM dais_meta WHERE substr(name, 1, 6) = 'shape ' ORDER BY name",
        NULL};
    struct db_conn *c = db_conn_take(v->db, e);
    struct db_stmt *s = c ? db_prepare(c, &list, e) : NULL;
    enum db_step step = DB_FAILED;
    while (s && (step = db_step(s, e)) == DB_ROW) {
        if (!docs_find(v->docs, db_text(s, 0)))
            v->to->left(v->to->user, db_text(s, 0));
    }
    if (s)
        db_reset(s);
    if (c)
        db_conn_give(c);
    return step != DB_FAILED;
}

bool docs_verify(struct docs *d, struct db *db, const struct docs_hearer *to, struct err *e)
{
    struct verifying v = {.docs = d, .db = db, .to = to};
    for (size_t i = 0; i < d->n_colls; i++) {
        v.coll = &d->colls[i];
        if (!verify_coll(&v, e))
            return false;
    }
    return tell_left(&v, e);
}
