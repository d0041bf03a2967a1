/* The ways to mix blocks of SHA-256 into its state: plain C, and the processor's own. */
#pragma once
#include "base/sha256.h"

extern const uint32_t sha256_round_words[64];

/* n whole blocks of 64 bytes. */
void sha256_blocks_plain(uint32_t state[8], const unsigned char *at, size_t n);
void sha256_blocks_x86(uint32_t state[8], const unsigned char *at, size_t n);
bool sha256_has_instructions(void); /* may the latter be called here? */
