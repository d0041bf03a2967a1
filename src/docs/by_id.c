/* Many documents by their ids, some at a time: three statements, whatever the number of ids. */
#include "docs/list_impl.h"

static const size_t sizes[] = {1, 8, 64};

static bool tell(struct db_stmt *s, const struct by_id *b, struct arena *a, struct err *e)
{
    struct slice body = db_text(s, 1), shown;
    arena_reset(a);
    return doc_text_public(b->coll, body, db_text(s, 2), a, &shown, e) &&
           b->fn(b->user, db_text(s, 0), shown, body, e);
}

static bool read_rows(struct db_stmt *s, const struct by_id *b, struct err *e)
{
    struct arena a;
    enum db_step step;
    arena_init(&a, DOC_ARENA);
    while ((step = db_step(s, e)) == DB_ROW && tell(s, b, &a, e))
        ;
    arena_done(&a);
    return step == DB_END;
}

/* The last one again where there are fewer ids than marks. */
static bool read_some(struct db_conn *conn, const struct by_id *b, const struct slice *ids,
                      size_t n, size_t n_marks, struct err *e)
{
    struct buf sql;
    buf_init(&sql, 4096);
    buf_printf(&sql, "SELECT id, body, shown FROM c_%.*s WHERE deleted IS %sNULL AND id IN (",
               SLICE_ARGS(b->coll->name), b->is_trash ? "NOT " : "");
    for (size_t i = 0; i < n_marks; i++)
        buf_add_str(&sql, i ? ", ?" : "?");
    buf_add_char(&sql, ')');
    struct db_stmt *s = db_prepare_text(conn, buf_slice(&sql), e);
    buf_done(&sql);
    if (!s)
        return false;
    for (size_t i = 0; i < n_marks; i++)
        db_bind_text(s, 1 + (int)i, ids[i < n ? i : n - 1]);
    bool fine = read_rows(s, b, e);
    db_reset(s);
    return fine;
}

bool docs_by_id(struct db_conn *conn, const struct by_id *b, const struct slice *ids, size_t n,
                struct err *e)
{
    while (n > 0) {
        size_t size = 0;
        while (size + 1 < sizeof sizes / sizeof *sizes && sizes[size] < n)
            size++;
        size_t some = n < sizes[size] ? n : sizes[size];
        if (!read_some(conn, b, ids, some, sizes[size], e))
            return false;
        ids += some;
        n -= some;
    }
    return true;
}
