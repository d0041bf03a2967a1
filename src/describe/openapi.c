/* The OpenAPI text of an app: what all its calls share, and the parts that resources bring. */
#include "base/sha256.h"
#include "describe/describe_impl.h"

#include <string.h>

#define SCHEMAS "#/components/schemas/"

void put_str(struct json_writer *w, const char *key, struct slice value)
{
    json_write_key(w, slice_from(key));
    json_write_str(w, value);
}

void put_cstr(struct json_writer *w, const char *key, const char *value)
{
    put_str(w, key, slice_from(value));
}

void put_ref(struct json_writer *w, const char *folder, struct slice name)
{
    struct buf path;
    buf_init(&path, 1024);
    buf_printf(&path, "#/components/%s/%.*s", folder, SLICE_ARGS(name));
    json_write_object(w);
    put_str(w, "$ref", buf_slice(&path));
    json_write_object_end(w);
    buf_done(&path);
}

static void raw(struct json_writer *w, const char *key, const char *json)
{
    json_write_key(w, slice_from(key));
    json_write_raw(w, slice_from(json));
}

/* ---- errors -------------------------------------------------------------------------------------
 */

static const struct {
    int status;
    const char *slug, *title;
} errors[] = {
#define X(code, status, slug, exit, title) {status, slug, title},
    ERR_MAP(X)
#undef X
};
#define N_ERRORS (sizeof errors / sizeof *errors)

void problem_schema(struct json_writer *w)
{
    json_write_object(w);
    put_cstr(w, "type", "object");
    put_cstr(w, "description", "What went wrong (RFC 9457).");
    raw(w, "required", "[\"type\",\"title\",\"status\",\"code\"]");
    json_write_key(w, SLICE("properties"));
    json_write_object(w);
    raw(w, "type", "{\"type\":\"string\"}");
    raw(w, "title", "{\"type\":\"string\",\"description\":\"A sentence for people; may change.\"}");
    raw(w, "status", "{\"type\":\"integer\"}");
    json_write_key(w, SLICE("code"));
    json_write_object(w);
    put_cstr(w, "type", "string");
    put_cstr(w, "description", "Stable; what programs should look at.");
    json_write_key(w, SLICE("enum"));
    json_write_array(w);
    for (size_t i = 0; i < N_ERRORS; i++) {
        if (errors[i].status >= 400)
            json_write_cstr(w, errors[i].slug);
    }
    json_write_array_end(w);
    json_write_object_end(w);
    raw(w, "detail", "{\"type\":\"string\"}");
    raw(w, "request_id", "{\"type\":\"string\"}");
    raw(w, "errors",
        "{\"type\":\"array\",\"description\":\"Every place in the body that is wrong.\","
        "\"items\":{\"type\":\"object\",\"required\":[\"pointer\",\"code\",\"message\"],"
        "\"properties\":{\"pointer\":{\"type\":\"string\",\"description\":\"A JSON Pointer.\"},"
        "\"code\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"}}}}");
    json_write_object_end(w);
    json_write_object_end(w);
}

static bool is_first_of(size_t i)
{
    for (size_t j = 0; j < i; j++) {
        if (errors[j].status == errors[i].status)
            return false;
    }
    return true;
}

/* The titles of all errors with this status, as the description of the answer. */
static struct slice titles_of(struct arena *a, int status)
{
    struct slice all = SLICE("");
    for (size_t i = 0; i < N_ERRORS; i++) {
        if (errors[i].status == status)
            all = arena_printf(a, "%.*s%s%s (`%s`)", SLICE_ARGS(all), all.len ? "; " : "",
                               errors[i].title, errors[i].slug);
    }
    return all;
}

static void headers_of(struct json_writer *w, int status)
{
    static const char *const rate[] = {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"};
    if (status != 429 && status != 503 && status != 405)
        return;
    json_write_key(w, SLICE("headers"));
    json_write_object(w);
    if (status == 405) {
        raw(w, "Allow",
            "{\"description\":\"The methods there are.\",\"schema\":{\"type\":\"string\"}}");
    } else {
        json_write_key(w, SLICE("Retry-After"));
        put_ref(w, "headers", SLICE("Retry-After"));
    }
    for (size_t i = 0; status == 429 && i < 3; i++) {
        json_write_key(w, slice_from(rate[i]));
        put_ref(w, "headers", slice_from(rate[i]));
    }
    json_write_object_end(w);
}

/* A row per status of the table: "E404". */
static void error_answers(struct openapi *o)
{
    struct json_writer *w = o->w;
    for (size_t i = 0; i < N_ERRORS; i++) {
        if (errors[i].status < 400 || !is_first_of(i))
            continue;
        json_write_key(w, arena_printf(o->b->a, "E%d", errors[i].status));
        json_write_object(w);
        put_str(w, "description", titles_of(o->b->a, errors[i].status));
        headers_of(w, errors[i].status);
        json_write_key(w, SLICE("content"));
        json_write_object(w);
        json_write_key(w, SLICE("application/problem+json"));
        json_write_object(w);
        json_write_key(w, SLICE("schema"));
        put_ref(w, "schemas", SLICE("Problem"));
        json_write_object_end(w);
        json_write_object_end(w);
        json_write_object_end(w);
    }
}

void put_errors(struct openapi *o, const char *list)
{
    struct slice rest = slice_from(list), status;
    while (slice_cut(&rest, ' ', &status)) {
        json_write_key(o->w, status);
        put_ref(o->w, "responses", arena_printf(o->b->a, "E%.*s", SLICE_ARGS(status)));
    }
}

/* ---- headers of answers -------------------------------------------------------------------------
 */

static const struct {
    const char *name, *type, *about;
} headers[] = {
    {"ETag", "string", "The document's version in quotes, for If-Match and If-None-Match: \"v3\"."},
    {"Location", "string", "Where the new document is."},
    {"Retry-After", "integer", "Seconds after which to try again."},
    {"RateLimit-Limit", "integer", "How many requests are allowed in the time."},
    {"RateLimit-Remaining", "integer", "How many are left now."},
    {"RateLimit-Reset", "integer", "Seconds until all of them are there again."},
};

static void shared_headers(struct json_writer *w)
{
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        json_write_key(w, slice_from(headers[i].name));
        json_write_object(w);
        put_cstr(w, "description", headers[i].about);
        json_write_key(w, SLICE("schema"));
        json_write_object(w);
        put_cstr(w, "type", headers[i].type);
        json_write_object_end(w);
        json_write_object_end(w);
    }
}

/* ---- the whole ----------------------------------------------------------------------------------
 */

static void self_path(struct openapi *o)
{
    struct json_writer *w = o->w;
    json_write_key(w, arena_printf(o->b->a, "%.*sopenapi.json", SLICE_ARGS(o->m->api.s)));
    json_write_raw(
        w, SLICE("{\"get\":{\"operationId\":\"getOpenapi\",\"summary\":\"This description of the "
                 "API.\",\"tags\":[\"api\"],\"responses\":{\"200\":{\"description\":\"OpenAPI "
                 "3.1.\",\"content\":{\"application/json\":{\"schema\":{\"type\":\"object\"}}}},"
                 "\"429\":{\"$ref\":\"#/components/responses/E429\"},"
                 "\"503\":{\"$ref\":\"#/components/responses/E503\"}}}}"));
}

/* Each resource adds its own: files come after these. */
static void write_paths(struct openapi *o)
{
    json_write_object(o->w);
    documents_paths(o);
    jobs_paths(o);
    accounts_paths(o);
    self_path(o);
    json_write_object_end(o->w);
}

static void write_schemas(struct openapi *o)
{
    struct json_writer *w = o->w;
    json_write_key(w, SLICE("schemas"));
    json_write_object(w);
    json_write_key(w, SLICE("Problem"));
    problem_schema(w);
    documents_components(o);
    for (const struct part *part = o->b->parts; part; part = part->next) {
        json_write_key(w, part->name);
        json_write_raw(w, part->json);
    }
    json_write_object_end(w);
}

static void write_components(struct openapi *o)
{
    struct json_writer *w = o->w;
    json_write_object(w);
    write_schemas(o);
    json_write_key(w, SLICE("responses"));
    json_write_object(w);
    error_answers(o);
    json_write_object_end(w);
    json_write_key(w, SLICE("parameters"));
    json_write_object(w);
    documents_parameters(o);
    json_write_object_end(w);
    json_write_key(w, SLICE("headers"));
    json_write_object(w);
    shared_headers(w);
    json_write_object_end(w);
    accounts_schemes(o);
    json_write_object_end(w);
}

/* The version names what is described: it changes exactly when the API does. */
static void write_info(struct json_writer *w, const struct manifest *m, struct slice paths,
                       struct slice components)
{
    struct sha256 hash;
    char hex[SHA256_HEX_LEN + 1];
    sha256_init(&hash);
    sha256_add(&hash, paths);
    sha256_add(&hash, components);
    sha256_end_hex(&hash, hex);
    json_write_key(w, SLICE("info"));
    json_write_object(w);
    put_str(w, "title", m->title.s);
    if (m->description.s.len)
        put_str(w, "description", m->description.s);
    put_str(w, "version", (struct slice){hex, 12});
    json_write_object_end(w);
}

static void write_servers(struct json_writer *w, struct slice base)
{
    if (base.len > 1 && slice_ends(base, SLICE("/")))
        base.len--;
    json_write_key(w, SLICE("servers"));
    json_write_array(w);
    json_write_object(w);
    put_str(w, "url", base.len ? base : SLICE("/"));
    json_write_object_end(w);
    json_write_array_end(w);
}

static void write_tags(struct json_writer *w, const struct manifest *m)
{
    json_write_key(w, SLICE("tags"));
    json_write_array(w);
    for (size_t i = 0; i < m->collections.n; i++) {
        json_write_object(w);
        put_str(w, "name", m->collections.items[i].name.s);
        json_write_object_end(w);
    }
    if (m->jobs.n) {
        json_write_object(w);
        put_cstr(w, "name", "jobs");
        json_write_object_end(w);
    }
    for (size_t i = 0; m->auth.pos.line && i < 2; i++) {
        json_write_object(w);
        put_cstr(w, "name", i ? "keys" : "auth");
        json_write_object_end(w);
    }
    json_write_object(w);
    put_cstr(w, "name", "api");
    json_write_object_end(w);
    json_write_array_end(w);
}

static void write_half(struct bundle *b, void (*write)(struct openapi *o), struct buf *to)
{
    struct json_writer w;
    struct openapi o = {.b = b, .w = &w, .m = b->src->manifest};
    buf_init(to, TEXT_MAX);
    json_writer_init(&w, to, 0);
    write(&o);
    json_writer_done(&w);
}

bool describe_openapi(struct arena *a, const struct describe_source *src, struct buf *to,
                      struct err *e)
{
    struct buf paths, components;
    struct json_writer w;
    struct bundle *b = bundle_new(a, src, NULL, SLICE(SCHEMAS), e);
    if (!b)
        return false;
    write_half(b, write_paths, &paths);
    write_half(b, write_components, &components);
    bool is_full = paths.full || components.full;
    if (!is_full) {
        json_writer_init(&w, to, 0);
        json_write_object(&w);
        put_cstr(&w, "openapi", "3.1.0");
        write_info(&w, src->manifest, buf_slice(&paths), buf_slice(&components));
        write_servers(&w, src->base);
        write_tags(&w, src->manifest);
        if (src->manifest->auth.pos.line) {
            json_write_key(&w, SLICE("security"));
            json_write_raw(&w, SLICE("[{},{\"cookie\":[]},{\"bearer\":[]}]"));
        }
        json_write_key(&w, SLICE("paths"));
        json_write_raw(&w, buf_slice(&paths));
        json_write_key(&w, SLICE("components"));
        json_write_raw(&w, buf_slice(&components));
        json_write_object_end(&w);
        json_writer_done(&w);
        is_full = to->full;
    }
    buf_done(&paths);
    buf_done(&components);
    return !is_full || err_set(e, ERR_MANIFEST, "the description of the API is too large");
}

/* ---- one collection -----------------------------------------------------------------------------
 */

bool describe_collection_schema(struct arena *a, const struct describe_source *src,
                                const struct collection *c, struct buf *to, struct err *e)
{
    struct json_writer w;
    struct bundle *b = bundle_new(a, src, c, SLICE("#/$defs/"), e);
    if (!b)
        return false;
    const struct part *top = b->parts;
    json_writer_init(&w, to, 0);
    json_write_object(&w);
    put_cstr(&w, "$schema", "https://json-schema.org/draft/2020-12/schema");
    json_each (it, part_root(b, top)) {
        json_write_key(&w, it.key);
        json_write_value(&w, it.value);
    }
    if (top->next)
        json_write_key(&w, SLICE("$defs"));
    if (top->next)
        json_write_object(&w);
    for (const struct part *part = top->next; part; part = part->next) {
        json_write_key(&w, part->name);
        json_write_raw(&w, part->json);
    }
    if (top->next)
        json_write_object_end(&w);
    json_write_object_end(&w);
    json_writer_done(&w);
    return !to->full || err_set(e, ERR_MANIFEST, "the schema is too large");
}
