/* Growing bytes with a limit that latches. */
#include "base/buf.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_EVER      (SIZE_MAX / 4) /* so that sums and doubling cannot overflow */
#define PRINTED_USUAL 256

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max < MAX_EVER ? max : MAX_EVER};
}

void buf_done(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->full = false;
    if (b->data)
        b->data[0] = '\0';
}

void buf_truncate(struct buf *b, size_t len)
{
    must(len <= b->len);
    b->len = len;
    b->full = false;
    if (b->data)
        b->data[len] = '\0';
}

char *buf_reserve(struct buf *b, size_t n)
{
    if (b->full || n > b->max || b->len > b->max - n) {
        b->full = true;
        return NULL;
    }
    size_t want = b->len + n + 1;
    if (want > b->cap) {
        size_t cap = b->cap ? b->cap : 64;
        while (cap < want)
            cap *= 2;
        if (cap > b->max + 1)
            cap = b->max + 1;
        b->data = mem_realloc(b->data, cap);
        b->cap = cap;
    }
    return b->data + b->len;
}

void buf_grew(struct buf *b, size_t n)
{
    must(b->len + n < b->cap);
    b->len += n;
    b->data[b->len] = '\0';
}

void buf_add(struct buf *b, struct slice s)
{
    char *to = buf_reserve(b, s.len);
    if (!to)
        return;
    if (s.len)
        memcpy(to, s.ptr, s.len);
    buf_grew(b, s.len);
}

void buf_add_str(struct buf *b, const char *s)
{
    buf_add(b, slice_from(s));
}

void buf_add_char(struct buf *b, char c)
{
    char *to = buf_reserve(b, 1);
    if (!to)
        return;
    *to = c;
    buf_grew(b, 1);
}

void buf_add_u64(struct buf *b, uint64_t v)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    buf_add(b, (struct slice){digits + at, sizeof digits - at});
}

void buf_add_replacing(struct buf *b, struct slice text, struct slice from, struct slice to)
{
    ptrdiff_t at;
    while (from.len && !b->full && (at = slice_search(text, from)) >= 0) {
        buf_add(b, slice_first(text, (size_t)at));
        buf_add(b, to);
        text = slice_skip(text, (size_t)at + from.len);
    }
    buf_add(b, text);
}

void buf_add_quoted(struct buf *b, struct slice s)
{
    buf_add_char(b, '"');
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '"' || s.ptr[i] == '\\')
            buf_add_char(b, '\\');
        buf_add_char(b, s.ptr[i]);
    }
    buf_add_char(b, '"');
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args, again;
    char short_text[PRINTED_USUAL]; /* most are, and need not be made twice */
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(short_text, sizeof short_text, fmt, args);
    va_end(args);
    must(n >= 0);
    char *to = buf_reserve(b, (size_t)n);
    if (to) {
        if ((size_t)n < sizeof short_text)
            memcpy(to, short_text, (size_t)n);
        else
            vsnprintf(to, (size_t)n + 1, fmt, again);
        buf_grew(b, (size_t)n);
    }
    va_end(again);
}

void buf_consume(struct buf *b, size_t n)
{
    must(n <= b->len);
    if (n == 0)
        return;
    memmove(b->data, b->data + n, b->len - n + 1);
    b->len -= n;
}

struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->data ? b->data : "", b->len};
}

void buf_swap(struct buf *a, struct buf *b)
{
    struct buf was = *a;
    *a = *b;
    *b = was;
}

char *buf_take(struct buf *b, size_t *ret_len)
{
    char *data = b->data ? b->data : mem_strdup("");
    if (ret_len)
        *ret_len = b->len;
    *b = (struct buf){.max = b->max};
    return data;
}
