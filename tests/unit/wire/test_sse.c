/* Server-sent events: frames as a client reads them. */
#include "unit.h"

#include "wire/wire.h"

static void check(struct slice id, struct slice event, struct slice data, const char *expected)
{
    struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(sse_add_event(&b, id, event, data), expected != NULL);
    assert_true(slice_is(buf_slice(&b), expected ? expected : ""));
    buf_done(&b);
}

static void test_frames(void **state)
{
    (void)state;
    struct slice none = {0};
    check(SLICE("7"), SLICE("put"), SLICE("{}"), "id: 7\nevent: put\ndata: {}\n\n");
    check(none, none, SLICE("x"), "data: x\n\n");
    check(none, none, none, "data: \n\n");
    check(none, none, SLICE("a\nb\r\nc\rd"), "data: a\ndata: b\ndata: c\ndata: d\n\n");
    check(none, none, SLICE("a\n\n"), "data: a\ndata: \ndata: \n\n");
    check(none, none, SLICE("a\r\n\rb"), "data: a\ndata: \ndata: b\n\n");
    check(none, none, SLICE("id: 5\n\nevent: x"), "data: id: 5\ndata: \ndata: event: x\n\n");
}

static void test_refused(void **state)
{
    (void)state;
    struct slice none = {0};
    check(SLICE("1\ndata: x"), none, none, NULL);
    check(SLICE("1\r"), none, none, NULL);
    check((struct slice){"1\0", 2}, none, none, NULL);
    check(none, SLICE("a\nb"), none, NULL);
    check(none, SLICE("a\rb"), none, NULL);
}

static void test_others(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    sse_add_heartbeat(&b);
    sse_add_retry(&b, 3000);
    assert_true(slice_is(buf_slice(&b), ":\n\nretry: 3000\n\n"));
    buf_done(&b);
}

TESTS(cmocka_unit_test(test_frames), cmocka_unit_test(test_refused), cmocka_unit_test(test_others))
