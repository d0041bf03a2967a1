/* A bucket is one moment: when it will be full again. A request moves that moment on by what one
 * token takes to come back, and is refused if it would then lie further ahead than all tokens take.
 * The table is a row of small sets; a key's hash, which nobody outside can choose, says which. */
#include "limit/limit.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/must.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#define WAYS  8 /* buckets of a set: two cache lines */
#define LOCKS 16
#define NS_MS 1000000LL
#define NS_S  1000000000LL

struct bucket {
    uint64_t key;    /* hash; 0: none was here yet */
    int64_t full_ns; /* when it is full again; in the past: now */
};

struct limit {
    int64_t count, per_ns, token_ns;
    size_t sets; /* power of two */
    struct bucket *buckets;
    pthread_mutex_t locks[LOCKS];
};

struct limit *limit_new(int64_t count, int64_t per_ms, size_t keys)
{
    must(count >= 0 && per_ms > 0 && per_ms < INT64_MAX / NS_MS);
    struct limit *l = mem_new(struct limit);
    l->count = count;
    l->per_ns = per_ms * NS_MS;
    l->token_ns = count ? l->per_ns / count : l->per_ns;
    if (l->token_ns == 0)
        l->token_ns = 1;
    l->sets = 1;
    while (l->sets * WAYS < keys)
        l->sets *= 2;
    l->buckets = mmap(NULL, l->sets * WAYS * sizeof *l->buckets, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); /* the kernel's until used */
    if (l->buckets == MAP_FAILED)
        mem_failed(l->sets * WAYS * sizeof *l->buckets);
    for (size_t i = 0; i < LOCKS; i++)
        must(pthread_mutex_init(&l->locks[i], NULL) == 0);
    return l;
}

void limit_free(struct limit *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&l->locks[i]);
    munmap(l->buckets, l->sets * WAYS * sizeof *l->buckets);
    free(l);
}

/* The key's bucket, or the one it would take over. */
static struct bucket *find(struct bucket *set, uint64_t key)
{
    struct bucket *least = set;
    for (struct bucket *b = set; b < set + WAYS; b++) {
        if (b->key == key)
            return b;
        if (b->full_ns < least->full_ns)
            least = b;
    }
    return least;
}

static void take_over(const struct limit *l, struct bucket *b, uint64_t key, int64_t now_ns)
{
    int64_t one_left = now_ns + l->per_ns - l->token_ns;
    b->key = key;
    if (b->full_ns > one_left)
        b->full_ns = one_left;
}

static bool take(const struct limit *l, struct bucket *b, int64_t now_ns, struct limit_state *ret)
{
    int64_t full_ns = b->full_ns > now_ns ? b->full_ns : now_ns;
    int64_t then_ns = full_ns + l->token_ns;
    bool is_fine = l->count && then_ns - now_ns <= l->per_ns;
    if (is_fine)
        b->full_ns = full_ns = then_ns;
    int64_t debt_ns = full_ns - now_ns, wait_ns = then_ns - l->per_ns - now_ns;
    int64_t left = (l->per_ns - debt_ns) / l->token_ns;
    if (!l->count)
        wait_ns = l->per_ns;
    *ret = (struct limit_state){
        .limit = l->count,
        .remaining = !is_fine          ? 0
                     : left < l->count ? left
                                       : l->count,
        .reset_s = (debt_ns + NS_S - 1) / NS_S,
        .retry_s = is_fine ? 0 : (wait_ns + NS_S - 1) / NS_S,
    };
    return is_fine;
}

static uint64_t hash_of(struct slice key)
{
    return map_hash(key) | 1; /* 0 marks a bucket nobody had */
}

/* The key's set, with its lock held. */
static struct bucket *enter(struct limit *l, uint64_t hash, pthread_mutex_t **ret_lock)
{
    size_t set = (size_t)(hash >> 32) & (l->sets - 1);
    *ret_lock = &l->locks[set % LOCKS];
    pthread_mutex_lock(*ret_lock);
    return &l->buckets[set * WAYS];
}

/* The key's bucket, with the lock of its set held. */
static struct bucket *enter_own(struct limit *l, struct slice key, int64_t now_ns,
                                pthread_mutex_t **ret_lock)
{
    uint64_t hash = hash_of(key);
    struct bucket *b = find(enter(l, hash, ret_lock), hash);
    if (b->key != hash)
        take_over(l, b, hash, now_ns);
    return b;
}

bool limit_take(struct limit *l, struct slice key, int64_t now_ns, struct limit_state *ret)
{
    pthread_mutex_t *lock;
    bool is_fine = take(l, enter_own(l, key, now_ns, &lock), now_ns, ret);
    pthread_mutex_unlock(lock);
    return is_fine;
}

bool limit_look(struct limit *l, struct slice key, int64_t now_ns, struct limit_state *ret)
{
    pthread_mutex_t *lock;
    uint64_t hash = hash_of(key);
    struct bucket copy = *find(enter(l, hash, &lock), hash);
    pthread_mutex_unlock(lock);
    if (copy.key != hash)
        take_over(l, &copy, hash, now_ns);
    return take(l, &copy, now_ns, ret);
}

void limit_raise(struct limit *l, struct slice key, int64_t now_ns, int64_t full_ns)
{
    pthread_mutex_t *lock;
    struct bucket *b = enter_own(l, key, now_ns, &lock);
    if (full_ns > now_ns + l->per_ns)
        full_ns = now_ns + l->per_ns;
    if (b->full_ns < full_ns)
        b->full_ns = full_ns;
    pthread_mutex_unlock(lock);
}
