/* Operators: one who is stopped stands in nobody's way, and some one of them stays. */
#include "accounts_test.h"

#include <pthread.h>

static struct signed_in got;

static struct slice add_operator(const char *email)
{
    struct account it;
    const struct account_draft in = {
        .email = S(email), .password = SLICE(OTHER), .is_verified = true};
    if (!accounts_add(rig.operators, &rig.a, &in, &rig.from, &it, &err))
        fail_msg("%s", err.msg);
    return it.id;
}

static bool set_state(struct slice id, enum account_state state)
{
    return accounts_set_state(rig.operators, id, state, &rig.from, &err);
}

static void one_who_is_stopped_hides_nobody(void **state)
{
    (void)state;
    make_operator("first@example.com");
    struct slice id = add_operator("ada@example.com");
    struct signed_in own = sign_up("ada@example.com", PASSWORD);
    assert_true(log_in("ada@example.com", OTHER, &got) && got.account.is_operator);
    assert_false(log_in("ada@example.com", PASSWORD, &got));
    assert_true(set_state(id, ACCOUNT_DISABLED));
    assert_true(log_in("ada@example.com", PASSWORD, &got));
    assert_true(slice_eq(got.account.id, own.account.id) && !got.account.is_operator);
    assert_false(log_in("ada@example.com", OTHER, &got));
    assert_string_not_equal(sent(LINK_RESET, "ada@example.com"), "");
    assert_true(set_state(id, ACCOUNT_ACTIVE));
    assert_true(log_in("ada@example.com", OTHER, &got) && got.account.is_operator);
    assert_true(set_state(id, ACCOUNT_DISABLED)); /* nor who joins the app afterwards */
    assert_true(log_in("ada@example.com", PASSWORD, &got));
}

static void the_last_one_stays(void **state)
{
    (void)state;
    struct signed_in first = make_operator("first@example.com");
    assert_false(set_state(first.account.id, ACCOUNT_DISABLED));
    assert_int_equal(err.code, ERR_FORBIDDEN);
    assert_false(set_state(first.account.id, ACCOUNT_LEAVING));
    assert_true(is_known(rig.host, first.token)); /* nothing of it was done */
    struct slice second = add_operator("second@example.com");
    assert_true(set_state(first.account.id, ACCOUNT_DISABLED));
    assert_false(set_state(second, ACCOUNT_LEAVING));
    assert_true(set_state(first.account.id, ACCOUNT_LEAVING));   /* who is stopped may go */
    struct signed_in ann = sign_up("ann@example.com", PASSWORD); /* people may all go */
    assert_true(accounts_set_state(rig.accounts, ann.account.id, ACCOUNT_LEAVING, &rig.from, &err));
}

static pthread_barrier_t line;

struct racer {
    pthread_t thread;
    struct slice id;
    enum account_state to;
    struct err e;
    bool fine;
};

static void *run_stop(void *arg)
{
    struct racer *r = arg;
    pthread_barrier_wait(&line);
    r->fine = accounts_set_state(rig.operators, r->id, r->to, &rig.from, &r->e);
    return NULL;
}

static void of_two_at_once_one_stays(void **state)
{
    (void)state;
    make_operator("first@example.com");
    pthread_barrier_init(&line, NULL, 2);
    sql(rig.host, "DELETE FROM dais_users");
    for (int i = 0; i < 20; i++) {
        struct racer r[2] = {{.to = ACCOUNT_DISABLED}, {.to = ACCOUNT_LEAVING}};
        r[0].id = add_operator("one@example.com");
        r[1].id = add_operator("two@example.com");
        for (int k = 0; k < 2; k++)
            assert_int_equal(pthread_create(&r[k].thread, NULL, run_stop, &r[k]), 0);
        for (int k = 0; k < 2; k++)
            pthread_join(r[k].thread, NULL);
        assert_true(r[0].fine != r[1].fine);
        assert_int_equal(r[r[0].fine].e.code, ERR_FORBIDDEN);
        assert_int_equal(rows(rig.host, "dais_users WHERE state = 0"), 1);
        sql(rig.host, "DELETE FROM dais_users");
    }
    pthread_barrier_destroy(&line);
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_start, rig_stop)
TESTS(T(one_who_is_stopped_hides_nobody), T(the_last_one_stays), T(of_two_at_once_one_stays))
