/* Trees of documents: with and without dais's own fields, with and without what is hidden. A tree
 * is a flat run of values, so that taking members off it or adding some copies the rest at once. */
#include "docs/docs_impl.h"

#include <string.h>

#define N_SYSTEM      5
#define ARENA_TIMES   24         /* of a document's bytes: its trees */
#define ARENA_RESERVE (1u << 20) /* for what is small */

void doc_arena_grow(struct arena *a, size_t n_bytes)
{
    size_t cap = a->used_bytes + n_bytes * ARENA_TIMES + 2 * ARENA_RESERVE;
    if (a->cap_bytes < cap)
        a->cap_bytes = cap;
}

bool doc_parse(struct arena *a, struct slice text, const struct json_limits *limits,
               struct json_doc *ret, struct err *e)
{
    size_t cap = a->cap_bytes;
    a->cap_bytes = cap > ARENA_RESERVE ? cap - ARENA_RESERVE : 0;
    bool fine = json_parse(ret, a, text, limits, e);
    a->cap_bytes = cap;
    return fine;
}

static struct json *room(struct arena *a, size_t n, struct err *e)
{
    bool fits = a->used_bytes + n * sizeof(struct json) + ARENA_RESERVE < a->cap_bytes;
    struct json *nodes = fits ? arena_try_alloc(a, n * sizeof *nodes) : NULL;
    if (!nodes)
        err_set(e, ERR_BODY_TOO_LARGE, "The document has too many values.");
    return nodes;
}

static size_t span_of(const struct json *v)
{
    return json_type(v) >= JSON_ARRAY ? v->span : 1;
}

const struct json *doc_own(const struct json *doc, struct arena *a, struct err *e)
{
    size_t n = 1, n_taken = 0;
    json_each (it, doc)
        n_taken += doc_name_is_system(it.key);
    if (!n_taken)
        return doc;
    struct json *own = room(a, doc->span, e);
    if (!own)
        return NULL;
    own[0] = doc[0];
    json_each (it, doc) {
        size_t span = 1 + span_of(it.value);
        if (doc_name_is_system(it.key))
            continue;
        memcpy(own + n, it.value - 1, span * sizeof *own);
        n += span;
    }
    own[0].len -= (uint32_t)n_taken;
    own[0].span = n;
    return own;
}

static struct json string(struct slice s)
{
    return (struct json){.type = JSON_STRING, .len = (uint32_t)s.len, .ptr = s.ptr};
}

const struct json *doc_whole(const struct doc_meta *meta, const struct json *own, struct arena *a,
                             struct err *e)
{
    struct slice version = arena_printf(a, "%lld", (long long)meta->version);
    struct json number = string(version);
    struct json *whole = room(a, own->span + 2 * (size_t)N_SYSTEM, e);
    if (!whole)
        return NULL;
    number.type = JSON_NUMBER;
    const struct json head[] = {
        own[0],
        string(SLICE("id")),
        string(meta->id),
        string(SLICE("version")),
        number,
        string(SLICE("owner")),
        meta->owner.len ? string(meta->owner) : (struct json){.type = JSON_NULL},
        string(SLICE("created")),
        string(meta->created),
        string(SLICE("updated")),
        string(meta->updated),
    };
    memcpy(whole, head, sizeof head);
    memcpy(whole + sizeof head / sizeof *head, own + 1, (own->span - 1) * sizeof *own);
    whole[0].len += N_SYSTEM;
    whole[0].span += 2 * (size_t)N_SYSTEM;
    return whole;
}

/* ---- by way of a text ------------------------------------------------------------------------ */

static void free_buf(void *arg)
{
    buf_done(arg);
}

const struct json *doc_written(doc_writer fn, void *user, struct arena *a, struct err *e)
{
    struct json_doc doc;
    struct err parsing;
    struct buf *text = arena_new(a, struct buf);
    buf_init(text, DOC_BYTES_MAX);
    arena_defer(a, free_buf, text);
    if (!fn(user, text, e))
        return NULL;
    if (text->full) {
        err_set(e, ERR_BODY_TOO_LARGE, "A document may have at most %u MB.", DOC_BYTES_MAX >> 20);
        return NULL;
    }
    doc_arena_grow(a, text->len);
    if (doc_parse(a, buf_slice(text), NULL, &doc, &parsing))
        return json_root(&doc);
    err_set(e, parsing.code == ERR_JSON ? ERR_INVALID : parsing.code,
            "The document would be nested too deeply, or have too many values.");
    return NULL;
}

struct showing {
    const struct doc_coll *coll;
    const struct json *from, *to;
};

static bool write_shown(void *user, struct buf *to, struct err *e)
{
    const struct showing *s = user;
    return doc_text_shown(to, s->coll, s->from, e);
}

const struct json *doc_shown(const struct doc_coll *c, const struct json *doc, struct arena *a,
                             struct err *e)
{
    struct showing s = {.coll = c, .from = doc};
    return c->conf->hidden.n ? doc_written(write_shown, &s, a, e) : doc;
}

/* In objects as deep as hidden paths are, which is 16 at most; in lists as deep as they are. */
static bool has_hidden(const struct doc_coll *c, const struct json *doc, struct slice *steps,
                       size_t depth)
{
    json_each (it, doc) {
        if (json_type(doc) == JSON_ARRAY) {
            if (json_type(it.value) >= JSON_ARRAY && has_hidden(c, it.value, steps, depth))
                return true;
            continue;
        }
        steps[depth] = it.key;
        int hides = doc_path_hides(c, steps, depth + 1);
        if (hides == 2 && json_type(it.value) != JSON_NULL) /* a merge patch takes it away */
            return true;
        if (hides == 1 && depth + 1 < 16 && json_type(it.value) >= JSON_ARRAY &&
            has_hidden(c, it.value, steps, depth + 1))
            return true;
    }
    return false;
}

bool doc_has_hidden(const struct doc_coll *c, const struct json *doc)
{
    struct slice steps[16];
    return c->conf->hidden.n && json_type(doc) == JSON_OBJECT && has_hidden(c, doc, steps, 0);
}

static void write_kept(struct json_writer *w, const struct showing *s, const struct json *from,
                       const struct json *to, struct slice *steps, size_t depth);

/* Lists are kept item by item, if they are as long as they were: else nobody knows which is which.
 */
static void write_kept_inside(struct json_writer *w, const struct showing *s,
                              const struct json *from, const struct json *to, struct slice *steps,
                              size_t depth)
{
    if (json_type(from) == JSON_OBJECT && json_type(to) == JSON_OBJECT) {
        write_kept(w, s, from, to, steps, depth);
        return;
    }
    if (json_type(from) != JSON_ARRAY || json_type(to) != JSON_ARRAY ||
        json_len(from) != json_len(to)) {
        json_write_value(w, to);
        return;
    }
    const struct json *old = from + 1;
    json_write_array(w);
    json_each (it, to) {
        write_kept_inside(w, s, old, it.value, steps, depth);
        old += json_type(old) >= JSON_ARRAY ? old->span : 1;
    }
    json_write_array_end(w);
}

/* As deep as hidden paths are, which is 16 at most: the others are never looked into. */
static void write_kept(struct json_writer *w, const struct showing *s, const struct json *from,
                       const struct json *to, struct slice *steps, size_t depth)
{
    json_write_object(w);
    json_each (it, to) {
        const struct json *old = json_find(from, it.key);
        json_write_key(w, it.key);
        steps[depth] = it.key;
        if (depth + 1 < 16 && old && doc_path_hides(s->coll, steps, depth + 1) == 1)
            write_kept_inside(w, s, old, it.value, steps, depth + 1);
        else
            json_write_value(w, it.value);
    }
    json_each (it, from) {
        steps[depth] = it.key;
        if (doc_path_hides(s->coll, steps, depth + 1) < 2 || json_find(to, it.key))
            continue;
        json_write_key(w, it.key);
        json_write_value(w, it.value);
    }
    json_write_object_end(w);
}

static bool write_with_hidden(void *user, struct buf *to, struct err *e)
{
    const struct showing *s = user;
    struct json_writer w;
    struct slice steps[16];
    (void)e;
    json_writer_init(&w, to, 0);
    write_kept(&w, s, s->from, s->to, steps, 0);
    return true;
}

const struct json *doc_keep_hidden(const struct doc_coll *c, const struct json *from,
                                   const struct json *to, struct arena *a, struct err *e)
{
    struct showing s = {.coll = c, .from = from, .to = to};
    return c->conf->hidden.n ? doc_written(write_with_hidden, &s, a, e) : to;
}
