/* Making a backup: what is in it, what is told of what could not be, and what is left when it was
 * not made. */
#include "keep_rig.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MANY                                                                          \
    "WITH RECURSIVE k (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < 1000)" \
    " INSERT INTO dais_things (id, t) SELECT i, 'x' FROM k"

static struct rig rig;

/* Entries of the folder that end so. */
static unsigned files_that_end(const char *end)
{
    DIR *dir = opendir(keep_folder);
    unsigned n = 0;
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));)
        n += slice_ends(slice_from(entry->d_name), slice_from(end));
    closedir(dir);
    return n;
}

static struct keep_source source_of(void)
{
    return (struct keep_source){.app = SLICE("notes"),
                                .made_by = SLICE("dais of a test"),
                                .db = &rig.options,
                                .blobs = rig.blobs,
                                .tables = &rig_tables,
                                .secret_mark = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a"
                                               "11ef721d1542d8"};
}

static bool create(const struct keep_hearer *to, struct keep_entry *ret)
{
    const struct keep_source from = source_of();
    struct keep *k = keep_of(true);
    bool fine = keep_create(k, &from, to, &rig.a, ret, &err);
    keep_close(k);
    return fine;
}

static int start_sqlite(void **state)
{
    (void)state;
    rig_start(&rig, true);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    rig_stop(&rig);
    return 0;
}

/* ---- what is in it ----------------------------------------------------------------------------
 */

static void its_entry_says_what_it_is(void **state)
{
    struct keep_entry made, found;
    (void)state;
    rig_put(&rig, "a", "of a");
    rig_put(&rig, "b", "of a");
    rig_put(&rig, "c", "of c!");
    rig_say(&rig, "UPDATE dais_blobs SET loose_at = 1 WHERE size = 5;"
                  " DELETE FROM dais_files WHERE path = 'c'");
    OK(create(NULL, &made));
    struct keep *k = keep_of(false);
    OK(keep_find(k, SLICE("latest"), &rig.a, &found, &err));
    assert_string_equal(found.name, made.name);
    assert_true(slice_is(found.app, "notes") && slice_is(found.made_by, "dais of a test"));
    assert_true(found.is_sqlite);
    assert_int_equal(found.n_steps, 4);
    assert_true(slice_is(found.steps[3], "things"));
    assert_int_equal(found.rows, 2 + 1);
    assert_int_equal(found.contents, 1); /* the one that two files have; the loose one goes soon */
    assert_int_equal(found.content_bytes, 4);
    assert_int_equal(found.lost, 0);
    assert_string_equal(found.rows_hash, made.rows_hash);
    assert_string_equal(found.secret_mark, source_of().secret_mark);
    struct keep_verdict v;
    OK(keep_verify(k, &found, NULL, &v, &err));
    assert_string_equal(v.why, "");
    assert_int_equal(v.contents, 1);
    keep_close(k);
}

static void others_tables_and_what_is_left_out_are_not_in_it(void **state)
{
    struct keep_entry made;
    (void)state;
    OK(create(NULL, &made));
    uint64_t rows = made.rows, tables = made.tables;
    rig_say(&rig, "CREATE TABLE Theirs (id INTEGER PRIMARY KEY); INSERT INTO Theirs VALUES (1);"
                  " INSERT INTO dais_secrets VALUES (1, 'x')");
    OK(create(NULL, &made));
    assert_int_equal(made.rows, rows);
    assert_int_equal(made.tables, tables);
}

static void an_older_programs_database_is_taken_as_it_is(void **state)
{
    struct keep_entry made;
    (void)state;
    rig_close(&rig);
    OK(db_drop(&rig.options, &err));
    rig.options.steps_max = 2;
    rig_open(&rig);
    rig_close(&rig);
    rig.options.steps_max = 0;
    OK(create(NULL, &made));
    assert_int_equal(made.n_steps, 2);
}

/* ---- what is not made -------------------------------------------------------------------------
 */

static void without_a_database_there_is_nothing(void **state)
{
    struct keep_entry made;
    unsigned n = files_that_end(".gz");
    (void)state;
    rig_close(&rig);
    OK(db_drop(&rig.options, &err));
    NOT(create(NULL, &made), ERR_NOT_FOUND);
    assert_int_equal(files_that_end(".gz"), n);
    assert_int_not_equal(access(rig.path, F_OK), 0);
}

static bool stop_now(void *user)
{
    unsigned *left = user;
    return (*left)-- == 0;
}

static void one_that_is_stopped_leaves_nothing(void **state)
{
    struct keep_entry made;
    unsigned rows = files_that_end(".gz"), entries = files_that_end(".json");
    (void)state;
    rig_say(&rig, MANY);
    rig_put(&rig, "a", "of a");
    rig_put(&rig, "b", "of b");
    for (unsigned n = 0; n < 4; n++) { /* among the rows, among the contents */
        unsigned left = n;
        const struct keep_hearer to = {.should_stop = stop_now, .user = &left};
        NOT(create(&to, &made), ERR_UNAVAILABLE);
        assert_int_equal(files_that_end(".gz"), rows);
        assert_int_equal(files_that_end(".json"), entries);
    }
}

/* Once a content is being copied. */
static bool stop_in_a_content(void *user)
{
    DIR *dir = opendir(arena_printf(&rig.a, "%s/contents", keep_folder).ptr);
    bool is_copying = false;
    (void)user;
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));)
        is_copying |= slice_ends(slice_from(entry->d_name), SLICE(".draft"));
    closedir(dir);
    return is_copying;
}

static void a_long_content_does_not_keep_one_from_stopping(void **state)
{
    const struct keep_hearer to = {.should_stop = stop_in_a_content};
    struct keep_entry made;
    unsigned entries = files_that_end(".json");
    (void)state;
    rig_put(&rig, "long", "of a long one");
    NOT(create(&to, &made), ERR_UNAVAILABLE);
    assert_false(stop_in_a_content(NULL));
    assert_int_equal(files_that_end(".json"), entries);
    OK(create(NULL, &made));
}

/* ---- contents that go -------------------------------------------------------------------------
 */

struct hearing {
    unsigned times, lost;
    char hash[BLOB_HASH_LEN + 1];
    const char *say; /* once, while rows are read */
    struct slice remove;
};

static void on_lost(void *user, struct slice hash, const struct err *why)
{
    struct hearing *h = user;
    assert_true(why->code == ERR_NOT_FOUND || why->code == ERR_DAMAGED);
    snprintf(h->hash, sizeof h->hash, "%.*s", SLICE_ARGS(hash));
    h->lost++;
}

static void on_progress(void *user, uint64_t rows, uint64_t contents, uint64_t contents_all)
{
    struct hearing *h = user;
    (void)contents_all;
    if (!rows || contents || h->times++)
        return;
    if (h->say)
        rig_say(&rig, h->say);
    if (h->remove.len)
        OK(blob_remove(rig.blobs, h->remove, &err));
}

static struct slice key_of(const char *path)
{
    return rig_text(&rig, arena_printf(&rig.a,
                                       "SELECT b.blob_key FROM dais_files f JOIN dais_blobs b ON"
                                       " b.hash = f.hash WHERE f.path = '%s'",
                                       path)
                              .ptr);
}

static bool create_heard(struct hearing *h, struct keep_entry *ret)
{
    const struct keep_hearer to = {.progress = on_progress, .lost = on_lost, .user = h};
    return create(&to, ret);
}

static void a_lost_content_is_told_and_counted(void **state)
{
    struct hearing h = {0};
    struct keep_entry made;
    (void)state;
    rig_put(&rig, "a", "never backed up before");
    rig_put(&rig, "b", "of b");
    struct slice key = key_of("a");
    OK(blob_remove(rig.blobs, key, &err));
    OK(create_heard(&h, &made));
    assert_int_equal(made.contents, 2);
    assert_int_equal(made.lost, 1);
    assert_int_equal(h.lost, 1);
    assert_true(slice_eq(slice_from(h.hash), slice_first(key, BLOB_HASH_LEN)));
}

/* A store that is gone, in a server: what each one takes is given back. */
static void as_many_as_there_are_may_be_lost(void **state)
{
    const struct keep_source from = source_of();
    struct keep_entry made;
    struct arena small;
    (void)state;
    rig_say(&rig, "WITH RECURSIVE k (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < 3000)"
                  " INSERT INTO dais_blobs (hash, blob_key, size, state) SELECT printf('%064x', i),"
                  " printf('%064x-aaaaaaaaaaaa', i), 5, 0 FROM k");
    arena_init(&small, 128u << 10);
    struct keep *k = keep_of(true);
    OK(keep_create(k, &from, NULL, &small, &made, &err));
    assert_int_equal(made.lost, 3000);
    OK(keep_drop(k, made.name, &err));
    keep_close(k);
    arena_done(&small);
}

static void one_that_an_earlier_backup_has_is_not_lost(void **state)
{
    struct hearing h = {0};
    struct keep_entry made;
    (void)state;
    rig_put(&rig, "a", "backed up before");
    OK(create(NULL, &made));
    OK(blob_remove(rig.blobs, key_of("a"), &err));
    OK(create_heard(&h, &made));
    assert_int_equal(made.lost, 0);
}

/* Deleted, and its bytes removed, between the rows and the contents: rows of later are taken. */
static void a_content_that_goes_meanwhile_makes_it_begin_again(void **state)
{
    struct keep_entry made;
    (void)state;
    rig_say(&rig, MANY);
    rig_put(&rig, "a", "it goes");
    rig_put(&rig, "b", "it stays");
    struct hearing h = {.say = "DELETE FROM dais_files WHERE path = 'a';"
                               "DELETE FROM dais_blobs WHERE size = 7",
                        .remove = key_of("a")};
    unsigned n = files_that_end(".gz");
    OK(create_heard(&h, &made));
    assert_int_equal(made.contents, 1);
    assert_int_equal(made.lost + h.lost, 0);
    assert_int_equal(files_that_end(".gz"), n + 1);
}

/* Deleted and stored anew meanwhile: it is in another place. */
static void a_content_that_has_moved_is_taken_from_there(void **state)
{
    struct keep_entry made;
    (void)state;
    rig_say(&rig, MANY);
    rig_put(&rig, "a", "it moves");
    struct slice key = key_of("a");
    struct blob_draft d;
    OK(blob_draft_open(&d, rig.blobs, 0, &err));
    OK(blob_draft_add(&d, SLICE("it moves"), &err));
    blob_draft_seal(&d);
    OK(blob_keep(&d, "text/plain", &err));
    struct hearing h = {
        .say = arena_printf(&rig.a, "UPDATE dais_blobs SET blob_key = '%s'", d.key).ptr,
        .remove = key};
    blob_draft_drop(&d);
    OK(create_heard(&h, &made));
    assert_int_equal(made.contents, 1);
    assert_int_equal(made.lost + h.lost, 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, start_sqlite, stop)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(its_entry_says_what_it_is),
        T(others_tables_and_what_is_left_out_are_not_in_it),
        T(an_older_programs_database_is_taken_as_it_is),
        T(without_a_database_there_is_nothing),
        T(one_that_is_stopped_leaves_nothing),
        T(a_long_content_does_not_keep_one_from_stopping),
        T(a_lost_content_is_told_and_counted),
        T(as_many_as_there_are_may_be_lost),
        T(one_that_an_earlier_backup_has_is_not_lost),
        T(a_content_that_goes_meanwhile_makes_it_begin_again),
        T(a_content_that_has_moved_is_taken_from_there),
    };
    return cmocka_run_group_tests(tests, rig_begin, rig_end);
}
