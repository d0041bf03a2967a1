/* Who a token belongs to, in memory: what is kept and for how long, ends and changes, streams, and
 * many threads at it at once. */
#include "accounts/accounts_impl.h"
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW   1000000
#define UNTIL (NOW + 1000)

static struct who_cache *cache;
static struct arena arena;

static int begin(void **state)
{
    (void)state;
    cache = who_cache_new();
    arena_init(&arena, 64u << 20);
    return 0;
}

static int end(void **state)
{
    (void)state;
    who_cache_free(cache);
    arena_done(&arena);
    return 0;
}

static const unsigned char *digest_of(unsigned n)
{
    static _Thread_local unsigned char digest[DIGEST_LEN];
    char text[20];
    snprintf(text, sizeof text, "token %u", n);
    token_digest(slice_from(text), digest);
    return digest;
}

static struct known known(const char *user, const char *session)
{
    static const struct slice roles[] = {SLICE_INIT("editor"), SLICE_INIT("")};
    static const struct slice scopes[] = {SLICE_INIT("read:charts")};
    return (struct known){.user = slice_from(user),
                          .session = slice_from(session),
                          .email = SLICE("a@b.example"),
                          .name = SLICE("Ann"),
                          .roles = roles,
                          .n_roles = 2,
                          .scopes = scopes,
                          .n_scopes = 1};
}

static void put(unsigned n, const char *user, const char *session)
{
    struct known k = known(user, session);
    who_put(cache, digest_of(n), &k, who_epoch(cache), UNTIL);
}

static bool has(unsigned n)
{
    struct known k;
    return who_find(cache, digest_of(n), &arena, NOW, &k);
}

static void what_was_put_is_found_whole(void **state)
{
    struct known k;
    (void)state;
    assert_false(has(1));
    put(1, "u_ann", "s_1");
    assert_true(who_find(cache, digest_of(1), &arena, NOW, &k));
    cache_end(cache, SLICE("u_ann"), SLICE(""), SLICE("")); /* ours stays ours */
    assert_true(slice_is(k.user, "u_ann") && slice_is(k.session, "s_1"));
    assert_true(slice_is(k.email, "a@b.example") && slice_is(k.name, "Ann"));
    assert_int_equal(k.n_roles, 2);
    assert_true(slice_is(k.roles[0], "editor") && k.roles[1].len == 0);
    assert_true(k.n_scopes == 1 && slice_is(k.scopes[0], "read:charts"));
}

static void it_lasts_as_long_as_is_said(void **state)
{
    struct known k = known("u", "s"), found;
    (void)state;
    put(1, "u", "s");
    assert_true(who_find(cache, digest_of(1), &arena, UNTIL - 1, &found));
    assert_false(who_find(cache, digest_of(1), &arena, UNTIL, &found));
    k.expires_ms = NOW + 10;
    who_put(cache, digest_of(2), &k, who_epoch(cache), UNTIL);
    assert_true(who_find(cache, digest_of(2), &arena, NOW + 9, &found));
    assert_false(who_find(cache, digest_of(2), &arena, NOW + 10, &found));
    k.expires_ms = 0;
    k.reused_ms = NOW + 20;
    who_put(cache, digest_of(2), &k, who_epoch(cache), UNTIL);
    assert_true(who_find(cache, digest_of(2), &arena, NOW + 19, &found));
    assert_false(who_find(cache, digest_of(2), &arena, NOW + 20, &found));
}

static void ends_are_of_a_session_or_a_user(void **state)
{
    (void)state;
    put(1, "ann", "s1");
    put(2, "ann", "s2");
    put(3, "bob", "s3");
    cache_end(cache, SLICE(""), SLICE(""), SLICE(""));
    assert_true(has(1) && has(2) && has(3));
    cache_end(cache, SLICE("ann"), SLICE("s1"), SLICE(""));
    assert_true(!has(1) && has(2) && has(3));
    put(1, "ann", "s1");
    cache_end(cache, SLICE("ann"), SLICE(""), SLICE("s2"));
    assert_true(!has(1) && has(2) && has(3));
    cache_changed(cache, SLICE("ann"), SLICE(""));
    assert_true(!has(2) && has(3));
    cache_end(cache, SLICE(""), SLICE("s3"), SLICE(""));
    assert_false(has(3));
}

static void what_was_read_before_an_end_is_not_put(void **state)
{
    struct known k = known("ann", "s1");
    uint64_t epoch = who_epoch(cache);
    (void)state;
    cache_end(cache, SLICE("bob"), SLICE(""), SLICE(""));
    who_put(cache, digest_of(1), &k, epoch, UNTIL);
    assert_false(has(1));
    epoch = who_epoch(cache);
    cache_changed(cache, SLICE("bob"), SLICE(""));
    who_put(cache, digest_of(1), &k, epoch, UNTIL);
    assert_false(has(1));
    who_put(cache, digest_of(1), &k, who_epoch(cache), UNTIL);
    assert_true(has(1));
}

/* Whoever asks often stays, however many come. */
static void it_is_bounded(void **state)
{
    enum { MANY = 100000 };
    unsigned left = 0;
    (void)state;
    for (unsigned i = 1; i <= MANY; i++) {
        put(i, "ann", "s");
        if (i % 100 == 0) {
            if (!has(1))
                put(1, "ann", "s");
            arena_reset(&arena);
        }
    }
    assert_true(has(1));
    for (unsigned i = 1; i <= MANY; i++, arena_reset(&arena))
        left += has(i);
    assert_in_range(left, 10000, 16384);
}

/* ---- streams --------------------------------------------------------------------------------- */

struct seat {
    struct session_watch watch;
    struct post post;
    bool is_last;
};
static struct loops *loops;
static struct seat seats[4];
static unsigned ended[4];

static void on_ended(struct session_watch *w)
{
    struct seat *s = container_of(w, struct seat, watch);
    assert_null(w->at);
    ended[s - seats]++;
}

static void take_seat(int i, const char *user, const char *session, uint64_t epoch)
{
    const struct identity who = {.is_signed_in = true,
                                 .id = slice_from(user),
                                 .session = slice_from(session),
                                 .epoch = epoch};
    seats[i] = (struct seat){.watch = {.ended = on_ended, .home = loops_get(loops, 0)}};
    who_watch(cache, &who, &seats[i].watch);
}

static void run_loop_once(void)
{
    while (loops_run_posts(loops))
        ;
}

static void streams_end_with_their_session(void **state)
{
    (void)state;
    loops = loops_new(1);
    memset(ended, 0, sizeof ended);
    uint64_t before = who_epoch(cache);
    take_seat(0, "ann", "s1", before);
    take_seat(1, "ann", "s2", before);
    take_seat(2, "bob", "s3", before);
    cache_changed(cache, SLICE("ann"), SLICE(""));
    cache_end(cache, SLICE("ann"), SLICE(""), SLICE("s2"));
    run_loop_once();
    assert_true(ended[0] == 1 && ended[1] == 0 && ended[2] == 0);
    take_seat(3, "ann", "s1", before); /* identified before, and there too late */
    run_loop_once();
    assert_int_equal(ended[3], 1);
    take_seat(3, "ann", "s1", who_epoch(cache));
    who_unwatch(cache, &seats[3].watch);
    cache_end(cache, SLICE("bob"), SLICE(""), SLICE(""));
    who_unwatch(cache, &seats[2].watch); /* told already, and not there any more */
    run_loop_once();
    assert_true(ended[2] == 0 && ended[3] == 1);
    for (int i = 0; i < 5000; i++)
        cache_end(cache, SLICE("carl"), SLICE(""), SLICE(""));
    take_seat(3, "dora", "s4", before); /* that was too long ago to know */
    who_unwatch(cache, &seats[1].watch);
    run_loop_once();
    assert_true(ended[1] == 0 && ended[3] == 2);
    loops_free(loops);
}

/* The next look, all of it at once: the sessions named live on until then. */
static size_t look_at_all(const char *const *live, int64_t expires_ms, bool has_failed)
{
    struct look *l = mem_new(struct look);
    size_t asked = 0;
    who_look_begin(cache, &arena, l);
    while (!l->has_failed && who_look_next(cache, l)) {
        asked += l->n;
        l->has_failed = has_failed;
        for (l->n_leases = 0; live[l->n_leases]; l->n_leases++)
            l->leases[l->n_leases] = lease_of(slice_from(live[l->n_leases]), expires_ms);
        who_look_told(cache, l, NOW);
    }
    free(l);
    run_loop_once();
    return asked;
}

static void streams_end_when_their_session_did_elsewhere(void **state)
{
    (void)state;
    loops = loops_new(1);
    memset(ended, 0, sizeof ended);
    assert_false(who_watches_any(cache));
    assert_int_equal(look_at_all((const char *[]){NULL}, 0, false), 0);
    take_seat(0, "ann", "s1", 0);
    take_seat(1, "ann", "s1", 0);
    take_seat(2, "ann", "s2", 0);
    take_seat(3, "bob", "s3", 0);
    assert_true(who_watches_any(cache));
    assert_int_equal(look_at_all((const char *[]){"s3", "s2", "s1", NULL}, NOW + 1, false), 4);
    assert_int_equal(ended[0] + ended[1] + ended[2] + ended[3], 0);
    assert_int_equal(look_at_all((const char *[]){"s2", "s3", NULL}, 0, false), 4);
    assert_true(ended[0] == 1 && ended[1] == 1 && ended[2] == 0 && ended[3] == 0);
    assert_int_equal(look_at_all((const char *[]){"s2", "s3", NULL}, NOW, false), 2);
    assert_true(ended[2] == 1 && ended[3] == 1);
    assert_false(who_watches_any(cache));
    loops_free(loops);
}

/* Nobody can say: whose time is over as far as it was known. */
static void nobody_ends_because_nothing_can_be_read(void **state)
{
    static const struct identity last = {.is_signed_in = true,
                                         .id = SLICE_INIT("ann"),
                                         .session = SLICE_INIT("s1"),
                                         .expires_ms = NOW};
    (void)state;
    loops = loops_new(1);
    memset(ended, 0, sizeof ended);
    take_seat(1, "ann", "s2", 0);
    take_seat(2, "ann", "s3", 0);
    assert_int_equal(look_at_all((const char *[]){"s2", "s3", NULL}, NOW + 1, false), 2);
    seats[0] = (struct seat){.watch = {.ended = on_ended, .home = loops_get(loops, 0)}};
    who_watch(cache, &last, &seats[0].watch);
    look_at_all((const char *[]){NULL}, 0, true);
    assert_true(ended[0] == 1 && ended[1] == 0 && ended[2] == 0);
    look_at_all((const char *[]){"s3", NULL}, 0, false);
    assert_true(ended[1] == 1 && ended[2] == 0);
    who_unwatch(cache, &seats[2].watch);
    loops_free(loops);
}

/* Many are asked for in turns, each once, and who comes meanwhile the next time. */
static void a_look_asks_for_each_stream_once(void **state)
{
    enum { MANY = 3 * LOOK_MAX + 1 };
    static struct seat many[MANY];
    struct look *l = mem_new(struct look);
    char name[20];
    size_t turns = 0, asked = 0;
    (void)state;
    loops = loops_new(1);
    memset(ended, 0, sizeof ended);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "session %d", i);
        const struct identity who = {.is_signed_in = true, .session = slice_from(name)};
        many[i] = (struct seat){.watch = {.ended = on_ended, .home = loops_get(loops, 0)}};
        who_watch(cache, &who, &many[i].watch);
    }
    for (who_look_begin(cache, &arena, l); who_look_next(cache, l); turns++) {
        asked += l->n;
        if (turns == 0)
            take_seat(0, "ann", "late", 0);
        for (l->n_leases = 0; l->n_leases < l->n; l->n_leases++)
            l->leases[l->n_leases] = lease_of(l->ids[l->n_leases], 0);
        who_look_told(cache, l, NOW);
    }
    assert_int_equal(turns, 4);
    assert_int_equal(asked, MANY);
    run_loop_once();
    assert_int_equal(ended[0], 0);
    for (int i = 0; i < MANY; i++)
        who_unwatch(cache, &many[i].watch);
    assert_int_equal(look_at_all((const char *[]){NULL}, 0, false), 1);
    assert_int_equal(ended[0], 1);
    free(l);
    loops_free(loops);
}

/* ---- threads --------------------------------------------------------------------------------- */

static _Atomic int version; /* even: the session lives; what a reader of rows would see */
static _Atomic bool is_over;
static _Atomic unsigned n_hits;

static void *reads(void *arg)
{
    struct arena mine;
    (void)arg;
    arena_init(&mine, 1u << 20);
    while (!atomic_load(&is_over)) {
        struct known found;
        char text[20];
        uint64_t epoch = who_epoch(cache);
        int least = atomic_load(&version);
        if (who_find(cache, digest_of(7), &mine, NOW, &found)) {
            atomic_fetch_add(&n_hits, 1);
            snprintf(text, sizeof text, "%.*s", SLICE_ARGS(found.name));
            long seen = strtol(text, NULL, 10);
            assert_true(seen + 1 >= least); /* one end may be under way */
        } else {
            int now = atomic_load(&version);
            snprintf(text, sizeof text, "%d", now);
            struct known k = known("ann", "s");
            k.name = slice_from(text);
            who_put(cache, digest_of(7), &k, epoch, UNTIL);
        }
        arena_reset(&mine);
    }
    arena_done(&mine);
    return NULL;
}

static void nobody_sees_what_ended(void **state)
{
    pthread_t threads[3];
    (void)state;
    atomic_store(&n_hits, 0);
    atomic_store(&is_over, false);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reads, NULL), 0);
    for (int i = 0; i < 3000 || (i < 3000000 && !atomic_load(&n_hits)); i++) {
        if (i >= 3000)
            sched_yield();             /* they have not begun yet */
        atomic_fetch_add(&version, 1); /* the commit */
        cache_end(cache, SLICE("ann"), SLICE(""), SLICE(""));
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_true(atomic_load(&n_hits) > 0);
}

/* Every other session is there, whenever it is asked for. */
static void *looks(void *arg)
{
    unsigned *n = arg;
    struct look *l = mem_new(struct look);
    struct arena mine;
    arena_init(&mine, 1u << 20);
    for (; !atomic_load(&is_over); ++*n) {
        who_look_begin(cache, &mine, l);
        while (who_look_next(cache, l)) {
            l->n_leases = 0;
            for (size_t i = 0; i < l->n; i++) {
                if (l->ids[i].ptr[0] == 'a')
                    l->leases[l->n_leases++] = lease_of(l->ids[i], 0);
            }
            who_look_told(cache, l, NOW);
            arena_reset(&mine);
        }
    }
    arena_done(&mine);
    free(l);
    return NULL;
}

static void *ends(void *arg)
{
    (void)arg;
    while (!atomic_load(&is_over))
        cache_end(cache, SLICE(""), SLICE("bob"), SLICE(""));
    return NULL;
}

static void streams_come_and_go_while_they_are_looked_at(void **state)
{
    static const char *const sessions[] = {"ann", "bob", "al", "carl"};
    pthread_t threads[2];
    unsigned n = 0;
    (void)state;
    loops = loops_new(1);
    memset(ended, 0, sizeof ended);
    atomic_store(&is_over, false);
    assert_int_equal(pthread_create(&threads[0], NULL, looks, &n), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, ends, NULL), 0);
    for (int round = 0; round < 20000 || !ended[1] || !ended[3]; round++) {
        for (int i = 0; i < 4; i++) {
            if (!seats[i].watch.at)
                take_seat(i, "user", sessions[i], who_epoch(cache));
            else if ((round + i) % 7 == 0)
                who_unwatch(cache, &seats[i].watch);
        }
        run_loop_once();
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 4; i++) {
        if (seats[i].watch.at)
            who_unwatch(cache, &seats[i].watch);
    }
    run_loop_once();
    assert_true(ended[0] == 0 && ended[2] == 0 && n > 0);
    loops_free(loops);
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
TESTS(T(what_was_put_is_found_whole), T(it_lasts_as_long_as_is_said),
      T(ends_are_of_a_session_or_a_user), T(what_was_read_before_an_end_is_not_put),
      T(it_is_bounded), T(streams_end_with_their_session),
      T(streams_end_when_their_session_did_elsewhere), T(nobody_ends_because_nothing_can_be_read),
      T(a_look_asks_for_each_stream_once), T(nobody_sees_what_ended),
      T(streams_come_and_go_while_they_are_looked_at))
