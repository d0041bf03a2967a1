/* Signing up, in, out, and other tokens for a session: the same whoever it is about. */
#include "accounts_test.h"

#include <pthread.h>
#include <sodium.h>

static struct signed_in got;

/* ---- signing up ------------------------------------------------------------------------------ */

static bool refused(const char *email, const char *password, const char *name)
{
    const struct sign_up in = {S(email), S(password), S(name)};
    details = (struct slice){0};
    return !accounts_sign_up(rig.accounts, &rig.a, &in, &rig.from, &got, &details, &err) &&
           err.code == ERR_INVALID && details.len > 0;
}

static void what_is_given_is_checked(void **state)
{
    char long_name[250] = {0}, long_password[1100] = {0};
    (void)state;
    memset(long_name, 'x', 201);
    memset(long_password, 'y', 1000);
    memcpy(long_password + 1000, "zabcdefghijklmnopqrstuvwxyzzz", 29);
    assert_true(refused("nobody", PASSWORD, ""));
    assert_true(refused("a@b@example.com", PASSWORD, ""));
    assert_true(refused("a\x01@example.com", PASSWORD, ""));
    assert_true(refused("ada@example.com", "short", ""));
    assert_true(refused("ada@example.com", "password1", ""));
    assert_true(refused("ada@example.com", "abababab", ""));
    assert_true(refused("ada@example.com", long_password, ""));
    assert_true(refused("ada@example.com", "Ada@Example.com", ""));
    assert_true(refused("ada@example.com", PASSWORD, long_name));
    assert_true(refused("ada@example.com", PASSWORD, "a\nb"));
    const struct sign_up nul = {SLICE("a\0b@example.com"), S(PASSWORD), S("")};
    assert_false(accounts_sign_up(rig.accounts, &rig.a, &nul, &rig.from, &got, &details, &err));
    assert_int_equal(rows(rig.app, "dais_users"), 0);
    got = sign_up("  Ada@Example.COM ",
                  "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f\xc3\xa9\xc3\xa8\xc3\xa0\xc3\xa7");
    assert_true(slice_is(got.account.email, "ada@example.com"));
}

/* What can be seen of the rows is the same for an address that is proved, known, and new. */
static void rows_tell_nothing(void **state)
{
    static const char *const tables[] = {"dais_users", "dais_sessions", "dais_links", "dais_mail",
                                         "dais_events"};
    (void)state;
    sign_up("ada@example.com", PASSWORD);
    sql(rig.app, "UPDATE dais_users SET verified = 5");
    make_operator("op@example.com");
    const char *const emails[] = {"ada@example.com", "new@example.com", "op@example.com"};
    for (size_t i = 0; i < 3; i++) {
        int64_t before[5];
        for (size_t k = 0; k < 5; k++)
            before[k] = rows(rig.app, tables[k]);
        got = sign_up(emails[i], "another one");
        assert_int_equal(got.account.verified_ms, 0);
        assert_false(got.account.is_operator);
        for (size_t k = 0; k < 5; k++)
            assert_int_equal(rows(rig.app, tables[k]) - before[k], 1);
    }
    assert_string_equal(link_to(rig.app, "ada@example.com"), "");
    assert_string_equal(link_to(rig.app, "op@example.com"), "");
    assert_string_not_equal(link_to(rig.app, "new@example.com"), "");
    assert_int_equal(rows(rig.app, "dais_mail WHERE words LIKE '%Ada%'"), 0);
}

static void the_password_there_is_signs_in(void **state)
{
    (void)state;
    struct signed_in first = sign_up("ada@example.com", PASSWORD);
    got = sign_up("ada@example.com", PASSWORD);
    assert_true(slice_eq(got.account.id, first.account.id));
    assert_int_equal(rows(rig.app, "dais_users"), 1);
    got = sign_up("ada@example.com", OTHER);
    assert_false(slice_eq(got.account.id, first.account.id));
}

static void who_runs_the_app_may_keep_it_closed(void **state)
{
    const struct sign_up in = {S("ada@example.com"), S(PASSWORD), S("")};
    (void)state;
    rig.manifest->auth.signup.s = SLICE("invite");
    assert_false(accounts_sign_up(rig.accounts, &rig.a, &in, &rig.from, &got, &details, &err));
    assert_int_equal(err.code, ERR_FORBIDDEN);
}

/* ---- signing in ------------------------------------------------------------------------------ */

static void one_refusal_for_all(void **state)
{
    struct err first;
    (void)state;
    sign_up("ada@example.com", PASSWORD);
    assert_false(log_in("ada@example.com", OTHER, &got));
    first = err;
    assert_int_equal(first.code, ERR_UNAUTHENTICATED);
    assert_false(log_in("nobody@example.com", OTHER, &got));
    assert_string_equal(err.msg, first.msg);
    assert_false(log_in("", PASSWORD, &got));
    assert_string_equal(err.msg, first.msg);
    sql(rig.app, "UPDATE dais_users SET state = 1");
    assert_false(log_in("ada@example.com", PASSWORD, &got));
    assert_string_equal(err.msg, first.msg);
    const struct slice odd = SLICE("a\0b@example.com");
    assert_false(accounts_log_in(rig.accounts, &rig.a, odd, S(OTHER), &rig.from, &got, &err));
    assert_string_equal(err.msg, first.msg);
}

static void nobodys_hash_is_todays(void **state)
{
    (void)state;
    assert_false(password_is_old(NULL)); /* as much work as a real one */
    for (int i = 0; i < 3; i++)
        assert_false(password_is(NULL, S(PASSWORD)));
}

static void operators_come_first(void **state)
{
    (void)state;
    struct signed_in op = make_operator("op@example.com");
    assert_true(slice_starts(S(op.token), SLICE("dst_o")));
    sign_up("op@example.com", PASSWORD);
    assert_false(log_in("op@example.com", PASSWORD, &got));
    assert_true(log_in("op@example.com", OTHER, &got));
    assert_true(got.account.is_operator);
    assert_int_equal(got.account.n_roles, 2);
    assert_true(slice_starts(S(got.token), SLICE("dst_o")));
    assert_true(is_known(rig.host, got.token));
    assert_false(is_known(rig.app, got.token));
    got = sign_up("op@example.com", OTHER);
    assert_true(got.account.is_operator);
}

static void the_one_that_proved_it_signs_in(void **state)
{
    (void)state;
    sign_up("ada@example.com", PASSWORD); /* a stranger, first */
    struct signed_in ada = sign_up("ada@example.com", OTHER);
    assert_false(log_in("ada@example.com", OTHER, &got));
    const char *link = link_to(rig.app, "ada@example.com");
    assert_true(accounts_follow_verify(rig.accounts, &rig.a, S(link), ada.account.id, SLICE(""),
                                       &rig.from, &got.account, &err));
    assert_true(log_in("ada@example.com", OTHER, &got));
    assert_true(slice_eq(got.account.id, ada.account.id));
    assert_false(log_in("ada@example.com", PASSWORD, &got));
}

static void old_hashes_are_made_anew(void **state)
{
    char cheap[crypto_pwhash_STRBYTES];
    (void)state;
    sign_up("ada@example.com", PASSWORD);
    assert_int_equal(crypto_pwhash_str(cheap, PASSWORD, strlen(PASSWORD), 1, 8192), 0);
    sql(rig.app, arena_printf(&rig.a, "UPDATE dais_users SET password = '%s'", cheap).ptr);
    assert_int_equal(rows(rig.app, "dais_users WHERE password LIKE '%m=8,%'"), 1);
    assert_true(log_in("ada@example.com", PASSWORD, &got));
    assert_int_equal(rows(rig.app, "dais_users WHERE password LIKE '%m=19456,t=2,p=1%'"), 1);
    assert_true(log_in("ada@example.com", PASSWORD, &got));
}

static void out_is_out(void **state)
{
    struct session_row *list;
    size_t n;
    (void)state;
    got = sign_up("ada@example.com", PASSWORD);
    struct slice id = got.account.id;
    assert_true(accounts_sessions(rig.accounts, &rig.a, id, &list, &n, &err));
    assert_int_equal(n, 1);
    assert_true(slice_is(list[0].agent, "Test/1"));
    assert_true(accounts_log_out(rig.accounts, list[0].id, &rig.from, &err));
    assert_false(is_known(rig.app, got.token));
    assert_true(accounts_log_out(rig.accounts, list[0].id, &rig.from, &err));
    struct signed_in op = make_operator("op@example.com");
    assert_true(accounts_sessions(rig.accounts, &rig.a, op.account.id, &list, &n, &err));
    assert_true(accounts_log_out(rig.accounts, list[0].id, &rig.from, &err));
    assert_false(is_known(rig.host, op.token));
}

/* ---- other tokens ---------------------------------------------------------------------------- */

static bool refresh(const char *token, struct signed_in *ret)
{
    return accounts_refresh(rig.accounts, &rig.a, S(token), &rig.from, ret, &err);
}

static void a_token_is_exchanged(void **state)
{
    struct signed_in second, again, third;
    (void)state;
    got = sign_up("ada@example.com", PASSWORD);
    assert_true(refresh(got.token, &second));
    assert_string_not_equal(second.token, got.token);
    assert_true(is_known(rig.app, second.token));
    assert_true(slice_eq(second.account.id, got.account.id));
    assert_true(refresh(got.token, &again)); /* within the ten seconds: the same */
    assert_string_equal(again.token, second.token);
    assert_int_equal(again.expires_ms, second.expires_ms);
    assert_true(refresh(second.token, &third));
    assert_false(refresh(got.token, &again)); /* two before: just not known */
    assert_true(is_known(rig.app, third.token));
    assert_false(refresh("dst_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &again));
    assert_false(refresh("nothing", &again));
    struct signed_in op = make_operator("op@example.com");
    assert_true(refresh(op.token, &again));
    assert_true(slice_starts(S(again.token), SLICE("dst_o")));
    assert_true(again.account.is_operator);
}

static void later_use_of_an_old_token_ends_all(void **state)
{
    struct signed_in second, again;
    (void)state;
    got = sign_up("ada@example.com", PASSWORD);
    assert_true(refresh(got.token, &second));
    sql(rig.app, "UPDATE dais_sessions SET old_until = 1");
    assert_false(refresh(got.token, &again));
    assert_int_equal(err.code, ERR_UNAUTHENTICATED);
    assert_false(is_known(rig.app, second.token));
    assert_int_equal(rows(rig.app, "dais_events WHERE kind = 'account.token_reused'"), 1);
}

static void who_is_stopped_gets_no_token(void **state)
{
    struct signed_in second;
    (void)state;
    got = sign_up("ada@example.com", PASSWORD);
    sql(rig.app, "UPDATE dais_users SET state = 1");
    assert_false(refresh(got.token, &second));
    sql(rig.app, "UPDATE dais_users SET state = 0");
    sql(rig.app, "UPDATE dais_sessions SET expires = 1");
    assert_false(refresh(got.token, &second));
}

static pthread_barrier_t line;

struct racer {
    pthread_t thread;
    struct arena a;
    struct signed_in ret;
    bool fine;
};

static void *run_refresh(void *arg)
{
    struct racer *r = arg;
    struct err e;
    pthread_barrier_wait(&line);
    r->fine = accounts_refresh(rig.accounts, &r->a, S(got.token), &rig.from, &r->ret, &e);
    return NULL;
}

static void all_at_once_get_the_same(void **state)
{
    struct racer r[4];
    (void)state;
    got = sign_up("ada@example.com", PASSWORD);
    pthread_barrier_init(&line, NULL, 4);
    for (int i = 0; i < 4; i++) {
        arena_init(&r[i].a, 1u << 20);
        assert_int_equal(pthread_create(&r[i].thread, NULL, run_refresh, &r[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(r[i].thread, NULL);
    for (int i = 0; i < 4; i++) {
        assert_true(r[i].fine);
        assert_string_equal(r[i].ret.token, r[0].ret.token);
        arena_done(&r[i].a);
    }
    assert_true(is_known(rig.app, r[0].ret.token));
    pthread_barrier_destroy(&line);
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_start, rig_stop)
TESTS(T(what_is_given_is_checked), T(rows_tell_nothing), T(the_password_there_is_signs_in),
      T(who_runs_the_app_may_keep_it_closed), T(one_refusal_for_all), T(nobodys_hash_is_todays),
      T(operators_come_first), T(the_one_that_proved_it_signs_in), T(old_hashes_are_made_anew),
      T(out_is_out), T(a_token_is_exchanged), T(later_use_of_an_old_token_ends_all),
      T(who_is_stopped_gets_no_token), T(all_at_once_get_the_same))
