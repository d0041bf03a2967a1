/* What backups need of a database, on SQLite and on Postgres: an older program's tables, all rows
 * of one moment, and one database in another's place, however that is interrupted. */
#include "db/db_impl.h"
#include "pg.h"
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct pg_server server;
static char folder[] = "/tmp/dais-backup-XXXXXX";
static char path[64], schema[20];
static struct arena arena;
static struct err err;

static const struct db_migration steps[] = {
    {"one", "CREATE TABLE dais_a (id INTEGER PRIMARY KEY, t TEXT, n BIGINT, b BLOB)",
     "CREATE TABLE dais_a (id BIGINT PRIMARY KEY, t TEXT, n BIGINT, b BYTEA, w tsvector)"},
    {"two", "CREATE TABLE dais_b (id INTEGER PRIMARY KEY); INSERT INTO dais_b VALUES (7)",
     "CREATE TABLE dais_b (id INTEGER PRIMARY KEY); INSERT INTO dais_b VALUES (7)"},
    {"three", "CREATE VIRTUAL TABLE f_a USING fts5(x); CREATE VIEW v AS SELECT 1 AS id",
     "CREATE VIEW v AS SELECT 1 AS id"},
    {0},
};

#define OK(call)                                \
    do {                                        \
        if (!(call))                            \
            fail_msg("%s: %s", #call, err.msg); \
    } while (0)
#define NOT(call, is)                                                     \
    do {                                                                  \
        err = (struct err){0};                                            \
        assert_false(call);                                               \
        if (err.code != (is))                                             \
            fail_msg("%s is %s: %s", #call, err_slug(err.code), err.msg); \
    } while (0)

/* ---- the databases ----------------------------------------------------------------------------
 */

/* A file or schema of its own for each test. */
static int set_up(void **state)
{
    static unsigned n;
    (void)state;
    n++;
    snprintf(path, sizeof path, "%s/%u.db", folder, n);
    snprintf(schema, sizeof schema, "app \"%u\"'s", n);
    return 0;
}

static struct db_options options_of(bool is_sqlite)
{
    return (struct db_options){.url = is_sqlite ? SLICE("") : slice_from(server.url),
                               .path = path,
                               .schema = slice_from(schema),
                               .migrations = steps,
                               .busy_ms = 200,
                               .read_ms = 60000,
                               .writers = 1};
}

static struct db *open_it(const struct db_options *o)
{
    err = (struct err){0};
    struct db *db = db_open(o, &err);
    if (!db)
        fail_msg("%s", err.msg);
    return db;
}

static void say(struct db *db, const char *many)
{
    const char *const texts[] = {many, NULL};
    OK(db_run_alone(db, texts, &err));
}

static int64_t number(struct db *db, const char *sql)
{
    struct db_conn *c = db_conn_take(db, &err);
    struct db_stmt *s = c ? db_prepare_text(c, slice_from(sql), &err) : NULL;
    if (!s || db_step(s, &err) != DB_ROW)
        fail_msg("%s: %s", sql, err.msg);
    int64_t n = db_i64(s, 0);
    db_reset(s);
    db_conn_give(c);
    return n;
}

/* With `n` rows in dais_a, each of `mark`. */
static void make_it(const struct db_options *o, int mark, int n)
{
    char text[300];
    struct db *db = open_it(o);
    snprintf(text, sizeof text,
             "DELETE FROM dais_a; WITH RECURSIVE k (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k"
             " WHERE i < %d) INSERT INTO dais_a (id, t, n) SELECT i, 'text ' || i, %d FROM k",
             n, mark);
    say(db, text);
    db_close(db);
}

/* Which one it is: all of its rows say so. */
static int64_t mark_of(const struct db_options *o, int64_t *ret_n)
{
    struct db *db = open_it(o);
    int64_t mark = number(db, "SELECT min(n) FROM dais_a");
    assert_int_equal(number(db, "SELECT max(n) FROM dais_a"), mark);
    *ret_n = number(db, "SELECT count(*) FROM dais_a");
    if (db_is_sqlite(db))
        assert_int_equal(
            number(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"),
            1);
    db_close(db);
    return mark;
}

static bool is_file(const char *end)
{
    char name[100];
    struct stat st;
    snprintf(name, sizeof name, "%s%s", path, end);
    return lstat(name, &st) == 0;
}

#define BOTH(test)                           \
    static void test##_on_sqlite(void **s)   \
    {                                        \
        (void)s;                             \
        test(true);                          \
    }                                        \
    static void test##_on_postgres(void **s) \
    {                                        \
        (void)s;                             \
        test(false);                         \
    }

/* ---- an older program -------------------------------------------------------------------------
 */

static void tables_are_those_of_the_first_steps(bool is_sqlite)
{
    struct db_options o = options_of(is_sqlite);
    o.steps_max = 1;
    struct db *db = open_it(&o);
    struct db_conn *c = db_conn_take(db, &err);
    struct slice *names;
    struct db_table *tables;
    size_t n;
    OK(db_steps(c, &arena, &names, &n, &err));
    assert_int_equal(n, 1);
    assert_true(slice_is(names[0], "one"));
    OK(db_tables(c, &arena, &tables, &n, &err));
    assert_int_equal(n, 1);
    db_conn_give(c);
    db_close(db);
    o.steps_max = 0;
    o.is_reader = true;
    NOT(db_open(&o, &err), ERR_USAGE); /* not all of its steps */
    o.is_any_age = true;
    db_close(open_it(&o));
    o.is_reader = o.is_any_age = false;
    db = open_it(&o);
    assert_int_equal(number(db, "SELECT id FROM dais_b"), 7);
    db_close(db);
    o.steps_max = 1;
    NOT(db_open(&o, &err), ERR_USAGE); /* it has more */
}
BOTH(tables_are_those_of_the_first_steps)

static void what_is_not_there_cannot_be_read(bool is_sqlite)
{
    struct db_options o = options_of(is_sqlite);
    o.is_reader = true;
    NOT(db_open(&o, &err), ERR_NOT_FOUND);
    assert_false(is_file(""));
}
BOTH(what_is_not_there_cannot_be_read)

static void tables_have_their_columns(bool is_sqlite)
{
    static const char *const names[] = {"id", "t", "n", "b"};
    static const enum db_type types[] = {DB_NUMBER, DB_TEXT, DB_NUMBER, DB_BYTES};
    struct db_options o = options_of(is_sqlite);
    struct db *db = open_it(&o);
    struct db_conn *c = db_conn_take(db, &err);
    struct db_table *tables;
    size_t n;
    OK(db_tables(c, &arena, &tables, &n, &err));
    assert_int_equal(n, 2); /* no view, no index of words, no list of steps */
    assert_true(slice_is(tables[0].name, "dais_a"));
    assert_true(slice_is(tables[1].name, "dais_b"));
    assert_int_equal(tables[0].n, 4); /* no tsvector */
    for (int i = 0; i < 4; i++) {
        assert_true(slice_is(tables[0].columns[i].name, names[i]));
        assert_int_equal(tables[0].columns[i].type, types[i]);
    }
    db_conn_give(c);
    db_close(db);
}
BOTH(tables_have_their_columns)

/* ---- rows -------------------------------------------------------------------------------------
 */

static int64_t sum_rows(struct db_conn *c, const char *where, const char *between,
                        struct db *writer)
{
    static struct db_column columns[] = {{SLICE_INIT("n"), DB_NUMBER}, {SLICE_INIT("t"), DB_TEXT}};
    const struct db_table t = {.name = SLICE("dais_a"), .columns = columns, .n = 2};
    enum db_step step;
    int64_t sum = 0;
    struct db_rows *rows = db_rows_open(c, &t, where, &err);
    assert_non_null(rows);
    for (int i = 0; (step = db_rows_next(rows, &err)) == DB_ROW; i++) {
        sum += db_i64(db_rows_at(rows), 0) * (int64_t)db_text(db_rows_at(rows), 1).len;
        if (between && i % 500 == 3)
            say(writer, between);
    }
    assert_int_equal(step, DB_END);
    db_rows_close(rows);
    return sum;
}

/* Also after the first table was read, and with writes in between. */
static void all_rows_are_of_one_moment(bool is_sqlite)
{
    struct db_options o = options_of(is_sqlite);
    make_it(&o, 1, 1);
    struct db *db = open_it(&o);
    say(db, "DELETE FROM dais_a; WITH RECURSIVE k (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k"
            " WHERE i < 2000) INSERT INTO dais_a (id, t, n)"
            " SELECT i, substr('some text some text', 1, 1 + i % 7), i % 11 FROM k");
    int64_t sum = number(db, "SELECT sum(n * length(t)) FROM dais_a");
    struct db_conn *c = db_conn_take(db, &err);
    const char *change = "UPDATE dais_a SET n = 3; DELETE FROM dais_a WHERE id % 3 = 0";
    assert_int_equal(sum_rows(c, NULL, change, db), sum);
    assert_int_equal(sum_rows(c, NULL, change, db), sum);
    assert_int_equal(sum_rows(c, "id > 5000", NULL, NULL), 0);
    assert_true(sum_rows(c, "id % 2 = 0", NULL, NULL) < sum);
    db_conn_give(c);
    assert_int_not_equal(number(db, "SELECT sum(n * length(t)) FROM dais_a"), sum);
    db_close(db);
}
BOTH(all_rows_are_of_one_moment)

/* ---- another's place ---------------------------------------------------------------------------
 */

static struct db_options beside(const struct db_options *place)
{
    struct db_options made;
    db_beside(place, &arena, &made);
    return made;
}

static void one_takes_anothers_place(bool is_sqlite)
{
    struct db_options place = options_of(is_sqlite), made = beside(&place);
    int64_t n;
    make_it(&made, 5, 500); /* into an empty place */
    OK(db_replace(&made, &place, &err));
    assert_int_equal(mark_of(&place, &n), 5);
    assert_int_equal(n, 500);
    make_it(&made, 6, 60);
    OK(db_replace(&made, &place, &err));
    assert_int_equal(mark_of(&place, &n), 6);
    assert_int_equal(n, 60);
    assert_false(is_file(".restored"));
    made.is_reader = true;
    NOT(db_open(&made, &err), ERR_NOT_FOUND);
}
BOTH(one_takes_anothers_place)

static void one_that_was_left_is_dropped(bool is_sqlite)
{
    struct db_options place = options_of(is_sqlite), made = beside(&place);
    int64_t n;
    make_it(&place, 1, 10);
    make_it(&made, 2, 20);
    OK(db_drop(&made, &err));
    OK(db_drop(&made, &err));
    assert_int_equal(mark_of(&place, &n), 1);
    made.is_reader = true;
    NOT(db_open(&made, &err), ERR_NOT_FOUND);
}
BOTH(one_that_was_left_is_dropped)

static void what_is_in_use_stays(bool is_sqlite)
{
    struct db_options place = options_of(is_sqlite), made = beside(&place);
    int64_t n;
    make_it(&place, 1, 10);
    make_it(&made, 2, 20);
    if (is_sqlite) {
        pid_t pid = fork(); /* another process: it sleeps until it is killed */
        if (!pid) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            struct db *db = db_open(&place, &err);
            struct db_conn *c = db ? db_conn_take(db, &err) : NULL;
            struct db_stmt *s = c ? db_prepare_text(c, SLICE("SELECT n FROM dais_a"), &err) : NULL;
            if (s && db_step(s, &err) == DB_ROW)
                kill(getpid(), SIGSTOP);
            _exit(1);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        assert_true(WIFSTOPPED(status));
        NOT(db_replace(&made, &place, &err), ERR_LOCKED);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        assert_int_equal(mark_of(&place, &n), 1);
    }
    OK(db_replace(&made, &place, &err));
    assert_int_equal(mark_of(&place, &n), 2);
}
BOTH(what_is_in_use_stays)

static void anothers_tables_stay(bool is_sqlite)
{
    struct db_options place = options_of(is_sqlite), made = beside(&place);
    make_it(&place, 1, 10);
    make_it(&made, 2, 20);
    struct db *db = open_it(&place);
    say(db, "DROP TABLE dais_migrations");
    db_close(db);
    NOT(db_replace(&made, &place, &err), ERR_USAGE);
    NOT(db_open(&place, &err), ERR_USAGE);
}
BOTH(anothers_tables_stay)

/* What is beside may be somebody's: a schema can be called as they like. */
static void anothers_schema_beside_stays(void **state)
{
    struct db_options place = options_of(false), made = beside(&place);
    (void)state;
    make_it(&made, 1, 10);
    struct db *db = open_it(&made);
    say(db, "DROP TABLE dais_migrations");
    db_close(db);
    NOT(db_drop(&made, &err), ERR_USAGE);
    NOT(db_open(&made, &err), ERR_USAGE); /* its tables are still there */
}

/* The log of one that was killed holds what it wrote last. */
static void leave_a_log(const struct db_options *o, int mark, int n)
{
    pid_t pid = fork();
    if (!pid) {
        char text[200];
        const char *const texts[] = {text, NULL};
        struct db *db = db_open(o, &err);
        snprintf(text, sizeof text,
                 "UPDATE dais_a SET n = %d, t = 'later'; DELETE FROM dais_a"
                 " WHERE id > %d",
                 mark, n);
        _exit(db && db_run_alone(db, texts, &err) ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void an_old_log_is_not_applied_to_the_new_file(void **state)
{
    struct db_options place = options_of(true), made = beside(&place);
    int64_t n;
    (void)state;
    make_it(&place, 1, 3000);
    leave_a_log(&place, 2, 2000);
    assert_true(is_file("-wal"));
    make_it(&made, 3, 3000);
    OK(db_replace(&made, &place, &err));
    assert_false(is_file("-wal"));
    assert_int_equal(mark_of(&place, &n), 3);
    assert_int_equal(n, 3000);
}

static void damage(const char *end, off_t at)
{
    char name[100];
    snprintf(name, sizeof name, "%s%s", path, end);
    int fd = open(name, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "no database at all", 18, at), 18);
    close(fd);
}

static void a_damaged_file_is_replaced_and_kept(void **state)
{
    struct db_options place = options_of(true), made = beside(&place);
    int64_t n;
    (void)state;
    for (int i = 0; i < 2; i++) {
        make_it(&place, 1, 3000);
        leave_a_log(&place, 2, 2000);
        damage("", 0);
        damage("-wal", 40); /* else the log would mend it */
        make_it(&made, 3, 30);
        OK(db_replace(&made, &place, &err));
        assert_int_equal(mark_of(&place, &n), 3);
        assert_true(is_file(".damaged"));
        assert_true(is_file(".damaged-wal"));
    }
}

/* The first one failed, or was killed, after it had moved the log: the next keeps that as well. */
static void a_damaged_file_keeps_its_log_again(void **state)
{
    struct db_options place = options_of(true), made = beside(&place);
    char damaged[100], log[2][100];
    int64_t n;
    (void)state;
    make_it(&place, 1, 3000);
    leave_a_log(&place, 2, 2000);
    damage("", 0);
    damage("-wal", 40);
    snprintf(damaged, sizeof damaged, "%s.damaged", path);
    snprintf(log[0], sizeof log[0], "%s-wal", path);
    snprintf(log[1], sizeof log[1], "%s.damaged-wal", path);
    assert_int_equal(link(path, damaged), 0);
    assert_int_equal(rename(log[0], log[1]), 0);
    make_it(&made, 3, 30);
    OK(db_replace(&made, &place, &err));
    assert_int_equal(mark_of(&place, &n), 3);
    assert_true(is_file(".damaged") && is_file(".damaged-wal"));
}

static void who_may_use_the_old_one_may_use_the_new_one(void **state)
{
    struct db_options place = options_of(true), made = beside(&place);
    struct stat st;
    (void)state;
    make_it(&place, 1, 1);
    make_it(&made, 2, 2);
    assert_int_equal(chmod(path, 0640), 0);
    if (geteuid() == 0)
        assert_int_equal(chown(path, 65534, 65534), 0);
    OK(db_replace(&made, &place, &err));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    if (geteuid() == 0)
        assert_int_equal(st.st_uid, 65534);
}

/* Replaces in a process that is killed after so long; 0: it is waited for. How long it took. */
static int64_t replace_for(const struct db_options *made, const struct db_options *place,
                           int64_t for_ns)
{
    int64_t began = clock_mono_ns();
    int status;
    pid_t pid = fork();
    if (!pid)
        _exit(db_replace(made, place, &err) ? 0 : 1);
    if (for_ns)
        nanosleep(&(struct timespec){.tv_sec = for_ns / 1000000000, .tv_nsec = for_ns % 1000000000},
                  NULL);
    if (for_ns)
        kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(for_ns || status == 0);
    return clock_mono_ns() - began;
}

/* kill -9 at any moment: one or the other, whole. */
#define ROUNDS 24
static void killed_at_any_moment(bool is_sqlite)
{
    struct db_options place = options_of(is_sqlite), made = beside(&place);
    int64_t n, whole_ns = 0, was_new = 0, was_old = 0;
    for (int i = 0; i <= ROUNDS; i++) {
        OK(db_drop(&made, &err));
        make_it(&place, 1, 3000);
        if (is_sqlite)
            leave_a_log(&place, 2, 2000);
        make_it(&made, 3, 500);
        int64_t for_ns = i == 1 ? 1 : whole_ns * i * 3 / (2 * ROUNDS); /* one before it began */
        int64_t took = replace_for(&made, &place, for_ns);
        whole_ns = whole_ns ? whole_ns : took;
        int64_t mark = mark_of(&place, &n);
        was_new += mark == 3 && n == 500;
        was_old += is_sqlite ? mark == 2 && n == 2000 : mark == 1 && n == 3000;
        assert_int_equal(was_new + was_old, i + 1);
    }
    assert_true(was_old > 0);
}
BOTH(killed_at_any_moment)

/* ---- names ------------------------------------------------------------------------------------
 */

static void names_beside_are_others(void **state)
{
    struct db_options o = {.url = SLICE("sqlite:////var/lib/a.db"), .path = "ignored"};
    char name[64];
    (void)state;
    assert_string_equal(beside(&o).path, "//var/lib/a.db.restored");
    assert_int_equal(beside(&o).url.len, 0);
    o = (struct db_options){.path = "data/a.db"};
    assert_string_equal(beside(&o).path, "data/a.db.restored");
    o = (struct db_options){.url = SLICE("postgres://x"), .schema = SLICE("notes")};
    assert_true(slice_is(beside(&o).schema, "notes_restored"));
    assert_true(slice_is(beside(&o).url, "postgres://x"));
    o.schema = SLICE("");
    assert_true(slice_is(beside(&o).schema, "public_restored"));
    memset(name, 'x', sizeof name);
    for (size_t n = 50; n < 64; n++) {
        o.schema = (struct slice){name, n};
        assert_true(beside(&o).schema.len <= 63);
        assert_true(slice_ends(beside(&o).schema, SLICE("_restored")));
    }
}

/* ---- all --------------------------------------------------------------------------------------
 */

static int begin(void **state)
{
    (void)state;
    pg_server_make(&server);
    arena_init(&arena, 16u << 20);
    return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
    char text[100];
    (void)state;
    arena_done(&arena);
    snprintf(text, sizeof text, "%s", folder);
    for (unsigned i = 0; i < 100; i++) {
        static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
        for (int k = 0; k < 12; k++) {
            snprintf(text, sizeof text, "%s/%u.db%s%s", folder, i,
                     k < 4   ? ""
                     : k < 8 ? ".restored"
                             : ".damaged",
                     ends[k % 4]);
            unlink(text);
        }
    }
    return rmdir(folder);
}

#define T(test) cmocka_unit_test_setup(test, set_up)
#define B(test) T(test##_on_sqlite), T(test##_on_postgres)
int main(void)
{
    const struct CMUnitTest tests[] = {
        B(tables_are_those_of_the_first_steps),
        B(what_is_not_there_cannot_be_read),
        B(tables_have_their_columns),
        B(all_rows_are_of_one_moment),
        B(one_takes_anothers_place),
        B(one_that_was_left_is_dropped),
        B(what_is_in_use_stays),
        B(anothers_tables_stay),
        T(anothers_schema_beside_stays),
        T(an_old_log_is_not_applied_to_the_new_file),
        T(a_damaged_file_is_replaced_and_kept),
        T(a_damaged_file_keeps_its_log_again),
        T(who_may_use_the_old_one_may_use_the_new_one),
        B(killed_at_any_moment),
        T(names_beside_are_others),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
