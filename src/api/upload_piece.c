/* Pieces of an upload's body: as large as what comes in a moment, and few large ones at once. */
#include "api/upload_impl.h"

#include "base/mem.h"
#include "base/must.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define QUICK_MS  20 /* a piece that was full so soon: the next may be larger */
#define SLOW_MS   200
#define STEP      4u
#define LARGE_MAX 64u /* of all uploads; who finds them taken goes on with small ones */

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
    p->is_last = p->is_halved = false;
    if (p->room != next_room || p->room == UPLOAD_PIECE_LEAST)
        piece_done(p);
}

static void open_piece(struct piece *p, size_t room)
{
    bool is_large = room > UPLOAD_PIECE_LEAST && take_large();
    p->room = is_large ? room : UPLOAD_PIECE_LEAST;
    p->data = is_large ? mem_alloc_pages(p->room) : mem_alloc(p->room);
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
    if (took_ms > SLOW_MS)
        return p->room / STEP > UPLOAD_PIECE_LEAST ? p->room / STEP : UPLOAD_PIECE_LEAST;
    if (took_ms < QUICK_MS)
        return p->room < UPLOAD_PIECE / STEP ? p->room * STEP : UPLOAD_PIECE;
    return p->room;
}

/* ---- the pieces of one body -------------------------------------------------------------------
 */

static unsigned done_with(const struct pieces *p)
{
    return p->written < p->hashed ? p->written : p->hashed;
}

static struct piece *at(struct pieces *p, unsigned n)
{
    return &p->ring[n % UPLOAD_RING];
}

struct piece *pieces_filling(struct pieces *p)
{
    struct piece *next = at(p, p->filled);
    unsigned under_way = p->filled - done_with(p);
    bool was_large = p->filled && at(p, p->filled - 1)->len == UPLOAD_PIECE;
    return !p->has_failed && under_way < (was_large ? UPLOAD_RING : 2) ? next : NULL;
}

void pieces_hand(struct pieces *p, bool is_last, bool is_halved)
{
    struct piece *piece = at(p, p->filled);
    piece->is_last = is_last;
    piece->is_halved = is_halved && p->filled && !is_last && piece->len == UPLOAD_PIECE;
    p->filled++;
}

/* One that is not halved waits until all before it are written and hashed. */
struct piece *pieces_to_write(struct pieces *p)
{
    struct piece *next = at(p, p->written);
    bool is_there = !p->has_failed && !p->is_writing && p->written != p->filled;
    return is_there && (next->is_halved || p->hashed == p->written) ? next : NULL;
}

struct piece *pieces_to_hash(struct pieces *p)
{
    struct piece *next = at(p, p->hashed);
    bool is_there = !p->has_failed && !p->is_hashing && p->hashed != p->filled;
    return is_there && next->is_halved ? next : NULL;
}

static void clear_done(struct pieces *p, unsigned from, size_t next_room)
{
    for (unsigned n = from; n != done_with(p); n++)
        piece_clear(at(p, n), next_room);
}

void pieces_wrote(struct pieces *p, size_t next_room)
{
    unsigned from = done_with(p);
    must(p->is_writing);
    p->is_writing = false;
    if (!at(p, p->written)->is_halved)
        p->hashed++;
    p->written++;
    clear_done(p, from, next_room);
}

void pieces_hashed(struct pieces *p, size_t next_room)
{
    unsigned from = done_with(p);
    must(p->is_hashing);
    p->is_hashing = false;
    p->hashed++;
    clear_done(p, from, next_room);
}

void pieces_fail(struct pieces *p)
{
    p->has_failed = true;
}

bool pieces_are_busy(const struct pieces *p)
{
    return p->is_writing || p->is_hashing;
}

bool pieces_are_through(const struct pieces *p)
{
    return p->filled == done_with(p);
}

void pieces_done(struct pieces *p)
{
    for (size_t i = 0; i < UPLOAD_RING; i++)
        piece_done(&p->ring[i]);
}
