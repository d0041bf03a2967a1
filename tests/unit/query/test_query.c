/* The filter language: what is read, what is refused and how, what it means, and its one form. */
#include "base/clock.h"
#include "query/query.h"
#include "json_arena.h"

#include <stdio.h>

static struct query *parse(const char *text)
{
    struct err e = {0};
    struct query *q = query_parse(&arena, slice_from(text), &e);
    if (!q)
        fail_msg("%s: %s", text, e.msg);
    return q;
}

static const char doc_text[] =
    "{\"status\":\"published\",\"n\":3,\"big\":9007199254740993,\"f\":0.1,\"yes\":true,\"no\":"
    "false,"
    "\"nil\":null,\"tags\":[\"x\",\"Y\",1,null],\"o\":{\"a\":{\"b\":\"deep\"},\"a.b\":\"dotted\"},"
    "\"title\":\"The War "
    "\xc3\xa4\",\"list\":[{\"k\":1},{\"k\":2}],\"__proto__\":\"p\",\"in\":\"word\","
    "\"\":\"empty\",\"it's\":\"quote\",\"\\u0000\":1}";
static const char user_text[] =
    "{\"id\":\"u1\",\"email\":\"a@b.c\",\"roles\":[\"admin\",\"editor\"]}";

static bool matches(const char *text)
{
    const struct query_context c = {.user = json(user_text),
                                    .body = json("{\"x\":5}"),
                                    .now = json("\"2026-06-01T00:00:00.000Z\"")};
    const struct json *doc = json(doc_text);
    struct query *q = parse(text);
    bool is = query_matches(q, doc, &c);
    /* Bound first, it must mean the same. */
    assert_int_equal(query_matches(query_bind(&arena, q, &c), doc, NULL), is);
    return is;
}

#define YES(text) assert_true(matches(text))
#define NO(text)  assert_false(matches(text))

static void comparisons(void **state)
{
    (void)state;
    YES("");
    YES("status = 'published'");
    YES("status = \"published\"");
    NO("status = 'Published'");
    NO("status != 'published'");
    YES("status != 'draft'");
    YES("n = 3");
    YES("n = 3.0");
    YES("n = 30e-1");
    YES("n > 2 && n < 4 && n >= 3 && n <= 3");
    NO("n > 3");
    YES("big = 9007199254740993");
    NO("big = 9007199254740992"); /* the same double */
    YES("big > 9007199254740992");
    YES("f = 0.1");
    NO("f = 0.1000000000000000055511151231257827"); /* what the double is */
    YES("yes = true && no = false && yes != no && no < yes");
    YES("status > 'p' && status >= 'published' && status < 'q'");
    YES("3 = n");
    YES("'a' < 'b'");
}

static void null_and_other_types_compare_with_nothing(void **state)
{
    (void)state;
    NO("missing = 1");
    NO("missing != 1");
    NO("nil = null");
    NO("nil != null");
    NO("n = null");
    NO("n != null");
    NO("n = '3'");
    NO("n != '3'");
    NO("yes = 1");
    NO("yes != 1");
    NO("tags = tags");
    NO("o != 1");
    YES("!(missing = 1)");
    YES("!(n = '3')");
    YES("nil is null && missing is null && missing.deeper is null");
    YES("n is not null && tags is not null && o is not null");
    NO("n is null");
}

static void text_and_lists(void **state)
{
    (void)state;
    YES("title ~ 'war'");
    YES("title ~ 'THE'");
    YES("title ~ ''");
    NO("title ~ 'wars'");
    NO("title ~ '%'"); /* no wildcards */
    NO("title ~ '_he'");
    YES("title !~ 'peace'");
    NO("missing !~ 'x'");
    NO("n ~ '3'");
    NO("title ~ '\xc3\x84'"); /* only ASCII ignores case */
    YES("title ~ '\xc3\xa4'");
    YES("tags ?= 'x'");
    NO("tags ?= 'y'");
    YES("tags ?= 1");
    NO("tags ?= null");
    NO("status ?= 'published'");
    YES("status in ('draft', 'published')");
    YES("status in ['draft', 'published']");
    NO("status in ('draft')");
    YES("n in (1, 2, 3.0)");
    NO("nil in (null)");
    YES("'x' in tags");
    NO("'z' in tags");
    YES("'admin' in @user.roles");
    NO("status in missing");
}

static void paths(void **state)
{
    (void)state;
    YES("o.a.b = 'deep'");
    YES("o.`a.b` = 'dotted'");
    YES("list.1.k = 2");
    NO("list.2.k = 2");
    NO("list.01.k = 2");
    YES("__proto__ = 'p'");
    YES("`in` = 'word'");
    YES("`` = 'empty'");
    YES("`it's` = 'quote'");
    YES("`\\u0000` = 1");
    NO("`__proto__`.x = 1");
}

static void who_asks(void **state)
{
    (void)state;
    YES("@user.id = 'u1'");
    YES("@user.roles ?= 'editor'");
    YES("@request.body.x > 4");
    YES("@now > '2026-01-01'");
    NO("@user.missing != 'x'");
    struct query *q = parse("@user.id != 'x' || @user.id = owner");
    assert_false(query_matches(q, json("{\"owner\":\"u1\"}"), NULL));
    assert_false(query_matches(q, json("{}"), &(struct query_context){0}));
}

static void logic(void **state)
{
    (void)state;
    YES("n = 1 || n = 3 && status = 'published'");
    NO("(n = 1 || n = 3) && status = 'draft'");
    YES("!(n = 1) && !!(n = 3)");
    YES("  n=3&&status='published'  ");
    YES("n IS NOT NULL && n IN (3)");
}

/* ---- refusals -----------------------------------------------------------------------------------
 */

static void refused(const char *text, const char *why)
{
    struct err e = {0};
    if (query_parse(&arena, slice_from(text), &e))
        fail_msg("%s was accepted", text);
    assert_int_equal(e.code, ERR_MALFORMED);
    if (!strstr(e.msg, why))
        fail_msg("%s: expected \"%s\" in: %s", text, why, e.msg);
}

static void mistakes_are_told(void **state)
{
    (void)state;
    refused("status", "column 7: a comparison is expected");
    refused("status =", "column 9: a field or a value is expected at the end");
    refused("status = 'x", "column 10: this quote is never closed");
    refused("status == 'x'", "column 9: a field or a value is expected here");
    refused("a = 1 b = 2", "column 7: && or || is expected");
    refused("a = 1 & b = 2", "column 7: write && for and");
    refused("a = 1 and b = 2", "column 7: && or || is expected");
    refused("(a = 1", "column 7: a closing parenthesis is missing");
    refused("a = 1)", "column 6: this parenthesis closes nothing");
    refused("a = 01", "column 5: this is not a number");
    refused("a = 1.", "this is not a number");
    refused("a = -", "this is not a number");
    refused("a = 'x\\q'", "unknown escape");
    refused("a = $1", "not part of the language");
    refused("\xc3\xa4\xc3\xa4 = $", "column 6:"); /* characters, not bytes */
    refused("a in 'x'", "a list follows `in`");
    refused("a in ()", "a list holds");
    refused("a in (b)", "a list holds");
    refused("a in ('x'", "a comma or the end of the list");
    refused("a is 3", "after `is` only null");
    refused("o . a = 1", "column 3:"); /* a space ends a path */
    refused("a.", "a name is expected after the dot");
    refused("@user = 1", "say which part: @user.id");
    refused("@request.x = 1", "say which field");
    refused("@me = 1", "only @user");
    refused("! a = 1", "parentheses are expected after `!`");
    refused("a ! = 1", "written !=");
    refused("a = \xff", "not text in UTF-8");
}

static struct slice repeated(const char *part, size_t n)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < n; i++)
        buf_add_str(&b, part);
    struct slice s = arena_dup(&arena, buf_slice(&b));
    buf_done(&b);
    return s;
}

static void limits(void **state)
{
    (void)state;
    struct err e = {0};
    parse("((((((((a = 1))))))))");
    refused("(((((((((a = 1)))))))))", "at most 8 deep");
    refused("!!!!!!!!!(a = 1)", "at most 8 deep");
    refused(arena_printf(&arena, "a = 1%.*s", SLICE_ARGS(repeated(" || a = 1", 60))).ptr,
            "more than 200 parts");
    refused(arena_printf(&arena, "a in (1%.*s)", SLICE_ARGS(repeated(", 1", 250))).ptr,
            "more than 200 parts");
    refused(arena_printf(&arena, "a%.*s = 1", SLICE_ARGS(repeated(".a", 16))).ptr,
            "at most 16 steps");
    parse(arena_printf(&arena, "a%.*s = 1", SLICE_ARGS(repeated(".a", 15))).ptr);
    struct slice long_ = arena_printf(&arena, "a = '%.*s'", SLICE_ARGS(repeated("x", 4096)));
    assert_null(query_parse(&arena, long_, &e));
    assert_non_null(strstr(e.msg, "at most 4096"));
    assert_null(query_parse(&arena, (struct slice){"a = '\0'", 7}, &e));
}

/* ---- one form, binding, paths -------------------------------------------------------------------
 */

static void prints(const char *text, const char *expected)
{
    struct buf once, twice;
    buf_init(&once, 1 << 20);
    buf_init(&twice, 1 << 20);
    query_print(parse(text), &once);
    assert_string_equal(once.data ? once.data : "", expected);
    if (once.len) {
        query_print(parse(once.data), &twice);
        assert_string_equal(twice.data, expected);
    }
    buf_done(&once);
    buf_done(&twice);
}

static void one_form(void **state)
{
    (void)state;
    prints("", "");
    prints(" a=1&&(b=2||c=3) ", "a = 1 && (b = 2 || c = 3)");
    prints("(a=1&&b=2)||c=3", "a = 1 && b = 2 || c = 3");
    prints("a=1||(b=2||c=3)", "a = 1 || (b = 2 || c = 3)");
    prints("!(!(a IS NOT null))", "!!(a is not null)");
    prints("a = \"it's \\\"q\\\" \\\\ \\n\"", "a = 'it\\'s \"q\" \\\\ \\n'");
    prints("`in`.`x y`.0 in [1,'b',true]", "`in`.`x y`.0 in (1, 'b', true)");
    prints("`a\\`b` ~ @user.id", "`a\\`b` ~ @user.id");
    prints("@request.body.a.b ?= @now", "@request.body.a.b ?= @now");
    prints("a.`00s`.00 = null", "a.`00s`.00 = null");
}

static void binds(const char *text, const char *user, const char *expected)
{
    const struct query_context c = {.user = user ? json(user) : NULL};
    struct buf out;
    buf_init(&out, 1 << 20);
    query_print(query_bind(&arena, parse(text), &c), &out);
    assert_string_equal(out.data ? out.data : "", expected);
    buf_done(&out);
}

static void what_is_known_is_decided(void **state)
{
    (void)state;
    binds("owner = @user.id", "{\"id\":\"u1\"}", "owner = 'u1'");
    binds("owner = @user.id", NULL, "null is not null");
    binds("owner != @user.id", NULL, "null is not null");
    binds("!(owner = @user.id)", NULL, "");
    binds("owner = @user.id || status = 'x'", NULL, "status = 'x'");
    binds("owner = @user.id && status = 'x'", NULL, "null is not null");
    binds("@user.roles ?= 'a' || status = 'x'", "{\"roles\":[\"a\"]}", "");
    binds("@user.id is null && status = 'x'", NULL, "status = 'x'");
    binds("team in @user.teams", "{\"teams\":[\"a\"]}", "team in [\"a\"]");
    binds("a = 1 && (b = 2 || @user.id = 'x')", NULL, "a = 1 && b = 2");
}

struct seen {
    char names[200];
    unsigned n, stop_at;
};

static bool see(void *user, const struct query_operand *path)
{
    struct seen *s = user;
    size_t len = strlen(s->names);
    snprintf(s->names + len, sizeof s->names - len, "%.*s@%u ", SLICE_ARGS(path->steps[0]),
             path->at);
    return ++s->n != s->stop_at;
}

static void paths_are_told_in_order(void **state)
{
    (void)state;
    struct seen all = {0}, two = {.stop_at = 2};
    struct query *q = parse("a = 1 && (b.x in c || !(d is null)) && @user.id = e");
    assert_true(query_each_path(q, see, &all));
    assert_string_equal(all.names, "a@0 b@10 c@17 d@24 e@50 ");
    assert_false(query_each_path(q, see, &two));
    assert_string_equal(two.names, "a@0 b@10 ");
}

/* ---- keys ---------------------------------------------------------------------------------------
 */

static const char *const in_order[] = {"null",
                                       "false",
                                       "true",
                                       "-1e400",
                                       "-12345678901234567890",
                                       "-9007199254740993",
                                       "-9007199254740992",
                                       "-100",
                                       "-99.5",
                                       "-10",
                                       "-1.5",
                                       "-1.25",
                                       "-1",
                                       "-0.11",
                                       "-0.1",
                                       "-0.01",
                                       "-1e-400",
                                       "0",
                                       "1e-400",
                                       "0.01",
                                       "0.09",
                                       "0.1",
                                       "0.11",
                                       "0.2",
                                       "1",
                                       "1.000000000000000000001",
                                       "1.25",
                                       "1.5",
                                       "2",
                                       "9",
                                       "9.99",
                                       "10",
                                       "11",
                                       "99.5",
                                       "100",
                                       "9007199254740992",
                                       "9007199254740993",
                                       "12345678901234567890",
                                       "1e21",
                                       "1e99",
                                       "1e100",
                                       "1e400",
                                       "1e1000000000",
                                       "\"\"",
                                       "\"\\u0000\"",
                                       "\" \"",
                                       "\"A\"",
                                       "\"a\"",
                                       "\"aa\"",
                                       "\"b\"",
                                       "\"\xc3\xa4\""};
#define N_IN_ORDER (sizeof in_order / sizeof *in_order)

static int compare_keys(const struct json *a, const struct json *b)
{
    struct buf x, y;
    buf_init(&x, 1 << 16);
    buf_init(&y, 1 << 16);
    assert_true(query_key(&x, a) && query_key(&y, b));
    int order = slice_cmp(buf_slice(&x), buf_slice(&y));
    buf_done(&x);
    buf_done(&y);
    return (order > 0) - (order < 0);
}

static void keys_order_as_values_do(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_IN_ORDER; i++) {
        for (size_t j = 0; j < N_IN_ORDER; j++) {
            const struct json *a = json(in_order[i]), *b = json(in_order[j]);
            int expected = (i > j) - (i < j);
            if (compare_keys(a, b) != expected || query_order(a, b) != expected)
                fail_msg("%s and %s", in_order[i], in_order[j]);
        }
    }
    static const char *const same[] = {"1", "1.0", "10e-1", "0.1e1", "100e-2", "0.00001E+5"};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(compare_keys(json(same[0]), json(same[i])), 0);
    assert_int_equal(compare_keys(json("0"), json("-0.00e9")), 0);
    struct buf b;
    buf_init(&b, 100);
    assert_false(query_key(&b, json("[]")) || query_key(&b, json("{}")));
    buf_done(&b);
}

/* A number of up to 6 digits with a point and an exponent anywhere. */
static const struct json *random_number(unsigned *seed)
{
    char text[40];
    unsigned r = *seed = *seed * 1103515245u + 12345u;
    unsigned whole = (r >> 8) % 1000, part = (r >> 3) % 1000;
    *seed = *seed * 1103515245u + 12345u;
    int exponent = (int)((*seed >> 16) % 9) - 4;
    snprintf(text, sizeof text, "%s%u.%03ue%d", (*seed >> 12) & 1 ? "-" : "", whole, part,
             exponent);
    return json(text);
}

static void keys_of_random_numbers_order_too(void **state)
{
    (void)state;
    unsigned seed = 7;
    for (int i = 0; i < 20000; i++) {
        struct arena_mark mark = arena_mark(&arena);
        const struct json *a = random_number(&seed), *b = random_number(&seed);
        assert_int_equal(compare_keys(a, b), query_order(a, b));
        arena_rewind(&arena, mark);
    }
}

#define T(test) cmocka_unit_test_setup_teardown(test, begin, end)
/* Both sides of ~ may come from a document: long and alike, they are still found in line. */
static void long_texts_are_found_in_line(void **state)
{
    struct buf text;
    struct json_doc doc;
    struct err e = {0};
    struct arena a;
    (void)state;
    arena_init(&a, 64u << 20);
    buf_init(&text, 8u << 20);
    buf_add_str(&text, "{\"a\":\"");
    for (int i = 0; i < 600000; i++)
        buf_add_char(&text, i % 2 ? 'a' : 'A');
    buf_add_str(&text, "B\",\"b\":\"");
    for (int i = 0; i < 300000; i++)
        buf_add_char(&text, i % 3 ? 'a' : 'A');
    buf_add_str(&text, "c\",\"d\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAb\"}");
    assert_true(json_parse(&doc, &a, buf_slice(&text), NULL, &e));
    int64_t from = clock_cpu_ns();
    assert_false(query_matches(query_parse(&a, SLICE("a ~ b"), &e), json_root(&doc), NULL));
    assert_true(query_matches(query_parse(&a, SLICE("a ~ d"), &e), json_root(&doc), NULL));
    assert_true(query_matches(query_parse(&a, SLICE("a !~ b"), &e), json_root(&doc), NULL));
    assert_in_range((clock_cpu_ns() - from) / 1000000, 0, 2000);
    buf_done(&text);
    arena_done(&a);
}

TESTS(T(comparisons), T(null_and_other_types_compare_with_nothing), T(text_and_lists), T(paths),
      T(who_asks), T(logic), T(mistakes_are_told), T(limits), T(one_form),
      T(what_is_known_is_decided), T(paths_are_told_in_order), T(keys_order_as_values_do),
      T(keys_of_random_numbers_order_too), T(long_texts_are_found_in_line))
