/* HMAC (RFC 2104) and HKDF (RFC 5869) with SHA-256. */
#pragma once
#include "base/sha256.h"

void hmac_sha256(struct slice key, struct slice text, unsigned char to[SHA256_LEN]);
/* n bytes, at most 255 * SHA256_LEN; `info` at most 1,024. */
void hkdf_sha256(struct slice key, struct slice salt, struct slice info, void *to, size_t n);
