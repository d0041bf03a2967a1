/* Accept and Accept-Encoding: what the client would rather have. Quality is counted in 1/1000. */
#include "wire/scan_impl.h"
#include "wire/wire.h"

/* "0", "0.5", "1.000"; anything else makes the element unwelcome. */
static unsigned read_quality(struct slice s)
{
    unsigned q = 0, weight = 100;
    if (s.len == 0 || s.len > 5 || (s.ptr[0] != '0' && s.ptr[0] != '1'))
        return 0;
    if (s.len > 1 && s.ptr[1] != '.')
        return 0;
    q = s.ptr[0] == '1' ? 1000 : 0;
    for (size_t i = 2; i < s.len; i++, weight /= 10) {
        if (!scan_is(s.ptr[i], CH_DIGIT))
            return 0;
        q += (unsigned)(s.ptr[i] - '0') * weight;
    }
    return q <= 1000 ? q : 0;
}

/* Parts an element into what it names and its q. */
static struct slice split_quality(struct slice element, unsigned *ret_q)
{
    struct slice name = element, param;
    *ret_q = 1000;
    if (slice_cut(&element, ';', &name)) {
        while (slice_cut(&element, ';', &param)) {
            param = slice_trim(param);
            if (slice_starts_nocase(param, SLICE("q=")))
                *ret_q = read_quality(slice_trim(slice_skip(param, 2)));
        }
    }
    return slice_trim(name);
}

static const char *const coding_names[] = {
    [CODING_IDENTITY] = "identity",
    [CODING_GZIP] = "gzip",
    [CODING_BR] = "br",
};

/* 0 to 1000, or -1 when the header says nothing about it. */
static int coding_quality(struct slice header, enum coding c)
{
    struct slice element;
    unsigned q;
    int star = -1;
    while (list_next(&header, &element)) {
        struct slice name = split_quality(element, &q);
        if (slice_eq_nocase(name, slice_from(coding_names[c])) ||
            (c == CODING_GZIP && slice_eq_nocase(name, SLICE("x-gzip"))))
            return (int)q;
        if (slice_is(name, "*"))
            star = (int)q;
    }
    return star;
}

enum coding coding_choose(struct slice accept_encoding, unsigned available)
{
    static const enum coding by_preference[] = {CODING_BR, CODING_GZIP};
    enum coding best = CODING_IDENTITY;
    int best_q = 0;
    for (size_t i = 0; i < sizeof by_preference / sizeof *by_preference; i++) {
        enum coding c = by_preference[i];
        int q = available & CODING_BIT(c) ? coding_quality(accept_encoding, c) : -1;
        if (q > best_q) {
            best = c;
            best_q = q;
        }
    }
    struct slice header = accept_encoding, element;
    unsigned q;
    while (best != CODING_IDENTITY && list_next(&header, &element)) {
        /* Only an identity that is named can win: "*" means the others. */
        if (slice_eq_nocase(split_quality(element, &q), SLICE("identity")) && (int)q > best_q)
            return CODING_IDENTITY;
    }
    return best;
}

/* How exactly a media range names the type: 0 not at all, 1 by "*" "/" "*", 2 by its first half,
 * 3 by both halves. */
static int match_type(struct slice range, struct slice type)
{
    ptrdiff_t slash = slice_index(type, '/');
    if (slice_eq_nocase(range, type))
        return 3;
    if (slice_is(range, "*/*"))
        return 1;
    if (slash > 0 && range.len == (size_t)slash + 2 && slice_ends(range, SLICE("/*")) &&
        slice_starts_nocase(type, slice_first(range, (size_t)slash + 1)))
        return 2;
    return 0;
}

/* The quality by the most specific element; *ret_match says how specific, *ret_place where. */
static unsigned find_quality(struct slice accept, struct slice type, int *ret_match,
                             unsigned *ret_place)
{
    struct slice element;
    unsigned q, best = 0, place = 0;
    *ret_match = 0;
    *ret_place = 0;
    for (; list_next(&accept, &element); place++) {
        int match = match_type(split_quality(element, &q), type);
        if (match > *ret_match) {
            *ret_match = match;
            *ret_place = place;
            best = q;
        }
    }
    return best;
}

unsigned accept_quality(struct slice accept, struct slice type)
{
    int match;
    unsigned place;
    if (slice_trim(accept).len == 0)
        return 1000;
    return find_quality(accept, type, &match, &place);
}

bool accept_prefers_html(struct slice accept)
{
    int html_match, json_match;
    unsigned html_place, json_place;
    unsigned html = find_quality(accept, SLICE("text/html"), &html_match, &html_place);
    unsigned json = find_quality(accept, SLICE("application/json"), &json_match, &json_place);
    if (html_match < 3 || html == 0 || html < json)
        return false;
    return html > json || json_match < 3 || html_place < json_place;
}
