/* Errors as answers: problem+json for programs, a page for people. */
#include "base/embedded.h"
#include "base/json.h"
#include "base/template.h"
#include "http/http_impl.h"

#include <stdio.h>

#define CSP                                                                           \
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; " \
    "form-action 'none'; frame-ancestors 'self'"

/* What went wrong inside is for the log, which has it with the request's id. */
static const char *shown(const struct err *e)
{
    if (e->code == ERR_INTERNAL || e->code == ERR_IO)
        return "Something went wrong on this server. Its log says what, by this request_id.";
    return e->msg;
}

static struct slice problem_json(struct req *rq, const struct err *e, int status)
{
    struct buf b;
    buf_init(&b, 4096 + rq->details.len);
    buf_printf(
        &b, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"code\":\"%s\",\"detail\":",
        err_title(e->code), status, err_slug(e->code));
    json_escape(&b, slice_from(shown(e)), 0);
    buf_printf(&b, ",\"request_id\":\"%s\"", rq->id);
    if (rq->details.len) {
        buf_add(&b, SLICE(",\"errors\":"));
        buf_add(&b, rq->details);
    }
    buf_add(&b, SLICE("}\n"));
    struct slice text = arena_dup(rq->arena, buf_slice(&b));
    buf_done(&b);
    return text;
}

static const char *next_step(int status)
{
    switch (status) {
    case 401:
        return "Sign in and try again.";
    case 403:
        return "If you think you should see this, ask whoever runs this site.";
    case 404:
        return "Check the address for a typing error, or start from the home page.";
    case 429:
    case 503:
        return "Wait a moment, then load the page again.";
    default:
        return status >= 500
                   ? "Load the page again. If it stays like this, tell whoever runs this site."
                   : "Go back and try again.";
    }
}

static struct slice rendered(struct req *rq, const char *page, const struct template_value *values,
                             size_t n)
{
    const struct template_data data = {.values = values, .n_values = n};
    struct buf b;
    buf_init(&b, 64u << 10);
    template_render(&b, embedded_get(page), &data);
    if (rq->page_script.len) {
        buf_add(&b, SLICE("<script src=\""));
        template_escape(&b, rq->page_script);
        buf_add(&b, SLICE("\"></script>\n"));
    }
    struct slice text = arena_dup(rq->arena, buf_slice(&b));
    buf_done(&b);
    return text;
}

static struct slice problem_page(struct req *rq, const struct err *e, int status)
{
    char digits[8];
    snprintf(digits, sizeof digits, "%d", status);
    const struct template_value values[] = {
        {"status", slice_from(digits)},
        {"title", slice_from(err_title(e->code))},
        {"what", slice_from(shown(e))},
        {"next", slice_from(next_step(status))},
        {"home", arena_printf(rq->arena, "%.*s/", SLICE_ARGS(rq->mount))},
        {"request_id", slice_from(rq->id)},
    };
    return rendered(rq, "error.html", values, sizeof values / sizeof *values);
}

static struct slice starting_page(struct req *rq)
{
    const struct template_value values[] = {
        {"title", SLICE("The app is starting")},
        {"what", SLICE("It will be here in a moment.")},
        {"next", SLICE("This page loads itself again; there is nothing to do.")},
    };
    return rendered(rq, "starting.html", values, sizeof values / sizeof *values);
}

/* A person in a browser gets a page; a script, a program or an image tag gets problem+json. */
bool req_is_page_load(const struct req *rq)
{
    bool is_form = rq->method == METHOD_POST && rq->route && rq->route->is_form;
    if (rq->method != METHOD_GET && rq->method != METHOD_HEAD && !is_form)
        return false;
    struct slice mode = h1_get(rq->h1, HEADER_SEC_FETCH_MODE);
    if (mode.ptr && !slice_is(mode, "navigate"))
        return false;
    return accept_prefers_html(h1_get(rq->h1, HEADER_ACCEPT));
}

static bool reply_page(struct req *rq, int status, struct slice page)
{
    reply_header(rq, "Vary", SLICE("Accept"));
    reply_header(rq, "Content-Security-Policy",
                 rq->page_script.len ? SLICE(CSP "; script-src 'self'; connect-src 'self'")
                                     : SLICE(CSP));
    return reply_bytes(rq, status, "text/html; charset=utf-8", page);
}

static bool answer(struct req *rq, const struct err *e, bool is_starting)
{
    int status = err_status(e->code);
    bool is_page = req_is_page_load(rq);
    int retry_s = e->retry_s ? e->retry_s : status == 503 ? 2 : 0;
    if (retry_s)
        reply_header(rq, "Retry-After", arena_printf(rq->arena, "%d", retry_s));
    if (is_starting && is_page)
        reply_header(rq, "Refresh", SLICE("1"));
    if (is_page && rq->route && rq->service->error_page &&
        rq->service->error_page(rq->service, rq, status))
        return true;
    reply_header(rq, "Cache-Control", SLICE("no-store"));
    reply_header(rq, "X-Content-Type-Options", SLICE("nosniff"));
    if (!is_page)
        return reply_bytes(rq, status, "application/problem+json", problem_json(rq, e, status));
    return reply_page(rq, status, is_starting ? starting_page(rq) : problem_page(rq, e, status));
}

bool reply_error(struct req *rq, const struct err *e)
{
    return answer(rq, e, false);
}

bool reply_starting(struct req *rq, const char *what)
{
    struct err e;
    err_set(&e, ERR_UNAVAILABLE, "%s", what);
    return answer(rq, &e, true);
}
