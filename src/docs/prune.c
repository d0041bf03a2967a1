/* Empties the trash of what was in it for longer than the manifest says. */
#include "docs/tables_impl.h"

#define PRUNE_ROWS 100

struct pruning {
    struct docs *docs;
    struct doc_coll *coll;
    struct arena arena;
    char before[RFC3339_LEN + 1];
    struct slice ids[PRUNE_ROWS];
    size_t n;
};

static bool read_ids(struct pruning *p, struct db_conn *c, struct err *e)
{
    struct slice text = arena_printf(&p->arena,
                                     "SELECT id FROM c_%.*s WHERE deleted IS NOT NULL AND"
                                     " deleted < ? ORDER BY deleted, id LIMIT %d",
                                     SLICE_ARGS(p->coll->name), PRUNE_ROWS);
    struct db_stmt *s = db_prepare_text(c, text, e);
    enum db_step step;
    if (!s)
        return false;
    db_bind_text(s, 1, slice_from(p->before));
    for (p->n = 0; p->n < PRUNE_ROWS && (step = db_step(s, e)) == DB_ROW;)
        p->ids[p->n++] = arena_dup(&p->arena, db_text(s, 0));
    db_reset(s);
    return p->n == PRUNE_ROWS || step != DB_FAILED;
}

/* Looked at first: it may have been restored meanwhile. What is in the trash refers to nothing, and
 * nothing refers to it. */
static bool remove_one(struct pruning *p, struct db_conn *c, struct slice id, struct err *e)
{
    struct doc_row row;
    struct arena_mark mark = arena_mark(&p->arena);
    enum db_step step = doc_row_find(c, p->coll, id, true, &p->arena, &row, e);
    bool is_due =
        step == DB_ROW && row.deleted.len && slice_cmp(row.deleted, slice_from(p->before)) < 0;
    arena_rewind(&p->arena, mark);
    return is_due ? rows_remove(c, p->coll, id, e) : step != DB_FAILED;
}

static bool run_pruning(void *arg, struct db_conn *c, struct err *e)
{
    struct pruning *p = arg;
    for (size_t i = 0; i < p->n; i++) {
        if (!remove_one(p, c, p->ids[i], e))
            return false;
    }
    return true;
}

bool prune_some(struct docs *d, struct doc_coll *c, int64_t now_ms, bool *ret_done, struct err *e)
{
    struct pruning p = {.docs = d, .coll = c};
    int64_t before = now_ms - c->conf->trash_ms;
    *ret_done = true;
    if (before <= 0) /* the clock is not set yet */
        return true;
    struct db_conn *conn = db_conn_take(docs_db(d), e);
    if (!conn)
        return false;
    arena_init(&p.arena, 64u << 20);
    clock_rfc3339(before, p.before);
    bool fine = read_ids(&p, conn, e);
    db_conn_give(conn);
    fine = fine && (p.n == 0 || db_write_now(docs_db(d), run_pruning, &p, e));
    *ret_done = p.n < PRUNE_ROWS;
    arena_done(&p.arena);
    return fine;
}
