/* Borrowed bytes: a pointer and a length, never owned, never assumed to end in NUL. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
    const char *ptr;
    size_t len;
};

/* A slice of a string literal; usable in static initialisers with SLICE_INIT. */
#define SLICE(lit) ((struct slice)SLICE_INIT(lit))
#define SLICE_INIT(lit)         \
    {                           \
        "" lit, sizeof(lit) - 1 \
    }

/* For printf's %.*s. */
#define SLICE_ARGS(s) (int)(s).len, (s).ptr

/* The slice of a C string; NULL gives the empty slice. */
struct slice slice_from(const char *cstr);

bool slice_eq(struct slice a, struct slice b);
bool slice_is(struct slice a, const char *cstr);
bool slice_eq_nocase(struct slice a, struct slice b); /* ASCII only */
int slice_cmp(struct slice a, struct slice b);        /* by bytes, like memcmp, shorter first */
bool slice_starts(struct slice s, struct slice prefix);
bool slice_starts_nocase(struct slice s, struct slice prefix);
bool slice_ends(struct slice s, struct slice suffix);

/* Index of the first byte `c` or of `needle`; -1 when absent. */
ptrdiff_t slice_index(struct slice s, char c);
ptrdiff_t slice_rindex(struct slice s, char c);
ptrdiff_t slice_search(struct slice s, struct slice needle);

/* The bytes from `from` on; from beyond the end gives the empty slice. */
struct slice slice_skip(struct slice s, size_t from);
struct slice slice_first(struct slice s, size_t n);

/* Takes everything before the first `c` off the front of *s and drops the `c`.
 * Without a `c` it takes all. False when *s was already empty (nothing taken). */
bool slice_cut(struct slice *s, char c, struct slice *ret_head);

/* Of one byte: below the space, or DEL. */
static inline bool char_is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}
bool slice_has_control(struct slice s);

struct slice slice_trim(struct slice s); /* spaces, tabs, CR and LF off both ends */

/* Decimal digits only, no sign, no space, no overflow; false leaves *ret untouched. */
bool slice_to_u64(struct slice s, uint64_t *ret);
