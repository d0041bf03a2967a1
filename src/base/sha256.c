/* SHA-256 as FIPS 180-4 describes it. */
#include "base/sha256_impl.h"

#include <stdatomic.h>
#include <string.h>

const uint32_t sha256_round_words[64] = {
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

static void schedule(const unsigned char block[64], uint32_t w[64])
{
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t b = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + a + w[i - 7] + b;
    }
}

/* One round; the caller turns the names of the words instead of moving them. */
#define ROUND(a, b, c, d, e, f, g, h, i)                                            \
    do {                                                                            \
        uint32_t one = (h) + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) +             \
                       (((e) & (f)) ^ (~(e) & (g))) + sha256_round_words[i] + w[i]; \
        (d) += one;                                                                 \
        (h) = one + (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) +                      \
              (((a) & (b)) ^ ((a) & (c)) ^ ((b) & (c)));                            \
    } while (0)

void sha256_blocks_plain(uint32_t state[8], const unsigned char *at, size_t n)
{
    uint32_t w[64], s[8];
    for (; n; n--, at += 64) {
        schedule(at, w);
        memcpy(s, state, sizeof s);
        for (int i = 0; i < 64; i += 8) {
            ROUND(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], i);
            ROUND(s[7], s[0], s[1], s[2], s[3], s[4], s[5], s[6], i + 1);
            ROUND(s[6], s[7], s[0], s[1], s[2], s[3], s[4], s[5], i + 2);
            ROUND(s[5], s[6], s[7], s[0], s[1], s[2], s[3], s[4], i + 3);
            ROUND(s[4], s[5], s[6], s[7], s[0], s[1], s[2], s[3], i + 4);
            ROUND(s[3], s[4], s[5], s[6], s[7], s[0], s[1], s[2], i + 5);
            ROUND(s[2], s[3], s[4], s[5], s[6], s[7], s[0], s[1], i + 6);
            ROUND(s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[0], i + 7);
        }
        for (int i = 0; i < 8; i++)
            state[i] += s[i];
    }
}

/* Asked of the processor once; two threads that ask at the same time get the same answer. */
static void take_blocks(uint32_t state[8], const unsigned char *at, size_t n)
{
    static _Atomic int has; /* 0: not asked yet; 1: no; 2: yes */
    int known = atomic_load_explicit(&has, memory_order_relaxed);
    if (!known) {
        known = sha256_has_instructions() ? 2 : 1;
        atomic_store_explicit(&has, known, memory_order_relaxed);
    }
    (known == 2 ? sha256_blocks_x86 : sha256_blocks_plain)(state, at, n);
}

void sha256_init(struct sha256 *h)
{
    *h = (struct sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
                                   0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void sha256_add(struct sha256 *h, struct slice bytes)
{
    size_t has = h->length % 64;
    h->length += bytes.len;
    if (has && has + bytes.len >= 64) {
        memcpy(h->block + has, bytes.ptr, 64 - has);
        bytes = slice_skip(bytes, 64 - has);
        take_blocks(h->state, h->block, 1);
        has = 0;
    }
    if (!has && bytes.len >= 64) {
        size_t n = bytes.len / 64;
        take_blocks(h->state, (const unsigned char *)bytes.ptr, n);
        bytes = slice_skip(bytes, n * 64);
    }
    if (bytes.len)
        memcpy(h->block + has, bytes.ptr, bytes.len);
}

void sha256_end(struct sha256 *h, unsigned char to[SHA256_LEN])
{
    static const char padding[64] = {(char)0x80};
    uint64_t bits = h->length * 8;
    char tail[8];
    for (int i = 0; i < 8; i++)
        tail[i] = (char)(bits >> (56 - 8 * i));
    size_t has = h->length % 64;
    sha256_add(h, (struct slice){padding, (has < 56 ? 56 : 120) - has});
    sha256_add(h, (struct slice){tail, sizeof tail});
    for (int i = 0; i < SHA256_LEN; i++)
        to[i] = (unsigned char)(h->state[i / 4] >> (24 - 8 * (i % 4)));
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
