/* JSON Schema: the first line is a schema, the rest a document; whatever they are, there is an end.
 */
#include "schema/schema.h"

static bool load(void *user, struct slice path, struct slice *ret, struct err *e)
{
    *ret = *(const struct slice *)user;
    return slice_is(path, "a.json") || err_set(e, ERR_NOT_FOUND, "there is no such file");
}

static void check(struct arena *a, const struct schema *s, struct slice text)
{
    struct json_doc doc;
    struct err e = {0};
    struct slice *names;
    size_t n;
    struct violations v = {.a = a};
    schema_properties(s, a, &names, &n);
    for (size_t i = 0; i < n && i < 20; i++)
        schema_has_path(s, (struct slice[]){names[i], SLICE("0"), names[n - 1 - i]}, 3);
    if (!json_parse(&doc, a, text, NULL, &e))
        return;
    bool fine = schema_check(s, json_root(&doc), &v);
    must(fine == (v.n == 0));
    for (size_t i = 0; i < v.n; i++)
        must(json_pointer_is_valid(v.items[i].pointer) && v.items[i].message.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct err e = {0};
    struct slice text = {(const char *)data, size}, schema = SLICE("");
    slice_cut(&text, '\n', &schema);
    const struct schema_loader loader = {load, &schema};
    arena_init(&a, 256 << 20);
    const struct schema *s = schema_compile(&a, SLICE("a.json"), &loader, &e);
    must(s || e.code == ERR_MANIFEST);
    if (s)
        check(&a, s, text);
    arena_done(&a);
    return 0;
}
