/* Work that gives way to everything else. It has a thread for itself, because a thread that once
 * gave way cannot take that back, and hands it on to those that it makes. */
#include "loop/loop.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#define NICE 10 /* a tenth of what others get, where all want the same core */

struct gentle {
    void (*fn)(void *arg);
    void *arg;
};

static void *gentle_main(void *arg)
{
    const struct gentle *g = arg;
    const struct sched_param none = {0};
    pthread_setschedparam(pthread_self(), SCHED_BATCH, &none); /* wakes up without pushing in */
    setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
    g->fn(g->arg);
    return NULL;
}

void run_gently(void (*fn)(void *arg), void *arg)
{
    struct gentle g = {fn, arg};
    pthread_t thread;
    if (pthread_create(&thread, NULL, gentle_main, &g) == 0)
        pthread_join(thread, NULL);
    else
        fn(arg);
}
