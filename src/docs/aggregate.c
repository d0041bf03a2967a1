/* Aggregates: counts and sums over the documents that a subject may read, by groups.
 *
 * Computed here and not in SQL, so that numbers are exact and both databases say the same; only a
 * plain count is the database's. A list or an object has no value to group by: it counts as null.
 */
#include "docs/list_impl.h"
#include "docs/sum_impl.h"

#include <stdlib.h>
#include <string.h>

#define FNS_MAX    16
#define GROUPS_MAX 1000
#define KEPT_BYTES (32u << 20) /* of groups, least and greatest values */

/*        what       written */
#define FN_MAP(X)        \
    X(FN_COUNT, "count") \
    X(FN_SUM, "sum")     \
    X(FN_AVG, "avg")     \
    X(FN_MIN, "min")     \
    X(FN_MAX, "max")
enum fn {
#define X(id, name) id,
    FN_MAP(X)
#undef X
        FN_NONE
};
static const char *const fn_names[] = {
#define X(id, name) name,
    FN_MAP(X)
#undef X
};

struct figure {
    enum fn fn;
    const struct doc_field *field; /* of all but count */
    struct slice name;             /* "sum(n)" */
};

struct tally {
    struct sum sum;
    struct json best; /* the least or the greatest */
    char *room;       /* where its text is, which the next one may take over */
    size_t room_size;
};
struct group {
    struct slice key; /* of all its fields: their lengths and keys */
    struct slice keys[GROUP_MAX];
    struct json values[GROUP_MAX];
    uint64_t count;
    struct tally *tallies;
};

struct aggregate {
    struct plan plan;
    struct path_list by;
    struct figure figures[FNS_MAX];
    size_t n_figures;
    struct arena kept;
    struct map groups;
    struct group **list;
    struct buf key;
};

/* ---- what is asked for ----------------------------------------------------------------------- */

static bool malformed(struct slice text, struct err *e)
{
    return err_set(e, ERR_MALFORMED,
                   "fn: `%.*s` is not known; write count, sum(FIELD), avg(FIELD), min(FIELD) or"
                   " max(FIELD), with commas between them.",
                   SLICE_ARGS(slice_first(text, 60)));
}

static bool read_figure(struct aggregate *x, struct slice text, struct err *e)
{
    struct figure *f = &x->figures[x->n_figures];
    ptrdiff_t open = slice_index(text, '(');
    struct slice name = slice_trim(open < 0 ? text : slice_first(text, (size_t)open));
    int i = 0;
    while (i < FN_NONE && !slice_is(name, fn_names[i]))
        i++;
    bool has_field = open >= 0 && slice_ends(text, SLICE(")"));
    if (i == FN_NONE || has_field == (i == FN_COUNT) || (open >= 0 && !has_field))
        return malformed(text, e);
    f->fn = (enum fn)i;
    f->name = text;
    if (has_field) {
        struct slice inner = slice_skip(slice_first(text, text.len - 1), (size_t)open + 1);
        f->field = path_parse(x->plan.coll, x->plan.a, "fn", slice_trim(inner), e);
        if (!f->field)
            return false;
        f->name = arena_printf(x->plan.a, "%s(%.*s)", fn_names[i], SLICE_ARGS(f->field->path));
    }
    x->n_figures++;
    return true;
}

/* Up to the next comma outside of parentheses and backticks. */
static struct slice cut(struct slice *rest)
{
    bool is_quoted = false;
    int depth = 0;
    size_t n = 0;
    for (; n < rest->len && (rest->ptr[n] != ',' || is_quoted || depth); n++) {
        char c = rest->ptr[n];
        is_quoted ^= c == '`';
        depth += !is_quoted && (c == '(' || c == ')') ? (c == '(' ? 1 : -1) : 0;
    }
    struct slice item = slice_trim(slice_first(*rest, n));
    *rest = slice_skip(*rest, n + 1);
    return item;
}

static bool read_figures(struct aggregate *x, struct slice text, struct err *e)
{
    struct slice rest = text.len ? text : SLICE("count");
    while (rest.len) {
        struct slice item = cut(&rest);
        if (x->n_figures == FNS_MAX)
            return err_set(e, ERR_MALFORMED, "fn: at most %d figures at once.", FNS_MAX);
        if (!read_figure(x, item, e))
            return false;
    }
    return true;
}

/* Each name stands once in an item. */
static bool names_differ(const struct aggregate *x, struct err *e)
{
    struct slice names[GROUP_MAX + FNS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < x->by.n; i++)
        names[n++] = x->by.items[i]->path;
    for (size_t i = 0; i < x->n_figures; i++)
        names[n++] = x->figures[i].name;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++) {
            if (slice_eq(names[i], names[k]))
                return err_set(e, ERR_MALFORMED, "fn, group: `%.*s` is there twice.",
                               SLICE_ARGS(slice_first(names[i], 60)));
        }
    }
    return true;
}

/* ---- groups ---------------------------------------------------------------------------------- */

static bool too_much(struct err *e)
{
    return err_set(e, ERR_OVER_BUDGET,
                   "There are too many groups, or their values are too long: group by fewer fields,"
                   " or narrow the documents down with `filter`.");
}

/* Into *room if there is enough of it, else into twice as much. */
static bool keep_value(struct aggregate *x, const struct json *value, struct tally *room,
                       struct json *ret, struct err *e)
{
    *ret = (struct json){.type = JSON_NULL};
    if (json_type(value) < JSON_BOOL || json_type(value) >= JSON_ARRAY)
        return true;
    *ret = *value;
    if (value->type == JSON_BOOL)
        return true;
    if (!room->room || room->room_size < value->len) {
        room->room_size = 2 * (size_t)value->len;
        room->room = arena_try_alloc(&x->kept, room->room_size);
    }
    if (!room->room)
        return too_much(e);
    memcpy(room->room, value->ptr, value->len);
    ret->ptr = room->room;
    return true;
}

static void make_key(struct aggregate *x, const struct json *doc, struct slice keys[GROUP_MAX])
{
    static const struct json null_value = {.type = JSON_NULL};
    size_t ends[GROUP_MAX], from = 0;
    buf_clear(&x->key);
    for (size_t i = 0; i < x->by.n; i++) {
        const struct json *value = doc_field_value(x->by.items[i], doc);
        size_t at = x->key.len;
        buf_add(&x->key, SLICE("--"));
        doc_key(&x->key, json_type(value) >= JSON_ARRAY ? &null_value : value);
        x->key.data[at] = (char)((x->key.len - at) >> 8);
        x->key.data[at + 1] = (char)(x->key.len - at);
        ends[i] = x->key.len;
    }
    for (size_t i = 0; i < x->by.n; i++) {
        keys[i] = (struct slice){x->key.data + from + 2, ends[i] - from - 2};
        from = ends[i];
    }
}

static struct group *group_new(struct aggregate *x, const struct json *doc,
                               const struct slice keys[GROUP_MAX], struct err *e)
{
    struct slice whole = buf_slice(&x->key);
    char *copy = arena_try_alloc(&x->kept, whole.len);
    struct group *g = arena_try_alloc(&x->kept, sizeof *g);
    struct tally *tallies = arena_try_alloc(&x->kept, (x->n_figures + 1) * sizeof *tallies);
    if (!copy || !g || !tallies || x->groups.len == GROUPS_MAX) {
        too_much(e);
        return NULL;
    }
    *g = (struct group){.key = {copy, whole.len}, .tallies = tallies};
    memset(tallies, 0, (x->n_figures + 1) * sizeof *tallies);
    if (whole.len)
        memcpy(copy, whole.ptr, whole.len);
    for (size_t i = 0; i < x->by.n; i++) {
        g->keys[i] = (struct slice){copy + (keys[i].ptr - whole.ptr), keys[i].len};
        if (!keep_value(x, doc_field_value(x->by.items[i], doc), &(struct tally){0}, &g->values[i],
                        e))
            return NULL;
    }
    x->list[x->groups.len] = g;
    map_put(&x->groups, g->key, g);
    return g;
}

static bool is_better(enum fn fn, const struct json *value, const struct json *best)
{
    if (best->type == JSON_NONE)
        return true;
    int by = query_order(value, best);
    return fn == FN_MIN ? by < 0 : by > 0;
}

static bool count_in(struct aggregate *x, const struct figure *f, struct tally *t,
                     const struct json *doc, struct err *e)
{
    const struct json *value = f->field ? doc_field_value(f->field, doc) : NULL;
    enum json_type type = json_type(value);
    bool is_scalar = type == JSON_BOOL || type == JSON_NUMBER || type == JSON_STRING;
    if ((f->fn == FN_SUM || f->fn == FN_AVG) && type == JSON_NUMBER)
        sum_add(&t->sum, value);
    if ((f->fn == FN_MIN || f->fn == FN_MAX) && is_scalar && is_better(f->fn, value, &t->best))
        return keep_value(x, value, t, &t->best, e);
    return true;
}

static bool add_doc(struct aggregate *x, const struct json *doc, struct err *e)
{
    struct slice keys[GROUP_MAX] = {0};
    make_key(x, doc, keys);
    struct group *g = map_find(&x->groups, buf_slice(&x->key));
    if (!g && !(g = group_new(x, doc, keys, e)))
        return false;
    g->count++;
    for (size_t i = 0; i < x->n_figures; i++) {
        if (!count_in(x, &x->figures[i], &g->tallies[i], doc, e))
            return false;
    }
    return true;
}

static bool add_all(struct aggregate *x, struct err *e)
{
    struct order by_id;
    struct walk w;
    enum db_step step;
    order_by_id(&by_id);
    walk_init(&w, &x->plan, &by_id, NULL, true, DOC_SCAN_MAX + 1);
    while ((step = walk_next(&w, e)) == DB_ROW) {
        if (!add_doc(x, w.doc, e)) {
            step = DB_FAILED;
            break;
        }
    }
    walk_done(&w);
    return step == DB_END;
}

/* ---- the answer ------------------------------------------------------------------------------ */

static int compare(const void *a, const void *b, void *n_fields)
{
    const struct group *x = *(struct group *const *)a, *y = *(struct group *const *)b;
    for (size_t i = 0; i < *(const size_t *)n_fields; i++) {
        int by = slice_cmp(x->keys[i], y->keys[i]);
        if (by)
            return by;
    }
    return 0;
}

static void write_figure(struct json_writer *w, const struct figure *f, const struct group *g,
                         const struct tally *t)
{
    json_write_key(w, f->name);
    if (f->fn == FN_COUNT)
        json_write_u64(w, g->count);
    else if (f->fn == FN_SUM)
        sum_write(&t->sum, w);
    else if (f->fn == FN_AVG)
        sum_write_mean(&t->sum, w);
    else
        json_write_value(w, t->best.type == JSON_NONE ? NULL : &t->best);
}

static void write_group(struct json_writer *w, const struct aggregate *x, const struct group *g)
{
    json_write_object(w);
    for (size_t i = 0; i < x->by.n; i++) {
        json_write_key(w, x->by.items[i]->path);
        json_write_value(w, &g->values[i]);
    }
    for (size_t i = 0; i < x->n_figures; i++)
        write_figure(w, &x->figures[i], g, &g->tallies[i]);
    json_write_object_end(w);
}

static bool write_all(struct aggregate *x, struct buf *to, struct err *e)
{
    static struct tally nothing[FNS_MAX];
    const struct group none = {.tallies = nothing};
    struct json_writer w;
    qsort_r(x->list, x->groups.len, sizeof *x->list, compare, &x->by.n);
    json_writer_init(&w, to, 0);
    json_write_object(&w);
    json_write_key(&w, SLICE("items"));
    json_write_array(&w);
    for (size_t i = 0; i < x->groups.len; i++)
        write_group(&w, x, x->list[i]);
    if (x->by.n == 0 && x->groups.len == 0)
        write_group(&w, x, &none);
    json_write_array_end(&w);
    json_write_object_end(&w);
    return !to->full || too_much(e);
}

static bool is_plain_count(const struct aggregate *x)
{
    return x->by.n == 0 && x->n_figures == 1 && x->figures[0].fn == FN_COUNT;
}

static bool compute(struct aggregate *x, struct buf *to, struct err *e)
{
    uint64_t n;
    if (!is_plain_count(x))
        return add_all(x, e) && write_all(x, to, e);
    if (!plan_count(&x->plan, &n, e))
        return false;
    buf_printf(to, "{\"items\":[{\"count\":%llu}]}", (unsigned long long)n);
    return true;
}

bool docs_aggregate(const struct docs_reading *r, const struct doc_coll *c,
                    const struct docs_aggregate *q, struct buf *to, struct err *e)
{
    struct asked asked = {.filter = q->filter};
    struct aggregate x = {0};
    if (!plan_make(&x.plan, r, c, &asked, e) ||
        !paths_parse(c, r->arena, "group", q->group, GROUP_MAX, false, &x.by, e) ||
        !read_figures(&x, q->fn, e) || !names_differ(&x, e))
        return false;
    if (r->is_on_loop)
        return err_set(e, ERR_OVER_BUDGET, "This is not sure to be short.");
    x.list = arena_alloc(r->arena, GROUPS_MAX * sizeof(struct group *));
    arena_init(&x.kept, KEPT_BYTES);
    map_init(&x.groups);
    buf_init(&x.key, 2 * DOC_BYTES_MAX);
    bool fine = compute(&x, to, e);
    buf_done(&x.key);
    map_done(&x.groups);
    arena_done(&x.kept);
    return fine;
}
