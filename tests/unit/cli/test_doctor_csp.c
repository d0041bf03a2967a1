/* What the doctor reads out of a Content-Security-Policy. */
#include "cli/doctor_impl.h"
#include "unit.h"

static struct arena arena;

static struct slice header_of(const char *value)
{
    return value ? slice_from(value) : (struct slice){0};
}

/* The verdict on that subject whose text has those words; VERDICT_COUNT when nobody said so. */
static enum verdict say(const char *csp, const char *xfo, const char *subject, const char *words)
{
    static struct report r;
    memset(&r, 0, sizeof r);
    r.arena = &arena;
    r.group = "";
    judge_csp(header_of(csp), header_of(xfo), &r);
    for (size_t i = 0; i < r.n; i++) {
        if (strcmp(r.items[i].subject, subject) == 0 &&
            slice_search(r.items[i].text, slice_from(words)) >= 0)
            return r.items[i].verdict;
    }
    return VERDICT_COUNT;
}

#define CSP    "Content-Security-Policy"
#define ABSENT VERDICT_COUNT
#define STRICT "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

static const struct {
    const char *csp, *xfo, *subject, *words;
    enum verdict verdict;
} rows[] = {
    {NULL, NULL, CSP, "Nothing limits", VERDICT_MISSING},
    {NULL, NULL, "frame-ancestors", "Any site", VERDICT_MISSING},
    {NULL, "DENY", "X-Frame-Options", "Nobody", VERDICT_GOOD},
    {NULL, "sameorigin", "X-Frame-Options", "Only pages", VERDICT_GOOD},
    {NULL, "ALLOW-FROM https://a.example", "X-Frame-Options", "know DENY", VERDICT_BAD},
    {STRICT, NULL, CSP, "Only scripts", VERDICT_GOOD},
    {STRICT, NULL, "base-uri", "", ABSENT},
    {STRICT, NULL, "object-src", "", ABSENT},
    {STRICT, "DENY", "X-Frame-Options", "", ABSENT},
    {STRICT, "SAMEORIGIN", "X-Frame-Options", "something else", VERDICT_CONFLICT},
    {"frame-ancestors 'self'", "SAMEORIGIN", "X-Frame-Options", "", ABSENT},
    {"frame-ancestors 'self'", "DENY", "X-Frame-Options", "something else", VERDICT_CONFLICT},
    {"frame-ancestors *", NULL, "frame-ancestors", "Every site", VERDICT_NOTE},
    {"frame-ancestors https://a.example", NULL, "frame-ancestors", "Only these", VERDICT_GOOD},
    {"frame-ancestors 'self'", NULL, CSP, "no rule for scripts", VERDICT_WEAK},
    {"frame-ancestors 'self'", NULL, "base-uri", "", ABSENT}, /* follows from the one above */
    {"script-src 'self'", NULL, "base-uri", "", VERDICT_WEAK},
    {"script-src 'self'", NULL, "object-src", "", VERDICT_WEAK},
    {"script-src 'self'; object-src 'none'", NULL, "object-src", "", ABSENT},
    {"script-src 'self'", NULL, "frame-ancestors", "Any site", VERDICT_MISSING},
    {"default-src 'self'", NULL, "object-src", "", ABSENT},
    {"default-src 'self'", NULL, "base-uri", "", VERDICT_WEAK},
    {"default-src 'self'", NULL, "form-action", "", VERDICT_NOTE},
    {"script-src 'self' 'unsafe-inline'", NULL, "script-src 'unsafe-inline'", "", VERDICT_BAD},
    {"script-src 'UNSAFE-INLINE'", NULL, "script-src 'unsafe-inline'", "", VERDICT_BAD},
    {"default-src 'self' 'unsafe-inline'", NULL, "script-src 'unsafe-inline'", "", VERDICT_BAD},
    {"script-src 'unsafe-inline' 'nonce-abc'", NULL, "script-src 'unsafe-inline'", "", ABSENT},
    {"script-src 'unsafe-inline' 'sha256-abc='", NULL, "script-src 'unsafe-inline'", "", ABSENT},
    {"script-src 'self'; style-src 'unsafe-inline'", NULL, "script-src 'unsafe-inline'", "",
     ABSENT},
    {"script-src 'self' 'unsafe-eval'", NULL, "script-src 'unsafe-eval'", "", VERDICT_WEAK},
    {"script-src *", NULL, "script-src", "any host", VERDICT_BAD},
    {"script-src 'self' data:", NULL, "script-src", "any host", VERDICT_BAD},
    {"script-src http:", NULL, "script-src", "any host", VERDICT_BAD},
    {"img-src *; script-src 'self'", NULL, "script-src", "any host", ABSENT},
    {"script-src https:", NULL, "script-src", "any https host", VERDICT_WEAK},
    {"script-src *.cdn.example", NULL, "script-src", "any https host", VERDICT_WEAK},
    {"script-src https://*.cdn.example", NULL, "script-src", "any https host", VERDICT_WEAK},
    {"script-src https: 'nonce-a' 'strict-dynamic'", NULL, "script-src", "", ABSENT},
    {"script-src * 'strict-dynamic'", NULL, "script-src", "any host", VERDICT_BAD}, /* no key */
    /* all policies are in force, so the stricter one decides */
    {"script-src * 'unsafe-inline', script-src 'self'", NULL, "script-src", "", ABSENT},
    {"script-src *, script-src * 'unsafe-inline'", NULL, "script-src", "any host", VERDICT_BAD},
    {"script-src *, script-src * 'unsafe-inline'", NULL, "script-src 'unsafe-inline'", "", ABSENT},
    {"script-src 'self', frame-ancestors 'none'", NULL, "frame-ancestors", "Nobody", VERDICT_GOOD},
    {"default-src 'self', ", NULL, "script-src", "", ABSENT},
    /* slips */
    {"default-src self", NULL, CSP, "without single quotes", VERDICT_CONFLICT},
    {"script-src 'self'; object-src none", NULL, CSP, "write 'none'", VERDICT_CONFLICT},
    {"default-src 'none' https://a.example", NULL, CSP, "is ignored", VERDICT_CONFLICT},
    {"defaultsrc 'self'", NULL, CSP, "know no such directive", VERDICT_WEAK},
    {"default-src 'self'; default-src *", NULL, CSP, "there twice", VERDICT_CONFLICT},
    {"default-src 'self'; default-src *", NULL, "script-src", "any host", ABSENT},
    {"script-src 'self'; report-uri none", NULL, CSP, "without single quotes", ABSENT},
    {"sandbox allow-scripts; default-src 'self'", NULL, CSP, "quotes", ABSENT},
    {"", NULL, CSP, "no rule for scripts", VERDICT_WEAK},
    {";;, ;", NULL, CSP, "no rule for scripts", VERDICT_WEAK},
};

static void policies(void **state)
{
    (void)state;
    arena_init(&arena, 16u << 20);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum verdict got = say(rows[i].csp, rows[i].xfo, rows[i].subject, rows[i].words);
        if (got != rows[i].verdict)
            fail_msg("%s: %s: %s", rows[i].csp, rows[i].subject,
                     got == ABSENT ? "nothing" : verdict_word(got));
    }
    arena_done(&arena);
}

/* A policy of a thousand slips is a report of bounded length. */
static void many_slips(void **state)
{
    static struct report r;
    struct buf csp;
    (void)state;
    arena_init(&arena, 16u << 20);
    r.arena = &arena;
    r.group = "";
    buf_init(&csp, 1u << 20);
    for (int i = 0; i < 1000; i++)
        buf_printf(&csp, "x%d self;", i);
    judge_csp(buf_slice(&csp), (struct slice){0}, &r);
    assert_int_equal(r.n, FINDINGS_MAX);
    assert_int_equal(r.counts[VERDICT_CONFLICT], 1000);
    buf_done(&csp);
    arena_done(&arena);
}

TESTS(cmocka_unit_test(policies), cmocka_unit_test(many_slips))
