/* The first `max` of many places in an order. */
#pragma once
#include "docs/list_impl.h"

struct heap_item {
    struct place place; /* of `bytes` */
    struct buf bytes;
};
struct heap {
    const struct order *order;
    struct heap_item *items; /* one more than max: for what is offered */
    size_t n, max;
};
void heap_init(struct heap *h, const struct order *o, size_t max);
void heap_done(struct heap *h);
/* Only what comes behind `after` (NULL: all). */
void heap_offer(struct heap *h, const struct json *doc, struct slice id, const struct place *after);
void heap_sort(struct heap *h); /* the last thing done to it: the items are in order */
