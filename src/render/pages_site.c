/* The tree of files that GitHub Pages serves: what `dais serve` would, below a base path, and files
 * in the place of what only a server can do.
 *
 *   read      the folders of web.root and the mounts (pages_tree.c)
 *   add       the env script, redirects, pages of exact paths, the OpenAPI snapshot, 404.html
 *   change    web.rewrite, with the API's address, and links for the base path
 *   list      every file with its digest, in .dais-site */
#include "base/file.h"
#include "base/glob.h"
#include "base/utf8.h"
#include "render/pages_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX  (16u << 20)  /* a larger file is copied as it is */
#define TEXTS_MAX (192u << 20) /* all that are changed */

struct pages_site {
    struct arena *a;
    const struct manifest *m;
    const struct target *t;
    struct pages_place place;
    struct pages_tree tree;
    size_t n_moved, n_bytes;
};

/* ---- files that are added -----------------------------------------------------------------------
 */

static bool put_text(struct pages_site *s, struct slice path, struct slice text)
{
    const struct page_file file = {
        .path = path, .text = text, .is_text = true, .size = (int64_t)text.len};
    return pages_tree_put(&s->tree, &file);
}

static bool put_copy(struct pages_site *s, struct slice path, const char *source)
{
    struct stat st;
    if (stat(source, &st) != 0)
        return err_set_sys(s->tree.e, ERR_MANIFEST, "%s cannot be read", source);
    const struct page_file file = {.path = path, .source = source, .size = st.st_size};
    return pages_tree_put(&s->tree, &file);
}

/* A path of the tree for a file that the manifest names, relative to web.root. */
static struct slice named(const struct pages_site *s, struct slice name)
{
    while (slice_starts(name, SLICE("./")))
        name = slice_skip(name, 2);
    while (slice_starts(name, SLICE("/")))
        name = slice_skip(name, 1);
    return arena_printf(s->a, "/%.*s", SLICE_ARGS(name));
}

/* The same bytes as src/web/rules.c makes. */
static bool add_env(struct pages_site *s)
{
    const struct web_env *env = &s->m->web.env;
    struct buf b;
    if (!env->path.s.len)
        return true;
    struct settings settings = pages_variables(s->a, s->t, &s->place);
    buf_init(&b, TEXT_MAX);
    buf_add_str(&b, "export const env={");
    for (size_t i = 0; i < env->values.n; i++) {
        buf_add_str(&b, i ? "," : "");
        json_escape(&b, env->values.items[i].key.s, JSON_FOR_HTML);
        buf_add_char(&b, ':');
        json_escape(&b, settings_expand(&settings, env->values.items[i].value.s, s->a),
                    JSON_FOR_HTML);
    }
    buf_add_str(&b, "};\n");
    bool fine = put_text(s, env->path.s, arena_dup(s->a, buf_slice(&b)));
    buf_done(&b);
    return fine;
}

/* "/old" is a folder with an index, "/old/" too, "/old.html" a file; empty: no page can be there.
 */
static struct slice page_at(const struct pages_site *s, struct slice path)
{
    struct slice name = slice_skip(path, (size_t)(slice_rindex(path, '/') + 1));
    if (!name.len)
        return arena_printf(s->a, "%.*sindex.html", SLICE_ARGS(path));
    if (slice_ends(name, SLICE(".html")))
        return path;
    return slice_index(name, '.') >= 0 ? SLICE("")
                                       : arena_printf(s->a, "%.*s/index.html", SLICE_ARGS(path));
}

static bool add_redirect(struct pages_site *s, const struct redirect *row)
{
    struct slice path = page_at(s, row->from.text.s);
    quote_fn *html = quote_find(SLICE("html"));
    struct buf to, text;
    if (!path.len) {
        problems_add(s->tree.p, PROBLEM_WARNING, s->m->file, row->pos,
                     "only a page can lead elsewhere on GitHub Pages: `web.redirects` \"%.*s\" is "
                     "left out",
                     SLICE_ARGS(row->from.text.s));
        return true;
    }
    buf_init(&to, 64u << 10);
    buf_init(&text, 256u << 10);
    if (slice_starts(row->to.s, SLICE("/")))
        buf_add(&to, slice_first(s->place.base, s->place.base.len - 1));
    buf_add(&to, row->to.s);
    buf_add_str(&text, "<!doctype html>\n<meta charset=\"utf-8\">\n<title>Moved</title>\n"
                       "<link rel=\"icon\" href=\"data:,\">\n"
                       "<link rel=\"canonical\" href=\"");
    html(&text, buf_slice(&to));
    buf_add_str(&text, "\">\n<meta http-equiv=\"refresh\" content=\"0; url=");
    html(&text, buf_slice(&to));
    buf_add_str(&text, "\">\n<p>This page has moved to <a href=\"");
    html(&text, buf_slice(&to));
    buf_add_str(&text, "\">");
    html(&text, buf_slice(&to));
    buf_add_str(&text, "</a>.</p>\n");
    bool fine = put_text(s, path, arena_dup(s->a, buf_slice(&text)));
    buf_done(&text);
    buf_done(&to);
    return fine;
}

static bool add_pages_of_paths(struct pages_site *s)
{
    const struct web_conf *web = &s->m->web;
    for (size_t i = 0; i < web->pages.n; i++) {
        const struct page_file *file =
            pages_tree_find(&s->tree, named(s, web->pages.items[i].file.s));
        struct slice path = page_at(s, web->pages.items[i].pattern.text.s);
        if (file && file->source && path.len && !web->pages.items[i].pattern.wildcard &&
            !pages_tree_find(&s->tree, path) && !put_copy(s, path, file->source))
            return false;
    }
    for (size_t i = 0; i < web->redirects.n; i++) {
        if (!web->redirects.items[i].from.wildcard && !add_redirect(s, &web->redirects.items[i]))
            return false;
    }
    return true;
}

/* Where an app keeps the description of its API; the first that is there is published. dais's own
 * (`dais openapi`) will come before them. */
static const char *const openapi_files[] = {"openapi.json", "openapi.yaml", "docs/openapi.json",
                                            "docs/openapi.yaml"};

static bool add_openapi(struct pages_site *s)
{
    struct slice dir = s->m->dir.len ? s->m->dir : SLICE(".");
    struct stat st;
    for (size_t i = 0; i < sizeof openapi_files / sizeof *openapi_files; i++) {
        const char *source = arena_printf(s->a, "%.*s/%s", SLICE_ARGS(dir), openapi_files[i]).ptr;
        const char *name = strrchr(source, '/') + 1;
        struct slice path = arena_printf(s->a, "/docs/assets/openapi/%s", name);
        if (pages_tree_find(&s->tree, path))
            return true;
        if (stat(source, &st) == 0 && S_ISREG(st.st_mode))
            return put_copy(s, path, source);
    }
    return true;
}

/* What GitHub shows where there is no file: the page of the app that makes its own paths, else its
 * error page. */
static bool add_404(struct pages_site *s, struct slice *ret_from)
{
    const struct web_conf *web = &s->m->web;
    struct slice from = web->fallback.s;
    for (size_t i = 0; i < web->errors.n && !from.len; i++)
        from = web->errors.items[i].status == 404 ? web->errors.items[i].file.s : from;
    *ret_from = named(s, from.len ? from : SLICE("404.html"));
    const struct page_file *file = pages_tree_find(&s->tree, *ret_from);
    if (!file)
        return true;
    return file->is_text ? put_text(s, SLICE("/404.html"), file->text)
                         : put_copy(s, SLICE("/404.html"), file->source);
}

static bool add_domain(struct pages_site *s)
{
    if (!s->t->domain.s.len)
        return true;
    return put_text(s, SLICE("/CNAME"), arena_printf(s->a, "%.*s\n", SLICE_ARGS(s->t->domain.s)));
}

/* ---- changing texts -----------------------------------------------------------------------------
 */

/* With an API elsewhere, a rule that takes the developer's address out puts the API's in. */
static struct slice replacement(const struct pages_site *s, const struct rewrite_rule *rule)
{
    struct slice local = pages_local_address(rule->from.s);
    if (!s->place.api.len || !local.len)
        return rule->to.s;
    size_t before = (size_t)(local.ptr - rule->from.s.ptr);
    struct slice after = slice_skip(rule->from.s, before + local.len);
    return arena_printf(s->a, "%.*s%.*s%.*s", (int)before, rule->from.s.ptr,
                        SLICE_ARGS(s->place.api), SLICE_ARGS(after));
}

/* The path below the folder it came from, which is what `files` of a rule means. */
static struct slice below_root(const struct pages_site *s, struct slice path)
{
    const struct web_conf *web = &s->m->web;
    for (size_t i = 0; i < web->mounts.n; i++) {
        if (slice_starts(path, web->mounts.items[i].prefix.s))
            return slice_skip(path, web->mounts.items[i].prefix.s.len);
    }
    return slice_skip(path, 1);
}

static void rewrite(const struct pages_site *s, struct slice path, struct buf *text)
{
    const struct web_conf *web = &s->m->web;
    struct buf out;
    buf_init(&out, text->max);
    for (size_t i = 0; i < web->rewrite.n && utf8_is_valid(buf_slice(text)); i++) {
        if (!glob_matches(web->rewrite.items[i].files.s, below_root(s, path)))
            continue;
        buf_clear(&out);
        buf_add_replacing(&out, buf_slice(text), web->rewrite.items[i].from.s,
                          replacement(s, &web->rewrite.items[i]));
        buf_swap(text, &out);
    }
    buf_done(&out);
}

static bool is_rewritten(const struct pages_site *s, struct slice path)
{
    for (size_t i = 0; i < s->m->web.rewrite.n; i++) {
        if (glob_matches(s->m->web.rewrite.items[i].files.s, below_root(s, path)))
            return true;
    }
    return false;
}

static struct slice folder_of(struct slice path)
{
    return slice_first(path, (size_t)(slice_rindex(path, '/') + 1));
}

/* Makes a text of a copy where its content changes. `folder`: see struct links. */
static bool change(struct pages_site *s, struct page_file *f, struct slice folder)
{
    enum links_kind kind = links_kind_of(f->path);
    bool has_links = kind != LINKS_NONE && (s->place.base.len > 1 || folder.len);
    bool fine = true;
    struct buf text, out;
    if (f->size > TEXT_MAX || !(has_links || is_rewritten(s, f->path)))
        return true;
    buf_init(&text, 2 * TEXT_MAX);
    buf_init(&out, 2 * TEXT_MAX);
    if (f->is_text)
        buf_add(&text, f->text);
    else if (!file_read(f->source, &text))
        fine = err_set_sys(s->tree.e, ERR_IO, "%s cannot be read", f->source);
    if (fine)
        rewrite(s, f->path, &text);
    if (fine && has_links) {
        const struct links links = {s->place.base, &s->tree.paths, folder};
        size_t moved = links_move(kind, buf_slice(&text), &links, &out);
        s->n_moved += kind == LINKS_HTML && !folder.len ? moved : 0;
        buf_swap(&text, &out);
    }
    s->n_bytes += text.len;
    if (fine && (text.full || out.full || s->n_bytes > TEXTS_MAX))
        fine = err_set(s->tree.e, ERR_MANIFEST, "the texts of the site are too large to change");
    if (fine) {
        f->text = arena_dup(s->a, buf_slice(&text));
        f->is_text = true;
    }
    buf_done(&out);
    buf_done(&text);
    return fine;
}

static bool change_all(struct pages_site *s, struct slice from_404)
{
    for (size_t i = 0; i < s->tree.n; i++) {
        struct page_file *f = s->tree.files[i];
        bool is_404 = slice_is(f->path, "/404.html");
        if (!change(s, f, is_404 ? folder_of(from_404) : SLICE("")))
            return false;
    }
    return true;
}

static void tell_of_build(const struct pages_site *s)
{
    if (!s->n_moved || !s->m->web.build.s.len || s->place.base.len == 1)
        return;
    problems_add(s->tree.p, PROBLEM_WARNING, s->m->file, s->m->web.build.pos,
                 "the build was made for another path: %zu links of pages were moved below %.*s, "
                 "but paths that scripts put together cannot be; build with DAIS_BASE=%.*s",
                 s->n_moved, SLICE_ARGS(s->place.base), SLICE_ARGS(s->place.base));
}

/* ---- the list -----------------------------------------------------------------------------------
 */

/* On a server `/docs` may be a file and `/docs/` a folder; on a disk it cannot be both. */
static bool is_one_thing(const struct pages_site *s, struct slice path)
{
    for (size_t n = path.len; n-- > 1;) {
        if (path.ptr[n] == '/' && pages_tree_find(&s->tree, slice_first(path, n)))
            return err_set(
                s->tree.e, ERR_MANIFEST,
                "%.*s of the site would be a file and a folder (for %.*s); rename one of "
                "them, or the row of `web.redirects`, `web.mounts` or `web.pages`",
                (int)n, path.ptr, SLICE_ARGS(path));
    }
    return true;
}

static bool add_listed(struct pages_site *s, const struct page_file *f, struct render_files *to,
                       struct buf *list)
{
    char digest[SHA256_HEX_LEN + 1];
    struct sha256 h;
    if (f->is_text) {
        sha256_init(&h);
        sha256_add(&h, f->text);
        sha256_end_hex(&h, digest);
    } else if (!digest_of_file(f->source, digest)) {
        return err_set_sys(s->tree.e, ERR_IO, "%s cannot be read", f->source);
    }
    to->items[to->n++] = (struct render_file){
        .path = arena_printf(s->a, PAGES_DIR "%.*s", SLICE_ARGS(slice_skip(f->path, 1))),
        .text = f->is_text ? f->text : SLICE(""),
        .copy_of = f->is_text ? NULL : f->source,
        .digest = arena_cstr(s->a, slice_from(digest)),
        .mode = 0644};
    buf_printf(list, "%s  %.*s\n", digest, SLICE_ARGS(slice_skip(f->path, 1)));
    return true;
}

static int by_path(const void *a, const void *b)
{
    return slice_cmp((*(struct page_file *const *)a)->path, (*(struct page_file *const *)b)->path);
}

static bool list_all(struct pages_site *s, struct render_files *to)
{
    static const struct slice path = SLICE_INIT(PAGES_DIR PAGES_TREE);
    struct buf list, whole;
    bool fine = true;
    buf_init(&list, TEXT_MAX);
    buf_init(&whole, TEXT_MAX);
    qsort(s->tree.files, s->tree.n, sizeof(struct page_file *), by_path);
    for (size_t i = 0; fine && i < s->tree.n; i++)
        fine =
            is_one_thing(s, s->tree.files[i]->path) && add_listed(s, s->tree.files[i], to, &list);
    must(header_add(path, buf_slice(&list), &whole));
    if (fine && whole.full)
        fine = err_set(s->tree.e, ERR_MANIFEST, "the names of the site's files are too long");
    to->items[to->n++] = (struct render_file){
        .path = path, .text = arena_dup(s->a, buf_slice(&whole)), .mode = 0644};
    to->listing = path;
    buf_done(&whole);
    buf_done(&list);
    return fine;
}

/* ---- all of it ----------------------------------------------------------------------------------
 */

static bool make(struct pages_site *s, struct render_files *to)
{
    struct slice from_404;
    if (!pages_tree_read(&s->tree) || !add_env(s) || !add_pages_of_paths(s) || !add_openapi(s) ||
        !add_404(s, &from_404) || !add_domain(s) || !put_text(s, SLICE("/.nojekyll"), SLICE("")) ||
        !change_all(s, from_404))
        return false;
    tell_of_build(s);
    return list_all(s, to);
}

bool add_pages(struct arena *a, const struct render_options *o, struct render_files *to,
               struct problems *p, struct err *e)
{
    static const struct target none = {0};
    struct pages_site s = {.a = a, .m = o->manifest, .t = o->target ? o->target : &none};
    s.place = pages_place_of(a, s.m, s.t);
    s.tree = (struct pages_tree){.a = a, .m = s.m, .p = p, .e = e};
    s.tree.files = arena_zalloc(a, PAGES_FILES_MAX * sizeof(struct page_file *));
    map_init(&s.tree.paths);
    bool fine = make(&s, to);
    map_done(&s.tree.paths);
    return fine;
}
