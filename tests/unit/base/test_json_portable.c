/* Everything test_json_parse.c demands, of the parser without SSE2. */
#define fail parser_fail /* cmocka has one too */
#include "base/json_portable.h"

#include "base/test_json_parse.c"
