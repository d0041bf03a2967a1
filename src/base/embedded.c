/* Finding a file that is compiled into the program. */
#include "base/embedded.h"
#include "base/must.h"

#include <string.h>

struct slice embedded_get(const char *name)
{
    for (const struct embedded *page = embedded_pages; page->name; page++) {
        if (strcmp(page->name, name) == 0)
            return (struct slice){page->data, page->len};
    }
    must(!"a page that was embedded");
}

const struct embedded *embedded_next(const struct embedded *after, const char *prefix)
{
    const struct embedded *it = after ? after + 1 : embedded_pages;
    while (it->name && strncmp(it->name, prefix, strlen(prefix)) != 0)
        it++;
    return it->name ? it : NULL;
}
