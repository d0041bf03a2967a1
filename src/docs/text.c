/* The text of a document: dais's own fields first, then the app's, as it is stored and sent. */
#include "docs/docs_impl.h"

const struct json_limits doc_stored_limits = {.max_depth = JSON_DEPTH_MAX,
                                              .max_nodes = JSON_NODES_DEFAULT + 1000};

bool doc_id_is_good(struct slice id)
{
    if (id.len < DOC_ID_MIN || id.len > DOC_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-'))
            return false;
    }
    return true;
}

static bool fits(const struct buf *to, struct err *e)
{
    if (!to->full)
        return true;
    return err_set(e, ERR_BODY_TOO_LARGE, "A document may have at most %u MB.",
                   DOC_BYTES_MAX >> 20);
}

static void write_own(struct json_writer *w, const struct json *own)
{
    json_each (it, own) {
        if (doc_name_is_system(it.key))
            continue;
        json_write_key(w, it.key);
        json_write_value(w, it.value);
    }
}

bool doc_text(struct buf *to, const struct doc_meta *meta, const struct json *own, struct err *e)
{
    struct json_writer w;
    json_writer_init(&w, to, 0);
    json_write_object(&w);
    json_write_key(&w, SLICE("id"));
    json_write_str(&w, meta->id);
    json_write_key(&w, SLICE("version"));
    json_write_i64(&w, meta->version);
    json_write_key(&w, SLICE("owner"));
    if (meta->owner.len)
        json_write_str(&w, meta->owner);
    else
        json_write_null(&w);
    json_write_key(&w, SLICE("created"));
    json_write_str(&w, meta->created);
    json_write_key(&w, SLICE("updated"));
    json_write_str(&w, meta->updated);
    write_own(&w, own);
    json_write_object_end(&w);
    return fits(to, e);
}

static bool starts_with(struct slice path, const struct slice *steps, size_t n_steps,
                        struct slice *ret_rest)
{
    struct slice step;
    for (size_t i = 0; i < n_steps; i++) {
        if (!slice_cut(&path, '.', &step) || !slice_eq(step, steps[i]))
            return false;
    }
    *ret_rest = path;
    return true;
}

int doc_path_hides(const struct doc_coll *c, const struct slice *steps, size_t n_steps)
{
    const struct texts *hidden = &c->conf->hidden;
    int worst = 0;
    struct slice rest;
    for (size_t i = 0; i < hidden->n; i++) {
        if (starts_with(hidden->items[i].s, steps, n_steps, &rest) && worst < 2)
            worst = rest.len ? 1 : 2;
    }
    return worst;
}

struct hiding {
    const struct doc_coll *coll;
    struct slice steps[16];
    size_t depth;
};

static void write_shown(struct json_writer *w, const struct json *object, struct hiding *h);

/* Of a list, each item: as deep as a document is. */
static void write_inside(struct json_writer *w, const struct json *value, struct hiding *h)
{
    if (json_type(value) == JSON_OBJECT) {
        write_shown(w, value, h);
        return;
    }
    if (json_type(value) != JSON_ARRAY) {
        json_write_value(w, value);
        return;
    }
    json_write_array(w);
    json_each (it, value)
        write_inside(w, it.value, h);
    json_write_array_end(w);
}

/* As deep as hidden paths are, which is 16 at most. */
static void write_shown(struct json_writer *w, const struct json *object, struct hiding *h)
{
    json_write_object(w);
    json_each (it, object) {
        bool is_in = h->depth < sizeof h->steps / sizeof *h->steps;
        if (is_in)
            h->steps[h->depth++] = it.key;
        int hidden = is_in ? doc_path_hides(h->coll, h->steps, h->depth) : 0;
        if (hidden < 2)
            json_write_key(w, it.key);
        if (hidden == 1)
            write_inside(w, it.value, h);
        else if (hidden < 2)
            json_write_value(w, it.value);
        h->depth -= is_in;
    }
    json_write_object_end(w);
}

bool doc_text_shown(struct buf *to, const struct doc_coll *c, const struct json *doc, struct err *e)
{
    struct json_writer w;
    struct hiding h = {.coll = c};
    json_writer_init(&w, to, 0);
    write_shown(&w, doc, &h);
    return fits(to, e);
}
