/* Tests of changing files under a running host: two loops ask all the time while a third thread
 * changes the folder; every answer is whole, newer files come by themselves. */
#include "fixture.h"

#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#define LOOPS 2

struct client { /* asks again and again on its loop */
    struct post post;
    struct world *world;
    int last;
    _Atomic int seen; /* version of /version.txt; -1: 404 */
    _Atomic bool from_memory;
    uint64_t asked;
};

struct world {
    struct app app;
    struct loops *loops;
    struct client clients[LOOPS];
    _Atomic bool is_over;
    void (*act)(struct world *w); /* on its own thread */
    struct post start, stop;
    _Atomic int changes;
    const char *failure; /* of act: told by the main thread */
};

/* For act: remembers what never happened; false then. */
static bool wait_for(bool (*is_true)(struct world *w, int arg), struct world *w, int arg,
                     const char *what)
{
    for (int i = 0; i < 12000; i++) {
        if (is_true(w, arg))
            return true;
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
    w->failure = what;
    return false;
}

static bool all_saw(struct world *w, int version)
{
    for (int i = 0; i < LOOPS; i++) {
        if (atomic_load(&w->clients[i].seen) != version)
            return false;
    }
    return true;
}

/* What is not in memory yet is read from disk and so always new; this is the other way. */
static bool all_remember(struct world *w, int version)
{
    for (int i = 0; i < LOOPS; i++) {
        if (!atomic_load(&w->clients[i].from_memory))
            return false;
    }
    return all_saw(w, version);
}

/* "7 7 7 7 ...": a mix of versions would show. */
static int version_of(struct slice body)
{
    struct slice word;
    uint64_t first = 0, v;
    while (slice_cut(&body, ' ', &word)) {
        assert_true(slice_to_u64(word, &v) && (!first || v == first));
        first = v;
    }
    return (int)first;
}

static void ask_again(struct post *p, struct loop *l)
{
    struct client *c = container_of(p, struct client, post);
    struct asked a;
    ask_on(&a, c->world->app.web, l, "GET /version.txt HTTP/1.1\r\nHost: x\r\n\r\n");
    take_body(&a);
    atomic_store(&c->from_memory, a.rq.res.kind == BODY_SHARED);
    if (a.rq.res.status == 200) {
        c->last = version_of(buf_slice(&a.body));
        atomic_store(&c->seen, c->last);
    } else {
        atomic_store(&c->seen, -1);
    }
    c->asked++;
    asked_done(&a);
    if (!atomic_load(&c->world->is_over))
        loop_post(l, &c->post);
}

static void write_version(struct world *w, int version)
{
    struct buf b;
    char temporary[4096], final[4096];
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 400; i++)
        buf_printf(&b, "%d ", version);
    put_file(&w->app, "incoming", buf_slice(&b));
    buf_done(&b);
    snprintf(temporary, sizeof temporary, "%s/incoming", w->app.dir);
    snprintf(final, sizeof final, "%s/web/version.txt", w->app.dir);
    assert_int_equal(rename(temporary, final), 0);
}

static void on_change(void *user)
{
    atomic_fetch_add(&((struct world *)user)->changes, 1);
}

static void on_start(struct post *p, struct loop *l)
{
    (void)l;
    web_start(container_of(p, struct world, start)->app.web);
}

static void on_stop(struct post *p, struct loop *l)
{
    struct world *w = container_of(p, struct world, stop);
    (void)l;
    web_stop(w->app.web);
    loops_stop(w->loops);
}

static void *act_main(void *arg)
{
    struct world *w = arg;
    w->act(w);
    atomic_store(&w->is_over, true);
    w->stop.fn = on_stop;
    loop_post(loops_get(w->loops, 0), &w->stop);
    return NULL;
}

static void run_world(struct world *w, const char *web_yaml, bool without_inotify)
{
    struct err e;
    pthread_t actor;
    w->loops = loops_new(LOOPS);
    assert_true(lanes_start(w->loops, 2, &e));
    struct web_options o = app_options(&w->app, web_yaml);
    o.loops = w->loops;
    o.on_change = on_change;
    o.user = w;
    w->app.web = web_new(&o);
    if (without_inotify) {
        close(w->app.web->inotify);
        w->app.web->inotify = -1;
    }
    w->start.fn = on_start;
    loop_post(loops_get(w->loops, 0), &w->start);
    for (int i = 0; i < LOOPS; i++) {
        w->clients[i] = (struct client){.post.fn = ask_again, .world = w};
        loop_post(loops_get(w->loops, (unsigned)i), &w->clients[i].post);
    }
    assert_int_equal(pthread_create(&actor, NULL, act_main, w), 0);
    loops_run(w->loops);
    pthread_join(actor, NULL);
    lanes_stop(w->loops);
    struct web *web = w->app.web;
    w->app.web = NULL;
    web_unref(web);
    loops_free(w->loops);
    app_done(&w->app);
    if (w->failure)
        fail_msg("%s never came", w->failure);
}

static void change_often(struct world *w)
{
    if (!wait_for(all_remember, w, 1, "the first version in memory"))
        return;
    for (int v = 2; v < 12; v++) {
        write_version(w, v);
        if (!wait_for(all_remember, w, v, "a new version"))
            return;
    }
    unlink(at(&w->app, "web/version.txt"));
    if (!wait_for(all_saw, w, -1, "404"))
        return;
    write_version(w, 20);
    wait_for(all_saw, w, 20, "the file after it was away");
}

static void requests_run_while_files_change(void **state)
{
    (void)state;
    struct world w = {.act = change_often};
    app_init(&w.app);
    write_version(&w, 1);
    for (int i = 0; i < 20; i++) {
        char name[64];
        snprintf(name, sizeof name, "web/other%d.txt", i);
        put_large(&w.app, name, 3000);
    }
    run_world(&w, "", false);
    assert_true(w.changes >= 12);
    print_message("%llu requests\n",
                  (unsigned long long)w.clients[0].asked + (unsigned long long)w.clients[1].asked);
}

static void replace_folder(struct world *w)
{
    char from[4096], to[4096];
    if (!wait_for(all_saw, w, -1, "404 without a folder"))
        return;
    mkdir(at(&w->app, "web"), 0755); /* the build's first run */
    write_version(w, 1);
    if (!wait_for(all_saw, w, 1, "the folder that came"))
        return;
    put_file(&w->app, "next/version.txt", SLICE("2 2 2 "));
    snprintf(from, sizeof from, "%s/web", w->app.dir);
    snprintf(to, sizeof to, "%s/before", w->app.dir);
    assert_int_equal(rename(from, to), 0);
    snprintf(from, sizeof from, "%s/next", w->app.dir);
    snprintf(to, sizeof to, "%s/web", w->app.dir);
    assert_int_equal(rename(from, to), 0);
    if (!wait_for(all_saw, w, 2, "the folder renamed into place"))
        return;
    put_file(&w->app, "web/sub/x.txt", SLICE("x")); /* a new folder in the new root */
    write_version(w, 3);
    wait_for(all_saw, w, 3, "a change in the new folder");
}

static void folders_may_come_and_be_replaced(void **state)
{
    (void)state;
    struct world w = {.act = replace_folder};
    app_init(&w.app);
    assert_int_equal(rmdir(at(&w.app, "web")), 0);
    run_world(&w, "  build: npm run build\n", false);
}

static void change_twice(struct world *w)
{
    if (!wait_for(all_saw, w, 1, "the first version"))
        return;
    write_version(w, 2);
    wait_for(all_saw, w, 2, "a change found by looking");
}

static void changes_show_without_inotify(void **state)
{
    (void)state;
    struct world w = {.act = change_twice};
    app_init(&w.app);
    write_version(&w, 1);
    run_world(&w, "", true);
}

static void stop_at_once(struct world *w)
{
    (void)w;
}

/* The background work is under way when everything ends. */
static void stopping_early_leaks_nothing(void **state)
{
    (void)state;
    struct world w = {.act = stop_at_once};
    app_init(&w.app);
    write_version(&w, 1);
    put_large(&w.app, "web/a.js", 2000000);
    put_large(&w.app, "web/b.js", 2000000);
    run_world(&w, "", false);
}

/* ---- a lane that is full or late
 * ----------------------------------------------------------------- */

#define QUEUE_MAX 4096

static sem_t lane_may_go_on;

static void wait_there(struct work *work)
{
    (void)work;
    sem_wait(&lane_may_go_on);
    sem_post(&lane_may_go_on); /* open from then on */
}

static void forget(struct work *work, struct loop *home)
{
    (void)home;
    free(work);
}

/* One loop that does not run, one slow worker that waits, and a web. */
static void open_late(struct world *w, struct service *owner, size_t n_works)
{
    struct err e;
    sem_init(&lane_may_go_on, 0, 0);
    app_init(&w->app);
    write_version(w, 1);
    w->loops = loops_new(1);
    assert_true(lanes_start(w->loops, 2, &e));
    for (size_t i = 0; i < n_works; i++) {
        struct work *work = mem_new(struct work);
        work->run = wait_there;
        work->done = forget;
        while (!lane_submit(loops_get(w->loops, 0), LANE_SLOW, work))
            nanosleep(&(struct timespec){0, 1000000}, NULL); /* one is about to be taken */
    }
    struct web_options o =
        app_options(&w->app, "  rewrite: [ { files: \"*.txt\", from: a, to: b } ]\n");
    o.loops = w->loops;
    o.owner = owner;
    w->app.web = web_new(&o);
    web_start(w->app.web);
}

static void close_late(struct world *w)
{
    lanes_stop(w->loops);
    loops_free(w->loops);
    w->app.web = NULL;
    app_done(&w->app);
}

struct owner {
    struct service service;
    struct world *world;
};

/* As a host does with its last reference. */
static void free_owner(struct service *s)
{
    struct app *app = &container_of(s, struct owner, service)->world->app;
    web_unref(app->web);
    app->web = NULL;
    arena_done(&app->arena);
}

static void work_under_way_keeps_what_it_reads(void **state)
{
    (void)state;
    struct world w = {0};
    struct owner owner = {.service = {.refs = 1, .free = free_owner}, .world = &w};
    open_late(&w, &owner.service, 1);
    write_version(&w, 2);
    web_refresh(w.app.web);
    web_stop(w.app.web);
    service_unref(&owner.service);
    assert_int_equal(atomic_load(&owner.service.refs), 2); /* preparing, reading again */
    sem_post(&lane_may_go_on);
    close_late(&w);
    assert_int_equal(atomic_load(&owner.service.refs), 0);
}

static void a_full_lane_leaks_nothing(void **state)
{
    (void)state;
    struct world w = {0};
    open_late(&w, NULL, QUEUE_MAX + 1);
    web_stop(w.app.web);
    web_unref(w.app.web);
    sem_post(&lane_may_go_on);
    close_late(&w);
}

struct witness {
    struct timer timer;
    struct world *world;
    uint64_t refused; /* before the change */
    int looks;
};

static uint64_t refused(struct world *w)
{
    struct lane_stats stats[LANE_COUNT];
    lanes_stats(w->loops, stats);
    return stats[LANE_SLOW].refused;
}

static void on_witness(struct timer *t, struct loop *l)
{
    struct witness *witness = container_of(t, struct witness, timer);
    struct world *w = witness->world;
    struct web_stats web;
    web_stats(w->app.web, &web);
    if (refused(w) > witness->refused) /* the look after the change */
        sem_post(&lane_may_go_on);
    if (web.swaps || ++witness->looks == 200)
        loops_stop(w->loops);
    timer_set(t, l, 50);
}

static void a_change_that_finds_the_lane_full_is_not_forgotten(void **state)
{
    (void)state;
    struct world w = {0};
    struct witness witness = {.timer.fn = on_witness, .world = &w};
    struct web_stats web;
    open_late(&w, NULL, QUEUE_MAX + 1);
    witness.refused = refused(&w);
    write_version(&w, 2);
    timer_set(&witness.timer, loops_get(w.loops, 0), 1);
    loops_run(w.loops);
    web_stats(w.app.web, &web);
    assert_int_equal(web.swaps, 1);
    timer_off(&witness.timer);
    web_stop(w.app.web);
    web_unref(w.app.web);
    close_late(&w);
}

TESTS(cmocka_unit_test(requests_run_while_files_change),
      cmocka_unit_test(folders_may_come_and_be_replaced),
      cmocka_unit_test(changes_show_without_inotify),
      cmocka_unit_test(stopping_early_leaks_nothing),
      cmocka_unit_test(work_under_way_keeps_what_it_reads),
      cmocka_unit_test(a_full_lane_leaks_nothing),
      cmocka_unit_test(a_change_that_finds_the_lane_full_is_not_forgotten))
