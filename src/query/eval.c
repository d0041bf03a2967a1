/* What a query means: one test on two values, and the tree over a document.
 *
 * A tree is at most QUERY_NODES_MAX deep (`a && b && …` goes down on the left), so the functions
 * that call themselves are bounded by what the parser lets through. */
#include "base/mem.h"
#include "query/query_impl.h"

#include <stdlib.h>
#include <string.h>

/* ---- values -------------------------------------------------------------------------------------
 */

static bool is_digits(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    }
    return s.len > 0 && (s.len == 1 || *s.ptr != '0');
}

const struct json *query_walk(const struct json *root, const struct slice *steps, size_t n)
{
    for (size_t i = 0; root && i < n; i++) {
        uint64_t index;
        if (json_type(root) == JSON_ARRAY && is_digits(steps[i]) && slice_to_u64(steps[i], &index))
            root = json_item(root, index);
        else
            root = json_find(root, steps[i]);
    }
    return root;
}

static int sign(int n)
{
    return n < 0 ? -1 : n > 0;
}

static int by_type(enum json_type type, const struct json *a, const struct json *b)
{
    switch (type) {
    case JSON_BOOL:
        return (int)json_bool(a) - (int)json_bool(b);
    case JSON_NUMBER:
        return sign(json_num_cmp(a, b));
    case JSON_STRING:
        return sign(slice_cmp(json_str(a), json_str(b)));
    default:
        return 0;
    }
}

/* Values that can be compared: of one type, which has an order. */
static bool compare(const struct json *a, const struct json *b, int *ret)
{
    enum json_type type = json_type(a);
    if (type != json_type(b) || (type != JSON_BOOL && type != JSON_NUMBER && type != JSON_STRING))
        return false;
    *ret = by_type(type, a, b);
    return true;
}

static enum json_type order_type(const struct json *v)
{
    return v ? json_type(v) : JSON_NULL;
}

int query_order(const struct json *a, const struct json *b)
{
    enum json_type x = order_type(a), y = order_type(b);
    must(x < JSON_ARRAY && y < JSON_ARRAY);
    return x != y ? (x < y ? -1 : 1) : by_type(x, a, b);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

#define SHORT 32 /* bytes that are compared one by one at each place */

static bool contains_short(struct slice text, struct slice part)
{
    for (size_t i = 0; i + part.len <= text.len; i++) {
        size_t n = 0;
        while (n < part.len && lower(text.ptr[i + n]) == lower(part.ptr[n]))
            n++;
        if (n == part.len)
            return true;
    }
    return false;
}

static char *lowered(struct slice s)
{
    char *to = mem_alloc(s.len + 1);
    for (size_t i = 0; i < s.len; i++)
        to[i] = lower(s.ptr[i]);
    return to;
}

/* Both may come from a document: memmem() takes a time in proportion to their lengths. */
static bool contains(struct slice text, struct slice part)
{
    if (part.len <= SHORT || part.len > text.len)
        return contains_short(text, part);
    char *in = lowered(text), *wanted = lowered(part);
    bool found = memmem(in, text.len, wanted, part.len) != NULL;
    free(in);
    free(wanted);
    return found;
}

static bool has_item(const struct json *list, const struct json *wanted)
{
    int order;
    json_each (it, list) {
        if (compare(it.value, wanted, &order) && order == 0)
            return true;
    }
    return false;
}

bool query_test(enum query_op op, const struct json *a, const struct json *b)
{
    int order = 0;
    bool is_text = json_type(a) == JSON_STRING && json_type(b) == JSON_STRING;
    bool is_null = order_type(a) == JSON_NULL;
    switch (op) {
    case QUERY_NULL:
        return is_null;
    case QUERY_NOT_NULL:
        return !is_null;
    case QUERY_LIKE:
        return is_text && contains(json_str(a), json_str(b));
    case QUERY_NOT_LIKE:
        return is_text && !contains(json_str(a), json_str(b));
    case QUERY_HAS:
        return json_type(a) == JSON_ARRAY && has_item(a, b);
    case QUERY_IN:
        return json_type(b) == JSON_ARRAY && has_item(b, a);
    default:
        break;
    }
    if (!compare(a, b, &order))
        return false;
    return op == QUERY_EQ   ? order == 0
           : op == QUERY_NE ? order != 0
           : op == QUERY_GT ? order > 0
           : op == QUERY_GE ? order >= 0
           : op == QUERY_LT ? order < 0
                            : order <= 0;
}

/* ---- a document ---------------------------------------------------------------------------------
 */

static const struct json *value_of(const struct query_operand *o, const struct json *doc,
                                   const struct query_context *c)
{
    switch (o->root) {
    case QUERY_DOC:
        return query_walk(doc, o->steps, o->n_steps);
    case QUERY_USER:
        return query_walk(c ? c->user : NULL, o->steps, o->n_steps);
    case QUERY_BODY:
        return query_walk(c ? c->body : NULL, o->steps, o->n_steps);
    case QUERY_NOW:
        return c ? c->now : NULL;
    default:
        return o->value;
    }
}

static bool is_among(const struct json *a, const struct query_operand *list)
{
    int order;
    for (size_t i = 0; i < list->n_items; i++) {
        if (compare(a, list->items[i], &order) && order == 0)
            return true;
    }
    return false;
}

static bool test_matches(const struct query *q, const struct json *doc,
                         const struct query_context *c)
{
    const struct json *a = value_of(&q->a, doc, c);
    if (q->op == QUERY_IN && q->b.root == QUERY_LIST)
        return is_among(a, &q->b);
    return query_test(q->op, a, value_of(&q->b, doc, c));
}

bool query_matches(const struct query *q, const struct json *doc, const struct query_context *c)
{
    switch (q->kind) {
    case QUERY_TRUE:
    case QUERY_FALSE:
        return q->kind == QUERY_TRUE;
    case QUERY_AND:
        return query_matches(q->left, doc, c) && query_matches(q->right, doc, c);
    case QUERY_OR:
        return query_matches(q->left, doc, c) || query_matches(q->right, doc, c);
    case QUERY_NOT:
        return !query_matches(q->left, doc, c);
    default:
        return test_matches(q, doc, c);
    }
}

bool query_each_path(const struct query *q,
                     bool (*fn)(void *user, const struct query_operand *path), void *user)
{
    if (q->kind == QUERY_TEST) {
        bool has_b = q->op != QUERY_NULL && q->op != QUERY_NOT_NULL;
        return (q->a.root != QUERY_DOC || fn(user, &q->a)) &&
               (!has_b || q->b.root != QUERY_DOC || fn(user, &q->b));
    }
    return (!q->left || query_each_path(q->left, fn, user)) &&
           (!q->right || query_each_path(q->right, fn, user));
}

/* ---- binding ------------------------------------------------------------------------------------
 */

static struct query *decided(struct arena *a, bool is)
{
    struct query *q = arena_new(a, struct query);
    q->kind = is ? QUERY_TRUE : QUERY_FALSE;
    return q;
}

static const struct json null_value = {.type = JSON_NULL};

static struct query_operand bound(const struct query_operand *o, const struct query_context *c)
{
    struct query_operand to = *o;
    if (o->root != QUERY_USER && o->root != QUERY_BODY && o->root != QUERY_NOW)
        return to;
    const struct json *value = value_of(o, NULL, c);
    to = (struct query_operand){.root = QUERY_LITERAL, .at = o->at};
    to.value = value ? value : &null_value;
    return to;
}

static const struct query *bind_test(struct arena *a, const struct query *q,
                                     const struct query_context *c)
{
    bool has_b = q->op != QUERY_NULL && q->op != QUERY_NOT_NULL;
    bool needs_doc = q->a.root == QUERY_DOC || (has_b && q->b.root == QUERY_DOC);
    if (!needs_doc)
        return decided(a, test_matches(q, NULL, c));
    struct query *to = arena_new(a, struct query);
    *to = *q;
    to->a = bound(&q->a, c);
    to->b = bound(&q->b, c);
    /* A comparison with null is false whatever the document holds. */
    const struct query_operand *other = q->a.root == QUERY_DOC ? &to->b : &to->a;
    bool is_null = other->root == QUERY_LITERAL && json_type(other->value) == JSON_NULL;
    return has_b && is_null ? decided(a, false) : to;
}

static const struct query *bind_pair(struct arena *a, const struct query *q,
                                     const struct query_context *c)
{
    enum query_kind wins = q->kind == QUERY_AND ? QUERY_FALSE : QUERY_TRUE;
    enum query_kind yields = q->kind == QUERY_AND ? QUERY_TRUE : QUERY_FALSE;
    const struct query *left = query_bind(a, q->left, c), *right = query_bind(a, q->right, c);
    if (left->kind == wins || right->kind == yields)
        return left;
    if (right->kind == wins || left->kind == yields)
        return right;
    struct query *to = arena_new(a, struct query);
    *to = (struct query){.kind = q->kind,
                         .left = (struct query *)(uintptr_t)left,
                         .right = (struct query *)(uintptr_t)right};
    return to;
}

const struct query *query_bind(struct arena *a, const struct query *q,
                               const struct query_context *c)
{
    if (q->kind == QUERY_AND || q->kind == QUERY_OR)
        return bind_pair(a, q, c);
    if (q->kind == QUERY_TEST)
        return bind_test(a, q, c);
    if (q->kind != QUERY_NOT)
        return q;
    const struct query *inner = query_bind(a, q->left, c);
    if (inner->kind == QUERY_TRUE || inner->kind == QUERY_FALSE)
        return decided(a, inner->kind == QUERY_FALSE);
    struct query *to = arena_new(a, struct query);
    *to = (struct query){.kind = QUERY_NOT, .left = (struct query *)(uintptr_t)inner};
    return to;
}
