/* SHA-256 (FIPS 180-4), whole or bit by bit. */
#pragma once
#include "base/slice.h"

#define SHA256_LEN     32
#define SHA256_HEX_LEN 64

struct sha256 {
    uint32_t state[8];
    uint64_t length; /* bytes so far */
    unsigned char block[64];
};

void sha256_init(struct sha256 *h);
void sha256_add(struct sha256 *h, struct slice bytes);
void sha256_end(struct sha256 *h, unsigned char to[SHA256_LEN]);
/* The same as lower-case hexadecimal digits; ends in NUL. */
void sha256_end_hex(struct sha256 *h, char to[SHA256_HEX_LEN + 1]);

void sha256_of(struct slice bytes, unsigned char to[SHA256_LEN]);
