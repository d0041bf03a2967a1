/* GitHub Pages: what is known of the place, what it cannot express, and the files besides the site.
 */
#include "render/pages_impl.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const struct render_row rows_pages[] = {
    {PAGES_DIR ".gitignore", "pages/gitignore", NULL, false},
    {".github/workflows/pages.yml", "pages/pages.yml", NULL, false},
    {"ops/wiki-sync.sh", "pages/wiki-sync", "pages.has_docs", true},
    {0},
};

/* ---- the place ----------------------------------------------------------------------------------
 */

struct repo {
    struct slice host, owner, name;
};

/* git@HOST:OWNER/NAME.git, ssh://git@HOST/OWNER/NAME, https://HOST/OWNER/NAME */
static bool repo_read(struct slice remote, struct repo *ret)
{
    ptrdiff_t scheme = slice_search(remote, SLICE("://"));
    struct slice rest = scheme >= 0 ? slice_skip(remote, (size_t)scheme + 3) : remote;
    struct slice address = rest;
    if (!slice_cut(&rest, scheme >= 0 ? '/' : ':', &address))
        return false;
    ptrdiff_t at = slice_rindex(address, '@');
    ret->host = slice_skip(address, (size_t)(at + 1));
    while (slice_ends(rest, SLICE("/")))
        rest.len--;
    if (slice_ends(rest, SLICE(".git")))
        rest.len -= 4;
    while (slice_starts(rest, SLICE("/")))
        rest = slice_skip(rest, 1);
    ptrdiff_t slash = slice_rindex(rest, '/');
    if (slash <= 0 || !ret->host.len || (size_t)slash + 1 >= rest.len)
        return false;
    ret->owner = slice_first(rest, (size_t)slash);
    ret->name = slice_skip(rest, (size_t)slash + 1);
    return true;
}

static bool is_name(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_' || c == '.'))
            return false;
    }
    return s.len > 0;
}

static struct slice base_of(struct arena *a, const struct manifest *m, const struct target *t,
                            const struct repo *repo, bool is_github)
{
    struct slice base = m->web.base.s.len ? m->web.base.s : SLICE("/");
    bool is_personal =
        is_github &&
        slice_eq_nocase(repo->name, arena_printf(a, "%.*s.github.io", SLICE_ARGS(repo->owner)));
    if (t->base.s.len)
        base = t->base.s;
    else if (t->domain.s.len || is_personal)
        base = SLICE("/");
    else if (is_github)
        base = arena_printf(a, "/%.*s/", SLICE_ARGS(repo->name));
    struct buf b;
    buf_init(&b, 64u << 10);
    links_encode(&b, base);
    struct slice kept = arena_dup(a, buf_slice(&b));
    buf_done(&b);
    return kept;
}

struct pages_place pages_place_of(struct arena *a, const struct manifest *m, const struct target *t)
{
    struct pages_place p = {.origin = SLICE(""), .repository = SLICE(""), .api = SLICE("")};
    struct repo repo = {0};
    bool is_github = t->remote.s.len && repo_read(t->remote.s, &repo) &&
                     slice_eq_nocase(repo.host, SLICE("github.com")) && is_name(repo.owner) &&
                     is_name(repo.name);
    p.base = base_of(a, m, t, &repo, is_github);
    if (is_github)
        p.repository = arena_printf(a, "https://github.com/%.*s/%.*s", SLICE_ARGS(repo.owner),
                                    SLICE_ARGS(repo.name));
    if (t->domain.s.len)
        p.origin = arena_printf(a, "https://%.*s", SLICE_ARGS(text_lower(a, t->domain.s)));
    else if (is_github)
        p.origin = arena_printf(a, "https://%.*s.github.io", SLICE_ARGS(text_lower(a, repo.owner)));
    struct slice api = t->api.s;
    while (slice_ends(api, SLICE("/")))
        api.len--;
    p.api = arena_dup(a, api);
    return p;
}

struct settings pages_variables(struct arena *a, const struct target *t,
                                const struct pages_place *place)
{
    const char **variables = arena_zalloc(a, (t->env.n + 2) * sizeof *variables);
    struct settings ret = {.environ_ = variables, .arena = a};
    size_t n = 0;
    if (place->api.len)
        variables[n++] = arena_printf(a, "PUBLIC_URL=%.*s", SLICE_ARGS(place->api)).ptr;
    for (size_t i = 0; i < t->env.n; i++) {
        struct slice name = t->env.items[i].key.s;
        struct slice value = settings_expand(&ret, t->env.items[i].value.s, a);
        variables[n++] = arena_printf(a, "%.*s=%.*s", SLICE_ARGS(name), SLICE_ARGS(value)).ptr;
    }
    return ret;
}

/* ---- facts --------------------------------------------------------------------------------------
 */

static bool is_folder(const struct facts *f, const char *name)
{
    struct stat st;
    struct slice dir = f->m->dir.len ? f->m->dir : SLICE(".");
    return stat(arena_printf(f->a, "%.*s/%s", SLICE_ARGS(dir), name).ptr, &st) == 0 &&
           S_ISDIR(st.st_mode);
}

void facts_pages(const struct facts *f)
{
    struct pages_place place = pages_place_of(f->a, f->m, f->t);
    facts_begin(f, "pages");
    facts_str(f, "base", place.base);
    facts_str(f, "repository", place.repository);
    facts_str(f, "word", f->t->name.s.len ? f->t->name.s : SLICE("pages"));
    facts_str(f, "artifact",
              f->o->below.len ? arena_printf(f->a, "%.*s/ops/pages", SLICE_ARGS(f->o->below))
                              : SLICE("ops/pages"));
    struct settings variables = pages_variables(f->a, f->t, &place);
    facts_begin_list(f, "env");
    for (size_t i = 0; i < f->t->env.n; i++) {
        json_write_object(f->w);
        facts_str(f, "name", f->t->env.items[i].key.s);
        facts_str(f, "value", settings_expand(&variables, f->t->env.items[i].value.s, f->a));
        facts_end(f);
    }
    facts_end_list(f);
    facts_bool(f, "has_docs",
               slice_is(slice_from(f->o->kind->name), "pages") && is_folder(f, "docs"));
    facts_end(f);
}

/* ---- what cannot be expressed -------------------------------------------------------------------
 */

struct check {
    const struct manifest *m;
    const struct target *t;
    struct pages_place place;
    struct problems *p;
};

static void say(const struct check *c, enum problem_kind kind, struct pos pos, const char *text)
{
    problems_add(c->p, kind, c->m->file, pos, "%s", text);
}

/* A star in front of a name covers all names before it; the rest is the same, letter by letter. */
static bool covers(struct slice pattern, struct slice origin)
{
    static const struct slice star = SLICE_INIT("https://*.");
    if (slice_ends(pattern, SLICE(":443")))
        pattern.len -= 4;
    if (slice_starts_nocase(pattern, star)) {
        struct slice end = slice_skip(pattern, star.len - 1);
        return origin.len > end.len + 8 &&
               slice_eq_nocase(slice_skip(origin, origin.len - end.len), end);
    }
    return slice_is(pattern, "*") || slice_eq_nocase(pattern, origin);
}

static void check_cors(const struct check *c)
{
    const struct texts *origins = &c->m->cors.origins;
    struct slice origin = c->place.origin;
    if (!origin.len) {
        say(c, PROBLEM_WARNING, c->t->api.pos,
            "where the site will be is not known, so nobody can check that `cors.origins` has it; "
            "name its `domain`, or a `remote` at github.com");
        return;
    }
    bool is_covered = slice_eq_nocase(origin, c->place.api);
    for (size_t i = 0; i < origins->n; i++)
        is_covered |= covers(origins->items[i].s, origin);
    if (is_covered)
        return;
    struct pos pos = c->m->cors.pos.line ? c->m->cors.pos : c->t->api.pos;
    problems_add(c->p, PROBLEM_ERROR, c->m->file, pos,
                 "`cors.origins` does not have %.*s, so browsers will not let the site call "
                 "`deploy.%.*s.api`; add: cors: { origins: [ \"%.*s\" ] }",
                 SLICE_ARGS(origin), SLICE_ARGS(c->t->name.s), SLICE_ARGS(origin));
}

static void check_api(const struct check *c)
{
    const struct manifest *m = c->m;
    const struct {
        bool is;
        const char *name;
        struct pos pos;
    } parts[] = {
        {m->backend.pos.line != 0, "backend", m->backend.pos},
        {m->collections.n != 0, "collections",
         m->collections.n ? m->collections.items[0].pos : m->web.pos},
        {m->files.n != 0, "files", m->files.n ? m->files.items[0].pos : m->web.pos},
        {m->jobs.n != 0, "jobs", m->jobs.n ? m->jobs.items[0].pos : m->web.pos},
    };
    if (c->place.api.len) {
        check_cors(c);
        return;
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].is) {
            problems_add(c->p, PROBLEM_WARNING, m->file, parts[i].pos,
                         "the site is read-only: GitHub Pages runs no `%s`; a target of kind pages "
                         "with `api: https://...` makes it call a server that does",
                         parts[i].name);
            return;
        }
    }
}

/* Does the rule take an address of the developer's machine out of the bundle? */
struct slice pages_local_address(struct slice text)
{
    static const char *const hosts[] = {"http://localhost", "http://127.0.0.1", "http://[::1]",
                                        "https://localhost", "http://0.0.0.0"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        ptrdiff_t at = slice_search(text, slice_from(hosts[i]));
        if (at < 0)
            continue;
        struct slice from = slice_skip(text, (size_t)at);
        size_t n = strlen(hosts[i]);
        if (n < from.len && from.ptr[n] == ':')
            n++;
        while (n < from.len && from.ptr[n] >= '0' && from.ptr[n] <= '9')
            n++;
        return slice_first(from, n);
    }
    return SLICE("");
}

static void check_rewrites(const struct check *c)
{
    const struct web_conf *web = &c->m->web;
    bool is_told = web->env.path.s.len || c->t->env.n;
    for (size_t i = 0; i < web->rewrite.n && c->place.api.len; i++) {
        const struct rewrite_rule *rule = &web->rewrite.items[i];
        bool has_address = pages_local_address(rule->from.s).len > 0;
        is_told |= has_address;
        if (!has_address && slice_search(rule->to.s, SLICE("location.")) >= 0)
            say(c, PROBLEM_ERROR, rule->to.pos,
                "`web.rewrite` makes the page call the origin it came from, which is not `api` on "
                "GitHub Pages; let `from` hold the whole address (http://localhost:8000), which "
                "`api` then replaces");
    }
    if (c->place.api.len && !is_told)
        say(c, PROBLEM_WARNING, c->t->api.pos,
            "nothing tells the page of `api`: name an address in `web.rewrite`, a value of "
            "`web.env`, or a variable of the build in the target's `env`");
}

static void check_redirects(const struct check *c)
{
    const struct web_conf *web = &c->m->web;
    for (size_t i = 0; i < web->redirects.n; i++) {
        const struct redirect *row = &web->redirects.items[i];
        if (row->from.wildcard)
            problems_add(c->p, PROBLEM_WARNING, c->m->file, row->pos,
                         "GitHub Pages has no redirects of patterns: `web.redirects` \"%.*s\" is "
                         "left out; name the paths one by one",
                         SLICE_ARGS(row->from.text.s));
    }
    for (size_t i = 0; i < web->pages.n; i++) {
        const struct page *row = &web->pages.items[i];
        if (row->pattern.wildcard)
            problems_add(c->p, PROBLEM_WARNING, c->m->file, row->pattern.text.pos,
                         "GitHub Pages has one page for paths without a file, `fallback`: "
                         "`web.pages` \"%.*s\" is left out",
                         SLICE_ARGS(row->pattern.text.s));
    }
    for (size_t i = 0; i < web->errors.n; i++) {
        if (web->errors.items[i].status != 404)
            problems_add(c->p, PROBLEM_WARNING, c->m->file, web->errors.items[i].key.pos,
                         "GitHub Pages has a page of its own for %d: `web.errors` is for 404 there",
                         (int)web->errors.items[i].status);
    }
}

void check_pages(const struct manifest *m, const struct target *t, struct problems *p)
{
    static const struct target none = {0};
    struct check c = {.m = m, .t = t ? t : &none, .p = p};
    c.place = pages_place_of(p->arena, m, c.t);
    if (!m->web.root.s.len) {
        say(&c, PROBLEM_ERROR, m->backend.pos,
            "GitHub Pages shows files, and the app has none: there is no `web:` and no folder web");
        return;
    }
    if (c.t->remote.s.len && !c.place.repository.len)
        say(&c, PROBLEM_WARNING, c.t->remote.pos,
            "`remote` is no repository at github.com, such as git@github.com:me/charts.git: what "
            "follows from its name (base, address, links of the wiki) is not known");
    check_api(&c);
    check_rewrites(&c);
    check_redirects(&c);
    for (size_t i = 0; i < m->web.headers.n; i++) {
        if (m->web.headers.items[i].pos.line) {
            say(&c, PROBLEM_WARNING, m->web.headers.items[i].pos,
                "GitHub Pages sends headers of its own: `web.headers` has no effect there");
            break;
        }
    }
}
