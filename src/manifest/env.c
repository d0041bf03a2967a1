/* The strict reader of .env files. */
#include "manifest/tables_impl.h"
#include "base/utf8.h"

#define DOTENV_MAX 500
#define VALUE_MAX  (64u << 10)

struct dotenv {
    struct arena *a;
    struct problems *p;
    struct slice file, rest; /* rest: what is not read yet */
    struct slice start;      /* of the present line */
    uint32_t line;
};

static struct pos here(const struct dotenv *d)
{
    return (struct pos){d->line, (uint32_t)(d->rest.ptr - d->start.ptr) + 1};
}

static bool fail(struct dotenv *d, const char *sentence)
{
    problems_add(d->p, PROBLEM_ERROR, d->file, here(d), "%s", sentence);
    return false;
}

static bool at_end_of_line(const struct dotenv *d)
{
    return d->rest.len == 0 || d->rest.ptr[0] == '\n';
}

static void skip_blanks(struct dotenv *d)
{
    while (d->rest.len &&
           (d->rest.ptr[0] == ' ' || d->rest.ptr[0] == '\t' || d->rest.ptr[0] == '\r'))
        d->rest = slice_skip(d->rest, 1);
}

static void skip_line(struct dotenv *d)
{
    struct slice line;
    slice_cut(&d->rest, '\n', &line);
    d->start = d->rest;
    d->line++;
}

static bool read_name(struct dotenv *d, struct text *to)
{
    if (slice_starts(d->rest, SLICE("export ")))
        d->rest = slice_skip(d->rest, 7);
    skip_blanks(d);
    size_t n = 0;
    while (n < d->rest.len && n < 201 && format_ok(FMT_VARIABLE, slice_first(d->rest, n + 1)))
        n++;
    if (n == 0)
        return fail(d, "a variable's name is expected here; write NAME=value");
    *to = (struct text){arena_dup(d->a, slice_first(d->rest, n)), here(d)};
    d->rest = slice_skip(d->rest, n);
    if (d->rest.len == 0 || d->rest.ptr[0] != '=')
        return fail(d, "a `=` is expected right after the name; write NAME=value");
    d->rest = slice_skip(d->rest, 1);
    return true;
}

/* Single quotes: as it is. Double quotes: \n \t \" \\ \$ are escapes. Both may span lines. */
static bool read_quoted(struct dotenv *d, struct buf *value)
{
    char quote = d->rest.ptr[0];
    struct dotenv opened = *d;
    d->rest = slice_skip(d->rest, 1);
    while (d->rest.len && d->rest.ptr[0] != quote) {
        char c = d->rest.ptr[0];
        if (c == '\\' && quote == '"' && d->rest.len > 1) {
            d->rest = slice_skip(d->rest, 1);
            c = d->rest.ptr[0];
            if (c != 'n' && c != 't' && c != '"' && c != '\\' && c != '$')
                return fail(d,
                            "this backslash sequence is unknown; use single quotes for text with "
                            "backslashes");
            c = (char)(c == 'n' ? '\n' : c == 't' ? '\t' : c);
        } else if (c == '\n') {
            d->line++;
            d->start = slice_skip(d->rest, 1);
        }
        buf_add_char(value, c);
        d->rest = slice_skip(d->rest, 1);
    }
    if (d->rest.len == 0) {
        d->line = opened.line, d->start = opened.start, d->rest = opened.rest;
        fail(d, "this quote is never closed");
        d->rest = slice_skip(d->rest, d->rest.len);
        return false;
    }
    d->rest = slice_skip(d->rest, 1);
    skip_blanks(d);
    if (!at_end_of_line(d) && d->rest.ptr[0] != '#')
        return fail(d, "something follows the closing quote; put all of the value in the quotes");
    return true;
}

static bool read_plain(struct dotenv *d, struct buf *value)
{
    size_t n = 0;
    while (n < d->rest.len && d->rest.ptr[n] != '\n') {
        bool comment = d->rest.ptr[n] == '#' && n > 0 && d->rest.ptr[n - 1] == ' ';
        if (comment)
            break;
        n++;
    }
    struct slice text = slice_trim(slice_first(d->rest, n));
    if (slice_index(text, '"') >= 0 || slice_index(text, '\'') >= 0)
        return fail(d, "a value with quotes inside must be in quotes altogether");
    buf_add(value, text);
    return true;
}

static bool read_line(struct dotenv *d, struct pair *to)
{
    if (!read_name(d, &to->key))
        return false;
    struct buf value;
    buf_init(&value, VALUE_MAX);
    to->value.pos = here(d);
    bool quoted = d->rest.len && (d->rest.ptr[0] == '"' || d->rest.ptr[0] == '\'');
    bool ok = quoted ? read_quoted(d, &value) : read_plain(d, &value);
    to->value.s = arena_dup(d->a, buf_slice(&value));
    if (value.full)
        ok = fail(d, "the value is longer than 64 KB; put it into a file and name it by NAME_FILE");
    buf_done(&value);
    if (ok && !utf8_is_valid(to->value.s)) {
        problems_add(d->p, PROBLEM_ERROR, d->file, to->key.pos,
                     "this is not UTF-8; save the file as UTF-8 text");
        ok = false;
    }
    return ok;
}

static void keep(struct dotenv *d, struct pairs *to, const struct pair *one)
{
    for (size_t i = 0; i < to->n; i++) {
        if (slice_eq(to->items[i].key.s, one->key.s)) {
            problems_add(d->p, PROBLEM_ERROR, d->file, one->key.pos,
                         "`%.*s` stands here for the second time, first in line %u; keep one of "
                         "them",
                         SLICE_ARGS(one->key.s), to->items[i].key.pos.line);
            return;
        }
    }
    if (to->n == DOTENV_MAX) {
        problems_add(d->p, PROBLEM_ERROR, d->file, one->key.pos,
                     "more than %d variables; the rest is not read", DOTENV_MAX);
        d->rest = slice_skip(d->rest, d->rest.len);
        return;
    }
    to->items[to->n++] = *one;
}

struct pairs dotenv_parse(struct arena *a, struct slice text, const char *file, struct problems *p)
{
    struct dotenv d = {.a = a,
                       .p = p,
                       .file = arena_dup(a, slice_from(file)),
                       .rest = text,
                       .start = text,
                       .line = 1};
    struct pairs all = {arena_zalloc(a, DOTENV_MAX * sizeof *all.items), 0};
    if (slice_starts(text, SLICE("\xef\xbb\xbf"))) /* Windows' editors write it */
        d.rest = d.start = slice_skip(text, 3);
    if (slice_index(text, '\0') >= 0) {
        fail(&d, "this is a binary file (it holds a zero byte); .env is text");
        return all;
    }
    while (d.rest.len) {
        struct pair one = {0};
        skip_blanks(&d);
        bool blank = at_end_of_line(&d) || d.rest.ptr[0] == '#';
        if (!blank && read_line(&d, &one))
            keep(&d, &all, &one);
        skip_line(&d);
    }
    return all;
}
