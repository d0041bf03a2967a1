/* Tests of which answers may be given again, and of the memory they may use. */
#include "unit.h"
#include "edge/edge_impl.h"

#include <stdio.h>

#define HEADERS_MAX 20

static struct h1_header headers[HEADERS_MAX];

/* An answer with these lines. */
static struct h1_response answer_of(int status, const char *lines)
{
    static char text[4096];
    struct h1_response rs = {.head.headers = headers};
    struct h1_limits limits = {4096, 4096, HEADERS_MAX};
    struct err e;
    size_t scanned = 0;
    int n = snprintf(text, sizeof text, "HTTP/1.1 %d X\r\n%s\r\n\r\n", status, lines);
    assert_int_equal(h1_parse_response(&rs, (struct slice){text, (size_t)n}, &scanned, &limits, &e),
                     IO_OK);
    return rs;
}

static void only_what_is_everybodys_is_kept(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *lines, *control;
        int64_t fresh_s; /* -1: not kept */
    } rows[] = {
        {200, "Cache-Control: public, max-age=60", "", 60},
        {200, "Cache-Control: max-age=60", "", -1},
        {200, "Cache-Control: max-age=60, s-maxage=5", "", 5},
        {200, "Cache-Control: s-maxage=\"7\"", "", 7},
        {200, "Cache-Control: public\r\nCache-Control: max-age=3", "", 3},
        {200, "Cache-Control: PUBLIC, Max-Age=3", "", 3},
        {200, "Cache-Control: public", "", -1},
        {200, "Cache-Control: public\r\nETag: \"1\"", "", 0},
        {200, "Cache-Control: public\r\nLast-Modified: x", "", 0},
        {200, "Cache-Control: public, no-cache, max-age=60\r\nETag: \"1\"", "", 0},
        {200, "Cache-Control: public, no-cache, max-age=60", "", -1},
        {200, "ETag: \"1\"", "", -1},
        {200, "Cache-Control: public, max-age=60, no-store", "", -1},
        {200, "Cache-Control: public, max-age=60, private", "", -1},
        {200, "Cache-Control: public, max-age=60, private=\"x\"", "", -1},
        {200, "Cache-Control: public, max-age=60\r\nSet-Cookie: a=b", "", -1},
        {200, "Cache-Control: public, max-age=60\r\nVary: Accept", "", 60},
        {200, "Cache-Control: public, max-age=60\r\nVary: Accept, *", "", -1},
        {200, "Cache-Control: public, max-age=60\r\nVary: Cookie", "", -1},
        {200, "Cache-Control: public, max-age=60\r\nVary: X-Forwarded-For", "", -1},
        {200, "Cache-Control: public, max-age=60\r\nAge: 60", "", -1},
        {200, "Cache-Control: public, max-age=60\r\nAge: 59", "", 60},
        {200, "Cache-Control: public, max-age=x", "", -1},
        {200, "Cache-Control: public, max-age=99999999999999999999", "", -1},
        {200, "Cache-Control: public, max-age=9999999999", "", 31536000},
        {206, "Cache-Control: public, max-age=60", "", -1},
        {302, "Cache-Control: public, max-age=60", "", -1},
        {500, "Cache-Control: public, max-age=60", "", -1},
        {301, "Cache-Control: public, max-age=60", "", 60},
        {404, "Cache-Control: public, max-age=60", "", 60},
        {200, "Cache-Control: no-store", "public, max-age=9", 9},
        {200, "Cache-Control: public, max-age=60", "no-store", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct h1_response answer = answer_of(rows[i].status, rows[i].lines);
        struct cache_terms terms;
        bool is_kept = caching_judge(&answer, slice_from(rows[i].control), &terms);
        if (is_kept != (rows[i].fresh_s >= 0) ||
            (is_kept && terms.fresh_ms != rows[i].fresh_s * 1000))
            fail_msg("%d %s", rows[i].status, rows[i].lines);
    }
}

static struct cached entry(const char *key, const char *names, const char *values, size_t n)
{
    static char bytes[4096];
    return (struct cached){.key = slice_from(key),
                           .names = slice_from(names),
                           .values = slice_from(values),
                           .status = 200,
                           .body = shared_new((struct slice){bytes, n})};
}

static void put(struct cache *c, const char *key, const char *names, const char *values, size_t n)
{
    struct cached e = entry(key, names, values, n);
    cache_put(c, &e, &(struct cache_terms){1000, 0}, 0);
    shared_unref(e.body);
}

/* The length of the body that is there for such a request; 0: none. */
static size_t found(struct cache *c, const char *key, const char *accept, int64_t now_ms)
{
    struct h1_header line = {SLICE("accept"), slice_from(accept), HEADER_ACCEPT};
    struct h1_request h1 = {.headers = &line, .n_headers = accept[0] ? 1 : 0};
    struct cache_found how;
    struct cached *e = cache_find(c, slice_from(key), &h1, now_ms, &how);
    size_t n = e && how.is_fresh ? e->body->len : 0;
    cached_unref(e);
    return n;
}

static void what_was_used_longest_ago_goes(void **state)
{
    (void)state;
    struct cache *c = cache_new(20000);
    char key[16];
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "k%d", i);
        put(c, key, "", "", 1000);
        assert_int_equal(found(c, "k0", "", 0), 1000); /* which is always the one used last */
    }
    assert_int_equal(found(c, "k99", "", 0), 1000);
    assert_int_equal(found(c, "k50", "", 0), 0);
    put(c, "large", "", "", 4000); /* more than an eighth */
    assert_int_equal(found(c, "large", "", 0), 0);
    assert_false(cache_reserve(c, 20001));
    assert_true(cache_reserve(c, 19000));
    assert_int_equal(found(c, "k0", "", 0), 0);
    assert_false(cache_reserve(c, 2000));
    cache_release(c, 19000);
    put(c, "k0", "", "", 10);
    put(c, "k0", "", "", 20); /* instead of the one before */
    assert_int_equal(found(c, "k0", "", 0), 20);
    assert_int_equal(found(c, "k0", "", 1000), 0);
    cache_forget(c, SLICE("k0"));
    cache_forget(c, SLICE("k0"));
    assert_int_equal(found(c, "k0", "", 0), 0);
    cache_free(c);
}

static void answers_that_vary_are_kept_apart(void **state)
{
    (void)state;
    struct cache *c = cache_new(100000);
    char values[16], accept[16];
    put(c, "k", "Accept", "a,\n", 1);
    put(c, "k", "Accept", "b,\n", 2);
    put(c, "k", "Accept", "\n", 3);
    assert_int_equal(found(c, "k", "a", 0), 1);
    assert_int_equal(found(c, "k", "b", 0), 2);
    assert_int_equal(found(c, "k", "", 0), 3);
    assert_int_equal(found(c, "k", "c", 0), 0);
    for (int i = 0; i < 20; i++) {
        snprintf(values, sizeof values, "v%d,\n", i);
        put(c, "k", "accept", values, 10);
    }
    size_t n = 0;
    for (int i = 0; i < 20; i++) {
        snprintf(accept, sizeof accept, "v%d", i);
        n += found(c, "k", accept, 0) > 0;
    }
    assert_int_equal(n, 8);
    cache_forget(c, SLICE("k"));
    assert_int_equal(found(c, "k", "v19", 0), 0);
    cache_free(c);
}

static void what_is_given_outlives_the_cache(void **state)
{
    (void)state;
    struct cache *c = cache_new(100000);
    struct h1_request h1 = {0};
    struct cache_found how;
    put(c, "k", "", "", 100);
    struct cached *e = cache_find(c, SLICE("k"), &h1, 1500, &how);
    assert_false(how.is_fresh);
    assert_int_equal(how.age_s, 1);
    cache_renew(c, e, &(struct cache_terms){5000, 2000}, 1500);
    cached_unref(cache_find(c, SLICE("k"), &h1, 2500, &how));
    assert_true(how.is_fresh && how.age_s == 3);
    cache_free(c);
    assert_true(slice_is(e->key, "k"));
    cached_unref(e);
}

TESTS(cmocka_unit_test(only_what_is_everybodys_is_kept),
      cmocka_unit_test(what_was_used_longest_ago_goes),
      cmocka_unit_test(answers_that_vary_are_kept_apart),
      cmocka_unit_test(what_is_given_outlives_the_cache))
