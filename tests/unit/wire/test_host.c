/* Host names: what is one, and its parts. (More cases are in tests/wire/host_*.txt.) */
#include "unit.h"

#include "wire/wire.h"

static void test_valid(void **state)
{
    (void)state;
    static const char *const fine[] = {"a",          "a.b.",        "1.2.3.4:80", "[::1]",
                                       "[::]:65535", "x_y-z.local", "A:1"};
    static const char *const wrong[] = {
        "",     ":80", "a:", "a:0", "a:99999",   "a:+1",    "a: 1", "[]",   "[::1",  "[:]", "a b",
        "a\tb", "a@b", "a/", "a?b", "[1.2.3.4]", "[::1]80", ".",    "a..b", "a:1:1", "a,b"};
    char longest[255];
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        assert_true(host_is_valid(slice_from(fine[i])));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(host_is_valid(slice_from(wrong[i])));
    assert_false(host_is_valid((struct slice){"[::1\0]", 6}));
    memset(longest, 'a', sizeof longest);
    assert_true(host_is_valid((struct slice){longest, 253}));
    assert_false(host_is_valid((struct slice){longest, 254}));
}

static void test_split(void **state)
{
    (void)state;
    struct slice name;
    uint16_t port;
    host_split(SLICE("a.b:8080"), &name, &port);
    assert_true(slice_is(name, "a.b") && port == 8080);
    host_split(SLICE("a.b"), &name, &port);
    assert_true(slice_is(name, "a.b") && port == 0);
    host_split(SLICE("[2001:db8::1]:443"), &name, &port);
    assert_true(slice_is(name, "[2001:db8::1]") && port == 443);
    host_split(SLICE("[::1]"), &name, &port);
    assert_true(slice_is(name, "[::1]") && port == 0);
}

TESTS(cmocka_unit_test(test_valid), cmocka_unit_test(test_split))
