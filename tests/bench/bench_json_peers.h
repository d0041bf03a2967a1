/* Other JSON libraries to compare with, where they are installed; apart, for their names collide.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct peer {
    const char *name;
    bool (*parse)(const char *text, size_t len);
    /* Writes a document parsed before; NULL = the library cannot do that alone. */
    void *(*load)(const char *text, size_t len);
    size_t (*write)(void *doc);
};

extern const struct peer peers[]; /* ends with a row without a name */
