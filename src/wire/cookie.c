/* One cookie by name, out of Cookie lines. */
#include "wire/wire.h"

struct slice cookie_find(struct slice line, struct slice name)
{
    struct slice pair;
    while (slice_cut(&line, ';', &pair)) {
        pair = slice_trim(pair);
        if (pair.len <= name.len || pair.ptr[name.len] != '=' || !slice_starts(pair, name))
            continue;
        struct slice value = slice_skip(pair, name.len + 1);
        if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
            value = slice_first(slice_skip(value, 1), value.len - 2);
        return value;
    }
    return (struct slice){0};
}

struct slice h1_cookie(const struct h1_request *rq, struct slice name)
{
    struct slice line;
    uint32_t at = 0;
    while (h1_next(rq, HEADER_COOKIE, &at, &line)) {
        struct slice value = cookie_find(line, name);
        if (value.ptr)
            return value;
    }
    return (struct slice){0};
}
