/* A whole fetch: one request after the other until an answer is no redirect, or is refused. */
#include "fetch/fetch_impl.h"

#include "base/clock.h"

#include <string.h>

#define ARENA_MAX (2u << 20)

static const struct fetch_options defaults = {
    .max_bytes = 1u << 20,
    .max_ms = 30000,
    .max_redirects = FETCH_REDIRECTS,
};

/* ---- what was asked ------------------------------------------------------------------------- */

static bool check_headers(const struct fetch_options *o, struct err *e)
{
    for (size_t i = 0; i < o->n_headers; i++) {
        struct slice name = o->headers[i].name;
        if (!token_is_valid(name) || !header_value_is_valid(o->headers[i].value))
            return err_set(e, ERR_INVALID, "a header's name or value cannot be sent");
        enum header_id id = header_find(name);
        if (header_is_hop(id) || id == HEADER_HOST || id == HEADER_CONTENT_LENGTH ||
            id == HEADER_EXPECT || id == HEADER_ACCEPT_ENCODING)
            return err_set(e, ERR_INVALID, "the header %.*s is not yours to set", SLICE_ARGS(name));
    }
    return true;
}

static struct fetch_options with_defaults(const struct fetch_options *options)
{
    struct fetch_options o = *options;
    if (!o.max_bytes)
        o.max_bytes = defaults.max_bytes;
    if (!o.max_ms)
        o.max_ms = defaults.max_ms;
    if (o.max_redirects == 0)
        o.max_redirects = defaults.max_redirects;
    else if (o.max_redirects < 0)
        o.max_redirects = 0;
    must(o.max_redirects <= FETCH_REDIRECTS_MAX && o.method != METHOD_OTHER);
    return o;
}

/* ---- from one to the next ------------------------------------------------------------------- */

/* As browsers do: 303 is fetched with GET, and so is what a POST of 301 and 302 leads to. */
static void change_method(struct transfer *t, int status)
{
    bool is_read = t->method == METHOD_GET || t->method == METHOD_HEAD;
    if ((status == 303 && !is_read) || (status <= 302 && t->method == METHOD_POST)) {
        t->method = METHOD_GET;
        t->body = (struct slice){0};
    }
}

static bool next_hop(struct transfer *t, struct target *target, struct err *e)
{
    struct fetch_answer *a = t->answer;
    struct slice location = fetch_find(a, "location", 0);
    bool crossed = false;
    a->hops[a->n_hops++] = (struct fetch_hop){a->url, a->status};
    if (!target_follow(target, location, t->options->may_lose_tls, &crossed, e))
        return false;
    change_method(t, a->status);
    t->is_elsewhere = t->is_elsewhere || crossed;
    a->n_headers = 0;
    return true;
}

static bool run_hops(struct transfer *t, struct target *target, struct err *e)
{
    const struct fetch_options *o = t->options;
    struct fetch_answer *a = t->answer;
    for (;;) {
        if (!o->is_unguarded && !port_is_for_web(target->port))
            return err_set(e, ERR_FORBIDDEN, "port %u is another service's, not the web's",
                           target->port);
        t->is_last = o->max_redirects == 0;
        if (!target_text(target, &a->arena, &a->url, e) || !transfer_run(t, e))
            return false;
        if (!t->is_redirect)
            return true;
        if (a->n_hops == (size_t)o->max_redirects)
            return err_set(e, ERR_BAD_GATEWAY, "more than %d redirects", o->max_redirects);
        if (!next_hop(t, target, e))
            return false;
    }
}

bool fetch_run(const struct fetch_options *options, struct fetch_answer *ret, struct err *e)
{
    const struct fetch_options o = with_defaults(options);
    struct target target;
    memset(ret, 0, offsetof(struct fetch_answer, headers));
    ret->n_headers = ret->n_hops = 0;
    arena_init(&ret->arena, ARENA_MAX);
    buf_init(&ret->body, o.max_bytes);
    const struct libcurl *lib = libcurl_get(e);
    if (!lib || !check_headers(&o, e) || !target_init(&target, lib, o.url, e))
        return false;
    struct transfer t = {
        .options = &o,
        .target = &target,
        .answer = ret,
        .method = o.method,
        .body = o.body,
        .deadline_ms = clock_mono_ms() + o.max_ms,
    };
    bool fine = run_hops(&t, &target, e);
    target_done(&target);
    return fine;
}

void fetch_answer_done(struct fetch_answer *a)
{
    buf_done(&a->body);
    arena_done(&a->arena);
}

struct slice fetch_find(const struct fetch_answer *a, const char *name, size_t n)
{
    for (size_t i = 0; i < a->n_headers; i++) {
        if (slice_eq_nocase(a->headers[i].name, slice_from(name)) && n-- == 0)
            return a->headers[i].value;
    }
    return (struct slice){0};
}
