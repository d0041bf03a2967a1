/* JSON Schema: every keyword by rows of schema, document and what is told; what compiling refuses.
 */
#include "base/clock.h"
#include "schema/schema.h"
#include "json_arena.h"

#include <stdio.h>

/* The app's folder: `a.json` is the schema under test. */
struct files {
    const char *a;
};

static const char other_text[] =
    "{\"$defs\":{\"n\":{\"type\":\"integer\"},\"s\":{\"$anchor\":\"short\",\"maxLength\":2}},"
    "\"properties\":{\"back\":{\"$ref\":\"a.json\"}}}";

static bool load(void *user, struct slice path, struct slice *ret, struct err *e)
{
    const struct files *f = user;
    if (slice_is(path, "schemas/a.json"))
        *ret = slice_from(f->a);
    else if (slice_is(path, "schemas/other.json"))
        *ret = slice_from(other_text);
    else
        return err_set(e, ERR_NOT_FOUND, "there is no such file");
    return true;
}

static const struct schema *compile(const char *text, struct err *e)
{
    struct files *files = arena_new(&arena, struct files);
    files->a = text;
    const struct schema_loader loader = {load, files};
    return schema_compile(&arena, SLICE("schemas/a.json"), &loader, e);
}

static const struct schema *compiled(const char *text)
{
    struct err e = {0};
    const struct schema *s = compile(text, &e);
    if (!s)
        fail_msg("%s: %s", text, e.msg);
    return s;
}

/* "pointer code; pointer code", or "" when it holds. */
static const char *told(const char *schema, const char *doc)
{
    struct violations v = {.a = &arena};
    struct slice text = SLICE("");
    bool fine = schema_check(compiled(schema), json(doc), &v);
    assert_int_equal(fine, v.n == 0);
    for (size_t i = 0; i < v.n; i++)
        text = arena_printf(&arena, "%.*s%s%.*s %s", SLICE_ARGS(text), i ? "; " : "",
                            SLICE_ARGS(v.items[i].pointer), v.items[i].code);
    return text.ptr;
}

struct row {
    const char *schema, *doc, *told;
};

static void rows(const struct row *row)
{
    for (; row->schema; row++) {
        const char *is = told(row->schema, row->doc);
        if (strcmp(is, row->told) != 0)
            fail_msg("%s\nof %s\nis told \"%s\", expected \"%s\"", row->schema, row->doc, is,
                     row->told);
    }
}

static void types_and_constants(void **state)
{
    static const struct row table[] = {
        {"true", "1", ""},
        {"false", "1", " false"},
        {"{}", "[1,{\"a\":null}]", ""},
        {"{\"type\":\"string\"}", "\"x\"", ""},
        {"{\"type\":\"string\"}", "1", " type"},
        {"{\"type\":[\"string\",\"null\"]}", "null", ""},
        {"{\"type\":[\"string\",\"null\"]}", "false", " type"},
        {"{\"type\":\"integer\"}", "1.0", ""},
        {"{\"type\":\"integer\"}", "1e400", ""},
        {"{\"type\":\"integer\"}", "1.5", " type"},
        {"{\"type\":\"number\"}", "1", ""},
        {"{\"type\":\"boolean\"}", "0", " type"},
        {"{\"type\":\"object\"}", "[]", " type"},
        {"{\"type\":\"array\"}", "{}", " type"},
        {"{\"const\":{\"a\":[1,2.0]}}", "{\"a\":[1.0,2]}", ""},
        {"{\"const\":{\"a\":[1,2]}}", "{\"a\":[2,1]}", " const"},
        {"{\"const\":{\"a\":1,\"b\":2}}", "{\"b\":2,\"a\":1}", ""},
        {"{\"const\":false}", "0", " const"},
        {"{\"const\":null}", "null", ""},
        {"{\"enum\":[1,\"a\",null]}", "null", ""},
        {"{\"enum\":[1,\"a\",null]}", "\"b\"", " enum"},
        {"{\"enum\":[]}", "1", " enum"},
        {0},
    };
    (void)state;
    rows(table);
}

static void numbers_and_texts(void **state)
{
    static const struct row table[] = {
        {"{\"minimum\":1.1}", "1.1", ""},
        {"{\"minimum\":1.1}", "1.0999999999999999999", " minimum"},
        {"{\"maximum\":9007199254740992}", "9007199254740993", " maximum"},
        {"{\"exclusiveMinimum\":1}", "1.0", " exclusiveMinimum"},
        {"{\"exclusiveMaximum\":1}", "1", " exclusiveMaximum"},
        {"{\"minimum\":5,\"exclusiveMaximum\":5}", "5", " exclusiveMaximum"},
        {"{\"minimum\":5}", "\"1\"", ""},
        {"{\"multipleOf\":0.01}", "19.99", ""},
        {"{\"multipleOf\":0.01}", "19.999", " multipleOf"},
        {"{\"multipleOf\":0.0001}", "0.0075", ""},
        {"{\"multipleOf\":7}", "1e300", " multipleOf"},
        {"{\"multipleOf\":8}", "1e300", ""},
        {"{\"multipleOf\":2}", "-4", ""},
        {"{\"multipleOf\":20}", "10", " multipleOf"},
        {"{\"multipleOf\":3}", "0", ""},
        {"{\"minLength\":2,\"maxLength\":3}", "\"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\"", ""},
        {"{\"minLength\":2}", "\"\xf0\x9f\x98\x80\"", " minLength"},
        {"{\"maxLength\":3}", "\"abcd\"", " maxLength"},
        {"{\"pattern\":\"^a+$\"}", "\"aaa\"", ""},
        {"{\"pattern\":\"^a+$\"}", "\"aaa\\n\"", " pattern"},
        {"{\"pattern\":\"b\"}", "\"abc\"", ""},
        {"{\"pattern\":\"^\\\\d$\"}", "\"\xd9\xa3\"", " pattern"},
        {"{\"pattern\":\"^.$\"}", "\"\xf0\x9f\x98\x80\"", ""},
        {"{\"pattern\":\"(a+)+$\"}", "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\"",
         " too_long"},
        {0},
    };
    (void)state;
    rows(table);
}

static void objects(void **state)
{
    static const struct row table[] = {
        {"{\"required\":[\"a\",\"b/c\"]}", "{\"a\":1}", "/b~1c required"},
        {"{\"required\":[\"a\"]}", "[]", ""},
        {"{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"a\":1,\"b\":2}", "/a type"},
        {"{\"properties\":{\"a\":true},\"additionalProperties\":false}", "{\"a\":1,\"b\":2}",
         "/b additionalProperties"},
        {"{\"patternProperties\":{\"^x\":{\"minimum\":2}},\"additionalProperties\":false}",
         "{\"x1\":1,\"y\":1}", "/x1 minimum; /y additionalProperties"},
        {"{\"properties\":{\"ax\":{\"maximum\":5}},\"patternProperties\":{\"x$\":{\"minimum\":2}}}",
         "{\"ax\":1}", "/ax minimum"},
        {"{\"additionalProperties\":{\"type\":\"number\"}}", "{\"a\":1,\"b\":\"\"}", "/b type"},
        {"{\"propertyNames\":{\"maxLength\":2}}", "{\"abc\":1,\"ab\":2}", "/abc propertyNames"},
        {"{\"minProperties\":1}", "{}", " minProperties"},
        {"{\"maxProperties\":1}", "{\"a\":1,\"b\":1}", " maxProperties"},
        {"{\"dependentRequired\":{\"a\":[\"b\",\"c\"]}}", "{\"a\":1,\"c\":1}",
         "/b dependentRequired"},
        {"{\"dependentRequired\":{\"a\":[\"b\"]}}", "{}", ""},
        {"{\"dependentSchemas\":{\"a\":{\"required\":[\"b\"]}}}", "{\"a\":1}", "/b required"},
        {"{\"properties\":{\"__proto__\":{\"type\":\"number\"},\"constructor\":{\"const\":1}}}",
         "{\"__proto__\":\"\",\"constructor\":1}", "/__proto__ type"},
        {"{\"properties\":{\"a\":{\"properties\":{\"b\":{\"items\":{\"type\":\"null\"}}}}}}",
         "{\"a\":{\"b\":[null,1]}}", "/a/b/1 type"},
        {0},
    };
    (void)state;
    rows(table);
}

static void arrays(void **state)
{
    static const struct row table[] = {
        {"{\"items\":{\"type\":\"number\"}}", "[1,\"a\",2,null]", "/1 type; /3 type"},
        {"{\"prefixItems\":[{\"type\":\"number\"},{\"const\":2}],\"items\":false}", "[1,2]", ""},
        {"{\"prefixItems\":[{\"type\":\"number\"}],\"items\":false}", "[1,2]", " items"},
        {"{\"prefixItems\":[{\"type\":\"number\"}],\"items\":{\"type\":\"null\"}}", "[1,null,3]",
         "/2 type"},
        {"{\"minItems\":1,\"maxItems\":2}", "[]", " minItems"},
        {"{\"minItems\":1,\"maxItems\":2}", "[1,2,3]", " maxItems"},
        {"{\"uniqueItems\":true}", "[1,true,\"1\",[1],{\"a\":1}]", ""},
        {"{\"uniqueItems\":true}", "[{\"a\":1,\"b\":[2]},{\"b\":[2.0],\"a\":1}]", " uniqueItems"},
        {"{\"uniqueItems\":true}", "[0,false]", ""},
        {"{\"contains\":{\"const\":5}}", "[1,5]", ""},
        {"{\"contains\":{\"const\":5}}", "[1]", " contains"},
        {"{\"contains\":{\"const\":5},\"minContains\":0}", "[]", ""},
        {"{\"contains\":{\"const\":5},\"minContains\":2}", "[5]", " contains"},
        {"{\"contains\":{\"const\":5},\"maxContains\":1}", "[5,5]", " maxContains"},
        {0},
    };
    (void)state;
    rows(table);
}

static void combined(void **state)
{
    static const struct row table[] = {
        {"{\"allOf\":[{\"minimum\":1},{\"maximum\":0}]}", "0.5", " minimum;  maximum"},
        {"{\"anyOf\":[{\"minimum\":3},{\"maximum\":1}]}", "2", " anyOf"},
        {"{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"object\",\"required\":[\"a\"]}]}", "{}",
         "/a required"}, /* only one can be meant */
        {"{\"oneOf\":[{\"minimum\":3},{\"maximum\":5}]}", "4", " oneOf"},
        {"{\"oneOf\":[{\"minimum\":3},{\"maximum\":5}]}", "6", ""},
        {"{\"oneOf\":[{\"properties\":{\"type\":{\"const\":\"a\"},\"x\":{\"type\":\"number\"}}},"
         "{\"properties\":{\"type\":{\"const\":\"b\"},\"y\":{\"type\":\"number\"}}}]}",
         "{\"type\":\"b\",\"y\":\"\"}", "/y type"},
        {"{\"not\":{\"type\":\"string\"}}", "\"x\"", " not"},
        {"{\"if\":{\"properties\":{\"a\":{\"const\":1}}},\"then\":{\"required\":[\"b\"]},"
         "\"else\":{\"required\":[\"c\"]}}",
         "{\"a\":1}", "/b required"},
        {"{\"if\":{\"properties\":{\"a\":{\"const\":1}}},\"else\":{\"required\":[\"c\"]}}",
         "{\"a\":2}", "/c required"},
        {"{\"then\":false}", "1", ""},
        {0},
    };
    (void)state;
    rows(table);
}

static void unevaluated(void **state)
{
    static const struct row table[] = {
        {"{\"allOf\":[{\"properties\":{\"a\":true}}],\"unevaluatedProperties\":false}",
         "{\"a\":1,\"b\":2}", "/b unevaluatedProperties"},
        {"{\"anyOf\":[{\"required\":[\"x\"],\"properties\":{\"x\":true}},"
         "{\"properties\":{\"a\":true}}],\"unevaluatedProperties\":false}",
         "{\"a\":1,\"x\":2}", ""},
        {"{\"anyOf\":[{\"required\":[\"x\"],\"properties\":{\"b\":true}},"
         "{\"properties\":{\"a\":true}}],\"unevaluatedProperties\":false}",
         "{\"a\":1,\"b\":2}", "/b unevaluatedProperties"}, /* what failed noted nothing */
        {"{\"not\":{\"properties\":{\"a\":{\"const\":0}}},\"unevaluatedProperties\":false}",
         "{\"a\":1}", "/a unevaluatedProperties"},
        {"{\"unevaluatedProperties\":{\"type\":\"number\"}}", "{\"a\":\"\"}", "/a type"},
        {"{\"prefixItems\":[true],\"unevaluatedItems\":false}", "[1,2]", " unevaluatedItems"},
        {"{\"prefixItems\":[true],\"contains\":{\"const\":2},\"unevaluatedItems\":false}", "[1,2]",
         ""},
        {"{\"$ref\":\"#/$defs/a\",\"unevaluatedProperties\":false,"
         "\"$defs\":{\"a\":{\"properties\":{\"a\":true}}}}",
         "{\"a\":1}", ""},
        {0},
    };
    (void)state;
    rows(table);
}

static void references(void **state)
{
    static const struct row table[] = {
        {"{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"type\":\"null\"}}}", "1", " type"},
        {"{\"$ref\":\"#/$defs/a~1b%25\",\"$defs\":{\"a/b%\":{\"type\":\"null\"}}}", "1", " type"},
        {"{\"properties\":{\"next\":{\"$ref\":\"#\"}},\"required\":[\"v\"]}",
         "{\"v\":1,\"next\":{\"v\":1,\"next\":{}}}", "/next/next/v required"},
        {"{\"$ref\":\"other.json#/$defs/n\"}", "1.5", " type"},
        {"{\"$ref\":\"./../schemas/other.json#short\"}", "\"abc\"", " maxLength"},
        {"{\"$ref\":\"other.json\",\"minimum\":1}", "{\"back\":0}", "/back minimum"},
        {"{\"$ref\":\"#here\",\"$defs\":{\"a\":{\"$anchor\":\"here\",\"const\":1}}}", "2",
         " const"},
        {"{\"$id\":\"https://example.com/x/root\",\"$ref\":\"item\","
         "\"$defs\":{\"i\":{\"$id\":\"item\",\"type\":\"null\"}}}",
         "1", " type"},
        {"{\"then\":{\"$ref\":\"#\"},\"if\":true}", "1", " too_deep"},
        {"{\"$id\":\"https://example.com/tree\",\"$dynamicAnchor\":\"node\",\"properties\":"
         "{\"children\":{\"items\":{\"$dynamicRef\":\"#node\"}}},\"maxProperties\":1}",
         "{\"children\":[{\"a\":1,\"b\":2}]}", "/children/0 maxProperties"},
        {0},
    };
    (void)state;
    rows(table);
}

/* ---- words --------------------------------------------------------------------------------------
 */

static void says(const char *schema, const char *doc, const char *words)
{
    struct violations v = {.a = &arena};
    assert_false(schema_check(compiled(schema), json(doc), &v));
    assert_string_equal(v.items[0].message.ptr, words);
}

static void violations_are_sentences(void **state)
{
    (void)state;
    says("{\"type\":\"string\"}", "1", "must be text, is a number");
    says("{\"type\":\"integer\"}", "1.5", "must be a whole number, is a fraction");
    says("{\"type\":[\"array\",\"null\"]}", "true", "must be null or a list, is true or false");
    says("{\"enum\":[\"a\",1]}", "2", "must be one of \"a\", 1");
    says("{\"minLength\":1}", "\"\"", "must not be empty");
    says("{\"maxLength\":2}", "\"abc\"", "must have at most 2 characters, has 3");
    says("{\"properties\":{\"title\":{}},\"additionalProperties\":false}", "{\"titel\":1}",
         "is not known here; did you mean `title`?");
    says("{\"format\":\"email\"}", "\"x\"", "is not a valid email");
    says("{\"uniqueItems\":true}", "[1,2,1]", "must not hold the same twice: items 0 and 2");
}

/* ---- limits -------------------------------------------------------------------------------------
 */

static void there_is_an_end_to_everything(void **state)
{
    struct violations v = {.a = &arena};
    struct buf doc;
    (void)state;
    struct buf text; /* 2^40 ways: each level asks for the next one twice */
    buf_init(&text, 1 << 20);
    buf_add_str(&text, "{\"$ref\":\"#/$defs/d0\",\"$defs\":{");
    for (int i = 0; i < 40; i++)
        buf_printf(&text,
                   "\"d%d\":{\"allOf\":[{\"$ref\":\"#/$defs/d%d\"},{\"$ref\":\"#/$defs/d%d\"}]},",
                   i, i + 1, i + 1);
    buf_add_str(&text, "\"d40\":true}}");
    assert_false(schema_check(compiled(text.data), json("1"), &v));
    assert_string_equal(v.items[0].code, "too_long");
    buf_done(&text);
    /* 5,000 violations: 100 are told. */
    struct violations many = {.a = &arena};
    buf_init(&doc, 1 << 20);
    buf_add_char(&doc, '[');
    for (int i = 0; i < 5000; i++)
        buf_add_str(&doc, i ? ",1" : "1");
    buf_add_char(&doc, ']');
    assert_false(schema_check(compiled("{\"items\":{\"type\":\"null\"}}"), json(doc.data), &many));
    assert_int_equal(many.n, 100);
    assert_int_equal(many.n_more, 4900);
    buf_done(&doc);
}

/* Giving up is never a yes, however deep below `not` or in an alternative it happens. */
static void giving_up_is_no(void **state)
{
    static const struct row table[] = {
        {"{\"$dynamicRef\":\"#\"}", "1", " too_deep"},
        {"{\"not\":{\"if\":true,\"then\":{\"$ref\":\"#\"}}}", "1", " too_deep"},
        {"{\"not\":{\"not\":{\"if\":true,\"then\":{\"$ref\":\"#\"}}}}", "1", " too_deep"},
        {"{\"anyOf\":[{\"if\":true,\"then\":{\"$ref\":\"#\"}},true]}", "1", " too_deep"},
        {"{\"oneOf\":[{\"if\":true,\"then\":{\"$ref\":\"#\"}},true]}", "1", " too_deep"},
        {"{\"if\":{\"if\":true,\"then\":{\"$ref\":\"#\"}},\"else\":true}", "1", " too_deep"},
        {"{\"not\":{\"pattern\":\"(a+)+$\"}}", "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\"",
         " too_long"},
        {"{\"contains\":{\"pattern\":\"(a+)+$\"},\"minContains\":0}",
         "[1,\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\"]", "/1 too_long"},
        {"{\"patternProperties\":{\"(a+)+$\":false}}",
         "{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\":1}", " too_long"},
        {NULL, NULL, NULL}};
    (void)state;
    rows(table);
}

/* Text n times. */
static struct slice times(const char *text, size_t n)
{
    struct buf to;
    buf_init(&to, 64u << 20);
    while (n-- > 0)
        buf_add_str(&to, text);
    struct slice all = arena_dup(&arena, buf_slice(&to));
    buf_done(&to);
    return all;
}

static void takes_not_long(const char *schema, struct slice doc, const char *code)
{
    struct violations v = {.a = &arena};
    const struct schema *s = compiled(schema);
    const struct json *j = json(doc.ptr);
    int64_t from = clock_cpu_ns();
    assert_int_equal(schema_check(s, j, &v), !*code);
    assert_string_equal(v.n ? v.items[0].code : "", code);
    assert_in_range((clock_cpu_ns() - from) / 1000000, 0, 4000); /* under ASan */
}

static void hostile_texts_take_not_long(void **state)
{
    (void)state;
    struct slice a = times("a", 1000000);
    struct slice text = arena_printf(&arena, "\"%.*s\"", SLICE_ARGS(a));
    takes_not_long("{\"pattern\":\"^[a-z]+$\"}", text, "");
    takes_not_long("{\"pattern\":\"a*[bc]\"}", text, "too_long");
    takes_not_long("{\"pattern\":\"\\\\s+$\"}",
                   arena_printf(&arena, "\"%.*sx\"", SLICE_ARGS(times(" ", 100000))), "too_long");
    struct slice short_ones = times("\"aaaaaaaaaaaaaaaaab\",", 20000);
    takes_not_long("{\"items\":{\"not\":{\"pattern\":\"(a+)+$\"}}}",
                   arena_printf(&arena, "[%.*s1]", SLICE_ARGS(short_ones)), "too_long");
    struct slice patterns = times("\"(a{1,1000}){1,1000}\",", 40000);
    takes_not_long("{\"items\":{\"format\":\"regex\"}}",
                   arena_printf(&arena, "[%.*s\"\"]", SLICE_ARGS(patterns)), "too_long");
    /* Backtracking that goes far is no violation. */
    text = arena_printf(&arena, "\"%.*s\"", 100000, a.ptr);
    takes_not_long("{\"pattern\":\"^([a-z]|-)+$\"}", text, "");
}

static void wide_objects_take_not_long(void **state)
{
    struct buf up, down;
    (void)state;
    buf_init(&up, 64u << 20);
    buf_init(&down, 64u << 20);
    for (int i = 0; i < 100000; i++) {
        buf_printf(&up, "\"k%d\":%d,", i, i);
        buf_printf(&down, "\"k%d\":%d,", 99999 - i, 99999 - i);
    }
    struct slice both = arena_printf(&arena, "[{%.*s\"x\":1},{\"x\":1,%.*s\"y\":{}}]",
                                     SLICE_ARGS(buf_slice(&up)), SLICE_ARGS(buf_slice(&down)));
    takes_not_long("{\"uniqueItems\":true}", both, "");
    both = arena_printf(&arena, "[{%.*s\"x\":1},{\"x\":1,%.*s}]", SLICE_ARGS(buf_slice(&up)),
                        (int)down.len - 1, down.data);
    takes_not_long("{\"uniqueItems\":true}", both, "uniqueItems");
    takes_not_long("{\"items\":{\"additionalProperties\":false,\"properties\":{\"a\":true}}}", both,
                   "additionalProperties");
    buf_done(&up);
    buf_done(&down);
    takes_not_long("{\"uniqueItems\":true}",
                   arena_printf(&arena, "[%.*s]", 199999, times("1,", 100000).ptr), "uniqueItems");
}

/* A schema that has a few steps for each level is not one without end. */
static void deep_documents(void **state)
{
    static const char schema[] = "{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"allOf\":[{\"$ref\":"
                                 "\"#/$defs/b\"}]},\"b\":{\"anyOf\":[{\"type\":\"null\"},{"
                                 "\"$ref\":\"#/$defs/c\"}]},\"c\":{\"type\":\"array\",\"items\":{"
                                 "\"$ref\":\"#\"}}}}";
    const struct json_limits limits = {.max_depth = JSON_DEPTH_MAX};
    struct violations v = {.a = &arena};
    struct json_doc doc;
    struct err e = {0};
    (void)state;
    struct slice text = arena_printf(&arena, "%s%s", times("[", 60).ptr, times("]", 60).ptr);
    assert_string_equal(told(schema, text.ptr), "");
    text = arena_printf(&arena, "%s%s", times("[", 1000).ptr, times("]", 1000).ptr);
    assert_true(json_parse(&doc, &arena, text, &limits, &e));
    assert_false(schema_check(compiled(schema), json_root(&doc), &v));
    assert_string_equal(v.items[0].code, "too_deep");
    assert_string_equal(v.items[0].message.ptr, "this is nested more deeply than can be checked");
    v = (struct violations){.a = &arena};
    text = arena_printf(&arena, "%s%s", times("[", 400).ptr, times("]", 400).ptr);
    assert_true(json_parse(&doc, &arena, text, &limits, &e));
    assert_true(schema_check(compiled("{\"items\":{\"$ref\":\"#\"}}"), json_root(&doc), &v));
}

/* What is told takes little memory, however long the names are. */
static void pointers_are_short(void **state)
{
    struct violations v = {.a = &arena};
    (void)state;
    struct slice doc = arena_printf(&arena, "{\"a\":{\"%s\":[%s1]}}", times("k", 1000000).ptr,
                                    times("1,", 200).ptr);
    const struct schema *s =
        compiled("{\"items\":{\"type\":\"null\"},\"additionalProperties\":{\"$ref\":\"#\"}}");
    const struct json *j = json(doc.ptr);
    size_t before = arena.used_bytes;
    assert_false(schema_check(s, j, &v));
    assert_int_equal(v.n, 100);
    assert_true(slice_is(v.items[0].pointer, "/a"));
    assert_in_range(arena.used_bytes - before, 0, 100000);
    v = (struct violations){.a = &arena};
    assert_false(schema_check(compiled("{\"const\":1}"), json("\"x\""), &v));
    assert_true(slice_is(v.items[0].pointer, ""));
}

static void patterns_are_those_of_ecma(void **state)
{
    static const struct {
        const char *pattern, *good[6], *bad[6];
    } table[] = {
        {"^\\\\s$",
         {" ", "\xc2\xa0", "\xe2\x80\x89", "\xe3\x80\x80", "\xef\xbb\xbf", "\\n"},
         {"x", "\xe2\x80\x8b", ""}},
        {"^\\\\S$", {"x", "\xe2\x80\x8b"}, {" ", "\xc2\xa0", "\xef\xbb\xbf"}},
        {"^[\\\\s-]+$", {"\xc2\xa0 -"}, {"x", "\xe2\x80\x8b"}},
        {"^[\\\\S ]+$", {"x \xc3\xa4\xf0\x9f\x98\x80"}, {"\xc2\xa0", "\\n"}},
        {"^[^\\\\S]$", {"\xc2\xa0"}, {"x"}},
        {"^\\\\p{Letter}+$", {"a\xc3\xa4\xce\xb1"}, {"1", ""}},
        {"^\\\\p{gc=Uppercase_Letter}\\\\P{General_Category=Number}$", {"Aa"}, {"aa", "A1"}},
        {"^[\\\\p{Decimal_Number}_]+$", {"1_\xd9\xa3"}, {"a"}},
        {"^\\\\p{Script=Greek}$", {"\xce\xb1"}, {"a"}},
        {"^.$", {"x", "\xc2\x85"}, {"\\n", "\\r", "\xe2\x80\xa8"}},
        {"^\\\\ud83d\\\\ude00$", {"\xf0\x9f\x98\x80"}, {"x"}},
        {"^\\\\u{1F600}\\\\u0041$",
         {"\xf0\x9f\x98\x80"
          "A"},
         {"x"}},
        {"^\\\\v$", {"\\u000b"}, {"\\n"}},
        {"^[[:alpha:]]$", {"a]", "[]", ":]"}, {"b]", "a"}},
        {"^\\\\d\\\\w$",
         {"1a"},
         {"\xd9\xa3"
          "a",
          "1\xc3\xa4"}},
        {"^(?<n>a|b)\\\\k<n>$", {"aa"}, {"ab"}},
        {"a$", {"a"}, {"a\\n"}},
        {"", {"", "x"}, {NULL}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct slice schema = arena_printf(&arena, "{\"pattern\":\"%s\"}", table[i].pattern);
        for (size_t k = 0; k < 6; k++) {
            const char *good = table[i].good[k], *bad = table[i].bad[k];
            if (good && *told(schema.ptr, arena_printf(&arena, "\"%s\"", good).ptr))
                fail_msg("%s does not find %s", table[i].pattern, good);
            if (bad && !*told(schema.ptr, arena_printf(&arena, "\"%s\"", bad).ptr))
                fail_msg("%s finds %s", table[i].pattern, bad);
        }
    }
}

static void refused(const char *schema, const char *why)
{
    struct err e = {0};
    if (compile(schema, &e))
        fail_msg("%s was accepted", schema);
    assert_int_equal(e.code, ERR_MANIFEST);
    if (!strstr(e.msg, why))
        fail_msg("%s: expected \"%s\" in: %s", schema, why, e.msg);
}

static void wrong_schemas_are_refused(void **state)
{
    (void)state;
    refused("[]", "schemas/a.json, at the top: a schema is an object");
    refused("{\"type\":\"strng\"}", "schemas/a.json, at /type: a type is null");
    refused("{\"properties\":{\"a/b\":{\"minimum\":\"1\"}}}",
            "at /properties/a~1b/minimum: a number is expected");
    refused("{\"maxLength\":-1}", "at /maxLength: a whole number");
    refused("{\"maxLength\":1.5}", "at /maxLength: a whole number");
    refused("{\"pattern\":\"(\"}", "at /pattern: the pattern is wrong at character 2");
    refused("{\"patternProperties\":{\"[\":true}}", "the pattern is wrong");
    refused("{\"pattern\":\"\xc3\xa4\\\\s(\"}", "the pattern is wrong at character 5: missing");
    refused("{\"pattern\":\"a\\\\Z\"}", "the pattern is wrong at character 2: there is no such");
    refused("{\"pattern\":\"(?i)a\"}", "the pattern is wrong at character 1: a group begins");
    refused("{\"pattern\":\"(*UCP)a\"}", "the pattern is wrong at character 1: nothing stands");
    refused("{\"pattern\":\"\\\\pL\"}", "character 1: a property stands in braces");
    refused("{\"pattern\":\"\\\\p{Leter}\"}", "the pattern is wrong at character");
    refused("{\"allOf\":[]}", "a list of schemas");
    refused("{\"allOf\":[1]}", "at /allOf/0: a schema is");
    refused("{\"required\":[1]}", "names must be text");
    refused("{\"multipleOf\":0}", "above 0");
    refused("{\"multipleOf\":1234567890123456789.5}", "at most 18 digits");
    refused("{\"$ref\":\"#/$defs/x\"}", "leads to nothing");
    refused("{\"$ref\":\"#x\"}", "leads to nothing");
    refused("{\"$ref\":\"#\"}", "schemas/a.json: the reference \"#\" leads back to itself");
    refused("{\"not\":{\"$ref\":\"#\"}}", "the reference \"#\" leads back to itself");
    refused(
        "{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"allOf\":[{\"$ref\":\"#/$defs/b\"}]},\"b\":{"
        "\"oneOf\":[{\"if\":{\"anyOf\":[{\"$ref\":\"#/$defs/a\"}]}}]}}}",
        "leads back to itself");
    refused("{\"$ref\":\"gone.json\"}", "schemas/gone.json: there is no such file");
    refused("{\"$ref\":\"https://example.com/s.json\"}", "nothing is ever fetched");
    refused("{\"$ref\":\"file:///etc/passwd\"}", "nothing is ever fetched");
    refused("{\"$ref\":\"../../etc/passwd\"}", "etc/passwd: there is no such file");
    refused("{\"$ref\":1}", "a reference is expected");
    refused("{\"$id\":\"x#y\"}", "$id has no part");
    refused("{\"$defs\":{\"a\":{\"$id\":\"z\"},\"b\":{\"$id\":\"z\"}}}", "has this $id already");
    refused("{", "schemas/a.json: line 1");
    struct slice deep = SLICE("true");
    for (int i = 0; i < 100; i++)
        deep = arena_printf(&arena, "{\"not\":%.*s}", SLICE_ARGS(deep));
    refused(deep.ptr, "schemas/a.json: ");
}

static void declared_properties_are_known(void **state)
{
    struct slice *names;
    size_t n;
    (void)state;
    const struct schema *s =
        compiled("{\"properties\":{\"b\":true,\"a\":true},\"allOf\":[{\"$ref\":\"#/$defs/x\"}],"
                 "\"additionalProperties\":false,\"$defs\":{\"x\":{\"properties\":{\"c\":true,"
                 "\"a\":true}}}}");
    assert_true(schema_properties(s, &arena, &names, &n));
    assert_int_equal(n, 3);
    assert_true(slice_is(names[0], "a") && slice_is(names[1], "b") && slice_is(names[2], "c"));
    assert_false(schema_properties(compiled("{\"properties\":{\"a\":true}}"), &arena, &names, &n));
}

static bool has_path(const struct schema *s, const char *path)
{
    struct slice rest = slice_from(path), steps[8];
    size_t n = 0;
    while (slice_cut(&rest, '.', &steps[n]))
        n++;
    return schema_has_path(s, steps, n);
}

static void paths_are_known(void **state)
{
    static const struct {
        const char *schema, *has[8], *has_not[8];
    } table[] = {
        {"{\"properties\":{\"a\":true,\"n\":{\"properties\":{\"x\":{\"type\":\"string\"}},"
         "\"additionalProperties\":false},\"t\":{\"type\":[\"string\",\"null\"]},\"no\":false,"
         "\"l\":{\"type\":\"array\",\"items\":{\"properties\":{\"k\":true},"
         "\"additionalProperties\":false}}},\"patternProperties\":{\"^p_\":{\"type\":\"number\"}}}",
         {"a", "a.b.0.c", "n.x", "l.0", "l.7.k", "t", "p_1"},
         {"b", "n.y", "n.x.z", "l.0.j", "t.x", "no", "p_1.x"}},
        {"{}", {"a", "a.b"}, {NULL}},
        {"true", {"a"}, {NULL}},
        {"{\"type\":\"object\"}", {"a", "a.b"}, {NULL}},
        {"{\"properties\":{\"a\":true},\"additionalProperties\":{\"type\":\"number\"}}",
         {"a", "b", "a.c"},
         {"b.c"}},
        {"{\"allOf\":[{\"$ref\":\"#/$defs/x\"}],\"oneOf\":[{\"properties\":{\"o\":true}},"
         "{\"properties\":{\"t\":{\"$ref\":\"#\"}}}],\"if\":{\"properties\":{\"i\":true}},"
         "\"$defs\":{\"x\":{\"properties\":{\"c\":{\"$ref\":\"#\"}}}}}",
         {"c", "o", "t", "i", "c.t.c.o", "c.z"},
         {"x"}},
        {"{\"properties\":{\"a\":{\"$ref\":\"#\"}},\"unevaluatedProperties\":false}",
         {"a.a.a"},
         {"b", "a.b"}},
        {"{\"additionalProperties\":false}", {NULL}, {"a"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct schema *s = compiled(table[i].schema);
        for (size_t k = 0; k < 8; k++) {
            if (table[i].has[k] && !has_path(s, table[i].has[k]))
                fail_msg("%s has no %s", table[i].schema, table[i].has[k]);
            if (table[i].has_not[k] && has_path(s, table[i].has_not[k]))
                fail_msg("%s has %s", table[i].schema, table[i].has_not[k]);
        }
    }
}

/* ---- formats ------------------------------------------------------------------------------------
 */

static void formats(void **state)
{
    static const struct {
        const char *format, *good[8], *bad[12];
    } table[] = {
        {"date-time",
         {"2026-11-21T20:00:00Z", "2026-02-28t01:02:03.456+05:30", "1998-12-31T23:59:60Z",
          "1998-12-31T15:59:60-08:00"},
         {"2026-11-21", "2026-11-21 20:00:00Z", "2026-02-29T00:00:00Z", "2026-11-21T24:00:00Z",
          "2026-11-21T20:00:00", "2026-11-21T20:00:60Z", "2026-11-21T20:00:00.Z",
          "2026-11-21T20:00:00+24:00", "x2026-11-21T20:00:00Z"}},
        {"date",
         {"2024-02-29", "0000-01-01"},
         {"2023-02-29", "2026-13-01", "2026-1-1", "2026-04-31"}},
        {"time",
         {"20:00:00Z", "20:00:00.1+00:00"},
         {"20:00:00", "20:00Z", "8:00:00Z", "20:60:00Z"}},
        {"email",
         {"a@b.c", "a.b+c@example.com", "\"a b\"@example.com", "a@[127.0.0.1]", "a@[IPv6:::1]"},
         {"a", "@b", "a@", ".a@b", "a.@b", "a..b@c", "a b@c", "a@b_c", "a@[1.2.3]"}},
        {"uri",
         {"http://a", "https://u@h:80/p?q=1#f", "urn:isbn:1", "mailto:a@b.c", "http://[::1]/x"},
         {"", "//a", "/x", "a", "http://a b", "http://a/%zz", "1a:b", "http://[::1",
          "http://h:x/"}},
        {"uuid",
         {"2eb8aa08-aa98-11ea-b4aa-73b441d16380", "2EB8AA08-AA98-11EA-B4AA-73B441D16380"},
         {"2eb8aa08aa9811eab4aa73b441d16380", "2eb8aa08-aa98-11ea-b4aa-73b441d1638", "x"}},
        {"ipv4", {"127.0.0.1"}, {"127.0.0", "256.0.0.1", "01.2.3.4", "1.2.3.4 "}},
        {"ipv6",
         {"::1", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4"},
         {"12345::", "::1%eth0", "1::2::3", ""}},
        {"hostname", {"a", "a-b.example"}, {"", "-a", "a-", "a_b", "a..b", "a."}},
        {"regex", {"^a$", "\\d+"}, {"(", "[", "a**"}},
        {"unheard-of", {"anything"}, {0}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct slice format = slice_from(table[i].format);
        for (const char *const *it = table[i].good; *it; it++) {
            if (!format_check(format, slice_from(*it)))
                fail_msg("%s: %s must be good", table[i].format, *it);
        }
        for (const char *const *it = table[i].bad; *it; it++) {
            if (format_check(format, slice_from(*it)))
                fail_msg("%s: %s must be bad", table[i].format, *it);
        }
    }
}

#define T(test) cmocka_unit_test_setup_teardown(test, begin, end)
TESTS(T(types_and_constants), T(numbers_and_texts), T(objects), T(arrays), T(combined),
      T(unevaluated), T(references), T(violations_are_sentences), T(there_is_an_end_to_everything),
      T(giving_up_is_no), T(hostile_texts_take_not_long), T(wide_objects_take_not_long),
      T(deep_documents), T(pointers_are_short), T(patterns_are_those_of_ecma),
      T(wrong_schemas_are_refused), T(declared_properties_are_known), T(paths_are_known),
      T(formats))
