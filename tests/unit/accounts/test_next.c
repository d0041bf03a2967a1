/* Where people are sent on to after signing in: every way to leave the origin is refused. */
#include "unit.h"

#include "accounts/accounts.h"

static struct arena arena;

static const char *next_of(const char *raw)
{
    return arena_cstr(&arena, accounts_next(slice_from(raw), &arena));
}

static void test_good(void **state)
{
    static const char *const same[] = {
        "/",
        "/x",
        "/a/b?c=d&e=%2F%2Fevil",
        "/#/notes/1",
        "/a%20b",
        "/app/x?next=//y",
        "/a//b",
        "/%C3%A9",
        "/x?a=b#c",
        "/a..b/.c",
        "/?u=https://example.org/",
    };
    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        assert_string_equal(next_of(same[i]), same[i]);
    assert_string_equal(next_of("/caf\xc3\xa9?q=\xc3\xa9"), "/caf%C3%A9?q=%C3%A9");
}

static void test_bad(void **state)
{
    static const char *const bad[] = {
        "",
        "x",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example/",
        "javascript:alert(1)",
        "///evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        " /x",
        "/ /evil.example",
        "/x\r\nSet-Cookie: a=b",
        "/%2f/evil.example",
        "/%2Fevil.example",
        "/%5cevil.example",
        "/%5Cevil.example",
        "/%09/evil.example",
        "/%0d%0aLocation:x",
        "/%252fevil.example",
        "/%25252fevil.example",
        "/%255cevil.example",
        "/.//evil.example",
        "/..//evil.example",
        "/a/..//evil.example",
        "/%2e%2e//evil.example",
        "/%2e/%2fevil.example",
        "/a/../b",
        "/x\\y",
        "/%00",
        "/%",
        "/%zz",
        "/\x7f",
        "/\xff",
        "/%ff",
        "/a/%2e%2e/%2fevil",
        "http:/evil.example",
        "/\x01",
    };
    char longer[3000];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (next_of(bad[i])[0])
            fail_msg("%s is gone on to", bad[i]);
    }
    memset(longer, 'a', sizeof longer);
    longer[0] = '/';
    assert_int_equal(accounts_next((struct slice){longer, sizeof longer}, &arena).len, 0);
    assert_int_equal(accounts_next((struct slice){"/a\0b", 4}, &arena).len, 0);
}

static int begin(void **state)
{
    (void)state;
    arena_init(&arena, 4u << 20);
    return 0;
}

static int end(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
TESTS(T(test_good), T(test_bad))
