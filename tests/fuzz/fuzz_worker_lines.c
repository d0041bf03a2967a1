/* Fuzzes what programs of jobs say: cut in two ways it is the same; clean, bounded, without
 * secrets.
 */
#include "base/utf8.h"
#include "workers/workers_impl.h"

#include <string.h>

struct heard {
    struct talk talk;
    struct buf log;
};

static void hear(struct heard *h, const struct mask *m, struct slice text, size_t piece)
{
    talk_init(&h->talk, m);
    buf_init(&h->log, 8u << 20);
    while (text.len) {
        enum talk_stream from = *text.ptr & 1 ? TALK_OUT : TALK_ERR; /* each line has its own */
        ptrdiff_t end = slice_index(text, '\n');
        struct slice line = end < 0 ? text : slice_first(text, (size_t)end + 1);
        text = slice_skip(text, line.len);
        for (; line.len; line = slice_skip(line, piece))
            talk_add(&h->talk, from, slice_first(line, piece));
    }
    talk_end(&h->talk);
    while (talk_take_log(&h->talk, &h->log) && h->talk.log.len)
        ;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct slice secret = SLICE_INIT("s3cret-w0rd");
    struct heard a, b;
    struct arena arena;
    struct mask m;
    if (size < 1)
        return 0;
    struct slice text = {(const char *)data + 1, size - 1};
    arena_init(&arena, 1u << 16);
    mask_init(&m, &arena, &secret, 1);
    hear(&a, &m, text, 1u << 20);
    hear(&b, &m, text, data[0] % 40u + 1);
    must(a.talk.progress == b.talk.progress && a.talk.has_step == b.talk.has_step);
    must(slice_eq(buf_slice(&a.talk.message), buf_slice(&b.talk.message)));
    must(slice_eq(buf_slice(&a.talk.result), buf_slice(&b.talk.result)));
    must(a.talk.progress >= -1 && a.talk.progress <= 1000000);
    must(utf8_is_valid(buf_slice(&a.log)) && utf8_is_line(buf_slice(&a.talk.message)));
    must(!a.log.len || !memchr(a.log.data, 0, a.log.len));
    must(slice_search(buf_slice(&b.log), secret) < 0 ||
         slice_search(buf_slice(&a.log), secret) >= 0);
    talk_done(&a.talk);
    talk_done(&b.talk);
    buf_done(&a.log);
    buf_done(&b.log);
    arena_done(&arena);
    return 0;
}
