/* Coarse timers on a wheel.
 *
 * 512 slots of 64 ms. A timer that is set later again only writes its due time: when its old slot
 * comes up it moves to the right one. So the usual life of a time-out (set, set later, set later,
 * off) costs a few stores, and ten thousand idle connections cost one look each per turn of the
 * wheel (33 s). One libuv timer sleeps until the next slot that holds anything. */
#include "loop/loop_impl.h"

#define SPAN_MS ((int64_t)WHEEL_SLOTS * WHEEL_STEP_MS)

static void on_alarm(uv_timer_t *alarm);

static struct list *slot_at(struct wheel *w, int64_t slot_ms)
{
    return &w->slots[slot_ms / WHEEL_STEP_MS % WHEEL_SLOTS];
}

static int64_t round_up(int64_t ms)
{
    return (ms + WHEEL_STEP_MS - 1) / WHEEL_STEP_MS * WHEEL_STEP_MS;
}

void wheel_init(struct loop *l)
{
    struct wheel *w = &l->wheel;
    for (int i = 0; i < WHEEL_SLOTS; i++)
        list_init(&w->slots[i]);
    must(uv_timer_init(&l->uv, &w->alarm) == 0);
    w->looked_ms = loop_now_ms(l) / WHEEL_STEP_MS * WHEEL_STEP_MS;
}

void wheel_done(struct loop *l)
{
    uv_close((uv_handle_t *)&l->wheel.alarm, NULL);
}

static void arm(struct loop *l, int64_t at_ms)
{
    struct wheel *w = &l->wheel;
    if (w->armed_ms && w->armed_ms <= at_ms)
        return;
    int64_t now = loop_now_ms(l);
    w->armed_ms = at_ms;
    uv_timer_start(&w->alarm, on_alarm, at_ms > now ? (uint64_t)(at_ms - now) : 0, 0);
}

/* Hangs the timer in the slot of its due time, or in the farthest one there is. */
static void hang(struct loop *l, struct timer *t)
{
    struct wheel *w = &l->wheel;
    int64_t slot_ms = round_up(t->due_ms);
    if (slot_ms <= w->looked_ms)
        slot_ms = w->looked_ms + WHEEL_STEP_MS;
    if (slot_ms > w->looked_ms + SPAN_MS)
        slot_ms = w->looked_ms + SPAN_MS;
    t->slot_ms = slot_ms;
    list_add(slot_at(w, slot_ms), &t->link);
    arm(l, slot_ms);
}

static void look_at_slot(struct loop *l, int64_t slot_ms)
{
    struct list due;
    list_init(&due);
    for (struct list *link; (link = list_pop(slot_at(&l->wheel, slot_ms)));)
        list_add(&due, link);
    for (struct list *link; (link = list_pop(&due));) {
        struct timer *t = container_of(link, struct timer, link);
        if (t->due_ms > slot_ms) {
            hang(l, t);
        } else {
            t->due_ms = 0;
            t->fn(t, l);
        }
    }
}

static void on_alarm(uv_timer_t *alarm)
{
    struct loop *l = container_of(container_of(alarm, struct wheel, alarm), struct loop, wheel);
    struct wheel *w = &l->wheel;
    int64_t now = loop_now_ms(l);
    /* armed_ms stays set until all slots are looked at: it keeps timer_set from moving looked_ms
     * over slots that this turn has yet to look at. */
    if (now - w->looked_ms > SPAN_MS) /* slept through a whole turn: each slot once is enough */
        w->looked_ms = now / WHEEL_STEP_MS * WHEEL_STEP_MS - SPAN_MS;
    while (w->looked_ms + WHEEL_STEP_MS <= now) {
        w->looked_ms += WHEEL_STEP_MS;
        look_at_slot(l, w->looked_ms);
    }
    w->armed_ms = 0;
    for (int64_t at = w->looked_ms + WHEEL_STEP_MS; at <= w->looked_ms + SPAN_MS;
         at += WHEEL_STEP_MS) {
        if (!list_is_empty(slot_at(w, at))) {
            arm(l, at);
            return;
        }
    }
}

void timer_set(struct timer *t, struct loop *l, int64_t after_ms)
{
    if (!list_is_linked(&t->link)) {
        /* After a long sleep the wheel is behind: nothing hangs in it, so it may jump. */
        if (!l->wheel.armed_ms)
            l->wheel.looked_ms = loop_now_ms(l) / WHEEL_STEP_MS * WHEEL_STEP_MS;
        t->due_ms = loop_now_ms(l) + after_ms;
        hang(l, t);
        return;
    }
    t->due_ms = loop_now_ms(l) + after_ms;
    if (t->due_ms <= t->slot_ms - WHEEL_STEP_MS) { /* earlier than it hangs: move */
        list_remove(&t->link);
        hang(l, t);
    }
}

void timer_off(struct timer *t)
{
    t->due_ms = 0;
    if (list_is_linked(&t->link))
        list_remove(&t->link);
}
