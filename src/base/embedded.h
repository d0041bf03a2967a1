/* Files that are compiled into the program: the HTML templates of src/http/pages/. */
#pragma once
#include "base/slice.h"

#include <stddef.h>

struct embedded {
    const char *name; /* such as "error.html"; NULL after the last */
    const char *data; /* `len` bytes and a NUL; for the whole life of the program */
    size_t len;
};

/* Written by tools/embed when the program is built, in the order of the names. */
extern const struct embedded embedded_pages[];

/* The content of a page that must be there: an unknown name fails a must(). */
struct slice embedded_get(const char *name);
