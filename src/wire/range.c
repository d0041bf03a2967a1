/* Range: which bytes of a thing of known size are asked for. */
#include "wire/wire.h"

enum spec { SPEC_BAD, SPEC_OUTSIDE, SPEC_INSIDE };

/* "first-", "first-last" or "-suffix" against a size. Numbers beyond 64 bits mean "the end". */
static enum spec read_spec(struct slice s, uint64_t size, struct byte_range *ret)
{
    struct slice first_text, last_text;
    uint64_t first, last;
    ptrdiff_t dash = slice_index(s, '-');
    if (dash < 0)
        return SPEC_BAD;
    first_text = slice_first(s, (size_t)dash);
    last_text = slice_skip(s, (size_t)dash + 1);
    for (size_t i = 0; i < s.len; i++) {
        if (i != (size_t)dash && (s.ptr[i] < '0' || s.ptr[i] > '9'))
            return SPEC_BAD;
    }
    if (first_text.len == 0 && last_text.len == 0)
        return SPEC_BAD;
    if (last_text.len == 0 || !slice_to_u64(last_text, &last))
        last = UINT64_MAX;
    if (first_text.len == 0) {
        uint64_t n = last < size ? last : size;
        *ret = (struct byte_range){size - n, n};
        return n ? SPEC_INSIDE : SPEC_OUTSIDE;
    }
    if (!slice_to_u64(first_text, &first))
        first = UINT64_MAX;
    if (last < first)
        return SPEC_BAD;
    if (first >= size)
        return SPEC_OUTSIDE;
    *ret = (struct byte_range){first, (last < size ? last + 1 : size) - first};
    return SPEC_INSIDE;
}

static bool touches(struct byte_range a, struct byte_range b)
{
    return a.first <= b.first + b.len && b.first <= a.first + a.len;
}

/* Adds r, swallowing every range that it touches; the earliest of them keeps the place. One pass is
 * enough: what is there does not touch each other. False when there is no room. */
static bool merge(struct byte_range to[RANGES_MAX], uint32_t *n, struct byte_range r)
{
    uint32_t place = *n;
    for (uint32_t i = 0; i < *n;) {
        if (!touches(to[i], r)) {
            i++;
            continue;
        }
        uint64_t end = to[i].first + to[i].len, r_end = r.first + r.len;
        r.first = r.first < to[i].first ? r.first : to[i].first;
        r.len = (end > r_end ? end : r_end) - r.first;
        place = i < place ? i : place;
        for (uint32_t j = i; j + 1 < *n; j++)
            to[j] = to[j + 1];
        *n -= 1;
    }
    if (*n == RANGES_MAX)
        return false;
    for (uint32_t j = (*n)++; j > place; j--)
        to[j] = to[j - 1];
    to[place] = r;
    return true;
}

enum range_kind range_parse(struct slice value, uint64_t size, struct byte_range to[RANGES_MAX],
                            uint32_t *ret_n)
{
    struct slice spec;
    struct byte_range r;
    bool outside = false, full = false;
    *ret_n = 0;
    if (!slice_starts_nocase(value, SLICE("bytes=")))
        return RANGE_ALL;
    value = slice_skip(value, 6);
    while (list_next(&value, &spec)) {
        switch (read_spec(spec, size, &r)) {
        case SPEC_BAD:
            return RANGE_ALL;
        case SPEC_OUTSIDE:
            outside = true;
            break;
        case SPEC_INSIDE:
            full |= !merge(to, ret_n, r);
        }
    }
    if (full)
        return RANGE_ALL;
    if (*ret_n > 0)
        return RANGE_SOME;
    return outside ? RANGE_NONE : RANGE_ALL;
}
