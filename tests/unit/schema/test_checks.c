/* Referential checks: what each tells, by rows; what a wrong text is told; that large is not slow.
 */
#include "base/clock.h"
#include "schema/checks.h"
#include "unit.h"

#include <stdio.h>

static struct arena arena;

static int begin(void **state)
{
    (void)state;
    arena_init(&arena, 512u << 20);
    return 0;
}

static int end(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static const struct doc_check *parsed(const char *text)
{
    struct err e = {0};
    const struct doc_check *c = doc_check_parse(&arena, slice_from(text), &e);
    if (!c)
        fail_msg("%s: %s", text, e.msg);
    return c;
}

static const struct json *json(struct slice text)
{
    struct json_doc doc;
    struct err e = {0};
    if (!json_parse(&doc, &arena, text, NULL, &e))
        fail_msg("%s", e.msg);
    return json_root(&doc);
}

/* "pointer: message; pointer: message", or "" when it holds. */
static const char *told(const char *check, const char *doc)
{
    struct violations v = {.a = &arena};
    struct slice text = SLICE("");
    bool fine = doc_check_holds(parsed(check), json(slice_from(doc)), &v);
    assert_int_equal(fine, v.n == 0);
    for (size_t i = 0; i < v.n; i++) {
        text = arena_printf(&arena, "%.*s%s%.*s: %.*s", SLICE_ARGS(text), i ? "; " : "",
                            SLICE_ARGS(v.items[i].pointer), SLICE_ARGS(v.items[i].message));
        assert_true(slice_starts(slice_trim(slice_from(check)), slice_from(v.items[i].code)));
    }
    return text.ptr;
}

struct row {
    const char *doc, *told;
};

static void rows(const char *check, const struct row *row)
{
    for (; row->doc; row++) {
        const char *is = told(check, row->doc);
        if (strcmp(is, row->told) != 0)
            fail_msg("%s\nof %s\nis told \"%s\", expected \"%s\"", check, row->doc, is, row->told);
    }
}

static void keys_are_unique(void **state)
{
    static const struct row plain[] = {
        {"{}", ""},
        {"[]", ""},
        {"{\"a\":[]}", ""},
        {"{\"a\":{\"k\":1}}", ""},
        {"{\"a\":[{\"k\":\"x\"},{\"k\":\"y\"}]}", ""},
        {"{\"a\":[{\"k\":\"x\"},{\"k\":\"y\"},{\"k\":\"x\"},{\"k\":\"x\"}]}",
         "/a/2/k: is the key of /a/0 already; /a/3/k: is the key of /a/0 already"},
        /* Without a key, or with none that is one. */
        {"{\"a\":[{},{},{\"k\":null},{\"k\":null},1,1,{\"k\":[1]},{\"k\":[1]},null]}", ""},
        /* By value. */
        {"{\"a\":[{\"k\":1},{\"k\":\"1\"},{\"k\":true},{\"k\":\"true\"},{\"k\":false}]}", ""},
        {"{\"a\":[{\"k\":1},{\"k\":1.0}]}", "/a/1/k: is the key of /a/0 already"},
        {"{\"a\":[{\"k\":100},{\"k\":1e2},{\"k\":0},{\"k\":-0.0}]}",
         "/a/1/k: is the key of /a/0 already; /a/3/k: is the key of /a/2 already"},
        {"{\"a\":[{\"k\":9007199254740993},{\"k\":9007199254740992},{\"k\":-1},{\"k\":10}]}", ""},
        {"{\"a\":[{\"k\":true},{\"k\":true}]}", "/a/1/k: is the key of /a/0 already"},
        {"{\"a\":[{\"k\":\"\"},{\"k\":\"\"}]}", "/a/1/k: is the key of /a/0 already"},
        {"{\"a\":[{\"k\":\"a\\u0000\"},{\"k\":\"a\"}]}", ""},
        {NULL, NULL}};
    static const struct row nested[] = {
        {"{\"a\":[{\"b\":[{\"k\":1}]},{\"b\":[{\"k\":1}]}]}", ""},
        {"{\"a\":[{\"b\":[{\"k\":1}]},{\"b\":[]},7,{\"b\":[{\"k\":2},{\"k\":2}]}]}",
         "/a/3/b/1/k: is the key of /a/3/b/0 already"},
        {NULL, NULL}};
    (void)state;
    rows("unique_keys(a, 'k')", plain);
    rows("unique_keys(a[].b, 'k')", nested);
    static const struct row odd[] = {{"{\"o\":{\"a/b\":[{\"m\":{\"i d\":1}},{\"m\":{\"i d\":1}}]}}",
                                      "/o/a~1b/1/m/i d: is the key of /o/a~1b/0 already"},
                                     {NULL, NULL}};
    rows(" unique_keys ( o.'a/b' , m.\"i d\" ) ", odd);
}

static void references_exist(void **state)
{
    static const struct row lists[] = {
        {"{}", ""},
        {"{\"c\":[{\"k\":\"a\"},{\"k\":\"b\",\"n\":[\"a\",\"b\"]}]}", ""},
        {"{\"c\":[{\"k\":\"a\",\"n\":[\"x\",\"a\"]},{\"n\":\"y\"},{\"n\":null},{\"n\":[null]}]}",
         "/c/0/n/0: no item of c has the key \"x\"; /c/1/n: no item of c has the key \"y\""},
        {"{\"c\":[{\"k\":1,\"n\":[1.0,true,\"1\"]}]}",
         "/c/0/n/1: no item of c has the key true; /c/0/n/2: no item of c has the key \"1\""},
        {"{\"c\":[{\"k\":\"a\",\"n\":[{\"k\":\"a\"},[\"a\"]]},{\"n\":{}}]}",
         "/c/0/n/0: must be a key: text, a number, true or false; /c/0/n/1: must be a key: text, a "
         "number, true or false; /c/1/n: must be a key: text, a number, true or false"},
        {"{\"c\":{\"k\":\"a\",\"n\":[\"x\"]}}", ""},
        {NULL, NULL}};
    static const struct row names[] = {
        {"{\"p\":[{\"k\":\"a\",\"r\":{\"b\":\"likes\"}},{\"k\":\"b\",\"r\":{}}]}", ""},
        {"{\"p\":[{\"k\":\"a\",\"r\":{\"b/c\":1}},{\"r\":[1]},{\"r\":1}]}",
         "/p/0/r/b~1c: no item of p has the key \"b/c\""},
        {NULL, NULL}};
    static const struct row shared[] = {
        {"{\"b\":[{\"c\":[{\"k\":1,\"n\":1}]},{\"c\":[{\"k\":2,\"n\":2}]}]}", ""},
        {"{\"b\":[{\"c\":[{\"k\":1,\"n\":1}]},{\"c\":[{\"k\":2,\"n\":[1]}]}]}",
         "/b/1/c/0/n/0: no item of b[].c has the key 1"},
        {NULL, NULL}};
    static const struct row all[] = {
        {"{\"s\":[[2],[1]],\"b\":[{\"c\":[{\"k\":1}]},{\"c\":[{\"k\":2}]}]}", ""},
        {"{\"s\":[[[2]],[3]],\"b\":[{\"c\":[{\"k\":1}]},{\"c\":[{\"k\":2}]}]}",
         "/s/0/0: must be a key: text, a number, true or false; /s/1/0: no item of b[].c has the "
         "key 3"},
        {NULL, NULL}};
    (void)state;
    rows("refs_exist(c[].n, c, 'k')", lists);
    rows("refs_exist(c[].n[], c, 'k')",
         (const struct row[]){{"{\"c\":[{\"n\":\"x\"}]}", ""},
                              {"{\"c\":[{\"n\":[\"x\"]}]}", "/c/0/n/0: no item of c has the key "
                                                            "\"x\""},
                              {NULL, NULL}});
    rows("refs_exist(p[].r{}, p, 'k')", names);
    rows("refs_exist(b[].c[].n, b[].c, 'k')", shared);
    rows("refs_exist(s[][], b[].c, 'k')", all);
}

static void circles_are_named(void **state)
{
    static const struct row table[] = {
        {"{}", ""},
        {"{\"c\":[{\"k\":\"a\"},{\"k\":\"b\",\"n\":[\"a\"]},{\"k\":\"d\",\"n\":[\"a\",\"b\"]}]}",
         ""},
        {"{\"c\":[{\"k\":\"a\",\"n\":[\"b\"]},{\"k\":\"b\",\"n\":[\"x\",null,\"a\"]}]}",
         "/c/1/n/2: leads back to where it came from: \"a\" -> \"b\" -> \"a\""},
        {"{\"c\":[{\"k\":\"a\",\"n\":\"a\"}]}",
         "/c/0/n: leads back to where it came from: \"a\" -> \"a\""},
        {"{\"c\":[{\"k\":1,\"n\":[2]},{\"k\":2,\"n\":[3]},{\"k\":3,\"n\":[2.0]}]}",
         "/c/2/n/0: leads back to where it came from: 2 -> 3 -> 2"},
        /* Two circles; a diamond is none. */
        {"{\"c\":[{\"k\":1,\"n\":[1,2]},{\"k\":2,\"n\":[1]}]}",
         "/c/0/n/0: leads back to where it came from: 1 -> 1; "
         "/c/1/n/0: leads back to where it came from: 1 -> 2 -> 1"},
        {"{\"c\":[{\"k\":1,\"n\":[2,3]},{\"k\":2,\"n\":[4]},{\"k\":3,\"n\":[4]},{\"k\":4}]}", ""},
        {"{\"c\":[{\"n\":[1]},{\"k\":1,\"n\":null},7,{\"k\":1,\"n\":1}]}", ""},
        {"{\"c\":[{\"k\":0,\"n\":1},{\"k\":1,\"n\":2},{\"k\":2,\"n\":3},{\"k\":3,\"n\":4},{\"k\":4,"
         "\"n\":5},{\"k\":5,\"n\":6},{\"k\":6,\"n\":7},{\"k\":7,\"n\":8},{\"k\":8,\"n\":9},{\"k\":"
         "9,\"n\":10},{\"k\":10,\"n\":0}]}",
         "/c/10/n: leads back to where it came from: 0 -> 1 -> 2 -> 3 -> 4 -> 5 -> 6 -> 7 -> ... "
         "-> 10 -> 0"},
        {NULL, NULL}};
    static const struct row paths[] = {
        {"{\"c\":[{\"m\":{\"id\":\"a\"},\"l\":[{\"to\":\"b\"},{}]},{\"m\":{\"id\":\"b\"},\"l\":[{"
         "},{\"to\":\"a\"}]}]}",
         "/c/1/l/1/to: leads back to where it came from: \"a\" -> \"b\" -> \"a\""},
        {NULL, NULL}};
    (void)state;
    rows("acyclic(c, 'k', 'n')", table);
    rows("acyclic(c, m.id, l[].to)", paths);
}

static void wrong_texts_are_told(void **state)
{
    static const struct {
        const char *text, *told;
    } table[] = {
        {"", "the check, column 1: a check is unique_keys, refs_exist or acyclic, such as "
             "unique_keys(chapters, 'key')"},
        {"  unique_key(a, 'k')",
         "the check, column 3: there is no such check; did you mean unique_keys"},
        {"sum(a)", "the check, column 1: a check is unique_keys, refs_exist or acyclic, such as "
                   "unique_keys(chapters, 'key')"},
        {"unique_keys", "the check, column 12: a parenthesis is expected here: "
                        "unique_keys(chapters, 'key')"},
        {"unique_keys(", "the check, column 13: what is missing here is a path to a list"},
        {"unique_keys()", "the check, column 13: what is missing here is a path to a list"},
        {"unique_keys(a)", "the check, column 14: a comma is expected here, and then the name of "
                           "the key, such as 'key'"},
        {"unique_keys(a,)",
         "the check, column 15: what is missing here is the name of the key, such as 'key'"},
        {"unique_keys(a, 'k', 'x')", "the check, column 19: a closing parenthesis is expected "
                                     "here: unique_keys(chapters, 'key')"},
        {"unique_keys(a, 'k'", "the check, column 19: a closing parenthesis is expected here: "
                               "unique_keys(chapters, 'key')"},
        {"unique_keys(a, 'k') x", "the check, column 21: nothing can follow the check"},
        {"unique_keys(\xc3\xa4\xc3\xb6, 'k", "the check, column 17: this quote is never closed"},
        {"unique_keys(a[], 'k')",
         "the check, column 13: the list itself is named here, without [] at its end"},
        {"unique_keys(a{}, 'k')",
         "the check, column 13: the list itself is named here, without {}"},
        {"unique_keys(a, k[])",
         "the check, column 16: a key is one value: names and dots, without [] and {}"},
        {"unique_keys(a..b, 'k')",
         "the check, column 15: a name is expected here; odd names stand in 'quotes'"},
        {"unique_keys(a[0], 'k')", "the check, column 14: a comma is expected here, and then the "
                                   "name of the key, such as 'key'"},
        {"refs_exist(a{}.b, a, 'k')", "the check, column 15: a comma is expected here, and then a "
                                      "path to a list"},
        {"unique_keys(a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a, k)",
         "the check, column 46: a path has at most 16 steps"},
        {"unique_keys(\xff, k)", "the check is not text in UTF-8"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct err e = {0};
        assert_null(doc_check_parse(&arena, slice_from(table[i].text), &e));
        assert_string_equal(e.msg, table[i].told);
        assert_int_equal(e.code, ERR_MANIFEST);
    }
    struct err e = {0};
    struct slice text = arena_printf(&arena, "unique_keys(a, %990d)", 7);
    assert_null(doc_check_parse(&arena, text, &e));
    assert_string_equal(e.msg, "the check has 1006 bytes; at most 1000 are allowed");
    struct slice nul = SLICE("unique_keys(a\0, k)");
    assert_null(doc_check_parse(&arena, nul, &e));
    const struct doc_check *c = parsed("unique_keys('it''s', \"a\"\"b\")");
    struct violations v = {.a = &arena};
    assert_false(doc_check_holds(c, json(SLICE("{\"it's\":[{\"a\\\"b\":1},{\"a\\\"b\":1}]}")), &v));
}

/* ---- against a schema ---------------------------------------------------------------------------
 */

static bool load(void *user, struct slice path, struct slice *ret, struct err *e)
{
    *ret = slice_from(user);
    return slice_is(path, "a.json") || err_set(e, ERR_NOT_FOUND, "there is no such file");
}

static void misspelt_fields_are_told(void **state)
{
    static const char schema[] =
        "{\"additionalProperties\":false,\"properties\":{\"c\":{\"items\":{\"type\":\"object\","
        "\"properties\":{\"k\":{\"type\":\"string\"},\"n\":{\"items\":{\"type\":\"string\"}},"
        "\"r\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}},"
        "\"additionalProperties\":false}}}}";
    static const struct {
        const char *check, *told;
    } table[] = {
        {"unique_keys(c, 'k')", ""},
        {"refs_exist(c[].n, c, 'k')", ""},
        {"refs_exist(c[].n[], c, 'k')", ""},
        {"refs_exist(c[].r{}, c, 'k')", ""},
        {"acyclic(c, 'k', 'n')", ""},
        {"unique_keys(cs, 'k')", "the check, column 13: the schema has no place for `cs`"},
        {"unique_keys(c, 'key')", "the check, column 16: the schema has no place for `'key'`"},
        {"refs_exist(c[].m, c, 'k')", "the check, column 12: the schema has no place for `c[].m`"},
        {"acyclic(c, 'k', 'm')", "the check, column 17: the schema has no place for `'m'`"},
        {"acyclic(c, k.x, 'n')", "the check, column 12: the schema has no place for `k.x`"},
    };
    struct err e = {0};
    const struct schema_loader loader = {load, (void *)(uintptr_t)schema};
    (void)state;
    const struct schema *s = schema_compile(&arena, SLICE("a.json"), &loader, &e);
    assert_non_null(s);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        e = (struct err){0};
        assert_int_equal(doc_check_fits(parsed(table[i].check), s, &e), !*table[i].told);
        assert_string_equal(e.msg, table[i].told);
    }
}

/* ---- large documents ----------------------------------------------------------------------------
 */

#define MANY 100000

/* Of MANY items; `needs` gets the item's number three times. */
static const struct json *large(const char *item)
{
    struct buf text;
    buf_init(&text, 64u << 20);
    buf_add_str(&text, "{\"c\":[");
    for (int i = 0; i < MANY; i++) {
        buf_add_str(&text, i ? "," : "");
        if (strchr(item, '%'))
            buf_printf(&text, "{\"k\":\"k%d\",\"n\":[\"k%d\"]}", i, (i + 1) % MANY);
        else
            buf_add_str(&text, item);
    }
    buf_add_str(&text, "]}");
    const struct json *doc = json(arena_dup(&arena, buf_slice(&text)));
    buf_done(&text);
    return doc;
}

static void takes_not_long(const char *check, const struct json *doc, size_t wanted)
{
    struct violations v = {.a = &arena};
    int64_t from = clock_cpu_ns();
    assert_int_equal(doc_check_holds(parsed(check), doc, &v), wanted == 0);
    assert_int_equal(v.n + v.n_more, wanted);
    assert_in_range((clock_cpu_ns() - from) / 1000000, 0, 3000); /* under ASan */
}

static void large_documents_are_not_slow(void **state)
{
    (void)state;
    const struct json *ring = large("%");
    takes_not_long("unique_keys(c, 'k')", ring, 0);
    takes_not_long("refs_exist(c[].n, c, 'k')", ring, 0);
    takes_not_long("acyclic(c, 'k', 'n')", ring, 1);
    const struct json *same = large("{\"k\":1,\"n\":[1,2]}");
    takes_not_long("unique_keys(c, 'k')", same, MANY - 1);
    takes_not_long("refs_exist(c[].n, c, 'k')", same, MANY);
    takes_not_long("acyclic(c, 'k', 'n')", same, 1);
    takes_not_long("refs_exist(c[].n, x, 'k')", same, 2 * MANY);
}

TESTS(cmocka_unit_test_setup_teardown(keys_are_unique, begin, end),
      cmocka_unit_test_setup_teardown(references_exist, begin, end),
      cmocka_unit_test_setup_teardown(circles_are_named, begin, end),
      cmocka_unit_test_setup_teardown(wrong_texts_are_told, begin, end),
      cmocka_unit_test_setup_teardown(misspelt_fields_are_told, begin, end),
      cmocka_unit_test_setup_teardown(large_documents_are_not_slow, begin, end))
