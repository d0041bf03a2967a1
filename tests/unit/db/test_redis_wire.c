/* Redis' addresses and its protocol, by their bytes. */
#include "db/ring_impl.h"
#include "unit.h"

static void addresses(void **state)
{
    static const struct {
        const char *url, *host, *port, *path, *user, *password;
        unsigned index;
    } good[] = {
        {"redis://cache", "cache", "6379", "", "", "", 0},
        {"redis://", "localhost", "6379", "", "", "", 0},
        {"redis://:p%40s%3As@cache:1234/7", "cache", "1234", "", "", "p@s:s", 7},
        {"redis://dais:a@b@cache/", "cache", "6379", "", "dais", "a@b", 0},
        {"redis://[::1]:6380/2?timeout=5", "::1", "6380", "", "", "", 2},
        {"redis://[fe80::1]", "fe80::1", "6379", "", "", "", 0},
        {"unix:///run/redis.sock", "", "", "/run/redis.sock", "", "", 0},
        {"unix://u:p@/run/r?x=1&db=3", "", "", "/run/r", "u", "p", 3},
    };
    struct redis_address a;
    struct err e;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!redis_address_read(slice_from(good[i].url), &a, &e))
            fail_msg("%s: %s", good[i].url, e.msg);
        assert_string_equal(a.host, good[i].host);
        assert_string_equal(a.port, good[i].port);
        assert_string_equal(a.path, good[i].path);
        assert_string_equal(a.user, good[i].user);
        assert_string_equal(a.password, good[i].password);
        assert_int_equal(a.index, good[i].index);
    }
}

static void addresses_that_are_none(void **state)
{
    static const char too_long[] =
        "unix:///0123456789012345678901234567890123456789012345678901234567890123456789"
        "0123456789012345678901234567890123456789";
    static const char *const bad[] = {
        "",
        "redis:",
        "http://x",
        "rediss://pw@x",
        "redis://x:pw",
        "redis://x:0",
        "redis://x:65536",
        "redis://x/y",
        "redis://x/65536",
        "redis://:%4@x",
        "redis://:%zz@x",
        "redis://:a%00b@x",
        "redis://:a%0d%0ab@x",
        "unix://relative",
        "unix://",
        "unix:///x?db=pw",
        too_long,
    };
    struct redis_address a;
    struct err e;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (redis_address_read(slice_from(bad[i]), &a, &e))
            fail_msg("%s", bad[i]);
        assert_int_equal(e.code, ERR_USAGE);
        assert_null(strstr(e.msg, "pw"));
    }
}

static void values(void **state)
{
    static const struct {
        const char *bytes;
        ptrdiff_t n; /* 1: all of it */
        unsigned words;
        const char *first;
    } rows[] = {
        {"+OK\r\n", 1, 1, "OK"},
        {":12\r\n", 1, 1, "12"},
        {"-ERR no\r\n", 1, 1, "ERR no"},
        {"$3\r\na\r\n\r\n", 1, 1, "a\r\n"},
        {"$-1\r\n", 1, 0, ""},
        {"_\r\n", 1, 1, ""},
        {"*0\r\n", 1, 0, ""},
        {">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n", 1, 3, "message"},
        {"%2\r\n+a\r\n:1\r\n+b\r\n*2\r\n+c\r\n+d\r\n", 1, 3, "a"},
        {"*1\r\n*1\r\n*1\r\n*1\r\n+deep\r\n", 1, 1, "deep"},
        {"$70000\r\n", -1, 0, ""},
        {"*1001\r\n", -1, 0, ""},
        {"*1000\r\n*1000\r\n*1000\r\n", -1, 0, ""},
        {"*-2\r\n", -1, 0, ""},
        {"$x\r\n", -1, 0, ""},
        {"HTTP/1.1 400 Bad Request\r\n", -1, 0, ""},
        {"\r\n", 0, 0, ""},
    };
    struct redis_value v;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct slice all = slice_from(rows[i].bytes);
        ptrdiff_t n = redis_value_read(all, &v);
        if (n != (rows[i].n == 1 ? (ptrdiff_t)all.len : rows[i].n))
            fail_msg("%s: %zd", rows[i].bytes, n);
        if (n <= 0)
            continue;
        assert_int_equal(v.n, rows[i].words);
        assert_true(!v.n || slice_is(v.words[0], rows[i].first));
        for (size_t cut = 0; cut < all.len; cut++) /* not all there */
            assert_int_equal(redis_value_read(slice_first(all, cut), &v), 0);
    }
}

static void commands(void **state)
{
    static const struct slice words[] = {SLICE_INIT("AUTH"), SLICE_INIT("a\r\nb"), SLICE_INIT("")};
    struct buf text;
    (void)state;
    buf_init(&text, 1000);
    redis_command_add(&text, words, 3);
    assert_true(slice_is(buf_slice(&text), "*3\r\n$4\r\nAUTH\r\n$4\r\na\r\nb\r\n$0\r\n\r\n"));
    buf_done(&text);
}

TESTS(cmocka_unit_test(addresses), cmocka_unit_test(addresses_that_are_none),
      cmocka_unit_test(values), cmocka_unit_test(commands))
