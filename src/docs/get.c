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

bool docs_get(const struct docs_reading *r, const struct doc_coll *c, struct slice id,
              struct doc *ret, struct err *e)
{
    const struct query *rows;
    struct doc_row row;
    bool is_there = false;
    if (!authorize(r->who, &c->policy, ACTION_READ, r->arena, &rows, e))
        return false;
    enum db_step step = doc_row_find(r->conn, c, id, false, r->arena, &row, e);
    if (step == DB_FAILED)
        return false;
    if (step == DB_ROW && !row.deleted.len && !is_visible(r, rows, &row, &is_there, e))
        return false;
    if (!is_there)
        return doc_not_found(c, id, e);
    *ret = doc_of_row(&row);
    return true;
}
