/* Protocol engines without I/O: bytes in, facts or bytes out. HTTP/1.1 heads and chunked bodies,
 * paths, ranges, the headers that need more than a comparison, server-sent events, and WebSocket
 * frames.
 *
 * Nothing here blocks, allocates (except into a buf or arena the caller passes) or keeps state
 * outside the structs below. All functions may be called on any thread, one struct by one thread at
 * a time. Slices in results borrow from the input (or from the named caller buffer) and live as
 * long as it does. Whatever is ambiguous in the input is refused: `struct err` then says why. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "base/utf8.h"

/* How a step that may lack input ended. */
enum io {
    IO_OK,   /* there is a result */
    IO_MORE, /* more input is needed; nothing is wrong so far */
    IO_EOF,  /* the end, nothing more will come */
    IO_FAIL  /* *e says why; the connection cannot be used for another request */
};

/* ---- requests (h1.c) ------------------------------------------------------------------------ */

#define HTTP_METHOD_MAP(X) X(GET) X(HEAD) X(POST) X(PUT) X(PATCH) X(DELETE) X(OPTIONS)

enum http_method {
#define X(name) METHOD_##name,
    HTTP_METHOD_MAP(X)
#undef X
        METHOD_OTHER /* any other token, in method_text; never CONNECT, which fails */
};

/* Headers that somebody here looks up, found while parsing. ONCE: a second line of it is
 * 400. A new row needs one in header_impl.h too.
 *  id                    name                              repeats */
#define HEADER_MAP(X)                                         \
    X(HOST, "host", ONCE)                                     \
    X(CONNECTION, "connection", MANY)                         \
    X(CONTENT_LENGTH, "content-length", ONCE)                 \
    X(TRANSFER_ENCODING, "transfer-encoding", MANY)           \
    X(EXPECT, "expect", ONCE)                                 \
    X(UPGRADE, "upgrade", MANY)                               \
    X(TE, "te", MANY)                                         \
    X(TRAILER, "trailer", MANY)                               \
    X(KEEP_ALIVE, "keep-alive", MANY)                         \
    X(PROXY_CONNECTION, "proxy-connection", MANY)             \
    X(ACCEPT, "accept", MANY)                                 \
    X(ACCEPT_ENCODING, "accept-encoding", MANY)               \
    X(ACCEPT_LANGUAGE, "accept-language", MANY)               \
    X(AUTHORIZATION, "authorization", ONCE)                   \
    X(COOKIE, "cookie", MANY)                                 \
    X(CONTENT_TYPE, "content-type", ONCE)                     \
    X(CONTENT_ENCODING, "content-encoding", MANY)             \
    X(CONTENT_RANGE, "content-range", ONCE)                   \
    X(IF_MATCH, "if-match", MANY)                             \
    X(IF_NONE_MATCH, "if-none-match", MANY)                   \
    X(IF_MODIFIED_SINCE, "if-modified-since", ONCE)           \
    X(IF_UNMODIFIED_SINCE, "if-unmodified-since", ONCE)       \
    X(IF_RANGE, "if-range", ONCE)                             \
    X(RANGE, "range", ONCE)                                   \
    X(ORIGIN, "origin", ONCE)                                 \
    X(REFERER, "referer", MANY)                               \
    X(USER_AGENT, "user-agent", MANY)                         \
    X(LAST_EVENT_ID, "last-event-id", ONCE)                   \
    X(IDEMPOTENCY_KEY, "idempotency-key", ONCE)               \
    X(SEC_FETCH_SITE, "sec-fetch-site", ONCE)                 \
    X(SEC_FETCH_MODE, "sec-fetch-mode", ONCE)                 \
    X(SEC_WEBSOCKET_KEY, "sec-websocket-key", ONCE)           \
    X(SEC_WEBSOCKET_VERSION, "sec-websocket-version", ONCE)   \
    X(SEC_WEBSOCKET_PROTOCOL, "sec-websocket-protocol", MANY) \
    X(CORS_METHOD, "access-control-request-method", ONCE)     \
    X(CORS_HEADERS, "access-control-request-headers", MANY)   \
    X(FORWARDED, "forwarded", MANY)                           \
    X(X_FORWARDED_FOR, "x-forwarded-for", MANY)               \
    X(X_FORWARDED_HOST, "x-forwarded-host", MANY)             \
    X(X_FORWARDED_PROTO, "x-forwarded-proto", MANY)           \
    X(X_FORWARDED_PREFIX, "x-forwarded-prefix", MANY)         \
    X(X_REAL_IP, "x-real-ip", MANY)                           \
    X(X_REQUEST_ID, "x-request-id", MANY)

enum header_id {
    HEADER_OTHER,
#define X(id, name, repeats) HEADER_##id,
    HEADER_MAP(X)
#undef X
        HEADER_COUNT
};

struct h1_limits {
    uint32_t line_bytes; /* one line, its CRLF included */
    uint32_t head_bytes; /* the whole head; the caller's buffer must be able to hold as much */
    uint32_t headers;    /* capacity of h1_request.headers; at most 65535 */
};
/* Static: h1_default_limits. */
#define H1_LINE_BYTES 16384
#define H1_HEAD_BYTES 65536
#define H1_HEADERS    100
extern const struct h1_limits h1_default_limits;

struct h1_header {
    struct slice name, value; /* as received; the value without white space around it */
    enum header_id id;
};

struct h1_request {
    enum http_method method;
    struct slice method_text;
    struct slice target; /* as received */
    struct slice path;   /* of the target, not decoded, starts with '/'; "*" of OPTIONS * */
    struct slice query;  /* after the '?'; empty when there is none */
    struct slice host;   /* name[:port], valid, as received; from an absolute target if there is
                            one; empty only in HTTP/1.0 */
    uint8_t minor;       /* HTTP/1.x */
    bool keep_alive, chunked, has_length, expect_continue;
    bool upgrade; /* Connection names it and Upgrade is there */
    uint64_t content_length;
    struct h1_header *headers; /* the caller's array, set before the call */
    uint32_t n_headers;
    size_t head_len;           /* bytes of the head, blank line included; the body follows */
    uint16_t at[HEADER_COUNT]; /* index + 1 of the first line of a known header; 0 = absent */
};

/* Parses the head at the start of `in`. The caller sets rq->headers (limits->headers of them) and,
 * for a new head, *scanned = 0; it calls again with all bytes so far until the result is not
 * IO_MORE. How the bytes were cut changes no result: an error shows when the line it is in is
 * complete (or head_bytes are there). Trickled bytes cost linear time.
 * IO_OK: rq is filled, slices borrow from `in`. IO_FAIL: ERR_MALFORMED, ERR_URI_TOO_LONG,
 * ERR_HEADERS_TOO_LARGE, ERR_HTTP_VERSION, ERR_NOT_IMPLEMENTED or ERR_EXPECTATION; answer, close.
 * One empty line before the request is skipped and counted in head_len. Never IO_EOF. */
enum io h1_parse_request(struct h1_request *rq, struct slice in, size_t *scanned,
                         const struct h1_limits *limits, struct err *e) MUST_CHECK;

/* The value of the first line of a known header; ptr NULL when absent. */
static inline struct slice h1_get(const struct h1_request *rq, enum header_id id)
{
    return rq->at[id] ? rq->headers[rq->at[id] - 1].value : (struct slice){0};
}
/* Any header by name, any case; ptr NULL when absent. */
struct slice h1_find(const struct h1_request *rq, struct slice name);
/* Walks all lines of a known header: start with *at = 0; false at the end. */
bool h1_next(const struct h1_request *rq, enum header_id id, uint32_t *at, struct slice *ret_value);

const char *http_method_name(enum http_method m); /* "GET"; "" of METHOD_OTHER */
const char *header_name(enum header_id id);       /* lower case; "" of HEADER_OTHER */
/* HEADER_OTHER when unknown; any case. The name must be a token. */
enum header_id header_find(struct slice name);
/* Connection, Keep-Alive, TE, Trailer, Transfer-Encoding, Upgrade, Proxy-Connection: of one hop,
 * never forwarded. What Connection lists besides is found with list_has(connection value, name). */
bool header_is_hop(enum header_id id);
/* Walks the headers in which a client asks to be taken for another method: start with *at = 0. */
bool h1_next_override(const struct h1_request *rq, uint32_t *at, struct slice *ret_method);
/* One in which a proxy says for whom it asks, or for what: of a client that is no proxy a lie. */
bool header_is_claim(struct slice name);

/* Is `token` an element of the comma separated list, any case? */
bool list_has(struct slice list, struct slice token);
/* Takes the next element (trimmed, not empty) off a comma separated list; quoted strings stay
 * whole. False at the end. */
bool list_next(struct slice *list, struct slice *ret_element);

/* What a backend or another server answered. The lines below the first are those of a request, and
 * so are the questions about them: h1_get(&rs.head, HEADER_X). What only a request has is empty. */
struct h1_response {
    uint16_t status;     /* 100 to 999 */
    struct slice reason; /* may be empty */
    struct h1_request head;
};
/* As h1_parse_request, for the head of an answer; the caller sets rs->head.headers. Only
 * Content-Length must not repeat. Every failure means that the other side cannot be understood:
 * ERR_MALFORMED, ERR_HEADERS_TOO_LARGE, ERR_URI_TOO_LONG (its first line) or ERR_NOT_IMPLEMENTED.
 */
enum io h1_parse_response(struct h1_response *rs, struct slice in, size_t *scanned,
                          const struct h1_limits *limits, struct err *e) MUST_CHECK;

enum h1_body {
    H1_BODY_NONE,    /* HEAD, 1xx, 204, 304: nothing follows, whatever the headers say */
    H1_BODY_LENGTH,  /* head.content_length bytes */
    H1_BODY_CHUNKED, /* chunked_next says */
    H1_BODY_CLOSE    /* all until the connection ends, which it must not be reused after */
};
enum h1_body h1_response_body(const struct h1_response *rs, enum http_method asked);

/* ---- host names (host.c) ----------------------------------------------------------------------
 */

/* name[:port], 1.2.3.4[:port] or [v6][:port]; no user, no empty name. */
bool host_is_valid(struct slice host);
/* Of a valid host: the name (brackets kept) and the port; 0 when it names none. */
void host_split(struct slice host, struct slice *ret_name, uint16_t *ret_port);

/* ---- chunked bodies (chunked.c) ---------------------------------------------------------------
 */

struct chunked {
    uint64_t left;        /* of the current chunk */
    uint32_t extra_bytes; /* extensions and trailers so far; CHUNKED_EXTRA_MAX for the whole body */
    uint8_t state, size_digits, name_len;
    char name[24]; /* of the current trailer, its first bytes */
};

#define CHUNKED_EXTRA_MAX 16384
void chunked_init(struct chunked *c);
/* Takes bytes off the front of *in. IO_OK: *ret_data is a non-empty piece of the body, borrowed
 * from *in; call again. IO_MORE: *in was used up. IO_EOF: body and trailers are complete, *in
 * starts behind them. IO_FAIL: ERR_MALFORMED or ERR_HEADERS_TOO_LARGE (extensions, trailers).
 * Trailers are checked and dropped. Cutting the input anywhere gives the same bytes. */
enum io chunked_next(struct chunked *c, struct slice *in, struct slice *ret_data,
                     struct err *e) MUST_CHECK;

#define CHUNK_HEAD_MAX 18 /* 16 digits, CRLF */
/* Writes "1a2b\r\n" for a chunk of n > 0 bytes, returns its length. Then the bytes, CHUNK_TAIL;
 * after the last chunk CHUNK_END. */
size_t chunk_head(char to[CHUNK_HEAD_MAX], uint64_t n);
#define CHUNK_TAIL SLICE("\r\n")
#define CHUNK_END  SLICE("0\r\n\r\n")

/* ---- paths and queries (path.c, query.c) ------------------------------------------------------
 */

/* Decodes a raw path (starting with '/') once and resolves it: '//' becomes '/', "." and ".." go
 * away, also when written as %2e. `to` holds at least raw.len bytes; *ret borrows from it, or from
 * raw when nothing had to change (ret->ptr == raw.ptr says so).
 * Refused with ERR_MALFORMED: bad escapes, control characters (NUL) raw or escaped, '/' written as
 * %2f, '\' raw or escaped, ".." above the root, bytes that are not UTF-8, no '/' at the start.
 * ';' and a second level of escapes (%252e gives the text %2e) are ordinary characters. A last
 * '/' is kept; "/a/." and "/a/b/.." give "/a/". */
bool path_normalise(struct slice raw, char *to, struct slice *ret, struct err *e) MUST_CHECK;

/* A normalised path as a program that is less strict may see it: always in small letters (ASCII),
 * without dots and spaces at the end of a name; with PATH_PARAMS also without what follows a `;`,
 * with PATH_DECODE with escapes decoded again and backslashes taken for slashes; ".." resolved
 * after that. In the arena. For rules that must hold however a path is spelt. */
enum { PATH_PARAMS = 1, PATH_DECODE = 2 };
struct slice path_lax(struct slice path, unsigned how, struct arena *a);
unsigned path_ways(struct slice path); /* in how many: `how` from 0 up to it, without it */
/* "/api/" is all below it, and "/api"; "/health" is itself and all below "/health/". An empty
 * prefix is above nothing. */
bool path_is_below(struct slice path, struct slice prefix);

/* Escapes a normalised path for Location or a request line; a round trip through
 * path_normalise gives it back. */
void path_encode(struct buf *to, struct slice path);
/* Escapes what no address may hold and leaves its structure and its escapes as they are. */
void address_encode(struct buf *to, struct slice address);
/* Escapes everything but letters, digits and -._~ (one segment or one query value). */
void percent_encode(struct buf *to, struct slice text);

/* Takes the next "name=value" off a query (or form body), not decoded; empty pieces are skipped.
 * False at the end. Without '=' the value is empty. */
bool query_next(struct slice *query, struct slice *ret_name, struct slice *ret_value);
/* Decodes '+' and %xx into `to` (raw.len bytes); *ret borrows from it, or from raw when there was
 * nothing to decode. ERR_MALFORMED: bad escapes, NUL, not UTF-8. */
bool query_decode(struct slice raw, char *to, struct slice *ret, struct err *e) MUST_CHECK;
/* The decoded value of the first parameter of that (plain) name, in the arena. ptr NULL: absent.
 * False: ERR_MALFORMED, or ERR_HEADERS_TOO_LARGE when the arena is full. */
bool query_find(struct slice query, struct slice name, struct arena *a, struct slice *ret_value,
                struct err *e) MUST_CHECK;

/* ---- ranges and conditions (range.c, conditions.c, negotiate.c)
 * ---------------------------------------------
 */

#define RANGES_MAX 16
struct byte_range {
    uint64_t first, len; /* len > 0, inside the size */
};
enum range_kind {
    RANGE_ALL,  /* send everything (200): no Range, not ours, malformed, or too many */
    RANGE_SOME, /* 206 */
    RANGE_NONE  /* 416 with Content-Range: bytes * / size */
};
/* Ranges in the order asked for; overlapping and touching ones are merged into the earliest. */
enum range_kind range_parse(struct slice value, uint64_t size, struct byte_range to[RANGES_MAX],
                            uint32_t *ret_n);

/* Takes the next etag, W/ and quotes included, off the list; false: there is none, or it is
 * malformed. */
bool etag_next(struct slice *list, struct slice *ret);
/* Does the If-None-Match (weak) or If-Match (strong) list name this etag (quotes and W/ included)?
 * "*" matches any. A malformed list matches up to the fault. */
bool etag_match_weak(struct slice list, struct slice etag);
bool etag_match_strong(struct slice list, struct slice etag);

enum coding { CODING_IDENTITY, CODING_GZIP, CODING_BR };
#define CODING_BIT(c) (1u << (c))
/* What a head and the conditions of a request speak of (conditions.c). */
struct h1_valid {
    struct slice etag; /* with its quotes */
    int64_t mtime_s;   /* 0: nobody knows */
    uint64_t size;
};
struct h1_judged {
    int status; /* 200, 206, 304, 412 or 416 */
    uint32_t n_ranges;
    struct byte_range ranges[RANGES_MAX];
};
/* What they make of a GET or HEAD; RFC 9110 section 13.2.2. */
void h1_judge(enum http_method method, const struct h1_request *h1, const struct h1_valid *valid,
              struct h1_judged *ret);

/* The best of the available codings (CODING_BITs) by q, then br, gzip, identity. Identity when
 * nothing else is welcome, even when it is refused too. `accept_encoding` may be empty. */
enum coding coding_choose(struct slice accept_encoding, unsigned available);

/* How welcome a media type is, 0 to 1000; the most specific element decides; an empty header
 * welcomes all. The type is "text/html", without parameters. */
unsigned accept_quality(struct slice accept, struct slice type);
/* For error pages: is text/html named and more welcome than, or as welcome as and named before,
 * application/json? (A browser: yes. curl's * / *: no.) */
bool accept_prefers_html(struct slice accept);

/* The value of the first cookie of that name in one Cookie line, without quotes; ptr NULL: absent.
 * Case matters. */
struct slice cookie_find(struct slice line, struct slice name);
/* The same over all Cookie lines. */
struct slice h1_cookie(const struct h1_request *rq, struct slice name);

/* Walks the addresses that proxies noted, from the last (nearest) hop to the first, over all lines
 * of X-Forwarded-For or Forwarded. Who is trusted is not decided here. */
struct hop_walk {
    const struct h1_request *rq;
    enum header_id id;
    uint32_t line;     /* lines from here on are done */
    struct slice rest; /* of the current line, cut from the right */
    bool bad;          /* an element was malformed: the walk ended there */
};
void hop_walk_init(struct hop_walk *w, const struct h1_request *rq, enum header_id id);
/* The address of the next hop: "1.2.3.4", "2001:db8::1" (no brackets, no port), or what Forwarded
 * may say instead ("unknown", "_name"). False at the end, or at an element that is none (`bad`). */
bool hop_next(struct hop_walk *w, struct slice *ret_address);

/* ---- responses (response.c) -------------------------------------------------------------------
 */

/* "Not Found"; "" of a code we have no words for. */
const char *http_reason(int status);
/* Adds "HTTP/1.1 404 Not Found\r\n"; any status from 100 to 999. */
void h1_add_status(struct buf *to, int status);
/* Adds "name: value\r\n". False, and nothing added, when the name is no token or the value holds
 * CR, LF, NUL or another control character but a tab. A full buf latches `full` as always. */
bool h1_add_header(struct buf *to, struct slice name, struct slice value) MUST_CHECK;
/* For names and values of our own that cannot be wrong: must() instead of false. */
void h1_add(struct buf *to, const char *name, struct slice value);
void h1_add_u64(struct buf *to, const char *name, uint64_t value);
void h1_end(struct buf *to); /* the blank line */
/* May stand in a header value; what h1_add_header asks. */
bool header_value_is_valid(struct slice value);
bool token_is_valid(struct slice name); /* RFC 9110 token, not empty */

/* ---- server-sent events (sse.c) ---------------------------------------------------------------
 */

/* Adds one event: id and event when not empty, data split on CR, LF and CRLF, the blank line.
 * False, and nothing added, when id or event holds CR, LF or NUL. */
bool sse_add_event(struct buf *to, struct slice id, struct slice event,
                   struct slice data) MUST_CHECK;
void sse_add_heartbeat(struct buf *to);          /* ":\n\n", ignored by clients */
void sse_add_retry(struct buf *to, uint32_t ms); /* how long clients wait to connect again */

/* ---- forms with files (multipart.c) -----------------------------------------------------------
 * multipart/form-data, RFC 7578, as it comes: bytes in, events out. */

#define MULTIPART_BOUNDARY_MAX 70
#define MULTIPART_HEAD_MAX     16384 /* of one part */
#define MULTIPART_IDLE_MAX     16384 /* before the first part, and behind the last: ignored */

struct multipart_part {
    struct slice name, filename; /* UTF-8 or whatever was sent; no control characters */
    struct slice type;           /* as sent; empty: nothing was said */
    bool is_file;                /* it has a filename, which may be empty */
};
enum multipart_kind {
    MULTIPART_PART, /* a part begins: `part`, valid until the next call */
    MULTIPART_DATA, /* some of its bytes: `data`, not empty, of *in or of the engine */
    MULTIPART_END   /* it has ended */
};
struct multipart_event {
    enum multipart_kind kind;
    struct multipart_part part;
    struct slice data;
};
struct multipart {
    char delimiter[4 + MULTIPART_BOUNDARY_MAX]; /* CR LF - - boundary */
    uint8_t delimiter_len, matched, unsent;     /* of what matched, so much is not content */
    uint8_t state;
    uint32_t idle;
    struct buf head, names;
};
/* The boundary that a Content-Type names. ERR_MEDIA_TYPE: it is no multipart/form-data.
 * ERR_MALFORMED: its boundary is missing or none. `to` holds MULTIPART_BOUNDARY_MAX bytes. */
bool multipart_boundary(struct slice content_type, char *to, struct slice *ret, struct err *e);
void multipart_init(struct multipart *m, struct slice boundary); /* a valid one */
void multipart_done(struct multipart *m);
/* Takes bytes off the front of *in. IO_OK: *ret; call again. IO_MORE: *in was used up. IO_EOF: all
 * parts are complete, and *in is used up, whatever it held. IO_FAIL: ERR_MALFORMED or
 * ERR_HEADERS_TOO_LARGE, for good. Cutting the input anywhere gives the same. */
enum io multipart_next(struct multipart *m, struct slice *in, struct multipart_event *ret,
                       struct err *e) MUST_CHECK;

/* ---- WebSocket frames (ws.c) ------------------------------------------------------------------
 */

struct ws_options {
    bool is_client;    /* its frames are masked, a server's are not */
    bool may_compress; /* permessage-deflate was agreed on: RSV1 on the first frame of a message */
    uint64_t max_message; /* bytes of payload, as sent (compressed ones unpack elsewhere); 0: any */
    uint64_t max_session; /* the same for all frames together */
};

/* Follows the frames of one direction. Payloads are neither kept nor looked into. */
struct ws {
    struct ws_options options;
    uint64_t left; /* of the frame's payload */
    uint64_t message, session;
    uint32_t cheap_left; /* control frames and empty ones that are still welcome; the caller refills
                            it as time goes by. ws_init: any number */
    bool is_in_message, has_closed;
    uint16_t fault;  /* the code for a close frame; 0: none */
    const char *why; /* of a fault; static */
};

#define WS_HEAD_MAX 14
void ws_init(struct ws *w, const struct ws_options *options);
/* The first *ret_n bytes of `in` may pass: whole heads, and payload. True: what is behind them, if
 * anything, is the beginning of a head (less than WS_HEAD_MAX bytes); it comes again with more
 * behind it. False: they break a rule, w->fault and w->why say which; this stays. Cutting the
 * stream anywhere gives the same bytes and the same fault. */
bool ws_follow(struct ws *w, struct slice in, size_t *ret_n) MUST_CHECK;
bool ws_is_between(const struct ws *w); /* frames: may one of our own be put here? */

#define WS_CLOSE_MAX 131
/* Writes a close frame, returns its length; a reason beyond 123 bytes is cut. `mask`: 4 random
 * bytes when it goes to a server, else NULL. */
size_t ws_close_frame(char to[WS_CLOSE_MAX], uint16_t code, const char *why, const uint8_t *mask);
