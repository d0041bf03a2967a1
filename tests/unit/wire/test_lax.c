/* Paths as laxer programs may read them, and what lies below a prefix. */
#include "unit.h"

#include "wire/wire.h"

#define BOTH (PATH_PARAMS | PATH_DECODE)

static const struct {
    const char *path;
    unsigned how;
    const char *seen;
} cases[] = {
    {"/", 0, "/"},
    {"/a/b", 0, "/a/b"},
    {"/A/b.C/", 0, "/a/b.c/"},
    {"/a./b", 0, "/a/b"},
    {"/a /b. . ", 0, "/a/b"},
    {"/a/...", 0, "/a/"},
    {"/a/.. /b", 0, "/b"},
    {"/a/. /b", 0, "/a/b"},
    {"/a;x/b", 0, "/a;x/b"},
    {"/a;x/b", PATH_PARAMS, "/a/b"},
    {"/a/b;x=1;y", PATH_PARAMS, "/a/b"},
    {"/a/b;x=1/", PATH_PARAMS, "/a/b/"},
    {"/;x/a", PATH_PARAMS, "/a"},
    {"/a/..;/b", PATH_PARAMS, "/b"},
    {"/a/.;x/b", PATH_PARAMS, "/a/b"},
    {"/..;/..;/a", PATH_PARAMS, "/a"},
    {"/a/;", PATH_PARAMS, "/a/"},
    {"/a/..;", PATH_PARAMS, "/"},
    {"/%61", 0, "/%61"},
    {"/%61%2Fb", PATH_DECODE, "/a/b"},
    {"/%2541", PATH_DECODE, "/a"},
    {"/%2525252541", PATH_DECODE, "/%41"}, /* not for ever */
    {"/a/%2e%2e/b", PATH_DECODE, "/b"},
    {"/a/%2e%2e%5cb", PATH_DECODE, "/b"},
    {"/a%00.png", PATH_DECODE, "/a"},
    {"/%0", PATH_DECODE, "/%0"},
    {"/%zz%", PATH_DECODE, "/%zz%"},
    {"/a%3bx/b", PATH_DECODE, "/a;x/b"},
    {"/a%3bx/b", BOTH, "/a/b"},
    {"/a/%2e%2e%3b/b", BOTH, "/b"},
    {"/%2f%2fa", PATH_DECODE, "/a"},
    {"/%00", PATH_DECODE, "/"},
    {"/\xc3\x89", BOTH, "/\xc3\x89"},
};

static void test_lax(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice seen = path_lax(slice_from(cases[i].path), cases[i].how, &a);
        assert_string_equal(arena_cstr(&a, seen), cases[i].seen);
    }
    assert_int_equal(path_ways(SLICE("/a;")), 4);
    assert_int_equal(path_ways(SLICE("/%")), 4);
    assert_int_equal(path_ways(SLICE("/A./b ")), 1);
    arena_done(&a);
}

static void test_below(void **state)
{
    (void)state;
    static const struct {
        const char *path, *prefix;
        bool is_it;
    } rows[] = {
        {"/api/x", "/api/", true}, {"/api/", "/api/", true},
        {"/api", "/api/", true},   {"/apix", "/api/", false},
        {"/ap", "/api/", false},   {"/x", "/x", true},
        {"/x/", "/x", true},       {"/x/y", "/x", true},
        {"/xy", "/x", false},      {"/", "/", true},
        {"/any", "/", true},       {"/any", "", false},
        {"/apx", "/api/", false},  {"/api/open", "/api/open/", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(path_is_below(slice_from(rows[i].path), slice_from(rows[i].prefix)),
                         rows[i].is_it);
}

TESTS(cmocka_unit_test(test_lax), cmocka_unit_test(test_below))
