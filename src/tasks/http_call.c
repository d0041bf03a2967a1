/* http.call: a webhook. One request, signed where there is a secret, to a place that the guard of
 * fetch/ lets through; an address of our own network only where the maker wrote it down.
 *
 * Who names the URL is asked everywhere: what the maker fixed (a secret, an authorization) only
 * goes to where the maker said, never to a place that an input names. */
#include "base/clock.h"
#include "base/hkdf.h"
#include "fetch/fetch.h"
#include "tasks/tasks_impl.h"

#include <string.h>
#include <strings.h>

#define MEMBERS     "url method body secret authorization internal"
#define CALL_MS     30000
#define ANSWER_MAX  (64u << 10)
#define HEADERS_MAX 8

struct http_call {
    const struct task_place *place;
    struct task_call *task;
    struct slice url, origin, secret, authorization, type;
    enum http_method method;
    bool is_internal, has_body;
    struct buf body;
    struct fetch_header headers[HEADERS_MAX];
    size_t n_headers;
    char origin_text[CALL_ORIGIN_MAX];
};

/* ---- what is called ----------------------------------------------------------------------------
 */

static const enum http_method methods[] = {METHOD_POST, METHOD_GET, METHOD_PUT, METHOD_PATCH,
                                           METHOD_DELETE};

static bool read_method(struct slice text, enum http_method *ret, struct err *e)
{
    *ret = METHOD_POST;
    if (!text.len)
        return true;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (slice_is(text, http_method_name(methods[i]))) {
            *ret = methods[i];
            return true;
        }
    }
    return err_set(e, ERR_INVALID, "`method` is POST, GET, PUT, PATCH or DELETE.");
}

static bool is_strange(struct slice url)
{
    for (size_t i = 0; i < url.len; i++) {
        if (url.ptr[i] == ' ' || char_is_control(url.ptr[i]))
            return true;
    }
    return false;
}

/* The URL itself is not in the message: it may hold what only its receiver should know. */
bool call_origin(struct slice url, char to[CALL_ORIGIN_MAX], struct slice *ret, struct err *e)
{
    size_t start = slice_starts_nocase(url, SLICE("https://"))  ? 8
                   : slice_starts_nocase(url, SLICE("http://")) ? 7
                                                                : 0;
    size_t n = start;
    if (!start || is_strange(url))
        return err_set(e, ERR_INVALID,
                       "`url` is no address that can be called; write one like "
                       "https://example.com/hook.");
    while (n < url.len && !strchr("/?#\\", url.ptr[n]))
        n++;
    struct slice place = slice_first(slice_skip(url, start), n - start);
    if (!place.len || n >= CALL_ORIGIN_MAX)
        return err_set(e, ERR_INVALID, "`url` names no host, or too long a one.");
    if (slice_index(place, '@') >= 0)
        return err_set(e, ERR_INVALID,
                       "`url` holds a user name or password, and none is sent; use "
                       "`authorization`.");
    for (size_t i = 0; i < n; i++) {
        char c = url.ptr[i];
        to[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    *ret = (struct slice){to, n};
    return true;
}

static void write_json(struct buf *to, const struct json *v)
{
    struct json_writer w;
    json_writer_init(&w, to, 0);
    json_write_value(&w, v);
    json_writer_done(&w);
}

/* A text goes as it is, any other value as JSON; without a body the whole input is it. */
static bool read_body(struct http_call *h, struct err *e)
{
    const struct text *fixed = with_find(h->task->with, "body");
    const struct json *own = fixed ? NULL : json_find(h->task->input, SLICE("body"));
    bool is_text = fixed || json_type(own) == JSON_STRING;
    h->has_body = h->method != METHOD_GET && (fixed || own || h->method != METHOD_DELETE);
    if (!h->has_body)
        return true;
    if (is_text)
        buf_add(&h->body, fixed ? fixed->s : json_str(own));
    else
        write_json(&h->body, own ? own : h->task->input);
    bool is_json = !is_text || json_validate(buf_slice(&h->body), NULL, NULL);
    h->type = is_json ? SLICE("application/json") : SLICE("text/plain; charset=utf-8");
    return !h->body.full || err_set(e, ERR_INVALID, "The body is larger than 1 MB.");
}

/* ---- what may be sent where --------------------------------------------------------------------
 */

/* Of a member that the maker gives away: to a place that anybody may name? */
static bool is_fixed(const struct pairs *with, const char *name, struct err *e)
{
    return !with_find(with, name) || with_find(with, "url") ||
           err_set(e, ERR_INVALID,
                   "`with` has `%s`, but no `url`: an input could name any place, and it would be "
                   "sent there. Write the `url` beside it.",
                   name);
}

static bool internal_is_fine(struct slice text, struct err *e)
{
    return !text.len || slice_is(text, "true") || slice_is(text, "false") ||
           err_set(e, ERR_INVALID, "`internal` is \"true\" or \"false\".");
}

static bool is_safe(const struct pairs *with, struct err *e)
{
    return is_fixed(with, "secret", e) && is_fixed(with, "authorization", e) &&
           is_fixed(with, "internal", e) && is_fixed(with, "body", e);
}

static bool read_call(struct http_call *h, struct err *e)
{
    const struct task_call *t = h->task;
    struct slice method, internal;
    if (!is_safe(t->with, e) || !told_needed(t, "url", &h->url, e) ||
        !call_origin(h->url, h->origin_text, &h->origin, e) || !told(t, "method", &method, e) ||
        !read_method(method, &h->method, e) || !told_by_maker(t, "internal", &internal, e) ||
        !internal_is_fine(internal, e) ||
        !told_by_maker(t, "authorization", &h->authorization, e) ||
        !told_by_maker(t, "secret", &h->secret, e))
        return false;
    h->is_internal = slice_is(internal, "true");
    return (h->secret.len || told(t, "secret", &h->secret, e)) && read_body(h, e);
}

/* ---- what is sent ------------------------------------------------------------------------------
 */

struct slice call_signature(struct slice secret, struct slice body, int64_t at_s, struct arena *a)
{
    unsigned char sum[SHA256_LEN];
    char hex[SHA256_HEX_LEN + 1];
    struct buf text;
    buf_init(&text, body.len + 32);
    buf_printf(&text, "%lld.", (long long)at_s);
    buf_add(&text, body);
    hmac_sha256(secret, buf_slice(&text), sum);
    buf_done(&text);
    for (size_t i = 0; i < SHA256_LEN; i++) {
        hex[2 * i] = "0123456789abcdef"[sum[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[sum[i] & 15];
    }
    return arena_printf(a, "t=%lld,v1=%.*s", (long long)at_s, SHA256_HEX_LEN, hex);
}

static void add_header(struct http_call *h, const char *name, struct slice value)
{
    must(h->n_headers < HEADERS_MAX);
    h->headers[h->n_headers++] = (struct fetch_header){slice_from(name), value, true};
}

/* User-Agent is fetch's own. */
static void add_headers(struct http_call *h)
{
    const struct task_call *t = h->task;
    if (h->has_body)
        add_header(h, "Content-Type", h->type);
    add_header(h, "X-Dais-Job", t->id);
    add_header(h, "X-Dais-Attempt", arena_printf(t->arena, "%lld", (long long)t->attempt));
    add_header(h, "Idempotency-Key", t->id);
    if (h->authorization.len)
        add_header(h, "Authorization", h->authorization);
    if (h->secret.len)
        add_header(
            h, "X-Dais-Signature",
            call_signature(h->secret, buf_slice(&h->body), clock_wall_ms() / 1000, t->arena));
}

/* ---- what came of it ---------------------------------------------------------------------------
 */

bool call_may_be_repeated(enum err_code code)
{
    return code == ERR_UNAVAILABLE || code == ERR_UNREACHABLE || code == ERR_GATEWAY_TIMEOUT ||
           code == ERR_BAD_GATEWAY;
}

bool call_judge(int status, struct err *e)
{
    if (status >= 200 && status < 300)
        return true;
    if (status == 408 || status == 425 || status == 429 || status >= 500)
        return err_set(e, ERR_UNAVAILABLE, "The receiver answered %d.", status);
    if (status >= 300 && status < 400)
        return err_set(e, ERR_INVALID,
                       "The receiver answered %d, a redirect, and those are not followed; name "
                       "the new address in `url`.",
                       status);
    return err_set(e, ERR_INVALID, "The receiver answered %d, so it is not tried again.", status);
}

static bool should_stop(void *user)
{
    struct task_call *t = user;
    return t->should_stop && t->should_stop(t);
}

/* An answer counts by its head: what a receiver says besides may be cut off. */
static bool send_call(struct http_call *h, int *ret_status, struct err *e)
{
    const struct fetch_options o = {
        .url = h->url,
        .method = h->method,
        .headers = h->headers,
        .n_headers = h->n_headers,
        .body = h->has_body ? (struct slice){h->body.data ? h->body.data : "", h->body.len}
                            : (struct slice){0},
        .max_bytes = ANSWER_MAX,
        .max_ms = CALL_MS,
        .max_redirects = -1,
        .is_unguarded = h->is_internal || h->place->is_unguarded,
        .should_stop = should_stop,
        .user = h->task,
    };
    struct fetch_answer answer;
    bool fine = fetch_run(&o, &answer, e);
    bool has_head = fine || answer.has_head;
    *ret_status = has_head ? answer.status : 0;
    fetch_answer_done(&answer);
    return has_head ? call_judge(*ret_status, e) : fine;
}

/* The address is the maker's, often a setting: whoever started the job need not know it. What the
 * receiver answered is told as it is. */
static void hide_place(const struct http_call *h, bool has_answer, struct err *e)
{
    const char *what = e->code == ERR_FORBIDDEN         ? "The receiver is not open to everybody."
                       : e->code == ERR_GATEWAY_TIMEOUT ? "The receiver did not answer in time."
                       : e->code == ERR_INVALID         ? "The receiver's address cannot be called."
                       : e->code == ERR_BAD_GATEWAY ? "The receiver did not answer as it should."
                                                    : "The receiver could not be reached.";
    struct err why = *e;
    if (has_answer || !with_find(h->task->with, "url"))
        return;
    log_line(LOG_WARN, "a webhook of a job failed", F_STR("app", h->place->app),
             F_STR("job", h->task->id), F_CSTR("why", why.msg));
    err_set(e, why.code, "%s", what);
    e->retry_s = why.retry_s;
}

static bool call(struct http_call *h, int *ret_status, struct err *e)
{
    struct breaker_turn turn = {.app = h->place->app, .origin = h->origin};
    int64_t left_ms = 0;
    struct err why;
    if (!breakers_enter(h->place->breakers, &turn, clock_mono_ms(), &left_ms)) {
        struct slice who =
            with_find(h->task->with, "url") ? SLICE("The receiver") : slice_first(h->origin, 120);
        err_set(e, ERR_UNAVAILABLE,
                "%.*s failed several times in a row; it is left alone for %lld s.", SLICE_ARGS(who),
                (long long)(left_ms + 999) / 1000);
        e->retry_s = (int)((left_ms + 999) / 1000);
        return false;
    }
    bool fine = send_call(h, ret_status, &why);
    bool is_outage = !fine && call_may_be_repeated(why.code);
    bool is_stopped = !fine && !*ret_status && should_stop(h->task);
    breakers_leave(h->place->breakers, &turn,
                   is_outage && !is_stopped ? BREAKER_FAILED
                   : fine || *ret_status    ? BREAKER_FINE
                                            : BREAKER_UNKNOWN,
                   clock_mono_ms());
    if (!fine) {
        *e = why;
        hide_place(h, *ret_status != 0, e);
    }
    return fine;
}

/* ---- the task ----------------------------------------------------------------------------------
 */

static bool run(void *user, struct task_call *t, struct err *e)
{
    struct http_call h = {.place = user, .task = t};
    int status = 0;
    buf_init(&h.body, JOB_INPUT_MAX);
    bool fine = read_call(&h, e);
    if (fine) {
        add_headers(&h);
        fine = call(&h, &status, e);
    }
    if (fine)
        buf_printf(t->result, "{\"status\":%d}", status);
    buf_done(&h.body);
    return fine;
}

/* A setting that is not there yet leaves an empty value: that is told when it is run. */
static bool check(const struct pairs *with, const struct manifest *m, struct err *e)
{
    const struct text *url = with_find(with, "url"), *method = with_find(with, "method"),
                      *internal = with_find(with, "internal");
    char origin[CALL_ORIGIN_MAX];
    struct slice text;
    enum http_method which = METHOD_POST;
    (void)m;
    if (!with_check(with, MEMBERS, e) || !is_safe(with, e) ||
        (url && url->s.len && !call_origin(url->s, origin, &text, e)) ||
        (method && !read_method(method->s, &which, e)) ||
        (internal && !internal_is_fine(internal->s, e)))
        return false;
    return which != METHOD_GET || !with_find(with, "body") ||
           err_set(e, ERR_INVALID, "`with` has a `body`, and GET sends none; remove one of both.");
}

const struct task task_http_call = {.name = "http.call", .run = run, .check = check};
