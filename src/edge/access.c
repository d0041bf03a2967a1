/* Who may use which paths of the backend: backend.access, by prefix and by reading or writing.
 *
 * The longest prefix decides; what it does not say, the next shorter one does, and at last all is
 * public. A request has to pass for the path as it is and for every way a lax framework may read
 * it (path_lax), so that no spelling gets around a rule. */
#include "edge/edge_impl.h"

bool edge_is_reading(enum http_method m)
{
    return m == METHOD_GET || m == METHOD_HEAD || m == METHOD_OPTIONS;
}

/* ---- one rule -------------------------------------------------------------------------------- */

static bool is_met(struct slice rule, const struct identity *who)
{
    if (slice_is(rule, "signed_in"))
        return who->is_signed_in;
    if (slice_is(rule, "operator"))
        return who->is_operator;
    if (slice_starts(rule, SLICE("role:")))
        return identity_has_role(who, slice_skip(rule, 5));
    if (slice_starts(rule, SLICE("scope:")))
        return identity_has_scope(who, slice_skip(rule, 6));
    return false; /* nothing else passes the check of the manifest */
}

/* What a key may is less than what its account may. */
static bool lets_key(const struct identity *who, bool is_reading, struct err *e)
{
    const char *needed = is_reading ? "read" : "write";
    return identity_has_scope(who, slice_from(needed)) ||
           err_set(e, ERR_FORBIDDEN, "This key lacks the scope `%s`.", needed);
}

static bool judge(struct req *rq, struct slice rule, bool is_reading, struct err *e)
{
    if (slice_is(rule, "public"))
        return true;
    if (slice_is(rule, "nobody"))
        return err_set(e, ERR_FORBIDDEN, "Nobody may do this.");
    const struct identity *who = req_identity(rq, e);
    if (!who)
        return false;
    if (!who->is_signed_in)
        return err_set(e, ERR_UNAUTHENTICATED, "Sign in first.");
    if (!is_met(rule, who))
        return err_set(e, ERR_FORBIDDEN, "Your account may not do this.");
    return slice_starts(rule, SLICE("scope:")) || lets_key(who, is_reading, e);
}

/* ---- the rules that hold for a path ---------------------------------------------------------- */

/* The rows of backend.access as they are for this request. */
struct rows {
    const struct access_row *items;
    struct slice *prefixes; /* with the caller's id in them; empty: of nobody here */
    size_t n;
};

static struct slice rule_of(const struct access_row *row, bool is_reading)
{
    const struct text *own = is_reading ? &row->read : &row->write;
    return own->s.len ? own->s : row->any.s;
}

/* The longest prefix below `limit` that covers the path; 0: none does. */
static size_t longest_below(const struct rows *rows, struct slice path, size_t limit)
{
    size_t longest = 0;
    for (size_t i = 0; i < rows->n; i++) {
        size_t n = rows->prefixes[i].len;
        if (n > longest && n < limit && path_is_below(path, rows->prefixes[i]))
            longest = n;
    }
    return longest;
}

/* Two rows of one length meet in the folder of an account that is called like a folder with a rule
 * of its own, or where case is all that parts them: both must agree. */
static bool judge_path(struct req *rq, const struct rows *rows, struct slice path, bool is_reading,
                       struct err *e)
{
    size_t n = SIZE_MAX;
    while ((n = longest_below(rows, path, n)) > 0) {
        bool is_said = false;
        for (size_t i = 0; i < rows->n; i++) {
            struct slice rule = rule_of(&rows->items[i], is_reading);
            if (rows->prefixes[i].len != n || !rule.len || !path_is_below(path, rows->prefixes[i]))
                continue;
            is_said = true;
            if (!judge(rq, rule, is_reading, e))
                return false;
        }
        if (is_said)
            return true;
    }
    return true;
}

/* ---- a request ------------------------------------------------------------------------------- */

/* A method that we do not know, or another one asked for in a header: a framework may take it for
 * either. */
static bool may_be_either(const struct req *rq)
{
    struct slice ignored;
    uint32_t at = 0;
    return rq->method == METHOD_OTHER || h1_next_override(rq->h1, &at, &ignored);
}

bool edge_scope_covers(const struct req *rq, const struct identity *who)
{
    bool is_reading = edge_is_reading(rq->method), is_either = may_be_either(rq);
    return (!(is_reading || is_either) || identity_has_scope(who, SLICE("read"))) &&
           (!(!is_reading || is_either) || identity_has_scope(who, SLICE("write")));
}

static bool judge_form(struct req *rq, const struct rows *rows, struct slice path, struct err *e)
{
    bool is_reading = edge_is_reading(rq->method);
    return judge_path(rq, rows, path, is_reading, e) &&
           (!may_be_either(rq) || judge_path(rq, rows, path, !is_reading, e));
}

/* "/users/{user.id}/" is "/users/u_1/" for u_1, and no path at all for who has no safe id. */
static bool prefix_of(struct req *rq, struct slice prefix, struct slice *ret, struct err *e)
{
    static const char mark[] = "{user.id}";
    ptrdiff_t at = slice_search(prefix, slice_from(mark));
    *ret = prefix;
    if (at < 0)
        return true;
    const struct identity *who = req_identity(rq, e);
    if (!who)
        return false;
    struct slice before = slice_first(prefix, (size_t)at);
    struct slice after = slice_skip(prefix, (size_t)at + sizeof mark - 1);
    *ret = (struct slice){0};
    if (who->is_signed_in && identity_id_is_safe(who->id))
        *ret = arena_printf(rq->arena, "%.*s%.*s%.*s", SLICE_ARGS(before), SLICE_ARGS(who->id),
                            SLICE_ARGS(after));
    return true;
}

bool access_check(struct req *rq, const struct backend_conf *conf, struct err *e)
{
    struct rows rows = {.items = conf->access.items, .n = conf->access.n};
    if (!rows.n)
        return true;
    rows.prefixes = arena_alloc(rq->arena, rows.n * sizeof *rows.prefixes);
    for (size_t i = 0; i < rows.n; i++) {
        if (!prefix_of(rq, rows.items[i].prefix.s, &rows.prefixes[i], e))
            return false;
    }
    if (!judge_form(rq, &rows, rq->path, e))
        return false;
    for (size_t i = 0; i < rows.n; i++) {
        if (rows.prefixes[i].len)
            rows.prefixes[i] = path_lax(rows.prefixes[i], 0, rq->arena);
    }
    for (unsigned how = 0; how < path_ways(rq->path); how++) {
        if (!judge_form(rq, &rows, path_lax(rq->path, how, rq->arena), e))
            return false;
    }
    return true;
}
