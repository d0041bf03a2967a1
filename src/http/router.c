/* Finding the row of a path: literal paths by hash, patterns in the order they were added. */
#include "http/http_impl.h"

#include <stdlib.h>
#include <string.h>

struct router {
    struct map literal; /* path -> const struct route */
    const struct route **patterns;
    size_t n, cap;
};

struct router *router_new(void)
{
    struct router *r = mem_new(struct router);
    map_init(&r->literal);
    return r;
}

void router_free(struct router *r)
{
    if (!r)
        return;
    map_done(&r->literal);
    free(r->patterns);
    free(r);
}

static bool is_pattern(const char *path)
{
    size_t len = strlen(path);
    return strchr(path, '{') || (len >= 2 && strcmp(path + len - 2, "/*") == 0);
}

static unsigned count_params(const char *path)
{
    unsigned n = 0;
    while ((path = strstr(path, "/{"))) {
        path += 2;
        n++;
    }
    return n;
}

void router_add(struct router *r, const struct route *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        must(rows[i].path[0] == '/' && rows[i].name && rows[i].handle && rows[i].methods);
        if (!is_pattern(rows[i].path)) {
            /* map values are not const; the row is never written through */
            void *was = map_put(&r->literal, slice_from(rows[i].path), (void *)(uintptr_t)&rows[i]);
            must(!was); /* two rows of one path: merge their methods */
            continue;
        }
        must(count_params(rows[i].path) <= REQ_PARAMS);
        if (r->n == r->cap) {
            r->cap = r->cap ? r->cap * 2 : 16;
            r->patterns = mem_realloc(r->patterns, r->cap * sizeof *r->patterns);
        }
        r->patterns[r->n++] = &rows[i];
    }
}

static bool take_param(struct req *rq, struct slice name, struct slice value)
{
    if (value.len == 0)
        return false;
    rq->params[rq->n_params].name = name;
    rq->params[rq->n_params++].value = value;
    return true;
}

/* Segment by segment; "{name}" takes one segment, a last "*" takes the rest. */
static bool matches(const char *pattern, struct req *rq)
{
    struct slice want = slice_skip(slice_from(pattern), 1), have = slice_skip(rq->path, 1);
    struct slice segment, given;
    rq->n_params = 0;
    while (slice_cut(&want, '/', &segment)) {
        if (slice_is(segment, "*"))
            return true;
        if (!slice_cut(&have, '/', &given))
            return false;
        bool is_param = segment.len > 2 && segment.ptr[0] == '{';
        if (is_param ? !take_param(rq, (struct slice){segment.ptr + 1, segment.len - 2}, given)
                     : !slice_eq(segment, given))
            return false;
    }
    return have.len == 0 && rq->path.ptr[rq->path.len - 1] != '/';
}

const struct route *router_find(const struct router *r, struct req *rq)
{
    const struct route *row = map_find(&r->literal, rq->path);
    rq->n_params = 0;
    for (size_t i = 0; !row && i < r->n; i++) {
        if (matches(r->patterns[i]->path, rq))
            row = r->patterns[i];
    }
    if (!row)
        rq->n_params = 0; /* of a row that did not match to its end */
    return row;
}

struct slice req_param(const struct req *rq, const char *name)
{
    for (unsigned i = 0; i < rq->n_params; i++) {
        if (slice_is(rq->params[i].name, name))
            return rq->params[i].value;
    }
    return (struct slice){"", 0};
}

struct slice req_header(const struct req *rq, const char *name)
{
    struct slice value = h1_find(rq->h1, slice_from(name));
    return value.ptr ? value : (struct slice){"", 0};
}
