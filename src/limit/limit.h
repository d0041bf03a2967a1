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
