/* Prepared statements: each connection prepares a text once and keeps it. */
#include "db/db_impl.h"

#include <stdlib.h>
#include <string.h>

static struct slice address_of(const struct sql *const *sql)
{
    return (struct slice){(const char *)sql, sizeof *sql};
}

static void stmt_free(struct db_stmt *s)
{
    char *text = s->text;
    s->conn->driver->finalize(s);
    free(text);
}

/* The one that was not used for the longest time goes. Those in use stay, however many. */
static void forget_oldest(struct db_conn *c)
{
    list_each (link, &c->texts) {
        struct db_stmt *s = container_of(link, struct db_stmt, link);
        if (list_is_linked(&s->busy))
            continue;
        list_remove(&s->link);
        map_remove(&c->by_text, slice_from(s->text));
        stmt_free(s);
        return;
    }
}

void db_conn_forget(struct db_conn *c)
{
    size_t at = 0;
    struct map *both[] = {&c->by_sql, &c->by_text};
    for (int i = 0; i < 2; i++, at = 0) {
        for (struct map_entry *entry; (entry = map_next(both[i], &at));)
            stmt_free(entry->value);
        map_done(both[i]);
        map_init(both[i]);
    }
    list_init(&c->texts);
}

static struct db_stmt *prepare(struct db_conn *c, struct slice text, struct err *e)
{
    struct db_stmt *s = c->driver->prepare(c, text, e);
    if (!s)
        return NULL;
    s->conn = c;
    list_init(&s->busy);
    list_init(&s->link);
    return s;
}

/* A reader's transaction begins with its first statement. */
static bool is_ready(struct db_conn *c, struct err *e)
{
    if (c->in_transaction)
        return true;
    must(c->kind != CONN_WRITER);
    c->seen = atomic_load(&c->db->commits); /* before: at worst it is renewed once too often */
    return c->driver->begin(c, e);
}

static struct db_stmt *take(struct db_conn *c, struct db_stmt *s)
{
    must(!list_is_linked(&s->busy));
    list_add(&c->busy, &s->busy);
    return s;
}

struct db_stmt *db_prepare(struct db_conn *c, const struct sql *sql, struct err *e)
{
    if (!is_ready(c, e))
        return NULL;
    struct db_stmt *s = map_find(&c->by_sql, address_of(&sql));
    if (s)
        return take(c, s);
    const char *text = db_is_sqlite(c->db) || !sql->postgres ? sql->sqlite : sql->postgres;
    s = prepare(c, slice_from(text), e);
    if (!s)
        return NULL;
    s->sql = sql;
    map_put(&c->by_sql, address_of(&s->sql), s);
    return take(c, s);
}

struct db_stmt *db_prepare_text(struct db_conn *c, struct slice text, struct err *e)
{
    if (!is_ready(c, e))
        return NULL;
    struct db_stmt *s = map_find(&c->by_text, text);
    if (s) {
        list_remove(&s->link);
        list_add(&c->texts, &s->link);
        return take(c, s);
    }
    s = prepare(c, text, e);
    if (!s)
        return NULL;
    if (c->by_text.len >= TEXTS_MAX)
        forget_oldest(c);
    s->text = mem_alloc(text.len + 1);
    memcpy(s->text, text.ptr, text.len);
    s->text[text.len] = '\0';
    map_put(&c->by_text, slice_from(s->text), s);
    list_add(&c->texts, &s->link);
    return take(c, s);
}

void db_reset(struct db_stmt *s)
{
    s->conn->driver->reset(s);
    list_remove(&s->busy);
}

bool db_run(struct db_stmt *s, int64_t *ret_changed, struct err *e)
{
    enum db_step step;
    do {
        step = db_step(s, e);
    } while (step == DB_ROW);
    if (step == DB_END && ret_changed)
        *ret_changed = s->conn->driver->changes(s);
    db_reset(s);
    return step == DB_END;
}

/* ---- straight to the driver ---------------------------------------------------------------- */

void db_bind_text(struct db_stmt *s, int at, struct slice text)
{
    s->conn->driver->bind_bytes(s, at, text, true);
}

void db_bind_blob(struct db_stmt *s, int at, struct slice bytes)
{
    s->conn->driver->bind_bytes(s, at, bytes, false);
}

void db_bind_i64(struct db_stmt *s, int at, int64_t n)
{
    s->conn->driver->bind_i64(s, at, n);
}

void db_bind_null(struct db_stmt *s, int at)
{
    s->conn->driver->bind_null(s, at);
}

enum db_step db_step(struct db_stmt *s, struct err *e)
{
    return s->conn->driver->step(s, e);
}

bool db_is_null(const struct db_stmt *s, int column)
{
    return s->conn->driver->is_null(s, column);
}

int64_t db_i64(const struct db_stmt *s, int column)
{
    return s->conn->driver->i64(s, column);
}

struct slice db_text(const struct db_stmt *s, int column)
{
    return s->conn->driver->bytes(s, column);
}

struct slice db_blob(const struct db_stmt *s, int column)
{
    return s->conn->driver->bytes(s, column);
}
