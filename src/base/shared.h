/* Immutable bytes shared between threads: the last reference frees them. */
#pragma once
#include "base/slice.h"

#include <stdatomic.h>

struct shared {
    _Atomic int refs;
    size_t len;
    char *data; /* follows the struct, or is owned memory taken over */
    bool is_taken;
};

struct shared *shared_new(struct slice copy_of);        /* one reference, the caller's */
struct shared *shared_take(char *malloced, size_t len); /* owns the memory from now on */
struct shared *shared_ref(struct shared *s);            /* returns s */
void shared_unref(struct shared *s);                    /* NULL is fine */

static inline struct slice shared_slice(const struct shared *s)
{
    return (struct slice){s->data, s->len};
}
