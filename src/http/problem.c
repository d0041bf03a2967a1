/* Errors as answers: problem+json for programs, a page for people. */
#include "http/http_impl.h"

static void add_json_string(struct buf *b, struct slice s)
{
    buf_add_char(b, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == '"' || c == '\\')
            buf_printf(b, "\\%c", c);
        else if (c < 0x20)
            buf_printf(b, "\\u%04x", c);
        else
            buf_add_char(b, (char)c);
    }
    buf_add_char(b, '"');
}

static struct slice problem_json(struct req *rq, const struct err *e, int status)
{
    struct buf b;
    buf_init(&b, 4096);
    buf_printf(
        &b, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"code\":\"%s\",\"detail\":",
        err_title(e->code), status, err_slug(e->code));
    add_json_string(&b, slice_from(e->msg));
    buf_printf(&b, ",\"request_id\":\"%s\"}\n", rq->id);
    struct slice text = arena_dup(rq->arena, buf_slice(&b));
    buf_done(&b);
    return text;
}

bool reply_error(struct req *rq, const struct err *e)
{
    int status = err_status(e->code);
    reply_header(rq, "Cache-Control", SLICE("no-store"));
    if (status == 503)
        reply_header(rq, "Retry-After", SLICE("2"));
    reply_header(rq, "X-Content-Type-Options", SLICE("nosniff"));
    return reply_bytes(rq, status, "application/problem+json", problem_json(rq, e, status));
}
