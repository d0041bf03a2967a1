/* multipart/byteranges: part heads and pieces of the file in turn, at most what there is room for.
 */
#include "web/parts_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define PIECE_MAX (64u << 10)

struct parts {
    struct source source;
    struct parts_from from;
    struct h1_judged judged;
    char boundary[ID_LEN + 1];
    uint32_t at;   /* the part under way */
    uint64_t done; /* bytes of it already given */
    bool in_part, is_over;
};

static void add_head(struct parts *p, struct buf *to)
{
    const struct byte_range *r = &p->judged.ranges[p->at];
    buf_printf(to, "\r\n--%s\r\nContent-Type: %s\r\nContent-Range: bytes %llu-%llu/%llu\r\n\r\n",
               p->boundary, p->from.type, (unsigned long long)r->first,
               (unsigned long long)(r->first + r->len - 1), (unsigned long long)p->from.size);
    p->in_part = true;
    p->done = 0;
}

/* False when the file became shorter: what was promised cannot be sent any more. */
static bool add_piece(struct parts *p, struct buf *to, size_t room)
{
    const struct byte_range *r = &p->judged.ranges[p->at];
    uint64_t left = r->len - p->done;
    size_t n = left < room ? (size_t)left : room;
    if (p->from.body) {
        buf_add(to, (struct slice){p->from.body->data + r->first + p->done, n});
    } else {
        n = n < PIECE_MAX ? n : PIECE_MAX;
        char *space = buf_reserve(to, n);
        ssize_t got = space ? pread(p->from.fd, space, n, (off_t)(r->first + p->done)) : 0;
        if (got <= 0)
            return got < 0 && errno == EINTR;
        buf_grew(to, (size_t)got);
        n = (size_t)got;
    }
    p->done += n;
    if (p->done == r->len) {
        p->in_part = false;
        p->at++;
    }
    return true;
}

/* A head is at most this long; with less room it waits for the next pull. */
#define PART_HEAD_MAX 512

static enum io on_pull(struct source *s, struct buf *to, size_t room)
{
    struct parts *p = container_of(s, struct parts, source);
    size_t was = to->len;
    while (!p->is_over && to->len - was + PART_HEAD_MAX < room) {
        if (p->at == p->judged.n_ranges) {
            buf_printf(to, "\r\n--%s--\r\n", p->boundary);
            p->is_over = true;
        } else if (!p->in_part) {
            add_head(p, to);
        } else if (!add_piece(p, to, room - (to->len - was))) {
            return IO_FAIL;
        }
    }
    return p->is_over ? IO_EOF : IO_OK;
}

static void on_close(struct source *s)
{
    struct parts *p = container_of(s, struct parts, source);
    shared_unref(p->from.body);
    if (!p->from.body)
        close(p->from.fd);
    free(p);
}

struct source *parts_new(const struct parts_from *from, const struct h1_judged *judged)
{
    struct parts *p = mem_new(struct parts);
    p->source.pull = on_pull;
    p->source.close = on_close;
    p->from = *from;
    p->judged = *judged;
    if (from->body)
        shared_ref(from->body);
    random_id(p->boundary);
    return &p->source;
}

const char *parts_type(struct source *s, struct arena *a)
{
    struct parts *p = container_of(s, struct parts, source);
    return arena_printf(a, "multipart/byteranges; boundary=%s", p->boundary).ptr;
}
