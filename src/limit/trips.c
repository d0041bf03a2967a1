/* Keys that ran out, each told once a minute at most. A row stays for a minute after it was told,
 * so that it is known when to tell it again. */
#include "limit/limit.h"

#include "base/mem.h"
#include "base/must.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct row {
    struct trip trip;
    int64_t told_ms; /* 0: never */
    bool is_taken;
};

struct trips {
    pthread_mutex_t lock;
    struct row rows[TRIPS_MAX];
};

struct trips *trips_new(void)
{
    struct trips *t = mem_new(struct trips);
    must(pthread_mutex_init(&t->lock, NULL) == 0);
    return t;
}

void trips_free(struct trips *t)
{
    if (!t)
        return;
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static bool is_same(const struct trip *a, const struct trip *b)
{
    return a->bucket == b->bucket && strcmp(a->who, b->who) == 0 && strcmp(a->ip, b->ip) == 0;
}

static bool is_over(const struct row *r, int64_t now_ms)
{
    return !r->is_taken || (!r->trip.refused && now_ms - r->told_ms >= TRIPS_EVERY_MS);
}

void trips_add(struct trips *t, const struct trip *trip, int64_t now_ms)
{
    struct row *room = NULL;
    pthread_mutex_lock(&t->lock);
    for (struct row *r = t->rows; r < t->rows + TRIPS_MAX; r++) {
        if (r->is_taken && is_same(&r->trip, trip)) {
            r->trip.refused += trip->refused;
            pthread_mutex_unlock(&t->lock);
            return;
        }
        if (!room && is_over(r, now_ms))
            room = r;
    }
    if (room)
        *room = (struct row){.trip = *trip, .is_taken = true};
    pthread_mutex_unlock(&t->lock);
}

size_t trips_take(struct trips *t, int64_t now_ms, struct trip *to)
{
    size_t n = 0;
    pthread_mutex_lock(&t->lock);
    for (struct row *r = t->rows; r < t->rows + TRIPS_MAX; r++) {
        if (!r->is_taken || !r->trip.refused ||
            (r->told_ms && now_ms - r->told_ms < TRIPS_EVERY_MS))
            continue;
        to[n++] = r->trip;
        r->trip.refused = 0;
        r->told_ms = now_ms;
    }
    pthread_mutex_unlock(&t->lock);
    return n;
}
