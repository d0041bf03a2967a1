/* Kernel randomness, buffered per thread so that a request id costs no system call. */
#include "base/random.h"
#include "base/clock.h"
#include "base/must.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

static _Thread_local unsigned char pool[4096];
static _Thread_local size_t pool_left;

static void fill(unsigned char *to, size_t n)
{
    while (n) {
        ssize_t got = getrandom(to, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        must(got > 0);
        to += got;
        n -= (size_t)got;
    }
}

/* A forked child must not hand out what its parent will. */
static void forget_pool(void)
{
    pool_left = 0;
}

static void watch_forks(void)
{
    must(pthread_atfork(NULL, NULL, forget_pool) == 0);
}

void random_bytes(void *to, size_t n)
{
    if (n > 64) {
        fill(to, n);
        return;
    }
    if (pool_left < n) {
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        pthread_once(&once, watch_forks);
        fill(pool, sizeof pool);
        pool_left = sizeof pool;
    }
    pool_left -= n;
    memcpy(to, pool + pool_left, n);
    memset(pool + pool_left, 0, n); /* never hand the same bytes out twice */
}

void random_id(char to[ID_LEN + 1])
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
    uint64_t ms = (uint64_t)clock_wall_coarse_ms(), noise;
    random_bytes(&noise, sizeof noise);
    for (int i = 9; i >= 0; i--, ms >>= 5)
        to[i] = digits[ms & 31];
    for (int i = 10; i < ID_LEN; i++, noise >>= 5)
        to[i] = digits[noise & 31];
    to[ID_LEN] = '\0';
}
