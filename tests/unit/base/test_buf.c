/* The growing buffer: its limit, its latch, its NUL. */
#include "base/buf.h"
#include "unit.h"

#include <stdlib.h>

static void grows_and_ends_in_nul(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100000);
    assert_int_equal(buf_slice(&b).len, 0);
    assert_non_null(buf_slice(&b).ptr);
    for (unsigned i = 0; i < 1000; i++) {
        buf_add_char(&b, (char)('a' + i % 26));
        assert_int_equal(b.len, i + 1);
        assert_int_equal(b.data[b.len], '\0');
    }
    buf_clear(&b);
    buf_add_u64(&b, 0);
    buf_add_u64(&b, UINT64_MAX);
    buf_printf(&b, "-%s-%d", "x", 7);
    buf_add_str(&b, "!");
    buf_add(&b, (struct slice){NULL, 0});
    buf_add(&b, SLICE("a\0b"));
    assert_int_equal(b.len, 29);
    assert_memory_equal(b.data, "018446744073709551615-x-7!a\0b", 30);
    buf_done(&b);
    buf_done(&b);
}

static void the_limit_latches(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    buf_add_str(&b, "12345678");
    buf_add_str(&b, "abc");
    assert_true(b.full);
    buf_add_str(&b, "c"); /* would fit, but a hole would be worse than an end */
    buf_add_char(&b, 'c');
    buf_printf(&b, "c");
    assert_null(buf_reserve(&b, 0));
    assert_string_equal(b.data, "12345678");
    buf_consume(&b, 4);
    assert_true(b.full);
    buf_clear(&b);
    assert_false(b.full);
    buf_add_str(&b, "0123456789"); /* exactly */
    assert_false(b.full);
    buf_add_char(&b, 'x');
    assert_true(b.full);
    assert_string_equal(b.data, "0123456789");
    buf_truncate(&b, 3);
    assert_false(b.full);
    buf_printf(&b, "%d", 1234567);
    assert_false(b.full);
    assert_string_equal(b.data, "0121234567");
    assert_int_equal(b.cap, 11); /* and no more memory than that */
    buf_done(&b);
}

static void absurd_sizes_are_refused(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, SIZE_MAX);
    buf_add_char(&b, 'x');
    assert_null(buf_reserve(&b, SIZE_MAX));
    assert_true(b.full);
    buf_clear(&b);
    assert_null(buf_reserve(&b, SIZE_MAX - 1));
    buf_done(&b);
    buf_init(&b, 0);
    buf_add(&b, SLICE(""));
    assert_false(b.full);
    buf_add_char(&b, 'x');
    assert_true(b.full);
    buf_done(&b);
}

static void reserve_and_consume(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    buf_consume(&b, 0);
    char *to = buf_reserve(&b, 500);
    assert_non_null(to);
    memcpy(to, "hello", 5);
    buf_grew(&b, 5);
    assert_string_equal(b.data, "hello");
    buf_consume(&b, 2);
    assert_string_equal(b.data, "llo");
    buf_consume(&b, 3);
    assert_int_equal(b.len, 0);
    assert_string_equal(b.data, "");
    buf_done(&b);
}

static void memory_moves_out(void **state)
{
    (void)state;
    struct buf b;
    size_t n = 77;
    buf_init(&b, 1000);
    char *mem = buf_take(&b, &n);
    assert_string_equal(mem, "");
    assert_int_equal(n, 0);
    free(mem);
    buf_add_str(&b, "abc");
    mem = buf_take(&b, &n);
    assert_string_equal(mem, "abc");
    assert_int_equal(n, 3);
    free(mem);
    assert_int_equal(b.len, 0);
    buf_add_str(&b, "again"); /* the limit stays */
    assert_int_equal(b.max, 1000);
    buf_done(&b);
}

static void check_replacing(const char *text, const char *from, const char *to, const char *wanted)
{
    struct buf b;
    buf_init(&b, 100);
    buf_add_str(&b, "> ");
    buf_add_replacing(&b, slice_from(text), slice_from(from), slice_from(to));
    assert_memory_equal(b.data, "> ", 2);
    assert_string_equal(b.data + 2, wanted);
    buf_done(&b);
}

static void texts_are_replaced(void **state)
{
    (void)state;
    check_replacing("", "a", "b", "");
    check_replacing("none", "a", "b", "none");
    check_replacing("abcab", "ab", "x", "xcx");
    check_replacing("aaa", "aa", "a", "aa"); /* what was put in is not looked at again */
    check_replacing("a,b,", ",", "", "ab");
    check_replacing("ab", "", "x", "ab");
    struct buf b;
    buf_init(&b, 5);
    buf_add_replacing(&b, SLICE("aaaa"), SLICE("a"), SLICE("xyz"));
    assert_true(b.full);
    buf_truncate(&b, 0);
    buf_add_replacing(&b, SLICE("\0a\0"), SLICE("\0"), SLICE("\0\0"));
    assert_int_equal(b.len, 5);
    assert_memory_equal(b.data, "\0\0a\0\0", 6);
    assert_false(b.full);
    buf_done(&b);
}

static void quotes_and_backslashes_are_escaped(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 100);
    buf_add_quoted(&b, SLICE(""));
    buf_add_quoted(&b, SLICE("a \"b\" c:\\ 'd'\n"));
    assert_string_equal(b.data, "\"\"\"a \\\"b\\\" c:\\\\ 'd'\n\"");
    buf_done(&b);
}

static void bufs_change_places(void **state)
{
    struct buf a, b;
    (void)state;
    buf_init(&a, 3);
    buf_init(&b, 100);
    buf_add_str(&a, "long");
    buf_add_str(&b, "other");
    buf_swap(&a, &b);
    assert_string_equal(a.data, "other");
    assert_int_equal(a.max, 100);
    assert_int_equal(b.max, 3);
    assert_true(b.full);
    buf_done(&a);
    buf_done(&b);
}

TESTS(cmocka_unit_test(grows_and_ends_in_nul), cmocka_unit_test(the_limit_latches),
      cmocka_unit_test(absurd_sizes_are_refused), cmocka_unit_test(reserve_and_consume),
      cmocka_unit_test(memory_moves_out), cmocka_unit_test(texts_are_replaced),
      cmocka_unit_test(quotes_and_backslashes_are_escaped), cmocka_unit_test(bufs_change_places))
