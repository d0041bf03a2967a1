/* One's own account, keys of programs, what operators do, and what ends by itself. */
#include "accounts_test.h"

static struct signed_in got;

/* ---- one's own ------------------------------------------------------------------------------- */

static void a_name_is_checked(void **state)
{
    struct account now;
    (void)state;
    struct signed_in ada = sign_up("ada@example.com", PASSWORD);
    assert_true(accounts_rename(rig.accounts, ada.account.id, SLICE("  Ada L. "), &err));
    assert_true(accounts_get(rig.accounts, &rig.a, ada.account.id, &now, &err));
    assert_true(slice_is(now.name, "Ada L."));
    assert_false(accounts_rename(rig.accounts, ada.account.id, SLICE("a\0b"), &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_false(accounts_rename(rig.accounts, SLICE("nobody"), SLICE("x"), &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    struct signed_in op = make_operator("op@example.com");
    assert_true(accounts_rename(rig.accounts, op.account.id, SLICE("Op"), &err));
    assert_true(accounts_get(rig.accounts, &rig.a, op.account.id, &now, &err));
    assert_true(now.is_operator);
    assert_int_equal(now.n_roles, 2);
}

static bool set_password(struct slice id, struct slice session, const char *now, const char *next)
{
    return accounts_set_password(rig.accounts, id, session, S(now), S(next), &rig.from, &details,
                                 &err);
}

static void a_new_password_ends_other_sessions(void **state)
{
    struct session_row *list;
    size_t n;
    (void)state;
    struct signed_in ada = sign_up("ada@example.com", PASSWORD);
    struct slice id = ada.account.id;
    assert_true(accounts_sessions(rig.accounts, &rig.a, id, &list, &n, &err));
    struct slice session = list[0].id;
    assert_true(log_in("ada@example.com", PASSWORD, &got));
    assert_false(set_password(id, session, OTHER, "something new"));
    assert_int_equal(err.code, ERR_FORBIDDEN);
    assert_false(set_password(id, session, PASSWORD, "short"));
    assert_int_equal(err.code, ERR_INVALID);
    assert_true(slice_search(details, SLICE("too_short")) > 0);
    assert_true(set_password(id, session, PASSWORD, "something new"));
    assert_true(is_known(rig.app, ada.token));
    assert_false(is_known(rig.app, got.token));
    assert_false(log_in("ada@example.com", PASSWORD, &got));
    assert_true(log_in("ada@example.com", "something new", &got));
    sql(rig.app, "UPDATE dais_users SET password = ''");
    assert_true(set_password(id, session, "", PASSWORD)); /* there was none */
    assert_int_equal(rows(rig.app, "dais_events WHERE kind = 'account.password_changed'"), 2);
}

/* Asked for by a session that ended while the request waited for its turn: a stranger's, whose
 * account the owner of the address has just taken over. */
static void who_was_closed_out_does_nothing_more(void **state)
{
    static const struct slice scopes[] = {SLICE_INIT("read")};
    struct session_row *list;
    struct key_made key;
    size_t n;
    (void)state;
    struct slice id = sign_up("ada@example.com", PASSWORD).account.id;
    assert_true(accounts_sessions(rig.accounts, &rig.a, id, &list, &n, &err));
    struct asker stranger = rig.from;
    stranger.session = list[0].id;
    const struct key_row in = {.name = SLICE("k"), .user = id, .scopes = scopes, .n_scopes = 1};
    assert_true(keys_add(rig.accounts, &rig.a, &in, &stranger, &key, &err));
    const char *link = sent(LINK_SIGN_IN, "ada@example.com");
    assert_true(accounts_follow_sign_in(rig.accounts, &rig.a, S(link), &rig.from, &got, &err));
    assert_false(accounts_set_password(rig.accounts, id, stranger.session, S(PASSWORD), S(OTHER),
                                       &stranger, &details, &err));
    assert_int_equal(err.code, ERR_UNAUTHENTICATED);
    assert_false(keys_add(rig.accounts, &rig.a, &in, &stranger, &key, &err));
    assert_int_equal(err.code, ERR_UNAUTHENTICATED);
    assert_false(accounts_leave(rig.accounts, id, S(PASSWORD), &stranger, &err));
    assert_int_equal(err.code, ERR_UNAUTHENTICATED);
    stranger.session = key.row.id; /* a key is gone, too */
    assert_false(keys_add(rig.accounts, &rig.a, &in, &stranger, &key, &err));
    assert_true(is_known(rig.app, got.token));
    assert_int_equal(rows(rig.app, "dais_keys"), 0);
    assert_int_equal(rows(rig.app, "dais_users WHERE password <> ''"), 0);
}

static void a_session_is_ended_by_its_own(void **state)
{
    struct session_row *list;
    size_t n;
    (void)state;
    struct signed_in ada = sign_up("ada@example.com", PASSWORD);
    struct signed_in eva = sign_up("eva@example.com", PASSWORD);
    assert_true(accounts_sessions(rig.accounts, &rig.a, ada.account.id, &list, &n, &err));
    assert_false(accounts_end_session(rig.accounts, eva.account.id, list[0].id, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_true(is_known(rig.app, ada.token));
    assert_true(accounts_end_session(rig.accounts, ada.account.id, list[0].id, &err));
    assert_false(is_known(rig.app, ada.token));
    assert_true(accounts_end_session(rig.accounts, eva.account.id, SLICE(""), &err));
    assert_int_equal(rows(rig.app, "dais_sessions"), 0);
}

/* Postgres takes nothing else as text, and no client reads it in JSON. */
static void what_a_browser_calls_itself_is_text(void **state)
{
    char agent[203];
    struct session_row *list;
    size_t n;
    (void)state;
    memset(agent, 'x', sizeof agent);
    memcpy(agent, "B\xff\xe9 1", 5);
    memcpy(agent + 199, "\xc3\xa9!", 3); /* would be cut within the letter */
    rig.from.agent = (struct slice){agent, sizeof agent};
    struct signed_in ada = sign_up("ada@example.com", PASSWORD);
    assert_true(accounts_sessions(rig.accounts, &rig.a, ada.account.id, &list, &n, &err));
    assert_true(slice_starts(list[0].agent, SLICE("B?? 1xx")));
    assert_int_equal(list[0].agent.len, 199);
    assert_true(slice_is(slice_skip(list[0].agent, 198), "x"));
}

static void who_leaves_is_gone_at_once(void **state)
{
    static const struct slice scopes[] = {SLICE_INIT("read")};
    struct slice id;
    struct key_made key;
    (void)state;
    struct signed_in ada = sign_up("ada@example.com", PASSWORD);
    const struct key_row in = {
        .name = SLICE("k"), .user = ada.account.id, .scopes = scopes, .n_scopes = 1};
    assert_true(keys_add(rig.accounts, &rig.a, &in, &rig.from, &key, &err));
    assert_false(accounts_leave(rig.accounts, ada.account.id, S(OTHER), &rig.from, &err));
    assert_int_equal(err.code, ERR_FORBIDDEN);
    assert_true(accounts_next_leaving(rig.accounts, &rig.a, SLICE(""), &id, &err));
    assert_int_equal(id.len, 0);
    assert_true(accounts_leave(rig.accounts, ada.account.id, S(PASSWORD), &rig.from, &err));
    assert_false(is_known(rig.app, ada.token));
    assert_int_equal(rows(rig.app, "dais_keys"), 0);
    assert_int_equal(rows(rig.app, "dais_links"), 0);
    assert_int_equal(rows(rig.app, "dais_users WHERE email LIKE '%ada%' OR name LIKE '%Ada%'"), 0);
    assert_false(log_in("ada@example.com", PASSWORD, &got));
    assert_false(log_in("", PASSWORD, &got));
    assert_false(accounts_set_state(rig.accounts, ada.account.id, ACCOUNT_ACTIVE, &rig.from, &err));
    sign_up("ada@example.com", OTHER); /* the address is free */
    assert_true(accounts_next_leaving(rig.accounts, &rig.a, SLICE(""), &id, &err));
    assert_true(slice_eq(id, ada.account.id));
    assert_true(accounts_forget(rig.accounts, id, &err));
    assert_true(accounts_next_leaving(rig.accounts, &rig.a, SLICE(""), &id, &err));
    assert_int_equal(id.len, 0);
    assert_int_equal(rows(rig.app, "dais_users"), 1);
    struct signed_in op = make_operator("op@example.com");
    assert_false(accounts_leave(rig.accounts, op.account.id, S(OTHER), &rig.from, &err));
    assert_int_equal(err.code, ERR_FORBIDDEN);
}

static void nobody_is_forgotten_who_stays(void **state)
{
    (void)state;
    struct signed_in ada = sign_up("ada@example.com", PASSWORD);
    accounts_forget(rig.accounts, ada.account.id, &err);
    assert_int_equal(rows(rig.app, "dais_users"), 1);
    assert_true(is_known(rig.app, ada.token));
}

/* ---- keys ------------------------------------------------------------------------------------ */

static bool add_key(const struct key_row *in, struct key_made *ret)
{
    return keys_add(rig.accounts, &rig.a, in, &rig.from, ret, &err);
}

static void keys_are_what_they_say(void **state)
{
    static const struct slice good[] = {SLICE_INIT("read"), SLICE_INIT("write:notes")};
    static const struct slice bad[] = {SLICE_INIT("read:nothing")};
    static const struct slice roles[] = {SLICE_INIT("editor")}, none[] = {SLICE_INIT("king")};
    struct key_made key;
    struct key_row *list;
    size_t n;
    (void)state;
    struct slice ada = sign_up("ada@example.com", PASSWORD).account.id;
    struct slice eva = sign_up("eva@example.com", PASSWORD).account.id;
    struct key_row in = {.name = SLICE(" CI "), .user = ada, .scopes = good, .n_scopes = 2};
    assert_true(add_key(&in, &key));
    assert_int_equal(key.row.hint.len, 8);
    assert_true(slice_starts(S(key.token), key.row.hint));
    assert_true(slice_is(key.row.name, "CI"));
    assert_true(keys_list(rig.accounts, &rig.a, ada, false, &list, &n, &err));
    assert_int_equal(n, 1);
    assert_int_equal(list[0].n_scopes, 2);
    assert_true(slice_is(list[0].scopes[1], "write:notes"));
    assert_true(keys_list(rig.accounts, &rig.a, eva, false, &list, &n, &err));
    assert_int_equal(n, 0);
    assert_false(keys_remove(rig.accounts, eva, false, key.row.id, &rig.from, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    in.scopes = bad;
    in.n_scopes = 1;
    assert_false(add_key(&in, &key));
    in.n_scopes = 0;
    assert_false(add_key(&in, &key));
    in = (struct key_row){.user = ada, .scopes = good, .n_scopes = 1, .expires_ms = 5};
    assert_false(add_key(&in, &key));
    in = (struct key_row){.user = ada, .scopes = good, .n_scopes = 1, .roles = roles, .n_roles = 1};
    assert_false(add_key(&in, &key));
    in = (struct key_row){.scopes = good, .n_scopes = 1, .roles = none, .n_roles = 1};
    assert_false(add_key(&in, &key));
    in.user = make_operator("op@example.com").account.id;
    in.n_roles = 0;
    assert_false(add_key(&in, &key));
    in = (struct key_row){.scopes = good, .n_scopes = 1, .roles = roles, .n_roles = 1};
    assert_true(add_key(&in, &key)); /* the app's own */
    assert_false(keys_remove(rig.accounts, SLICE(""), false, key.row.id, &rig.from, &err));
    assert_true(keys_list(rig.accounts, &rig.a, SLICE(""), true, &list, &n, &err));
    assert_int_equal(n, 2);
    assert_true(keys_remove(rig.accounts, SLICE(""), true, key.row.id, &rig.from, &err));
    assert_int_equal(rows(rig.app, "dais_events WHERE kind = 'key.removed'"), 1);
}

/* An app with a thousand keys of a hundred scopes each is told so; the server goes on. */
static void a_list_of_keys_fits_its_arena(void **state)
{
    struct slice scopes[100];
    struct key_row *list;
    struct key_made key;
    struct arena small;
    size_t n;
    (void)state;
    for (size_t i = 0; i < 100; i++)
        scopes[i] = SLICE("write:notes");
    const struct key_row in = {.name = SLICE("k"), .scopes = scopes, .n_scopes = 100};
    for (int i = 0; i < 30; i++)
        assert_true(add_key(&in, &key));
    assert_true(keys_list(rig.accounts, &rig.a, SLICE(""), false, &list, &n, &err));
    assert_int_equal(n, 30);
    arena_init(&small, 1000 * sizeof *list + (96u << 10));
    assert_false(keys_list(rig.accounts, &small, SLICE(""), false, &list, &n, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    arena_done(&small);
}

/* ---- operators ------------------------------------------------------------------------------- */

static void accounts_are_added_and_changed(void **state)
{
    static const struct slice roles[] = {SLICE_INIT("editor")}, none[] = {SLICE_INIT("king")};
    struct account it, *list;
    size_t n;
    (void)state;
    struct account_draft in = {.email = SLICE("Ada@example.com"),
                               .roles = roles,
                               .n_roles = 1,
                               .has_roles = true,
                               .is_verified = true};
    assert_true(accounts_add(rig.accounts, &rig.a, &in, &rig.from, &it, &err));
    assert_int_equal(it.n_roles, 1);
    assert_false(it.has_password);
    const char *invited = link_to(rig.app, "ada@example.com");
    assert_true(accounts_follow_reset(rig.accounts, &rig.a, S(invited), S(PASSWORD), &rig.from,
                                      &got, &details, &err));
    assert_true(log_in("ada@example.com", PASSWORD, &got));
    assert_false(accounts_add(rig.accounts, &rig.a, &in, &rig.from, &it, &err));
    assert_int_equal(err.code, ERR_EXISTS);
    in.email = SLICE("eva@example.com");
    in.roles = none;
    assert_false(accounts_add(rig.accounts, &rig.a, &in, &rig.from, &it, &err));
    assert_int_equal(err.code, ERR_INVALID);
    struct slice eva = sign_up("eva@example.com", OTHER).account.id;
    const struct account_draft taken = {.email = SLICE("ada@example.com"), .is_verified = true};
    assert_false(accounts_change(rig.accounts, &rig.a, eva, &taken, &rig.from, &it, &err));
    assert_int_equal(err.code, ERR_EXISTS);
    const struct account_draft change = {.has_roles = true};
    struct slice ada = got.account.id;
    assert_true(accounts_change(rig.accounts, &rig.a, ada, &change, &rig.from, &it, &err));
    assert_int_equal(it.n_roles, 0);
    assert_true(it.verified_ms > 0);
    assert_true(is_known(rig.app, got.token));
    const struct account_draft secret = {.password = SLICE("a new password")};
    assert_true(accounts_change(rig.accounts, &rig.a, ada, &secret, &rig.from, &it, &err));
    assert_false(is_known(rig.app, got.token));
    const struct account_query all = {.limit = 1}, one = {.email = SLICE("eva@example.com")};
    assert_true(accounts_list(rig.accounts, &rig.a, &all, &list, &n, &err));
    assert_int_equal(n, 1);
    const struct account_query rest = {.after = list[0].id};
    assert_true(accounts_list(rig.accounts, &rig.a, &rest, &list, &n, &err));
    assert_int_equal(n, 1);
    assert_true(accounts_list(rig.accounts, &rig.a, &one, &list, &n, &err));
    assert_int_equal(n, 1);
    assert_true(slice_eq(list[0].id, eva));
}

/* Whoever sets it: the two must not differ. */
static void a_new_password_leaves_keys(void **state)
{
    static const struct slice scopes[] = {SLICE_INIT("read")};
    struct signed_in in = sign_up("ada@example.com", PASSWORD);
    struct account after;
    struct key_made made;
    const struct key_row key = {
        .name = SLICE("k"), .user = in.account.id, .scopes = scopes, .n_scopes = 1};
    const struct account_draft draft = {.password = SLICE("a third one")};
    (void)state;
    assert_true(keys_add(rig.accounts, &rig.a, &key, &rig.from, &made, &err));
    assert_true(accounts_set_password(rig.accounts, in.account.id, SLICE(""), S(PASSWORD), S(OTHER),
                                      &rig.from, &details, &err));
    assert_int_equal(rows(rig.app, "dais_keys"), 1);
    assert_true(
        accounts_change(rig.accounts, &rig.a, in.account.id, &draft, &rig.from, &after, &err));
    assert_int_equal(rows(rig.app, "dais_keys"), 1);
    assert_int_equal(rows(rig.app, "dais_sessions"), 0);
}

static void who_is_stopped_is_out(void **state)
{
    (void)state;
    struct signed_in ada = sign_up("ada@example.com", PASSWORD);
    struct slice id = ada.account.id;
    assert_true(accounts_set_state(rig.accounts, id, ACCOUNT_DISABLED, &rig.from, &err));
    assert_false(is_known(rig.app, ada.token));
    assert_false(log_in("ada@example.com", PASSWORD, &got));
    assert_true(accounts_set_state(rig.accounts, id, ACCOUNT_ACTIVE, &rig.from, &err));
    assert_true(log_in("ada@example.com", PASSWORD, &got));
    assert_true(accounts_set_state(rig.accounts, id, ACCOUNT_LEAVING, &rig.from, &err));
    assert_false(log_in("ada@example.com", PASSWORD, &got));
}

static bool be_operator(const char *link, const char *email)
{
    const struct sign_up in = {S(email), SLICE(OTHER), SLICE("Op")};
    return operators_follow_link(rig.operators, &rig.a, S(link), &in, &rig.from, &got, &details,
                                 &err);
}

static void the_first_operator_comes_by_a_link(void **state)
{
    char first[TOKEN_MAX], second[TOKEN_MAX];
    bool any = true;
    (void)state;
    assert_true(operators_any(rig.operators, &any, &err));
    assert_false(any);
    assert_true(operators_make_link(rig.operators, first, &err));
    assert_true(operators_make_link(rig.operators, second, &err));
    assert_false(be_operator(first, "op@example.com"));
    assert_int_equal(err.code, ERR_MALFORMED);
    assert_false(be_operator(second, "nobody"));
    assert_int_equal(err.code, ERR_INVALID);
    assert_true(be_operator(second, "op@example.com"));
    assert_true(got.account.is_operator);
    assert_true(is_known(rig.host, got.token));
    assert_false(be_operator(second, "eve@example.com"));
    assert_int_equal(err.code, ERR_MALFORMED);
    assert_true(operators_any(rig.operators, &any, &err));
    assert_true(any);
    assert_false(operators_make_link(rig.operators, first, &err));
    struct account it;
    const struct account_draft in = {
        .email = SLICE("two@example.com"), .password = SLICE(OTHER), .is_verified = true};
    assert_true(accounts_add(rig.operators, &rig.a, &in, &rig.from, &it, &err));
    assert_true(it.is_operator);
    assert_true(log_in("two@example.com", OTHER, &got));
    assert_true(got.account.is_operator);
}

/* ---- what ends by itself --------------------------------------------------------------------- */

static void what_ended_is_removed(void **state)
{
    static const struct slice scopes[] = {SLICE_INIT("read")};
    struct key_made key;
    (void)state;
    struct signed_in ada = sign_up("ada@example.com", PASSWORD);
    assert_true(log_in("ada@example.com", PASSWORD, &got));
    struct key_row in = {.name = SLICE("k"), .scopes = scopes, .n_scopes = 1};
    assert_true(add_key(&in, &key));
    in.expires_ms = clock_wall_ms() + 100000;
    assert_true(add_key(&in, &key));
    int64_t now = clock_wall_ms();
    assert_true(accounts_prune(rig.app, now, &err));
    assert_int_equal(rows(rig.app, "dais_sessions"), 2);
    assert_int_equal(rows(rig.app, "dais_links"), 1);
    assert_int_equal(rows(rig.app, "dais_keys"), 2);
    assert_true(accounts_prune(rig.app, now + 200000, &err));
    assert_int_equal(rows(rig.app, "dais_keys"), 1);
    assert_true(accounts_prune(rig.app, now + 4 * 24 * 3600 * 1000LL, &err));
    assert_int_equal(rows(rig.app, "dais_links"), 0);
    assert_int_equal(rows(rig.app, "dais_sessions"), 2);
    assert_true(accounts_prune(rig.app, now + 31 * 24 * 3600 * 1000LL, &err));
    assert_int_equal(rows(rig.app, "dais_sessions"), 0);
    assert_int_equal(rows(rig.app, "dais_users"), 1);
    assert_int_equal(rows(rig.app, "dais_keys"), 1);
    (void)ada;
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_start, rig_stop)
TESTS(T(a_name_is_checked), T(a_new_password_ends_other_sessions),
      T(who_was_closed_out_does_nothing_more), T(a_session_is_ended_by_its_own),
      T(what_a_browser_calls_itself_is_text), T(who_leaves_is_gone_at_once),
      T(nobody_is_forgotten_who_stays), T(keys_are_what_they_say), T(a_list_of_keys_fits_its_arena),
      T(accounts_are_added_and_changed), T(a_new_password_leaves_keys), T(who_is_stopped_is_out),
      T(the_first_operator_comes_by_a_link), T(what_ended_is_removed))
