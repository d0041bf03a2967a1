/* Who asks, for apps without accounts: whoever sits at this machine is the user `local`. */
#include "app/app_impl.h"

/* ---- is it this machine? --------------------------------------------------------------------- */

static bool host_is_local(struct slice host)
{
    const struct slice tail = SLICE(".localhost");
    struct ip ip;
    if (slice_eq_nocase(host, slice_skip(tail, 1)))
        return true;
    if (host.len > tail.len && slice_eq_nocase(slice_skip(host, host.len - tail.len), tail))
        return true;
    if (host.len > 2 && host.ptr[0] == '[')
        host = slice_first(slice_skip(host, 1), host.len - 2);
    return ip_parse(&ip, host) && ip_is_loopback(&ip);
}

/* Any header that some proxy writes to say for whom it asks. */
static bool is_forwarded(const struct h1_request *h1)
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

/* ---- the sources ----------------------------------------------------------------------------- */

static enum identity_found find_local(struct identity_source *s, struct req *rq,
                                      struct identity *ret, struct err *e)
{
    (void)e;
    if (is_local(rq))
        *ret = container_of(s, struct local_source, source)->who;
    return FOUND;
}

/* Accounts come later: until then nobody can sign in. */
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
    struct slice *roles = arena_alloc(&h->arena, auth->roles.n * sizeof *roles);
    for (size_t i = 0; i < auth->roles.n; i++)
        roles[i] = auth->roles.items[i].s;
    app->local = (struct local_source){
        .source.find = find_local,
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
    app->identities = given ? given : app_has_accounts(app) ? &nobody : &app->local.source;
}
