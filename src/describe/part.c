/* One schema, written anew in the shape that is asked for: what it hides is taken out, dais's own
 * fields come in, references lead to parts.
 *
 * A keyword's row says what its value is: schemas that apply to the same value (here), to a part of
 * it (below), or something that is only copied. */
#include "describe/describe_impl.h"

#define DEPTH_MAX 100 /* schemas within schemas; files are at most JSON_DEPTH_DEFAULT deep */
#define CHAIN_MAX 40  /* references that lead to references */
#define LOOKS_MAX 10000

enum keyword {
    KEY_COPY,
    KEY_DROP, /* names of places, which nothing refers to any more */
    KEY_HERE, /* a schema, or a list or map of them, applied to the same value */
    KEY_HERE_LIST,
    KEY_HERE_MAP,
    KEY_BELOW,
    KEY_BELOW_LIST,
    KEY_BELOW_MAP,
    KEY_PROPERTIES,
    KEY_REQUIRED,
    KEY_NEEDS,
    KEY_VALUE, /* whole values, which may show what is hidden */
    KEY_LARGEST,
    KEY_NAMES,
    KEY_REF,
};

#define CLOSES   1 /* leaves no room for fields it does not name */
#define DISTURBS 2 /* means something else once a field is taken out */
#define ONE_OF   4

static const struct {
    const char *name;
    enum keyword kind;
    unsigned flags;
} keywords[] = {
    {"$id", KEY_DROP, 0},
    {"$schema", KEY_DROP, 0},
    {"$anchor", KEY_DROP, 0},
    {"$comment", KEY_DROP, 0},
    {"$vocabulary", KEY_DROP, 0},
    {"$dynamicAnchor", KEY_DROP, 0},
    {"$dynamicRef", KEY_DROP, 0},
    {"$defs", KEY_DROP, 0},
    {"definitions", KEY_DROP, 0},
    {"contentSchema", KEY_DROP, 0}, /* never compiled, so its references lead nowhere */
    {"$ref", KEY_REF, 0},
    {"allOf", KEY_HERE_LIST, 0},
    {"anyOf", KEY_HERE_LIST, 0},
    {"oneOf", KEY_HERE_LIST, ONE_OF},
    {"not", KEY_HERE, DISTURBS},
    {"if", KEY_HERE, DISTURBS},
    {"then", KEY_HERE, DISTURBS},
    {"else", KEY_HERE, DISTURBS},
    {"dependentSchemas", KEY_HERE_MAP, DISTURBS},
    {"dependentRequired", KEY_NEEDS, DISTURBS},
    {"properties", KEY_PROPERTIES, 0},
    {"required", KEY_REQUIRED, 0},
    {"patternProperties", KEY_BELOW_MAP, CLOSES},
    {"additionalProperties", KEY_BELOW, CLOSES},
    {"unevaluatedProperties", KEY_BELOW, CLOSES | DISTURBS},
    {"propertyNames", KEY_NAMES, CLOSES},
    {"maxProperties", KEY_LARGEST, CLOSES},
    {"minProperties", KEY_COPY, DISTURBS},
    {"items", KEY_BELOW, 0},
    {"contains", KEY_BELOW, 0},
    {"unevaluatedItems", KEY_BELOW, 0},
    {"prefixItems", KEY_BELOW_LIST, 0},
    {"const", KEY_VALUE, CLOSES | DISTURBS},
    {"enum", KEY_VALUE, CLOSES | DISTURBS},
    {"default", KEY_COPY, DISTURBS},
    {"example", KEY_COPY, DISTURBS},
    {"examples", KEY_COPY, DISTURBS},
};

#define N_KEYWORDS (sizeof keywords / sizeof *keywords)

static size_t keyword_find(struct slice name)
{
    size_t i = 0;
    while (i < N_KEYWORDS && !slice_is(name, keywords[i].name))
        i++;
    return i;
}

/* What holds where we are in the schema. */
struct place {
    enum shape shape;
    const struct slice *hidden;
    size_t n_hidden;
    unsigned depth;
};

struct rewriter {
    struct bundle *b;
    const struct part *part;
    struct json_writer w;
    unsigned looks; /* schemas is_changed() looked at for one reference */
};

static void write_schema(struct rewriter *r, const struct json *v, struct place at);

/* ---- what is hidden -----------------------------------------------------------------------------
 */

static bool is_hidden(const struct place *at, struct slice name)
{
    for (size_t i = 0; i < at->n_hidden; i++) {
        if (slice_eq(at->hidden[i], name))
            return true;
    }
    return false;
}

/* The rest of a path that starts with the name. */
static bool leads_into(struct slice path, struct slice name, struct slice *ret_rest)
{
    if (path.len <= name.len + 1 || !slice_starts(path, name) || path.ptr[name.len] != '.')
        return false;
    *ret_rest = slice_skip(path, name.len + 1);
    return true;
}

static struct place below(struct rewriter *r, const struct place *at, struct slice name)
{
    struct place in = {.shape = SHAPE_PLAIN, .depth = at->depth + 1};
    struct slice *rest = arena_alloc(r->b->a, (at->n_hidden + 1) * sizeof *rest);
    for (size_t i = 0; i < at->n_hidden; i++)
        in.n_hidden += leads_into(at->hidden[i], name, &rest[in.n_hidden]);
    in.hidden = rest;
    return in;
}

/* Items of a list, fields that are not named: no path of a hidden field leads there. */
static struct place below_all(const struct place *at)
{
    return (struct place){.shape = SHAPE_PLAIN, .depth = at->depth + 1};
}

static struct place beside(const struct place *at)
{
    struct place in = *at;
    in.shape = at->shape == SHAPE_PLAIN ? SHAPE_PLAIN : SHAPE_BESIDE;
    in.depth++;
    return in;
}

static bool mentions_hidden(const struct json *v, const struct place *at)
{
    json_each (it, json_find(v, SLICE("properties"))) {
        struct slice rest;
        for (size_t i = 0; i < at->n_hidden; i++) {
            if (slice_eq(at->hidden[i], it.key) || leads_into(at->hidden[i], it.key, &rest))
                return true;
        }
    }
    json_each (it, json_find(v, SLICE("required"))) {
        if (is_hidden(at, json_str(it.value)))
            return true;
    }
    json_each (it, json_find(v, SLICE("dependentRequired"))) {
        if (at->n_hidden)
            return true;
    }
    return false;
}

/* Would anything of the schema be written differently than it stands? What is the same for every
 * document then needs to be told only once. */
static bool is_changed(struct rewriter *r, const struct json *v, const struct place *at,
                       unsigned chain)
{
    struct schema_place ignored;
    if (chain > CHAIN_MAX || r->looks++ > LOOKS_MAX || mentions_hidden(v, at))
        return true;
    json_each (it, v) {
        size_t i = keyword_find(it.key);
        enum keyword kind = i < N_KEYWORDS ? keywords[i].kind : KEY_COPY;
        if (i < N_KEYWORDS && (keywords[i].flags & CLOSES) && at->shape != SHAPE_PLAIN)
            return true;
        if (kind == KEY_HERE && is_changed(r, it.value, at, chain + 1))
            return true;
        if (kind == KEY_REF) {
            const struct json *goal = schema_follow(r->part->schema, v, &ignored);
            if (goal && is_changed(r, goal, at, chain + 1))
                return true;
        }
        if (kind != KEY_HERE_LIST && kind != KEY_HERE_MAP)
            continue;
        json_each (one, it.value) {
            if (is_changed(r, one.value, at, chain + 1))
                return true;
        }
    }
    return false;
}

/* ---- dais's own fields --------------------------------------------------------------------------
 */

/* By the order of own_fields. */
static const char *const own_schemas[OWN_FIELDS] = {
    "{\"type\":\"string\",\"minLength\":15,\"maxLength\":64,\"pattern\":\"^[A-Za-z0-9_-]*$\","
    "\"description\":\"Made by dais unless it came with the first write.\"}",
    "{\"type\":\"integer\",\"minimum\":1,\"readOnly\":true,"
    "\"description\":\"1 when created, one more with every change.\"}",
    "{\"type\":[\"string\",\"null\"],\"readOnly\":true,"
    "\"description\":\"The account it belongs to.\"}",
    "{\"type\":\"string\",\"format\":\"date-time\",\"readOnly\":true,"
    "\"description\":\"When it was created, in UTC.\"}",
    "{\"type\":\"string\",\"format\":\"date-time\",\"readOnly\":true,"
    "\"description\":\"When it was last changed, in UTC.\"}",
};

/* In what is written only the id counts; whatever the others hold is ignored. */
static void write_own(struct rewriter *r, const struct place *at)
{
    for (size_t i = 0; i < OWN_FIELDS; i++) {
        if (at->shape == SHAPE_READ && is_hidden(at, own_fields[i]))
            continue;
        json_write_key(&r->w, own_fields[i]);
        if (at->shape == SHAPE_READ || (at->shape == SHAPE_WRITTEN && i == 0))
            json_write_raw(&r->w, slice_from(own_schemas[i]));
        else if (at->shape == SHAPE_WRITTEN)
            json_write_raw(&r->w, SLICE("{\"readOnly\":true}"));
        else
            json_write_bool(&r->w, true);
    }
}

static bool has_own(const struct json *v, const struct place *at)
{
    if (at->shape != SHAPE_BESIDE)
        return at->shape != SHAPE_PLAIN;
    const struct json *more = json_find(v, SLICE("additionalProperties"));
    bool is_closed = more && (json_type(more) != JSON_BOOL || !json_bool(more));
    return is_closed || json_find(v, SLICE("unevaluatedProperties"));
}

/* ---- keywords -----------------------------------------------------------------------------------
 */

static void write_properties(struct rewriter *r, const struct json *v, const struct json *all,
                             const struct place *at)
{
    bool with_own = has_own(v, at);
    if (!all && !with_own)
        return;
    json_write_key(&r->w, SLICE("properties"));
    json_write_object(&r->w);
    json_each (it, all) {
        if (is_hidden(at, it.key) || (with_own && is_own_field(it.key)))
            continue;
        json_write_key(&r->w, it.key);
        write_schema(r, it.value, below(r, at, it.key));
    }
    if (with_own)
        write_own(r, at);
    json_write_object_end(&r->w);
}

static void write_required(struct rewriter *r, const struct json *names, const struct place *at)
{
    json_write_key(&r->w, SLICE("required"));
    json_write_array(&r->w);
    json_each (it, names) {
        bool is_own = at->shape != SHAPE_PLAIN && is_own_field(json_str(it.value));
        if (!is_hidden(at, json_str(it.value)) && !is_own)
            json_write_value(&r->w, it.value);
    }
    for (size_t i = 0; at->shape == SHAPE_READ && i < OWN_FIELDS; i++) {
        if (!is_hidden(at, own_fields[i]))
            json_write_str(&r->w, own_fields[i]);
    }
    json_write_array_end(&r->w);
}

static void write_list(struct rewriter *r, struct slice key, const struct json *list,
                       struct place in)
{
    json_write_key(&r->w, key);
    json_write_array(&r->w);
    json_each (it, list)
        write_schema(r, it.value, in);
    json_write_array_end(&r->w);
}

static void write_map(struct rewriter *r, struct slice key, const struct json *map, struct place in)
{
    json_write_key(&r->w, key);
    json_write_object(&r->w);
    json_each (it, map) {
        json_write_key(&r->w, it.key);
        write_schema(r, it.value, in);
    }
    json_write_object_end(&r->w);
}

/* A pattern of field names must not catch dais's own: they are looked for and left out first. */
static void write_patterns(struct rewriter *r, const struct json *map, const struct place *at)
{
    json_write_key(&r->w, SLICE("patternProperties"));
    json_write_object(&r->w);
    json_each (it, map) {
        struct slice pattern = it.key;
        if (at->shape != SHAPE_PLAIN)
            pattern = arena_printf(
                r->b->a, "^(?!(?:id|version|owner|created|updated)$)(?=[\\s\\S]*?(?:%.*s))",
                SLICE_ARGS(pattern));
        json_write_key(&r->w, pattern);
        write_schema(r, it.value, below_all(at));
    }
    json_write_object_end(&r->w);
}

static void write_names(struct rewriter *r, const struct json *v, const struct place *at)
{
    json_write_key(&r->w, SLICE("propertyNames"));
    if (at->shape == SHAPE_PLAIN) {
        write_schema(r, v, below_all(at));
        return;
    }
    json_write_object(&r->w);
    json_write_key(&r->w, SLICE("anyOf"));
    json_write_array(&r->w);
    json_write_object(&r->w);
    json_write_key(&r->w, SLICE("enum"));
    json_write_array(&r->w);
    for (size_t i = 0; i < OWN_FIELDS; i++)
        json_write_str(&r->w, own_fields[i]);
    json_write_array_end(&r->w);
    json_write_object_end(&r->w);
    write_schema(r, v, below_all(at));
    json_write_array_end(&r->w);
    json_write_object_end(&r->w);
}

static void write_ref(struct rewriter *r, const struct json *v, const struct json *reference,
                      const struct place *at)
{
    struct schema_place place;
    const struct json *goal = schema_follow(r->part->schema, v, &place);
    if (!goal)
        return; /* beside a boolean, or below what was never compiled */
    struct place in = beside(at);
    r->looks = 0;
    if (!is_changed(r, goal, &in, 0))
        in = (struct place){.shape = SHAPE_PLAIN};
    struct part *part = bundle_part(r->b, r->part, goal, &place, json_str(reference), in.shape,
                                    in.hidden, in.n_hidden);
    json_write_key(&r->w, SLICE("$ref"));
    json_write_str(
        &r->w, arena_printf(r->b->a, "%.*s%.*s", SLICE_ARGS(r->b->prefix), SLICE_ARGS(part->name)));
}

static void write_keyword(struct rewriter *r, const struct json *v, struct slice key,
                          const struct json *value, const struct place *at)
{
    size_t i = keyword_find(key);
    enum keyword kind = i < N_KEYWORDS ? keywords[i].kind : KEY_COPY;
    unsigned flags = i < N_KEYWORDS ? keywords[i].flags : 0;
    int64_t largest;
    if ((flags & DISTURBS) && at->n_hidden)
        return;
    /* Two of them may fit once a field is gone. */
    if ((flags & ONE_OF) && at->n_hidden) {
        key = SLICE("anyOf");
        if (json_find(v, key))
            return;
    }
    if (kind == KEY_HERE || kind == KEY_BELOW) {
        json_write_key(&r->w, key);
        write_schema(r, value, kind == KEY_HERE ? beside(at) : below_all(at));
    } else if (kind == KEY_HERE_LIST || kind == KEY_BELOW_LIST) {
        write_list(r, key, value, kind == KEY_HERE_LIST ? beside(at) : below_all(at));
    } else if (slice_is(key, "patternProperties")) {
        write_patterns(r, value, at);
    } else if (kind == KEY_HERE_MAP || kind == KEY_BELOW_MAP) {
        write_map(r, key, value, kind == KEY_HERE_MAP ? beside(at) : below_all(at));
    } else if (kind == KEY_NAMES) {
        write_names(r, value, at);
    } else if (kind == KEY_REF) {
        write_ref(r, v, value, at);
    } else if (kind == KEY_LARGEST && at->shape != SHAPE_PLAIN && json_i64(value, &largest) &&
               largest < INT64_MAX - OWN_FIELDS) {
        json_write_key(&r->w, key);
        json_write_i64(&r->w, largest + OWN_FIELDS);
    } else if ((kind == KEY_VALUE && at->shape == SHAPE_PLAIN) || kind == KEY_COPY ||
               kind == KEY_LARGEST || kind == KEY_NEEDS) {
        json_write_key(&r->w, key);
        json_write_value(&r->w, value);
    }
}

static void write_schema(struct rewriter *r, const struct json *v, struct place at)
{
    must(at.depth < DEPTH_MAX);
    bool is_top = at.shape == SHAPE_READ || at.shape == SHAPE_WRITTEN;
    if (json_type(v) == JSON_BOOL && !is_top) {
        json_write_value(&r->w, v);
        return;
    }
    json_write_object(&r->w);
    if (is_top && !json_find(v, SLICE("type"))) {
        json_write_key(&r->w, SLICE("type"));
        json_write_cstr(&r->w, "object");
    }
    if (json_type(v) == JSON_BOOL && !json_bool(v)) {
        json_write_key(&r->w, SLICE("not"));
        json_write_object(&r->w);
        json_write_object_end(&r->w);
    }
    json_each (it, v) {
        if (!slice_is(it.key, "properties") && !slice_is(it.key, "required"))
            write_keyword(r, v, it.key, it.value, &at);
    }
    write_properties(r, v, json_find(v, SLICE("properties")), &at);
    if (json_find(v, SLICE("required")) || at.shape == SHAPE_READ)
        write_required(r, json_find(v, SLICE("required")), &at);
    json_write_object_end(&r->w);
}

bool part_write(struct bundle *b, struct part *part, struct err *e)
{
    struct rewriter r = {.b = b, .part = part};
    struct buf to;
    buf_init(&to, TEXT_MAX);
    json_writer_init(&r.w, &to, 0);
    write_schema(&r, part->node, (struct place){part->shape, part->hidden, part->n_hidden, 0});
    json_writer_done(&r.w);
    bool fits = !to.full;
    part->json = fits ? arena_dup(b->a, buf_slice(&to)) : SLICE("");
    buf_done(&to);
    return fits || err_set(e, ERR_MANIFEST, "a schema is larger than 64 MB");
}
