/* kill -9, a hundred times: a process writes and says what was answered as done, then it is killed.
 * All it said is in the file, and nothing is there by half. */
#include "db/db.h"
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILLS   100
#define AT_ONCE 24

static char folder[] = "/tmp/dais-crash-XXXXXX";
static char path[64];

static const struct db_migration steps[] = {
    {"pairs",
     "CREATE TABLE a (id INTEGER PRIMARY KEY, x TEXT); CREATE TABLE b (id INTEGER PRIMARY KEY)",
     NULL},
    {0},
};
static const struct sql add_a = {"INSERT INTO a (id, x) VALUES (?, ?)", NULL};
static const struct sql add_b = {"INSERT INTO b (id) VALUES (?)", NULL};
static const struct sql count_halves = {
    "SELECT (SELECT count(*) FROM a WHERE id NOT IN (SELECT id FROM b)) +"
    " (SELECT count(*) FROM b WHERE id NOT IN (SELECT id FROM a))",
    NULL};
static const struct sql find = {"SELECT 1 FROM a WHERE id = ?", NULL};
static const struct sql last = {"SELECT coalesce(max(id), 0) FROM a", NULL};

static struct db *open_db(void)
{
    struct err e = {0};
    struct db_options o = {.path = path, .migrations = steps, .read_ms = 60000};
    struct db *db = db_open(&o, &e);
    if (!db)
        fail_msg("%s", e.msg);
    return db;
}

static int64_t ask(struct db_conn *c, const struct sql *sql, int64_t id)
{
    struct err e = {0};
    struct db_stmt *s = db_prepare(c, sql, &e);
    if (id)
        db_bind_i64(s, 1, id);
    int64_t n = db_step(s, &e) == DB_ROW ? db_i64(s, 0) : -1;
    db_reset(s);
    return n;
}

/* ---- the one that is killed ---------------------------------------------------------------- */

struct pair {
    struct db_write write;
    int64_t id;
};
static struct db *db;
static _Atomic int64_t next_id;
static char text[3000];

static bool run_pair(struct db_write *w, struct db_conn *c, struct err *e)
{
    struct pair *p = container_of(w, struct pair, write);
    struct db_stmt *s = db_prepare(c, &add_a, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, p->id);
    db_bind_text(s, 2, (struct slice){text, (size_t)(p->id * 7 % 2999)});
    if (!db_run(s, NULL, e) || !(s = db_prepare(c, &add_b, e)))
        return false;
    db_bind_i64(s, 1, p->id);
    return db_run(s, NULL, e);
}

static void on_pair(struct db_write *w, const struct err *e)
{
    struct pair *p = container_of(w, struct pair, write);
    if (e || write(1, &p->id, sizeof p->id) != sizeof p->id)
        _exit(4);
    p->id = ++next_id;
    if (!db_write(db, w))
        _exit(5);
}

static int write_until_killed(void)
{
    static struct pair pairs[AT_ONCE];
    memset(text, 'x', sizeof text);
    db = open_db();
    struct err e;
    struct db_conn *c = db_conn_take(db, &e);
    next_id = ask(c, &last, 0);
    db_conn_give(c);
    for (int i = 0; i < AT_ONCE; i++) {
        pairs[i] = (struct pair){.write = {.run = run_pair, .done = on_pair}, .id = ++next_id};
        if (!db_write(db, &pairs[i].write))
            return 6;
    }
    alarm(120); /* if nobody kills it */
    for (;;)
        pause();
}

/* ---- the one that kills -------------------------------------------------------------------- */

static pid_t start(int *ret_from)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 1);
        close(ends[0]);
        close(ends[1]);
        execl("/proc/self/exe", "writer", path, (char *)NULL);
        _exit(7);
    }
    close(ends[1]);
    *ret_from = ends[0];
    return child;
}

/* Reads what was answered, and after `enough` of it kills; gives how many there were. */
static size_t kill_after(size_t enough, int64_t *ids, size_t max)
{
    int from, status;
    size_t n = 0;
    pid_t child = start(&from);
    bool is_killed = false;
    while (n < max && read(from, &ids[n], sizeof *ids) == sizeof *ids) {
        n++;
        if (n >= enough && !is_killed)
            is_killed = kill(child, SIGKILL) == 0;
    }
    close(from);
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    return n;
}

static void nothing_acknowledged_is_lost(void **state)
{
    static int64_t ids[100000];
    size_t all = 0;
    (void)state;
    for (unsigned i = 0; i < KILLS; i++) {
        size_t n = kill_after(1 + i * 37 % 900, ids, sizeof ids / sizeof *ids);
        struct err e;
        struct db *checked = open_db();
        struct db_conn *c = db_conn_take(checked, &e);
        for (size_t at = 0; at < n; at++)
            assert_int_equal(ask(c, &find, ids[at]), 1);
        assert_int_equal(ask(c, &count_halves, 0), 0);
        db_conn_give(c);
        db_close(checked);
        all += n;
    }
    print_message("          %d kills, %zu acknowledged writes, all there\n", KILLS, all);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_acknowledged_is_lost)};
    if (argc == 2) {
        snprintf(path, sizeof path, "%s", argv[1]);
        return write_until_killed();
    }
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/a.db", folder);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    rmdir(folder);
    return failed;
}
