/* What is told of an API: which calls there are, what documents fit the schemas told, which
 * mistakes between manifest and schema are found. */
#include "describe/describe.h"
#include "unit.h"

#include <stdio.h>

static struct arena arena;

static int begin(void **state)
{
    (void)state;
    arena_init(&arena, (size_t)1 << 30);
    return 0;
}

static int end(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

/* ---- an app in memory ---------------------------------------------------------------------------
 */

static struct {
    const char *path;
    struct slice text;
} files[16];
static size_t n_files;

static bool load(void *user, struct slice path, struct slice *ret_text, struct err *e)
{
    (void)user;
    for (size_t i = 0; i < n_files; i++) {
        if (slice_is(path, files[i].path)) {
            *ret_text = files[i].text;
            return true;
        }
    }
    return err_set(e, ERR_NOT_FOUND, "there is no such file");
}

static const struct schema_loader loader = {.load = load};

static void file(const char *path, const char *text)
{
    files[n_files].path = path;
    files[n_files++].text = slice_from(text);
}

static struct manifest *manifest(const char *text)
{
    struct problems p;
    problems_init(&p, &arena);
    struct manifest *m = manifest_parse(&arena, slice_from(text), "dais.yaml", &p);
    if (!m || problems_has_errors(&p))
        fail_msg("%s: %s", text, p.n ? p.items[0].text.ptr : "?");
    return m;
}

typedef bool describe_fn(struct arena *a, const struct describe_source *src, struct buf *to,
                         struct err *e);

static struct slice told(describe_fn *fn, const struct manifest *m, const char *base)
{
    const struct describe_source src = {m, &loader, slice_from(base)};
    struct buf to;
    struct err e = {0};
    buf_init(&to, 16 << 20);
    if (!fn(&arena, &src, &to, &e))
        fail_msg("%s", e.msg);
    struct slice text = arena_dup(&arena, buf_slice(&to));
    buf_done(&to);
    return text;
}

static const struct json *json(struct slice text)
{
    struct json_doc doc;
    struct err e = {0};
    const struct json_limits limits = {.max_depth = JSON_DEPTH_MAX};
    if (!json_parse(&doc, &arena, text, &limits, &e))
        fail_msg("%s", e.msg);
    return json_root(&doc);
}

static const struct json *at(const struct json *v, const char *pointer)
{
    return json_pointer_find(v, slice_from(pointer));
}

static bool has(struct slice text, const char *part)
{
    return slice_search(text, slice_from(part)) >= 0;
}

/* ---- calls --------------------------------------------------------------------------------------
 */

static void only_what_a_collection_has(void **state)
{
    (void)state;
    n_files = 0;
    const struct manifest *m =
        manifest("app: a\ncollections:\n"
                 "  full: { owner: true, versions: 3, search: [t], refs: { r: full } }\n"
                 "  bare: { owner: true, trash: 0 }\n"
                 "  log: { owner: true, append_only: true, versions: 2 }\n");
    const struct json *paths = json_find(json(told(describe_openapi, m, "/")), SLICE("paths"));
    assert_non_null(at(paths, "/~1api~1full~1{id}~1versions~1{n}~1diff/get"));
    assert_non_null(at(paths, "/~1api~1full~1{id}~1restore/post"));
    assert_non_null(at(paths, "/~1api~1full~1{id}/patch"));
    assert_null(at(paths, "/~1api~1bare~1{id}~1versions"));
    assert_null(at(paths, "/~1api~1bare~1{id}~1restore"));
    assert_non_null(at(paths, "/~1api~1log~1{id}/get"));
    assert_null(at(paths, "/~1api~1log~1{id}/put"));
    assert_null(at(paths, "/~1api~1log~1{id}/patch"));
    assert_null(at(paths, "/~1api~1log~1{id}~1versions~1{n}~1restore"));
    assert_non_null(at(paths, "/~1api~1log~1{id}~1versions"));
    assert_non_null(at(paths, "/~1api~1batch/post"));
    assert_non_null(at(paths, "/~1api~1openapi.json/get"));
    size_t full = json_len(at(paths, "/~1api~1full/get/parameters"));
    assert_int_equal(full, 9); /* filter sort limit after fields search count trash expand */
    assert_int_equal(json_len(at(paths, "/~1api~1bare/get/parameters")), full - 3);
    assert_int_equal(json_len(at(paths, "/~1api~1full~1{id}/put/parameters")), 2);
    assert_int_equal(json_len(at(paths, "/~1api~1bare~1{id}/put/parameters")), 1);
}

static void jobs_have_calls_with_their_inputs(void **state)
{
    (void)state;
    n_files = 0;
    file("video.json", "{\"type\":\"object\",\"required\":[\"url\"],\"properties\":{\"url\":{"
                       "\"type\":\"string\"},\"size\":{\"$ref\":\"#/$defs/size\"}},\"$defs\":{"
                       "\"size\":{\"enum\":[1,2]}}}");
    const char *text = "app: a\njobs:\n  import-video: { run: w, input: video.json }\n"
                       "  tidy: { use: prune.run }\ncollections: { jobless: { owner: true } }\n";
    struct slice one = told(describe_openapi, manifest(text), "/");
    assert_true(slice_eq(one, told(describe_openapi, manifest(text), "/")));
    const struct json *all = json(one);
    const char *body = "requestBody/content/application~1json/schema/$ref";
    char path[200];
    snprintf(path, sizeof path, "/paths/~1api~1jobs~1import-video/post/%s", body);
    assert_true(slice_is(json_str(at(all, path)), "#/components/schemas/ImportVideoJobInput"));
    assert_non_null(at(all, "/components/schemas/ImportVideoJobInput/properties/url"));
    assert_non_null(at(all, "/components/schemas/Size/enum"));
    assert_non_null(at(all, "/components/schemas/Job/properties/state"));
    assert_non_null(at(all, "/paths/~1api~1jobs~1tidy/post"));
    assert_false(json_bool(at(all, "/paths/~1api~1jobs~1tidy/post/requestBody/required")));
    assert_non_null(at(all, "/paths/~1api~1jobs~1{id}~1events/get"));
    assert_non_null(at(all, "/paths/~1api~1usage/get"));
    struct slice ts = told(describe_types_ts, manifest(text), "/"),
                 py = told(describe_types_py, manifest(text), "/");
    assert_true(has(ts, "\"import-video\": { input: ImportVideoJobInput };\n  tidy: { input: "
                        "unknown };\n"));
    assert_true(has(ts, "export interface Job {"));
    assert_true(has(py, "JobType: TypeAlias = Literal[\"import-video\", \"tidy\"]"));
    assert_true(has(py, "class ImportVideoJobInput(TypedDict):"));
    /* Without jobs there is nothing of them. */
    struct slice none = told(describe_openapi, manifest("app: a\ncollections: { c: {} }\n"), "/");
    assert_false(has(none, "jobs"));
}

static void the_same_app_gives_the_same_bytes(void **state)
{
    (void)state;
    n_files = 0;
    file("s.json", "{\"properties\":{\"a\":{\"$ref\":\"#/$defs/x\"},\"b\":{\"$ref\":\"t.json\"}},"
                   "\"$defs\":{\"x\":{\"type\":\"string\"}}}");
    file("t.json", "{\"type\":\"integer\"}");
    const char *text = "app: a\ncollections:\n  ones: { schema: s.json, owner: true }\n"
                       "  twos: { schema: s.json, owner: true }\n";
    struct slice one = told(describe_openapi, manifest(text), "/x/");
    struct slice two = told(describe_openapi, manifest(text), "/x/");
    assert_true(slice_eq(one, two));
    assert_true(slice_is(json_str(at(json(one), "/servers/0/url")), "/x"));
    /* Two collections with the same schema share its parts. */
    assert_int_equal(json_len(at(json(one), "/components/schemas/X")), 1);
    assert_null(at(json(one), "/components/schemas/X2"));
    /* The version is that of what is described. */
    file("u.json", "{\"properties\":{\"a\":{\"type\":\"integer\"}}}");
    const struct manifest *other =
        manifest("app: a\ncollections: { ones: { schema: u.json, owner: true } }\n");
    struct slice three = told(describe_openapi, other, "/x/");
    assert_false(slice_eq(json_str(at(json(one), "/info/version")),
                          json_str(at(json(three), "/info/version"))));
}

static void names_do_not_meet(void **state)
{
    (void)state;
    n_files = 0;
    file("s.json", "{\"properties\":{\"a\":{\"$ref\":\"#/$defs/Chart\"},\"b\":{\"$ref\":"
                   "\"#/$defs/problem\"}},\"$defs\":{\"Chart\":{},\"problem\":{}}}");
    const struct manifest *m =
        manifest("app: a\ncollections:\n  chart: { owner: true }\n  charts: { schema: s.json, "
                 "owner: true }\n  chart_inputs: { owner: true }\n  problems: { owner: true }\n"
                 "  my__x: { owner: true }\n  my_x: { owner: true }\n");
    const struct json *o = json(told(describe_openapi, m, "/"));
    const struct json *schemas = at(o, "/components/schemas");
    static const char *const names[] = {"Chart",   "Charts",   "ChartInput", "ChartInputs",
                                        "Problem", "Problems", "Problem2",   "Chart2",
                                        "MyX",     "MyX2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!json_find(schemas, slice_from(names[i])))
            fail_msg("there is no %s", names[i]);
    }
    assert_non_null(at(schemas, "/Problem/properties/status"));
    struct slice seen[200];
    size_t n = 0;
    json_each (path, json_find(o, SLICE("paths"))) {
        json_each (call, path.value) {
            struct slice id = json_str(json_find(call.value, SLICE("operationId")));
            for (size_t i = 0; i < n; i++)
                assert_true(!id.len || !slice_eq(id, seen[i]));
            seen[n++] = id;
        }
    }
}

/* ---- schemas ------------------------------------------------------------------------------------
 */

#define META                                                                                  \
    "\"id\":\"aaaaaaaaaaaaaaa\",\"version\":1,\"owner\":null,\"created\":\"2026-01-01T00:00:" \
    "00Z\","                                                                                  \
    "\"updated\":\"2026-01-01T00:00:00Z\""

static bool holds(const struct schema *s, const char *document)
{
    struct violations v = {.a = &arena};
    return schema_check(s, json(slice_from(document)), &v);
}

static const struct schema *as_read(const char *hidden)
{
    char text[300];
    struct buf to;
    struct err e = {0};
    snprintf(text, sizeof text,
             "app: a\ncollections: { docs: { schema: s.json, owner: true, hidden: [%s] } }\n",
             hidden);
    const struct manifest *m = manifest(text);
    const struct describe_source src = {m, &loader, SLICE("/")};
    buf_init(&to, 16 << 20);
    if (!describe_collection_schema(&arena, &src, &m->collections.items[0], &to, &e))
        fail_msg("%s", e.msg);
    size_t before = n_files;
    file("told.json", arena_dup(&arena, buf_slice(&to)).ptr);
    buf_done(&to);
    const struct schema *s = schema_compile(&arena, SLICE("told.json"), &loader, &e);
    if (!s)
        fail_msg("%s\n%s", e.msg, files[before].text.ptr);
    n_files = before;
    return s;
}

static void documents_fit_what_is_told(void **state)
{
    static const struct {
        const char *schema, *hidden, *good[3], *bad[3];
    } rows[] = {
        {"{\"type\":\"object\",\"required\":[\"a\"],\"properties\":{\"a\":{\"type\":\"string\"}}}",
         "",
         {"{\"a\":\"x\"," META "}", "{\"a\":\"x\",\"more\":1," META "}"},
         {"{" META "}", "{\"a\":1," META "}", "{\"a\":\"x\"}"}},
        {"{\"additionalProperties\":false,\"properties\":{\"a\":true}}",
         "",
         {"{\"a\":1," META "}"},
         {"{\"b\":1," META "}"}},
        /* Closed, and what is hidden is gone. */
        {"{\"additionalProperties\":false,\"required\":[\"s\"],\"properties\":{\"a\":true,\"s\":"
         "true}}",
         "s",
         {"{\"a\":1," META "}"},
         {"{\"a\":1,\"s\":1," META "}"}},
        {"{\"unevaluatedProperties\":false,\"allOf\":[{\"properties\":{\"a\":true}}]}",
         "",
         {"{\"a\":1," META "}"},
         {"{\"b\":1," META "}"}},
        /* Closed where a reference leads. */
        {"{\"$ref\":\"#/$defs/x\",\"$defs\":{\"x\":{\"additionalProperties\":{\"type\":\"number\"},"
         "\"properties\":{\"s\":true}}}}",
         "",
         {"{\"s\":\"x\",\"n\":1," META "}"},
         {"{\"n\":\"x\"," META "}"}},
        {"{\"maxProperties\":1,\"propertyNames\":{\"pattern\":\"^x\"},\"patternProperties\":{"
         "\"^.\":{\"type\":\"boolean\"}}}",
         "",
         {"{" META "}", "{\"xa\":true," META "}"},
         {"{\"xa\":1," META "}", "{\"ya\":true," META "}", "{\"xa\":true,\"xb\":true," META "}"}},
        /* Without the hidden field two of oneOf hold. */
        {"{\"oneOf\":[{\"required\":[\"s\"]},{\"required\":[\"a\"]}],\"not\":{\"required\":[\"s\","
         "\"b\"]}}",
         "s",
         {"{\"a\":1," META "}", "{\"b\":1," META "}"},
         {NULL}},
        {"{\"properties\":{\"in\":{\"required\":[\"s\"],\"additionalProperties\":false,"
         "\"properties\":{\"s\":true,\"t\":true}}}}",
         "in.s",
         {"{\"in\":{\"t\":1}," META "}"},
         {"{\"in\":{\"s\":1}," META "}"}},
        /* Hidden at the top only: a copy further in is another field. */
        {"{\"required\":[\"s\"],\"properties\":{\"s\":{\"type\":\"number\"},\"of\":{\"$ref\":"
         "\"#\"}}}",
         "s",
         {"{" META "}", "{\"of\":{\"s\":1}," META "}"},
         {"{\"of\":{}," META "}"}},
        {"true", "", {"{" META "}"}, {"{}"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        n_files = 0;
        file("s.json", rows[i].schema);
        const struct schema *s = as_read(rows[i].hidden);
        for (size_t j = 0; j < 3; j++) {
            if (rows[i].good[j] && !holds(s, rows[i].good[j]))
                fail_msg("%s: refuses %s", rows[i].schema, rows[i].good[j]);
            if (rows[i].bad[j] && holds(s, rows[i].bad[j]))
                fail_msg("%s: allows %s", rows[i].schema, rows[i].bad[j]);
        }
    }
}

static void what_is_hidden_is_nowhere(void **state)
{
    (void)state;
    n_files = 0;
    file("s.json",
         "{\"required\":[\"secret\"],\"examples\":[{\"secret\":1}],\"default\":{\"secret\":1},"
         "\"properties\":{\"secret\":{\"description\":\"of secret\"},\"in\":{\"$ref\":\"#/$defs/in"
         "\"}},\"$comment\":\"secret\",\"dependentRequired\":{\"secret\":[\"a\"]},\"allOf\":[{"
         "\"$ref\":\"#/$defs/base\"}],\"anyOf\":[{\"required\":[\"secret\"]}],\"if\":{\"required\":"
         "[\"secret\"]},\"$defs\":{\"base\":{\"properties\":{\"secret\":true,\"a\":true}},\"in\":{"
         "\"properties\":{\"secret\":true}}}}");
    const struct manifest *m = manifest("app: a\ncollections: { docs: { schema: s.json, owner: "
                                        "true, hidden: [secret, in.secret] } }\n");
    const struct describe_source src = {m, &loader, SLICE("/")};
    struct buf to;
    struct err e = {0};
    buf_init(&to, 1 << 20);
    assert_true(describe_collection_schema(&arena, &src, &m->collections.items[0], &to, &e));
    if (has(buf_slice(&to), "secret"))
        fail_msg("%s", to.data);
    buf_done(&to);
    /* Who writes may name it. */
    const struct json *o = json(told(describe_openapi, m, "/"));
    assert_non_null(at(o, "/components/schemas/DocInput/properties/secret"));
    assert_null(at(o, "/components/schemas/Doc/properties/secret"));
}

/* Every component must be a schema, and every reference must lead somewhere. */
static void components_are_schemas(void **state)
{
    struct buf all;
    struct err e = {0};
    (void)state;
    n_files = 0;
    file("s.json",
         "{\"$id\":\"https://example.com/s\",\"properties\":{\"a\":{\"$ref\":\"app:///d/t.json#x\"}"
         ",\"self\":{\"$ref\":\"#\"},\"odd\":{\"$ref\":\"#/$defs/a~1b%25\"},\"dyn\":{"
         "\"$dynamicRef\":\"#d\"}},\"$defs\":{\"a/b%\":{\"$anchor\":\"q\"},\"d\":{"
         "\"$dynamicAnchor\":\"d\"}}}");
    file("d/t.json", "{\"$defs\":{\"x\":{\"$anchor\":\"x\",\"items\":{\"$ref\":\"#x\"}},\"y\":{"
                     "\"$id\":\"inner\",\"$ref\":\"#z\",\"$defs\":{\"z\":{\"$anchor\":\"z\"}}}},"
                     "\"$ref\":\"inner\"}");
    const struct manifest *m =
        manifest("app: a\ncollections:\n  ss: { schema: s.json, owner: true, "
                 "hidden: [a] }\n  ts: { schema: d/t.json, owner: true }\n");
    struct slice text = told(describe_openapi, m, "/");
    assert_false(has(text, "$dynamicRef") || has(text, "$anchor") || has(text, "$id"));
    buf_init(&all, 1 << 20);
    buf_add_str(&all, "{\"$defs\":{");
    json_each (it, at(json(text), "/components/schemas"))
        buf_printf(&all, "%s\"%.*s\":{\"$ref\":\"o.json#/components/schemas/%.*s\"}",
                   it.index ? "," : "", SLICE_ARGS(it.key), SLICE_ARGS(it.key));
    buf_add_str(&all, "}}");
    files[n_files].path = "o.json";
    files[n_files++].text = text;
    file("all.json", all.data);
    if (!schema_compile(&arena, SLICE("all.json"), &loader, &e))
        fail_msg("%s", e.msg);
    buf_done(&all);
}

/* Parts of one file with a name ($id) of their own are different places of it. */
static void places_do_not_meet(void **state)
{
    (void)state;
    n_files = 0;
    file("s.json",
         "{\"properties\":{\"a\":{\"$ref\":\"x\"},\"b\":{\"$ref\":\"y\"},\"c\":{\"$ref\":"
         "\"#\"}},\"$defs\":{\"one\":{\"$id\":\"x\",\"type\":\"string\"},\"two\":{\"$id\":"
         "\"y\",\"type\":\"integer\"}}}");
    const struct schema *s = as_read("");
    assert_true(holds(s, "{\"a\":\"x\",\"b\":1,\"c\":{\"b\":2}," META "}"));
    assert_false(holds(s, "{\"b\":\"x\"," META "}"));
    assert_false(holds(s, "{\"a\":1," META "}"));
    assert_false(holds(s, "{\"c\":{\"a\":1}," META "}"));
}

static void no_file_is_read_outside(void **state)
{
    static const char *const paths[] = {
        "../src/describe/describe.h", "a/../../VERSION", "/etc/passwd", "", "src", "nope"};
    struct slice text;
    struct err e = {0};
    (void)state;
    struct schema_loader folder = describe_folder(&arena, "docs");
    assert_true(folder.load(folder.user, SLICE("STYLE.md"), &text, &e) && text.len > 100);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_false(folder.load(folder.user, slice_from(paths[i]), &text, &e));
    assert_int_equal(e.code, ERR_NOT_FOUND);
}

/* ---- types --------------------------------------------------------------------------------------
 * That they compile is shown end to end, with the languages' own tools. */

static void types_say_what_schemas_say(void **state)
{
    (void)state;
    n_files = 0;
    file(
        "s.json",
        "{\"required\":[\"a\",\"e\"],\"properties\":{\"a\":{\"type\":[\"integer\",\"null\"]},"
        "\"e\":{\"enum\":[\"x\",1,null]},\"t\":{\"type\":\"array\",\"minItems\":1,\"prefixItems\":["
        "{\"type\":\"string\"},{\"type\":\"number\"}],\"items\":false},\"m\":{\"type\":\"object\","
        "\"additionalProperties\":{\"type\":\"boolean\"}},\"u\":{\"anyOf\":[{\"type\":\"string\"},"
        "{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/n\"}}]}},\"$defs\":{\"n\":{\"type\":"
        "\"object\",\"properties\":{\"next\":{\"$ref\":\"#/$defs/n\"}}}}}");
    const struct manifest *m =
        manifest("app: a\ncollections: { boxes: { schema: s.json, owner: true } }\n");
    struct slice ts = told(describe_types_ts, m, "/"), py = told(describe_types_py, m, "/");
    static const char *const in_ts[] = {"  a: number | null;\n  e: \"x\" | 1 | null;\n",
                                        "  t?: [string, (number)?];\n",
                                        "    [key: string]: boolean;\n",
                                        "\n  u?: string | Array<N>;",
                                        "export interface N {\n  next?: N;\n}",
                                        "boxes: { document: Box; input: BoxInput };"};
    static const char *const in_py[] = {"class Box(TypedDict):\n    a: \"Union[int, None]\"\n",
                                        "e: \"Union[Literal[\\\"x\\\", 1], None]\"",
                                        "m: NotRequired[\"Dict[str, bool]\"]",
                                        "u: NotRequired[\"Union[str, List[N]]\"]",
                                        "class N(TypedDict):\n    next: NotRequired[\"N\"]\n"};
    assert_true(has(ts, "export interface Box {\n"));
    for (size_t i = 0; i < sizeof in_ts / sizeof *in_ts; i++) {
        if (!has(ts, in_ts[i]))
            fail_msg("%s\nis not in\n%.*s", in_ts[i], SLICE_ARGS(ts));
    }
    for (size_t i = 0; i < sizeof in_py / sizeof *in_py; i++) {
        if (!has(py, in_py[i]))
            fail_msg("%s\nis not in\n%.*s", in_py[i], SLICE_ARGS(py));
    }
}

/* A field of a class may not hide a type, nor get another name by itself. */
static void odd_fields_are_no_fields_of_a_class(void **state)
{
    static const char *const names[] = {"__x", "str", "Any", "class", "a-b", "1"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        n_files = 0;
        file("s.json", arena_printf(&arena, "{\"properties\":{\"%s\":{}}}", names[i]).ptr);
        const struct manifest *m =
            manifest("app: a\ncollections: { boxes: { schema: s.json, owner: true } }\n");
        if (!has(told(describe_types_py, m, "/"), "Box = TypedDict(\"Box\", {\n"))
            fail_msg("%s is a field of a class", names[i]);
    }
}

/* ---- mistakes -----------------------------------------------------------------------------------
 */

static void mistakes_have_a_place(void **state)
{
    static const struct {
        const char *schema, *keys, *says; /* NULL: nothing */
    } rows[] = {
        {"{\"properties\":{\"a\":{\"type\":\"strin\"}}}", "owner: true",
         "dais.yaml:4:13: the schema is wrong: s.json, at /properties/a/type: a type is"},
        {"{\"properties\":{\"version\":true}}", "owner: true",
         "dais.yaml:4:13: s.json declares the field `version`, which dais sets itself"},
        {"{\"allOf\":[{\"properties\":{\"owner\":true}}]}", "owner: true", "the field `owner`"},
        {"{\"type\":\"array\"}", "owner: true", "s.json allows no object"},
        {"{\"properties\":{\"title\":true}}", "{ owner: true, indexes: [titel] }",
         "dais.yaml:5:28: `indexes` names the field `titel`, which s.json does not have; did you "
         "mean `title`?"},
        {"{\"properties\":{\"title\":true}}", "{ owner: true, unique: [[owner, xyz]] }",
         "`unique` names the field `xyz`, which s.json does not have; declare it there"},
        {"{\"properties\":{\"title\":true}}", "{ owner: true, search: [tilte] }", "`search`"},
        {"{\"additionalProperties\":false,\"properties\":{\"y\":true}}",
         "{ owner: true, hidden: [x] }", "`hidden`"},
        {"{\"properties\":{\"a\":true}}", "{ owner: true, checks: [\"unique_keys(b, 'key')\"] }",
         "the check `unique_keys(b, 'key')` is wrong: "},
        {"{}", "{ owner: true, checks: [\"unique_keys(b, 'key')\"] }", NULL},
        {"{}", "{ owner: true, checks: [\"nope(b)\"] }", "the check `nope(b)` is wrong: "},
        {"{\"properties\":{\"title\":true}}", "{ owner: true, refs: { x: cs } }", "`refs`"},
        {"{\"properties\":{\"a\":{\"additionalProperties\":false,\"properties\":{\"bc\":true}}}}",
         "{ owner: true, indexes: [a.bd] }", "the field `bd`"},
        {"{\"properties\":{\"title\":true}}", "{ owner: true, hidden: [owner] }",
         "`owner` is in every document"},
        {"{}", "{ versions: 1 }", "warning: nobody can read or write `cs`; write `owner: true`"},
        {"{}", "{ owner: true, indexes: [anything, [a.b, -updated]] }", NULL},
        {"{\"properties\":{\"t\":{\"items\":{\"properties\":{\"x\":true}}}},\"anyOf\":[{\"$ref\":"
         "\"#/$defs/d\"}],\"$defs\":{\"d\":{\"properties\":{\"deep\":true}}}}",
         "{ owner: true, indexes: [deep, t.0.x, deep.any, id, -created] }", NULL},
        {"{\"properties\":{\"a\":true},\"patternProperties\":{\"^x\":true}}",
         "{ owner: true, indexes: [x1] }", NULL},
        {"{}", "{ rules: { read: public } }", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[400];
        struct problems p;
        struct buf out;
        n_files = 0;
        file("s.json", rows[i].schema);
        struct slice keys = slice_from(rows[i].keys);
        if (keys.ptr[0] == '{') { /* without its braces, on a line of its own */
            keys = slice_trim(slice_first(slice_skip(keys, 1), keys.len - 2));
        }
        snprintf(text, sizeof text,
                 "app: a\ncollections:\n  cs: {\n    schema: s.json,\n    %.*s }\n",
                 SLICE_ARGS(keys));
        const struct manifest *m = manifest(text);
        problems_init(&p, &arena);
        describe_check(&arena, m, &loader, &p);
        buf_init(&out, 1 << 20);
        problems_print(&p, &out);
        if (rows[i].says ? !has(buf_slice(&out), rows[i].says) : p.n > 0)
            fail_msg("%s: %s", rows[i].keys, out.len ? out.data : "nothing was said");
        buf_done(&out);
    }
}

static void lines_of_json(void **state)
{
    struct buf to;
    (void)state;
    buf_init(&to, 1000);
    describe_indent(SLICE("{\"a\":[1,{}],\"b\\\"{\":\"x,y:\\\\\",\"c\":[]}"), &to);
    assert_string_equal(to.data,
                        "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\\\"{\": \"x,y:\\\\\",\n"
                        "  \"c\": []\n}\n");
    buf_done(&to);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, begin, end)
TESTS(T(only_what_a_collection_has), T(jobs_have_calls_with_their_inputs),
      T(the_same_app_gives_the_same_bytes), T(names_do_not_meet), T(documents_fit_what_is_told),
      T(what_is_hidden_is_nowhere), T(components_are_schemas), T(places_do_not_meet),
      T(no_file_is_read_outside), T(types_say_what_schemas_say),
      T(odd_fields_are_no_fields_of_a_class), T(mistakes_have_a_place), T(lines_of_json))
