/* Open addressing with linear probing; deletion shifts back, so there are no tombstones. */
#include "base/map.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/random.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static uint64_t secret[2];
static pthread_once_t secret_once = PTHREAD_ONCE_INIT;

static void make_secret(void)
{
    random_bytes(secret, sizeof secret);
}

static inline uint64_t rotl(uint64_t x, int b)
{
    return x << b | x >> (64 - b);
}

#define SIP_ROUND(v)                                                \
    do {                                                            \
        v[0] += v[1], v[2] += v[3];                                 \
        v[1] = rotl(v[1], 13) ^ v[0], v[3] = rotl(v[3], 16) ^ v[2]; \
        v[0] = rotl(v[0], 32);                                      \
        v[2] += v[1], v[0] += v[3];                                 \
        v[1] = rotl(v[1], 17) ^ v[2], v[3] = rotl(v[3], 21) ^ v[0]; \
        v[2] = rotl(v[2], 32);                                      \
    } while (0)

uint64_t map_hash(struct slice key)
{
    pthread_once(&secret_once, make_secret);
    uint64_t v[4] = {secret[0] ^ 0x736f6d6570736575u, secret[1] ^ 0x646f72616e646f6du,
                     secret[0] ^ 0x6c7967656e657261u, secret[1] ^ 0x7465646279746573u};
    size_t i = 0;
    for (; i + 8 <= key.len; i += 8) {
        uint64_t word;
        memcpy(&word, key.ptr + i, 8);
        v[3] ^= word;
        SIP_ROUND(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)key.len << 56;
    for (size_t j = 0; i + j < key.len; j++)
        last |= (uint64_t)(unsigned char)key.ptr[i + j] << (8 * j);
    v[3] ^= last;
    SIP_ROUND(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    SIP_ROUND(v);
    SIP_ROUND(v);
    SIP_ROUND(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void map_init(struct map *m)
{
    *m = (struct map){0};
}

void map_done(struct map *m)
{
    free(m->entries);
    *m = (struct map){0};
}

/* The slot of the key, or the empty slot where it would go. */
static size_t slot_of(const struct map *m, struct slice key)
{
    size_t mask = m->cap - 1, i = (size_t)map_hash(key) & mask;
    while (m->entries[i].value && !slice_eq(m->entries[i].key, key))
        i = (i + 1) & mask;
    return i;
}

void *map_find(const struct map *m, struct slice key)
{
    return m->len ? m->entries[slot_of(m, key)].value : NULL;
}

static void grow(struct map *m)
{
    struct map old = *m;
    m->cap = old.cap ? old.cap * 2 : 16;
    m->entries = mem_zalloc(m->cap * sizeof *m->entries);
    for (size_t i = 0; i < old.cap; i++) {
        if (old.entries[i].value)
            m->entries[slot_of(m, old.entries[i].key)] = old.entries[i];
    }
    free(old.entries);
}

void *map_put(struct map *m, struct slice key, void *value)
{
    must(value);
    if (m->len + 1 > m->cap / 4 * 3)
        grow(m);
    struct map_entry *entry = &m->entries[slot_of(m, key)];
    void *was = entry->value;
    if (!was)
        m->len++;
    *entry = (struct map_entry){key, value};
    return was;
}

void *map_remove(struct map *m, struct slice key)
{
    if (m->len == 0)
        return NULL;
    size_t mask = m->cap - 1, hole = slot_of(m, key);
    void *was = m->entries[hole].value;
    if (!was)
        return NULL;
    for (size_t i = (hole + 1) & mask; m->entries[i].value; i = (i + 1) & mask) {
        size_t home = (size_t)map_hash(m->entries[i].key) & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->entries[hole] = m->entries[i];
            hole = i;
        }
    }
    m->entries[hole] = (struct map_entry){0};
    m->len--;
    return was;
}

struct map_entry *map_next(const struct map *m, size_t *at)
{
    while (*at < m->cap) {
        struct map_entry *entry = &m->entries[(*at)++];
        if (entry->value)
            return entry;
    }
    return NULL;
}
