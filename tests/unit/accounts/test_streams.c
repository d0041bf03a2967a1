/* Streams whose session another process ends: what a look at the rows tells of them, and that each
 * way to end one is seen. Another process is another store on the same database. */
#include "accounts_test.h"

#include <stdlib.h>

static struct account_store *here;
static struct loops *loops;
static struct session_watch watches[3];
static unsigned ended[3];

static void on_ended(struct session_watch *w)
{
    ended[w - watches]++;
}

static void follow(int i, struct slice user, struct slice session, int64_t expires_ms)
{
    const struct identity who = {
        .is_signed_in = true, .id = user, .session = session, .expires_ms = expires_ms};
    watches[i] = (struct session_watch){.ended = on_ended, .home = loops_get(loops, 0)};
    who_watch(here->cache, &who, &watches[i]);
}

/* Which have ended by now, and were told once: 0b001 is the first. */
static unsigned look(void)
{
    unsigned gone = 0;
    accounts_look_at_streams(here);
    while (loops_run_posts(loops))
        ;
    for (int i = 0; i < 3; i++) {
        assert_in_range(ended[i], 0, 1);
        gone |= ended[i] << i;
    }
    return gone;
}

static int begin(void **state)
{
    rig_start(state);
    here = account_store_new(rig.slots[0], false);
    loops = loops_new(1);
    for (int i = 0; i < 3; i++) {
        watches[i] = (struct session_watch){0};
        ended[i] = 0;
    }
    return 0;
}

static int end(void **state)
{
    for (int i = 0; i < 3; i++) {
        if (watches[i].at)
            who_unwatch(here->cache, &watches[i]);
    }
    account_store_free(here);
    loops_free(loops);
    return rig_stop(state);
}

static struct slice session_of(struct slice user)
{
    struct session_row *list;
    size_t n;
    assert_true(accounts_sessions(rig.accounts, &rig.a, user, &list, &n, &err));
    assert_true(n > 0);
    return list[0].id;
}

static struct slice key_of(struct slice user)
{
    static const struct slice scopes[] = {SLICE_INIT("read")};
    struct key_made key;
    const struct key_row in = {.name = SLICE("k"), .user = user, .scopes = scopes, .n_scopes = 1};
    if (!keys_add(rig.accounts, &rig.a, &in, &rig.from, &key, &err))
        fail_msg("%s", err.msg);
    return key.row.id;
}

static struct slice ada, bob;

/* 0: Ada's session, 1: her key, 2: Bob's session. */
static void three(void)
{
    ada = sign_up("ada@example.com", PASSWORD).account.id;
    bob = sign_up("bob@example.com", PASSWORD).account.id;
    follow(0, ada, session_of(ada), 0);
    follow(1, ada, key_of(ada), 0);
    follow(2, bob, session_of(bob), 0);
    assert_int_equal(look(), 0);
}

static void nobody_is_looked_at_where_nobody_streams(void **state)
{
    (void)state;
    assert_false(accounts_have_streams(here));
    accounts_look_at_streams(here);
    assert_false(db_slot_is_open(rig.slots[0]));
}

static void signing_out_elsewhere_ends_the_session_alone(void **state)
{
    (void)state;
    three();
    assert_true(accounts_end_session(rig.accounts, ada, SLICE(""), &err));
    assert_int_equal(look(), 1);
    assert_true(accounts_have_streams(here));
    assert_int_equal(look(), 1);
}

static void so_does_time(void **state)
{
    (void)state;
    three();
    sql(rig.app,
        arena_printf(&rig.a, "UPDATE dais_sessions SET expires = %lld WHERE user_id = '%.*s'",
                     (long long)clock_wall_ms(), SLICE_ARGS(bob))
            .ptr);
    assert_int_equal(look(), 4);
    sql(rig.app, "UPDATE dais_keys SET expires = 5");
    assert_int_equal(look(), 6);
}

static void a_key_that_was_revoked_elsewhere_ends(void **state)
{
    (void)state;
    three();
    assert_true(keys_remove(rig.accounts, ada, false, slice_from(arena_cstr(&rig.a, key_of(ada))),
                            &rig.from, &err));
    assert_int_equal(look(), 0); /* another one */
    sql(rig.app, "DELETE FROM dais_keys");
    assert_int_equal(look(), 2);
}

static void a_key_of_the_app_needs_no_account(void **state)
{
    (void)state;
    struct slice key = key_of(SLICE(""));
    follow(0, key, key, 0);
    assert_int_equal(look(), 0);
    sql(rig.app, "DELETE FROM dais_keys");
    assert_int_equal(look(), 1);
}

static void whoever_is_disabled_or_leaves_has_no_streams(void **state)
{
    (void)state;
    three();
    sql(rig.app,
        arena_printf(&rig.a, "UPDATE dais_users SET state = 1 WHERE id = '%.*s'", SLICE_ARGS(ada))
            .ptr);
    assert_int_equal(look(), 3);
    assert_true(accounts_leave(rig.accounts, bob, SLICE(PASSWORD), &rig.from, &err));
    assert_int_equal(look(), 7);
}

/* Their time grew since the stream began. */
static void a_session_that_was_refreshed_goes_on(void **state)
{
    (void)state;
    struct signed_in got, fresh;
    ada = sign_up("ada@example.com", PASSWORD).account.id;
    assert_true(log_in("ada@example.com", PASSWORD, &got));
    assert_true(accounts_refresh(rig.accounts, &rig.a, S(got.token), &rig.from, &fresh, &err));
    follow(0, ada, session_of(ada), clock_wall_ms());
    assert_int_equal(look(), 0);
}

static void a_database_that_is_away_ends_only_what_time_did(void **state)
{
    (void)state;
    three();
    who_unwatch(here->cache, &watches[1]);
    follow(1, ada, session_of(ada), clock_wall_ms());
    db_slot_end(rig.slots[0]);
    assert_int_equal(look(), 2);
    assert_int_equal(look(), 2);
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
TESTS(T(nobody_is_looked_at_where_nobody_streams), T(signing_out_elsewhere_ends_the_session_alone),
      T(so_does_time), T(a_key_that_was_revoked_elsewhere_ends),
      T(a_key_of_the_app_needs_no_account), T(whoever_is_disabled_or_leaves_has_no_streams),
      T(a_session_that_was_refreshed_goes_on), T(a_database_that_is_away_ends_only_what_time_did))
