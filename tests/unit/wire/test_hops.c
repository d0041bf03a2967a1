/* X-Forwarded-For and Forwarded, from the nearest hop outwards. */
#include "unit.h"

#include "wire/wire.h"

/* Two lines of the header (the second may be NULL), the addresses joined by '|', "!" when bad. */
static void check(enum header_id id, const char *first, const char *second, const char *expected)
{
    struct h1_header headers[] = {{.id = HEADER_HOST, .value = SLICE("h")},
                                  {.id = id, .value = slice_from(first)},
                                  {.id = HEADER_OTHER, .value = SLICE("9.9.9.9")},
                                  {.id = id, .value = slice_from(second)}};
    struct h1_request rq = {.headers = headers, .n_headers = second ? 4 : 3};
    struct hop_walk w;
    struct slice address;
    struct buf text;
    buf_init(&text, 1000);
    hop_walk_init(&w, &rq, id);
    while (hop_next(&w, &address))
        buf_printf(&text, "%.*s|", SLICE_ARGS(address));
    assert_false(hop_next(&w, &address));
    if (w.bad)
        buf_add_char(&text, '!');
    assert_true(slice_is(buf_slice(&text), expected));
    buf_done(&text);
}

static void test_forwarded_for(void **state)
{
    (void)state;
    enum header_id id = HEADER_X_FORWARDED_FOR;
    check(id, "1.1.1.1", NULL, "1.1.1.1|");
    check(id, "1.1.1.1, 2.2.2.2 ,3.3.3.3", NULL, "3.3.3.3|2.2.2.2|1.1.1.1|");
    check(id, "1.1.1.1", "2.2.2.2, ::1", "::1|2.2.2.2|1.1.1.1|");
    check(id, "1.1.1.1:80, [2001:db8::1]:443, [::2], unknown", NULL,
          "unknown|::2|2001:db8::1|1.1.1.1|");
    check(id, "127.0.0.1, evil, 2.2.2.2", NULL, "2.2.2.2|!");
    check(id, "1.1.1.1,", NULL, "!");
    check(id, ", 1.1.1.1", NULL, "1.1.1.1|!");
    check(id, "", NULL, "!");
    check(id, "1.1.1.1:99999", NULL, "!");
    check(id, "1.1.1.1:", NULL, "!");
    check(id, "1.1.1", NULL, "!");
    check(id, "[::1", NULL, "!");
    check(id, "[1.1.1.1]", NULL, "!");
    check(id, "1.1.1.1 2.2.2.2", NULL, "!");
}

static void test_forwarded(void **state)
{
    (void)state;
    enum header_id id = HEADER_FORWARDED;
    check(id, "for=1.1.1.1", NULL, "1.1.1.1|");
    check(id, "For=\"[2001:db8::1]:4711\";proto=https;by=_x, for=_hid;host=\"a,b\"",
          "proto=http; for=unknown", "unknown|_hid|2001:db8::1|");
    check(id, "for=1.1.1.1, proto=https", NULL, "!");
    check(id, "for=1.1.1.1;for=2.2.2.2", NULL, "!");
    check(id, "for=\"1.1.1.1\\\"\"", NULL, "!");
    check(id, "for=", NULL, "!");
}

TESTS(cmocka_unit_test(test_forwarded_for), cmocka_unit_test(test_forwarded))
