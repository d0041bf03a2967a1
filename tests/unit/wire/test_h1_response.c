/* Heads of answers: what is taken, what is refused, how the body that follows is framed, and that
 * no cut of the bytes changes any of it. */
#include "unit.h"
#include "wire/wire.h"

#include <stdlib.h>

static enum io parse(struct h1_response *rs, struct slice in, size_t *scanned, struct err *e)
{
    static struct h1_header headers[H1_HEADERS];
    static const struct h1_limits limits = {200, 400, 10};
    rs->head.headers = headers;
    return h1_parse_response(rs, in, scanned, &limits, e);
}

/* The same head whole and byte by byte; the copy has the exact size, so that an overread shows. */
static enum io parse_both_ways(struct h1_response *rs, struct slice in, struct err *e)
{
    size_t scanned = 0, trickled = 0;
    struct err again = {0};
    enum io whole = parse(rs, in, &scanned, e), cut = IO_MORE;
    size_t head_len = rs->head.head_len, n = 0;
    while (cut == IO_MORE && n++ < in.len) {
        char *copy = malloc(n);
        assert_non_null(copy);
        memcpy(copy, in.ptr, n);
        cut = parse(rs, (struct slice){copy, n}, &trickled, &again);
        free(copy);
    }
    if (cut != whole || (whole == IO_FAIL && e->code != again.code))
        fail_msg("cut differs: %d %d in \"%.*s\"", whole, cut, SLICE_ARGS(in));
    if (whole == IO_OK) {
        assert_int_equal(rs->head.head_len, head_len);
        scanned = 0;
        assert_int_equal(parse(rs, in, &scanned, e), IO_OK);
    }
    return whole;
}

static void good_heads(void **state)
{
    static const struct {
        const char *head;
        int status, minor;
        bool keep_alive;
        enum http_method asked;
        enum h1_body body;
        uint64_t length;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, 1, true, METHOD_GET, H1_BODY_LENGTH,
         5},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, 1, true, METHOD_GET, H1_BODY_LENGTH,
         0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, 1, true, METHOD_HEAD, H1_BODY_NONE,
         5},
        {"HTTP/1.1 200 \r\nTransfer-Encoding: Chunked\r\n\r\n", 200, 1, true, METHOD_POST,
         H1_BODY_CHUNKED, 0},
        {"HTTP/1.1 200\r\n\r\n", 200, 1, true, METHOD_GET, H1_BODY_CLOSE, 0},
        {"HTTP/1.0 200 OK\r\n\r\n", 200, 0, false, METHOD_GET, H1_BODY_CLOSE, 0},
        {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n", 200, 0, true,
         METHOD_GET, H1_BODY_LENGTH, 1},
        {"HTTP/1.1 404 Not\tFound \xc3\xa9\r\nConnection: close\r\n\r\n", 404, 1, false, METHOD_GET,
         H1_BODY_CLOSE, 0},
        {"HTTP/1.1 100 Continue\r\n\r\n", 100, 1, true, METHOD_POST, H1_BODY_NONE, 0},
        {"HTTP/1.1 204 No Content\r\n\r\n", 204, 1, true, METHOD_GET, H1_BODY_NONE, 0},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, 1, true, METHOD_GET,
         H1_BODY_NONE, 9},
        {"HTTP/1.1 999 x\r\nContent-Length: 9\r\n\r\n", 999, 1, true, METHOD_GET, H1_BODY_LENGTH,
         9},
        /* what would be a fault in a request is another server's business */
        {"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Type: c/d\r\nHost: \r\nHost: x y\r\n"
         "Expect: nonsense\r\nContent-Length: 2\r\n\r\n",
         200, 1, true, METHOD_GET, H1_BODY_LENGTH, 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct h1_response rs;
        struct err e = {0};
        struct slice head = slice_from(rows[i].head);
        if (parse_both_ways(&rs, head, &e) != IO_OK)
            fail_msg("row %zu: %s", i, e.msg);
        assert_int_equal(rs.status, rows[i].status);
        assert_int_equal(rs.head.minor, rows[i].minor);
        assert_int_equal(rs.head.keep_alive, rows[i].keep_alive);
        assert_int_equal(h1_response_body(&rs, rows[i].asked), rows[i].body);
        assert_int_equal(rs.head.content_length, rows[i].length);
        assert_int_equal(rs.head.head_len, head.len);
    }
}

static void bad_heads(void **state)
{
    static const char *const bad[] = {
        "HTTP/1.1 200 OK\n\n",
        "HTTP/1.1 200 OK\r\nA: b\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", /* a folded line */
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\x01\r\n\r\n",
        "HTTP/1.1 200 O\x01K\r\n\r\n",
        "HTTP/1.1 200 O\rK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 -20 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.2 200 OK\r\n\r\n",
        "http/1.1 200 OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "ICY 200 OK\r\nicy: 1\r\n\r\n",
        "<html>hello</html>\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct h1_response rs;
        struct err e = {0};
        if (parse_both_ways(&rs, slice_from(bad[i]), &e) != IO_FAIL)
            fail_msg("row %zu was taken: %s", i, bad[i]);
        assert_true(e.code == ERR_MALFORMED || e.code == ERR_NOT_IMPLEMENTED);
        assert_true(strlen(e.msg) > 10);
    }
}

static void too_large(void **state)
{
    char in[500];
    struct h1_response rs;
    struct err e = {0};
    size_t scanned = 0;
    (void)state;
    memset(in, 'x', sizeof in);
    memcpy(in, "HTTP/1.1 200 ", 13);
    assert_int_equal(parse(&rs, (struct slice){in, sizeof in}, &scanned, &e), IO_FAIL);
    memcpy(in, "HTTP/1.1 200 OK\r\nA: ", 20);
    scanned = 0;
    assert_int_equal(parse(&rs, (struct slice){in, sizeof in}, &scanned, &e), IO_FAIL);
    assert_int_equal(e.code, ERR_HEADERS_TOO_LARGE);
    size_t n = 17; /* eleven headers, ten are allowed */
    for (int i = 0; i < 11; i++, n += 6)
        memcpy(in + n, "A: b\r\n", 6);
    memcpy(in + n, "\r\n", 2);
    scanned = 0;
    assert_int_equal(parse(&rs, (struct slice){in, n + 2}, &scanned, &e), IO_FAIL);
    assert_int_equal(e.code, ERR_HEADERS_TOO_LARGE);
}

static void known_headers_are_found(void **state)
{
    struct h1_response rs;
    struct err e = {0};
    (void)state;
    struct slice in = SLICE("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                            "Connection: Upgrade\r\nX-Own: 1\r\n\r\nframes");
    assert_int_equal(parse_both_ways(&rs, in, &e), IO_OK);
    assert_true(rs.head.upgrade);
    assert_true(slice_is(h1_get(&rs.head, HEADER_UPGRADE), "websocket"));
    assert_true(slice_is(h1_find(&rs.head, SLICE("x-own")), "1"));
    assert_true(slice_is(rs.reason, "Switching Protocols"));
    assert_true(slice_is(slice_skip(in, rs.head.head_len), "frames"));
}

TESTS(cmocka_unit_test(good_heads), cmocka_unit_test(bad_heads), cmocka_unit_test(too_large),
      cmocka_unit_test(known_headers_are_found))
