/* Pieces of an upload's body: as large as what comes in a moment, and few large ones at once. */
#include "api/upload_impl.h"

#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define QUICK_MS  20 /* a piece that was full so soon: the next may be larger */
#define SLOW_MS   200
#define STEP      4u
#define LARGE_MAX 128u /* of all uploads; who finds them taken goes on with small ones */

static _Atomic unsigned n_large;

static bool take_large(void)
{
    bool fits = atomic_fetch_add(&n_large, 1) < LARGE_MAX;
    if (!fits)
        atomic_fetch_sub(&n_large, 1);
    return fits;
}

void piece_done(struct piece *p)
{
    if (p->room > UPLOAD_PIECE_LEAST)
        atomic_fetch_sub(&n_large, 1);
    free(p->data);
    *p = (struct piece){0};
}

void piece_clear(struct piece *p, size_t next_room)
{
    p->len = 0;
    if (p->room != next_room || p->room == UPLOAD_PIECE_LEAST)
        piece_done(p);
}

static void open_piece(struct piece *p, size_t room)
{
    p->room = room > UPLOAD_PIECE_LEAST && take_large() ? room : UPLOAD_PIECE_LEAST;
    p->data = mem_alloc(p->room);
}

size_t piece_add(struct piece *p, size_t room, struct slice bytes, int64_t now_ms)
{
    if (!p->data)
        open_piece(p, room);
    if (!p->len)
        p->since_ms = now_ms;
    bytes = slice_first(bytes, p->room - p->len);
    if (bytes.len)
        memcpy(p->data + p->len, bytes.ptr, bytes.len);
    p->len += bytes.len;
    if (bytes.len)
        p->last_ms = now_ms;
    return bytes.len;
}

bool piece_is_full(const struct piece *p)
{
    return p->data && p->len == p->room;
}

size_t piece_next_room(const struct piece *p)
{
    int64_t took_ms = p->last_ms - p->since_ms;
    if (took_ms > SLOW_MS && p->room > UPLOAD_PIECE_LEAST)
        return p->room / STEP;
    return took_ms < QUICK_MS && p->room < UPLOAD_PIECE ? p->room * STEP : p->room;
}
