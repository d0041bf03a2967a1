/* Loading one app and telling of it, for the verbs that do. */
#include "cli/telling.h"
#include "base/nearest.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARENA_MAX ((size_t)4 << 30)
#define OUT_MAX   (256u << 20)

static void print_problems(const struct problems *p)
{
    struct buf out;
    buf_init(&out, 64u << 20);
    problems_print(p, &out);
    if (out.len)
        fwrite(out.data, 1, out.len, stderr);
    buf_done(&out);
}

/* ---- writing ------------------------------------------------------------------------------------
 */

static bool write_all(int fd, struct slice text)
{
    while (text.len) {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n < 0)
            return false;
        text = slice_skip(text, (size_t)n);
    }
    return true;
}

/* What is no file, /dev/stdout say, cannot be replaced. */
static bool is_special(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

static bool write_file(const char *path, struct slice text, struct err *e)
{
    char temporary[4096];
    bool in_place = is_special(path);
    int n = snprintf(temporary, sizeof temporary, "%s%s", path, in_place ? "" : ".new");
    if (n < 0 || (size_t)n >= sizeof temporary)
        return err_set(e, ERR_USAGE, "the path is too long");
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_set_sys(e, ERR_IO, "%s cannot be written", temporary);
    bool fine = write_all(fd, text) || err_set_sys(e, ERR_IO, "%s cannot be written", temporary);
    if (close(fd) != 0 && fine)
        fine = err_set_sys(e, ERR_IO, "%s cannot be written", temporary);
    if (fine && !in_place && rename(temporary, path) != 0)
        fine = err_set_sys(e, ERR_IO, "%s cannot be written", path);
    if (!fine && !in_place)
        unlink(temporary);
    return fine;
}

int telling_text(const struct args *args, struct slice text)
{
    const char *out = args_flag(args, "--out");
    struct err e = {0};
    if (out)
        return write_file(out, text, &e) ? 0 : cli_fail(args, &e);
    fwrite(text.ptr, 1, text.len, stdout);
    return 0;
}

/* ---- one app ------------------------------------------------------------------------------------
 */

static const struct collection *find(const struct manifest *m, const char *name)
{
    for (size_t i = 0; i < m->collections.n; i++) {
        if (slice_is(m->collections.items[i].name.s, name))
            return &m->collections.items[i];
    }
    return NULL;
}

static int no_collection(const struct args *args, const struct manifest *m, const char *name)
{
    struct nearest nearest = {.typed = slice_from(name)};
    nearest_offer(&nearest, SLICE("manifest"));
    nearest_offer(&nearest, SLICE("host"));
    for (size_t i = 0; i < m->collections.n; i++)
        nearest_offer(&nearest, m->collections.items[i].name.s);
    if (nearest.best.len)
        return cli_usage_error(args, "%.*s has no collection `%s`; did you mean `%.*s`?",
                               SLICE_ARGS(m->file), name, SLICE_ARGS(nearest.best));
    return cli_usage_error(args, "%.*s has no collection `%s`", SLICE_ARGS(m->file), name);
}

static int tell_of(const struct args *args, struct arena *a, const struct describe_source *src,
                   telling_fn *fn, const char *collection)
{
    struct buf out;
    struct err e = {0};
    const struct collection *c = collection ? find(src->manifest, collection) : NULL;
    if (collection && !c)
        return no_collection(args, src->manifest, collection);
    buf_init(&out, OUT_MAX);
    bool fine = collection ? describe_collection_schema(a, src, c, &out, &e) : fn(a, src, &out, &e);
    struct buf lines; /* of JSON; types have theirs already */
    buf_init(&lines, OUT_MAX);
    bool is_json = out.len && out.data[0] == '{';
    if (fine && is_json)
        describe_indent(buf_slice(&out), &lines);
    if (fine && (out.full || lines.full))
        fine = err_set(&e, ERR_MANIFEST, "the outcome is larger than 256 MB");
    int code = fine ? telling_text(args, buf_slice(is_json ? &lines : &out)) : cli_fail(args, &e);
    buf_done(&lines);
    buf_done(&out);
    return code;
}

static bool is_host(struct arena *a, const char *dir)
{
    return access(arena_printf(a, "%s/host.yaml", dir).ptr, F_OK) == 0 &&
           access(arena_printf(a, "%s/dais.yaml", dir).ptr, F_OK) != 0;
}

int telling_app(const struct args *args, const char *dir, telling_fn *fn, const char *collection)
{
    struct arena a;
    struct problems p;
    int code = err_exit(ERR_MANIFEST);
    arena_init(&a, ARENA_MAX);
    problems_init(&p, &a);
    if (is_host(&a, dir)) {
        arena_done(&a);
        return cli_usage_error(args, "%s is a host of several apps; name the folder of one", dir);
    }
    struct manifest *m = manifest_load(&a, dir, &p);
    struct schema_loader schemas = describe_folder(&a, m ? m->dir.ptr : dir);
    if (m)
        describe_check(&a, m, &schemas, &p);
    problems_sort(&p);
    if (m && !problems_has_errors(&p)) {
        const struct describe_source src = {
            .manifest = m, .schemas = &schemas, .base = m->web.base.s};
        code = tell_of(args, &a, &src, fn, collection);
    } else {
        print_problems(&p);
    }
    arena_done(&a);
    return code;
}
