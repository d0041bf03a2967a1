/* Watching descriptors: opening, closing and changing what is wanted from inside callbacks. */
#include "loop/loop.h"
#include "unit.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct end {
    struct watch watch;
    int fd, other; /* other: the far end, ours to write to */
    int ready, events;
    struct end *also_close;
    bool is_closed, stays;
};

static struct loops *loops;
static int n_open;

static void on_closed(struct watch *w)
{
    struct end *e = container_of(w, struct end, watch);
    assert_false(e->is_closed);
    e->is_closed = true;
    close(e->other);
    if (--n_open == 0)
        loops_stop(loops);
}

static void close_end(struct end *e)
{
    watch_close(&e->watch, on_closed);
    close(e->fd);
    e->fd = -1;
}

static void on_ready(struct watch *w, int events)
{
    struct end *e = container_of(w, struct end, watch);
    assert_true(e->fd >= 0); /* never called again once it is closed */
    e->ready++;
    e->events |= events;
    if (e->stays && e->ready < 3)
        return;
    if (e->also_close && e->also_close->fd >= 0)
        close_end(e->also_close);
    close_end(e);
}

static void open_end(struct end *e, int wanted)
{
    struct err err;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    *e = (struct end){.watch.on_ready = on_ready, .fd = pair[0], .other = pair[1]};
    assert_true(watch_open(&e->watch, loops_get(loops, 0), e->fd, &err));
    watch_want(&e->watch, wanted);
    n_open++;
}

static int start(void **state)
{
    (void)state;
    loops = loops_new(1);
    n_open = 0;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    loops_free(loops);
    return 0;
}

static void a_callback_may_close_itself_and_another(void **state)
{
    struct end ends[2];
    (void)state;
    for (int i = 0; i < 2; i++)
        open_end(&ends[i], WATCH_READ);
    ends[0].also_close = &ends[1]; /* both are ready in the same turn; one callback happens */
    ends[1].also_close = &ends[0];
    for (int i = 0; i < 2; i++)
        assert_int_equal(write(ends[i].other, "x", 1), 1);
    loops_run(loops);
    assert_int_equal(ends[0].ready + ends[1].ready, 1);
    assert_true(ends[0].is_closed && ends[1].is_closed);
}

static void only_what_is_wanted_is_told(void **state)
{
    struct end e;
    (void)state;
    open_end(&e, WATCH_WRITE);
    assert_int_equal(write(e.other, "x", 1), 1);
    loops_run(loops);
    assert_int_equal(e.events, WATCH_WRITE);
    stop(NULL);
    start(NULL);
    open_end(&e, 0);
    watch_want(&e.watch, WATCH_READ | WATCH_WRITE);
    watch_want(&e.watch, WATCH_READ);
    e.stays = true;
    assert_int_equal(write(e.other, "x", 1), 1);
    loops_run(loops);
    assert_int_equal(e.events, WATCH_READ);
    assert_int_equal(e.ready, 3); /* told until it is read */
}

/* The descriptor of a closed watch may be reused in the same turn. */
static struct end successor;

static void on_ready_then_reopen(struct watch *w, int events)
{
    struct end *e = container_of(w, struct end, watch);
    (void)events;
    int was = e->fd;
    close_end(e);
    open_end(&successor, WATCH_READ);
    assert_int_equal(successor.fd, was);
    assert_int_equal(write(successor.other, "x", 1), 1);
}

static void a_number_may_be_used_again_at_once(void **state)
{
    struct end e;
    (void)state;
    open_end(&e, WATCH_READ);
    e.watch.on_ready = on_ready_then_reopen;
    assert_int_equal(write(e.other, "x", 1), 1);
    loops_run(loops);
    assert_int_equal(successor.ready, 1);
}

static void a_descriptor_that_cannot_be_watched_is_an_error(void **state)
{
    struct watch w = {0};
    struct err e;
    (void)state;
    assert_false(watch_open(&w, loops_get(loops, 0), -1, &e));
    assert_int_equal(e.code, ERR_IO);
    assert_non_null(strstr(e.msg, "watching a descriptor failed"));
}

/* ---- a connection that is reset with bytes left in it ---------------------------------------- */

static struct timer patience;
static int bytes_seen;
static bool is_too_late;

static void on_too_late(struct timer *t, struct loop *l)
{
    (void)t;
    (void)l;
    is_too_late = true;
    loops_stop(loops);
}

static void on_ready_take_one(struct watch *w, int events)
{
    struct end *e = container_of(w, struct end, watch);
    char c;
    (void)events;
    if (recv(e->fd, &c, 1, 0) == 1) {
        bytes_seen++;
        return;
    }
    timer_off(&patience);
    close_end(e);
}

/* Returns our end; the other one has sent three bytes and then reset the connection. */
static int reset_connection(void)
{
    const struct linger now = {.l_onoff = 1};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int door = socket(AF_INET, SOCK_STREAM, 0), far = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(door, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(door, 1), 0);
    assert_int_equal(getsockname(door, (struct sockaddr *)&a, &len), 0);
    assert_int_equal(connect(far, (struct sockaddr *)&a, sizeof a), 0);
    int fd = accept4(door, NULL, NULL, SOCK_NONBLOCK);
    assert_int_equal(send(far, "abc", 3, 0), 3);
    setsockopt(far, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(far);
    close(door);
    return fd;
}

static void an_error_is_told_until_it_is_seen(void **state)
{
    struct err err;
    struct loop *l = loops_get(loops, 0);
    struct end e = {.watch.on_ready = on_ready_take_one, .fd = reset_connection(), .other = dup(0)};
    (void)state;
    assert_true(watch_open(&e.watch, l, e.fd, &err));
    watch_want(&e.watch, WATCH_READ);
    n_open++;
    patience.fn = on_too_late;
    timer_set(&patience, l, 5000);
    loops_run(loops);
    assert_false(is_too_late);
    assert_int_equal(bytes_seen, 3);
    assert_true(e.is_closed);
}

#define T(test) cmocka_unit_test_setup_teardown(test, start, stop)
TESTS(T(a_callback_may_close_itself_and_another), T(only_what_is_wanted_is_told),
      T(a_number_may_be_used_again_at_once), T(a_descriptor_that_cannot_be_watched_is_an_error),
      T(an_error_is_told_until_it_is_seen))
