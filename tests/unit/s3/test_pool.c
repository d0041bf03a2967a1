/* Connections that wait for the next call, and that s3_renew() leaves none of before it. */
#include "s3/s3_impl.h"
#include "unit.h"

static char handles[8];
static size_t n_made, n_closed;

static CURL *make(void)
{
    return &handles[n_made++];
}

static void close_one(CURL *easy)
{
    assert_non_null(easy);
    n_closed++;
}

static const struct libcurl lib = {.easy_init = make, .easy_cleanup = close_one};

static void begin(struct s3 *s)
{
    n_made = n_closed = 0;
    *s = (struct s3){.lib = &lib};
    pthread_mutex_init(&s->lock, NULL);
}

static void test_kept(void **state)
{
    struct s3 s;
    unsigned era;
    (void)state;
    begin(&s);
    CURL *first = s3_handle_take(&s, &era);
    s3_handle_give(&s, first, era);
    assert_ptr_equal(s3_handle_take(&s, &era), first);
    s3_handle_give(&s, first, era);
    s3_renew(&s);
    assert_int_equal(n_closed, 1);
    assert_ptr_not_equal(s3_handle_take(&s, &era), first);
    pthread_mutex_destroy(&s.lock);
}

/* One that was in a call meanwhile is as old as the others. */
static void test_under_way(void **state)
{
    struct s3 s;
    unsigned before, after;
    (void)state;
    begin(&s);
    CURL *old = s3_handle_take(&s, &before);
    s3_renew(&s);
    s3_handle_give(&s, old, before);
    assert_int_equal(n_closed, 1);
    assert_ptr_not_equal(s3_handle_take(&s, &after), old);
    assert_int_not_equal(before, after);
    pthread_mutex_destroy(&s.lock);
}

TESTS(cmocka_unit_test(test_kept), cmocka_unit_test(test_under_way))
