/* Names of fields in parameters: lists of paths, and which of them a user may name. */
#include "base/nearest.h"
#include "docs/list_impl.h"

#define TOLD 60 /* bytes of a name in a sentence */

static struct slice joined(const struct slice *steps, size_t n, struct buf *to)
{
    for (size_t i = 0; i < n; i++) {
        buf_add_str(to, i ? "." : "");
        buf_add(to, steps[i]);
    }
    return slice_first(buf_slice(to), TOLD);
}

static void offer(struct nearest *n, const struct doc_coll *c, struct slice name)
{
    if (doc_coll_knows(c, &name, 1))
        nearest_offer(n, name);
}

/* Only names that they may know are offered. */
static struct slice nearest_known(const struct doc_coll *c, struct slice typed)
{
    static const struct slice own[] = {SLICE_INIT("id"), SLICE_INIT("version"), SLICE_INIT("owner"),
                                       SLICE_INIT("created"), SLICE_INIT("updated")};
    struct nearest n = {.typed = slice_first(typed, TOLD)};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        offer(&n, c, own[i]);
    for (size_t i = 0; i < c->n_known; i++)
        offer(&n, c, c->known[i]);
    return n.best;
}

static bool refuse(const struct doc_coll *c, const char *what, const struct slice *steps, size_t n,
                   struct err *e)
{
    struct buf name;
    buf_init(&name, 1u << 20);
    struct slice told = joined(steps, n, &name), best = nearest_known(c, steps[0]);
    if (best.len && !slice_eq(best, steps[0]))
        err_set(e, ERR_MALFORMED, "%s: %.*s has no field `%.*s`; did you mean `%.*s`?", what,
                SLICE_ARGS(c->name), SLICE_ARGS(told), SLICE_ARGS(best));
    else
        err_set(e, ERR_MALFORMED, "%s: %.*s has no field `%.*s`.", what, SLICE_ARGS(c->name),
                SLICE_ARGS(told));
    buf_done(&name);
    return false;
}

/* ---- a list ---------------------------------------------------------------------------------- */

static const struct doc_field *field_of(const struct doc_coll *c, struct arena *a,
                                        const struct query_operand *path)
{
    const struct doc_field *known = doc_coll_field(c, path->steps, path->n_steps);
    if (known)
        return known;
    struct doc_field *f = arena_new(a, struct doc_field);
    struct buf name;
    buf_init(&name, 1u << 20);
    joined(path->steps, path->n_steps, &name);
    f->kind = FIELD_KEY;
    f->path = arena_dup(a, buf_slice(&name));
    f->steps = path->steps;
    f->n_steps = path->n_steps;
    buf_done(&name);
    return f;
}

/* The filter's parser knows what a path is: it reads `NAME is null`. */
const struct doc_field *path_parse(const struct doc_coll *c, struct arena *a, const char *what,
                                   struct slice text, struct err *e)
{
    struct buf b;
    struct query *q = NULL;
    buf_init(&b, QUERY_BYTES_MAX);
    if (text.len <= QUERY_BYTES_MAX / 2) {
        buf_add(&b, text);
        buf_add_str(&b, " is null");
        q = query_parse(a, buf_slice(&b), &(struct err){0});
    }
    buf_done(&b);
    if (!q || q->kind != QUERY_TEST || q->op != QUERY_NULL || q->a.root != QUERY_DOC) {
        err_set(e, ERR_MALFORMED,
                "%s: `%.*s` is not a field's name; write names with commas between them, and odd"
                " ones in `backticks`.",
                what, SLICE_ARGS(slice_first(text, TOLD)));
        return NULL;
    }
    if (doc_coll_knows(c, q->a.steps, q->a.n_steps))
        return field_of(c, a, &q->a);
    refuse(c, what, q->a.steps, q->a.n_steps, e);
    return NULL;
}

/* Up to the next comma that is not between backticks. */
static bool cut(struct slice *rest, struct slice *ret)
{
    bool is_quoted = false;
    size_t n = 0;
    if (!rest->ptr)
        return false;
    for (; n < rest->len && (is_quoted || rest->ptr[n] != ','); n++) {
        if (rest->ptr[n] == '\\' && is_quoted && n + 1 < rest->len)
            n++;
        else if (rest->ptr[n] == '`')
            is_quoted = !is_quoted;
    }
    *ret = slice_trim(slice_first(*rest, n));
    *rest = n < rest->len ? slice_skip(*rest, n + 1) : (struct slice){0};
    return true;
}

bool paths_parse(const struct doc_coll *c, struct arena *a, const char *what, struct slice text,
                 size_t max, bool has_directions, struct path_list *ret, struct err *e)
{
    struct slice rest = text, item;
    struct path_list list = {0};
    list.items = arena_alloc(a, max * sizeof *list.items);
    list.is_descending = arena_zalloc(a, max * sizeof *list.is_descending);
    while (text.len && cut(&rest, &item)) {
        if (list.n == max)
            return err_set(e, ERR_MALFORMED, "%s: at most %zu fields can be named.", what, max);
        bool is_descending = has_directions && slice_starts(item, SLICE("-"));
        const struct doc_field *f = path_parse(c, a, what, slice_skip(item, is_descending), e);
        if (!f)
            return false;
        list.is_descending[list.n] = is_descending;
        list.items[list.n++] = f;
    }
    *ret = list;
    return true;
}

/* ---- a filter -------------------------------------------------------------------------------- */

struct asking {
    const struct doc_coll *coll;
    struct err *e;
};

static bool is_known(void *user, const struct query_operand *path)
{
    const struct asking *x = user;
    return doc_coll_knows(x->coll, path->steps, path->n_steps) ||
           refuse(x->coll, "filter", path->steps, path->n_steps, x->e);
}

bool filter_is_known(const struct doc_coll *c, const struct query *q, struct err *e)
{
    return query_each_path(q, is_known, &(struct asking){c, e});
}
