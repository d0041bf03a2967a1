/* SipHash-2-4 with 128 bits, on machines whose lowest byte comes first. */
#include "base/sip.h"

#include <string.h>

static inline uint64_t rotl(uint64_t x, int b)
{
    return x << b | x >> (64 - b);
}

static inline void rounds(uint64_t v[4], int n)
{
    for (; n > 0; n--) {
        v[0] += v[1], v[2] += v[3];
        v[1] = rotl(v[1], 13) ^ v[0], v[3] = rotl(v[3], 16) ^ v[2];
        v[0] = rotl(v[0], 32);
        v[2] += v[1], v[0] += v[3];
        v[1] = rotl(v[1], 17) ^ v[2], v[3] = rotl(v[3], 21) ^ v[0];
        v[2] = rotl(v[2], 32);
    }
}

static inline void add(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    rounds(v, 2);
    v[0] ^= word;
}

static uint64_t end(uint64_t v[4], unsigned char byte, int at)
{
    v[at] ^= byte;
    rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void sip_of(const unsigned char key[SIP_LEN], struct slice bytes, unsigned char to[SIP_LEN])
{
    uint64_t k[2], word, last = (uint64_t)bytes.len << 56;
    memcpy(k, key, sizeof k);
    uint64_t v[4] = {k[0] ^ 0x736f6d6570736575u, k[1] ^ 0x646f72616e646f6du ^ 0xee,
                     k[0] ^ 0x6c7967656e657261u, k[1] ^ 0x7465646279746573u};
    size_t i = 0;
    for (; i + 8 <= bytes.len; i += 8) {
        memcpy(&word, bytes.ptr + i, 8);
        add(v, word);
    }
    for (size_t j = 0; i + j < bytes.len; j++)
        last |= (uint64_t)(unsigned char)bytes.ptr[i + j] << (8 * j);
    add(v, last);
    uint64_t halves[2] = {end(v, 0xee, 2)};
    halves[1] = end(v, 0xdd, 1);
    memcpy(to, halves, sizeof halves);
}
