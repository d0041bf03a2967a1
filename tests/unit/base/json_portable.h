/* The JSON parser and the escaping once more, compiled without SSE2 under other names. */
#pragma once
#include "base/json.h"

bool json_parse_portable(struct json_doc *doc, struct arena *a, struct slice text,
                         const struct json_limits *limits, struct err *e);
bool json_validate_portable(struct slice text, const struct json_limits *limits, struct err *e);
void json_escape_portable(struct buf *to, struct slice s, unsigned flags);

#define JSON_PORTABLE
#define json_parse    json_parse_portable
#define json_validate json_validate_portable
#define json_escape   json_escape_portable
#include "base/json.c"
#include "base/json_escape.c"
/* Both define what the tests have of their own. */
#undef fail
