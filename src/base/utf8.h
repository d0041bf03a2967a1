/* Whether bytes are well-formed UTF-8, and which characters show nothing. */
#pragma once
#include "base/slice.h"

/* Length of the well-formed character at the start of s (not empty); 0 when there is none. */
size_t utf8_length(struct slice s);

/* Is the character at the start of s (not empty) one that a terminal takes as an order? C0, DEL,
 * C1; a C1 has two bytes. */
bool utf8_is_control(struct slice s);
/* Or one that ends a line or turns the direction of writing: U+2028 to 202E, U+2066 to 2069. */
bool utf8_is_unseen(struct slice s);

/* One line of text: well-formed, and no control character in it. */
bool utf8_is_line(struct slice s);

bool utf8_is_valid(struct slice s); /* no overlong forms, no surrogates, at most U+10FFFF */
