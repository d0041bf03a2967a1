/* SHA-256 with the instructions that newer x86 processors have for it. */
#include "base/sha256_impl.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

bool sha256_has_instructions(void)
{
    unsigned a, b, c, d;
    bool has_sha = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
    return has_sha && __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_1) && (c & bit_SSSE3);
}

#define WITH_SHA __attribute__((target("sha,sse4.1,ssse3")))

/* The instructions want the eight words as ABEF and CDGH. */
WITH_SHA static inline void load_state(const uint32_t s[8], __m128i *abef, __m128i *cdgh)
{
    __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)s), 0xb1);
    __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(s + 4)), 0x1b);
    *abef = _mm_alignr_epi8(badc, hgfe, 8);
    *cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);
}

WITH_SHA static inline void store_state(uint32_t s[8], __m128i abef, __m128i cdgh)
{
    __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
    __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)s, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(s + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* The next four words of the schedule, from the sixteen before them; w[at] is the oldest four. */
WITH_SHA static inline __m128i next_words(const __m128i w[4], int at)
{
    __m128i last = w[(at + 3) % 4];
    __m128i seven_ago = _mm_alignr_epi8(last, w[(at + 2) % 4], 4);
    __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[at], w[(at + 1) % 4]), seven_ago);
    return _mm_sha256msg2_epu32(sum, last);
}

WITH_SHA void sha256_blocks_x86(uint32_t state[8], const unsigned char *at, size_t n)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i abef, cdgh, w[4];
    load_state(state, &abef, &cdgh);
    for (; n; n--, at += 64) {
        const __m128i abef_was = abef, cdgh_was = cdgh;
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            if (i < 4)
                w[i] =
                    _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(at + 16 * i)), big_endian);
            else
                w[i % 4] = next_words(w, i % 4);
            __m128i k = _mm_loadu_si128((const __m128i *)(sha256_round_words + 4 * i));
            __m128i words = _mm_add_epi32(w[i % 4], k);
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, words);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(words, 0x0e));
        }
        abef = _mm_add_epi32(abef, abef_was);
        cdgh = _mm_add_epi32(cdgh, cdgh_was);
    }
    store_state(state, abef, cdgh);
}

#else

bool sha256_has_instructions(void)
{
    return false;
}

void sha256_blocks_x86(uint32_t state[8], const unsigned char *at, size_t n)
{
    sha256_blocks_plain(state, at, n);
}

#endif
