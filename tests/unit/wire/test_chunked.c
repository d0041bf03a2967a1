/* Chunked bodies: pieces are borrowed, faults stay, heads are written. (Cases: tests/wire/.) */
#include "unit.h"

#include "wire/wire.h"

static void test_pieces_are_borrowed(void **state)
{
    (void)state;
    struct chunked c;
    struct slice in = SLICE("3\r\nabc\r\n2;x\r\nde\r\n0\r\nX: y\r\n\r\nnext"), piece;
    const char *start = in.ptr;
    chunked_init(&c);
    assert_int_equal(chunked_next(&c, &in, &piece, NULL), IO_OK);
    assert_true(slice_is(piece, "abc") && piece.ptr == start + 3);
    assert_int_equal(chunked_next(&c, &in, &piece, NULL), IO_OK);
    assert_true(slice_is(piece, "de"));
    assert_int_equal(chunked_next(&c, &in, &piece, NULL), IO_EOF);
    assert_true(slice_is(in, "next"));
    assert_int_equal(chunked_next(&c, &in, &piece, NULL), IO_EOF);
    assert_true(slice_is(in, "next"));
}

static void test_fault_stays(void **state)
{
    (void)state;
    struct chunked c;
    struct err e = {0};
    struct slice in = SLICE("zz\r\n"), piece;
    chunked_init(&c);
    assert_int_equal(chunked_next(&c, &in, &piece, &e), IO_FAIL);
    in = SLICE("1\r\na");
    assert_int_equal(chunked_next(&c, &in, &piece, &e), IO_FAIL);
    in = SLICE("");
    assert_int_equal(chunked_next(&c, &in, &piece, &e), IO_FAIL);
    assert_int_equal(e.code, ERR_MALFORMED);
}

static void check_head(uint64_t n, const char *expected)
{
    char head[CHUNK_HEAD_MAX];
    size_t len = chunk_head(head, n);
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(head, expected, len);
}

static void test_heads(void **state)
{
    (void)state;
    check_head(1, "1\r\n");
    check_head(15, "f\r\n");
    check_head(16, "10\r\n");
    check_head(0x1a2b, "1a2b\r\n");
    check_head(UINT64_MAX, "ffffffffffffffff\r\n");
}

/* A name as long as the buffer, and one longer, are not taken for another. */
static void test_long_trailer_names(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "0\r\nabcdefghijklmnopqrstuvwx: 1\r\n\r\n", "0\r\nabcdefghijklmnopqrstuvwxy: 1\r\n\r\n",
        "0\r\nhosthosthosthosthosthosthosthosthost: 1\r\nHosts: 2\r\n\r\n"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct chunked c;
        struct slice in = slice_from(bodies[i]), piece;
        chunked_init(&c);
        assert_int_equal(chunked_next(&c, &in, &piece, NULL), IO_EOF);
    }
}

TESTS(cmocka_unit_test(test_pieces_are_borrowed), cmocka_unit_test(test_fault_stays),
      cmocka_unit_test(test_heads), cmocka_unit_test(test_long_trailer_names))
