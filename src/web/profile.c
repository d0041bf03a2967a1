/* Rows of web.headers resolved: for each row the header lines of the paths it is first to match. */
#include "web/profile_impl.h"

#include <string.h>

/* The policy behind `csp: default`: content from the app's own origin, inline styles, and images
 * that the page makes itself. */
#define CSP_DEFAULT                                                                      \
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; " \
    "object-src 'none'; base-uri 'self'"

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

/* The first row of the chain that sets the text at this offset of a header_profile. */
static struct slice chain_text(const struct chain *c, size_t offset)
{
    size_t at = 0;
    for (const struct header_profile *row; (row = chain_next(c, &at));) {
        const struct text *t = (const void *)((const char *)row + offset);
        if (t->s.len)
            return t->s;
    }
    return (struct slice){0};
}
#define CHAIN_TEXT(c, field) chain_text((c), offsetof(struct header_profile, field))

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

static struct texts chain_ancestors(const struct chain *c)
{
    size_t at = 0;
    for (const struct header_profile *row; (row = chain_next(c, &at));) {
        if (row->frame_ancestors.n)
            return row->frame_ancestors;
    }
    return (struct texts){0};
}

/* "*" says nothing at all, which is what it means. */
static void add_ancestors(struct buf *to, struct texts who)
{
    for (size_t i = 0; i < who.n; i++) {
        if (slice_is(who.items[i].s, "*"))
            return;
    }
    buf_add(to, to->len ? SLICE("; frame-ancestors") : SLICE("frame-ancestors"));
    for (size_t i = 0; i < who.n; i++) {
        bool is_word = slice_is(who.items[i].s, "self") || slice_is(who.items[i].s, "none");
        buf_printf(to, is_word ? " '%.*s'" : " %.*s", SLICE_ARGS(who.items[i].s));
    }
    if (!who.n)
        buf_add(to, SLICE(" 'self'"));
}

static void add_line(struct buf *to, const struct chain *c, const char *name, struct slice value)
{
    struct slice ignored;
    if (!value.len || slice_is(value, "off") || chain_extra(c, name, &ignored))
        return;
    if (!h1_add_header(to, slice_from(name), value))
        log_line(LOG_WARN, "a header value was left out", F_CSTR("header", name));
}

static void add_csp(struct buf *to, const struct chain *c)
{
    struct buf b;
    buf_init(&b, 16384);
    struct slice policy = CHAIN_TEXT(c, csp);
    if (slice_is(policy, "default"))
        policy = SLICE(CSP_DEFAULT);
    if (!slice_is(policy, "off"))
        buf_add(&b, slice_trim(policy));
    if (slice_search(buf_slice(&b), SLICE("frame-ancestors")) < 0)
        add_ancestors(&b, chain_ancestors(c));
    add_line(to, c, "Content-Security-Policy", buf_slice(&b));
    buf_done(&b);
}

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

static void add_extra(struct buf *to, const struct chain *c)
{
    size_t at = 0;
    for (const struct header_profile *row; (row = chain_next(c, &at));) {
        for (size_t i = 0; i < row->extra.n; i++) {
            const struct pair *p = &row->extra.items[i];
            if (header_is_given(p->key.s) || slice_eq_nocase(p->key.s, SLICE("cache-control")) ||
                is_repeated(c, p) || !p->value.s.len)
                continue;
            if (!h1_add_header(to, p->key.s, p->value.s))
                log_line(LOG_WARN, "a header was left out", F_STR("header", p->key.s));
        }
    }
}

static struct slice cache_control_of(const struct chain *c)
{
    struct slice value = CHAIN_TEXT(c, cache_control);
    (void)chain_extra(c, "cache-control", &value);
    return slice_is(value, "auto") || !header_value_is_valid(value) ? (struct slice){0} : value;
}

static struct slice hsts_of(struct arena *a, const struct chain *c)
{
    size_t at = 0;
    for (const struct header_profile *row; (row = chain_next(c, &at));) {
        if (row->hsts_ms > 0)
            return arena_printf(a, "max-age=%lld", (long long)(row->hsts_ms / 1000));
        if (row->hsts_ms == 0)
            break;
    }
    return (struct slice){0};
}

static struct web_profile profile_make(struct arena *a, const struct chain *c)
{
    struct buf b;
    buf_init(&b, 65536);
    h1_add(&b, "X-Content-Type-Options", SLICE("nosniff"));
    struct slice referrer = CHAIN_TEXT(c, referrer_policy);
    add_line(&b, c, "Referrer-Policy",
             referrer.len ? referrer : SLICE("strict-origin-when-cross-origin"));
    add_csp(&b, c);
    add_line(&b, c, "Permissions-Policy", CHAIN_TEXT(c, permissions_policy));
    add_line(&b, c, "Cross-Origin-Opener-Policy", CHAIN_TEXT(c, coop));
    add_extra(&b, c);
    struct web_profile p = {
        .lines = arena_dup(a, buf_slice(&b)),
        .cache_control = cache_control_of(c),
        .hsts = hsts_of(a, c),
    };
    buf_done(&b);
    return p;
}

struct web_profile *profiles_make(struct arena *a, const struct web_conf *conf, size_t *ret_n)
{
    size_t n = conf->headers.n ? conf->headers.n : 1;
    struct web_profile *p = arena_alloc(a, n * sizeof *p);
    for (size_t i = 0; i < n; i++)
        p[i] = profile_make(a, &(struct chain){conf, i});
    *ret_n = n;
    return p;
}
