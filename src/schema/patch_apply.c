/* JSON Patch on a tree that can change: made from the target, an operation at a time, written out
 * at the end. Every operation names itself in errors: "operation 2 (move): ...". */
#include "schema/patch.h"
#include "schema/schema_impl.h"

#define WORK_MAX 50000000 /* some 0.2 s */

/* A value that can change: a container's children are in a list, anything else stays as it was. */
struct tree {
    const struct json *leaf; /* of a scalar */
    enum json_type type;
    struct slice key; /* in an object */
    struct tree *first, *next;
    size_t n; /* children */
};

struct patcher {
    struct arena a;
    struct tree *root;
    size_t n_nodes, index; /* of the operation */
    size_t work;           /* values and bytes that were looked at on the way */
    struct slice op;
    struct err *e;
};

static bool fail(struct patcher *p, enum err_code code, const char *sentence, struct slice about)
{
    return err_set(p->e, code, "operation %zu (%.*s): %s%s%.*s", p->index, SLICE_ARGS(p->op),
                   sentence, about.len ? ": " : "", about.len < 100 ? (int)about.len : 100,
                   about.ptr);
}

/* Nothing is indexed, so that many operations on a long list could take minutes. */
static bool count_work(struct patcher *p, size_t n)
{
    p->work += n;
    return p->work <= WORK_MAX ||
           fail(p, ERR_INVALID, "the patch looks through too many values; replace larger parts",
                SLICE(""));
}

static struct tree *new_tree(struct patcher *p)
{
    if (p->n_nodes == PATCH_NODES_MAX) {
        fail(p, ERR_INVALID, "the outcome would have more than 1,000,000 values", SLICE(""));
        return NULL;
    }
    p->n_nodes++;
    return arena_new(&p->a, struct tree);
}

/* Depth is that of the document, and of `copy`, whose sum json_write would not take: it is checked
 * when the outcome is written. */
static struct tree *grow(struct patcher *p, const struct json *v)
{
    struct tree *t = new_tree(p), **last;
    if (!t)
        return NULL;
    t->type = json_type(v);
    t->leaf = v;
    last = &t->first;
    json_each (it, v) {
        struct tree *child = grow(p, it.value);
        if (!child)
            return NULL;
        child->key = it.key;
        *last = child;
        last = &child->next;
        t->n++;
    }
    return t;
}

static struct tree *copy(struct patcher *p, const struct tree *from, unsigned depth)
{
    struct tree *t = depth < JSON_WRITE_DEPTH ? new_tree(p) : NULL, **last;
    if (!t) {
        if (depth >= JSON_WRITE_DEPTH)
            fail(p, ERR_INVALID, "the outcome would be nested too deeply", SLICE(""));
        return NULL;
    }
    *t = (struct tree){.leaf = from->leaf, .type = from->type, .n = from->n};
    last = &t->first;
    for (const struct tree *it = from->first; it; it = it->next) {
        struct tree *child = copy(p, it, depth + 1);
        if (!child)
            return NULL;
        child->key = it->key;
        *last = child;
        last = &child->next;
    }
    return t;
}

/* ---- places -------------------------------------------------------------------------------------
 */

/* Where a pointer leads: the link that holds the value (or would), and its container. */
struct place {
    struct tree *parent; /* NULL: the root */
    struct tree **link;  /* *link is the value; NULL when there is none */
    struct slice name;
    size_t index; /* in a list */
};

static struct slice unescaped(struct patcher *p, struct slice step)
{
    char *to = arena_alloc(&p->a, step.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < step.len; i++) {
        bool is_escape = step.ptr[i] == '~' && i + 1 < step.len;
        to[n++] = is_escape ? (step.ptr[++i] == '1' ? '/' : '~') : step.ptr[i];
    }
    return (struct slice){to, n};
}

/* An index without leading zeros; "-" is the end of the list. */
static bool read_index(const struct tree *list, struct slice step, size_t *ret)
{
    uint64_t n;
    if (slice_is(step, "-")) {
        *ret = list->n;
        return true;
    }
    bool has_zero = step.len > 1 && *step.ptr == '0';
    if (has_zero || !slice_to_u64(step, &n) || n > list->n)
        return false;
    *ret = n;
    return true;
}

static bool step_into(struct patcher *p, struct tree *t, struct slice step, struct place *to)
{
    if (!count_work(p, t->type == JSON_OBJECT ? t->n : 0))
        return false;
    *to = (struct place){.parent = t, .link = &t->first, .name = step};
    if (t->type == JSON_OBJECT) {
        while (*to->link && !slice_eq((*to->link)->key, step))
            to->link = &(*to->link)->next;
        return true;
    }
    if (t->type != JSON_ARRAY || !read_index(t, step, &to->index))
        return false;
    for (size_t i = 0; i < to->index; i++)
        to->link = &(*to->link)->next;
    return count_work(p, to->index);
}

/* The place a pointer names; everything above it must be there. */
static bool find_place(struct patcher *p, struct slice pointer, struct place *ret)
{
    struct slice rest = slice_skip(pointer, 1);
    *ret = (struct place){.link = &p->root};
    if (!json_pointer_is_valid(pointer))
        return fail(p, ERR_MALFORMED, "this is no JSON Pointer", pointer);
    while (pointer.len) {
        ptrdiff_t slash = slice_index(rest, '/');
        struct slice step = slash < 0 ? rest : slice_first(rest, (size_t)slash);
        if (!*ret->link || !step_into(p, *ret->link, unescaped(p, step), ret))
            return p->work > WORK_MAX ? false
                                      : fail(p, ERR_INVALID, "there is no such place", pointer);
        if (slash < 0)
            break;
        rest = slice_skip(rest, (size_t)slash + 1);
    }
    return true;
}

static bool find_value(struct patcher *p, struct slice pointer, struct place *ret)
{
    return find_place(p, pointer, ret) &&
           (*ret->link || fail(p, ERR_INVALID, "there is nothing", pointer));
}

static struct tree *take_out(struct place *at)
{
    struct tree *t = *at->link;
    *at->link = t->next;
    t->next = NULL;
    if (at->parent)
        at->parent->n--;
    return t;
}

static void put_in(struct place *at, struct tree *t)
{
    bool replaces = *at->link && (!at->parent || at->parent->type == JSON_OBJECT);
    if (replaces)
        take_out(at);
    t->key = at->name;
    t->next = *at->link;
    *at->link = t;
    if (at->parent)
        at->parent->n++;
}

/* ---- operations ---------------------------------------------------------------------------------
 */

static bool op_add(struct patcher *p, struct slice path, const struct json *op)
{
    struct place at;
    struct tree *t = grow(p, json_find(op, SLICE("value")));
    if (!t || !find_place(p, path, &at))
        return false;
    put_in(&at, t);
    return true;
}

static bool op_remove(struct patcher *p, struct slice path, const struct json *op)
{
    struct place at;
    (void)op;
    if (!find_value(p, path, &at))
        return false;
    if (!at.parent)
        return fail(p, ERR_INVALID, "the document itself cannot be removed", SLICE(""));
    take_out(&at);
    return true;
}

static bool op_replace(struct patcher *p, struct slice path, const struct json *op)
{
    struct place at;
    struct tree *t = grow(p, json_find(op, SLICE("value")));
    if (!t || !find_value(p, path, &at))
        return false;
    t->key = (*at.link)->key;
    t->next = (*at.link)->next;
    *at.link = t;
    return true;
}

static bool op_move(struct patcher *p, struct slice path, const struct json *op)
{
    struct place from, at;
    struct slice source = json_str(json_find(op, SLICE("from")));
    bool is_below =
        slice_starts(path, source) && path.len > source.len && path.ptr[source.len] == '/';
    if (!find_value(p, source, &from))
        return false;
    if (slice_eq(source, path))
        return true;
    if (is_below || !from.parent)
        return fail(p, ERR_INVALID, "a value cannot be moved into itself", path);
    struct tree *t = take_out(&from);
    if (!find_place(p, path, &at))
        return false;
    put_in(&at, t);
    return true;
}

static bool op_copy(struct patcher *p, struct slice path, const struct json *op)
{
    struct place from, at;
    if (!find_value(p, json_str(json_find(op, SLICE("from"))), &from))
        return false;
    struct tree *t = copy(p, *from.link, 0);
    if (!t || !find_place(p, path, &at))
        return false;
    put_in(&at, t);
    return true;
}

static void write_tree(struct json_writer *w, const struct tree *t)
{
    bool is_object = t->type == JSON_OBJECT;
    if (t->type < JSON_ARRAY) {
        json_write_value(w, t->leaf);
        return;
    }
    if (is_object)
        json_write_object(w);
    else
        json_write_array(w);
    for (const struct tree *it = t->first; it; it = it->next) {
        if (is_object)
            json_write_key(w, it->key);
        write_tree(w, it);
    }
    if (is_object)
        json_write_object_end(w);
    else
        json_write_array_end(w);
}

static unsigned depth_of(const struct tree *t, unsigned depth)
{
    unsigned most = depth;
    for (const struct tree *it = t->first; it && most < JSON_WRITE_DEPTH; it = it->next) {
        unsigned below = depth_of(it, depth + 1);
        most = below > most ? below : most;
    }
    return most;
}

/* Equality of a tree and a value: by way of text, since tests are rare and small. */
static bool is_value(struct patcher *p, const struct tree *t, const struct json *v, size_t *ret_len)
{
    const struct json_limits limits = {.max_depth = JSON_DEPTH_MAX, .max_nodes = PATCH_NODES_MAX};
    struct arena_mark mark = arena_mark(&p->a);
    struct buf text;
    struct json_writer w;
    struct json_doc doc;
    buf_init(&text, 64u << 20);
    json_writer_init(&w, &text, 0);
    write_tree(&w, t);
    bool is_same = json_parse(&doc, &p->a, buf_slice(&text), &limits, &(struct err){0}) &&
                   values_equal(json_root(&doc), v);
    *ret_len = text.len;
    buf_done(&text);
    arena_rewind(&p->a, mark);
    return is_same;
}

static bool op_test(struct patcher *p, struct slice path, const struct json *op)
{
    struct place at;
    size_t n;
    if (!find_value(p, path, &at))
        return false;
    if (depth_of(*at.link, 1) > JSON_DEPTH_MAX)
        return fail(p, ERR_INVALID, "what is tested is nested too deeply", path);
    bool is_same = is_value(p, *at.link, json_find(op, SLICE("value")), &n);
    return count_work(p, n) && (is_same || fail(p, ERR_INVALID, "the value is another one", path));
}

static const struct {
    const char *name;
    bool (*run)(struct patcher *p, struct slice path, const struct json *op);
    bool has_value, has_from;
} ops[] = {
    {"add", op_add, true, false},         {"remove", op_remove, false, false},
    {"replace", op_replace, true, false}, {"move", op_move, false, true},
    {"copy", op_copy, false, true},       {"test", op_test, true, false},
};

static bool run_op(struct patcher *p, const struct json *op)
{
    const struct json *path = json_find(op, SLICE("path"));
    size_t i = 0, n = sizeof ops / sizeof *ops;
    p->op = json_str(json_find(op, SLICE("op")));
    while (i < n && !slice_is(p->op, ops[i].name))
        i++;
    if (json_type(op) != JSON_OBJECT || i == n)
        return fail(p, ERR_MALFORMED, "`op` is add, remove, replace, move, copy or test",
                    SLICE(""));
    if (json_type(path) != JSON_STRING)
        return fail(p, ERR_MALFORMED, "`path` is missing", SLICE(""));
    if (ops[i].has_value && !json_find(op, SLICE("value")))
        return fail(p, ERR_MALFORMED, "`value` is missing", SLICE(""));
    if (ops[i].has_from && json_type(json_find(op, SLICE("from"))) != JSON_STRING)
        return fail(p, ERR_MALFORMED, "`from` is missing", SLICE(""));
    return ops[i].run(p, json_str(path), op);
}

static bool run_all(struct patcher *p, const struct json *target, const struct json *patch)
{
    if (json_type(patch) != JSON_ARRAY)
        return err_set(p->e, ERR_MALFORMED, "a JSON Patch is a list of operations");
    if (json_len(patch) > PATCH_OPS_MAX)
        return err_set(p->e, ERR_MALFORMED, "a JSON Patch has at most %d operations",
                       PATCH_OPS_MAX);
    p->root = grow(p, target);
    json_each (it, patch) {
        p->index = it.index;
        if (!p->root || !run_op(p, it.value))
            return false;
    }
    return p->root && (depth_of(p->root, 1) < JSON_WRITE_DEPTH ||
                       fail(p, ERR_INVALID, "the outcome would be nested too deeply", SLICE("")));
}

bool patch_apply(const struct json *target, const struct json *patch, struct buf *to, struct err *e)
{
    struct patcher p = {.e = e};
    struct json_writer w;
    arena_init(&p.a, 512u << 20);
    bool fine = run_all(&p, target, patch);
    if (fine) {
        json_writer_init(&w, to, 0);
        write_tree(&w, p.root);
        json_writer_done(&w);
    }
    arena_done(&p.a);
    return fine;
}
