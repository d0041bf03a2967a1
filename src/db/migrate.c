/* The schema's life: steps that run once each, in order, all or none of those that are new.
 *
 * The table dais_migrations has a row for each that was run, and row 0, which says that the
 * database is ours. A name that differs means that another program's steps were run here. */
#include "db/db_impl.h"

static const struct sql has_ours = {
    "SELECT count(*) FROM sqlite_master WHERE name = 'dais_migrations'",
    "SELECT count(*) FROM information_schema.tables"
    " WHERE table_schema = current_schema() AND table_name = 'dais_migrations'",
};
static const struct sql has_any = {
    "SELECT count(*) FROM sqlite_master",
    "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema()",
};
static const struct sql list_done = {
    "SELECT version, name FROM dais_migrations WHERE version > 0 ORDER BY version",
    NULL,
};
static const struct sql add_done = {
    "INSERT INTO dais_migrations (version, name, at) VALUES (?, ?, ?)",
    NULL,
};
static const char make_ours[] = "CREATE TABLE dais_migrations (version INTEGER PRIMARY KEY,"
                                " name TEXT NOT NULL, at BIGINT NOT NULL)";

static bool read_count(struct db_conn *c, const struct sql *sql, int64_t *ret, struct err *e)
{
    struct db_stmt *s = db_prepare(c, sql, e);
    if (!s)
        return false;
    enum db_step step = db_step(s, e);
    if (step == DB_ROW)
        *ret = db_i64(s, 0);
    db_reset(s);
    return step == DB_ROW;
}

static bool add_row(struct db_conn *c, int64_t version, const char *name, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &add_done, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, version);
    db_bind_text(s, 2, slice_from(name));
    db_bind_i64(s, 3, clock_wall_ms());
    return db_run(s, NULL, e);
}

bool db_is_ours(struct db_conn *c, bool *ret_ours, struct err *e)
{
    int64_t ours = 0, any = 0;
    if (!read_count(c, &has_ours, &ours, e))
        return false;
    *ret_ours = ours > 0;
    if (ours)
        return true;
    return read_count(c, &has_any, &any, e) &&
           (!any || err_set(e, ERR_USAGE,
                            "the database holds another program's tables; name one that is empty"));
}

static bool be_ours(struct db_conn *c, struct err *e)
{
    bool is_ours;
    if (!db_is_ours(c, &is_ours, e))
        return false;
    return is_ours || (c->driver->exec(c, make_ours, e) && add_row(c, 0, "dais", e));
}

/* Is there a step after the first `done` ones for this database? */
static bool has_more(const struct db_conn *c, const struct db_migration *migrations, unsigned done)
{
    return migrations[done].name && (!c->db->steps_max || done < c->db->steps_max);
}

static bool same_name(struct db_stmt *s, const struct db_migration *migrations, unsigned done,
                      struct err *e)
{
    if (db_i64(s, 0) == (int64_t)done + 1 && slice_is(db_text(s, 1), migrations[done].name))
        return true;
    return err_set(e, ERR_USAGE,
                   "the database's step %lld is '%.*s' and not '%s': it was made by a program with"
                   " other steps; use the one that made it, or another database",
                   (long long)db_i64(s, 0), SLICE_ARGS(slice_first(db_text(s, 1), 60)),
                   migrations[done].name);
}

/* How many were run; false also when one of them is not ours. */
static bool compare_done(struct db_conn *c, const struct db_migration *migrations, unsigned *ret,
                         struct err *e)
{
    unsigned done = 0;
    struct db_stmt *s = db_prepare(c, &list_done, e);
    if (!s)
        return false;
    enum db_step step;
    bool fine = true;
    while (fine && (step = db_step(s, e)) == DB_ROW) {
        if (has_more(c, migrations, done))
            fine = same_name(s, migrations, done, e);
        else
            fine = err_set(e, ERR_USAGE,
                           "the database was made by a newer dais (it knows the step '%.*s', this"
                           " one does not): run that version again, or restore a backup",
                           SLICE_ARGS(slice_first(db_text(s, 1), 60)));
        done++;
    }
    fine = fine && step == DB_END;
    db_reset(s);
    if (fine)
        *ret = done;
    return fine;
}

static bool run_new(struct db_conn *c, const struct db_migration *migrations, unsigned done,
                    struct err *e)
{
    for (unsigned i = done; has_more(c, migrations, i); i++) {
        bool is_common = db_is_sqlite(c->db) || !migrations[i].postgres;
        const char *text = is_common ? migrations[i].sqlite : migrations[i].postgres;
        if (!c->driver->exec(c, text, e) || !add_row(c, i + 1, migrations[i].name, e))
            return err_prefix(e, "the database's step '%s' failed", migrations[i].name);
    }
    return true;
}

/* Whoever only reads beside a server takes the database as it is. */
static bool is_whole(struct db_conn *c, const struct db_migration *migrations, struct err *e)
{
    int64_t ours = 0;
    unsigned done = 0;
    if (!read_count(c, &has_ours, &ours, e) || (ours && !compare_done(c, migrations, &done, e)))
        return false;
    if (!ours)
        return err_set(e, ERR_NOT_FOUND, "the database holds nothing yet");
    return c->db->is_any_age || !has_more(c, migrations, done) ||
           err_set(
               e, ERR_USAGE,
               "the database was not brought up to this version of dais yet: a start does that");
}

bool db_migrate(struct db_conn *c, const struct db_migration *migrations, struct err *e)
{
    unsigned done = 0;
    if (!c->driver->begin(c, e))
        return false;
    if (c->db->is_reader) {
        bool is_fine = is_whole(c, migrations, e);
        db_conn_reset_all(c);
        c->driver->rollback(c);
        return is_fine;
    }
    bool fine =
        be_ours(c, e) && compare_done(c, migrations, &done, e) && run_new(c, migrations, done, e);
    db_conn_reset_all(c);
    if (fine && c->driver->commit(c, e))
        return true;
    c->driver->rollback(c);
    return false;
}
