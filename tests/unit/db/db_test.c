/* The file, the table and the write that the tests of the database room share. */
#include "db_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

char folder[] = "/tmp/dais-db-XXXXXX";
char path[64];
struct err err;

const struct db_migration steps[] = {
    {"things", "CREATE TABLE things (id INTEGER PRIMARY KEY, t TEXT UNIQUE, b BLOB) STRICT", NULL},
    {0},
};
const struct sql by_id = {"SELECT t, b, id FROM things WHERE id = ?", NULL};
static const struct sql insert = {"INSERT INTO things (id, t, b) VALUES (?, ?, ?)", NULL};
const struct sql count_all = {"SELECT count(*) FROM things", NULL};

struct db *try_open(const struct db_migration *migrations, struct loops *loops)
{
    struct db_options o = {
        .path = path, .migrations = migrations, .loops = loops, .busy_ms = 50, .read_ms = 2000};
    err = (struct err){0};
    return db_open(&o, &err);
}

struct db *open_with(struct loops *loops)
{
    struct db *db = try_open(steps, loops);
    if (!db)
        fail_msg("%s", err.msg);
    return db;
}

void expect(enum err_code code, const char *words)
{
    if (err.code != code || !strstr(err.msg, words))
        fail_msg("not '%s' but %s: %s", words, err_slug(err.code), err.msg);
}

bool add_thing(void *arg, struct db_conn *c, struct err *e)
{
    const struct thing *x = arg;
    struct db_stmt *s = db_prepare(c, &insert, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, x->id);
    if (x->t.ptr)
        db_bind_text(s, 2, x->t);
    db_bind_blob(s, 3, x->b);
    int64_t changed = 0;
    return db_run(s, &changed, e) && changed == 1;
}

bool add(struct db *db, int64_t id, struct slice t)
{
    struct thing x = {id, t, SLICE("")};
    return db_write_now(db, add_thing, &x, &err);
}

int64_t read_count(struct db_conn *c)
{
    struct db_stmt *s = db_prepare(c, &count_all, &err);
    assert_non_null(s);
    assert_int_equal(db_step(s, &err), DB_ROW);
    int64_t n = db_i64(s, 0);
    db_reset(s);
    return n;
}

int64_t count(struct db *db)
{
    struct db_conn *c = db_conn_take(db, &err);
    assert_non_null(c);
    int64_t n = read_count(c);
    db_conn_give(c);
    return n;
}

int remove_files(void **state)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    (void)state;
    for (int i = 0; i < 3; i++) {
        char name[80];
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
    return 0;
}

int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/a.db", folder);
    return 0;
}

int remove_folder(void **state)
{
    remove_files(state);
    return rmdir(folder);
}
