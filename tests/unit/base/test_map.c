/* The hash map against a model under random operations, and the list. */
#include "base/list.h"
#include "base/map.h"
#include "unit.h"

#include <stdio.h>

#define KEYS 400

static uint64_t rng = 0x2545f4914f6cdd1du;

static unsigned pick(unsigned n)
{
    rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
    return (unsigned)(rng >> 33) % n;
}

static char keys[KEYS][24];

static struct slice key_of(unsigned i)
{
    return slice_from(keys[i]);
}

static void make_keys(void)
{
    for (unsigned i = 1; i < KEYS; i++) /* keys[0] is the empty one */
        snprintf(keys[i], sizeof keys[i], "%.*s%u", (int)(i % 13), "aaaaaaaaaaaaa", i);
}

static void check_walk(const struct map *m, void *const model[KEYS])
{
    size_t at = 0, n = 0, expected = 0;
    struct map_entry *entry;
    while ((entry = map_next(m, &at))) {
        unsigned i = 0;
        while (i < KEYS && !slice_eq(entry->key, key_of(i)))
            i++;
        assert_true(i < KEYS);
        assert_ptr_equal(entry->value, model[i]);
        n++;
    }
    for (unsigned i = 0; i < KEYS; i++)
        expected += model[i] != NULL;
    assert_int_equal(n, expected);
    assert_int_equal(m->len, expected);
}

/* The secret differs in each run, so collisions and wrap-arounds do as well; tables that are
 * three quarters full have them all the time. */
static void random_operations_match_a_model(void **state)
{
    (void)state;
    static int values[64];
    void *model[KEYS] = {0};
    struct map m;
    make_keys();
    map_init(&m);
    for (unsigned step = 0; step < 200000; step++) {
        unsigned live = step / 20000 % 2 ? KEYS : 12; /* small tables get full as well */
        unsigned i = pick(live);
        void *value = &values[pick(64)];
        switch (pick(3)) {
        case 0:
            assert_ptr_equal(map_put(&m, key_of(i), value), model[i]);
            model[i] = value;
            break;
        case 1:
            assert_ptr_equal(map_remove(&m, key_of(i)), model[i]);
            model[i] = NULL;
            break;
        default:
            assert_ptr_equal(map_find(&m, key_of(i)), model[i]);
        }
        if (step % 1000 == 0)
            check_walk(&m, model);
    }
    for (unsigned i = 0; i < KEYS; i++) {
        assert_ptr_equal(map_remove(&m, key_of(i)), model[i]);
        model[i] = NULL;
    }
    check_walk(&m, model);
    map_done(&m);
    map_done(&m);
}

static void absent_in_an_empty_map(void **state)
{
    (void)state;
    struct map m;
    size_t at = 0;
    map_init(&m);
    assert_null(map_find(&m, SLICE("x")));
    assert_null(map_remove(&m, SLICE("x")));
    assert_null(map_next(&m, &at));
    int v;
    assert_null(map_put(&m, (struct slice){NULL, 0}, &v));
    assert_ptr_equal(map_find(&m, SLICE("")), &v);
    map_done(&m);
}

static void hash_reads_every_byte(void **state)
{
    (void)state;
    char text[40] = {0};
    assert_true(map_hash(SLICE("abc")) == map_hash(SLICE("abc")));
    for (size_t n = 1; n < sizeof text; n++) {
        uint64_t was = map_hash((struct slice){text, n});
        assert_true(was != map_hash((struct slice){text, n - 1})); /* length counts too */
        for (size_t i = 0; i < n; i++) {
            text[i] = 1;
            assert_true(was != map_hash((struct slice){text, n}));
            text[i] = 0;
        }
    }
}

struct item {
    int number;
    struct list link;
};

static void lists(void **state)
{
    (void)state;
    struct list head;
    struct item items[5] = {0};
    list_init(&head);
    assert_true(list_is_empty(&head));
    assert_null(list_pop(&head));
    for (int i = 0; i < 5; i++) {
        items[i].number = i;
        assert_false(list_is_linked(&items[i].link));
        list_add(&head, &items[i].link);
        assert_true(list_is_linked(&items[i].link));
    }
    int n = 0;
    list_each (it, &head)
        assert_int_equal(container_of(it, struct item, link)->number, n++);
    assert_int_equal(n, 5);
    list_each_safe (it, &head) {
        if (container_of(it, struct item, link)->number % 2 == 0)
            list_remove(it);
    }
    assert_false(list_is_linked(&items[0].link));
    list_remove(&items[0].link); /* harmless once more */
    assert_ptr_equal(list_pop(&head), &items[1].link);
    list_add(&head, &items[0].link);
    assert_ptr_equal(list_pop(&head), &items[3].link);
    assert_ptr_equal(list_pop(&head), &items[0].link);
    assert_true(list_is_empty(&head));
}

TESTS(cmocka_unit_test(random_operations_match_a_model), cmocka_unit_test(absent_in_an_empty_map),
      cmocka_unit_test(hash_reads_every_byte), cmocka_unit_test(lists))
