/* Bringing back: SQLite and Postgres, each into each; files; and whenever it fails or is killed,
 * everything is as it was. */
#include "keep_rig.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct rig one, two;

static void start_both(bool from_sqlite, bool to_sqlite)
{
    rig_start(&one, from_sqlite);
    rig_start(&two, to_sqlite);
}

static void stop_both(void)
{
    rig_stop(&one);
    rig_stop(&two);
}

static int start_sqlite(void **state)
{
    (void)state;
    start_both(true, true);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    stop_both();
    return 0;
}

/* What was there before: one thing and one file. */
static void be_old(struct rig *r)
{
    rig_say(r, "INSERT INTO dais_things (id, t) VALUES (9, 'old')");
    rig_put(r, "old.txt", "of before");
}

static void check_old(struct rig *r)
{
    assert_int_equal(rig_number(r, "SELECT count(*) FROM dais_things"), 1);
    assert_true(slice_is(rig_text(r, "SELECT t FROM dais_things"), "old"));
    assert_true(slice_is(rig_get(r, "old.txt"), "of before"));
    struct db_options made;
    rig_close(r);
    db_beside(&r->options, &r->a, &made);
    made.is_reader = true;
    NOT(db_open(&made, &err), ERR_NOT_FOUND);
}

/* ---- there and back ---------------------------------------------------------------------------
 */

static void a_backup_comes_back(bool from_sqlite, bool to_sqlite)
{
    start_both(from_sqlite, to_sqlite);
    rig_say(&one, "INSERT INTO dais_things (id, t, n) VALUES (1, 'é ''', 9223372036854775807),"
                  " (2, '', NULL), (3, NULL, -9223372036854775807)");
    rig_say(&one, "INSERT INTO dais_secrets (id, t) VALUES (1, 'secret')");
    rig_put(&one, "a.txt", "of a");
    rig_put(&one, "b.txt", "of b");
    rig_put(&one, "empty", "");
    be_old(&two);
    struct keep_entry entry = make_backup(&one);
    assert_int_equal(entry.contents, 3);
    OK(bring_back(&two, &entry));
    assert_int_equal(rig_number(&two, "SELECT count(*) FROM dais_things"), 3);
    assert_int_equal(rig_number(&two, "SELECT n FROM dais_things WHERE id = 1"), INT64_MAX);
    assert_true(slice_is(rig_text(&two, "SELECT t FROM dais_things WHERE id = 1"), "é '"));
    assert_int_equal(
        rig_number(&two, "SELECT count(*) FROM dais_things WHERE t IS NULL AND id = 3"), 1);
    assert_int_equal(rig_number(&two, "SELECT count(*) FROM dais_secrets"), 0);
    assert_int_equal(rig_number(&two, "SELECT count(*) FROM dais_files"), 3);
    assert_true(slice_is(rig_get(&two, "a.txt"), "of a"));
    assert_true(slice_is(rig_get(&two, "b.txt"), "of b"));
    assert_int_equal(rig_number(&two, "SELECT sum(state) FROM dais_blobs"), 0);
    OK(bring_back(&two, &entry)); /* again */
    assert_true(slice_is(rig_get(&two, "a.txt"), "of a"));
    stop_both();
}

static void comes_back_from_sqlite_to_sqlite(void **state)
{
    (void)state;
    a_backup_comes_back(true, true);
}

static void comes_back_from_sqlite_to_postgres(void **state)
{
    (void)state;
    a_backup_comes_back(true, false);
}

static void comes_back_from_postgres_to_sqlite(void **state)
{
    (void)state;
    a_backup_comes_back(false, true);
}

static void comes_back_from_postgres_to_postgres(void **state)
{
    (void)state;
    a_backup_comes_back(false, false);
}

static void comes_back_to_where_nothing_is(void **state)
{
    (void)state;
    be_old(&one);
    struct keep_entry entry = make_backup(&one);
    rig_close(&two);
    OK(db_drop(&two.options, &err));
    OK(bring_back(&two, &entry));
    check_old(&two);
}

static void an_older_dais_made_it(void **state)
{
    (void)state;
    rig_close(&one);
    OK(db_drop(&one.options, &err));
    one.options.steps_max = 1;
    rig_say(&one, "INSERT INTO dais_meta (name, value) VALUES ('seed x', 'then')");
    rig_close(&one);
    one.options.steps_max = 0;
    struct keep_entry entry = make_backup(&one);
    assert_int_equal(entry.n_steps, 1);
    OK(bring_back(&two, &entry));
    assert_int_equal(rig_number(&two, "SELECT count(*) FROM dais_migrations WHERE version > 0"),
                     4); /* the opening did the others */
    assert_true(
        slice_is(rig_text(&two, "SELECT value FROM dais_meta WHERE name = 'seed x'"), "then"));
}

/* ---- files ------------------------------------------------------------------------------------
 */

static struct slice key_of(struct rig *r, const char *path)
{
    return rig_text(r, arena_printf(&r->a,
                                    "SELECT b.blob_key FROM dais_files f JOIN dais_blobs b ON"
                                    " b.hash = f.hash WHERE f.path = '%s'",
                                    path)
                           .ptr);
}

static void a_content_that_is_still_there_is_not_copied(void **state)
{
    (void)state;
    rig_put(&one, "a", "it stays");
    rig_put(&one, "b", "it goes");
    struct keep_entry entry = make_backup(&one);
    struct slice a = key_of(&one, "a"), b = key_of(&one, "b");
    OK(blob_remove(one.blobs, b, &err));
    OK(bring_back(&one, &entry));
    assert_true(slice_eq(key_of(&one, "a"), a));
    assert_false(slice_eq(key_of(&one, "b"), b));
    assert_true(slice_is(rig_get(&one, "b"), "it goes"));
}

static void spoil(struct slice hash)
{
    char path[200];
    snprintf(path, sizeof path, "%s/contents/%.2s/%.*s", keep_folder, hash.ptr, SLICE_ARGS(hash));
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "?", 1, 0), 1);
    close(fd);
}

static void a_damaged_content_is_refused_or_told(void **state)
{
    (void)state;
    rig_put(&one, "a", "a content that is spoilt");
    rig_put(&one, "b", "a content that is fine");
    struct keep_entry entry = make_backup(&one);
    struct slice key = key_of(&one, "a");
    spoil(slice_first(key, BLOB_HASH_LEN));
    be_old(&two);
    NOT(bring_back(&two, &entry), ERR_DAMAGED);
    check_old(&two);
    struct keep_target target = target_of(&two);
    target.takes_damaged = true;
    struct keep *k = keep_of(false);
    OK(keep_restore(k, &entry, &target, NULL, &err));
    assert_int_equal(rig_number(&two, "SELECT sum(state) FROM dais_blobs"), 1);
    assert_true(slice_is(rig_get(&two, "b"), "a content that is fine"));
    assert_int_equal(rig_get(&two, "a").len, 0);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_false(slice_eq(key_of(&two, "a"), key)); /* whatever a backup says there is */
    /* The store that has it still mends it. */
    target = target_of(&one);
    target.takes_damaged = true;
    rig_close(&one);
    OK(keep_restore(k, &entry, &target, NULL, &err));
    assert_int_equal(rig_number(&one, "SELECT sum(state) FROM dais_blobs"), 0);
    keep_close(k);
}

static void one_that_was_lost_before_stops_nothing(void **state)
{
    (void)state;
    rig_put(&one, "a", "a content that was lost");
    rig_put(&one, "b", "and one that was not");
    OK(blob_remove(one.blobs, key_of(&one, "a"), &err));
    struct keep_entry entry = make_backup(&one);
    assert_int_equal(entry.lost, 1);
    OK(bring_back(&two, &entry));
    assert_int_equal(rig_number(&two, "SELECT sum(state) FROM dais_blobs"), 1);
    assert_true(slice_is(rig_get(&two, "b"), "and one that was not"));
}

/* Read and found whole, and gone before it was copied: another one's order removed it. */
static void remove_verified(void *user, uint64_t rows, uint64_t contents, uint64_t contents_all)
{
    struct slice *hash = user;
    char path[200];
    (void)rows;
    if (!hash->len || !contents || contents < contents_all)
        return;
    snprintf(path, sizeof path, "%s/contents/%.2s/%.*s", keep_folder, hash->ptr, SLICE_ARGS(*hash));
    assert_int_equal(unlink(path), 0);
    *hash = SLICE("");
}

static void a_content_that_goes_after_it_was_verified_is_refused(void **state)
{
    (void)state;
    rig_put(&one, "a", "a content that goes too early");
    rig_put(&one, "b", "and one that stays");
    struct keep_entry entry = make_backup(&one);
    struct slice hash = slice_first(key_of(&one, "a"), BLOB_HASH_LEN);
    be_old(&two);
    rig_close(&two);
    const struct keep_hearer to = {.progress = remove_verified, .user = &hash};
    struct keep_target target = target_of(&two);
    struct keep *k = keep_of(false);
    NOT(keep_restore(k, &entry, &target, &to, &err), ERR_DAMAGED);
    keep_close(k);
    check_old(&two);
}

static void the_store_stays_the_databases_in_whose_place_it_comes(void **state)
{
    (void)state;
    rig_say(&one, "INSERT INTO dais_meta (name, value) VALUES ('files_owner', 'of one')");
    rig_say(&two, "INSERT INTO dais_meta (name, value) VALUES ('files_owner', 'of two')");
    struct keep_entry entry = make_backup(&one);
    const char *sql = "SELECT value FROM dais_meta WHERE name = 'files_owner'";
    OK(bring_back(&two, &entry));
    assert_true(slice_is(rig_text(&two, sql), "of two"));
    rig_close(&two);
    OK(db_drop(&two.options, &err));
    OK(bring_back(&two, &entry));
    assert_true(slice_is(rig_text(&two, sql), "of one"));
}

/* ---- nothing is changed -----------------------------------------------------------------------
 */

static bool refuse(void *user, const struct db_options *made, struct err *e)
{
    struct rig *r = user;
    (void)made;
    assert_int_equal(rig_number(r, "SELECT count(*) FROM dais_things"), 1); /* as it was */
    rig_close(r);
    return err_set(e, ERR_INVALID, "not today");
}

static void nothing_is_changed_when_it_fails_at_its_end(bool is_sqlite)
{
    start_both(true, is_sqlite);
    rig_say(&one, "INSERT INTO dais_things (id) VALUES (1), (2), (3)");
    struct keep_entry entry = make_backup(&one);
    be_old(&two);
    rig_close(&two);
    struct keep_target target = target_of(&two);
    target.finish = refuse;
    target.user = &two;
    struct keep *k = keep_of(false);
    NOT(keep_restore(k, &entry, &target, NULL, &err), ERR_INVALID);
    keep_close(k);
    check_old(&two);
    stop_both();
}

static void nothing_is_changed_on_sqlite(void **state)
{
    (void)state;
    nothing_is_changed_when_it_fails_at_its_end(true);
}

static void nothing_is_changed_on_postgres(void **state)
{
    (void)state;
    nothing_is_changed_when_it_fails_at_its_end(false);
}

static bool stop_now(void *user)
{
    unsigned *left = user;
    return (*left)-- == 0;
}

static void one_that_is_stopped_changes_nothing(void **state)
{
    (void)state;
    rig_say(&one, "WITH RECURSIVE k (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < 3000)"
                  " INSERT INTO dais_things (id, t) SELECT i, 'x' FROM k");
    rig_put(&one, "a", "of a");
    struct keep_entry entry = make_backup(&one);
    be_old(&two);
    rig_close(&two);
    struct keep_target target = target_of(&two);
    struct keep *k = keep_of(false);
    unsigned n = 0;
    for (bool fine = false; !fine && n < 100; n++) {
        unsigned left = n;
        const struct keep_hearer to = {.should_stop = stop_now, .user = &left};
        fine = keep_restore(k, &entry, &target, &to, &err);
        if (!fine)
            check_old(&two);
    }
    keep_close(k);
    assert_true(n > 5 && n < 100);
    assert_int_equal(rig_number(&two, "SELECT count(*) FROM dais_things"), 3000);
}

static void what_cannot_be_brought_back_here_is_refused(void **state)
{
    (void)state;
    rig_put(&one, "a", "of a");
    struct keep_entry entry = make_backup(&one), other = entry;
    struct slice names[5];
    be_old(&two);
    rig_close(&two);
    memcpy(names, entry.steps, 4 * sizeof *names);
    names[4] = SLICE("what is new");
    other.steps = names;
    other.n_steps = 5;
    NOT(bring_back(&two, &other), ERR_USAGE);
    assert_non_null(strstr(err.msg, "A newer dais"));
    names[1] = SLICE("another program's");
    NOT(bring_back(&two, &other), ERR_USAGE);
    other.n_steps = 0;
    NOT(bring_back(&two, &other), ERR_DAMAGED);
    struct keep_target target = target_of(&two);
    target.blobs = NULL;
    struct keep *k = keep_of(false);
    NOT(keep_restore(k, &entry, &target, NULL, &err), ERR_USAGE);
    keep_close(k);
    other = entry;
    memset(other.rows_hash, 'a', SHA256_HEX_LEN);
    NOT(bring_back(&two, &other), ERR_DAMAGED);
    check_old(&two);
}

/* kill -9 at any moment: the old one or the new one, whole, and the next time it works. */
static void killed_at_any_moment(bool is_sqlite)
{
    int64_t whole_ns = 0;
    unsigned n_old = 0, n_new = 0;
    start_both(true, is_sqlite);
    rig_say(&one, "WITH RECURSIVE k (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < 3000)"
                  " INSERT INTO dais_things (id, t) SELECT i, 'x' FROM k");
    rig_put(&one, "new.txt", "of now");
    struct keep_entry entry = make_backup(&one);
    be_old(&two);
    rig_close(&one);
    for (int i = 0; i <= 16; i++) {
        int64_t began = clock_mono_ns(); /* one before it began */
        int64_t for_ns = i == 1 ? 1 : whole_ns * i * 3 / (2 * 16);
        int status;
        rig_close(&two);
        pid_t pid = fork();
        if (!pid) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            struct keep_target target = target_of(&two);
            struct keep *k = keep_open(keep_folder, false, &err);
            _exit(k && keep_restore(k, &entry, &target, NULL, &err) ? 0 : 1);
        }
        if (for_ns) {
            nanosleep(&(struct timespec){for_ns / 1000000000, for_ns % 1000000000}, NULL);
            kill(pid, SIGKILL);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(for_ns || status == 0);
        whole_ns = whole_ns ? whole_ns : clock_mono_ns() - began;
        bool is_new = rig_number(&two, "SELECT count(*) FROM dais_things") == 3000;
        n_new += is_new;
        n_old += !is_new;
        if (is_new)
            assert_true(slice_is(rig_get(&two, "new.txt"), "of now"));
        else
            assert_true(slice_is(rig_text(&two, "SELECT t FROM dais_things"), "old") &&
                        slice_is(rig_get(&two, "old.txt"), "of before"));
        rig_say(&two, "DELETE FROM dais_things; DELETE FROM dais_files; DELETE FROM dais_blobs");
        be_old(&two);
    }
    assert_true(n_old > 0 && n_new > 0);
    OK(bring_back(&two, &entry));
    stop_both();
}

static void killed_at_any_moment_on_sqlite(void **state)
{
    (void)state;
    killed_at_any_moment(true);
}

static void killed_at_any_moment_on_postgres(void **state)
{
    (void)state;
    killed_at_any_moment(false);
}

#define T(test) cmocka_unit_test_setup_teardown(test, start_sqlite, stop)
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_from_sqlite_to_sqlite),
        cmocka_unit_test(comes_back_from_sqlite_to_postgres),
        cmocka_unit_test(comes_back_from_postgres_to_sqlite),
        cmocka_unit_test(comes_back_from_postgres_to_postgres),
        T(comes_back_to_where_nothing_is),
        T(an_older_dais_made_it),
        T(a_content_that_is_still_there_is_not_copied),
        T(a_damaged_content_is_refused_or_told),
        T(one_that_was_lost_before_stops_nothing),
        T(a_content_that_goes_after_it_was_verified_is_refused),
        T(the_store_stays_the_databases_in_whose_place_it_comes),
        cmocka_unit_test(nothing_is_changed_on_sqlite),
        cmocka_unit_test(nothing_is_changed_on_postgres),
        T(one_that_is_stopped_changes_nothing),
        T(what_cannot_be_brought_back_here_is_refused),
        cmocka_unit_test(killed_at_any_moment_on_sqlite),
        cmocka_unit_test(killed_at_any_moment_on_postgres),
    };
    return cmocka_run_group_tests(tests, rig_begin, rig_end);
}
