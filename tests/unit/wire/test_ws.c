/* WebSocket frames: every rule, every limit, and the same verdict wherever the bytes are cut. */
#include "unit.h"

#include "wire/wire.h"

#define M "\x01\x02\x03\x04" /* a mask */

/* Bytes of a literal that may hold NULs. */
#define BYTES(lit)              \
    {                           \
        "" lit, sizeof(lit) - 1 \
    }

struct frames_case {
    const char *name;
    struct slice in;
    struct ws_options options;
    uint32_t cheap; /* 0: any number */
    uint16_t fault; /* 0: fine */
    size_t passed;  /* bytes that may pass */
};

#define CLIENT      .options = {.is_client = true}
#define LIMIT(m, s) .options = {.is_client = true, .max_message = (m), .max_session = (s)}
#define DEFLATE     .options = {.is_client = true, .may_compress = true}

static const struct frames_case cases[] = {
    {"nothing", BYTES(""), CLIENT},
    {"text", BYTES("\x81\x82" M "ab"), CLIENT, .passed = 8},
    {"binary", BYTES("\x82\x82" M "ab"), CLIENT, .passed = 8},
    {"of a server",
     BYTES("\x81\x02"
           "ab"),
     .passed = 4},
    {"two of a server",
     BYTES("\x81\x02"
           "ab\x82\x00"),
     .passed = 6},
    {"without a mask",
     BYTES("\x81\x02"
           "ab"),
     CLIENT, .fault = 1002},
    {"a server's with a mask", BYTES("\x81\x82" M "ab"), .fault = 1002},
    {"half a head", BYTES("\x81"), CLIENT},
    {"a head without its mask", BYTES("\x81\x82\x01\x02"), CLIENT},
    {"half a payload", BYTES("\x81\x85" M "ab"), CLIENT, .passed = 8},
    {"empty", BYTES("\x81\x80" M), CLIENT, .passed = 6},
    {"in pieces", BYTES("\x01\x81" M "a\x00\x81" M "b\x80\x81" M "c"), CLIENT, .passed = 21},
    {"a ping between pieces", BYTES("\x01\x81" M "a\x89\x81" M "p\x80\x81" M "c"), CLIENT,
     .passed = 21},
    {"a close", BYTES("\x88\x82" M "ab"), CLIENT, .passed = 8},
    {"a close without a code", BYTES("\x88\x80" M), CLIENT, .passed = 6},
    {"half a code", BYTES("\x88\x81" M "a"), CLIENT, .fault = 1002},
    {"a frame after the close", BYTES("\x88\x80" M "\x89\x80" M), CLIENT, .fault = 1002,
     .passed = 6},
    {"opcode 3", BYTES("\x83\x80" M), CLIENT, .fault = 1002},
    {"opcode 7", BYTES("\x87\x80" M), CLIENT, .fault = 1002},
    {"opcode 11", BYTES("\x8b\x80" M), CLIENT, .fault = 1002},
    {"opcode 15", BYTES("\x8f\x80" M), CLIENT, .fault = 1002},
    {"RSV1 unasked", BYTES("\xc1\x80" M), CLIENT, .fault = 1002},
    {"RSV1", BYTES("\xc1\x81" M "a"), DEFLATE, .passed = 7},
    {"RSV1 of the first piece", BYTES("\x41\x81" M "a\x80\x81" M "b"), DEFLATE, .passed = 14},
    {"RSV1 of the second piece", BYTES("\x01\x81" M "a\xc0\x81" M "b"), DEFLATE, .fault = 1002,
     .passed = 7},
    {"RSV1 of a ping", BYTES("\xc9\x80" M), DEFLATE, .fault = 1002},
    {"RSV2", BYTES("\xa1\x80" M), DEFLATE, .fault = 1002},
    {"RSV3", BYTES("\x91\x80" M), DEFLATE, .fault = 1002},
    {"a ping in pieces", BYTES("\x09\x80" M), CLIENT, .fault = 1002},
    {"a ping of 126 bytes", BYTES("\x89\xfe\x00\x7e" M), CLIENT, .fault = 1002},
    {"a message within another", BYTES("\x01\x81" M "a\x81\x81" M "b"), CLIENT, .fault = 1002,
     .passed = 7},
    {"a piece of nothing", BYTES("\x80\x81" M "a"), CLIENT, .fault = 1002},
    {"a piece after the last", BYTES("\x81\x81" M "a\x80\x81" M "b"), CLIENT, .fault = 1002,
     .passed = 7},
    {"125 in two bytes", BYTES("\x82\xfe\x00\x7d" M), CLIENT, .fault = 1002},
    {"126 in two bytes", BYTES("\x82\xfe\x00\x7e" M "ab"), CLIENT, .passed = 10},
    {"65535 in eight bytes", BYTES("\x82\xff\0\0\0\0\0\0\xff\xff" M), CLIENT, .fault = 1002},
    {"65536 in eight bytes", BYTES("\x82\xff\0\0\0\0\0\x01\0\0" M "ab"), CLIENT, .passed = 16},
    {"2^63 - 1", BYTES("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" M "ab"), CLIENT, .passed = 16},
    {"2^63", BYTES("\x82\xff\x80\0\0\0\0\0\0\0" M "ab"), CLIENT, .fault = 1002},
    {"2^64 - 1", BYTES("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff" M "ab"), CLIENT, .fault = 1002},
    {"as large as may be", BYTES("\x82\x83" M "abc"), LIMIT(3, 0), .passed = 9},
    {"too large", BYTES("\x82\x84" M "abcd"), LIMIT(3, 0), .fault = 1009},
    {"large in pieces", BYTES("\x02\x82" M "ab\x80\x81" M "c"), LIMIT(3, 0), .passed = 15},
    {"too large in pieces", BYTES("\x02\x82" M "ab\x80\x82" M "cd"), LIMIT(3, 0), .fault = 1009,
     .passed = 8},
    {"a ping is no piece", BYTES("\x02\x82" M "ab\x89\x82" M "pp\x80\x81" M "c"), LIMIT(3, 0),
     .passed = 23},
    {"each for itself", BYTES("\x82\x83" M "abc\x82\x83" M "abc"), LIMIT(3, 0), .passed = 18},
    {"sums that overflow", BYTES("\x02\x81" M "a\x00\xff\x7f\xff\xff\xff\xff\xff\xff\xff" M),
     LIMIT(9, 0), .fault = 1009, .passed = 7},
    {"all of a session", BYTES("\x82\x82" M "ab\x89\x82" M "cd"), LIMIT(9, 4), .passed = 16},
    {"more than a session", BYTES("\x82\x82" M "ab\x89\x82" M "cd\x82\x81" M "e"), LIMIT(9, 4),
     .fault = 1008, .passed = 16},
    {"pings within the rate", BYTES("\x89\x80" M "\x8a\x80" M), CLIENT, .cheap = 2, .passed = 12},
    {"too many pings", BYTES("\x89\x80" M "\x8a\x80" M "\x89\x80" M), CLIENT, .cheap = 2,
     .fault = 1008, .passed = 12},
    {"too many empty pieces", BYTES("\x01\x80" M "\x00\x80" M "\x00\x80" M), CLIENT, .cheap = 2,
     .fault = 1008, .passed = 12},
    {"data is not cheap", BYTES("\x82\x81" M "a\x82\x81" M "a\x82\x81" M "a"), CLIENT, .cheap = 2,
     .passed = 21},
};

/* Gives the bytes in two cuts, or (step) in pieces of that size, as a caller has to. */
static void check(const struct frames_case *t, size_t cut, size_t step)
{
    struct ws w;
    size_t passed = 0;
    bool fine = true;
    ws_init(&w, &t->options);
    if (t->cheap)
        w.cheap_left = t->cheap;
    for (size_t upto = cut; fine; upto = step ? upto + step : t->in.len) {
        size_t n;
        upto = upto < t->in.len ? upto : t->in.len;
        fine = ws_follow(&w, slice_skip(slice_first(t->in, upto), passed), &n);
        passed += n;
        if (fine && upto - passed >= WS_HEAD_MAX)
            fail_msg("%s: %zu bytes were left", t->name, upto - passed);
        if (upto == t->in.len)
            break;
    }
    if (w.fault != t->fault || passed != t->passed)
        fail_msg("%s, cut at %zu: %u (%s), %zu bytes pass", t->name, cut, w.fault,
                 w.why ? w.why : "", passed);
    assert_true(fine == !w.fault && !w.why == !w.fault);
    if (w.fault) {
        size_t n;
        assert_false(ws_follow(&w, SLICE("\x81\x80" M), &n));
        assert_int_equal(n, 0);
    }
}

static void test_every_rule_wherever_the_bytes_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t cut = 0; cut <= cases[i].in.len; cut++)
            check(&cases[i], cut, 0);
        for (size_t step = 1; step <= 4; step++)
            check(&cases[i], step, step);
    }
}

static void test_between_frames(void **state)
{
    (void)state;
    struct ws w;
    size_t n;
    const struct ws_options o = {0};
    ws_init(&w, &o);
    assert_true(ws_is_between(&w));
    assert_true(ws_follow(&w,
                          SLICE("\x82\x03"
                                "ab"),
                          &n) &&
                !ws_is_between(&w));
    assert_true(ws_follow(&w, SLICE("c"), &n) && ws_is_between(&w));
}

static void test_close_frames(void **state)
{
    (void)state;
    char to[WS_CLOSE_MAX], unmasked[WS_CLOSE_MAX], long_why[300];
    const uint8_t mask[4] = {7, 8, 9, 10};
    assert_int_equal(ws_close_frame(to, 1009, "big", NULL), 7);
    assert_memory_equal(to,
                        "\x88\x05\x03\xf1"
                        "big",
                        7);
    size_t n = ws_close_frame(to, 1009, "big", mask);
    assert_int_equal(n, 11);
    assert_memory_equal(to, "\x88\x85\x07\x08\x09\x0a", 6);
    for (size_t i = 6; i < n; i++)
        unmasked[i] = (char)(to[i] ^ mask[(i - 6) % 4]);
    assert_memory_equal(unmasked + 6,
                        "\x03\xf1"
                        "big",
                        5);
    memset(long_why, 'x', sizeof long_why - 1);
    long_why[sizeof long_why - 1] = '\0';
    assert_int_equal(ws_close_frame(to, 1008, long_why, mask), WS_CLOSE_MAX);
    struct ws w;
    const struct ws_options o = {.is_client = true};
    ws_init(&w, &o);
    assert_true(ws_follow(&w, (struct slice){to, WS_CLOSE_MAX}, &n) && n == WS_CLOSE_MAX &&
                w.has_closed);
}

TESTS(cmocka_unit_test(test_every_rule_wherever_the_bytes_are_cut),
      cmocka_unit_test(test_between_frames), cmocka_unit_test(test_close_frames))
