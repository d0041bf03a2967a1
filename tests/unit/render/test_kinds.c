/* Every kind with every manifest that stands in the repository: all templates fill, every header is
 * intact, no two rows are for one file, and the tables themselves are in order. */
#include "base/embedded.h"
#include "render/rows_impl.h"
#include "unit.h"

#include <stdio.h>

/* Tests run in the repository's folder. */
static const char *const folders[] = {
    "tests/fixtures/manifest/chart-desk",
    "tests/fixtures/manifest/scenes",
    "models/langhero",
    "models/papeterie",
    "models/story-analytics",
    "models/story-gen",
    "apps/field-notes",
    "apps/star-chart",
};

/* NULL: it has errors here, such as a site that is not built. */
static struct manifest *load(struct arena *a, const char *folder)
{
    struct problems p;
    problems_init(&p, a);
    struct manifest *m = manifest_load(a, folder, &p);
    return problems_has_errors(&p) ? NULL : m;
}

static void look_at(const struct render_files *files, const struct render_kind *kind)
{
    assert_true(files->n > 0 || kind->tables[0] != NULL);
    for (size_t i = 0; i < files->n; i++) {
        const struct render_file *f = &files->items[i];
        assert_true(f->path.len > 0 && f->path.ptr[0] != '/');
        assert_true(slice_search(f->path, SLICE("..")) < 0);
        assert_true(f->mode == 0644 || f->mode == 0755);
        for (size_t j = 0; j < i; j++)
            if (slice_eq(f->path, files->items[j].path))
                fail_msg("%s: %.*s is there twice", kind->name, SLICE_ARGS(f->path));
        if (f->copy_of || slice_starts(f->path, SLICE("ops/pages/"))) /* the site as it is */
            continue;
        if (header_look(f->text) != HEADER_INTACT)
            fail_msg("%s: %.*s has no header that is intact", kind->name, SLICE_ARGS(f->path));
        if (slice_search(f->text, SLICE("<%")) >= 0 || slice_search(f->text, SLICE("\t \n")) >= 0)
            fail_msg("%s: a tag is left in %.*s", kind->name, SLICE_ARGS(f->path));
    }
}

/* True when it rendered; a refusal must be one of the manifest, with words. */
static bool render_one(struct arena *a, const struct manifest *m, const struct render_kind *kind,
                       const struct target *t, const char *folder)
{
    struct render_files files, again;
    struct problems p;
    struct err e = {0};
    const struct render_options o = {.manifest = m, .kind = kind, .target = t};
    problems_init(&p, a);
    if (!render_files(a, &o, &files, &p, &e)) {
        if (e.code == ERR_INTERNAL)
            fail_msg("%s, %s: %s", folder, kind->name, e.msg);
        return false;
    }
    look_at(&files, kind);
    assert_true(render_files(a, &o, &again, &p, &e));
    assert_int_equal(files.n, again.n);
    for (size_t i = 0; i < files.n; i++)
        assert_true(slice_eq(files.items[i].text, again.items[i].text));
    return true;
}

/* As the command does it: with every target of the kind, and with none. */
static void all_manifests(void **state)
{
    (void)state;
    for (const struct render_kind *kind = render_kinds; kind->name; kind++) {
        size_t rendered = 0, loaded = 0;
        for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
            struct arena a;
            arena_init(&a, 512u << 20);
            const struct manifest *m = load(&a, folders[i]);
            loaded += m != NULL;
            rendered += m && render_one(&a, m, kind, NULL, folders[i]);
            for (size_t t = 0; m && t < m->deploy.n; t++)
                if (render_kind_find(m->deploy.items[t].kind.s) == kind)
                    rendered += render_one(&a, m, kind, &m->deploy.items[t], folders[i]);
            arena_done(&a);
        }
        assert_true(loaded >= 6);
        if (rendered == 0)
            fail_msg("%s refused every manifest", kind->name);
    }
}

static void tables(void **state)
{
    (void)state;
    for (const struct render_kind *kind = render_kinds; kind->name; kind++) {
        assert_non_null(kind->summary);
        assert_ptr_equal(render_kind_find(slice_from(kind->name)), kind);
        for (size_t t = 0; kind->tables[t]; t++) {
            for (const struct render_row *row = kind->tables[t]; row->path; row++) {
                char name[200];
                snprintf(name, sizeof name, "render/%s", row->template);
                const struct embedded *found = embedded_next(NULL, name);
                if (!found || strcmp(found->name, name) != 0)
                    fail_msg("%s: there is no template %s", row->path, row->template);
            }
        }
    }
    assert_null(render_kind_find(SLICE("nosuch")));
    assert_null(render_kind_find(SLICE("")));
    assert_string_equal(render_kind_find(SLICE("ssh"))->name, "droplet");
}

/* A template that no row, no kind and no other template names is forgotten. */
static void no_template_is_idle(void **state)
{
    (void)state;
    for (const struct embedded *it = NULL; (it = embedded_next(it, "render/"));) {
        const char *name = it->name + strlen("render/");
        char tag[200], indented[200];
        bool used = false;
        snprintf(tag, sizeof tag, "<%%include %s%%>", name);
        snprintf(indented, sizeof indented, "<%%indented %s%%>", name);
        for (const struct embedded *other = NULL; (other = embedded_next(other, "render/"));)
            used |= strstr(other->data, tag) || strstr(other->data, indented);
        for (const struct render_kind *kind = render_kinds; kind->name; kind++) {
            used |= kind->next && strcmp(kind->next, name) == 0;
            for (size_t t = 0; kind->tables[t]; t++)
                for (const struct render_row *row = kind->tables[t]; row->path; row++)
                    used |= strcmp(row->template, name) == 0;
        }
        if (!used)
            fail_msg("nothing uses the template %s", name);
    }
}

/* As a word of a template, or of the condition of a row. */
static bool is_asked_for(struct slice key)
{
    for (const struct embedded *it = NULL; (it = embedded_next(it, "render/"));) {
        struct slice text = {it->data, it->len};
        for (ptrdiff_t at; (at = slice_search(text, key)) >= 0;) {
            char before = at ? text.ptr[at - 1] : ' ';
            text = slice_skip(text, (size_t)at + key.len);
            char after = text.len ? text.ptr[0] : ' ';
            if (strchr(". ", before) && strchr(". |%", after))
                return true;
        }
    }
    for (const struct render_kind *kind = render_kinds; kind->name; kind++)
        for (size_t t = 0; kind->tables[t]; t++)
            for (const struct render_row *row = kind->tables[t]; row->path; row++)
                if (row->when && slice_ends(slice_from(row->when), key))
                    return true;
    return false;
}

static void look_for_idle(const struct json *facts, unsigned depth)
{
    assert_true(depth < 10);
    json_each (it, facts) {
        if (json_type(facts) == JSON_OBJECT && !is_asked_for(it.key))
            fail_msg("no template asks for the fact %.*s", SLICE_ARGS(it.key));
        if (json_type(it.value) >= JSON_ARRAY)
            look_for_idle(it.value, depth + 1);
    }
}

static void no_fact_is_idle(void **state)
{
    struct arena a;
    struct err e = {0};
    (void)state;
    arena_init(&a, 64u << 20);
    const struct manifest *m = load(&a, folders[0]);
    assert_non_null(m);
    const struct render_options o = {.manifest = m,
                                     .kind = render_kind_find(SLICE("aws")),
                                     .target = m->deploy.n ? &m->deploy.items[0] : NULL};
    const struct json *facts = render_facts(&a, &o, &e);
    assert_non_null(facts);
    look_for_idle(facts, 0);
    arena_done(&a);
}

/* A list of `n` lines of `line`, each with its number. */
static void add_many(struct buf *to, const char *before, const char *after, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        buf_printf(to, "%s%u%s\n", before, i, after);
}

/* What no process could be given is refused, at once and by every kind. */
static void too_many(void **state)
{
    static const struct {
        unsigned secrets, env;
        const char *said;
    } rows[] = {{6000, 1, "`secrets` has 6000"}, {1, 6000, "`env` has 6000"}, {199, 500, NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena a;
        struct problems p;
        struct buf text;
        struct err e = {0};
        struct render_files files;
        arena_init(&a, 256u << 20);
        buf_init(&text, 1u << 20);
        problems_init(&p, &a);
        buf_add_str(&text, "app: a\nbackend: { run: x, routes: [/a] }\nsecrets:\n");
        add_many(&text, "  - S_", "", rows[i].secrets);
        buf_add_str(&text, "deploy:\n  d:\n    kind: droplet\n    env:\n");
        add_many(&text, "      E_", ": x", rows[i].env);
        struct manifest *m = manifest_parse(&a, buf_slice(&text), "dais.yaml", &p);
        assert_true(m && !problems_has_errors(&p));
        const struct render_options o = {
            .manifest = m, .kind = render_kind_find(SLICE("ssh")), .target = &m->deploy.items[0]};
        bool fine = render_files(&a, &o, &files, &p, &e);
        buf_clear(&text);
        problems_print(&p, &text);
        buf_add_char(&text, '\0');
        assert_int_equal(fine, rows[i].said == NULL);
        assert_true(fine || (rows[i].said && strstr(text.data, rows[i].said)));
        buf_done(&text);
        arena_done(&a);
    }
}

TESTS(cmocka_unit_test(all_manifests), cmocka_unit_test(tables),
      cmocka_unit_test(no_template_is_idle), cmocka_unit_test(no_fact_is_idle),
      cmocka_unit_test(too_many))
