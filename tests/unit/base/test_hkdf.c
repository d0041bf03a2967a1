/* HMAC and HKDF against the vectors of RFC 4231 and RFC 5869. */
#include "base/hkdf.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static void bytes_from(unsigned char first, size_t n, char *to)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (char)(first + i);
}

static void assert_hex(const unsigned char *bytes, const char *hex)
{
    char text[3];
    for (size_t i = 0; hex[2 * i]; i++) {
        snprintf(text, sizeof text, "%02x", bytes[i]);
        assert_memory_equal(text, hex + 2 * i, 2);
    }
}

static void test_hmac(void **state)
{
    (void)state;
    unsigned char mac[SHA256_LEN];
    char key[131];
    memset(key, 0xaa, sizeof key);
    hmac_sha256(SLICE("Jefe"), SLICE("what do ya want for nothing?"), mac);
    assert_hex(mac, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    hmac_sha256((struct slice){key, sizeof key},
                SLICE("Test Using Larger Than Block-Size Key - Hash Key First"), mac);
    assert_hex(mac, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void test_hkdf(void **state)
{
    (void)state;
    unsigned char out[82];
    char key[80], salt[80], info[80];
    memset(key, 0x0b, 22);
    bytes_from(0x00, 13, salt);
    bytes_from(0xf0, 10, info);
    hkdf_sha256((struct slice){key, 22}, (struct slice){salt, 13}, (struct slice){info, 10}, out,
                42);
    assert_hex(
        out,
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    bytes_from(0x00, 80, key);
    bytes_from(0x60, 80, salt);
    bytes_from(0xb0, 80, info);
    hkdf_sha256((struct slice){key, 80}, (struct slice){salt, 80}, (struct slice){info, 80}, out,
                82);
    assert_hex(out,
               "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac78272"
               "71cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f"
               "1d87");
}

TESTS(cmocka_unit_test(test_hmac), cmocka_unit_test(test_hkdf))
