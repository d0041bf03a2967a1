/* Reading a check: its name, then its paths, of which a table says what they are.
 *
 *     check = name "(" path { "," path } ")"
 *     path  = name { "[]" } { "." name { "[]" } } [ "{}" ]
 *     name  = letters, digits, _ and - | text in quotes */
#include "schema/checks_impl.h"

#include "base/nearest.h"
#include "base/utf8.h"
#include "schema/schema_impl.h"

#include <string.h>

enum arg_kind { ARG_LIST, ARG_KEY, ARG_REFS, ARG_NEEDS, ARG_KINDS };

static const char *const whole[ARG_KINDS] = {
    [ARG_LIST] = "a path to a list",
    [ARG_KEY] = "the name of the key, such as 'key'",
    [ARG_REFS] = "a path to what refers, such as chapters[].needs",
    [ARG_NEEDS] = "the name of what refers, such as 'needs'"};

static const struct check_shape {
    const char *name, *like;
    enum check_kind kind;
    size_t n;
    enum arg_kind args[3];
} shapes[] = {
    {"unique_keys", "unique_keys(chapters, 'key')", CHECK_UNIQUE, 2, {ARG_LIST, ARG_KEY}},
    {"refs_exist",
     "refs_exist(chapters[].needs, chapters, 'key')",
     CHECK_REFS,
     3,
     {ARG_REFS, ARG_LIST, ARG_KEY}},
    {"acyclic",
     "acyclic(chapters, 'key', 'needs')",
     CHECK_ACYCLIC,
     3,
     {ARG_LIST, ARG_KEY, ARG_NEEDS}},
};

struct parser {
    struct arena *a;
    struct slice text;
    size_t next;
    struct err *e;
};

static uint32_t column_of(const struct parser *p, size_t at)
{
    uint32_t column = 1;
    for (size_t i = 0; i < at; i++)
        column += ((unsigned char)p->text.ptr[i] & 0xc0) != 0x80;
    return column;
}

static bool fail_at(struct parser *p, size_t at, const char *sentence, const char *more)
{
    return err_set(p->e, ERR_MANIFEST, "the check, column %u: %s%s", column_of(p, at), sentence,
                   more);
}

static bool fail(struct parser *p, const char *sentence)
{
    return fail_at(p, p->next, sentence, "");
}

/* ---- tokens -------------------------------------------------------------------------------------
 */

static struct slice rest_of(const struct parser *p)
{
    return slice_skip(p->text, p->next);
}

static void skip_space(struct parser *p)
{
    while (p->next < p->text.len && strchr(" \t\r\n", p->text.ptr[p->next]))
        p->next++;
}

static bool take(struct parser *p, const char *sign)
{
    struct slice wanted = slice_from(sign);
    if (!slice_starts(rest_of(p), wanted))
        return false;
    p->next += wanted.len;
    return true;
}

static struct slice take_word(struct parser *p)
{
    struct slice rest = rest_of(p);
    size_t n = 0;
    while (n < rest.len) {
        char c = rest.ptr[n];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80);
        if (!is_letter && c != '_' && c != '-' && !(c >= '0' && c <= '9'))
            break;
        n++;
    }
    p->next += n;
    return slice_first(rest, n);
}

/* A plain name, or one between quotes; a quote in it is written twice. */
static bool take_name(struct parser *p, struct slice *ret)
{
    struct slice rest = rest_of(p);
    char quote = rest.len ? *rest.ptr : '\0';
    if (quote != '\'' && quote != '"') {
        *ret = take_word(p);
        return ret->len || fail(p, "a name is expected here; odd names stand in 'quotes'");
    }
    char *to = arena_alloc(p->a, rest.len);
    size_t n = 0;
    for (size_t i = 1; i < rest.len; i++) {
        bool is_quote = rest.ptr[i] == quote;
        if (is_quote && (i + 1 == rest.len || rest.ptr[i + 1] != quote)) {
            *ret = (struct slice){to, n};
            p->next += i + 1;
            return true;
        }
        i += is_quote;
        to[n++] = rest.ptr[i];
    }
    return fail(p, "this quote is never closed");
}

/* ---- paths --------------------------------------------------------------------------------------
 */

static bool add_step(struct parser *p, struct path *to, enum step_kind kind, struct slice name)
{
    if (to->n == CHECK_STEPS_MAX)
        return fail(p, "a path has at most 16 steps");
    to->steps[to->n++] = (struct step){kind, name};
    return true;
}

static bool read_path(struct parser *p, struct path *to)
{
    struct slice name = SLICE("");
    size_t at = p->next;
    to->steps = arena_alloc(p->a, (CHECK_STEPS_MAX + 1) * sizeof *to->steps);
    to->column = column_of(p, at);
    do {
        if (!take_name(p, &name) || !add_step(p, to, STEP_NAME, name))
            return false;
        while (take(p, "[]")) {
            if (!add_step(p, to, STEP_EACH, SLICE("0")))
                return false;
        }
    } while (take(p, "."));
    if (take(p, "{}") && !add_step(p, to, STEP_NAMES, SLICE("")))
        return false;
    to->text = slice_first(slice_skip(p->text, at), p->next - at);
    return true;
}

static bool has_only_names(const struct path *path)
{
    for (size_t i = 0; i < path->n; i++) {
        if (path->steps[i].kind != STEP_NAME)
            return false;
    }
    return true;
}

/* Is the path what stands at this place? */
static bool suits(struct parser *p, size_t at, enum arg_kind kind, struct path *path)
{
    enum step_kind last = path->steps[path->n - 1].kind;
    if (kind == ARG_LIST && last == STEP_EACH)
        return fail_at(p, at, "the list itself is named here, without [] at its end", "");
    if (kind == ARG_LIST && last == STEP_NAMES)
        return fail_at(p, at, "the list itself is named here, without {}", "");
    if (kind == ARG_KEY && !has_only_names(path))
        return fail_at(p, at, "a key is one value: names and dots, without [] and {}", "");
    if ((kind == ARG_REFS || kind == ARG_NEEDS) && last == STEP_NAME)
        path->steps[path->n++] = (struct step){.kind = STEP_SPREAD, .name = SLICE("0")};
    return true;
}

/* ---- a check ------------------------------------------------------------------------------------
 */

static const struct check_shape *read_shape(struct parser *p)
{
    size_t at = p->next;
    struct slice name = take_word(p);
    struct nearest nearest = {.typed = name};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (slice_is(name, shapes[i].name))
            return &shapes[i];
        nearest_offer(&nearest, slice_from(shapes[i].name));
    }
    if (nearest.best.len)
        fail_at(p, at, "there is no such check; did you mean ", nearest.best.ptr);
    else
        fail_at(p, at, "a check is unique_keys, refs_exist or acyclic, such as ", shapes[0].like);
    return NULL;
}

static bool read_args(struct parser *p, const struct check_shape *shape, struct doc_check *to)
{
    skip_space(p);
    if (!take(p, "("))
        return fail_at(p, p->next, "a parenthesis is expected here: ", shape->like);
    for (size_t i = 0; i < shape->n; i++) {
        enum arg_kind kind = shape->args[i];
        struct path *path = kind == ARG_LIST ? &to->list : kind == ARG_KEY ? &to->key : &to->refs;
        skip_space(p);
        if (i && !take(p, ","))
            return fail_at(p, p->next, "a comma is expected here, and then ", whole[kind]);
        skip_space(p);
        size_t at = p->next;
        if (slice_starts(rest_of(p), SLICE(")")) || at == p->text.len)
            return fail_at(p, at, "what is missing here is ", whole[kind]);
        if (!read_path(p, path) || !suits(p, at, kind, path))
            return false;
    }
    skip_space(p);
    if (!take(p, ")"))
        return fail_at(p, p->next, "a closing parenthesis is expected here: ", shape->like);
    skip_space(p);
    return p->next == p->text.len || fail(p, "nothing can follow the check");
}

const struct doc_check *doc_check_parse(struct arena *a, struct slice text, struct err *e)
{
    struct parser p = {.a = a, .text = arena_dup(a, text), .e = e};
    struct doc_check *c = arena_new(a, struct doc_check);
    if (text.len > CHECK_BYTES_MAX) {
        err_set(e, ERR_MANIFEST, "the check has %zu bytes; at most %d are allowed", text.len,
                CHECK_BYTES_MAX);
        return NULL;
    }
    if (!utf8_is_valid(text) || slice_index(text, '\0') >= 0) {
        err_set(e, ERR_MANIFEST, "the check is not text in UTF-8");
        return NULL;
    }
    skip_space(&p);
    const struct check_shape *shape = read_shape(&p);
    if (!shape || !read_args(&p, shape, c))
        return NULL;
    c->kind = shape->kind;
    return c;
}

/* ---- against a schema ---------------------------------------------------------------------------
 */

/* Steps of a path as schema_has_path() has them, after those there are. */
static size_t add_names(const struct path *path, struct slice *to, size_t n)
{
    for (size_t i = 0; i < path->n; i++) {
        if (path->steps[i].kind == STEP_NAME || path->steps[i].kind == STEP_EACH)
            to[n++] = path->steps[i].name;
    }
    return n;
}

static bool is_known(const struct schema *s, const struct slice *steps, size_t n,
                     const struct path *path, struct err *e)
{
    return schema_has_path(s, steps, n) ||
           err_set(e, ERR_MANIFEST, "the check, column %u: the schema has no place for `%.*s`",
                   path->column, SLICE_ARGS(path->text));
}

bool doc_check_fits(const struct doc_check *c, const struct schema *s, struct err *e)
{
    struct slice steps[2 * CHECK_STEPS_MAX + 1];
    size_t n = add_names(&c->list, steps, 0), below;
    if (!is_known(s, steps, n, &c->list, e))
        return false;
    steps[n++] = SLICE("0");
    below = add_names(&c->key, steps, n);
    if (!is_known(s, steps, below, &c->key, e))
        return false;
    if (c->kind == CHECK_UNIQUE)
        return true;
    below = add_names(&c->refs, steps, c->kind == CHECK_ACYCLIC ? n : 0);
    return is_known(s, steps, below, &c->refs, e);
}
