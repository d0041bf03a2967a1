/* Referential checks: the first line is a check, the rest a document; what is told has a pointer to
 * what is there. */
#include "schema/checks.h"

static void check(struct arena *a, const struct doc_check *c, struct slice text)
{
    struct json_doc doc;
    struct err e = {0};
    struct violations v = {.a = a};
    if (!json_parse(&doc, a, text, NULL, &e))
        return;
    bool fine = doc_check_holds(c, json_root(&doc), &v);
    must(fine == (v.n == 0));
    for (size_t i = 0; i < v.n; i++) {
        must(json_pointer_find(json_root(&doc), v.items[i].pointer));
        must(v.items[i].message.len && *v.items[i].code);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct err e = {0};
    struct slice text = {(const char *)data, size}, first = SLICE("");
    slice_cut(&text, '\n', &first);
    arena_init(&a, 256u << 20);
    const struct doc_check *c = doc_check_parse(&a, first, &e);
    must(c || e.code == ERR_MANIFEST);
    if (c)
        check(&a, c, text);
    arena_done(&a);
    return 0;
}
