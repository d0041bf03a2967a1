/* YAML as the way templates of JSON are written. */
#include "render/render_impl.h"
#include "unit.h"

static void gives(const char *yaml, const char *wanted)
{
    struct arena a;
    struct buf to;
    struct err e = {0};
    arena_init(&a, 16u << 20);
    buf_init(&to, 1u << 20);
    if (!yaml_to_json(slice_from(yaml), &a, &to, &e))
        fail_msg("%s: %s", yaml, e.msg);
    assert_string_equal(to.data, wanted);
    assert_true(json_validate(buf_slice(&to), NULL, &e));
    buf_done(&to);
    arena_done(&a);
}

static void fails(struct slice yaml, enum err_code code, const char *words)
{
    struct arena a;
    struct buf to;
    struct err e = {0};
    arena_init(&a, 64u << 20);
    buf_init(&to, 4u << 20);
    assert_false(yaml_to_json(yaml, &a, &to, &e));
    assert_int_equal(e.code, code);
    if (!strstr(e.msg, words))
        fail_msg("%s", e.msg);
    buf_done(&to);
    arena_done(&a);
}

static void scalars(void **state)
{
    (void)state;
    gives("a: 1\n", "{\n  \"a\": 1\n}\n");
    gives("a: [1, -0.5e3, 007, 0x1, .5, 1e3]\n",
          "{\n  \"a\": [1, -0.5e3, \"007\", \"0x1\", \".5\", 1e3]\n}\n");
    gives("a: [true, false, null, ~, no, yes, True]\nb:\n",
          "{\n  \"a\": [true, false, null, null, \"no\", \"yes\", \"True\"],\n  \"b\": null\n}\n");
    gives("a: ['1', \"true\", '~', '', !!str 1]\n",
          "{\n  \"a\": [\"1\", \"true\", \"~\", \"\", \"1\"]\n}\n");
    gives("\"a\\\"b\\n\"\n", "\"a\\\"b\\n\"\n");
    gives("- \"{[,:]}\\\\\"\n", "[\n  \"{[,:]}\\\\\"\n]\n");
    gives("- |\n  two\n  lines\n", "[\n  \"two\\nlines\\n\"\n]\n");
}

static void shapes(void **state)
{
    (void)state;
    gives("{}\n", "{}\n");
    gives("[]\n", "[]\n");
    gives("a: {}\nb: []\n", "{\n  \"a\": {},\n  \"b\": []\n}\n");
    gives("- {}\n- []\n- [{}]\n", "[\n  {},\n  [],\n  [{}]\n]\n");
    gives("a:\n  b: [1, {c: d}]\n  # a remark\n  e: f\n",
          "{\n  \"a\": {\"b\": [1, {\"c\": \"d\"}], \"e\": \"f\"}\n}\n");
    gives("1: x\ntrue: y\n", "{\n  \"1\": \"x\",\n  \"true\": \"y\"\n}\n");
    gives("a: &x [1]\nb: *x\n", "{\n  \"a\": [1],\n  \"b\": [1]\n}\n");
}

#define LONG "a text that is so long that nothing more has room beside it - whatever one may try"

/* What has no room on a line gets one for each of its values, the short ones within it do not. */
static void long_lines(void **state)
{
    (void)state;
    gives("a: {b: [1, 2], c: " LONG "}\n",
          "{\n  \"a\": {\n    \"b\": [1, 2],\n    \"c\": \"" LONG "\"\n  }\n}\n");
    gives("- [[[" LONG ", " LONG "]]]\n", "[\n  [\n    [\n      [\n        \"" LONG
                                          "\",\n        \"" LONG "\"\n      ]\n    ]\n  ]\n]\n");
}

static void mistakes(void **state)
{
    struct buf large;
    (void)state;
    fails(SLICE(""), ERR_INTERNAL, "no YAML");
    fails(SLICE("a: [\n"), ERR_INTERNAL, "no YAML at line");
    fails(SLICE("a: 1\na: 2\n"), ERR_INTERNAL, "line 2");
    fails(SLICE("--- a\n--- b\n"), ERR_INTERNAL, "no YAML");
    buf_init(&large, 2u << 20);
    while (large.len <= 1u << 20)
        buf_add_str(&large, "- a long line of text, which is repeated until it is too much\n");
    fails(buf_slice(&large), ERR_MANIFEST, "too large");
    buf_done(&large);
}

TESTS(cmocka_unit_test(scalars), cmocka_unit_test(shapes), cmocka_unit_test(long_lines),
      cmocka_unit_test(mistakes))
