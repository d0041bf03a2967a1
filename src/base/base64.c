/* Three bytes become four characters; what is left at the end two or three. */
#include "base/base64.h"

static const char *const alphabets[] = {
    [BASE64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    [BASE64_URL] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

void base64_add(struct buf *to, struct slice bytes, enum base64_kind kind)
{
    const unsigned char *in = (const unsigned char *)bytes.ptr;
    for (size_t left = bytes.len; left;) {
        size_t n = left < 3 ? left : 3;
        unsigned bits = (unsigned)in[0] << 16 | (n > 1 ? (unsigned)in[1] << 8 : 0) |
                        (n > 2 ? (unsigned)in[2] : 0);
        for (size_t i = 0; i <= n; i++)
            buf_add_char(to, alphabets[kind][bits >> (18 - 6 * i) & 63]);
        for (size_t i = n; i < 3 && kind == BASE64; i++)
            buf_add_char(to, '=');
        in += n;
        left -= n;
    }
}
