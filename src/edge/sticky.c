/* Staying with one instance of several: a cookie of dais that holds its number. */
#include "edge/edge_impl.h"

static bool is_sticky(const struct edge *g)
{
    return g->conf->instances > 1 && slice_is(g->conf->sticky.s, "cookie");
}

/* Everything behind "name=" of the cookie that is ours; ptr is NULL without one. */
static struct slice value_of(const struct edge *g, struct slice cookies)
{
    struct slice piece;
    while (slice_cut(&cookies, ';', &piece)) {
        piece = slice_trim(piece);
        if (!slice_starts(piece, SLICE(STICKY_COOKIE)))
            continue;
        piece = slice_skip(piece, sizeof STICKY_COOKIE - 1);
        if (piece.len > g->app.len && slice_starts(piece, g->app) && piece.ptr[g->app.len] == '=')
            return slice_skip(piece, g->app.len + 1);
    }
    return (struct slice){0};
}

int sticky_wanted(const struct edge *g, const struct req *rq)
{
    uint32_t at = 0;
    uint64_t number;
    struct slice line;
    while (is_sticky(g) && h1_next(rq->h1, HEADER_COOKIE, &at, &line)) {
        if (slice_to_u64(value_of(g, line), &number) && number < (uint64_t)g->conf->instances)
            return (int)number;
    }
    return -1;
}

void sticky_answer(struct buf *to, const struct edge *g, const struct req *rq, int number)
{
    if (!is_sticky(g) || sticky_wanted(g, rq) == number)
        return;
    buf_printf(to, "Set-Cookie: " STICKY_COOKIE "%.*s=%d; Path=%.*s/; HttpOnly; SameSite=Lax%s\r\n",
               SLICE_ARGS(g->app), number, SLICE_ARGS(rq->mount), rq->is_secure ? "; Secure" : "");
}
