/* A database that is open while somebody needs it: a count of who is in it, and a lock for opening
 * and closing, which nobody takes who only comes in. */
#include "db/slot.h"

#include "db/ring_impl.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SHUT    (1 << 30) /* on top of the count: nobody may come in */
#define TOLD_MS 1000      /* at most so long a failure is told again */

struct db_slot {
    const struct db_options *options;
    pthread_mutex_t lock; /* of opening and closing */
    _Atomic int users;    /* SHUT and more: closed, or about to be */
    _Atomic int64_t left_ms;
    _Atomic uint64_t times;
    _Atomic uint64_t readings, present; /* how many joined; which one's rows there are */
    struct db *db;                      /* while it is not SHUT */
    _Atomic bool has_failed;            /* the last time it was to be opened */
    bool has_ended;                     /* with the lock, as what follows */
    struct err failure;
    int64_t told_until_ms;
    struct db_bell bell;
};

struct db_slot *db_slot_new(const struct db_options *o)
{
    struct db_slot *s = mem_new(struct db_slot);
    s->options = o;
    s->users = SHUT;
    pthread_mutex_init(&s->lock, NULL);
    db_bell_init(&s->bell);
    return s;
}

void db_slot_free(struct db_slot *s)
{
    if (!s)
        return;
    must((atomic_load(&s->users) & ~SHUT) == 0);
    if (s->db)
        db_close(s->db);
    db_bell_done(&s->bell);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void db_slot_end(struct db_slot *s)
{
    pthread_mutex_lock(&s->lock);
    s->has_ended = true;
    if (s->db) {
        atomic_fetch_add(&s->users, SHUT);
        db_close(s->db);
        s->db = NULL;
    }
    pthread_mutex_unlock(&s->lock);
}

struct db *db_slot_enter(struct db_slot *s)
{
    if (atomic_fetch_add(&s->users, 1) < SHUT)
        return s->db;
    atomic_fetch_sub(&s->users, 1);
    return NULL;
}

/* With the lock. What took long to fail is told again for as long: of many who come one after the
 * other, each would wait for it, and all others behind them. */
static void open_now(struct db_slot *s)
{
    int64_t began_ms = clock_mono_ms(), took_ms;
    s->db = db_open_with(s->options, &s->bell, &s->failure);
    atomic_store(&s->has_failed, !s->db);
    if (s->db) {
        s->times++;
        atomic_fetch_sub(&s->users, SHUT);
        if (atomic_load(&s->bell.n_listeners))
            db_ring_need(s->db);
        return;
    }
    took_ms = clock_mono_ms() - began_ms;
    s->told_until_ms = began_ms + took_ms + (took_ms < TOLD_MS ? took_ms : TOLD_MS);
}

struct db *db_slot_open(struct db_slot *s, struct err *e)
{
    pthread_mutex_lock(&s->lock);
    if (!s->db && !s->has_ended && clock_mono_ms() >= s->told_until_ms)
        open_now(s);
    struct db *db = s->db ? db_slot_enter(s) : NULL;
    if (!db && s->has_ended)
        err_set(e, ERR_UNAVAILABLE, "the server is stopping");
    else if (!db)
        *e = s->failure;
    pthread_mutex_unlock(&s->lock);
    return db;
}

void db_slot_leave(struct db_slot *s)
{
    atomic_store(&s->left_ms, clock_mono_ms());
    atomic_fetch_sub(&s->users, 1);
}

void db_slot_leave_quietly(struct db_slot *s)
{
    atomic_fetch_sub(&s->users, 1);
}

uint64_t db_slot_times(const struct db_slot *s)
{
    return atomic_load(&s->times);
}

void db_slot_close_idle(struct db_slot *s, int64_t idle_ms)
{
    int none = 0;
    if (pthread_mutex_trylock(&s->lock) != 0) /* it is being opened: somebody wants it */
        return;
    if (s->db && clock_mono_ms() - atomic_load(&s->left_ms) >= idle_ms &&
        atomic_compare_exchange_strong(&s->users, &none, SHUT)) {
        db_close(s->db);
        s->db = NULL;
    }
    pthread_mutex_unlock(&s->lock);
}

bool db_slot_has_failed(const struct db_slot *s)
{
    return atomic_load(&s->has_failed);
}

bool db_slot_is_open(const struct db_slot *s)
{
    return atomic_load(&s->users) < SHUT;
}

int64_t db_slot_idle_ms(const struct db_slot *s)
{
    return atomic_load(&s->users) == 0 ? clock_mono_ms() - atomic_load(&s->left_ms) : -1;
}

static struct db_slot *longest_unused(struct db_slot *const *slots, size_t n, size_t *ret_open)
{
    struct db_slot *found = NULL;
    int64_t longest = -1;
    *ret_open = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t idle = db_slot_idle_ms(slots[i]);
        *ret_open += db_slot_is_open(slots[i]);
        if (idle > longest) {
            longest = idle;
            found = slots[i];
        }
    }
    return found;
}

void db_slots_tidy(struct db_slot *const *slots, size_t n, int64_t idle_ms, size_t max_open)
{
    size_t open;
    for (size_t i = 0; i < n; i++) {
        if (db_slot_idle_ms(slots[i]) >= idle_ms)
            db_slot_close_idle(slots[i], idle_ms);
    }
    for (size_t tries = 0; tries < n; tries++) { /* one may be taken just now */
        struct db_slot *s = longest_unused(slots, n, &open);
        if (open <= max_open || !s)
            return;
        db_slot_close_idle(s, 0);
    }
}

void db_slot_listen(struct db_slot *s, struct db_listener *l)
{
    db_bell_add(&s->bell, l);
    struct db *db = db_slot_enter(s); /* else whoever opens it sees the listener */
    if (!db)
        return;
    db_ring_need(db);
    db_slot_leave_quietly(s);
}

void db_slot_unlisten(struct db_slot *s, struct db_listener *l)
{
    db_bell_remove(&s->bell, l);
}

uint64_t db_slot_join(struct db_slot *s)
{
    return atomic_fetch_add(&s->readings, 1) + 1;
}

bool db_slot_supersede(struct db_slot *s, uint64_t reading)
{
    uint64_t present = atomic_load(&s->present);
    while (present < reading) {
        if (atomic_compare_exchange_weak(&s->present, &present, reading))
            return true;
    }
    return present == reading;
}

bool db_slot_is_present(const struct db_slot *s, uint64_t reading)
{
    return atomic_load(&s->present) <= reading;
}
