/* What handlers answer with: each reply_* fills in the response, the server sends it. */
#include "http/http_impl.h"

#include <stdlib.h>
#include <unistd.h>

void reply_header(struct req *rq, const char *name, struct slice value)
{
    if (!h1_add_header(&rq->res.head, slice_from(name), value))
        log_line(LOG_WARN, "a header that cannot be sent was left out", F_CSTR("name", name),
                 F_CSTR("request", rq->id));
}

void reply_prebuilt(struct req *rq, struct slice lines)
{
    rq->res.prebuilt = lines;
}

void reply_always(struct req *rq, struct slice lines)
{
    struct slice had = rq->res.always;
    rq->res.always = had.len
                         ? arena_printf(rq->arena, "%.*s%.*s", SLICE_ARGS(had), SLICE_ARGS(lines))
                         : arena_dup(rq->arena, lines);
}

static struct res *fresh(struct req *rq, int status)
{
    struct res *res = &rq->res;
    must(status >= 200 && status <= 599 && res->kind == BODY_NONE);
    res->status = status;
    return res;
}

void reply_forget(struct req *rq)
{
    struct res *res = &rq->res;
    must(res->kind == BODY_NONE || res->kind == BODY_BYTES);
    res->status = 0;
    res->kind = BODY_NONE;
    res->prebuilt = (struct slice){0};
    buf_clear(&res->head);
}

bool reply_empty(struct req *rq, int status)
{
    fresh(rq, status);
    return true;
}

bool reply_bytes(struct req *rq, int status, const char *type, struct slice body)
{
    struct res *res = fresh(rq, status);
    if (type)
        h1_add(&res->head, "Content-Type", slice_from(type));
    res->kind = BODY_BYTES;
    res->bytes = body;
    res->length = body.len;
    return true;
}

bool reply_shared(struct req *rq, int status, struct shared *body, uint64_t offset, uint64_t length)
{
    struct res *res = fresh(rq, status);
    must(offset <= body->len && length <= body->len - offset);
    res->kind = BODY_SHARED;
    res->shared = shared_ref(body);
    res->offset = offset;
    res->length = length;
    return true;
}

bool reply_file(struct req *rq, int status, int fd, uint64_t offset, uint64_t length)
{
    struct res *res = fresh(rq, status);
    res->kind = BODY_FILE;
    res->fd = fd;
    res->offset = offset;
    res->length = length;
    return true;
}

bool reply_source(struct req *rq, int status, const char *type, struct source *s)
{
    struct res *res = fresh(rq, status);
    if (type)
        h1_add(&res->head, "Content-Type", slice_from(type));
    res->kind = BODY_SOURCE;
    res->source = s;
    return true;
}

bool reply_sized_source(struct req *rq, int status, uint64_t length, struct source *s)
{
    reply_source(rq, status, NULL, s);
    rq->res.is_sized = true;
    rq->res.length = length;
    return true;
}

bool reply_tunnel(struct req *rq, struct source *s)
{
    reply_source(rq, 200, NULL, s);
    rq->res.status = 101;
    rq->res.is_tunnel = true;
    return true;
}

bool reply_redirect(struct req *rq, int status, struct slice location)
{
    reply_header(rq, "Location", location);
    reply_header(rq, "Cache-Control", SLICE("no-cache"));
    return reply_bytes(rq, status, "text/plain; charset=utf-8", SLICE("It is elsewhere.\n"));
}
