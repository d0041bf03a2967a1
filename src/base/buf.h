/* The one owned, growing byte container. Its limit is stated when it is made.
 *
 * Adding beyond the limit adds nothing more and latches `full`: add many times, check once.
 * The bytes are always followed by a NUL that is not counted. */
#pragma once
#include "base/must.h"
#include "base/slice.h"

struct buf {
    char *data; /* NULL until something was added */
    size_t len, cap, max;
    bool full; /* something did not fit */
};

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);                 /* frees; may be called twice */
void buf_clear(struct buf *b);                /* empties, keeps the memory, forgets `full` */
void buf_truncate(struct buf *b, size_t len); /* back to an earlier length, forgets `full` */

/* What is added must not lie in the buf itself. */

void buf_add(struct buf *b, struct slice s);
void buf_add_str(struct buf *b, const char *s);
void buf_add_char(struct buf *b, char c);
void buf_add_u64(struct buf *b, uint64_t v);
/* The text with every `from` in it as `to`; an empty `from` is nowhere. */
void buf_add_replacing(struct buf *b, struct slice text, struct slice from, struct slice to);
/* Between double quotes, with a backslash before each quote and backslash. */
void buf_add_quoted(struct buf *b, struct slice s);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);

/* Room for n more bytes at data + len, to be filled and then counted with buf_grew.
 * NULL (and `full`) beyond the limit. */
char *buf_reserve(struct buf *b, size_t n) MUST_CHECK;
void buf_grew(struct buf *b, size_t n);

void buf_consume(struct buf *b, size_t n); /* drops n bytes from the front */

struct slice buf_slice(const struct buf *b);
void buf_swap(struct buf *a, struct buf *b); /* limits and all */
/* Gives the memory away (mem, free() it); the buf is empty afterwards. */
char *buf_take(struct buf *b, size_t *ret_len);
