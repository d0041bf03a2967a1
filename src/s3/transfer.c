/* One request to the store and its answer, through libcurl; bodies come from and go to files. */
#include "base/clock.h"
#include "s3/s3_impl.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HEAD_MAX  (64u << 10)
#define ERROR_MAX (64u << 10) /* of a document that says what is wrong */

/* ---- the file that is sent ------------------------------------------------------------------- */

static size_t fail_here(struct s3_attempt *t)
{
    t->has_failed = true;
    return CURL_READFUNC_ABORT;
}

static size_t on_read(char *to, size_t one, size_t n, void *user)
{
    struct s3_attempt *t = user;
    struct s3_call *c = t->call;
    uint64_t left = c->len - t->sent;
    size_t want = one * n < left ? one * n : (size_t)left;
    if (c->fd < 0 && want) {
        memcpy(to, c->body.ptr + t->sent, want);
    } else if (want) {
        ssize_t got;
        do
            got = pread(c->fd, to, want, (off_t)(c->offset + t->sent));
        while (got < 0 && errno == EINTR);
        if (got < 0) {
            err_set_sys(&t->failed, ERR_IO, "the file to send could not be read");
            return fail_here(t);
        }
        if (got == 0) {
            err_set(&t->failed, ERR_IO, "the file to send is shorter than it was");
            return fail_here(t);
        }
        want = (size_t)got;
    }
    t->sent += want;
    return want;
}

/* A connection that was kept and is dead by now: libcurl begins again on a new one. */
static int on_seek(void *user, curl_off_t offset, int origin)
{
    struct s3_attempt *t = user;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > t->call->len)
        return CURL_SEEKFUNC_FAIL;
    t->sent = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* ---- the answer's head ----------------------------------------------------------------------- */

static void begin_head(struct s3_attempt *t, struct slice line)
{
    uint64_t status = 0;
    ptrdiff_t space = slice_index(line, ' ');
    if (space >= 0)
        (void)slice_to_u64(slice_first(slice_skip(line, (size_t)space + 1), 3), &status);
    t->outcome->status = (int)status;
    t->has_range = t->has_length = false;
    t->etag[0] = '\0';
}

/* bytes 0-99/1000 */
static void read_range(struct s3_attempt *t, struct slice v)
{
    struct slice first, last;
    if (!slice_starts_nocase(v, SLICE("bytes ")))
        return;
    v = slice_skip(v, 6);
    t->has_range = slice_cut(&v, '-', &first) && slice_cut(&v, '/', &last) &&
                   slice_to_u64(first, &t->range_first) && slice_to_u64(last, &t->range_last);
}

static void keep_header(struct s3_attempt *t, struct slice name, struct slice v)
{
    struct s3_call *c = t->call;
    uint64_t number;
    if (slice_eq_nocase(name, SLICE("etag"))) {
        if (v.len < sizeof t->etag)
            snprintf(t->etag, sizeof t->etag, "%.*s", SLICE_ARGS(v));
    } else if (slice_eq_nocase(name, SLICE("content-length"))) {
        t->has_length = slice_to_u64(v, &c->total);
    } else if (slice_eq_nocase(name, SLICE("content-range"))) {
        read_range(t, v);
    } else if (slice_eq_nocase(name, SLICE("date"))) {
        int64_t s = clock_parse_http_date(v.ptr, v.len);
        t->date_ms = s > 0 ? s * 1000 : 0;
    } else if (slice_eq_nocase(name, SLICE("last-modified"))) {
        int64_t s = clock_parse_http_date(v.ptr, v.len);
        c->modified_ms = s > 0 ? s * 1000 : 0;
    } else if (slice_eq_nocase(name, SLICE("retry-after"))) {
        if (slice_to_u64(v, &number))
            t->outcome->retry_after_s = (uint32_t)(number < 3600 ? number : 3600);
    } else if (slice_eq_nocase(name, SLICE("x-amz-bucket-region"))) {
        if (s3_region_is_valid(v))
            snprintf(t->error.region, sizeof t->error.region, "%.*s", SLICE_ARGS(v));
    }
}

/* May these bytes go where the others are? */
static bool is_same_object(const struct s3_attempt *t)
{
    const struct s3_call *c = t->call;
    uint64_t last = c->first + c->len - 1;
    if (c->etag[0] && strcmp(c->etag, t->etag) != 0)
        return false;
    if (t->outcome->status == 206)
        return t->has_range && t->range_first == t->want_first && t->range_last == last;
    /* It knows no ranges: fine if the whole is what was asked for. */
    return t->want_first == 0 && t->has_length && c->total == c->len;
}

static bool end_head(struct s3_attempt *t)
{
    struct s3_call *c = t->call;
    int status = t->outcome->status;
    if (status < 200)
        return true;
    t->takes_body = c->is_get && (status == 200 || status == 206);
    if (t->takes_body && !is_same_object(t)) {
        c->was_damaged = true;
        return false;
    }
    if (c->is_get ? t->takes_body : status < 300)
        memcpy(c->etag, t->etag, sizeof c->etag);
    return true;
}

static size_t on_header(char *data, size_t one, size_t n, void *user)
{
    struct s3_attempt *t = user;
    struct slice line = {data, one * n}, all = line, name;
    t->head_bytes += line.len;
    t->received += line.len;
    if (t->head_bytes > HEAD_MAX)
        return 0;
    if (slice_starts(line, SLICE("HTTP/")))
        begin_head(t, line);
    else if (slice_trim(line).len == 0)
        return end_head(t) ? all.len : 0;
    else if (slice_cut(&line, ':', &name))
        keep_header(t, name, slice_trim(line));
    return all.len;
}

/* ---- the answer's body ----------------------------------------------------------------------- */

static size_t write_file(struct s3_attempt *t, struct slice piece)
{
    struct s3_call *c = t->call;
    if (piece.len > c->len - c->done) {
        c->was_damaged = true;
        return 0;
    }
    for (size_t n = 0; n < piece.len;) {
        ssize_t put = pwrite(c->fd, piece.ptr + n, piece.len - n, (off_t)(c->done + n));
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) {
            bool is_full = errno == ENOSPC || errno == EDQUOT;
            err_set_sys(&t->failed, is_full ? ERR_FULL : ERR_IO,
                        "what the store sent could not be written");
            t->has_failed = true;
            return 0;
        }
        n += (size_t)put;
    }
    c->done += piece.len;
    return piece.len;
}

static size_t on_body(char *data, size_t one, size_t n, void *user)
{
    struct s3_attempt *t = user;
    struct slice piece = {data, one * n};
    struct buf *answer = &t->call->answer;
    t->received += piece.len;
    if (t->takes_body)
        return write_file(t, piece);
    if (t->outcome->status >= 300 && piece.len > ERROR_MAX - answer->len)
        return piece.len; /* enough was read */
    buf_add(answer, piece);
    return answer->full ? 0 : piece.len;
}

/* ---- time ------------------------------------------------------------------------------------ */

static int on_progress(void *user, curl_off_t down_all, curl_off_t down, curl_off_t up_all,
                       curl_off_t up)
{
    struct s3_attempt *t = user;
    int64_t now = clock_mono_ms();
    uint64_t moved = (uint64_t)down + (uint64_t)up + t->head_bytes;
    (void)down_all, (void)up_all;
    if (moved != t->moved) {
        if (moved > t->moved) /* it is less when libcurl began again */
            s3_budget_moved(t->budget, moved - t->moved, now - t->moved_ms);
        t->moved = moved;
        t->moved_ms = now;
    }
    t->is_idle = now - t->moved_ms >= t->call->s3->options.idle_ms;
    t->is_over = s3_budget_left(t->budget, now) <= 0;
    return t->is_idle || t->is_over;
}

/* ---- one run --------------------------------------------------------------------------------- */

struct lines {
    const struct libcurl *lib;
    struct curl_slist *first;
};

static void add_line(struct lines *l, const char *text)
{
    struct curl_slist *more = l->lib->slist_append(l->first, text);
    must(more);
    l->first = more;
}

static void add_field(struct lines *l, const char *name, struct slice value)
{
    struct buf line;
    buf_init(&line, 16u << 10);
    buf_printf(&line, "%s: %.*s", name, SLICE_ARGS(value));
    must(!line.full);
    add_line(l, line.data);
    buf_done(&line);
}

static void add_signed(struct lines *l, struct slice lines)
{
    struct slice line, name;
    while (slice_cut(&lines, '\n', &line)) {
        struct slice value = line;
        char text[64];
        if (!slice_cut(&value, ':', &name) || name.len >= sizeof text)
            continue;
        snprintf(text, sizeof text, "%.*s", SLICE_ARGS(name));
        add_field(l, text, slice_trim(value));
    }
}

static void add_headers(struct s3_attempt *t, struct lines *l)
{
    struct s3_call *c = t->call;
    bool has_type = false;
    add_field(l, "Host", slice_from(t->place->host));
    for (size_t i = 0; i < c->n_headers; i++) {
        has_type = has_type || slice_is(c->headers[i].name, "content-type");
        add_field(l, c->headers[i].name.ptr, c->headers[i].value);
    }
    add_signed(l, t->signed_lines);
    if (c->is_get) {
        char range[64];
        t->want_first = c->first + c->done;
        snprintf(range, sizeof range, "bytes=%llu-%llu", (unsigned long long)t->want_first,
                 (unsigned long long)(c->first + c->len - 1));
        add_field(l, "Range", slice_from(range));
        if (c->etag[0])
            add_field(l, "If-Match", slice_from(c->etag));
    }
    if (!has_type)
        add_line(l, "Content-Type:");
    add_line(l, "Expect:"); /* none of these by libcurl itself */
    add_line(l, "Accept-Encoding:");
    add_line(l, "Transfer-Encoding:");
}

#define SET(option, value) (code = code ? code : lib->easy_setopt(easy, CURLOPT_##option, (value)))

static CURLcode set_bounds(const struct s3_attempt *t, int64_t left)
{
    const struct s3 *s = t->call->s3;
    const struct libcurl *lib = s->lib;
    CURL *easy = t->easy;
    CURLcode code = CURLE_OK;
    SET(PROTOCOLS_STR, "http,https");
    SET(FOLLOWLOCATION, 0L);
    SET(PROXY, "");
    SET(NETRC, (long)CURL_NETRC_IGNORED);
    SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(HTTP09_ALLOWED, 0L);
    SET(NOSIGNAL, 1L);
    SET(TCP_KEEPALIVE, 1L);
    SET(CONNECTTIMEOUT_MS, (long)(left < s->options.connect_ms ? left : s->options.connect_ms));
    (void)lib->easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* since 7.87 */
    SET(SSL_VERIFYPEER, 1L);
    SET(SSL_VERIFYHOST, 2L);
    SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (s->options.ca_file) {
        SET(CAINFO, s->options.ca_file);
        SET(CAPATH, NULL);
    }
    return code;
}

static CURLcode set_callbacks(struct s3_attempt *t)
{
    const struct libcurl *lib = t->call->s3->lib;
    CURL *easy = t->easy;
    CURLcode code = CURLE_OK;
    SET(READFUNCTION, on_read);
    SET(READDATA, t);
    SET(SEEKFUNCTION, on_seek);
    SET(SEEKDATA, t);
    SET(HEADERFUNCTION, on_header);
    SET(HEADERDATA, t);
    SET(WRITEFUNCTION, on_body);
    SET(WRITEDATA, t);
    SET(XFERINFOFUNCTION, on_progress);
    SET(XFERINFODATA, t);
    SET(NOPROGRESS, 0L);
    return code;
}

static CURLcode set_request(const struct s3_attempt *t, const char *url, const char *target,
                            const struct lines *headers)
{
    const struct s3_call *c = t->call;
    const struct libcurl *lib = c->s3->lib;
    CURL *easy = t->easy;
    CURLcode code = CURLE_OK;
    bool sends = strcmp(c->method, "PUT") == 0 || strcmp(c->method, "POST") == 0;
    SET(URL, url);
    SET(REQUEST_TARGET, target);
    SET(HTTPHEADER, headers->first);
    if (strcmp(c->method, "HEAD") == 0) {
        SET(NOBODY, 1L);
        return code;
    }
    if (sends) {
        SET(UPLOAD, 1L);
        SET(INFILESIZE_LARGE, (curl_off_t)c->len);
        SET(UPLOAD_BUFFERSIZE, 256L << 10);
    }
    SET(CUSTOMREQUEST, c->method);
    return code;
}

/* What libcurl and the callbacks make of it. */
static void conclude(struct s3_attempt *t, CURLcode code)
{
    struct s3_outcome *o = t->outcome;
    struct s3_call *c = t->call;
    o->transport = code;
    if (t->is_idle || t->is_over)
        o->transport = CURLE_OPERATION_TIMEDOUT;
    /* It refused before it had read all, and closed: the answer counts, not the connection. */
    bool was_refused = o->status >= 400 && (code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR);
    if (was_refused)
        o->transport = CURLE_OK;
    if (o->transport == CURLE_OK && t->takes_body && c->done < c->len)
        o->transport = CURLE_PARTIAL_FILE;
    bool may_be_error = o->status >= 300 || c->may_fail_inside;
    if (o->transport == CURLE_OK && may_be_error) {
        char named[S3_REGION_MAX];
        memcpy(named, t->error.region, sizeof named);
        if (s3_error_read(buf_slice(&c->answer), &t->error) && !t->error.region[0])
            memcpy(t->error.region, named, sizeof named);
        o->code = t->error.code;
    }
    if (t->date_ms)
        o->clock_off_ms = t->date_ms - (clock_wall_ms() + atomic_load(&c->s3->clock_ms));
    o->names_region =
        o->status >= 300 && t->error.region[0] && strcmp(t->error.region, t->place->region) != 0;
}

bool s3_attempt_run(struct s3_attempt *t, struct err *e)
{
    struct s3 *s = t->call->s3;
    struct lines headers = {.lib = s->lib};
    struct buf url, target;
    buf_clear(&t->call->answer);
    *t->outcome = (struct s3_outcome){.is_head = strcmp(t->call->method, "HEAD") == 0, .code = ""};
    buf_init(&url, 1u << 10);
    buf_init(&target, 64u << 10);
    buf_printf(&url, "http%s://%s/", t->place->is_tls ? "s" : "", t->place->host);
    buf_add(&target, t->target);
    must(!url.full && !target.full);
    add_headers(t, &headers);
    s->lib->easy_reset(t->easy);
    t->moved_ms = clock_mono_ms();
    int64_t left = s3_budget_left(t->budget, t->moved_ms);
    t->is_over = left <= 0; /* keys or the hash of what is sent took all of it */
    CURLcode code = t->is_over ? CURLE_OK : set_bounds(t, left);
    code = code ? code : set_callbacks(t);
    code = code ? code : set_request(t, url.data, target.data, &headers);
    bool fine = code == CURLE_OK;
    if (!fine)
        err_set(e, ERR_UNAVAILABLE, "this libcurl lacks an option (%s); install 7.85 or newer",
                s->lib->easy_strerror(code));
    else
        conclude(t, t->is_over ? CURLE_OPERATION_TIMEDOUT : s->lib->easy_perform(t->easy));
    s->lib->easy_reset(t->easy); /* it must not remember us */
    s->lib->slist_free_all(headers.first);
    buf_done(&url);
    buf_done(&target);
    atomic_fetch_add(&s->sent, t->sent);
    atomic_fetch_add(&s->received, t->received);
    if (fine && t->has_failed)
        return err_set(e, t->failed.code, "%s", t->failed.msg);
    return fine;
}
