/* Random bytes from the kernel, and identifiers made of them. */
#pragma once
#include <stddef.h>

void random_bytes(void *to, size_t n); /* cannot fail: the process ends if the kernel has none */

#define ID_LEN 20
/* An id that sorts by the time it was made: 20 characters of [0-9a-v], 50 bits of milliseconds,
 * then 50 random bits; ends in NUL. */
void random_id(char to[ID_LEN + 1]);
