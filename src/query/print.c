/* A query as text again, in one form: for messages, for rules that are shown, and for tests. */
#include "query/query_impl.h"

#include <string.h>

static const char *const ops[] = {
#define X(op, text) [op] = text,
    QUERY_OP_MAP(X)
#undef X
};

static void print_string(struct buf *to, struct slice s, char quote)
{
    struct buf json;
    buf_init(&json, 8 * QUERY_BYTES_MAX);
    json_escape(&json, s, 0);
    buf_add_char(to, quote);
    for (size_t i = 1; i + 1 < json.len; i++) {
        char c = json.data[i];
        bool escaped = c == '\\';
        if (escaped && json.data[i + 1] == '"')
            c = json.data[++i];
        else if (escaped)
            buf_add_char(to, c), c = json.data[++i];
        else if (c == quote)
            buf_add_char(to, '\\');
        buf_add_char(to, c);
    }
    buf_add_char(to, quote);
    buf_done(&json);
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_index(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_digit(s.ptr[i]))
            return false;
    }
    return s.len > 0;
}

static bool is_name(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_letter(s.ptr[i]) && !(i && (is_digit(s.ptr[i]) || s.ptr[i] == '-')))
            return false;
    }
    return s.len > 0;
}

/* Can the step stand without backticks? The first one must not be a word of the language. */
static bool is_plain(struct slice s, bool is_first)
{
    static const char *const words[] = {"true", "false", "null", "in", "is", "not", NULL};
    for (size_t i = 0; is_first && words[i]; i++) {
        if (slice_eq_nocase(s, slice_from(words[i])))
            return false;
    }
    return is_name(s) || (!is_first && is_index(s));
}

static void print_literal(const struct json *v, struct buf *to)
{
    struct json_writer w;
    if (json_type(v) == JSON_STRING) {
        print_string(to, json_str(v), '\'');
        return;
    }
    json_writer_init(&w, to, 0);
    json_write_value(&w, v);
}

static void print_operand(const struct query_operand *o, struct buf *to)
{
    static const char *const roots[] = {[QUERY_DOC] = "",
                                        [QUERY_USER] = "@user",
                                        [QUERY_BODY] = "@request.body",
                                        [QUERY_NOW] = "@now"};
    if (o->root == QUERY_LITERAL) {
        print_literal(o->value, to);
        return;
    }
    if (o->root == QUERY_LIST) {
        buf_add_char(to, '(');
        for (size_t i = 0; i < o->n_items; i++) {
            buf_add_str(to, i ? ", " : "");
            print_literal(o->items[i], to);
        }
        buf_add_char(to, ')');
        return;
    }
    buf_add_str(to, roots[o->root]);
    for (size_t i = 0; i < o->n_steps; i++) {
        bool is_first = o->root == QUERY_DOC && i == 0;
        if (!is_first)
            buf_add_char(to, '.');
        if (is_plain(o->steps[i], is_first))
            buf_add(to, o->steps[i]);
        else
            print_string(to, o->steps[i], '`');
    }
}

static void print_test(const struct query *q, struct buf *to)
{
    print_operand(&q->a, to);
    buf_add_char(to, ' ');
    buf_add_str(to, ops[q->op]);
    if (q->op == QUERY_NULL || q->op == QUERY_NOT_NULL)
        return;
    buf_add_char(to, ' ');
    print_operand(&q->b, to);
}

/* In parentheses where the tree would read back as another one. */
static void print_below(const struct query *q, bool in_parentheses, struct buf *to)
{
    if (in_parentheses)
        buf_add_char(to, '(');
    query_print(q, to);
    if (in_parentheses)
        buf_add_char(to, ')');
}

void query_print(const struct query *q, struct buf *to)
{
    bool is_and = q->kind == QUERY_AND;
    switch (q->kind) {
    case QUERY_TRUE:
        break;
    case QUERY_FALSE:
        buf_add_str(to, "null is not null");
        break;
    case QUERY_AND:
    case QUERY_OR:
        print_below(q->left, is_and && q->left->kind == QUERY_OR, to);
        buf_add_str(to, is_and ? " && " : " || ");
        print_below(q->right, q->right->kind == q->kind || (is_and && q->right->kind == QUERY_OR),
                    to);
        break;
    case QUERY_NOT:
        buf_add_char(to, '!');
        print_below(q->left, q->left->kind != QUERY_NOT, to);
        break;
    case QUERY_TEST:
        print_test(q, to);
        break;
    }
}
