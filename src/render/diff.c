/* A unified diff of two texts, by lines: for files that somebody edited, so of a few hundred. */
#include "base/mem.h"
#include "render/render_impl.h"

#include <stdlib.h>

#define CONTEXT   3
#define CELLS_MAX (4u << 20) /* of the table; beyond it only a sentence */
#define LINES_MAX 65000      /* of what fits its cells */

struct side {
    struct slice *lines; /* each with its line end, which the last may lack */
    size_t n;
};

/* The longest common subsequence of what differs, as a table from the ends. */
struct diff {
    struct side a, b;
    size_t head, tail; /* lines that are the same at both ends */
    uint16_t *table;
    size_t width;
    struct buf *to;
};

static struct side cut_lines(struct slice text)
{
    struct side s = {0};
    size_t cap = 0;
    while (text.len) {
        ptrdiff_t at = slice_index(text, '\n');
        size_t len = at < 0 ? text.len : (size_t)at + 1;
        if (s.n == cap) {
            cap = cap ? cap * 2 : 64;
            s.lines = mem_realloc(s.lines, cap * sizeof *s.lines);
        }
        s.lines[s.n++] = slice_first(text, len);
        text = slice_skip(text, len);
    }
    return s;
}

static bool is_same(const struct diff *d, size_t i, size_t j)
{
    return slice_eq(d->a.lines[i], d->b.lines[j]);
}

static void trim(struct diff *d)
{
    size_t most = d->a.n < d->b.n ? d->a.n : d->b.n;
    while (d->head < most && is_same(d, d->head, d->head))
        d->head++;
    while (d->tail < most - d->head && is_same(d, d->a.n - 1 - d->tail, d->b.n - 1 - d->tail))
        d->tail++;
}

static uint16_t *cell(const struct diff *d, size_t i, size_t j)
{
    return &d->table[i * d->width + j];
}

static bool fill_table(struct diff *d)
{
    size_t rows = d->a.n - d->head - d->tail, columns = d->b.n - d->head - d->tail;
    d->width = columns + 1;
    if (rows > LINES_MAX || columns > LINES_MAX || (rows + 1) * d->width > CELLS_MAX)
        return false;
    d->table = mem_zalloc((rows + 1) * d->width * sizeof *d->table);
    for (size_t i = rows; i-- > 0;) {
        for (size_t j = columns; j-- > 0;) {
            uint16_t down = *cell(d, i + 1, j), right = *cell(d, i, j + 1);
            bool same = is_same(d, d->head + i, d->head + j);
            *cell(d, i, j) =
                same ? (uint16_t)(*cell(d, i + 1, j + 1) + 1) : (down >= right ? down : right);
        }
    }
    return true;
}

/* One line of the way through both: ' ' of both, '-' of a, '+' of b; '\0' at the end. */
static char step(const struct diff *d, size_t i, size_t j)
{
    if (i == d->a.n && j == d->b.n)
        return '\0';
    size_t rows = d->a.n - d->head - d->tail, columns = d->b.n - d->head - d->tail;
    bool is_common_i = i < d->head || i >= d->head + rows;
    bool is_common_j = j < d->head || j >= d->head + columns;
    if (is_common_i && is_common_j)
        return ' ';
    size_t r = i - d->head, c = j - d->head;
    if (r < rows && c < columns && is_same(d, i, j))
        return ' ';
    if (c >= columns || (r < rows && *cell(d, r + 1, c) >= *cell(d, r, c + 1)))
        return '-';
    return '+';
}

static void advance(char kind, size_t *i, size_t *j)
{
    *i += kind != '+';
    *j += kind != '-';
}

static void add_line(struct diff *d, char kind, size_t i, size_t j)
{
    const struct side *side = kind == '+' ? &d->b : &d->a;
    must(side->lines);
    struct slice line = side->lines[kind == '+' ? j : i];
    buf_add_char(d->to, kind);
    buf_add(d->to, line);
    if (!slice_ends(line, SLICE("\n")))
        buf_add_str(d->to, "\n\\ No newline at end of file\n");
}

/* From a place CONTEXT lines before a change to CONTEXT lines after the last one that is near. */
static void add_hunk(struct diff *d, size_t *i, size_t *j)
{
    size_t i0 = *i, j0 = *j, same = 0, i_end = *i, j_end = *j;
    char kind;
    while ((kind = step(d, *i, *j)) && same <= 2 * CONTEXT) {
        same = kind == ' ' ? same + 1 : 0;
        advance(kind, i, j);
        if (same <= CONTEXT)
            i_end = *i, j_end = *j;
    }
    *i = i_end, *j = j_end;
    buf_printf(d->to, "@@ -%zu,%zu +%zu,%zu @@\n", i_end > i0 ? i0 + 1 : i0, i_end - i0,
               j_end > j0 ? j0 + 1 : j0, j_end - j0);
    while (i0 < i_end || j0 < j_end) {
        kind = step(d, i0, j0);
        add_line(d, kind, i0, j0);
        advance(kind, &i0, &j0);
    }
}

static void add_hunks(struct diff *d)
{
    size_t i = 0, j = 0, before = 0; /* before: lines of context that could precede a change */
    char kind;
    while ((kind = step(d, i, j))) {
        if (kind == ' ') {
            advance(kind, &i, &j);
            before = before < CONTEXT ? before + 1 : before;
            continue;
        }
        i -= before, j -= before;
        add_hunk(d, &i, &j);
        before = 0;
    }
}

void diff_add(struct buf *to, struct slice name, struct slice before, struct slice after)
{
    struct diff d = {.a = cut_lines(before), .b = cut_lines(after), .to = to};
    trim(&d);
    buf_printf(to, "--- %.*s (what is there)\n+++ %.*s (what dais would write)\n", SLICE_ARGS(name),
               SLICE_ARGS(name));
    if (fill_table(&d))
        add_hunks(&d);
    else
        buf_printf(to, "@@ %zu and %zu lines, too many to compare @@\n", d.a.n, d.b.n);
    free(d.table);
    free(d.a.lines);
    free(d.b.lines);
}
