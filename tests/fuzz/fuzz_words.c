/* Full-text words: folded once is folded for good; a query asks for nothing but such words. */
#include "base/utf8.h"
#include "base/words.h"
#include "base/words_query.h"

#include <string.h>

/* Words of valid text are valid text, not too long, without what means something to a database. */
static void check_words(struct slice text, bool is_valid)
{
    struct words w;
    struct slice word;
    words_init(&w, text);
    while (words_cut(&w, &word)) {
        must(word.len && word.len <= WORDS_BYTES_MAX);
        must(utf8_is_valid(word) || !is_valid);
        for (size_t i = 0; i < word.len; i++)
            must(word.ptr[i] & 0x80 || strchr("0123456789abcdefghijklmnopqrstuvwxyz", word.ptr[i]));
    }
}

static void check_twice(struct slice text)
{
    struct buf once, twice;
    buf_init(&once, 16 << 20);
    buf_init(&twice, 16 << 20);
    words_add(&once, text);
    words_add(&twice, buf_slice(&once));
    must(!once.full && slice_eq(buf_slice(&once), buf_slice(&twice)));
    buf_done(&once);
    buf_done(&twice);
}

static void check_vector(struct slice text)
{
    struct words_vector v = {0};
    struct buf b;
    buf_init(&b, 32 << 20);
    words_add_vector(&b, &v, text);
    words_add_vector(&b, &v, text);
    must(!b.full && v.position <= 16384);
    buf_done(&b);
}

static void check_query(struct slice text)
{
    struct arena a;
    struct words_query q;
    struct err e = {0};
    struct buf b;
    arena_init(&a, 1 << 20);
    buf_init(&b, 1 << 20);
    if (words_query_parse(&a, text, &q, &e)) {
        for (size_t i = 0; i < q.n_terms; i++)
            check_twice(q.terms[i].words);
        words_query_fts5(&q, &b);
        words_query_tsquery(&q, &b);
        must(!b.full && !memchr(b.data, '\\', b.len));
    } else {
        must(e.code == ERR_MALFORMED);
    }
    buf_done(&b);
    arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    check_words(text, utf8_is_valid(text));
    check_twice(text);
    check_vector(text);
    check_query(text);
    return 0;
}
