/* A loop thread: libuv's loop with our verbs around it (posts, ticks, retire list). */
#include "loop/loop_impl.h"

#include <stdatomic.h>
#include <stdlib.h>

/* ---- one turn -----------------------------------------------------------------------------------
 */

static bool run_posts(struct loop *l)
{
    struct list mine;
    list_init(&mine);
    pthread_mutex_lock(&l->posts_lock);
    while (!list_is_empty(&l->posts))
        list_add(&mine, list_pop(&l->posts));
    pthread_mutex_unlock(&l->posts_lock);
    bool any = !list_is_empty(&mine);
    for (struct list *link; (link = list_pop(&mine));) {
        struct post *p = container_of(link, struct post, link);
        p->fn(p, l);
    }
    return any;
}

bool loops_run_posts(struct loops *ls)
{
    bool any = false, again;
    do {
        again = false;
        for (unsigned i = 0; i < ls->n; i++)
            again |= run_posts(ls->loops[i]);
        any |= again;
    } while (again);
    return any;
}

/* What was retired while the list is emptied goes in the same pass: nothing of it is on the stack.
 */
static void run_retired(struct loop *l)
{
    for (size_t i = 0; i < l->n_retired; i++) {
        struct retired r = l->retired[i];
        r.fn(r.arg);
    }
    l->n_retired = 0;
}

static void on_before_sleep(uv_prepare_t *handle)
{
    struct loop *l = container_of(handle, struct loop, before_sleep);
    list_each (link, &l->ticks) { /* what one of them adds is run, too: it may have work already */
        struct tick *t = container_of(link, struct tick, link);
        t->fn(t, l);
    }
    if (l->log.len)
        log_flush(&l->log);
    run_retired(l);
    lag_count(l);
}

static void on_wake(uv_async_t *handle)
{
    struct loop *l = container_of(handle, struct loop, wake);
    run_posts(l);
    if (atomic_load(&l->all->stopping))
        uv_stop(&l->uv);
}

/* ---- making and ending
 * --------------------------------------------------------------------------- */

static struct loop *loop_new(struct loops *all, unsigned index)
{
    struct loop *l = mem_new(struct loop);
    l->index = index;
    l->all = all;
    list_init(&l->ticks);
    list_init(&l->posts);
    buf_init(&l->log, 1 << 20);
    pthread_mutex_init(&l->posts_lock, NULL);
    must(uv_loop_init(&l->uv) == 0);
    must(uv_loop_configure(&l->uv, UV_METRICS_IDLE_TIME) == 0);
    must(uv_prepare_init(&l->uv, &l->before_sleep) == 0);
    uv_prepare_start(&l->before_sleep, on_before_sleep);
    must(uv_async_init(&l->uv, &l->wake, on_wake) == 0);
    wheel_init(l);
    return l;
}

static void loop_free(struct loop *l)
{
    on_before_sleep(&l->before_sleep);
    wheel_done(l);
    uv_close((uv_handle_t *)&l->before_sleep, NULL);
    uv_close((uv_handle_t *)&l->wake, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    run_retired(l);
    int left = uv_loop_close(&l->uv);
    must(left == 0); /* a handle was never closed */
    pthread_mutex_destroy(&l->posts_lock);
    buf_done(&l->log);
    free(l->retired);
    free(l);
}

struct loops *loops_new(unsigned n)
{
    must(n >= 1);
    struct loops *ls = mem_new(struct loops);
    ls->n = n;
    ls->loops = mem_alloc(n * sizeof(struct loop *));
    for (unsigned i = 0; i < n; i++)
        ls->loops[i] = loop_new(ls, i);
    return ls;
}

void loops_free(struct loops *ls)
{
    must(!ls->lanes);
    loops_run_posts(ls); /* what was posted to a stopped loop still ends, so that nothing leaks */
    for (unsigned i = 0; i < ls->n; i++)
        loop_free(ls->loops[i]);
    free(ls->loops);
    free(ls);
}

unsigned loops_count(const struct loops *ls)
{
    return ls->n;
}

struct loop *loops_get(struct loops *ls, unsigned i)
{
    must(i < ls->n);
    return ls->loops[i];
}

/* ---- running
 * ------------------------------------------------------------------------------------- */

static _Thread_local const struct loop *here;

static void *loop_main(void *arg)
{
    struct loop *l = arg;
    here = l;
    while (!atomic_load(&l->all->stopping))
        uv_run(&l->uv, UV_RUN_DEFAULT);
    on_before_sleep(&l->before_sleep); /* answers of the last turn still leave */
    here = NULL;
    return NULL;
}

void loops_run(struct loops *ls)
{
    atomic_store(&ls->running, true);
    for (unsigned i = 1; i < ls->n; i++)
        must(pthread_create(&ls->loops[i]->thread, NULL, loop_main, ls->loops[i]) == 0);
    loop_main(ls->loops[0]);
    for (unsigned i = 1; i < ls->n; i++)
        pthread_join(ls->loops[i]->thread, NULL);
    loops_run_posts(ls); /* while what they speak of is there: the owners may go after this */
    atomic_store(&ls->running, false);
}

bool loops_are_running(const struct loops *ls)
{
    return atomic_load(&ls->running);
}

void loops_stop(struct loops *ls)
{
    atomic_store(&ls->stopping, true);
    for (unsigned i = 0; i < ls->n; i++)
        uv_async_send(&ls->loops[i]->wake);
}

/* ---- small things
 * ---------------------------------------------------------------------------------- */

unsigned loop_index(const struct loop *l)
{
    return l->index;
}

uv_loop_t *loop_uv(struct loop *l)
{
    return &l->uv;
}

int64_t loop_now_ms(struct loop *l)
{
    return (int64_t)uv_now(&l->uv);
}

int64_t loop_wall_s(struct loop *l)
{
    int64_t now = loop_now_ms(l);
    if (now - l->wall_at_ms >= 200 || l->wall_s == 0) {
        l->wall_s = clock_wall_ms() / 1000;
        l->wall_at_ms = now;
    }
    return l->wall_s;
}

struct buf *loop_log(struct loop *l)
{
    if (l->log.len > (256u << 10)) /* a long turn: do not let lines be lost */
        log_flush(&l->log);
    return &l->log;
}

bool loop_is_here(const struct loop *l)
{
    return l == here;
}

void loop_post(struct loop *l, struct post *p)
{
    pthread_mutex_lock(&l->posts_lock);
    list_add(&l->posts, &p->link);
    pthread_mutex_unlock(&l->posts_lock);
    uv_async_send(&l->wake);
}

void loop_add_tick(struct loop *l, struct tick *t)
{
    list_add(&l->ticks, &t->link);
}

void loop_retire(struct loop *l, void (*fn)(void *), void *arg)
{
    if (l->n_retired == l->cap_retired) {
        l->cap_retired = l->cap_retired ? l->cap_retired * 2 : 16;
        l->retired = mem_realloc(l->retired, l->cap_retired * sizeof *l->retired);
    }
    l->retired[l->n_retired++] = (struct retired){fn, arg};
}

/* ---- visiting every loop
 * ------------------------------------------------------------------------------ */

struct visit {
    struct post post;
    void (*fn)(struct loop *l, void *arg);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done;
};

static void on_visit(struct post *p, struct loop *l)
{
    struct visit *v = container_of(p, struct visit, post);
    v->fn(l, v->arg);
    pthread_mutex_lock(&v->lock);
    v->is_done = true;
    pthread_cond_signal(&v->done);
    pthread_mutex_unlock(&v->lock);
}

void loops_visit(struct loops *ls, void (*fn)(struct loop *l, void *arg), void *arg)
{
    struct visit v = {.post.fn = on_visit, .fn = fn, .arg = arg};
    pthread_mutex_init(&v.lock, NULL);
    pthread_cond_init(&v.done, NULL);
    for (unsigned i = 0; i < ls->n; i++) {
        must(!loop_is_here(ls->loops[i]));
        v.is_done = false;
        loop_post(ls->loops[i], &v.post);
        pthread_mutex_lock(&v.lock);
        while (!v.is_done)
            pthread_cond_wait(&v.done, &v.lock);
        pthread_mutex_unlock(&v.lock);
    }
    pthread_cond_destroy(&v.done);
    pthread_mutex_destroy(&v.lock);
}
