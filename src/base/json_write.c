/* Streaming JSON writer: straight into a buf, commas by itself, misuse is a must(). */
#include "base/json.h"
#include "base/json_impl.h"

#include <math.h>
#include <string.h>

void json_writer_init(struct json_writer *w, struct buf *to, unsigned flags)
{
    *w = (struct json_writer){.to = to, .flags = flags};
}

void json_writer_done(const struct json_writer *w)
{
    must(w->done);
}

ALWAYS_INLINE void put(struct buf *to, char c)
{
    if (LIKELY(!to->full && to->cap - to->len >= 2)) {
        to->data[to->len++] = c;
        to->data[to->len] = '\0';
    } else {
        buf_add_char(to, c);
    }
}

ALWAYS_INLINE bool in_object(const struct json_writer *w)
{
    unsigned level = w->depth - 1;
    return w->depth && (w->objects[level / 64] >> level % 64 & 1);
}

/* Everything that may stand where a value may: puts the comma and keeps the books. */
ALWAYS_INLINE void before_value(struct json_writer *w)
{
    must(!w->done);
    if (w->keyed)
        w->keyed = false;
    else if (w->depth) {
        must(!in_object(w));
        if (!w->first)
            put(w->to, ',');
    }
    w->first = false;
    w->done = w->depth == 0;
}

static void open_level(struct json_writer *w, bool object)
{
    before_value(w);
    must(w->depth < JSON_WRITE_DEPTH);
    uint64_t bit = (uint64_t)1 << w->depth % 64;
    uint64_t *word = &w->objects[w->depth / 64];
    *word = object ? *word | bit : *word & ~bit;
    w->depth++;
    w->first = true;
    w->done = false;
    put(w->to, object ? '{' : '[');
}

static void close_level(struct json_writer *w, bool object)
{
    must(w->depth && in_object(w) == object && !w->keyed);
    put(w->to, object ? '}' : ']');
    w->depth--;
    w->first = false;
    w->done = w->depth == 0;
}

void json_write_object(struct json_writer *w)
{
    open_level(w, true);
}

void json_write_object_end(struct json_writer *w)
{
    close_level(w, true);
}

void json_write_array(struct json_writer *w)
{
    open_level(w, false);
}

void json_write_array_end(struct json_writer *w)
{
    close_level(w, false);
}

void json_write_key(struct json_writer *w, struct slice key)
{
    must(in_object(w) && !w->keyed);
    if (!w->first)
        put(w->to, ',');
    json_escape(w->to, key, w->flags);
    put(w->to, ':');
    w->first = false;
    w->keyed = true;
}

void json_write_raw(struct json_writer *w, struct slice json)
{
    before_value(w);
    struct buf *to = w->to;
    if (UNLIKELY(to->full || to->cap - to->len <= json.len || json.len == 0)) {
        buf_add(to, json);
        return;
    }
    memcpy(to->data + to->len, json.ptr, json.len);
    to->len += json.len;
    to->data[to->len] = '\0';
}

void json_write_str(struct json_writer *w, struct slice s)
{
    before_value(w);
    json_escape(w->to, s, w->flags);
}

void json_write_cstr(struct json_writer *w, const char *s)
{
    if (s)
        json_write_str(w, slice_from(s));
    else
        json_write_null(w);
}

void json_write_u64(struct json_writer *w, uint64_t v)
{
    before_value(w);
    buf_add_u64(w->to, v);
}

void json_write_i64(struct json_writer *w, int64_t v)
{
    before_value(w);
    if (v < 0)
        put(w->to, '-');
    buf_add_u64(w->to, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void json_write_double(struct json_writer *w, double v)
{
    char text[JSON_DOUBLE_MAX];
    if (isfinite(v))
        json_write_raw(w, (struct slice){text, json_format_double(v, text)});
    else
        json_write_null(w);
}

void json_write_bool(struct json_writer *w, bool v)
{
    json_write_raw(w, v ? SLICE("true") : SLICE("false"));
}

void json_write_null(struct json_writer *w)
{
    json_write_raw(w, SLICE("null"));
}

static void write_scalar(struct json_writer *w, const struct json *v)
{
    if (v->type == JSON_STRING)
        json_write_str(w, (struct slice){v->ptr, v->len});
    else if (v->type == JSON_NUMBER)
        json_write_raw(w, (struct slice){v->ptr, v->len});
    else if (v->type == JSON_BOOL)
        json_write_bool(w, v->len);
    else
        json_write_null(w);
}

/* The tape is already in the order of the text; a stack of what is left tells where levels end. */
void json_write_value(struct json_writer *w, const struct json *v)
{
    uint32_t left[JSON_DEPTH_MAX + 1];
    unsigned level = 0;
    if (!v) {
        json_write_null(w);
        return;
    }
    left[0] = 1;
    for (;;) {
        while (left[level] == 0) {
            close_level(w, in_object(w));
            if (--level == 0)
                return;
        }
        left[level]--;
        if (level && in_object(w)) {
            json_write_key(w, (struct slice){v->ptr, v->len});
            v++;
        }
        if (v->type < JSON_ARRAY) {
            write_scalar(w, v);
            if (level == 0)
                return;
        } else {
            open_level(w, v->type == JSON_OBJECT);
            must(level < JSON_DEPTH_MAX);
            left[++level] = v->len;
        }
        v++;
    }
}
