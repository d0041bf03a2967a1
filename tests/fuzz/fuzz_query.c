/* Filters: what is read prints to one form that reads back as the same; bound, it means the same.
 */
#include "query/query.h"

#include <stdlib.h>

static const char doc[] =
    "{\"a\":1,\"b\":\"x\",\"c\":[1,\"x\"],\"d\":{\"e\":null},\"f\":true,\"owner\":\"u\"}";
static const char user[] = "{\"id\":\"u\",\"roles\":[\"x\"]}";

static const struct json *parsed(struct arena *a, const char *text)
{
    struct json_doc d;
    struct err e;
    must(json_parse(&d, a, slice_from(text), NULL, &e));
    return json_root(&d);
}

static void round_trip(struct arena *a, const struct query *q)
{
    struct buf once, twice;
    struct err e = {0};
    buf_init(&once, 1 << 20);
    buf_init(&twice, 1 << 20);
    query_print(q, &once);
    must(!once.full);
    /* Odd names may need more bytes in the one form than a filter may have. */
    if (once.len <= QUERY_BYTES_MAX) {
        struct query *again = query_parse(a, buf_slice(&once), &e);
        must(again);
        query_print(again, &twice);
        must(slice_eq(buf_slice(&once), buf_slice(&twice)));
    }
    buf_done(&once);
    buf_done(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct err e = {0};
    arena_init(&a, 64 << 20);
    const struct query *q = query_parse(&a, (struct slice){(const char *)data, size}, &e);
    must(q || e.code == ERR_MALFORMED);
    if (q) {
        const struct query_context c = {.user = parsed(&a, user)};
        const struct json *d = parsed(&a, doc);
        round_trip(&a, q);
        must(query_matches(q, d, &c) == query_matches(query_bind(&a, q, &c), d, NULL));
    }
    arena_done(&a);
    return 0;
}
