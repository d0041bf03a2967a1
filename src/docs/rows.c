/* Rows of a collection's table: found by id, copied to an arena. */
#include "docs/docs_impl.h"

#include <stdlib.h>
#include <string.h>

#define LONG (64u << 10)

struct slice doc_row_text(struct arena *a, struct slice text)
{
    if (text.len <= LONG)
        return arena_dup(a, text);
    char *own = mem_alloc(text.len);
    memcpy(own, text.ptr, text.len);
    arena_defer(a, free, own);
    return (struct slice){own, text.len};
}

void doc_row_read(const struct db_stmt *s, struct arena *a, struct doc_row *ret)
{
    *ret = (struct doc_row){
        .meta = {.id = arena_dup(a, db_text(s, ROW_ID)),
                 .version = db_i64(s, ROW_VERSION),
                 .owner = arena_dup(a, db_text(s, ROW_OWNER)),
                 .created = arena_dup(a, db_text(s, ROW_CREATED)),
                 .updated = arena_dup(a, db_text(s, ROW_UPDATED))},
        .author = arena_dup(a, db_text(s, ROW_AUTHOR)),
        .label = arena_dup(a, db_text(s, ROW_LABEL)),
        .deleted = arena_dup(a, db_text(s, ROW_DELETED)),
        .body = doc_row_text(a, db_text(s, ROW_BODY)),
        .shown = doc_row_text(a, db_text(s, ROW_SHOWN)),
    };
}

enum db_step doc_row_find(struct db_conn *c, const struct doc_coll *coll, struct slice id,
                          bool is_locking, struct arena *a, struct doc_row *ret, struct err *e)
{
    if (!doc_id_is_good(id)) /* nor may every byte be asked for in a text */
        return DB_END;
    struct db_stmt *s = db_prepare_text(c, is_locking ? coll->sql_lock : coll->sql_get, e);
    if (!s)
        return DB_FAILED;
    db_bind_text(s, 1, id);
    enum db_step step = db_step(s, e);
    if (step == DB_ROW)
        doc_row_read(s, a, ret);
    db_reset(s);
    if (step == DB_ROW && !doc_text_public(coll, ret->body, ret->shown, a, &ret->shown, e))
        return DB_FAILED;
    return step;
}

bool doc_row_is_there(struct db_conn *c, const struct doc_coll *coll, struct slice id, bool *ret,
                      struct err *e)
{
    struct buf sql;
    buf_init(&sql, 1024);
    buf_printf(&sql, "SELECT 1 FROM c_%.*s WHERE id = ? AND deleted IS NULL",
               SLICE_ARGS(coll->name));
    struct db_stmt *s = db_prepare_text(c, buf_slice(&sql), e);
    buf_done(&sql);
    if (!s)
        return false;
    db_bind_text(s, 1, id);
    enum db_step step = db_step(s, e);
    *ret = step == DB_ROW;
    db_reset(s);
    return step != DB_FAILED;
}

#define RENDER_ARENA (256u << 20) /* a parsed document takes some times its text */

static bool render(const struct doc_coll *c, struct slice body, struct arena *a, struct slice *ret,
                   struct err *e)
{
    struct arena own;
    struct json_doc doc;
    struct buf b;
    arena_init(&own, RENDER_ARENA);
    buf_init(&b, DOC_BYTES_MAX);
    bool fine = json_parse(&doc, &own, body, &doc_stored_limits, e) ||
                err_set(e, ERR_IO, "A stored document is damaged; `dais verify` says which.");
    fine = fine && doc_text_shown(&b, c, json_root(&doc), e);
    if (fine)
        *ret = doc_row_text(a, buf_slice(&b));
    buf_done(&b);
    arena_done(&own);
    return fine;
}

bool doc_text_public(const struct doc_coll *c, struct slice body, struct slice shown,
                     struct arena *a, struct slice *ret, struct err *e)
{
    bool is_fine = shown.len && atomic_load(&c->is_shown_ready);
    *ret = is_fine ? shown : body;
    return !c->conf->hidden.n || is_fine || render(c, body, a, ret, e);
}

const struct json *doc_row_json(const struct doc_row *row, struct arena *a, struct err *e)
{
    struct json_doc doc;
    doc_arena_grow(a, row->body.len);
    if (!doc_parse(a, row->body, &doc_stored_limits, &doc, e)) {
        if (e->code == ERR_BODY_TOO_LARGE)
            return NULL;
        err_set(e, ERR_IO, "A stored document is damaged; `dais verify` says which.");
        return NULL;
    }
    return json_root(&doc);
}

struct doc doc_of_row(const struct doc_row *row)
{
    return (struct doc){.id = row->meta.id,
                        .text = row->shown.len ? row->shown : row->body,
                        .version = row->meta.version,
                        .is_trashed = row->deleted.len > 0};
}

bool doc_not_found(const struct doc_coll *c, struct slice id, struct err *e)
{
    return err_set(e, ERR_NOT_FOUND, "There is no document %.*s in %.*s.",
                   SLICE_ARGS(slice_first(id, DOC_ID_MAX)), SLICE_ARGS(c->name));
}
