/* SQLite statements: binding, stepping, columns. */
#include "db/sqlite_impl.h"

#include <stdlib.h>

static struct sqlite_stmt *of_stmt(struct db_stmt *s)
{
    return container_of(s, struct sqlite_stmt, base);
}

static sqlite3_stmt *column_of(const struct db_stmt *s)
{
    return ((const struct sqlite_stmt *)(const void *)s)->stmt;
}

struct db_stmt *sqlite_prepare(struct db_conn *base, struct slice text, struct err *e)
{
    struct sqlite_conn *c = of_conn(base);
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v3(c->handle, text.ptr, (int)text.len, SQLITE_PREPARE_PERSISTENT,
                                &stmt, NULL);
    if (rc != SQLITE_OK) {
        sqlite_fail(c, rc, e);
        return NULL;
    }
    must(stmt); /* an empty text */
    struct sqlite_stmt *s = mem_new(struct sqlite_stmt);
    s->stmt = stmt;
    return &s->base;
}

void sqlite_finalize_stmt(struct db_stmt *base)
{
    struct sqlite_stmt *s = of_stmt(base);
    sqlite3_finalize(s->stmt);
    free(s);
}

/* Borrowed: binding allocates nothing, so that only the size can be wrong. */
void sqlite_bind_bytes(struct db_stmt *s, int at, struct slice bytes, bool is_text)
{
    const char *ptr = bytes.ptr ? bytes.ptr : "";
    int rc = is_text ? sqlite3_bind_text64(of_stmt(s)->stmt, at, ptr, bytes.len, SQLITE_STATIC,
                                           SQLITE_UTF8)
                     : sqlite3_bind_blob64(of_stmt(s)->stmt, at, ptr, bytes.len, SQLITE_STATIC);
    must(rc == SQLITE_OK || rc == SQLITE_TOOBIG);
    of_stmt(s)->is_too_large |= rc == SQLITE_TOOBIG;
}

void sqlite_bind_i64(struct db_stmt *s, int at, int64_t n)
{
    must(sqlite3_bind_int64(of_stmt(s)->stmt, at, n) == SQLITE_OK);
}

void sqlite_bind_nothing(struct db_stmt *s, int at)
{
    must(sqlite3_bind_null(of_stmt(s)->stmt, at) == SQLITE_OK);
}

enum db_step sqlite_step(struct db_stmt *base, struct err *e)
{
    struct sqlite_conn *c = of_conn(base->conn);
    /* A full disk undoes the whole transaction. What came after would be a transaction of its own.
     */
    if (c->base.kind == CONN_WRITER && sqlite3_get_autocommit(c->handle)) {
        err_set(e, ERR_UNAVAILABLE, "the transaction was undone; try again");
        return DB_FAILED;
    }
    int rc = of_stmt(base)->is_too_large ? SQLITE_TOOBIG : sqlite3_step(of_stmt(base)->stmt);
    if (rc == SQLITE_ROW)
        return DB_ROW;
    if (rc == SQLITE_DONE)
        return DB_END;
    sqlite_fail(c, rc, e);
    return DB_FAILED;
}

int64_t sqlite_changes(const struct db_stmt *s)
{
    return sqlite3_changes64(of_conn(s->conn)->handle);
}

void sqlite_reset_stmt(struct db_stmt *s)
{
    sqlite3_reset(of_stmt(s)->stmt);
    sqlite3_clear_bindings(of_stmt(s)->stmt); /* what was borrowed may go */
    of_stmt(s)->is_too_large = false;
}

bool sqlite_is_null(const struct db_stmt *s, int column)
{
    return sqlite3_column_type(column_of(s), column) == SQLITE_NULL;
}

int64_t sqlite_i64(const struct db_stmt *s, int column)
{
    return sqlite3_column_int64(column_of(s), column);
}

/* Text or blob alike: never converted, so asking for the blob gives the bytes that are stored. */
struct slice sqlite_bytes(const struct db_stmt *s, int column)
{
    const char *ptr = sqlite3_column_blob(column_of(s), column);
    if (!ptr)
        return SLICE("");
    return (struct slice){ptr, (size_t)sqlite3_column_bytes(column_of(s), column)};
}
