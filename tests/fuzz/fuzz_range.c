/* Fuzzes Range and the other list headers. The first 8 bytes are the size of the thing. */
#include "wire/wire.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_ranges(struct slice value, uint64_t size)
{
    struct byte_range r[RANGES_MAX];
    uint32_t n = 0;
    enum range_kind kind = range_parse(value, size, r, &n);
    if (kind != RANGE_SOME)
        return;
    must(n >= 1 && n <= RANGES_MAX);
    for (uint32_t i = 0; i < n; i++) {
        must(r[i].len > 0 && r[i].first < size && r[i].len <= size - r[i].first);
        for (uint32_t j = 0; j < i; j++) {
            /* They neither overlap nor touch. */
            must(r[i].first + r[i].len < r[j].first || r[j].first + r[j].len < r[i].first);
        }
    }
}

static void check_hops(struct slice value, enum header_id id)
{
    struct h1_header headers[2] = {{.value = value, .id = id}, {.value = value, .id = id}};
    struct h1_request rq = {.headers = headers, .n_headers = 2};
    struct hop_walk w;
    struct slice address;
    hop_walk_init(&w, &rq, id);
    for (size_t n = 0; hop_next(&w, &address); n++) {
        must(address.len > 0 && address.len < 8192);
        must(n <= 2 * value.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t bytes;
    if (size < sizeof bytes)
        return 0;
    memcpy(&bytes, data, sizeof bytes);
    struct slice value = {(const char *)data + sizeof bytes, size - sizeof bytes}, rest = value;
    check_ranges(value, bytes);
    check_ranges(value, bytes & 0xff);
    if (slice_index(value, '\n') < 0 && slice_index(value, '\r') < 0) {
        check_hops(value, HEADER_FORWARDED);
        check_hops(value, HEADER_X_FORWARDED_FOR);
    }
    if (etag_match_strong(value, SLICE("\"x\"")))
        must(etag_match_weak(value, SLICE("\"x\"")));
    struct slice name;
    uint16_t port;
    if (host_is_valid(value)) {
        host_split(value, &name, &port);
        must(name.len > 0 && host_is_valid(name));
    }
    must(accept_quality(value, SLICE("text/html")) <= 1000);
    must(coding_choose(value, CODING_BIT(CODING_GZIP)) != CODING_BR);
    (void)accept_prefers_html(value);
    (void)cookie_find(value, SLICE("a"));
    while (list_next(&rest, &name))
        must(name.len > 0);
    return 0;
}
