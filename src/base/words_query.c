/* Reading what was typed into a search box, and writing it for FTS5 and Postgres. */
#include "base/words_query.h"

#include "base/words.h"

#include <string.h>

#define FOLDED_MAX (8 * WORDS_QUERY_BYTES_MAX) /* no character grows more */

static const char quotes[6][4] = {"\"", "“", "”", "„", "«", "»"};
static const char blanks[2][4] = {"\xc2\xa0", "\xe3\x80\x80"}; /* no break; ideographic */

/* Length of whichever of these s starts with; 0 for none. */
static size_t starts_with_any(struct slice s, const char (*any)[4], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (slice_starts(s, slice_from(any[i])))
            return strlen(any[i]);
    }
    return 0;
}

static size_t quote_length(struct slice s)
{
    return starts_with_any(s, quotes, sizeof quotes / sizeof *quotes);
}

static size_t blank_length(struct slice s)
{
    if (s.len && (unsigned char)s.ptr[0] <= ' ')
        return 1;
    return starts_with_any(s, blanks, sizeof blanks / sizeof *blanks);
}

/* Takes what is up to the closing quote, or the end, off the front. */
static struct slice take_quoted(struct slice *s)
{
    size_t n = 0, mark = 0;
    while (n < s->len && !(mark = quote_length(slice_skip(*s, n))))
        n++;
    struct slice taken = slice_first(*s, n);
    *s = slice_skip(*s, n + mark);
    return taken;
}

static struct slice take_bare(struct slice *s)
{
    size_t n = 0;
    while (n < s->len && !blank_length(slice_skip(*s, n)) && !quote_length(slice_skip(*s, n)))
        n++;
    struct slice taken = slice_first(*s, n);
    *s = slice_skip(*s, n);
    return taken;
}

/* Takes a term off the front: what is to be cut into words, and how it is meant. */
static struct slice take_term(struct slice *s, struct words_term *ret)
{
    *ret = (struct words_term){.is_excluded = slice_starts(*s, SLICE("-"))};
    while (slice_starts(*s, SLICE("-")))
        *s = slice_skip(*s, 1);
    size_t quote = quote_length(*s);
    *s = slice_skip(*s, quote);
    struct slice taken = quote ? take_quoted(s) : take_bare(s);
    bool is_starred = quote && slice_starts(*s, SLICE("*"));
    ret->is_prefix = is_starred || slice_ends(taken, SLICE("*"));
    *s = slice_skip(*s, is_starred);
    return taken;
}

static size_t words_count(struct slice words)
{
    size_t n = words.len ? 1 : 0;
    for (size_t i = 0; i < words.len; i++)
        n += words.ptr[i] == ' ';
    return n;
}

static bool has_wanted(const struct words_query *q)
{
    for (size_t i = 0; i < q->n_terms; i++) {
        if (!q->terms[i].is_excluded)
            return true;
    }
    return false;
}

/* `folded` is for its memory only. */
static bool parse_terms(struct arena *a, struct slice text, struct buf *folded,
                        struct words_query *q, struct err *e)
{
    size_t n_words = 0;
    while (text.len) {
        size_t blank = blank_length(text);
        text = slice_skip(text, blank);
        if (blank)
            continue;
        struct words_term term;
        buf_clear(folded);
        words_add(folded, take_term(&text, &term));
        must(!folded->full);
        if (!folded->len)
            continue;
        n_words += words_count(buf_slice(folded));
        if (q->n_terms == WORDS_QUERY_TERMS_MAX || n_words > WORDS_QUERY_WORDS_MAX)
            return err_set(e, ERR_MALFORMED, "A search has at most %d words; leave some out.",
                           q->n_terms == WORDS_QUERY_TERMS_MAX ? WORDS_QUERY_TERMS_MAX
                                                               : WORDS_QUERY_WORDS_MAX);
        term.words = arena_dup(a, buf_slice(folded));
        q->terms[q->n_terms++] = term;
    }
    return true;
}

bool words_query_parse(struct arena *a, struct slice text, struct words_query *ret, struct err *e)
{
    struct words_query q = {.n_terms = 0};
    struct buf folded;
    if (text.len > WORDS_QUERY_BYTES_MAX)
        return err_set(e, ERR_MALFORMED, "A search has at most %d bytes; this one has %zu.",
                       WORDS_QUERY_BYTES_MAX, text.len);
    buf_init(&folded, FOLDED_MAX);
    bool is_read = parse_terms(a, text, &folded, &q, e);
    buf_done(&folded);
    if (!is_read)
        return false;
    if (!q.n_terms)
        return err_set(e, ERR_MALFORMED, "The search has no word to look for.");
    if (!has_wanted(&q))
        return err_set(e, ERR_MALFORMED,
                       "The search only says what to leave out; add a word to look for.");
    *ret = q;
    return true;
}

/* ("war" AND "new yo" *) NOT "film" */
void words_query_fts5(const struct words_query *q, struct buf *to)
{
    const char *before = "(";
    for (int is_excluded = 0; is_excluded < 2; is_excluded++) {
        for (size_t i = 0; i < q->n_terms; i++) {
            const struct words_term *term = &q->terms[i];
            if (term->is_excluded != is_excluded)
                continue;
            buf_add_str(to, before);
            buf_add_char(to, '"');
            buf_add(to, term->words); /* letters, digits, marks and spaces: no quote to double */
            buf_add_str(to, term->is_prefix ? "\" *" : "\"");
            before = is_excluded ? " NOT " : " AND ";
        }
        buf_add_str(to, is_excluded ? "" : ")");
        before = " NOT ";
    }
}

/* 'war' & ('new' <-> 'yo':*) & !('film') */
void words_query_tsquery(const struct words_query *q, struct buf *to)
{
    for (size_t i = 0; i < q->n_terms; i++) {
        const struct words_term *term = &q->terms[i];
        struct slice left = term->words, word;
        const char *before = "'";
        buf_add_str(to, i ? " & " : "");
        buf_add_str(to, term->is_excluded ? "!(" : "(");
        while (slice_cut(&left, ' ', &word)) {
            buf_add_str(to, before);
            buf_add(to, word);
            buf_add_char(to, '\'');
            before = " <-> '";
        }
        buf_add_str(to, term->is_prefix ? ":*)" : ")");
    }
}
