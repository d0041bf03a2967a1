/* The filter language: one grammar, one parser, one tree, for lists, rules and events.
 *
 *     status = 'published' && (updated > '2026-01-01' || tags ?= 'x') && title ~ 'war'
 *
 * An operand is a path into the document (`a.b`, `list.0`, `` `odd name` ``), a value of whoever
 * asks
 * (`@user.id`, `@request.body.x`, `@now`), or a literal. Everything here is pure: any thread, no
 * I/O. docs/API.md has the language for users.
 *
 * What comparisons mean, the same everywhere: a missing value is null; a comparison with null or
 * between JSON types is false, `!=` too; `!` is plain negation. Numbers compare by their exact
 * value whatever their size, strings by their bytes, false before true; arrays and objects compare
 * with nothing. `~` finds a part of a string, ASCII case ignored. `?=` finds an equal item in an
 * array, `in` the left value among those on the right. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

#define QUERY_BYTES_MAX 4096
#define QUERY_NODES_MAX 200 /* comparisons, operators and items of lists */
#define QUERY_DEPTH_MAX 8   /* parentheses and negations */
#define QUERY_STEPS_MAX 16  /* of one path */

enum query_kind {
    QUERY_TRUE, /* only after query_bind() */
    QUERY_FALSE,
    QUERY_AND, /* left, right */
    QUERY_OR,
    QUERY_NOT, /* left */
    QUERY_TEST
};

/*        op              written */
#define QUERY_OP_MAP(X)      \
    X(QUERY_EQ, "=")         \
    X(QUERY_NE, "!=")        \
    X(QUERY_GT, ">")         \
    X(QUERY_GE, ">=")        \
    X(QUERY_LT, "<")         \
    X(QUERY_LE, "<=")        \
    X(QUERY_LIKE, "~")       \
    X(QUERY_NOT_LIKE, "!~")  \
    X(QUERY_HAS, "?=")       \
    X(QUERY_IN, "in")        \
    X(QUERY_NULL, "is null") \
    X(QUERY_NOT_NULL, "is not null")

enum query_op {
#define X(op, text) op,
    QUERY_OP_MAP(X)
#undef X
};

enum query_root { QUERY_DOC, QUERY_USER, QUERY_BODY, QUERY_NOW, QUERY_LITERAL, QUERY_LIST };

struct query_operand {
    enum query_root root;
    uint32_t at;         /* byte in the text, for messages */
    struct slice *steps; /* of a path; none for the root itself */
    size_t n_steps;
    const struct json *value;  /* of a literal; what query_bind() found */
    const struct json **items; /* of a list: literals */
    size_t n_items;
};

struct query {
    enum query_kind kind;
    enum query_op op; /* of a test */
    struct query *left, *right;
    struct query_operand a, b; /* of a test; b only where op has two */
};

/* In the arena. Fails with ERR_MALFORMED and a sentence that names the column and what would be
 * right there. An empty text is QUERY_TRUE. */
struct query *query_parse(struct arena *a, struct slice text, struct err *e);

/* Calls fn for every path into the document, left to right; stops at the first false and returns
 * it. For fields that are unknown, hidden, or that an index should have. */
bool query_each_path(const struct query *q,
                     bool (*fn)(void *user, const struct query_operand *path), void *user);

/* What a query may know besides the document; any of it may be NULL: then it is missing. */
struct query_context {
    const struct json *user; /* id, email, roles, ... */
    const struct json *body; /* of the request */
    const struct json *now;  /* a string */
};

/* The value of a path below a root; NULL when there is none. An array's step is an index. */
const struct json *query_walk(const struct json *root, const struct slice *steps, size_t n);
bool query_matches(const struct query *q, const struct json *doc, const struct query_context *c);

/* The same query with the context filled in and what no longer depends on a document decided: it
 * is QUERY_TRUE, QUERY_FALSE, or a tree of only AND, OR, NOT and tests with a path in them. */
const struct query *query_bind(struct arena *a, const struct query *q,
                               const struct query_context *c);

/* The text again, in one form: reads back as the same tree. */
void query_print(const struct query *q, struct buf *to);

/* ---- keys ---------------------------------------------------------------------------------------
 * Bytes whose order (memcmp, a shorter one first) is the order of values: null, booleans, numbers,
 * strings; equal bytes exactly for equal values. What databases index and sort by. False for
 * arrays and objects, which have no place in the order. */
bool query_key(struct buf *to, const struct json *value);
/* The same order without keys: <0, 0, >0; both must be scalars (NULL counts as null). */
int query_order(const struct json *a, const struct json *b);
