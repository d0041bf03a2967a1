/* Cursors and lists of names as anybody may send them: nothing but their own is taken back. */
#include "docs/list_impl.h"

#include <string.h>

static struct doc_coll *coll(void)
{
    static struct docs docs = {.cursor_key = "sixteen bytes..."};
    static struct collection conf;
    static struct doc_coll c = {.conf = &conf, .docs = &docs, .name = SLICE_INIT("c")};
    return &c;
}

/* What is written is read back as it was, and nothing else than it. */
static void there_and_back(struct arena *a, const struct order *o, struct slice text)
{
    struct docs_query q = {.sort = SLICE("x")};
    struct place from = {.id = SLICE("0123456789abcdef")}, to;
    struct buf b;
    buf_init(&b, 1u << 20);
    for (size_t i = 0; i < o->n; i++)
        from.keys[i] = slice_first(slice_skip(text, i), KEY_MAX);
    cursor_add(&b, coll(), &q, o, &from);
    q.after = buf_slice(&b);
    must(cursor_read(&to, a, coll(), &q, o, NULL));
    for (size_t i = 0; i < o->n; i++)
        must(slice_eq(to.keys[i], from.keys[i]));
    must(slice_eq(to.id, from.id));
    b.data[text.len % b.len] ^= 1;
    must(!cursor_read(&to, a, coll(), &q, o, NULL));
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    struct arena a;
    struct order o;
    struct place place;
    struct path_list list;
    struct err e;
    if (size > 4096)
        return 0;
    arena_init(&a, 64u << 20);
    struct docs_query q = {.after = text, .sort = SLICE("x")};
    if (order_parse(&o, coll(), &a, text, false, &e)) {
        must(!cursor_read(&place, &a, coll(), &q, &o, &e));
        there_and_back(&a, &o, text);
    }
    if (paths_parse(coll(), &a, "fields", text, PATHS_MAX, false, &list, &e))
        must(list.n <= PATHS_MAX);
    arena_done(&a);
    return 0;
}
