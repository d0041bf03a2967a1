/* Worker lanes: their limits, their order, a full queue, and stopping with work under way. */
#include "loop/loop.h"
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define WORKERS 4

static struct loops *loops;
static pthread_t runner;

static void *run_loops(void *arg)
{
    loops_run(arg);
    return NULL;
}

static void start(void)
{
    struct err e;
    loops = loops_new(2);
    assert_true(lanes_start(loops, WORKERS, &e));
    assert_int_equal(pthread_create(&runner, NULL, run_loops, loops), 0);
}

static void stop(void)
{
    loops_stop(loops);
    pthread_join(runner, NULL);
    lanes_stop(loops);
    loops_free(loops);
}

/* Calls fn on loop 0 and waits. */
struct call {
    struct post post;
    void (*fn)(struct loop *l);
    _Atomic bool is_done;
};

static void on_call(struct post *p, struct loop *l)
{
    struct call *c = container_of(p, struct call, post);
    c->fn(l);
    c->is_done = true;
}

static void on_loop(void (*fn)(struct loop *l))
{
    struct call c = {.post.fn = on_call, .fn = fn};
    loop_post(loops_get(loops, 0), &c.post);
    while (!c.is_done)
        usleep(100);
}

/* ---- jobs --------------------------------------------------------------------------------- */

struct job {
    struct work work;
    enum lane lane;
    unsigned number;
    bool is_held; /* runs until the gate opens */
};

static _Atomic bool gate;
static _Atomic unsigned running[LANE_COUNT], most[LANE_COUNT], ended[LANE_COUNT], delivered;
static _Atomic unsigned next_write;
static _Atomic bool is_out_of_order;

static void run_job(struct work *w)
{
    struct job *j = container_of(w, struct job, work);
    unsigned now = ++running[j->lane];
    unsigned was = most[j->lane];
    while (now > was && !atomic_compare_exchange_weak(&most[j->lane], &was, now))
        ;
    if (j->lane == LANE_WRITE && j->number != next_write++)
        is_out_of_order = true;
    while (j->is_held && !gate)
        usleep(200);
    running[j->lane]--;
    ended[j->lane]++;
}

static void on_done(struct work *w, struct loop *home)
{
    (void)home;
    delivered++;
    free(container_of(w, struct job, work));
}

static bool submit(struct loop *l, enum lane lane, unsigned number, bool is_held)
{
    struct job *j = mem_new(struct job);
    *j = (struct job){.work = {.run = run_job, .done = on_done},
                      .lane = lane,
                      .number = number,
                      .is_held = is_held};
    bool fits = lane_submit(l, lane, &j->work);
    if (!fits)
        free(j);
    return fits;
}

static int reset(void **state)
{
    (void)state;
    gate = is_out_of_order = false;
    delivered = next_write = 0;
    for (int i = 0; i < LANE_COUNT; i++)
        running[i] = most[i] = ended[i] = 0;
    return 0;
}

static void wait_for(_Atomic unsigned *what, unsigned n)
{
    int64_t until = clock_mono_ms() + 60000;
    while (*what < n && clock_mono_ms() < until)
        usleep(200);
    assert_true(*what >= n);
}

/* ---- limits ------------------------------------------------------------------------------- */

/* Passwords have a short queue, and workers of their own. */
static void submit_mixed(struct loop *l)
{
    for (unsigned i = 0; i < 500; i++) {
        for (int lane = 0; lane < LANE_SIGN; lane++)
            assert_true(submit(l, (enum lane)lane, i, false));
    }
}

static void no_lane_has_more_workers_than_it_may(void **state)
{
    struct lane_stats stats[LANE_COUNT];
    (void)state;
    start();
    on_loop(submit_mixed);
    wait_for(&delivered, 1500);
    lanes_stats(loops, stats);
    stop();
    assert_true(most[LANE_READ] <= WORKERS);
    assert_int_equal(most[LANE_WRITE], 1);
    assert_false(is_out_of_order);
    assert_true(most[LANE_SLOW] <= WORKERS / 2);
    for (int i = 0; i < LANE_SIGN; i++) {
        assert_int_equal(stats[i].done, 500);
        assert_int_equal(stats[i].depth + stats[i].running + stats[i].refused, 0);
        assert_in_range(stats[i].depth_max, 1, 500);
    }
}

static void submit_slow(struct loop *l)
{
    for (unsigned i = 0; i < 20; i++)
        assert_true(submit(l, LANE_SLOW, i, true));
}

static void submit_quick(struct loop *l)
{
    for (unsigned i = 0; i < 20; i++) {
        assert_true(submit(l, LANE_READ, i, false));
        assert_true(submit(l, LANE_WRITE, i, false));
    }
}

static void slow_work_leaves_room_for_quick_work(void **state)
{
    (void)state;
    start();
    on_loop(submit_slow);
    wait_for(&running[LANE_SLOW], WORKERS / 2);
    on_loop(submit_quick);
    wait_for(&delivered, 40); /* while the slow ones are still held */
    assert_int_equal(ended[LANE_SLOW], 0);
    gate = true;
    stop();
    assert_int_equal(delivered, 60);
}

/* ---- fairness: many reads must not starve the others --------------------------------------- */

static void submit_passwords(struct loop *l)
{
    unsigned n = 0;
    while (n < 1000 && submit(l, LANE_SIGN, n, true))
        n++;
    assert_in_range(n, 64, 65); /* the worker has taken one, or not yet */
}

static void passwords_wait_for_each_other_alone(void **state)
{
    (void)state;
    start();
    on_loop(submit_passwords);
    on_loop(submit_mixed); /* while the worker for passwords is held */
    wait_for(&delivered, 1500);
    assert_in_range(running[LANE_SIGN], 1, 1);
    gate = true;
    stop();
    assert_int_equal(most[LANE_SIGN], 1);
    assert_in_range(ended[LANE_SIGN], 64, 65);
}

static void submit_held_reads(struct loop *l)
{
    for (unsigned i = 0; i < WORKERS; i++)
        assert_true(submit(l, LANE_READ, i, true));
}

static _Atomic unsigned reads_before[LANE_COUNT];

static void run_and_note(struct work *w)
{
    struct job *j = container_of(w, struct job, work);
    reads_before[j->lane] = ended[LANE_READ];
}

static void submit_noted(struct loop *l, enum lane lane)
{
    struct job *j = mem_new(struct job);
    *j = (struct job){.work = {.run = run_and_note, .done = on_done}, .lane = lane};
    assert_true(lane_submit(l, lane, &j->work));
}

static void submit_between_reads(struct loop *l)
{
    for (unsigned i = 0; i < 100; i++)
        assert_true(submit(l, LANE_READ, i, false));
    submit_noted(l, LANE_SLOW);
    submit_noted(l, LANE_WRITE);
    for (unsigned i = 0; i < 1000; i++)
        assert_true(submit(l, LANE_READ, i, false));
}

static void the_oldest_work_goes_first(void **state)
{
    (void)state;
    start();
    on_loop(submit_held_reads);
    wait_for(&running[LANE_READ], WORKERS);
    on_loop(submit_between_reads);
    gate = true;
    stop();
    assert_int_equal(delivered, WORKERS + 1102);
    assert_in_range(reads_before[LANE_SLOW], 90, 900); /* a worker may be slow to get going */
    assert_in_range(reads_before[LANE_WRITE], 90, 900);
}

/* ---- a full queue ------------------------------------------------------------------------- */

static void fill(struct loop *l)
{
    unsigned n = 0;
    while (n < 10000 && submit(l, LANE_SLOW, n, true))
        n++;
    assert_in_range(n, 4096, 4096 + WORKERS / 2); /* the workers have taken some, or not yet */
    assert_false(submit(l, LANE_SLOW, 0, true) && submit(l, LANE_SLOW, 0, true) &&
                 submit(l, LANE_SLOW, 0, true));
    assert_true(submit(l, LANE_READ, 0, false)); /* only this lane is full */
}

static void a_full_queue_refuses(void **state)
{
    struct lane_stats stats[LANE_COUNT];
    (void)state;
    start();
    on_loop(fill);
    lanes_stats(loops, stats);
    assert_true(stats[LANE_SLOW].refused > 0);
    assert_int_equal(stats[LANE_SLOW].depth_max, 4096);
    gate = true;
    stop();
    assert_true(delivered > 4096);
}

/* ---- what is counted ----------------------------------------------------------------------- */

static _Atomic unsigned found_uncounted;

static void on_done_and_counted(struct work *w, struct loop *home)
{
    struct lane_stats stats[LANE_COUNT];
    (void)home;
    lanes_stats(loops, stats);
    found_uncounted += stats[LANE_WRITE].done <= delivered; /* this one belongs to them */
    delivered++;
    free(container_of(w, struct job, work));
}

static void submit_counted(struct loop *l)
{
    for (unsigned i = 0; i < 2000; i++) {
        struct job *j = mem_new(struct job);
        *j = (struct job){
            .work = {.run = run_job, .done = on_done_and_counted}, .lane = LANE_WRITE, .number = i};
        assert_true(lane_submit(l, LANE_WRITE, &j->work));
    }
}

static void what_is_delivered_has_been_counted(void **state)
{
    (void)state;
    found_uncounted = 0;
    start();
    on_loop(submit_counted);
    wait_for(&delivered, 2000);
    stop();
    assert_int_equal(found_uncounted, 0);
}

static unsigned n_burst, of_which_lane; /* works of the next burst, and the lane of its first */

static void submit_burst(struct loop *l)
{
    for (unsigned i = 0; i < n_burst; i++)
        assert_true(submit(l, (enum lane)((of_which_lane + i) % LANE_SIGN), i, false));
}

/* Nobody but the worker that is through with something knows of the place it leaves. */
static void nothing_is_left_lying(void **state)
{
    unsigned all = 0;
    (void)state;
    start();
    for (unsigned round = 0; round < 2000; round++) {
        n_burst = 1 + round % 9;
        of_which_lane = round % LANE_SIGN;
        on_loop(submit_burst);
        all += n_burst;
        wait_for(&delivered, all); /* with nothing after it that would take it along */
    }
    stop();
    assert_int_equal(delivered, all);
}

/* ---- stopping ----------------------------------------------------------------------------- */

static void submit_much(struct loop *l)
{
    for (unsigned i = 0; i < 200; i++) {
        for (int lane = 0; lane < LANE_SIGN; lane++)
            assert_true(submit(l, (enum lane)lane, i, false));
    }
    for (unsigned i = 0; i < 60; i++)
        assert_true(submit(l, LANE_SIGN, i, false));
}

static void stopping_delivers_what_is_queued(void **state)
{
    (void)state;
    start();
    on_loop(submit_much);
    stop();
    assert_int_equal(delivered, 660);
}

static bool was_refused;

static void done_and_ask_for_more(struct work *w, struct loop *home)
{
    struct job *j = container_of(w, struct job, work);
    was_refused = !submit(home, LANE_READ, 1, false);
    delivered++;
    free(j);
}

static void submit_one_that_asks_for_more(struct loop *l)
{
    struct job *j = mem_new(struct job);
    j->work = (struct work){.run = run_job, .done = done_and_ask_for_more};
    j->is_held = true;
    assert_true(lane_submit(l, LANE_READ, &j->work));
}

static void *open_gate_soon(void *arg)
{
    (void)arg;
    usleep(30000); /* by then lanes_stop waits for the worker; earlier or later is no error */
    gate = true;
    return NULL;
}

/* What is done may want to submit more while the lanes are stopping: refused, not a crash. */
static void submitting_while_it_stops_is_refused(void **state)
{
    pthread_t opener;
    (void)state;
    start();
    on_loop(submit_one_that_asks_for_more);
    loops_stop(loops);
    pthread_join(runner, NULL); /* or the loop could still take what is submitted */
    pthread_create(&opener, NULL, open_gate_soon, NULL);
    lanes_stop(loops);
    loops_free(loops);
    pthread_join(opener, NULL);
    assert_true(was_refused);
    assert_int_equal(delivered, 1);
}

static _Atomic unsigned visited;

static void on_visit(struct loop *l, void *arg)
{
    (void)l;
    (void)arg;
    visited++;
}

static void run_visit(struct work *w)
{
    (void)w;
    while (!gate)
        usleep(200);
    loops_visit(loops, on_visit, NULL);
}

static void submit_visit(struct loop *l)
{
    struct job *j = mem_new(struct job);
    j->work = (struct work){.run = run_visit, .done = on_done};
    assert_true(lane_submit(l, LANE_SLOW, &j->work));
}

/* A worker may be about to visit every loop (metrics) when the loops have ended already. */
static void a_visit_while_it_stops_returns(void **state)
{
    (void)state;
    start();
    on_loop(submit_visit);
    loops_stop(loops);
    pthread_join(runner, NULL);
    gate = true;
    lanes_stop(loops);
    assert_int_equal(visited, 2);
    loops_free(loops);
}

static void submit_stuck(struct loop *l)
{
    for (unsigned i = 0; i < 20; i++)
        assert_true(submit(l, LANE_STORE, i, true) && submit(l, LANE_JOB, i, true));
    for (unsigned i = 0; i < 20; i++)
        assert_true(submit(l, LANE_READ, i, false));
}

/* Disks that hang hold up what waits for them, as many as there are workers for, and nobody else.
 */
static void stores_that_hang_hold_up_nobody_else(void **state)
{
    (void)state;
    start();
    on_loop(submit_stuck);
    wait_for(&ended[LANE_READ], 20);
    wait_for(&running[LANE_STORE], 16);
    wait_for(&running[LANE_JOB], 16);
    gate = true;
    wait_for(&ended[LANE_STORE], 20);
    wait_for(&ended[LANE_JOB], 20);
    assert_int_equal(most[LANE_STORE], 16);
    assert_int_equal(most[LANE_JOB], 16);
    stop();
    assert_int_equal(delivered, 60);
}

static void starting_and_stopping_without_work(void **state)
{
    struct err e;
    (void)state;
    loops = loops_new(1);
    lanes_stop(loops); /* never started */
    assert_true(lanes_start(loops, 2, &e));
    lanes_stop(loops);
    lanes_stop(loops);
    loops_free(loops);
}

#define T(test) cmocka_unit_test_setup(test, reset)
TESTS(T(no_lane_has_more_workers_than_it_may), T(nothing_is_left_lying),
      T(slow_work_leaves_room_for_quick_work), T(passwords_wait_for_each_other_alone),
      T(stores_that_hang_hold_up_nobody_else), T(the_oldest_work_goes_first),
      T(a_full_queue_refuses), T(what_is_delivered_has_been_counted),
      T(stopping_delivers_what_is_queued), T(submitting_while_it_stops_is_refused),
      T(a_visit_while_it_stops_returns), T(starting_and_stopping_without_work))
