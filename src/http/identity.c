/* Who asks: found once per request by the app's source, kept for whoever wants to know next. */
#include "http/http.h"

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
    struct identity *found = arena_new(rq->arena, struct identity);
    if (rq->identities && !rq->identities->find(rq->identities, rq, found, e))
        return NULL;
    rq->identity = found;
    return found;
}

/* "http://a.example:81" is of this origin when Host says a.example:81; "null" is of none. */
static bool is_own_origin(const struct req *rq, struct slice origin)
{
    ptrdiff_t scheme = slice_search(origin, SLICE("://"));
    return scheme > 0 && slice_eq_nocase(slice_skip(origin, (size_t)scheme + 3), rq->h1->host);
}

bool req_is_cross_site(const struct req *rq)
{
    bool is_reading =
        rq->method == METHOD_GET || rq->method == METHOD_HEAD || rq->method == METHOD_OPTIONS;
    if (is_reading && !rq->h1->upgrade) /* what it reads, browsers do not show to another site */
        return false;
    struct slice site = h1_get(rq->h1, HEADER_SEC_FETCH_SITE);
    struct slice origin = h1_get(rq->h1, HEADER_ORIGIN);
    if (site.ptr)
        return !slice_is(site, "same-origin") && !slice_is(site, "none");
    return origin.ptr && !is_own_origin(rq, origin);
}
