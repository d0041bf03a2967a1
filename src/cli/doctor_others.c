/* What other sites may do with the page: read it, write to it, open a WebSocket; and plain HTTP. */
#include "cli/doctor_impl.h"

#define NONE ((struct slice){0})

/* ---- CORS --------------------------------------------------------------------------------------
 */

struct grant {
    struct slice origin; /* Access-Control-Allow-Origin */
    bool is_any, is_echo, has_credentials;
};

static struct grant read_grant(const struct probe *p)
{
    struct grant g = {0};
    if (!p->is_answered)
        return g;
    g.origin = fetch_find(&p->answer, "access-control-allow-origin", 0);
    g.is_any = slice_is(g.origin, "*");
    g.is_echo = g.origin.ptr && slice_is(g.origin, p->origin);
    g.has_credentials =
        slice_is(fetch_find(&p->answer, "access-control-allow-credentials", 0), "true");
    return g;
}

static void judge_open(const struct probe *foreign, const struct grant *g, struct report *r)
{
    static const char name[] = "Access-Control-Allow-Origin";
    if (fetch_find(&foreign->answer, "access-control-allow-origin", 1).ptr)
        report_add(r, VERDICT_CONFLICT, name, g->origin,
                   "It is sent twice, so browsers refuse the answer.");
    else if (g->is_echo && g->has_credentials)
        report_add(r, VERDICT_BAD, name, g->origin,
                   "Whoever asks is let in, with cookies: every site can read this as the "
                   "visitor. Allow the origins you know only.");
    else if (g->is_any && g->has_credentials)
        report_add(r, VERDICT_CONFLICT, name, g->origin,
                   "Every site and credentials exclude each other; browsers refuse the answer to "
                   "requests with cookies.");
    else if (g->is_echo || g->is_any)
        report_add(r, VERDICT_NOTE, name, g->origin,
                   "Every site can read this, without the visitor's cookies: fine for what is "
                   "public.");
    else if (g->origin.ptr)
        report_add(r, VERDICT_GOOD, name, g->origin,
                   "Another origin is let in, but not one that nobody knows.");
    else
        report_add(r, VERDICT_GOOD, name, NONE, "No other site can read this.");
}

static void judge_vary(const struct probe *p, const struct grant *g, struct report *r)
{
    struct slice vary = fetch_find(&p->answer, "vary", 0), more;
    bool names = list_has(vary, SLICE("origin")) || list_has(vary, SLICE("*"));
    for (size_t i = 1; (more = fetch_find(&p->answer, "vary", i)).ptr; i++)
        names = names || list_has(more, SLICE("origin"));
    if (g->is_echo && !names)
        report_add(r, VERDICT_WEAK, "Vary", vary,
                   "The answer depends on who asks, but Vary does not name Origin: a cache may "
                   "give one site's answer to another.");
}

static void judge_tricks(const struct probes *p, bool is_any_let_in, struct report *r)
{
    struct grant null = read_grant(&p->all[PROBE_NULL]);
    struct grant alike = read_grant(&p->all[PROBE_LOOKALIKE]);
    if (slice_is(null.origin, "null"))
        report_add(r, null.has_credentials ? VERDICT_BAD : VERDICT_WEAK,
                   "Access-Control-Allow-Origin", null.origin,
                   "Any page gets the origin null by putting itself into a sandboxed frame, so "
                   "this lets everybody in.");
    if (alike.is_echo && !is_any_let_in)
        report_add(r, VERDICT_BAD, "Access-Control-Allow-Origin", alike.origin,
                   "Only the beginning of the origin is compared; a stranger's site with such a "
                   "name is let in.");
}

static void judge_preflight(const struct probes *p, struct report *r)
{
    const struct probe *asked = &p->all[PROBE_PREFLIGHT];
    struct grant g = read_grant(asked);
    if (!asked->is_answered || asked->answer.status >= 300 || !(g.is_any || g.is_echo))
        return;
    struct slice methods = fetch_find(&asked->answer, "access-control-allow-methods", 0);
    struct slice headers = fetch_find(&asked->answer, "access-control-allow-headers", 0);
    bool may_sign = list_has(headers, SLICE("authorization"));
    report_add(r, g.has_credentials ? VERDICT_BAD : VERDICT_NOTE, "Access-Control-Allow-Methods",
               methods, "Every site may send requests%s%s and read the answers.",
               may_sign ? " with an Authorization of its own" : "",
               g.has_credentials ? " as the visitor" : "");
}

static void judge_cors(const struct probes *p, struct report *r)
{
    const struct probe *foreign = &p->all[PROBE_FOREIGN];
    if (!foreign->is_answered) {
        report_add(r, VERDICT_NOTE, "Origin", SLICE(FOREIGN_ORIGIN),
                   "Asked with another site's origin it gave no answer: %s", foreign->error.msg);
        return;
    }
    struct grant g = read_grant(foreign);
    judge_open(foreign, &g, r);
    judge_vary(foreign, &g, r);
    judge_tricks(p, g.is_any || g.is_echo, r);
    judge_preflight(p, r);
}

/* ---- plain HTTP --------------------------------------------------------------------------------
 */

static void judge_plain(const struct probes *p, struct report *r)
{
    const struct probe *plain = &p->all[PROBE_PLAIN];
    struct slice location = fetch_find(&plain->answer, "location", 0);
    if (!plain->is_asked)
        return;
    if (!plain->is_answered)
        report_add(r, VERDICT_NOTE, "http://", NONE,
                   "Nothing answers without TLS: safe, but whoever types the address without "
                   "https:// may find nothing.");
    else if (location.ptr && slice_starts_nocase(location, SLICE("https://")))
        report_add(r, VERDICT_GOOD, "http://", location, "It leads to HTTPS at once.");
    else
        report_add(r, VERDICT_BAD, "http://", NONE,
                   "It answers %d without TLS instead of leading to HTTPS.", plain->answer.status);
}

/* ---- WebSocket ---------------------------------------------------------------------------------
 */

static bool is_taken(const struct probe *p)
{
    return p->is_answered && p->answer.status == 101;
}

static void judge_websocket(const struct probes *p, struct report *r)
{
    const struct probe *own = &p->all[PROBE_WS_OWN], *foreign = &p->all[PROBE_WS_FOREIGN];
    struct slice where = slice_from(own->answer.url);
    int status = foreign->is_answered ? foreign->answer.status : 0;
    if (is_taken(foreign))
        report_add(r, VERDICT_BAD, "WebSocket", where,
                   "It is opened for a page of %s too, with the visitor's cookies. Compare Origin "
                   "with your own.",
                   FOREIGN_ORIGIN);
    else if (is_taken(own) && status)
        report_add(r, VERDICT_GOOD, "WebSocket", where,
                   "It is opened for pages of this origin and refused (%d) for others.", status);
    else if (is_taken(own))
        report_add(r, VERDICT_GOOD, "WebSocket", where,
                   "It is opened for pages of this origin; for others the connection is closed.");
    else if (!own->is_answered)
        report_add(r, VERDICT_NOTE, "WebSocket", where, "Asked for one it gave no answer: %s",
                   own->error.msg);
    else if (own->answer.status == 401 || own->answer.status == 403)
        report_add(r, VERDICT_NOTE, "WebSocket", where,
                   "It is refused (%d) for a page of this origin: perhaps one has to be signed in.",
                   own->answer.status);
    else
        report_add(r, p->websocket ? VERDICT_WEAK : VERDICT_NOTE, "WebSocket", where,
                   "No WebSocket place: it answers %d.%s", own->answer.status,
                   p->websocket ? "" : " --websocket PATH tries another.");
}

void judge_others(const struct probes *p, struct report *r)
{
    r->group = "The way here";
    judge_plain(p, r);
    r->group = "Other sites";
    judge_cors(p, r);
    judge_websocket(p, r);
}
