/* May this subject do that? The one place that says so. */
#include "auth/auth.h"

#include <stdio.h>
#include <string.h>

#define SCOPE_MAX 200

static const char *const names[] = {
#define X(id, name) name,
    ACTION_MAP(X)
#undef X
};

/* The tape of an object, as the parser would leave it, without a text in between: who asks is told
 * to every request's rules. */
static struct json string_of(struct slice s)
{
    return (struct json){.type = JSON_STRING, .len = (uint32_t)s.len, .ptr = s.ptr ? s.ptr : ""};
}

/* null for an address that was not proved: two such accounts have nothing in common. */
static struct json email_of(const struct identity *who)
{
    return who->email.len ? string_of(who->email) : (struct json){.type = JSON_NULL};
}

static const struct json *user_json(struct arena *a, const struct identity *who)
{
    const struct json members[] = {
        string_of(SLICE("id")),
        string_of(who->id),
        string_of(SLICE("email")),
        email_of(who),
        string_of(SLICE("name")),
        string_of(who->name),
        string_of(SLICE("operator")),
        {.type = JSON_BOOL, .len = who->is_operator},
        string_of(SLICE("roles")),
        {.type = JSON_ARRAY, .len = (uint32_t)who->n_roles, .span = 1 + who->n_roles},
    };
    size_t n = sizeof members / sizeof *members;
    struct json *tape = arena_alloc(a, (1 + n + who->n_roles) * sizeof *tape);
    tape[0] =
        (struct json){.type = JSON_OBJECT, .len = (uint32_t)n / 2, .span = 1 + n + who->n_roles};
    memcpy(tape + 1, members, sizeof members);
    for (size_t i = 0; i < who->n_roles; i++)
        tape[1 + n + i] = string_of(who->roles[i]);
    return tape;
}

static const struct json *now_json(struct arena *a)
{
    struct json *now = arena_new(a, struct json);
    char *text = arena_alloc(a, RFC3339_LEN + 1);
    clock_rfc3339(clock_wall_ms(), text);
    *now = (struct json){.type = JSON_STRING, .len = RFC3339_LEN, .ptr = text};
    return now;
}

/* The app's own program, which nobody in particular asked for: rules are about people. */
static bool is_app(const struct identity *who)
{
    return who->is_signed_in && who->is_of_job && !who->id.len;
}

void subject_from(const struct identity *who, struct arena *a, struct subject *ret)
{
    *ret = (struct subject){.who = who, .is_console = is_app(who)};
    if (who->is_signed_in)
        ret->context.user = user_json(a, who);
    ret->context.now = now_json(a);
}

bool subject_of(struct req *rq, struct subject *ret, struct err *e)
{
    const struct identity *who = req_identity(rq, e);
    if (who)
        subject_from(who, rq->arena, ret);
    return who != NULL;
}

static const struct slice *copy_all(struct arena *a, const struct slice *from, size_t n)
{
    struct slice *to = arena_alloc(a, n * sizeof *to);
    for (size_t i = 0; i < n; i++)
        to[i] = arena_dup(a, from[i]);
    return to;
}

void subject_copy(const struct subject *s, struct arena *a, struct subject *ret)
{
    struct identity *who = arena_new(a, struct identity);
    *ret = (struct subject){.who = who, .is_console = s->is_console};
    if (s->who)
        *who = *s->who;
    who->id = arena_dup(a, who->id);
    who->email = arena_dup(a, who->email);
    who->name = arena_dup(a, who->name);
    who->session = arena_dup(a, who->session);
    who->roles = copy_all(a, who->roles, who->n_roles);
    who->scopes = copy_all(a, who->scopes, who->n_scopes);
    if (who->is_signed_in)
        ret->context.user = user_json(a, who);
    ret->context.now = now_json(a);
}

struct slice subject_id(const struct subject *s)
{
    return s->who && s->who->is_signed_in ? s->who->id : SLICE("");
}

bool subject_is_stranger(const struct subject *s)
{
    return !s->is_console && !(s->who && s->who->is_signed_in);
}

/* ---- what keys may --------------------------------------------------------------------------- */

/* `write` lets a key write everything, `write:charts` only that; neither lets it read. */
static bool has_scope_for(const struct identity *who, const struct policy *p, const char *verb)
{
    char text[SCOPE_MAX];
    if (p->scope)
        return identity_has_scope(who, slice_from(p->scope));
    if (identity_has_scope(who, slice_from(verb)))
        return true;
    int n = snprintf(text, sizeof text, "%s:%.*s", verb, SLICE_ARGS(p->name));
    return p->name.len && n > 0 && (size_t)n < sizeof text &&
           identity_has_scope(who, (struct slice){text, (size_t)n});
}

static bool is_in_scope(const struct subject *s, const struct policy *p, enum action action,
                        struct err *e)
{
    const char *verb = action == ACTION_READ ? "read" : action == ACTION_RUN ? "jobs" : "write";
    if (!s->who || !s->who->is_signed_in || s->who->has_every_scope ||
        has_scope_for(s->who, p, verb))
        return true;
    if (p->scope || !p->name.len || action == ACTION_RUN)
        return err_set(e, ERR_FORBIDDEN, "This key lacks the scope `%s`.",
                       p->scope ? p->scope : verb);
    return err_set(e, ERR_FORBIDDEN, "This key lacks the scope `%s:%.*s`.", verb,
                   SLICE_ARGS(p->name));
}

/* ---- what rules say -------------------------------------------------------------------------- */

static bool deny(const struct subject *s, enum action action, struct err *e)
{
    if (!s->who || !s->who->is_signed_in)
        return err_set(e, ERR_UNAUTHENTICATED, "Sign in first: strangers may not %s here.",
                       names[action]);
    return err_set(e, ERR_FORBIDDEN, "The rules let nobody like you %s here.", names[action]);
}

bool authorize(const struct subject *s, const struct policy *p, enum action action, struct arena *a,
               const struct query **ret_rows, struct err *e)
{
    static const struct query all = {.kind = QUERY_TRUE};
    const struct query *rows = &all;
    if (!s->is_console) {
        if (!is_in_scope(s, p, action, e))
            return false;
        if (!p->rules[action])
            return deny(s, action, e);
        rows = query_bind(a, p->rules[action], &s->context);
        if (rows->kind == QUERY_FALSE)
            return deny(s, action, e);
    }
    *ret_rows = rows;
    return true;
}

bool authorize_row(const struct query *rows, const struct json *doc)
{
    static const struct query_context nothing;
    return query_matches(rows, doc, &nothing);
}
