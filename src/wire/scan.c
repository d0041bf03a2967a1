/* The table of what each byte may be part of. */
#include "wire/scan_impl.h"

#define ALNUM_FLAGS  (CH_TOKEN | CH_TARGET | CH_VALUE | CH_HOST | CH_PATH | CH_UNRESERVED)
#define VISIBLE      (CH_TARGET | CH_VALUE | CH_PATH)
#define TOKEN_PUNCT  (CH_TOKEN | VISIBLE)
#define ROW(a, b, f) [(a)...(b)] = (f)

const uint8_t scan_class[256] = {
    ['\t'] = CH_VALUE,
    [' '] = CH_VALUE,
    ['!'] = TOKEN_PUNCT,
    ['"'] = VISIBLE,
    ['#'] = CH_TOKEN | CH_VALUE | CH_PATH,
    ['$'] = TOKEN_PUNCT,
    ['%'] = CH_TOKEN | CH_TARGET | CH_VALUE,
    ['&'] = TOKEN_PUNCT,
    ['\''] = TOKEN_PUNCT,
    ['('] = VISIBLE,
    [')'] = VISIBLE,
    ['*'] = TOKEN_PUNCT,
    ['+'] = TOKEN_PUNCT,
    [','] = VISIBLE,
    ['-'] = ALNUM_FLAGS,
    ['.'] = CH_TOKEN | CH_TARGET | CH_VALUE | CH_UNRESERVED,
    ['/'] = CH_TARGET | CH_VALUE,
    ROW('0', '9', ALNUM_FLAGS | CH_HEX | CH_DIGIT),
    ROW(':', '@', VISIBLE),
    ROW('A', 'F', ALNUM_FLAGS | CH_HEX),
    ROW('G', 'Z', ALNUM_FLAGS),
    ['['] = VISIBLE,
    ['\\'] = CH_TARGET | CH_VALUE,
    [']'] = VISIBLE,
    ['^'] = TOKEN_PUNCT,
    ['_'] = ALNUM_FLAGS,
    ['`'] = TOKEN_PUNCT,
    ROW('a', 'f', ALNUM_FLAGS | CH_HEX),
    ROW('g', 'z', ALNUM_FLAGS),
    ['{'] = VISIBLE,
    ['|'] = TOKEN_PUNCT,
    ['}'] = VISIBLE,
    ['~'] = TOKEN_PUNCT | CH_UNRESERVED,
    ROW(0x80, 0xff, CH_VALUE),
};
