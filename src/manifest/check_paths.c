/* The backend's paths and address: what could be read but would never match, or never answer. */
#include "manifest/check_impl.h"
#include "manifest/tables_impl.h"

#include <arpa/inet.h>
#include <string.h>

#define report(r, at, ...) problems_add((r)->p, PROBLEM_ERROR, (r)->file, (at), __VA_ARGS__)

/* ---- paths ----------------------------------------------------------------------------------- */

/* Here a path is the start of others already. A `*` would be taken literally, and an access rule
 * that nothing meets leaves its paths open. */
static void check_start(struct reader *r, const struct text *path)
{
    struct slice s = path->s;
    size_t n = s.len;
    while (n > 1 && s.ptr[n - 1] == '*')
        n--;
    if (slice_index(s, '*') >= 0)
        report(r, path->pos,
               "`%.*s` is compared as it is written, with its `*`; `%.*s` stands for all below it "
               "already",
               SHOWN(s), SHOWN(slice_first(s, n)));
    else if (slice_search(s, SLICE("/./")) >= 0 || slice_ends(s, SLICE("/.")))
        report(r, path->pos, "requests never hold `/./`; remove it from `%.*s`", SHOWN(s));
    else
        check_no_escape(r, path);
}

static void check_starts(struct reader *r, const struct texts *paths)
{
    for (size_t i = 0; i < paths->n; i++)
        check_start(r, &paths->items[i]);
}

/* As proxies compare: whole names, and `/a` is `/a/` too. Access rules have no case. */
static bool begins(struct slice path, struct slice start)
{
    if (path.len + 1 == start.len && start.ptr[path.len] == '/')
        start.len--;
    if (path.len < start.len || !slice_eq_nocase(slice_first(path, start.len), start))
        return false;
    return path.len == start.len || start.ptr[start.len - 1] == '/' || path.ptr[start.len] == '/';
}

static bool meets(struct slice path, const struct texts *routes)
{
    ptrdiff_t mark = slice_index(path, '{'); /* {user.id}: whatever name stands there */
    if (mark > 0)
        path = slice_first(path, (size_t)mark);
    for (size_t i = 0; i < routes->n; i++) {
        struct slice route = routes->items[i].s;
        if (!route.len || begins(path, route) || begins(route, path))
            return true;
    }
    return false;
}

static bool is_answered(const struct backend_conf *b, struct slice path)
{
    return !path.len || meets(path, &b->routes) || meets(path, &b->static_first);
}

/* A rule that guards nothing is a mistake that looks like safety. */
static void check_rules(struct reader *r, const struct backend_conf *b)
{
    for (size_t i = 0; i < b->access.n; i++) {
        const struct text *path = &b->access.items[i].prefix;
        check_start(r, path);
        if (!is_answered(b, path->s))
            report(r, path->pos,
                   "`%.*s` guards nothing: none of `routes` and `static_first` is there, and files "
                   "have no rules",
                   SHOWN(path->s));
    }
    for (size_t i = 0; i < b->bounds.n; i++) {
        const struct text *path = &b->bounds.items[i].prefix;
        check_start(r, path);
        if (!is_answered(b, path->s))
            problems_add(r->p, PROBLEM_WARNING, r->file, path->pos,
                         "`%.*s` bounds nothing: none of `routes` and `static_first` is there",
                         SHOWN(path->s));
    }
}

static void check_limits(struct reader *r, const struct manifest *m)
{
    for (size_t i = 0; i < m->limits.n; i++) {
        struct text route = m->limits.items[i].route;
        ptrdiff_t space = slice_index(route.s, ' ');
        if (space < 0)
            continue;
        route.s = slice_skip(route.s, (size_t)space + 1);
        check_start(r, &route);
    }
}

/* ---- where it is ----------------------------------------------------------------------------- */

static bool is_ip(struct slice host)
{
    unsigned char ignored[16];
    char text[INET6_ADDRSTRLEN];
    bool is_v6 = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (is_v6)
        host = slice_first(slice_skip(host, 1), host.len - 2);
    if (!host.len || host.len >= sizeof text)
        return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    return inet_pton(is_v6 ? AF_INET6 : AF_INET, text, ignored) == 1;
}

static void check_url(struct reader *r, const struct text *url)
{
    if (!url->s.len)
        return;
    if (!slice_starts(url->s, SLICE("http://"))) {
        report(r, url->pos,
               "dais speaks plain HTTP to backends, so `url` starts with http://; "
               "one that is further away needs a tunnel or a program of its own in front");
        return;
    }
    struct slice host = slice_skip(url->s, 7);
    if (host.len && host.ptr[host.len - 1] == '/')
        host.len--;
    for (size_t i = 0; i < host.len; i++) {
        if (strchr("/?#", host.ptr[i])) {
            report(r, url->pos,
                   "`url` ends with the port; remove `%.*s`: paths are passed on as they are",
                   SHOWN(slice_skip(host, i)));
            return;
        }
    }
    ptrdiff_t colon = slice_rindex(host, ':');
    if (colon > slice_rindex(host, ']'))
        host.len = (size_t)colon;
    if (!slice_is(host, "localhost") && !is_ip(host))
        report(r, url->pos,
               "`%.*s` is a name, and dais asks no name server; write the IP address, such as "
               "127.0.0.1 or [::1], or localhost",
               SHOWN(host));
}

/* dais asks at the one it chose. */
static void check_port(struct reader *r, const struct backend_conf *b)
{
    for (size_t i = 0; i < b->env.n; i++) {
        const struct text *key = &b->env.items[i].key;
        if (words_have("PORT DAIS_SOCKET", key->s))
            report(
                r, key->pos,
                "`%.*s` is chosen by dais, which asks there and nowhere else; remove it from `env`",
                SHOWN(key->s));
    }
}

void manifest_check_paths(struct reader *r, const struct manifest *m)
{
    const struct backend_conf *b = &m->backend;
    check_url(r, &b->url);
    check_starts(r, &b->routes);
    check_starts(r, &b->static_first);
    check_starts(r, &b->strip);
    check_starts(r, &b->health.deep);
    check_start(r, &b->health.path);
    check_rules(r, b);
    check_port(r, b);
    check_limits(r, m);
}
