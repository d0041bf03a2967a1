/* Finding the values of secrets in text that comes in pieces. */
#include "base/mask.h"

#include <stdlib.h>

static int by_length(const void *x, const void *y)
{
    const struct slice *a = x, *b = y;
    return a->len > b->len ? -1 : a->len < b->len;
}

/* The next piece of a value that is looked for: a line, or a part of a very long one. What is left
 * at the end and too short to be looked for goes with what stands before it. */
static bool next_piece(struct slice *value, struct slice *line, struct slice *ret)
{
    while (line->len < MASK_MIN_BYTES) {
        if (!slice_cut(value, '\n', line))
            return false;
        *line = slice_trim(*line);
    }
    size_t n = line->len < MASK_MAX_BYTES + MASK_MIN_BYTES ? line->len : MASK_MAX_BYTES;
    *ret = slice_first(*line, n);
    *line = slice_skip(*line, n);
    return true;
}

static size_t count_pieces(struct slice value)
{
    size_t n = 0;
    struct slice line = {0}, piece;
    while (next_piece(&value, &line, &piece))
        n++;
    return n;
}

void mask_init(struct mask *m, struct arena *a, const struct slice *values, size_t n)
{
    size_t room = 0;
    *m = (struct mask){0};
    for (size_t i = 0; i < n; i++)
        room += count_pieces(values[i]);
    m->values = arena_alloc(a, room * sizeof *m->values);
    for (size_t i = 0; i < n; i++) {
        struct slice rest = values[i], line = {0}, piece;
        while (next_piece(&rest, &line, &piece))
            m->values[m->n++] = arena_dup(a, piece);
    }
    if (m->n)
        qsort(m->values, m->n, sizeof *m->values, by_length);
    m->longest = m->n ? m->values[0].len : 0;
    for (size_t i = 0; i < m->n; i++)
        m->begins[(unsigned char)m->values[i].ptr[0]] = true;
}

/* The one that stands at the start of text; its length, 0 when there is none. */
static size_t at_start(const struct mask *m, struct slice text)
{
    for (size_t i = 0; i < m->n; i++) {
        if (slice_starts(text, m->values[i]))
            return m->values[i].len;
    }
    return 0;
}

/* Could the text be cut in the middle of one that starts here? */
static bool may_start(const struct mask *m, struct slice text)
{
    for (size_t i = 0; i < m->n; i++) {
        if (m->values[i].len > text.len && slice_starts(m->values[i], text))
            return true;
    }
    return false;
}

size_t mask_add(const struct mask *m, struct slice text, bool is_whole, struct buf *to)
{
    size_t at = 0, shown = 0;
    while (m && m->n && at < text.len) {
        struct slice rest = slice_skip(text, at);
        if (!m->begins[(unsigned char)*rest.ptr]) {
            at++;
            continue;
        }
        if (!is_whole && rest.len < m->longest && may_start(m, rest))
            break;
        size_t n = at_start(m, rest);
        if (n) {
            buf_add(to, slice_skip(slice_first(text, at), shown));
            buf_add_str(to, "***");
            shown = at + n;
        }
        at += n ? n : 1;
    }
    if (!m || !m->n)
        at = text.len;
    buf_add(to, slice_skip(slice_first(text, at), shown));
    return at;
}
