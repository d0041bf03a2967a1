/* A file that cannot be written for a while: locked by another process, or on a full disk. */
#include "db_test.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>

static void held_by_another_process(void **state)
{
    (void)state;
    struct db *db = open_with(NULL);
    sqlite3 *other = NULL;
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_false(add(db, 1, SLICE("a")));
    expect(ERR_UNAVAILABLE, "another process");
    assert_false(db_ping(db, &err));
    assert_int_equal(count(db), 0); /* reading goes on */
    struct db_options o = {.path = path, .busy_ms = 20};
    assert_null(db_open(&o, &err));
    expect(ERR_UNAVAILABLE, "another process");
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    assert_true(db_ping(db, &err));
    assert_true(add(db, 1, SLICE("a")));
    db_close(db);
}

/* A limit on the size of files stands for a full disk, on a real one. */
static void a_full_disk_is_told_and_survived(void **state)
{
    static char bytes[64 << 10];
    struct rlimit old, small;
    (void)state;
    struct db *db = open_with(NULL);
    struct thing x = {1, {0}, {bytes, sizeof bytes}};
    assert_true(db_write_now(db, add_thing, &x, &err));
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){.rlim_cur = 300 << 10, .rlim_max = old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    bool fine = true;
    int64_t done = 1;
    while (fine && x.id < 20) {
        x.id++;
        fine = db_write_now(db, add_thing, &x, &err);
        done += fine;
    }
    setrlimit(RLIMIT_FSIZE, &old);
    assert_false(fine);
    expect(ERR_UNAVAILABLE, "disk");
    assert_int_equal(count(db), done);
    assert_true(db_write_now(db, add_thing, &x, &err));
    assert_int_equal(count(db), done + 1);
    db_close(db);
}

DB_TESTS(T(held_by_another_process), T(a_full_disk_is_told_and_survived))
