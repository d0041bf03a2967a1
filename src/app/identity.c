/* Who asks, for apps without accounts, or without them at this machine: whoever sits there is the
 * user `local`. Others have accounts (`auth: { local: none }`), or no business here. */
#include "app/app_impl.h"

/* ---- is it this machine? --------------------------------------------------------------------- */

bool host_is_address(struct slice host, struct ip *ret)
{
    if (host.len > 2 && host.ptr[0] == '[')
        host = slice_first(slice_skip(host, 1), host.len - 2);
    return ip_parse(ret, host);
}

bool host_is_local(struct slice host)
{
    const struct slice tail = SLICE(".localhost");
    struct ip ip;
    if (slice_eq_nocase(host, slice_skip(tail, 1)))
        return true;
    if (host.len > tail.len && slice_eq_nocase(slice_skip(host, host.len - tail.len), tail))
        return true;
    return host_is_address(host, &ip) && ip_is_loopback(&ip);
}

bool is_forwarded(const struct h1_request *h1)
{
    for (uint32_t i = 0; i < h1->n_headers; i++) {
        struct slice name = h1->headers[i].name;
        if (header_is_claim(name) || slice_eq_nocase(name, SLICE("via")) ||
            slice_starts_nocase(name, SLICE("x_forwarded")))
            return true;
    }
    return false;
}

/* The address alone proves nothing: a browser on this machine also runs other people's pages, and a
 * proxy on it brings other people's requests.
 *   Host       A page at evil.example whose name is made to resolve to 127.0.0.1 (DNS rebinding)
 *              is same-origin with us for the browser, but its requests still name evil.example.
 *   cross-site A page of another site can post here; what it posts is not the visitor's word.
 *   forwarded  A proxy says for whom it asks, or, with nothing configured, speaks HTTP/1.0. */
static bool is_local(const struct req *rq)
{
    return rq->is_peer_loopback && rq->h1->minor > 0 && host_is_local(rq->host) &&
           !is_forwarded(rq->h1) && !req_is_cross_site(rq);
}

/* ---- does it matter? ------------------------------------------------------------------------- */

static bool is_for_all(const struct text *rule)
{
    return !rule->s.len || slice_is(rule->s, "public") || slice_is(rule->s, "nobody");
}

static bool are_for_all(const struct rules *r)
{
    return is_for_all(&r->read) && is_for_all(&r->create) && is_for_all(&r->write) &&
           is_for_all(&r->del) && is_for_all(&r->run);
}

static bool bucket_asks_who(const struct bucket *b)
{
    return b->owner || slice_is(b->scope.s, "user") || slice_is(b->visibility.s, "choice") ||
           !are_for_all(&b->rules);
}

/* Where nothing depends on who asks, there is nobody to be taken for. */
static bool asks_who(const struct manifest *m)
{
    bool asks = m->backend.identity.header.s.len > 0;
    for (size_t i = 0; i < m->collections.n; i++)
        asks |= m->collections.items[i].owner || !are_for_all(&m->collections.items[i].rules);
    for (size_t i = 0; i < m->files.n; i++)
        asks |= bucket_asks_who(&m->files.items[i]);
    for (size_t i = 0; i < m->backend.access.n; i++) {
        const struct access_row *row = &m->backend.access.items[i];
        asks |= !is_for_all(&row->any) || !is_for_all(&row->read) || !is_for_all(&row->write);
    }
    return asks;
}

static struct listener *open_to_others(const struct life *l)
{
    for (size_t i = 0; i < l->n_listeners; i++) {
        struct address at;
        listener_address(l->listeners[i], &at);
        if (!address_is_loopback(&at))
            return l->listeners[i];
    }
    return NULL;
}

bool identity_is_safe(const struct host *h, const struct life *l, struct err *e)
{
    char text[ADDRESS_TEXT_LEN];
    struct address at;
    struct listener *open = open_to_others(l);
    for (size_t i = 0; open && i < h->n_apps; i++) {
        const struct app *app = &h->apps[i];
        if (app->identities != &app->local.source || app_has_accounts(app) || !app->local.asks)
            continue;
        listener_address(open, &at);
        address_text(&at, text);
        return err_set(e, ERR_MANIFEST,
                       "%.*s has no `auth:`, so it takes everybody for its user `local`, and %s is "
                       "open to others; give it `auth: { local: none }` and accounts, or listen at "
                       "127.0.0.1",
                       SLICE_ARGS(app->manifest->slug.s), text);
    }
    return true;
}

/* ---- the sources ----------------------------------------------------------------------------- */

static enum identity_found find_local(struct identity_source *s, struct req *rq,
                                      struct identity *ret, struct err *e)
{
    const struct local_source *l = container_of(s, struct local_source, source);
    if (is_local(rq)) {
        *ret = l->who;
        return FOUND;
    }
    if (l->accounts)
        return l->accounts->find(l->accounts, rq, ret, e);
    if (!l->asks)
        return FOUND;
    err_set(e, ERR_FORBIDDEN,
            "This app has no accounts: it only answers this machine itself, at localhost, and "
            "neither a proxy nor a page of another site.");
    return FOUND_BAD;
}

static void watch_local(struct identity_source *s, const struct identity *who,
                        struct session_watch *w)
{
    const struct local_source *l = container_of(s, struct local_source, source);
    if (!who->is_local)
        l->accounts->watch(l->accounts, who, w);
}

static void unwatch_local(struct identity_source *s, struct session_watch *w)
{
    const struct local_source *l = container_of(s, struct local_source, source);
    l->accounts->unwatch(l->accounts, w);
}

/* Of accounts that were not opened, as in a command. */
static enum identity_found find_nobody(struct identity_source *s, struct req *rq,
                                       struct identity *ret, struct err *e)
{
    (void)s, (void)rq, (void)ret, (void)e;
    return FOUND;
}

void identity_open(struct host *h, struct app *app, struct identity_source *given)
{
    static struct identity_source nobody = {.find = find_nobody};
    const struct auth_conf *auth = &app->manifest->auth;
    bool is_local_first = !auth->pos.line || slice_is(auth->local.s, "none");
    struct slice *roles = arena_alloc(&h->arena, auth->roles.n * sizeof *roles);
    for (size_t i = 0; i < auth->roles.n; i++)
        roles[i] = auth->roles.items[i].s;
    app->local = (struct local_source){
        .source = {.find = find_local, .watch = watch_local, .unwatch = unwatch_local},
        .asks = asks_who(app->manifest),
        .who = {.is_signed_in = true,
                .is_operator = true,
                .is_local = true,
                .has_every_scope = true,
                .id = SLICE("local"),
                .email = SLICE(""),
                .name = SLICE("local"),
                .roles = roles,
                .n_roles = auth->roles.n},
    };
    app->is_given = given != NULL;
    app->identities = given ? given : is_local_first ? &app->local.source : &nobody;
}
