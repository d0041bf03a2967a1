/* Making backups and bringing them back: SQLite and Postgres, each into each; contents; what is
 * refused, and that nothing has changed then. */
#include "keep_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
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

static void a_backup_comes_back(bool from_sqlite, bool to_sqlite)
{
    start_both(from_sqlite, to_sqlite);
    rig_say(&one, "INSERT INTO dais_things (id, t, n) VALUES (1, 'é ''', 9223372036854775807),"
                  " (2, '', NULL), (3, NULL, -9223372036854775807)");
    rig_say(&one, "INSERT INTO dais_secrets (id, t) VALUES (1, 'secret')");
    rig_put(&one, "a.txt", "of a");
    rig_put(&one, "b.txt", "of b");
    rig_say(&two, "INSERT INTO dais_things (id, t, n) VALUES (9, 'old', 1)");
    struct keep_entry entry = make_backup(&one);
    assert_int_equal(entry.contents, 2);
    assert_int_equal(entry.content_bytes, 8);
    assert_int_equal(entry.lost, 0);
    assert_int_equal(entry.n_steps, 4);
    OK(bring_back(&two, &entry));
    assert_int_equal(rig_number(&two, "SELECT count(*) FROM dais_things"), 3);
    assert_int_equal(rig_number(&two, "SELECT n FROM dais_things WHERE id = 1"), INT64_MAX);
    assert_true(slice_is(rig_text(&two, "SELECT t FROM dais_things WHERE id = 1"), "é '"));
    assert_int_equal(
        rig_number(&two, "SELECT count(*) FROM dais_things WHERE t IS NULL AND id = 3"), 1);
    assert_int_equal(rig_number(&two, "SELECT count(*) FROM dais_secrets"), 0);
    assert_true(slice_is(rig_get(&two, "a.txt"), "of a"));
    assert_true(slice_is(rig_get(&two, "b.txt"), "of b"));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_from_sqlite_to_sqlite),
        cmocka_unit_test(comes_back_from_sqlite_to_postgres),
        cmocka_unit_test(comes_back_from_postgres_to_sqlite),
        cmocka_unit_test(comes_back_from_postgres_to_postgres),
    };
    return cmocka_run_group_tests(tests, rig_begin, rig_end);
}
