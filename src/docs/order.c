/* The order of a list: the terms of a sort and then the id, so that each row has one place in it.
 * In SQL where all terms have columns, else in memory; the same order both ways, as keys are. */
#include "docs/list_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* When a document went to the trash: no field of it, but the trash is sorted by it. */
static const struct doc_field deleted_field = {
    .path = SLICE_INIT("deleted"), .kind = FIELD_DELETED, .column = "deleted", .is_ready = true};

static bool has_term(const struct order *o, const struct doc_field *f)
{
    for (size_t i = 0; i < o->n; i++) {
        if (slice_eq(o->terms[i].field->path, f->path))
            return true;
    }
    return false;
}

void order_by_id(struct order *to)
{
    *to = (struct order){.has_columns = true};
}

bool order_parse(struct order *to, const struct doc_coll *c, struct arena *a, struct slice sort,
                 bool is_trash, struct err *e)
{
    struct path_list list;
    if (!paths_parse(c, a, "sort", sort, SORT_TERMS, true, &list, e))
        return false;
    order_by_id(to);
    if (list.n == 0 && is_trash) {
        to->terms[to->n].field = &deleted_field;
        to->terms[to->n++].is_descending = to->is_id_descending = true;
    }
    for (size_t i = 0; i < list.n; i++) {
        const struct doc_field *f = list.items[i];
        to->is_id_descending = list.is_descending[i];
        if (f->kind == FIELD_ID)
            break; /* no two rows have the same: nothing behind it matters */
        if (has_term(to, f))
            continue;
        to->terms[to->n].field = f;
        to->terms[to->n++].is_descending = list.is_descending[i];
        to->has_columns &= doc_field_has_column(f);
    }
    return true;
}

/* ---- keys ------------------------------------------------------------------------------------ */

static struct slice version_key(int64_t version, char to[8])
{
    for (int i = 0; i < 8; i++)
        to[i] = (char)((uint64_t)version >> (56 - 8 * i));
    return (struct slice){to, 8};
}

static int64_t version_of(struct slice key)
{
    uint64_t n = 0;
    for (size_t i = 0; i < key.len && i < 8; i++)
        n = n << 8 | (unsigned char)key.ptr[i];
    return (int64_t)n;
}

void order_key(struct buf *to, const struct doc_field *f, const struct json *doc)
{
    const struct json *value = doc_field_value(f, doc);
    int64_t version = 0;
    char number[8];
    if (f->kind == FIELD_KEY)
        doc_key(to, value);
    else if (f->kind == FIELD_VERSION && json_i64(value, &version))
        buf_add(to, version_key(version, number));
    else
        buf_add(to, json_str(value));
}

struct slice order_column(const struct doc_field *f, const struct db_stmt *s, int column,
                          char number[8])
{
    return f->kind == FIELD_VERSION ? version_key(db_i64(s, column), number) : db_blob(s, column);
}

const char *order_sql(const struct doc_field *f)
{
    /* Nobody comes first on both databases; an empty owner there is none. */
    return f->kind == FIELD_OWNER ? "coalesce(owner, '')" : f->column;
}

int place_cmp(const struct order *o, const struct place *a, const struct place *b)
{
    for (size_t i = 0; i < o->n; i++) {
        int by = slice_cmp(a->keys[i], b->keys[i]);
        if (by)
            return o->terms[i].is_descending ? -by : by;
    }
    int by = slice_cmp(a->id, b->id);
    return o->is_id_descending ? -by : by;
}

/* ---- SQL ------------------------------------------------------------------------------------- */

static bool is_fixed(const struct facts *facts, const struct doc_field *f)
{
    for (size_t i = 0; i < facts->n_equal; i++) {
        if (facts->equal[i] == f)
            return true;
    }
    return false;
}

/* The terms that are not the same in all rows; the id is the last. */
struct active {
    struct {
        const char *sql;
        bool is_descending;
        struct bound value;
    } terms[SORT_TERMS + 1];
    size_t n;
    bool is_one_way;
};

static struct bound value_of(const struct doc_field *f, struct slice key)
{
    if (f->kind == FIELD_VERSION)
        return (struct bound){.kind = BOUND_I64, .n = version_of(key)};
    return (struct bound){.kind = f->kind == FIELD_KEY ? BOUND_BLOB : BOUND_TEXT, .bytes = key};
}

static void activate(struct active *to, const struct order *o, const struct facts *facts,
                     const struct place *p)
{
    *to = (struct active){.is_one_way = true};
    for (size_t i = 0; i < o->n; i++) {
        const struct doc_field *f = o->terms[i].field;
        if (is_fixed(facts, f))
            continue;
        to->terms[to->n].sql = order_sql(f);
        to->terms[to->n].is_descending = o->terms[i].is_descending;
        if (p)
            to->terms[to->n].value = value_of(f, p->keys[i]);
        to->is_one_way &= o->terms[i].is_descending == o->is_id_descending;
        to->n++;
    }
    to->terms[to->n].sql = "id";
    to->terms[to->n].is_descending = o->is_id_descending;
    if (p)
        to->terms[to->n].value = (struct bound){.kind = BOUND_TEXT, .bytes = p->id};
    to->n++;
}

static const char *sign_of(const struct active *x, size_t i)
{
    return x->terms[i].is_descending ? "<" : ">";
}

/* (a, b, id) > (?, ?, ?) */
static void after_one_way(const struct active *x, struct condition *to)
{
    const char *open = x->n > 1 ? "(" : "", *close = x->n > 1 ? ")" : "";
    buf_add_str(to->text, " AND ");
    buf_add_str(to->text, open);
    for (size_t i = 0; i < x->n; i++) {
        buf_add_str(to->text, i ? ", " : "");
        buf_add_str(to->text, x->terms[i].sql);
    }
    buf_printf(to->text, "%s %s %s", close, sign_of(x, 0), open);
    for (size_t i = 0; i < x->n; i++) {
        buf_add_str(to->text, i ? ", ?" : "?");
        condition_bind(to, x->terms[i].value);
    }
    buf_add_str(to->text, close);
}

/* a >= ? AND (a > ? OR (a = ? AND (b < ? OR (b = ? AND id > ?)))): an index can begin at a. */
static void after_both_ways(const struct active *x, struct condition *to)
{
    buf_printf(to->text, " AND %s %s= ? AND ", x->terms[0].sql, sign_of(x, 0));
    condition_bind(to, x->terms[0].value);
    for (size_t i = 0; i < x->n; i++) {
        bool is_last = i + 1 == x->n;
        buf_printf(to->text, is_last ? "%s %s ?" : "(%s %s ?", x->terms[i].sql, sign_of(x, i));
        condition_bind(to, x->terms[i].value);
        if (is_last)
            break;
        buf_printf(to->text, " OR (%s = ? AND ", x->terms[i].sql);
        condition_bind(to, x->terms[i].value);
    }
    for (size_t i = 0; i + 1 < x->n; i++)
        buf_add_str(to->text, "))");
}

void order_after(const struct order *o, const struct facts *facts, const struct place *p,
                 struct condition *to)
{
    struct active x;
    activate(&x, o, facts, p);
    if (x.is_one_way)
        after_one_way(&x, to);
    else
        after_both_ways(&x, to);
}

void order_by(const struct order *o, const struct facts *facts, struct buf *to)
{
    struct active x;
    activate(&x, o, facts, NULL);
    for (size_t i = 0; i < x.n; i++) {
        buf_add_str(to, i ? ", " : " ORDER BY ");
        buf_add_str(to, x.terms[i].sql);
        buf_add_str(to, x.terms[i].is_descending ? " DESC" : "");
    }
}

/* ---- indexes --------------------------------------------------------------------------------- */

/* The columns of an index in their order: the owner first where it is everybody's own. */
struct columns {
    struct {
        const struct doc_field *field;
        bool is_descending;
    } items[INDEX_TERMS + 1];
    size_t n;
    bool is_id_descending;
};

static void columns_of(struct columns *to, const struct doc_index *index)
{
    *to = (struct columns){0};
    if (index->is_by_owner)
        to->items[to->n++].field = doc_field_of_system(SLICE("owner"));
    for (size_t i = 0; i < index->n_terms; i++) {
        to->items[to->n].field = index->terms[i].field;
        to->items[to->n++].is_descending = index->terms[i].is_descending;
        to->is_id_descending = index->terms[i].is_descending;
    }
}

/* Goes through the columns: each is one value in all rows, or the next term, and all in the terms'
 * directions or all against them. */
static bool serves(const struct columns *c, const struct order *o, const struct facts *facts)
{
    size_t term = 0, n_fixed = 0;
    bool is_turned = c->is_id_descending != o->is_id_descending;
    const struct doc_field *first = NULL;
    for (size_t i = 0; i < c->n; i++) {
        const struct doc_field *f = c->items[i].field;
        if (is_fixed(facts, f)) {
            n_fixed++;
            continue;
        }
        while (term < o->n && is_fixed(facts, o->terms[term].field))
            term++;
        if (term == o->n || o->terms[term].field != f || f->kind == FIELD_OWNER ||
            (c->items[i].is_descending != o->terms[term].is_descending) != is_turned)
            return false;
        first = first ? first : f;
        term++;
    }
    while (term < o->n && is_fixed(facts, o->terms[term].field))
        term++;
    return term == o->n && n_fixed == facts->n_equal && (!facts->range || facts->range == first);
}

bool order_is_served(const struct order *o, const struct doc_coll *c, const struct facts *facts,
                     bool is_trash)
{
    struct columns x = {.n = 1};
    if (!o->has_columns || facts->has_others)
        return false;
    if (is_fixed(facts, doc_field_of_system(SLICE("id"))))
        return true;
    if (is_trash) { /* its index has the time and the id, both up */
        x.items[0].field = &deleted_field;
        return serves(&x, o, facts);
    }
    x.items[0].field = doc_field_of_system(SLICE("owner"));
    if (serves(&x, o, facts))
        return true;
    x.n = 0; /* that of the ids */
    bool is_served = (facts->range == NULL || facts->range->kind == FIELD_ID) &&
                     serves(&x, o, &(struct facts){.n_equal = facts->n_equal});
    for (size_t i = 0; i < c->n_indexes && !is_served; i++) {
        if (!atomic_load(&c->indexes[i].is_ready) || c->indexes[i].is_unique)
            continue;
        columns_of(&x, &c->indexes[i]);
        is_served = serves(&x, o, facts);
    }
    return is_served;
}
