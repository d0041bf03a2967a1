/* ES256: a P-256 key pair from the secret, tokens signed with it, and its public half as a JWKS. */
#include "keys/keys.h"

#include "base/base64.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "keys/crypto_impl.h"

#include <stdlib.h>
#include <string.h>

#define COORDINATE 32
#define POINT      (1 + 2 * COORDINATE)
#define SEED       48 /* half as much again as the group's order: no bias worth the name */

struct signer {
    EVP_PKEY *key;
    char *header; /* {"alg":...} in base64url */
    char *jwks;
    size_t jwks_len;
};

/* ---- the key pair ---------------------------------------------------------------------------- */

/* 1 to order - 1, evenly. */
static BIGNUM *scalar_of(const struct root_secret *s, struct slice app, const EC_GROUP *group)
{
    unsigned char seed[SEED];
    root_secret_derive(s, "token ES256", app, seed, sizeof seed);
    BN_CTX *ctx = crypto.BN_CTX_new();
    BIGNUM *wide = crypto.BN_bin2bn(seed, sizeof seed, NULL), *scalar = crypto.BN_new();
    BIGNUM *range = crypto.BN_dup(crypto.EC_GROUP_get0_order(group));
    must(ctx && wide && scalar && range && crypto.BN_sub_word(range, 1) &&
         crypto.BN_div(NULL, scalar, wide, range, ctx) && crypto.BN_add_word(scalar, 1));
    crypto.BN_clear_free(wide);
    crypto.BN_free(range);
    crypto.BN_CTX_free(ctx);
    explicit_bzero(seed, sizeof seed);
    return scalar;
}

static void public_of(const EC_GROUP *group, const BIGNUM *scalar, unsigned char to[POINT])
{
    EC_POINT *point = crypto.EC_POINT_new(group);
    must(point && crypto.EC_POINT_mul(group, point, scalar, NULL, NULL, NULL) &&
         crypto.EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, to, POINT, NULL) ==
             POINT);
    crypto.EC_POINT_free(point);
}

static EVP_PKEY *key_of(const BIGNUM *scalar, const unsigned char point[POINT])
{
    OSSL_PARAM_BLD *build = crypto.OSSL_PARAM_BLD_new();
    must(build &&
         crypto.OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) &&
         crypto.OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, scalar) &&
         crypto.OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, POINT));
    OSSL_PARAM *params = crypto.OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = crypto.EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *key = NULL;
    must(params && ctx && crypto.EVP_PKEY_fromdata_init(ctx) == 1 &&
         crypto.EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) == 1);
    crypto.EVP_PKEY_CTX_free(ctx);
    crypto.OSSL_PARAM_free(params);
    crypto.OSSL_PARAM_BLD_free(build);
    return key;
}

/* ---- what is said about it ------------------------------------------------------------------- */

static void add_part(struct buf *to, const unsigned char *bytes, size_t n)
{
    base64_add(to, (struct slice){(const char *)bytes, n}, BASE64_URL);
}

/* The key's own name: its thumbprint (RFC 7638), of its members in the order of their names. */
static void describe(struct signer *s, const unsigned char point[POINT])
{
    struct buf key, id, text;
    unsigned char digest[SHA256_LEN];
    buf_init(&key, 1024);
    buf_init(&id, 1024);
    buf_init(&text, 1024);
    buf_add_str(&key, "\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"");
    add_part(&key, point + 1, COORDINATE);
    buf_add_str(&key, "\",\"y\":\"");
    add_part(&key, point + 1 + COORDINATE, COORDINATE);
    buf_add_char(&key, '"');
    buf_printf(&text, "{%s}", key.data);
    sha256_of(buf_slice(&text), digest);
    add_part(&id, digest, sizeof digest);

    buf_clear(&text);
    buf_printf(&text, "{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"JWT\"}", id.data);
    struct slice header = buf_slice(&text);
    struct buf encoded;
    buf_init(&encoded, 1024);
    base64_add(&encoded, header, BASE64_URL);
    size_t ignored;
    s->header = buf_take(&encoded, &ignored);
    buf_clear(&text);
    buf_printf(&text, "{\"keys\":[{\"alg\":\"ES256\",%s,\"kid\":\"%s\",\"use\":\"sig\"}]}\n",
               key.data, id.data);
    must(!text.full);
    s->jwks = buf_take(&text, &s->jwks_len);
    buf_done(&key);
    buf_done(&id);
}

struct signer *signer_new(const struct root_secret *secret, struct slice app, struct err *e)
{
    unsigned char point[POINT];
    if (!crypto_load(e))
        return NULL;
    struct signer *s = mem_new(struct signer);
    EC_GROUP *group = crypto.EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    must(group);
    BIGNUM *scalar = scalar_of(secret, app, group);
    public_of(group, scalar, point);
    s->key = key_of(scalar, point);
    describe(s, point);
    crypto.BN_clear_free(scalar);
    crypto.EC_GROUP_free(group);
    return s;
}

void signer_free(struct signer *s)
{
    if (!s)
        return;
    crypto.EVP_PKEY_free(s->key);
    free(s->header);
    free(s->jwks);
    free(s);
}

struct slice signer_jwks(const struct signer *s)
{
    return (struct slice){s->jwks, s->jwks_len};
}

/* ---- tokens ---------------------------------------------------------------------------------- */

/* The two numbers of a signature one after the other, each in its full width. */
static void add_signature(struct buf *to, const unsigned char *der, size_t n)
{
    unsigned char raw[2 * COORDINATE];
    const unsigned char *at = der;
    ECDSA_SIG *sig = crypto.d2i_ECDSA_SIG(NULL, &at, (long)n);
    must(sig && crypto.BN_bn2binpad(crypto.ECDSA_SIG_get0_r(sig), raw, COORDINATE) == COORDINATE &&
         crypto.BN_bn2binpad(crypto.ECDSA_SIG_get0_s(sig), raw + COORDINATE, COORDINATE) ==
             COORDINATE);
    crypto.ECDSA_SIG_free(sig);
    add_part(to, raw, sizeof raw);
}

void signer_add_token(const struct signer *s, struct slice payload, struct buf *to)
{
    unsigned char der[80];
    size_t from = to->len, n = sizeof der;
    buf_add_str(to, s->header);
    buf_add_char(to, '.');
    base64_add(to, payload, BASE64_URL);
    if (to->full)
        return;
    EVP_MD_CTX *ctx = crypto.EVP_MD_CTX_new();
    must(ctx && crypto.EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, s->key, NULL) == 1 &&
         crypto.EVP_DigestSign(ctx, der, &n, (const unsigned char *)to->data + from,
                               to->len - from) == 1);
    crypto.EVP_MD_CTX_free(ctx);
    buf_add_char(to, '.');
    add_signature(to, der, n);
}
