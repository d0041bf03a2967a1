/* Jobs are read: one by its id, and lists of them, newest first.
 *
 * Rules that say whose jobs they are choose the index that begins with the owner; others are asked
 * of each row. Either way a page looks at a bounded number of rows. */
#include "jobs/jobs_impl.h"

#include <string.h>

#define LOOKED_MAX  10000 /* rows, of a page */
#define LOOKED_LOOP 300   /* of these, on a loop */
#define CHUNK_MAX   512   /* rows of a statement */

static const struct sql find = {
    "SELECT " JOB_COLUMNS JOB_LIVE JOB_WHOLE " FROM dais_jobs WHERE id = ?", NULL};
static const struct sql newest = {
    "SELECT " JOB_COLUMNS JOB_LIVE JOB_BRIEF " FROM dais_jobs WHERE id < ?"
    " ORDER BY id DESC LIMIT ?",
    NULL,
};
static const struct sql newest_of = {
    "SELECT " JOB_COLUMNS JOB_LIVE JOB_BRIEF " FROM dais_jobs WHERE owner = ? AND id < ?"
    " ORDER BY id DESC LIMIT ?",
    NULL,
};

/* ---- one ------------------------------------------------------------------------------------- */

bool jobs_get(const struct jobs_reading *r, struct slice id, struct job_row *ret, struct err *e)
{
    struct job_full f;
    if (!job_id_is_good(id))
        return job_not_found(id, e);
    struct db_stmt *s = db_prepare(r->conn, &find, e);
    if (!s)
        return false;
    db_bind_text(s, 1, id);
    enum db_step step = db_step(s, e);
    if (step == DB_ROW)
        job_read(s, r->arena, &f);
    db_reset(s);
    if (step == DB_FAILED)
        return false;
    if (step == DB_END || !job_may_read(r->jobs, r->who, &f.row, r->arena))
        return job_not_found(id, e);
    *ret = f.row;
    return true;
}

bool jobs_may_see(const struct jobs_reading *r, const struct job_row *row)
{
    return job_may_read(r->jobs, r->who, row, r->arena);
}

/* ---- lists ----------------------------------------------------------------------------------- */

struct listing {
    const struct jobs_reading *r;
    const struct jobs_query *q;
    const struct query **rows; /* of each type, then of orphans; NULL: nothing */
    const struct json *owner;  /* of all of them */
    struct json_writer w;
    struct slice from; /* all that is told comes after it */
    uint32_t limit, n;
    size_t n_looked_at;
    bool is_done; /* nothing follows */
    bool is_full; /* something does */
};

/* The id of `owner = '…'`, when that is all that is left of a rule; NULL: it is another. */
static const struct json *owner_of(const struct query *rows)
{
    bool is_it = rows->kind == QUERY_TEST && rows->op == QUERY_EQ && rows->a.root == QUERY_DOC &&
                 rows->a.n_steps == 1 && slice_is(rows->a.steps[0], "owner") &&
                 rows->b.root == QUERY_LITERAL && json_type(rows->b.value) == JSON_STRING;
    return is_it ? rows->b.value : NULL;
}

/* Does everything that may be seen belong to one owner? */
static void find_owner(struct listing *l)
{
    bool is_one = true;
    for (size_t i = 0; is_one && i <= l->r->jobs->n_types; i++) {
        const struct json *owner = l->rows[i] ? owner_of(l->rows[i]) : NULL;
        if (!l->rows[i])
            continue;
        is_one = owner && (!l->owner || slice_eq(json_str(owner), json_str(l->owner)));
        l->owner = owner;
    }
    if (!is_one)
        l->owner = NULL;
}

static bool find_rules(struct listing *l, struct err *e)
{
    const struct jobs *j = l->r->jobs;
    bool any = false;
    struct err why = {0};
    l->rows = arena_zalloc(l->r->arena, (j->n_types + 1) * sizeof *l->rows);
    for (size_t i = 0; i <= j->n_types; i++) {
        const struct policy *p = i < j->n_types ? &j->types[i].policy : &j->orphans;
        struct slice name = i < j->n_types ? j->types[i].name : SLICE("");
        if (l->q->type.len && !slice_eq(name, l->q->type))
            continue;
        if (!authorize(l->r->who, p, ACTION_READ, l->r->arena, &l->rows[i], &why))
            l->rows[i] = NULL;
        any |= l->rows[i] != NULL;
    }
    if (!any && e)
        *e = why;
    find_owner(l);
    return any;
}

static bool state_is(struct slice wanted, enum job_state state)
{
    return !wanted.len || slice_is(wanted, job_state_name(state));
}

static bool check(const struct listing *l, struct err *e)
{
    const struct jobs_query *q = l->q;
    bool is_state = !q->state.len;
    for (int i = JOB_READY; i <= JOB_CANCELLED; i++)
        is_state |= state_is(q->state, (enum job_state)i);
    if (!is_state)
        return err_set(e, ERR_MALFORMED, "state: queued, running, succeeded, failed or cancelled.");
    if (q->limit > JOB_LIMIT_MAX)
        return err_set(e, ERR_MALFORMED, "limit: a page has at most %d jobs.", JOB_LIMIT_MAX);
    if (q->type.len && !job_type_find(l->r->jobs, q->type))
        return err_set(e, ERR_NOT_FOUND, "The app has no jobs of type %.*s.",
                       SLICE_ARGS(slice_first(q->type, 60)));
    if (q->after.len && !job_id_is_good(q->after))
        return err_set(e, ERR_MALFORMED, "after: take `next` of the page before as it is.");
    return true;
}

static bool is_visible(const struct listing *l, const struct job_row *row)
{
    const struct job_type *t = job_type_find(l->r->jobs, row->type);
    const struct query *rows = l->rows[t ? t->index : l->r->jobs->n_types];
    return state_is(l->q->state, row->state) && rows && job_matches(rows, row);
}

/* False: the page is full. */
static bool take(struct listing *l, const struct job_row *row)
{
    l->n_looked_at++;
    bool is_seen = is_visible(l, row);
    if (is_seen && l->n == l->limit) {
        l->is_full = true;
        return false;
    }
    if (is_seen) {
        json_write_object(&l->w);
        job_write(&l->w, row, false);
        json_write_object_end(&l->w);
        l->n++;
    }
    return true;
}

static bool look(struct listing *l, uint32_t chunk, struct err *e)
{
    enum db_step step = DB_END;
    struct job_full f;
    uint32_t seen = 0;
    int at = 1;
    char last[ID_LEN];
    struct db_stmt *s = db_prepare(l->r->conn, l->owner ? &newest_of : &newest, e);
    if (!s)
        return false;
    if (l->owner)
        db_bind_text(s, at++, json_str(l->owner));
    db_bind_text(s, at++, l->from);
    db_bind_i64(s, at, chunk);
    while (!l->is_full && (step = db_step(s, e)) == DB_ROW) {
        struct arena_mark mark = arena_mark(l->r->arena);
        job_read(s, l->r->arena, &f);
        seen++;
        if (take(l, &f.row))
            memcpy(last, f.row.id.ptr, ID_LEN);
        else
            seen--;
        arena_rewind(l->r->arena, mark);
    }
    db_reset(s);
    if (seen)
        l->from = arena_dup(l->r->arena, (struct slice){last, ID_LEN});
    l->is_done = !l->is_full && seen < chunk;
    return l->is_full || step != DB_FAILED;
}

static bool walk(struct listing *l, struct err *e)
{
    while (!l->is_done && !l->is_full) {
        if (l->r->is_on_loop && l->n_looked_at >= LOOKED_LOOP)
            return err_set(e, ERR_OVER_BUDGET, "This list takes too long here.");
        if (l->n_looked_at >= LOOKED_MAX)
            return true;
        if (!look(l, l->limit < CHUNK_MAX ? l->limit + 1 : CHUNK_MAX, e))
            return false;
    }
    return true;
}

static void write_next(struct listing *l)
{
    json_write_key(&l->w, SLICE("next"));
    if (l->is_done)
        json_write_null(&l->w);
    else
        json_write_str(&l->w, l->from);
}

bool jobs_list(const struct jobs_reading *r, const struct jobs_query *q, struct buf *to,
               struct err *e)
{
    struct listing l = {.r = r, .q = q, .limit = q->limit ? q->limit : JOB_LIMIT};
    size_t before = to->len;
    l.from = q->after.len ? q->after : SLICE("~"); /* behind all ids */
    if (!check(&l, e) || !find_rules(&l, e))
        return false;
    if (r->is_on_loop && l.limit > LOOKED_LOOP)
        return err_set(e, ERR_OVER_BUDGET, "This list takes too long here.");
    json_writer_init(&l.w, to, 0);
    json_write_object(&l.w);
    json_write_key(&l.w, SLICE("items"));
    json_write_array(&l.w);
    if (!walk(&l, e)) {
        buf_truncate(to, before);
        return false;
    }
    json_write_array_end(&l.w);
    write_next(&l);
    json_write_object_end(&l.w);
    json_writer_done(&l.w);
    return true;
}
