/* Creating a document: everything but the row is worked out before the writer has it. */
#include "docs/docs_impl.h"

static void free_buf(void *arg)
{
    buf_done(arg);
}

static struct doc_plan *plan_new(struct arena *a)
{
    struct doc_plan *p = arena_new(a, struct doc_plan);
    buf_init(&p->body, DOC_BYTES_MAX);
    buf_init(&p->shown, DOC_BYTES_MAX);
    arena_defer(a, free_buf, &p->body);
    arena_defer(a, free_buf, &p->shown);
    return p;
}

/* "[{"pointer":…,"code":…,"message":…}]" */
struct slice violations_json(const struct violations *v, struct arena *a)
{
    struct buf b;
    struct json_writer w;
    buf_init(&b, 1u << 20);
    json_writer_init(&w, &b, 0);
    json_write_array(&w);
    for (size_t i = 0; i < v->n; i++) {
        json_write_object(&w);
        json_write_key(&w, SLICE("pointer"));
        json_write_str(&w, v->items[i].pointer);
        json_write_key(&w, SLICE("code"));
        json_write_cstr(&w, v->items[i].code);
        json_write_key(&w, SLICE("message"));
        json_write_str(&w, v->items[i].message);
        json_write_object_end(&w);
    }
    json_write_array_end(&w);
    struct slice text = arena_dup(a, buf_slice(&b));
    buf_done(&b);
    return text;
}

static bool check(struct docs_writing *w, struct doc_change *ch, const struct json *doc,
                  struct err *e)
{
    struct violations v = {.a = w->arena};
    if (!ch->coll->schema || schema_check(ch->coll->schema, doc, &v))
        return true;
    ch->details = violations_json(&v, w->arena);
    return err_set(e, ERR_INVALID, "%.*s %s", SLICE_ARGS(v.items[0].pointer),
                   arena_cstr(w->arena, v.items[0].message));
}

static void make_keys(struct arena *a, const struct doc_coll *c, const struct json *doc,
                      struct doc_plan *p)
{
    struct buf b;
    buf_init(&b, DOC_BYTES_MAX);
    p->keys = arena_alloc(a, c->n_fields * sizeof *p->keys);
    for (size_t i = 0; i < c->n_fields; i++) {
        buf_clear(&b);
        doc_key(&b, doc_field_value(&c->fields[i], doc));
        p->keys[i] = arena_dup(a, buf_slice(&b));
    }
    buf_done(&b);
}

static struct slice now_text(struct arena *a)
{
    char text[RFC3339_LEN + 1];
    clock_rfc3339(clock_wall_ms(), text);
    return arena_dup(a, (struct slice){text, RFC3339_LEN});
}

static struct slice new_id(struct arena *a)
{
    char text[ID_LEN + 1];
    random_id(text);
    return arena_dup(a, (struct slice){text, ID_LEN});
}

bool change_plan(struct docs_writing *w, struct doc_change *ch, struct err *e)
{
    const struct doc_coll *c = ch->coll;
    struct doc_plan *p = ch->plan = plan_new(w->arena);
    struct json_doc whole;
    if (!authorize(w->who, &c->policy, ACTION_CREATE, w->arena, &p->rows, e))
        return false;
    p->meta = (struct doc_meta){.id = ch->id.len ? ch->id : new_id(w->arena),
                                .owner = subject_id(w->who),
                                .version = 1,
                                .created = now_text(w->arena)};
    p->meta.updated = p->meta.created;
    if (!check(w, ch, ch->body, e) || !doc_text(&p->body, &p->meta, ch->body, e) ||
        !json_parse(&whole, w->arena, buf_slice(&p->body), NULL, e))
        return false;
    if (!authorize_row(p->rows, json_root(&whole)))
        return err_set(e, ERR_FORBIDDEN, "The rules do not let you create this document.");
    make_keys(w->arena, c, json_root(&whole), p);
    return !c->conf->hidden.n || doc_text_shown(&p->shown, c, json_root(&whole), e);
}

static void bind_text(struct db_stmt *s, int at, struct slice text)
{
    if (text.len)
        db_bind_text(s, at, text);
    else
        db_bind_null(s, at);
}

bool change_apply(struct docs_writing *w, struct doc_change *ch, struct db_conn *c, struct err *e)
{
    const struct doc_plan *p = ch->plan;
    int64_t n = 0;
    struct db_stmt *s = db_prepare_text(c, ch->coll->sql_insert, e);
    if (!s)
        return false;
    db_bind_text(s, 1 + ROW_ID, p->meta.id);
    db_bind_i64(s, 1 + ROW_VERSION, p->meta.version);
    bind_text(s, 1 + ROW_OWNER, p->meta.owner);
    db_bind_text(s, 1 + ROW_CREATED, p->meta.created);
    db_bind_text(s, 1 + ROW_UPDATED, p->meta.updated);
    bind_text(s, 1 + ROW_AUTHOR, subject_id(w->who));
    bind_text(s, 1 + ROW_LABEL, ch->label);
    db_bind_null(s, 1 + ROW_DELETED);
    db_bind_text(s, 1 + ROW_BODY, buf_slice(&p->body));
    bind_text(s, 1 + ROW_SHOWN, buf_slice(&p->shown));
    for (size_t i = 0; i < ch->coll->n_fields; i++)
        db_bind_blob(s, 1 + ROW_COUNT + (int)i, p->keys[i]);
    if (!db_run(s, &n, e))
        return false;
    if (n == 0)
        return err_set(e, ERR_EXISTS, "There is a document %.*s already.", SLICE_ARGS(p->meta.id));
    ch->is_created = true;
    ch->doc = (struct doc){.id = p->meta.id,
                           .version = p->meta.version,
                           .text = buf_slice(p->shown.len ? &p->shown : &p->body)};
    return true;
}

bool change_finish(struct docs_writing *w, struct doc_change *ch, struct db_conn *c, struct err *e)
{
    (void)w, (void)ch, (void)c, (void)e;
    return true;
}
