/* The byte scanning shared by the JSON parser and writer, with SSE2 or (JSON_PORTABLE) without. */
#pragma once
#include "base/slice.h"

#if defined(__SSE2__) && !defined(JSON_PORTABLE)
#define JSON_SSE2 1
#include <emmintrin.h>
#else
#define JSON_SSE2 0
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define COLD          __attribute__((noinline, cold))
#define LIKELY(x)     __builtin_expect(!!(x), 1)
#define UNLIKELY(x)   __builtin_expect(!!(x), 0)

enum { JSON_DECODED = 1 }; /* flag of a string whose bytes are in the arena */

ALWAYS_INLINE bool is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

static inline bool is_plain(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 0x20 && u < 0x80 && u != '"' && u != '\\';
}

#if JSON_SSE2
/* One bit per byte that is a quote, a backslash, a control character or not ASCII: as signed
 * numbers, the last two are what is less than a space. */
ALWAYS_INLINE unsigned special_bits(__m128i v)
{
    __m128i hit =
        _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(hit, _mm_cmplt_epi8(v, _mm_set1_epi8(' '))));
}

ALWAYS_INLINE __m128i load16(const char *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}
#endif

/* Over ASCII that stands for itself in a string. */
ALWAYS_INLINE const char *skip_plain(const char *at, const char *end)
{
#if JSON_SSE2
    for (; end - at >= 16; at += 16) {
        unsigned bits = special_bits(load16(at));
        if (bits)
            return at + __builtin_ctz(bits);
    }
#endif
    while (at < end && is_plain(*at))
        at++;
    return at;
}

static inline const char *skip_space_run(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) {
        at++;
#if JSON_SSE2
        /* Indentation: a run of spaces after a line's end. */
        for (; end - at >= 16; at += 16) {
            __m128i same = _mm_cmpeq_epi8(load16(at), _mm_set1_epi8(' '));
            unsigned bits = (unsigned)_mm_movemask_epi8(same) ^ 0xffffu;
            if (bits) {
                at += __builtin_ctz(bits);
                break;
            }
        }
#endif
    }
    return at;
}

/* Compact text has no space: that way costs one comparison. */
ALWAYS_INLINE const char *skip_space(const char *at, const char *end)
{
    if (LIKELY(at < end && (unsigned char)*at > ' '))
        return at;
    return skip_space_run(at, end);
}

/* Length of the well-formed sequence of 2 to 4 bytes at s; 0 when it is none. */
static inline size_t utf8_sequence(const char *s, size_t left)
{
    const unsigned char *u = (const unsigned char *)s;
    if (left < 2 || (u[1] & 0xc0) != 0x80)
        return 0;
    if (u[0] >= 0xc2 && u[0] <= 0xdf)
        return 2;
    if (left < 3 || (u[2] & 0xc0) != 0x80)
        return 0;
    unsigned top = (u[0] & 0x0fu) << 6 | (u[1] & 0x3fu);
    if ((u[0] & 0xf0) == 0xe0) /* not below U+0800, no surrogate */
        return top >= 0x20 && (top < 0x360 || top > 0x37f) ? 3 : 0;
    if (left < 4 || (u[3] & 0xc0) != 0x80 || (u[0] & 0xf8) != 0xf0)
        return 0;
    return top >= 0x10 && top <= 0x10f ? 4 : 0; /* U+10000 to U+10FFFF */
}
