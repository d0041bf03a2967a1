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

static int digit_of(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '-'             ? 62
           : c == '_'             ? 63
                                  : -1;
}

bool base64_url_read(struct slice text, struct arena *a, struct slice *ret)
{
    char *to = arena_alloc(a, text.len);
    unsigned bits = 0;
    int n_bits = 0;
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_of(text.ptr[i]);
        if (digit < 0)
            return false;
        bits = (bits << 6 | (unsigned)digit) & 0xffff;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            to[n++] = (char)(bits >> n_bits);
        }
    }
    *ret = (struct slice){to, n};
    return n_bits < 6 && !(bits & ((1u << n_bits) - 1));
}
