/* Is it UTF-8? By the table of well-formed sequences in the Unicode standard. */
#include "wire/wire.h"

/* Length of the valid sequence at p; 0 when there is none. */
static size_t sequence_len(const unsigned char *p, size_t n)
{
    unsigned char first = p[0], low = 0x80, high = 0xbf;
    if (first < 0x80)
        return 1;
    size_t len = first >= 0xc2 && first <= 0xdf ? 2 : (first & 0xf0) == 0xe0 ? 3 : 4;
    if (first < 0xc2 || first > 0xf4 || n < len)
        return 0;
    if (first == 0xe0)
        low = 0xa0; /* overlong */
    else if (first == 0xed)
        high = 0x9f; /* surrogates */
    else if (first == 0xf0)
        low = 0x90; /* overlong */
    else if (first == 0xf4)
        high = 0x8f; /* beyond U+10FFFF */
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return len;
}

bool utf8_is_valid(struct slice s)
{
    for (size_t i = 0; i < s.len;) {
        size_t n = sequence_len((const unsigned char *)s.ptr + i, s.len - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}
