/* The calls for documents, one row each (contract 3.2), and what they are given and answer. */
#include "describe/describe_impl.h"

/* ---- parameters ---------------------------------------------------------------------------------
 */

#define TEXT   "{\"type\":\"string\"}"
#define NUMBER "{\"type\":\"integer\",\"minimum\":1}"

/*    id             name             where     schema, description */
#define PARAMETERS(X)                                                                              \
    X(IF_MATCH, "If-Match", "header", TEXT, "The ETag the document must still have, else 412.")    \
    X(IF_NONE_MATCH, "If-None-Match", "header", TEXT,                                              \
      "The ETag that is known already; 304 if it is still that.")                                  \
    X(IDEMPOTENCY_KEY, "Idempotency-Key", "header",                                                \
      "{\"type\":\"string\",\"minLength\":1,\"maxLength\":255}",                                   \
      "Made up by the caller: the same request again within 24 hours gets the first one's "        \
      "answer and does nothing.")                                                                  \
    X(FILTER, "filter", "query", "{\"type\":\"string\",\"maxLength\":4096}",                       \
      "Which documents: status = 'draft' && updated > '2026-01-01'.")                              \
    X(SORT, "sort", "query", TEXT, "Fields, separated by commas; `-` before one is descending.")   \
    X(LIMIT, "limit", "query",                                                                     \
      "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000,\"default\":30}", "How many at most.") \
    X(AFTER, "after", "query", TEXT, "The `next` of the page before.")                             \
    X(FIELDS, "fields", "query", TEXT, "Only these fields of each, separated by commas.")          \
    X(SEARCH, "search", "query", TEXT, "Words that the searchable fields have.")                   \
    X(COUNT, "count", "query", "{\"const\":\"exact\"}", "`exact` adds `total`.")                   \
    X(TRASH, "trash", "query", "{\"const\":\"only\"}", "`only` looks into the trash instead.")     \
    X(PURGE, "purge", "query", "{\"type\":\"boolean\",\"default\":false}",                         \
      "For good, not into the trash.")                                                             \
    X(FORMAT, "format", "query", "{\"enum\":[\"jsonl\",\"csv\"],\"default\":\"jsonl\"}",           \
      "A JSON document per line, or CSV with the columns `fields`.")                               \
    X(MODE, "mode", "query", "{\"enum\":[\"create\",\"replace\"],\"default\":\"create\"}",         \
      "Whether a document whose id is taken is refused, or replaces that one.")                    \
    X(FN, "fn", "query", TEXT, "What to compute: count,sum(n),avg(n),min(n),max(n).")              \
    X(GROUP, "group", "query", TEXT, "Fields whose values make a group, separated by commas.")     \
    X(TO, "to", "query", NUMBER, "The version to compare with.")                                   \
    X(LABEL, "label", "query", "{\"type\":\"string\",\"maxLength\":200}",                          \
      "A name for the version this makes.")                                                        \
    X(ID, "id", "path", TEXT, "The document's id.")                                                \
    X(N, "n", "path", NUMBER, "The number of a version.")                                          \
    X(EXPAND, "expand", "query", TEXT, "") /* each collection has its own */

enum parameter {
#define X(id, name, where, schema, about) AT_##id,
    PARAMETERS(X)
#undef X
        N_PARAMETERS
};
#define P(id) (1u << AT_##id)

static const struct {
    const char *id, *name, *where, *schema, *about;
} parameters[] = {
#define X(id, name, where, schema, about) {#id, name, where, schema, about},
    PARAMETERS(X)
#undef X
};

/* ---- calls --------------------------------------------------------------------------------------
 */

#define LISTING (P(FILTER) | P(SORT) | P(LIMIT) | P(AFTER) | P(SEARCH) | P(TRASH))
#define SHOWING (P(FIELDS) | P(EXPAND))

enum needs { NEEDS_CHANGES = 1, NEEDS_TRASH = 2, NEEDS_VERSIONS = 4 };
enum body { TAKES_NONE, TAKES_DOCUMENT, TAKES_PATCH, TAKES_LINES };
enum answer {
    GIVES_NONE,
    GIVES_DOCUMENT,
    GIVES_PAGE,
    GIVES_VERSIONS,
    GIVES_PATCH,
    GIVES_GROUPS,
    GIVES_LINES,
    GIVES_COUNT,
    GIVES_SCHEMA
};

/* Statuses that every call may have, and those of calls about one document, or with a body. */
#define ALWAYS "400 401 403 429 500 503"
#define ONE    ALWAYS " 404"
#define BODY   " 413 415 422"

struct call {
    const char *path, *method;
    const char *verb; /* of the operationId, before the collection's name */
    bool is_of_many;
    const char *summary;
    unsigned needs, parameters;
    enum body body;
    enum answer answer;
    const char *status, *also; /* of success; another one, or NULL */
    const char *errors;
};

/* clang-format off */
static const struct call calls[] = {
    {"", "get", "list", true, "Documents, page by page.", 0, LISTING | SHOWING | P(COUNT),
     TAKES_NONE, GIVES_PAGE, "200", NULL, ALWAYS},
    {"", "post", "create", false, "Create a document.", 0, P(IDEMPOTENCY_KEY) | P(LABEL),
     TAKES_DOCUMENT, GIVES_DOCUMENT, "201", NULL, ALWAYS " 409" BODY},
    {"/aggregate", "get", "aggregate", true, "Counts, sums and the like of groups.", 0,
     P(FN) | P(GROUP) | P(FILTER), TAKES_NONE, GIVES_GROUPS, "200", NULL, ALWAYS},
    {"/export", "get", "export", true, "All that a filter lets through, streamed.", 0,
     P(FORMAT) | P(FILTER) | P(FIELDS), TAKES_NONE, GIVES_LINES, "200", NULL, ALWAYS},
    {"/import", "post", "import", true, "Create many documents, streamed.", 0,
     P(MODE), TAKES_LINES, GIVES_COUNT, "200", NULL,
     ALWAYS " 409" BODY},
    {"/schema", "get", "getSchemaOf", false, "The JSON Schema of a document as read.", 0, 0,
     TAKES_NONE, GIVES_SCHEMA, "200", NULL, ALWAYS},
    {"/{id}", "get", "get", false, "One document.", 0, SHOWING | P(IF_NONE_MATCH), TAKES_NONE,
     GIVES_DOCUMENT, "200", "304", ONE},
    {"/{id}", "put", "replace", false, "Replace a document; creates it when it is not there.",
     NEEDS_CHANGES, P(IF_MATCH) | P(LABEL), TAKES_DOCUMENT, GIVES_DOCUMENT, "200", "201",
     ONE " 409 412" BODY},
    {"/{id}", "patch", "update", false, "Change a part of a document.", NEEDS_CHANGES,
     P(IF_MATCH) | P(LABEL), TAKES_PATCH, GIVES_DOCUMENT, "200", NULL, ONE " 409 412" BODY},
    {"/{id}", "delete", "delete", false, "Delete a document, into the trash if there is one.",
     0, P(IF_MATCH) | P(PURGE), TAKES_NONE, GIVES_NONE, "204", NULL, ONE " 409 412"},
    {"/{id}/restore", "post", "restore", false, "Bring a document back from the trash.",
     NEEDS_TRASH, P(IDEMPOTENCY_KEY), TAKES_NONE, GIVES_DOCUMENT, "200", NULL, ONE " 409 422"},
    {"/{id}/versions", "get", "listVersionsOf", false, "The versions kept of a document.",
     NEEDS_VERSIONS, P(LIMIT) | P(AFTER), TAKES_NONE, GIVES_VERSIONS, "200", NULL, ONE},
    {"/{id}/versions/{n}", "get", "getVersionOf", false, "A document as it was.",
     NEEDS_VERSIONS, 0, TAKES_NONE, GIVES_DOCUMENT, "200", NULL, ONE},
    {"/{id}/versions/{n}/restore", "post", "restoreVersionOf", false,
     "Make a document again what it was, as a new version.", NEEDS_VERSIONS | NEEDS_CHANGES,
     P(IF_MATCH) | P(IDEMPOTENCY_KEY) | P(LABEL), TAKES_NONE, GIVES_DOCUMENT, "200", NULL,
     ONE " 409 412 422"},
    {"/{id}/versions/{n}/diff", "get", "diffVersionOf", false,
     "What changed between two versions.", NEEDS_VERSIONS, P(TO), TAKES_NONE, GIVES_PATCH, "200",
     NULL, ONE},
};
/* clang-format on */

#define N_CALLS (sizeof calls / sizeof *calls)

static bool has_call(const struct collection *c, const struct call *call)
{
    return !((call->needs & NEEDS_CHANGES) && c->append_only) &&
           !((call->needs & NEEDS_TRASH) && c->trash_ms == 0) &&
           !((call->needs & NEEDS_VERSIONS) && c->versions == 0);
}

static unsigned parameters_of(const struct collection *c, const struct call *call)
{
    unsigned set = call->parameters;
    if (!c->refs.n)
        set &= ~P(EXPAND);
    if (!c->search.n)
        set &= ~P(SEARCH);
    if (!c->trash_ms)
        set &= ~(P(TRASH) | P(PURGE));
    if (!c->versions)
        set &= ~P(LABEL);
    return set;
}

/* ---- writing a call -----------------------------------------------------------------------------
 */

static struct slice component(struct arena *a, enum parameter at)
{
    return camel(a, slice_from(parameters[at].name));
}

static void write_expand(struct json_writer *w, const struct collection *c)
{
    json_write_object(w);
    put_cstr(w, "name", "expand");
    put_cstr(w, "in", "query");
    put_cstr(w, "description", "Documents that these fields refer to are given in their place.");
    json_write_key(w, SLICE("explode"));
    json_write_bool(w, false);
    json_write_key(w, SLICE("schema"));
    json_write_object(w);
    put_cstr(w, "type", "array");
    json_write_key(w, SLICE("items"));
    json_write_object(w);
    json_write_key(w, SLICE("enum"));
    json_write_array(w);
    for (size_t i = 0; i < c->refs.n; i++)
        json_write_str(w, c->refs.items[i].field.s);
    json_write_array_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}

static void write_parameters(struct openapi *o, const struct collection *c, unsigned set)
{
    if (!set)
        return;
    json_write_key(o->w, SLICE("parameters"));
    json_write_array(o->w);
    for (unsigned i = 0; i < N_PARAMETERS; i++) {
        if (c && (set & (1u << i)) && i == AT_EXPAND)
            write_expand(o->w, c);
        else if (set & (1u << i))
            put_ref(o->w, "parameters", component(o->b->a, i));
    }
    json_write_array_end(o->w);
}

static void write_content(struct json_writer *w, const char *type, struct slice part)
{
    json_write_key(w, slice_from(type));
    json_write_object(w);
    json_write_key(w, SLICE("schema"));
    if (part.len && part.ptr[0] == '{')
        json_write_raw(w, part);
    else
        put_ref(w, "schemas", part);
    json_write_object_end(w);
}

static void write_lines(struct json_writer *w, bool with_csv)
{
    write_content(w, "application/jsonl", SLICE("{\"type\":\"string\"}"));
    if (with_csv)
        write_content(w, "text/csv", SLICE("{\"type\":\"string\"}"));
}

static void write_body(struct json_writer *w, const struct described *d, enum body body)
{
    if (body == TAKES_NONE)
        return;
    json_write_key(w, SLICE("requestBody"));
    json_write_object(w);
    json_write_key(w, SLICE("required"));
    json_write_bool(w, true);
    json_write_key(w, SLICE("content"));
    json_write_object(w);
    if (body == TAKES_DOCUMENT)
        write_content(w, "application/json", d->written->name);
    if (body == TAKES_PATCH) {
        write_content(w, "application/merge-patch+json", SLICE("{\"type\":\"object\"}"));
        write_content(w, "application/json-patch+json", SLICE("JsonPatch"));
    }
    if (body == TAKES_LINES)
        write_lines(w, false);
    json_write_object_end(w);
    json_write_object_end(w);
}

/* By enum answer: what is given, in words and as content. */
static const struct {
    const char *about, *type, *schema;
} answers[] = {
    [GIVES_NONE] = {"Done.", NULL, NULL},
    [GIVES_DOCUMENT] = {"The document.", "application/json", NULL},
    [GIVES_PAGE] = {"A page of documents.", "application/json", NULL},
    [GIVES_VERSIONS] = {"The versions, newest first.", "application/json", "VersionPage"},
    [GIVES_PATCH] = {"The steps from one to the other.", "application/json-patch+json",
                     "JsonPatch"},
    [GIVES_GROUPS] = {"A row per group.", "application/json",
                      "{\"type\":\"object\",\"required\":[\"items\"],\"properties\":{\"items\":{"
                      "\"type\":\"array\",\"items\":{\"type\":\"object\"}}}}"},
    [GIVES_LINES] = {"The documents, one after the other.", NULL, NULL},
    [GIVES_COUNT] = {"What was imported, and which lines were refused.", "application/json",
                     "{\"type\":\"object\",\"required\":[\"created\",\"replaced\",\"failed\","
                     "\"errors\"],\"properties\":{\"created\":{\"type\":\"integer\"},\"replaced\":{"
                     "\"type\":\"integer\"},\"failed\":{\"type\":\"integer\"},\"errors\":{\"type\":"
                     "\"array\",\"items\":{\"type\":\"object\"}}}}"},
    [GIVES_SCHEMA] = {"JSON Schema 2020-12.", "application/schema+json", "{\"type\":\"object\"}"},
};

static void write_answer_headers(struct json_writer *w, const struct call *call, const char *status)
{
    bool is_new = slice_is(slice_from(status), "201");
    if (call->answer != GIVES_DOCUMENT)
        return;
    json_write_key(w, SLICE("headers"));
    json_write_object(w);
    json_write_key(w, SLICE("ETag"));
    put_ref(w, "headers", SLICE("ETag"));
    if (is_new) {
        json_write_key(w, SLICE("Location"));
        put_ref(w, "headers", SLICE("Location"));
    }
    json_write_object_end(w);
}

static void write_success(struct openapi *o, const struct described *d, const struct call *call,
                          const char *status)
{
    struct json_writer *w = o->w;
    bool is_same = slice_is(slice_from(status), "304");
    json_write_key(w, slice_from(status));
    json_write_object(w);
    put_cstr(w, "description", is_same ? "It has not changed." : answers[call->answer].about);
    write_answer_headers(w, call, status);
    if (call->answer != GIVES_NONE && !is_same) {
        struct slice part = slice_from(answers[call->answer].schema);
        if (call->answer == GIVES_DOCUMENT)
            part = d->read->name;
        if (call->answer == GIVES_PAGE)
            part = arena_printf(o->b->a, "%.*sPage", SLICE_ARGS(d->singular));
        json_write_key(w, SLICE("content"));
        json_write_object(w);
        if (call->answer == GIVES_LINES)
            write_lines(w, true);
        else
            write_content(w, answers[call->answer].type, part);
        json_write_object_end(w);
    }
    json_write_object_end(w);
}

/* Two collections may have the same name once it is one for programs: my-things, my_things. */
static struct slice plural(const struct bundle *b, const struct described *d)
{
    struct slice many = camel(b->a, d->conf->name.s);
    for (const struct described *it = b->collections; it < d; it++) {
        if (slice_eq(camel(b->a, it->conf->name.s), many))
            return arena_printf(b->a, "%.*sList", SLICE_ARGS(d->singular));
    }
    return many;
}

static void write_call(struct openapi *o, const struct described *d, const struct call *call)
{
    struct json_writer *w = o->w;
    struct slice name = call->is_of_many ? plural(o->b, d) : d->singular;
    json_write_key(w, slice_from(call->method));
    json_write_object(w);
    put_str(w, "operationId", arena_printf(o->b->a, "%s%.*s", call->verb, SLICE_ARGS(name)));
    put_cstr(w, "summary", call->summary);
    json_write_key(w, SLICE("tags"));
    json_write_array(w);
    json_write_str(w, d->conf->name.s);
    json_write_array_end(w);
    write_parameters(o, d->conf, parameters_of(d->conf, call));
    write_body(w, d, call->body);
    json_write_key(w, SLICE("responses"));
    json_write_object(w);
    write_success(o, d, call, call->status);
    if (call->also)
        write_success(o, d, call, call->also);
    put_errors(o, call->errors);
    json_write_object_end(w);
    json_write_object_end(w);
}

/* The calls of one path; returns how many rows it took. */
static size_t write_path(struct openapi *o, const struct described *d, size_t at)
{
    struct slice path = slice_from(calls[at].path);
    unsigned in_path = 0;
    size_t n = 0;
    bool any = false;
    for (; at + n < N_CALLS && slice_is(path, calls[at + n].path); n++)
        any |= has_call(d->conf, &calls[at + n]);
    if (!any)
        return n;
    json_write_key(o->w, arena_printf(o->b->a, "%.*s%.*s%.*s", SLICE_ARGS(o->m->api.s),
                                      SLICE_ARGS(d->conf->name.s), SLICE_ARGS(path)));
    json_write_object(o->w);
    if (slice_starts(path, SLICE("/{id}")))
        in_path |= P(ID);
    if (slice_search(path, SLICE("{n}")) >= 0)
        in_path |= P(N);
    write_parameters(o, d->conf, in_path);
    for (size_t i = at; i < at + n; i++) {
        if (has_call(d->conf, &calls[i]))
            write_call(o, d, &calls[i]);
    }
    json_write_object_end(o->w);
    return n;
}

static void write_batch(struct openapi *o)
{
    struct json_writer *w = o->w;
    json_write_key(w, arena_printf(o->b->a, "%.*sbatch", SLICE_ARGS(o->m->api.s)));
    json_write_object(w);
    json_write_key(w, SLICE("post"));
    json_write_object(w);
    put_cstr(w, "operationId", "batch");
    put_cstr(w, "summary", "Up to 100 calls for documents, all or none of them.");
    json_write_key(w, SLICE("tags"));
    json_write_raw(w, SLICE("[\"api\"]"));
    write_parameters(o, NULL, P(IDEMPOTENCY_KEY));
    json_write_key(w, SLICE("requestBody"));
    json_write_raw(w, SLICE("{\"required\":true,\"content\":{\"application/json\":{\"schema\":{"
                            "\"$ref\":\"#/components/schemas/BatchRequest\"}}}}"));
    json_write_key(w, SLICE("responses"));
    json_write_object(w);
    json_write_key(w, SLICE("200"));
    json_write_raw(w, SLICE("{\"description\":\"What each call was answered.\",\"content\":{"
                            "\"application/json\":{\"schema\":{\"$ref\":"
                            "\"#/components/schemas/BatchAnswer\"}}}}"));
    put_errors(o, ONE " 405 409 412" BODY);
    json_write_object_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
}

void documents_paths(struct openapi *o)
{
    for (size_t i = 0; i < o->b->n; i++) {
        for (size_t at = 0; at < N_CALLS;)
            at += write_path(o, &o->b->collections[i], at);
    }
    if (o->b->n)
        write_batch(o);
}

void documents_parameters(struct openapi *o)
{
    for (unsigned i = 0; i < N_PARAMETERS; i++) {
        if (i == AT_EXPAND)
            continue;
        json_write_key(o->w, component(o->b->a, i));
        json_write_object(o->w);
        put_cstr(o->w, "name", parameters[i].name);
        put_cstr(o->w, "in", parameters[i].where);
        put_cstr(o->w, "description", parameters[i].about);
        json_write_key(o->w, SLICE("required"));
        json_write_bool(o->w, i == AT_ID || i == AT_N || i == AT_TO || i == AT_FN);
        json_write_key(o->w, SLICE("schema"));
        json_write_raw(o->w, slice_from(parameters[i].schema));
        json_write_object_end(o->w);
    }
}

/* ---- shapes that all collections share ----------------------------------------------------------
 */

static const struct {
    const char *name, *json;
} shared[] = {
    {"JsonPatch",
     "{\"type\":\"array\",\"description\":\"JSON Patch (RFC 6902).\",\"items\":{\"type\":"
     "\"object\",\"required\":[\"op\",\"path\"],\"properties\":{\"op\":{\"enum\":[\"add\","
     "\"remove\",\"replace\",\"move\",\"copy\",\"test\"]},\"path\":{\"type\":\"string\"},"
     "\"from\":{\"type\":\"string\"},\"value\":true}}}"},
    {"VersionPage",
     "{\"type\":\"object\",\"required\":[\"items\",\"next\"],\"properties\":{\"items\":{\"type\":"
     "\"array\",\"items\":{\"type\":\"object\",\"required\":[\"version\",\"updated\",\"by\","
     "\"label\"],\"properties\":{\"version\":{\"type\":\"integer\"},\"updated\":{\"type\":"
     "\"string\",\"format\":\"date-time\"},\"by\":{\"type\":[\"string\",\"null\"]},\"label\":{"
     "\"type\":[\"string\",\"null\"]}}}},\"next\":{\"type\":[\"string\",\"null\"]}}}"},
    {"BatchRequest",
     "{\"type\":\"object\",\"required\":[\"requests\"],\"properties\":{\"requests\":{\"type\":"
     "\"array\",\"maxItems\":100,\"items\":{\"type\":\"object\",\"required\":[\"method\",\"path\"]"
     ",\"properties\":{\"method\":{\"enum\":[\"GET\",\"POST\",\"PUT\",\"PATCH\",\"DELETE\"]},"
     "\"path\":{\"type\":\"string\"},\"body\":true,\"if_match\":{\"type\":\"string\"}}}}}}"},
    {"BatchAnswer",
     "{\"type\":\"object\",\"required\":[\"responses\"],\"properties\":{\"responses\":{\"type\":"
     "\"array\",\"items\":{\"type\":\"object\",\"required\":[\"status\"],\"properties\":{"
     "\"status\":{\"type\":\"integer\"},\"body\":true,\"etag\":{\"type\":[\"string\",\"null\"]}"
     "}}}}}"},
};

static void write_page(struct openapi *o, const struct described *d)
{
    struct json_writer *w = o->w;
    json_write_key(w, arena_printf(o->b->a, "%.*sPage", SLICE_ARGS(d->singular)));
    json_write_object(w);
    put_cstr(w, "type", "object");
    json_write_key(w, SLICE("required"));
    json_write_raw(w, SLICE("[\"items\",\"next\"]"));
    json_write_key(w, SLICE("properties"));
    json_write_object(w);
    json_write_key(w, SLICE("items"));
    json_write_object(w);
    put_cstr(w, "type", "array");
    json_write_key(w, SLICE("items"));
    put_ref(w, "schemas", d->read->name);
    json_write_object_end(w);
    json_write_key(w, SLICE("next"));
    json_write_raw(w, SLICE("{\"type\":[\"string\",\"null\"],\"description\":\"For `after`; null "
                            "on the last page.\"}"));
    json_write_key(w, SLICE("total"));
    json_write_raw(w, SLICE("{\"type\":\"integer\",\"description\":\"With count=exact.\"}"));
    json_write_object_end(w);
    json_write_object_end(w);
}

void documents_components(struct openapi *o)
{
    for (size_t i = 0; o->b->n && i < sizeof shared / sizeof *shared; i++) {
        json_write_key(o->w, slice_from(shared[i].name));
        json_write_raw(o->w, slice_from(shared[i].json));
    }
    for (size_t i = 0; i < o->b->n; i++)
        write_page(o, &o->b->collections[i]);
}
