/* YAML to a tree that knows the line and column of everything, for files people write.
 *
 * A strict part of YAML: one document, UTF-8, depth 64, 1 MB, 20,000 values with aliases expanded
 * (so an alias bomb is refused at once), no merge keys, no directives, no tags but the core ones,
 * no duplicate keys. Scalars stay the text that was written: whoever reads the tree decides what
 * `007` or `no` means. No I/O; the time is linear in the size of the text, whatever it holds. */
#pragma once
#include "base/arena.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

#define YAML_MAX_BYTES (1u << 20)
#define YAML_MAX_DEPTH 64
#define YAML_MAX_NODES 20000

enum yaml_type { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_node {
    enum yaml_type type;
    bool plain;              /* a scalar without quotes, block style or !!str: may be a number */
    uint32_t line, col;      /* from 1; columns count characters */
    struct slice text;       /* of a scalar; ends in a NUL that is not counted */
    struct yaml_node *key;   /* in a map: the scalar this value belongs to */
    struct yaml_node *first; /* of a list or map, in the order written */
    struct yaml_node *next;
    uint32_t n;      /* children */
    uint32_t weight; /* values in this subtree, itself included */
};

/* Told of everything wrong, in the order found. A syntax error is the last one. */
struct yaml_report {
    void (*fn)(void *arg, uint32_t line, uint32_t col, const char *sentence);
    void *arg;
};

/* The root, in the arena; NULL when the text is not acceptable YAML or holds nothing. Duplicate
 * keys are reported and the first one kept, so that a caller sees all of them in one run; a caller
 * that must not go on counts the reports. The arena needs up to 6 MB. */
struct yaml_node *yaml_parse(struct slice text, struct arena *a, struct yaml_report report);

/* A plain `~`, `null` or nothing at all. */
bool yaml_is_null(const struct yaml_node *node);
