/* From a header's name to its id: one table lookup, one comparison. */
#pragma once
#include "wire/wire.h"

#include <string.h>

/* The multipliers were searched for so that no two names share a slot; a new name that collides
 * is a compiler warning here, and test_headers finds every row that is missing. */
#define HEADER_KEY(first, len, last_but_one) \
    (((len)*2u + ((first)&31u) * 35u + ((last_but_one)&31u) * 29u) & 127u)

#define R(first, len, last_but_one, id) [HEADER_KEY(first, len, last_but_one)] = HEADER_##id
static const uint8_t header_by_key[128] = {
    R('h', 4, 's', HOST),
    R('c', 10, 'o', CONNECTION),
    R('c', 14, 't', CONTENT_LENGTH),
    R('t', 17, 'n', TRANSFER_ENCODING),
    R('e', 6, 'c', EXPECT),
    R('u', 7, 'd', UPGRADE),
    R('t', 2, 't', TE),
    R('t', 7, 'e', TRAILER),
    R('k', 10, 'v', KEEP_ALIVE),
    R('p', 16, 'o', PROXY_CONNECTION),
    R('a', 6, 'p', ACCEPT),
    R('a', 15, 'n', ACCEPT_ENCODING),
    R('a', 15, 'g', ACCEPT_LANGUAGE),
    R('a', 13, 'o', AUTHORIZATION),
    R('c', 6, 'i', COOKIE),
    R('c', 12, 'p', CONTENT_TYPE),
    R('c', 16, 'n', CONTENT_ENCODING),
    R('c', 13, 'g', CONTENT_RANGE),
    R('i', 8, 'c', IF_MATCH),
    R('i', 13, 'c', IF_NONE_MATCH),
    R('i', 17, 'c', IF_MODIFIED_SINCE),
    R('i', 19, 'c', IF_UNMODIFIED_SINCE),
    R('i', 8, 'g', IF_RANGE),
    R('r', 5, 'g', RANGE),
    R('o', 6, 'i', ORIGIN),
    R('r', 7, 'e', REFERER),
    R('u', 10, 'n', USER_AGENT),
    R('l', 13, 'i', LAST_EVENT_ID),
    R('i', 15, 'e', IDEMPOTENCY_KEY),
    R('s', 14, 't', SEC_FETCH_SITE),
    R('s', 14, 'd', SEC_FETCH_MODE),
    R('s', 17, 'e', SEC_WEBSOCKET_KEY),
    R('s', 21, 'o', SEC_WEBSOCKET_VERSION),
    R('s', 22, 'o', SEC_WEBSOCKET_PROTOCOL),
    R('a', 29, 'o', CORS_METHOD),
    R('a', 30, 'r', CORS_HEADERS),
    R('f', 9, 'e', FORWARDED),
    R('x', 15, 'o', X_FORWARDED_FOR),
    R('x', 16, 's', X_FORWARDED_HOST),
    R('x', 17, 't', X_FORWARDED_PROTO),
    R('x', 18, 'i', X_FORWARDED_PREFIX),
    R('x', 9, 'i', X_REAL_IP),
    R('x', 12, 'i', X_REQUEST_ID),
};
#undef R

extern const struct slice header_names[HEADER_COUNT];

static inline uint64_t header_load(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v | 0x2020202020202020u;
}

/* `name` is a token of n bytes, `lower` a known name: for those, setting bit 5 is lowering. */
static inline bool header_same(const char *name, const char *lower, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        if (header_load(name + i) != header_load(lower + i))
            return false;
    }
    if (i > 0)
        return i == n || header_load(name + n - 8) == header_load(lower + n - 8);
    for (; i < n; i++) {
        if ((name[i] | 0x20) != lower[i])
            return false;
    }
    return true;
}

static inline enum header_id header_lookup(const char *name, size_t n)
{
    if (n < 2)
        return HEADER_OTHER;
    enum header_id id =
        header_by_key[HEADER_KEY((unsigned char)name[0], (unsigned)n, (unsigned char)name[n - 2])];
    if (header_names[id].len != n || !header_same(name, header_names[id].ptr, n))
        return HEADER_OTHER;
    return id;
}
