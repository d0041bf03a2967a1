/* What rules, identity headers and limits say: words and placeholders that must be known. */
#include "manifest/check_impl.h"
#include "manifest/tables_impl.h"

#include <string.h>

#define report(r, at, ...) problems_add((r)->p, PROBLEM_ERROR, (r)->file, (at), __VA_ARGS__)

#define RULE_WORDS "public signed_in operator nobody"
#define USER_WORDS "{user.id} {user.email} {user.name} {user.roles} {jwt}"
/* What the proxy sets itself, and what the connection is made of. */
#define PROXY_HEADERS                                                                        \
    "connection content-length cookie expect forwarded host keep-alive proxy-connection te " \
    "trailer "                                                                               \
    "transfer-encoding upgrade x-forwarded-for x-forwarded-host x-forwarded-prefix "         \
    "x-forwarded-proto x-real-ip x-request-id"

/* ---- backend.access -------------------------------------------------------------------------- */

static bool has_role(const struct manifest *m, struct slice role)
{
    for (size_t i = 0; i < m->auth.roles.n; i++) {
        if (slice_eq(m->auth.roles.items[i].s, role))
            return true;
    }
    return false;
}

static void check_rule(struct reader *r, const struct manifest *m, const struct text *rule)
{
    struct slice s = rule->s;
    if (!s.len || words_have(RULE_WORDS, s))
        return;
    if (slice_starts(s, SLICE("role:"))) {
        struct slice role = slice_skip(s, 5);
        if (!has_role(m, role))
            report(r, rule->pos, "there is no role `%.*s`; add it to `auth.roles`", SHOWN(role));
        return;
    }
    if (!slice_starts(s, SLICE("scope:")) || !format_ok(FMT_NAME, slice_skip(s, 6)))
        report(r, rule->pos,
               "`%.*s` is no rule for paths of a backend; write public, signed_in, operator, "
               "role:NAME, scope:NAME or nobody",
               SHOWN(s));
}

/* "{user.id}" may stand for a whole name between slashes, once. */
static void check_prefix(struct reader *r, const struct text *prefix)
{
    static const char mark[] = "/{user.id}";
    struct slice rest = prefix->s;
    ptrdiff_t at = slice_search(rest, slice_from(mark));
    if (at >= 0) {
        rest = slice_skip(rest, (size_t)at + sizeof mark - 1);
        if (rest.len && rest.ptr[0] != '/')
            at = -1;
    }
    bool is_fine = at >= 0 ? slice_index(rest, '{') < 0 && slice_index(rest, '}') < 0
                           : slice_index(prefix->s, '{') < 0 && slice_index(prefix->s, '}') < 0;
    if (!is_fine)
        report(r, prefix->pos,
               "in `%.*s` braces must be one `{user.id}` between slashes, such as "
               "/users/{user.id}/",
               SHOWN(prefix->s));
}

static void check_rows(struct reader *r, const struct manifest *m)
{
    for (size_t i = 0; i < m->backend.access.n; i++) {
        const struct access_row *row = &m->backend.access.items[i];
        check_prefix(r, &row->prefix);
        check_rule(r, m, &row->any);
        check_rule(r, m, &row->read);
        check_rule(r, m, &row->write);
    }
}

/* ---- backend.identity ------------------------------------------------------------------------ */

static void check_value(struct reader *r, const struct text *value)
{
    struct slice rest = value->s;
    for (ptrdiff_t open; (open = slice_index(rest, '{')) >= 0;) {
        rest = slice_skip(rest, (size_t)open);
        ptrdiff_t shut = slice_index(rest, '}');
        struct slice name = slice_first(rest, shut < 0 ? rest.len : (size_t)shut + 1);
        if (!words_have(USER_WORDS, name)) {
            report(r, value->pos, "`%.*s` is unknown here; what is replaced is %s", SHOWN(name),
                   USER_WORDS);
            return;
        }
        if (slice_is(name, "{user.name}") && !slice_eq(name, value->s))
            report(r, value->pos,
                   "people choose their names themselves, so `{user.name}` must be the whole "
                   "`value`; use {user.id}, or {jwt}");
        rest = slice_skip(rest, name.len);
    }
}

static void check_identity(struct reader *r, const struct identity_conf *id)
{
    const char *words = PROXY_HEADERS;
    if (!id->pos.line)
        return;
    for (struct slice word; words_next(&words, &word);) {
        if (slice_eq_nocase(word, id->header.s))
            report(r, id->header.pos, "dais sets `%.*s` itself; choose another header",
                   SHOWN(id->header.s));
    }
    check_value(r, &id->value);
}

/* ---- limits ---------------------------------------------------------------------------------- */

#define LATER_LIMITS "publish"

static void check_limits(struct reader *r, const struct manifest *m)
{
    for (size_t i = 0; i < m->limits.n; i++) {
        const struct text *route = &m->limits.items[i].route;
        if (slice_index(route->s, ' ') >= 0)
            continue;
        if (words_have(LATER_LIMITS, route->s))
            problems_add(r->p, PROBLEM_WARNING, r->file, route->pos,
                         "`%.*s` is checked but not served yet by this version", SHOWN(route->s));
        else if (!m->auth.pos.line)
            problems_add(r->p, PROBLEM_WARNING, r->file, route->pos,
                         "`%.*s` counts nothing here: the app has no accounts (`auth`)",
                         SHOWN(route->s));
    }
}

void manifest_check_access(struct reader *r, struct manifest *m)
{
    check_rows(r, m);
    check_identity(r, &m->backend.identity);
    check_limits(r, m);
}
