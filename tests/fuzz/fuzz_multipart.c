/* Fuzzes forms: whole against cut in pieces; the first line of the input is the Content-Type. */
#include "wire/wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    struct buf told; /* the events, data run together */
    enum io io;
    struct err e;
    bool is_in_data;
};

static void tell(struct outcome *o, const struct multipart_event *ev)
{
    bool was = o->is_in_data;
    o->is_in_data = ev->kind == MULTIPART_DATA;
    if (ev->kind == MULTIPART_DATA) {
        must(ev->data.len > 0);
        buf_add_str(&o->told, was ? "" : "D");
        buf_add(&o->told, ev->data);
    } else if (ev->kind == MULTIPART_END) {
        buf_add_str(&o->told, "\nE\n");
    } else {
        const struct slice texts[] = {ev->part.name, ev->part.filename, ev->part.type};
        buf_add_str(&o->told, ev->part.is_file ? "F" : "P");
        for (size_t i = 0; i < 3; i++) {
            for (size_t k = 0; k < texts[i].len; k++)
                must(texts[i].ptr[k] == '\t' || (unsigned char)texts[i].ptr[k] >= 0x20);
            buf_add_char(&o->told, '|');
            buf_add(&o->told, texts[i]);
        }
    }
}

static void read_all(struct outcome *o, struct slice boundary, struct slice input, size_t step)
{
    struct multipart m;
    struct multipart_event ev;
    multipart_init(&m, boundary);
    memset(o, 0, sizeof *o);
    buf_init(&o->told, 4u << 20);
    o->io = IO_MORE;
    for (size_t n = 0; o->io != IO_FAIL && n < input.len; n += step) {
        /* in memory of its own, so that what is kept of it shows */
        struct slice piece = slice_first(slice_skip(input, n), step);
        char *copy = malloc(piece.len);
        memcpy(copy, piece.ptr, piece.len);
        struct slice in = {copy, piece.len};
        while ((o->io = multipart_next(&m, &in, &ev, &o->e)) == IO_OK)
            tell(o, &ev);
        must(o->io == IO_FAIL || in.len == 0);
        free(copy);
    }
    struct slice more = SLICE("x");
    if (o->io == IO_FAIL)
        must(multipart_next(&m, &more, &ev, &(struct err){0}) == IO_FAIL);
    multipart_done(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t steps[] = {1, 2, 3, 7, 64};
    struct slice input = {(const char *)data, size}, type, boundary;
    char room[MULTIPART_BOUNDARY_MAX];
    struct outcome whole, cut;
    struct err e;
    if (!slice_cut(&input, '\n', &type) || !multipart_boundary(type, room, &boundary, &e))
        return 0;
    read_all(&whole, boundary, input, input.len ? input.len : 1);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        read_all(&cut, boundary, input, steps[i]);
        must(cut.io == whole.io && slice_eq(buf_slice(&cut.told), buf_slice(&whole.told)));
        must(cut.io != IO_FAIL || cut.e.code == whole.e.code);
        buf_done(&cut.told);
    }
    buf_done(&whole.told);
    return 0;
}
