/* Rules of the manifest as filters: the words, what `owner` supplies, what is denied. */
#include "auth/auth.h"

#include "base/nearest.h"

static const struct {
    const char *word, *filter;
} words[] = {
    {"public", ""},
    {"signed_in", "@user.id is not null"},
    {"owner", "owner = @user.id"},
    {"operator", "@user.operator = true"},
};

/* What people write who do not know our words. */
static const struct {
    const char *typed, *meant;
} others[] = {
    {"anyone", "public"},           {"anybody", "public"}, {"everyone", "public"},
    {"everybody", "public"},        {"all", "public"},     {"any", "public"},
    {"authenticated", "signed_in"}, {"user", "signed_in"}, {"users", "signed_in"},
    {"admin", "operator"},          {"none", "nobody"},    {"noone", "nobody"},
};

static bool is_word(struct slice s)
{
    bool is_it = s.len > 0;
    for (size_t i = 0; is_it && i < s.len; i++)
        is_it = s.ptr[i] == '_' || (s.ptr[i] >= 'a' && s.ptr[i] <= 'z') ||
                (s.ptr[i] >= 'A' && s.ptr[i] <= 'Z');
    return is_it;
}

/* A single word that is no expression was meant as one of ours. */
static const struct query *tell_word(struct slice s, struct err *e)
{
    struct nearest nearest = {.typed = s};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        nearest_offer(&nearest, slice_from(words[i].word));
    nearest_offer(&nearest, SLICE("nobody"));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (slice_is(s, others[i].typed))
            nearest.best = slice_from(others[i].meant);
    }
    s = slice_first(s, 60);
    if (nearest.best.len)
        err_set(e, ERR_MALFORMED, "`%.*s` is no rule; did you mean `%.*s`?", SLICE_ARGS(s),
                SLICE_ARGS(nearest.best));
    else
        err_set(e, ERR_MALFORMED,
                "`%.*s` is no rule; it is public, signed_in, owner, operator, nobody, role:NAME or "
                "an expression",
                SLICE_ARGS(s));
    return NULL;
}

static const struct query *compile(struct arena *a, const struct text *rule, struct err *e)
{
    struct slice s = rule->s;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (slice_is(s, words[i].word))
            return query_parse(a, slice_from(words[i].filter), e);
    }
    if (slice_starts(s, SLICE("role:")))
        s = arena_printf(a, "@user.roles ?= '%.*s'", SLICE_ARGS(slice_skip(s, 5)));
    const struct query *q = query_parse(a, s, e);
    return q || !is_word(s) ? q : tell_word(s, e);
}

bool policy_compile(struct policy *to, struct arena *a, const struct rules *rules, bool has_owner,
                    const struct text **ret_text, struct err *e)
{
    static const struct text signed_in = {SLICE_INIT("signed_in"), {0}};
    static const struct text owner = {SLICE_INIT("owner"), {0}};
    const struct text *of[ACTION_COUNT] = {
        [ACTION_READ] = &rules->read,   [ACTION_CREATE] = &rules->create,
        [ACTION_WRITE] = &rules->write, [ACTION_DELETE] = &rules->del,
        [ACTION_RUN] = &rules->run,
    };
    if (!rules->del.s.len)
        of[ACTION_DELETE] = &rules->write;
    *to = (struct policy){0};
    for (int i = 0; i < ACTION_COUNT; i++) {
        if (!of[i]->s.len && has_owner)
            of[i] = i == ACTION_CREATE || i == ACTION_RUN ? &signed_in : &owner;
        if (!of[i]->s.len || slice_is(of[i]->s, "nobody"))
            continue;
        to->rules[i] = compile(a, of[i], e);
        if (!to->rules[i]) {
            *ret_text = of[i];
            return false;
        }
    }
    return true;
}
