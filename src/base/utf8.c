/* The one check of UTF-8: no overlong forms, no surrogates, nothing beyond U+10FFFF. And the one of
 * control characters. */
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

bool utf8_is_control(struct slice s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    return char_is_control(s.ptr[0]) || (s.len > 1 && p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0);
}

bool utf8_is_unseen(struct slice s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    if (s.len < 3 || p[0] != 0xe2)
        return utf8_is_control(s);
    return (p[1] == 0x80 && p[2] >= 0xa8 && p[2] <= 0xae) ||
           (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9);
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

bool utf8_is_line(struct slice s)
{
    while (s.len) {
        size_t n = utf8_length(s);
        if (n == 0 || utf8_is_control(s))
            return false;
        s = slice_skip(s, n);
    }
    return true;
}
