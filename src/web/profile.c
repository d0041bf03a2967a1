/* Rows of web.headers resolved: for each row the headers of the paths it is first to match, and of
 * them the lines that every file of such a path has. */
#include "web/profile_impl.h"

#include <string.h>

/* The policy behind `csp: default`: content from the app's own origin, the scripts written in the
 * file itself, inline styles, and images that the page makes itself. */
#define CSP_DEFAULT                                                                 \
    "default-src 'self'; script-src 'self' {scripts}; img-src 'self' data: blob:; " \
    "style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'"
#define LINES_MAX  65536
#define POLICY_MAX 16384

/* The rows that apply where row `first` is the first to match, most specific first. */
struct chain {
    const struct web_conf *conf;
    size_t first;
};

/* Paths that match a pattern are exactly those another one matches when that one is shorter and a
 * prefix of it; so the rows that follow are known without a path. */
static const struct header_profile *chain_next(const struct chain *c, size_t *at)
{
    const struct header_profile *first = &c->conf->headers.items[c->first];
    while (c->first + *at < c->conf->headers.n) {
        const struct header_profile *row = &c->conf->headers.items[c->first + (*at)++];
        if (row == first || row + 1 == c->conf->headers.items + c->conf->headers.n ||
            (row->pattern.wildcard && slice_starts(first->pattern.prefix, row->pattern.prefix)))
            return row;
    }
    return NULL;
}

/* By the app's maker: the last row holds the defaults. */
static bool is_written(const struct chain *c, const struct header_profile *row)
{
    return row + 1 < c->conf->headers.items + c->conf->headers.n;
}

/* The first row of the chain that sets the text at this offset of a header_profile. */
static struct slice chain_text(const struct chain *c, size_t offset, bool *ret_is_written)
{
    size_t at = 0;
    for (const struct header_profile *row; (row = chain_next(c, &at));) {
        const struct text *t = (const void *)((const char *)row + offset);
        if (t->s.len) {
            *ret_is_written = is_written(c, row);
            return t->s;
        }
    }
    *ret_is_written = false;
    return (struct slice){0};
}
#define CHAIN_TEXT(c, field, ret_is_written) \
    chain_text((c), offsetof(struct header_profile, field), (ret_is_written))

static bool chain_extra(const struct chain *c, const char *name, struct slice *ret_value)
{
    size_t at = 0;
    for (const struct header_profile *row; (row = chain_next(c, &at));) {
        for (size_t i = 0; i < row->extra.n; i++) {
            if (slice_eq_nocase(row->extra.items[i].key.s, slice_from(name))) {
                *ret_value = row->extra.items[i].value.s;
                return true;
            }
        }
    }
    return false;
}

/* "*" says nothing at all, which is what it means. */
static struct slice ancestors_text(struct arena *a, const struct texts *who)
{
    struct buf b;
    buf_init(&b, POLICY_MAX);
    for (size_t i = 0; i < who->n; i++) {
        struct slice s = who->items[i].s;
        if (slice_is(s, "*")) {
            buf_done(&b);
            return (struct slice){0};
        }
        bool is_word = slice_is(s, "self") || slice_is(s, "none");
        buf_printf(&b, is_word ? "%s'%.*s'" : "%s%.*s", i ? " " : "", SLICE_ARGS(s));
    }
    if (!who->n)
        buf_add(&b, SLICE("'self'"));
    struct slice text = arena_dup(a, buf_slice(&b));
    buf_done(&b);
    return text;
}

/* Who may show it in a frame. X-Frame-Options in `extra` takes the place of the default, as two
 * headers must not contradict each other. */
static void set_ancestors(struct web_headers *h, struct arena *a, const struct chain *c)
{
    struct slice ignored;
    struct texts who = {0};
    size_t at = 0;
    for (const struct header_profile *row; !who.n && (row = chain_next(c, &at));) {
        who = row->frame_ancestors;
        h->is_ancestors_written = who.n && is_written(c, row);
    }
    if (h->is_ancestors_written || !chain_extra(c, "x-frame-options", &ignored))
        h->ancestors = ancestors_text(a, &who);
}

static void set_csp(struct web_headers *h, struct arena *a, const struct chain *c)
{
    struct slice policy;
    if (chain_extra(c, "content-security-policy", &policy))
        return; /* which is among the items */
    policy = CHAIN_TEXT(c, csp, &h->is_csp_written);
    if (slice_is(policy, "default"))
        policy = SLICE(CSP_DEFAULT);
    if (!slice_is(policy, "off"))
        h->csp = slice_trim(policy);
    set_ancestors(h, a, c);
    if (slice_search(h->csp, SLICE("frame-ancestors")) >= 0) {
        h->ancestors = (struct slice){0};
        h->is_ancestors_written = true;
    }
}

/* ---- the other headers ---------------------------------------------------------------------- */

static void add_item(struct web_headers *h, const char *name, struct slice value, bool written)
{
    struct slice key = slice_from(name);
    if (!header_value_is_valid(value)) {
        log_line(LOG_WARN, "a header value was left out", F_CSTR("header", name));
        return;
    }
    h->items[h->n++] = (struct web_header){key, value, written};
}

/* One with a key of its own; `off` sends none. */
static void add_key(struct web_headers *h, const struct chain *c, const char *name, size_t offset)
{
    bool written;
    struct slice ignored, value = chain_text(c, offset, &written);
    if (chain_extra(c, name, &ignored))
        return;
    bool is_off = slice_is(value, "off");
    if (written || (value.len && !is_off))
        add_item(h, name, is_off ? (struct slice){0} : value, written);
}
#define ADD_KEY(h, c, name, field) add_key((h), (c), (name), offsetof(struct header_profile, field))

/* Did a more specific row, or an earlier pair of this one, set it already? */
static bool is_repeated(const struct chain *c, const struct pair *p)
{
    size_t at = 0;
    for (const struct header_profile *row; (row = chain_next(c, &at));) {
        for (size_t i = 0; i < row->extra.n; i++) {
            if (&row->extra.items[i] == p)
                return false;
            if (slice_eq_nocase(row->extra.items[i].key.s, p->key.s))
                return true;
        }
    }
    return false;
}

static void add_extra(struct web_headers *h, struct arena *a, const struct chain *c)
{
    size_t at = 0;
    for (const struct header_profile *row; (row = chain_next(c, &at));) {
        for (size_t i = 0; i < row->extra.n; i++) {
            const struct pair *p = &row->extra.items[i];
            if (header_is_given(p->key.s) || slice_eq_nocase(p->key.s, SLICE("cache-control")) ||
                !token_is_valid(p->key.s) || is_repeated(c, p))
                continue;
            add_item(h, arena_cstr(a, p->key.s), p->value.s, true);
        }
    }
}

static void add_cache_control(struct web_headers *h, const struct chain *c)
{
    bool written;
    struct slice value = CHAIN_TEXT(c, cache_control, &written);
    if (chain_extra(c, "cache-control", &value))
        written = true;
    if (written && value.len && !slice_is(value, "auto"))
        add_item(h, "Cache-Control", value, true);
}

static void add_hsts(struct web_headers *h, struct arena *a, const struct chain *c)
{
    struct slice ignored;
    size_t at = 0;
    if (chain_extra(c, WEB_HSTS, &ignored))
        return;
    for (const struct header_profile *row; (row = chain_next(c, &at));) {
        if (row->hsts_ms < 0)
            continue;
        struct slice value = arena_printf(a, "max-age=%lld", (long long)(row->hsts_ms / 1000));
        add_item(h, WEB_HSTS, row->hsts_ms ? value : (struct slice){0}, is_written(c, row));
        return;
    }
}

/* No more items than keys, and what is in `extra`. */
static size_t count_items(const struct chain *c)
{
    size_t at = 0, n = 8;
    for (const struct header_profile *row; (row = chain_next(c, &at));)
        n += row->extra.n;
    return n;
}

static void headers_make(struct web_headers *h, struct arena *a, const struct chain *c)
{
    *h = (struct web_headers){.items = arena_alloc(a, count_items(c) * sizeof *h->items)};
    add_item(h, "X-Content-Type-Options", SLICE("nosniff"), false);
    ADD_KEY(h, c, "Referrer-Policy", referrer_policy);
    ADD_KEY(h, c, "Permissions-Policy", permissions_policy);
    ADD_KEY(h, c, "Cross-Origin-Opener-Policy", coop);
    add_cache_control(h, c);
    add_hsts(h, a, c);
    set_csp(h, a, c);
    add_extra(h, a, c);
}

size_t web_headers_find(const struct web_conf *conf, struct slice path)
{
    size_t i = 0;
    while (i + 1 < conf->headers.n && !pattern_matches(&conf->headers.items[i].pattern, path, NULL))
        i++;
    return i;
}

struct web_headers *web_headers_make(struct arena *a, const struct web_conf *conf, size_t *ret_n)
{
    size_t n = conf->headers.n ? conf->headers.n : 1;
    struct web_headers *h = arena_alloc(a, n * sizeof *h);
    for (size_t i = 0; i < n; i++)
        headers_make(&h[i], a, &(struct chain){conf, i});
    *ret_n = n;
    return h;
}

/* ---- policies ------------------------------------------------------------------------------- */

/* `text` in the place of `word`, or nothing, and then no space before it either. */
static struct slice fill(struct buf *to, struct slice policy, struct slice word, struct slice text)
{
    ptrdiff_t at;
    while ((at = slice_search(policy, word)) >= 0) {
        buf_add(to, slice_first(policy, (size_t)at));
        policy = slice_skip(policy, (size_t)at + word.len);
        if (text.len)
            buf_add(to, text);
        else if (to->len && !to->full && to->data[to->len - 1] == ' ')
            buf_truncate(to, to->len - 1);
    }
    buf_add(to, policy);
    return buf_slice(to);
}

struct slice web_csp_fill(struct arena *a, struct slice policy, const struct web_csp_sources *s)
{
    struct buf one, two;
    if (slice_index(policy, '{') < 0)
        return policy;
    buf_init(&one, POLICY_MAX);
    buf_init(&two, POLICY_MAX);
    policy = fill(&one, policy, SLICE("{scripts}"), s->scripts);
    policy = fill(&two, policy, SLICE("{styles}"), s->styles);
    buf_clear(&one);
    bool is_whole = !two.full;
    policy = s->nonce.len ? fill(&one, policy, SLICE("{nonce}"), s->nonce)
                          : fill(&one, policy, SLICE("'nonce-{nonce}'"), s->nonce);
    struct slice text = is_whole && !one.full ? arena_dup(a, policy) : (struct slice){0};
    buf_done(&one);
    buf_done(&two);
    return text;
}

/* ---- of files ------------------------------------------------------------------------------- */

static struct web_profile profile_make(struct arena *a, const struct web_headers *h)
{
    struct web_profile p = {.csp = h->csp};
    struct buf b;
    buf_init(&b, LINES_MAX);
    for (size_t i = 0; i < h->n; i++) {
        const struct web_header *item = &h->items[i];
        if (slice_is(item->name, "Cache-Control"))
            p.cache_control = item->value;
        else if (slice_eq_nocase(item->name, SLICE(WEB_HSTS)))
            p.hsts = item->value;
        else if (item->value.len)
            must(h1_add_header(&b, item->name, item->value));
    }
    if (h->csp.len && h->ancestors.len)
        p.csp = arena_printf(a, "%.*s; frame-ancestors %.*s", SLICE_ARGS(h->csp),
                             SLICE_ARGS(h->ancestors));
    else if (h->ancestors.len)
        p.csp = arena_printf(a, "frame-ancestors %.*s", SLICE_ARGS(h->ancestors));
    p.needs_scan =
        slice_search(p.csp, SLICE("{scripts}")) >= 0 || slice_search(p.csp, SLICE("{styles}")) >= 0;
    p.lines = arena_dup(a, buf_slice(&b));
    buf_done(&b);
    return p;
}

struct web_profile *profiles_make(struct arena *a, const struct web_conf *conf, size_t *ret_n)
{
    struct web_headers *h = web_headers_make(a, conf, ret_n);
    struct web_profile *p = arena_alloc(a, *ret_n * sizeof *p);
    for (size_t i = 0; i < *ret_n; i++)
        p[i] = profile_make(a, &h[i]);
    return p;
}
