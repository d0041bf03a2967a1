/* The list of what is wrong: collected, sorted, printed. */
#include "manifest/manifest.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void problems_init(struct problems *p, struct arena *a)
{
    *p = (struct problems){.arena = a};
}

/* What was typed is repeated, perhaps cut inside a character: nothing that would upset a terminal
 * or a reader of JSON may remain. */
static void add_printable(struct buf *to, struct slice s)
{
    while (s.len) {
        size_t n = utf8_length(s);
        if (n == 0 || utf8_is_control(s))
            buf_add_char(to, '?');
        else
            buf_add(to, slice_first(s, n));
        s = slice_skip(s, n ? n : 1);
    }
}

void problems_add(struct problems *p, enum problem_kind kind, struct slice file, struct pos pos,
                  const char *fmt, ...)
{
    p->n_errors += kind == PROBLEM_ERROR;
    if (p->n == PROBLEMS_MAX) {
        p->n_dropped++;
        return;
    }
    if (!p->items)
        p->items = arena_zalloc(p->arena, PROBLEMS_MAX * sizeof *p->items);
    char raw[1024];
    struct buf text;
    va_list args;
    va_start(args, fmt);
    must(vsnprintf(raw, sizeof raw, fmt, args) >= 0);
    va_end(args);
    buf_init(&text, sizeof raw);
    add_printable(&text, slice_from(raw));
    p->items[p->n++] = (struct problem){kind, file, pos, arena_dup(p->arena, buf_slice(&text))};
    buf_done(&text);
}

bool problems_has_errors(const struct problems *p)
{
    return p->n_errors > 0;
}

static bool comes_before(const struct problem *a, const struct problem *b)
{
    if (!slice_eq(a->file, b->file))
        return false; /* files stay in the order they were met */
    if (a->pos.line != b->pos.line)
        return a->pos.line < b->pos.line;
    return a->pos.col < b->pos.col;
}

void problems_sort(struct problems *p)
{
    /* Insertion keeps equals in order; the list is short. */
    for (size_t i = 1; i < p->n; i++) {
        struct problem one = p->items[i];
        size_t at = i;
        /* Past the problems of other files that came between two of this one. */
        for (size_t j = i; j > 0; j--) {
            if (slice_eq(p->items[j - 1].file, one.file)) {
                if (!comes_before(&one, &p->items[j - 1])) {
                    at = j;
                    break;
                }
                at = j - 1;
            }
        }
        memmove(p->items + at + 1, p->items + at, (i - at) * sizeof *p->items);
        p->items[at] = one;
    }
}

void problems_print(const struct problems *p, struct buf *to)
{
    static const char *const words[] = {"", "warning: ", "note: "};
    for (size_t i = 0; i < p->n; i++) {
        const struct problem *it = &p->items[i];
        add_printable(to, it->file);
        if (it->pos.line)
            buf_printf(to, ":%u:%u", it->pos.line, it->pos.col);
        buf_printf(to, ": %s", words[it->kind]);
        buf_add(to, it->text);
        buf_add_char(to, '\n');
    }
    if (p->n_dropped)
        buf_printf(to, "... and %zu more\n", p->n_dropped);
}
