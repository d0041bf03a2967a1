/* Rules and who they let: every word, for every kind of subject, and what is not given. */
#include "auth/auth.h"
#include "json_arena.h"
#include "unit.h"

static const struct slice roles[] = {SLICE_INIT("editor")};
static const struct identity nobody = {0};
static const struct identity ann = {
    .is_signed_in = true, .has_every_scope = true, .id = SLICE_INIT("u_ann")};
static const struct identity editor = {.is_signed_in = true,
                                       .has_every_scope = true,
                                       .id = SLICE_INIT("u_ed"),
                                       .roles = roles,
                                       .n_roles = 1};
static const struct identity operator_ = {
    .is_signed_in = true, .has_every_scope = true, .is_operator = true, .id = SLICE_INIT("u_op")};

static struct text text(const char *s)
{
    return (struct text){.s = slice_from(s)};
}

static struct subject subject(const struct identity *who)
{
    struct subject s = {.who = who};
    static struct req rq;
    struct err e;
    rq = (struct req){.arena = &arena, .identity = who};
    assert_true(subject_of(&rq, &s, &e));
    return s;
}

/* What a rule says to somebody: 'y' all, 'r' some rows, '1' 401, '3' 403. */
static char verdict(const char *rule, bool has_owner, const struct identity *who)
{
    const struct rules rules = {.read = text(rule)};
    const struct text *wrong;
    const struct query *rows = NULL;
    struct policy p;
    struct err e;
    assert_true(policy_compile(&p, &arena, &rules, has_owner, &wrong, &e));
    struct subject s = subject(who);
    if (!authorize(&s, &p, ACTION_READ, &arena, &rows, &e))
        return e.code == ERR_UNAUTHENTICATED ? '1' : e.code == ERR_FORBIDDEN ? '3' : '?';
    return rows->kind == QUERY_TRUE ? 'y' : rows->kind == QUERY_FALSE ? '?' : 'r';
}

/* What a key of ann's may of what she may herself. */
static void keys_stay_within_their_scopes(void **state)
{
    static const struct {
        const char *scope,
            *verdicts; /* read, create, write, delete, run; a bucket's read and create */
    } table[] = {
        {"read", "y------"},         {"write", "-yyy---"},      {"read:charts", "y------"},
        {"write:charts", "-yyy---"}, {"read:chart", "-------"}, {"write:charts2", "-------"},
        {"read:", "-------"},        {"jobs", "----y--"},       {"files", "-----yy"},
        {"admin", "-------"},        {"", "-------"},           {"Read", "-------"},
    };
    const struct rules rules = {.read = text("public"),
                                .create = text("signed_in"),
                                .write = text("signed_in"),
                                .del = text("signed_in"),
                                .run = text("signed_in")};
    const struct text *wrong;
    const struct query *rows;
    struct policy p;
    struct err e;
    (void)state;
    begin(NULL);
    assert_true(policy_compile(&p, &arena, &rules, false, &wrong, &e));
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct slice scopes[] = {slice_from(table[i].scope)};
        const struct identity key = {.is_signed_in = true,
                                     .is_key = true,
                                     .id = SLICE("u_ann"),
                                     .scopes = scopes,
                                     .n_scopes = 1};
        struct subject s = subject(&key);
        for (int at = 0; at < ACTION_COUNT + 2; at++) {
            bool is_bucket = at >= ACTION_COUNT;
            p.name = is_bucket ? SLICE("uploads") : SLICE("charts");
            p.scope = is_bucket ? "files" : NULL;
            bool may = authorize(&s, &p, is_bucket ? at - ACTION_COUNT : at, &arena, &rows, &e);
            assert_int_equal(may ? 'y' : '-', table[i].verdicts[at]);
            assert_true(may || e.code == ERR_FORBIDDEN);
        }
    }
    assert_int_equal(verdict("role:editor", false,
                             &(struct identity){.is_signed_in = true,
                                                .is_key = true,
                                                .id = SLICE("u"),
                                                .scopes = (struct slice[]){SLICE("read")},
                                                .n_scopes = 1}),
                     '3');
    end(NULL);
}

static void words_say_who(void **state)
{
    static const struct {
        const char *rule, *verdicts; /* of nobody, ann, the editor, the operator */
    } table[] = {
        {"public", "yyyy"},
        {"signed_in", "1yyy"},
        {"owner", "1rrr"},
        {"operator", "133y"},
        {"role:editor", "13y3"},
        {"role:admin", "1333"},
        {"nobody", "1333"},
        {"", "1333"},
        {"status = 'published'", "rrrr"},
        {"owner = @user.id || status = 'published'", "rrrr"},
        {"@user.id = 'u_ann'", "1y33"},
        {"@user.id != 'u_ann'", "13yy"},
        {"@user.roles ?= 'editor' || owner = @user.id", "1ryr"},
        {"@user.id is null", "y333"},
        {"@now > '2020-01-01'", "yyyy"},
        {"@request.body.x = 1", "1333"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct identity *all[] = {&nobody, &ann, &editor, &operator_};
        for (size_t k = 0; k < 4; k++) {
            begin(NULL);
            char found = verdict(table[i].rule, false, all[k]);
            if (found != table[i].verdicts[k])
                fail_msg("%s for subject %zu: %c instead of %c", table[i].rule, k, found,
                         table[i].verdicts[k]);
            end(NULL);
        }
    }
}

static void owners_get_what_is_not_given(void **state)
{
    const struct rules rules = {.read = text("public"), .write = text("role:editor")};
    const struct text *wrong;
    const struct query *rows;
    struct policy p;
    struct err e;
    (void)state;
    begin(NULL);
    assert_true(policy_compile(&p, &arena, &rules, true, &wrong, &e));
    struct subject a = subject(&ann), n = subject(&nobody), ed = subject(&editor);
    assert_true(authorize(&n, &p, ACTION_READ, &arena, &rows, &e));
    assert_true(authorize(&a, &p, ACTION_CREATE, &arena, &rows, &e));
    assert_int_equal(rows->kind, QUERY_TRUE);
    assert_false(authorize(&n, &p, ACTION_CREATE, &arena, &rows, &e));
    assert_int_equal(e.code, ERR_UNAUTHENTICATED);
    /* delete is as write, not as the owner's */
    assert_false(authorize(&a, &p, ACTION_DELETE, &arena, &rows, &e));
    assert_int_equal(e.code, ERR_FORBIDDEN);
    assert_true(authorize(&ed, &p, ACTION_DELETE, &arena, &rows, &e));
    end(NULL);
}

static void rows_are_those_of_the_owner(void **state)
{
    const struct rules rules = {0};
    const struct text *wrong;
    const struct query *rows;
    struct policy p;
    struct err e;
    (void)state;
    begin(NULL);
    assert_true(policy_compile(&p, &arena, &rules, true, &wrong, &e));
    struct subject a = subject(&ann);
    assert_true(authorize(&a, &p, ACTION_READ, &arena, &rows, &e));
    assert_true(authorize_row(rows, json("{\"owner\":\"u_ann\"}")));
    assert_false(authorize_row(rows, json("{\"owner\":\"u_bob\"}")));
    assert_false(authorize_row(rows, json("{\"owner\":null}")));
    assert_false(authorize_row(rows, json("{}")));
    end(NULL);
}

/* What a command at this machine does; and a copy says the same as what it is of. */
static void consoles_and_copies(void **state)
{
    const struct rules rules = {.read = text("owner"), .write = text("nobody")};
    const struct text *wrong;
    const struct query *rows;
    struct policy p;
    struct subject copy;
    struct err e;
    (void)state;
    begin(NULL);
    assert_true(policy_compile(&p, &arena, &rules, false, &wrong, &e));
    struct subject console = {.is_console = true};
    assert_true(authorize(&console, &p, ACTION_WRITE, &arena, &rows, &e));
    assert_int_equal(rows->kind, QUERY_TRUE);
    struct subject a = subject(&editor);
    subject_copy(&a, &arena, &copy);
    assert_true(slice_is(subject_id(&copy), "u_ed"));
    assert_true(identity_has_role(copy.who, SLICE("editor")));
    assert_true(authorize(&copy, &p, ACTION_READ, &arena, &rows, &e));
    assert_true(authorize_row(rows, json("{\"owner\":\"u_ed\"}")));
    struct subject n = subject(&nobody);
    subject_copy(&n, &arena, &copy);
    assert_int_equal(subject_id(&copy).len, 0);
    assert_false(authorize(&copy, &p, ACTION_READ, &arena, &rows, &e));
    end(NULL);
}

static void wrong_rules_are_named(void **state)
{
    const struct rules rules = {.read = text("public"), .create = text("owner = = 1")};
    const struct text *wrong = NULL;
    struct policy p;
    struct err e;
    (void)state;
    begin(NULL);
    assert_false(policy_compile(&p, &arena, &rules, false, &wrong, &e));
    assert_ptr_equal(wrong, &rules.create);
    end(NULL);
}

TESTS(cmocka_unit_test(words_say_who), cmocka_unit_test(owners_get_what_is_not_given),
      cmocka_unit_test(rows_are_those_of_the_owner), cmocka_unit_test(consoles_and_copies),
      cmocka_unit_test(wrong_rules_are_named), cmocka_unit_test(keys_stay_within_their_scopes))
