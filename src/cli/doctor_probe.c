/* Asks the questions of `dais doctor headers`: the page, other origins, plain HTTP, a WebSocket. */
#include "cli/doctor_impl.h"

#include <stdio.h>
#include <string.h>

/* The body is of no interest beyond its length; having enough of it is no failure. */
static bool count_bytes(void *user, struct slice piece, struct err *e)
{
    struct probe *p = user;
    p->body_bytes += piece.len;
    return p->body_bytes < PROBE_BODY_MAX ? true : err_set(e, ERR_BAD_GATEWAY, "enough");
}

static void ask(struct probes *p, enum probe_kind kind, struct fetch_options o)
{
    struct probe *probe = &p->all[kind];
    o.is_unguarded = true;
    o.may_lose_tls = true;
    o.max_bytes = UINT64_MAX;
    o.max_ms = p->max_ms;
    o.max_redirects = kind == PROBE_PAGE ? 10 : -1;
    o.ca_file = p->ca_file;
    o.is_head_only = kind != PROBE_PAGE;
    o.on_body = count_bytes;
    o.user = probe;
    probe->is_asked = true;
    probe->is_whole =
        fetch_run(&o, &probe->answer, &probe->error) || probe->body_bytes >= PROBE_BODY_MAX;
    probe->is_answered = probe->is_whole || probe->answer.has_head;
}

static void ask_as(struct probes *p, enum probe_kind kind, const char *origin,
                   struct fetch_options o)
{
    const struct fetch_header headers[] = {
        {SLICE_INIT("Origin"), slice_from(origin), false},
        {SLICE_INIT("Access-Control-Request-Method"), SLICE_INIT("POST"), false},
        {SLICE_INIT("Access-Control-Request-Headers"), SLICE_INIT("authorization"), false},
    };
    o.headers = headers;
    o.n_headers = o.method == METHOD_OPTIONS ? 3 : 1;
    p->all[kind].origin = origin;
    ask(p, kind, o);
}

/* ---- where the page is -------------------------------------------------------------------------
 */

static const char *text_of(struct probes *p, const char *a, struct slice b, const char *c)
{
    return arena_printf(p->arena, "%s%.*s%s", a, SLICE_ARGS(b), c).ptr;
}

/* The URL is the one that answered, as libcurl wrote it: scheme, host and path are there. */
static void locate(struct probes *p)
{
    const struct fetch_answer *a = &p->all[PROBE_PAGE].answer;
    struct slice url = slice_from(a->url), rest, name;
    struct ip ip;
    uint16_t port;
    p->is_tls = slice_starts_nocase(url, SLICE("https:"));
    rest = slice_skip(url, p->is_tls ? 8 : 7);
    size_t n = 0;
    while (n < rest.len && !strchr("/?#", rest.ptr[n]))
        n++;
    struct slice host = slice_first(rest, n);
    p->origin = text_of(p, p->is_tls ? "https://" : "http://", host, "");
    host_split(host, &name, &port);
    p->host = text_of(p, "", name, "");
    if (ip_parse(&ip, slice_from(a->ip))) {
        p->is_loopback = ip_is_loopback(&ip);
        p->is_private = !ip_is_public(&ip);
    }
}

static void ask_plain(struct probes *p, struct slice url)
{
    struct slice authority = slice_skip(slice_from(p->origin), 8);
    if (!p->is_tls || !slice_is(authority, p->host)) /* a port: nobody knows the other one */
        return;
    ask(p, PROBE_PLAIN,
        (struct fetch_options){.url = slice_from(text_of(p, "http", slice_skip(url, 5), ""))});
}

static void ask_websocket(struct probes *p, struct slice url)
{
    struct fetch_options o = {.url = url, .is_websocket = true};
    if (p->websocket)
        o.url = slice_from(text_of(p, p->origin, slice_from(p->websocket), ""));
    ask_as(p, PROBE_WS_OWN, p->origin, o);
    ask_as(p, PROBE_WS_FOREIGN, FOREIGN_ORIGIN, o);
}

static const char *lookalike(struct probes *p)
{
    return text_of(p, p->is_tls ? "https://" : "http://", slice_from(p->host),
                   ".elsewhere.example");
}

bool probes_run(struct probes *p, const char *url, struct err *e)
{
    ask(p, PROBE_PAGE, (struct fetch_options){.url = slice_from(url)});
    if (!p->all[PROBE_PAGE].is_answered) {
        *e = p->all[PROBE_PAGE].error;
        return false;
    }
    locate(p);
    const struct fetch_options same = {.url = slice_from(p->all[PROBE_PAGE].answer.url)};
    struct fetch_options preflight = same;
    preflight.method = METHOD_OPTIONS;
    ask_as(p, PROBE_FOREIGN, FOREIGN_ORIGIN, same);
    ask_as(p, PROBE_NULL, "null", same);
    if (p->host[0] != '[') /* nobody has a name that begins so */
        ask_as(p, PROBE_LOOKALIKE, lookalike(p), same);
    ask_as(p, PROBE_PREFLIGHT, FOREIGN_ORIGIN, preflight);
    ask_plain(p, same.url);
    ask_websocket(p, same.url);
    return true;
}

void probes_done(struct probes *p)
{
    for (size_t i = 0; i < PROBE_COUNT; i++) {
        if (p->all[i].is_asked)
            fetch_answer_done(&p->all[i].answer);
    }
}
