/* Fuzzes the request head parser: whole against cut against the portable scanner, all must agree.
 */
#include "../unit/wire/h1_portable.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEADERS 16
static const struct h1_limits limits = {256, 1024, HEADERS};

struct outcome {
    struct h1_header headers[HEADERS];
    struct h1_request rq;
    struct err e;
    enum io io;
    char *copy; /* what the slices point into, of exact size so that overreads show */
};

static void check_same(const struct outcome *a, const struct outcome *b)
{
    must(a->io == b->io);
    if (a->io == IO_FAIL)
        must(a->e.code == b->e.code && strcmp(a->e.msg, b->e.msg) == 0);
    if (a->io != IO_OK)
        return;
    must(a->rq.method == b->rq.method && a->rq.minor == b->rq.minor);
    must(slice_eq(a->rq.target, b->rq.target) && slice_eq(a->rq.path, b->rq.path));
    must(slice_eq(a->rq.query, b->rq.query) && slice_eq(a->rq.host, b->rq.host));
    must(a->rq.keep_alive == b->rq.keep_alive && a->rq.chunked == b->rq.chunked);
    must(a->rq.has_length == b->rq.has_length && a->rq.upgrade == b->rq.upgrade);
    must(a->rq.content_length == b->rq.content_length && a->rq.head_len == b->rq.head_len);
    must(a->rq.expect_continue == b->rq.expect_continue && a->rq.n_headers == b->rq.n_headers);
    must(memcmp(a->rq.at, b->rq.at, sizeof a->rq.at) == 0);
    for (uint32_t i = 0; i < a->rq.n_headers; i++) {
        must(slice_eq(a->headers[i].name, b->headers[i].name));
        must(slice_eq(a->headers[i].value, b->headers[i].value));
        must(a->headers[i].id == b->headers[i].id);
    }
}

/* What must hold of everything that was accepted. */
static void check_accepted(const struct h1_request *rq, struct slice in)
{
    must(rq->head_len <= in.len && rq->head_len <= limits.head_bytes);
    must(slice_ends(slice_first(in, rq->head_len), SLICE("\r\n\r\n")));
    must(!(rq->chunked && rq->has_length));
    must(rq->minor == 0 || rq->at[HEADER_HOST]);
    must(rq->host.len == 0 || host_is_valid(rq->host));
    must(rq->path.len > 0 && (rq->path.ptr[0] == '/' || slice_is(rq->path, "*")));
    for (uint32_t i = 0; i < rq->n_headers; i++) {
        must(token_is_valid(rq->headers[i].name));
        must(header_value_is_valid(rq->headers[i].value));
    }
}

static void parse(struct outcome *o, const uint8_t *data, size_t size, size_t *scanned,
                  bool portable)
{
    free(o->copy);
    o->copy = malloc(size ? size : 1);
    must(o->copy);
    if (size)
        memcpy(o->copy, data, size);
    struct slice in = {o->copy, size};
    o->rq.headers = o->headers;
    o->io = portable ? h1_parse_request_portable(&o->rq, in, scanned, &limits, &o->e)
                     : h1_parse_request(&o->rq, in, scanned, &limits, &o->e);
}

static void parse_cut(struct outcome *o, const uint8_t *data, size_t size, size_t step)
{
    size_t scanned = 0, n = 0;
    do {
        n = size - n > step ? n + step : size;
        parse(o, data, n, &scanned, false);
    } while (o->io == IO_MORE && n < size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct outcome whole, other;
    size_t scanned = 0;
    memset(&whole.e, 0, sizeof whole.e);
    parse(&whole, data, size, &scanned, false);
    if (whole.io == IO_OK)
        check_accepted(&whole.rq, (struct slice){whole.copy, size});

    memset(&other.e, 0, sizeof other.e);
    scanned = 0;
    parse(&other, data, size, &scanned, true);
    check_same(&whole, &other);
    for (size_t step = 1; step < 40; step += step < 3 ? 1 : 18) {
        memset(&other.e, 0, sizeof other.e);
        parse_cut(&other, data, size, step);
        check_same(&whole, &other);
    }
    free(whole.copy);
    free(other.copy);
    whole.copy = other.copy = NULL;
    return 0;
}
