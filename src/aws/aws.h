/* Requests that AWS, and what speaks like it, believe: signatures of version 4, and where the keys
 * that make them come from.
 *
 * Signing is pure: it takes bytes and a time and gives header lines or a URL. The keys come from a
 * chain of places, asked in the order the field's own tools ask them; what those lend for a while
 * is renewed before it ends. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

/* ---- signatures (sign.c) --------------------------------------------------------------------- */

struct aws_keys {
    struct slice id, secret;
    struct slice token; /* of a session; empty: there is none */
};

struct aws_scope {
    struct slice region, service; /* "eu-central-1", "s3" */
};

struct aws_field {
    struct slice name, value;
};

/* The payload's digest as header and canonical request name it. */
#define AWS_PAYLOAD_UNSIGNED "UNSIGNED-PAYLOAD" /* only over TLS */
#define AWS_PAYLOAD_NONE     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct aws_request {
    struct slice method, host; /* host with its port, where that is not the scheme's own */
    /* Decoded; escaped here, once, as S3 wants it: no "." or ".." is resolved, no "//" joined. */
    struct slice path;
    const struct aws_field *query; /* decoded; in any order */
    size_t n_query;
    /* All that is signed besides Host and what signing adds. Accept-Encoding and other headers that
     * something on the way may change do not belong here. */
    const struct aws_field *headers;
    size_t n_headers;
    struct slice payload; /* lower-case hexadecimal SHA-256, or AWS_PAYLOAD_UNSIGNED */
    bool is_normal;       /* another service than S3: the path is resolved, and escaped twice */
    bool hides_payload;   /* another service than S3: no x-amz-content-sha256 */
};

/* Adds "x-amz-date: …", "x-amz-content-sha256: …", "x-amz-security-token: …" and "Authorization: …"
 * lines, each ending CRLF. */
void aws_sign(const struct aws_request *rq, const struct aws_keys *keys,
              const struct aws_scope *scope, int64_t now_s, struct buf *to);
/* Adds path and query ("/bucket/key?X-Amz-…") that anybody may use for `seconds` (at most 7 days)
 * without other credentials. Who uses it must send `headers` just so. At S3 it goes for any
 * payload, whatever rq->payload says. */
void aws_presign(const struct aws_request *rq, const struct aws_keys *keys,
                 const struct aws_scope *scope, int64_t now_s, uint32_t seconds, struct buf *to);
/* Adds path and query as they were signed, for the request line ("?lifecycle=" for a name without a
 * value). */
void aws_target(const struct aws_request *rq, struct buf *to);

/* ---- keys (chain.c and a file for each place) --------------------------------------------------
 * S3_ACCESS_KEY_ID and its secret, the AWS_* variables, web identity (a token in a file, exchanged
 * at STS), the profile in ~/.aws, a container's address, and the machine's own (IMDSv2). A place
 * that was set up but fails ends the search: its keys, or none. */

/* What the chain looks at, so that tests look elsewhere; NULL: the process's own. */
struct aws_place {
    struct slice (*env)(void *user, const char *name); /* empty: it is not set */
    int64_t (*now_ms)(void *user);                     /* instead of the wall clock */
    void *user;
    const char *home;     /* instead of $HOME */
    const char *imds_url; /* instead of http://169.254.169.254 */
    const char *sts_url;  /* instead of https://sts.REGION.amazonaws.com */
};

struct aws_chain;
/* `fixed` (both parts) goes before everything else, and is copied; NULL: there is none. */
struct aws_chain *aws_chain_new(const struct aws_place *place, const struct aws_keys *fixed);
void aws_chain_free(struct aws_chain *c); /* NULL is fine */
/* Copied to the arena. Blocks when they must be asked for; any thread: one asks, the others wait,
 * or go on with those that are still good. Those that end are renewed five minutes before; while
 * that fails, the old ones are given as long as they are good. A failure holds for two seconds.
 * ERR_UNAVAILABLE: nobody has any; the sentence names the places that were asked and what each
 * lacked. */
bool aws_chain_get(struct aws_chain *c, struct arena *a, struct aws_keys *ret, struct err *e);
/* They were refused: the next call asks anew (at most once in 10 s). */
void aws_chain_doubt(struct aws_chain *c);
/* The region that the same places name; empty: none. */
struct slice aws_chain_region(struct aws_chain *c, struct arena *a);
