/* SHA-256 (FIPS 180-4), bit by bit: for telling contents apart, in every room, without a library.
 */
#pragma once
#include "base/slice.h"

#define SHA256_LEN     32
#define SHA256_HEX_LEN 64

struct sha256 {
    uint32_t state[8];
    uint64_t n_bytes;
    uint8_t block[64]; /* what does not fill one yet */
};

void sha256_init(struct sha256 *h);
void sha256_add(struct sha256 *h, struct slice bytes);
void sha256_end(struct sha256 *h, uint8_t ret[SHA256_LEN]);
/* The same as lower-case hexadecimal digits; ends in NUL. */
void sha256_end_hex(struct sha256 *h, char ret[SHA256_HEX_LEN + 1]);
