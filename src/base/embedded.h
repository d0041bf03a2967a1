/* Files that are compiled into the program: pages, and what `dais new` writes (mk/pages.mk). */
#pragma once
#include "base/slice.h"

#include <stddef.h>

struct embedded {
    const char *name; /* "error.html", "model/langhero/dais.yaml"; NULL after the last */
    const char *data; /* `len` bytes and a NUL; for the whole life of the program */
    size_t len;
};

/* Written by tools/embed when the program is built, in the order of the names. */
extern const struct embedded embedded_pages[];

/* The content of a page that must be there: an unknown name fails a must(). */
struct slice embedded_get(const char *name);

/* The next file whose name starts with `prefix`: the first when `after` is NULL; NULL after the
 * last. */
const struct embedded *embedded_next(const struct embedded *after, const char *prefix);
