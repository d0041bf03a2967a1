/* HTTP/1.1 heads, of requests and of responses: one strict pass over their lines, then the
 * questions of framing.
 *
 * A fault is reported when its line is complete, so that the answer never depends on how the bytes
 * were cut; until then there is only "more". A head that trickles in is parsed again only when a
 * new line feed came, so at most once per line. */
#include "wire/header_impl.h"
#include "wire/scan_impl.h"

const struct h1_limits h1_default_limits = {H1_LINE_BYTES, H1_HEAD_BYTES, H1_HEADERS};

struct parse {
    struct h1_request *rq;
    const struct h1_limits *limits;
    const char *begin, *end; /* the bytes that may be looked at */
    const char *line;        /* the current one */
    bool cut;                /* there is more than head_bytes: what lacks is too large */
    bool is_response;        /* only what frames it may stand but once */
    struct err *e;
};

/* Ends the parse at a fault in the current line, or at the end of the bytes. */
static __attribute__((cold, noinline)) enum io stop(struct parse *p, enum err_code code,
                                                    const char *why)
{
    const char *lf = memchr(p->line, '\n', (size_t)(p->end - p->line));
    bool too_long = lf ? (size_t)(lf + 1 - p->line) > p->limits->line_bytes : p->cut;
    if (!lf && !too_long)
        return IO_MORE;
    if (too_long && !p->rq->target.ptr)
        err_set(p->e, ERR_URI_TOO_LONG, "The request line is longer than the limit.");
    else if (too_long)
        err_set(p->e, ERR_HEADERS_TOO_LARGE, "The headers are larger than the limit.");
    else
        err_set(p->e, code, "%s", why);
    return IO_FAIL;
}

/* ---- the request line -------------------------------------------------------------------------
 */

static enum http_method method_of(struct slice s)
{
#define X(name)                                                                   \
    if (s.len == sizeof #name - 1 && memcmp(s.ptr, #name, sizeof #name - 1) == 0) \
        return METHOD_##name;
    HTTP_METHOD_MAP(X)
#undef X
    return METHOD_OTHER;
}

static void split_query(struct h1_request *rq, struct slice path)
{
    const char *end = path.ptr + path.len;
    const char *mark = scan_question(path.ptr, path.ptr, end);
    rq->path = (struct slice){path.ptr, (size_t)(mark - path.ptr)};
    mark += mark < end;
    rq->query = (struct slice){mark, (size_t)(end - mark)};
}

/* http://host[:port][/path][?query] */
static bool read_absolute(struct h1_request *rq, struct slice target)
{
    struct slice rest;
    if (slice_starts_nocase(target, SLICE("http://")))
        rest = slice_skip(target, 7);
    else if (slice_starts_nocase(target, SLICE("https://")))
        rest = slice_skip(target, 8);
    else
        return false;
    size_t n = 0;
    while (n < rest.len && rest.ptr[n] != '/' && rest.ptr[n] != '?')
        n++;
    rq->host = slice_first(rest, n);
    if (!host_is_valid(rq->host))
        return false;
    split_query(rq, slice_skip(rest, n));
    if (rq->path.len == 0)
        rq->path = SLICE("/");
    return true;
}

static bool read_target(struct h1_request *rq, struct slice target)
{
    rq->host = (struct slice){0};
    if (target.ptr[0] == '/') {
        split_query(rq, target);
        return true;
    }
    if (target.len == 1 && target.ptr[0] == '*') {
        split_query(rq, target);
        return rq->method == METHOD_OPTIONS;
    }
    return read_absolute(rq, target);
}

/* "HTTP/1.1" CR LF at `at`; *ret_next is behind it. */
static enum io read_version(struct parse *p, const char *at, const char **ret_next)
{
    if (p->end - at < 10)
        return stop(p, ERR_MALFORMED, "The request line does not end in HTTP/1.1 and CRLF.");
    if (memcmp(at, "HTTP/1.1", 8) == 0 && memcmp(at + 8, "\r\n", 2) == 0) {
        p->rq->minor = 1; /* nearly all */
        *ret_next = at + 10;
        return IO_OK;
    }
    if (memcmp(at, "HTTP/", 5) != 0 || !scan_is(at[5], CH_DIGIT) || at[6] != '.' ||
        !scan_is(at[7], CH_DIGIT) || at[8] != '\r' || at[9] != '\n')
        return stop(p, ERR_MALFORMED, "The request line does not end in HTTP/1.1 and CRLF.");
    if (at[5] != '1' || at[7] > '1')
        return stop(p, ERR_HTTP_VERSION, "Only HTTP/1.0 and HTTP/1.1 are spoken here.");
    p->rq->minor = (uint8_t)(at[7] - '0');
    *ret_next = at + 10;
    return IO_OK;
}

static enum io read_request_line(struct parse *p, const char **at)
{
    struct h1_request *rq = p->rq;
    const char *method = *at;
    const char *space = scan_while(method, p->end, CH_TOKEN);
    if (space == p->end || space == method || *space != ' ')
        return stop(p, ERR_MALFORMED, "The request does not start with a method and a space.");
    rq->method_text = (struct slice){method, (size_t)(space - method)};
    rq->method = method_of(rq->method_text);

    const char *target = space + 1;
    const char *target_end = scan_target(target, p->begin, p->end);
    if (target_end == p->end || target_end == target || *target_end != ' ')
        return stop(p, ERR_MALFORMED, "The target holds bytes that may not stand in an address.");
    const char *next = NULL;
    enum io version = read_version(p, target_end + 1, &next);
    if (version != IO_OK)
        return version;
    if ((size_t)(next - p->line) > p->limits->line_bytes)
        return stop(p, ERR_URI_TOO_LONG, "");
    if (rq->method == METHOD_OTHER && slice_is(rq->method_text, "CONNECT"))
        return stop(p, ERR_NOT_IMPLEMENTED, "CONNECT is not offered: this is not a proxy.");
    struct slice text = {target, (size_t)(target_end - target)};
    if (!read_target(rq, text))
        return stop(p, ERR_MALFORMED, "The target is neither a path nor a valid http address.");
    rq->target = text;
    *at = next;
    return IO_OK;
}

/* ---- header lines -----------------------------------------------------------------------------
 */

enum { MANY, ONCE };
static const uint8_t header_repeats[HEADER_COUNT] = {
#define X(id, name, repeats) [HEADER_##id] = repeats,
    HEADER_MAP(X)
#undef X
};

/* The value at `at` up to its CRLF; *ret_next is behind it, NULL when something else is there. */
static struct slice read_value(const struct parse *p, const char *at, const char **ret_next)
{
    while (at < p->end && (*at == ' ' || *at == '\t'))
        at++;
    const char *cr = scan_value(at, p->begin, p->end);
    bool fine = p->end - cr >= 2 && cr[0] == '\r' && cr[1] == '\n';
    *ret_next = fine ? cr + 2 : NULL;
    while (cr > at && (cr[-1] == ' ' || cr[-1] == '\t'))
        cr--;
    return (struct slice){at, (size_t)(cr - at)};
}

static enum io read_header(struct parse *p, const char **at)
{
    struct h1_request *rq = p->rq;
    const char *name = *at;
    const char *colon = scan_name(name, p->begin, p->end);
    if (colon == p->end || *colon != ':' || colon == name)
        return stop(p, ERR_MALFORMED, "A header line does not start with a name and a colon.");
    const char *next;
    struct slice value = read_value(p, colon + 1, &next);
    if (!next)
        return stop(p, ERR_MALFORMED,
                    "A header value holds control characters or a bare CR or LF.");
    if ((size_t)(next - name) > p->limits->line_bytes || rq->n_headers >= p->limits->headers) {
        err_set(p->e, ERR_HEADERS_TOO_LARGE, "The headers are more or longer than the limit.");
        return IO_FAIL;
    }
    size_t name_len = (size_t)(colon - name);
    enum header_id id = header_lookup(name, name_len);
    rq->headers[rq->n_headers++] = (struct h1_header){{name, name_len}, value, id};
    if (rq->at[id] == 0)
        rq->at[id] = (uint16_t)rq->n_headers;
    else if (p->is_response ? id == HEADER_CONTENT_LENGTH : header_repeats[id] == ONCE)
        return stop(p, ERR_MALFORMED, "A header that may stand once is there twice.");
    *at = next;
    return IO_OK;
}

static enum io read_headers(struct parse *p, const char **at)
{
    must(*at); /* read_request_line left it behind the line */
    for (;;) {
        p->line = *at;
        if (p->end - *at >= 2 && (*at)[0] == '\r' && (*at)[1] == '\n') {
            *at += 2;
            return IO_OK;
        }
        enum io line = read_header(p, at);
        if (line != IO_OK)
            return line;
    }
}

/* ---- what the headers mean for the connection ---------------------------------------------------
 */

static bool coding_is_known(struct slice s)
{
    static const char *const known[] = {"gzip", "x-gzip", "deflate", "compress", "x-compress"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (slice_eq_nocase(s, slice_from(known[i])))
            return true;
    }
    return false;
}

/* Anything but exactly "chunked": 501 when it is well formed, ends in chunked and its codings are
 * known, else 400. */
static bool refuse_codings(struct slice value, struct err *e)
{
    struct slice coding;
    bool last = false;
    while (list_next(&value, &coding)) {
        if (last)
            return err_set(e, ERR_MALFORMED, "Transfer-Encoding names chunked before the end.");
        last = slice_eq_nocase(coding, SLICE("chunked"));
        if (!last && !coding_is_known(coding))
            return err_set(e, ERR_MALFORMED, "Transfer-Encoding names an unknown coding.");
    }
    if (!last)
        return err_set(e, ERR_MALFORMED, "Transfer-Encoding does not end in chunked.");
    return err_set(e, ERR_NOT_IMPLEMENTED, "Only the transfer coding chunked is understood.");
}

static bool read_transfer_encoding(struct h1_request *rq, struct err *e)
{
    struct slice value = h1_get(rq, HEADER_TRANSFER_ENCODING), second;
    uint32_t at = rq->at[HEADER_TRANSFER_ENCODING] + 1u;
    if (rq->at[HEADER_CONTENT_LENGTH])
        return err_set(e, ERR_MALFORMED,
                       "Content-Length and Transfer-Encoding exclude each other.");
    if (rq->minor == 0)
        return err_set(e, ERR_MALFORMED, "HTTP/1.0 knows no Transfer-Encoding.");
    if (h1_next(rq, HEADER_TRANSFER_ENCODING, &at, &second))
        return err_set(e, ERR_MALFORMED, "Transfer-Encoding is there twice.");
    if (!slice_eq_nocase(value, SLICE("chunked")))
        return refuse_codings(value, e);
    rq->chunked = true;
    return true;
}

static bool read_framing(struct h1_request *rq, struct err *e)
{
    if (rq->at[HEADER_TRANSFER_ENCODING])
        return read_transfer_encoding(rq, e);
    if (!rq->at[HEADER_CONTENT_LENGTH])
        return true;
    struct slice value = h1_get(rq, HEADER_CONTENT_LENGTH);
    if (!slice_to_u64(value, &rq->content_length) || rq->content_length > INT64_MAX)
        return err_set(e, ERR_MALFORMED, "Content-Length is not one plain number.");
    rq->has_length = true;
    return true;
}

static bool read_host(struct h1_request *rq, struct err *e)
{
    if (!rq->at[HEADER_HOST]) {
        if (rq->minor == 0)
            return true;
        return err_set(e, ERR_MALFORMED, "A request in HTTP/1.1 needs a Host header.");
    }
    struct slice host = h1_get(rq, HEADER_HOST);
    if (!host_is_valid(host))
        return err_set(e, ERR_MALFORMED, "The Host header is not a valid host name.");
    if (rq->host.len == 0)
        rq->host = host;
    return true;
}

static void read_connection(struct h1_request *rq)
{
    struct slice line, token;
    bool close = false, keep = rq->minor == 1, upgrade = false;
    for (uint32_t at = 0; h1_next(rq, HEADER_CONNECTION, &at, &line);) {
        if (slice_is(line, "keep-alive")) { /* nearly all */
            keep = true;
            continue;
        }
        while (list_next(&line, &token)) {
            close |= slice_eq_nocase(token, SLICE("close"));
            keep |= slice_eq_nocase(token, SLICE("keep-alive"));
            upgrade |= slice_eq_nocase(token, SLICE("upgrade"));
        }
    }
    rq->keep_alive = keep && !close;
    rq->upgrade = upgrade && rq->at[HEADER_UPGRADE] && rq->minor == 1;
}

static bool read_expect(struct h1_request *rq, struct err *e)
{
    if (!rq->at[HEADER_EXPECT] || rq->minor == 0)
        return true;
    if (!slice_eq_nocase(h1_get(rq, HEADER_EXPECT), SLICE("100-continue")))
        return err_set(e, ERR_EXPECTATION, "Only Expect: 100-continue is understood.");
    rq->expect_continue = true;
    return true;
}

static enum io finish(struct h1_request *rq, struct err *e)
{
    if (!read_host(rq, e) || !read_framing(rq, e) || !read_expect(rq, e))
        return IO_FAIL;
    rq->keep_alive = rq->minor == 1;
    if (rq->at[HEADER_CONNECTION])
        read_connection(rq);
    return IO_OK;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

/* The length of the one empty line that may come first; what cannot start a request fails now. */
static enum io skip_empty_line(struct slice in, size_t *ret_n, struct err *e)
{
    *ret_n = 0;
    if (in.len > 0 && in.ptr[0] == '\r') {
        if (in.len > 1 && in.ptr[1] != '\n') {
            err_set(e, ERR_MALFORMED, "The request starts with a bare CR.");
            return IO_FAIL;
        }
        *ret_n = 2;
    }
    if (in.len <= *ret_n)
        return IO_MORE;
    if (!scan_is(in.ptr[*ret_n], CH_TOKEN)) {
        err_set(e, ERR_MALFORMED, "The request does not start with a method.");
        return IO_FAIL;
    }
    return IO_OK;
}

/* A partial head is worth another pass only when a line feed came, or when no more will fit. */
static bool is_worth_it(struct slice head, size_t was, bool cut)
{
    return was == 0 || cut ||
           (was < head.len && memchr(head.ptr + was, '\n', head.len - was) != NULL);
}

static void clear(struct h1_request *rq)
{
    rq->target = (struct slice){0};
    rq->keep_alive = rq->chunked = rq->has_length = rq->expect_continue = rq->upgrade = false;
    rq->content_length = 0;
    rq->n_headers = 0;
    memset(rq->at, 0, sizeof rq->at);
}

enum io h1_parse_request(struct h1_request *rq, struct slice in, size_t *scanned,
                         const struct h1_limits *limits, struct err *e)
{
    size_t skipped, was = *scanned;
    enum io start = skip_empty_line(in, &skipped, e);
    if (start != IO_OK)
        return start;
    bool cut = in.len >= limits->head_bytes;
    struct slice head = slice_first(in, limits->head_bytes);
    *scanned = head.len;
    if (!is_worth_it(head, was, cut))
        return IO_MORE;

    clear(rq);
    const char *at = head.ptr + skipped;
    struct parse p = {.rq = rq, .limits = limits, .begin = in.ptr, .end = head.ptr + head.len};
    p.line = at;
    p.cut = cut;
    p.e = e;
    enum io done = read_request_line(&p, &at);
    if (done == IO_OK)
        done = read_headers(&p, &at);
    if (done != IO_OK)
        return done;
    rq->head_len = (size_t)(at - in.ptr);
    return finish(rq, e);
}

/* ---- responses --------------------------------------------------------------------------------
 */

/* "HTTP/1.1 200 OK" CR LF; the reason may be empty, and its space missing. */
static enum io read_status_line(struct parse *p, struct h1_response *rs, const char **at)
{
    static const char why[] = "The answer does not start with HTTP/1.1 and a status.";
    const char *line = *at, *end = p->end;
    if (end - line < 14)
        return stop(p, ERR_MALFORMED, why);
    if (memcmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') || line[8] != ' ')
        return stop(p, ERR_MALFORMED, why);
    const char *d = line + 9;
    bool is_status =
        d[0] >= '1' && d[0] <= '9' && scan_is(d[1], CH_DIGIT) && scan_is(d[2], CH_DIGIT);
    if (!is_status || (d[3] != ' ' && d[3] != '\r'))
        return stop(p, ERR_MALFORMED, why);
    const char *next;
    rs->reason = read_value(p, d + 3, &next);
    if (!next)
        return stop(p, ERR_MALFORMED, "The reason of the answer holds control characters.");
    rs->status = (uint16_t)((d[0] - '0') * 100 + (d[1] - '0') * 10 + (d[2] - '0'));
    rs->head.minor = (uint8_t)(line[7] - '0');
    rs->head.target = SLICE(""); /* the first line is done: see stop() */
    *at = next;
    return IO_OK;
}

enum io h1_parse_response(struct h1_response *rs, struct slice in, size_t *scanned,
                          const struct h1_limits *limits, struct err *e)
{
    struct h1_request *head = &rs->head;
    bool cut = in.len >= limits->head_bytes;
    struct slice bytes = slice_first(in, limits->head_bytes);
    size_t was = *scanned;
    *scanned = bytes.len;
    if (bytes.len == 0 || !is_worth_it(bytes, was, cut))
        return IO_MORE;
    clear(head);
    const char *at = bytes.ptr;
    struct parse p = {.rq = head, .limits = limits, .begin = in.ptr, .end = bytes.ptr + bytes.len};
    p.line = at;
    p.cut = cut;
    p.is_response = true;
    p.e = e;
    enum io done = read_status_line(&p, rs, &at);
    if (done == IO_OK)
        done = read_headers(&p, &at);
    if (done != IO_OK)
        return done;
    head->head_len = (size_t)(at - in.ptr);
    if (!read_framing(head, e))
        return IO_FAIL;
    read_connection(head);
    return IO_OK;
}

enum h1_body h1_response_body(const struct h1_response *rs, enum http_method asked)
{
    int status = rs->status;
    if (asked == METHOD_HEAD || status < 200 || status == 204 || status == 304)
        return H1_BODY_NONE;
    if (rs->head.chunked)
        return H1_BODY_CHUNKED;
    return rs->head.has_length ? H1_BODY_LENGTH : H1_BODY_CLOSE;
}
