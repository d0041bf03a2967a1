/* The one check of UTF-8: no overlong forms, no surrogates, nothing beyond U+10FFFF. */
#include "base/utf8.h"

size_t utf8_length(struct slice s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    if (p[0] < 0x80)
        return 1;
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || s.len < n)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool beyond = (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f);
    return overlong || beyond ? 0 : n;
}

bool utf8_is_valid(struct slice s)
{
    while (s.len) {
        size_t n = utf8_length(s);
        if (n == 0)
            return false;
        s = slice_skip(s, n);
    }
    return true;
}
