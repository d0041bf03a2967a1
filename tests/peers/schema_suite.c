/* Runs files of the public JSON Schema test suite: schema_suite REMOTES FILE... (make test-peers).
 *
 * The suite's remote schemas live below http://localhost:1234/; here they are the app's files. */
#include "base/file.h"
#include "schema/schema.h"

#include <stdio.h>

struct files {
    struct arena *a;
    const char *remotes;
    struct slice schema;
};

static struct slice read_file(struct arena *a, const char *path)
{
    struct buf text;
    buf_init(&text, 64 << 20);
    bool fine = file_read(path, &text);
    struct slice s = arena_dup(a, buf_slice(&text));
    buf_done(&text);
    return fine ? s : (struct slice){NULL, 0};
}

/* http://localhost:1234/ becomes app:///, everywhere. */
static struct slice localised(struct arena *a, struct slice text)
{
    struct buf out;
    buf_init(&out, 64 << 20);
    buf_add_replacing(&out, text, SLICE("http://localhost:1234/"), SLICE("app:///"));
    struct slice s = arena_dup(a, buf_slice(&out));
    buf_done(&out);
    return s;
}

static bool load(void *user, struct slice path, struct slice *ret, struct err *e)
{
    const struct files *f = user;
    if (slice_is(path, "schema")) {
        *ret = f->schema;
        return true;
    }
    *ret = read_file(f->a, arena_printf(f->a, "%s/%.*s", f->remotes, SLICE_ARGS(path)).ptr);
    if (ret->ptr)
        *ret = localised(f->a, *ret);
    return ret->ptr || err_set(e, ERR_NOT_FOUND, "there is no such file");
}

static unsigned passed, failed;

static void run_group(const char *file, const struct json *group, const char *remotes)
{
    struct arena a;
    struct buf text;
    struct json_writer w;
    struct err e = {0};
    arena_init(&a, 256 << 20);
    buf_init(&text, 1 << 20);
    json_writer_init(&w, &text, 0);
    json_write_value(&w, json_find(group, SLICE("schema")));
    struct files files = {&a, remotes, arena_dup(&a, buf_slice(&text))};
    buf_done(&text);
    const struct schema_loader loader = {load, &files};
    const struct schema *s = schema_compile(&a, SLICE("schema"), &loader, &e);
    json_each (it, json_find(group, SLICE("tests"))) {
        struct violations v = {.a = &a};
        bool expected = json_bool(json_find(it.value, SLICE("valid")));
        bool is = s && schema_check(s, json_find(it.value, SLICE("data")), &v);
        must(is == (v.n == 0) || !s);
        if (s && is == expected) {
            passed++;
            continue;
        }
        failed++;
        printf("not ok %s: %.*s: %.*s%s%s\n", file,
               SLICE_ARGS(json_str(json_find(group, SLICE("description")))),
               SLICE_ARGS(json_str(json_find(it.value, SLICE("description")))), s ? "" : ": ",
               s ? "" : e.msg);
    }
    arena_done(&a);
}

int main(int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        struct arena a;
        struct json_doc doc;
        struct err e = {0};
        arena_init(&a, 256 << 20);
        if (!json_parse(&doc, &a, localised(&a, read_file(&a, argv[i])), NULL, &e)) {
            printf("not ok %s: %s\n", argv[i], e.msg);
            failed++;
        } else {
            json_each (it, json_root(&doc))
                run_group(argv[i], it.value, argv[1]);
        }
        arena_done(&a);
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed ? 1 : 0;
}
