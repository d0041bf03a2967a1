/* The answers that are kept: by address, by what Vary says, by when they were used last. */
#include "base/map.h"
#include "base/mem.h"
#include "edge/edge_impl.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define VARIANTS_MAX 8
#define CHANGES      256u

struct cache {
    pthread_mutex_t lock;
    struct map entries;        /* key -> the first of its variants */
    struct list used;          /* longest ago first */
    size_t max, taken;         /* taken: by what is here, and reserved */
    unsigned changes[CHANGES]; /* how often something was forgotten, by a hash of its key */
};

struct cache *cache_new(size_t max_bytes)
{
    struct cache *c = mem_new(struct cache);
    pthread_mutex_init(&c->lock, NULL);
    map_init(&c->entries);
    list_init(&c->used);
    c->max = max_bytes;
    return c;
}

void cached_unref(struct cached *e)
{
    if (!e || atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) > 1)
        return;
    shared_unref(e->body);
    free(e);
}

/* Out of the map and the list; the map's key is that of the first variant. */
static void take_out(struct cache *c, struct cached *e)
{
    struct cached *first = map_remove(&c->entries, e->key), **at = &first;
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    if (first)
        map_put(&c->entries, first->key, first);
    list_remove(&e->used);
    c->taken -= e->bytes;
    cached_unref(e);
}

void cache_free(struct cache *c)
{
    if (!c)
        return;
    while (!list_is_empty(&c->used))
        take_out(c, container_of(c->used.next, struct cached, used));
    map_done(&c->entries);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

size_t cache_most(const struct cache *c)
{
    return c->max / 8;
}

static bool make_room(struct cache *c, size_t n)
{
    while (c->taken + n > c->max && !list_is_empty(&c->used))
        take_out(c, container_of(c->used.next, struct cached, used));
    return c->taken + n <= c->max;
}

bool cache_reserve(struct cache *c, size_t n)
{
    pthread_mutex_lock(&c->lock);
    bool fits = make_room(c, n);
    c->taken += fits ? n : 0;
    pthread_mutex_unlock(&c->lock);
    return fits;
}

void cache_release(struct cache *c, size_t n)
{
    pthread_mutex_lock(&c->lock);
    c->taken -= n;
    pthread_mutex_unlock(&c->lock);
}

void cache_values(struct buf *to, struct slice names, const struct h1_request *h1)
{
    struct slice name;
    while (list_next(&names, &name)) {
        for (uint32_t i = 0; i < h1->n_headers; i++) {
            if (!slice_eq_nocase(h1->headers[i].name, name))
                continue;
            buf_add(to, h1->headers[i].value);
            buf_add_char(to, ',');
        }
        buf_add_char(to, '\n');
    }
}

static bool is_for(const struct cached *e, const struct h1_request *h1)
{
    if (!e->names.len)
        return true;
    struct buf values;
    buf_init(&values, H1_HEAD_BYTES);
    cache_values(&values, e->names, h1);
    bool is_it = !values.full && slice_eq(buf_slice(&values), e->values);
    buf_done(&values);
    return is_it;
}

struct cached *cache_find(struct cache *c, struct slice key, const struct h1_request *h1,
                          int64_t now_ms, struct cache_found *ret)
{
    pthread_mutex_lock(&c->lock);
    struct cached *e = map_find(&c->entries, key);
    while (e && !is_for(e, h1))
        e = e->next;
    if (e) {
        int64_t age_ms = e->age_ms + now_ms - e->met_ms;
        *ret = (struct cache_found){age_ms < e->fresh_ms, age_ms / 1000};
        list_remove(&e->used);
        list_add(&c->used, &e->used);
        atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&c->lock);
    return e;
}

/* ---- putting -------------------------------------------------------------------------------- */

static struct slice keep(char **at, struct slice text)
{
    struct slice kept = {*at, text.len};
    if (text.len)
        memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return kept;
}

static struct cached *copy(const struct cached *e)
{
    size_t n =
        e->key.len + e->names.len + e->values.len + e->lines.len + e->etag.len + e->changed.len;
    struct cached *own = mem_zalloc(sizeof *own + n);
    char *at = (char *)(own + 1);
    own->key = keep(&at, e->key);
    own->names = keep(&at, e->names);
    own->values = keep(&at, e->values);
    own->lines = keep(&at, e->lines);
    own->etag = keep(&at, e->etag);
    own->changed = keep(&at, e->changed);
    own->body = shared_ref(e->body);
    own->status = e->status;
    own->refs = 1;
    own->bytes = sizeof *own + n + e->body->len;
    return own;
}

static void set_terms(struct cached *e, const struct cache_terms *terms, int64_t now_ms)
{
    e->met_ms = now_ms;
    e->fresh_ms = terms->fresh_ms;
    e->age_ms = terms->age_ms;
}

/* The one for the same request goes, and one more when there are too many. */
static void take_out_equal(struct cache *c, const struct cached *e)
{
    size_t n = 0;
    struct cached *last = NULL, *next;
    for (struct cached *it = map_find(&c->entries, e->key); it; it = next) {
        next = it->next;
        if (slice_eq_nocase(it->names, e->names) && slice_eq(it->values, e->values)) {
            take_out(c, it);
        } else {
            last = it;
            n++;
        }
    }
    if (n >= VARIANTS_MAX)
        take_out(c, last);
}

void cache_put(struct cache *c, const struct cached *e, const struct cache_terms *terms,
               int64_t now_ms)
{
    struct cached *own = copy(e);
    set_terms(own, terms, now_ms);
    pthread_mutex_lock(&c->lock);
    take_out_equal(c, own);
    if (own->bytes <= cache_most(c) && make_room(c, own->bytes)) {
        c->taken += own->bytes;
        own->next = map_remove(&c->entries, own->key);
        map_put(&c->entries, own->key, own);
        list_add(&c->used, &own->used);
    } else {
        cached_unref(own);
    }
    pthread_mutex_unlock(&c->lock);
}

void cache_renew(struct cache *c, struct cached *e, const struct cache_terms *terms, int64_t now_ms)
{
    pthread_mutex_lock(&c->lock);
    set_terms(e, terms, now_ms);
    pthread_mutex_unlock(&c->lock);
}

static unsigned *changes_of(struct cache *c, struct slice key)
{
    return &c->changes[map_hash(key) % CHANGES];
}

unsigned cache_changes(struct cache *c, struct slice key)
{
    pthread_mutex_lock(&c->lock);
    unsigned n = *changes_of(c, key);
    pthread_mutex_unlock(&c->lock);
    return n;
}

void cache_forget(struct cache *c, struct slice key)
{
    struct cached *e;
    pthread_mutex_lock(&c->lock);
    ++*changes_of(c, key);
    while ((e = map_find(&c->entries, key)))
        take_out(c, e);
    pthread_mutex_unlock(&c->lock);
}
