/* Who asks: found once per request by the app's source, kept for whoever wants to know next. */
#include "http/http_impl.h"

static bool has(const struct slice *items, size_t n, struct slice wanted)
{
    for (size_t i = 0; i < n; i++) {
        if (slice_eq(items[i], wanted))
            return true;
    }
    return false;
}

bool identity_has_role(const struct identity *who, struct slice role)
{
    return who->is_signed_in && has(who->roles, who->n_roles, role);
}

bool identity_has_scope(const struct identity *who, struct slice scope)
{
    return who->is_signed_in && (who->has_every_scope || has(who->scopes, who->n_scopes, scope));
}

const struct identity *req_identity(struct req *rq, struct err *e)
{
    if (rq->identity)
        return rq->identity;
    if (rq->identity_error) {
        *e = *rq->identity_error;
        return NULL;
    }
    struct identity *found = arena_new(rq->arena, struct identity);
    struct err why;
    if (!rq->identities || rq->identities->find(rq->identities, rq, found, &why) == FOUND) {
        rq->identity = found;
        return found;
    }
    identity_refuse(rq, &why);
    *e = why;
    return NULL;
}

void identity_refuse(struct req *rq, const struct err *e)
{
    struct err *kept = arena_new(rq->arena, struct err);
    *kept = *e;
    rq->identity_error = kept;
}

bool identity_ask(struct req *rq)
{
    struct err e;
    struct identity *found = arena_new(rq->arena, struct identity);
    rq->can_wait_for_identity = true;
    enum identity_found how = rq->identities->find(rq->identities, rq, found, &e);
    rq->can_wait_for_identity = false;
    if (how == FOUND)
        rq->identity = found;
    else if (how == FOUND_BAD)
        identity_refuse(rq, &e);
    return how != FOUND_LATER;
}

void session_watch(struct req *rq, struct session_watch *w)
{
    struct identity_source *s = rq->identities;
    w->home = rq->loop;
    w->at = NULL;
    if (s && s->watch && rq->identity && rq->identity->is_signed_in)
        s->watch(s, rq->identity, w);
}

void session_unwatch(struct req *rq, struct session_watch *w)
{
    if (w->at)
        rq->identities->unwatch(rq->identities, w);
}

/* "http://a.example:81" is of this origin when Host says a.example:81; "null" is of none. */
static bool is_own_origin(const struct req *rq, struct slice origin)
{
    ptrdiff_t scheme = slice_search(origin, SLICE("://"));
    return scheme > 0 && slice_eq_nocase(slice_skip(origin, (size_t)scheme + 3), rq->h1->host);
}

static bool may_change(const struct req *rq)
{
    bool is_reading =
        rq->method == METHOD_GET || rq->method == METHOD_HEAD || rq->method == METHOD_OPTIONS;
    return !is_reading || rq->h1->upgrade; /* what it reads, browsers do not show to another site */
}

bool req_is_cross_site(const struct req *rq)
{
    if (!may_change(rq))
        return false;
    struct slice site = h1_get(rq->h1, HEADER_SEC_FETCH_SITE);
    struct slice origin = h1_get(rq->h1, HEADER_ORIGIN);
    if (site.ptr)
        return !slice_is(site, "same-origin") && !slice_is(site, "none");
    return origin.ptr && !is_own_origin(rq, origin);
}

bool req_is_own_doing(const struct req *rq)
{
    bool says_so = h1_get(rq->h1, HEADER_SEC_FETCH_SITE).ptr || h1_get(rq->h1, HEADER_ORIGIN).ptr;
    return !may_change(rq) || (says_so && !req_is_cross_site(rq));
}
