/* The tables as text: `dais help manifest` and the reference in docs/MANIFEST.md. */
#include "manifest/read_impl.h"

#include <stdio.h>
#include <string.h>

#define PATH_MAX_LEN 200

/* Where the walk is: web.headers.PATH.csp for people, web.headers.csp to compare. */
struct place {
    char shown[PATH_MAX_LEN], plain[PATH_MAX_LEN];
};

struct walk {
    void (*row)(struct walk *w, const struct place *at, const struct field *f, int depth);
    struct buf *to;
    const char *key; /* only this one and what is below it; NULL: all */
    size_t rows;
};

static const char *key_word(const struct field *f)
{
    switch (f->key_format) {
    case FMT_PATTERN:
    case FMT_PREFIX:
    case FMT_URLPATH:
        return "PATH";
    case FMT_STATUS:
        return "STATUS";
    default:
        return "NAME";
    }
}

static struct place below(const struct place *at, const struct field *parent, const char *name)
{
    struct place place;
    const char *dot = *at->shown ? "." : "";
    const char *item = "";
    char key[16] = "";
    if (parent && parent->kind == K_LIST)
        item = "[]";
    if (parent && parent->kind == K_MAP)
        snprintf(key, sizeof key, ".%s", key_word(parent));
    snprintf(place.shown, sizeof place.shown, "%.120s%s%s%s%.40s", at->shown, item, key, dot, name);
    snprintf(place.plain, sizeof place.plain, "%.120s%s%.40s", at->plain, dot, name);
    return place;
}

static bool is_wanted(const struct walk *w, const struct place *at)
{
    if (!w->key)
        return true;
    size_t n = strlen(w->key);
    bool shown = strncmp(at->shown, w->key, n) == 0 && (!at->shown[n] || at->shown[n] == '.');
    return shown || (strncmp(at->plain, w->key, n) == 0 && (!at->plain[n] || at->plain[n] == '.'));
}

/* Shapes do not contain themselves, so the depth is that of the tables: at most five. */
static void walk_shape(struct walk *w, const struct shape *shape, const struct field *parent,
                       const struct place *at, int depth)
{
    for (size_t i = 0; i < shape->n; i++) {
        const struct field *f = &shape->fields[i];
        struct place place = below(at, parent, f->name);
        if (is_wanted(w, &place)) {
            w->row(w, &place, f, depth);
            w->rows++;
        }
        if (f->shape)
            walk_shape(w, f->shape, f, &place, depth + 1);
    }
}

static void walk_from(struct walk *w, const struct shape *shape)
{
    struct place root = {"", ""};
    walk_shape(w, shape, NULL, &root, 0);
}

/* ---- phrases
 * ------------------------------------------------------------------------------------- */

static void add_type(const struct field *f, struct buf *to)
{
    bool objects = f->kind == K_OBJECT || (f->shape && f->item == K_OBJECT);
    if (f->kind == K_LIST && objects) {
        buf_add_str(to, "a list of maps with the keys below");
    } else if (f->kind == K_LIST) {
        buf_add_str(to, f->flags & ONE_OK ? "a list, or one value; each " : "a list; each ");
        field_expects(f, f->item, to);
    } else if (f->kind == K_MAP) {
        buf_printf(to, "a map; each key %s", format_what[f->key_format]);
        if (!objects) {
            buf_add_str(to, "; each value ");
            field_expects(f, f->item, to);
        }
    } else if (objects) {
        buf_add_str(to, "a map with the keys below");
        if (f->shape->shorthand)
            buf_printf(to, ", or just its `%s`", f->shape->shorthand);
    } else {
        field_expects(f, f->kind, to);
    }
    if (f->kind == K_MAP && objects && f->shape->shorthand)
        buf_printf(to, "; each value a map with the keys below, or just its `%s`",
                   f->shape->shorthand);
}

static const char *default_of(const struct field *f)
{
    if (f->flags & REQUIRED)
        return "required";
    return f->def ? f->def : "none";
}

/* ---- text
 * ----------------------------------------------------------------------------------------- */

static void text_row(struct walk *w, const struct place *at, const struct field *f, int depth)
{
    buf_printf(w->to, "%s%s\n    %s%s\n    ", depth == 0 && w->to->len ? "\n" : "", at->shown,
               f->doc, f->flags & LATER ? " (Checked, but not served yet by this version.)" : "");
    add_type(f, w->to);
    if (f->kind != K_OBJECT && f->kind != K_MAP)
        buf_printf(w->to, "; %s%s", f->flags & REQUIRED ? "" : "default ", default_of(f));
    buf_add_char(w->to, '\n');
}

void manifest_help(struct buf *to, const char *key)
{
    struct walk w = {.row = text_row, .to = to, .key = key};
    if (!key)
        buf_add_str(to, "The keys of dais.yaml, each with what it may be and its default.\n"
                        "`dais help manifest KEY` shows one of them, such as web.headers.\n");
    walk_from(&w, &manifest_shape);
    size_t before = to->len;
    buf_add_str(to, before ? "\n" : "");
    buf_add_str(to,
                key ? "In host.yaml:\n" : "The keys of host.yaml, for several apps on one host.\n");
    size_t rows = w.rows;
    walk_from(&w, &host_shape);
    if (w.rows == rows)
        to->len = before;
}

static void no_row(struct walk *w, const struct place *at, const struct field *f, int depth)
{
    (void)w, (void)at, (void)f, (void)depth;
}

bool manifest_has_key(const char *key)
{
    struct walk w = {.row = no_row, .key = key};
    walk_from(&w, &manifest_shape);
    walk_from(&w, &host_shape);
    return w.rows > 0;
}

/* ---- Markdown
 * ---------------------------------------------------------------------------------------- */

/* In a table every `|` is escaped; a `*` only outside code, where it would mean emphasis. */
static void add_cell(struct buf *to, struct slice s)
{
    bool code = false;
    for (size_t i = 0; i < s.len; i++) {
        code ^= s.ptr[i] == '`';
        if (s.ptr[i] == '|' || (s.ptr[i] == '*' && !code))
            buf_add_char(to, '\\');
        buf_add_char(to, s.ptr[i]);
    }
}

static void markdown_row(struct walk *w, const struct place *at, const struct field *f, int depth)
{
    struct buf type;
    buf_init(&type, 4000);
    if (depth == 0)
        buf_printf(w->to,
                   "\n### %s\n\n| key | what it may be | default | meaning |\n"
                   "|---|---|---|---|\n",
                   f->name);
    add_type(f, &type);
    buf_printf(w->to, "| `%s` | ", at->shown);
    add_cell(w->to, buf_slice(&type));
    bool simple = f->kind != K_OBJECT && f->kind != K_MAP;
    bool quoted = simple && f->def && !(f->flags & REQUIRED);
    buf_printf(w->to, " | %s%s%s | ", quoted ? "`" : "", simple ? default_of(f) : "",
               quoted ? "`" : "");
    add_cell(w->to, slice_from(f->doc));
    buf_printf(w->to, "%s |\n", f->flags & LATER ? " *Checked, not served yet.*" : "");
    buf_done(&type);
}

void manifest_markdown(struct buf *to)
{
    struct walk w = {.row = markdown_row, .to = to};
    buf_add_str(to, "## Keys of dais.yaml\n");
    walk_from(&w, &manifest_shape);
    buf_add_str(to, "\n## Keys of host.yaml\n");
    walk_from(&w, &host_shape);
}
