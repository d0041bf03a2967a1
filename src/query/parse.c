/* The parser: tokens from the text, then precedence by recursive descent of bounded depth.
 *
 *     or     = and { "||" and }
 *     and    = not { "&&" not }
 *     not    = "!" not | "(" or ")" | test
 *     test   = operand ( op operand | "in" list | "is" ["not"] "null" )
 *     list   = "(" literal { "," literal } ")" | operand */
#include "base/utf8.h"
#include "query/query_impl.h"

#include <stdio.h>
#include <string.h>

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_NAME, TOKEN_STRING, TOKEN_NUMBER, TOKEN_SIGN };

/* A word may be a keyword or a name; a name was in backticks. A sign is one of the operators. */
struct token {
    enum token_kind kind;
    struct slice text; /* of strings and names: decoded */
    uint32_t at;
};

struct parser {
    struct arena *a;
    struct slice text;
    size_t next; /* byte after the present token */
    struct token token;
    unsigned nodes, depth;
    struct err *e;
};

static bool fail_at(struct parser *p, uint32_t at, const char *sentence)
{
    size_t column = 1;
    for (uint32_t i = 0; i < at; i++)
        column += (p->text.ptr[i] & 0xc0) != 0x80;
    return err_set(p->e, ERR_MALFORMED, "the filter, column %zu: %s", column, sentence);
}

static bool fail(struct parser *p, const char *sentence)
{
    return fail_at(p, p->token.at, sentence);
}

/* ---- tokens -------------------------------------------------------------------------------------
 */

static bool is_word_char(char c, bool is_first)
{
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
    return letter || (!is_first && ((c >= '0' && c <= '9') || c == '-'));
}

/* A name in a path: letters of any language, digits and `-` after the first. */
static size_t word_length(struct slice s)
{
    size_t n = 0;
    while (n < s.len && is_word_char(s.ptr[n], n == 0))
        n++;
    return n;
}

static size_t number_length(struct slice s)
{
    size_t n = 0;
    while (n < s.len && s.ptr[n] && strchr("+-.eE0123456789", s.ptr[n]))
        n++;
    return n;
}

/* Between quotes, as JSON's strings; `quote` itself after a backslash. NULL of JSON when wrong. */
static bool read_quoted(struct parser *p, char quote)
{
    struct buf json;
    size_t at = p->next + 1;
    bool closed = false;
    buf_init(&json, 4 * QUERY_BYTES_MAX);
    buf_add_char(&json, '"');
    for (; at < p->text.len && !closed; at++) {
        char c = p->text.ptr[at];
        closed = c == quote;
        if (closed)
            break;
        bool escape = c == '\\' && at + 1 < p->text.len;
        char next = escape ? p->text.ptr[at + 1] : '\0';
        if (escape && (next == '\'' || next == '`')) {
            buf_add_char(&json, next);
            at++;
        } else if (escape) {
            buf_add_char(&json, c);
            buf_add_char(&json, next);
            at++;
        } else if (c == '"') {
            buf_add_str(&json, "\\\"");
        } else {
            buf_add_char(&json, c);
        }
    }
    buf_add_char(&json, '"');
    struct json_doc doc;
    struct slice kept = arena_dup(p->a, buf_slice(&json));
    buf_done(&json);
    if (!closed)
        return fail(p, "this quote is never closed");
    if (!json_parse(&doc, p->a, kept, NULL, &(struct err){0}))
        return fail(p,
                    "this text holds an unknown escape or a control character; \\n, \\t, \\\\ and "
                    "\\u0041 are known");
    p->token.text = json_str(json_root(&doc));
    p->next = at + 1;
    return true;
}

static bool read_number(struct parser *p, struct slice rest)
{
    struct slice text = slice_first(rest, number_length(rest));
    if (!json_validate(text, NULL, &(struct err){0}))
        return fail(p, "this is not a number; write 12, -0.5 or 1e6");
    p->token.kind = TOKEN_NUMBER;
    p->token.text = text;
    p->next += text.len;
    return true;
}

static bool read_sign(struct parser *p, struct slice rest)
{
    static const char *const signs[] = {"&&", "||", "!=", "!~", ">=", "<=", "?=", "=", ">",
                                        "<",  "~",  "!",  "(",  ")",  "[",  "]",  ",", NULL};
    for (size_t i = 0; signs[i]; i++) {
        if (slice_starts(rest, slice_from(signs[i]))) {
            p->token.kind = TOKEN_SIGN;
            p->token.text = slice_from(signs[i]);
            p->next += p->token.text.len;
            return true;
        }
    }
    if (*rest.ptr == '&' || *rest.ptr == '|')
        return fail(p, "write && for and, || for or");
    return fail(p, "this character is not part of the language; text stands in single quotes");
}

static bool step(struct parser *p)
{
    while (p->next < p->text.len && strchr(" \t\r\n", p->text.ptr[p->next]) && p->text.ptr[p->next])
        p->next++;
    struct slice rest = slice_skip(p->text, p->next);
    p->token = (struct token){.kind = TOKEN_END, .at = (uint32_t)p->next};
    if (!rest.len)
        return true;
    char c = *rest.ptr;
    if (c == '\'' || c == '"' || c == '`') {
        p->token.kind = c == '`' ? TOKEN_NAME : TOKEN_STRING;
        return read_quoted(p, c);
    }
    if (c == '-' || (c >= '0' && c <= '9'))
        return read_number(p, rest);
    if (c == '@' || is_word_char(c, true)) {
        size_t n = c == '@' ? 1 + word_length(slice_skip(rest, 1)) : word_length(rest);
        p->token.kind = TOKEN_WORD;
        p->token.text = slice_first(rest, n);
        p->next += n;
        return true;
    }
    return read_sign(p, rest);
}

static bool is_sign(const struct parser *p, const char *sign)
{
    return p->token.kind == TOKEN_SIGN && slice_is(p->token.text, sign);
}

static bool is_word(const struct parser *p, const char *word)
{
    return p->token.kind == TOKEN_WORD && slice_eq_nocase(p->token.text, slice_from(word));
}

/* ---- operands -----------------------------------------------------------------------------------
 */

static bool count(struct parser *p)
{
    p->nodes++;
    return p->nodes <= QUERY_NODES_MAX ||
           fail(p, "the filter has more than 200 parts; make it simpler");
}

static const struct json *literal_of(struct parser *p)
{
    struct json *v = arena_new(p->a, struct json);
    struct slice s = p->token.text;
    if (p->token.kind == TOKEN_STRING)
        *v = (struct json){.type = JSON_STRING, .len = (uint32_t)s.len, {.ptr = s.ptr}};
    else if (p->token.kind == TOKEN_NUMBER)
        *v = (struct json){.type = JSON_NUMBER, .len = (uint32_t)s.len, {.ptr = s.ptr}};
    else if (is_word(p, "true") || is_word(p, "false"))
        *v = (struct json){.type = JSON_BOOL, .len = is_word(p, "true")};
    else if (is_word(p, "null"))
        *v = (struct json){.type = JSON_NULL};
    else
        return NULL;
    return v;
}

/* The steps of a path right after its first name; the token is what follows. */
static bool read_steps(struct parser *p, struct query_operand *to)
{
    while (p->next < p->text.len && p->text.ptr[p->next] == '.') {
        p->next++;
        struct slice rest = slice_skip(p->text, p->next);
        size_t n = word_length(rest), digits = 0;
        while (digits < rest.len && rest.ptr[digits] >= '0' && rest.ptr[digits] <= '9')
            digits++;
        p->token.at = (uint32_t)p->next;
        if (to->n_steps == QUERY_STEPS_MAX)
            return fail(p, "a path has at most 16 steps");
        if (rest.len && *rest.ptr == '`') {
            if (!read_quoted(p, '`'))
                return false;
            to->steps[to->n_steps++] = p->token.text;
        } else if (n || digits) {
            n = n ? n : digits;
            to->steps[to->n_steps++] = slice_first(rest, n);
            p->next += n;
        } else {
            return fail(p, "a name is expected after the dot; odd names stand in `backticks`");
        }
    }
    return step(p);
}

/* The names after an @. */
static bool read_context(struct parser *p, struct query_operand *to)
{
    struct slice word = p->token.text;
    uint32_t at = p->token.at;
    if (slice_is(word, "@now")) {
        to->root = QUERY_NOW;
        return step(p);
    }
    bool is_user = slice_is(word, "@user"), is_request = slice_is(word, "@request");
    if (!is_user && !is_request)
        return fail(p, "only @user, @request.body and @now start with @");
    to->root = is_user ? QUERY_USER : QUERY_BODY;
    if (!read_steps(p, to))
        return false;
    if (is_user)
        return to->n_steps > 0 || fail_at(p, at, "say which part: @user.id, @user.roles");
    if (to->n_steps < 2 || !slice_is(to->steps[0], "body"))
        return fail_at(p, at, "say which field: @request.body.name");
    to->steps++;
    to->n_steps--;
    return true;
}

static bool read_operand(struct parser *p, struct query_operand *to)
{
    *to = (struct query_operand){.at = p->token.at};
    if (!count(p))
        return false;
    to->value = literal_of(p);
    if (to->value) {
        to->root = QUERY_LITERAL;
        return step(p);
    }
    to->steps = arena_alloc(p->a, QUERY_STEPS_MAX * sizeof *to->steps);
    bool is_path = p->token.kind == TOKEN_NAME || p->token.kind == TOKEN_WORD;
    if (is_path && p->token.kind == TOKEN_WORD && *p->token.text.ptr == '@')
        return read_context(p, to);
    if (!is_path)
        return fail(p, p->token.kind == TOKEN_END ? "a field or a value is expected at the end"
                                                  : "a field or a value is expected here");
    to->root = QUERY_DOC;
    to->steps[to->n_steps++] = p->token.text;
    return read_steps(p, to);
}

/* ---- tests --------------------------------------------------------------------------------------
 */

static bool read_items(struct parser *p, const char *close, struct query_operand *to)
{
    to->items = arena_alloc(p->a, QUERY_NODES_MAX * sizeof(const struct json *));
    for (;;) {
        if (!count(p))
            return false;
        const struct json *item = literal_of(p);
        if (!item)
            return fail(p, "a list holds text, numbers, true, false or null");
        to->items[to->n_items++] = item;
        if (!step(p))
            return false;
        if (is_sign(p, close))
            return step(p);
        if (!is_sign(p, ","))
            return fail(p, "a comma or the end of the list is expected here");
        if (!step(p))
            return false;
    }
}

static bool read_list(struct parser *p, struct query_operand *to)
{
    *to = (struct query_operand){.root = QUERY_LIST, .at = p->token.at};
    bool is_round = is_sign(p, "("), is_square = is_sign(p, "[");
    if (is_round || is_square)
        return step(p) && read_items(p, is_round ? ")" : "]", to);
    if (!read_operand(p, to))
        return false;
    return to->root != QUERY_LITERAL ||
           fail_at(p, to->at, "a list follows `in`, such as ('a', 'b')");
}

static bool read_op(struct parser *p, enum query_op *ret)
{
    static const char *const texts[] = {
#define X(op, text) [op] = text,
        QUERY_OP_MAP(X)
#undef X
    };
    for (int op = QUERY_EQ; op <= QUERY_HAS; op++) {
        if (is_sign(p, texts[op])) {
            *ret = (enum query_op)op;
            return step(p);
        }
    }
    if (p->token.kind == TOKEN_SIGN && slice_is(p->token.text, "!"))
        return fail(p, "a comparison is expected here; `not equal` is written !=");
    return fail(p, "a comparison is expected here: = != > >= < <= ~ !~ ?= in, or is null");
}

static bool read_test(struct parser *p, struct query *to)
{
    to->kind = QUERY_TEST;
    if (!read_operand(p, &to->a))
        return false;
    if (is_word(p, "in")) {
        to->op = QUERY_IN;
        return step(p) && read_list(p, &to->b);
    }
    if (!is_word(p, "is"))
        return read_op(p, &to->op) && read_operand(p, &to->b);
    if (!step(p))
        return false;
    bool is_not = is_word(p, "not");
    if (is_not && !step(p))
        return false;
    to->op = is_not ? QUERY_NOT_NULL : QUERY_NULL;
    if (!is_word(p, "null"))
        return fail(p, "after `is` only null and not null can stand");
    return step(p);
}

/* ---- and, or, not -------------------------------------------------------------------------------
 */

static struct query *read_or(struct parser *p);

static struct query *node(struct parser *p, enum query_kind kind, struct query *left,
                          struct query *right)
{
    struct query *q = arena_new(p->a, struct query);
    *q = (struct query){.kind = kind, .left = left, .right = right};
    return count(p) ? q : NULL;
}

/* One level down: `!` or `(`. */
static struct query *read_inner(struct parser *p, bool is_not)
{
    if (p->depth == QUERY_DEPTH_MAX) {
        fail(p, "parentheses and negations nest at most 8 deep");
        return NULL;
    }
    p->depth++;
    struct query *q = NULL;
    if (step(p))
        q = is_not ? (is_sign(p, "!") || is_sign(p, "(")
                          ? read_inner(p, is_sign(p, "!"))
                          : (fail(p, "parentheses are expected after `!`: !(a = 1)"), NULL))
                   : read_or(p);
    p->depth--;
    if (!q || is_not)
        return q ? node(p, QUERY_NOT, q, NULL) : NULL;
    if (is_sign(p, ")"))
        return step(p) ? q : NULL;
    fail(p, p->token.kind == TOKEN_END ? "a closing parenthesis is missing at the end"
                                       : "&&, || or a closing parenthesis is expected here");
    return NULL;
}

static struct query *read_not(struct parser *p)
{
    if (is_sign(p, "!") || is_sign(p, "("))
        return read_inner(p, is_sign(p, "!"));
    struct query *q = arena_new(p->a, struct query);
    return count(p) && read_test(p, q) ? q : NULL;
}

static struct query *read_and(struct parser *p)
{
    struct query *q = read_not(p);
    while (q && is_sign(p, "&&")) {
        struct query *right = step(p) ? read_not(p) : NULL;
        q = right ? node(p, QUERY_AND, q, right) : NULL;
    }
    return q;
}

static struct query *read_or(struct parser *p)
{
    struct query *q = read_and(p);
    while (q && is_sign(p, "||")) {
        struct query *right = step(p) ? read_and(p) : NULL;
        q = right ? node(p, QUERY_OR, q, right) : NULL;
    }
    return q;
}

struct query *query_parse(struct arena *a, struct slice text, struct err *e)
{
    struct parser p = {.a = a, .text = arena_dup(a, text), .e = e};
    if (text.len > QUERY_BYTES_MAX) {
        err_set(e, ERR_MALFORMED, "the filter has %zu bytes; at most 4096 are allowed", text.len);
        return NULL;
    }
    if (!utf8_is_valid(text) || slice_index(text, '\0') >= 0) {
        err_set(e, ERR_MALFORMED, "the filter is not text in UTF-8");
        return NULL;
    }
    if (!step(&p))
        return NULL;
    if (p.token.kind == TOKEN_END) {
        struct query *all = arena_new(a, struct query);
        all->kind = QUERY_TRUE;
        return all;
    }
    struct query *q = read_or(&p);
    if (q && p.token.kind != TOKEN_END) {
        fail(&p, is_sign(&p, ")") ? "this parenthesis closes nothing"
                                  : "&& or || is expected between two conditions");
        return NULL;
    }
    return q;
}
