/* What a change makes of a document, before any database: trees, patches, what is hidden, versions
 * that must match, references taken out. */
#include "docs/docs_impl.h"

#include "json_arena.h"

#define MANIFEST                                                                                   \
    "app: test\n"                                                                                  \
    "collections:\n"                                                                               \
    "  plain: { rules: { read: public } }\n"                                                       \
    "  veiled: { hidden: [ secret, in.secret, in.deep.secret ], rules: { read: public } }\n"       \
    "  authors: { rules: { read: public } }\n"                                                     \
    "  books:\n"                                                                                   \
    "    rules: { read: public }\n"                                                                \
    "    refs: { by: { to: authors, on_delete: clear }, in.by: { to: authors, on_delete: clear }," \
    " held: authors }\n"

static struct docs *docs;
static struct problems problems;

static int begin_docs(void **state)
{
    begin(state);
    problems_init(&problems, &arena);
    struct manifest *m = manifest_parse(&arena, SLICE(MANIFEST), "dais.yaml", &problems);
    assert_non_null(m);
    docs = docs_new(m, &problems);
    assert_false(problems_has_errors(&problems));
    return 0;
}

static int end_docs(void **state)
{
    docs_free(docs);
    return end(state);
}

static const struct doc_coll *coll(const char *name)
{
    const struct doc_coll *c = docs_find(docs, slice_from(name));
    assert_non_null(c);
    return c;
}

static void assert_json(const struct json *found, const char *text)
{
    struct buf b;
    struct json_writer w;
    assert_non_null(found);
    buf_init(&b, 1 << 20);
    json_writer_init(&w, &b, 0);
    json_write_value(&w, found);
    buf_add_char(&b, '\0');
    assert_string_equal(b.data, text);
    buf_done(&b);
}

/* ---- trees ----------------------------------------------------------------------------------- */

static void ours_are_taken_off(void **state)
{
    struct err e = {0};
    (void)state;
    assert_json(doc_own(json("{\"a\":1,\"b\":{\"id\":2}}"), &arena, &e),
                "{\"a\":1,\"b\":{\"id\":2}}");
    assert_json(doc_own(json("{\"id\":\"x\",\"a\":[1,{\"b\":2}],\"version\":{\"n\":[1]},\"c\":3,"
                             "\"owner\":null,\"updated\":[],\"created\":\"t\"}"),
                        &arena, &e),
                "{\"a\":[1,{\"b\":2}],\"c\":3}");
    assert_json(doc_own(json("{\"version\":1}"), &arena, &e), "{}");
    assert_json(doc_own(json("{}"), &arena, &e), "{}");
}

static void and_put_back(void **state)
{
    struct err e = {0};
    const struct doc_meta meta = {.id = SLICE("i"),
                                  .owner = SLICE("o"),
                                  .version = 7,
                                  .created = SLICE("c"),
                                  .updated = SLICE("u")};
    struct doc_meta nobodys = meta;
    (void)state;
    nobodys.owner = SLICE("");
    const struct json *whole = doc_whole(&meta, json("{\"a\":[1,{}],\"b\":{\"c\":2}}"), &arena, &e);
    assert_json(whole, "{\"id\":\"i\",\"version\":7,\"owner\":\"o\",\"created\":\"c\","
                       "\"updated\":\"u\",\"a\":[1,{}],\"b\":{\"c\":2}}");
    assert_json(doc_own(whole, &arena, &e), "{\"a\":[1,{}],\"b\":{\"c\":2}}");
    assert_json(doc_whole(&nobodys, json("{}"), &arena, &e),
                "{\"id\":\"i\",\"version\":7,\"owner\":null,\"created\":\"c\",\"updated\":\"u\"}");
}

static void a_full_arena_refuses_and_never_ends_the_process(void **state)
{
    struct arena small;
    struct json_doc doc;
    struct err e = {0};
    (void)state;
    arena_init(&small, 1 << 16);
    const struct json *own = json("{\"id\":1,\"a\":[1,2,3]}");
    assert_null(doc_own(own, &small, &e));
    assert_int_equal(e.code, ERR_BODY_TOO_LARGE);
    assert_false(doc_parse(&small, SLICE("{\"a\":1}"), NULL, &doc, &e));
    doc_arena_grow(&small, 100);
    assert_non_null(doc_own(own, &small, &e));
    assert_true(doc_parse(&small, SLICE("{\"a\":1}"), NULL, &doc, &e));
    arena_done(&small);
}

static void what_is_hidden_is_kept(void **state)
{
    static const struct {
        const char *from, *to, *outcome;
    } rows[] = {
        {"{\"secret\":1,\"a\":2}", "{\"a\":3}", "{\"a\":3,\"secret\":1}"},
        {"{\"secret\":1}", "{\"secret\":2}", "{\"secret\":2}"},
        {"{\"secret\":1}", "{\"secret\":null}", "{\"secret\":null}"},
        {"{\"in\":{\"secret\":1,\"a\":2}}", "{\"in\":{\"a\":3}}",
         "{\"in\":{\"a\":3,\"secret\":1}}"},
        {"{\"in\":{\"secret\":1}}", "{}", "{}"},
        {"{\"in\":{\"secret\":1}}", "{\"in\":[]}", "{\"in\":[]}"},
        {"{\"in\":{\"deep\":{\"secret\":[1]}}}", "{\"in\":{\"deep\":{}}}",
         "{\"in\":{\"deep\":{\"secret\":[1]}}}"},
        {"{\"x\":{\"secret\":1}}", "{\"x\":{}}", "{\"x\":{}}"},
    };
    struct err e = {0};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_json(
            doc_keep_hidden(coll("veiled"), json(rows[i].from), json(rows[i].to), &arena, &e),
            rows[i].outcome);
}

/* ---- what a change makes --------------------------------------------------------------------- */

static const struct json *next(enum doc_op op, const char *name, const char *before,
                               const char *body, struct err *e)
{
    struct doc_plan plan = {.own = op == DOC_PUT ? json(body) : NULL};
    struct doc_change ch = {.op = op, .coll = coll(name), .body = json(body), .plan = &plan};
    return change_next(&ch, json(before), &arena, e);
}

static void changes_make_documents(void **state)
{
    struct err e = {0};
    const char *before = "{\"id\":\"x\",\"version\":3,\"a\":1,\"b\":{\"c\":2,\"d\":3}}";
    (void)state;
    assert_json(next(DOC_PUT, "plain", before, "{\"z\":1}", &e), "{\"z\":1}");
    assert_json(next(DOC_MERGE, "plain", before, "{\"id\":\"y\",\"a\":null,\"b\":{\"c\":9}}", &e),
                "{\"b\":{\"c\":9,\"d\":3}}");
    assert_json(next(DOC_PATCH, "plain", before,
                     "[{\"op\":\"test\",\"path\":\"/version\",\"value\":3},"
                     "{\"op\":\"add\",\"path\":\"/e\",\"value\":4}]",
                     &e),
                "{\"a\":1,\"b\":{\"c\":2,\"d\":3},\"e\":4}");
    assert_null(next(DOC_MERGE, "plain", before, "[]", &e));
    assert_int_equal(e.code, ERR_INVALID);
    assert_null(next(DOC_PATCH, "plain", before, "{}", &e));
    assert_int_equal(e.code, ERR_MALFORMED);
}

static void a_json_patch_sees_what_its_sender_sees(void **state)
{
    struct err e = {0};
    const char *before = "{\"secret\":\"s\",\"in\":{\"secret\":1,\"a\":2}}";
    (void)state;
    assert_null(next(DOC_PATCH, "veiled", before,
                     "[{\"op\":\"test\",\"path\":\"/secret\",\"value\":\"s\"}]", &e));
    assert_null(next(DOC_PATCH, "veiled", before,
                     "[{\"op\":\"copy\",\"from\":\"/secret\",\"path\":\"/b\"}]", &e));
    assert_json(next(DOC_PATCH, "veiled", before,
                     "[{\"op\":\"copy\",\"from\":\"/in\",\"path\":\"/b\"}]", &e),
                "{\"in\":{\"a\":2,\"secret\":1},\"b\":{\"a\":2},\"secret\":\"s\"}");
    assert_json(next(DOC_MERGE, "veiled", before, "{\"secret\":null}", &e),
                "{\"in\":{\"secret\":1,\"a\":2}}");
}

static bool matches(struct doc_match m, int64_t version)
{
    struct doc_row row = {.meta.version = version};
    struct doc_change ch = {.match = m};
    struct err e = {0};
    bool fits = change_matches(&ch, version ? &row : NULL, &arena, &e);
    assert_int_equal(fits ? ERR_NONE : ERR_STALE, e.code);
    assert_int_equal(fits, ch.details.len == 0);
    return fits;
}

static void versions_must_match(void **state)
{
    static const int64_t of[] = {0, 4, 3};
    const struct doc_match none = {0}, any = {.is_given = true, .is_any = true},
                           absent = {.is_absent = true},
                           some = {.is_given = true, .versions = of, .n = 3};
    (void)state;
    assert_true(matches(none, 3) && matches(none, 0));
    assert_true(matches(any, 3) && !matches(any, 0));
    assert_true(!matches(absent, 3) && matches(absent, 0));
    assert_true(matches(some, 3) && matches(some, 4) && !matches(some, 5) && !matches(some, 0));
}

/* ---- references ------------------------------------------------------------------------------ */

static void references_are_taken_out(void **state)
{
    const struct doc_coll *c = coll("books"), *to = coll("authors");
    struct err e = {0};
    struct map gone;
    (void)state;
    map_init(&gone);
    map_put(&gone, refs_key(to, SLICE("one"), &arena), &gone);
    map_put(&gone, refs_key(c, SLICE("two"), &arena), &gone); /* of another collection */
    assert_json(refs_without(c,
                             json("{\"by\":[\"one\",\"two\",1,\"one\"],\"a\":\"one\","
                                  "\"in\":{\"by\":\"one\",\"x\":1},\"held\":\"one\"}"),
                             &gone, &arena, &e),
                "{\"by\":[\"two\",1],\"a\":\"one\",\"in\":{\"x\":1},\"held\":\"one\"}");
    assert_json(refs_without(c, json("{\"by\":\"two\",\"in\":[\"one\"]}"), &gone, &arena, &e),
                "{\"by\":\"two\",\"in\":[\"one\"]}");
    map_done(&gone);
}

/* ---- what is told ---------------------------------------------------------------------------- */

static void what_is_told_is_whole_json(void **state)
{
    struct violations v = {.a = &arena};
    struct json_doc doc;
    struct err e = {0};
    char *longest = arena_alloc(&arena, 100001);
    (void)state;
    memset(longest, 'k', 100000);
    longest[100000] = '\0';
    for (int i = 0; i < 3 + SCHEMA_VIOLATIONS_MAX; i++)
        violations_add(&v, slice_from(i % 10 ? "/a\"b" : longest), "code", "a \"message\"");
    assert_int_equal(v.n, SCHEMA_VIOLATIONS_MAX);
    assert_int_equal(v.n_more, 3);
    struct slice text = violations_json(&v, &arena);
    assert_true(json_parse(&doc, &arena, text, NULL, &e));
    assert_int_equal(json_len(json_root(&doc)), 92); /* 90 short ones, and 2 that still fit */
}

static void ids(void **state)
{
    (void)state;
    assert_true(doc_id_is_good(SLICE("0123456789abcde")));
    assert_true(doc_id_is_good(SLICE("ABC-_xyz0123456")));
    assert_false(doc_id_is_good(SLICE("0123456789abcd")));
    assert_false(doc_id_is_good(SLICE("0123456789abc.e")));
    assert_false(doc_id_is_good(SLICE("0123456789abc\0e")));
    assert_false(doc_id_is_good(SLICE("")));
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, begin_docs, end_docs)
TESTS(CASE(ours_are_taken_off), CASE(and_put_back),
      CASE(a_full_arena_refuses_and_never_ends_the_process), CASE(what_is_hidden_is_kept),
      CASE(changes_make_documents), CASE(a_json_patch_sees_what_its_sender_sees),
      CASE(versions_must_match), CASE(references_are_taken_out), CASE(what_is_told_is_whole_json),
      CASE(ids))
