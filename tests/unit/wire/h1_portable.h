/* The head parser once more, compiled without SSE2 under other names, for comparison. */
#pragma once
#define WIRE_PORTABLE
#define h1_parse_request  h1_parse_request_portable
#define h1_default_limits h1_default_limits_portable
#define h1_parse_response h1_parse_response_portable
#define h1_response_body  h1_response_body_portable
#include "wire/h1.c"
#undef h1_parse_request
#undef h1_default_limits
#undef h1_parse_response
#undef h1_response_body

extern const struct h1_limits h1_default_limits;
enum io h1_parse_request(struct h1_request *rq, struct slice in, size_t *scanned,
                         const struct h1_limits *limits, struct err *e) MUST_CHECK;
enum io h1_parse_response(struct h1_response *rs, struct slice in, size_t *scanned,
                          const struct h1_limits *limits, struct err *e) MUST_CHECK;
enum h1_body h1_response_body(const struct h1_response *rs, enum http_method asked);
