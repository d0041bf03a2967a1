/* For tests/e2e/test_words.py: says what base/words.h and words_query.h make of each text it reads.
 *
 * usage: words text|vector|fts5|tsquery; texts on standard input and answers on standard output
 * each end in NUL. A query that is refused gives an empty answer. */
#include "base/words.h"
#include "base/words_query.h"

#include <stdio.h>

#define TEXTS_MAX (256 << 20)

static void query(struct buf *to, struct slice text, bool is_fts5)
{
    struct arena a;
    struct words_query q;
    struct err e;
    arena_init(&a, 1 << 20);
    if (words_query_parse(&a, text, &q, &e))
        (is_fts5 ? words_query_fts5 : words_query_tsquery)(&q, to);
    arena_done(&a);
}

static void answer(struct buf *to, struct slice how, struct slice text)
{
    struct words_vector v = {0};
    if (slice_is(how, "text"))
        words_add(to, text);
    else if (slice_is(how, "vector"))
        words_add_vector(to, &v, text);
    else
        query(to, text, slice_is(how, "fts5"));
}

int main(int argc, char **argv)
{
    struct buf in, out;
    struct slice left, text;
    size_t n;
    char *room;
    buf_init(&in, TEXTS_MAX);
    buf_init(&out, TEXTS_MAX);
    do {
        room = buf_reserve(&in, 1 << 16);
        must(argc == 2 && room);
        n = fread(room, 1, 1 << 16, stdin);
        buf_grew(&in, n);
    } while (n);
    left = buf_slice(&in);
    while (slice_cut(&left, '\0', &text)) {
        answer(&out, slice_from(argv[1]), text);
        must(!out.full);
        (void)fwrite(out.data ? out.data : "", 1, out.len, stdout);
        (void)putchar('\0');
        buf_clear(&out);
    }
    buf_done(&in);
    buf_done(&out);
    return 0;
}
