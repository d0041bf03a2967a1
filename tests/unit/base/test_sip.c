/* Tests of SipHash against published vectors: the key 00 01 .. 0f, the text 00 01 02 .. */
#include "unit.h"
#include "base/sip.h"

static void vectors_of_the_authors(void **state)
{
    static const struct {
        size_t len;
        unsigned char want[SIP_LEN];
    } rows[] = {
        {0,
         {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02,
          0x93}},
        {1,
         {0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc,
          0x45}},
    };
    unsigned char key[SIP_LEN], sum[SIP_LEN];
    char text[64];
    (void)state;
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (unsigned char)i;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)i;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        sip_of(key, (struct slice){text, rows[i].len}, sum);
        assert_memory_equal(sum, rows[i].want, SIP_LEN);
    }
}

static void every_byte_of_text_and_key_counts(void **state)
{
    unsigned char key[SIP_LEN] = {0}, first[SIP_LEN], sum[SIP_LEN];
    char text[21] = {0};
    (void)state;
    sip_of(key, (struct slice){text, sizeof text}, first);
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] ^= 1;
        sip_of(key, (struct slice){text, sizeof text}, sum);
        assert_memory_not_equal(sum, first, SIP_LEN);
        text[i] ^= 1;
    }
    for (size_t i = 0; i < sizeof key; i++) {
        key[i] ^= 1;
        sip_of(key, (struct slice){text, sizeof text}, sum);
        assert_memory_not_equal(sum, first, SIP_LEN);
        key[i] ^= 1;
    }
    sip_of(key, (struct slice){text, sizeof text - 1}, sum);
    assert_memory_not_equal(sum, first, SIP_LEN);
}

TESTS(cmocka_unit_test(vectors_of_the_authors), cmocka_unit_test(every_byte_of_text_and_key_counts))
