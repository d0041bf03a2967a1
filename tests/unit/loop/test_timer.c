/* The timer wheel against a clock of our own: never early, at most two steps late, in every order.
 */
#include "loop/loop_impl.h"
#include "unit.h"

#include <stdlib.h>

static int64_t now_ms, alarm_ms; /* alarm_ms: when libuv would call; 0 = never */

static int64_t fake_now(struct loop *l)
{
    (void)l;
    return now_ms;
}

static void fake_start(int64_t after_ms)
{
    alarm_ms = now_ms + after_ms;
}

#define loop_now_ms(l)                           fake_now(l)
#define uv_timer_init(loop, alarm)               0
#define uv_timer_start(alarm, fn, after, repeat) fake_start((int64_t)(after))
#define uv_close(handle, fn)                     ((void)(handle))
#include "loop/timer.c"

#define LATE_MS (2 * WHEEL_STEP_MS)

static struct loop loop;

static int start(void **state)
{
    (void)state;
    memset(&loop, 0, sizeof loop);
    now_ms = 1000003; /* not on a step */
    alarm_ms = 0;
    wheel_init(&loop);
    return 0;
}

/* What an idle loop does: sleeps until the alarm, calls it, sleeps again. */
static void run_to(int64_t to_ms)
{
    while (alarm_ms && alarm_ms <= to_ms) {
        if (alarm_ms > now_ms)
            now_ms = alarm_ms;
        alarm_ms = 0;
        on_alarm(&loop.wheel.alarm);
    }
    now_ms = to_ms;
}

/* A turn that takes long: the alarm comes late. */
static void block_to(int64_t to_ms)
{
    now_ms = to_ms;
    run_to(to_ms);
}

struct seen {
    struct timer timer;
    int64_t due_ms, fired_ms, again_ms;
    int fired;
    struct timer *other;
};

static void on_fire(struct timer *t, struct loop *l)
{
    struct seen *s = container_of(t, struct seen, timer);
    (void)l;
    assert_true(now_ms >= s->due_ms);
    assert_int_equal(t->due_ms, 0);
    s->fired_ms = now_ms;
    s->fired++;
    if (s->again_ms) {
        s->due_ms = now_ms + s->again_ms;
        timer_set(t, l, s->again_ms);
    }
    if (s->other)
        timer_off(s->other);
}

static void set(struct seen *s, int64_t after_ms)
{
    s->timer.fn = on_fire;
    s->due_ms = now_ms + after_ms;
    timer_set(&s->timer, &loop, after_ms);
}

static void off(struct seen *s)
{
    timer_off(&s->timer);
    s->due_ms = 0;
}

static void each_delay_is_kept(void **state)
{
    (void)state;
    for (int64_t after = 0; after < 70000; after += after < 300 ? 1 : 997) {
        struct seen s = {0};
        start(NULL);
        now_ms += after % 64; /* set at every place between two steps */
        set(&s, after);
        run_to(now_ms + after - 1);
        assert_int_equal(s.fired, 0);
        run_to(s.due_ms + LATE_MS);
        assert_int_equal(s.fired, 1);
        assert_int_equal(alarm_ms, 0); /* nothing hangs: the loop sleeps for good */
    }
}

static void later_earlier_off_and_again(void **state)
{
    struct seen s = {0};
    (void)state;
    set(&s, 1000);
    set(&s, 5000);
    run_to(now_ms + 4999);
    assert_int_equal(s.fired, 0);
    run_to(now_ms + 1 + LATE_MS);
    assert_int_equal(s.fired, 1);
    set(&s, 60000);
    set(&s, 10);
    run_to(now_ms + 10 + LATE_MS);
    assert_int_equal(s.fired, 2);
    set(&s, 10);
    off(&s);
    off(&s);
    run_to(now_ms + 100000);
    assert_int_equal(s.fired, 2);
    set(&s, 10);
    run_to(now_ms + 10 + LATE_MS);
    assert_int_equal(s.fired, 3);
    off(&s);
}

static void a_callback_may_set_its_own_timer(void **state)
{
    struct seen s = {.again_ms = 1};
    (void)state;
    set(&s, 1);
    run_to(now_ms + 64 * 100);
    assert_in_range(s.fired, 95, 101); /* one per step, not an endless loop inside one alarm */
    off(&s);
    run_to(now_ms + 100000);
    assert_in_range(s.fired, 95, 101);
}

static void a_callback_may_switch_off_its_neighbour(void **state)
{
    struct seen first = {0}, second = {0};
    (void)state;
    first.other = &second.timer;
    set(&first, 100);
    set(&second, 100); /* the same slot: it waits in the list that is being worked through */
    run_to(now_ms + 1000);
    assert_int_equal(first.fired, 1);
    assert_int_equal(second.fired, 0);
    off(&first); /* both are off: clang-tidy also reads paths that the timers never take */
    off(&second);
}

/* A callback sets a timer while the wheel catches up: the slots between must still be seen. */
static void a_late_loop_skips_nobody(void **state)
{
    struct seen s[8] = {0};
    (void)state;
    for (int i = 0; i < 8; i++) {
        s[i].again_ms = i == 0 ? 10000 : 0;
        set(&s[i], 70 * (i + 1));
    }
    block_to(now_ms + 1000);
    for (int i = 0; i < 8; i++)
        assert_int_equal(s[i].fired, 1);
    off(&s[0]);
}

static void a_sleep_longer_than_the_wheel(void **state)
{
    struct seen s[64] = {0};
    (void)state;
    for (int i = 0; i < 64; i++)
        set(&s[i], 700 * i);
    block_to(now_ms + 20 * 60000);
    for (int i = 0; i < 64; i++) /* what hung beyond the wheel's end moves once more */
        assert_true(s[i].fired == 1 || s[i].due_ms > now_ms);
    run_to(now_ms + LATE_MS);
    for (int i = 0; i < 64; i++)
        assert_int_equal(s[i].fired, 1);
    set(&s[0], 50);
    run_to(now_ms + 50 + LATE_MS);
    assert_int_equal(s[0].fired, 2);
}

/* ---- against a model: each timer knows when it is due ------------------------------------- */

#define N 3000
static struct seen many[N];
static uint64_t seed = 88172645463325252u;

static uint64_t random_below(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % n;
}

static void change_one(void)
{
    struct seen *s = &many[random_below(N)];
    int64_t after = (int64_t)random_below(random_below(4) ? 3000 : 90000);
    if (random_below(5) == 0) {
        off(s);
    } else {
        s->again_ms = random_below(3) ? 0 : 1 + (int64_t)random_below(5000);
        s->other = random_below(8) ? NULL : &many[random_below(N)].timer;
        set(s, after);
    }
}

static void none_is_overdue(void)
{
    for (int i = 0; i < N; i++) {
        const struct timer *t = &many[i].timer;
        assert_int_equal(t->due_ms != 0, list_is_linked(&t->link));
        if (t->due_ms)
            assert_true(t->due_ms + LATE_MS > now_ms);
    }
}

static void thousands_in_any_order(void **state)
{
    (void)state;
    memset(many, 0, sizeof many);
    for (int round = 0; round < 3000; round++) {
        for (uint64_t n = random_below(20); n > 0; n--)
            change_one();
        int64_t to = now_ms + (int64_t)random_below(random_below(10) ? 100 : 2000);
        if (random_below(6) == 0)
            block_to(to);
        else
            run_to(to);
        if (round % 8 == 0)
            none_is_overdue();
    }
    for (int i = 0; i < N; i++)
        off(&many[i]);
    run_to(now_ms + 200000);
    assert_int_equal(alarm_ms, 0);
}

#define T(test) cmocka_unit_test_setup(test, start)
TESTS(T(each_delay_is_kept), T(later_earlier_off_and_again), T(a_callback_may_set_its_own_timer),
      T(a_callback_may_switch_off_its_neighbour), T(a_late_loop_skips_nobody),
      T(a_sleep_longer_than_the_wheel), T(thousands_in_any_order))
