/* Fuzzes the head parser of answers: whole against cut, and what must hold of what was accepted. */
#include "base/must.h"
#include "wire/wire.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEADERS 16
static const struct h1_limits limits = {256, 1024, HEADERS};

struct outcome {
    struct h1_header headers[HEADERS];
    struct h1_response rs;
    struct err e;
    enum io io;
};

/* A copy of exact size, so that overreads show. */
static void parse(struct outcome *o, const uint8_t *data, size_t size, size_t *scanned)
{
    char *copy = malloc(size ? size : 1);
    must(copy);
    if (size)
        memcpy(copy, data, size);
    o->rs.head.headers = o->headers;
    o->io = h1_parse_response(&o->rs, (struct slice){copy, size}, scanned, &limits, &o->e);
    if (o->io == IO_OK) {
        const struct h1_request *head = &o->rs.head;
        must(o->rs.status >= 100 && o->rs.status <= 999);
        must(head->head_len <= size && head->head_len <= limits.head_bytes);
        must(slice_ends((struct slice){copy, head->head_len}, SLICE("\r\n\r\n")));
        must(!(head->chunked && head->has_length));
        must(header_value_is_valid(o->rs.reason));
        for (uint32_t i = 0; i < head->n_headers; i++) {
            must(token_is_valid(head->headers[i].name));
            must(header_value_is_valid(head->headers[i].value));
        }
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct outcome whole, cut;
    size_t scanned = 0;
    parse(&whole, data, size, &scanned);
    for (size_t step = 1; step < 40; step += step < 3 ? 1 : 18) {
        size_t n = 0;
        scanned = 0;
        do {
            n = size - n > step ? n + step : size;
            parse(&cut, data, n, &scanned);
        } while (cut.io == IO_MORE && n < size);
        must(cut.io == whole.io);
        must(whole.io != IO_FAIL || cut.e.code == whole.e.code);
        must(whole.io != IO_OK ||
             (cut.rs.status == whole.rs.status && cut.rs.head.head_len == whole.rs.head.head_len &&
              cut.rs.head.content_length == whole.rs.head.content_length));
    }
    return 0;
}
