/* Fuzzes what a Redis says, whole and in pieces, and its address. */
#include "db/ring_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = {(const char *)data, size};
    struct redis_value v;
    struct redis_address a;
    struct err e;
    if (redis_address_read(all, &a, &e))
        must(a.path[0] ? a.path[0] == '/' : a.host[0] && a.port[0]);
    for (ptrdiff_t n; (n = redis_value_read(all, &v)) > 0; all = slice_skip(all, (size_t)n)) {
        struct redis_value again;
        must((size_t)n <= all.len && v.n <= 3);
        must(redis_value_read(slice_first(all, (size_t)n), &again) == n && again.n == v.n);
        must(redis_value_read(slice_first(all, (size_t)n - 1), &again) == 0);
        for (unsigned i = 0; i < v.n; i++)
            must(v.words[i].ptr >= all.ptr &&
                 v.words[i].ptr + v.words[i].len <= all.ptr + (size_t)n);
    }
    return 0;
}
