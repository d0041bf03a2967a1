/* SHA-256: the vectors of the standard, every length around a block, and pieces of every size. */
#include "unit.h"
#include "base/sha256.h"

static const struct {
    const char *text, *digest;
} vectors[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnop"
     "qrs"
     "mnopqrstnopqrstu",
     "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
};

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        struct sha256 h;
        char hex[SHA256_HEX_LEN + 1];
        sha256_init(&h);
        sha256_add(&h, slice_from(vectors[i].text));
        sha256_end_hex(&h, hex);
        assert_string_equal(hex, vectors[i].digest);
    }
}

static void test_a_million(void **state)
{
    struct sha256 h;
    char hex[SHA256_HEX_LEN + 1], piece[1000];
    (void)state;
    memset(piece, 'a', sizeof piece);
    sha256_init(&h);
    for (int i = 0; i < 1000; i++)
        sha256_add(&h, (struct slice){piece, sizeof piece});
    sha256_end_hex(&h, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* The digest of all digests of 0 to 199 bytes, each fed in pieces of every size up to 70. */
static void test_pieces(void **state)
{
    char bytes[200];
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)i;
    for (size_t len = 0; len < sizeof bytes; len++) {
        uint8_t whole[SHA256_LEN], cut[SHA256_LEN];
        struct sha256 h;
        sha256_init(&h);
        sha256_add(&h, (struct slice){bytes, len});
        sha256_end(&h, whole);
        for (size_t step = 1; step < 70; step++) {
            sha256_init(&h);
            for (size_t at = 0; at < len; at += step)
                sha256_add(&h, slice_first((struct slice){bytes + at, len - at}, step));
            sha256_end(&h, cut);
            assert_memory_equal(whole, cut, SHA256_LEN);
        }
    }
}

TESTS(cmocka_unit_test(test_vectors), cmocka_unit_test(test_a_million),
      cmocka_unit_test(test_pieces))
