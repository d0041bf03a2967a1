/* Patterns by PCRE2, told to read them as ECMA 262 does and to give up in bounded time.
 *
 * PCRE2's own limit counts backtracking, but neither one character's run over a long text (a*[bc]
 * is quadratic) nor what all texts of a document take together. So it calls back before each part
 * of a pattern, and the way it went since is counted. */
#include "schema/schema_impl.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define PATTERN_MAX  10000 /* bytes */
#define PER_CALL     64    /* characters that take as long as a call back */
#define CALLS_A_STEP 4
#define HEAP_MAX_KB  65536

struct regex {
    pcre2_code *code;
};

/* One match: how far its budget goes. */
struct work {
    uint64_t done, most;
    size_t last; /* where the text was looked at */
};

static pcre2_code *compile(struct slice pattern, int *ret_code, PCRE2_SIZE *ret_at)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    pcre2_set_compile_extra_options(context, PCRE2_EXTRA_ALT_BSUX);
    pcre2_set_parens_nest_limit(context, 100);
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len,
                      PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_BSUX | PCRE2_NEVER_BACKSLASH_C |
                          PCRE2_MATCH_UNSET_BACKREF | PCRE2_ALLOW_EMPTY_CLASS | PCRE2_AUTO_CALLOUT,
                      ret_code, ret_at, context);
    pcre2_compile_context_free(context);
    return code;
}

/* "at character 3: ..."; bytes in the pattern as it was written. */
static pcre2_code *fail_at(struct slice pattern, size_t at, const char *why, struct err *e)
{
    err_set(e, ERR_MANIFEST, "the pattern is wrong at character %zu: %s",
            text_length(slice_first(pattern, at)) + 1, why);
    return NULL;
}

static pcre2_code *translated(struct slice pattern, struct err *e)
{
    struct buf text;
    PCRE2_UCHAR why[120];
    PCRE2_SIZE wrong;
    size_t at;
    int code;
    if (pattern.len > PATTERN_MAX) {
        err_set(e, ERR_MANIFEST, "the pattern has more than %d bytes", PATTERN_MAX);
        return NULL;
    }
    buf_init(&text, 1u << 20);
    const char *sentence = pattern_translate(pattern, SIZE_MAX, &text, &at);
    pcre2_code *compiled = sentence
                               ? fail_at(pattern, at, sentence, e)
                               : compile(text.len ? buf_slice(&text) : SLICE(""), &code, &wrong);
    if (!compiled && !sentence) {
        at = pattern.len;
        if (wrong < text.len) {
            buf_clear(&text);
            pattern_translate(pattern, wrong, &text, &at);
        }
        pcre2_get_error_message(code, why, sizeof why);
        fail_at(pattern, at, (const char *)why, e);
    }
    buf_done(&text);
    return compiled;
}

static void regex_free(void *arg)
{
    struct regex *r = arg;
    pcre2_code_free(r->code);
}

const struct regex *regex_compile(struct arena *a, struct slice pattern, struct err *e)
{
    pcre2_code *compiled = translated(pattern, e);
    if (!compiled)
        return NULL;
    struct regex *r = arena_new(a, struct regex);
    r->code = compiled;
    arena_defer(a, regex_free, r);
    return r;
}

bool regex_is_ok(struct slice pattern)
{
    pcre2_code *compiled = translated(pattern, &(struct err){0});
    pcre2_code_free(compiled);
    return compiled != NULL;
}

static int count_work(pcre2_callout_block *block, void *user)
{
    struct work *w = user;
    size_t at = block->current_position;
    w->done += 1 + (at > w->last ? at - w->last : w->last - at) / PER_CALL;
    w->last = at;
    return w->done > w->most ? PCRE2_ERROR_CALLOUT : 0; /* ends the match */
}

enum regex_answer regex_find(const struct regex *r, struct slice text, uint64_t *steps)
{
    struct work w = {.most = *steps * CALLS_A_STEP};
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    pcre2_set_callout(context, count_work, &w);
    pcre2_set_heap_limit(context, HEAP_MAX_KB);
    int found =
        pcre2_match(r->code, (PCRE2_SPTR)text.ptr, text.len, 0, PCRE2_NO_UTF_CHECK, match, context);
    pcre2_match_data_free(match);
    pcre2_match_context_free(context);
    uint64_t took = w.done / CALLS_A_STEP + 1;
    *steps -= took < *steps ? took : *steps;
    return found >= 0 ? REGEX_FOUND : found == PCRE2_ERROR_NOMATCH ? REGEX_NONE : REGEX_TOO_LONG;
}
