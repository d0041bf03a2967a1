/* JSON: parser and validator agree, what was read can be written and read again as the same. */
#include "base/json.h"

#include <string.h>

static void write_doc(struct buf *to, const struct json_doc *doc, unsigned flags)
{
    struct json_writer w;
    json_writer_init(&w, to, flags);
    json_write_value(&w, json_root(doc));
    json_writer_done(&w);
    must(!to->full);
}

/* Numbers and pointers must take whatever the parser lets through. */
static void use(const struct json_doc *doc, struct slice text)
{
    for (uint32_t i = 0; i < doc->len; i++) {
        const struct json *v = &doc->nodes[i];
        int64_t n;
        uint64_t u;
        double d;
        bool exact;
        if (v->type != JSON_NUMBER)
            continue;
        must(json_num_cmp(v, v) == 0);
        if (json_i64(v, &n) || json_u64(v, &u))
            must(json_is_integer(v));
        (void)json_double(v, &d, &exact);
    }
    (void)json_pointer_find(json_root(doc), text);
    (void)json_pointer_find(json_root(doc), SLICE("/a/0/b"));
}

static void compare(const struct json_doc *x, const struct json_doc *y)
{
    must(x->len == y->len);
    for (uint32_t i = 0; i < x->len; i++) {
        const struct json *a = &x->nodes[i], *b = &y->nodes[i];
        must(a->type == b->type && a->len == b->len);
        if (a->type == JSON_STRING || a->type == JSON_NUMBER)
            must(memcmp(a->ptr, b->ptr, a->len) == 0);
    }
}

static void round_trip(const struct json_doc *doc, unsigned flags)
{
    struct arena a;
    struct buf b;
    struct json_doc again;
    struct json_limits limits = {.max_depth = 100};
    arena_init(&a, 1 << 26);
    buf_init(&b, 1 << 26);
    write_doc(&b, doc, flags);
    must(json_parse(&again, &a, buf_slice(&b), &limits, NULL));
    must(json_validate(buf_slice(&b), &limits, NULL));
    compare(doc, &again);
    buf_done(&b);
    arena_done(&a);
}

static void escape(struct slice text)
{
    struct buf b;
    buf_init(&b, 1 << 26);
    json_escape(&b, text, text.len & 1);
    must(!b.full && json_validate(buf_slice(&b), NULL, NULL));
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    struct json_limits limits = {.max_depth = 100};
    struct arena a;
    struct json_doc doc;
    struct err e = {0}, v = {0};
    arena_init(&a, 1 << 26);
    bool ok = json_parse(&doc, &a, text, &limits, &e);
    must(json_validate(text, &limits, &v) == ok);
    must(strcmp(e.msg, v.msg) == 0);
    if (ok) {
        use(&doc, text);
        round_trip(&doc, 0);
        round_trip(&doc, JSON_FOR_HTML);
    }
    escape(text);
    arena_done(&a);
    return 0;
}
