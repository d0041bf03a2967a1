/* Keys from keys: a few lines over SHA-256, so that deriving one needs no library. */
#include "base/hkdf.h"

#include "base/must.h"

#include <string.h>

#define BLOCK    64
#define INFO_MAX 1024

static struct slice bytes_of(const void *p, size_t n)
{
    return (struct slice){p, n};
}

void hmac_sha256(struct slice key, struct slice text, unsigned char to[SHA256_LEN])
{
    unsigned char block[BLOCK] = {0}, inner[SHA256_LEN];
    struct sha256 h;
    if (key.len > BLOCK)
        sha256_of(key, block);
    else if (key.len)
        memcpy(block, key.ptr, key.len);
    for (size_t i = 0; i < BLOCK; i++)
        block[i] ^= 0x36;
    sha256_init(&h);
    sha256_add(&h, bytes_of(block, BLOCK));
    sha256_add(&h, text);
    sha256_end(&h, inner);
    for (size_t i = 0; i < BLOCK; i++)
        block[i] ^= 0x36 ^ 0x5c;
    sha256_init(&h);
    sha256_add(&h, bytes_of(block, BLOCK));
    sha256_add(&h, bytes_of(inner, sizeof inner));
    sha256_end(&h, to);
    explicit_bzero(block, sizeof block);
    explicit_bzero(inner, sizeof inner);
    explicit_bzero(&h, sizeof h);
}

/* Block i is the HMAC of block i - 1, the info and i. */
void hkdf_sha256(struct slice key, struct slice salt, struct slice info, void *to, size_t n)
{
    unsigned char prk[SHA256_LEN], text[SHA256_LEN + INFO_MAX + 1], last[SHA256_LEN] = {0};
    size_t done = 0, head = 0;
    must(n <= 255 * SHA256_LEN && info.len <= INFO_MAX);
    hmac_sha256(salt, key, prk);
    for (unsigned char i = 1; done < n; i++, head = sizeof last) {
        memcpy(text, last, head);
        memcpy(text + head, info.ptr, info.len);
        text[head + info.len] = i;
        hmac_sha256(bytes_of(prk, sizeof prk), bytes_of(text, head + info.len + 1), last);
        size_t part = n - done < sizeof last ? n - done : sizeof last;
        memcpy((unsigned char *)to + done, last, part);
        done += part;
    }
    explicit_bzero(prk, sizeof prk);
    explicit_bzero(last, sizeof last);
    explicit_bzero(text, sizeof text);
}
