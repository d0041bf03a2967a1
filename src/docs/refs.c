/* What a document refers to: found in its fields, looked up, and kept in dais_refs in the same
 * write. A reference is the id of a document that is there, alone or in a list. */
#include "docs/docs_impl.h"

#define REFS_MAX 1000 /* of one document */

struct reference {
    const struct doc_ref *ref;
    struct slice id, pointer;
};

struct references {
    struct reference *items;
    size_t n;
};

/* ---- in the document ------------------------------------------------------------------------- */

struct slice refs_key(const struct doc_coll *c, struct slice id, struct arena *a)
{
    return arena_printf(a, "%.*s/%.*s", SLICE_ARGS(c->name), SLICE_ARGS(id));
}

static void tell(const struct doc_ref *ref, struct slice pointer, struct violations *to)
{
    struct slice message =
        arena_printf(to->a, "must be the id of a document in %.*s", SLICE_ARGS(ref->to->name));
    violations_add(to, pointer, "reference", message.ptr);
}

/* A list may have a million of them: what is not kept takes no room. */
static void add(struct references *t, const struct doc_ref *ref, const struct json *value,
                struct buf *pointer, struct violations *to)
{
    bool is_good = doc_id_is_good(json_str(value)) && t->n < REFS_MAX;
    if (is_good)
        t->items[t->n++] = (struct reference){
            .ref = ref, .id = json_str(value), .pointer = arena_dup(to->a, buf_slice(pointer))};
    else if (to->n < SCHEMA_VIOLATIONS_MAX)
        tell(ref, buf_slice(pointer), to);
    else
        to->n_more++;
}

static void collect_one(struct references *t, const struct doc_ref *ref, const struct json *own,
                        struct violations *to)
{
    const struct json *value = doc_field_value(&ref->field, own);
    struct buf pointer;
    if (!value || json_type(value) == JSON_NULL)
        return;
    buf_init(&pointer, 1u << 16);
    for (size_t i = 0; i < ref->field.n_steps; i++)
        json_pointer_add(&pointer, ref->field.steps[i]);
    size_t n = pointer.len;
    if (json_type(value) != JSON_ARRAY)
        add(t, ref, value, &pointer, to);
    json_each (it, json_type(value) == JSON_ARRAY ? value : NULL) {
        buf_truncate(&pointer, n);
        json_pointer_add_index(&pointer, it.index);
        add(t, ref, it.value, &pointer, to);
    }
    buf_done(&pointer);
}

static void collect(struct references *t, const struct doc_coll *c, const struct json *own,
                    struct violations *to)
{
    size_t most = 0;
    for (size_t i = 0; i < c->n_refs; i++)
        most += 1 + json_len(doc_field_value(&c->refs[i].field, own));
    if (most > REFS_MAX)
        most = REFS_MAX;
    *t = (struct references){.items = arena_alloc(to->a, most * sizeof *t->items)};
    for (size_t i = 0; i < c->n_refs; i++)
        collect_one(t, &c->refs[i], own, to);
}

/* ---- in the database ------------------------------------------------------------------------- */

/* Is it there, and (rule not NULL) may they read it? */
static bool is_there(struct docs_writing *w, struct db_conn *c, const struct reference *t,
                     const struct query *rule, bool *ret, struct err *e)
{
    struct db_stmt *s = db_prepare_text(c, t->ref->to->sql->target, e);
    struct doc_row row = {0};
    if (!s)
        return false;
    db_bind_text(s, 1, t->id);
    enum db_step step = db_step(s, e);
    *ret = step == DB_ROW;
    if (step == DB_ROW && rule && rule->kind != QUERY_TRUE)
        row.body = doc_row_text(w->arena, db_text(s, 0));
    db_reset(s);
    if (step == DB_FAILED || !row.body.len)
        return step != DB_FAILED;
    const struct json *doc = doc_row_json(&row, w->arena, e);
    *ret = doc && authorize_row(rule, doc);
    return doc != NULL;
}

static void note(struct map *m, const struct references *t, struct arena *a)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct reference *it = &t->items[i];
        map_put(m, refs_key(it->ref->to, it->id, a), &t->items[i]);
    }
}

static bool is_self(const struct doc_draft *d, const struct reference *t)
{
    return t->ref->to == d->coll && slice_eq(t->id, d->meta.id);
}

static bool check_new(struct docs_writing *w, struct db_conn *c, const struct reference *t,
                      struct violations *to, struct err *e)
{
    const struct query *rule = NULL;
    bool found = false;
    bool may = authorize(w->who, &t->ref->to->policy, ACTION_READ, w->arena, &rule, NULL);
    if (may && !is_there(w, c, t, rule, &found, e))
        return false;
    if (!found)
        tell(t->ref, t->pointer, to);
    return true;
}

bool refs_check(struct docs_writing *w, struct db_conn *c, const struct doc_draft *d,
                const struct json *before, struct violations *to, struct err *e)
{
    struct violations ignored = {.a = w->arena};
    struct references now, then;
    struct map known;
    bool fine = true;
    if (!d->coll->n_refs)
        return true;
    collect(&now, d->coll, d->own, to);
    collect(&then, d->coll, before, &ignored);
    map_init(&known);
    note(&known, &then, w->arena);
    for (size_t i = 0; fine && i < now.n; i++) {
        const struct reference *t = &now.items[i];
        if (!is_self(d, t) && !map_find(&known, refs_key(t->ref->to, t->id, w->arena)))
            fine = check_new(w, c, t, to, e);
    }
    map_done(&known);
    return fine;
}

bool refs_refresh(struct docs_writing *w, struct db_conn *c, const struct doc_draft *d,
                  const struct json **own, struct violations *to, struct err *e)
{
    struct violations ignored = {.a = w->arena};
    struct references now;
    struct map gone;
    bool fine = true;
    if (!d->coll->n_refs)
        return true;
    collect(&now, d->coll, *own, &ignored);
    map_init(&gone);
    for (size_t i = 0; fine && i < now.n; i++) {
        struct reference *t = &now.items[i];
        bool found = is_self(d, t);
        fine = found || is_there(w, c, t, NULL, &found, e);
        if (!found && t->ref->on_delete == REF_CLEAR)
            map_put(&gone, refs_key(t->ref->to, t->id, w->arena), t);
        else if (!found)
            violations_add(to, t->pointer, "reference",
                           "refers to a document that is gone: bring that back first");
    }
    if (fine && gone.len)
        fine = (*own = refs_without(d->coll, *own, &gone, w->arena, e)) != NULL;
    map_done(&gone);
    return fine;
}

/* ---- kept ------------------------------------------------------------------------------------ */

static const struct sql forget_refs = {"DELETE FROM dais_refs WHERE from_name = ? AND from_id = ?",
                                       NULL};
static const struct sql add_ref = {
    "INSERT INTO dais_refs (to_name, to_id, from_name, from_id, field) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT DO NOTHING",
    NULL};

bool refs_forget(struct db_conn *c, const struct doc_coll *from, struct slice id, struct err *e)
{
    struct db_stmt *s = from->n_refs ? db_prepare(c, &forget_refs, e) : NULL;
    if (!s)
        return !from->n_refs;
    db_bind_text(s, 1, from->name);
    db_bind_text(s, 2, id);
    return db_run(s, NULL, e);
}

static bool add_row(struct db_conn *c, const struct doc_draft *d, const struct reference *t,
                    struct err *e)
{
    struct db_stmt *s = db_prepare(c, &add_ref, e);
    if (!s)
        return false;
    db_bind_text(s, 1, t->ref->to->name);
    db_bind_text(s, 2, t->id);
    db_bind_text(s, 3, d->coll->name);
    db_bind_text(s, 4, d->meta.id);
    db_bind_text(s, 5, t->ref->field.path);
    return db_run(s, NULL, e);
}

static bool are_same(const struct references *a, const struct references *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (a->items[i].ref != b->items[i].ref || !slice_eq(a->items[i].id, b->items[i].id))
            return false;
    }
    return true;
}

bool refs_store(struct docs_writing *w, struct db_conn *c, const struct doc_draft *d,
                const struct json *before, struct err *e)
{
    struct violations ignored = {.a = w->arena};
    struct references now, then;
    if (!d->coll->n_refs)
        return true;
    collect(&now, d->coll, d->own, &ignored);
    collect(&then, d->coll, before, &ignored);
    /* While rows are made anew, those of `before` may not be kept yet, and the version that we make
     * of the row has it passed over. */
    if (are_same(&now, &then) && !atomic_load(&d->coll->is_filling))
        return true;
    if (before && !refs_forget(c, d->coll, d->meta.id, e))
        return false;
    for (size_t i = 0; i < now.n; i++) {
        if (!add_row(c, d, &now.items[i], e))
            return false;
    }
    return true;
}

/* ---- without some of them -------------------------------------------------------------------- */

struct clearing {
    const struct doc_ref *ref;
    const struct json *own;
    const struct map *gone;
    struct arena *a;
};

static bool is_gone(const struct clearing *x, const struct json *value)
{
    return json_type(value) == JSON_STRING &&
           map_find(x->gone, refs_key(x->ref->to, json_str(value), x->a));
}

static void write_list(struct json_writer *w, const struct clearing *x, const struct json *list)
{
    json_write_array(w);
    json_each (it, list) {
        if (!is_gone(x, it.value))
            json_write_value(w, it.value);
    }
    json_write_array_end(w);
}

/* As deep as the reference's path. */
static void write_rest(struct json_writer *w, const struct clearing *x, const struct json *object,
                       size_t depth)
{
    json_write_object(w);
    json_each (it, object) {
        bool is_way = slice_eq(it.key, x->ref->field.steps[depth]);
        bool is_end = is_way && depth + 1 == x->ref->field.n_steps;
        if (is_end && is_gone(x, it.value))
            continue;
        json_write_key(w, it.key);
        if (is_end && json_type(it.value) == JSON_ARRAY)
            write_list(w, x, it.value);
        else if (is_way && !is_end && json_type(it.value) == JSON_OBJECT)
            write_rest(w, x, it.value, depth + 1);
        else
            json_write_value(w, it.value);
    }
    json_write_object_end(w);
}

static bool write_cleared(void *user, struct buf *to, struct err *e)
{
    const struct clearing *x = user;
    struct json_writer w;
    (void)e;
    json_writer_init(&w, to, 0);
    write_rest(&w, x, x->own, 0);
    return true;
}

const struct json *refs_without(const struct doc_coll *c, const struct json *own,
                                const struct map *gone, struct arena *a, struct err *e)
{
    for (size_t i = 0; own && i < c->n_refs; i++) {
        struct clearing x = {.ref = &c->refs[i], .own = own, .gone = gone, .a = a};
        if (c->refs[i].on_delete == REF_CLEAR)
            own = doc_written(write_cleared, &x, a, e);
    }
    return own;
}
