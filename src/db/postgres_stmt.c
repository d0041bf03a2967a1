/* Postgres statements: binding, preparing with the kinds of the values, running. */
#include "db/postgres_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OID_BLOB 17
#define OID_I64  20
#define OID_TEXT 25

#define TEXT_MAX  (256 << 10)
#define VALUE_MAX ((1 << 30) - 4096) /* of a value in Postgres */

static struct pg_stmt *of_stmt(struct db_stmt *s)
{
    return container_of(s, struct pg_stmt, base);
}

/* ---- life ---------------------------------------------------------------------------------- */

/* Nothing is sent: the kinds of the values are known when it is run. */
struct db_stmt *pg_prepare(struct db_conn *base, struct slice text, struct err *e)
{
    struct buf numbered;
    (void)base;
    buf_init(&numbered, TEXT_MAX);
    unsigned n = pg_number(text, &numbered);
    if (numbered.full || n > 65535) {
        buf_done(&numbered);
        err_set(e, ERR_INVALID, "the statement is too long");
        return NULL;
    }
    struct pg_stmt *s = mem_new(struct pg_stmt);
    s->n = n;
    s->text = buf_take(&numbered, NULL);
    s->values = mem_zalloc((n + 1) * sizeof *s->values);
    s->types = mem_zalloc((n + 1) * sizeof *s->types);
    return &s->base;
}

static bool is_prepared(const struct pg_stmt *s, const struct pg_conn *c)
{
    return s->life == c->life && s->name && c->handle;
}

/* Told with the next statement. */
static void forget_name(struct pg_stmt *s, struct pg_conn *c)
{
    if (is_prepared(s, c) && c->n_dead < DEAD_MAX)
        c->dead[c->n_dead++] = s->name;
    s->name = 0;
}

void pg_finalize(struct db_stmt *base)
{
    struct pg_stmt *s = of_stmt(base);
    forget_name(s, pg_of(base->conn));
    pq.PQclear(s->rows);
    free(s->types);
    free(s->values);
    free(s->text);
    free(s);
}

void pg_reset(struct db_stmt *base)
{
    struct pg_stmt *s = of_stmt(base);
    pq.PQclear(s->rows);
    s->rows = NULL;
    s->is_bad = false;
    memset(s->values, 0, s->n * sizeof *s->values);
}

/* ---- values -------------------------------------------------------------------------------- */

static struct pg_value *value_at(struct pg_stmt *s, int at)
{
    must(at >= 1 && (unsigned)at <= s->n);
    return &s->values[at - 1];
}

void pg_bind_bytes(struct db_stmt *base, int at, struct slice bytes, bool is_text)
{
    struct pg_stmt *s = of_stmt(base);
    *value_at(s, at) = (struct pg_value){.kind = is_text ? VALUE_TEXT : VALUE_BLOB, .bytes = bytes};
    if (bytes.len > VALUE_MAX)
        s->is_bad =
            !err_set(&s->bad, ERR_BODY_TOO_LARGE, "the value is too large for the database");
    else if (is_text && bytes.len && memchr(bytes.ptr, 0, bytes.len))
        s->is_bad = !err_set(&s->bad, ERR_INVALID, "the text holds a zero byte");
}

void pg_bind_i64(struct db_stmt *base, int at, int64_t n)
{
    struct pg_value *v = value_at(of_stmt(base), at);
    *v = (struct pg_value){.kind = VALUE_I64};
    for (int i = 0; i < 8; i++)
        v->number[i] = (char)((uint64_t)n >> (56 - 8 * i));
}

void pg_bind_null(struct db_stmt *base, int at)
{
    *value_at(of_stmt(base), at) = (struct pg_value){.kind = VALUE_NULL};
}

static Oid type_of(const struct pg_value *v)
{
    static const Oid types[] = {
        [VALUE_TEXT] = OID_TEXT, [VALUE_BLOB] = OID_BLOB, [VALUE_I64] = OID_I64};
    return types[v->kind];
}

/* NULL fits every type; a value only its own, also where a NULL had left the choice to Postgres. */
static bool fits(const struct pg_stmt *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        Oid type = type_of(&s->values[i]);
        if (type && type != s->types[i])
            return false;
    }
    return true;
}

/* ---- asking -------------------------------------------------------------------------------- */

static bool ask_dead(struct pg_conn *c)
{
    char text[40];
    for (; c->n_dead; c->n_dead--) {
        snprintf(text, sizeof text, "DEALLOCATE s%u", c->dead[c->n_dead - 1]);
        if (!pg_ask(c, ASK_PLAIN,
                    pq.PQsendQueryParams(c->handle, text, 0, NULL, NULL, NULL, NULL, 1)))
            return false;
    }
    return true;
}

static bool ask_prepare(struct pg_conn *c, struct pg_stmt *s)
{
    char name[16];
    c->lacks_prepared = false;
    if (is_prepared(s, c) && fits(s))
        return true;
    c->lacks_prepared = true;
    forget_name(s, c);
    for (unsigned i = 0; i < s->n; i++) {
        Oid type = type_of(&s->values[i]);
        if (type)
            s->types[i] = type;
    }
    s->life = c->life;
    s->name = ++c->names;
    snprintf(name, sizeof name, "s%u", s->name);
    return pg_ask(c, ASK_PREPARE, pq.PQsendPrepare(c->handle, name, s->text, (int)s->n, s->types));
}

#define FEW 16 /* values of a statement, as a rule */

static bool ask_run(struct pg_conn *c, struct pg_stmt *s)
{
    struct {
        const char *ptr[FEW];
        int len[FEW], format[FEW];
    } few;
    const char **ptr = few.ptr;
    int *len = few.len, *format = few.format;
    char name[16];
    if (s->n > FEW) {
        ptr = mem_alloc(s->n * sizeof *ptr);
        len = mem_alloc(s->n * 2 * sizeof *len);
        format = len + s->n;
    }
    for (unsigned i = 0; i < s->n; i++) {
        const struct pg_value *v = &s->values[i];
        bool is_number = v->kind == VALUE_I64;
        ptr[i] = is_number ? v->number : v->bytes.ptr ? v->bytes.ptr : "";
        if (v->kind == VALUE_NULL)
            ptr[i] = NULL;
        len[i] = is_number ? 8 : (int)v->bytes.len;
        format[i] = 1;
    }
    snprintf(name, sizeof name, "s%u", s->name);
    int sent = pq.PQsendQueryPrepared(c->handle, name, (int)s->n, ptr, len, format, 1);
    if (s->n > FEW) {
        free(ptr);
        free(len);
    }
    return pg_ask(c, ASK_RUN, sent);
}

/* All that this statement needs, in one go. */
static bool ask_all(struct pg_conn *c, struct pg_stmt *s)
{
    if (c->owes_rollback && !pg_ask_word(c, ASK_PLAIN, "ROLLBACK"))
        return false;
    if (c->owes_begin && !c->base.is_once && !pg_ask_begin(c))
        return false;
    c->owes_begin = c->base.is_once; /* none was begun, so there is none to end */
    c->owes_rollback = false;
    if (!ask_dead(c)) /* before a loose BEGIN they would be the transaction's first statement */
        return false;
    return ask_prepare(c, s) && ask_run(c, s) && pg_ask_sync(c) && pg_collect(c, &s->rows);
}

/* ---- running ------------------------------------------------------------------------------- */

/* A reader goes on in a new transaction: the old one can only be undone. */
static enum db_step failed(struct pg_conn *c, struct pg_stmt *s, struct err *e)
{
    if (e)
        *e = c->first;
    if (c->lacks_prepared)
        s->name = 0;
    else if (c->trouble ==
             PG_REDO) /* tables were changed: as it was prepared it never works again */
        forget_name(s, c);
    if (c->base.kind == CONN_LANE && c->handle) {
        c->owes_begin = true;
        c->owes_rollback = !c->base.is_once;
        c->trouble = PG_FINE;
    }
    return DB_FAILED;
}

static bool run(struct pg_conn *c, struct pg_stmt *s)
{
    bool is_first = c->owes_begin && !c->is_fresh;
    if (c->handle && ask_all(c, s))
        return s->rows != NULL;
    /* A connection that was kept and turns out to be gone: nothing was read yet. */
    if (!is_first || c->base.kind != CONN_LANE || !pg_connect(c, NULL))
        return false;
    c->trouble = PG_FINE;
    c->owes_begin = true;
    return ask_all(c, s) && s->rows;
}

static bool is_change(const char *tag)
{
    return strncmp(tag, "SELECT", 6) != 0;
}

static enum db_step first_step(struct pg_conn *c, struct pg_stmt *s, struct err *e)
{
    bool is_writer = c->base.kind == CONN_WRITER;
    if (s->is_bad) {
        if (e)
            *e = s->bad;
        if (is_writer && c->trouble == PG_FINE) { /* as if Postgres had refused it */
            c->trouble = PG_FAILED;
            c->first = s->bad;
        }
        return DB_FAILED;
    }
    if (is_writer && c->trouble != PG_FINE) {
        if (e)
            *e = c->first;
        return DB_FAILED;
    }
    if (!run(c, s))
        return failed(c, s, e);
    s->row = -1;
    s->n_rows = pq.PQntuples(s->rows);
    if (!pg_rows_check(s->rows, e)) {
        pq.PQclear(s->rows);
        s->rows = NULL;
        return DB_FAILED;
    }
    c->has_changed |= is_change(pq.PQcmdStatus(s->rows)) && pg_changes(&s->base) > 0;
    return DB_ROW;
}

enum db_step pg_step(struct db_stmt *base, struct err *e)
{
    struct pg_stmt *s = of_stmt(base);
    if (!s->rows && first_step(pg_of(base->conn), s, e) == DB_FAILED)
        return DB_FAILED;
    if (s->row + 1 >= s->n_rows)
        return DB_END;
    s->row++;
    return DB_ROW;
}
