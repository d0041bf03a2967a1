/* Takes that are told to other processes: they add up, in a table of fixed size. */
#include "limit/limit.h"

#include "base/mem.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ledger_row row_of(const char *bucket, const char *key, int64_t taken)
{
    struct ledger_row row = {.key_len = strlen(key), .token_ms = 1, .per_ms = 10, .taken = taken};
    snprintf(row.bucket, sizeof row.bucket, "%s", bucket);
    memcpy(row.key, key, row.key_len);
    return row;
}

static void put(struct ledger *l, const char *bucket, const char *key, int64_t taken)
{
    struct ledger_row row = row_of(bucket, key, taken);
    assert_true(ledger_add(l, &row));
}

static void test_takes_add_up(void **state)
{
    (void)state;
    struct ledger *l = ledger_new();
    struct ledger_row *rows = mem_alloc(LEDGER_ROWS * sizeof *rows);
    assert_int_equal(ledger_take(l, rows), 0);
    put(l, "write", "b", 1);
    put(l, "read", "b", 1);
    put(l, "write", "a", 2);
    put(l, "write", "b", 3);
    put(l, "write", "bb", 1);
    assert_int_equal(ledger_take(l, rows), 4);
    static const char *const order[] = {"read b 1", "write a 2", "write b 4", "write bb 1"};
    for (int i = 0; i < 4; i++) {
        char text[64];
        snprintf(text, sizeof text, "%s %.*s %d", rows[i].bucket, (int)rows[i].key_len,
                 (const char *)rows[i].key, (int)rows[i].taken);
        assert_string_equal(text, order[i]);
    }
    assert_int_equal(ledger_take(l, rows), 0);
    put(l, "write", "b", 1);
    assert_int_equal(ledger_take(l, rows), 1);
    assert_int_equal(rows[0].taken, 1);
    free(rows);
    ledger_free(l);
    ledger_free(NULL);
}

static void test_a_full_ledger_knows_those_it_has(void **state)
{
    (void)state;
    struct ledger *l = ledger_new();
    struct ledger_row *rows = mem_alloc(LEDGER_ROWS * sizeof *rows);
    for (int i = 0; i < LEDGER_ROWS + 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        struct ledger_row row = row_of("write", key, 1);
        assert_int_equal(ledger_add(l, &row), i < LEDGER_ROWS);
    }
    put(l, "write", "7", 5);
    assert_int_equal(ledger_take(l, rows), LEDGER_ROWS);
    int64_t all = 0;
    for (int i = 0; i < LEDGER_ROWS; i++)
        all += rows[i].taken;
    assert_int_equal(all, LEDGER_ROWS + 5);
    free(rows);
    ledger_free(l);
}

TESTS(cmocka_unit_test(test_takes_add_up), cmocka_unit_test(test_a_full_ledger_knows_those_it_has))
