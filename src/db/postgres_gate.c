/* Connecting while the database is down: a pause that grows, one attempt at a time, an outcome for
 * all who wait. So a database that comes back is found by the next request, and one that does not
 * is asked a few times a second however many requests there are. */
#include "db/postgres_impl.h"

#include <time.h>

#define PAUSE_MIN_MS 10
#define PAUSE_MAX_MS 120
#define TOLD_MS      1000 /* at most so long a failure that took long is told again */

void pg_gate_init(struct pg_gate *g)
{
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->tried, NULL);
}

void pg_gate_done(struct pg_gate *g)
{
    pthread_cond_destroy(&g->tried);
    pthread_mutex_destroy(&g->lock);
}

static void sleep_until(int64_t ms)
{
    struct timespec at = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

bool pg_gate_enter(struct pg_gate *g, bool is_reader, bool *ret_is_turn, struct err *e)
{
    *ret_is_turn = false;
    pthread_mutex_lock(&g->lock);
    while (g->is_trying) {
        uint64_t round = g->rounds;
        while (g->rounds == round)
            pthread_cond_wait(&g->tried, &g->lock);
        if (!g->fails)
            break;
        if (e)
            *e = g->err;
        pthread_mutex_unlock(&g->lock);
        return false;
    }
    int64_t next_ms = g->next_ms, now_ms = clock_mono_ms();
    bool is_told = is_reader && g->fails && now_ms < g->told_until_ms;
    if (is_told && e)
        *e = g->err;
    *ret_is_turn = g->is_trying = g->fails > 0 && !is_told;
    if (*ret_is_turn)
        g->began_ms = now_ms > next_ms ? now_ms : next_ms;
    pthread_mutex_unlock(&g->lock);
    if (*ret_is_turn)
        sleep_until(next_ms);
    return !is_told;
}

/* With the lock. Of a server that is silent each attempt takes long: who wants to read after it is
 * told the same for a while, or the lanes would make one attempt after the other while their queues
 * grow. A writer refuses all that wait at once. */
static void tell_again(struct pg_gate *g)
{
    int64_t now_ms = clock_mono_ms(), took_ms = now_ms - g->began_ms;
    g->told_until_ms = now_ms + (took_ms < TOLD_MS ? took_ms : TOLD_MS);
}

/* With the lock. Half of it is chance, so that many servers do not come together. */
static void count_failure(struct pg_gate *g)
{
    uint32_t chance;
    random_bytes(&chance, sizeof chance);
    unsigned ms = g->fails < 4 ? PAUSE_MIN_MS << g->fails : PAUSE_MAX_MS;
    g->fails++;
    g->next_ms = clock_mono_ms() + ms / 2 + chance % (ms / 2 + 1);
}

void pg_gate_leave(struct pg_gate *g, bool is_turn, const struct err *e)
{
    pthread_mutex_lock(&g->lock);
    if (e) {
        if (!g->fails)
            log_line(LOG_WARN, "a database connection failed", F_CSTR("reason", e->msg));
        if (is_turn)
            tell_again(g);
        count_failure(g);
        g->err = *e;
    } else {
        if (g->fails)
            log_line(LOG_INFO, "the database is reached again", F_INT("attempts", g->fails));
        g->fails = 0;
    }
    if (is_turn) {
        g->is_trying = false;
        g->rounds++;
        pthread_cond_broadcast(&g->tried);
    }
    pthread_mutex_unlock(&g->lock);
}
