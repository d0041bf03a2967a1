/* JSON Schema: every keyword by rows of schema, document and what is told; what compiling refuses.
 */
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
         " pattern"},
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
        {"{\"$ref\":\"#\"}", "1", " too_deep"},
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
    refused("{\"allOf\":[]}", "a list of schemas");
    refused("{\"allOf\":[1]}", "at /allOf/0: a schema is");
    refused("{\"required\":[1]}", "names must be text");
    refused("{\"multipleOf\":0}", "above 0");
    refused("{\"multipleOf\":1234567890123456789.5}", "at most 18 digits");
    refused("{\"$ref\":\"#/$defs/x\"}", "leads to nothing");
    refused("{\"$ref\":\"#x\"}", "leads to nothing");
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
      T(wrong_schemas_are_refused), T(declared_properties_are_known), T(formats))
