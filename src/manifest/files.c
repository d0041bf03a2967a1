/* Whether the files and folders a manifest names are there. */
#include "manifest/check_impl.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define report(r, at, ...) problems_add((r)->p, PROBLEM_ERROR, (r)->file, (at), __VA_ARGS__)

enum identity_found { FOUND_NOTHING, FOUND_FILE, FOUND_FOLDER, FOUND_OTHER };

struct slice path_join(struct arena *a, struct slice dir, struct slice path)
{
    if (dir.len == 0 || slice_is(dir, ".") || slice_starts(path, SLICE("/")))
        return arena_dup(a, path);
    const char *slash = slice_ends(dir, SLICE("/")) ? "" : "/";
    return arena_printf(a, "%.*s%s%.*s", SLICE_ARGS(dir), slash, SLICE_ARGS(path));
}

static bool is_readable(struct reader *r, struct slice dir, const struct text *folder)
{
    const char *path = path_join(r->a, dir, folder->s).ptr;
    if (access(path, R_OK | X_OK) == 0)
        return true;
    report(r, folder->pos, "the folder `%.*s` cannot be read: %s", SHOWN(folder->s),
           strerror(errno));
    return false;
}

static enum identity_found look(struct reader *r, struct slice dir, struct slice path)
{
    struct stat st;
    if (stat(path_join(r->a, dir, path).ptr, &st) != 0)
        return FOUND_NOTHING;
    return S_ISREG(st.st_mode) ? FOUND_FILE : S_ISDIR(st.st_mode) ? FOUND_FOLDER : FOUND_OTHER;
}

static void need_file(struct reader *r, struct slice dir, const struct text *path, const char *what)
{
    if (path->pos.line == 0)
        return;
    enum identity_found found = look(r, dir, path->s);
    if (found == FOUND_NOTHING)
        report(r, path->pos, "%s `%.*s` does not exist; make it or correct the path", what,
               SHOWN(path->s));
    else if (found != FOUND_FILE)
        report(r, path->pos, "%s `%.*s` is not a file", what, SHOWN(path->s));
}

static bool need_root(struct reader *r, struct manifest *m)
{
    const struct web_conf *web = &m->web;
    struct pos pos = web->root.pos.line ? web->root.pos : web->pos;
    enum identity_found found = look(r, m->dir, web->root.s);
    if (found == FOUND_FOLDER)
        return true;
    if (found != FOUND_NOTHING)
        report(r, pos, "`root` is `%.*s`, which is a file; name a folder", SHOWN(web->root.s));
    else if (web->build.s.len)
        problems_add(r->p, PROBLEM_WARNING, r->file, pos,
                     "the folder `%.*s` does not exist yet; `dais build` makes it: %.*s",
                     SHOWN(web->root.s), SHOWN(web->build.s));
    else
        report(r, pos, "the folder `%.*s` does not exist; make it or correct `root`",
               SHOWN(web->root.s));
    return false;
}

static void check_web_files(struct reader *r, struct manifest *m)
{
    struct web_conf *web = &m->web;
    for (size_t i = 0; i < web->mounts.n; i++) {
        const struct text *folder = &web->mounts.items[i].folder;
        if (folder->pos.line && look(r, m->dir, folder->s) != FOUND_FOLDER)
            report(r, folder->pos, "the folder `%.*s` does not exist; make it or correct the path",
                   SHOWN(folder->s));
        else if (folder->pos.line)
            (void)is_readable(r, m->dir, folder);
    }
    if (!need_root(r, m) || !is_readable(r, m->dir, &web->root))
        return;
    struct slice root = path_join(r->a, m->dir, web->root.s);
    need_file(r, root, &web->fallback, "the fallback");
    for (size_t i = 0; i < web->errors.n; i++)
        need_file(r, root, &web->errors.items[i].file, "the error page");
    for (size_t i = 0; i < web->pages.n; i++)
        need_file(r, root, &web->pages.items[i].file, "the page");
}

static void check_job_files(struct reader *r, const struct manifest *m)
{
    for (size_t i = 0; i < m->jobs.n; i++) {
        const struct job *job = &m->jobs.items[i];
        need_file(r, m->dir, &job->run, "the job");
        need_file(r, m->dir, &job->input, "the schema");
        struct slice path = path_join(r->a, m->dir, job->run.s);
        if (job->run.pos.line && look(r, m->dir, job->run.s) == FOUND_FILE &&
            access(path.ptr, X_OK) != 0)
            report(r, job->run.pos, "the job `%.*s` is not executable; run chmod +x %.*s",
                   SHOWN(job->run.s), SHOWN(path));
    }
}

void manifest_check_files(struct reader *r, struct manifest *m)
{
    bool has_web = m->web.pos.line != 0;
    if (!has_web && look(r, m->dir, m->web.root.s) != FOUND_FOLDER)
        m->web.root.s = SLICE("");
    if (has_web)
        check_web_files(r, m);
    for (size_t i = 0; i < m->collections.n; i++)
        need_file(r, m->dir, &m->collections.items[i].schema, "the schema");
    check_job_files(r, m);
    need_file(r, m->dir, &m->tls.cert, "the certificate");
    need_file(r, m->dir, &m->tls.key, "the key");
    bool serves =
        m->web.root.s.len || m->backend.pos.line || m->collections.n || m->files.n || m->jobs.n;
    if (!serves)
        problems_add(r->p, PROBLEM_ERROR, r->file, (struct pos){0, 0},
                     "the app has nothing to serve; make a folder `web` with an index.html, or say "
                     "in `web:` where its files are");
}
