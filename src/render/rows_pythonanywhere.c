/* PythonAnywhere: dais on a socket, or for the older kind of site the app alone, by WSGI. */
#include "render/asgi_impl.h"
#include "render/rows_impl.h"

#define WORKER_MS 300000 /* their front end ends a request of WSGI then */

const struct render_row rows_pythonanywhere[] = {
    {"ops/pythonanywhere/README.md", "pythonanywhere/README.md", NULL, false},
    {"ops/pythonanywhere/run.sh", "pythonanywhere/run", NULL, true},
    {"ops/pythonanywhere/wsgi.py", "pythonanywhere/wsgi", "pythonanywhere.has_classic", false},
    {"ops/pythonanywhere/.env.example", "pythonanywhere/env.example", NULL, false},
    {"ops/.gitignore", "compose/gitignore", NULL, false},
    {"ops/pythonanywhere/upload.txt", "pythonanywhere/upload.txt", NULL, false},
    {0},
};

/* Nobody has an id here: a path with one in it is closed like the folder of all. */
static struct slice closed_prefix(struct slice prefix)
{
    ptrdiff_t at = slice_index(prefix, '{');
    return at < 0 ? prefix : slice_first(prefix, (size_t)at);
}

static void one_access(const struct facts *f, struct slice prefix, const char *what,
                       struct slice rule)
{
    if (!rule.len)
        return;
    json_write_object(f->w);
    facts_str(f, "prefix", closed_prefix(prefix));
    facts_str(f, "what", slice_from(what));
    facts_bool(f, "is_open", slice_is(rule, "public"));
    facts_end(f);
}

static void access_rows(const struct facts *f)
{
    facts_begin_list(f, "access");
    for (size_t i = 0; i < f->m->backend.access.n; i++) {
        const struct access_row *row = &f->m->backend.access.items[i];
        one_access(f, row->prefix.s, "read", row->read.s.len ? row->read.s : row->any.s);
        one_access(f, row->prefix.s, "write", row->write.s.len ? row->write.s : row->any.s);
    }
    facts_end_list(f);
}

static void rewrites(const struct facts *f)
{
    facts_begin_list(f, "rewrites");
    for (size_t i = 0; i < f->m->web.rewrite.n; i++) {
        const struct rewrite_rule *one = &f->m->web.rewrite.items[i];
        json_write_object(f->w);
        facts_str(f, "files", one->files.s);
        facts_str(f, "from", one->from.s);
        facts_str(f, "to", one->to.s);
        facts_end(f);
    }
    facts_end_list(f);
}

static void pages(const struct facts *f)
{
    facts_begin_list(f, "pages");
    for (size_t i = 0; i < f->m->web.pages.n; i++) {
        const struct page *one = &f->m->web.pages.items[i];
        json_write_object(f->w);
        facts_str(f, "prefix", one->pattern.prefix);
        facts_bool(f, "is_wildcard", one->pattern.wildcard);
        facts_str(f, "file", one->file.s);
        facts_end(f);
    }
    facts_end_list(f);
}

/* A mount that leads out of the app's folder does not travel in the tarball by itself. */
static bool has_outer_mount(const struct manifest *m)
{
    for (size_t i = 0; i < m->web.mounts.n; i++) {
        struct slice folder = m->web.mounts.items[i].folder.s;
        if (slice_starts(folder, SLICE("/")) || slice_starts(folder, SLICE("..")))
            return true;
    }
    return false;
}

static void application(const struct facts *f, const struct asgi *asgi)
{
    facts_str(f, "module", asgi->module);
    facts_str(f, "name", asgi->name);
    facts_str(f, "dir", asgi->dir);
    facts_bool(f, "is_wsgi", asgi->is_wsgi);
    facts_bool(f, "is_factory", asgi->is_factory);
    facts_texts(f, "folders", &asgi->folders);
    facts_texts(f, "made", &asgi->made);
    facts_texts(f, "asked", &asgi->asked);
    facts_texts(f, "others", &asgi->others);
    facts_pairs(f, "run_env", &asgi->env);
}

static void lacks(const struct facts *f)
{
    const struct manifest *m = f->m;
    facts_bool(f, "has_backend", m->backend.pos.line != 0);
    facts_bool(f, "has_own_data", m->collections.n || m->files.n || m->publish.n);
    facts_bool(f, "has_jobs", m->jobs.n);
    facts_bool(f, "has_identity", m->backend.identity.header.s.len);
    facts_bool(f, "has_cors", m->cors.origins.n);
    facts_bool(f, "has_redirects", m->web.redirects.n);
    facts_bool(f, "has_web_env", m->web.env.path.s.len);
    facts_bool(f, "has_outer_mount", has_outer_mount(m));
    facts_bool(f, "has_long_requests", longest_answer_ms(&m->backend) > WORKER_MS);
    facts_str(f, "identity_header", m->backend.identity.header.s);
}

void facts_pythonanywhere(const struct facts *f)
{
    struct asgi asgi;
    asgi_find(f->a, f->m->backend.run.s, &asgi);
    facts_begin(f, "pythonanywhere");
    facts_bool(f, "has_classic", asgi.is_found);
    application(f, &asgi);
    facts_texts(f, "static_first", &f->m->backend.static_first);
    access_rows(f);
    rewrites(f);
    pages(f);
    lacks(f);
    facts_end(f);
}

#define report(key_pos, ...) \
    problems_add(p, PROBLEM_ERROR, m->file, (key_pos), "PythonAnywhere: " __VA_ARGS__)

void check_pythonanywhere(const struct manifest *m, const struct target *t, struct problems *p)
{
    check_env_is_plain(m, t, p);
    if (m->backend.url.s.len)
        report(m->backend.url.pos,
               "`backend.url` leads to a server that does not run there; write `backend.run`");
    if (m->backend.instances > 1)
        report(m->backend.pos,
               "`backend.instances` is %lld, and an account there has the memory and the files of "
               "one; take it off",
               (long long)m->backend.instances);
    if (!m->web.root.s.len && !m->backend.pos.line && !m->collections.n && !m->files.n)
        report(m->slug.pos, "there is neither `web` nor `backend`: nothing could be served");
    if (m->tls.cert.pos.line)
        report(m->tls.cert.pos,
               "`tls` cannot be used, as their front end has the certificates; take it off");
}
