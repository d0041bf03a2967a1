/* How often somebody may do something: token buckets in a table of fixed size.
 *
 * A limit is one row of the manifest: so many requests per time. Each key (an account, an address)
 * has a bucket of that many tokens, which fill again evenly. The table never grows. Where it is
 * full, a new key takes the place of the bucket that was used least, and begins with no more than
 * that one had left, but at least with one request: whoever floods the table from many addresses
 * neither resets a bucket that counts nor locks everybody else out.
 * Any thread, at any time. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* What the manifest's `limits` calls by a name, and what each allows a minute where it says
 * nothing; 0: that is off.
 *        bucket         name      a minute */
#define LIMIT_BUCKET_MAP(X)          \
    X(BUCKET_LOGIN, "login", 10)     \
    X(BUCKET_SIGNUP, "signup", 5)    \
    X(BUCKET_RESET, "reset", 5)      \
    X(BUCKET_PUBLISH, "publish", 10) \
    X(BUCKET_UPLOAD, "upload", 60)   \
    X(BUCKET_WRITE, "write", 600)    \
    X(BUCKET_READ, "read", 0)
enum limit_bucket {
#define X(id, name, a_minute) id,
    LIMIT_BUCKET_MAP(X)
#undef X
        LIMIT_BUCKETS
};

struct limit;

struct limit_state { /* after a request, for its RateLimit headers */
    int64_t limit, remaining;
    int64_t reset_s; /* until all tokens are there again, rounded up */
    int64_t retry_s; /* of a refused one: until one is there, 1 or more */
};

/* `count` tokens per `per_ms`; count 0 refuses everything. Takes 16 bytes per key, once keys come;
 * `keys` is rounded up to a power of two. */
struct limit *limit_new(int64_t count, int64_t per_ms, size_t keys);
void limit_free(struct limit *l); /* NULL is fine */

/* Takes a token of the key's; false: there is none. now_ns is a monotonic clock's. */
bool limit_take(struct limit *l, struct slice key, int64_t now_ns, struct limit_state *ret);
/* Would one be there? Nothing is taken, and no bucket is given to a new key. */
bool limit_look(struct limit *l, struct slice key, int64_t now_ns, struct limit_state *ret);
/* Somebody else counted the same key: its bucket is full again no sooner than at full_ns, and no
 * later than one that is empty now. Never gives anything back. */
void limit_raise(struct limit *l, struct slice key, int64_t now_ns, int64_t full_ns);

/* ---- what was taken, for others to know --------------------------------------------------------
 * Takes since somebody last asked, a row per bucket and key. Of fixed size: where it is full, takes
 * of further keys are not told. Any thread. */

#define LEDGER_ROWS    512
#define LEDGER_KEY_MAX 64

struct ledger;
struct ledger_row {
    char bucket[40]; /* ends in NUL */
    unsigned char key[LEDGER_KEY_MAX];
    size_t key_len;
    int64_t token_ms, per_ms; /* of the bucket, whole milliseconds, 1 or more */
    int64_t taken;
};
struct ledger *ledger_new(void);
void ledger_free(struct ledger *l); /* NULL is fine */
/* Adds row->taken to the row of this bucket and key. False: there was no room. */
bool ledger_add(struct ledger *l, const struct ledger_row *row);
/* Moves all rows into `to` (LEDGER_ROWS of them), sorted; returns how many. */
size_t ledger_take(struct ledger *l, struct ledger_row *to);
