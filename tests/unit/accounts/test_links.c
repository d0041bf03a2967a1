/* Links in mails: each works once, for what it was sent for, until something better came; and
 * whoever owns the address keeps strangers out. */
#include "accounts_test.h"

#include <pthread.h>

static struct signed_in got;

static bool follow(const char *link, struct signed_in *ret)
{
    return accounts_follow_sign_in(rig.accounts, &rig.a, S(link), &rig.from, ret, &err);
}

static bool reset(const char *link, const char *password)
{
    return accounts_follow_reset(rig.accounts, &rig.a, S(link), S(password), &rig.from, &got,
                                 &details, &err);
}

static bool verify(const char *link, struct slice user, const char *password)
{
    return accounts_follow_verify(rig.accounts, &rig.a, S(link), user, S(password), &rig.from,
                                  &got.account, &err);
}

static bool is_dead(bool worked)
{
    static char first[240];
    if (worked || err.code != ERR_MALFORMED)
        return false;
    if (!first[0])
        memcpy(first, err.msg, sizeof first);
    return strcmp(first, err.msg) == 0; /* the same words for all */
}

/* An account that proved its address. */
static struct signed_in proved(const char *email)
{
    struct signed_in in = sign_up(email, PASSWORD);
    if (!verify(link_to(rig.app, email), in.account.id, ""))
        fail_msg("%s", err.msg);
    return in;
}

static void each_works_once(void **state)
{
    (void)state;
    proved("ada@example.com");
    const char *link = sent(LINK_SIGN_IN, "ada@example.com");
    assert_true(follow(link, &got));
    assert_true(is_known(rig.app, got.token));
    assert_true(log_in("ada@example.com", PASSWORD, &got)); /* the password is as it was */
    assert_true(is_dead(follow(link, &got)));
    link = sent(LINK_RESET, "ada@example.com");
    assert_true(reset(link, OTHER));
    assert_true(is_dead(reset(link, PASSWORD)));
    assert_int_equal(rows(rig.app, "dais_events WHERE kind = 'account.link_sent'"), 2);
}

static void for_what_it_was_sent(void **state)
{
    (void)state;
    struct signed_in in = sign_up("ada@example.com", PASSWORD);
    const char *verifies = link_to(rig.app, "ada@example.com");
    assert_true(is_dead(follow(verifies, &got)));
    assert_true(is_dead(reset(verifies, OTHER)));
    const char *signs = sent(LINK_SIGN_IN, "ada@example.com");
    assert_true(is_dead(reset(signs, OTHER)));
    assert_true(is_dead(verify(signs, in.account.id, "")));
    const char *resets = sent(LINK_RESET, "ada@example.com");
    assert_true(is_dead(follow(resets, &got)));
    assert_true(is_dead(verify(resets, in.account.id, "")));
    assert_true(is_dead(follow("", &got)));
    assert_true(is_dead(follow(in.token, &got)));
    assert_true(is_dead(follow("dln_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &got)));
    const struct sign_up op = {S("x@example.com"), S(PASSWORD), S("")};
    assert_true(is_dead(operators_follow_link(rig.operators, &rig.a, S(signs), &op, &rig.from, &got,
                                              &details, &err)));
    assert_true(verify(verifies, in.account.id, "")); /* none of this used it up */
}

static void until_something_changed(void **state)
{
    (void)state;
    struct signed_in in = proved("ada@example.com");
    const char *link = sent(LINK_SIGN_IN, "ada@example.com");
    sql(rig.app, "UPDATE dais_links SET expires = 5");
    assert_true(is_dead(follow(link, &got)));

    link = sent(LINK_RESET, "ada@example.com");
    assert_true(accounts_set_password(rig.accounts, in.account.id, SLICE(""), S(PASSWORD), S(OTHER),
                                      &rig.from, &details, &err));
    assert_true(is_dead(reset(link, PASSWORD)));

    link = sent(LINK_RESET, "ada@example.com");
    const char *second = sent(LINK_SIGN_IN, "ada@example.com");
    assert_true(reset(link, PASSWORD));
    assert_true(is_dead(follow(second, &got)));

    link = sent(LINK_SIGN_IN, "ada@example.com");
    assert_true(accounts_set_state(rig.accounts, in.account.id, ACCOUNT_DISABLED, &rig.from, &err));
    assert_true(accounts_set_state(rig.accounts, in.account.id, ACCOUNT_ACTIVE, &rig.from, &err));
    assert_true(is_dead(follow(link, &got)));

    link = sent(LINK_SIGN_IN, "ada@example.com");
    const struct account_draft moved = {.email = S("eva@example.com"), .is_verified = true};
    assert_true(accounts_change(rig.accounts, &rig.a, in.account.id, &moved, &rig.from,
                                &got.account, &err));
    assert_true(is_dead(follow(link, &got)));
    sql(rig.app, "UPDATE dais_users SET state = 1");
    assert_string_equal(sent(LINK_SIGN_IN, "eva@example.com"), "");
}

static void a_mailbox_is_not_flooded(void **state)
{
    (void)state;
    proved("ada@example.com");
    int64_t before = rows(rig.app, "dais_mail");
    for (int i = 0; i < 8; i++)
        sent(LINK_RESET, "ada@example.com");
    assert_int_equal(rows(rig.app, "dais_mail") - before, 5);
    assert_string_equal(sent(LINK_RESET, "nobody@example.com"), "");
    assert_int_equal(rows(rig.app, "dais_mail") - before, 5);
}

static void where_they_lead(void **state)
{
    (void)state;
    proved("ada@example.com");
    sent(LINK_SIGN_IN, "ada@example.com");
    assert_int_equal(rows(rig.app, "dais_mail WHERE words LIKE"
                                   " '%https://desk.example/_/sign-in?magic=dln_%&next=%2Fx%'"),
                     1);
}

/* ---- strangers ------------------------------------------------------------------------------- */

static struct key_made make_key(struct slice user)
{
    static const struct slice scopes[] = {SLICE_INIT("read")};
    const struct key_row in = {.name = SLICE("k"), .user = user, .scopes = scopes, .n_scopes = 1};
    struct key_made made;
    if (!keys_add(rig.accounts, &rig.a, &in, &rig.from, &made, &err))
        fail_msg("%s", err.msg);
    return made;
}

static void who_gets_the_mail_shuts_the_stranger_out(void **state)
{
    (void)state;
    struct signed_in stranger = sign_up("ada@example.com", PASSWORD);
    make_key(stranger.account.id);
    assert_true(follow(sent(LINK_SIGN_IN, "ada@example.com"), &got));
    assert_true(slice_eq(got.account.id, stranger.account.id));
    assert_true(got.account.verified_ms > 0);
    assert_false(got.account.has_password);
    assert_int_equal(got.account.name.len, 0);
    assert_int_equal(rows(rig.app, "dais_links"), 0);
    assert_false(is_known(rig.app, stranger.token));
    assert_true(is_known(rig.app, got.token));
    assert_int_equal(rows(rig.app, "dais_keys"), 0);
    assert_false(log_in("ada@example.com", PASSWORD, &got));
}

/* Nobody was in an account that has no password: what is there is of whoever invited. */
static void who_was_invited_keeps_the_name(void **state)
{
    (void)state;
    const struct account_draft in = {.email = S("ada@example.com"), .name = S("Ada")};
    assert_true(accounts_add(rig.accounts, &rig.a, &in, &rig.from, &got.account, &err));
    assert_int_equal(got.account.verified_ms, 0);
    assert_true(reset(link_to(rig.app, "ada@example.com"), OTHER));
    assert_true(got.account.verified_ms > 0 && slice_is(got.account.name, "Ada"));
}

static void a_new_password_does_too(void **state)
{
    (void)state;
    struct signed_in stranger = sign_up("ada@example.com", PASSWORD);
    make_key(stranger.account.id);
    assert_true(reset(sent(LINK_RESET, "ada@example.com"), OTHER));
    assert_true(got.account.verified_ms > 0);
    assert_false(is_known(rig.app, stranger.token));
    assert_int_equal(rows(rig.app, "dais_keys"), 0);
    assert_false(log_in("ada@example.com", PASSWORD, &got));
    assert_true(log_in("ada@example.com", OTHER, &got));
    struct key_made kept = make_key(got.account.id);
    assert_true(reset(sent(LINK_RESET, "ada@example.com"), PASSWORD));
    assert_int_equal(rows(rig.app, "dais_keys"), 1);
    (void)kept;
}

/* The owner of the address follows a link that a stranger's sign-up sent: nothing is proved. */
static void a_strangers_link_proves_nothing(void **state)
{
    (void)state;
    struct signed_in stranger = sign_up("ada@example.com", PASSWORD);
    const char *link = link_to(rig.app, "ada@example.com");
    struct signed_in other = sign_up("eva@example.com", OTHER);
    assert_false(verify(link, SLICE(""), ""));
    assert_int_equal(err.code, ERR_UNAUTHENTICATED);
    assert_false(verify(link, other.account.id, ""));
    assert_false(verify(link, other.account.id, OTHER));
    assert_false(verify(link, SLICE(""), OTHER));
    assert_int_equal(err.code, ERR_UNAUTHENTICATED);
    assert_int_equal(rows(rig.app, "dais_users WHERE verified > 0"), 0);
    assert_true(verify(link, SLICE(""), PASSWORD));
    assert_true(slice_eq(got.account.id, stranger.account.id));
    assert_true(is_dead(verify(link, SLICE(""), PASSWORD)));
}

static void an_address_is_proved_once(void **state)
{
    (void)state;
    struct signed_in first = sign_up("ada@example.com", PASSWORD);
    const char *one = link_to(rig.app, "ada@example.com");
    struct signed_in second = sign_up("ada@example.com", OTHER);
    const char *two = link_to(rig.app, "ada@example.com");
    const char *magic = sent(LINK_SIGN_IN, "ada@example.com"); /* of the first */
    assert_true(verify(two, second.account.id, ""));
    assert_false(verify(one, first.account.id, ""));
    assert_int_equal(err.code, ERR_EXISTS);
    assert_true(is_dead(follow(magic, &got)));
    assert_true(accounts_send_verify(rig.accounts, second.account.id, SLICE(""), &rig.from, &err));
    assert_int_equal(rows(rig.app, "dais_users WHERE verified > 0"), 1);
}

static void operators_have_theirs_in_the_host(void **state)
{
    (void)state;
    make_operator("op@example.com");
    assert_string_equal(sent(LINK_RESET, "op@example.com"), "");
    const char *link = link_to(rig.host, "op@example.com");
    assert_true(reset(link, "a new password"));
    assert_true(got.account.is_operator);
    assert_true(is_known(rig.host, got.token));
    assert_true(log_in("op@example.com", "a new password", &got));
}

/* ---- at once --------------------------------------------------------------------------------- */

#define RACERS 4
static pthread_barrier_t line;

struct racer {
    pthread_t thread;
    struct arena a;
    const char *link;
    struct slice user;
    struct signed_in ret;
    struct err e;
    bool fine;
};

static void *run_follow(void *arg)
{
    struct racer *r = arg;
    pthread_barrier_wait(&line);
    r->fine = accounts_follow_sign_in(rig.accounts, &r->a, S(r->link), &rig.from, &r->ret, &r->e);
    return NULL;
}

static void *run_verify(void *arg)
{
    struct racer *r = arg;
    pthread_barrier_wait(&line);
    r->fine = accounts_follow_verify(rig.accounts, &r->a, S(r->link), r->user, SLICE(""), &rig.from,
                                     &r->ret.account, &r->e);
    return NULL;
}

/* Exactly one wins; the others are told why. */
static void race(struct racer *r, void *(*fn)(void *), enum err_code code)
{
    int won = 0;
    pthread_barrier_init(&line, NULL, RACERS);
    for (int i = 0; i < RACERS; i++) {
        arena_init(&r[i].a, 1u << 20);
        assert_int_equal(pthread_create(&r[i].thread, NULL, fn, &r[i]), 0);
    }
    for (int i = 0; i < RACERS; i++)
        pthread_join(r[i].thread, NULL);
    for (int i = 0; i < RACERS; i++) {
        won += r[i].fine;
        if (!r[i].fine)
            assert_int_equal(r[i].e.code, code);
        arena_done(&r[i].a);
    }
    assert_int_equal(won, 1);
    pthread_barrier_destroy(&line);
}

static void of_those_who_follow_one_wins(void **state)
{
    (void)state;
    proved("ada@example.com");
    for (int round = 0; round < 5; round++) {
        struct racer r[RACERS] = {0};
        const char *link = sent(LINK_SIGN_IN, "ada@example.com");
        for (int i = 0; i < RACERS; i++)
            r[i].link = link;
        int64_t before = rows(rig.app, "dais_sessions");
        race(r, run_follow, ERR_MALFORMED);
        assert_int_equal(rows(rig.app, "dais_sessions") - before, 1);
    }
}

static void of_those_who_prove_one_address_one_wins(void **state)
{
    static const char *const passwords[] = {"password no one", "password no two", "password no 3",
                                            "password no 4"};
    (void)state;
    for (int round = 0; round < 3; round++) {
        struct racer r[RACERS] = {0};
        const char *email = arena_printf(&rig.a, "ada%d@example.com", round).ptr;
        for (int i = 0; i < RACERS; i++) {
            r[i].user = sign_up(email, passwords[i]).account.id;
            r[i].link = link_to(rig.app, email);
        }
        race(r, run_verify, ERR_EXISTS);
        assert_int_equal(rows(rig.app, "dais_users WHERE verified > 0"), round + 1);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_start, rig_stop)
TESTS(T(each_works_once), T(for_what_it_was_sent), T(until_something_changed),
      T(a_mailbox_is_not_flooded), T(where_they_lead), T(who_gets_the_mail_shuts_the_stranger_out),
      T(who_was_invited_keeps_the_name), T(a_new_password_does_too),
      T(a_strangers_link_proves_nothing), T(an_address_is_proved_once),
      T(operators_have_theirs_in_the_host), T(of_those_who_follow_one_wins),
      T(of_those_who_prove_one_address_one_wins))
