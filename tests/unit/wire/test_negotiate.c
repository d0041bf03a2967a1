/* Etags, codings, media types and cookies. */
#include "unit.h"

#include "wire/wire.h"

static void test_etags(void **state)
{
    (void)state;
    struct slice x = SLICE("\"x\""), weak = SLICE("W/\"x\"");
    assert_true(etag_match_weak(SLICE("\"x\""), x));
    assert_true(etag_match_weak(SLICE("W/\"x\""), x));
    assert_true(etag_match_weak(SLICE("\"a,b\" ,, W/\"x\""), weak));
    assert_true(etag_match_weak(SLICE("*"), x));
    assert_false(etag_match_weak(SLICE("\"xy\", \"y\""), x));
    assert_false(etag_match_weak(SLICE("x"), x));
    assert_false(etag_match_weak(SLICE("\"a\" \"x\""), x));
    assert_false(etag_match_weak(SLICE("\"x"), x));
    assert_false(etag_match_weak(SLICE("w/\"x\""), x));
    assert_false(etag_match_weak(SLICE(""), x));
    assert_true(etag_match_strong(SLICE("\"a\", \"x\""), x));
    assert_true(etag_match_strong(SLICE("*"), weak));
    assert_false(etag_match_strong(SLICE("W/\"x\""), x));
    assert_false(etag_match_strong(SLICE("W/\"x\""), weak));
    assert_false(etag_match_strong(SLICE("\"x\""), weak));
    /* A backslash escapes nothing in an etag. */
    assert_true(etag_match_weak(SLICE("\"a\\\", \"x\""), x));
}

static void check_coding(const char *header, enum coding expected)
{
    unsigned all = CODING_BIT(CODING_BR) | CODING_BIT(CODING_GZIP);
    enum coding got = coding_choose(slice_from(header), all);
    if (got != expected)
        fail_msg("%s gives %d", header, (int)got);
}

static void test_codings(void **state)
{
    (void)state;
    check_coding("", CODING_IDENTITY);
    check_coding("gzip, deflate, br, zstd", CODING_BR);
    check_coding("gzip", CODING_GZIP);
    check_coding("x-gzip", CODING_GZIP);
    check_coding("GZIP;Q=0.5, br;q=0.4", CODING_GZIP);
    check_coding("br;q=0, gzip", CODING_GZIP);
    check_coding("br;q=0.000", CODING_IDENTITY);
    check_coding("*", CODING_BR);
    check_coding("*;q=0, gzip;q=0.1", CODING_GZIP);
    check_coding("*;q=0", CODING_IDENTITY);
    check_coding("gzip;q=0.5, identity;q=0.8", CODING_IDENTITY);
    check_coding("gzip;q=0.5, identity;q=0.5", CODING_GZIP);
    check_coding("identity;q=0, gzip;q=0.001", CODING_GZIP);
    check_coding("gzip;q=2, br;q=x", CODING_IDENTITY);
    check_coding("gzip ; q=1.0 , br;q=1.001", CODING_GZIP);
    check_coding("brx, xgzip", CODING_IDENTITY);
    assert_int_equal(coding_choose(SLICE("br, gzip"), CODING_BIT(CODING_GZIP)), CODING_GZIP);
    assert_int_equal(coding_choose(SLICE("br, gzip"), 0), CODING_IDENTITY);
}

static void test_accept(void **state)
{
    (void)state;
    struct slice html = SLICE("text/html");
    assert_int_equal(accept_quality(SLICE(""), html), 1000);
    assert_int_equal(accept_quality(SLICE("*/*;q=0.1, text/*;q=0.2, text/html;q=0.3"), html), 300);
    assert_int_equal(accept_quality(SLICE("text/html;q=0, */*"), html), 0);
    assert_int_equal(accept_quality(SLICE("TEXT/*"), html), 1000);
    assert_int_equal(accept_quality(SLICE("image/*, texts/*"), html), 0);
    assert_int_equal(accept_quality(SLICE("text/html;level=1;q=0.125"), html), 125);
    assert_true(accept_prefers_html(
        SLICE("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")));
    assert_true(accept_prefers_html(SLICE("text/html")));
    assert_true(accept_prefers_html(SLICE("text/html, application/json")));
    assert_false(accept_prefers_html(SLICE("application/json, text/html")));
    assert_false(accept_prefers_html(SLICE("application/json, text/html;q=0.9")));
    assert_false(accept_prefers_html(SLICE("*/*")));
    assert_false(accept_prefers_html(SLICE("")));
    assert_false(accept_prefers_html(SLICE("text/html;q=0, */*;q=0")));
}

static void test_cookies(void **state)
{
    (void)state;
    struct slice line = SLICE("aa=0; a=1;b=\"2\"; c=; a=3; d;e=f=g");
    assert_true(slice_is(cookie_find(line, SLICE("a")), "1"));
    assert_true(slice_is(cookie_find(line, SLICE("b")), "2"));
    assert_true(slice_is(cookie_find(line, SLICE("e")), "f=g"));
    assert_true(cookie_find(line, SLICE("c")).ptr && cookie_find(line, SLICE("c")).len == 0);
    assert_null(cookie_find(line, SLICE("d")).ptr);
    assert_null(cookie_find(line, SLICE("A")).ptr);
    assert_null(cookie_find(SLICE(""), SLICE("a")).ptr);
}

TESTS(cmocka_unit_test(test_etags), cmocka_unit_test(test_codings), cmocka_unit_test(test_accept),
      cmocka_unit_test(test_cookies))
