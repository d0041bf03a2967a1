/* What the conditions in a request's head make of the thing it asks for. */
#include "wire/wire.h"

#include "base/clock.h"

/* Over all lines of the header. */
static bool lists_etag(const struct h1_request *h1, enum header_id id, struct slice etag)
{
    uint32_t at = 0;
    for (struct slice value; h1_next(h1, id, &at, &value);) {
        bool weak = id == HEADER_IF_NONE_MATCH;
        if (weak ? etag_match_weak(value, etag) : etag_match_strong(value, etag))
            return true;
    }
    return false;
}

static bool is_newer(const struct h1_request *h1, enum header_id id, int64_t mtime_s)
{
    struct slice date = h1_get(h1, id);
    int64_t than = clock_parse_http_date(date.ptr, date.len);
    return than < 0 || mtime_s > than;
}

/* If-Match before If-Unmodified-Since, which counts only without it. */
static bool is_refused(const struct h1_request *h1, const struct h1_valid *v)
{
    if (h1->at[HEADER_IF_MATCH])
        return !lists_etag(h1, HEADER_IF_MATCH, v->etag);
    struct slice date = h1_get(h1, HEADER_IF_UNMODIFIED_SINCE);
    return date.ptr && clock_parse_http_date(date.ptr, date.len) >= 0 &&
           is_newer(h1, HEADER_IF_UNMODIFIED_SINCE, v->mtime_s);
}

static bool is_known(const struct h1_request *h1, const struct h1_valid *v)
{
    if (h1->at[HEADER_IF_NONE_MATCH])
        return lists_etag(h1, HEADER_IF_NONE_MATCH, v->etag);
    return h1->at[HEADER_IF_MODIFIED_SINCE] && v->mtime_s &&
           !is_newer(h1, HEADER_IF_MODIFIED_SINCE, v->mtime_s);
}

/* A range only makes sense for the bytes the client has the rest of. */
static bool is_range_wanted(const struct h1_request *h1, const struct h1_valid *v)
{
    struct slice known = h1_get(h1, HEADER_IF_RANGE);
    if (!known.ptr)
        return true;
    if (slice_starts(known, SLICE("\"")))
        return slice_eq(known, v->etag);
    int64_t date = clock_parse_http_date(known.ptr, known.len);
    return date >= 0 && date == v->mtime_s;
}

void h1_judge(enum http_method method, const struct h1_request *h1, const struct h1_valid *v,
              struct h1_judged *ret)
{
    ret->status = 200;
    ret->n_ranges = 0;
    if (is_refused(h1, v)) {
        ret->status = 412;
    } else if (is_known(h1, v)) {
        ret->status = 304;
    } else if (method == METHOD_GET && h1->at[HEADER_RANGE] && is_range_wanted(h1, v)) {
        switch (range_parse(h1_get(h1, HEADER_RANGE), v->size, ret->ranges, &ret->n_ranges)) {
        case RANGE_SOME:
            ret->status = 206;
            break;
        case RANGE_NONE:
            ret->status = 416;
            break;
        default:
            ret->n_ranges = 0;
        }
    }
}
