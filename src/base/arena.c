/* Arena: a list of chunks, a bump pointer in the newest, a list of deferred calls. */
#include "base/arena.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SANITIZE_ADDRESS__
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#ifdef HAS_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

#define ALIGN       16u
#define CHUNK_BYTES 4096u

#define PRINTED_USUAL 256

struct arena_chunk {
    struct arena_chunk *older;
    size_t size, used; /* of data[] */
    _Alignas(ALIGN) char data[];
};

struct arena_defer {
    struct arena_defer *older;
    void (*fn)(void *);
    void *arg;
};

void arena_init(struct arena *a, size_t cap_bytes)
{
    *a = (struct arena){.cap_bytes = cap_bytes};
}

static void run_defers(struct arena *a, struct arena_defer *until)
{
    while (a->defers != until) {
        struct arena_defer *d = a->defers;
        a->defers = d->older;
        d->fn(d->arg);
    }
}

static void free_chunks(struct arena *a, struct arena_chunk *until)
{
    while (a->chunk != until) {
        struct arena_chunk *c = a->chunk;
        a->chunk = c->older;
        UNPOISON(c->data, c->size);
        free(c);
    }
}

void arena_done(struct arena *a)
{
    run_defers(a, NULL);
    free_chunks(a, NULL);
    a->used_bytes = 0;
}

void arena_reset(struct arena *a)
{
    run_defers(a, NULL);
    a->used_bytes = 0;
    if (!a->chunk)
        return;
    struct arena_chunk *keep = a->chunk;
    if (keep->size > CHUNK_BYTES) { /* one large request must not pin its memory */
        free_chunks(a, NULL);
        return;
    }
    a->chunk = keep->older;
    free_chunks(a, NULL);
    keep->older = NULL;
    keep->used = 0;
    POISON(keep->data, keep->size);
    a->chunk = keep;
}

/* What a block of n bytes takes; n is at most SIZE_MAX / 2. */
static size_t room_for(size_t n)
{
    return n ? (n + ALIGN - 1) & ~(size_t)(ALIGN - 1) : ALIGN;
}

static bool fits(const struct arena *a, size_t n)
{
    return n <= SIZE_MAX / 2 && n <= a->cap_bytes && a->used_bytes <= a->cap_bytes - n;
}

static bool add_chunk(struct arena *a, size_t n)
{
    size_t size = CHUNK_BYTES - sizeof(struct arena_chunk);
    if (n > size)
        size = n;
    struct arena_chunk *c = malloc(sizeof *c + size);
    if (!c)
        return false;
    *c = (struct arena_chunk){.older = a->chunk, .size = size};
    POISON(c->data, size);
    a->chunk = c;
    return true;
}

void *arena_try_alloc(struct arena *a, size_t n)
{
    if (!fits(a, n))
        return NULL;
    size_t room = room_for(n);
    if (!a->chunk || a->chunk->size - a->chunk->used < room) {
        if (!add_chunk(a, room))
            return NULL;
    }
    char *p = a->chunk->data + a->chunk->used;
    a->chunk->used += room;
    a->used_bytes += room;
    UNPOISON(p, n);
    return p;
}

void *arena_alloc(struct arena *a, size_t n)
{
    void *p = arena_try_alloc(a, n);
    if (!p)
        mem_failed(n);
    return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
    return memset(arena_alloc(a, n), 0, n);
}

static bool is_newest(const struct arena *a, const void *p, size_t room)
{
    const struct arena_chunk *c = a->chunk;
    return c && (const char *)p + room == c->data + c->used;
}

void *arena_try_grow(struct arena *a, void *old, size_t old_n, size_t n)
{
    must(n >= old_n);
    if (!old)
        return arena_try_alloc(a, n);
    if (n > SIZE_MAX / 2)
        return NULL;
    struct arena_chunk *c = a->chunk;
    size_t was = room_for(old_n), want = room_for(n);
    if (is_newest(a, old, was) && c->size - c->used >= want - was) {
        if (!fits(a, n - old_n))
            return NULL;
        c->used += want - was;
        a->used_bytes += want - was;
        UNPOISON(old, n);
        return old;
    }
    void *p = arena_try_alloc(a, n);
    return p ? memcpy(p, old, old_n) : NULL;
}

void arena_shrink(struct arena *a, void *p, size_t old_n, size_t n)
{
    must(n <= old_n);
    size_t was = room_for(old_n), want = room_for(n);
    if (!is_newest(a, p, was))
        return;
    a->chunk->used -= was - want;
    a->used_bytes -= was - want;
    POISON((char *)p + n, was - n);
}

struct slice arena_dup(struct arena *a, struct slice s)
{
    char *p = arena_alloc(a, s.len + 1);
    if (s.len)
        memcpy(p, s.ptr, s.len);
    p[s.len] = '\0';
    return (struct slice){p, s.len};
}

const char *arena_cstr(struct arena *a, struct slice s)
{
    return arena_dup(a, s).ptr;
}

struct slice arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args, again;
    char short_text[PRINTED_USUAL]; /* most are, and need not be made twice */
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(short_text, sizeof short_text, fmt, args);
    va_end(args);
    must(n >= 0);
    char *p = arena_alloc(a, (size_t)n + 1);
    if ((size_t)n < sizeof short_text)
        memcpy(p, short_text, (size_t)n + 1);
    else
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return (struct slice){p, (size_t)n};
}

void arena_defer(struct arena *a, void (*fn)(void *), void *arg)
{
    struct arena_defer *d = arena_alloc(a, sizeof *d);
    *d = (struct arena_defer){.older = a->defers, .fn = fn, .arg = arg};
    a->defers = d;
}

struct arena_mark arena_mark(struct arena *a)
{
    return (struct arena_mark){
        .chunk = a->chunk,
        .defers = a->defers,
        .chunk_used = a->chunk ? a->chunk->used : 0,
        .used_bytes = a->used_bytes,
    };
}

void arena_rewind(struct arena *a, struct arena_mark mark)
{
    run_defers(a, mark.defers);
    free_chunks(a, mark.chunk);
    if (a->chunk) {
        a->chunk->used = mark.chunk_used;
        POISON(a->chunk->data + mark.chunk_used, a->chunk->size - mark.chunk_used);
    }
    a->used_bytes = mark.used_bytes;
}
