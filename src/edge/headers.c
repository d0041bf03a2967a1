/* web.headers on the backend's answers, and what of its headers is nobody's business.
 *
 * What the manifest says for the path replaces what the backend says; a default of ours is only
 * added where the backend says nothing. */
#include "edge/edge_impl.h"
#include "base/base64.h"
#include "base/random.h"

#include <string.h>

#define NONCE_BYTES 16
#define FRAMES      SLICE("frame-ancestors")

/* ---- per request ---------------------------------------------------------------------------- */

/* 128 random bits that only this answer and its backend know. */
static struct slice make_nonce(struct arena *a)
{
    char bits[NONCE_BYTES];
    struct buf text;
    random_bytes(bits, sizeof bits);
    buf_init(&text, 2 * NONCE_BYTES);
    base64_add(&text, (struct slice){bits, sizeof bits}, BASE64);
    struct slice nonce = arena_dup(a, buf_slice(&text));
    buf_done(&text);
    return nonce;
}

void outgoing_init(struct outgoing *o, const struct edge *g, struct req *rq)
{
    *o = (struct outgoing){.conf = g->conf, .has_cors = g->has_cors};
    o->may_rewrite = rewriter_is_for(g->web_conf, rq);
    if (!g->headers)
        return;
    o->headers = &g->headers[web_headers_find(g->web_conf, rq->path)];
    o->csp = o->headers->csp;
    if (slice_index(o->csp, '{') < 0)
        return;
    struct web_csp_sources sources = {0};
    if (slice_search(o->csp, SLICE("{nonce}")) >= 0)
        sources.nonce = o->nonce = make_nonce(rq->arena);
    o->csp = web_csp_fill(rq->arena, o->csp, &sources);
}

void outgoing_meet(struct outgoing *o, struct edge *g, const struct h1_response *answer)
{
    bool is_wanted = o->may_rewrite && rewriter_is_text(answer);
    o->is_rewritten = is_wanted && rewriter_is_plain(answer);
    if (is_wanted && !o->is_rewritten && !atomic_exchange(&g->has_warned, true))
        log_line(LOG_WARN,
                 "the backend compresses without being asked; its answers cannot be rewritten");
}

/* ---- what does not leave -------------------------------------------------------------------- */

/* Credentials, orders to a server in front, and what only helps those who look for holes. */
static bool is_private(struct slice name)
{
    static const struct slice names[] = {
        SLICE_INIT("authorization"), SLICE_INIT("cookie"),
        SLICE_INIT("forwarded"),     SLICE_INIT("x-real-ip"),
        SLICE_INIT("x-sendfile"),    SLICE_INIT("x-lighttpd-send-file"),
        SLICE_INIT("x-powered-by"),  SLICE_INIT("x-aspnet-version"),
        SLICE_INIT("x-csp-nonce"),   SLICE_INIT("x-aspnetmvc-version"),
    };
    static const struct slice starts[] = {SLICE_INIT("proxy-"), SLICE_INIT("x-accel-"),
                                          SLICE_INIT("x-forwarded-")};
    if (!name.len || !strchr("acfpxACFPX", name.ptr[0])) /* most are none */
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (slice_eq_nocase(name, names[i]))
            return true;
    }
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        if (slice_starts_nocase(name, starts[i]))
            return true;
    }
    return false;
}

/* An error must not be kept for as long as what should be there. */
static bool is_for(const struct web_header *item, int status)
{
    return status < 400 || !slice_is(item->name, "Cache-Control");
}

static bool is_replaced(const struct web_headers *headers, struct slice name, int status)
{
    for (size_t i = 0; i < headers->n; i++) {
        const struct web_header *item = &headers->items[i];
        if (item->is_written && is_for(item, status) && slice_eq_nocase(item->name, name))
            return true;
    }
    return false;
}

/* Which of its headers a page may read, the backend knows best. */
static bool is_cors(struct slice name)
{
    return slice_starts_nocase(name, SLICE("access-control-")) &&
           !slice_eq_nocase(name, SLICE("access-control-expose-headers"));
}

/* True of the bytes that the backend sends, not of those that leave. */
static bool is_of_bytes(struct slice name)
{
    static const struct slice names[] = {
        SLICE_INIT("accept-ranges"), SLICE_INIT("content-md5"),    SLICE_INIT("digest"),
        SLICE_INIT("repr-digest"),   SLICE_INIT("content-digest"),
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (slice_eq_nocase(name, names[i]))
            return true;
    }
    return false;
}

struct slice outgoing_cache_control(const struct outgoing *o, int status)
{
    for (size_t i = 0; o->headers && i < o->headers->n; i++) {
        const struct web_header *item = &o->headers->items[i];
        if (slice_is(item->name, "Cache-Control") && is_for(item, status))
            return item->value;
    }
    return (struct slice){0};
}

bool outgoing_drops(const struct outgoing *o, const struct req *rq, struct slice name, int status)
{
    struct slice identity = o->conf->identity.header.s;
    if (is_private(name) || (identity.len && slice_eq_nocase(name, identity)))
        return true;
    if (o->has_cors && is_cors(name))
        return true;
    if (o->is_rewritten && is_of_bytes(name))
        return true;
    if (!rq->is_secure && slice_eq_nocase(name, SLICE(WEB_HSTS)))
        return true;
    if (!o->headers || status == 101)
        return false;
    if (o->headers->is_csp_written && slice_eq_nocase(name, SLICE("content-security-policy")))
        return true;
    if (o->headers->is_ancestors_written && slice_eq_nocase(name, SLICE("x-frame-options")))
        return true;
    return is_replaced(o->headers, name, status);
}

/* ---- its own policy ------------------------------------------------------------------------- */

static bool is_about_frames(struct slice directive)
{
    struct slice rest = slice_skip(directive, FRAMES.len);
    return slice_starts_nocase(directive, FRAMES) &&
           (!rest.len || rest.ptr[0] == ' ' || rest.ptr[0] == '\t');
}

/* Without frame-ancestors: who may frame the page is said elsewhere. A header may hold several
 * policies, with commas between them. */
static void add_policies(struct buf *to, struct slice value)
{
    struct slice policy, directive;
    bool is_first_policy = true;
    while (slice_cut(&value, ',', &policy)) {
        bool is_first = true;
        while (slice_cut(&policy, ';', &directive)) {
            directive = slice_trim(directive);
            if (!directive.len || is_about_frames(directive))
                continue;
            buf_add(to, !is_first ? SLICE("; ") : is_first_policy ? SLICE("") : SLICE(", "));
            buf_add(to, directive);
            is_first = is_first_policy = false;
        }
    }
}

/* The same content for whoever reads it, not the same bytes. */
static bool weakens(const struct outgoing *o, struct slice name, struct slice value, int status)
{
    return (o->is_rewritten || (o->may_rewrite && status == 304)) &&
           slice_eq_nocase(name, SLICE("etag")) && !slice_starts(value, SLICE("W/"));
}

bool outgoing_changes(const struct outgoing *o, const struct h1_header *h, int status,
                      struct buf *ret_value)
{
    struct slice name = h->name, value = h->value;
    if (weakens(o, name, value, status)) {
        buf_add(ret_value, SLICE("W/"));
        buf_add(ret_value, value);
        return true;
    }
    if (!o->headers || !o->headers->is_ancestors_written ||
        !slice_eq_nocase(name, SLICE("content-security-policy")))
        return false;
    add_policies(ret_value, value);
    return true;
}

static bool speaks_of_frames(const struct h1_request *head)
{
    for (uint32_t i = 0; i < head->n_headers; i++) {
        const struct h1_header *h = &head->headers[i];
        struct slice value = h->value, policy, directive;
        if (slice_eq_nocase(h->name, SLICE("x-frame-options")))
            return true;
        if (!slice_eq_nocase(h->name, SLICE("content-security-policy")))
            continue;
        while (slice_cut(&value, ',', &policy)) {
            while (slice_cut(&policy, ';', &directive)) {
                if (is_about_frames(slice_trim(directive)))
                    return true;
            }
        }
    }
    return false;
}

/* ---- what is added -------------------------------------------------------------------------- */

/* What a browser shows as a page, with links and frames. */
static bool is_document(const struct h1_request *head)
{
    static const struct slice types[] = {
        SLICE_INIT("text/html"), SLICE_INIT("application/xhtml+xml"), SLICE_INIT("image/svg+xml"),
        SLICE_INIT("text/xml"),  SLICE_INIT("application/xml"),       SLICE_INIT("application/pdf"),
    };
    struct slice type = h1_get(head, HEADER_CONTENT_TYPE);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (slice_starts_nocase(type, types[i]))
            return true;
    }
    return false;
}

/* The policy was written for a page of another nonce when the client keeps what it has. */
static bool is_stale(const struct outgoing *o, int status)
{
    return o->nonce.len && status == 304;
}

static void add_csp(struct buf *to, const struct outgoing *o, const struct h1_response *answer)
{
    const struct web_headers *h = o->headers;
    struct slice policy = h->is_csp_written ? o->csp : (struct slice){0};
    struct slice frames = h->ancestors;
    bool is_default = !h->is_ancestors_written;
    if (is_stale(o, answer->status))
        return;
    if (is_default && !policy.len && !is_document(&answer->head))
        frames.len = 0;
    if (is_default && frames.len && speaks_of_frames(&answer->head) &&
        (!h->is_csp_written || h1_find(&answer->head, SLICE("x-frame-options")).ptr))
        frames.len = 0;
    if (!policy.len && !frames.len)
        return;
    buf_add(to, SLICE("Content-Security-Policy: "));
    buf_add(to, policy);
    if (frames.len) {
        buf_add(to, policy.len ? SLICE("; frame-ancestors ") : SLICE("frame-ancestors "));
        buf_add(to, frames);
    }
    buf_add(to, SLICE("\r\n"));
}

/* A default that does nothing for this answer, or for a page only. */
static bool is_idle(const struct web_header *item, const struct h1_request *head)
{
    if (slice_is(item->name, "X-Content-Type-Options"))
        return !head->at[HEADER_CONTENT_TYPE];
    return slice_is(item->name, "Referrer-Policy") && !is_document(head);
}

void outgoing_add(struct buf *to, const struct outgoing *o, const struct req *rq,
                  const struct h1_response *answer)
{
    const struct web_headers *headers = o->headers;
    if (!headers || answer->status == 101)
        return;
    for (size_t i = 0; i < headers->n; i++) {
        const struct web_header *item = &headers->items[i];
        bool is_hsts = slice_eq_nocase(item->name, SLICE(WEB_HSTS));
        if (!item->value.len || !is_for(item, answer->status) || (is_hsts && !rq->is_secure))
            continue;
        if (!item->is_written &&
            (is_idle(item, &answer->head) || h1_find(&answer->head, item->name).ptr))
            continue;
        must(h1_add_header(to, item->name, item->value));
    }
    add_csp(to, o, answer);
}
