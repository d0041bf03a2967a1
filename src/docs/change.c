/* A request's changes: planned before the writer has them, applied by it one after the other. */
#include "docs/docs_impl.h"

bool docs_writing_plan(struct docs_writing *w, struct err *e)
{
    for (w->failed = 0; w->failed < w->n; w->failed++) {
        if (!change_plan(w, &w->changes[w->failed], e))
            return false;
    }
    return true;
}

bool docs_writing_apply(struct docs_writing *w, struct db_conn *c, struct err *e)
{
    for (w->failed = 0; w->failed < w->n; w->failed++) {
        if (!change_apply(w, &w->changes[w->failed], c, e))
            return false;
    }
    return docs_is_present(w->docs, e);
}

bool docs_writing_finish(struct docs_writing *w, struct db_conn *c, struct err *e)
{
    for (size_t i = 0; i < w->n; i++) {
        if (!change_finish(w, &w->changes[i], c, e))
            return false;
    }
    return true;
}
