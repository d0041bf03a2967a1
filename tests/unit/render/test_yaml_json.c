/* YAML as the way to JSON: what plain text becomes, and what stays on a line. */
#include "render/render_impl.h"
#include "unit.h"

static void is_json(const char *yaml, const char *json)
{
    struct arena a;
    struct buf to;
    struct err e = {0};
    char text[4096];
    arena_init(&a, 1 << 20);
    buf_init(&to, sizeof text - 1);
    assert_true(yaml_to_json(slice_from(yaml), &a, &to, &e));
    memcpy(text, to.data, to.len);
    text[to.len] = '\0';
    assert_string_equal(text, json);
    buf_done(&to);
    arena_done(&a);
}

static void test_scalars(void **state)
{
    (void)state;
    is_json(
        "a: 1\nb: \"1\"\nc: true\nd: \"true\"\ne: no\nf: 1e3\ng: 01\nh: ~\n",
        "{\n  \"a\": 1,\n  \"b\": \"1\",\n  \"c\": true,\n  \"d\": \"true\",\n  \"e\": \"no\",\n"
        "  \"f\": 1e3,\n  \"g\": \"01\",\n  \"h\": null\n}\n");
}

/* The root is never on one line; what is below it is when it is short. */
static void test_short_ones_stay_on_a_line(void **state)
{
    (void)state;
    is_json("a: { b: [ 1, 2 ], c: { d: x } }\n",
            "{\n  \"a\": {\"b\": [1, 2], \"c\": {\"d\": \"x\"}}\n}\n");
    is_json("a: []\nb: {}\n", "{\n  \"a\": [],\n  \"b\": {}\n}\n");
    is_json("a: [ \"]\", \"}\\\"{,:\" ]\n", "{\n  \"a\": [\"]\", \"}\\\"{,:\"]\n}\n");
}

static void test_long_ones_do_not(void **state)
{
    (void)state;
    is_json("a: [ 1234567890123456789012345678901234567890, "
            "1234567890123456789012345678901234567890, [ \"x,y:z\" ] ]\n",
            "{\n  \"a\": [\n    1234567890123456789012345678901234567890,\n"
            "    1234567890123456789012345678901234567890,\n    [\"x,y:z\"]\n  ]\n}\n");
}

TESTS(cmocka_unit_test(test_scalars), cmocka_unit_test(test_short_ones_stay_on_a_line),
      cmocka_unit_test(test_long_ones_do_not))
