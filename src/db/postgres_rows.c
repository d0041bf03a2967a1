/* Postgres rows: values of the types that statements may give, in binary. */
#include "db/postgres_impl.h"

#define OID_BOOL    16
#define OID_BLOB    17
#define OID_NAME    19
#define OID_I64     20
#define OID_I16     21
#define OID_I32     23
#define OID_TEXT    25
#define OID_JSON    114
#define OID_CHARS   1042
#define OID_VARCHAR 1043
#define OID_NUMERIC 1700
#define OID_VOID    2278

static const struct pg_stmt *of_stmt(const struct db_stmt *s)
{
    return (const struct pg_stmt *)(const void *)s;
}

static bool is_bytes(Oid type)
{
    return type == OID_TEXT || type == OID_BLOB || type == OID_VARCHAR || type == OID_CHARS ||
           type == OID_NAME || type == OID_JSON || type == OID_VOID;
}

static bool is_number(Oid type)
{
    return type == OID_I64 || type == OID_I32 || type == OID_I16 || type == OID_BOOL ||
           type == OID_NUMERIC;
}

bool pg_rows_check(const PGresult *r, struct err *e)
{
    for (int i = 0; i < pq.PQnfields(r); i++) {
        Oid type = pq.PQftype(r, i);
        if (!is_bytes(type) && !is_number(type))
            return err_set(e, ERR_INTERNAL,
                           "column %d of a statement is of type %u: text, bytea and numbers can be"
                           " read",
                           i, type);
    }
    return true;
}

static struct slice value_at(const struct pg_stmt *s, int column)
{
    must(s->rows && s->row >= 0 && column < pq.PQnfields(s->rows));
    const char *ptr = pq.PQgetvalue(s->rows, s->row, column);
    return (struct slice){ptr, (size_t)pq.PQgetlength(s->rows, s->row, column)};
}

bool pg_is_null(const struct db_stmt *base, int column)
{
    const struct pg_stmt *s = of_stmt(base);
    return pq.PQgetisnull(s->rows, s->row, column);
}

int64_t pg_i64(const struct db_stmt *base, int column)
{
    const struct pg_stmt *s = of_stmt(base);
    struct slice bytes = value_at(s, column);
    Oid type = pq.PQftype(s->rows, column);
    int64_t n = 0;
    if (type == OID_NUMERIC)
        return pg_numeric_i64(bytes, &n) ? n : 0; /* sum() is one */
    if (!is_number(type) || !bytes.len)
        return 0;
    uint64_t value = bytes.ptr[0] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = 0; i < bytes.len; i++)
        value = value << 8 | (unsigned char)bytes.ptr[i];
    return (int64_t)value;
}

struct slice pg_bytes(const struct db_stmt *base, int column)
{
    const struct pg_stmt *s = of_stmt(base);
    if (pg_is_null(base, column))
        return SLICE("");
    must(is_bytes(pq.PQftype(s->rows, column))); /* a number is asked for as one */
    return value_at(s, column);
}

int64_t pg_changes(const struct db_stmt *base)
{
    uint64_t n = 0;
    const struct pg_stmt *s = of_stmt(base);
    slice_to_u64(slice_from(pq.PQcmdTuples(s->rows)), &n);
    return (int64_t)n;
}
