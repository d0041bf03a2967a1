/* Which contents a backup needs, as its rows of dais_blobs say. */
#include "keep/keep_impl.h"

#include <unistd.h>

struct naming {
    struct keep_reader rows;
    size_t hash, key, size, loose_at; /* where these columns are */
};

static bool find_column(const struct keep_table *t, const char *name, enum keep_kind kind,
                        size_t *ret, struct err *e)
{
    for (size_t i = 0; i < t->n; i++) {
        if (slice_is(t->columns[i].name, name) && t->columns[i].kind == kind) {
            *ret = i;
            return true;
        }
    }
    return err_set(e, ERR_DAMAGED, "Its table of contents has no column %s as it should be.", name);
}

static bool find_columns(struct naming *n, struct err *e)
{
    const struct keep_table *t = &n->rows.table;
    return find_column(t, "hash", KIND_TEXT, &n->hash, e) &&
           find_column(t, "blob_key", KIND_TEXT, &n->key, e) &&
           find_column(t, "size", KIND_NUMBER, &n->size, e) &&
           find_column(t, "loose_at", KIND_NUMBER, &n->loose_at, e);
}

static bool is_good_row(const struct naming *n, struct err *e)
{
    const struct keep_cell *cells = n->rows.cells;
    return (keep_hash_check(cells[n->hash].bytes) && !cells[n->size].is_null &&
            cells[n->size].number >= 0) ||
           err_set(e, ERR_DAMAGED, "Its table of contents has a row that names none.");
}

/* *ret_more false: that was the table, or there is none. */
static bool next_line(struct naming *n, struct pack_in *in, enum keep_line *ret, bool *ret_more,
                      struct err *e)
{
    struct slice line;
    if (!pack_in_line(in, &line, ret_more, e))
        return false;
    if (!*ret_more)
        return err_set(e, ERR_DAMAGED, "The rows are cut off.");
    if (!keep_reader_line(&n->rows, line, ret, e))
        return false;
    *ret_more =
        *ret == LINE_ROW || (*ret == LINE_TABLE && slice_is(n->rows.table.name, "dais_blobs"));
    return true;
}

bool keep_each_content(int fd,
                       bool (*fn)(void *user, struct slice hash, struct slice key, uint64_t size,
                                  struct err *e),
                       void *user, struct err *e)
{
    struct naming n = {0};
    struct pack_in *in = pack_in_new(fd);
    enum keep_line is;
    bool fine = true, has_more = true;
    keep_reader_init(&n.rows);
    while (fine && (fine = next_line(&n, in, &is, &has_more, e)) && has_more) {
        const struct keep_cell *cells = n.rows.cells;
        if (is == LINE_TABLE)
            fine = find_columns(&n, e);
        else if (cells[n.loose_at].is_null)
            fine = is_good_row(&n, e) && fn(user, cells[n.hash].bytes, cells[n.key].bytes,
                                            (uint64_t)cells[n.size].number, e);
    }
    keep_reader_done(&n.rows);
    pack_in_free(in);
    return fine;
}
