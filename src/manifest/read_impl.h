/* From a YAML tree to structs, as the tables say; used by the loader and the help. */
#pragma once
#include "base/yaml.h"
#include "manifest/tables_impl.h"

struct reader {
    struct arena *a;
    struct problems *p;
    struct slice file;
};

/* At most 60 bytes of what somebody typed, for %.*s in a sentence. */
#define SHOWN(s) (int)((s).len > 60 ? 60 : (s).len), (s).ptr

/* Fills *to, which is zero, from a map; what is wrong is reported and holds its default. */
void shape_read(struct reader *r, const struct shape *shape, const struct yaml_node *node,
                void *to);
void shape_defaults(struct arena *a, const struct shape *shape, void *to);
/* "one of: open, invite, closed"; what a value of this kind must be. */
void field_expects(const struct field *f, enum kind kind, struct buf *to);
const struct field *shape_find(const struct shape *shape, struct slice name); /* NULL = none */
