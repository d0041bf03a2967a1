/* Worker threads that serve several queues, each with its own limit of workers.
 *
 * A worker takes the oldest work of all lanes that may use one more worker, so that many reads
 * starve nobody. The write lane has one worker, so its work never overlaps; the slow lane has at
 * most half, so that quick work always finds somebody. Passwords have workers of their own, so that
 * a flood of them takes none away; so have disks and object stores, and tasks of jobs, which may
 * keep many waiting that use no processor meanwhile, and whoever looks after stores, who must not
 * wait behind them: these are started when they are first needed. */
#include "loop/loop_impl.h"

#include <stdlib.h>
#include <time.h>

#define QUEUE_MAX 4096
#define SIGN_MAX  64 /* passwords: a second or two of them */
#define WAITERS   16 /* of each crew that is started when it is needed */

/* Workers that do the same kinds of work. */
enum crew { CREW_ALL, CREW_SIGN, CREW_STORE, CREW_TEND, CREW_JOB, CREWS };

struct lane_queue {
    struct list queue;
    unsigned running, workers_max, depth_limit;
    uint64_t depth, depth_max, done, refused, wait_ns, run_ns;
};

struct lanes {
    pthread_mutex_t lock;
    pthread_cond_t more[CREWS];
    struct lane_queue lanes[LANE_COUNT];
    unsigned n_of[CREWS], n_idle[CREWS]; /* those that were started when they were needed; idle */
    pthread_t *threads;
    unsigned n, n_alive;
    bool stopping;
};

static const char *const names[LANE_COUNT] = {
#define X(lane, name) [lane] = name,
    LANE_MAP(X)
#undef X
};

static int64_t oldest_ns(const struct lane_queue *q)
{
    return container_of(q->queue.next, struct work, link)->queued_ns;
}

static enum crew crew_of(enum lane lane)
{
    static const enum crew own[LANE_COUNT] = {[LANE_SIGN] = CREW_SIGN,
                                              [LANE_STORE] = CREW_STORE,
                                              [LANE_TEND] = CREW_TEND,
                                              [LANE_JOB] = CREW_JOB};
    return own[lane];
}

static struct lane_queue *next_lane(struct lanes *ls, enum crew crew)
{
    struct lane_queue *best = NULL;
    for (int i = 0; i < LANE_COUNT; i++) {
        struct lane_queue *q = &ls->lanes[i];
        if (crew_of((enum lane)i) == crew && !list_is_empty(&q->queue) &&
            q->running < q->workers_max && (!best || oldest_ns(q) < oldest_ns(best)))
            best = q;
    }
    return best;
}

static bool is_empty(const struct lanes *ls)
{
    for (int i = 0; i < LANE_COUNT; i++) {
        if (ls->lanes[i].depth)
            return false;
    }
    return true;
}

static void wake_all(struct lanes *ls)
{
    for (int i = 0; i < CREWS; i++)
        pthread_cond_broadcast(&ls->more[i]);
}

static void on_done(struct post *p, struct loop *l)
{
    struct work *w = container_of(p, struct work, post);
    w->done(w, l);
}

/* Called and returns with the lock held. */
static void run_one(struct lanes *ls, struct lane_queue *q)
{
    struct work *w = container_of(q->queue.next, struct work, link); /* next_lane saw it */
    list_remove(&w->link);
    int64_t began = clock_mono_ns();
    q->depth--;
    q->running++;
    q->wait_ns += (uint64_t)(began - w->queued_ns);
    pthread_mutex_unlock(&ls->lock);

    w->run(w);
    int64_t ended = clock_mono_ns();

    pthread_mutex_lock(&ls->lock);
    q->running--;
    q->done++; /* before it is delivered: who has its answer finds it counted */
    q->run_ns += (uint64_t)(ended - began);
    w->post.fn = on_done;
    loop_post(w->home, &w->post); /* w is no longer ours */
    /* If the lane was full, one more may be taken now; and one more looks for work, this one. */
    if (ls->stopping)
        wake_all(ls);
}

static void work(struct lanes *ls, enum crew crew)
{
    pthread_mutex_lock(&ls->lock);
    for (;;) {
        struct lane_queue *q = next_lane(ls, crew);
        if (q) {
            run_one(ls, q);
            continue;
        }
        if (ls->stopping && is_empty(ls))
            break;
        ls->n_idle[crew]++;
        pthread_cond_wait(&ls->more[crew], &ls->lock);
        ls->n_idle[crew]--;
    }
    ls->n_alive--;
    pthread_mutex_unlock(&ls->lock);
}

static void *worker_main(void *arg)
{
    work(arg, CREW_ALL);
    return NULL;
}

static void *signer_main(void *arg)
{
    work(arg, CREW_SIGN);
    return NULL;
}

static void *storer_main(void *arg)
{
    work(arg, CREW_STORE);
    return NULL;
}

static void *tender_main(void *arg)
{
    work(arg, CREW_TEND);
    return NULL;
}

static void *tasker_main(void *arg)
{
    work(arg, CREW_JOB);
    return NULL;
}

/* Of crews that are started when they are needed. */
static void *(*const entries[CREWS])(void *) = {
    [CREW_STORE] = storer_main, [CREW_TEND] = tender_main, [CREW_JOB] = tasker_main};

/* With the lock. The first one must be there; of the others as many as the machine has. */
static bool start_one_here(struct lanes *ls, void *(*entry)(void *))
{
    bool fine = pthread_create(&ls->threads[ls->n], NULL, entry, ls) == 0;
    ls->n_alive += fine;
    ls->n += fine;
    return fine;
}

static bool has_waiter(struct lanes *ls, enum lane lane)
{
    enum crew crew = crew_of(lane);
    bool all_taken = ls->lanes[lane].depth >= ls->n_idle[crew];
    if (all_taken && ls->n_of[crew] < ls->lanes[lane].workers_max)
        ls->n_of[crew] += start_one_here(ls, entries[crew]);
    return ls->n_of[crew] > 0;
}

static bool start_one(struct lanes *ls, void *(*entry)(void *))
{
    pthread_mutex_lock(&ls->lock); /* one that has begun waits until it is counted */
    bool fine = start_one_here(ls, entry);
    pthread_mutex_unlock(&ls->lock);
    return fine;
}

bool lanes_start(struct loops *all, unsigned workers, struct err *e)
{
    must(!all->lanes && workers >= 2);
    struct lanes *ls = mem_new(struct lanes);
    pthread_mutex_init(&ls->lock, NULL);
    for (int i = 0; i < CREWS; i++)
        pthread_cond_init(&ls->more[i], NULL);
    unsigned signers = workers > 4 ? workers / 4 : 1;
    ls->threads = mem_alloc((workers + signers + 2 * WAITERS + 1) * sizeof *ls->threads);
    for (int i = 0; i < LANE_COUNT; i++) {
        list_init(&ls->lanes[i].queue);
        ls->lanes[i].workers_max = workers;
        ls->lanes[i].depth_limit = QUEUE_MAX;
    }
    ls->lanes[LANE_WRITE].workers_max = 1;
    ls->lanes[LANE_SLOW].workers_max = workers / 2;
    ls->lanes[LANE_SIGN].workers_max = signers;
    ls->lanes[LANE_SIGN].depth_limit = SIGN_MAX;
    ls->lanes[LANE_STORE].workers_max = WAITERS;
    ls->lanes[LANE_TEND].workers_max = 1;
    ls->lanes[LANE_JOB].workers_max = WAITERS;
    all->lanes = ls;
    while (ls->n < workers + signers) {
        if (!start_one(ls, ls->n < workers ? worker_main : signer_main)) {
            err_set(e, ERR_INTERNAL, "starting worker thread %u failed", ls->n + 1);
            lanes_stop(all);
            return false;
        }
    }
    return true;
}

/* A worker may wait for a visit to every loop, and what is done may post again: so posts are run
 * here, in the loops' place, until the last worker has gone. */
static void wait_for_workers(struct loops *all, struct lanes *ls)
{
    const struct timespec a_moment = {.tv_nsec = 1000000};
    bool left = true;
    while (left) {
        pthread_mutex_lock(&ls->lock);
        left = ls->n_alive > 0;
        pthread_mutex_unlock(&ls->lock);
        if (!loops_run_posts(all) && left)
            nanosleep(&a_moment, NULL);
    }
    for (unsigned i = 0; i < ls->n; i++)
        pthread_join(ls->threads[i], NULL);
    loops_run_posts(all); /* all is delivered while its owners are there */
}

void lanes_stop(struct loops *all)
{
    struct lanes *ls = all->lanes;
    if (!ls)
        return;
    pthread_mutex_lock(&ls->lock);
    ls->stopping = true;
    wake_all(ls);
    pthread_mutex_unlock(&ls->lock);
    wait_for_workers(all, ls);
    all->lanes = NULL;
    for (int i = 0; i < CREWS; i++)
        pthread_cond_destroy(&ls->more[i]);
    pthread_mutex_destroy(&ls->lock);
    free(ls->threads);
    free(ls);
}

bool lane_submit(struct loop *home, enum lane lane, struct work *w)
{
    struct lanes *ls = home->all->lanes;
    must(lane < LANE_COUNT);
    if (!ls) /* what is closed after the workers may still find work */
        return false;
    struct lane_queue *q = &ls->lanes[lane];
    w->home = home;
    w->lane = lane;
    w->queued_ns = clock_mono_ns();
    pthread_mutex_lock(&ls->lock);
    bool fits = q->depth < q->depth_limit && !ls->stopping;
    if (fits && entries[crew_of(lane)])
        fits = has_waiter(ls, lane);
    if (fits) {
        list_add(&q->queue, &w->link);
        q->depth++;
        if (q->depth > q->depth_max)
            q->depth_max = q->depth;
        pthread_cond_signal(&ls->more[crew_of(lane)]);
    } else {
        q->refused++;
    }
    pthread_mutex_unlock(&ls->lock);
    return fits;
}

void lanes_stats(struct loops *all, struct lane_stats ret[LANE_COUNT])
{
    struct lanes *ls = all->lanes;
    must(ls);
    pthread_mutex_lock(&ls->lock);
    for (int i = 0; i < LANE_COUNT; i++) {
        const struct lane_queue *q = &ls->lanes[i];
        ret[i] = (struct lane_stats){
            .name = names[i],
            .running = q->running,
            .workers_max = q->workers_max,
            .depth = q->depth,
            .depth_max = q->depth_max,
            .done = q->done,
            .refused = q->refused,
            .wait_ns = q->wait_ns,
            .run_ns = q->run_ns,
        };
    }
    pthread_mutex_unlock(&ls->lock);
}
