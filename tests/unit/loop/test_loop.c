/* Loop threads: posts from many threads, visits, ticks, the retire list, and stopping at any time.
 */
#include "loop/loop.h"
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

static struct loops *loops;
static pthread_t runner;

static void *run_loops(void *arg)
{
    loops_run(arg);
    return NULL;
}

static void start(unsigned n)
{
    loops = loops_new(n);
    assert_int_equal(pthread_create(&runner, NULL, run_loops, loops), 0);
}

static void stop(void)
{
    loops_stop(loops);
    pthread_join(runner, NULL);
    loops_free(loops);
}

/* ---- posts -------------------------------------------------------------------------------- */

#define SENDERS 8
#define POSTS   4000

struct letter {
    struct post post;
    unsigned sender, number;
};

static unsigned seen[3][SENDERS]; /* per loop: the number expected next */
static _Atomic unsigned delivered;

static void on_letter(struct post *p, struct loop *l)
{
    struct letter *m = container_of(p, struct letter, post);
    assert_int_equal(m->number, seen[loop_index(l)][m->sender]++);
    free(m);
    delivered++;
}

static void *send_letters(void *arg)
{
    unsigned sender = (unsigned)(uintptr_t)arg;
    unsigned number[3] = {0};
    for (unsigned i = 0; i < POSTS; i++) {
        unsigned to = (i * 7 + sender) % 3;
        struct letter *m = mem_new(struct letter);
        *m = (struct letter){.post.fn = on_letter, .sender = sender, .number = number[to]++};
        loop_post(loops_get(loops, to), &m->post);
    }
    return NULL;
}

static void no_post_is_lost_or_overtaken(void **state)
{
    pthread_t senders[SENDERS];
    (void)state;
    start(3);
    for (unsigned i = 0; i < SENDERS; i++)
        pthread_create(&senders[i], NULL, send_letters, (void *)(uintptr_t)i);
    for (unsigned i = 0; i < SENDERS; i++)
        pthread_join(senders[i], NULL);
    stop(); /* what is not delivered yet is delivered before loops_run returns */
    assert_int_equal(delivered, SENDERS * POSTS);
}

/* ---- stopping ----------------------------------------------------------------------------- */

struct chain {
    struct post post;
    unsigned hops;
};
static _Atomic unsigned hopped;

static void on_hop(struct post *p, struct loop *l)
{
    struct chain *c = container_of(p, struct chain, post);
    hopped++;
    if (c->hops-- > 0)
        loop_post(loops_get(loops, (loop_index(l) + 1) % loops_count(loops)), p);
}

/* A post may post to a loop that has stopped already: it still happens before loops_run returns,
 * while everything it speaks of is there. */
static void posts_under_way_end_before_the_loops_do(void **state)
{
    struct chain chains[6];
    (void)state;
    for (int round = 0; round < 50; round++) {
        start(3);
        hopped = 0;
        for (unsigned i = 0; i < 6; i++) {
            chains[i] = (struct chain){.post.fn = on_hop, .hops = i * 10};
            loop_post(loops_get(loops, i % 3), &chains[i].post);
        }
        loops_stop(loops);
        pthread_join(runner, NULL);
        assert_int_equal(hopped, 6 + 10 + 20 + 30 + 40 + 50);
        loops_free(loops);
    }
}

static void stopped_before_it_ran(void **state)
{
    (void)state;
    loops = loops_new(2);
    loops_stop(loops);
    loops_stop(loops);
    loops_run(loops);
    loops_free(loops);
    loops = loops_new(1); /* never run at all */
    loops_free(loops);
}

/* ---- visits ------------------------------------------------------------------------------- */

static void on_visit(struct loop *l, void *arg)
{
    unsigned *visits = arg;
    assert_true(loop_is_here(l));
    visits[loop_index(l)]++;
}

static void *visit_often(void *arg)
{
    unsigned visits[3] = {0};
    (void)arg;
    for (int i = 0; i < 300; i++)
        loops_visit(loops, on_visit, visits);
    for (int i = 0; i < 3; i++)
        assert_int_equal(visits[i], 300);
    return NULL;
}

static void visits_see_every_loop_once(void **state)
{
    pthread_t other;
    (void)state;
    start(3);
    assert_false(loop_is_here(loops_get(loops, 0)));
    pthread_create(&other, NULL, visit_often, NULL); /* perhaps before the loops run */
    visit_often(NULL);
    pthread_join(other, NULL);
    stop();
}

/* ---- the end of a turn -------------------------------------------------------------------- */

struct order {
    struct tick first, second;
    struct post post;
    char log[64];
    int retired;
};
static struct order order;

static void note(char c)
{
    size_t n = strlen(order.log);
    if (n + 1 < sizeof order.log)
        order.log[n] = c;
}

static void on_first(struct tick *t, struct loop *l)
{
    (void)t;
    (void)l;
    note('1');
}

static void on_second(struct tick *t, struct loop *l)
{
    (void)t;
    (void)l;
    note('2');
}

static void on_retired(void *arg)
{
    note('r');
    if (order.retired++ < 40) /* more than the list has room for at first */
        loop_retire(arg, on_retired, arg);
}

static void on_post(struct post *p, struct loop *l)
{
    (void)p;
    memset(order.log, 0, sizeof order.log);
    note('p');
    loop_retire(l, on_retired, l);
    loops_stop(loops);
}

static void ticks_in_order_then_what_is_retired(void **state)
{
    (void)state;
    loops = loops_new(1);
    struct loop *l = loops_get(loops, 0);
    order = (struct order){.first.fn = on_first, .second.fn = on_second, .post.fn = on_post};
    loop_add_tick(l, &order.first);
    loop_add_tick(l, &order.second);
    loop_post(l, &order.post);
    loops_run(loops);
    assert_memory_equal(order.log, "p12rrrrr", 8);
    assert_int_equal(order.retired, 41);
    list_remove(&order.first.link);
    list_remove(&order.second.link);
    loops_free(loops);
}

static struct tick outer, inner;
static struct post again;
static unsigned outer_runs, inner_since; /* in which turn it ran first */

static void on_inner(struct tick *t, struct loop *l)
{
    (void)t, (void)l;
    if (!inner_since)
        inner_since = outer_runs;
}

static void on_again(struct post *p, struct loop *l)
{
    (void)p, (void)l;
}

static void on_outer(struct tick *t, struct loop *l)
{
    (void)t;
    outer_runs++;
    if (!list_is_linked(&inner.link))
        loop_add_tick(l, &inner);
    if (outer_runs > 2)
        loops_stop(loops);
    else
        loop_post(l, &again);
}

static void ticks_that_come_with_a_tick_run_at_once(void **state)
{
    (void)state;
    loops = loops_new(1);
    struct loop *l = loops_get(loops, 0);
    outer = (struct tick){.fn = on_outer};
    again = (struct post){.fn = on_again};
    inner = (struct tick){.fn = on_inner};
    list_init(&inner.link);
    outer_runs = inner_since = 0;
    loop_add_tick(l, &outer);
    loops_run(loops);
    assert_int_equal(inner_since, 1);
    list_remove(&outer.link);
    list_remove(&inner.link);
    loops_free(loops);
}

/* ---- a real timer ------------------------------------------------------------------------- */

struct alarm {
    struct timer timer;
    int64_t began_ms, after_ms, late_ms;
    int *left;
};

static void on_alarm(struct timer *t, struct loop *l)
{
    struct alarm *a = container_of(t, struct alarm, timer);
    (void)l;
    a->late_ms = clock_mono_ms() - a->began_ms - a->after_ms;
    if (--*a->left == 0)
        loops_stop(loops);
}

/* How late the latest was; none is early, but for one ms: two clocks that round. */
static int64_t ring_all(void)
{
    static const int64_t after[] = {1, 63, 64, 65, 200, 350};
    struct alarm alarms[6];
    int64_t latest = 0;
    int left = 6;
    loops = loops_new(1);
    struct loop *l = loops_get(loops, 0);
    uv_update_time(loop_uv(l));
    for (int i = 0; i < 6; i++) {
        alarms[i] = (struct alarm){
            .timer.fn = on_alarm, .began_ms = clock_mono_ms(), .after_ms = after[i], .left = &left};
        timer_set(&alarms[i].timer, l, after[i]);
    }
    loops_run(loops);
    for (int i = 0; i < 6; i++) {
        assert_true(alarms[i].late_ms >= -1);
        latest = alarms[i].late_ms > latest ? alarms[i].late_ms : latest;
    }
    loops_free(loops);
    return latest;
}

/* The best of some tries: others use this machine, too. */
static void timers_by_the_real_clock(void **state)
{
    int64_t late = INT64_MAX;
    (void)state;
    for (int i = 0; i < 20 && late > 130; i++)
        late = ring_all();
    assert_in_range(late, 0, 130);
}

TESTS(cmocka_unit_test(no_post_is_lost_or_overtaken),
      cmocka_unit_test(posts_under_way_end_before_the_loops_do),
      cmocka_unit_test(stopped_before_it_ran), cmocka_unit_test(visits_see_every_loop_once),
      cmocka_unit_test(ticks_in_order_then_what_is_retired),
      cmocka_unit_test(ticks_that_come_with_a_tick_run_at_once),
      cmocka_unit_test(timers_by_the_real_clock))
