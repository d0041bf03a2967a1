/* What of a document is searched: the strings of the fields that the manifest lists, in words. */
#include "base/words.h"
#include "docs/search_impl.h"

#include <string.h>

#define WORDS_MAX (4 * DOC_BYTES_MAX)
#define DEEP_MAX  32 /* lists in lists */

/* ---- compiled from names --------------------------------------------------------------------- */

static bool check_field(const struct doc_coll *c, const struct search *s, size_t i,
                        struct slice path, struct err *e)
{
    const struct slice *steps = s->fields[i].steps;
    size_t n_steps = s->fields[i].n_steps;
    if (slice_starts(path, SLICE("-")))
        return err_set(e, ERR_MANIFEST, "search lists fields; an order means nothing here");
    if (doc_name_is_system(steps[0]))
        return err_set(e, ERR_MANIFEST, "%.*s is not text to search in; filters find it",
                       SLICE_ARGS(path));
    if (!doc_coll_knows(c, steps, n_steps))
        return err_set(e, ERR_MANIFEST,
                       "%.*s is hidden, or no field of the schema: nobody may "
                       "search in it",
                       SLICE_ARGS(path));
    return true;
}

static void add_field(struct search *s, struct arena *a, struct slice path)
{
    struct slice rest = path, step;
    struct slice *steps = arena_alloc(a, (path.len + 1) * sizeof *steps);
    size_t n = 0;
    while (slice_cut(&rest, '.', &step))
        steps[n++] = step;
    s->fields[s->n].steps = steps;
    s->fields[s->n++].n_steps = n;
}

static void make_sql(struct search *s, struct arena *a)
{
    struct slice name = s->coll->name;
    struct buf columns, marks;
    buf_init(&columns, 1024);
    buf_init(&marks, 1024);
    for (size_t i = 0; i < s->n; i++) {
        buf_printf(&columns, ", w%zu", i + 1);
        buf_add_str(&marks, ", ?");
    }
    s->sql_n = arena_printf(a, "SELECT n FROM c_%.*s WHERE id = ?", SLICE_ARGS(name));
    s->sql_add = arena_printf(a, "INSERT INTO f_%.*s (rowid%.*s) VALUES (?%.*s)", SLICE_ARGS(name),
                              SLICE_ARGS(buf_slice(&columns)), SLICE_ARGS(buf_slice(&marks)));
    s->sql_take = arena_printf(a, "INSERT INTO f_%.*s (f_%.*s, rowid%.*s) VALUES ('delete', ?%.*s)",
                               SLICE_ARGS(name), SLICE_ARGS(name), SLICE_ARGS(buf_slice(&columns)),
                               SLICE_ARGS(buf_slice(&marks)));
    buf_done(&columns);
    buf_done(&marks);
}

struct search *search_of_spec(const struct doc_coll *c, struct arena *a, struct slice spec)
{
    struct search *s = arena_new(a, struct search);
    struct slice rest = spec, path;
    s->coll = c;
    s->spec = spec;
    while (s->n < SEARCH_FIELDS && slice_cut(&rest, ',', &path))
        add_field(s, a, path);
    make_sql(s, a);
    return s;
}

bool search_compile(struct doc_coll *c, struct arena *a, const struct text **ret_text,
                    struct err *e)
{
    const struct texts *paths = &c->conf->search;
    struct buf spec;
    if (!paths->n)
        return true;
    *ret_text = &paths->items[paths->n - 1];
    if (paths->n > SEARCH_FIELDS)
        return err_set(e, ERR_MANIFEST, "search has at most %d fields", SEARCH_FIELDS);
    buf_init(&spec, 1u << 16);
    for (size_t i = 0; i < paths->n; i++) {
        buf_add_str(&spec, i ? "," : "");
        buf_add(&spec, paths->items[i].s);
    }
    struct search *s = search_of_spec(c, a, arena_dup(a, buf_slice(&spec)));
    buf_done(&spec);
    for (size_t i = 0; i < s->n; i++) {
        *ret_text = &paths->items[i];
        if (!check_field(c, s, i, paths->items[i].s, e))
            return false;
    }
    c->search = s;
    return true;
}

/* ---- the strings of a document --------------------------------------------------------------- */

struct gathering {
    struct buf *to;
    struct words_vector *vector; /* NULL: for FTS5 */
};

static void add_text(const struct gathering *g, struct slice text)
{
    if (g->vector)
        words_add_vector(g->to, g->vector, text);
    else
        words_add(g->to, text);
}

/* A list is all of its items, wherever in the path it comes. */
static void gather(const struct gathering *g, const struct json *v, const struct slice *steps,
                   size_t n_steps, unsigned depth)
{
    if (json_type(v) == JSON_ARRAY && depth < DEEP_MAX) {
        json_each (it, v)
            gather(g, it.value, steps, n_steps, depth + 1);
    } else if (n_steps && json_type(v) == JSON_OBJECT && depth < DEEP_MAX) {
        gather(g, json_find(v, steps[0]), steps + 1, n_steps - 1, depth + 1);
    } else if (!n_steps && json_type(v) == JSON_STRING) {
        add_text(g, json_str(v));
    }
}

bool search_words(const struct search *s, size_t field, const struct json *doc, struct arena *a,
                  struct slice *ret, struct err *e)
{
    struct buf b;
    const struct gathering g = {.to = &b};
    buf_init(&b, WORDS_MAX);
    gather(&g, doc, s->fields[field].steps, s->fields[field].n_steps, 0);
    char *words = arena_try_alloc(a, b.len);
    if (words && b.len)
        memcpy(words, b.data, b.len);
    *ret = (struct slice){words, b.len};
    buf_done(&b);
    return words || err_set(e, ERR_OVER_BUDGET,
                            "The texts of these documents are too long to change all at once:"
                            " change fewer at a time.");
}

struct slice search_vector(const struct search *s, const struct json *doc, struct arena *a)
{
    struct buf b;
    struct words_vector v = {0};
    const struct gathering g = {.to = &b, .vector = &v};
    buf_init(&b, WORDS_MAX);
    for (size_t i = 0; i < s->n; i++) {
        v.weight = i < 4 ? "ABCD"[i] : 'D';
        gather(&g, doc, s->fields[i].steps, s->fields[i].n_steps, 0);
    }
    struct slice words = arena_dup(a, buf_slice(&b));
    buf_done(&b);
    return words;
}
