/* Lists: a page of documents, by filter, sort and cursor.
 *
 *   in order   all terms of the sort have columns: the database sorts, and a page is read from
 *              where the cursor stands
 *   sorted     they have not: all rows are looked at, a heap keeps the page's places, and its
 *              documents are read by their ids
 *
 * The bytes of a document are copied from the row to the answer; they are parsed only where
 * something is asked of them. */
#include "docs/heap_impl.h"
#include "docs/search_impl.h"

#include <string.h>

#define TOGETHER 8 /* documents read by their ids at once */

struct listing {
    const struct docs_reading *r;
    const struct doc_coll *coll;
    const struct docs_query *q;
    struct plan plan;
    struct shape shape;
    struct arena own; /* parsed documents; those that wait for what they refer to */
    struct buf *to;
    uint32_t limit;
    size_t n, bytes;     /* items, and their text */
    struct slice *texts; /* of items that are expanded at the end */
    struct place from, last;
    struct search_asked search;
    bool is_ranked; /* a search without a sort: the best come first */
    bool has_more;
};

/* ---- items ----------------------------------------------------------------------------------- */

static bool too_large(struct err *e)
{
    return err_set(e, ERR_OVER_BUDGET,
                   "The answer is too large; ask for fewer documents with `limit`.");
}

static bool parse(struct listing *l, struct slice text, struct json_doc *ret, struct err *e)
{
    return json_parse(ret, &l->own, text, &doc_stored_limits, e);
}

static void comma(struct listing *l)
{
    if (l->n > 0)
        buf_add_char(l->to, ',');
}

static bool add_shaped(struct listing *l, struct slice text, const struct expansion *x,
                       struct err *e)
{
    struct arena_mark mark = arena_mark(&l->own);
    struct json_writer w;
    struct json_doc doc;
    if (!parse(l, text, &doc, e))
        return false;
    json_writer_init(&w, l->to, 0);
    shape_write(&w, &l->shape, json_root(&doc));
    if (x)
        expansion_write(x, &w, json_root(&doc));
    json_write_object_end(&w);
    arena_rewind(&l->own, mark);
    return true;
}

static bool keep(struct listing *l, struct slice text, struct err *e)
{
    char *copy = arena_try_alloc(&l->own, text.len);
    if (!copy)
        return too_large(e);
    memcpy(copy, text.ptr, text.len);
    l->texts[l->n] = (struct slice){copy, text.len};
    return true;
}

static bool add_item(struct listing *l, struct slice text, struct err *e)
{
    l->bytes += text.len;
    if (l->r->is_on_loop && l->bytes > LIST_LOOP_KB << 10)
        return err_set(e, ERR_OVER_BUDGET, "The documents are too large for a loop.");
    if (l->shape.n_refs) {
        if (!keep(l, text, e))
            return false;
    } else {
        comma(l);
        if (!l->shape.has_fields)
            buf_add(l->to, text);
        else if (!add_shaped(l, text, NULL, e))
            return false;
    }
    l->n++;
    return true;
}

static bool is_page_full(const struct listing *l)
{
    return l->n == l->limit || l->bytes > LIST_BYTES;
}

/* ---- with what they refer to ----------------------------------------------------------------- */

static bool want_all(struct listing *l, struct expansion *x, struct err *e)
{
    for (size_t i = 0; i < l->n; i++) {
        struct arena docs;
        struct json_doc doc;
        arena_init(&docs, DOC_ARENA);
        bool fine = json_parse(&doc, &docs, l->texts[i], &doc_stored_limits, e);
        if (fine)
            expansion_want(x, json_root(&doc));
        arena_done(&docs);
        if (!fine)
            return false;
    }
    return true;
}

static bool expand_all(struct listing *l, struct err *e)
{
    if (!l->shape.n_refs)
        return true;
    struct expansion *x = expansion_new(l->r, &l->shape, &l->own);
    if (!want_all(l, x, e) || !expansion_fetch(x, e))
        return false;
    size_t n = l->n;
    for (l->n = 0; l->n < n && !l->to->full; l->n++) {
        comma(l);
        if (!add_shaped(l, l->texts[l->n], x, e))
            return false;
    }
    return true;
}

/* ---- in order -------------------------------------------------------------------------------- */

static const struct place *start(const struct listing *l)
{
    return l->q->after.len ? &l->from : NULL;
}

static bool list_in_order(struct listing *l, struct err *e)
{
    struct walk w;
    struct slice text;
    enum db_step step;
    walk_init(&w, &l->plan, &l->plan.order, start(l), false, l->limit + 1);
    while ((step = walk_next(&w, e)) == DB_ROW) {
        if (is_page_full(l)) {
            l->has_more = true;
            break;
        }
        if (!walk_text(&w, &text, e) || !add_item(l, text, e)) {
            step = DB_FAILED;
            break;
        }
        if (is_page_full(l))
            walk_place(&w, l->r->arena, &l->last);
    }
    walk_done(&w);
    return step != DB_FAILED;
}

/* ---- sorted ---------------------------------------------------------------------------------- */

struct batch {
    struct arena a;
    struct slice ids[TOGETHER], texts[TOGETHER];
    size_t n;
};

static bool on_text(void *user, struct slice id, struct slice shown, struct slice body,
                    struct err *e)
{
    struct batch *b = user;
    (void)body;
    for (size_t i = 0; i < b->n; i++) {
        if (b->texts[i].len || !slice_eq(b->ids[i], id))
            continue;
        char *copy = arena_try_alloc(&b->a, shown.len);
        if (!copy)
            return too_large(e);
        memcpy(copy, shown.ptr, shown.len);
        b->texts[i] = (struct slice){copy, shown.len};
    }
    return true;
}

static bool add_batch(struct listing *l, const struct heap *h, size_t from, struct err *e)
{
    struct batch b = {.n = h->n - from < TOGETHER ? h->n - from : TOGETHER};
    struct by_id by = {.coll = l->coll, .is_trash = l->q->is_trash, .fn = on_text, .user = &b};
    for (size_t i = 0; i < b.n; i++)
        b.ids[i] = h->items[from + i].place.id;
    arena_init(&b.a, (TOGETHER + 1) * DOC_BYTES_MAX);
    bool fine = docs_by_id(l->r->conn, &by, b.ids, b.n, e);
    for (size_t i = 0; fine && i < b.n; i++) {
        l->has_more |= is_page_full(l);
        if (l->has_more)
            break;
        l->last = h->items[from + i].place;
        fine = !b.texts[i].len || add_item(l, b.texts[i], e);
    }
    arena_done(&b.a);
    return fine;
}

static bool add_sorted(struct listing *l, struct heap *h, struct err *e)
{
    heap_sort(h);
    for (size_t i = 0; i < h->n && !l->has_more; i += TOGETHER) {
        if (!add_batch(l, h, i, e))
            return false;
    }
    struct place last = l->last; /* the heap goes */
    for (size_t i = 0; l->has_more && i < l->plan.order.n; i++)
        l->last.keys[i] = arena_dup(l->r->arena, last.keys[i]);
    if (l->has_more)
        l->last.id = arena_dup(l->r->arena, last.id);
    return true;
}

static bool list_sorted(struct listing *l, struct err *e)
{
    struct heap h;
    struct walk w;
    struct order by_id;
    enum db_step step;
    order_by_id(&by_id);
    heap_init(&h, &l->plan.order, l->limit + 1);
    walk_init(&w, &l->plan, &by_id, NULL, true, DOC_SCAN_MAX + 1);
    while ((step = walk_next(&w, e)) == DB_ROW)
        heap_offer(&h, w.doc, walk_id(&w), start(l));
    walk_done(&w);
    bool fine = step == DB_END && add_sorted(l, &h, e);
    heap_done(&h);
    return fine;
}

/* ---- found ----------------------------------------------------------------------------------- */

static bool list_ranked(struct listing *l, struct err *e)
{
    struct search_walk w;
    enum db_step step;
    search_walk_init(&w, &l->plan, &l->search, l->q->after.len ? search_position(l->from.id) : 0);
    while ((step = search_walk_next(&w, e)) == DB_ROW) {
        l->has_more = is_page_full(l);
        if (l->has_more)
            break;
        if (!add_item(l, w.text, e)) {
            step = DB_FAILED;
            break;
        }
        l->last.id = search_place(w.position, &l->own);
    }
    search_walk_done(&w);
    return step != DB_FAILED;
}

/* ---- the answer ------------------------------------------------------------------------------ */

static bool is_for_loops(const struct listing *l)
{
    return !l->q->search.len && !l->q->wants_total && !l->shape.n_refs &&
           plan_is_short(&l->plan, l->limit);
}

static bool write_end(struct listing *l, struct err *e)
{
    uint64_t total = 0;
    buf_add_str(l->to, "],\"next\":");
    if (l->has_more) {
        buf_add_char(l->to, '"');
        cursor_add(l->to, l->coll, l->q, &l->plan.order, &l->last);
        buf_add_char(l->to, '"');
    } else {
        buf_add_str(l->to, "null");
    }
    if (l->q->wants_total) {
        if (l->is_ranked)
            search_condition(&l->search, &l->plan);
        if (!plan_count(&l->plan, &total, e))
            return false;
        buf_printf(l->to, ",\"total\":%llu", (unsigned long long)total);
    }
    buf_add_char(l->to, '}');
    return !l->to->full || too_large(e);
}

static bool write_page(struct listing *l, struct err *e)
{
    buf_add_str(l->to, "{\"items\":[");
    if (l->shape.n_refs)
        l->texts = arena_alloc(&l->own, l->limit * sizeof *l->texts);
    bool fine = l->is_ranked                ? list_ranked(l, e)
                : l->plan.order.has_columns ? list_in_order(l, e)
                                            : list_sorted(l, e);
    return fine && expand_all(l, e) && write_end(l, e);
}

static bool read_search(struct listing *l, struct err *e)
{
    if (!l->q->search.len)
        return true;
    l->is_ranked = !l->q->sort.len;
    if (!search_read(&l->search, l->r, l->coll, l->q, e))
        return false;
    if (!l->is_ranked)
        search_condition(&l->search, &l->plan);
    return true;
}

static bool read_query(struct listing *l, struct err *e)
{
    const struct docs_query *q = l->q;
    struct asked asked = {.filter = q->filter, .sort = q->sort, .is_trash = q->is_trash};
    if (l->limit > DOC_LIMIT_MAX)
        return err_set(e, ERR_MALFORMED, "limit: a list has 1 to %d documents.", DOC_LIMIT_MAX);
    if (!plan_make(&l->plan, l->r, l->coll, &asked, e) || !read_search(l, e))
        return false;
    return shape_parse(&l->shape, l->coll, l->r->arena, q->fields, q->expand, e) &&
           (!q->after.len || cursor_read(&l->from, l->r->arena, l->coll, q, &l->plan.order, e));
}

bool docs_list(const struct docs_reading *r, const struct doc_coll *c, const struct docs_query *q,
               struct buf *to, struct err *e)
{
    struct listing l = {
        .r = r, .coll = c, .q = q, .to = to, .limit = q->limit ? q->limit : DOC_LIMIT};
    if (!read_query(&l, e))
        return false;
    if (r->is_on_loop && !is_for_loops(&l))
        return err_set(e, ERR_OVER_BUDGET, "This list is not sure to be short.");
    arena_init(&l.own, DOC_ARENA);
    bool fine = write_page(&l, e);
    if (!fine && r->is_on_loop && e->code == ERR_OVER_BUDGET)
        plan_was_long(&l.plan);
    arena_done(&l.own);
    return fine;
}
