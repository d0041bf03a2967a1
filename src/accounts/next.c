/* Where people go on to: an address of this origin, whatever reads it. */
#include "accounts/accounts.h"

#include "base/utf8.h"
#include "wire/wire.h"

#define NEXT_MAX 2048

static bool has_bad_byte(struct slice s)
{
    return slice_has_control(s) || slice_index(s, '\\') >= 0;
}

/* "/a/../..//b" is "//b" to who resolves it and forgets where it came from. */
static bool has_dots(struct slice path)
{
    struct slice rest = path, piece;
    while (slice_cut(&rest, '/', &piece)) {
        if (slice_is(piece, ".") || slice_is(piece, ".."))
            return true;
    }
    return false;
}

static bool is_local(struct slice path)
{
    return path.len && path.ptr[0] == '/' && !slice_starts(path, SLICE("//")) &&
           !has_bad_byte(path) && slice_index(path, ' ') < 0 && !has_dots(path);
}

static struct slice path_of(struct slice address)
{
    size_t n = 0;
    while (n < address.len && address.ptr[n] != '?' && address.ptr[n] != '#')
        n++;
    return slice_first(address, n);
}

/* Escapes in the path are undone until there are none, as a careless proxy may. Spaces in it are
 * fine when they are written as escapes. */
static bool is_local_decoded(struct slice path, struct arena *a)
{
    char *room = arena_alloc(a, path.len + 1);
    struct err e;
    for (int i = 0; i < 4 && slice_index(path, '%') >= 0; i++) {
        struct slice decoded;
        if (!query_decode(path, room, &decoded, &e))
            return false;
        path = arena_dup(a, decoded);
        if (has_bad_byte(path) || slice_starts(path, SLICE("//")) || has_dots(path))
            return false;
    }
    return slice_index(path, '%') < 0;
}

struct slice accounts_next(struct slice raw, struct arena *a)
{
    struct slice path = path_of(raw), none = SLICE("");
    if (raw.len > NEXT_MAX || !utf8_is_valid(raw) || has_bad_byte(raw) ||
        slice_index(raw, ' ') >= 0 || !is_local(path) || !is_local_decoded(path, a))
        return none;
    struct buf b;
    buf_init(&b, 3 * NEXT_MAX);
    address_encode(&b, raw);
    struct slice next = b.full ? none : arena_dup(a, buf_slice(&b));
    buf_done(&b);
    return next;
}
