/* Patterns by PCRE2, told to read them as ECMA 262 does and to give up in bounded time. */
#include "schema/schema_impl.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define STEPS_MAX 1000000 /* some 10 ms */

struct regex {
    pcre2_code *code;
    pcre2_match_context *limits;
};

static pcre2_code *compile(struct slice pattern, int *ret_code, PCRE2_SIZE *ret_at)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    pcre2_set_compile_extra_options(context, PCRE2_EXTRA_ALT_BSUX);
    pcre2_set_parens_nest_limit(context, 100);
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len,
                      PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_BSUX | PCRE2_NEVER_BACKSLASH_C |
                          PCRE2_MATCH_UNSET_BACKREF | PCRE2_ALLOW_EMPTY_CLASS,
                      ret_code, ret_at, context);
    pcre2_compile_context_free(context);
    return code;
}

static void regex_free(void *arg)
{
    struct regex *r = arg;
    pcre2_code_free(r->code);
    pcre2_match_context_free(r->limits);
}

const struct regex *regex_compile(struct arena *a, struct slice pattern, struct err *e)
{
    int code;
    PCRE2_SIZE at;
    pcre2_code *compiled = compile(pattern, &code, &at);
    if (!compiled) {
        PCRE2_UCHAR why[120];
        pcre2_get_error_message(code, why, sizeof why);
        err_set(e, ERR_MANIFEST, "the pattern is wrong at character %zu: %s", (size_t)at + 1,
                (const char *)why);
        return NULL;
    }
    struct regex *r = arena_new(a, struct regex);
    r->code = compiled;
    r->limits = pcre2_match_context_create(NULL);
    pcre2_set_match_limit(r->limits, STEPS_MAX);
    pcre2_set_depth_limit(r->limits, 10000);
    pcre2_set_heap_limit(r->limits, 4096); /* KB */
    arena_defer(a, regex_free, r);
    return r;
}

bool regex_is_ok(struct slice pattern)
{
    int code;
    PCRE2_SIZE at;
    pcre2_code *compiled = compile(pattern, &code, &at);
    pcre2_code_free(compiled);
    return compiled != NULL;
}

bool regex_finds(const struct regex *r, struct slice text)
{
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    int found = pcre2_match(r->code, (PCRE2_SPTR)text.ptr, text.len, 0, PCRE2_NO_UTF_CHECK, match,
                            r->limits);
    pcre2_match_data_free(match);
    return found >= 0;
}
