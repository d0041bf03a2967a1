/* Merge patch, JSON Patch and diff: rows, refusals, and that a diff always leads from one to the
 * other. */
#include "base/clock.h"
#include "schema/patch.h"
#include "schema/schema_impl.h"
#include "json_arena.h"

#include <stdio.h>

static const char *taken(struct buf *b)
{
    const char *text = arena_dup(&arena, buf_slice(b)).ptr;
    buf_done(b);
    return text;
}

static const char *merged(const char *target, const char *patch)
{
    struct buf to;
    buf_init(&to, 1 << 20);
    patch_merge(target ? json(target) : NULL, json(patch), &to);
    return taken(&to);
}

static void merging(void **state)
{
    (void)state;
    assert_string_equal(merged("{\"a\":1,\"b\":2}", "{\"a\":3}"), "{\"a\":3,\"b\":2}");
    assert_string_equal(merged("{\"a\":1,\"b\":2}", "{\"a\":null}"), "{\"b\":2}");
    assert_string_equal(merged("{\"a\":1}", "{\"c\":1,\"b\":null}"), "{\"a\":1,\"c\":1}");
    assert_string_equal(merged("{\"a\":[1,2]}", "{\"a\":[3]}"), "{\"a\":[3]}");
    assert_string_equal(merged("{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"b\":null}}"),
                        "{\"a\":{\"c\":2}}");
    assert_string_equal(merged("{\"a\":1}", "{\"a\":{\"b\":{\"c\":null,\"d\":1}}}"),
                        "{\"a\":{\"b\":{\"d\":1}}}");
    assert_string_equal(merged("[1]", "{\"a\":1}"), "{\"a\":1}");
    assert_string_equal(merged("{\"a\":1}", "\"x\""), "\"x\"");
    assert_string_equal(merged(NULL, "{\"a\":null,\"b\":1}"), "{\"b\":1}");
    assert_string_equal(merged("{\"e\":null}", "{\"a\":1}"), "{\"e\":null,\"a\":1}");
    assert_string_equal(merged("{\"n\":1e2}", "{}"), "{\"n\":1e2}"); /* as it was written */
}

static void wide_objects_merge_too(void **state)
{
    struct buf a, b;
    (void)state;
    buf_init(&a, 8 << 20);
    buf_init(&b, 8 << 20);
    for (int i = 0; i < 20000; i++) {
        buf_printf(&a, "%c\"k%d\":0", i ? ',' : '{', i);
        buf_printf(&b, "%c\"k%d\":%s", i ? ',' : '{', i * 2, i % 2 ? "1" : "null");
    }
    buf_add_char(&a, '}');
    buf_add_char(&b, '}');
    struct buf to;
    buf_init(&to, 8 << 20);
    patch_merge(json(a.data), json(b.data), &to);
    /* Half of k0..k39998 by twos: 5,000 set, 5,000 removed, 5,000 new. */
    assert_int_equal(json_len(json(to.data)), 20000 - 5000 + 5000);
    buf_done(&to);
    buf_done(&a);
    buf_done(&b);
}

static const char *applied(const char *target, const char *patch)
{
    struct buf to;
    struct err e = {0};
    buf_init(&to, 1 << 20);
    if (!patch_apply(json(target), json(patch), &to, &e))
        fail_msg("%s: %s", patch, e.msg);
    return taken(&to);
}

static void operations(void **state)
{
    (void)state;
    assert_string_equal(applied("{}", "[]"), "{}");
    assert_string_equal(applied("{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/b\",\"value\":[2]}]"),
                        "{\"a\":1,\"b\":[2]}");
    assert_string_equal(applied("{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/a\",\"value\":2}]"),
                        "{\"a\":2}");
    assert_string_equal(applied("[1,3]", "[{\"op\":\"add\",\"path\":\"/1\",\"value\":2},"
                                         "{\"op\":\"add\",\"path\":\"/-\",\"value\":4},"
                                         "{\"op\":\"add\",\"path\":\"/0\",\"value\":0}]"),
                        "[0,1,2,3,4]");
    assert_string_equal(applied("[1,2,3]", "[{\"op\":\"remove\",\"path\":\"/1\"}]"), "[1,3]");
    assert_string_equal(applied("{\"a\":{\"b\":1}}", "[{\"op\":\"replace\",\"path\":\"/a/b\","
                                                     "\"value\":null}]"),
                        "{\"a\":{\"b\":null}}");
    assert_string_equal(applied("{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":[]}]"),
                        "[]");
    assert_string_equal(applied("{\"a\":{\"x\":1},\"b\":{}}",
                                "[{\"op\":\"move\",\"from\":\"/a/x\",\"path\":\"/b/y\"}]"),
                        "{\"a\":{},\"b\":{\"y\":1}}");
    assert_string_equal(applied("[1,2,3]", "[{\"op\":\"move\",\"from\":\"/0\",\"path\":\"/2\"}]"),
                        "[2,3,1]");
    assert_string_equal(applied("{\"a\":[1]}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"},"
                                               "{\"op\":\"add\",\"path\":\"/a/-\",\"value\":2}]"),
                        "{\"a\":[1,2],\"b\":[1]}");
    assert_string_equal(applied("{\"a~b/c\":{\"\":1}}", "[{\"op\":\"test\",\"path\":\"/a~0b~1c/\","
                                                        "\"value\":1.0}]"),
                        "{\"a~b/c\":{\"\":1}}");
    assert_string_equal(
        applied("{\"a\":1,\"b\":2,\"c\":3}", "[{\"op\":\"replace\",\"path\":\"/b\",\"value\":9}]"),
        "{\"a\":1,\"b\":9,\"c\":3}"); /* members keep their places */
}

static void refused(const char *target, const char *patch, enum err_code code, const char *why)
{
    struct buf to;
    struct err e = {0};
    buf_init(&to, 1 << 20);
    if (patch_apply(json(target), json(patch), &to, &e))
        fail_msg("%s was accepted", patch);
    assert_int_equal(to.len, 0);
    buf_done(&to);
    assert_int_equal(e.code, code);
    if (!strstr(e.msg, why))
        fail_msg("%s: expected \"%s\" in: %s", patch, why, e.msg);
}

static void mistakes(void **state)
{
    (void)state;
    refused("{}", "{}", ERR_MALFORMED, "a list of operations");
    refused("{}", "[1]", ERR_MALFORMED, "operation 0 (): `op` is add");
    refused("{}", "[{\"op\":\"ad\",\"path\":\"\"}]", ERR_MALFORMED, "operation 0 (ad)");
    refused("{}", "[{\"op\":\"remove\"}]", ERR_MALFORMED, "`path` is missing");
    refused("{}", "[{\"op\":\"add\",\"path\":\"/a\"}]", ERR_MALFORMED, "`value` is missing");
    refused("{}", "[{\"op\":\"copy\",\"path\":\"/a\"}]", ERR_MALFORMED, "`from` is missing");
    refused("{}", "[{\"op\":\"remove\",\"path\":\"a\"}]", ERR_MALFORMED, "no JSON Pointer: a");
    refused("{}", "[{\"op\":\"remove\",\"path\":\"/a~2\"}]", ERR_MALFORMED, "no JSON Pointer");
    refused("{}", "[{\"op\":\"remove\",\"path\":\"/a\"}]", ERR_INVALID, "there is nothing: /a");
    refused("{}", "[{\"op\":\"remove\",\"path\":\"\"}]", ERR_INVALID, "cannot be removed");
    refused("{}", "[{\"op\":\"add\",\"path\":\"/a/b\",\"value\":1}]", ERR_INVALID, "no such place");
    refused("[1]", "[{\"op\":\"add\",\"path\":\"/2\",\"value\":1}]", ERR_INVALID, "no such place");
    refused("[1]", "[{\"op\":\"add\",\"path\":\"/00\",\"value\":1}]", ERR_INVALID, "no such place");
    refused("[1]", "[{\"op\":\"remove\",\"path\":\"/-\"}]", ERR_INVALID, "there is nothing");
    refused("{\"a\":{}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/b\"}]", ERR_INVALID,
            "into itself");
    refused("{\"a\":1}",
            "[{\"op\":\"add\",\"path\":\"/b\",\"value\":1},"
            "{\"op\":\"test\",\"path\":\"/a\",\"value\":\"1\"}]",
            ERR_INVALID, "operation 1 (test): the value is another one: /a");
}

static void copies_cannot_grow_without_end(void **state)
{
    struct buf patch;
    (void)state;
    buf_init(&patch, 1 << 20);
    buf_add_str(&patch, "[{\"op\":\"add\",\"path\":\"/a\",\"value\":[1,2,3]}");
    for (int i = 0; i < 40; i++)
        buf_add_str(&patch, ",{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/a/-\"}");
    buf_add_char(&patch, ']');
    refused("{}", patch.data, ERR_INVALID, "more than 1,000,000 values");
    buf_clear(&patch);
    buf_add_char(&patch, '[');
    for (int i = 0; i < 1001; i++)
        buf_add_str(&patch, i ? ",{}" : "{}");
    buf_add_char(&patch, ']');
    refused("{}", patch.data, ERR_MALFORMED, "at most 1000 operations");
    buf_done(&patch);
}

/* ---- diff ---------------------------------------------------------------------------------------
 */

static const char *diffed(const char *from, const char *to)
{
    struct buf out;
    buf_init(&out, 8 << 20);
    patch_diff(json(from), json(to), &out);
    return taken(&out);
}

static void differences(void **state)
{
    (void)state;
    assert_string_equal(diffed("{\"a\":1}", "{\"a\":1.0}"), "[]");
    assert_string_equal(diffed("{\"a\":1,\"b\":2}", "{\"b\":3,\"c\":4}"),
                        "[{\"op\":\"remove\",\"path\":\"/a\"},{\"op\":\"replace\",\"path\":\"/b\","
                        "\"value\":3},{\"op\":\"add\",\"path\":\"/c\",\"value\":4}]");
    assert_string_equal(diffed("[1,2,3,4]", "[1,3,4]"), "[{\"op\":\"remove\",\"path\":\"/1\"}]");
    assert_string_equal(diffed("[1,4]", "[1,2,3,4]"),
                        "[{\"op\":\"add\",\"path\":\"/1\",\"value\":2},"
                        "{\"op\":\"add\",\"path\":\"/2\",\"value\":3}]");
    assert_string_equal(diffed("1", "{}"), "[{\"op\":\"replace\",\"path\":\"\",\"value\":{}}]");
    assert_string_equal(diffed("{\"a/b\":{\"~\":1}}", "{\"a/b\":{\"~\":2}}"),
                        "[{\"op\":\"replace\",\"path\":\"/a~1b/~0\",\"value\":2}]");
}

static void random_value(struct buf *to, unsigned *seed, unsigned depth)
{
    static const char *const scalars[] = {"null", "true",       "0",   "1.50",
                                          "\"\"", "\"a\\\"b\"", "-1e3"};
    *seed = *seed * 1103515245u + 12345u;
    unsigned kind = (*seed >> 16) % (depth ? 4 : 2), n = (*seed >> 20) % 5;
    if (kind < 2) {
        buf_add_str(to, scalars[(*seed >> 8) % 7]);
        return;
    }
    buf_add_char(to, kind == 2 ? '[' : '{');
    for (unsigned i = 0; i < n; i++) {
        buf_add_str(to, i ? "," : "");
        if (kind == 3)
            buf_printf(to, "\"%c%s\":", 'a' + (int)i, i % 2 ? "" : "/~");
        random_value(to, seed, depth - 1);
    }
    buf_add_char(to, kind == 2 ? ']' : '}');
}

static void a_diff_leads_from_one_to_the_other(void **state)
{
    unsigned seed = 3;
    (void)state;
    for (int i = 0; i < 3000; i++) {
        struct arena_mark mark = arena_mark(&arena);
        struct buf a, b;
        buf_init(&a, 1 << 20);
        buf_init(&b, 1 << 20);
        random_value(&a, &seed, 4);
        random_value(&b, &seed, 4);
        const char *from = taken(&a), *to = taken(&b);
        const char *is = applied(from, diffed(from, to));
        if (!values_equal(json(is), json(to)))
            fail_msg("%s by %s is %s, not %s", from, diffed(from, to), is, to);
        arena_rewind(&arena, mark);
    }
}

#define T(test) cmocka_unit_test_setup_teardown(test, begin, end)
/* Each operation far into a long list, or a test of all of it. */
static void many_operations_have_an_end(void **state)
{
    struct buf doc, patch, tests, to;
    struct err e = {0};
    (void)state;
    buf_init(&doc, 8u << 20);
    buf_init(&patch, 8u << 20);
    buf_init(&tests, 8u << 20);
    buf_init(&to, 8u << 20);
    buf_add_str(&doc, "{\"l\":[1.");
    for (int i = 0; i < 100000; i++)
        buf_add_char(&doc, '0');
    for (int i = 0; i < 400000; i++)
        buf_add_str(&doc, ",0");
    buf_add_str(&doc, "]}");
    for (int i = 0; i < 1000; i++) {
        buf_printf(&patch, "%c{\"op\":\"replace\",\"path\":\"/l/399999\",\"value\":0}",
                   i ? ',' : '[');
        buf_printf(&tests, "%c{\"op\":\"test\",\"path\":\"/l/0\",\"value\":1}", i ? ',' : '[');
    }
    buf_add_char(&patch, ']');
    buf_add_char(&tests, ']');
    int64_t from = clock_cpu_ns();
    assert_false(patch_apply(json(doc.data), json(patch.data), &to, &e));
    assert_int_equal(e.code, ERR_INVALID);
    assert_non_null(strstr(e.msg, "looks through too many values"));
    e.code = ERR_NONE;
    assert_false(patch_apply(json(doc.data), json(tests.data), &to, &e));
    assert_non_null(strstr(e.msg, "looks through too many values"));
    assert_int_equal(to.len, 0);
    assert_in_range((clock_cpu_ns() - from) / 1000000, 0, 3000);
    patch.len = 5000;
    while (patch.data[patch.len - 1] != '}')
        patch.len--;
    buf_add_char(&patch, ']');
    if (!patch_apply(json(doc.data), json(patch.data), &to, &e))
        fail_msg("%s", e.msg);
    buf_done(&doc);
    buf_done(&patch);
    buf_done(&tests);
    buf_done(&to);
}

TESTS(T(merging), T(wide_objects_merge_too), T(operations), T(mistakes),
      T(copies_cannot_grow_without_end), T(differences), T(a_diff_leads_from_one_to_the_other),
      T(many_operations_have_an_end))
