/* One document by its id. */
#include "docs/docs_impl.h"

bool doc_rule_of_owner(const struct query *rows, struct slice owner, bool *ret_holds)
{
    bool is_it = rows->kind == QUERY_TEST && rows->op == QUERY_EQ && rows->a.root == QUERY_DOC &&
                 rows->a.n_steps == 1 && slice_is(rows->a.steps[0], "owner") &&
                 rows->b.root == QUERY_LITERAL && json_type(rows->b.value) == JSON_STRING;
    if (is_it)
        *ret_holds = owner.len && slice_eq(owner, json_str(rows->b.value));
    return is_it;
}

/* Most rules leave everything, or what is one's own: neither needs the document parsed. */
static bool is_visible(const struct docs_reading *r, const struct query *rows,
                       const struct doc_row *row, bool *ret, struct err *e)
{
    *ret = true;
    if (rows->kind == QUERY_TRUE || doc_rule_of_owner(rows, row->meta.owner, ret))
        return true;
    const struct json *doc = doc_row_json(row, r->arena, e);
    if (!doc)
        return false;
    *ret = authorize_row(rows, doc);
    return true;
}

bool docs_row(const struct docs_reading *r, const struct doc_coll *c, struct slice id,
              struct doc_row *ret, struct err *e)
{
    const struct query *rows = NULL;
    bool is_there = false;
    if (!authorize(r->who, &c->policy, ACTION_READ, r->arena, &rows, e))
        return false;
    enum db_step step = doc_row_find(r->conn, c, id, false, r->arena, ret, e);
    if (step == DB_FAILED)
        return false;
    if (step == DB_ROW && !ret->deleted.len && !is_visible(r, rows, ret, &is_there, e))
        return false;
    return is_there || doc_not_found(c, id, e);
}

/* The busiest read: of the row only what is looked at is read, and only what is sent is copied. */
static bool read_doc(const struct docs_reading *r, const struct doc_coll *c,
                     const struct query *rows, const struct db_stmt *s, struct doc *ret,
                     bool *ret_is_there, struct err *e)
{
    const struct doc_row row = {.meta.owner = db_text(s, ROW_OWNER),
                                .body = db_text(s, ROW_BODY),
                                .shown = db_text(s, ROW_SHOWN)};
    if (!is_visible(r, rows, &row, ret_is_there, e))
        return false;
    if (!*ret_is_there)
        return true;
    struct slice text;
    if (!doc_text_public(c, row.body, row.shown, r->arena, &text, e))
        return false;
    ret->text = doc_row_text(r->arena, text);
    ret->version = db_i64(s, ROW_VERSION);
    return true;
}

bool docs_get(const struct docs_reading *r, const struct doc_coll *c, struct slice id,
              struct doc *ret, struct err *e)
{
    const struct query *rows = NULL;
    bool is_there = false, fine = true;
    if (!authorize(r->who, &c->policy, ACTION_READ, r->arena, &rows, e))
        return false;
    if (!doc_id_is_good(id)) /* nor may every byte be asked for in a text */
        return doc_not_found(c, id, e);
    struct db_stmt *s = db_prepare_text(r->conn, c->sql_get, e);
    if (!s)
        return false;
    db_bind_text(s, 1, id);
    enum db_step step = db_step(s, e);
    *ret = (struct doc){.id = id};
    if (step == DB_ROW && db_is_null(s, ROW_DELETED))
        fine = read_doc(r, c, rows, s, ret, &is_there, e);
    db_reset(s);
    if (step == DB_FAILED || !fine)
        return false;
    return is_there || doc_not_found(c, id, e);
}
