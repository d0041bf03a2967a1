/* Rules of the manifest as filters: the words, what `owner` supplies, what is denied. */
#include "auth/auth.h"

static const struct {
    const char *word, *filter;
} words[] = {
    {"public", ""},
    {"signed_in", "@user.id is not null"},
    {"owner", "owner = @user.id"},
    {"operator", "@user.operator = true"},
};

static const struct query *compile(struct arena *a, const struct text *rule, struct err *e)
{
    struct slice s = rule->s;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (slice_is(s, words[i].word))
            return query_parse(a, slice_from(words[i].filter), e);
    }
    if (slice_starts(s, SLICE("role:")))
        s = arena_printf(a, "@user.roles ?= '%.*s'", SLICE_ARGS(slice_skip(s, 5)));
    return query_parse(a, s, e);
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
