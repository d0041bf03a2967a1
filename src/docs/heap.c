/* The first of many in an order: a heap with the last of them on top, for lists that no database
 * sorts. It holds keys and ids, not documents. */
#include "docs/heap_impl.h"

#include <stdlib.h>

void heap_init(struct heap *h, const struct order *o, size_t max)
{
    *h = (struct heap){.order = o, .max = max};
    h->items = mem_zalloc((max + 1) * sizeof *h->items);
}

void heap_done(struct heap *h)
{
    for (size_t i = 0; i <= h->max; i++)
        buf_done(&h->items[i].bytes);
    free(h->items);
}

/* Slices only when all bytes are there: the buf moves as it grows. */
static void fill(struct heap_item *to, const struct order *o, const struct json *doc,
                 struct slice id)
{
    size_t ends[SORT_TERMS] = {0}, from = 0;
    if (!to->bytes.max)
        buf_init(&to->bytes, 2 * DOC_BYTES_MAX);
    buf_clear(&to->bytes);
    for (size_t i = 0; i < o->n; i++) {
        order_key(&to->bytes, o->terms[i].field, doc);
        ends[i] = to->bytes.len;
    }
    buf_add(&to->bytes, id);
    struct slice all = buf_slice(&to->bytes);
    for (size_t i = 0; i < o->n; i++) {
        to->place.keys[i] = (struct slice){all.ptr + from, ends[i] - from};
        from = ends[i];
    }
    to->place.id = slice_skip(all, from);
}

static bool is_before(const struct heap *h, size_t a, size_t b)
{
    return place_cmp(h->order, &h->items[a].place, &h->items[b].place) < 0;
}

static void exchange(struct heap *h, size_t a, size_t b)
{
    struct heap_item item = h->items[a];
    h->items[a] = h->items[b];
    h->items[b] = item;
}

static void rise(struct heap *h, size_t i)
{
    while (i > 0 && is_before(h, (i - 1) / 2, i)) {
        exchange(h, i, (i - 1) / 2);
        i = (i - 1) / 2;
    }
}

static void sink(struct heap *h, size_t i)
{
    for (;;) {
        size_t last = i, left = 2 * i + 1;
        if (left < h->n && is_before(h, last, left))
            last = left;
        if (left + 1 < h->n && is_before(h, last, left + 1))
            last = left + 1;
        if (last == i)
            return;
        exchange(h, i, last);
        i = last;
    }
}

void heap_offer(struct heap *h, const struct json *doc, struct slice id, const struct place *after)
{
    struct heap_item *fresh = &h->items[h->n]; /* one more than fits */
    fill(fresh, h->order, doc, id);
    if (after && place_cmp(h->order, &fresh->place, after) <= 0)
        return;
    if (h->n < h->max) {
        rise(h, h->n++);
    } else if (is_before(h, h->n, 0)) {
        exchange(h, 0, h->n);
        sink(h, 0);
    }
}

static int compare(const void *a, const void *b, void *order)
{
    const struct heap_item *x = a, *y = b;
    return place_cmp(order, &x->place, &y->place);
}

void heap_sort(struct heap *h)
{
    qsort_r(h->items, h->n, sizeof *h->items, compare, (void *)(uintptr_t)h->order);
}
