/* Less and more of a document: the fields that were asked for, and the documents it refers to. */
#include "docs/list_impl.h"

static struct slice step_of(const struct doc_field *f, size_t depth)
{
    return f->kind == FIELD_KEY ? f->steps[depth] : f->path;
}

static size_t depth_of(const struct doc_field *f)
{
    return f->kind == FIELD_KEY ? f->n_steps : 1;
}

/* Of the paths in `mask`, which lead so far, those that go on with `key`: bits of them, and whether
 * one ends there. */
static uint64_t going_on(const struct shape *s, uint64_t mask, size_t depth, struct slice key,
                         bool *ret_ends)
{
    uint64_t on = 0;
    *ret_ends = depth == 0 && slice_is(key, "id");
    for (size_t i = 0; i < s->fields.n; i++) {
        const struct doc_field *f = s->fields.items[i];
        if (!(mask & 1ull << i) || !slice_eq(step_of(f, depth), key))
            continue;
        if (depth_of(f) == depth + 1)
            *ret_ends = true;
        else
            on |= 1ull << i;
    }
    return on;
}

/* As deep as paths are: QUERY_STEPS_MAX. */
static void write_some(struct json_writer *w, const struct shape *s, const struct json *object,
                       uint64_t mask, size_t depth)
{
    json_each (it, object) {
        bool ends;
        uint64_t on = going_on(s, mask, depth, it.key, &ends);
        if (!ends && (!on || json_type(it.value) != JSON_OBJECT))
            continue;
        json_write_key(w, it.key);
        if (ends) {
            json_write_value(w, it.value);
            continue;
        }
        json_write_object(w);
        write_some(w, s, it.value, on, depth + 1);
        json_write_object_end(w);
    }
}

static void write_all(struct json_writer *w, const struct shape *s, const struct json *doc)
{
    json_each (it, doc) {
        if (s->n_refs && slice_is(it.key, "expand"))
            continue;
        json_write_key(w, it.key);
        json_write_value(w, it.value);
    }
}

void shape_write(struct json_writer *w, const struct shape *s, const struct json *doc)
{
    json_write_object(w);
    if (s->has_fields)
        write_some(w, s, doc, UINT64_MAX, 0);
    else
        write_all(w, s, doc);
}

/* ---- what was asked for ---------------------------------------------------------------------- */

static const struct doc_ref *ref_of(const struct doc_coll *c, const struct doc_field *f)
{
    for (size_t i = 0; i < c->n_refs; i++) {
        if (slice_eq(c->refs[i].field.path, f->path))
            return &c->refs[i];
    }
    return NULL;
}

static bool has_ref(const struct shape *s, const struct doc_ref *ref)
{
    for (size_t i = 0; i < s->n_refs; i++) {
        if (s->refs[i] == ref)
            return true;
    }
    return false;
}

bool shape_parse(struct shape *to, const struct doc_coll *c, struct arena *a, struct slice fields,
                 struct slice expand, struct err *e)
{
    struct path_list names;
    *to = (struct shape){.has_fields = fields.len > 0};
    if (!paths_parse(c, a, "fields", fields, PATHS_MAX, false, &to->fields, e) ||
        !paths_parse(c, a, "expand", expand, EXPAND_MAX, false, &names, e))
        return false;
    for (size_t i = 0; i < names.n; i++) {
        const struct doc_ref *ref = ref_of(c, names.items[i]);
        if (!ref)
            return err_set(e, ERR_MALFORMED,
                           "expand: `%.*s` is no reference; only fields in `refs` of the collection"
                           " %.*s in dais.yaml can be expanded.",
                           SLICE_ARGS(slice_first(names.items[i]->path, 60)), SLICE_ARGS(c->name));
        if (!has_ref(to, ref))
            to->refs[to->n_refs++] = ref;
    }
    return true;
}

/* ---- one document ---------------------------------------------------------------------------- */

static void free_buf(void *arg)
{
    buf_done(arg);
}

static bool write_one(struct expansion *x, const struct shape *s, const struct json *root,
                      struct buf *to, struct err *e)
{
    struct json_writer w;
    expansion_want(x, root);
    if (!expansion_fetch(x, e))
        return false;
    json_writer_init(&w, to, 0);
    shape_write(&w, s, root);
    expansion_write(x, &w, root);
    json_write_object_end(&w);
    return !to->full || err_set(e, ERR_OVER_BUDGET, "The documents are too large together.");
}

bool docs_shape(const struct docs_reading *r, const struct doc_coll *c, struct slice fields,
                struct slice expand, struct doc *doc, struct err *e)
{
    struct shape s;
    struct json_doc parsed;
    struct arena own;
    if (!fields.len && !expand.len)
        return true;
    if (!shape_parse(&s, c, r->arena, fields, expand, e))
        return false;
    arena_init(&own, DOC_ARENA);
    struct buf *to = arena_new(r->arena, struct buf);
    buf_init(to, 2 * LIST_BYTES);
    arena_defer(r->arena, free_buf, to);
    bool fine = json_parse(&parsed, &own, doc->text, &doc_stored_limits, e) &&
                write_one(expansion_new(r, &s, &own), &s, json_root(&parsed), to, e);
    arena_done(&own);
    if (fine)
        doc->text = buf_slice(to);
    return fine;
}
