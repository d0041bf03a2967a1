/* A compiled schema, and what compiling and checking share. */
#pragma once
#include "schema/schema.h"

struct regex; /* regex.c */

enum regex_answer { REGEX_NONE, REGEX_FOUND, REGEX_TOO_LONG };

struct named_schema {
    struct slice name;
    const struct schema *schema;
};
struct pattern_schema {
    const struct regex *regex;
    const struct schema *schema;
};
struct named_list { /* dependentRequired */
    struct slice name;
    struct slice *names;
    size_t n;
};

/* Schemas with a $ref, sorted by where they stand. */
struct links {
    const struct schema **items;
    size_t n;
};

/* One file, or a part of one with an $id of its own. */
struct resource {
    struct slice uri; /* absolute; "app:///schemas/a.json" for files */
    const struct json *root;
    const struct json *top; /* of the whole file */
    const struct links *links;
    struct slice file; /* for messages */
    const struct schema *schema;
    struct named_schema *dynamic; /* its $dynamicAnchors */
    size_t n_dynamic;
    struct resource *next;
};

#define TYPE_BIT(type) (1u << (type))
#define TYPE_INTEGER   TYPE_BIT(7) /* a number, but only an integer */

struct schema {
    const struct json *at; /* where it stands in its file: what identifies it */
    const struct resource *resource;
    bool is_false; /* `false`: nothing holds */

    uint32_t types; /* 0: any */
    const struct json *constant, *choices;
    const struct json *minimum, *maximum, *exclusive_minimum, *exclusive_maximum, *multiple_of;
    int64_t min_length, max_length, min_items, max_items, min_properties, max_properties; /* -1 */
    int64_t min_contains, max_contains;
    const struct regex *pattern;
    struct slice format;
    bool unique_items;

    struct slice *required;
    size_t n_required;
    struct named_schema *properties; /* sorted by name */
    size_t n_properties;
    struct pattern_schema *patterns;
    size_t n_patterns;
    struct named_schema *dependents; /* dependentSchemas */
    size_t n_dependents;
    struct named_list *needs; /* dependentRequired */
    size_t n_needs;
    const struct schema *additional, *names, *unevaluated_properties;

    const struct schema **prefix;
    size_t n_prefix;
    const struct schema *items, *contains, *unevaluated_items;

    const struct schema **all, **any, **one;
    size_t n_all, n_any, n_one;
    const struct schema *not_, *if_, *then, *else_;
    const struct schema *ref, *dynamic_ref;
    struct slice dynamic_name; /* of dynamic_ref, when it leads to a $dynamicAnchor */
    unsigned char mark;        /* circles.c */
    bool notes;                /* something below or beside may ask what was evaluated */
};

/* ---- resolve.c: names of schemas ----------------------------------------------------------------
 */
/* RFC 3986, 5.2: a reference against an absolute base; without its fragment, which is given apart.
 */
struct slice uri_resolve(struct arena *a, struct slice base, struct slice reference,
                         struct slice *ret_fragment);

/* ---- circles.c ----------------------------------------------------------------------------------
 */
/* A schema with a reference that leads back to it on the same value; NULL: there is none. `all` has
 * n places, `most` of them taken. */
const struct schema *find_circle(struct arena *a, struct schema *const *all, size_t n, size_t most);

/* ---- regex.c ------------------------------------------------------------------------------------
 */
/* ECMA 262 as far as PCRE2 has it, on characters; freed with the arena. NULL: why is in e. */
const struct regex *regex_compile(struct arena *a, struct slice pattern, struct err *e);
bool regex_is_ok(struct slice pattern);
/* Finds it anywhere, in at most `steps`; what it took is subtracted. */
enum regex_answer regex_find(const struct regex *r, struct slice text, uint64_t *steps);
/* pattern.c: adds the pattern as PCRE2 writes it, until `to` has more than `until` bytes. The byte
 * that was read last is at *ret_at; what is wrong there, or NULL. */
const char *pattern_translate(struct slice pattern, size_t until, struct buf *to, size_t *ret_at);

/* ---- values.c
 * ------------------------------------------------------------------------------------
 */
bool values_equal(const struct json *a, const struct json *b); /* numbers by value, any key order */
bool values_are_unique(const struct json *array, struct arena *scratch, size_t *ret_first,
                       size_t *ret_second);
size_t text_length(struct slice s); /* characters */

/* The members of an object by name: an index where it is wide, so that looking each of them up is
 * not quadratic. In the arena; of anything else than an object: none. */
struct members {
    const struct json *object;
    struct member *sorted; /* NULL: few */
};
void members_init(struct members *m, const struct json *object, struct arena *a);
const struct json *members_find(const struct members *m, struct slice name);
