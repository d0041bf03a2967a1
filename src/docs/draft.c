/* A document as it is to be stored: its texts, its keys, and whether its schema lets it in. */
#include "docs/search_impl.h"

static void free_buf(void *arg)
{
    buf_done(arg);
}

struct doc_draft *draft_new(const struct doc_coll *c, struct arena *a)
{
    struct doc_draft *d = arena_new(a, struct doc_draft);
    d->coll = c;
    d->keys = arena_zalloc(a, c->n_fields * sizeof *d->keys);
    buf_init(&d->body, DOC_BYTES_MAX);
    buf_init(&d->shown, DOC_BYTES_MAX);
    arena_defer(a, free_buf, &d->body);
    arena_defer(a, free_buf, &d->shown);
    return d;
}

static void make_keys(struct doc_draft *d, struct arena *a)
{
    struct buf b;
    buf_init(&b, DOC_BYTES_MAX);
    for (size_t i = 0; i < d->coll->n_fields; i++) {
        buf_clear(&b);
        doc_key(&b, doc_field_value(&d->coll->fields[i], d->own));
        d->keys[i] = arena_dup(a, buf_slice(&b));
    }
    buf_done(&b);
}

const struct json *draft_whole(struct doc_draft *d, struct arena *a, struct err *e)
{
    if (!d->whole)
        d->whole = doc_whole(&d->meta, d->own, a, e);
    return d->whole;
}

bool draft_write(struct doc_draft *d, const struct json *own, struct arena *a, struct err *e)
{
    d->own = own;
    d->whole = NULL;
    buf_clear(&d->body);
    buf_clear(&d->shown);
    if (!doc_text(&d->body, &d->meta, own, e))
        return false;
    make_keys(d, a);
    d->words = search_row_words(d->coll, own, a);
    if (!d->coll->conf->hidden.n)
        return true;
    return draft_whole(d, a, e) && doc_text_shown(&d->shown, d->coll, d->whole, e);
}

struct doc doc_of_draft(const struct doc_draft *d)
{
    return (struct doc){.id = d->meta.id,
                        .version = d->meta.version,
                        .text = buf_slice(d->shown.len ? &d->shown : &d->body)};
}

/* ---- what is wrong with it ------------------------------------------------------------------- */

#define DETAILS_BYTES (256u << 10)

static void write_violation(struct json_writer *w, const struct violation *v)
{
    json_write_object(w);
    json_write_key(w, SLICE("pointer"));
    json_write_str(w, v->pointer);
    json_write_key(w, SLICE("code"));
    json_write_cstr(w, v->code);
    json_write_key(w, SLICE("message"));
    json_write_str(w, v->message);
    json_write_object_end(w);
}

/* "[{"pointer":…,"code":…,"message":…}]"; those that no longer fit are left out. */
struct slice violations_json(const struct violations *v, struct arena *a)
{
    struct buf all, one;
    buf_init(&all, DETAILS_BYTES);
    buf_init(&one, DETAILS_BYTES);
    buf_add_str(&all, "[");
    for (size_t i = 0; i < v->n; i++) {
        struct json_writer w;
        buf_clear(&one);
        json_writer_init(&w, &one, 0);
        write_violation(&w, &v->items[i]);
        if (one.full || all.len + one.len + 2 > DETAILS_BYTES)
            continue;
        buf_add_str(&all, all.len > 1 ? "," : "");
        buf_add(&all, buf_slice(&one));
    }
    buf_add_str(&all, "]");
    struct slice text = arena_dup(a, buf_slice(&all));
    buf_done(&all);
    buf_done(&one);
    return text;
}

void violations_add(struct violations *v, struct slice pointer, const char *code,
                    const char *message)
{
    struct violation *items;
    if (v->n == SCHEMA_VIOLATIONS_MAX) {
        v->n_more++;
        return;
    }
    items = arena_alloc(v->a, (v->n + 1) * sizeof *items);
    for (size_t i = 0; i < v->n; i++)
        items[i] = v->items[i];
    items[v->n++] = (struct violation){
        .pointer = arena_dup(v->a, pointer), .code = code, .message = slice_from(message)};
    v->items = items;
}

bool violations_none(const struct violations *v, enum err_code code, struct doc_change *ch,
                     struct err *e)
{
    if (!v->n)
        return true;
    const struct violation *first = &v->items[0];
    struct slice pointer = slice_first(first->pointer, 100);
    ch->details = violations_json(v, v->a);
    return err_set(e, code, "%.*s%s%.*s.", SLICE_ARGS(pointer), pointer.len ? " " : "The document ",
                   SLICE_ARGS(slice_first(first->message, 120)));
}

bool draft_check(const struct doc_coll *c, const struct json *own, struct doc_change *ch,
                 struct arena *a, struct err *e)
{
    struct violations v = {.a = a};
    bool fine = !c->schema || schema_check(c->schema, own, &v);
    for (size_t i = 0; i < c->n_checks; i++)
        fine &= doc_check_holds(c->checks[i], own, &v);
    return fine || violations_none(&v, ERR_INVALID, ch, e);
}
