/* Reads a Content-Security-Policy as a browser does and says what it leaves open. */
#include "cli/doctor_impl.h"

#include <string.h>

/* Several policies are in force together, so something is open only if all of them leave it so. */
enum hole {
    HOLE_SCRIPTS = 1 << 0, /* no rule for scripts at all */
    HOLE_INLINE = 1 << 1,
    HOLE_ANYWHERE = 1 << 2, /* scripts from every host */
    HOLE_EVAL = 1 << 3,
    HOLE_WILDCARD = 1 << 4, /* scripts from every host of a name, or every https one */
    HOLE_OBJECT = 1 << 5,
    HOLE_BASE = 1 << 6,
    HOLE_FORM = 1 << 7,
    HOLE_FRAMES = 1 << 8,
    HOLES_ALL = (1 << 9) - 1
};

static const struct {
    enum hole hole;
    enum verdict verdict;
    const char *subject, *text;
} holes[] = {
    {HOLE_SCRIPTS, VERDICT_WEAK, "Content-Security-Policy",
     "The policy has no rule for scripts, so it does not hold off an injected one. `default-src "
     "'self'` would be the least."},
    {HOLE_INLINE, VERDICT_BAD, "script-src 'unsafe-inline'",
     "Any script that gets into the page runs; the policy is no protection against injection. "
     "Use nonces or hashes."},
    {HOLE_ANYWHERE, VERDICT_BAD, "script-src",
     "Scripts may come from any host (*, http: or data:); name the hosts."},
    {HOLE_EVAL, VERDICT_WEAK, "script-src 'unsafe-eval'",
     "Text can be made into code at run time; leave it out if the page works without."},
    {HOLE_WILDCARD, VERDICT_WEAK, "script-src",
     "Scripts may come from any https host, or from any below a name (*.); a host with files of "
     "strangers is enough to get around the policy. Name the hosts."},
    {HOLE_OBJECT, VERDICT_WEAK, "object-src",
     "Plug-in content may come from anywhere; add object-src 'none'."},
    {HOLE_BASE, VERDICT_WEAK, "base-uri",
     "An injected <base> would redirect every relative script; add base-uri 'none' or 'self'. "
     "It does not follow from default-src."},
    {HOLE_FORM, VERDICT_NOTE, "form-action",
     "An injected form could send what is typed elsewhere; form-action 'self' prevents it. It "
     "does not follow from default-src."},
};

static const char *const directives[] = {
    "default-src",
    "script-src",
    "script-src-elem",
    "script-src-attr",
    "style-src",
    "style-src-elem",
    "style-src-attr",
    "img-src",
    "font-src",
    "connect-src",
    "media-src",
    "object-src",
    "frame-src",
    "child-src",
    "worker-src",
    "manifest-src",
    "prefetch-src",
    "base-uri",
    "form-action",
    "frame-ancestors",
    "navigate-to",
    "sandbox",
    "report-uri",
    "report-to",
    "upgrade-insecure-requests",
    "require-trusted-types-for",
    "trusted-types",
    "block-all-mixed-content",
    "plugin-types",
};

#define N_DIRECTIVES (sizeof directives / sizeof *directives)

/* ---- reading -----------------------------------------------------------------------------------
 */

static bool next_word(struct slice *text, struct slice *ret)
{
    size_t n = 0;
    *text = slice_trim(*text);
    while (n < text->len && text->ptr[n] != ' ' && text->ptr[n] != '\t')
        n++;
    *ret = slice_first(*text, n);
    *text = slice_skip(*text, n);
    return n > 0;
}

/* The words of a directive; ptr NULL when the policy has none. The first one counts. */
static struct slice find_rule(struct slice policy, const char *name)
{
    struct slice rule, word;
    while (slice_cut(&policy, ';', &rule)) {
        rule = slice_trim(rule);
        if (next_word(&rule, &word) && slice_eq_nocase(word, slice_from(name)))
            return (struct slice){rule.ptr ? rule.ptr : "", rule.len};
    }
    return (struct slice){0};
}

static struct slice rule_or_default(struct slice policy, const char *name)
{
    struct slice rule = find_rule(policy, name);
    return rule.ptr ? rule : find_rule(policy, "default-src");
}

static bool has_word(struct slice rule, const char *wanted)
{
    struct slice word;
    while (next_word(&rule, &word)) {
        if (slice_eq_nocase(word, slice_from(wanted)))
            return true;
    }
    return false;
}

static bool has_start(struct slice rule, const char *start)
{
    struct slice word;
    while (next_word(&rule, &word)) {
        if (slice_starts_nocase(word, slice_from(start)))
            return true;
    }
    return false;
}

static bool is_none(struct slice rule)
{
    return rule.ptr && (slice_trim(rule).len == 0 || has_word(rule, "'none'"));
}

static unsigned script_holes(struct slice rule)
{
    bool has_keys = has_start(rule, "'nonce-") || has_start(rule, "'sha");
    bool is_strict = has_word(rule, "'strict-dynamic'") && has_keys;
    unsigned found = 0;
    if (!rule.ptr)
        return HOLE_SCRIPTS;
    if (has_word(rule, "'unsafe-inline'") && !has_keys)
        found |= HOLE_INLINE;
    if (has_word(rule, "'unsafe-eval'"))
        found |= HOLE_EVAL;
    if (is_strict) /* hosts do not count then */
        return found;
    if (has_word(rule, "*") || has_word(rule, "http:") || has_word(rule, "data:"))
        found |= HOLE_ANYWHERE;
    if (has_word(rule, "https:") || has_start(rule, "*.") || has_start(rule, "https://*"))
        found |= HOLE_WILDCARD;
    return found;
}

static unsigned policy_holes(struct slice policy)
{
    unsigned found = script_holes(rule_or_default(policy, "script-src"));
    if (!rule_or_default(policy, "object-src").ptr)
        found |= HOLE_OBJECT;
    if (!find_rule(policy, "base-uri").ptr)
        found |= HOLE_BASE;
    if (!find_rule(policy, "form-action").ptr)
        found |= HOLE_FORM;
    if (!find_rule(policy, "frame-ancestors").ptr)
        found |= HOLE_FRAMES;
    return found;
}

/* ---- slips of the pen --------------------------------------------------------------------------
 */

/* Its place in the table, or how many there are. */
static size_t directive_index(struct slice name)
{
    size_t i = 0;
    while (i < N_DIRECTIVES && !slice_eq_nocase(name, slice_from(directives[i])))
        i++;
    return i;
}

static void check_words(struct slice name, struct slice rule, struct report *r)
{
    static const char *const keywords[] = {"self", "none", "unsafe-inline", "unsafe-eval",
                                           "strict-dynamic"};
    struct slice word, rest = rule;
    size_t n = 0;
    if (slice_starts_nocase(name, SLICE("report-")) || slice_eq_nocase(name, SLICE("sandbox")))
        return;
    while (next_word(&rest, &word)) {
        n++;
        for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
            if (slice_eq_nocase(word, slice_from(keywords[i])))
                report_add(r, VERDICT_CONFLICT, "Content-Security-Policy", rule,
                           "In %.*s, %s without single quotes is the name of a host; write '%s'.",
                           SLICE_ARGS(name), keywords[i], keywords[i]);
        }
    }
    if (n > 1 && has_word(rule, "'none'"))
        report_add(r, VERDICT_CONFLICT, "Content-Security-Policy", rule,
                   "In %.*s, 'none' stands beside other values and is ignored.", SLICE_ARGS(name));
}

static void check_spelling(struct slice policy, struct report *r)
{
    bool seen[N_DIRECTIVES] = {false};
    struct slice rule, name;
    while (slice_cut(&policy, ';', &rule)) {
        if (!next_word(&rule, &name))
            continue;
        size_t i = directive_index(name);
        rule = slice_trim(rule);
        if (i == N_DIRECTIVES)
            report_add(r, VERDICT_WEAK, "Content-Security-Policy", name,
                       "Browsers know no such directive and ignore it.");
        else if (seen[i])
            report_add(r, VERDICT_CONFLICT, "Content-Security-Policy", rule,
                       "%s is there twice; the second is ignored.", directives[i]);
        else
            seen[i] = true;
        check_words(name, rule, r);
    }
}

/* ---- frames ------------------------------------------------------------------------------------
 */

static struct slice ancestors_of(struct slice policies)
{
    struct slice policy, rule;
    while (slice_cut(&policies, ',', &policy)) {
        rule = find_rule(policy, "frame-ancestors");
        if (rule.ptr)
            return slice_trim(rule);
    }
    return (struct slice){0};
}

static bool is_old_known(struct slice xfo)
{
    return slice_eq_nocase(xfo, SLICE("DENY")) || slice_eq_nocase(xfo, SLICE("SAMEORIGIN"));
}

static void judge_old_frames(struct slice xfo, struct report *r)
{
    if (!xfo.ptr)
        report_add(r, VERDICT_MISSING, "frame-ancestors", (struct slice){0},
                   "Any site may show this page in a frame and lead clicks into it. Add "
                   "frame-ancestors 'self' to the policy.");
    else if (!is_old_known(xfo))
        report_add(r, VERDICT_BAD, "X-Frame-Options", xfo,
                   "Browsers know DENY and SAMEORIGIN only, and ignore this; any site may frame "
                   "the page. Use frame-ancestors.");
    else
        report_add(r, VERDICT_GOOD, "X-Frame-Options", xfo,
                   "%s may show this page in a frame. frame-ancestors is the present form of it.",
                   slice_eq_nocase(xfo, SLICE("DENY")) ? "Nobody" : "Only pages of this origin");
}

static void judge_frames(struct slice policies, struct slice xfo, struct report *r)
{
    struct slice rule = ancestors_of(policies);
    if (!rule.ptr) {
        judge_old_frames(xfo, r);
        return;
    }
    bool is_self = slice_is(rule, "'self'"), none = is_none(rule);
    if (xfo.ptr && !(is_self && slice_eq_nocase(xfo, SLICE("SAMEORIGIN"))) &&
        !(none && slice_eq_nocase(xfo, SLICE("DENY"))))
        report_add(r, VERDICT_CONFLICT, "X-Frame-Options", xfo,
                   "It says something else than frame-ancestors %.*s, which browsers follow; "
                   "leave X-Frame-Options out.",
                   SLICE_ARGS(rule));
    if (has_word(rule, "*"))
        report_add(r, VERDICT_NOTE, "frame-ancestors", rule,
                   "Every site may show this page in a frame: fine for what is made to be "
                   "embedded, and for nothing with buttons that count.");
    else
        report_add(r, VERDICT_GOOD, "frame-ancestors", rule, "%s",
                   none      ? "Nobody may show this page in a frame."
                   : is_self ? "Only pages of this origin may show it in a frame."
                             : "Only these may show this page in a frame.");
}

/* ---- the whole ----------------------------------------------------------------------------------
 */

void judge_csp(struct slice policies, struct slice x_frame_options, struct report *r)
{
    struct slice rest = policies, policy;
    unsigned open = HOLES_ALL;
    if (!policies.ptr) {
        report_add(r, VERDICT_MISSING, "Content-Security-Policy", (struct slice){0},
                   "Nothing limits where scripts come from: one that is injected runs. Begin with "
                   "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors "
                   "'self'.");
        judge_frames(policies, x_frame_options, r);
        return;
    }
    while (slice_cut(&rest, ',', &policy)) {
        if (slice_trim(policy).len == 0)
            continue;
        open &= policy_holes(policy);
        check_spelling(policy, r);
    }
    bool has_scripts = !(open & HOLE_SCRIPTS);
    if (has_scripts && !(open & (HOLE_INLINE | HOLE_ANYWHERE | HOLE_EVAL | HOLE_WILDCARD)))
        report_add(r, VERDICT_GOOD, "Content-Security-Policy", policies,
                   "Only scripts that the policy names run; one that is injected does not.");
    for (size_t i = 0; i < sizeof holes / sizeof *holes; i++) {
        bool only_hole = !has_scripts && holes[i].hole != HOLE_SCRIPTS; /* all others follow */
        if ((open & holes[i].hole) && !only_hole)
            report_add(r, holes[i].verdict, holes[i].subject,
                       holes[i].hole < HOLE_OBJECT ? policies : (struct slice){0}, "%s",
                       holes[i].text);
    }
    judge_frames(policies, x_frame_options, r);
}
