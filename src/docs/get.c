/* One document by its id. */
#include "docs/docs_impl.h"

/* Most rules leave everything, or what is one's own: neither needs the document parsed. */
static bool is_visible(const struct docs_reading *r, const struct query *rows,
                       const struct doc_row *row, bool *ret, struct err *e)
{
    *ret = true;
    if (rows->kind == QUERY_TRUE)
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
    const struct query *rows;
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

bool docs_get(const struct docs_reading *r, const struct doc_coll *c, struct slice id,
              struct doc *ret, struct err *e)
{
    struct doc_row row;
    if (!docs_row(r, c, id, &row, e))
        return false;
    *ret = doc_of_row(&row);
    return true;
}
