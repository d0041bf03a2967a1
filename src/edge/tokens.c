/* Tokens for backends, signed once a minute for each account: a signature costs twice what passing
 * a request on does. A slot per hash of what a token says; a busy slot only means signing again. */
#include "edge/edge_impl.h"

#include <pthread.h>
#include <stdlib.h>

#define SLOTS  64
#define KEPT_S 60

struct slot {
    struct slice claims, token; /* owned */
    int64_t made_s;
};

struct tokens {
    const struct signer *signer;
    pthread_mutex_t lock;
    struct slot slots[SLOTS];
};

struct tokens *tokens_new(const struct signer *signer)
{
    struct tokens *t = mem_new(struct tokens);
    t->signer = signer;
    must(pthread_mutex_init(&t->lock, NULL) == 0);
    return t;
}

static void forget(struct slot *s)
{
    free((void *)(uintptr_t)s->claims.ptr);
    free((void *)(uintptr_t)s->token.ptr);
    *s = (struct slot){0};
}

void tokens_free(struct tokens *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        forget(&t->slots[i]);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static struct slice own(struct slice s)
{
    struct buf b;
    size_t n;
    buf_init(&b, s.len);
    buf_add(&b, s);
    const char *p = buf_take(&b, &n);
    return (struct slice){p, n};
}

static bool find(struct tokens *t, struct slot *s, struct slice claims, int64_t now_s,
                 struct buf *to)
{
    pthread_mutex_lock(&t->lock);
    bool is_it = s->claims.len && now_s >= s->made_s && now_s - s->made_s < KEPT_S &&
                 slice_eq(s->claims, claims);
    if (is_it)
        buf_add(to, s->token);
    pthread_mutex_unlock(&t->lock);
    return is_it;
}

static void keep(struct tokens *t, struct slot *s, const struct slot *fresh)
{
    pthread_mutex_lock(&t->lock);
    struct slot old = *s;
    *s = *fresh;
    pthread_mutex_unlock(&t->lock);
    forget(&old);
}

void tokens_add(struct tokens *t, struct slice claims, int64_t now_s, struct buf *to)
{
    struct slot *s = &t->slots[map_hash(claims) % SLOTS];
    if (find(t, s, claims, now_s, to))
        return;
    struct buf payload;
    size_t from = to->len;
    must(claims.len > 2 && claims.ptr[claims.len - 1] == '}');
    buf_init(&payload, claims.len + 100);
    buf_add(&payload, slice_first(claims, claims.len - 1));
    buf_printf(&payload, ",\"iat\":%lld,\"exp\":%lld}", (long long)now_s,
               (long long)now_s + TOKEN_S);
    signer_add_token(t->signer, buf_slice(&payload), to);
    buf_done(&payload);
    if (to->full)
        return;
    struct slice token = slice_skip(buf_slice(to), from);
    const struct slot fresh = {own(claims), own(token), now_s};
    keep(t, s, &fresh);
}
