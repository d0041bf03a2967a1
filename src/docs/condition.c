/* Conditions: the tests of a filter that the database can decide, in SQL that means what
 * query_matches() means.
 *
 * A key column (doc_key) begins with its type and is never NULL, so a comparison stays between
 * the bytes of one type: `a < 'x'` is a string that sorts before it. What SQL says to a NULL (only
 * `owner` can be one) counts as false at the top and under AND and OR, but not under NOT. */
#include "docs/list_impl.h"

#define IN_MAX 50 /* items of a list; a longer one is asked of the rows */

static void free_buf(void *arg)
{
    buf_done(arg);
}

void condition_init(struct condition *c, struct arena *a)
{
    *c = (struct condition){.a = a, .cap = 16};
    c->values = arena_alloc(a, c->cap * sizeof *c->values);
    c->text = arena_new(a, struct buf);
    buf_init(c->text, CONDITION_SIZE);
    arena_defer(a, free_buf, c->text);
}

void condition_bind(struct condition *c, struct bound value)
{
    if (c->n == c->cap) {
        struct bound *more = arena_alloc(c->a, 2 * c->cap * sizeof *more);
        for (size_t i = 0; i < c->n; i++)
            more[i] = c->values[i];
        c->values = more;
        c->cap *= 2;
    }
    c->values[c->n++] = value;
}

void bind_value(struct db_stmt *s, int at, const struct bound *v)
{
    if (v->kind == BOUND_TEXT)
        db_bind_text(s, at, v->bytes);
    else if (v->kind == BOUND_BLOB)
        db_bind_blob(s, at, v->bytes);
    else
        db_bind_i64(s, at, v->n);
}

int condition_bind_all(const struct condition *c, struct db_stmt *s, int at)
{
    for (size_t i = 0; i < c->n; i++)
        bind_value(s, at++, &c->values[i]);
    return at;
}

bool doc_field_has_column(const struct doc_field *f)
{
    return f->kind != FIELD_KEY || (f->column[0] && atomic_load(&f->is_ready));
}

/* ---- keys ------------------------------------------------------------------------------------ */

static const char *const signs[] = {
    [QUERY_EQ] = "=",  [QUERY_NE] = "<>", [QUERY_GT] = ">",
    [QUERY_GE] = ">=", [QUERY_LT] = "<",  [QUERY_LE] = "<=",
};

static struct slice key_of(struct condition *c, const struct json *value)
{
    struct buf b;
    buf_init(&b, DOC_BYTES_MAX);
    doc_key(&b, value);
    struct slice key = arena_dup(c->a, buf_slice(&b));
    buf_done(&b);
    return key;
}

static bool is_comparable(const struct json *v)
{
    enum json_type type = json_type(v);
    return type == JSON_BOOL || type == JSON_NUMBER || type == JSON_STRING;
}

static void bind_key(struct condition *c, struct slice key)
{
    condition_bind(c, (struct bound){.kind = BOUND_BLOB, .bytes = key});
}

/* The first key of a type, and the first behind all of them. */
static const struct slice ends[] = {SLICE_INIT("\x01"), SLICE_INIT("\x02"), SLICE_INIT("\x03"),
                                    SLICE_INIT("\x04"), SLICE_INIT("\x05")};

static bool key_test(struct condition *c, const struct doc_field *f, enum query_op op,
                     const struct json *value)
{
    if (!is_comparable(value)) {
        buf_add_str(c->text, "FALSE");
        return true;
    }
    struct slice key = key_of(c, value);
    int type = (unsigned char)key.ptr[0];
    bool has_low = op == QUERY_NE || op == QUERY_LT || op == QUERY_LE;
    bool has_high = op == QUERY_NE || op == QUERY_GT || op == QUERY_GE;
    if (op != QUERY_EQ && op != QUERY_NE && !doc_key_is_whole(key))
        return false;
    buf_printf(c->text, "(%s %s ?", f->column, signs[op]);
    bind_key(c, key);
    if (has_low) {
        buf_printf(c->text, " AND %s >= ?", f->column);
        bind_key(c, ends[type - 1]);
    }
    if (has_high) {
        buf_printf(c->text, " AND %s < ?", f->column);
        bind_key(c, ends[type]);
    }
    buf_add_char(c->text, ')');
    return true;
}

/* ---- our own fields -------------------------------------------------------------------------- */

static bool has_nul(struct slice s)
{
    return slice_index(s, '\0') >= 0;
}

/* The id, the owner, the times: strings. A text with a NUL is in none of them, and Postgres does
 * not take it. */
static bool text_test(struct condition *c, const struct doc_field *f, enum query_op op,
                      const struct json *value)
{
    if (json_type(value) != JSON_STRING || (op == QUERY_EQ && has_nul(json_str(value)))) {
        buf_add_str(c->text, "FALSE");
        return true;
    }
    if (has_nul(json_str(value)))
        return false;
    if (f->kind == FIELD_OWNER)
        buf_printf(c->text, "(owner IS NOT NULL AND owner %s ?)", signs[op]);
    else
        buf_printf(c->text, "%s %s ?", f->column, signs[op]);
    condition_bind(c, (struct bound){.kind = BOUND_TEXT, .bytes = json_str(value)});
    return true;
}

static bool version_test(struct condition *c, enum query_op op, const struct json *value)
{
    struct bound v = {.kind = BOUND_I64};
    if (json_type(value) == JSON_NUMBER && json_i64(value, &v.n)) {
        buf_printf(c->text, "version %s ?", signs[op]);
        condition_bind(c, v);
        return true;
    }
    bool is_number = json_type(value) == JSON_NUMBER;
    if (is_number && op != QUERY_EQ && op != QUERY_NE)
        return false; /* 1.5 or 1e400: the rows are asked */
    buf_add_str(c->text, is_number && op == QUERY_NE ? "TRUE" : "FALSE");
    return true;
}

/* ---- one test -------------------------------------------------------------------------------- */

static bool compare(struct condition *c, const struct doc_field *f, enum query_op op,
                    const struct json *value)
{
    if (f->kind == FIELD_KEY)
        return key_test(c, f, op, value);
    return f->kind == FIELD_VERSION ? version_test(c, op, value) : text_test(c, f, op, value);
}

static bool is_null(struct condition *c, const struct doc_field *f, bool is)
{
    if (f->kind == FIELD_KEY) {
        buf_printf(c->text, "%s %s ?", f->column, is ? "=" : "<>");
        bind_key(c, ends[0]);
    } else if (f->kind == FIELD_OWNER) {
        buf_add_str(c->text, is ? "owner IS NULL" : "owner IS NOT NULL");
    } else {
        buf_add_str(c->text, is ? "FALSE" : "TRUE");
    }
    return true;
}

static bool any_of(struct condition *c, const struct doc_field *f, const struct json *const *items,
                   size_t n)
{
    if (n > IN_MAX)
        return false;
    buf_add_str(c->text, "(FALSE");
    for (size_t i = 0; i < n; i++) {
        if (!is_comparable(items[i]))
            continue;
        buf_add_str(c->text, " OR ");
        if (!compare(c, f, QUERY_EQ, items[i]))
            return false;
    }
    buf_add_char(c->text, ')');
    return true;
}

/* `in @user.roles`, once it is known what they are. */
static bool any_of_array(struct condition *c, const struct doc_field *f, const struct json *array)
{
    const struct json *items[IN_MAX];
    size_t n = 0;
    if (json_type(array) == JSON_ARRAY && json_len(array) > IN_MAX)
        return false;
    if (json_type(array) == JSON_ARRAY) {
        json_each (it, array)
            items[n++] = it.value;
    }
    return any_of(c, f, items, n);
}

static enum query_op mirrored(enum query_op op)
{
    return op == QUERY_GT   ? QUERY_LT
           : op == QUERY_GE ? QUERY_LE
           : op == QUERY_LT ? QUERY_GT
           : op == QUERY_LE ? QUERY_GE
                            : op;
}

static const struct doc_field *column_of(const struct doc_coll *coll, const struct query_operand *o)
{
    const struct doc_field *f =
        o->root == QUERY_DOC ? doc_coll_field(coll, o->steps, o->n_steps) : NULL;
    return f && doc_field_has_column(f) ? f : NULL;
}

/* Whose column decides the test, and against what? NULL: none does. */
static const struct doc_field *sides(const struct doc_coll *coll, const struct query *q,
                                     enum query_op *ret_op, const struct json **ret_value)
{
    bool is_turned = q->a.root != QUERY_DOC;
    *ret_op = is_turned ? mirrored(q->op) : q->op;
    *ret_value = (is_turned ? &q->a : &q->b)->value;
    if (q->op == QUERY_NULL || q->op == QUERY_NOT_NULL)
        return column_of(coll, &q->a);
    if (q->op > QUERY_LE && (q->op != QUERY_IN || is_turned))
        return NULL;
    const struct query_operand *other = is_turned ? &q->a : &q->b;
    if (other->root != QUERY_LITERAL && other->root != QUERY_LIST)
        return NULL;
    return column_of(coll, is_turned ? &q->b : &q->a);
}

static bool add_test(struct condition *c, const struct doc_coll *coll, const struct query *q)
{
    enum query_op op;
    const struct json *value;
    const struct doc_field *f = sides(coll, q, &op, &value);
    if (!f)
        return false;
    if (op == QUERY_NULL || op == QUERY_NOT_NULL)
        return is_null(c, f, op == QUERY_NULL);
    if (op == QUERY_IN && q->b.root == QUERY_LIST)
        return any_of(c, f, q->b.items, q->b.n_items);
    return op == QUERY_IN ? any_of_array(c, f, value) : compare(c, f, op, value);
}

/* ---- the tree -------------------------------------------------------------------------------- */

/* As deep as the parser lets a tree be: QUERY_NODES_MAX. */
static bool add_tree(struct condition *c, const struct doc_coll *coll, const struct query *q)
{
    switch (q->kind) {
    case QUERY_TRUE:
    case QUERY_FALSE:
        buf_add_str(c->text, q->kind == QUERY_TRUE ? "TRUE" : "FALSE");
        return true;
    case QUERY_AND:
    case QUERY_OR:
        buf_add_char(c->text, '(');
        if (!add_tree(c, coll, q->left))
            return false;
        buf_add_str(c->text, q->kind == QUERY_AND ? " AND " : " OR ");
        if (!add_tree(c, coll, q->right))
            return false;
        buf_add_char(c->text, ')');
        return true;
    case QUERY_NOT:
        buf_add_str(c->text, "NOT (");
        if (!add_tree(c, coll, q->left))
            return false;
        buf_add_char(c->text, ')');
        return true;
    default:
        return add_test(c, coll, q);
    }
}

static void note_facts(struct facts *to, const struct doc_coll *coll, const struct query *q)
{
    enum query_op op = QUERY_NE;
    const struct json *value;
    const struct doc_field *f = q->kind == QUERY_TEST ? sides(coll, q, &op, &value) : NULL;
    bool is_equal = f && (op == QUERY_EQ || op == QUERY_NULL) && to->n_equal < FACTS_MAX;
    bool is_range = f && (op == QUERY_GT || op == QUERY_GE || op == QUERY_LT || op == QUERY_LE);
    if (is_equal)
        to->equal[to->n_equal++] = f;
    else if (is_range && (!to->range || to->range == f))
        to->range = f;
    else
        to->has_others = true;
}

const struct query *condition_add(struct condition *c, const struct doc_coll *coll,
                                  const struct query *q)
{
    static const struct query nothing = {.kind = QUERY_TRUE};
    if (q->kind == QUERY_TRUE)
        return q;
    if (q->kind == QUERY_AND) {
        const struct query *left = condition_add(c, coll, q->left);
        const struct query *right = condition_add(c, coll, q->right);
        if (left->kind == QUERY_TRUE || right->kind == QUERY_TRUE)
            return left->kind == QUERY_TRUE ? right : left;
        struct query *both = arena_new(c->a, struct query);
        *both = (struct query){.kind = QUERY_AND,
                               .left = (struct query *)(uintptr_t)left,
                               .right = (struct query *)(uintptr_t)right};
        return both;
    }
    size_t len = c->text->len, n = c->n;
    buf_add_str(c->text, " AND ");
    if (add_tree(c, coll, q) && !c->text->full) {
        note_facts(&c->facts, coll, q);
        return &nothing;
    }
    buf_truncate(c->text, len);
    c->n = n;
    return q;
}
