/* X-Forwarded-For and Forwarded, read from the nearest hop outwards.
 *
 * Elements are cut from the right, which is exact only while quotes hold no escapes; no address
 * needs one, so a line with a backslash ends the walk. */
#include "wire/scan_impl.h"
#include "wire/wire.h"

#include <arpa/inet.h>
#include <string.h>

void hop_walk_init(struct hop_walk *w, const struct h1_request *rq, enum header_id id)
{
    must(id == HEADER_FORWARDED || id == HEADER_X_FORWARDED_FOR);
    *w = (struct hop_walk){.rq = rq, .id = id, .line = rq->n_headers};
    w->rest = (struct slice){0};
}

/* Takes the last line that is left; false when there is none. */
static bool take_line(struct hop_walk *w)
{
    while (w->line > 0) {
        const struct h1_header *h = &w->rq->headers[--w->line];
        if (h->id == w->id) {
            w->rest = h->value;
            w->bad = slice_index(h->value, '\\') >= 0;
            return !w->bad;
        }
    }
    return false;
}

/* Takes the element behind the last comma that is not quoted; the ptr of `rest` becomes NULL with
 * the last one. */
static struct slice take_element(struct slice *rest)
{
    bool quoted = false;
    for (size_t i = rest->len; i-- > 0;) {
        if (rest->ptr[i] == '"')
            quoted = !quoted;
        if (rest->ptr[i] == ',' && !quoted) {
            struct slice element = slice_skip(*rest, i + 1);
            rest->len = i;
            return slice_trim(element);
        }
    }
    struct slice element = *rest;
    *rest = (struct slice){0};
    return slice_trim(element);
}

/* The value of for= in "for=1.2.3.4;proto=https"; false when it is not there exactly once. */
static bool find_for(struct slice element, struct slice *ret)
{
    struct slice pair;
    unsigned found = 0;
    while (slice_cut(&element, ';', &pair)) {
        pair = slice_trim(pair);
        if (!slice_starts_nocase(pair, SLICE("for=")))
            continue;
        struct slice v = slice_skip(pair, 4);
        if (v.len >= 2 && v.ptr[0] == '"' && v.ptr[v.len - 1] == '"')
            v = slice_first(slice_skip(v, 1), v.len - 2);
        *ret = v;
        found++;
    }
    return found == 1;
}

static bool is_address(struct slice s, int family)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr parsed;
    if (s.len == 0 || s.len >= sizeof text || memchr(s.ptr, 0, s.len))
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = 0;
    return inet_pton(family, text, &parsed) == 1;
}

static bool port_is_fine(struct slice after)
{
    uint64_t port;
    return after.len == 0 || (after.ptr[0] == ':' && after.len <= 6 &&
                              slice_to_u64(slice_skip(after, 1), &port) && port <= 65535);
}

/* Drops brackets and port; false when no address or substitute for one is left. */
static bool read_node(struct slice node, struct slice *ret)
{
    if (slice_starts(node, SLICE("["))) {
        ptrdiff_t close = slice_index(node, ']');
        if (close < 0)
            return false;
        *ret = slice_first(slice_skip(node, 1), (size_t)close - 1);
        return is_address(*ret, AF_INET6) && port_is_fine(slice_skip(node, (size_t)close + 1));
    }
    if (is_address(node, AF_INET6)) {
        *ret = node;
        return true;
    }
    ptrdiff_t colon = slice_index(node, ':');
    *ret = colon < 0 ? node : slice_first(node, (size_t)colon);
    if (!port_is_fine(slice_skip(node, ret->len)))
        return false;
    bool hidden = ret->len > 1 && ret->ptr[0] == '_' && scan_all(*ret, CH_UNRESERVED);
    return hidden || slice_eq_nocase(*ret, SLICE("unknown")) || is_address(*ret, AF_INET);
}

bool hop_next(struct hop_walk *w, struct slice *ret_address)
{
    if (w->bad || (!w->rest.ptr && !take_line(w)))
        return false;
    struct slice node = take_element(&w->rest);
    bool fine = w->id != HEADER_FORWARDED || find_for(node, &node);
    w->bad = !fine || !read_node(node, ret_address);
    return !w->bad;
}
