/* A hash map from byte strings to pointers, keyed with a per-process secret so that nobody outside
 * can choose colliding keys. Keys are borrowed: they must outlive their entry. */
#pragma once
#include "base/slice.h"

struct map_entry {
    struct slice key;
    void *value; /* never NULL */
};

struct map {
    struct map_entry *entries; /* power of two, open addressing */
    size_t cap, len;
};

void map_init(struct map *m);
void map_done(struct map *m); /* frees the table, not keys or values */

void *map_find(const struct map *m, struct slice key);       /* NULL = absent */
void *map_put(struct map *m, struct slice key, void *value); /* returns what was there, or NULL */
void *map_remove(struct map *m, struct slice key);           /* returns what was there, or NULL */

/* Walks all entries in no order: start with *at = 0; NULL at the end. No changes while walking. */
struct map_entry *map_next(const struct map *m, size_t *at);

uint64_t map_hash(struct slice key); /* SipHash-1-3 with the process's secret */
