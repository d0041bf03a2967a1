/* Names of headers and methods, lists in values, lookups in a parsed head. */
#include "unit.h"

#include "wire/wire.h"

#include <ctype.h>

static void test_every_known_header_is_found(void **state)
{
    (void)state;
    for (int id = HEADER_OTHER + 1; id < HEADER_COUNT; id++) {
        char upper[64], mixed[64];
        const char *name = header_name((enum header_id)id);
        size_t n = strlen(name);
        assert_in_range(n, 2, sizeof upper - 1);
        for (size_t i = 0; i <= n; i++) {
            upper[i] = (char)toupper(name[i]);
            mixed[i] = i % 2 ? name[i] : upper[i];
        }
        assert_int_equal(header_find(slice_from(name)), id);
        assert_int_equal(header_find(slice_from(upper)), id);
        assert_int_equal(header_find(slice_from(mixed)), id);
        for (size_t i = 0; i < n; i++) { /* one letter off is another header */
            char other[64];
            memcpy(other, name, n + 1);
            other[i] = other[i] == 'z' ? 'q' : 'z';
            assert_int_equal(header_find(slice_from(other)), HEADER_OTHER);
        }
        assert_int_not_equal(header_find(slice_first(slice_from(name), n - 1)), id);
    }
    assert_int_equal(header_find(SLICE("")), HEADER_OTHER);
    assert_int_equal(header_find(SLICE("x")), HEADER_OTHER);
    assert_string_equal(header_name(HEADER_OTHER), "");
}

static void test_hop_headers(void **state)
{
    (void)state;
    assert_true(header_is_hop(HEADER_CONNECTION));
    assert_true(header_is_hop(HEADER_TE));
    assert_true(header_is_hop(HEADER_TRANSFER_ENCODING));
    assert_false(header_is_hop(HEADER_HOST));
    assert_false(header_is_hop(HEADER_OTHER));
}

static void test_lists(void **state)
{
    (void)state;
    struct slice list = SLICE(" a , \"b,\\\"c\" ,, d"), item;
    assert_true(list_next(&list, &item) && slice_is(item, "a"));
    assert_true(list_next(&list, &item) && slice_is(item, "\"b,\\\"c\""));
    assert_true(list_next(&list, &item) && slice_is(item, "d"));
    assert_false(list_next(&list, &item));
    assert_true(list_has(SLICE("close, Upgrade"), SLICE("upgrade")));
    assert_false(list_has(SLICE("xupgrade, upgradex"), SLICE("upgrade")));
    assert_false(list_has(SLICE(""), SLICE("a")));
    list = SLICE("\"open, a");
    assert_true(list_next(&list, &item) && slice_is(item, "\"open, a"));
    list = SLICE("\"open\\");
    assert_true(list_next(&list, &item) && !list_next(&list, &item));
}

static void parse(struct h1_request *rq, struct slice head)
{
    size_t scanned = 0;
    assert_int_equal(h1_parse_request(rq, head, &scanned, &h1_default_limits, NULL), IO_OK);
}

static void test_lookups(void **state)
{
    (void)state;
    struct h1_header headers[H1_HEADERS];
    struct h1_request rq = {.headers = headers};
    struct slice value;
    uint32_t at = 0;
    parse(&rq, SLICE("GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=2\r\nX-Own: z\r\n"
                     "cookie: c=\"3\"\r\nAccept: t/x\r\n\r\n"));
    assert_true(slice_is(h1_get(&rq, HEADER_ACCEPT), "t/x"));
    assert_null(h1_get(&rq, HEADER_RANGE).ptr);
    assert_true(slice_is(h1_find(&rq, SLICE("x-own")), "z"));
    assert_null(h1_find(&rq, SLICE("x-ow")).ptr);
    assert_true(h1_next(&rq, HEADER_COOKIE, &at, &value) && slice_is(value, "a=1; b=2"));
    assert_true(h1_next(&rq, HEADER_COOKIE, &at, &value) && slice_is(value, "c=\"3\""));
    assert_false(h1_next(&rq, HEADER_COOKIE, &at, &value));
    at = 0;
    assert_false(h1_next(&rq, HEADER_RANGE, &at, &value));
    at = 0; /* the very last line */
    assert_true(h1_next(&rq, HEADER_ACCEPT, &at, &value));
    assert_false(h1_next(&rq, HEADER_ACCEPT, &at, &value));
    assert_true(slice_is(h1_cookie(&rq, SLICE("a")), "1"));
    assert_true(slice_is(h1_cookie(&rq, SLICE("b")), "2"));
    assert_true(slice_is(h1_cookie(&rq, SLICE("c")), "3"));
    assert_null(h1_cookie(&rq, SLICE("C")).ptr);
}

/* The struct is reused for the next request: nothing of the first may be left. */
static void test_reuse_forgets(void **state)
{
    (void)state;
    struct h1_header headers[H1_HEADERS];
    struct h1_request rq = {.headers = headers};
    parse(&rq, SLICE("PUT http://x/y?z HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                     "Expect: 100-continue\r\nConnection: upgrade\r\nUpgrade: h\r\n\r\n"));
    assert_true(rq.has_length && rq.expect_continue && rq.upgrade && rq.content_length == 5);
    parse(&rq, SLICE("GET / HTTP/1.0\r\n\r\n"));
    assert_false(rq.has_length || rq.expect_continue || rq.upgrade || rq.chunked || rq.keep_alive);
    assert_int_equal(rq.content_length, 0);
    assert_int_equal(rq.host.len, 0);
    assert_int_equal(rq.query.len, 0);
    assert_int_equal(rq.n_headers, 0);
    assert_null(h1_get(&rq, HEADER_EXPECT).ptr);
}

TESTS(cmocka_unit_test(test_every_known_header_is_found), cmocka_unit_test(test_hop_headers),
      cmocka_unit_test(test_lists), cmocka_unit_test(test_lookups),
      cmocka_unit_test(test_reuse_forgets))
