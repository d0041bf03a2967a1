/* Torture: the n-th write, wait for the disk, truncation or allocation fails, for every n, while 32
 * writes go into one transaction. What was answered as done is there, live, after opening again and
 * after a power cut; nothing else is; nothing hangs; when the disk works again, so does the next.
 */
#include "db/db.h"
#include "shaky.h"
#include "unit.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define BATCH    32
#define WAIT_S   60
#define PER_FILE 4 /* batches, before a fresh file is begun */

static char folder[] = "/tmp/dais-torture-XXXXXX";
static unsigned cache_kb; /* 0: all of a batch has room */
static char path[64], crash_path[64];

static const struct db_migration steps[] = {
    {"tables",
     "CREATE TABLE docs (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;"
     "CREATE TABLE keys (id INTEGER NOT NULL, key BLOB NOT NULL) STRICT;"
     "CREATE UNIQUE INDEX keys_key ON keys (key)",
     NULL},
    {0},
};
static const struct sql add_doc = {"INSERT INTO docs (id, body) VALUES (?, ?)", NULL};
static const struct sql add_key = {"INSERT INTO keys (id, key) VALUES (?, ?)", NULL};

/* ---- one write ----------------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned answered;
static bool is_at_gate, gate_is_open;

static enum shaky_kind armed_kind;
static unsigned armed_n;
static bool armed_for_good;

struct insert {
    struct db_write write;
    int64_t id;
    bool refuses, is_careless, is_done, is_answered;
    unsigned runs;
    enum err_code code;
};

static bool add_document(struct db_conn *c, int64_t id, struct err *e)
{
    static char body[1024];
    memset(body, 'x', sizeof body);
    struct db_stmt *s = db_prepare(c, &add_doc, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, id);
    db_bind_text(s, 2, (struct slice){body, sizeof body});
    return db_run(s, NULL, e);
}

static bool add_its_key(struct db_conn *c, int64_t id, struct err *e)
{
    char key[32];
    int n = snprintf(key, sizeof key, "key %lld", (long long)id);
    struct db_stmt *s = db_prepare(c, &add_key, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, id);
    db_bind_blob(s, 2, (struct slice){key, (size_t)n});
    return db_run(s, NULL, e);
}

/* One that overlooks that its first statement failed, and refuses: what it does after the
 * transaction is gone must not become a transaction of its own. */
static bool add_carelessly(struct db_conn *c, int64_t id, struct err *e)
{
    add_document(c, id, NULL);
    add_its_key(c, id, NULL);
    return err_set(e, ERR_STALE, "it was changed");
}

/* Every fourth changes something and then refuses. */
static bool run_insert(struct db_write *w, struct db_conn *c, struct err *e)
{
    struct insert *i = container_of(w, struct insert, write);
    i->runs++;
    if (i->is_careless)
        return add_carelessly(c, i->id, e);
    if (!add_document(c, i->id, e) || !add_its_key(c, i->id, e))
        return false;
    return !i->refuses || err_set(e, ERR_STALE, "it was changed");
}

static void on_answer(struct db_write *w, const struct err *e)
{
    struct insert *i = container_of(w, struct insert, write);
    pthread_mutex_lock(&lock);
    assert_false(i->is_answered);
    i->is_answered = true;
    i->is_done = e == NULL;
    i->code = e ? e->code : ERR_NONE;
    answered++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* Holds the writer until 32 wait behind it, so that they become one batch; then failures begin. */
static bool run_gate(struct db_write *w, struct db_conn *c, struct err *e)
{
    (void)w;
    (void)c;
    (void)e;
    pthread_mutex_lock(&lock);
    is_at_gate = true;
    pthread_cond_broadcast(&changed);
    while (!gate_is_open)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    shaky_arm(armed_kind, armed_n, armed_for_good);
    return true;
}

static void wait_for(unsigned n)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    pthread_mutex_lock(&lock);
    while (answered < n)
        assert_int_equal(pthread_cond_timedwait(&changed, &lock, &until), 0); /* it hangs */
    pthread_mutex_unlock(&lock);
}

/* ---- a batch ------------------------------------------------------------------------------- */

static struct insert batch[BATCH], gate;
static int64_t next_id;

static void run_batch(struct db *db)
{
    answered = 0;
    gate_is_open = is_at_gate = false;
    gate = (struct insert){.write = {.run = run_gate, .done = on_answer}};
    assert_true(db_write(db, &gate.write));
    pthread_mutex_lock(&lock);
    while (!is_at_gate)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < BATCH; i++) {
        batch[i] = (struct insert){
            .write = {.run = run_insert, .done = on_answer},
            .id = ++next_id,
            .refuses = i % 4 == 3,
            .is_careless = i % 8 == 3,
        };
        while (!db_write(db, &batch[i].write))
            fail();
    }
    pthread_mutex_lock(&lock);
    gate_is_open = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    wait_for(BATCH + 1);
}

static void one_more(struct db *db)
{
    struct insert last = {.write = {.run = run_insert, .done = on_answer}, .id = ++next_id};
    answered = 0;
    assert_true(db_write(db, &last.write));
    wait_for(1);
    assert_int_equal(last.code, ERR_NONE);
}

/* ---- what is in a file --------------------------------------------------------------------- */

static int count(sqlite3 *h, const char *sql, int64_t id)
{
    sqlite3_stmt *s = NULL;
    assert_int_equal(sqlite3_prepare_v2(h, sql, -1, &s, NULL), SQLITE_OK);
    sqlite3_bind_int64(s, 1, id);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int n = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    return n;
}

/* What one write's failure does to the others: they are run again, so that none is refused. */
static unsigned unavailable(void)
{
    unsigned n = 0;
    for (int i = 0; i < BATCH; i++)
        n += batch[i].code == ERR_UNAVAILABLE;
    return n;
}

/* Looked at by plain SQLite. When unanswered writes may be there, they are there as a whole. */
static void check_file(const char *file, bool only_done)
{
    sqlite3 *h = NULL;
    assert_int_equal(sqlite3_open_v2(file, &h, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(count(h,
                           "SELECT count(*) FROM pragma_integrity_check WHERE"
                           " integrity_check <> 'ok'",
                           0),
                     0);
    for (int i = 0; i < BATCH; i++) {
        int docs = count(h, "SELECT count(*) FROM docs WHERE id = ?", batch[i].id);
        int keys = count(h, "SELECT count(*) FROM keys WHERE id = ?", batch[i].id);
        assert_int_equal(docs, keys);
        if (batch[i].is_done || batch[i].refuses || only_done)
            assert_int_equal(docs, batch[i].is_done);
    }
    sqlite3_close(h);
}

static void check_answers(bool has_failed)
{
    for (int i = 0; i < BATCH; i++) {
        const struct insert *w = &batch[i];
        if (w->code == ERR_UNAVAILABLE)
            assert_true(has_failed);
        else
            assert_int_equal(w->code, w->refuses ? ERR_STALE : ERR_NONE);
    }
}

static void remove_file(const char *file)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        char name[80];
        snprintf(name, sizeof name, "%s%s", file, ends[i]);
        sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
        vfs->xDelete(vfs, name, 0);
    }
}

static void check_crash(unsigned luck)
{
    shaky_crash(path, crash_path, luck);
    check_file(crash_path, luck == 0);
    remove_file(crash_path);
}

/* ---- for every n --------------------------------------------------------------------------- */

static struct db *open_db(void)
{
    struct db_options o = {.path = path, .migrations = steps, .busy_ms = 50, .cache_kb = cache_kb};
    struct err e = {0};
    struct db *db = db_open(&o, &e);
    if (!db)
        fail_msg("%s", e.msg);
    return db;
}

/* False: it went through without a failure, so there is no greater n. */
static bool fail_nth(struct db *db, enum shaky_kind kind, unsigned n, bool for_good)
{
    armed_kind = kind;
    armed_n = n;
    armed_for_good = for_good;
    run_batch(db);
    bool has_failed = shaky_disarm();
    check_answers(has_failed);
    check_crash(n % 2 ? 0 : n * 2 + 1);
    check_file(path, true);
    one_more(db);
    return has_failed;
}

static unsigned torture(enum shaky_kind kind, bool for_good)
{
    unsigned n = 0, refused = 0, batches = 0;
    unsigned step = kind == SHAKY_NO_MEMORY && for_good ? 3 : 1; /* much the same, and many */
    struct db *db = NULL;
    bool has_failed = true;
    while (has_failed) {
        if (batches++ % PER_FILE == 0) {
            if (db) {
                db_close(db);
                check_file(path, true);
            }
            remove_file(path);
            db = open_db();
        }
        has_failed = fail_nth(db, kind, n += step, for_good);
        refused += unavailable();
        assert_true(for_good || unavailable() <= 1);
    }
    db_close(db);
    check_file(path, true);
    remove_file(path);
    print_message("          %u places to fail, %u writes answered 503\n", n - 1, refused);
    return n - 1;
}

static void a_write_fails_once(void **state)
{
    (void)state;
    assert_true(torture(SHAKY_IO_ERROR, false) > 10);
}

static void the_disk_fails_until_repaired(void **state)
{
    (void)state;
    assert_true(torture(SHAKY_IO_ERROR, true) > 10);
}

static void no_room_once(void **state)
{
    (void)state;
    assert_true(torture(SHAKY_FULL, false) > 10);
}

static void no_room_until_some_is_made(void **state)
{
    (void)state;
    assert_true(torture(SHAKY_FULL, true) > 10);
}

/* A small cache: pages reach the log inside the savepoints, and a full disk undoes all of them. */
static void no_room_inside_a_savepoint(void **state)
{
    (void)state;
    cache_kb = 12;
    assert_true(torture(SHAKY_FULL, false) > 40);
    assert_true(torture(SHAKY_FULL, true) > 40);
    assert_true(torture(SHAKY_IO_ERROR, true) > 40);
    cache_kb = 0;
}

static void waiting_for_the_disk_fails(void **state)
{
    (void)state;
    assert_true(torture(SHAKY_SYNC, false) >= 1);
    assert_true(torture(SHAKY_SYNC, true) >= 1);
}

static void an_allocation_fails(void **state)
{
    (void)state;
    assert_true(torture(SHAKY_NO_MEMORY, false) > 30);
}

static void no_memory_for_a_while(void **state)
{
    (void)state;
    assert_true(torture(SHAKY_NO_MEMORY, true) > 30);
}

/* ---- readiness ----------------------------------------------------------------------------- */

static void readiness_follows_the_disk(void **state)
{
    struct err e = {0};
    (void)state;
    struct db *db = open_db();
    assert_true(db_ping(db, &e));
    assert_true(fail_nth(db, SHAKY_SYNC, 1, true)); /* until it was repaired, inside */
    shaky_arm(SHAKY_SYNC, 1, true);
    assert_true(db_ping(db, &e)); /* nothing failed since: it is not asked */
    struct insert lost = {.write = {.run = run_insert, .done = on_answer}, .id = ++next_id};
    answered = 0;
    assert_true(db_write(db, &lost.write));
    wait_for(1);
    assert_int_equal(lost.code, ERR_UNAVAILABLE);
    assert_false(db_ping(db, &e));
    assert_int_equal(e.code, ERR_UNAVAILABLE);
    assert_false(db_ping(db, &e));
    shaky_disarm();
    assert_true(db_ping(db, &e));
    db_close(db);
    remove_file(path);
}

/* ---- opening and closing ------------------------------------------------------------------- */

static void open_badly(enum shaky_kind kind, bool for_good)
{
    bool has_failed = true;
    for (unsigned n = 1; has_failed; n++) {
        struct db_options o = {
            .path = path, .migrations = steps, .busy_ms = 50, .cache_kb = cache_kb};
        struct err e = {0};
        shaky_arm(kind, n, for_good);
        struct db *db = db_open(&o, &e);
        has_failed = shaky_disarm();
        if (!db) {
            assert_true(has_failed);
            assert_int_not_equal(e.code, ERR_NONE);
            assert_int_not_equal(e.code, ERR_INTERNAL);
            db = open_db();
        }
        one_more(db);
        shaky_arm(kind, n, for_good); /* the log is copied: it may stay for the next who opens */
        db_close(db);
        has_failed |= shaky_disarm();
        db = open_db();
        one_more(db);
        db_close(db);
        remove_file(path);
    }
}

static void opening_and_closing_fail(void **state)
{
    (void)state;
    open_badly(SHAKY_IO_ERROR, false);
    open_badly(SHAKY_IO_ERROR, true);
    open_badly(SHAKY_FULL, true);
    open_badly(SHAKY_SYNC, true);
}

static void opening_without_memory(void **state)
{
    (void)state;
    open_badly(SHAKY_NO_MEMORY, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_fails_once),
        cmocka_unit_test(the_disk_fails_until_repaired),
        cmocka_unit_test(no_room_once),
        cmocka_unit_test(no_room_until_some_is_made),
        cmocka_unit_test(no_room_inside_a_savepoint),
        cmocka_unit_test(waiting_for_the_disk_fails),
        cmocka_unit_test(an_allocation_fails),
        cmocka_unit_test(no_memory_for_a_while),
        cmocka_unit_test(readiness_follows_the_disk),
        cmocka_unit_test(opening_and_closing_fail),
        cmocka_unit_test(opening_without_memory),
    };
    shaky_install();
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/a.db", folder);
    snprintf(crash_path, sizeof crash_path, "%s/crash.db", folder);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
