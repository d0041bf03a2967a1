/* The life of a backend beside its processes: who may free it, and when. */
#include "edge/backend_impl.h"
#include "unit.h"

static struct loops *loops;
static struct list all;

static struct backend *make(const char *run, int64_t instances)
{
    static const struct pairs none;
    const struct backend_conf conf = {.run.s = slice_from(run), .instances = instances};
    const struct backend_options o = {.conf = &conf,
                                      .app = SLICE("app"),
                                      .dir = SLICE("/"),
                                      .env = &none,
                                      .socket_dir = "/tmp",
                                      .loops = loops,
                                      .all = &all};
    struct err e;
    struct backend *b = backend_new(&o, &e);
    assert_non_null(b);
    return b;
}

/* ---- its end ------------------------------------------------------------------------------------
 */

/* The last reference goes on another loop while loop 0 closes what a process left: what was posted
 * about its end still speaks of it. */
static void test_a_watch_that_closes_before_the_end_is_told(void **state)
{
    (void)state;
    list_init(&all);
    loops = loops_new(2);
    struct backend *b = make("exec sleep 1000", 1);
    b->instances[0].open_watches = 1;
    backend_unref(b);
    instance_watch_closed(&b->instances[0]);
    loops_free(loops); /* runs what was posted */
}

/* ---- where they listen --------------------------------------------------------------------------
 */

static void test_instances_have_ports_of_their_own(void **state)
{
    (void)state;
    list_init(&all);
    loops = loops_new(1);
    for (int round = 0; round < 60; round++) {
        struct backend *b = make("exec sleep 1000", 64);
        for (unsigned i = 0; i < b->n; i++) {
            for (unsigned k = 0; k < i; k++)
                assert_int_not_equal(b->instances[i].address.sa.v4.sin_port,
                                     b->instances[k].address.sa.v4.sin_port);
        }
        backend_unref(b);
    }
    loops_free(loops);
}

TESTS(cmocka_unit_test(test_a_watch_that_closes_before_the_end_is_told),
      cmocka_unit_test(test_instances_have_ports_of_their_own))
