/* Heads on their way to the backend and back: what is passed, what is taken off, what is added. */
#include "edge/edge_impl.h"

#include <string.h>

/* ---- to the backend ------------------------------------------------------------------------- */

/* Made anew, or none of the backend's business. */
static bool is_ours(enum header_id id)
{
    switch (id) {
    case HEADER_HOST:
    case HEADER_CONTENT_LENGTH:
    case HEADER_EXPECT:
    case HEADER_X_REQUEST_ID:
        return true;
    default:
        return header_is_hop(id);
    }
}

/* Does the sender call it a header of this hop? */
static bool is_listed(const struct h1_request *h1, struct slice name)
{
    struct slice line;
    for (uint32_t at = 0; h1_next(h1, HEADER_CONNECTION, &at, &line);) {
        if (list_has(line, name))
            return true;
    }
    return false;
}

static void add_line(struct buf *to, struct slice name, struct slice value)
{
    buf_add(to, name);
    buf_add(to, SLICE(": "));
    buf_add(to, value);
    buf_add(to, SLICE("\r\n"));
}

/* Frameworks that turn '-' into '_' would take X_Forwarded_For for the real one. */
static bool is_ambiguous(struct slice name)
{
    return slice_index(name, '_') >= 0;
}

/* dais's own cookie and tokens are none of the backend's; all else passes as it came. */
static void add_credential(struct buf *to, const struct req *rq, const struct edge *g,
                           const struct h1_header *h)
{
    struct slice value = h->value;
    if (h->id == HEADER_COOKIE) {
        value = identity_other_cookies(value, slice_from(g->cookie), rq->arena);
        value = identity_other_cookies(value, slice_from(g->stay_cookie), rq->arena);
    } else if (identity_is_own_bearer(value)) {
        value = SLICE("");
    }
    if (value.len || !h->value.len)
        add_line(to, h->name, value);
}

/* Only dais says what the nonce of a policy is. */
static bool is_nonce(struct slice name)
{
    return slice_eq_nocase(name, SLICE("x-csp-nonce"));
}

/* What is to be rewritten has to come whole and as it is. */
static bool is_about_coding(enum header_id id)
{
    return id == HEADER_ACCEPT_ENCODING || id == HEADER_RANGE || id == HEADER_IF_RANGE;
}

static bool is_condition(enum header_id id)
{
    return id == HEADER_IF_NONE_MATCH || id == HEADER_IF_MODIFIED_SINCE;
}

/* Made anew here, another's business, or not wanted of this answer. */
static bool is_kept_back(const struct h1_header *h, const struct outgoing *o)
{
    return is_ours(h->id) || header_is_claim(h->name) ||
           identity_is_header(h->name, o->conf->identity.header.s) || is_ambiguous(h->name) ||
           is_nonce(h->name) || (o->may_rewrite && is_about_coding(h->id)) ||
           (o->condition.len && is_condition(h->id));
}

static void add_received(struct buf *to, const struct req *rq, const struct edge *g,
                         const struct outgoing *o)
{
    const struct h1_request *h1 = rq->h1;
    for (uint32_t i = 0; i < h1->n_headers; i++) {
        const struct h1_header *h = &h1->headers[i];
        if (is_kept_back(h, o) || is_listed(h1, h->name))
            continue;
        if (h->id == HEADER_COOKIE || h->id == HEADER_AUTHORIZATION)
            add_credential(to, rq, g, h);
        else
            add_line(to, h->name, h->value);
    }
}

static void add_about_client(struct buf *to, const struct req *rq)
{
    char client[IP_TEXT_LEN];
    ip_text(&rq->client, client);
    struct slice ip = slice_from(client), proto = rq->is_secure ? SLICE("https") : SLICE("http");
    bool is_v6 = slice_index(ip, ':') >= 0;
    add_line(to, SLICE("X-Forwarded-For"), ip);
    add_line(to, SLICE("X-Forwarded-Proto"), proto);
    if (rq->h1->host.len)
        add_line(to, SLICE("X-Forwarded-Host"), rq->h1->host);
    if (rq->mount.len)
        add_line(to, SLICE("X-Forwarded-Prefix"), rq->mount);
    buf_printf(to, is_v6 ? "Forwarded: for=\"[%s]\";proto=%.*s" : "Forwarded: for=%s;proto=%.*s",
               client, SLICE_ARGS(proto));
    if (rq->h1->host.len)
        buf_printf(to, ";host=\"%.*s\"", SLICE_ARGS(rq->h1->host));
    buf_add(to, SLICE("\r\n"));
    add_line(to, SLICE("X-Real-IP"), ip);
    add_line(to, SLICE("X-Request-Id"), slice_from(rq->id));
}

bool forward_is_upgrade(const struct h1_request *h1)
{
    struct slice line;
    bool is_it = h1->upgrade && h1->method == METHOD_GET && !h1->chunked && !h1->content_length;
    for (uint32_t at = 0; is_it && h1_next(h1, HEADER_UPGRADE, &at, &line);)
        is_it = slice_eq_nocase(line, SLICE("websocket"));
    return is_it;
}

static void add_framing(struct buf *to, const struct h1_request *h1)
{
    if (h1->chunked) {
        buf_add(to, SLICE("Transfer-Encoding: chunked\r\n"));
    } else if (h1->has_length) {
        buf_add(to, SLICE("Content-Length: "));
        buf_add_u64(to, h1->content_length);
        buf_add(to, SLICE("\r\n"));
    }
    if (forward_is_upgrade(h1))
        buf_add(to, SLICE("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
}

/* The path without the longest prefix of backend.strip. */
static struct slice stripped(struct slice path, const struct texts *strip)
{
    size_t longest = 0;
    for (size_t i = 0; i < strip->n; i++) {
        struct slice prefix = strip->items[i].s;
        if (prefix.len && prefix.ptr[prefix.len - 1] == '/')
            prefix.len--;
        bool ends_well =
            path.len == prefix.len || (path.len > prefix.len && path.ptr[prefix.len] == '/');
        if (slice_starts(path, prefix) && ends_well && prefix.len > longest)
            longest = prefix.len;
    }
    path = slice_skip(path, longest);
    return path.len ? path : SLICE("/");
}

void forward_request(struct buf *to, const struct req *rq, const struct edge *g,
                     struct slice identity, const struct outgoing *o)
{
    const struct h1_request *h1 = rq->h1;
    buf_add(to, h1->method_text);
    buf_add_char(to, ' ');
    path_encode(to, stripped(rq->path, &g->conf->strip));
    if (rq->query.len) {
        buf_add_char(to, '?');
        buf_add(to, rq->query);
    }
    buf_add(to, SLICE(" HTTP/1.1\r\n"));
    add_line(to, SLICE("Host"), h1->host.len ? h1->host : SLICE("localhost")); /* HTTP/1.0 */
    add_received(to, rq, g, o);
    if (identity.len)
        add_line(to, g->conf->identity.header.s, identity);
    add_about_client(to, rq);
    buf_add(to, o->condition);
    if (o->nonce.len)
        add_line(to, SLICE("X-CSP-Nonce"), o->nonce);
    add_framing(to, h1);
    buf_add(to, SLICE("\r\n"));
}

/* ---- to the client -------------------------------------------------------------------------- */

/* What dais says itself on every answer, and what the framing is made of. */
static bool is_of_this_hop(const struct h1_header *h)
{
    static const char *const ours[] = {"date", "server", "x-release"};
    if (h->id == HEADER_CONTENT_LENGTH || h->id == HEADER_X_REQUEST_ID || header_is_hop(h->id))
        return true;
    for (size_t i = 0; h->id == HEADER_OTHER && i < sizeof ours / sizeof *ours; i++) {
        if (slice_eq_nocase(h->name, slice_from(ours[i])))
            return true;
    }
    return false;
}

/* Where a path of the app begins in a Location: at 0, or behind an origin that is this one. -1: it
 * leads elsewhere, or is relative. */
static ptrdiff_t own_path(struct slice location, const struct req *rq)
{
    size_t at = 0;
    if (slice_starts_nocase(location, SLICE("http://")))
        at = 7;
    else if (slice_starts_nocase(location, SLICE("https://")))
        at = 8;
    if (at) {
        struct slice rest = slice_skip(location, at);
        struct slice host = rq->h1->host;
        if (!slice_starts_nocase(rest, host) || (rest.len > host.len && rest.ptr[host.len] != '/'))
            return -1;
        return (ptrdiff_t)(at + host.len);
    }
    bool is_path =
        location.len && location.ptr[0] == '/' && (location.len == 1 || location.ptr[1] != '/');
    return is_path ? 0 : -1;
}

static void add_location(struct buf *to, struct slice name, struct slice value,
                         const struct req *rq)
{
    ptrdiff_t at = own_path(value, rq);
    buf_add(to, name);
    buf_add(to, SLICE(": "));
    if (at >= 0) {
        buf_add(to, slice_first(value, (size_t)at));
        buf_add(to, rq->mount);
        value = slice_skip(value, (size_t)at);
    }
    buf_add(to, value);
    buf_add(to, SLICE("\r\n"));
}

/* "a=b; Path=/x" becomes "a=b; Path=/mount/x". */
static void add_cookie(struct buf *to, struct slice name, struct slice value, const struct req *rq)
{
    struct slice piece;
    bool is_first = true;
    buf_add(to, name);
    buf_add(to, SLICE(":"));
    while (slice_cut(&value, ';', &piece)) {
        struct slice trimmed = slice_trim(piece);
        buf_add(to, is_first ? SLICE(" ") : SLICE("; "));
        is_first = false;
        if (slice_starts_nocase(trimmed, SLICE("path=/"))) {
            buf_add(to, slice_first(trimmed, 5));
            buf_add(to, rq->mount);
            trimmed = slice_skip(trimmed, 5);
        }
        buf_add(to, trimmed);
    }
    buf_add(to, SLICE("\r\n"));
}

/* One that is another on its way out; it may vanish. False: it is not. */
static bool add_changed(struct buf *to, const struct h1_header *h, int status,
                        const struct outgoing *o)
{
    struct buf value;
    buf_init(&value, H1_LINE_BYTES);
    bool is_changed = outgoing_changes(o, h, status, &value);
    if (is_changed && value.len)
        add_line(to, h->name, buf_slice(&value));
    buf_done(&value);
    return is_changed;
}

/* A session of dais's is not the backend's to give. */
static bool is_own_cookie(const struct h1_header *h, const struct edge *g)
{
    return slice_eq_nocase(h->name, SLICE("set-cookie")) &&
           (identity_is_cookie(h->value, slice_from(g->cookie)) ||
            identity_is_cookie(h->value, slice_from(g->stay_cookie)));
}

void forward_answer(struct buf *to, const struct h1_response *answer, const struct req *rq,
                    const struct outgoing *o)
{
    const struct h1_request *head = &answer->head;
    for (uint32_t i = 0; i < head->n_headers; i++) {
        const struct h1_header *h = &head->headers[i];
        if (is_of_this_hop(h) || is_listed(head, h->name) || is_own_cookie(h, rq->site) ||
            outgoing_drops(o, rq, h->name, answer->status))
            continue;
        if (rq->mount.len && slice_eq_nocase(h->name, SLICE("location")))
            add_location(to, h->name, h->value, rq);
        else if (rq->mount.len && slice_eq_nocase(h->name, SLICE("set-cookie")))
            add_cookie(to, h->name, h->value, rq);
        else if (!add_changed(to, h, answer->status, o))
            add_line(to, h->name, h->value);
    }
    outgoing_add(to, o, rq, answer);
}
