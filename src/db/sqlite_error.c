/* What SQLite's codes mean to a person and to a caller. */
#include "db/sqlite_impl.h"

static const struct row {
    int code; /* extended, or primary for all of its kind */
    enum err_code err;
    const char *text;
} rows[] = {
    {SQLITE_CONSTRAINT_UNIQUE, ERR_EXISTS, "a value that must be unique is taken"},
    {SQLITE_CONSTRAINT_PRIMARYKEY, ERR_EXISTS, "a key that must be unique is taken"},
    {SQLITE_CONSTRAINT_ROWID, ERR_EXISTS, "a key that must be unique is taken"},
    {SQLITE_INTERRUPT, ERR_OVER_BUDGET, "the statement was ended: it takes too many steps"},
    {SQLITE_FULL, ERR_UNAVAILABLE, "the disk is full; make room, then try again"},
    {SQLITE_BUSY, ERR_UNAVAILABLE, "another process holds the database; try again soon"},
    {SQLITE_LOCKED, ERR_UNAVAILABLE, "the database is held just now; try again soon"},
    {SQLITE_READONLY, ERR_UNAVAILABLE, "the database cannot be written: it is read-only"},
    {SQLITE_PERM, ERR_UNAVAILABLE, "the database's file may not be opened"},
    {SQLITE_CANTOPEN, ERR_UNAVAILABLE, "the database's file cannot be opened"},
    {SQLITE_IOERR, ERR_UNAVAILABLE, "the disk failed to read or write the database"},
    {SQLITE_NOMEM, ERR_UNAVAILABLE, "the database found no memory; try again soon"},
    {SQLITE_PROTOCOL, ERR_UNAVAILABLE,
     "locks on the database do not work; is it on a network disk?"},
    {SQLITE_TOOBIG, ERR_BODY_TOO_LARGE, "the value is too large for the database"},
    {SQLITE_NOTADB, ERR_IO, "the file is not an SQLite database"},
    {SQLITE_CORRUPT, ERR_IO, "the database's file is damaged; restore a backup"},
};

static const struct row *find(int rc)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].code == rc || rows[i].code == (rc & 0xff))
            return &rows[i];
    }
    return NULL;
}

bool sqlite_fail(struct sqlite_conn *c, int rc, struct err *e)
{
    const struct row *row = find(rc);
    if (!row) /* our own mistake: the text helps us, nobody else */
        return err_set(e, ERR_INTERNAL, "the database refused a statement (%d): %s", rc,
                       sqlite3_errmsg(c->handle));
    if (row->code == SQLITE_INTERRUPT && c->is_late)
        return err_set(e, row->err, "the statement was ended: reading took more than %u ms",
                       c->base.db->read_ms);
    errno = sqlite3_system_errno(c->handle);
    if (errno && (row->code == SQLITE_CANTOPEN || row->code == SQLITE_IOERR))
        return err_set_sys(e, row->err, "%s", row->text);
    return err_set(e, row->err, "%s", row->text);
}
