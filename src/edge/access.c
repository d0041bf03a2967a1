/* Who may use which paths of the backend: backend.access, by prefix and by reading or writing.
 *
 * There are no accounts yet, so everybody is signed out: what is not public is denied. */
#include "edge/edge_impl.h"

bool edge_is_reading(enum http_method m)
{
    return m == METHOD_GET || m == METHOD_HEAD || m == METHOD_OPTIONS;
}

/* To many frameworks "/api" and "/api/" are one. */
static bool is_its_folder(struct slice path, struct slice prefix)
{
    return prefix.len == path.len + 1 && slice_starts(prefix, path) &&
           slice_ends(prefix, SLICE("/"));
}

struct slice access_rule(const struct backend_conf *conf, struct slice path, enum http_method m)
{
    const struct access_row *best = NULL;
    for (size_t i = 0; i < conf->access.n; i++) {
        const struct access_row *row = &conf->access.items[i];
        bool is_it = edge_is_below(path, row->prefix.s) || is_its_folder(path, row->prefix.s);
        if (is_it && (!best || row->prefix.s.len > best->prefix.s.len))
            best = row;
    }
    if (!best)
        return SLICE("public");
    struct slice rule = edge_is_reading(m) ? best->read.s : best->write.s;
    if (!rule.len)
        rule = best->any.s;
    return rule.len ? rule : SLICE("public");
}

bool access_check(const struct req *rq, const struct backend_conf *conf, struct err *e)
{
    struct slice rule = access_rule(conf, rq->path, rq->method);
    if (slice_is(rule, "public"))
        return true;
    if (slice_is(rule, "nobody"))
        return err_set(e, ERR_FORBIDDEN, "Nobody may do this.");
    return err_set(e, ERR_UNAUTHENTICATED, "Sign in first.");
}
