/* Expansion: the documents that others refer to, read under the rule of their own collection. What
 * is absent, in the trash or not for this subject is null: nobody can tell which. */
#include "docs/list_impl.h"

#include <string.h>

struct expanded {
    const struct doc_ref *ref;
    const struct query *rows; /* NULL: the subject may read none of them */
    struct map texts;         /* by id: struct slice, empty while it is only wanted */
    struct slice *ids;
    size_t n, cap;
};
struct expansion {
    const struct docs_reading *r;
    struct arena *a;
    struct arena docs; /* of one target while it is judged */
    struct expanded targets[EXPAND_MAX];
    size_t n;
    struct expanded *now;
};

static void free_expansion(void *arg)
{
    struct expansion *x = arg;
    for (size_t i = 0; i < x->n; i++)
        map_done(&x->targets[i].texts);
    arena_done(&x->docs);
}

struct expansion *expansion_new(const struct docs_reading *r, const struct shape *s,
                                struct arena *a)
{
    struct expansion *x = arena_new(a, struct expansion);
    x->r = r;
    x->a = a;
    x->n = s->n_refs;
    arena_init(&x->docs, DOC_ARENA);
    arena_defer(a, free_expansion, x);
    for (size_t i = 0; i < x->n; i++) {
        struct expanded *t = &x->targets[i];
        t->ref = s->refs[i];
        map_init(&t->texts);
        if (!authorize(r->who, &t->ref->to->policy, ACTION_READ, r->arena, &t->rows,
                       &(struct err){0}))
            t->rows = NULL;
    }
    return x;
}

/* ---- what is wanted -------------------------------------------------------------------------- */

static struct slice id_in(const struct expanded *t, const struct json *doc)
{
    struct slice id = json_str(doc_field_value(&t->ref->field, doc));
    return doc_id_is_good(id) ? id : SLICE("");
}

static void want(struct expansion *x, struct expanded *t, struct slice id)
{
    if (!t->rows || !id.len || map_find(&t->texts, id))
        return;
    if (t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 64;
        struct slice *more = arena_alloc(x->a, cap * sizeof *more);
        if (t->n)
            memcpy(more, t->ids, t->n * sizeof *more);
        t->ids = more;
        t->cap = cap;
    }
    t->ids[t->n] = arena_dup(x->a, id);
    map_put(&t->texts, t->ids[t->n], arena_new(x->a, struct slice));
    t->n++;
}

void expansion_want(struct expansion *x, const struct json *doc)
{
    for (size_t i = 0; i < x->n; i++)
        want(x, &x->targets[i], id_in(&x->targets[i], doc));
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool is_visible(struct expansion *x, struct slice body, bool *ret, struct err *e)
{
    struct json_doc doc;
    *ret = true;
    if (x->now->rows->kind == QUERY_TRUE)
        return true;
    arena_reset(&x->docs);
    if (!json_parse(&doc, &x->docs, body, &doc_stored_limits, e))
        return err_set(e, ERR_IO, "A stored document is damaged; `dais verify` says which.");
    *ret = authorize_row(x->now->rows, json_root(&doc));
    return true;
}

static bool keep(void *user, struct slice id, struct slice shown, struct slice body, struct err *e)
{
    struct expansion *x = user;
    struct slice *text = map_find(&x->now->texts, id);
    bool is;
    if (!text || text->len) /* asked for twice in one statement */
        return true;
    if (!is_visible(x, body, &is, e))
        return false;
    if (!is)
        return true;
    char *copy = arena_try_alloc(x->a, shown.len);
    if (!copy)
        return err_set(
            e, ERR_OVER_BUDGET,
            "The expanded documents are too large together; ask for fewer with `limit`.");
    memcpy(copy, shown.ptr, shown.len);
    *text = (struct slice){copy, shown.len};
    return true;
}

bool expansion_fetch(struct expansion *x, struct err *e)
{
    for (size_t i = 0; i < x->n; i++) {
        struct expanded *t = x->now = &x->targets[i];
        struct by_id b = {.coll = t->ref->to, .fn = keep, .user = x};
        if (!docs_by_id(x->r->conn, &b, t->ids, t->n, e))
            return false;
        t->n = 0;
    }
    return true;
}

void expansion_write(const struct expansion *x, struct json_writer *w, const struct json *doc)
{
    if (!x->n)
        return;
    json_write_key(w, SLICE("expand"));
    json_write_object(w);
    for (size_t i = 0; i < x->n; i++) {
        const struct expanded *t = &x->targets[i];
        struct slice id = id_in(t, doc);
        const struct slice *text = id.len ? map_find(&t->texts, id) : NULL;
        json_write_key(w, t->ref->field.path);
        if (text && text->len)
            json_write_raw(w, *text);
        else
            json_write_null(w);
    }
    json_write_object_end(w);
}
