/* One JSON string, escaped: plain bytes in runs, the rest one by one. */
#include "base/json.h"
#include "base/json_impl.h"

#include <string.h>

/* \u escapes that a page may need: '<', '>', '&' and the two line ends of JavaScript. */
static bool hurts_html(const char *at, size_t n)
{
    if (n == 1)
        return *at == '<' || *at == '>' || *at == '&';
    return n == 3 && (memcmp(at, "\xe2\x80\xa8", 3) == 0 || memcmp(at, "\xe2\x80\xa9", 3) == 0);
}

static void add_unit(struct buf *to, unsigned unit)
{
    static const char hex[] = "0123456789abcdef";
    char text[6] = {'\\',          'u', hex[unit >> 12], hex[unit >> 8 & 15], hex[unit >> 4 & 15],
                    hex[unit & 15]};
    buf_add(to, (struct slice){text, sizeof text});
}

static void add_control(struct buf *to, unsigned char c)
{
    static const char from[] = "\"\\\b\f\n\r\t", into[] = "\"\\bfnrt";
    const char *hit = c ? strchr(from, c) : NULL;
    if (hit)
        buf_add(to, (struct slice){(char[2]){'\\', into[hit - from]}, 2});
    else
        add_unit(to, c);
}

/* Whatever is not plain ASCII, from one byte on; returns behind it. */
static const char *add_special(struct buf *to, const char *at, const char *end, unsigned flags)
{
    if ((signed char)*at >= 0) {
        add_control(to, (unsigned char)*at);
        return at + 1;
    }
    const char *run = at;
    while (at < end && (signed char)*at < 0) {
        size_t n = utf8_sequence(at, (size_t)(end - at));
        bool hurts = (flags & JSON_FOR_HTML) && hurts_html(at, n);
        if (n && !hurts) {
            at += n;
            continue;
        }
        buf_add(to, (struct slice){run, (size_t)(at - run)});
        if (hurts)
            add_unit(to, at[2] == '\xa8' ? 0x2028 : 0x2029);
        else
            buf_add(to, SLICE("\xef\xbf\xbd"));
        at += hurts ? n : 1;
        run = at;
    }
    buf_add(to, (struct slice){run, (size_t)(at - run)});
    return at;
}

static void add_plain(struct buf *to, const char *at, const char *end, unsigned flags)
{
    const char *run = at;
    for (; (flags & JSON_FOR_HTML) && at < end; at++) {
        if (!hurts_html(at, 1))
            continue;
        buf_add(to, (struct slice){run, (size_t)(at - run)});
        add_unit(to, (unsigned char)*at);
        run = at + 1;
    }
    buf_add(to, (struct slice){run, (size_t)(end - run)});
}

/* Not zero when one of the eight bytes is not plain. */
ALWAYS_INLINE uint64_t special_in(uint64_t x)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t quote = x ^ ones * '"', slash = x ^ ones * '\\';
    uint64_t hit =
        x | ((x - ones * 0x20) & ~x) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash);
    return hit & ones * 0x80;
}

/* Copies up to 15 bytes as two words that overlap; false when one is not plain. */
ALWAYS_INLINE bool copy_short(char *to, const char *from, size_t n)
{
    if (n >= 8) {
        uint64_t head, tail;
        memcpy(&head, from, 8);
        memcpy(&tail, from + n - 8, 8);
        memcpy(to, &head, 8);
        memcpy(to + n - 8, &tail, 8);
        return !(special_in(head) | special_in(tail));
    }
    if (n >= 4) {
        uint32_t head, tail;
        memcpy(&head, from, 4);
        memcpy(&tail, from + n - 4, 4);
        memcpy(to, &head, 4);
        memcpy(to + n - 4, &tail, 4);
        return !special_in((uint64_t)head << 32 | tail);
    }
    bool plain = true;
    for (size_t i = 0; i < n; i++) {
        to[i] = from[i];
        plain &= is_plain(from[i]);
    }
    return plain;
}

ALWAYS_INLINE bool copy_plain(char *to, const char *from, size_t n)
{
#if JSON_SSE2
    if (n >= 16) {
        for (size_t i = 0; i < n; i += 16) {
            size_t at = i + 16 <= n ? i : n - 16; /* the last step overlaps the one before */
            __m128i v = load16(from + at);
            if (special_bits(v))
                return false;
            _mm_storeu_si128((__m128i *)(void *)(to + at), v);
        }
        return true;
    }
#endif
    for (; n > 15; n -= 8, from += 8, to += 8) {
        if (!copy_short(to, from, 8))
            return false;
    }
    return copy_short(to, from, n);
}

/* Plain strings, which is most: copied while they are looked at. */
ALWAYS_INLINE bool add_whole(struct buf *to, struct slice s)
{
    if (to->full || to->cap - to->len < s.len + 3) /* two quotes and the NUL */
        return false;
    char *out = to->data + to->len;
    if (!copy_plain(out + 1, s.ptr, s.len))
        return false;
    out[0] = out[s.len + 1] = '"';
    out[s.len + 2] = '\0';
    to->len += s.len + 2;
    return true;
}

void json_escape(struct buf *to, struct slice s, unsigned flags)
{
    if (!(flags & JSON_FOR_HTML) && add_whole(to, s))
        return;
    const char *at = s.len ? s.ptr : "", *end = at + s.len;
    buf_add_char(to, '"');
    while (at < end) {
        const char *stop = skip_plain(at, end);
        add_plain(to, at, stop, flags);
        at = stop < end ? add_special(to, stop, end, flags) : stop;
    }
    buf_add_char(to, '"');
}
