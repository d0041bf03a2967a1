/* Fuzzes the chunked decoder: whole against byte by byte; and what it accepts, encoded again,
 * decodes to the same bytes. */
#include "wire/wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    struct buf body;
    size_t consumed;
    enum io io;
    struct err e;
};

static void decode(struct outcome *o, struct slice input, size_t step)
{
    struct chunked c;
    struct slice piece;
    chunked_init(&c);
    memset(o, 0, sizeof *o);
    buf_init(&o->body, 1 << 22);
    o->io = IO_MORE;
    for (size_t n = 0; o->io == IO_MORE && n < input.len; n += step) {
        struct slice in = slice_first(slice_skip(input, n), step);
        while ((o->io = chunked_next(&c, &in, &piece, &o->e)) == IO_OK) {
            must(piece.len > 0);
            buf_add(&o->body, piece);
        }
        must(o->io != IO_MORE || in.len == 0);
        o->consumed = (size_t)(in.ptr - input.ptr);
    }
}

static void check_round_trip(const struct outcome *whole)
{
    struct outcome again;
    struct buf encoded;
    char head[CHUNK_HEAD_MAX];
    struct slice body = buf_slice(&whole->body);
    buf_init(&encoded, 1 << 22);
    if (body.len > 0) {
        buf_add(&encoded, (struct slice){head, chunk_head(head, body.len)});
        buf_add(&encoded, body);
        buf_add(&encoded, CHUNK_TAIL);
    }
    buf_add(&encoded, CHUNK_END);
    decode(&again, buf_slice(&encoded), 7);
    must(again.io == IO_EOF && again.consumed == encoded.len);
    must(slice_eq(buf_slice(&again.body), body));
    buf_done(&again.body);
    buf_done(&encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole, cut;
    struct slice input = {(const char *)data, size};
    decode(&whole, input, size ? size : 1);
    decode(&cut, input, 1);
    must(whole.io == cut.io && whole.e.code == cut.e.code);
    must(slice_eq(buf_slice(&whole.body), buf_slice(&cut.body)));
    if (whole.io == IO_EOF) {
        must(whole.consumed == cut.consumed);
        check_round_trip(&whole);
    }
    buf_done(&whole.body);
    buf_done(&cut.body);
    return 0;
}
