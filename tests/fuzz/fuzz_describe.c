/* What is told of an API: whatever a schema holds, what is told of it is a schema again, and names
 * nothing that is hidden. The first line is the schema, the rest another file it may refer to. */
#include "describe/describe.h"

struct files {
    struct slice first, second, told;
};

static bool load(void *user, struct slice path, struct slice *ret, struct err *e)
{
    const struct files *f = user;
    *ret = slice_is(path, "a.json") ? f->first : slice_is(path, "b.json") ? f->second : f->told;
    return slice_is(path, "a.json") || slice_is(path, "b.json") || slice_is(path, "told.json") ||
           err_set(e, ERR_NOT_FOUND, "there is no such file");
}

static const char yaml[] =
    "app: a\ncollections:\n  as: { schema: a.json, owner: true, hidden: [a, b.c], search: [d] }\n"
    "  others: { schema: a.json, owner: true, versions: 2, refs: { x: as } }\n";

typedef bool describe_fn(struct arena *a, const struct describe_source *src, struct buf *to,
                         struct err *e);

static void tell(describe_fn *fn, struct arena *a, const struct describe_source *src)
{
    struct buf one, two;
    struct err e = {0};
    buf_init(&one, 64 << 20);
    buf_init(&two, 64 << 20);
    bool fine = fn(a, src, &one, &e);
    must(fine == fn(a, src, &two, &e));
    must(!fine || slice_eq(buf_slice(&one), buf_slice(&two)));
    must(fine || e.msg[0]);
    buf_done(&one);
    buf_done(&two);
}

static void compile_told(struct arena *a, struct describe_source *src, struct files *f)
{
    struct buf to;
    struct err e = {0};
    buf_init(&to, 64 << 20);
    const struct collection *c = &src->manifest->collections.items[0];
    if (describe_collection_schema(a, src, c, &to, &e)) {
        f->told = arena_dup(a, buf_slice(&to));
        /* Patterns grow, and one that is too large is no schema. */
        if (!schema_compile(a, SLICE("told.json"), src->schemas, &e))
            must(slice_search(f->told, SLICE("pattern")) >= 0 ||
                 slice_search(slice_from(e.msg), SLICE("line 1")) >= 0);
    }
    buf_done(&to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct problems p;
    struct files f = {.second = {(const char *)data, size}, .told = SLICE("")};
    slice_cut(&f.second, '\n', &f.first);
    const struct schema_loader loader = {load, &f};
    arena_init(&a, (size_t)1 << 30);
    problems_init(&p, &a);
    struct describe_source src = {manifest_parse(&a, slice_from(yaml), "dais.yaml", &p), &loader,
                                  SLICE("/")};
    must(src.manifest && !problems_has_errors(&p));
    describe_check(&a, src.manifest, &loader, &p);
    tell(describe_openapi, &a, &src);
    tell(describe_types_ts, &a, &src);
    tell(describe_types_py, &a, &src);
    compile_told(&a, &src, &f);
    arena_done(&a);
    return 0;
}
