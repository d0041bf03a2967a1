/* Who a token belongs to, in memory: a table of sets with a lock for each part, and the streams
 * that end with their session.
 *
 * What was read while something ended might be what it was before: `epoch` is raised first, then
 * the table is searched, so an entry is either found by the search or refused by who_put. A stream
 * asks the same of the list of what ended lately, from when its request was identified. */
#include "accounts/accounts_impl.h"

#include "base/map.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS 64
#define SETS   32 /* of a shard */
#define WAYS   8
#define LATELY 4096 /* ends that are remembered for streams; a power of two */

struct entry {
    unsigned char digest[DIGEST_LEN];
    uint64_t session, user; /* their hashes */
    int64_t until_ms;
    uint32_t used; /* by the shard's clock */
    struct known known;
    char bytes[]; /* of it */
};

struct shard {
    pthread_mutex_t lock;
    uint32_t clock;
    struct entry *ways[SETS][WAYS];
};

/* What ended; hashes, 0 for none. */
struct end {
    uint64_t session, user, keep;
    bool is_end; /* else it only changed */
};

struct who_cache {
    _Atomic uint64_t epoch;
    struct shard shards[SHARDS];
    pthread_mutex_t lock;  /* of what follows, and of raising the epoch */
    struct list followers; /* by `asked`, the newest last; new ones behind them */
    uint64_t round;
    struct end lately[LATELY];
};

/* A stream that ends with its session. It is freed on its home loop: by whoever unwatches, or, once
 * it was posted, by what was posted. */
struct follower {
    struct list link;
    struct post post;
    struct session_watch *watch; /* NULL: nobody waits for it any more. The home loop's */
    uint64_t session, user;
    int64_t expires_ms; /* 0: never */
    uint64_t asked;     /* in which round its session was last looked at; 0: not yet */
    bool is_posted;
    uint32_t id_len;
    char id[]; /* of the session */
};

struct who_cache *who_cache_new(void)
{
    struct who_cache *c = mem_new(struct who_cache);
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_init(&c->shards[i].lock, NULL);
    pthread_mutex_init(&c->lock, NULL);
    list_init(&c->followers);
    return c;
}

void who_cache_free(struct who_cache *c)
{
    if (!c)
        return;
    must(list_is_empty(&c->followers));
    for (size_t i = 0; i < SHARDS; i++) {
        for (size_t at = 0; at < SETS * WAYS; at++)
            free(c->shards[i].ways[at / WAYS][at % WAYS]);
        pthread_mutex_destroy(&c->shards[i].lock);
    }
    pthread_mutex_destroy(&c->lock);
    free(c);
}

uint64_t who_epoch(const struct who_cache *c)
{
    return atomic_load(&c->epoch);
}

static uint64_t hash_of(struct slice s)
{
    return s.len ? map_hash(s) | 1 : 0; /* never 0 */
}

static bool is_of(const struct end *end, uint64_t session, uint64_t user)
{
    if (end->session)
        return end->session == session;
    return end->user && end->user == user && !(end->keep && end->keep == session);
}

/* ---- entries --------------------------------------------------------------------------------- */

static size_t size_of(const struct slice *items, size_t n)
{
    size_t size = n * sizeof *items;
    for (size_t i = 0; i < n; i++)
        size += items[i].len;
    return size;
}

/* Two lists first, as they have to be aligned. */
static const struct slice *pack_list(char **at, const struct slice *items, size_t n)
{
    void *to = *at;
    memcpy(to, items, n * sizeof *items);
    *at += n * sizeof *items;
    return to;
}

static struct slice pack(char **at, struct slice s)
{
    struct slice to = {*at, s.len};
    if (s.len)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return to;
}

static void pack_items(char **at, const struct slice *items, size_t n)
{
    struct slice *own = (struct slice *)(uintptr_t)items;
    for (size_t i = 0; i < n; i++)
        own[i] = pack(at, own[i]);
}

static size_t bytes_of(const struct known *k)
{
    return k->session.len + k->user.len + k->email.len + k->name.len +
           size_of(k->roles, k->n_roles) + size_of(k->scopes, k->n_scopes);
}

static void pack_known(struct known *to, const struct known *from, char *at)
{
    *to = *from;
    if (from->n_roles)
        to->roles = pack_list(&at, from->roles, from->n_roles);
    if (from->n_scopes)
        to->scopes = pack_list(&at, from->scopes, from->n_scopes);
    to->session = pack(&at, from->session);
    to->user = pack(&at, from->user);
    to->email = pack(&at, from->email);
    to->name = pack(&at, from->name);
    pack_items(&at, to->roles, to->n_roles);
    pack_items(&at, to->scopes, to->n_scopes);
}

void known_copy(const struct known *from, struct arena *a, struct known *to)
{
    pack_known(to, from, arena_alloc(a, bytes_of(from) + 1));
}

static struct shard *shard_of(struct who_cache *c, const unsigned char *digest)
{
    return &c->shards[digest[0] % SHARDS];
}

static struct entry **set_of(struct shard *s, const unsigned char *digest)
{
    return s->ways[digest[1] % SETS];
}

static struct entry *find_in(struct entry **set, const unsigned char *digest, size_t *ret_way)
{
    for (size_t i = 0; i < WAYS; i++) {
        *ret_way = i;
        if (set[i] && memcmp(set[i]->digest, digest, DIGEST_LEN) == 0)
            return set[i];
    }
    return NULL;
}

static bool holds(const struct entry *it, int64_t now_ms)
{
    const struct known *k = &it->known;
    return now_ms < it->until_ms && (!k->expires_ms || now_ms < k->expires_ms) &&
           (!k->reused_ms || now_ms < k->reused_ms);
}

bool who_find(struct who_cache *c, const unsigned char digest[DIGEST_LEN], struct arena *a,
              int64_t now_ms, struct known *ret)
{
    struct shard *s = shard_of(c, digest);
    size_t way;
    pthread_mutex_lock(&s->lock);
    struct entry *it = find_in(set_of(s, digest), digest, &way);
    bool is_there = it && holds(it, now_ms);
    if (is_there) {
        it->used = ++s->clock;
        known_copy(&it->known, a, ret);
    }
    pthread_mutex_unlock(&s->lock);
    return is_there;
}

/* The same token's place, an empty one, or that of who was not asked for the longest. */
static size_t place_in(const struct shard *s, struct entry **set, const unsigned char *digest)
{
    size_t way, oldest = 0;
    if (find_in(set, digest, &way))
        return way;
    for (size_t i = 0; i < WAYS; i++) {
        if (!set[i])
            return i;
        if (s->clock - set[i]->used > s->clock - set[oldest]->used)
            oldest = i;
    }
    return oldest;
}

void who_put(struct who_cache *c, const unsigned char digest[DIGEST_LEN], const struct known *k,
             uint64_t epoch, int64_t until_ms)
{
    struct shard *s = shard_of(c, digest);
    struct entry **set = set_of(s, digest);
    struct entry *it = mem_alloc(sizeof *it + bytes_of(k));
    *it = (struct entry){
        .session = hash_of(k->session), .user = hash_of(k->user), .until_ms = until_ms};
    memcpy(it->digest, digest, DIGEST_LEN);
    pack_known(&it->known, k, it->bytes);
    pthread_mutex_lock(&s->lock);
    if (atomic_load(&c->epoch) == epoch) {
        size_t way = place_in(s, set, digest);
        struct entry *before = set[way];
        it->used = ++s->clock;
        set[way] = it;
        it = before;
    }
    pthread_mutex_unlock(&s->lock);
    free(it);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void forget_in(struct shard *s, const struct end *end)
{
    pthread_mutex_lock(&s->lock);
    for (size_t at = 0; at < SETS * WAYS; at++) {
        struct entry **it = &s->ways[at / WAYS][at % WAYS];
        if (!*it || !is_of(end, (*it)->session, (*it)->user))
            continue;
        free(*it);
        *it = NULL;
    }
    pthread_mutex_unlock(&s->lock);
}

/* With the lock. */
static void post_end(struct follower *s, struct loop *home)
{
    s->is_posted = true;
    loop_post(home, &s->post);
}

static void raise_epoch(struct who_cache *c, const struct end *end)
{
    pthread_mutex_lock(&c->lock);
    uint64_t epoch = atomic_load(&c->epoch) + 1;
    c->lately[epoch % LATELY] = *end;
    atomic_store(&c->epoch, epoch);
    list_each_safe (link, &c->followers) {
        struct follower *s = container_of(link, struct follower, link);
        if (!end->is_end || !is_of(end, s->session, s->user))
            continue;
        list_remove(&s->link);
        post_end(s, s->watch->home);
    }
    pthread_mutex_unlock(&c->lock);
}

static void forget(struct who_cache *c, const struct end *end)
{
    raise_epoch(c, end);
    for (size_t i = 0; i < SHARDS; i++)
        forget_in(&c->shards[i], end);
}

void cache_end(struct who_cache *c, struct slice user, struct slice session, struct slice keep)
{
    const struct end end = {hash_of(session), hash_of(user), hash_of(keep), true};
    forget(c, &end);
}

void cache_changed(struct who_cache *c, struct slice user, struct slice session)
{
    const struct end end = {hash_of(session), hash_of(user), 0, false};
    forget(c, &end);
}

/* ---- streams --------------------------------------------------------------------------------- */

static void on_end(struct post *p, struct loop *l)
{
    struct follower *s = container_of(p, struct follower, post);
    struct session_watch *w = s->watch;
    (void)l;
    free(s);
    if (!w)
        return;
    w->at = NULL;
    w->ended(w);
}

/* With the lock. Who waited for longer than is remembered has to ask again. */
static bool has_ended(const struct who_cache *c, const struct follower *s, uint64_t since)
{
    uint64_t now = atomic_load(&c->epoch);
    if (now - since >= LATELY)
        return true;
    for (uint64_t at = since + 1; at <= now; at++) {
        const struct end *end = &c->lately[at % LATELY];
        if (end->is_end && is_of(end, s->session, s->user))
            return true;
    }
    return false;
}

void who_watch(struct who_cache *c, const struct identity *who, struct session_watch *w)
{
    struct follower *s = mem_alloc(sizeof *s + who->session.len);
    *s = (struct follower){
        .post.fn = on_end,
        .watch = w,
        .session = hash_of(who->session),
        .user = hash_of(who->id),
        .expires_ms = who->expires_ms,
        .id_len = (uint32_t)who->session.len,
    };
    if (who->session.len)
        memcpy(s->id, who->session.ptr, who->session.len);
    w->at = s;
    pthread_mutex_lock(&c->lock);
    if (has_ended(c, s, who->epoch))
        post_end(s, w->home);
    else
        list_add(&c->followers, &s->link);
    pthread_mutex_unlock(&c->lock);
}

void who_unwatch(struct who_cache *c, struct session_watch *w)
{
    struct follower *s = w->at;
    pthread_mutex_lock(&c->lock);
    w->at = NULL;
    if (s->is_posted)
        s->watch = NULL;
    else
        list_remove(&s->link);
    bool is_ours = !s->is_posted;
    pthread_mutex_unlock(&c->lock);
    if (is_ours)
        free(s);
}

/* ---- a look at them -------------------------------------------------------------------------- */

bool who_watches_any(struct who_cache *c)
{
    pthread_mutex_lock(&c->lock);
    bool any = !list_is_empty(&c->followers);
    pthread_mutex_unlock(&c->lock);
    return any;
}

void who_look_begin(struct who_cache *c, struct arena *a, struct look *ret)
{
    pthread_mutex_lock(&c->lock);
    *ret = (struct look){.arena = a, .first = c->round + 1};
    pthread_mutex_unlock(&c->lock);
}

/* Whom this look has asked for is at the end, and whoever came since is behind them: it is done
 * when it meets one of its own. */
bool who_look_next(struct who_cache *c, struct look *l)
{
    l->n = 0;
    pthread_mutex_lock(&c->lock);
    l->round = ++c->round;
    while (l->n < LOOK_MAX && !list_is_empty(&c->followers)) {
        struct follower *s = container_of(c->followers.next, struct follower, link);
        if (s->asked >= l->first)
            break;
        s->asked = l->round;
        list_remove(&s->link);
        list_add(&c->followers, &s->link);
        l->ids[l->n++] = arena_dup(l->arena, (struct slice){s->id, s->id_len});
    }
    pthread_mutex_unlock(&c->lock);
    return l->n > 0;
}

static int by_session(const void *a, const void *b)
{
    const struct lease *x = a, *y = b;
    return (x->session > y->session) - (x->session < y->session);
}

struct lease lease_of(struct slice session, int64_t expires_ms)
{
    return (struct lease){hash_of(session), expires_ms};
}

/* What was read counts; where nothing could be, the time that was known before. */
static bool lives_on(struct follower *s, const struct look *l, int64_t now_ms)
{
    if (!l->has_failed && s->asked != l->round)
        return true;
    if (!l->has_failed) {
        const struct lease key = {.session = s->session};
        const struct lease *it =
            bsearch(&key, l->leases, l->n_leases, sizeof *l->leases, by_session);
        if (!it)
            return false;
        s->expires_ms = it->expires_ms;
    }
    return !s->expires_ms || now_ms < s->expires_ms;
}

void who_look_told(struct who_cache *c, struct look *l, int64_t now_ms)
{
    qsort(l->leases, l->n_leases, sizeof *l->leases, by_session);
    pthread_mutex_lock(&c->lock);
    list_each_safe (link, &c->followers) {
        struct follower *s = container_of(link, struct follower, link);
        if (lives_on(s, l, now_ms))
            continue;
        list_remove(&s->link);
        post_end(s, s->watch->home);
    }
    pthread_mutex_unlock(&c->lock);
}
