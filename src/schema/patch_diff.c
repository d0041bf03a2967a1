/* The difference of two documents as a JSON Patch. */
#include "base/mem.h"
#include "schema/patch.h"
#include "schema/schema_impl.h"

#include <stdlib.h>

struct diff {
    struct json_writer w;
    struct buf pointer;
    struct arena scratch;
};

static void differ(struct diff *d, const struct json *from, const struct json *to);

static void write_op(struct diff *d, const char *op, const struct json *value)
{
    json_write_object(&d->w);
    json_write_key(&d->w, SLICE("op"));
    json_write_cstr(&d->w, op);
    json_write_key(&d->w, SLICE("path"));
    json_write_str(&d->w, buf_slice(&d->pointer));
    if (value) {
        json_write_key(&d->w, SLICE("value"));
        json_write_value(&d->w, value);
    }
    json_write_object_end(&d->w);
}

static void differ_objects(struct diff *d, const struct json *from, const struct json *to)
{
    struct arena_mark mark = arena_mark(&d->scratch);
    struct members before, after;
    size_t depth = d->pointer.len;
    members_init(&before, from, &d->scratch);
    members_init(&after, to, &d->scratch);
    json_each (it, from) {
        const struct json *now = members_find(&after, it.key);
        json_pointer_add(&d->pointer, it.key);
        if (now)
            differ(d, it.value, now);
        else
            write_op(d, "remove", NULL);
        buf_truncate(&d->pointer, depth);
    }
    json_each (it, to) {
        if (members_find(&before, it.key))
            continue;
        json_pointer_add(&d->pointer, it.key);
        write_op(d, "add", it.value);
        buf_truncate(&d->pointer, depth);
    }
    arena_rewind(&d->scratch, mark);
}

static const struct json **items_of(struct diff *d, const struct json *array)
{
    const struct json **items =
        arena_alloc(&d->scratch, (json_len(array) + 1) * sizeof(const struct json *));
    json_each (it, array)
        items[it.index] = it.value;
    return items;
}

static void write_item_op(struct diff *d, const char *op, size_t index, const struct json *value)
{
    size_t depth = d->pointer.len;
    json_pointer_add_index(&d->pointer, index);
    write_op(d, op, value);
    buf_truncate(&d->pointer, depth);
}

/* What is the same at both ends stays; of the middle, pairs are compared, and the rest is taken out
 * from behind or put in. */
static void differ_arrays(struct diff *d, const struct json *from, const struct json *to)
{
    struct arena_mark mark = arena_mark(&d->scratch);
    const struct json **a = items_of(d, from), **b = items_of(d, to);
    size_t n = json_len(from), m = json_len(to), head = 0, depth = d->pointer.len;
    while (head < n && head < m && values_equal(a[head], b[head]))
        head++;
    while (n > head && m > head && values_equal(a[n - 1], b[m - 1]))
        n--, m--;
    size_t both = n < m ? n : m;
    for (size_t i = head; i < both; i++) {
        json_pointer_add_index(&d->pointer, i);
        differ(d, a[i], b[i]);
        buf_truncate(&d->pointer, depth);
    }
    for (size_t i = n; i-- > both;)
        write_item_op(d, "remove", i, NULL);
    for (size_t i = both; i < m; i++)
        write_item_op(d, "add", i, b[i]);
    arena_rewind(&d->scratch, mark);
}

static void differ(struct diff *d, const struct json *from, const struct json *to)
{
    enum json_type type = json_type(from);
    if (type == JSON_OBJECT && json_type(to) == type)
        differ_objects(d, from, to);
    else if (type == JSON_ARRAY && json_type(to) == type)
        differ_arrays(d, from, to);
    else if (!values_equal(from, to))
        write_op(d, "replace", to);
}

void patch_diff(const struct json *from, const struct json *to_doc, struct buf *to)
{
    struct diff *d = mem_new(struct diff);
    arena_init(&d->scratch, 512u << 20);
    buf_init(&d->pointer, 64u << 20);
    json_writer_init(&d->w, to, 0);
    json_write_array(&d->w);
    differ(d, from, to_doc);
    json_write_array_end(&d->w);
    json_writer_done(&d->w);
    buf_done(&d->pointer);
    arena_done(&d->scratch);
    free(d);
}
