/* If-None-Match and If-Match: is this etag in the list? Etags know no escapes, so that the list
 * is read here and not by list_next. */
#include "wire/wire.h"

bool etag_next(struct slice *list, struct slice *ret)
{
    *list = slice_trim(*list);
    while (slice_starts(*list, SLICE(",")))
        *list = slice_trim(slice_skip(*list, 1));
    size_t quote = slice_starts(*list, SLICE("W/")) ? 2 : 0;
    struct slice rest = slice_skip(*list, quote + 1);
    ptrdiff_t close = slice_index(rest, '"');
    if (list->len <= quote || list->ptr[quote] != '"' || close < 0)
        return false;
    size_t n = quote + 2 + (size_t)close;
    *ret = slice_first(*list, n);
    *list = slice_trim(slice_skip(*list, n));
    return list->len == 0 || list->ptr[0] == ',';
}

static struct slice without_weak(struct slice etag)
{
    return slice_starts(etag, SLICE("W/")) ? slice_skip(etag, 2) : etag;
}

bool etag_match_weak(struct slice list, struct slice etag)
{
    struct slice one;
    if (slice_is(list, "*"))
        return true;
    while (etag_next(&list, &one)) {
        if (slice_eq(without_weak(one), without_weak(etag)))
            return true;
    }
    return false;
}

bool etag_match_strong(struct slice list, struct slice etag)
{
    struct slice one;
    if (slice_is(list, "*"))
        return true;
    while (etag_next(&list, &one)) {
        if (slice_eq(one, etag) && !slice_starts(etag, SLICE("W/")))
            return true;
    }
    return false;
}
