/* The head parser once more, compiled without SSE2 under other names, for comparison. */
#pragma once
#define WIRE_PORTABLE
#define h1_parse_request  h1_parse_request_portable
#define h1_default_limits h1_default_limits_portable
#include "wire/h1.c"
#undef h1_parse_request
#undef h1_default_limits

extern const struct h1_limits h1_default_limits;
enum io h1_parse_request(struct h1_request *rq, struct slice in, size_t *scanned,
                         const struct h1_limits *limits, struct err *e) MUST_CHECK;
