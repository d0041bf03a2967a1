/* Answers of the backend that may be given again (`backend.cache`), after RFC 9111.
 *
 * cache.c keeps them: bounded, the one used longest ago goes first, behind a lock that is held for
 * a look-up only. caching.c decides, for one request, what may be asked, kept and given. */
#pragma once
#include "http/http.h"

struct edge;
struct outgoing;

/* ---- cache.c -------------------------------------------------------------------------------- */

struct cache;

/* One answer; constant, but for what the lock guards. */
struct cached {
    struct slice key;
    struct slice names, values; /* of Vary, and what the request had under these names */
    struct slice lines;         /* as they went to the client, without Age */
    struct slice etag, changed; /* the backend's validators; empty: none */
    struct shared *body;
    int status;
    /* the cache's own */
    _Atomic int refs;
    struct list used;
    struct cached *next; /* for other values of the same key */
    int64_t met_ms, fresh_ms, age_ms;
    size_t bytes;
};
void cached_unref(struct cached *e); /* NULL is fine */

/* For how long an answer is good. */
struct cache_terms {
    int64_t fresh_ms; /* from its making; 0: it must be asked for again each time */
    int64_t age_ms;   /* since then, when it came */
};
struct cache_found {
    bool is_fresh;
    int64_t age_s;
};

struct cache *cache_new(size_t max_bytes);
void cache_free(struct cache *c); /* NULL is fine; any thread, when nobody uses it any more */
size_t cache_most(const struct cache *c); /* bytes of one answer */
/* Room for what is on its way in; others go for it. False: there is none. */
bool cache_reserve(struct cache *c, size_t n);
void cache_release(struct cache *c, size_t n);
/* A reference, or NULL. */
struct cached *cache_find(struct cache *c, struct slice key, const struct h1_request *h1,
                          int64_t now_ms, struct cache_found *ret);
/* Copies all of `e` but the body, of which it gets its own reference; one that was there for the
 * same request goes. Nothing happens when it is too large. */
void cache_put(struct cache *c, const struct cached *e, const struct cache_terms *terms,
               int64_t now_ms);
void cache_renew(struct cache *c, struct cached *e, const struct cache_terms *terms,
                 int64_t now_ms);
void cache_forget(struct cache *c, struct slice key);
/* Another number than before: it was forgotten since, or one like it. */
unsigned cache_changes(struct cache *c, struct slice key);
/* What the request has under the names of a Vary header. */
void cache_values(struct buf *to, struct slice names, const struct h1_request *h1);

/* ---- caching.c ------------------------------------------------------------------------------ */

/* What one request has to do with the cache. Zeroed: nothing. */
struct caching {
    struct cache *cache; /* NULL: nothing */
    struct slice key;
    struct cached *stale; /* asked for again */
    struct cached keeping;
    struct cache_terms terms;
    struct buf body;
    size_t reserved;
    uint64_t length;  /* of the body; UINT64_MAX: its end says */
    unsigned changes; /* of the key, when the backend was asked */
    bool is_keeping;
};
/* True: it was answered. False: the backend is asked, with o->condition if that is not empty. */
bool caching_begin(struct caching *k, struct cache *c, struct req *rq, struct outgoing *o);
/* The answer's head is there, `lines` is what goes to the client. True: it was answered. */
bool caching_meet(struct caching *k, struct req *rq, const struct outgoing *o,
                  const struct h1_response *answer, struct slice lines);
void caching_take(struct caching *k, struct req *rq, struct slice piece, bool is_last);
void caching_end(struct caching *k);
/* May it be given again, and for how long? `control` is the manifest's Cache-Control, or empty. */
bool caching_judge(const struct h1_response *answer, struct slice control, struct cache_terms *ret);
