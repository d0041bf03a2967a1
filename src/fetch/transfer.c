/* One request and its answer through libcurl, with a bound on everything and the guard at connect.
 */
#include "fetch/fetch_impl.h"

#include "base/build.h"
#include "base/clock.h"
#include "base/random.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What libcurl may fail with, where its own word for it is not the one to pass on. */
static const struct {
    CURLcode code;
    enum err_code means;
    const char *text;
} endings[] = {
    {CURLE_COULDNT_RESOLVE_HOST, ERR_UNREACHABLE, "there is no such name"},
    {CURLE_COULDNT_CONNECT, ERR_UNREACHABLE, "it does not accept a connection"},
    {CURLE_OPERATION_TIMEDOUT, ERR_GATEWAY_TIMEOUT, "no complete answer came in time"},
    {CURLE_PEER_FAILED_VERIFICATION, ERR_UNREACHABLE, "its certificate is not trusted"},
    {CURLE_SSL_CONNECT_ERROR, ERR_UNREACHABLE, "it does not speak TLS as it should"},
    {CURLE_SSL_CACERT_BADFILE, ERR_UNREACHABLE, "the list of trusted certificates is not there"},
    {CURLE_SEND_ERROR, ERR_BAD_GATEWAY, "it closed the connection"},
    {CURLE_RECV_ERROR, ERR_BAD_GATEWAY, "it closed the connection"},
    {CURLE_GOT_NOTHING, ERR_BAD_GATEWAY, "it closed the connection without an answer"},
    {CURLE_PARTIAL_FILE, ERR_BAD_GATEWAY, "its answer ended too early"},
    {CURLE_BAD_CONTENT_ENCODING, ERR_BAD_GATEWAY, "its answer's compression is broken"},
    {CURLE_ABORTED_BY_CALLBACK, ERR_UNAVAILABLE, "the fetch was stopped"},
};

/* ---- what libcurl calls ---------------------------------------------------------------------- */

static size_t failed(struct transfer *t)
{
    t->has_failed = true;
    return 0; /* fewer bytes than there were: libcurl ends the transfer */
}

static curl_socket_t on_open(void *user, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct transfer *t = user;
    struct address a = {.len = to->addrlen};
    (void)purpose;
    if (to->addrlen <= sizeof a.sa.room)
        memcpy(&a.sa, &to->addr, to->addrlen);
    if (guard_allows(t->options, &a))
        return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
    char text[ADDRESS_TEXT_LEN];
    address_text(&a, text);
    t->has_refused = true;
    err_set(&t->refused, ERR_FORBIDDEN,
            "%s leads to %s, which is not open to everybody; it was not contacted", t->target->host,
            text);
    return CURL_SOCKET_BAD;
}

/* One line of a head, its CRLF included. */
static bool keep_header(struct transfer *t, struct slice line)
{
    struct fetch_answer *a = t->answer;
    struct slice name;
    if (!slice_cut(&line, ':', &name) || !token_is_valid(name))
        return true; /* no browser would see a header in it */
    struct slice value = slice_trim(line);
    if (a->n_headers == FETCH_HEADERS_MAX)
        return err_set(&t->failed, ERR_BAD_GATEWAY, "%s sends more than %d headers",
                       t->target->host, FETCH_HEADERS_MAX);
    char *copy = arena_try_alloc(&a->arena, name.len + value.len + 1);
    if (!copy)
        return err_set(&t->failed, ERR_BAD_GATEWAY, "%s sends too long headers", t->target->host);
    memcpy(copy, name.ptr, name.len);
    memcpy(copy + name.len, value.ptr, value.len);
    copy[name.len + value.len] = '\0';
    a->headers[a->n_headers++] = (struct fetch_header){
        .name = {copy, name.len},
        .value = {copy + name.len, value.len},
    };
    return true;
}

static void begin_head(struct transfer *t, struct slice line)
{
    uint64_t status = 0;
    ptrdiff_t space = slice_index(line, ' ');
    t->answer->n_headers = 0;
    if (space >= 0)
        (void)slice_to_u64(slice_first(slice_skip(line, (size_t)space + 1), 3), &status);
    t->answer->status = (int)status;
}

/* The blank line: is the head all that was wanted? */
static bool end_head(struct transfer *t)
{
    int status = t->answer->status;
    if (status == 101 && !t->options->is_websocket)
        return err_set(&t->failed, ERR_BAD_GATEWAY, "%s changes to another protocol unasked",
                       t->target->host);
    if (status < 200 && status != 101)
        return true;
    bool leads_on =
        status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    t->is_redirect = leads_on && !t->is_last && fetch_find(t->answer, "location", 0).ptr;
    t->answer->has_head = !t->is_redirect;
    t->is_head_done = t->is_redirect || t->options->is_websocket || t->options->is_head_only;
    return true;
}

static size_t on_header(char *data, size_t one, size_t n, void *user)
{
    struct transfer *t = user;
    struct slice line = {data, one * n};
    t->head_bytes += line.len;
    if (t->head_bytes > FETCH_HEAD_MAX) {
        err_set(&t->failed, ERR_BAD_GATEWAY, "%s sends more than %u KB of headers", t->target->host,
                FETCH_HEAD_MAX >> 10);
        return failed(t);
    }
    if (t->body_bytes)
        return line.len; /* trailers */
    if (slice_starts(line, SLICE("HTTP/")))
        begin_head(t, line);
    else if (slice_trim(line).len == 0 ? !end_head(t) : !keep_header(t, line))
        return failed(t);
    return t->is_head_done ? 0 : line.len;
}

static size_t on_body(char *data, size_t one, size_t n, void *user)
{
    struct transfer *t = user;
    const struct fetch_options *o = t->options;
    struct slice piece = {data, one * n};
    if (piece.len > o->max_bytes - t->body_bytes) {
        err_set(&t->failed, ERR_BAD_GATEWAY, "the answer of %s is longer than %llu bytes",
                t->target->host, (unsigned long long)o->max_bytes);
        return failed(t);
    }
    t->body_bytes += piece.len;
    if (!o->on_body)
        buf_add(&t->answer->body, piece);
    else if (!o->on_body(o->user, piece, &t->failed))
        return failed(t);
    return piece.len;
}

static int on_progress(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct transfer *t = user;
    (void)a, (void)b, (void)c, (void)d;
    return t->options->should_stop(t->options->user);
}

/* ---- what is sent ---------------------------------------------------------------------------- */

struct lines {
    const struct libcurl *lib;
    struct curl_slist *first;
};

static void add_line(struct lines *l, struct slice name, struct slice value)
{
    struct buf line;
    buf_init(&line, 1u << 20);
    /* libcurl takes "name:" for "leave it out" and "name;" for an empty value. */
    buf_add(&line, name);
    buf_add_str(&line, value.len ? ": " : ";");
    buf_add(&line, value);
    must(!line.full);
    struct curl_slist *more = l->lib->slist_append(l->first, line.data);
    must(more);
    l->first = more;
    buf_done(&line);
}

static void leave_out(struct lines *l, const char *name_and_colon)
{
    struct curl_slist *more = l->lib->slist_append(l->first, name_and_colon);
    must(more);
    l->first = more;
}

static bool is_left_behind(const struct transfer *t, const struct fetch_header *h)
{
    static const char *const secret[] = {"authorization", "cookie", "proxy-authorization"};
    bool is_secret = h->is_secret;
    for (size_t i = 0; i < sizeof secret / sizeof *secret; i++)
        is_secret = is_secret || slice_eq_nocase(h->name, slice_from(secret[i]));
    return is_secret && t->is_elsewhere;
}

static void add_websocket(struct lines *l)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char random[22];
    char key[25] = "";
    random_bytes(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        key[i] = alphabet[random[i] & (i == 21 ? 48 : 63)]; /* 128 bits in 22 digits */
    memcpy(key + 22, "==", 3);
    add_line(l, SLICE("Connection"), SLICE("Upgrade"));
    add_line(l, SLICE("Upgrade"), SLICE("websocket"));
    add_line(l, SLICE("Sec-WebSocket-Version"), SLICE("13"));
    add_line(l, SLICE("Sec-WebSocket-Key"), slice_from(key));
}

static void add_headers(const struct transfer *t, struct lines *l)
{
    const struct fetch_options *o = t->options;
    bool has_type = false, has_agent = false, keeps_body = t->body.ptr || !o->body.ptr;
    for (size_t i = 0; i < o->n_headers; i++) {
        enum header_id id = header_find(o->headers[i].name);
        if (is_left_behind(t, &o->headers[i]) || (id == HEADER_CONTENT_TYPE && !keeps_body))
            continue;
        has_type = has_type || id == HEADER_CONTENT_TYPE;
        has_agent = has_agent || id == HEADER_USER_AGENT;
        add_line(l, o->headers[i].name, o->headers[i].value);
    }
    if (!has_type)
        leave_out(l, "Content-Type:");
    leave_out(l, "Expect:");
    if (!has_agent) {
        char agent[64];
        int n = snprintf(agent, sizeof agent, "dais/%s", build_version);
        add_line(l, SLICE("User-Agent"), (struct slice){agent, (size_t)n});
    }
    if (o->is_websocket)
        add_websocket(l);
}

/* ---- one run --------------------------------------------------------------------------------- */

/* An option that cannot be set would leave a door open: the first failure is kept. */
#define SET(option, value) (code = code ? code : lib->easy_setopt(easy, CURLOPT_##option, (value)))

static CURLcode set_bounds(const struct libcurl *lib, CURL *easy, const struct transfer *t,
                           int64_t left_ms)
{
    const struct fetch_options *o = t->options;
    CURLcode code = CURLE_OK;
    SET(PROTOCOLS_STR, "http,https");
    SET(REDIR_PROTOCOLS_STR, "http,https");
    SET(FOLLOWLOCATION, 0L);
    SET(PROXY, "");
    SET(NOPROXY, "*");
    SET(NETRC, (long)CURL_NETRC_IGNORED);
    SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(HTTP09_ALLOWED, 0L);
    SET(ACCEPT_ENCODING, "");
    SET(NOSIGNAL, 1L);
    SET(TIMEOUT_MS, (long)left_ms);
    /* Else a name server that says nothing is waited for after the time is up. Since 7.87. */
    (void)lib->easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    SET(SSL_VERIFYPEER, 1L);
    SET(SSL_VERIFYHOST, 2L);
    SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (o->ca_file)
        SET(CAINFO, o->ca_file);
    return code;
}

static CURLcode set_callbacks(const struct libcurl *lib, CURL *easy, struct transfer *t)
{
    CURLcode code = CURLE_OK;
    SET(OPENSOCKETFUNCTION, on_open);
    SET(OPENSOCKETDATA, t);
    SET(HEADERFUNCTION, on_header);
    SET(HEADERDATA, t);
    SET(WRITEFUNCTION, on_body);
    SET(WRITEDATA, t);
    if (t->options->should_stop) {
        SET(XFERINFOFUNCTION, on_progress);
        SET(XFERINFODATA, t);
        SET(NOPROGRESS, 0L);
    }
    return code;
}

static CURLcode set_request(const struct libcurl *lib, CURL *easy, const struct transfer *t,
                            struct curl_slist *headers)
{
    CURLcode code = CURLE_OK;
    SET(CURLU, t->target->url);
    SET(HTTPHEADER, headers);
    if (t->method == METHOD_HEAD) {
        SET(NOBODY, 1L);
        return code;
    }
    bool wants_body =
        t->method == METHOD_POST || t->method == METHOD_PUT || t->method == METHOD_PATCH;
    if (t->body.ptr || wants_body) {
        SET(POST, 1L);
        SET(POSTFIELDSIZE_LARGE, (curl_off_t)t->body.len);
        SET(POSTFIELDS, t->body.ptr ? t->body.ptr : "");
    }
    SET(CUSTOMREQUEST, http_method_name(t->method));
    return code;
}

/* What to tell, after libcurl has its own opinion. */
static bool ending(const struct transfer *t, CURLcode code, struct err *e)
{
    const char *host = t->target->host;
    if (t->is_head_done || (code == CURLE_OK && !t->has_failed))
        return true;
    if (t->has_failed)
        return err_set(e, t->failed.code, "%s", t->failed.msg);
    if (t->has_refused && code == CURLE_COULDNT_CONNECT)
        return err_set(e, t->refused.code, "%s", t->refused.msg);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        if (endings[i].code == code)
            return err_set(e, endings[i].means, "%s: %s", host, endings[i].text);
    }
    return err_set(e, ERR_BAD_GATEWAY, "%s: %s", host, t->target->lib->easy_strerror(code));
}

static void keep_peer(const struct libcurl *lib, CURL *easy, struct fetch_answer *a)
{
    const char *ip = NULL;
    a->ip[0] = '\0';
    if (lib->easy_getinfo(easy, CURLINFO_PRIMARY_IP, &ip) == CURLE_OK && ip)
        snprintf(a->ip, sizeof a->ip, "%s", ip);
}

static CURLcode set_all(const struct libcurl *lib, CURL *easy, struct transfer *t, int64_t left_ms,
                        const struct lines *headers, struct lines *resolve)
{
    CURLcode code = set_bounds(lib, easy, t, left_ms);
    for (const char *const *it = t->options->resolve; it && *it; it++)
        leave_out(resolve, *it);
    if (resolve->first)
        SET(RESOLVE, resolve->first);
    code = code ? code : set_callbacks(lib, easy, t);
    return code ? code : set_request(lib, easy, t, headers->first);
}

bool transfer_run(struct transfer *t, struct err *e)
{
    const struct libcurl *lib = t->target->lib;
    struct lines headers = {.lib = lib}, resolve = {.lib = lib};
    int64_t left_ms = t->deadline_ms - clock_mono_ms();
    t->head_bytes = t->body_bytes = 0;
    t->is_head_done = t->is_redirect = t->has_refused = t->has_failed = false;
    if (left_ms <= 0)
        return err_set(e, ERR_GATEWAY_TIMEOUT, "%s: no complete answer came in time",
                       t->target->host);
    CURL *easy = lib->easy_init();
    must(easy);
    add_headers(t, &headers);
    CURLcode code = set_all(lib, easy, t, left_ms, &headers, &resolve);
    bool fine = code == CURLE_OK;
    if (!fine)
        err_set(e, ERR_UNAVAILABLE, "this libcurl lacks an option (%s); install 7.85 or newer",
                lib->easy_strerror(code));
    else
        fine = ending(t, lib->easy_perform(easy), e);
    keep_peer(lib, easy, t->answer);
    lib->easy_cleanup(easy);
    lib->slist_free_all(headers.first);
    lib->slist_free_all(resolve.first);
    return fine;
}
