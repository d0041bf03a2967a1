/* Steps run once each, and a file that is no database of ours is told and left alone. */
#include "db_test.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct db_migration more_steps[] = {
    {"things", "CREATE TABLE things (id INTEGER PRIMARY KEY, t TEXT UNIQUE, b BLOB) STRICT", NULL},
    {"more", "CREATE TABLE more (id INTEGER PRIMARY KEY); INSERT INTO more VALUES (7)", NULL},
    {0},
};

static void steps_run_once_each(void **state)
{
    (void)state;
    db_close(open_with(NULL));
    db_close(open_with(NULL));
    for (int i = 0; i < 2; i++) {
        struct db *db = try_open(more_steps, NULL);
        assert_non_null(db);
        struct db_conn *c = db_conn_take(db, &err);
        struct db_stmt *s = db_prepare_text(c, SLICE("SELECT sum(id) FROM more"), &err);
        assert_int_equal(db_step(s, &err), DB_ROW);
        assert_int_equal(db_i64(s, 0), 7);
        db_conn_give(c);
        db_close(db);
    }
    assert_null(try_open(steps, NULL));
    expect(ERR_USAGE, "newer dais");
}

static void steps_that_do_not_fit_change_nothing(void **state)
{
    static const struct db_migration others[] = {{"others", "SELECT 1", NULL}, {0}};
    static const struct db_migration bad[] = {
        {"things", "", NULL}, {"bad", "CREATE TABLE x (a); CREATE TABLE x (a)", NULL}, {0}};
    (void)state;
    db_close(open_with(NULL));
    assert_null(try_open(others, NULL));
    expect(ERR_USAGE, "'things' and not 'others'");
    for (int i = 0; i < 2; i++) {
        assert_null(try_open(bad, NULL));
        expect(ERR_INTERNAL, "step 'bad' failed");
    }
    db_close(open_with(NULL));
}

static void write_file(const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void files_that_are_no_database_of_ours(void **state)
{
    (void)state;
    write_file("name,age\nAda,36\n");
    assert_null(try_open(steps, NULL));
    expect(ERR_IO, "not an SQLite database");
    unlink(path);

    sqlite3 *other = NULL;
    sqlite3_open(path, &other);
    sqlite3_exec(other, "CREATE TABLE theirs (a)", NULL, NULL, NULL);
    sqlite3_close(other);
    assert_null(try_open(steps, NULL));
    expect(ERR_USAGE, "another program's tables");

    struct db_options o = {.path = "/nowhere/at/all.db"};
    assert_null(db_open(&o, &err));
    expect(ERR_UNAVAILABLE, "No such file or directory");
    o.path = folder;
    assert_null(db_open(&o, &err));
    expect(ERR_UNAVAILABLE, "cannot be opened");
}

/* Every page but the first is overwritten: found when it is read, told, survived. */
static void a_damaged_file_is_told(void **state)
{
    static char bytes[64 << 10];
    (void)state;
    struct db *db = open_with(NULL);
    struct thing x = {1, SLICE("a"), {bytes, sizeof bytes}};
    assert_true(db_write_now(db, add_thing, &x, &err));
    db_close(db);
    int fd = open(path, O_WRONLY);
    memset(bytes, 0xa5, sizeof bytes);
    assert_int_equal(pwrite(fd, bytes, sizeof bytes, 4096), sizeof bytes);
    close(fd);
    assert_null(try_open(steps, NULL));
    expect(ERR_IO, "damaged");
}

static void addresses(void **state)
{
    char url[100];
    (void)state;
    snprintf(url, sizeof url, "sqlite://%s", path);
    struct db_options o = {.url = slice_from(url), .path = "/nowhere", .migrations = steps};
    struct db *db = db_open(&o, &err);
    assert_non_null(db);
    assert_true(db_is_sqlite(db));
    db_close(db);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    o.url = SLICE("mysql://x");
    assert_null(db_open(&o, &err));
    expect(ERR_USAGE, "postgres://");
    o.url = SLICE("sqlite://relative.db");
    assert_null(db_open(&o, &err));
    expect(ERR_USAGE, "sqlite:///path");
}

/* As another user, since the superuser may write everything. */
static void a_read_only_file_is_refused(void **state)
{
    int status;
    (void)state;
    db_close(open_with(NULL));
    chmod(folder, 0755);
    chmod(path, 0444);
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && setuid(65534))
            _exit(3);
        _exit(try_open(steps, NULL)                                          ? 1
              : err.code != ERR_UNAVAILABLE || !strstr(err.msg, "read-only") ? 2
                                                                             : 0);
    }
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

DB_TESTS(T(steps_run_once_each), T(steps_that_do_not_fit_change_nothing),
         T(files_that_are_no_database_of_ours), T(a_damaged_file_is_told), T(addresses),
         T(a_read_only_file_is_refused))
