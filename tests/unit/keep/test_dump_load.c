/* Rows between databases and packed files: what is read is what there was at one moment, what is
 * written is what was read, byte for byte and in each database alike, and a file that says
 * otherwise is refused. */
#include "keep_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LONG (3u << 20)

static struct rig one, two;

static int file_of(struct rig *r, const char *name)
{
    int fd = open(arena_printf(&r->a, "%s/%s", r->folder, name).ptr,
                  O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

static struct keep_entry dump_to(struct rig *r, int fd, const struct keep_hearer *to)
{
    const struct keep_source from = {.tables = &rig_tables};
    struct keep_entry entry = {0};
    rig_open(r);
    OK(keep_dump(&from, r->db, fd, to, &r->a, &entry, &err));
    return entry;
}

/* ---- there and back ---------------------------------------------------------------------------
 */

struct thing {
    int64_t id;
    struct slice t, b; /* without a pointer: null */
    int64_t n;
};

static bool add_thing(void *arg, struct db_conn *c, struct err *e)
{
    static const struct sql sql = {"INSERT INTO dais_things (id, t, n, b) VALUES (?, ?, ?, ?)",
                                   NULL};
    const struct thing *x = arg;
    struct db_stmt *s = db_prepare(c, &sql, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, x->id);
    if (x->t.ptr)
        db_bind_text(s, 2, x->t);
    db_bind_i64(s, 3, x->n);
    if (x->b.ptr)
        db_bind_blob(s, 4, x->b);
    return db_run(s, NULL, e);
}

static void put_thing(struct rig *r, struct thing x)
{
    rig_open(r);
    OK(db_write_now(r->db, add_thing, &x, &err));
}

/* All bytes there are, the ends of numbers, a few long ones between many short ones. */
static void fill(struct rig *r)
{
    char every[256], *much = malloc(LONG);
    assert_non_null(much);
    for (int i = 0; i < 256; i++)
        every[i] = (char)i;
    for (size_t i = 0; i < LONG; i++)
        much[i] = (char)('a' + i * 7919 % 26);
    put_thing(r, (struct thing){1,
                                SLICE("\"\\/ \b\t\n\x01\x7f é 東京 \xf0\x9f\x90\xa6"),
                                {every, sizeof every},
                                INT64_MAX});
    put_thing(r, (struct thing){2, SLICE(""), SLICE(""), INT64_MIN});
    put_thing(r, (struct thing){3, {0}, {0}, 0});
    for (int i = 4; i < 9; i++)
        put_thing(r, (struct thing){i, {much, LONG}, {much, i % 2 ? LONG : 7}, i});
    rig_say(r, "WITH RECURSIVE k (i) AS (SELECT 9 UNION ALL SELECT i + 1 FROM k WHERE i < 2500)"
               " INSERT INTO dais_things (id, t, n) SELECT i, 'thing ' || i, -i FROM k");
    rig_say(r, "INSERT INTO dais_secrets (id, t) VALUES (1, 'nobody else''s')");
    put_thing(r, (struct thing){2501, {much, LONG}, {0}, 0});
    free(much);
}

static void make_collection(struct rig *r)
{
    rig_open(r);
    rig_say(r, db_is_sqlite(r->db)
                   ? "CREATE TABLE c_notes (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, version"
                     " BIGINT NOT NULL, owner TEXT, created TEXT NOT NULL, updated TEXT NOT NULL,"
                     " author TEXT, label TEXT, deleted TEXT, body TEXT NOT NULL, shown TEXT, k1"
                     " BLOB); CREATE TABLE mine (id INTEGER PRIMARY KEY)"
                   : "CREATE TABLE c_notes (id TEXT PRIMARY KEY, version BIGINT NOT NULL, owner"
                     " TEXT, created TEXT NOT NULL, updated TEXT NOT NULL, author TEXT, label TEXT,"
                     " deleted TEXT, body TEXT NOT NULL, shown TEXT, k1 BYTEA, words tsvector);"
                     " CREATE TABLE mine (id BIGINT PRIMARY KEY)");
    rig_say(r, "INSERT INTO c_notes (id, version, created, updated, body, shown) VALUES"
               " ('one', 3, 'then', 'now', '{\"id\":\"one\"}', '{}'),"
               " ('two', 1, 'then', 'then', '{\"id\":\"two\"}', NULL)");
}

static void make_history(struct rig *r)
{
    rig_say(r, "CREATE TABLE h_notes (id TEXT NOT NULL, version BIGINT NOT NULL, updated TEXT NOT"
               " NULL, author TEXT, label TEXT, body TEXT NOT NULL, PRIMARY KEY (id, version))");
}

/* The dump of what was loaded is the same file. */
static void there_and_back(bool from_sqlite, bool to_sqlite)
{
    rig_start(&one, from_sqlite);
    rig_start(&two, to_sqlite);
    fill(&one);
    make_collection(&one);
    int first = file_of(&one, "first"), second = file_of(&two, "second");
    struct keep_entry was = dump_to(&one, first, NULL);
    assert_int_equal(was.rows, 2501 + 2);
    assert_int_equal(was.is_sqlite, from_sqlite);
    OK(keep_load(&rig_tables, two.db, first, &was, NULL, NULL, &err));
    struct keep_entry is = dump_to(&two, second, NULL);
    assert_int_equal(is.rows, was.rows);
    assert_int_equal(is.tables, was.tables + 1); /* h_notes came with c_notes */
    assert_int_equal(rig_number(&two, "SELECT count(*) FROM c_notes WHERE shown IS NULL"), 2);
    assert_int_equal(rig_number(&two, "SELECT count(*) FROM dais_secrets"), 0);
    assert_int_equal(rig_number(&two, "SELECT count(*) FROM dais_things"), 2501);
    /* Now the same tables are there, and what was loaded first is as it was. */
    make_history(&one);
    was = dump_to(&one, file_of(&one, "third"), NULL);
    assert_string_equal(is.rows_hash, was.rows_hash);
    rig_stop(&one);
    rig_stop(&two);
}

static void sqlite_to_sqlite(void **state)
{
    (void)state;
    there_and_back(true, true);
}

static void sqlite_to_postgres(void **state)
{
    (void)state;
    there_and_back(true, false);
}

static void postgres_to_sqlite(void **state)
{
    (void)state;
    there_and_back(false, true);
}

static void postgres_to_postgres(void **state)
{
    (void)state;
    there_and_back(false, false);
}

/* ---- one moment -------------------------------------------------------------------------------
 */

struct writer {
    struct rig *rig;
    unsigned times;
};

/* Others write while it reads, into what it has read and what it has not, and do not wait. */
static void write_meanwhile(void *user, uint64_t rows, uint64_t contents, uint64_t contents_all)
{
    struct writer *w = user;
    (void)rows;
    (void)contents;
    (void)contents_all;
    rig_say(w->rig, "DELETE FROM h_notes; UPDATE dais_things SET t = 'new'; DELETE FROM dais_meta;"
                    " INSERT INTO dais_fields (collection, path, number, state)"
                    " SELECT 'c', 'p', count(*), 's' FROM dais_fields;"
                    " DELETE FROM dais_things WHERE id % 7 = 3");
    w->times++;
}

static void rows_are_of_one_moment(bool is_sqlite)
{
    rig_start(&one, is_sqlite);
    struct writer w = {.rig = &one};
    const struct keep_hearer to = {.progress = write_meanwhile, .user = &w};
    rig_say(&one, "WITH RECURSIVE k (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < 3000)"
                  " INSERT INTO dais_things (id, t, n) SELECT i, 'old', -i FROM k");
    make_history(&one);
    rig_say(&one, "INSERT INTO dais_meta (name, value) VALUES ('a', 'b'); INSERT INTO h_notes"
                  " (id, version, updated, body) VALUES ('x', 1, 'then', '{}')");
    struct keep_entry was = dump_to(&one, file_of(&one, "was"), NULL);
    struct keep_entry is = dump_to(&one, file_of(&one, "is"), &to);
    assert_true(w.times > 5);
    assert_int_equal(is.rows, 3002);
    assert_string_equal(was.rows_hash, is.rows_hash);
    is = dump_to(&one, file_of(&one, "later"), NULL);
    assert_string_not_equal(was.rows_hash, is.rows_hash);
    rig_stop(&one);
}

static void rows_are_of_one_moment_on_sqlite(void **state)
{
    (void)state;
    rows_are_of_one_moment(true);
}

static void rows_are_of_one_moment_on_postgres(void **state)
{
    (void)state;
    rows_are_of_one_moment(false);
}

static bool stop_now(void *user)
{
    (void)user;
    return true;
}

static void a_dump_can_be_stopped(void **state)
{
    const struct keep_source from = {.tables = &rig_tables};
    const struct keep_hearer to = {.should_stop = stop_now};
    struct keep_entry entry = {0};
    (void)state;
    rig_start(&one, true);
    rig_say(&one, "WITH RECURSIVE k (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < 3000)"
                  " INSERT INTO dais_things (id) SELECT i FROM k");
    NOT(keep_dump(&from, one.db, file_of(&one, "x"), &to, &one.a, &entry, &err), ERR_UNAVAILABLE);
    rig_stop(&one);
}

/* ---- what is refused --------------------------------------------------------------------------
 */

#define THINGS "{\"table\":\"dais_things\",\"columns\":[\"id\",\"t\"],\"kinds\":\"it\"}\n"
#define NOTES(table, columns, kinds) \
    "{\"table\":\"" table "\",\"columns\":[" columns "],\"kinds\":\"" kinds "\"}\n"

static bool load_text(const char *text)
{
    int fd = file_of(&two, "made");
    struct keep_entry entry = {0};
    struct pack_out *out = pack_out_new(fd);
    OK(pack_out_add(out, slice_from(text), &err));
    OK(pack_out_end(out, &entry.rows_bytes, entry.rows_hash, &err));
    pack_out_free(out);
    err = (struct err){0};
    bool fine = keep_load(&rig_tables, two.db, fd, &entry, NULL, NULL, &err);
    close(fd);
    return fine;
}

static void a_file_that_cannot_be_is_refused(bool is_sqlite)
{
    static const char *const texts[] = {
        "",
        "{\"tables\":1,\"rows\":0}\n",
        NOTES("dais_nothing", "\"id\"", "i"),
        NOTES("sqlite_master", "\"name\"", "t"),
        NOTES("pg_class", "\"relname\"", "t"),
        NOTES("dais_migrations", "\"name\"", "t"),
        NOTES("dais_secrets", "\"id\"", "i"),
        NOTES("dais_things", "\"id\",\"x\"", "it"),
        NOTES("dais_things", "\"id\",\"t\"", "ti"),
        NOTES("dais_things", "\"id\",\"b\"", "it"),
        NOTES("c_", "\"id\",\"body\"", "tt"),
        NOTES("c_abcdefghijklmnopqrstuvwxyzabcdefghijklmnop", "\"id\"", "t"),
        NOTES("c_1", "\"id\"", "t"),
        NOTES("c_notes", "\"id\",\"shown\"", "tt"),
        NOTES("c_notes", "\"n\"", "i"),
        NOTES("h_notes", "\"id\",\"owner\"", "tt"),
        THINGS "[1,\"a\"]\n[1,\"b\"]\n{\"end\":\"dais_things\",\"rows\":2}\n",
        THINGS "[null,null]\n[1,\"b\"]\n{\"end\":\"dais_things\",\"rows\":3}\n",
        THINGS "[1,\"a\"]\n{\"end\":\"dais_things\",\"rows\":1}\n",
        NOTES("c_notes", "\"id\"", "t") "[\"a\"]\n{\"end\":\"c_notes\",\"rows\":1}\n",
        NOTES("dais_blobs", "\"hash\"", "t") "[\"a\"]\n",
    };
    rig_start(&two, is_sqlite);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (load_text(texts[i]) || err.code != ERR_DAMAGED)
            fail_msg("%s: %s: %s", texts[i], err_slug(err.code), err.msg);
    }
    rig_say(&two, "DELETE FROM dais_things");
    OK(load_text(THINGS "[1,\"a\"]\n{\"end\":\"dais_things\",\"rows\":1}\n"
                        "{\"tables\":1,\"rows\":1}\n"));
    rig_stop(&two);
}

static void a_file_that_cannot_be_is_refused_by_sqlite(void **state)
{
    (void)state;
    a_file_that_cannot_be_is_refused(true);
}

static void a_file_that_cannot_be_is_refused_by_postgres(void **state)
{
    (void)state;
    a_file_that_cannot_be_is_refused(false);
}

static void rows_of_another_entry_are_refused(void **state)
{
    (void)state;
    rig_start(&one, true);
    rig_start(&two, true);
    int fd = file_of(&one, "x");
    struct keep_entry entry = dump_to(&one, fd, NULL);
    entry.rows_hash[5] = entry.rows_hash[5] == 'a' ? 'b' : 'a';
    NOT(keep_load(&rig_tables, two.db, fd, &entry, NULL, NULL, &err), ERR_DAMAGED);
    rig_stop(&one);
    rig_stop(&two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sqlite_to_sqlite),
        cmocka_unit_test(sqlite_to_postgres),
        cmocka_unit_test(postgres_to_sqlite),
        cmocka_unit_test(postgres_to_postgres),
        cmocka_unit_test(rows_are_of_one_moment_on_sqlite),
        cmocka_unit_test(rows_are_of_one_moment_on_postgres),
        cmocka_unit_test(a_dump_can_be_stopped),
        cmocka_unit_test(a_file_that_cannot_be_is_refused_by_sqlite),
        cmocka_unit_test(a_file_that_cannot_be_is_refused_by_postgres),
        cmocka_unit_test(rows_of_another_entry_are_refused),
    };
    return cmocka_run_group_tests(tests, rig_begin, rig_end);
}
