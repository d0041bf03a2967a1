/* OpenSSL's libcrypto, opened when the first key is made: linked in, the tables that the loader
 * writes addresses into would be a sixth of what a server without keys has in memory. */
#pragma once
#include "base/err.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#define CRYPTO_MAP(X)                   \
    X(OPENSSL_init_crypto)              \
    X(BN_CTX_new)                       \
    X(BN_CTX_free)                      \
    X(BN_bin2bn)                        \
    X(BN_bn2binpad)                     \
    X(BN_new)                           \
    X(BN_dup)                           \
    X(BN_free)                          \
    X(BN_clear_free)                    \
    X(BN_sub_word)                      \
    X(BN_add_word)                      \
    X(BN_div)                           \
    X(EC_GROUP_new_by_curve_name)       \
    X(EC_GROUP_free)                    \
    X(EC_GROUP_get0_order)              \
    X(EC_POINT_new)                     \
    X(EC_POINT_mul)                     \
    X(EC_POINT_point2oct)               \
    X(EC_POINT_free)                    \
    X(OSSL_PARAM_BLD_new)               \
    X(OSSL_PARAM_BLD_push_utf8_string)  \
    X(OSSL_PARAM_BLD_push_BN)           \
    X(OSSL_PARAM_BLD_push_octet_string) \
    X(OSSL_PARAM_BLD_to_param)          \
    X(OSSL_PARAM_BLD_free)              \
    X(OSSL_PARAM_free)                  \
    X(EVP_PKEY_CTX_new_from_name)       \
    X(EVP_PKEY_CTX_free)                \
    X(EVP_PKEY_fromdata_init)           \
    X(EVP_PKEY_fromdata)                \
    X(EVP_PKEY_free)                    \
    X(EVP_MD_CTX_new)                   \
    X(EVP_MD_CTX_free)                  \
    X(EVP_DigestSignInit_ex)            \
    X(EVP_DigestSign)                   \
    X(d2i_ECDSA_SIG)                    \
    X(ECDSA_SIG_get0_r)                 \
    X(ECDSA_SIG_get0_s)                 \
    X(ECDSA_SIG_free)

struct crypto {
#define X(name) __typeof__(&(name)) name;
    CRYPTO_MAP(X)
#undef X
};
extern struct crypto crypto;
extern const char *crypto_library; /* "libcrypto.so.3"; a test names another */
bool crypto_load(struct err *e);   /* any thread; stays open */
