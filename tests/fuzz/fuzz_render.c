/* Any bytes as dais.yaml: whatever `dais check` accepts, every kind renders or refuses with a
 * reason, and every file that comes out has an intact header and is JSON if it says so. */
#include "render/render_impl.h"

static void look_at(const struct render_files *files)
{
    for (size_t i = 0; i < files->n; i++) {
        const struct render_file *f = &files->items[i];
        struct err ignored;
        must(f->path.len > 0 && f->path.ptr[0] != '/' && slice_search(f->path, SLICE("..")) < 0);
        if (f->copy_of || slice_starts(f->path, SLICE("ops/pages/"))) /* the site as it is */
            continue;
        must(header_look(f->text) == HEADER_INTACT);
        must(!slice_ends(f->path, SLICE(".json")) || json_validate(f->text, NULL, &ignored));
    }
}

static void render_one(struct arena *a, const struct manifest *m, const struct render_kind *kind,
                       const struct target *t)
{
    struct render_files files;
    struct problems p;
    struct err e = {0};
    const struct render_options o = {.manifest = m, .kind = kind, .target = t};
    problems_init(&p, a);
    if (render_files(a, &o, &files, &p, &e)) {
        look_at(&files);
        return;
    }
    must(e.code != ERR_INTERNAL && e.msg[0]); /* never a mistake of a template */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct problems p;
    if (size > 64 << 10) /* larger ones only take longer */
        return 0;
    arena_init(&a, (size_t)512 << 20);
    problems_init(&p, &a);
    const struct manifest *m =
        manifest_parse(&a, (struct slice){(const char *)data, size}, "dais.yaml", &p);
    bool fine = m && !problems_has_errors(&p);
    for (const struct render_kind *kind = render_kinds; fine && kind->name; kind++) {
        render_one(&a, m, kind, NULL);
        for (size_t i = 0; i < m->deploy.n && i < 4; i++)
            if (render_kind_find(m->deploy.items[i].kind.s) == kind)
                render_one(&a, m, kind, &m->deploy.items[i]);
    }
    arena_done(&a);
    return 0;
}
