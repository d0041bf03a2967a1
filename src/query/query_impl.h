/* What the parser, the evaluator and the printer share. */
#pragma once
#include "query/query.h"

/* One test on two values, either NULL when missing; `b` of QUERY_IN is an array or items. */
bool query_test(enum query_op op, const struct json *a, const struct json *b);
