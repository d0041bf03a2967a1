/* From `backend.run` to the Python application in it, for hosts that start no commands.
 *
 * Words are cut as a shell does, quotes and $(...) included; then each simple command is looked at
 * in turn until one starts a server that is known. */
#include "render/asgi_impl.h"

#include <string.h>

#define WORDS_MAX 200

struct word {
    struct slice s;
    bool is_end; /* && || ; | & or a line's end: a command is over */
};
struct words {
    struct word items[WORDS_MAX];
    size_t n;
};

/* ---- cutting ------------------------------------------------------------------------------------
 */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_operator(char c)
{
    return c == '&' || c == '|' || c == ';' || c == '\n' || c == '(' || c == ')';
}

/* Length of "$(...)", with those inside it. */
static size_t substitution(struct slice s)
{
    size_t depth = 0, i = 1;
    for (; i < s.len; i++) {
        depth += s.ptr[i] == '(';
        if (s.ptr[i] == ')' && --depth == 0)
            return i + 1;
    }
    return i;
}

/* Takes one word; its quotes are gone then. */
static struct slice word_take(struct arena *a, struct slice *rest)
{
    char *to = arena_zalloc(a, rest->len + 1), quote = '\0';
    size_t n = 0, i = 0;
    while (i < rest->len) {
        char c = rest->ptr[i];
        if (!quote && (is_blank(c) || is_operator(c)))
            break;
        if (quote != '\'' && c == '$' && i + 1 < rest->len && rest->ptr[i + 1] == '(') {
            size_t len = substitution(slice_skip(*rest, i));
            memcpy(to + n, rest->ptr + i, len);
            n += len, i += len;
        } else if (quote != '\'' && c == '\\' && i + 1 < rest->len) {
            to[n++] = rest->ptr[i + 1], i += 2;
        } else if ((c == '\'' || c == '"') && (!quote || quote == c)) {
            quote = quote ? '\0' : c, i++;
        } else {
            to[n++] = c, i++;
        }
    }
    *rest = slice_skip(*rest, i);
    return (struct slice){to, n};
}

static void cut(struct arena *a, struct slice rest, struct words *ret)
{
    while (rest.len && ret->n < WORDS_MAX - 1) {
        if (is_blank(*rest.ptr)) {
            rest = slice_skip(rest, 1);
        } else if (is_operator(*rest.ptr)) {
            ret->items[ret->n++] = (struct word){slice_first(rest, 1), true};
            rest = slice_skip(rest, 1);
        } else {
            ret->items[ret->n++] = (struct word){word_take(a, &rest), false};
        }
    }
    ret->items[ret->n++] = (struct word){SLICE(""), true};
}

/* ---- looking ------------------------------------------------------------------------------------
 */

static void add(struct arena *a, struct texts *to, struct slice s)
{
    struct text *items = arena_zalloc(a, (to->n + 1) * sizeof *items);
    if (to->n)
        memcpy(items, to->items, to->n * sizeof *items);
    items[to->n++] = (struct text){.s = s};
    to->items = items;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* "a", "a.b_2": what Python can import. */
static bool is_dotted(struct slice s)
{
    struct slice rest = s, part;
    if (!s.len || slice_ends(s, SLICE(".")))
        return false;
    while (slice_cut(&rest, '.', &part)) {
        if (!part.len || !is_letter(*part.ptr))
            return false;
        for (size_t i = 1; i < part.len; i++) {
            if (!is_letter(part.ptr[i]) && !(part.ptr[i] >= '0' && part.ptr[i] <= '9'))
                return false;
        }
    }
    return true;
}

static struct slice base_name(struct slice path)
{
    return slice_skip(path, (size_t)(slice_rindex(path, '/') + 1));
}

/* "NAME=value" */
static bool is_assignment(struct slice s, struct slice *ret_name, struct slice *ret_value)
{
    ptrdiff_t at = slice_index(s, '=');
    if (at <= 0 || !is_dotted(slice_first(s, (size_t)at)) ||
        slice_index(slice_first(s, (size_t)at), '.') >= 0)
        return false;
    *ret_name = slice_first(s, (size_t)at);
    *ret_value = slice_skip(s, (size_t)at + 1);
    return true;
}

static struct slice join(struct arena *a, struct slice dir, struct slice more)
{
    while (slice_starts(more, SLICE("./")))
        more = slice_skip(more, 2);
    if (slice_is(more, ".") || !more.len)
        return dir;
    if (!dir.len || slice_starts(more, SLICE("/")))
        return more;
    return arena_printf(a, "%.*s/%.*s", SLICE_ARGS(dir), SLICE_ARGS(more));
}

static void set(struct arena *a, struct asgi *ret, struct slice name, struct slice value)
{
    struct slice rest = value, one;
    if (slice_is(name, "PYTHONPATH")) {
        while (slice_cut(&rest, ':', &one)) {
            if (one.len && *one.ptr != '$')
                add(a, &ret->folders, join(a, ret->dir, one));
        }
        return;
    }
    if (slice_search(value, SLICE("$(")) >= 0 || slice_index(value, '`') >= 0) {
        add(a, &ret->asked, name);
        return;
    }
    struct pair *items = arena_zalloc(a, (ret->env.n + 1) * sizeof *items);
    if (ret->env.n)
        memcpy(items, ret->env.items, ret->env.n * sizeof *items);
    items[ret->env.n].key.s = name;
    items[ret->env.n++].value.s = value;
    ret->env.items = items;
}

/* What follows an option: "--app-dir x" or "--app-dir=x". */
static bool option(const struct words *w, size_t at, const char *name, struct slice *ret)
{
    struct slice s = w->items[at].s, all = slice_from(name);
    if (slice_eq(s, all) && !w->items[at + 1].is_end) {
        *ret = w->items[at + 1].s;
        return true;
    }
    if (!slice_starts(s, all) || s.len <= all.len || s.ptr[all.len] != '=')
        return false;
    *ret = slice_skip(s, all.len + 1);
    return true;
}

/* The words of a server from its name on. */
static void server(struct arena *a, const struct words *w, size_t at, struct asgi *ret)
{
    bool is_gunicorn = slice_is(base_name(w->items[at].s), "gunicorn"), is_uvicorn_worker = false;
    struct slice folder = ret->dir, value;
    for (size_t i = at + 1; !w->items[i].is_end; i++) {
        struct slice word = w->items[i].s;
        ptrdiff_t colon = slice_index(word, ':');
        if (option(w, i, "--app-dir", &value) || option(w, i, "--chdir", &value) ||
            option(w, i, "--pythonpath", &value))
            folder = join(a, ret->dir, value);
        is_uvicorn_worker |= slice_search(word, SLICE("uvicorn")) >= 0;
        ret->is_factory |= slice_is(word, "--factory");
        if (ret->is_found || colon <= 0 || !is_dotted(slice_first(word, (size_t)colon)) ||
            !is_dotted(slice_skip(word, (size_t)colon + 1)))
            continue;
        ret->is_found = true;
        ret->module = slice_first(word, (size_t)colon);
        ret->name = slice_skip(word, (size_t)colon + 1);
    }
    ret->is_wsgi = ret->is_found && is_gunicorn && !is_uvicorn_worker;
    if (ret->is_found)
        add(a, &ret->folders, folder);
}

static bool is_server(struct slice word)
{
    static const char *const names[] = {"uvicorn", "hypercorn", "daphne", "gunicorn", "granian"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (slice_is(base_name(word), names[i]))
            return true;
    }
    return false;
}

/* Behind `exec`, `python -m`, `uv run`, ... is the program that counts. */
static size_t program(const struct words *w, size_t at)
{
    for (;; at++) {
        struct slice word = w->items[at].s, name = base_name(word);
        bool is_before = slice_is(word, "exec") || slice_is(word, "env") || slice_is(word, "run") ||
                         slice_is(word, "-m") || slice_is(word, "-u") || slice_is(name, "uv") ||
                         slice_is(name, "poetry") || slice_is(name, "pdm") ||
                         slice_is(name, "pipenv") || slice_starts(name, SLICE("python"));
        if (w->items[at].is_end || !is_before)
            return at;
    }
}

/* Options of mkdir are skipped. */
static void folders(struct arena *a, const struct words *w, size_t at, struct asgi *ret)
{
    for (; !w->items[at].is_end; at++) {
        if (!slice_starts(w->items[at].s, SLICE("-")))
            add(a, &ret->made, join(a, ret->dir, w->items[at].s));
    }
}

static void command(struct arena *a, const struct words *w, size_t at, struct asgi *ret)
{
    struct slice name, value, first = w->items[at].s;
    bool is_export = slice_is(first, "export");
    at += is_export;
    for (; is_assignment(w->items[at].s, &name, &value); at++)
        set(a, ret, name, value);
    if (is_export || w->items[at].is_end)
        return;
    if (slice_is(first, "cd") && !w->items[at + 1].is_end) {
        ret->dir = join(a, ret->dir, w->items[at + 1].s);
        return;
    }
    if (slice_is(first, "mkdir")) {
        folders(a, w, at + 1, ret);
        return;
    }
    at = program(w, at);
    for (; is_assignment(w->items[at].s, &name, &value); at++)
        set(a, ret, name, value);
    if (is_server(w->items[at].s))
        server(a, w, at, ret);
    else if (!slice_is(first, "set"))
        add(a, &ret->others, w->items[at].is_end ? first : w->items[at].s);
}

void asgi_find(struct arena *a, struct slice run, struct asgi *ret)
{
    struct words *w = arena_zalloc(a, sizeof *w);
    *ret = (struct asgi){0};
    cut(a, run, w);
    for (size_t i = 0; i < w->n && !ret->is_found; i++) {
        if (!w->items[i].is_end)
            command(a, w, i, ret);
        while (!w->items[i].is_end)
            i++;
    }
}
