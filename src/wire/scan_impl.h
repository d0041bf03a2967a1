/* Finding the byte that ends a target, a name or a value: 16 bytes at a time with SSE2, one at a
 * time with -DWIRE_PORTABLE or elsewhere. Both give the same answers; tests compare them.
 *
 * Each function looks at [p, end) and may read any byte of [begin, end), never another. */
#pragma once
#include "base/slice.h"

#if defined(__SSE2__) && !defined(WIRE_PORTABLE)
#define SCAN_SSE2 1
#include <emmintrin.h>
#endif

enum {
    CH_TOKEN = 1,  /* RFC 9110 tchar */
    CH_TARGET = 2, /* visible ASCII without '#' */
    CH_VALUE = 4,  /* tab, visible ASCII, space, bytes from 0x80 */
    CH_HOST = 8,   /* letters, digits, '-', '_' */
    CH_HEX = 16,
    CH_DIGIT = 32,
    CH_PATH = 64,       /* needs no thought in a path: visible ASCII but '%', '/', '\', '.' */
    CH_UNRESERVED = 128 /* letters, digits, '-', '.', '_', '~' */
};
extern const uint8_t scan_class[256];

static inline bool scan_is(char c, unsigned classes)
{
    return (scan_class[(uint8_t)c] & classes) != 0;
}

/* All of s is made of that class, and there is something. */
static inline bool scan_all(struct slice s, unsigned classes)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!scan_is(s.ptr[i], classes))
            return false;
    }
    return s.len > 0;
}

static inline const char *scan_while(const char *p, const char *end, unsigned classes)
{
    while (p < end && scan_is(*p, classes))
        p++;
    return p;
}

#ifdef SCAN_SSE2

/* The next (up to) 16 bytes from p on; the last ones of a buffer are loaded from further left and
 * shifted, so that nothing behind the end is read. */
#define SCAN_BLOCKS(p, begin, end, mask_of)                                            \
    while ((end) - (p) >= 16) {                                                        \
        unsigned mask_ = mask_of(_mm_loadu_si128((const __m128i *)(const void *)(p))); \
        if (mask_)                                                                     \
            return (p) + __builtin_ctz(mask_);                                         \
        (p) += 16;                                                                     \
    }                                                                                  \
    if ((end) - (begin) >= 16 && (p) < (end)) {                                        \
        const char *at_ = (end)-16;                                                    \
        unsigned mask_ = mask_of(_mm_loadu_si128((const __m128i *)(const void *)at_)); \
        mask_ >>= (p)-at_;                                                             \
        return mask_ ? (p) + __builtin_ctz(mask_) : (end);                             \
    }

static inline __m128i scan_at_most(__m128i x, char max) /* unsigned */
{
    return _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(max)), x);
}

static inline unsigned scan_value_mask(__m128i x)
{
    __m128i low = _mm_andnot_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('\t')), scan_at_most(x, 0x1f));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(low, _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f))));
}

static inline unsigned scan_target_mask(__m128i x)
{
    __m128i fine = _mm_cmpgt_epi8(x, _mm_set1_epi8(0x20)); /* signed: 0x80.. are negative */
    __m128i bad =
        _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f)), _mm_cmpeq_epi8(x, _mm_set1_epi8('#')));
    return (unsigned)_mm_movemask_epi8(_mm_andnot_si128(fine, _mm_set1_epi8(-1))) |
           (unsigned)_mm_movemask_epi8(bad);
}

/* Stops at everything but letters, digits and '-'; the rare other token bytes are looked up. */
static inline unsigned scan_name_mask(__m128i x)
{
    __m128i letter = _mm_sub_epi8(_mm_or_si128(x, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
    __m128i digit = _mm_sub_epi8(x, _mm_set1_epi8('0'));
    __m128i fine = _mm_or_si128(_mm_or_si128(scan_at_most(letter, 25), scan_at_most(digit, 9)),
                                _mm_cmpeq_epi8(x, _mm_set1_epi8('-')));
    return ~(unsigned)_mm_movemask_epi8(fine) & 0xffff;
}

static inline unsigned scan_question_mask(__m128i x)
{
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8('?')));
}

#else
#define SCAN_BLOCKS(p, begin, end, mask_of) (void)(begin)
#endif

/* The first '?', or the end. */
static inline const char *scan_question(const char *p, const char *begin, const char *end)
{
    SCAN_BLOCKS(p, begin, end, scan_question_mask);
    while (p < end && *p != '?')
        p++;
    return p;
}

/* The first byte that may not stand in a header value (so, rightly, the CR). */
static inline const char *scan_value(const char *p, const char *begin, const char *end)
{
    SCAN_BLOCKS(p, begin, end, scan_value_mask);
    return scan_while(p, end, CH_VALUE);
}

/* The first byte that may not stand in a request target (so, rightly, the space). */
static inline const char *scan_target(const char *p, const char *begin, const char *end)
{
    SCAN_BLOCKS(p, begin, end, scan_target_mask);
    return scan_while(p, end, CH_TARGET);
}

static inline const char *scan_plain_name(const char *p, const char *begin, const char *end)
{
    SCAN_BLOCKS(p, begin, end, scan_name_mask);
    return scan_while(p, end, CH_TOKEN);
}

/* The first byte that may not stand in a header name (so, rightly, the colon). */
static inline const char *scan_name(const char *p, const char *begin, const char *end)
{
#ifdef SCAN_SSE2
    /* Short names: the colon gives the length at once, what is before it is checked beside. */
    if (end - p >= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        unsigned colon = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8(':')));
        if (colon && !(scan_name_mask(x) & (colon - 1) & ~colon))
            return p + __builtin_ctz(colon);
    }
#endif
    p = scan_plain_name(p, begin, end);
    while (p < end && scan_is(*p, CH_TOKEN))
        p = scan_plain_name(p + 1, begin, end);
    return p;
}
