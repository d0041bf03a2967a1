/* Documents page by page, for exports. */
#include "docs/docs_impl.h"

bool docs_page(const struct docs_reading *r, const struct doc_coll *c, struct slice filter,
               struct slice after, size_t limit, struct docs_page *ret, struct err *e)
{
    (void)r, (void)c, (void)filter, (void)after, (void)limit, (void)ret;
    return err_set(e, ERR_NOT_IMPLEMENTED, "Exports are not there yet.");
}
