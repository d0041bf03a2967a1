/* References of one schema to another: URIs, put together as RFC 3986 says (5.2). */
#include "schema/schema_impl.h"

struct uri {
    struct slice scheme, authority, path, query;
    bool has_scheme, has_authority, has_query;
};

static struct uri uri_split(struct slice s)
{
    struct uri u = {.scheme = SLICE(""), .authority = SLICE(""), .query = SLICE("")};
    ptrdiff_t colon = slice_index(s, ':'), slash = slice_index(s, '/');
    if (colon > 0 && (slash < 0 || colon < slash)) {
        u.has_scheme = true;
        u.scheme = slice_first(s, (size_t)colon);
        s = slice_skip(s, (size_t)colon + 1);
    }
    ptrdiff_t mark = slice_index(s, '?');
    if (mark >= 0) {
        u.has_query = true;
        u.query = slice_skip(s, (size_t)mark + 1);
        s = slice_first(s, (size_t)mark);
    }
    if (slice_starts(s, SLICE("//"))) {
        u.has_authority = true;
        s = slice_skip(s, 2);
        slash = slice_index(s, '/');
        u.authority = slash < 0 ? s : slice_first(s, (size_t)slash);
        s = slash < 0 ? SLICE("") : slice_skip(s, (size_t)slash);
    }
    u.path = s;
    return u;
}

/* Without "." and ".." steps; both were absolute or follow a scheme. */
static struct slice without_dots(struct arena *a, struct slice path)
{
    struct buf out;
    struct slice rest = path, step;
    bool is_rooted = slice_starts(path, SLICE("/")), ends_in_dir = false;
    buf_init(&out, path.len + 2);
    rest = slice_skip(rest, is_rooted);
    while (slice_cut(&rest, '/', &step)) {
        bool is_up = slice_is(step, "..");
        ends_in_dir = is_up || slice_is(step, ".") || (!rest.len && slice_ends(path, SLICE("/")));
        if (is_up) {
            ptrdiff_t at = slice_rindex(buf_slice(&out), '/');
            buf_truncate(&out, at < 0 ? 0 : (size_t)at);
        } else if (!slice_is(step, ".")) {
            if (out.len || is_rooted)
                buf_add_char(&out, '/');
            buf_add(&out, step);
        }
    }
    if (ends_in_dir || (is_rooted && !out.len))
        buf_add_char(&out, '/');
    struct slice done = arena_dup(a, buf_slice(&out));
    buf_done(&out);
    return done;
}

static struct slice merge(struct arena *a, const struct uri *base, struct slice path)
{
    ptrdiff_t at = slice_rindex(base->path, '/');
    if (base->has_authority && !base->path.len)
        return arena_printf(a, "/%.*s", SLICE_ARGS(path));
    return arena_printf(a, "%.*s%.*s", (int)(at + 1), base->path.ptr, SLICE_ARGS(path));
}

static struct slice uri_join(struct arena *a, const struct uri *u)
{
    return arena_printf(a, "%.*s%s%s%.*s%.*s%s%.*s", SLICE_ARGS(u->scheme),
                        u->has_scheme ? ":" : "", u->has_authority ? "//" : "",
                        SLICE_ARGS(u->authority), SLICE_ARGS(u->path), u->has_query ? "?" : "",
                        SLICE_ARGS(u->query));
}

struct slice uri_resolve(struct arena *a, struct slice base, struct slice reference,
                         struct slice *ret_fragment)
{
    ptrdiff_t hash = slice_index(reference, '#');
    *ret_fragment = hash < 0 ? SLICE("") : slice_skip(reference, (size_t)hash + 1);
    reference = hash < 0 ? reference : slice_first(reference, (size_t)hash);
    struct uri b = uri_split(base), r = uri_split(reference), t = r;
    if (r.has_scheme) {
        t.path = without_dots(a, r.path);
        return uri_join(a, &t);
    }
    t.has_scheme = b.has_scheme;
    t.scheme = b.scheme;
    if (!r.has_authority) {
        t.has_authority = b.has_authority;
        t.authority = b.authority;
        bool is_same = !r.path.len;
        t.path = is_same                            ? b.path
                 : slice_starts(r.path, SLICE("/")) ? r.path
                                                    : merge(a, &b, r.path);
        if (is_same && !r.has_query) {
            t.has_query = b.has_query;
            t.query = b.query;
        }
        if (!is_same)
            t.path = without_dots(a, t.path);
    }
    return uri_join(a, &t);
}
