/* JSON Schema 2020-12: compiled once, then asked about documents.
 *
 * Everything of validation, applicator, unevaluated and core is there: $ref, $defs, $id, $anchor,
 * $dynamicRef. Nothing is ever fetched: what a $ref names must be among the files the loader gives.
 * `format` is asserted for the formats in formats.c, others are remarks. A schema that is wrong
 * itself (an unknown type, a pattern that is none, a $ref to nothing) is refused when compiled, so
 * that no document meets it.
 *
 * A compiled schema is read-only: any thread may check with it. Checking is bounded: it follows
 * SCHEMA_REFS_MAX schemas for one value and SCHEMA_DEPTH_MAX down a document, and takes at most
 * SCHEMA_STEPS_MAX steps, patterns included. Where it gives up it says so, and the document does
 * not hold. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

#define SCHEMA_DEPTH_MAX      1000
#define SCHEMA_REFS_MAX       200
#define SCHEMA_STEPS_MAX      5000000
#define SCHEMA_VIOLATIONS_MAX 100 /* told; the rest is only counted */

struct schema;

/* Gives the text of the file a $ref names, relative to the folder of the app: "schemas/a.json".
 * False with a sentence in e: it is refused or not there. */
struct schema_loader {
    bool (*load)(void *user, struct slice path, struct slice *ret_text, struct err *e);
    void *user;
};

/* Compiles the file `path`, which `loader` gives, and all that it refers to. Lives in the arena;
 * NULL with "schemas/a.json, at /properties/x/type: ..." in e. Frees nothing before the arena. */
const struct schema *schema_compile(struct arena *a, struct slice path,
                                    const struct schema_loader *loader, struct err *e);

struct violation {
    struct slice pointer; /* JSON Pointer into the document; to a missing property, too */
    const char *code;     /* the keyword: "required", "maxLength"; "too_deep", "too_long" */
    struct slice message; /* what must be so: "is longer than 20 characters" */
};
struct violations {
    struct arena *a; /* texts and items live here */
    struct violation *items;
    size_t n, n_more; /* n_more: not told */
};

/* Does the document hold? Every violation is added, in the order of the document. */
bool schema_check(const struct schema *s, const struct json *doc, struct violations *to);

/* ---- what is declared ---------------------------------------------------------------------------
 * By a schema, and by all that hold for the same value: through $ref, allOf, anyOf, oneOf, if,
 * then, else and dependentSchemas. */

/* The names of the document's top-level properties; false when there is room for others (nothing
 * says additionalProperties: false). For filters. */
bool schema_properties(const struct schema *s, struct arena *a, struct slice **ret_names,
                       size_t *ret_n);

/* Can a filter or a check name this path; an index stands for any item? Its first step must be
 * declared, by name or by a pattern, unless the schema declares none at all or says of what form
 * others are. Steps below must not be shut out: by additionalProperties: false, or by a type that
 * has nothing in it. */
bool schema_has_path(const struct schema *s, const struct slice *steps, size_t n);

/* ---- for whoever writes schemas anew ------------------------------------------------------------
 * The JSON a compiled schema was read from; where a schema stands: the same place is the same file
 * and node, whichever compilation met it. */
struct schema_place {
    struct slice file;
    size_t node; /* 0: the whole file */
};
const struct json *schema_json(const struct schema *s, struct schema_place *ret);
/* The schema that the $ref of the object `from`, a part of s or of what it refers to, leads to.
 * NULL when it has none. */
const struct json *schema_follow(const struct schema *s, const struct json *from,
                                 struct schema_place *ret);

/* Is the text what `format` says? True for a format that is not known. */
bool format_check(struct slice format, struct slice text);
