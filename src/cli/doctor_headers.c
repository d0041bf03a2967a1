/* What the headers of the page itself do, and which of them are missing or contradict others. */
#include "cli/doctor_impl.h"

#include <string.h>

#define NONE ((struct slice){0})
#define DAY  86400u

static struct slice header(const struct probes *p, const char *name)
{
    return fetch_find(&p->all[PROBE_PAGE].answer, name, 0);
}

/* All values of a header with commas between them; ptr NULL when there is none. */
static struct slice joined(const struct probes *p, const char *name)
{
    const struct fetch_answer *a = &p->all[PROBE_PAGE].answer;
    struct slice all = fetch_find(a, name, 0), more;
    for (size_t i = 1; (more = fetch_find(a, name, i)).ptr; i++)
        all = arena_printf(p->arena, "%.*s, %.*s", SLICE_ARGS(all), SLICE_ARGS(more));
    return all;
}

/* The header is there several times, and not always the same. */
static bool differs(const struct probes *p, const char *name)
{
    const struct fetch_answer *a = &p->all[PROBE_PAGE].answer;
    struct slice first = fetch_find(a, name, 0), more;
    for (size_t i = 1; (more = fetch_find(a, name, i)).ptr; i++) {
        if (!slice_eq_nocase(first, more))
            return true;
    }
    return false;
}

static bool list_has_any(struct slice list, const char *const *words)
{
    for (; *words; words++) {
        if (list_has(list, slice_from(*words)))
            return true;
    }
    return false;
}

/* "max-age" of a list of directives split at `by`; false when it has none or no number. */
static bool directive_number(struct slice list, char by, const char *name, uint64_t *ret)
{
    struct slice item, key;
    while (slice_cut(&list, by, &item)) {
        item = slice_trim(item);
        if (slice_cut(&item, '=', &key) && slice_eq_nocase(slice_trim(key), slice_from(name))) {
            item = slice_trim(item);
            if (item.len > 1 && item.ptr[0] == '"')
                item = (struct slice){item.ptr + 1, item.len - 2};
            return slice_to_u64(item, ret);
        }
    }
    return false;
}

bool probe_is_html(const struct probe *p)
{
    struct slice type = fetch_find(&p->answer, "content-type", 0);
    return slice_starts_nocase(type, SLICE("text/html")) ||
           slice_starts_nocase(type, SLICE("application/xhtml+xml"));
}

static bool is_text(struct slice type)
{
    static const char *const starts[] = {
        "text/",           "application/json", "application/javascript",
        "application/xml", "image/svg+xml",    "application/manifest+json"};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        if (slice_starts_nocase(type, slice_from(starts[i])))
            return true;
    }
    return false;
}

/* ---- the way here ------------------------------------------------------------------------------
 */

static void judge_tls(const struct probes *p, struct report *r)
{
    if (p->is_tls)
        report_add(r, VERDICT_GOOD, "HTTPS", NONE,
                   "The connection is encrypted and the certificate is trusted.");
    else if (p->is_loopback)
        report_add(r, VERDICT_NOTE, "HTTP", NONE,
                   "Not encrypted; between programs of one machine nobody listens.");
    else if (p->is_private)
        report_add(r, VERDICT_WEAK, "HTTP", NONE,
                   "Not encrypted: whoever is on this network can read and change everything, "
                   "sessions included.");
    else
        report_add(r, VERDICT_BAD, "HTTP", NONE,
                   "Not encrypted: everybody on the way can read and change everything, sessions "
                   "included.");
}

static void judge_end(const struct probe *page, struct report *r)
{
    if (!page->is_whole && page->error.code == ERR_GATEWAY_TIMEOUT)
        report_add(r, VERDICT_NOTE, "Body", NONE,
                   "It did not end in time: a stream, or a very slow server.");
    else if (!page->is_whole)
        report_add(r, VERDICT_BAD, "Body", NONE, "It cannot be read: %s.", page->error.msg);
}

static void judge_hsts_tls(const struct probes *p, struct slice hsts, struct report *r)
{
    static const char name[] = "Strict-Transport-Security";
    uint64_t age = 0;
    if (!hsts.ptr)
        report_add(r, p->is_loopback ? VERDICT_NOTE : VERDICT_MISSING, name, NONE,
                   "Whoever types the address without https:// can be led elsewhere on the way. "
                   "Add max-age=31536000.");
    else if (!directive_number(hsts, ';', "max-age", &age))
        report_add(r, VERDICT_BAD, name, hsts, "It has no valid max-age, so browsers ignore it.");
    else if (age == 0)
        report_add(r, VERDICT_BAD, name, hsts,
                   "max-age=0 makes browsers forget that this host is to be reached by HTTPS.");
    else if (age < 180 * (uint64_t)DAY)
        report_add(r, VERDICT_WEAK, name, hsts,
                   "Browsers insist on HTTPS for %llu days only; half a year is the usual least.",
                   (unsigned long long)(age / DAY));
    else
        report_add(r, VERDICT_GOOD, name, hsts,
                   "Browsers that were here once come by HTTPS only, for %llu days.",
                   (unsigned long long)(age / DAY));
}

static void judge_hsts(const struct probes *p, struct report *r)
{
    struct slice hsts = header(p, "strict-transport-security");
    if (p->is_tls && differs(p, "strict-transport-security"))
        report_add(r, VERDICT_CONFLICT, "Strict-Transport-Security",
                   joined(p, "strict-transport-security"),
                   "It is sent twice with different values; browsers take the first.");
    if (p->is_tls)
        judge_hsts_tls(p, hsts, r);
    else if (hsts.ptr)
        report_add(r, VERDICT_CONFLICT, "Strict-Transport-Security", hsts,
                   "Browsers ignore it over HTTP, where anybody on the way could have added it; "
                   "send it over HTTPS only.");
}

/* ---- what the page may do ----------------------------------------------------------------------
 */

static void judge_type(const struct probes *p, struct report *r)
{
    struct slice type = header(p, "content-type"), sniff = joined(p, "x-content-type-options");
    if (!type.ptr && p->all[PROBE_PAGE].body_bytes)
        report_add(r, VERDICT_BAD, "Content-Type", NONE,
                   "Browsers guess what this is, and can be made to guess a page with scripts.");
    else if (slice_starts_nocase(type, SLICE("text/html")) &&
             slice_search(type, SLICE("harset=")) < 0)
        report_add(r, VERDICT_WEAK, "Content-Type", type,
                   "It names no charset, so letters depend on what the browser guesses; add ; "
                   "charset=utf-8.");
    struct slice rest = sniff, word = {0};
    (void)list_next(&rest, &word);
    if (!sniff.ptr)
        report_add(r, VERDICT_MISSING, "X-Content-Type-Options", NONE,
                   "A file with a harmless type may be taken for a script. Add nosniff.");
    else if (!slice_eq_nocase(word, SLICE("nosniff")))
        report_add(r, VERDICT_BAD, "X-Content-Type-Options", sniff,
                   "Browsers know `nosniff` only and ignore this.");
    else
        report_add(r, VERDICT_GOOD, "X-Content-Type-Options", sniff,
                   "Browsers take the type that is sent and guess no other.");
}

static void judge_policy(const struct probes *p, struct report *r)
{
    struct slice csp = joined(p, "content-security-policy"), xfo = header(p, "x-frame-options");
    struct slice only_told = header(p, "content-security-policy-report-only");
    if (differs(p, "x-frame-options"))
        report_add(r, VERDICT_CONFLICT, "X-Frame-Options", joined(p, "x-frame-options"),
                   "It is sent several times with different values, which browsers may ignore.");
    if (only_told.ptr)
        report_add(r, VERDICT_NOTE, "Content-Security-Policy-Report-Only", only_told,
                   "It reports what it would refuse and refuses nothing.");
    judge_csp(csp, xfo, r);
}

static void judge_referrer(const struct probes *p, struct report *r)
{
    static const char *const fine[] = {"no-referrer", "same-origin", "strict-origin",
                                       "strict-origin-when-cross-origin", NULL};
    static const char *const loose[] = {"no-referrer-when-downgrade", "origin",
                                        "origin-when-cross-origin", "unsafe-url", NULL};
    static const char name[] = "Referrer-Policy";
    struct slice value = joined(p, "referrer-policy"), rest = value, word, last = {0};
    while (list_next(&rest, &word)) { /* the last one that is known counts */
        if (list_has_any(word, fine) || list_has_any(word, loose))
            last = word;
    }
    if (!value.ptr)
        report_add(r, VERDICT_NOTE, name, NONE,
                   "Present browsers then tell other sites the origin only; older ones the whole "
                   "address.");
    else if (!last.ptr)
        report_add(r, VERDICT_BAD, name, value, "Browsers know no such policy and ignore it.");
    else if (slice_eq_nocase(last, SLICE("unsafe-url")))
        report_add(r, VERDICT_BAD, name, value,
                   "Every site that is linked to learns the whole address, with what is in it.");
    else if (list_has_any(last, loose))
        report_add(r, VERDICT_WEAK, name, value,
                   "Other sites learn more than they need, or learn it without encryption.");
    else
        report_add(r, VERDICT_GOOD, name, value,
                   "Other sites learn the origin at most, never the whole address.");
}

static void judge_permissions(const struct probes *p, struct report *r)
{
    static const char name[] = "Permissions-Policy";
    static const char *const strong[] = {"camera=*", "microphone=*", "geolocation=*",
                                         "usb=*",    "payment=*",    "display-capture=*",
                                         NULL};
    struct slice value = joined(p, "permissions-policy");
    if (!value.ptr)
        report_add(r, VERDICT_NOTE, name, NONE,
                   "The page and what it embeds may ask for camera, place and the like; "
                   "camera=(), geolocation=() and so on shut off what is not used.");
    else if (slice_index(value, '=') < 0)
        report_add(r, VERDICT_BAD, name, value,
                   "Written as the old Feature-Policy was, so browsers ignore it; write "
                   "camera=(), microphone=().");
    else if (list_has_any(value, strong))
        report_add(r, VERDICT_WEAK, name, value,
                   "Every embedded page may ask for what has a *; name origins, or self.");
    else
        report_add(r, VERDICT_GOOD, name, value,
                   "Limits what the page and what it embeds may ask the visitor for.");
}

static void judge_opener(const struct probes *p, struct report *r)
{
    static const char *const apart[] = {"same-origin", "same-origin-allow-popups",
                                        "noopener-allow-popups", NULL};
    static const char name[] = "Cross-Origin-Opener-Policy";
    struct slice value = header(p, "cross-origin-opener-policy"), rest = value, word = {0};
    (void)slice_cut(&rest, ';', &word);
    if (!value.ptr)
        report_add(r, VERDICT_NOTE, name, NONE,
                   "A site that opens this page keeps a handle to its window; same-origin cuts "
                   "it.");
    else if (list_has_any(word, apart))
        report_add(r, VERDICT_GOOD, name, value,
                   "A site that opens this page gets no handle to its window.");
    else if (slice_eq_nocase(slice_trim(word), SLICE("unsafe-none")))
        report_add(r, VERDICT_NOTE, name, value, "The same as no such header.");
    else
        report_add(r, VERDICT_BAD, name, value, "Browsers know no such value and ignore it.");
}

static void judge_old(const struct probes *p, struct report *r)
{
    static const char *const old[] = {"x-xss-protection", "public-key-pins",
                                      "expect-ct",        "feature-policy",
                                      "x-webkit-csp",     "x-content-security-policy"};
    for (size_t i = 0; i < sizeof old / sizeof *old; i++) {
        struct slice value = header(p, old[i]);
        if (value.ptr && !slice_is(slice_trim(value), "0"))
            report_add(r, VERDICT_NOTE, old[i], value,
                       "Browsers have given this header up; leave it out.");
    }
}

/* ---- cookies -----------------------------------------------------------------------------------
 */

struct cookie {
    struct slice name, same_site;
    bool is_secure, is_http_only, has_domain, has_root_path;
};

/* The value is nobody's business and is not kept. */
static struct cookie read_cookie(struct slice line)
{
    struct cookie c = {0};
    struct slice part, key;
    (void)slice_cut(&line, ';', &part);
    (void)slice_cut(&part, '=', &c.name);
    c.name = slice_trim(c.name);
    while (slice_cut(&line, ';', &part)) {
        part = slice_trim(part);
        (void)slice_cut(&part, '=', &key);
        key = slice_trim(key);
        if (slice_eq_nocase(key, SLICE("secure")))
            c.is_secure = true;
        else if (slice_eq_nocase(key, SLICE("httponly")))
            c.is_http_only = true;
        else if (slice_eq_nocase(key, SLICE("samesite")))
            c.same_site = slice_trim(part);
        else if (slice_eq_nocase(key, SLICE("domain")))
            c.has_domain = slice_trim(part).len > 0;
        else if (slice_eq_nocase(key, SLICE("path")))
            c.has_root_path = slice_is(slice_trim(part), "/");
    }
    return c;
}

static bool is_session_like(struct slice name)
{
    static const char *const parts[] = {"sess", "sid", "auth", "token", "jwt", "login", "user"};
    char lower[64];
    size_t n = name.len < sizeof lower ? name.len : sizeof lower;
    for (size_t i = 0; i < n; i++)
        lower[i] =
            name.ptr[i] >= 'A' && name.ptr[i] <= 'Z' ? (char)(name.ptr[i] | 32) : name.ptr[i];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (slice_search((struct slice){lower, n}, slice_from(parts[i])) >= 0)
            return true;
    }
    return false;
}

static bool breaks_prefix(const struct cookie *c)
{
    if (slice_starts_nocase(c->name, SLICE("__Host-")))
        return !c->is_secure || c->has_domain || !c->has_root_path;
    return slice_starts_nocase(c->name, SLICE("__Secure-")) && !c->is_secure;
}

static void judge_cookie(const struct probes *p, const struct cookie *c, struct report *r)
{
    size_t before = r->n;
    if (breaks_prefix(c))
        report_add(r, VERDICT_CONFLICT, "Set-Cookie", c->name,
                   "Its name promises what its attributes do not keep, so browsers refuse it.");
    if (slice_eq_nocase(c->same_site, SLICE("none")) && !c->is_secure)
        report_add(r, VERDICT_CONFLICT, "Set-Cookie", c->name,
                   "SameSite=None counts with Secure only; browsers refuse the cookie.");
    else if (!c->is_secure)
        report_add(r, p->is_tls ? VERDICT_BAD : VERDICT_NOTE, "Set-Cookie", c->name,
                   "Without Secure it is sent over HTTP too, where it can be read%s.",
                   p->is_tls ? "" : "; it is needed once this is served by HTTPS");
    if (!c->is_http_only)
        report_add(r, is_session_like(c->name) ? VERDICT_BAD : VERDICT_WEAK, "Set-Cookie", c->name,
                   "Without HttpOnly a script that got into the page can carry it off.");
    if (!c->same_site.len)
        report_add(r, VERDICT_WEAK, "Set-Cookie", c->name,
                   "Without SameSite some browsers send it along with requests that other sites "
                   "cause; add SameSite=Lax.");
    else if (slice_eq_nocase(c->same_site, SLICE("none")))
        report_add(r, VERDICT_NOTE, "Set-Cookie", c->name,
                   "SameSite=None: it comes along with requests that other sites cause, so every "
                   "change needs a check of its own.");
    if (r->n == before)
        report_add(r, VERDICT_GOOD, "Set-Cookie", c->name,
                   "Over HTTPS only, out of reach for scripts and for other sites.");
}

static void judge_cookies(const struct probes *p, struct report *r)
{
    struct slice line;
    for (size_t i = 0; (line = fetch_find(&p->all[PROBE_PAGE].answer, "set-cookie", i)).ptr; i++) {
        struct cookie c = read_cookie(line);
        judge_cookie(p, &c, r);
    }
}

/* ---- caching and size --------------------------------------------------------------------------
 */

static void judge_caching(const struct probes *p, struct report *r)
{
    static const char *const asks[] = {"no-store", "no-cache", "must-revalidate", NULL};
    static const char name[] = "Cache-Control";
    struct slice value = joined(p, "cache-control");
    uint64_t age = 0;
    bool has_age = directive_number(value, ',', "max-age", &age);
    bool is_private = list_has(value, SLICE("private")) || list_has(value, SLICE("no-store"));
    if (list_has(value, SLICE("no-store")) &&
        ((has_age && age) || list_has(value, SLICE("public"))))
        report_add(r, VERDICT_CONFLICT, name, value,
                   "It says both to keep the answer and not to; browsers do not keep it.");
    else if (header(p, "set-cookie").ptr && !is_private && (has_age && age))
        report_add(r, VERDICT_BAD, name, value,
                   "The answer sets a cookie and may be kept by shared caches, which would give "
                   "one visitor's to another. Add private or no-store.");
    else if (!value.ptr)
        report_add(r, VERDICT_WEAK, name, NONE,
                   "Browsers guess how long to keep it, so a new release may come late. Add "
                   "no-cache.");
    else if (probe_is_html(&p->all[PROBE_PAGE]) && has_age && age > 3600 &&
             !list_has_any(value, asks))
        report_add(r, VERDICT_WEAK, name, value,
                   "A page is kept for %llu minutes without asking, so a new release comes late.",
                   (unsigned long long)(age / 60));
    else
        report_add(r, VERDICT_GOOD, name, value, "%s",
                   list_has(value, SLICE("no-store"))   ? "Nobody keeps a copy."
                   : list_has(value, SLICE("no-cache")) ? "Copies are kept and asked about each "
                                                          "time, so a new release shows at once."
                                                        : "Says how long copies are kept.");
}

static void judge_size(const struct probes *p, struct report *r)
{
    const struct probe *page = &p->all[PROBE_PAGE];
    struct slice coding = header(p, "content-encoding");
    if (!is_text(header(p, "content-type")) || page->body_bytes < 1400)
        return;
    if (!coding.len || slice_eq_nocase(coding, SLICE("identity"))) {
        report_add(r, VERDICT_WEAK, "Content-Encoding", NONE,
                   "%zu bytes of text are sent as they are; gzip or brotli would make them a "
                   "third or so.",
                   page->body_bytes);
        return;
    }
    report_add(r, VERDICT_GOOD, "Content-Encoding", coding, "%zu bytes of text came compressed.",
               page->body_bytes);
    if (!list_has(joined(p, "vary"), SLICE("accept-encoding")) &&
        !list_has(header(p, "vary"), SLICE("*")))
        report_add(r, VERDICT_WEAK, "Vary", header(p, "vary"),
                   "It lacks Accept-Encoding, so a cache between may give the compressed bytes to "
                   "whoever cannot read them.");
}

/* ---- what it tells -----------------------------------------------------------------------------
 */

static bool has_version(struct slice value)
{
    for (size_t i = 1; i < value.len; i++) {
        if (value.ptr[i] >= '0' && value.ptr[i] <= '9' &&
            (value.ptr[i - 1] == '/' || value.ptr[i - 1] == '.' || value.ptr[i - 1] == ' '))
            return true;
    }
    return false;
}

static void judge_leaks(const struct probes *p, struct report *r)
{
    static const char *const telling[] = {"X-Powered-By", "X-AspNet-Version", "X-AspNetMvc-Version",
                                          "X-Generator"};
    struct slice server = header(p, "server");
    if (has_version(server))
        report_add(r, VERDICT_WEAK, "Server", server,
                   "It tells the version, and so which known holes to try.");
    else if (server.len)
        report_add(r, VERDICT_GOOD, "Server", server, "It tells no version.");
    for (size_t i = 0; i < sizeof telling / sizeof *telling; i++) {
        if (header(p, telling[i]).ptr)
            report_add(r, VERDICT_WEAK, telling[i], header(p, telling[i]),
                       "It tells what the program is made with, which helps nobody but attackers.");
    }
}

void judge_headers(const struct probes *p, struct report *r)
{
    bool is_html = probe_is_html(&p->all[PROBE_PAGE]);
    r->group = "The way here";
    judge_tls(p, r);
    judge_end(&p->all[PROBE_PAGE], r);
    judge_hsts(p, r);
    r->group = "What the page may do";
    judge_type(p, r);
    if (is_html || header(p, "content-security-policy").ptr)
        judge_policy(p, r);
    judge_referrer(p, r);
    if (is_html) {
        judge_permissions(p, r);
        judge_opener(p, r);
    }
    judge_old(p, r);
    r->group = "Cookies";
    judge_cookies(p, r);
    r->group = "Copies and size";
    judge_caching(p, r);
    judge_size(p, r);
    r->group = "What it tells";
    judge_leaks(p, r);
}
