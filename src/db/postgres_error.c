/* What Postgres' codes mean to a person, to a caller, and to the transaction. */
#include "db/postgres_impl.h"

#include <string.h>

static const struct row {
    char code[6]; /* five characters, or the first two for all of a class */
    enum err_code err;
    enum pg_trouble trouble;
    const char *text;
} rows[] = {
    {"23505", ERR_EXISTS, PG_FAILED, "a value that must be unique is taken"},
    {"57014", ERR_OVER_BUDGET, PG_FAILED, "the statement was ended: it took too long"},
    {"55P03", ERR_UNAVAILABLE, PG_FAILED, "another process holds the database; try again soon"},
    {"40001", ERR_UNAVAILABLE, PG_REDO, "others changed the same just now; try again"},
    {"40P01", ERR_UNAVAILABLE, PG_REDO, "others changed the same just now; try again"},
    {"0A000", ERR_UNAVAILABLE, PG_REDO, "the database's tables were changed just now; try again"},
    {"22021", ERR_INVALID, PG_FAILED, "the text holds a zero byte or is not UTF-8"},
    {"54", ERR_BODY_TOO_LARGE, PG_FAILED, "the value is too large for the database"},
    {"25006", ERR_UNAVAILABLE, PG_FAILED, "the database cannot be written: it is read-only"},
    {"25P02", ERR_UNAVAILABLE, PG_FAILED, "the transaction was undone; try again"},
    {"53100", ERR_UNAVAILABLE, PG_FAILED, "the disk is full; make room, then try again"},
    {"53200", ERR_UNAVAILABLE, PG_FAILED, "the database found no memory; try again soon"},
    {"53300", ERR_UNAVAILABLE, PG_LOST, "the database has too many connections; try again soon"},
    {"53", ERR_UNAVAILABLE, PG_FAILED, "the database is short of something; try again soon"},
    {"58", ERR_UNAVAILABLE, PG_FAILED, "the database's disk failed to read or write"},
    {"57P", ERR_UNAVAILABLE, PG_LOST, "the database is being stopped or started; try again soon"},
    {"25P03", ERR_UNAVAILABLE, PG_LOST, "the transaction took too long; try again"},
    {"08", ERR_UNAVAILABLE, PG_LOST, "the connection to the database was lost; try again soon"},
    {"42501", ERR_UNAVAILABLE, PG_FAILED, "the database's user lacks a right"},
    {"XX001", ERR_IO, PG_FAILED, "the database's files are damaged; restore a backup"},
    {"XX002", ERR_IO, PG_FAILED, "the database's files are damaged; restore a backup"},
};

static const struct row *find(const char *code)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strncmp(rows[i].code, code, strlen(rows[i].code)) == 0)
            return &rows[i];
    }
    return NULL;
}

/* Names of tables and columns help us; texts of values are nobody's business, so only those of our
 * own mistakes are kept, and only in the log. */
static void tell_log(const char *code, const char *text)
{
    bool is_ours = strncmp(code, "42", 2) == 0;
    log_line(LOG_ERROR, "the database refused a statement", F_CSTR("sqlstate", code),
             F_CSTR("reason", is_ours ? text : "-"));
}

enum pg_trouble pg_fail(const PGresult *r, unsigned read_ms, struct err *e)
{
    const char *code = pq.PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *text = pq.PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    const char *severity = pq.PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (!code)
        code = "08000"; /* libpq itself, not the server */
    const struct row *row = find(code);
    enum pg_trouble trouble = row ? row->trouble : PG_FAILED;
    if (severity && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0))
        trouble = PG_LOST;
    if (!row) {
        tell_log(code, text ? text : "-");
        err_set(e, ERR_INTERNAL, "the database refused a statement (%s); the log says more", code);
    } else if (row->err == ERR_OVER_BUDGET && read_ms) {
        err_set(e, row->err, "the statement was ended: reading took more than %u ms", read_ms);
    } else if (strcmp(row->code, "42501") == 0) {
        err_set(e, row->err, "%s: %s", row->text, text ? text : "-"); /* names a table */
    } else {
        err_set(e, row->err, "%s", row->text);
    }
    return trouble;
}
