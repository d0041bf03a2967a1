/* Masks: secrets in text, whole and in pieces of every size. */
#include "unit.h"
#include "base/mask.h"

static const struct slice secrets[] = {
    SLICE_INIT("hunter2secret"),
    SLICE_INIT("hunter2secret-and-more"),
    SLICE_INIT("short"),
    SLICE_INIT("-----BEGIN-----\nMIIEvQIBADAN\nab\n-----END KEY-----\n"),
    SLICE_INIT("aaaaaaaab"),
};

static const struct {
    const char *text, *want;
} cases[] = {
    {"", ""},
    {"nothing here, short as it is", "nothing here, short as it is"},
    {"hunter2secret", "***"},
    {"key=hunter2secret;", "key=***;"},
    {"hunter2secrethunter2secret", "******"},
    {"hunter2secret-and-more or hunter2secret-and", "*** or ***-and"},
    {"hunter2secre", "hunter2secre"},
    {"> MIIEvQIBADAN ab", "> *** ab"},
    {"aaaaaaaaaaaab", "aaaa***"},
};

static void test_cases(void **state)
{
    struct arena a;
    struct mask m;
    struct buf out;
    (void)state;
    arena_init(&a, 1 << 20);
    mask_init(&m, &a, secrets, sizeof secrets / sizeof *secrets);
    buf_init(&out, 1000);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice text = slice_from(cases[i].text);
        buf_clear(&out);
        assert_int_equal(mask_add(&m, text, true, &out), text.len);
        assert_true(slice_is(buf_slice(&out), cases[i].want));
        for (size_t cut = 0; cut <= text.len; cut++) { /* two pieces */
            buf_clear(&out);
            size_t taken = mask_add(&m, slice_first(text, cut), false, &out);
            assert_true(taken <= cut);
            mask_add(&m, slice_skip(text, taken), true, &out);
            assert_true(slice_is(buf_slice(&out), cases[i].want));
        }
    }
    buf_done(&out);
    arena_done(&a);
}

/* Whoever reads lines has room for so much of one: what is longer is found piece by piece. */
static void test_a_long_one_in_small_pieces(void **state)
{
    struct arena a;
    struct mask m;
    struct buf out;
    char value[20000];
    (void)state;
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (char)('a' + i * i % 23 + i / 1000 % 3);
    const struct slice secret = {value, sizeof value};
    arena_init(&a, 1 << 20);
    mask_init(&m, &a, &secret, 1);
    buf_init(&out, 100000);
    for (struct slice rest = secret; rest.len;) {
        struct slice piece = slice_first(rest, rest.len < 8192 ? rest.len : 8192);
        size_t taken = mask_add(&m, piece, piece.len == rest.len, &out);
        assert_true(taken > 0);
        rest = slice_skip(rest, taken);
    }
    for (size_t i = 0; i < out.len; i++)
        assert_int_equal(out.data[i], '*');
    buf_done(&out);
    arena_done(&a);
}

static void test_without_any(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 1000);
    assert_int_equal(mask_add(NULL, SLICE("hunter2secret"), false, &out), 13);
    assert_int_equal(mask_add(&(struct mask){0}, SLICE("x"), true, &out), 1);
    assert_string_equal(out.data, "hunter2secretx");
    buf_done(&out);
}

TESTS(cmocka_unit_test(test_cases), cmocka_unit_test(test_a_long_one_in_small_pieces),
      cmocka_unit_test(test_without_any))
