/* The installation's secret, the keys derived from it, and tokens signed with them.
 *
 * Everything follows from DAIS_SECRET (or from data/secret, made once), so replicas with the same
 * secret sign with the same keys and no key is ever stored. Everything here may be called on any
 * thread; the file is read and made at start, never on a loop. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

#include <stdint.h>

#define SECRET_CHARS_MIN 32 /* public keys let anybody try short ones */

struct root_secret {
    unsigned char key[32];
};
/* From DAIS_SECRET's text. */
bool root_secret_from(struct root_secret *ret, struct slice text, struct err *e);
/* From the file `secret` in the data folder, which is made if it is not there. It is refused when
 * somebody else can read it. */
bool root_secret_open(struct root_secret *ret, const char *data_dir, struct err *e);
/* A key for one purpose and one app: nothing about the others follows from it. */
void root_secret_derive(const struct root_secret *s, const char *purpose, struct slice app,
                        void *to, size_t n);

/* ---- tokens that others can check: ES256 (RFC 7518) ----------------------------------------- */

struct signer; /* a P-256 key pair */
/* NULL: libcrypto is not here; e says what to install. */
struct signer *signer_new(const struct root_secret *s, struct slice app, struct err *e);
void signer_free(struct signer *s);
/* Adds header.payload.signature; payload is JSON. */
void signer_add_token(const struct signer *s, struct slice payload, struct buf *to);
struct slice signer_jwks(const struct signer *s); /* {"keys":[...]}, as long as the signer */
