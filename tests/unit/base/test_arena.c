/* Arenas: cap, defers, marks, growth, and bytes that may not be touched any more. */
#include "base/arena.h"
#include "unit.h"

#include <stdint.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define assert_poisoned(p)   assert_true(__asan_address_is_poisoned(p))
#define assert_unpoisoned(p) assert_false(__asan_address_is_poisoned(p))
#else
#define assert_poisoned(p)   ((void)(p))
#define assert_unpoisoned(p) ((void)(p))
#endif

static void aligned_and_apart(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    char *last = NULL;
    for (size_t n = 0; n < 300; n++) {
        char *p = arena_alloc(&a, n);
        assert_int_equal((uintptr_t)p % 16, 0);
        assert_true(p != last);
        must(p); /* the analyser does not know that asserts end the test */
        memset(p, (int)n, n);
        last = p;
    }
    char *big = arena_zalloc(&a, 100000);
    for (size_t i = 0; i < 100000; i++)
        assert_int_equal(big[i], 0);
    arena_done(&a);
    arena_done(&a);
}

static void the_cap_holds(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1000);
    assert_non_null(arena_try_alloc(&a, 600));
    assert_null(arena_try_alloc(&a, 401));
    assert_non_null(arena_try_alloc(&a, 300));
    assert_null(arena_try_alloc(&a, SIZE_MAX));
    arena_reset(&a);
    assert_int_equal(a.used_bytes, 0);
    assert_non_null(arena_try_alloc(&a, 1000));
    assert_null(arena_try_alloc(&a, 1));
    arena_reset(&a);
    size_t n = 0; /* nothing is for free: not even nothing */
    while (n < 1000 && arena_try_alloc(&a, 0))
        n++;
    assert_in_range(n, 50, 70);
    arena_done(&a);
    /* Sizes that would wrap around are refused by any cap. */
    arena_init(&a, SIZE_MAX);
    assert_non_null(arena_try_alloc(&a, 1));
    for (size_t i = 0; i < 40; i++)
        assert_null(arena_try_alloc(&a, SIZE_MAX - i));
    char *p = arena_alloc(&a, 1);
    for (size_t i = 0; i < 40; i++)
        assert_null(arena_try_grow(&a, p, 1, SIZE_MAX - i));
    arena_done(&a);
}

static void poisoned_outside(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    char *p = arena_alloc(&a, 20);
    assert_unpoisoned(p + 19);
    assert_poisoned(p + 20);
    struct arena_mark mark = arena_mark(&a);
    char *q = arena_alloc(&a, 100);
    assert_unpoisoned(q + 99);
    arena_rewind(&a, mark);
    assert_poisoned(q);
    assert_unpoisoned(p);
    q = arena_alloc(&a, 50);
    arena_shrink(&a, q, 50, 10);
    assert_unpoisoned(q + 9);
    assert_poisoned(q + 10);
    assert_poisoned(q + 49);
    arena_reset(&a);
    assert_poisoned(p);
    arena_done(&a);
}

static char trace[32];
static size_t traced;

static void note(void *arg)
{
    trace[traced++] = *(const char *)arg;
    trace[traced] = '\0';
}

static struct arena *nested_arena;

static void note_and_defer(void *arg)
{
    note(arg);
    static char n[] = "n";
    arena_defer(nested_arena, note, n);
    note((char[]){"m"});
}

static void defers_run_newest_first_and_once(void **state)
{
    (void)state;
    struct arena a;
    static char names[] = "abcdef";
    arena_init(&a, 1 << 16);
    traced = 0;
    arena_defer(&a, note, &names[0]);
    arena_defer(&a, note, &names[1]);
    struct arena_mark mark = arena_mark(&a);
    arena_defer(&a, note, &names[2]);
    (void)arena_alloc(&a, 10000); /* another chunk in between */
    arena_defer(&a, note, &names[3]);
    arena_rewind(&a, mark);
    assert_string_equal(trace, "dc");
    arena_defer(&a, note, &names[4]);
    arena_reset(&a);
    assert_string_equal(trace, "dceba");
    arena_defer(&a, note, &names[5]);
    arena_done(&a);
    arena_done(&a);
    assert_string_equal(trace, "dcebaf");
}

static void a_defer_may_defer(void **state)
{
    (void)state;
    struct arena a;
    static char x[] = "x";
    arena_init(&a, 1 << 16);
    traced = 0;
    nested_arena = &a;
    arena_defer(&a, note_and_defer, x);
    arena_done(&a);
    assert_int_equal(traced, 3);
    assert_memory_equal(trace, "xm", 2);
}

static void marks_nest(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    struct arena_mark start = arena_mark(&a); /* before any chunk */
    char *kept = arena_alloc(&a, 100);
    memset(kept, 'k', 100);
    size_t used = a.used_bytes;
    struct arena_mark m1 = arena_mark(&a);
    for (int i = 0; i < 50; i++)
        memset(arena_alloc(&a, 1000), 'x', 1000);
    struct arena_mark m2 = arena_mark(&a);
    (void)arena_alloc(&a, 50000);
    arena_rewind(&a, m2);
    arena_rewind(&a, m1);
    assert_int_equal(a.used_bytes, used);
    for (int i = 0; i < 100; i++)
        assert_int_equal(kept[i], 'k');
    arena_rewind(&a, start);
    assert_int_equal(a.used_bytes, 0);
    arena_done(&a);
}

static void growing(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 20000);
    char *p = arena_try_grow(&a, NULL, 0, 10);
    memcpy(p, "0123456789", 10);
    assert_ptr_equal(arena_try_grow(&a, p, 10, 100), p); /* the newest stays in place */
    assert_unpoisoned(p + 99);
    char *other = arena_alloc(&a, 1);
    char *q = arena_try_grow(&a, p, 100, 200);
    assert_true(q && q != p && q != other);
    assert_memory_equal(q, "0123456789", 10);
    q = arena_try_grow(&a, q, 200, 8000); /* beyond the chunk */
    assert_memory_equal(q, "0123456789", 10);
    size_t used = a.used_bytes;
    assert_null(arena_try_grow(&a, q, 8000, 30000)); /* beyond the cap: as before */
    assert_int_equal(a.used_bytes, used);
    assert_memory_equal(q, "0123456789", 10);
    char *empty = arena_alloc(&a, 0);
    assert_ptr_equal(arena_try_grow(&a, empty, 0, 0), empty);
    arena_done(&a);
}

static void shrinking(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 16);
    char *p = arena_alloc(&a, 1000);
    arena_shrink(&a, p, 1000, 100);
    assert_int_equal(a.used_bytes, 112);
    char *q = arena_alloc(&a, 16);
    assert_ptr_equal(q, p + 112);
    arena_shrink(&a, p, 100, 10); /* no longer the newest */
    assert_int_equal(a.used_bytes, 128);
    arena_done(&a);
}

static void copies_end_in_nul(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 16);
    struct slice s = arena_dup(&a, SLICE("a\0b"));
    assert_int_equal(s.len, 3);
    assert_memory_equal(s.ptr, "a\0b", 4);
    assert_string_equal(arena_cstr(&a, slice_first(SLICE("hello"), 2)), "he");
    assert_string_equal(arena_cstr(&a, (struct slice){NULL, 0}), "");
    s = arena_printf(&a, "%s-%d", "x", 42);
    assert_int_equal(s.len, 4);
    assert_string_equal(s.ptr, "x-42");
    arena_done(&a);
}

static void a_large_request_does_not_pin_its_memory(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 24);
    (void)arena_alloc(&a, 100);
    arena_reset(&a);
    assert_non_null(a.chunk);
    (void)arena_alloc(&a, 1 << 20);
    arena_reset(&a);
    assert_null(a.chunk);
    arena_done(&a);
}

TESTS(cmocka_unit_test(aligned_and_apart), cmocka_unit_test(the_cap_holds),
      cmocka_unit_test(poisoned_outside), cmocka_unit_test(defers_run_newest_first_and_once),
      cmocka_unit_test(a_defer_may_defer), cmocka_unit_test(marks_nest), cmocka_unit_test(growing),
      cmocka_unit_test(shrinking), cmocka_unit_test(copies_end_in_nul),
      cmocka_unit_test(a_large_request_does_not_pin_its_memory))
