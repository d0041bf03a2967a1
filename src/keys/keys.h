/* The installation's secret, the keys derived from it, tokens signed with them, and the store of
 * secrets that is encrypted under it.
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
/* The same, and nothing is made: *ret_there says whether there is one. */
bool root_secret_find(struct root_secret *ret, const char *data_dir, bool *ret_there,
                      struct err *e);
/* Of two steps, so that what is encrypted under it can be written between them: the file
 * `secret.next`, which is read with root_secret_next; then it becomes the secret. */
bool root_secret_make_next(struct root_secret *ret, const char *data_dir, struct err *e);
bool root_secret_next(struct root_secret *ret, const char *data_dir, bool *ret_there,
                      struct err *e);
bool root_secret_turn(const char *data_dir, struct err *e); /* again is fine */
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

/* ---- the store of secrets: `secrets.json` in the data folder ----------------------------------
 * Each value is in a box of its own (XSalsa20-Poly1305), under a key for its app, with its name
 * inside; a seal over all of them is under a key too. Whoever can write the file but does not have
 * the secret can neither change, exchange, add nor take away an entry; only an older file as a
 * whole would be believed. */

#define VAULT_MAX       1000
#define VAULT_VALUE_MAX (64 << 10)

struct vault_entry {
    struct slice app; /* empty: the host's */
    struct slice name, value;
    int64_t set_ms;
};
struct vault {
    struct arena *arena; /* of everything in it */
    struct vault_entry *items;
    size_t n;
};

void vault_init(struct vault *v, struct arena *a);
struct vault_entry *vault_find(const struct vault *v, struct slice app, struct slice name);
/* Copies what it is given. ERR_INVALID: too long, or too many. */
bool vault_put(struct vault *v, const struct vault_entry *it, struct err *e);
bool vault_remove(struct vault *v, struct slice app, struct slice name); /* was it there? */

void vault_write(const struct vault *v, const struct root_secret *s, struct buf *to);
/* ERR_FORBIDDEN: made under another secret. ERR_IO: damaged, or changed by somebody without it. */
bool vault_read(struct vault *ret, struct arena *a, struct slice text, const struct root_secret *s,
                struct err *e);

/* The file. `given` is DAIS_SECRET, empty where the data folder has the secret. A store that is not
 * there is empty, and nothing is made for it; a rotation that was cut off is finished, one that
 * goes on is waited for. */
bool vault_open(struct vault *ret, struct arena *a, const char *data_dir, struct slice given,
                struct err *e);
/* The same for whoever holds vault_lock. */
bool vault_open_locked(struct vault *ret, struct arena *a, const char *data_dir, struct slice given,
                       struct err *e);
/* The old file or the new one is there, whatever happens. Makes the secret if there is none. */
bool vault_save(const struct vault *v, const char *data_dir, struct slice given, struct err *e);
/* Everything under another secret: `next`, or a new one in the data folder where that is empty.
 * With vault_lock held. */
bool vault_rotate(const char *data_dir, struct slice given, struct slice next, struct err *e);
/* Between opening and saving: one at a time. A descriptor to close, or -1. */
int vault_lock(const char *data_dir, struct err *e);
