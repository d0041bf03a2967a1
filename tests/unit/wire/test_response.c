/* Response heads: status lines, headers, and values that would split them. */
#include "unit.h"

#include "wire/wire.h"

static void test_head(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    h1_add_status(&b, 200);
    h1_add(&b, "Content-Type", SLICE("text/plain"));
    h1_add_u64(&b, "Content-Length", 0);
    h1_add_u64(&b, "X-Big", UINT64_MAX);
    assert_true(h1_add_header(&b, SLICE("X-Empty"), (struct slice){0}));
    h1_end(&b);
    assert_true(slice_is(buf_slice(&b),
                         "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n"
                         "X-Big: 18446744073709551615\r\nX-Empty: \r\n\r\n"));
    buf_done(&b);
}

static void test_statuses(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    h1_add_status(&b, 599);
    h1_add_status(&b, 104);
    h1_add_status(&b, 999);
    assert_true(slice_is(buf_slice(&b), "HTTP/1.1 599 \r\nHTTP/1.1 104 \r\nHTTP/1.1 999 \r\n"));
    buf_done(&b);
    assert_string_equal(http_reason(404), "Not Found");
    assert_string_equal(http_reason(0), "");
    assert_string_equal(http_reason(-1), "");
    assert_string_equal(http_reason(100000), "");
    for (int code = ERR_NONE; code < ERR_COUNT; code++) /* every status we answer has words */
        assert_int_not_equal(http_reason(err_status((enum err_code)code))[0], 0);
}

static void test_nothing_splits(void **state)
{
    (void)state;
    static const struct slice values[] = {SLICE_INIT("a\r\nSet-Cookie: x"),
                                          SLICE_INIT("a\nb"),
                                          SLICE_INIT("a\rb"),
                                          SLICE_INIT("a\0b"),
                                          SLICE_INIT("0123456789abcdef0123\n"),
                                          SLICE_INIT("\x7f"),
                                          SLICE_INIT("\x1b[0m")};
    static const struct slice names[] = {SLICE_INIT(""), SLICE_INIT("a b"), SLICE_INIT("a:"),
                                         SLICE_INIT("a\r\n"), SLICE_INIT("\xc3\xa4")};
    struct buf b;
    buf_init(&b, 1000);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        assert_false(h1_add_header(&b, SLICE("X"), values[i]));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_false(h1_add_header(&b, names[i], SLICE("x")));
    assert_int_equal(b.len, 0);
    assert_true(h1_add_header(&b, SLICE("X"), SLICE("\ta \xc3\xa4")));
    buf_done(&b);
}

static void test_full(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    assert_true(h1_add_header(&b, SLICE("Name"), SLICE("0123456789")));
    assert_true(b.full);
    assert_int_equal(b.len, 0);
    buf_done(&b);
}

TESTS(cmocka_unit_test(test_head), cmocka_unit_test(test_statuses),
      cmocka_unit_test(test_nothing_splits), cmocka_unit_test(test_full))
