/* What the parser, the evaluator and the printer share. */
#pragma once
#include "query/query.h"

/* The value of a path below a root; NULL when there is none. An array's step is an index. */
const struct json *query_walk(const struct json *root, const struct slice *steps, size_t n);
/* One test on two values, either NULL when missing; `b` of QUERY_IN is an array or items. */
bool query_test(enum query_op op, const struct json *a, const struct json *b);
