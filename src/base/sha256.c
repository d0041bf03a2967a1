/* SHA-256 as FIPS 180-4 describes it. */
#include "base/sha256.h"

#include <endian.h>
#include <string.h>

static const uint32_t round_words[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t turn(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static uint32_t word_at(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void schedule(const unsigned char block[64], uint32_t w[64])
{
    for (int i = 0; i < 16; i++)
        w[i] = word_at(block + 4 * i);
    for (int i = 16; i < 64; i++) {
        uint32_t a = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t b = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + a + w[i - 7] + b;
    }
}

/* The eight words change places with each round: here the names do, and not the words. */
__attribute__((always_inline)) static inline void take_round(uint32_t a, uint32_t b, uint32_t c,
                                                             uint32_t *d, uint32_t e, uint32_t f,
                                                             uint32_t g, uint32_t *h, uint32_t word)
{
    uint32_t one = *h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + (g ^ (e & (f ^ g))) + word;
    *d += one;
    *h = one + (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) | (c & (a | b)));
}

static void take_block(struct sha256 *to, const unsigned char block[64])
{
    uint32_t w[64], *s = to->state;
    uint32_t a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
    schedule(block, w);
    for (int i = 0; i < 64; i += 8) {
        take_round(a, b, c, &d, e, f, g, &h, w[i] + round_words[i]);
        take_round(h, a, b, &c, d, e, f, &g, w[i + 1] + round_words[i + 1]);
        take_round(g, h, a, &b, c, d, e, &f, w[i + 2] + round_words[i + 2]);
        take_round(f, g, h, &a, b, c, d, &e, w[i + 3] + round_words[i + 3]);
        take_round(e, f, g, &h, a, b, c, &d, w[i + 4] + round_words[i + 4]);
        take_round(d, e, f, &g, h, a, b, &c, w[i + 5] + round_words[i + 5]);
        take_round(c, d, e, &f, g, h, a, &b, w[i + 6] + round_words[i + 6]);
        take_round(b, c, d, &e, f, g, h, &a, w[i + 7] + round_words[i + 7]);
    }
    const uint32_t now[8] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; i++)
        s[i] += now[i];
}

void sha256_init(struct sha256 *h)
{
    *h = (struct sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
                                   0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void sha256_add(struct sha256 *h, struct slice bytes)
{
    while (bytes.len) {
        size_t has = h->length % 64, n = 64 - has < bytes.len ? 64 - has : bytes.len;
        memcpy(h->block + has, bytes.ptr, n);
        h->length += n;
        bytes = slice_skip(bytes, n);
        if (has + n == 64)
            take_block(h, h->block);
    }
}

void sha256_end(struct sha256 *h, unsigned char to[SHA256_LEN])
{
    static const char padding[64] = {(char)0x80};
    uint64_t bits = h->length * 8;
    uint64_t tail = htobe64(bits);
    size_t has = h->length % 64;
    sha256_add(h, (struct slice){padding, (has < 56 ? 56 : 120) - has});
    sha256_add(h, (struct slice){(const char *)&tail, sizeof tail});
    for (int i = 0; i < 8; i++) {
        uint32_t word = htobe32(h->state[i]);
        memcpy(to + sizeof word * (size_t)i, &word, sizeof word);
    }
}

void sha256_end_hex(struct sha256 *h, char to[SHA256_HEX_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char raw[SHA256_LEN];
    sha256_end(h, raw);
    for (size_t i = 0; i < SHA256_LEN; i++) {
        to[2 * i] = digits[raw[i] >> 4];
        to[2 * i + 1] = digits[raw[i] & 15];
    }
    to[SHA256_HEX_LEN] = '\0';
}

void sha256_of(struct slice bytes, unsigned char to[SHA256_LEN])
{
    struct sha256 h;
    sha256_init(&h);
    sha256_add(&h, bytes);
    sha256_end(&h, to);
}
