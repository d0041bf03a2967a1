/* Brotli and gzip of whole texts. */
#include "web/compress_impl.h"
#include "base/mem.h"

#include <brotli/encode.h>
#include <stdlib.h>
#define ZLIB_CONST
#include <zlib.h>

#define BEST_MAX                                                                    \
    (96u << 10) /* brotli's last two levels take 20 times as long: small texts only \
                 */
#define MIDDLE_MAX (2u << 20)

/* Gives away what was kept of `room`. */
static struct shared *keep(char *room, size_t len, size_t plain_len)
{
    if (len == 0 || len > plain_len / 10 * 9) {
        free(room);
        return NULL;
    }
    return shared_take(mem_realloc(room, len), len);
}

static int window_for(size_t n)
{
    int bits = 16;
    while (bits < BROTLI_DEFAULT_WINDOW && ((size_t)1 << bits) < n)
        bits++;
    return bits;
}

struct shared *pack_brotli(struct slice plain)
{
    size_t len = BrotliEncoderMaxCompressedSize(plain.len);
    char *room = mem_alloc(len + 1);
    int level = plain.len <= BEST_MAX ? 11 : plain.len <= MIDDLE_MAX ? 9 : 5;
    if (!BrotliEncoderCompress(level, window_for(plain.len), BROTLI_MODE_TEXT, plain.len,
                               (const uint8_t *)plain.ptr, &len, (uint8_t *)room))
        len = 0;
    return keep(room, len, plain.len);
}

struct shared *pack_gzip(struct slice plain)
{
    z_stream z = {0};
    if (deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return NULL;
    size_t max = deflateBound(&z, plain.len);
    char *room = mem_alloc(max + 1);
    z.next_in = (const Bytef *)plain.ptr;
    z.avail_in = (uInt)plain.len;
    z.next_out = (Bytef *)room;
    z.avail_out = (uInt)max;
    size_t len = deflate(&z, Z_FINISH) == Z_STREAM_END ? z.total_out : 0;
    deflateEnd(&z);
    return keep(room, len, plain.len);
}
