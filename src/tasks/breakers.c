/* Circuit breakers of webhooks: whoever failed five times in a row is left alone for a while, and
 * one call finds out whether it is back. An app knows nothing of what others' calls met. */
#include "base/sha256.h"
#include "tasks/tasks_impl.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

const struct breaker_rule breakers_rule = {
    .failures = 5, .pause_ms = 30000, .pause_max_ms = 10 * 60000};

/* Only places that have failed have a row. */
struct row {
    unsigned char key[SHA256_LEN];
    struct breaker breaker;
    int64_t used_ms; /* 0: free */
};
struct breakers {
    pthread_mutex_t lock;
    struct row rows[BREAKERS_MAX];
};

struct breakers *breakers_new(void)
{
    struct breakers *b = mem_new(struct breakers);
    pthread_mutex_init(&b->lock, NULL);
    return b;
}

void breakers_free(struct breakers *b)
{
    if (!b)
        return;
    pthread_mutex_destroy(&b->lock);
    free(b);
}

static void key_of(const struct breaker_turn *t, unsigned char key[SHA256_LEN])
{
    struct sha256 h;
    sha256_init(&h);
    sha256_add(&h, t->app);
    sha256_add(&h, SLICE("\n"));
    sha256_add(&h, t->origin);
    sha256_end(&h, key);
}

static struct row *find(struct breakers *b, const unsigned char key[SHA256_LEN])
{
    for (size_t i = 0; i < BREAKERS_MAX; i++) {
        if (b->rows[i].used_ms && memcmp(b->rows[i].key, key, SHA256_LEN) == 0)
            return &b->rows[i];
    }
    return NULL;
}

static struct row *make(struct breakers *b, const unsigned char key[SHA256_LEN])
{
    struct row *oldest = &b->rows[0];
    for (size_t i = 1; i < BREAKERS_MAX; i++) {
        if (b->rows[i].used_ms < oldest->used_ms)
            oldest = &b->rows[i];
    }
    *oldest = (struct row){0};
    memcpy(oldest->key, key, SHA256_LEN);
    return oldest;
}

bool breakers_enter(struct breakers *b, struct breaker_turn *t, int64_t now_ms, int64_t *ret_ms)
{
    unsigned char key[SHA256_LEN];
    bool may = true;
    key_of(t, key);
    t->is_probe = false;
    pthread_mutex_lock(&b->lock);
    struct row *row = find(b, key);
    if (row) {
        row->used_ms = now_ms;
        may = breaker_enter(&row->breaker, now_ms, &t->is_probe, ret_ms);
    }
    pthread_mutex_unlock(&b->lock);
    return may;
}

void breakers_leave(struct breakers *b, const struct breaker_turn *t, enum breaker_news news,
                    int64_t now_ms)
{
    unsigned char key[SHA256_LEN];
    key_of(t, key);
    pthread_mutex_lock(&b->lock);
    struct row *row = find(b, key);
    if (!row && news == BREAKER_FAILED)
        row = make(b, key);
    if (row) {
        row->used_ms = now_ms;
        if (news != BREAKER_UNKNOWN)
            breaker_tell(&row->breaker, &breakers_rule, news == BREAKER_FINE, now_ms);
        breaker_leave(&row->breaker, t->is_probe);
        if (!row->breaker.failures)
            *row = (struct row){0};
    }
    pthread_mutex_unlock(&b->lock);
}
