/* From the schemas of collections to named parts: each schema that something refers to becomes one,
 * once per shape. */
#include "describe/describe_impl.h"

#include <string.h>

#define PARTS_MAX 5000

const struct slice own_fields[OWN_FIELDS] = {SLICE_INIT("id"), SLICE_INIT("version"),
                                             SLICE_INIT("owner"), SLICE_INIT("created"),
                                             SLICE_INIT("updated")};

bool is_own_field(struct slice name)
{
    for (size_t i = 0; i < OWN_FIELDS; i++) {
        if (slice_eq(own_fields[i], name))
            return true;
    }
    return false;
}

/* ---- names --------------------------------------------------------------------------------------
 */

/* Names that are ours, or mean something in a language. */
static const char *const reserved[] = {
    "Any",         "Array",          "BatchAnswer", "BatchRequest", "Boolean",
    "Collections", "CollectionName", "Date",        "Dict",         "Exclude",
    "Extract",     "Error",          "Fields",      "False",        "Function",
    "JobType",     "Jobs",           "JsonPatch",   "List",         "Literal",
    "Map",         "NoReturn",       "None",        "NotRequired",  "Number",
    "Object",      "Omit",           "Optional",    "Page",         "Partial",
    "Patch",       "Pick",           "Problem",     "Promise",      "Readonly",
    "Record",      "Required",       "Set",         "String",       "Symbol",
    "True",        "Tuple",          "TypeAlias",   "TypedDict",    "Union",
    "VersionPage",
};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

struct slice camel(struct arena *a, struct slice text)
{
    char *to = arena_alloc(a, text.len + 8);
    size_t n = 0;
    bool starts_word = true;
    for (size_t i = 0; i < text.len && n < 80; i++) {
        char c = text.ptr[i];
        if (!is_letter(c) && !is_digit(c)) {
            starts_word = true;
            continue;
        }
        if (n == 0 && is_digit(c))
            to[n++] = 'N';
        to[n++] = starts_word && c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
        starts_word = false;
    }
    return n ? (struct slice){to, n} : SLICE("Schema");
}

static bool is_reserved(struct slice name)
{
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        if (slice_is(name, reserved[i]))
            return true;
    }
    return false;
}

static bool is_free(const struct bundle *b, struct slice name)
{
    return !is_reserved(name) && !map_find(&b->names, name);
}

struct slice bundle_name(struct bundle *b, struct slice wanted)
{
    struct slice name = arena_dup(b->a, wanted);
    for (unsigned i = 2; !is_free(b, name); i++)
        name = arena_printf(b->a, "%.*s%u", SLICE_ARGS(wanted), i);
    map_put(&b->names, name, b);
    return name;
}

/* One of what a collection's name calls many: charts, stories, boxes. */
static struct slice singular(struct arena *a, struct slice many)
{
    static const char *const es[] = {"sses", "xes", "ches", "shes", "zzes"};
    if (many.len > 4 && slice_ends(many, SLICE("ies")))
        return arena_printf(a, "%.*sy", (int)many.len - 3, many.ptr);
    for (size_t i = 0; i < sizeof es / sizeof *es; i++) {
        if (slice_ends(many, slice_from(es[i])))
            return slice_first(many, many.len - 2);
    }
    bool is_one = slice_ends(many, SLICE("ss")) || slice_ends(many, SLICE("us")) ||
                  slice_ends(many, SLICE("is")) || !slice_ends(many, SLICE("s"));
    return is_one || many.len < 3 ? many : slice_first(many, many.len - 1);
}

/* The names of a collection's three shapes and its list are taken together. */
static bool all_free(struct bundle *b, struct slice name)
{
    static const char *const endings[] = {"", "Input", "Page", "Content"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        struct slice one = arena_printf(b->a, "%.*s%s", SLICE_ARGS(name), endings[i]);
        if (!is_free(b, one))
            return false;
    }
    return true;
}

static struct slice collection_name(struct bundle *b, struct slice name)
{
    struct slice one = camel(b->a, singular(b->a, name)), many = camel(b->a, name);
    struct slice best = all_free(b, one) ? one : many;
    for (unsigned i = 2; !all_free(b, best); i++)
        best = arena_printf(b->a, "%.*s%u", SLICE_ARGS(many), i);
    map_put(&b->names, best, b);
    map_put(&b->names, arena_printf(b->a, "%.*sInput", SLICE_ARGS(best)), b);
    map_put(&b->names, arena_printf(b->a, "%.*sPage", SLICE_ARGS(best)), b);
    return best;
}

/* ---- parts --------------------------------------------------------------------------------------
 */

static struct part *add(struct bundle *b, struct slice name)
{
    struct part *part = arena_new(b->a, struct part);
    part->name = name;
    *(b->last ? &b->last->next : &b->parts) = part;
    b->last = part;
    map_put(&b->by_name, name, part);
    return part;
}

/* "#/$defs/chapter", "chapter.json", "other.json#chapter": chapter. */
static struct slice said_name(struct slice reference, struct slice file)
{
    ptrdiff_t hash = slice_index(reference, '#');
    struct slice fragment = hash < 0 ? SLICE("") : slice_skip(reference, (size_t)hash + 1);
    struct slice whole = fragment.len ? fragment : file;
    struct slice last = slice_skip(whole, (size_t)(slice_rindex(whole, '/') + 1));
    ptrdiff_t dot = slice_index(last, '.');
    return fragment.len || dot <= 0 ? last : slice_first(last, (size_t)dot);
}

static struct slice wanted_name(const struct bundle *b, const struct schema_place *place,
                                struct slice reference)
{
    for (size_t i = 0; place->node == 0 && i < b->n; i++) {
        if (slice_eq(b->collections[i].conf->schema.s, place->file))
            return arena_printf(b->a, "%.*sContent", SLICE_ARGS(b->collections[i].singular));
    }
    return camel(b->a, said_name(reference, place->file));
}

struct part *bundle_part(struct bundle *b, const struct part *from, const struct json *node,
                         const struct schema_place *place, struct slice reference, enum shape shape,
                         const struct slice *hidden, size_t n_hidden)
{
    struct buf key;
    buf_init(&key, 1u << 20);
    buf_printf(&key, "%zu %d ", place->node, (int)shape);
    buf_add(&key, place->file);
    for (size_t i = 0; i < n_hidden; i++) {
        buf_add_char(&key, '\0');
        buf_add(&key, hidden[i]);
    }
    struct slice id = arena_dup(b->a, buf_slice(&key));
    buf_done(&key);
    struct part *part = map_find(&b->by_place, id);
    if (part)
        return part;
    part = add(b, bundle_name(b, wanted_name(b, place, reference)));
    part->schema = from->schema;
    part->node = node;
    part->file = place->file;
    part->shape = shape;
    part->hidden = hidden;
    part->n_hidden = n_hidden;
    map_put(&b->by_place, id, part);
    return part;
}

const struct part *bundle_add(struct bundle *b, struct slice wanted, struct slice json)
{
    struct part *part = add(b, bundle_name(b, wanted));
    part->json = json;
    return part;
}

/* ---- all of them --------------------------------------------------------------------------------
 */

static struct part *add_top(struct bundle *b, const struct described *d, enum shape shape)
{
    const char *ending = shape == SHAPE_WRITTEN ? "Input" : "";
    struct part *part = add(b, arena_printf(b->a, "%.*s%s", SLICE_ARGS(d->singular), ending));
    struct schema_place place = {.file = SLICE("")};
    part->schema = d->schema;
    part->node = d->schema ? schema_json(d->schema, &place) : NULL;
    part->file = place.file;
    part->shape = shape;
    return part;
}

const struct part *bundle_top(struct bundle *b, struct slice name, const struct schema *schema)
{
    struct part *part = add(b, name);
    struct schema_place place = {.file = SLICE("")};
    part->schema = schema;
    part->node = schema_json(schema, &place);
    part->file = place.file;
    part->shape = SHAPE_PLAIN;
    return part;
}

static bool add_collection(struct bundle *b, struct described *d, bool only_read, struct err *e)
{
    const struct texts *hidden = &d->conf->hidden;
    if (d->conf->schema.s.len) {
        d->schema = schema_compile(b->a, d->conf->schema.s, b->src->schemas, e);
        if (!d->schema)
            return false;
    }
    d->read = add_top(b, d, SHAPE_READ);
    d->written = only_read ? NULL : add_top(b, d, SHAPE_WRITTEN);
    struct slice *paths = arena_alloc(b->a, (hidden->n + 1) * sizeof *paths);
    for (size_t i = 0; i < hidden->n; i++)
        paths[i] = hidden->items[i].s;
    d->read->hidden = paths;
    d->read->n_hidden = hidden->n;
    return true;
}

static void drop_maps(void *arg)
{
    struct bundle *b = arg;
    map_done(&b->by_place);
    map_done(&b->by_name);
    map_done(&b->names);
}

/* Writing a part finds further ones, which are appended. */
static bool write_parts(struct bundle *b, struct err *e)
{
    size_t n = 0, n_bytes = 0;
    for (struct part *part = b->parts; part; part = part->next) {
        if (!part_write(b, part, e))
            return false;
        n_bytes += part->json.len;
        if (++n > PARTS_MAX || n_bytes > TEXT_MAX)
            return err_set(e, ERR_MANIFEST, "the schemas are more than %d, or larger than 64 MB",
                           PARTS_MAX);
    }
    return true;
}

struct bundle *bundle_new(struct arena *a, const struct describe_source *src,
                          const struct collection *only, struct slice prefix, struct err *e)
{
    const struct manifest *m = src->manifest;
    struct bundle *b = arena_new(a, struct bundle);
    *b = (struct bundle){.a = a, .src = src, .prefix = prefix};
    map_init(&b->by_place);
    map_init(&b->by_name);
    map_init(&b->names);
    arena_defer(a, drop_maps, b);
    b->collections = arena_zalloc(a, (m->collections.n + 1) * sizeof *b->collections);
    for (size_t i = 0; i < m->collections.n; i++) {
        const struct collection *conf = &m->collections.items[i];
        b->collections[b->n++] =
            (struct described){.conf = conf, .singular = collection_name(b, conf->name.s)};
    }
    for (size_t i = 0; i < b->n; i++) {
        if ((!only || only == b->collections[i].conf) &&
            !add_collection(b, &b->collections[i], only != NULL, e))
            return NULL;
    }
    if ((!only && !jobs_compile(b, e)) || !write_parts(b, e))
        return NULL;
    if (only)
        return b;
    jobs_parts(b); /* last: the app's own names stay what they are without jobs and accounts */
    accounts_parts(b);
    return b;
}
