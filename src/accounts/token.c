/* Tokens: a prefix that says what they are, and 32 random bytes. The database has digests only. */
#include "accounts/accounts_impl.h"

#include "base/base64.h"
#include "base/hkdf.h"

#include <string.h>

#define RANDOM_BYTES 32
#define RANDOM_CHARS 43

static const char *const prefixes[] = {
#define X(id, prefix) prefix,
    TOKEN_MAP(X)
#undef X
};

/* Wipes the bytes. */
static void write_token(enum token_kind kind, unsigned char bytes[RANDOM_BYTES], char to[TOKEN_MAX])
{
    struct buf b;
    buf_init(&b, TOKEN_MAX);
    buf_add_str(&b, prefixes[kind]);
    base64_add(&b, (struct slice){(const char *)bytes, RANDOM_BYTES}, BASE64_URL);
    must(!b.full && b.len < TOKEN_MAX);
    memcpy(to, b.data, b.len);
    to[b.len] = '\0';
    explicit_bzero(bytes, RANDOM_BYTES);
    explicit_bzero(b.data, b.len);
    buf_done(&b);
}

void token_make(enum token_kind kind, char to[TOKEN_MAX])
{
    unsigned char bytes[RANDOM_BYTES];
    random_bytes(bytes, sizeof bytes);
    write_token(kind, bytes, to);
}

void token_next(enum token_kind kind, struct slice key, struct slice token, char to[TOKEN_MAX])
{
    unsigned char bytes[SHA256_LEN];
    hmac_sha256(key, token, bytes);
    write_token(kind, bytes, to);
}

static const bool is_char[256] = {
    ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['-'] = true, ['_'] = true};

bool token_kind_of(struct slice token, enum token_kind *ret)
{
    for (int kind = 0; kind < TOKEN_KINDS; kind++) {
        struct slice prefix = slice_from(prefixes[kind]);
        if (token.len != prefix.len + RANDOM_CHARS || !slice_starts(token, prefix))
            continue;
        for (size_t i = 0; i < token.len; i++) {
            if (!is_char[(unsigned char)token.ptr[i]])
                return false;
        }
        *ret = (enum token_kind)kind;
        return true;
    }
    return false;
}

void token_digest(struct slice token, unsigned char to[DIGEST_LEN])
{
    sha256_of(token, to);
}
