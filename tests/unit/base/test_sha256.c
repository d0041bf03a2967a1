/* Tests of SHA-256 and base64 against published vectors. */
#include "unit.h"
#include "base/base64.h"
#include "base/sha256_impl.h"

static const char *hex(const unsigned char sum[SHA256_LEN])
{
    static char text[2 * SHA256_LEN + 1];
    for (int i = 0; i < SHA256_LEN; i++) {
        text[2 * i] = "0123456789abcdef"[sum[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[sum[i] & 15];
    }
    return text;
}

static void vectors_of_the_standard(void **state)
{
    (void)state;
    unsigned char sum[SHA256_LEN];
    sha256_of(SLICE("abc"), sum);
    assert_string_equal(hex(sum),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_of(SLICE(""), sum);
    assert_string_equal(hex(sum),
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256_of(SLICE("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), sum);
    assert_string_equal(hex(sum),
                        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    struct sha256 h;
    sha256_init(&h);
    for (int i = 0; i < 1000000; i += 100)
        sha256_add(&h, SLICE("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    sha256_end(&h, sum);
    assert_string_equal(hex(sum),
                        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void any_cut_gives_the_same(void **state)
{
    (void)state;
    char data[200];
    unsigned char whole[SHA256_LEN], cut[SHA256_LEN];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)i;
    for (size_t n = 0; n <= sizeof data; n++) {
        struct sha256 h;
        sha256_of((struct slice){data, n}, whole);
        sha256_init(&h);
        sha256_add(&h, (struct slice){data, n / 3});
        sha256_add(&h, (struct slice){data + n / 3, n - n / 3});
        sha256_end(&h, cut);
        assert_memory_equal(whole, cut, SHA256_LEN);
    }
}

/* What this processor has instructions for, and what plain C makes of the same blocks. */
static void both_ways_give_the_same(void **state)
{
    (void)state;
    unsigned char data[64 * 9];
    uint32_t one[8], other[8];
    if (!sha256_has_instructions())
        return; /* then there is one way */
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 151 + i / 64);
    for (size_t n = 0; n <= 9; n++) {
        for (unsigned i = 0; i < 8; i++)
            one[i] = other[i] = 0x01234567u * (i + 1);
        sha256_blocks_plain(one, data, n);
        sha256_blocks_x86(other, data, n);
        assert_memory_equal(one, other, sizeof one);
    }
}

static void base64_of_every_length(void **state)
{
    (void)state;
    static const struct {
        struct slice bytes;
        const char *plain, *url;
    } rows[] = {
        {SLICE_INIT(""), "", ""},
        {SLICE_INIT("f"), "Zg==", "Zg"},
        {SLICE_INIT("fo"), "Zm8=", "Zm8"},
        {SLICE_INIT("foo"), "Zm9v", "Zm9v"},
        {SLICE_INIT("foob"), "Zm9vYg==", "Zm9vYg"},
        {SLICE_INIT("\xfb\xff\xfe"), "+//+", "-__-"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf b;
        buf_init(&b, 100);
        base64_add(&b, rows[i].bytes, BASE64);
        assert_string_equal(buf_slice(&b).ptr, rows[i].plain);
        buf_clear(&b);
        base64_add(&b, rows[i].bytes, BASE64_URL);
        assert_true(slice_is(buf_slice(&b), rows[i].url));
        buf_done(&b);
    }
}

TESTS(cmocka_unit_test(vectors_of_the_standard), cmocka_unit_test(any_cut_gives_the_same),
      cmocka_unit_test(both_ways_give_the_same), cmocka_unit_test(base64_of_every_length))
