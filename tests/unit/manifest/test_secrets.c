/* Secrets: which a manifest means, where each is from, who gets it, and what is missing. */
#include "settings_fixture.h"

static void start_with(struct fixture *f, const char *manifest)
{
    static const char *const env[] = {"A=from-env",
                                      "B=",
                                      "C_FILE=/nowhere/at/all",
                                      "X_ONE=1",
                                      "X_TWO_FILE=two",
                                      "X_THREE=3",
                                      "XY=none",
                                      "DAIS_SECRET=ours",
                                      "DATABASE_URL=sqlite:///x",
                                      NULL};
    start(f);
    put(f, ".env", "A=from-dotenv\nB=from-dotenv\nX_FOUR_FILE=four\nX_FIVE=\n");
    put(f, "four", "of a file\n");
    const struct settings_sources from = {.dir = f->dir, .environ_ = env};
    f->m = manifest_parse(&f->a, slice_from(manifest), "dais.yaml", &f->p);
    assert_non_null(f->m);
    settings_load(&f->a, &from, &f->p, &f->s);
    secrets_load(&f->s, f->m, &f->p, &f->secrets);
}

static const struct secret *find(const struct fixture *f, const char *name)
{
    for (size_t i = 0; i < f->secrets.n; i++) {
        if (slice_is(f->secrets.items[i].name, name))
            return &f->secrets.items[i];
    }
    return NULL;
}

static void is(const struct fixture *f, const char *name, const char *value, const char *from)
{
    const struct secret *it = find(f, name);
    assert_non_null(it);
    assert_true(slice_is(it->value, value));
    assert_true(slice_is(it->from, from));
}

static void test_where_they_are_from(void **state)
{
    struct fixture f;
    (void)state;
    start_with(&f, "app: a\nsecrets: [ A, \"B?\", \"NONE?\", DATABASE_URL ]\n");
    assert_int_equal(f.secrets.n, 4);
    is(&f, "A", "from-env", "environment");
    is(&f, "B", "from-dotenv", ".env line 2"); /* B= in a shell is no value */
    is(&f, "NONE", "", "");
    is(&f, "DATABASE_URL", "sqlite:///x", "environment");
    assert_string_equal(said(&f), "");
    finish(&f);
}

static void test_patterns(void **state)
{
    struct fixture f;
    (void)state;
    start_with(&f, "app: a\nsecrets: [ \"X_*\", \"D*\", \"X_ONE?\" ]\n");
    is(&f, "X_ONE", "1", "environment");
    is(&f, "X_THREE", "3", "environment");
    is(&f, "X_FOUR", "of a file", ".env line 3");
    is(&f, "X_FIVE", "", ".env line 4");
    assert_non_null(find(&f, "X_TWO"));
    assert_null(find(&f, "X_TWO_FILE"));
    assert_null(find(&f, "XY"));
    assert_null(find(&f, "DAIS_SECRET")); /* what is dais's own is never meant */
    assert_null(find(&f, "DATABASE_URL"));
    assert_int_equal(f.secrets.n, 5);
    assert_string_equal(said(&f), "two: there is no such file\n");
    finish(&f);
}

static void test_an_unread_file_is_told(void **state)
{
    struct fixture f;
    (void)state;
    start_with(&f, "app: a\nsecrets: [ C ]\n");
    assert_string_equal(said(&f), "/nowhere/at/all: there is no such file\n");
    finish(&f);
}

static const struct {
    const char *manifest, *want; /* %s: the folder */
} missing[] = {
    {"app: a\nsecrets: [ NONE ]\n",
     "dais.yaml:2:12: warning: the secret `NONE` has no value; set it in the environment or in "
     "%s/.env, name a file that holds it in NONE_FILE, or type `dais secret add NONE`; write "
     "`NONE?` if the app runs without "
     "it\n"},
    {"app: a\nsecrets: [ NONE ]\nbackend: { run: x, routes: /api/ }\n",
     "dais.yaml:2:12: the secret `NONE` has no value; set it in the environment or in %s/.env, "
     "name a file that holds it in NONE_FILE, or type `dais secret add NONE`; write `NONE?` if the "
     "app runs without it\n"},
    {"app: a\nsecrets: [ NONE, A ]\nbackend: { run: x, routes: /api/, secrets: A }\n",
     "dais.yaml:2:12: warning: the secret `NONE` has no value; set it in the environment or in "
     "%s/.env, name a file that holds it in NONE_FILE, or type `dais secret add NONE`; write "
     "`NONE?` if the app runs without "
     "it\n"},
    {"app: a\nsecrets: [ NONE ]\nbackend: { run: x, routes: /api/, secrets: [], env: { K: "
     "\"${NONE}\" } }\n",
     "dais.yaml:2:12: the secret `NONE` has no value; set it in the environment or in %s/.env, "
     "name a file that holds it in NONE_FILE, or type `dais secret add NONE`; write `NONE?` if the "
     "app runs without it\n"},
    {"app: a\nsecrets: [ \"NONE?\", \"NONE_*\", A ]\nbackend: { run: x, routes: /api/ }\n", ""},
};

static void test_what_is_missing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
        struct fixture f;
        start_with(&f, missing[i].manifest);
        secrets_check(&f.s, f.m, &f.secrets, &f.p);
        struct slice want = slice_from(missing[i].want);
        ptrdiff_t at = slice_search(want, SLICE("%s"));
        struct slice text = want;
        if (at >= 0)
            text = arena_printf(&f.a, "%.*s%s%s", (int)at, want.ptr, f.dir, want.ptr + at + 2);
        assert_string_equal(said(&f), text.ptr);
        finish(&f);
    }
}

static void test_who_gets_them(void **state)
{
    struct fixture f;
    (void)state;
    start_with(&f, "app: a\nsecrets: [ A ]\nbackend: { run: x, routes: /api/ }\n");
    assert_true(backend_gets_secret(f.m, SLICE("A")));
    finish(&f);
    start_with(
        &f, "app: a\nsecrets: [ A, \"X_*\" ]\nbackend: { run: x, routes: /api/, secrets: \"X_*\" "
            "}\n");
    assert_false(backend_gets_secret(f.m, SLICE("A")));
    assert_true(backend_gets_secret(f.m, SLICE("X_ONE")));
    finish(&f);
    start_with(&f, "app: a\nsecrets: [ A ]\nbackend: { run: x, routes: /api/, secrets: [] }\n");
    assert_false(backend_gets_secret(f.m, SLICE("A")));
    finish(&f);
}

static void test_help_shows_none(void **state)
{
    struct fixture f;
    (void)state;
    start_with(&f, "app: a\nsecrets: [ A, NONE, \"OTHER?\" ]\n");
    secrets_help(&f.secrets, f.m->slug.s, &f.said);
    assert_string_equal(f.said.data,
                        "\nSecrets of the app a, from the environment, .env, then the store\n\n"
                        "A\n    now:     set, not shown (from environment)\n\n"
                        "NONE\n    now:     not set, and needed\n\nOTHER\n    now:     not set\n");
    finish(&f);
}

TESTS(cmocka_unit_test(test_where_they_are_from), cmocka_unit_test(test_patterns),
      cmocka_unit_test(test_an_unread_file_is_told), cmocka_unit_test(test_what_is_missing),
      cmocka_unit_test(test_who_gets_them), cmocka_unit_test(test_help_shows_none))
