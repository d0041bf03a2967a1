/* web.rewrite on text that passes through, bit by bit.
 *
 * Each rule is a stage: what it gives is what the next one gets. Of what came last a stage holds
 * back only what may be the beginning of a match, so that where the pieces were cut changes
 * nothing, and what can leave does. */
#include "edge/edge_impl.h"

#include <stdlib.h>
#include <string.h>

#define PIECE_MAX (16u << 10)  /* read at once */
#define GROWN_MAX (256u << 10) /* what becomes of a piece, if that can be had */
#define OUT_MAX   (16u << 20)  /* at any rate */

struct stage {
    struct slice from, to;
    struct buf held; /* what may be the beginning of a match, then the new piece */
};

struct rewriter {
    struct buf raw, out, between;
    size_t given; /* of out */
    size_t piece;
    bool is_over;
    size_t n_stages;
    struct stage stages[];
};

/* ---- what is it for? ------------------------------------------------------------------------ */

static bool has_rule(const struct web_conf *conf, struct slice path)
{
    for (size_t i = 0; i < conf->rewrite.n; i++) {
        if (web_rewrite_is_for(&conf->rewrite.items[i], path))
            return true;
    }
    return false;
}

bool rewriter_is_for(const struct web_conf *conf, const struct req *rq)
{
    if (!conf || forward_is_upgrade(rq->h1) || !has_rule(conf, rq->path))
        return false;
    return !rq->h1->at[HEADER_RANGE] || web_may_be_text(rq->path); /* films are for seeking in */
}

static bool ends(struct slice name, struct slice tail)
{
    return name.len >= tail.len && slice_eq_nocase(slice_skip(name, name.len - tail.len), tail);
}

static bool is_text(struct slice type)
{
    static const struct slice names[] = {
        SLICE_INIT("application/json"),         SLICE_INIT("application/javascript"),
        SLICE_INIT("application/x-javascript"), SLICE_INIT("application/ecmascript"),
        SLICE_INIT("application/xml"),          SLICE_INIT("application/x-ndjson"),
    };
    struct slice name;
    if (!slice_cut(&type, ';', &name))
        return false;
    name = slice_trim(name);
    if (slice_eq_nocase(name, SLICE("text/event-stream")))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (slice_eq_nocase(name, names[i]))
            return true;
    }
    return slice_starts_nocase(name, SLICE("text/")) || ends(name, SLICE("+json")) ||
           ends(name, SLICE("+xml"));
}

bool rewriter_is_plain(const struct h1_response *answer)
{
    struct slice line, coding;
    for (uint32_t at = 0; h1_next(&answer->head, HEADER_CONTENT_ENCODING, &at, &line);) {
        while (list_next(&line, &coding)) {
            if (!slice_eq_nocase(coding, SLICE("identity")))
                return false;
        }
    }
    return true;
}

bool rewriter_is_text(const struct h1_response *answer)
{
    return answer->status != 206 && is_text(h1_get(&answer->head, HEADER_CONTENT_TYPE));
}

/* ---- one stage ------------------------------------------------------------------------------ */

/* How many of the last bytes may be the beginning of a match. */
static size_t beginning(struct slice text, struct slice from)
{
    size_t n = from.len - 1 < text.len ? from.len - 1 : text.len;
    const char *end = text.ptr + text.len;
    for (; n; n--) {
        const char *at = memchr(end - n, from.ptr[0], n);
        if (!at)
            return 0;
        n = (size_t)(end - at);
        if (memcmp(at, from.ptr, n) == 0)
            return n;
    }
    return 0;
}

static void run_stage(struct stage *s, struct slice in, bool is_last, struct buf *out)
{
    ptrdiff_t at;
    buf_add(&s->held, in);
    struct slice text = buf_slice(&s->held);
    while ((at = slice_search(text, s->from)) >= 0) {
        buf_add(out, slice_first(text, (size_t)at));
        buf_add(out, s->to);
        text = slice_skip(text, (size_t)at + s->from.len);
    }
    size_t kept = is_last ? 0 : beginning(text, s->from);
    buf_add(out, slice_first(text, text.len - kept));
    out->full |= s->held.full;
    buf_consume(&s->held, s->held.len - kept);
}

/* ---- all of them ---------------------------------------------------------------------------- */

/* The most that `n` bytes can become. */
static size_t grown(const struct rewriter *r, size_t n)
{
    for (size_t i = 0; i < r->n_stages; i++) {
        const struct stage *s = &r->stages[i];
        size_t matches = (n + s->from.len) / s->from.len + 1;
        n += s->from.len;
        if (s->to.len > s->from.len)
            n += matches * (s->to.len - s->from.len);
        if (n > OUT_MAX)
            return OUT_MAX;
    }
    return n;
}

struct rewriter *rewriter_new(const struct web_conf *conf, struct slice path)
{
    size_t n = conf->rewrite.n;
    struct rewriter *r = mem_zalloc(sizeof *r + n * sizeof *r->stages);
    for (size_t i = 0; i < n; i++) {
        const struct rewrite_rule *rule = &conf->rewrite.items[i];
        if (!rule->from.s.len || !web_rewrite_is_for(rule, path))
            continue;
        struct stage *s = &r->stages[r->n_stages++];
        *s = (struct stage){.from = rule->from.s, .to = rule->to.s};
        buf_init(&s->held, OUT_MAX);
    }
    for (r->piece = PIECE_MAX; r->piece > 1 && grown(r, r->piece) > GROWN_MAX; r->piece /= 2)
        continue;
    buf_init(&r->raw, 2 * PIECE_MAX);
    buf_init(&r->out, OUT_MAX);
    buf_init(&r->between, OUT_MAX);
    return r;
}

void rewriter_free(struct rewriter *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n_stages; i++)
        buf_done(&r->stages[i].held);
    buf_done(&r->raw);
    buf_done(&r->out);
    buf_done(&r->between);
    free(r);
}

bool rewriter_add(struct rewriter *r, struct slice in, bool is_last, struct buf *to)
{
    struct buf *from = &r->between;
    buf_clear(to);
    buf_add(to, in);
    for (size_t i = 0; i < r->n_stages && !to->full; i++) {
        buf_swap(to, from);
        buf_clear(to);
        run_stage(&r->stages[i], buf_slice(from), is_last, to);
    }
    return !to->full;
}

static size_t give(struct rewriter *r, struct buf *to, size_t room)
{
    struct slice rest = slice_first(slice_skip(buf_slice(&r->out), r->given), room);
    buf_add(to, rest);
    r->given += rest.len;
    return rest.len;
}

enum io rewriter_read(struct rewriter *r, struct call *c, struct buf *to, size_t room)
{
    while (!give(r, to, room)) {
        if (r->is_over)
            return IO_EOF;
        buf_clear(&r->raw);
        enum io io = call_read(c, &r->raw, room < r->piece ? room : r->piece);
        if (io != IO_OK && io != IO_EOF)
            return io;
        r->is_over = io == IO_EOF;
        r->given = 0;
        if (!rewriter_add(r, buf_slice(&r->raw), r->is_over, &r->out))
            return IO_FAIL;
    }
    return IO_OK;
}
