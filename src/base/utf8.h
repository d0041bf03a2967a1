/* Whether bytes are well-formed UTF-8. */
#pragma once
#include "base/slice.h"

/* Length of the well-formed character at the start of s (not empty); 0 when there is none. */
size_t utf8_length(struct slice s);

bool utf8_is_valid(struct slice s); /* no overlong forms, no surrogates, at most U+10FFFF */
