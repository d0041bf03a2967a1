/* The secret's file, what is derived from it, and tokens; that others can check them is tested with
 * another program, in tests/e2e/test_identity.py. */
#include "keys/crypto_impl.h"
#include "keys/keys.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], path[80];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/dais-keys-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/secret", dir);
    return 0;
}

static int drop_dir(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir); /* fails when something was left beside it */
}

static void write_secret(const char *text, mode_t mode)
{
    unlink(path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static void test_the_file_is_made_once(void **state)
{
    (void)state;
    struct root_secret a, b;
    struct err e;
    struct stat st;
    assert_true(root_secret_open(&a, dir, &e));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, 65);
    assert_true(root_secret_open(&b, dir, &e));
    assert_memory_equal(&a, &b, sizeof a);
    unlink(path);
    assert_true(root_secret_open(&b, dir, &e));
    assert_memory_not_equal(&a, &b, sizeof a);
}

#define GOOD "8f1c5be09d3a47627f60a1d9e24b83c5d07e6f12"

static void test_bad_files_are_refused(void **state)
{
    (void)state;
    struct root_secret s;
    struct err e;
    static const struct {
        const char *text;
        mode_t mode;
        const char *says;
    } cases[] = {
        {GOOD, 0644, "can be read by others"}, {GOOD, 0620, "can be read by others"},
        {GOOD, 0604, "can be read by others"}, {"", 0600, "is damaged"},
        {"short\n", 0600, "is damaged"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_secret(cases[i].text, cases[i].mode);
        assert_false(root_secret_open(&s, dir, &e));
        assert_non_null(strstr(e.msg, cases[i].says));
        assert_non_null(strstr(e.msg, path));
        assert_null(strstr(e.msg, "0123456789"));
    }
    write_secret(GOOD "\n", 0400);
    assert_true(root_secret_open(&s, dir, &e));
    unlink(path);
    assert_int_equal(symlink("/dev/zero", path), 0);
    assert_false(root_secret_open(&s, dir, &e));
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_false(root_secret_open(&s, dir, &e));
    unlink(path);
    assert_false(root_secret_open(&s, "/nowhere/at/all", &e));
}

static void test_the_setting_and_the_file_are_one(void **state)
{
    (void)state;
    struct root_secret a, b;
    struct err e;
    write_secret(GOOD "\n", 0600);
    assert_true(root_secret_open(&a, dir, &e));
    assert_true(root_secret_from(&b, SLICE(GOOD), &e));
    assert_memory_equal(&a, &b, sizeof a);
    assert_false(root_secret_from(&b, SLICE("hunter2"), &e));
    assert_false(root_secret_from(&b, SLICE("00000000000000000000000000000000"), &e));
    assert_false(root_secret_from(&b, SLICE("0123456789abcdef0123456789abcdef"), &e));
    assert_false(root_secret_from(&b, SLICE("changeme-changeme-changeme-changeme"), &e));
    assert_false(root_secret_from(&b, SLICE("please-change-me-to-a-long-random-string"), &e));
    assert_false(root_secret_from(&b, SLICE("YOUR_SECRET_KEY_AT_LEAST_32_CHARACTERS"), &e));
    assert_non_null(strstr(e.msg, "anybody would try"));
    assert_null(strstr(e.msg, "hunter2"));
}

static void test_keys_are_apart(void **state)
{
    (void)state;
    struct root_secret s;
    struct err e;
    char a[32], b[32];
    assert_true(root_secret_from(&s, SLICE(GOOD), &e));
    root_secret_derive(&s, "x", SLICE("app"), a, sizeof a);
    root_secret_derive(&s, "x", SLICE("app"), b, sizeof b);
    assert_memory_equal(a, b, sizeof a);
    static const unsigned char for_ever[] = {0x8d, 0x93, 0xf5, 0x88, 0xdd, 0xcc, 0x4f, 0xdf,
                                             0xf6, 0x82, 0x67, 0x45, 0x18, 0x28, 0xff, 0x8b,
                                             0xc9, 0xf7, 0x27, 0x13, 0x0c, 0x8f, 0xc2, 0xfd,
                                             0x79, 0xc7, 0x7a, 0xd8, 0xc7, 0x9c, 0xa4, 0xa5};
    assert_memory_equal(a, for_ever, sizeof for_ever);
    root_secret_derive(&s, "x", SLICE("bpp"), b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    root_secret_derive(&s, "xa", SLICE("pp"), b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
}

/* Replicas agree on the key; the table of numbers below is what it must stay for ever. */
static void test_the_key_follows_from_the_secret(void **state)
{
    (void)state;
    struct root_secret s;
    struct err e;
    assert_true(root_secret_from(&s, SLICE(GOOD), &e));
    struct signer *one = signer_new(&s, SLICE("app"), NULL),
                  *two = signer_new(&s, SLICE("app"), NULL),
                  *other = signer_new(&s, SLICE("other"), NULL);
    assert_true(slice_eq(signer_jwks(one), signer_jwks(two)));
    assert_false(slice_eq(signer_jwks(one), signer_jwks(other)));
    struct buf token;
    buf_init(&token, 4096);
    signer_add_token(one, SLICE("{\"sub\":\"x\"}"), &token);
    struct slice rest = buf_slice(&token), part;
    size_t parts = 0;
    for (; slice_cut(&rest, '.', &part); parts++)
        assert_true(part.len > 10);
    assert_int_equal(parts, 3);
    assert_int_equal(part.len, 86);
    buf_done(&token);
    buf_init(&token, 10); /* no room: full, not cut */
    signer_add_token(one, SLICE("{}"), &token);
    assert_true(token.full);
    buf_done(&token);
    signer_free(one);
    signer_free(two);
    signer_free(other);
    signer_free(NULL);
}

/* The first test that needs it: later ones have it loaded. */
static void test_without_the_library(void **state)
{
    (void)state;
    struct root_secret s = {{1}};
    struct err e;
    const char *there = crypto_library;
    crypto_library = "libnowhere.so.3";
    assert_null(signer_new(&s, SLICE("app"), &e));
    assert_int_equal(e.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(e.msg, "libnowhere.so.3"));
    assert_non_null(strstr(e.msg, "apt-get install libssl3"));
    crypto_library = there;
}

#define FILE_TEST(fn) cmocka_unit_test_setup_teardown(fn, make_dir, drop_dir)
TESTS(FILE_TEST(test_the_file_is_made_once), FILE_TEST(test_bad_files_are_refused),
      FILE_TEST(test_the_setting_and_the_file_are_one), cmocka_unit_test(test_keys_are_apart),
      cmocka_unit_test(test_without_the_library),
      cmocka_unit_test(test_the_key_follows_from_the_secret))
