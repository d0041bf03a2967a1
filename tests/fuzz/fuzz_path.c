/* Fuzzes paths and queries: what comes out of path_normalise is safe to look up, and encoding it
 * leads back to it. */
#include "wire/wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_segments(struct slice path)
{
    struct slice segment, rest = slice_skip(path, 1);
    while (rest.len > 0) {
        slice_cut(&rest, '/', &segment);
        must(segment.len > 0 && !slice_is(segment, ".") && !slice_is(segment, ".."));
    }
}

static void check_normal(struct slice path)
{
    must(path.len > 0 && path.ptr[0] == '/');
    must(slice_index(path, 0) < 0 && slice_index(path, '\\') < 0);
    must(slice_search(path, SLICE("//")) < 0 && slice_search(path, SLICE("/../")) < 0);
    for (size_t i = 0; i < path.len; i++)
        must((unsigned char)path.ptr[i] >= 0x20 && path.ptr[i] != 0x7f);
    must(utf8_is_valid(path));
    check_segments(path);
}

/* Once more through encoder and decoder: nothing changes. */
static void check_idempotent(struct slice path)
{
    struct buf encoded;
    struct slice again;
    buf_init(&encoded, 1 << 22);
    path_encode(&encoded, path);
    char *to = malloc(encoded.len);
    must(to && path_normalise(buf_slice(&encoded), to, &again, NULL));
    must(slice_eq(again, path));
    free(to);
    buf_done(&encoded);
}

static void check_query(struct slice query, char *to)
{
    struct slice name, value, decoded;
    while (query_next(&query, &name, &value)) {
        if (query_decode(value, to, &decoded, NULL))
            must(decoded.len <= value.len && utf8_is_valid(decoded));
    }
}

/* However lax the reader: a path without "..", doubled slashes or capitals, never longer. */
static void check_lax(struct slice path)
{
    struct arena a;
    arena_init(&a, 16u << 20);
    for (unsigned how = 0; how <= (PATH_PARAMS | PATH_DECODE); how++) {
        struct slice lax = path_lax(path, how, &a), again = path_lax(lax, 0, &a);
        must(lax.len > 0 && lax.ptr[0] == '/' && lax.len <= path.len + 1);
        must(slice_search(lax, SLICE("//")) < 0 && slice_eq(lax, again));
        check_segments(lax);
        for (size_t i = 0; i < lax.len; i++)
            must(!(lax.ptr[i] >= 'A' && lax.ptr[i] <= 'Z'));
    }
    arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice raw = {(const char *)data, size}, path;
    struct err e = {0};
    char *to = malloc(size ? size : 1);
    must(to);
    if (path_normalise(raw, to, &path, &e)) {
        check_normal(path);
        check_idempotent(path);
        check_lax(path);
    } else {
        must(e.code == ERR_MALFORMED);
    }
    check_query(raw, to);
    free(to);
    return 0;
}
