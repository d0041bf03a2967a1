/* JSON: a strict parser to a flat tape in an arena, a validator, a streaming writer, pointers.
 *
 * Strict means RFC 8259 and nothing more: UTF-8 without overlong forms, surrogates or a byte order
 * mark; no lone surrogate escapes, raw control characters, leading zeros, comments or trailing
 * anything. Any value may be the root. A key twice in one object is refused (compared decoded):
 * whoever reads the text with another parser must see the same document. Numbers keep their text,
 * so 1e999 and integers of any size are valid JSON; they fail where a machine number is asked for.
 * Depth and size are limited; nothing here recurses. All is pure: any thread, no global state. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

enum json_type {
    JSON_NONE, /* no value: the type of NULL */
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY, /* from here on: has children */
    JSON_OBJECT,
};

/* One entry of the tape, read through the functions below. The children of a container follow it
 * directly, each member of an object as its key and then its value. */
struct json {
    uint8_t type, flags;
    uint32_t len; /* bytes of a string or number; children of a container; 1 = true */
    union {
        const char *ptr; /* into the text, or decoded in the arena */
        size_t span;     /* entries of a container, itself included */
    };
};

#define JSON_DEPTH_DEFAULT 64
#define JSON_DEPTH_MAX     1000
#define JSON_NODES_DEFAULT 1000000

/* Zero = the default. */
struct json_limits {
    uint32_t max_depth; /* of nested containers; must not exceed JSON_DEPTH_MAX */
    uint32_t max_nodes; /* keys and values; each takes 16 bytes */
};

struct json_doc {
    const struct json *nodes;
    uint32_t len;
};

/* ---- reading ---------------------------------------------------------------------------------
 * The tape lives in the arena and points into `text`: both must outlive it. `limits` may be NULL.
 * Fails with ERR_JSON and "line 3, column 7: expected ..., found ..." (columns count characters),
 * or ERR_BODY_TOO_LARGE when the arena's cap does not suffice (commonly 3 times the text, at worst
 * 30 times); *doc is untouched then. */
bool json_parse(struct json_doc *doc, struct arena *a, struct slice text,
                const struct json_limits *limits, struct err *e);

/* Accepts and refuses exactly what json_parse does, without a tape: memory only for the keys of
 * objects that are open. For text that is stored and passed on as it came. */
bool json_validate(struct slice text, const struct json_limits *limits, struct err *e);

/* Everything below takes NULL for a value that is absent and gives the empty answer, so that
 * lookups can be chained: json_str(json_find(json_find(v, SLICE("a")), SLICE("b"))). */
static inline const struct json *json_root(const struct json_doc *doc)
{
    return doc->nodes;
}

static inline enum json_type json_type(const struct json *v)
{
    return v ? (enum json_type)v->type : JSON_NONE;
}

const char *json_type_name(enum json_type type); /* as JSON Schema calls it: "array", "null", ... */

/* The value of a key, NULL when absent or not an object. Linear: for many keys of a wide object
 * walk it once with json_each. */
const struct json *json_find(const struct json *object, struct slice key);
const struct json *json_item(const struct json *array, size_t index); /* linear too */
size_t json_len(const struct json *v); /* children of a container, else 0 */

bool json_bool(const struct json *v);             /* true only for true */
struct slice json_str(const struct json *v);      /* decoded, may hold NUL; "" if no string */
struct slice json_num_text(const struct json *v); /* as it was written; "" if no number */

/* json_each(it, v) { it.index; it.key (objects only); it.value; }: children in order. */
struct json_iter {
    const struct json *value, *next;
    struct slice key;
    uint32_t index, left;
    bool keyed;
};
#define json_each(it, v) for (struct json_iter it = json_iter(v); json_next(&it);)
struct json_iter json_iter(const struct json *v);
bool json_next(struct json_iter *it);

/* ---- numbers ---------------------------------------------------------------------------------
 * An integer is what it is in mathematics: 1, 1.0, 10e-1 and -0 are. False leaves *ret untouched.
 */
bool json_is_integer(const struct json *v);        /* of any size */
bool json_i64(const struct json *v, int64_t *ret); /* false: no integer, or does not fit */
bool json_u64(const struct json *v, uint64_t *ret);
/* The nearest double; false when it would be infinite. *ret_exact (may be NULL): nothing was lost,
 * the text is the double's value or its shortest decimal form (0.1 is exact, 2^53 + 1 is not). */
bool json_double(const struct json *v, double *ret, bool *ret_exact);
/* A number as 0.DIGITS x 10^top, without zeros at the ends of the digits; zero has none. Exponents
 * beyond 10^15 are all the same. */
struct json_decimal {
    const char *whole, *part; /* digits before and after the point */
    size_t whole_n, skip, n;  /* n digits, after `skip` zeros */
    int64_t exp;              /* the last digit stands for 10^exp: top = exp + n */
    bool negative;
};
struct json_decimal json_decimal(const struct json *v);          /* must be a number */
char json_decimal_digit(const struct json_decimal *d, size_t i); /* '0' to '9', from the first */
/* Compares two numbers by value, exactly, whatever their size; both must be numbers. */
int json_num_cmp(const struct json *a, const struct json *b);

/* ---- pointers (RFC 6901) --------------------------------------------------------------------- */
bool json_pointer_is_valid(struct slice pointer);
/* NULL when there is nothing, or the pointer is malformed. "" is the root itself. */
const struct json *json_pointer_find(const struct json *root, struct slice pointer);
void json_pointer_add(struct buf *pointer, struct slice key); /* appends /key, escaped */
void json_pointer_add_index(struct buf *pointer, size_t index);

/* ---- writing ---------------------------------------------------------------------------------
 * Commas and colons come by themselves; a value where a key belongs (and the like) is a must().
 * A buf that became full stays so: check it once at the end. */
enum json_write_flags {
    JSON_FOR_HTML = 1, /* '<' '>' '&' and U+2028/2029 as escapes: safe inside <script> */
};

/* Deeper than what is read, so that a document fits into an answer. */
#define JSON_WRITE_DEPTH 1024

struct json_writer {
    struct buf *to;
    unsigned flags, depth;
    bool first, keyed, done; /* in this container: nothing yet; a key waits for its value; root */
    uint64_t objects[JSON_WRITE_DEPTH / 64]; /* one bit per open level: is it an object? */
};

void json_writer_init(struct json_writer *w, struct buf *to, unsigned flags);
void json_writer_done(const struct json_writer *w); /* must: one whole value was written */

void json_write_object(struct json_writer *w);
void json_write_object_end(struct json_writer *w);
void json_write_array(struct json_writer *w);
void json_write_array_end(struct json_writer *w);
void json_write_key(struct json_writer *w, struct slice key);
void json_write_str(struct json_writer *w, struct slice s);
void json_write_cstr(struct json_writer *w, const char *s); /* NULL gives null */
void json_write_i64(struct json_writer *w, int64_t v);
void json_write_u64(struct json_writer *w, uint64_t v);
void json_write_double(struct json_writer *w, double v); /* shortest; null for NaN, infinity */
void json_write_bool(struct json_writer *w, bool v);
void json_write_null(struct json_writer *w);
void json_write_raw(struct json_writer *w, struct slice json);      /* valid JSON, not checked */
void json_write_value(struct json_writer *w, const struct json *v); /* a tree; NULL gives null */

/* One string in quotes, escaped. Bytes that are no UTF-8 become U+FFFD, so that the outcome is
 * valid whatever came in. */
void json_escape(struct buf *to, struct slice s, unsigned flags);

#define JSON_DOUBLE_MAX 32
/* The shortest text that reads back as v (finite); returns its length. */
size_t json_format_double(double v, char to[JSON_DOUBLE_MAX]);
