/* Memory that dies together: everything a request, a job or a load step allocates.
 *
 * An arena hands out bytes from chunks and gives them all back at once. It has a cap: arena_try_*
 * returns NULL beyond it (for sizes that came from outside), arena_* aborts (for our own sizes).
 * arena_defer registers what else must die with it (descriptors, references), newest first.
 * One thread owns an arena at a time; the hand-over travels with the work item.
 * Freed bytes are poisoned under AddressSanitizer. */
#pragma once
#include "base/must.h"
#include "base/slice.h"

#include <stddef.h>

struct arena_chunk;
struct arena_defer;

struct arena {
    struct arena_chunk *chunk;  /* newest first; NULL until the first allocation */
    struct arena_defer *defers; /* newest first */
    size_t used_bytes;          /* handed out, all chunks, in steps of 16 */
    size_t cap_bytes;
};

/* Where an arena stood; valid until it is reset or rewound to an earlier mark. */
struct arena_mark {
    struct arena_chunk *chunk;
    struct arena_defer *defers;
    size_t chunk_used, used_bytes;
};

void arena_init(struct arena *a, size_t cap_bytes); /* allocates nothing yet */
void arena_done(struct arena *a);  /* runs defers, frees all; may be called twice */
void arena_reset(struct arena *a); /* the same, but keeps one chunk for reuse */

/* 16-byte aligned, not cleared. n = 0 gives a valid pointer. Every block counts at least 16 bytes
 * towards the cap, so that many small ones cannot go past it. */
void *arena_alloc(struct arena *a, size_t n) __attribute__((returns_nonnull, malloc));
void *arena_try_alloc(struct arena *a, size_t n) MUST_CHECK;
void *arena_zalloc(struct arena *a, size_t n)
    __attribute__((returns_nonnull, malloc)); /* cleared */
#define arena_new(a, type) ((type *)arena_zalloc((a), sizeof(type)))

/* Grows a block in place when it is the newest, else copies. */
void *arena_try_grow(struct arena *a, void *old, size_t old_n, size_t n) MUST_CHECK;

/* Gives the end of a block back, when nothing was allocated after it; else nothing happens. */
void arena_shrink(struct arena *a, void *p, size_t old_n, size_t n);

/* Copies ending in NUL (not counted in len). */
struct slice arena_dup(struct arena *a, struct slice s);
const char *arena_cstr(struct arena *a, struct slice s);
struct slice arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3);

void arena_defer(struct arena *a, void (*fn)(void *), void *arg);

struct arena_mark arena_mark(struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark mark); /* runs the defers made since */
