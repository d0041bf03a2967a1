/* CSV (RFC 4180) of documents: a column per field, nested values as JSON. Pure. */
#pragma once
#include "docs/docs.h"

struct csv;

/* The columns: `fields`, or all that the collection's schema declares, after dais's own; and the
 * line with their names. ERR_MALFORMED: a field that does not exist, or no schema to take them
 * from. */
bool csv_begin(struct csv **ret, const struct doc_coll *c, struct slice fields, struct arena *a,
               struct buf *to, struct err *e);
/* A document's line. The scratch arena is left as it was. */
bool csv_add(const struct csv *csv, struct slice doc, struct arena *scratch, struct buf *to,
             struct err *e);
