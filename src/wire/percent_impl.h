/* One %xx escape, for paths and queries. */
#pragma once
#include "wire/scan_impl.h"

static inline unsigned percent_digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

/* The byte that the escape at s.ptr[i] means; false when it is not '%' and two hex digits. */
static inline bool percent_decode(struct slice s, size_t i, char *ret)
{
    if (s.len - i < 3 || !scan_is(s.ptr[i + 1], CH_HEX) || !scan_is(s.ptr[i + 2], CH_HEX))
        return false;
    *ret = (char)(percent_digit(s.ptr[i + 1]) << 4 | percent_digit(s.ptr[i + 2]));
    return true;
}
