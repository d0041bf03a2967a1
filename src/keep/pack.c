/* The packed file: gzip on the way to the disk and back, with the SHA-256 of what is on it.
 *
 * Memory is bounded both ways: so much of zlib's, and one line of what is unpacked. */
#include "keep/keep_impl.h"

#include "base/file.h"
#include "base/mem.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define ZLIB_CONST
#include <zlib.h>

#define PIECE      (64u << 10)
#define PLAIN      (256u << 10)
#define ROOM_BYTES (8u << 20) /* so often the disk is asked how full it is */
#define GZIP_BITS  (15 + 16)  /* zlib's way to say gzip and nothing else */

/* ---- packing --------------------------------------------------------------------------------- */

struct pack_out {
    int fd;
    uint64_t bytes, asked; /* written; when the disk was asked */
    z_stream z;
    struct sha256 sum;
    unsigned char piece[PIECE];
};

struct pack_out *pack_out_new(int fd)
{
    struct pack_out *p = mem_new(struct pack_out);
    p->fd = fd;
    sha256_init(&p->sum);
    must(deflateInit2(&p->z, 6, Z_DEFLATED, GZIP_BITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    return p;
}

static bool write_piece(struct pack_out *p, size_t n, struct err *e)
{
    struct slice bytes = {(const char *)p->piece, n};
    sha256_add(&p->sum, bytes);
    if (!fd_write_all(p->fd, bytes))
        return keep_failed(NULL, "writing the rows", e);
    p->bytes += n;
    if (p->bytes - p->asked < ROOM_BYTES)
        return true;
    p->asked = p->bytes;
    return keep_has_room(NULL, p->fd, ROOM_BYTES, e);
}

/* Until all that came in is taken, or (Z_FINISH) all of it is out. */
static bool pack(struct pack_out *p, int flush, struct err *e)
{
    int is;
    do {
        p->z.next_out = p->piece;
        p->z.avail_out = sizeof p->piece;
        is = deflate(&p->z, flush);
        must(is == Z_OK || is == Z_STREAM_END || is == Z_BUF_ERROR); /* ours: no input is wrong */
        size_t n = sizeof p->piece - p->z.avail_out;
        if (n && !write_piece(p, n, e))
            return false;
    } while (flush == Z_FINISH ? is != Z_STREAM_END : !p->z.avail_out);
    return true;
}

bool pack_out_add(struct pack_out *p, struct slice bytes, struct err *e)
{
    must(bytes.len <= UINT_MAX);
    p->z.next_in = (const Bytef *)bytes.ptr;
    p->z.avail_in = (uInt)bytes.len;
    return !bytes.len || pack(p, Z_NO_FLUSH, e);
}

bool pack_out_end(struct pack_out *p, uint64_t *ret_bytes, char hash[SHA256_HEX_LEN + 1],
                  struct err *e)
{
    if (!pack(p, Z_FINISH, e))
        return false;
    if (fsync(p->fd) != 0)
        return keep_failed(NULL, "flushing the rows to the disk", e);
    *ret_bytes = p->bytes;
    sha256_end_hex(&p->sum, hash);
    return true;
}

void pack_out_free(struct pack_out *p)
{
    if (!p)
        return;
    deflateEnd(&p->z);
    free(p);
}

/* ---- unpacking ------------------------------------------------------------------------------- */

struct pack_in {
    int fd;
    uint64_t at; /* read so far */
    bool is_over;
    z_stream z;
    struct sha256 sum;
    struct slice have; /* unpacked, and not given yet; in `plain` */
    struct buf line;   /* the begin of one that is longer than what was there */
    unsigned char piece[PIECE];
    char plain[PLAIN];
};

struct pack_in *pack_in_new(int fd)
{
    struct pack_in *p = mem_new(struct pack_in);
    p->fd = fd;
    sha256_init(&p->sum);
    buf_init(&p->line, KEEP_LINE_MAX);
    must(inflateInit2(&p->z, GZIP_BITS) == Z_OK);
    return p;
}

/* *ret false: the file ends here. */
static bool read_piece(struct pack_in *p, bool *ret, struct err *e)
{
    ssize_t n;
    do {
        n = pread(p->fd, p->piece, sizeof p->piece, (off_t)p->at);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return keep_failed(NULL, "reading the rows", e);
    sha256_add(&p->sum, (struct slice){(const char *)p->piece, (size_t)n});
    p->at += (uint64_t)n;
    p->z.next_in = p->piece;
    p->z.avail_in = (uInt)n;
    *ret = n > 0;
    return true;
}

/* Nothing may follow: what is not looked at could be anything. */
static bool end_of_file(struct pack_in *p, struct err *e)
{
    bool has_more = p->z.avail_in > 0;
    if (!has_more && !read_piece(p, &has_more, e))
        return false;
    p->is_over = true;
    return !has_more || err_set(e, ERR_DAMAGED, "More follows where the packed rows end.");
}

/* The next bytes into `have`; none: that was all. */
static bool unpack(struct pack_in *p, struct err *e)
{
    size_t n = 0;
    while (!n && !p->is_over) {
        bool has_more = true;
        if (!p->z.avail_in && !read_piece(p, &has_more, e))
            return false;
        if (!has_more)
            return err_set(e, ERR_DAMAGED, "The packed rows are cut off.");
        p->z.next_out = (Bytef *)p->plain;
        p->z.avail_out = sizeof p->plain;
        int is = inflate(&p->z, Z_NO_FLUSH);
        n = sizeof p->plain - p->z.avail_out;
        if (is == Z_STREAM_END && !end_of_file(p, e))
            return false;
        if (is != Z_STREAM_END && is != Z_OK && is != Z_BUF_ERROR)
            return err_set(e, ERR_DAMAGED, "The packed rows cannot be unpacked.");
    }
    p->have = (struct slice){p->plain, n};
    return true;
}

static bool add_to_line(struct pack_in *p, struct slice part, struct err *e)
{
    buf_add(&p->line, part);
    return !p->line.full || err_set(e, ERR_DAMAGED, "A line of the rows is too long.");
}

bool pack_in_line(struct pack_in *p, struct slice *ret, bool *ret_has, struct err *e)
{
    ptrdiff_t end;
    buf_clear(&p->line);
    while ((end = slice_index(p->have, '\n')) < 0) {
        if (!add_to_line(p, p->have, e) || !unpack(p, e))
            return false;
        if (!p->have.len) {
            *ret_has = false;
            return !p->line.len || err_set(e, ERR_DAMAGED, "The last line of the rows is cut off.");
        }
    }
    *ret = slice_first(p->have, (size_t)end);
    *ret_has = true;
    p->have = slice_skip(p->have, (size_t)end + 1);
    if (!p->line.len)
        return true;
    bool fine = add_to_line(p, *ret, e);
    *ret = buf_slice(&p->line);
    return fine;
}

void pack_in_hash(struct pack_in *p, uint64_t *ret_bytes, char hash[SHA256_HEX_LEN + 1])
{
    must(p->is_over);
    *ret_bytes = p->at;
    sha256_end_hex(&p->sum, hash);
}

void pack_in_free(struct pack_in *p)
{
    if (!p)
        return;
    inflateEnd(&p->z);
    buf_done(&p->line);
    free(p);
}
