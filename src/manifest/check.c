/* What several values of a manifest say together: names that must exist, paths that overlap. */
#include "manifest/check_impl.h"

#include "base/utf8.h"

#include <string.h>

#define report(r, at, ...) problems_add((r)->p, PROBLEM_ERROR, (r)->file, (at), __VA_ARGS__)

#define RESERVED \
    "auth batch files jobs keys publish published realtime uploads usage oembed ai openapi.json"
#define DEPLOY_VERBS "status logs history rollback destroy"
/* What dais itself puts into the environment of backends and jobs. */
#define GIVEN \
    "PATH HOME LANG TZ PORT DAIS_SOCKET DAIS_INSTANCE DAIS_API DAIS_TOKEN PUBLIC_URL DAIS_BASE"

static bool has_collection(const struct manifest *m, struct slice name)
{
    for (size_t i = 0; i < m->collections.n; i++) {
        if (slice_eq(m->collections.items[i].name.s, name))
            return true;
    }
    return false;
}

static bool has_bucket(const struct manifest *m, struct slice name)
{
    for (size_t i = 0; i < m->files.n; i++) {
        if (slice_eq(m->files.items[i].name.s, name))
            return true;
    }
    return false;
}

static void need_collection(struct reader *r, const struct manifest *m, const struct text *name)
{
    if (name->pos.line && !has_collection(m, name->s))
        report(r, name->pos, "there is no collection `%.*s`; add it to `collections`",
               SHOWN(name->s));
}

/* ---- web
 * ------------------------------------------------------------------------------------------ */

static void not_reserved(struct reader *r, const struct text *path)
{
    if (slice_starts(path->s, SLICE("/_/")))
        report(r, path->pos, "paths below /_/ belong to dais; choose another for `%.*s`",
               SHOWN(path->s));
}

/* Paths are compared when their escapes are resolved, so one that is written is never met. */
void check_no_escape(struct reader *r, const struct text *path)
{
    static const char hex[] = "0123456789ABCDEFabcdef";
    for (size_t i = 0; i + 2 < path->s.len; i++) {
        const char *at = path->s.ptr + i;
        if (at[0] == '%' && at[1] && strchr(hex, at[1]) && at[2] && strchr(hex, at[2])) {
            problems_add(r->p, PROBLEM_WARNING, r->file, path->pos,
                         "`%.*s` matches only what is typed as %%25%.2s; write `%.3s` as the "
                         "character it stands for",
                         SHOWN(path->s), at + 1, at);
            return;
        }
    }
}

static void check_path(struct reader *r, const struct text *path)
{
    not_reserved(r, path);
    check_no_escape(r, path);
}

static void check_extra(struct reader *r, const struct pairs *extra)
{
    for (size_t i = 0; i < extra->n; i++) {
        const struct text *name = &extra->items[i].key;
        if (header_is_given(name->s))
            report(r, name->pos, "dais sets `%.*s` itself; remove it", SHOWN(name->s));
        for (size_t j = 0; j < i; j++) {
            if (slice_eq_nocase(name->s, extra->items[j].key.s))
                report(r, name->pos,
                       "`%.*s` stands here for the second time, first in line %u; keep one of them",
                       SHOWN(name->s), extra->items[j].key.pos.line);
        }
    }
}

static void check_redirect(struct reader *r, const struct redirect *it)
{
    bool splat = slice_search(it->to.s, SLICE(":splat")) >= 0;
    if (splat && !it->from.wildcard)
        report(r, it->to.pos,
               "`:splat` stands for what a `*` matched, and `%.*s` has none; end it "
               "with `*`",
               SHOWN(it->from.text.s));
    /* A wildcard that leads below itself never ends. */
    struct slice to = it->to.s;
    ptrdiff_t at = slice_search(to, SLICE(":splat"));
    if (at >= 0)
        to = slice_first(to, (size_t)at);
    if (it->to.s.len && pattern_matches(&it->from, to, NULL))
        report(r, it->to.pos,
               "`%.*s` redirects to itself for ever; choose a path it does not match",
               SHOWN(it->from.text.s));
    check_path(r, &it->from.text);
}

static void check_web(struct reader *r, struct manifest *m)
{
    for (size_t i = 0; i < m->web.redirects.n; i++)
        check_redirect(r, &m->web.redirects.items[i]);
    for (size_t i = 0; i < m->web.mounts.n; i++)
        check_path(r, &m->web.mounts.items[i].prefix);
    for (size_t i = 0; i < m->web.pages.n; i++)
        check_path(r, &m->web.pages.items[i].pattern.text);
    check_path(r, &m->web.env.path);
    for (size_t i = 0; i < m->web.headers.n; i++) {
        check_no_escape(r, &m->web.headers.items[i].pattern.text);
        check_extra(r, &m->web.headers.items[i].extra);
        const struct texts *who = &m->web.headers.items[i].frame_ancestors;
        for (size_t j = 0; who->n > 1 && j < who->n; j++) {
            if (words_have("* none", who->items[j].s))
                report(r, who->items[j].pos,
                       "`%.*s` in `frame_ancestors` must stand alone; remove "
                       "it or the others",
                       SHOWN(who->items[j].s));
        }
    }
}

/* ---- api and backend
 * ------------------------------------------------------------------------------- */

static void check_overlap(struct reader *r, const struct manifest *m, const struct texts *routes)
{
    for (size_t i = 0; i < routes->n; i++) {
        const struct text *route = &routes->items[i];
        struct slice api = m->api.s;
        if (!route->s.len || !api.len)
            continue;
        bool same = slice_eq(route->s, slice_first(api, api.len - 1)) && api.len > 1;
        if (!same && !slice_starts(route->s, api))
            continue;
        if (m->api.pos.line)
            report(r, route->pos,
                   "the backend route `%.*s` and `api: %.*s` (line %u) overlap; give "
                   "`api` a path of its own, such as /dais/",
                   SHOWN(route->s), SHOWN(api), m->api.pos.line);
        else
            report(r, route->pos,
                   "the backend route `%.*s` overlaps the API of dais at %.*s; set "
                   "`api:` to another path",
                   SHOWN(route->s), SHOWN(api));
    }
}

static bool is_within(struct slice path, struct slice folder)
{
    return slice_starts(path, folder) && (path.len == folder.len || path.ptr[folder.len] == '/');
}

/* One form for a path, so that two of them can be compared. */
static bool is_plain_path(struct slice path)
{
    struct slice part;
    bool fine = path.len && path.ptr[path.len - 1] != '/';
    while (fine && slice_cut(&path, '/', &part))
        fine = part.len && !slice_is(part, ".");
    return fine;
}

/* A manifest that is kept would win over that of every later release. */
static bool is_of_dais(struct slice path)
{
    return words_have("dais.yaml host.yaml .env .dais-release", path) ||
           is_within(path, SLICE(".dais"));
}

static void check_persist(struct reader *r, const struct manifest *m)
{
    const struct texts *all = &m->backend.persist;
    const struct slice root = m->web.root.s;
    for (size_t i = 0; i < all->n; i++) {
        const struct text *it = &all->items[i];
        if (it->s.len && !is_plain_path(it->s)) {
            report(r, it->pos,
                   "write `%.*s` as names with one `/` between them, such as data/files",
                   SHOWN(it->s));
            continue;
        }
        for (size_t j = 0; j < i && it->s.len; j++) {
            struct slice other = all->items[j].s;
            if (other.len && (is_within(it->s, other) || is_within(other, it->s)))
                report(r, it->pos,
                       "`%.*s` and `%.*s` (line %u) lie in one another; keep the outer one",
                       SHOWN(it->s), SHOWN(other), all->items[j].pos.line);
        }
        if (is_of_dais(it->s))
            report(r, it->pos,
                   "`%.*s` is read by dais and comes with each release; name what the backend "
                   "writes",
                   SHOWN(it->s));
        else if (it->s.len && root.len && is_within(root, it->s))
            report(r, it->pos,
                   "`%.*s` holds the site's own files (`web.root`); name what the "
                   "backend writes",
                   SHOWN(it->s));
        else if (it->s.len && root.len && is_within(it->s, root))
            problems_add(r->p, PROBLEM_WARNING, r->file, it->pos,
                         "`%.*s` lies in `web.root`, but what is kept elsewhere is not served as a "
                         "file; let the backend answer for it",
                         SHOWN(it->s));
    }
}

/* Of one that runs elsewhere dais knows the address only. */
static void check_elsewhere(struct reader *r, const struct backend_conf *b)
{
    const struct {
        const char *key;
        struct pos pos;
    } useless[] = {{"setup", b->setup.pos},
                   {"packages", b->packages.n ? b->packages.items[0].pos : (struct pos){0}},
                   {"persist", b->persist.n ? b->persist.items[0].pos : (struct pos){0}},
                   {"secrets", b->secrets.n ? b->secrets.items[0].pos : (struct pos){0}}};
    for (size_t i = 0; !b->run.pos.line && i < sizeof useless / sizeof *useless; i++) {
        if (useless[i].pos.line)
            problems_add(r->p, PROBLEM_WARNING, r->file, useless[i].pos,
                         "`%s` is for a backend that dais runs (`run`); with `url` it does nothing",
                         useless[i].key);
    }
}

static void check_backend(struct reader *r, struct manifest *m)
{
    const struct backend_conf *b = &m->backend;
    if (b->pos.line == 0)
        return;
    if (b->run.pos.line && b->url.pos.line)
        report(r, b->url.pos,
               "`backend` has both `run` (line %u) and `url`; keep `run` if dais starts "
               "it, `url` if something else does",
               b->run.pos.line);
    if (!b->run.pos.line && !b->url.pos.line)
        report(r, b->pos,
               "`backend` needs `run`, the command that starts it, or `url`, where it "
               "already runs");
    if (b->routes.n == 0 && b->static_first.n == 0)
        report(r, b->pos, "`backend` answers no path; list them in `routes`, such as [ /api/ ]");
    for (size_t i = 0; i < b->routes.n; i++)
        not_reserved(r, &b->routes.items[i]);
    check_overlap(r, m, &b->routes);
    check_overlap(r, m, &b->static_first);
    check_persist(r, m);
    manifest_check_paths(r, m);
    if (b->url.pos.line)
        check_elsewhere(r, b);
}

static void check_cors(struct reader *r, struct manifest *m)
{
    for (size_t i = 0; m->cors.credentials && i < m->cors.origins.n; i++) {
        if (slice_is(m->cors.origins.items[i].s, "*"))
            report(r, m->cors.origins.items[i].pos,
                   "`*` together with `credentials: true` would let "
                   "every site act as the person signed in; list the origins");
    }
}

/* ---- collections, jobs, publishing
 * ------------------------------------------------------------------- */

static void check_collections(struct reader *r, struct manifest *m)
{
    for (size_t i = 0; i < m->collections.n; i++) {
        const struct collection *c = &m->collections.items[i];
        if (words_have(RESERVED, c->name.s))
            report(r, c->name.pos,
                   "`%.*s` is a name of the API itself; choose another for the "
                   "collection",
                   SHOWN(c->name.s));
        if (has_bucket(m, c->name.s))
            report(r, c->name.pos, "`%.*s` is the name of a bucket in `files` too; choose another",
                   SHOWN(c->name.s));
        for (size_t j = 0; j < c->refs.n; j++)
            need_collection(r, m, &c->refs.items[j].to);
    }
}

bool secret_is_of_dais(struct slice name)
{
    return words_have(GIVEN, name) || slice_starts(name, SLICE("DAIS_"));
}

static void check_declared(struct reader *r, struct manifest *m)
{
    for (size_t i = 0; i < m->secrets.n; i++) {
        const struct text *it = &m->secrets.items[i];
        struct slice s = it->s;
        if (s.len && (s.ptr[s.len - 1] == '?' || s.ptr[s.len - 1] == '*'))
            s.len--;
        if (secret_is_of_dais(s))
            report(r, it->pos,
                   "`%.*s` belongs to dais, which keeps it or sets it itself; remove it from "
                   "`secrets`",
                   SHOWN(it->s));
    }
}

static void check_secrets(struct reader *r, const struct manifest *m, const struct texts *used)
{
    for (size_t i = 0; i < used->n; i++) {
        struct slice s = used->items[i].s;
        if (s.len && (s.ptr[s.len - 1] == '?' || s.ptr[s.len - 1] == '*'))
            s.len--;
        if (s.len && !secrets_cover(&m->secrets, s))
            report(r, used->items[i].pos, "`%.*s` is not in the app's `secrets`; add it there",
                   SHOWN(used->items[i].s));
    }
}

static void check_used_secrets(struct reader *r, struct manifest *m)
{
    for (size_t i = 0; i < m->jobs.n; i++)
        check_secrets(r, m, &m->jobs.items[i].secrets);
    check_secrets(r, m, &m->backend.secrets);
}

static void check_publish(struct reader *r, struct manifest *m)
{
    for (size_t i = 0; i < m->publish.n; i++) {
        need_collection(r, m, &m->publish.items[i].from);
        for (size_t j = 0; j < m->publish.items[i].closure.n; j++)
            need_collection(r, m, &m->publish.items[i].closure.items[j]);
    }
}

/* ---- $NAME in values
 * ------------------------------------------------------------------------------------ */

bool value_next_variable(struct slice *s, struct slice *ret)
{
    for (;;) {
        ptrdiff_t at = slice_index(*s, '$');
        if (at < 0)
            return false;
        *s = slice_skip(*s, (size_t)at + 1);
        if (s->len && s->ptr[0] == '$') {
            *s = slice_skip(*s, 1);
            continue;
        }
        if (s->len && s->ptr[0] == '{')
            *s = slice_skip(*s, 1);
        size_t n = 0;
        while (n < s->len && format_ok(FMT_VARIABLE, slice_first(*s, n + 1)))
            n++;
        *ret = slice_first(*s, n);
        *s = slice_skip(*s, n);
        if (n)
            return true;
    }
}

/* Text that is shown to people, in a terminal too. */
static void check_shown(struct reader *r, struct manifest *m)
{
    const struct {
        const char *key;
        const struct text *text;
    } shown[] = {{"title", &m->title}, {"description", &m->description}};
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        struct slice s = shown[i].text->s;
        size_t n = 0;
        while (n < s.len && (s.ptr[n] == '\n' || !utf8_is_control(slice_skip(s, n))))
            n++;
        if (n < s.len)
            report(r, shown[i].text->pos, "`%s` holds a control character; remove it",
                   shown[i].key);
    }
}

/* "${" without a name or its end would stay as it is. */
static void check_braces(struct reader *r, const struct text *value)
{
    struct slice rest = value->s;
    for (ptrdiff_t at; (at = slice_index(rest, '$')) >= 0;) {
        rest = slice_skip(rest, (size_t)at + 1);
        if (slice_starts(rest, SLICE("$"))) {
            rest = slice_skip(rest, 1);
        } else if (slice_starts(rest, SLICE("{"))) {
            ptrdiff_t end = slice_index(rest, '}');
            if (end < 0 ||
                !format_ok(FMT_VARIABLE, slice_skip(slice_first(rest, (size_t)end), 1))) {
                report(r, value->pos,
                       "`${` needs a name and a `}`, such as ${NAME}; write `$${` for the "
                       "characters themselves");
                return;
            }
        }
    }
}

static void check_values(struct reader *r, const struct manifest *m, const struct pairs *env)
{
    for (size_t i = 0; i < env->n; i++) {
        struct slice rest = env->items[i].value.s, name;
        check_braces(r, &env->items[i].value);
        while (value_next_variable(&rest, &name)) {
            if (!words_have(GIVEN, name) && !setting_is_known(name) &&
                !secrets_cover(&m->secrets, name))
                report(r, env->items[i].value.pos,
                       "`$%.*s` is neither a setting of dais nor one of "
                       "the app's `secrets`; add it there, or write `$$` for a dollar sign",
                       SHOWN(name));
        }
    }
}

/* What a page gets, everybody gets. */
static void check_public_values(struct reader *r, const struct pairs *env)
{
    for (size_t i = 0; i < env->n; i++) {
        struct slice rest = env->items[i].value.s, name;
        check_braces(r, &env->items[i].value);
        while (value_next_variable(&rest, &name)) {
            bool is_public = slice_starts(name, SLICE("PUBLIC_"));
            if (!is_public)
                report(r, env->items[i].value.pos,
                       "`$%.*s` would be shown to every visitor; only "
                       "names that start with PUBLIC_ can be used in `web.env`",
                       SHOWN(name));
        }
    }
}

static void check_env(struct reader *r, struct manifest *m)
{
    check_public_values(r, &m->web.env.values);
    check_values(r, m, &m->backend.env);
    for (size_t i = 0; i < m->jobs.n; i++)
        check_values(r, m, &m->jobs.items[i].env);
    for (size_t i = 0; i < m->jobs.n; i++)
        check_values(r, m, &m->jobs.items[i].with);
    for (size_t i = 0; i < m->deploy.n; i++)
        check_values(r, m, &m->deploy.items[i].env);
}

static void check_deploy(struct reader *r, struct manifest *m)
{
    for (size_t i = 0; i < m->deploy.n; i++) {
        if (words_have(DEPLOY_VERBS, m->deploy.items[i].name.s))
            report(r, m->deploy.items[i].name.pos,
                   "a target cannot be called `%.*s`, because `dais "
                   "deploy %.*s` is a command; choose another name",
                   SHOWN(m->deploy.items[i].name.s), SHOWN(m->deploy.items[i].name.s));
    }
}

static void check_tls(struct reader *r, struct manifest *m)
{
    if (m->tls.pos.line && m->hosts.n == 0)
        report(r, m->tls.pos, "`tls` is for the app's own host names; list them in `hosts`");
}

static void check_auth(struct reader *r, struct manifest *m)
{
    const struct auth_conf *auth = &m->auth;
    bool has_password = false;
    for (size_t i = 0; i < auth->methods.n; i++)
        has_password |= slice_is(auth->methods.items[i].s, "password");
    if (!auth->pos.line)
        return;
    if (slice_is(auth->signup.s, "invite"))
        report(r, auth->signup.pos,
               "`signup: invite` comes with a later version; write `closed`, and make accounts "
               "with `dais user add`");
    if (!auth->methods.n)
        report(r, auth->pos, "`methods` is empty, so nobody could sign in; write [ password ]");
    else if (slice_is(auth->signup.s, "open") && !has_password)
        report(r, auth->signup.pos,
               "`signup: open` needs `password` among `methods`: a link is sent to those who have "
               "an account already");
}

bool manifest_keeps_something(const struct manifest *m)
{
    return m->collections.n || m->files.n || m->jobs.n || m->auth.pos.line;
}

static void check_kept(struct reader *r, const struct manifest *m)
{
    const struct texts *persist = &m->backend.persist;
    if (!manifest_keeps_something(m))
        problems_add(r->p, PROBLEM_WARNING, r->file, m->backups.pos,
                     "there is nothing to back up yet: the app has no collections, files, jobs or "
                     "accounts%s",
                     persist->n ? ", and paths of `persist` are not in backups yet; copy them "
                                  "yourself"
                                : "");
    else if (persist->n)
        problems_add(r->p, PROBLEM_WARNING, r->file, persist->items[0].pos,
                     "paths of `persist` are not in backups yet; copy them yourself");
}

static void check_backups(struct reader *r, struct manifest *m)
{
    const struct backups_conf *b = &m->backups;
    if (!b->pos.line)
        return;
    if (slice_search(b->to.s, SLICE("://")) >= 0)
        report(r, b->to.pos,
               "backups go into a folder; an object store as their place comes with a later "
               "version of dais");
    if (slice_starts(b->to.s, SLICE("~")) || slice_search(b->to.s, SLICE("$")) >= 0)
        report(r, b->to.pos,
               "`%c` is not replaced here; write the whole path, such as /var/backups, or one in "
               "the data folder, such as data/backups",
               b->to.s.ptr[0] == '~' ? '~' : '$');
    for (size_t i = 0; i < m->jobs.n && !slice_is(b->schedule.s, "off"); i++) {
        const struct job *job = &m->jobs.items[i];
        if (slice_is(job->name.s, BACKUPS_JOB) && !slice_is(job->use.s, "backup.run"))
            report(r, job->name.pos,
                   "the job `backups` is the one that `backups` (line %u) makes; give this one "
                   "another name",
                   b->pos.line);
    }
    check_kept(r, m);
}

void manifest_check(struct reader *r, struct manifest *m)
{
    static void (*const checks[])(struct reader *, struct manifest *) = {
        check_web,
        check_backend,
        check_cors,
        check_collections,
        manifest_check_jobs,
        check_used_secrets,
        check_publish,
        check_env,
        check_deploy,
        check_tls,
        check_shown,
        check_declared,
        manifest_check_access,
        check_auth,
        check_backups,
    };
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        checks[i](r, m);
}
